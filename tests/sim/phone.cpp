// What a phone does of its own: registration, the wire, audio, and calls it places. What comes in is in
// phone_events.cpp.
#include "sim/phone.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "rtp/packet.h"

namespace tandem::sim {
namespace {

constexpr Duration packet_time = milliseconds(60);
constexpr uint16_t first_media_port = 10'000;
constexpr uint64_t voice_mark = 0x54414e44454d0001;
constexpr size_t voice_samples = 480;
constexpr size_t voice_bytes = rtp::Header::fixed_bytes + voice_samples;
constexpr uint64_t marked = 6;  // one packet in so many says whose it is; between two, the tone is clean

std::array<uint8_t, 16> key_of(uint64_t seed) {
  std::array<uint8_t, 16> key{};
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(mix64(seed + i));
  return key;
}

sip::TransactionPolicy phone_policy() {
  sip::TransactionPolicy policy;
  policy.tcp_for_large = false;
  return policy;
}

}  // namespace

Phone::Phone(const PhoneConfig& config, SimNode& node, Schedule& schedule, Network& network, Judge& judge)
    : config_(config),
      node_(node),
      schedule_(schedule),
      network_(network),
      judge_(judge),
      rng_(config.seed),
      voice_(config.id),
      mint_(key_of(config.seed), 900, static_cast<uint16_t>(config.id), rng_),
      transactions_({}, {1000, 1000}, mint_, *this, counters_, phone_policy()) {
  sent_by_ = shown_ip() + ":5060";
  reg_call_id_ = fmt::format("reg-{}-{}", config.id, rng_.token(8));
  network.attach(config.ip, *this);
}

std::string Phone::shown_ip() const {
  return config_.private_address ? fmt::format("192.168.1.{}", config_.id % 250 + 1) : config_.ip.to_string();
}

std::string Phone::contact() const {
  return fmt::format("<sip:{}@{}:5060{}>", config_.user, shown_ip(),
                     config_.transport == port::Transport::tcp ? ";transport=tcp" : "");
}

Session* Phone::session(uint32_t id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

size_t Phone::live_sessions() const {
  size_t n = 0;
  for (const auto& [id, s] : sessions_) n += s.state != Session::State::over;
  return n;
}

Session* Phone::find(std::string_view call_id, std::string_view local_tag) {
  for (auto& [id, s] : sessions_)
    if (s.call_id == call_id && s.local_tag == local_tag) return &s;
  return nullptr;
}

// ---- the wire --------------------------------------------------------------------------------------------

void Phone::trace(char way, std::string_view text) const {
  if (config_.verbose)
    fmt::print("{:10.3f} phone {} {} {} {} {}\n", static_cast<double>(schedule_.now().ns) / 1e9, config_.user,
               way, text.substr(0, text.find("\r\n")), header_of(text, "Call-ID:"), header_of(text, "CSeq:"));
}

void Phone::datagram(const SocketAddress&, const SocketAddress& to, Buffer bytes) {
  if (to.port == 5060) return received(std::move(bytes));
  hear(to, std::move(bytes));
}

void Phone::message(Buffer bytes) { received(std::move(bytes)); }

void Phone::received(Buffer bytes) {
  trace('<', bytes.text());
  auto parsed = sip::Message::parse(std::move(bytes));
  if (!parsed.ok())
    return judge_.violation("what a node sends can be parsed", sip::to_string(parsed.reason()));
  port::Path path{config_.transport, 0, {}, address(), node_.address()};
  if (config_.transport != port::Transport::udp) path.flow = {0, 0, 0, 1};
  transactions_.on_message(now(), std::move(*parsed), path, out_, events_);
  flush();
}

void Phone::flush() {
  for (;;) {
    if (!events_.empty()) {
      std::vector<sip::TuEvent> events;
      events.swap(events_);
      for (sip::TuEvent& e : events) event(std::move(e));
      continue;
    }
    if (out_.sends.empty()) break;
    std::vector<port::Send> sends;
    sends.swap(out_.sends);
    for (port::Send& send : sends) {
      const std::string_view text = send.bytes.text();
      trace('>', text);
      if (text.starts_with("INVITE ")) judge_.invited(header_of(text, "Call-ID:"));
      if (config_.transport == port::Transport::udp) {
        network_.send(address(), node_.address(), std::move(send.bytes));
      } else if (connection_up_) {
        node_.stream(connection_, std::move(send.bytes));
      } else if (send.notify != 0) {
        transactions_.on_send_failed(now(), send.notify, out_, events_);
      }
    }
  }
  arm();
}

void Phone::arm() {
  const Instant next = transactions_.next_timeout();
  if (next.is_never()) return;
  const Instant when = std::max(Instant{next.ns - 7'000'000'000}, schedule_.now());
  if (wake_ <= when) return;
  wake_ = when;
  schedule_.at(when, [this, when] {
    if (wake_ != when) return;
    wake_ = Instant::never();
    if (transactions_.next_timeout() <= now().mono) transactions_.on_timeout(now(), out_, events_);
    flush();
  });
}

void Phone::connected(uint64_t connection) {
  if (connection != connection_) return;
  connection_up_ = true;
  if (reg_wanted_) register_now();
}

void Phone::disconnected(uint64_t connection) {
  if (connection != connection_) return;
  connection_ = 0;
  connection_up_ = registered_ = reg_pending_ = false;
  register_later(milliseconds(200 + static_cast<int64_t>(rng_.below(1500))));
}

// ---- registration ----------------------------------------------------------------------------------------

void Phone::register_later(Duration delay) {
  schedule_.after(delay, [this, timer = ++reg_timer_] {
    if (timer == reg_timer_ && reg_wanted_) register_now();
  });
}

void Phone::register_now(std::string_view authorization_header, std::string_view authorization) {
  if (config_.transport != port::Transport::udp && !connection_up_) {
    if (connection_ == 0) connection_ = node_.connect(*this, address(), config_.transport);
    if (connection_ == 0) register_later(seconds(1));
    return;
  }
  if (authorization.empty()) reg_tries_ = 0;
  const std::string uri = "sip:" + config_.domain,
                    aor = fmt::format("<sip:{}@{}>", config_.user, config_.domain);
  sip::Writer w = sip::Writer::request(sip::Method::register_, uri);
  w.header(sip::HeaderId::max_forwards, "70")
      .header(sip::HeaderId::from, aor + ";tag=r" + std::to_string(config_.id))
      .header(sip::HeaderId::to, aor)
      .header(sip::HeaderId::call_id, reg_call_id_)
      .header(sip::HeaderId::cseq, fmt::format("{} REGISTER", ++reg_cseq_))
      .header(sip::HeaderId::contact, contact())
      .header(sip::HeaderId::expires, reg_wanted_ ? "120" : "0");
  if (!authorization.empty()) w.header(authorization_header, authorization);
  request(sip::Method::register_, std::move(w).finish(), nullptr, registration);
  flush();
}

void Phone::on_registered(const sip::TuEvent& e, int status) {
  if ((status == 401 || status == 407) && e.message && ++reg_tries_ < 4) {
    const auth::Credentials credentials{config_.user, config_.password, config_.domain, {}};
    const auto answer =
        auth::answer(*e.message, "REGISTER", "sip:" + config_.domain, credentials, rng_.token(8));
    if (answer) return register_now(status == 401 ? "Authorization" : "Proxy-Authorization", answer->value);
  }
  registered_ = status >= 200 && status < 300 && reg_wanted_;
  if (!reg_wanted_) return;
  if (!registered_) return register_later(milliseconds(500 + static_cast<int64_t>(rng_.below(2000))));
  register_later(seconds(45) + milliseconds(static_cast<int64_t>(rng_.below(15000))));
}

// ---- calls -----------------------------------------------------------------------------------------------

sip::ClientTxId Phone::request(sip::Method method, Buffer rest, Session* s, Purpose purpose,
                               uint64_t object) {
  sip::OutgoingRequest r;
  r.method = method;
  r.rest = std::move(rest);
  r.path = {config_.transport, 0, {}, address(), node_.address()};
  if (config_.transport != port::Transport::udp) r.path.flow = {0, 0, 0, 1};
  r.user = {port::Asker::Room::call, s ? s->id : object, purpose};
  if (method == sip::Method::ack) {
    transactions_.send_stateless(now(), std::move(r), out_);
    return {};
  }
  return transactions_.request(now(), std::move(r), out_);
}

Session& Phone::call(PhoneUser& user, uint64_t group, std::string_view number, bool reliable) {
  const uint32_t id = next_session_++;
  Session& s = sessions_[id];
  users_[id] = &user;
  s.id = id;
  s.group = group;
  s.caller = true;
  s.reliable = reliable;
  s.begun = schedule_.now();
  s.call_id = fmt::format("{}-{}-{}", config_.id, id, rng_.token(10));
  s.local_tag = mint_.mint(0);
  s.target = fmt::format("sip:{}@{}", number, config_.domain);
  s.media_port = static_cast<uint16_t>(first_media_port + 2 * (id % 10'000));
  if (config_.secret) {
    s.secrecy = std::make_unique<Secrecy>(suite(), rng_.next());
    s.profile = "RTP/SAVP";
  }
  s.body = sdp(s, "sendrecv");
  send_invite(s);
  flush();
  return s;
}

void Phone::send_invite(Session& s, std::string_view authorization_header, std::string_view authorization) {
  sip::Dialog& d = s.dialog;
  d.uac = true;
  d.call_id = s.call_id;
  d.local_tag = s.local_tag;
  d.local_uri = fmt::format("\"Phone {}\" <sip:{}@{}>", config_.id, config_.user, config_.domain);
  d.remote_uri = "<" + s.target + ">";
  d.remote_target = s.target;
  d.local_target = contact();
  d.local_cseq = ++s.invite_cseq;
  sip::Writer w = sip::Writer::request(sip::Method::invite, s.target);
  w.header(sip::HeaderId::max_forwards, "70")
      .header(sip::HeaderId::from, d.local_uri + ";tag=" + s.local_tag)
      .header(sip::HeaderId::to, d.remote_uri)
      .header(sip::HeaderId::call_id, s.call_id)
      .header(sip::HeaderId::cseq, fmt::format("{} INVITE", s.invite_cseq))
      .header(sip::HeaderId::contact, d.local_target)
      .header(sip::HeaderId::allow, "INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, UPDATE, PRACK, INFO, OPTIONS")
      .header(sip::HeaderId::supported, s.reliable ? "replaces, timer, 100rel" : "replaces, timer");
  if (s.reliable) w.header(sip::HeaderId::require, "100rel");
  if (!authorization.empty()) w.header(authorization_header, authorization);
  s.invite = request(sip::Method::invite, std::move(w).body("application/sdp", as_bytes(s.body)), &s, invite);
}

void Phone::send_ack(Session& s, uint32_t cseq) {
  sip::Writer w = s.dialog.request(sip::Method::ack, cseq);
  Buffer ack = std::move(w).finish();
  s.ack = ack.text();
  request(sip::Method::ack, std::move(ack), &s, invite);
}

void Phone::send_bye(Session& s) {
  s.state = Session::State::ending;
  sip::Writer w = s.dialog.request(sip::Method::bye);
  request(sip::Method::bye, std::move(w).finish(), &s, bye);
}

void Phone::hang_up(Session& s) {
  switch (s.state) {
    case Session::State::calling:
      if (!s.cancelled) {
        s.cancelled = true;
        transactions_.cancel(now(), s.invite, out_);
      }
      break;
    case Session::State::incoming:
      return refuse(s, 480);
    case Session::State::answered:
      s.hang_up_later = true;
      break;
    case Session::State::up:
      send_bye(s);
      break;
    case Session::State::ending:
    case Session::State::over:
      break;
  }
  flush();
}

void Phone::offer(Session& s, std::string_view direction, std::string_view formats) {
  if (s.state != Session::State::up || s.offering) return;
  if (!formats.empty()) s.formats = formats;
  s.offering = true;
  s.wanted_direction = direction;
  sip::Writer w = s.dialog.request(sip::Method::invite);
  s.invite_cseq = *s.dialog.local_cseq;
  s.invite = request(sip::Method::invite, std::move(w).body("application/sdp", as_bytes(sdp(s, direction))),
                     &s, reinvite);
  flush();
}

void Phone::transfer(Session& s, std::string_view number, const Session* replaces) {
  if (s.state != Session::State::up) return;
  sip::Writer w = s.dialog.request(sip::Method::refer);
  std::string to = fmt::format("<sip:{}@{}", number, config_.domain);
  if (replaces)
    to += fmt::format("?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", replaces->call_id,
                      replaces->dialog.remote_tag, replaces->dialog.local_tag);
  w.header(sip::HeaderId::refer_to, to + ">");
  request(sip::Method::refer, std::move(w).finish(), &s, refer);
  flush();
}

// ---- audio -----------------------------------------------------------------------------------------------

std::string Phone::sdp(Session& s, std::string_view direction) {
  const std::string ip = shown_ip();
  return fmt::format(
      "v=0\r\no=phone{} {} {} IN IP4 {}\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio {} {} {}\r\n"
      "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na={}\r\n{}",
      config_.id, s.id, ++s.sequence, ip, ip, s.media_port, s.profile, formats(s.formats), direction,
      s.secrecy ? s.secrecy->line() : "");
}

void Phone::take_sdp(Session& s, const sip::Message& m) {
  const std::string_view body = m.body_text();
  if (body.empty()) return;
  const size_t c = body.find("c=IN IP4 "), audio = body.find("m=audio ");
  if (c == std::string_view::npos || audio == std::string_view::npos) return;
  const auto ip = IpAddress::parse(body.substr(c + 9, body.find("\r\n", c) - c - 9));
  const std::string_view line = body.substr(audio + 8);
  const auto port = static_cast<uint16_t>(std::stoi(std::string(line.substr(0, line.find(' ')))));
  s.far_media = {ip.value_or(IpAddress{}), port};
  for (std::string_view rest = line.substr(0, line.find("\r\n")); !rest.empty();) {
    const std::string_view type = rest.substr(rest.rfind(' ') + 1);
    if (type.size() == 1 && config_.laws.find(type) != std::string::npos && rest.size() > 1)
      s.payload_type = static_cast<uint8_t>(type[0] - '0');  // the first is read last
    rest = rest.substr(0, std::max<size_t>(rest.size(), type.size() + 1) - type.size() - 1);
  }
  take_keys(s, body);
  s.far_listens =
      body.find("a=sendonly") == std::string_view::npos && body.find("a=inactive") == std::string_view::npos;
}

std::string Phone::formats(std::string_view more) const {
  return config_.laws + " 101" + std::string(more.empty() ? "" : " ") + std::string(more);
}

srtp::Suite Phone::suite() const {
  constexpr std::array suites = {srtp::Suite::aes_cm_128_hmac_sha1_80, srtp::Suite::aead_aes_256_gcm};
  return suites[config_.id % suites.size()];
}

/// What was encrypted once stays so. An offer to us is answered as it was made.
void Phone::take_keys(Session& s, std::string_view body) {
  const bool began = s.secrecy && s.secrecy->keyed();
  if (!s.secrecy && config_.secret && !s.connected.ns && body.find("a=crypto:") != std::string_view::npos) {
    s.secrecy = std::make_unique<Secrecy>(suite(), rng_.next());
    if (body.find(" RTP/SAVP ") != std::string_view::npos) s.profile = "RTP/SAVP";
  }
  if (!s.secrecy || s.secrecy->take(body, schedule_.now())) return;
  if (began || s.caller)
    judge_.violation("what is encrypted stays so",
                     fmt::format("phone {} is told no key: {}", config_.user, body));
}

/// One packet now and the next a little later, as long as the call is up.
void Phone::talk(uint32_t id) {
  Session* s = session(id);
  if (!s || s->state != Session::State::up) return;
  if (s->direction != "recvonly" && s->direction != "inactive" && s->far_listens && s->far_media) {
    Buffer packet = Buffer::with_capacity(voice_bytes + 64);
    packet.resize(voice_bytes);
    rtp::Header header;
    header.sequence = static_cast<uint16_t>(s->sent);
    header.timestamp = static_cast<uint32_t>(voice_samples * s->sent);
    header.payload_type = s->payload_type;
    header.ssrc = config_.id * 1000 + id;
    header.write(packet.data());
    uint8_t* at = packet.data() + rtp::Header::fixed_bytes;
    voice_.say(s->payload_type == 0 ? codec::G711::mu_law : codec::G711::a_law, {at, voice_samples});
    if (s->sent % marked == 0) {
      rtp::store32(at, static_cast<uint32_t>(voice_mark >> 32));
      rtp::store32(at + 4, static_cast<uint32_t>(voice_mark));
      rtp::store32(at + 8, static_cast<uint32_t>(s->group));
      rtp::store32(at + 12, config_.id);
      rtp::store32(at + 16, static_cast<uint32_t>(s->sent));
    }
    ++s->sent;
    if (s->secrecy && s->secrecy->keyed()) s->secrecy->protect(packet);
    network_.send({config_.ip, s->media_port}, s->far_media, std::move(packet));
  }
  schedule_.after(packet_time, [this, id] { talk(id); });
}

/// False: there is nothing to be heard in it.
bool Phone::decrypt(Session& s, Buffer& packet) {
  if (!s.secrecy || !s.secrecy->keyed()) return true;
  switch (s.secrecy->hear(packet, schedule_.now())) {
    case Secrecy::Heard::taken:
      return true;
    case Secrecy::Heard::repeated:
    case Secrecy::Heard::changing:
      return false;
    case Secrecy::Heard::reused:
      judge_.violation("no packet index serves twice",
                       fmt::format("phone {}, call {}", config_.user, s.call_id));
      return false;
    case Secrecy::Heard::unreadable:
      if (!s.acked && !s.ok.empty()) {  // what we answered may have been lost so far
        s.secrecy->still_changing(schedule_.now());
        return false;
      }
      judge_.violation("what is encrypted can be read",
                       fmt::format("phone {}, call {}", config_.user, s.call_id));
      return false;
  }
  return false;
}

bool Session::heard_coded() const {
  return std::any_of(pitches.begin(), pitches.end(), [this](uint32_t pitch) {
    return std::none_of(voices.begin(), voices.end(),
                        [&](uint32_t phone) { return pitch_of(phone) == pitch; });
  });
}

void Phone::hear_sound(Session& s, uint8_t payload_type, Bytes sound) {
  if (payload_type != 0 && payload_type != 8) return;
  if (config_.laws.find(static_cast<char>('0' + payload_type)) == std::string::npos)
    return judge_.violation("a phone hears only what it speaks",
                            fmt::format("phone {} is sent type {}", config_.user, payload_type));
  const auto pitch = s.ear.hear(payload_type == 0 ? codec::G711::mu_law : codec::G711::a_law, sound);
  if (pitch) s.pitches.insert(*pitch);
}

void Phone::hear(const SocketAddress& to, Buffer packet) {
  for (auto& [id, s] : sessions_) {
    if (s.media_port != to.port || s.state == Session::State::over) continue;
    if (!decrypt(s, packet)) return;
    const auto header = rtp::Header::parse(packet.bytes(), false);
    if (!header) return;
    const Bytes sound = packet.bytes().subspan(header->payload_offset);
    if (sound.size() != voice_samples || rtp::load32(sound.data()) != static_cast<uint32_t>(voice_mark >> 32))
      return hear_sound(s, header->payload_type, sound);
    const uint32_t group = rtp::load32(&sound[8]), phone = rtp::load32(&sound[12]);
    if (static_cast<uint32_t>(s.group) != group)
      return judge_.violation("nobody hears another call",
                              fmt::format("phone {} of call group {} hears phone {} of group {}",
                                          config_.user, s.group, phone, group));
    ++s.heard;
    s.voices.insert(phone);
    return;
  }
}

}  // namespace tandem::sim
