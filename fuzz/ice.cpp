// rooms: ice stun crypto proto base
// First octet even: lines of SDP, each "name:value"; what is read is written and read again as the same. Odd:
// a session's life, an octet for what happens and some for how: datagrams of any content, checks and answers
// with good integrity and odd attributes, candidates, restarts, snapshots, time. No input ends the agent's
// bounds.
#include <cstdlib>
#include <optional>

#include "ice/agent.h"
#include "stun/message.h"

namespace {

using namespace tandem;
using namespace tandem::ice;

void must(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}
  bool done() const { return rest_.empty(); }
  uint8_t octet() { return rest_.empty() ? uint8_t{0} : take(1)[0]; }
  uint32_t u32() {
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i) v = v << 8 | octet();
    return v;
  }
  Bytes some() { return take(octet()); }
  std::string_view line() {
    const std::string_view text = as_text(rest_);
    const size_t end = std::min(text.find('\n'), text.size());
    take(std::min(end + 1, text.size()));
    return text.substr(0, end);
  }

 private:
  Bytes take(size_t n) {
    const Bytes taken = rest_.first(std::min(n, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  Bytes rest_;
};

void read_lines(Input in) {
  Description d;
  while (!in.done()) {
    const std::string_view line = in.line();
    const size_t colon = std::min(line.find(':'), line.size());
    const auto read = read_attribute(d, line.substr(0, colon), line.substr(std::min(colon + 1, line.size())));
    if (!read) must(!to_string(read.reason()).empty());
  }
  const auto lines = to_attributes(d);
  Description again;
  for (const Attribute& a : lines) {
    must(a.value.find_first_of("\r\n") == std::string::npos);
    const auto read = read_attribute(again, a.name, a.value);
    must(read.ok() && *read);
  }
  must(to_attributes(again) == lines);
  must(again.candidates == d.candidates);
}

class Session {
 public:
  explicit Session(uint8_t kind) : rng_(1) {
    config_.mode = (kind & 2) != 0 ? Mode::lite : Mode::full;
    config_.role = (kind & 4) != 0 ? Role::controlling : Role::controlled;
    config_.stun_servers = {*SocketAddress::parse("198.51.100.1:3478")};
    config_.unauthenticated_answers = (kind & 8) != 0 ? 2 : 0;
    agent_.emplace(config_, rng_, troubles_);
    must(agent_->add_stream(2).ok());
    for (uint16_t c : {1, 2}) {
      LocalBase base;
      base.component = c;
      base.address = {IpAddress::v4(192, 0, 2, 1), static_cast<uint16_t>(5000 + c)};
      must(agent_->add_local(now_, base, out_).ok());
    }
    LocalBase tcp;
    tcp.transport = Transport::tcp;
    tcp.tcp_type = (kind & 16) != 0 ? TcpType::active : TcpType::passive;
    tcp.address = {IpAddress::v4(192, 0, 2, 1), 443};
    must(agent_->add_local(now_, tcp, out_).ok());
    agent_->end_of_local(now_, out_);
  }

  void happen(Input& in) {
    switch (in.octet() % 10) {
      case 0:
        agent_->on_datagram(now_, in.octet() % 4, source(in), in.some(), out_);
        break;
      case 1:
        request(in);
        break;
      case 2:
        answer(in);
        break;
      case 3:
        pass(milliseconds(in.octet() * 16));
        break;
      case 4:
        if (const auto c = Candidate::parse(in.line()))
          (void)agent_->add_remote_candidate(now_, 0, *c, out_).ok();
        break;
      case 5:
        describe(in);
        break;
      case 6:
        change(in);
        break;
      case 7:
        snapshot();
        break;
      case 8:
        damaged(in);
        break;
      default:
        (void)agent_->default_candidate(0, in.octet());
        break;
    }
    settle();
  }

  /// Left alone it comes to rest, having sent no more than its pairs allow.
  void end() {
    const size_t before = sent_;
    pass(seconds(400));
    must(sent_ - before < 3000);
    if (config_.mode == Mode::full && agent_->state(0) != State::idle)
      must(agent_->state(0) == State::failed || agent_->state(0) == State::disconnected);
  }

 private:
  static SocketAddress source(Input& in) {
    const uint8_t n = in.octet();
    if (n == 255) return *SocketAddress::parse("198.51.100.1:3478");
    return {IpAddress::v4(198, 51, 100, static_cast<uint8_t>(7 + n % 4)), static_cast<uint16_t>(7 + n / 4)};
  }

  void request(Input& in) {
    using namespace stun;
    const uint8_t how = in.octet();
    TransactionId id{};
    id[0] = in.octet();
    Writer w(Class::request, method::binding, id);
    const Description d = agent_->local_description(0);
    w.add(attribute::username, d.credentials.ufrag + ":" + ((how & 1) != 0 ? "peer" : "other"));
    if ((how & 2) == 0) w.add_u32(attribute::priority, in.u32());
    if ((how & 4) == 0)
      w.add_u64((how & 8) != 0 ? attribute::ice_controlled : attribute::ice_controlling,
                (how & 16) != 0 ? UINT64_MAX : in.octet());
    if ((how & 32) != 0) w.add(attribute::use_candidate, "");
    if ((how & 64) != 0) w.add(in.octet(), in.some());
    w.add_integrity(as_bytes(d.credentials.pwd)).add_fingerprint();
    const BaseId base = in.octet() % 4;
    agent_->on_datagram(now_, base, source(in), w.octets(), out_);
  }

  /// To the latest request that went out.
  void answer(Input& in) {
    using namespace stun;
    if (!asked_) return;
    const uint8_t how = in.octet();
    Writer w((how & 1) != 0 ? Class::error : Class::success, method::binding, asked_->transaction);
    if ((how & 1) != 0)
      w.add_error(static_cast<uint16_t>(300 + 100 * (in.octet() % 4) + in.octet() % 100), "");
    if ((how & 2) != 0) w.add_error(487, "Role Conflict");
    if ((how & 4) == 0) w.add_xor_address(attribute::xor_mapped_address, source(in));
    w.add_integrity(as_bytes((how & 8) != 0 ? "wrong" : password_)).add_fingerprint();
    agent_->on_datagram(now_, asked_->base, (how & 16) != 0 ? source(in) : asked_->to, w.octets(), out_);
  }

  void describe(Input& in) {
    Description d;
    const uint8_t how = in.octet();
    d.credentials = {(how & 1) != 0 ? "peer" : "other", std::string(22, static_cast<char>('a' + how % 3))};
    d.lite = (how & 8) != 0;
    if ((how & 16) != 0) d.options = {"ice2", "trickle"};
    d.end_of_candidates = (how & 32) != 0;
    if ((how & 64) != 0) d.pacing_ms = in.u32();
    for (int i = 0; i < (how & 3); ++i) (void)read_attribute(d, "candidate", in.line()).ok();
    if (agent_->set_remote(now_, 0, d, out_)) password_ = d.credentials.pwd;
  }

  void change(Input& in) {
    switch (in.octet() % 6) {
      case 0:
        agent_->restart(now_, 0, out_);
        break;
      case 1:
        agent_->rollback(now_, 0, out_);
        break;
      case 2:
        agent_->set_components(now_, 0, 1, out_);
        break;
      case 3:
        agent_->on_unreachable(now_, in.octet() % 4, source(in), out_);
        break;
      case 4:
        agent_->end_of_remote(now_, 0, out_);
        break;
      default:
        (void)agent_->validated(in.octet() % 4, source(in));
        break;
    }
  }

  void snapshot() {
    const std::string part = agent_->snapshot(now_);
    must(part.size() < 100'000);
    auto restored = Agent::restore(now_, part, config_, rng_, troubles_);
    must(restored.ok());
    must(restored->state(0) == agent_->state(0) && restored->role() == agent_->role());
    for (const uint16_t c : {1, 2}) must(restored->path(0, c) == agent_->path(0, c));
    agent_.emplace(std::move(restored).value());
  }

  void damaged(Input& in) {
    std::string part = agent_->snapshot(now_);
    for (int i = in.octet() % 8; i > 0; --i) part[in.u32() % part.size()] = static_cast<char>(in.octet());
    auto restored = Agent::restore(now_, part, config_, rng_, troubles_);
    if (!restored) return;
    Outbox out;
    restored->on_timeout(now_, out);
    (void)restored->local_description(0);
    (void)restored->path(0, 1);
  }

  void pass(Duration time) {
    const Instant until = now_.mono + time;
    for (int i = 0; agent_->next_timeout() <= until; ++i) {
      must(i < 2000);
      const Instant next = std::max(now_.mono, agent_->next_timeout());
      advance(next);
      agent_->on_timeout(now_, out_);
      settle();
      must(agent_->next_timeout() >= next);
    }
    advance(until);
  }
  void advance(Instant to) {
    now_.wall = now_.wall + (to - now_.mono);
    now_.mono = to;
  }

  void settle() {
    for (const Datagram& d : out_.datagrams) {
      const auto m = stun::Message::parse(d.bytes);
      must(m.ok() && d.base < 3 && d.bytes.size() <= stun::Writer::max_octets);
      if (m->message_class() == stun::Class::request) asked_ = Asked{m->transaction(), d.base, d.to};
    }
    sent_ += out_.datagrams.size();
    for (const Event& e : out_.events) must(e.stream == 0);
    out_.clear();
  }

  struct Asked {
    stun::TransactionId transaction;
    BaseId base;
    SocketAddress to;
  };
  SeededRng rng_;
  Troubles troubles_;
  Config config_;
  Now now_{{1'000'000'000}, {1'700'000'000'000'000'000}};
  Outbox out_;
  std::optional<Agent> agent_;
  std::optional<Asked> asked_;
  std::string password_ = "none";
  size_t sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  Input in(data + 1, size - 1);
  if ((data[0] & 1) == 0) {
    read_lines(in);
    return 0;
  }
  Session session(data[0]);
  for (int i = 0; i < 64 && !in.done(); ++i) session.happen(in);
  if ((data[0] & 0xE0) == 0) session.end();  // takes longer than all before
  return 0;
}
