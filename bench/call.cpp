// rooms: call media route sip rtp sdp auth crypto port base proto
// CPU of one complete call through the B2BUA: INVITE to BYE on both legs, media anchored, record made; no
// network, no disk.
#include <benchmark/benchmark.h>

#include <map>
#include <string>

#include "call/call_layer.h"
#include "dtls/twin_endpoint.h"

namespace {

using namespace tandem;

/// Ports are numbers.
class Ports final : public port::MediaPorts {
 public:
  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family) override {
    next_ = next_ > 60000 ? uint16_t{20000} : static_cast<uint16_t>(next_ + 2);
    return Pair{one(next_), one(static_cast<uint16_t>(next_ + 1))};
  }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress) override { return std::nullopt; }
  void close(port::MediaPortId id) override { free_.push_back(id.slot); }

 private:
  port::MediaPort one(uint16_t number) {
    uint32_t slot = slots_;
    if (free_.empty()) {
      ++slots_;
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    const IpAddress ip = IpAddress::v4(192, 0, 2, 100);
    return {{slot, ++generation_}, {ip, number}, ip};
  }
  std::vector<uint32_t> free_;
  uint32_t slots_ = 0, generation_ = 0;
  uint16_t next_ = 20000;
};

struct SentBy final : sip::SentBy {
  std::string_view sent_by(const port::Path&) const override { return "192.0.2.1:5060"; }
};
struct Contacts final : call::ContactProvider {
  std::string contact_for(const port::Path&, std::string_view user) const override {
    return std::string("<sip:").append(user).append("@192.0.2.1:5060>");
  }
  bool is_local(std::string_view host) const override { return host == "example.org"; }
  std::optional<port::AskBindings> gruu(const sip::Uri&) const override { return std::nullopt; }
};

constexpr std::string_view body =
    "v=0\r\no=phone 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

struct Worker {
  SeededRng rng{3};
  CounterSet counters;
  Ports ports;
  SentBy sent_by;
  Contacts contacts;
  call::CallConfig config;
  sip::TokenMint mint{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 0, 0, rng};
  dtls::TwinEndpoint keys{rng};
  media::Engine engine{media::EngineConfig{}, ports, rng, counters, keys};
  sip::TransactionLayer tx{config.timers, {}, mint, sent_by, counters};
  call::CallLayer calls{{tx, mint, engine, rng, counters, contacts}, config, route::Plan::empty()};
  port::Outbox out;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  port::Path a, b;
  std::shared_ptr<port::Subscriber> caller = std::make_shared<port::Subscriber>();
  std::shared_ptr<port::Subscriber> callee = std::make_shared<port::Subscriber>();
  port::Contact contact;
  std::vector<sip::TuEvent> events;
  uint64_t number = 0, records = 0;
  std::map<port::AskId, uint64_t> askers;

  Worker() {
    a.local = b.local = *SocketAddress::parse("192.0.2.1:5060");
    a.remote = *SocketAddress::parse("198.51.100.1:5060");
    b.remote = *SocketAddress::parse("198.51.100.2:5060");
    a.flow = b.flow = {0, 0, 1, 1};
    caller->aor = {"1001", "example.org"};
    callee->aor = {"1002", "example.org"};
    contact.uri = "sip:1002@198.51.100.2:5060";
    contact.path = b;
    contact.fixed = true;
  }
  void in(const std::string& text, const port::Path& path) {
    auto message = sip::Message::parse(Buffer::copy_of(text));
    if (!message.ok()) std::abort();
    events.clear();
    tx.on_message(now, std::move(*message), path, out, events);
    call::Identity identity{call::Identity::Kind::subscriber, caller, {}, "example.org"};
    for (sip::TuEvent& e : events) calls.on_sip(now, std::move(e), identity, out);
    while (!out.asks.empty()) {
      for (const auto& n : out.new_asks) askers[n.id] = n.asker.object;
      out.new_asks.clear();
      auto asks = std::exchange(out.asks, {});
      for (auto& ask : asks) {
        port::Answer answer = port::SubscriberAnswer(callee);
        if (std::holds_alternative<port::AskBindings>(ask.question)) answer = port::BindingsAnswer{{contact}};
        calls.on_answer(now, askers[ask.id], ask.id, std::move(answer), out);
        askers.erase(ask.id);
      }
    }
    records += out.appends.size();
    out.appends.clear();
    out.lines.clear();
    out.events.clear();
  }
  /// The last message to that side whose first line starts so.
  std::string take(const port::Path& to, std::string_view start) {
    std::string found;
    for (const auto& s : out.sends)
      if (s.path.remote == to.remote && s.bytes.text().substr(0, start.size()) == start)
        found = s.bytes.text();
    if (found.empty()) std::abort();
    return found;
  }
  static std::string value(const std::string& message, std::string_view name) {
    const size_t at = message.find("\r\n" + std::string(name) + ": ") + name.size() + 4;
    return message.substr(at, message.find("\r\n", at) - at);
  }
  static std::string response(const std::string& request, std::string_view status, std::string_view sdp) {
    std::string to = value(request, "To");
    if (to.find("tag=") == std::string::npos) to += ";tag=callee";
    std::string text = "SIP/2.0 " + std::string(status) + "\r\nVia: " + value(request, "Via") +
                       "\r\nFrom: " + value(request, "From") + "\r\nTo: " + to +
                       "\r\nCall-ID: " + value(request, "Call-ID") + "\r\nCSeq: " + value(request, "CSeq") +
                       "\r\nContact: <sip:1002@198.51.100.2:5060>\r\n";
    if (!sdp.empty()) text += "Content-Type: application/sdp\r\n";
    return text + "Content-Length: " + std::to_string(sdp.size()) + "\r\n\r\n" + std::string(sdp);
  }
  std::string request(std::string_view method, int cseq, const std::string& to, std::string_view sdp) {
    const std::string n = std::to_string(number);
    std::string text = std::string(method) +
                       " sip:1002@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK" +
                       n + "x" + std::to_string(cseq) + std::string(method) +
                       ";rport\r\nMax-Forwards: 70\r\nFrom: \"A\" <sip:1001@example.org>;tag=f" + n +
                       "\r\nTo: " + to + "\r\nCall-ID: bench" + n +
                       "@198.51.100.1\r\nCSeq: " + std::to_string(cseq) + " " + std::string(method) +
                       "\r\nContact: <sip:1001@198.51.100.1:5060>\r\nUser-Agent: bench\r\n";
    if (!sdp.empty()) text += "Content-Type: application/sdp\r\n";
    return text + "Content-Length: " + std::to_string(sdp.size()) + "\r\n\r\n" + std::string(sdp);
  }
  void one_call() {
    ++number;
    in(request("INVITE", 1, "<sip:1002@example.org>", body), a);
    const std::string invite = take(b, "INVITE ");
    out.sends.clear();
    in(response(invite, "180 Ringing", {}), b);
    in(response(invite, "200 OK", body), b);
    const std::string to = value(take(a, "SIP/2.0 200"), "To");
    out.sends.clear();
    in(request("ACK", 1, to, {}), a);
    in(request("BYE", 2, to, {}), a);
    const std::string bye = take(b, "BYE ");
    out.sends.clear();
    in(response(bye, "200 OK", {}), b);
    out.sends.clear();
    // 1,000 calls a second: transactions end as they would.
    now.mono = now.mono + milliseconds(1);
    now.wall = now.wall + milliseconds(1);
    events.clear();
    if (tx.next_timeout() <= now.mono) tx.on_timeout(now, out, events);
    for (sip::TuEvent& e : events) calls.on_sip(now, std::move(e), {}, out);
    if (calls.next_timeout() <= now.mono) calls.on_timeout(now, out);
  }
};

void CompleteCall(benchmark::State& state) {
  Worker worker;
  for (auto _ : state) worker.one_call();
  if (worker.records != worker.number || worker.calls.call_count() != 0)
    state.SkipWithError("calls were left over");
  state.SetItemsProcessed(static_cast<int64_t>(worker.number));
}
BENCHMARK(CompleteCall)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
