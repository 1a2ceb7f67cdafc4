#include "webrtc/gateway.h"

#include <algorithm>

#include "auth/digest.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "sip.pb.h"
#include "sip/transaction_parts.h"
#include "webrtc.pb.h"

namespace tandem::webrtc {
namespace {

constexpr Duration lookup_patience = seconds(5);
constexpr Duration parting = seconds(8);  // for the answers to our last BYEs
constexpr Duration ask_again = seconds(5);
constexpr size_t secret_chars = 32;

std::pair<uint64_t, uint64_t> key_of(port::FlowId f) {
  return {uint64_t{f.node} << 16 | f.worker, uint64_t{f.generation} << 32 | f.slot};
}

uint64_t key_of_inner(port::FlowId f) { return uint64_t{f.generation} << 32 | f.slot; }

/// Tokens are looked up by it: how far a guess agrees with one is told by nothing.
std::string hash_of(std::string_view secret) {
  return std::string(crypto::hash_hex(crypto::Hash::sha256, {secret}).view());
}

/// Takes as long for nobody as for somebody, and for a wrong password as for a right one.
bool password_fits(const port::Subscriber* row, const port::AddressOfRecord& aor, std::string_view realm,
                   std::string_view password) {
  bool fits = false;
  for (const auth::Algorithm a :
       {auth::Algorithm::sha512_256, auth::Algorithm::sha256, auth::Algorithm::md5}) {
    const std::string given = auth::ha1_hex(a, aor.user, realm, password);
    const std::string_view known = row ? auth::ha1_of(row->ha1, a, false) : std::string_view{};
    fits = crypto::constant_time_equal(given, known.empty() ? std::string_view("-") : known) || fits;
  }
  return fits && row && row->enabled;
}

port::AddressOfRecord aor_of(const std::string& user, std::string_view domain) {
  const size_t at = user.rfind('@');
  return {user.substr(0, at), at == std::string::npos ? std::string(domain) : lower(user.substr(at + 1))};
}

/// "urn:uuid:..." (RFC 4122 section 4.4): of the client's when it names itself, so that it replaces its own
/// registration.
std::string instance_urn(const std::string& given, Rng& rng) {
  const bool uuid =
      given.size() == 36 && given.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
  if (uuid) return "urn:uuid:" + lower(given);
  std::array<uint8_t, 16> b{};
  rng.fill(b);
  b[6] = static_cast<uint8_t>((b[6] & 0x0F) | 0x40);
  b[8] = static_cast<uint8_t>((b[8] & 0x3F) | 0x80);
  std::string hex = to_hex({reinterpret_cast<const char*>(b.data()), b.size()});
  for (const size_t at : {20, 16, 12, 8}) hex.insert(at, "-");
  return "urn:uuid:" + hex;
}

}  // namespace

struct Gateway::Visitor {
  port::Path web;
  Instant hello_by = Instant::never();
  uint64_t session = 0;
  uint64_t lookup = 0;  // its hello waits for this row
  Request hello;
  port::AddressOfRecord aor;
  uint32_t guesses = 0;
};

struct Gateway::Session {
  uint64_t key = 0;
  std::string secret;  // of the resume token
  port::Path web;      // no flow: its client is away
  port::Path path;     // its telephone's, as the node sees it: an inner flow
  std::string host;
  port::AddressOfRecord aor;
  std::unique_ptr<Phone> phone;
  Instant ends_at = Instant::never();  // away for too long, or leaving
  Instant ask_at = Instant::never();   // for its row, after a restore
  Instant timer = Instant::never();    // the one that counts in the queue
  bool leaving = false, touched = false;
  std::vector<std::string> backlog;
};

Gateway::Gateway(const GatewayConfig& config, std::string domain, sip::TokenMint& mint, Rng& rng,
                 CounterSet& counters)
    : config_(config),
      domain_(std::move(domain)),
      rng_(rng),
      transactions_(config.timers, {config.sessions * 4, config.sessions * 4}, mint, *this, own_),
      world_{transactions_, mint, config.timers, sip_},
      open_(counters.gauge("rtc_sessions", "clients of the JSON API, also those that are away")),
      opened_(counters.counter("rtc_sessions_total", "clients of the JSON API that signed in")),
      resumed_(counters.counter("rtc_resumed_total", "clients that came back to their session")),
      requests_(counters.counter("rtc_requests_total", "requests of clients of the JSON API")),
      refused_(
          counters.counter("rtc_refused_total", "requests of the JSON API that could not be understood")),
      unauthorized_(
          counters.counter("rtc_unauthorized_total", "wrong passwords and resume tokens at the JSON API")),
      full_(counters.counter("rtc_full_total", "clients turned away because there are too many")),
      silent_(
          counters.counter("rtc_silent_total", "WebSockets closed because they did not say hello in time")),
      dropped_(counters.counter("rtc_messages_dropped_total", "messages dropped for clients that are away")) {
}

Gateway::~Gateway() = default;

std::string_view Gateway::sent_by(const port::Path& path) const {
  const Session* s = find(path.flow);
  return s ? std::string_view(s->host) : std::string_view("gone.invalid");
}

// ---- WebSockets ------------------------------------------------------------------------------------------

void Gateway::on_opened(Now now, const port::Path& web, Outcome& out) {
  if (visitors_.size() >= config_.visitors + config_.sessions) {
    full_.add();
    out.hang_ups.push_back(web.flow);
    return;
  }
  Visitor& v = visitors_[key_of(web.flow)];
  v.web = web;
  say_hello_by(v, now.mono + config_.hello_within);
}

void Gateway::on_closed(Now now, port::FlowId web, Outcome& out) {
  const auto it = visitors_.find(key_of(web));
  if (it == visitors_.end()) return;
  if (it->second.session) detach(now, it->second.session);
  if (it->second.lookup) lookups_.erase(it->second.lookup);
  visitors_.erase(it);
  settle(now, out);
}

void Gateway::detach(Now now, uint64_t key) {
  Session* s = find(key);
  if (!s || s->leaving) return;
  s->web = {};
  s->ends_at = now.mono + config_.linger;
  touch(*s);
}

void Gateway::on_text(Now now, port::FlowId web, std::string_view text, Outcome& out) {
  const auto it = visitors_.find(key_of(web));
  if (it == visitors_.end()) return;
  requests_.add();
  const auto r = parse(text, config_.text);
  if (!r.ok()) {
    refused_.add();
    out.texts.push_back({it->second.web, write_error(r.reason().id, r.reason().fault)});
    return;
  }
  on_request(now, it->second, *r, out);
  settle(now, out);
}

void Gateway::on_request(Now now, Visitor& v, const Request& r, Outcome& out) {
  if (r.op == Op::ping) {
    out.texts.push_back({v.web, write_answer(r.id)});
  } else if (r.op == Op::hello) {
    if (v.session || v.lookup)
      out.texts.push_back({v.web, write_error(r.id, {Code::wrong_state, "hello has been said", 0})});
    else if (!r.versions.empty() &&
             std::find(r.versions.begin(), r.versions.end(), protocol_version) == r.versions.end())
      out.texts.push_back({v.web, write_error(r.id, {Code::unsupported_version, "this is version 1", 0})});
    else if (!r.resume.empty())
      on_resume(now, v, r, out);
    else
      on_hello(now, v, r, out);
  } else if (Session* s = find(v.session)) {
    serve(now, *s, r, out);
  } else {
    out.texts.push_back({v.web, write_error(r.id, {Code::not_signed_in, "say hello first", 0})});
  }
}

void Gateway::on_hello(Now now, Visitor& v, const Request& r, Outcome& out) {
  v.aor = aor_of(r.user, domain_);
  if (v.aor.user.empty() || !is_plain_text(r.user)) return refuse(v, r.id, true, out);
  v.hello = r;
  v.lookup = next_lookup_++;
  say_hello_by(v, now.mono + config_.hello_within + lookup_patience);
  lookups_[v.lookup] = {key_of(v.web.flow), 0};
  out.lookups.push_back({v.lookup, v.aor, std::exchange(v.hello.token, {})});
}

/// Nobody is told what was wrong. Not a guess: a resume token. After a restart each client shows one that is
/// good no more, many of them from one address, and none can be guessed.
void Gateway::refuse(Visitor& v, int64_t id, bool guess, Outcome& out) {
  unauthorized_.add();
  if (guess) out.failures.push_back(v.web);
  out.texts.push_back({v.web, write_error(id, {Code::unauthorized, "wrong user, password or token", 0})});
  if (++v.guesses >= config_.guesses) out.hang_ups.push_back(v.web.flow);
}

void Gateway::on_subscriber(Now now, uint64_t object, const port::Subscriber* row, std::string_view realm,
                            Outcome& out) {
  const auto asked = lookups_.find(object);
  if (asked == lookups_.end()) return;
  const Wanted wanted = asked->second;
  lookups_.erase(asked);
  if (wanted.session) {
    wake(now, wanted.session, row, out);
  } else if (const auto it = visitors_.find(wanted.web); it != visitors_.end()) {
    Visitor& v = it->second;
    v.lookup = 0;
    const bool known = row && row->enabled;
    const bool fits = wanted.by_token ? known : password_fits(row, v.aor, realm, v.hello.password);
    crypto::wipe(v.hello.password);
    if (fits)
      open(now, v, *row, out);
    else
      refuse(v, v.hello.id, true, out);
  }
  settle(now, out);
}

void Gateway::on_token(Now now, uint64_t object, bool good, Outcome& out) {
  const auto asked = lookups_.find(object);
  if (asked == lookups_.end()) return;
  const auto it = visitors_.find(asked->second.web);
  if (it == visitors_.end()) return;
  asked->second.by_token = good;
  if (good) return;
  lookups_.erase(asked);
  it->second.lookup = 0;
  refuse(it->second, it->second.hello.id, true, out);
  settle(now, out);
}

/// Whom a restored session was for may not be there any more.
void Gateway::wake(Now now, uint64_t key, const port::Subscriber* row, Outcome&) {
  Session* s = find(key);
  if (!s) return;
  touch(*s);
  if (row && row->enabled) return s->phone->wake(now, {row->aor.user, {}, {}, row->ha1});
  s->leaving = true;
  s->ends_at = now.mono + parting;
  s->phone->leave(now);
}

void Gateway::on_lookup_failed(Now now, uint64_t object, Outcome& out) {
  const auto asked = lookups_.find(object);
  if (asked == lookups_.end()) return;
  const Wanted wanted = asked->second;
  lookups_.erase(asked);
  if (Session* s = find(wanted.session)) {  // until it is back, or the session ends
    s->ask_at = now.mono + ask_again;
    touch(*s);
  } else if (const auto it = visitors_.find(wanted.web); it != visitors_.end()) {
    it->second.lookup = 0;
    crypto::wipe(it->second.hello.password);
    out.texts.push_back(
        {it->second.web, write_error(it->second.hello.id, {Code::unavailable, "try again later", 0})});
  }
  settle(now, out);
}

// ---- sessions --------------------------------------------------------------------------------------------

Gateway::Session* Gateway::find(uint64_t key) const {
  const auto it = sessions_.find(key);
  return it == sessions_.end() ? nullptr : it->second.get();
}
Gateway::Session* Gateway::find(port::FlowId inner) const { return find(key_of_inner(inner)); }

uint64_t Gateway::new_key(const port::AddressOfRecord& aor) {
  for (;;) {
    port::FlowId flow;
    flow.slot = port::inner_slot_bit | uint32_t{sip::shard_of(aor.to_string())} << 18 |
                static_cast<uint32_t>(rng_.below(1U << 18));
    flow.generation = static_cast<uint32_t>(rng_.next()) | 1;
    if (!find(flow)) return key_of_inner(flow);
  }
}

/// Null when there are too many.
Gateway::Session* Gateway::make_session(uint64_t key, std::string secret, const port::AddressOfRecord& aor,
                                        const port::Path& path) {
  const std::string user = aor.to_string();
  const auto of_user = of_user_.find(user);
  if (sessions_.size() >= config_.sessions ||
      (of_user != of_user_.end() && of_user->second >= config_.sessions_per_user)) {
    full_.add();
    return nullptr;
  }
  ++of_user_[user];
  auto& s = sessions_[key] = std::make_unique<Session>();
  s->key = key;
  s->secret = std::move(secret);
  s->aor = aor;
  tokens_[hash_of(s->secret)] = key;
  s->path = path;
  s->path.flow = {config_.node, 0, static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  open_.add();
  return s.get();
}

void Gateway::open(Now, Visitor& v, const port::Subscriber& row, Outcome& out) {
  Session* made = make_session(new_key(row.aor), rng_.token(secret_chars), row.aor, v.web);
  if (!made) {
    out.texts.push_back({v.web, write_error(v.hello.id, {Code::too_many, "there are too many sessions", 0})});
    out.hang_ups.push_back(v.web.flow);
    return;
  }
  Session& s = *made;
  s.web = v.web;
  s.host = rng_.token(12) + ".invalid";
  PhoneConfig c;
  c.object = s.key;
  c.aor = row.aor;
  c.display = row.display_name;
  c.credentials = {row.aor.user, {}, {}, row.ha1};
  c.instance = instance_urn(v.hello.instance, rng_);
  c.path = s.path;
  c.host = s.host;
  c.calls = config_.calls;
  s.phone = std::make_unique<Phone>(world_, std::move(c));
  v.session = s.key;
  v.hello_by = Instant::never();
  opened_.add();
  welcome(s, v.hello.id, out);
}

void Gateway::welcome(const Session& s, int64_t id, Outcome& out) const {
  out.texts.push_back(
      {s.web, write_answer(id, {{"version", int64_t{protocol_version}},
                                {"user", s.aor.to_string()},
                                {"session", std::to_string(shard_of(s.path.flow)) + "." + s.secret},
                                {"linger", config_.linger.count() / 1'000'000'000},
                                {"registered", s.phone->registered()},
                                {"calls", s.phone->calls()}})});
}

void Gateway::tell_ice_servers(Now now, const Session& s, int64_t id, Outcome& out) const {
  std::vector<Fields> all;
  if (!ice_servers_.urls.empty()) {
    const auto [user, password] = ice_servers_.sign(s.aor.to_string(), now.wall + ice_servers_.lifetime);
    for (const std::string& url : ice_servers_.urls)
      all.push_back({{"urls", url}, {"username", user}, {"credential", password}});
  }
  const int64_t lifetime = ice_servers_.lifetime.count() / 1'000'000'000;
  say(s, write_answer(id, {{"ice_servers", std::move(all)}, {"lifetime", lifetime}}), out);
}

/// The client is back, on another WebSocket: this one counts from now on.
void Gateway::on_resume(Now, Visitor& v, const Request& r, Outcome& out) {
  const size_t dot = std::min(r.resume.find('.'), r.resume.size() - 1);
  const auto token = tokens_.find(hash_of(std::string_view(r.resume).substr(dot + 1)));
  Session* s = token == tokens_.end() ? nullptr : find(token->second);
  if (!s || s->leaving) return refuse(v, r.id, false, out);
  if (s->web.flow) {
    if (const auto old = visitors_.find(key_of(s->web.flow)); old != visitors_.end())
      old->second.session = {};
    say(*s, write_event("replaced", {}), out);
    out.hang_ups.push_back(s->web.flow);
  }
  s->web = v.web;
  s->ends_at = Instant::never();
  touch(*s);
  v.session = s->key;
  v.hello_by = Instant::never();
  resumed_.add();
  welcome(*s, r.id, out);
  for (std::string& text : std::exchange(s->backlog, {})) say(*s, std::move(text), out);
}

void Gateway::serve(Now now, Session& s, const Request& r, Outcome& out) {
  touch(s);
  Phone& p = *s.phone;
  Status<Fault> done = Done{};
  switch (r.op) {
    case Op::register_:
      return p.set_registered(now, r.on, r.id);
    case Op::call: {
      const auto name = p.call(now, r);
      if (name.ok()) return say(s, write_answer(r.id, {{"call", *name}}), out);
      done = Failure{name.reason()};
      break;
    }
    case Op::transfer:
      done = p.transfer(now, r);
      if (done.ok()) return;  // answered when the other side has
      break;
    case Op::message:
      done = p.message(now, r);
      if (done.ok()) return;
      break;
    case Op::watch:
      done = p.watch(now, r);
      if (done.ok()) return;
      break;
    case Op::presence:
      done = p.publish(now, r);
      if (done.ok()) return;
      break;
    case Op::answer:
      done = p.answer(now, r);
      break;
    case Op::reject:
      done = p.reject(now, r);
      break;
    case Op::hangup:
      done = p.hang_up(now, r);
      break;
    case Op::offer:
      done = p.offer(now, r);
      break;
    case Op::candidates:
      done = p.candidates(now, r);
      break;
    case Op::dtmf:
      done = p.dtmf(now, r);
      break;
    case Op::ice_servers:
      return tell_ice_servers(now, s, r.id, out);
    case Op::bye:
      s.leaving = true;
      s.ends_at = now.mono + parting;
      p.leave(now);
      say(s, write_answer(r.id), out);
      out.hang_ups.push_back(s.web.flow);
      s.web = {};
      return;
    case Op::hello:
    case Op::ping:
    case Op::count_:
      return;
  }
  say(s, done.ok() ? write_answer(r.id) : write_error(r.id, done.reason()), out);
}

void Gateway::say(const Session& s, std::string text, Outcome& out) {
  if (s.web.flow) out.texts.push_back({s.web, std::move(text)});
}

void Gateway::end(uint64_t key, Outcome& out) {
  Session* s = find(key);
  if (!s) return;
  out.gone.push_back(s->path.flow);
  tokens_.erase(hash_of(s->secret));
  if (const auto of_user = of_user_.find(s->aor.to_string());
      of_user != of_user_.end() && --of_user->second == 0)
    of_user_.erase(of_user);
  sessions_.erase(key);
  open_.sub();
}

// ---- a session is a value --------------------------------------------------------------------------------

std::optional<uint16_t> Gateway::home_of(std::string_view text, const TextLimits& limits,
                                         std::string_view domain) {
  const auto r = parse(text, limits);
  if (!r.ok() || r->op != Op::hello) return std::nullopt;
  if (!r->resume.empty()) {
    const auto shard = parse_u32(std::string_view(r->resume).substr(0, r->resume.find('.')));
    return shard && *shard < sip::shard_count ? std::optional(static_cast<uint16_t>(*shard)) : std::nullopt;
  }
  return sip::shard_of(aor_of(r->user, domain).to_string());
}

void Gateway::snapshot(Now now, std::vector<Part>& parts) const {
  std::unordered_map<uint64_t, std::vector<std::string>> transactions;
  std::vector<std::string> all;
  transactions_.snapshot(now, all);
  for (std::string& bytes : all) {
    proto::SipTransaction tx;
    if (!tx.ParseFromString(bytes)) continue;
    transactions[(tx.has_server() ? tx.server().user() : tx.client().user()).object()].push_back(
        std::move(bytes));
  }
  for (const auto& [key, s] : sessions_) {
    if (s->leaving) continue;
    proto::RtcSession to;
    to.set_key(key);
    to.set_secret(s->secret);
    sip::write_path(s->path, *to.mutable_path());
    s->phone->save(now, to);
    for (std::string& bytes : transactions[key]) to.add_transactions(std::move(bytes));
    for (const std::string& text : s->backlog) to.add_backlog(text);
    parts.push_back({shard_of(s->path.flow), to.SerializeAsString()});
  }
}

bool Gateway::restore(Now now, std::string_view part, Outcome& out) {
  proto::RtcSession from;
  port::Path path;
  if (!from.ParseFromArray(part.data(), static_cast<int>(part.size())) || from.secret().empty() ||
      find(from.key()) || !sip::read_path(from.path(), path))
    return false;
  Session* s = make_session(from.key(), from.secret(), {from.user(), from.domain()}, path);
  if (!s) return false;
  s->host = from.host();
  PhoneConfig c;
  c.object = s->key;
  c.aor = s->aor;
  c.display = from.display();
  c.instance = from.instance();
  c.path = s->path;
  c.host = s->host;
  c.calls = config_.calls;
  s->phone = std::make_unique<Phone>(world_, std::move(c));
  s->ends_at = now.mono + config_.linger;
  if (!s->phone->load(now, from)) {
    end(s->key, out);
    return false;
  }
  for (const std::string& text : from.backlog())
    if (s->backlog.size() < config_.backlog) s->backlog.push_back(text);
  for (const std::string& bytes : from.transactions())
    if (const auto restored = transactions_.restore(now, bytes)) s->phone->adopt(*restored);
  ask(*s, out);
  touch(*s);
  settle(now, out);
  return true;
}

void Gateway::ask(Session& s, Outcome& out) {
  s.ask_at = Instant::never();
  lookups_[next_lookup_] = {{}, s.key};
  out.lookups.push_back({next_lookup_++, s.aor, {}});
}

// ---- SIP -------------------------------------------------------------------------------------------------

void Gateway::on_sip(Now now, port::FlowId inner, Buffer bytes, Outcome& out) {
  Session* s = find(inner);
  if (!s) return;
  auto message = sip::Message::parse(std::move(bytes));
  if (!message.ok()) return;
  touch(*s);
  transactions_.on_message(now, std::move(*message), s->path, sip_, events_);
  settle(now, out);
}

/// Until nothing moves: events to phones, their SIP to the node, their news to clients.
void Gateway::settle(Now now, Outcome& out) {
  while (!events_.empty()) {
    std::vector<sip::TuEvent> events;
    events.swap(events_);
    for (sip::TuEvent& e : events) {
      Session* s = e.user.object ? find(e.user.object) : find(e.path.flow);
      if (!s) continue;
      touch(*s);
      s->phone->on_event(now, std::move(e));
    }
  }
  for (port::Send& send : sip_.sends) out.sip.push_back({std::move(send.path), std::move(send.bytes)});
  sip_.sends.clear();
  for (const uint64_t key : std::exchange(touched_, {})) {
    Session* s = find(key);
    if (!s) continue;
    s->touched = false;
    for (const PhoneNews& n : s->phone->take_news()) tell(*s, n, out);
    rearm(*s);
  }
}

/// What became of calls while its client was away is said when it comes back (welcome); only messages wait.
void Gateway::tell(Session& s, const PhoneNews& n, Outcome& out) {
  std::string text = !n.event.empty() ? write_event(n.event, n.fields)
                     : n.fault        ? write_error(n.id, *n.fault)
                                      : write_answer(n.id, n.fields);
  if (s.web.flow) return say(s, std::move(text), out);
  if (n.event != "message") return;
  if (s.backlog.size() < config_.backlog)
    s.backlog.push_back(std::move(text));
  else
    dropped_.add();
}

void Gateway::touch(Session& s) {
  if (std::exchange(s.touched, true)) return;
  touched_.push_back(s.key);
}

// ---- time ------------------------------------------------------------------------------------------------

void Gateway::rearm(Session& s) {
  const Instant due = std::min({s.ends_at, s.ask_at, s.phone->next_timeout()});
  if (due == s.timer) return;
  s.timer = due;
  session_timers_.push(due, s.key);
}

void Gateway::say_hello_by(Visitor& v, Instant when) {
  v.hello_by = when;
  visitor_timers_.push(when, key_of(v.web.flow));
}

void Gateway::on_visitor_timeout(Now, const WebKey& key, Instant deadline, Outcome& out) {
  const auto it = visitors_.find(key);
  if (it == visitors_.end() || it->second.hello_by != deadline) return;
  silent_.add();
  out.hang_ups.push_back(it->second.web.flow);
}

void Gateway::on_session_timeout(Now now, uint64_t key, Instant deadline, Outcome& out) {
  Session* s = find(key);
  if (!s || s->timer != deadline) return;
  s->timer = Instant::never();
  touch(*s);
  s->phone->on_timeout(now);
  if (s->ask_at <= now.mono) ask(*s, out);
  if (s->ends_at > now.mono) return;
  if (s->leaving) return end(key, out);
  s->leaving = true;
  s->ends_at = now.mono + parting;
  s->phone->leave(now);
}

void Gateway::on_timeout(Now now, Outcome& out) {
  transactions_.on_timeout(now, sip_, events_);
  TimerQueue<WebKey>::Due visitor;
  while (visitor_timers_.pop_due(now.mono, visitor))
    on_visitor_timeout(now, visitor.key, visitor.deadline, out);
  TimerQueue<uint64_t>::Due session;
  while (session_timers_.pop_due(now.mono, session))
    on_session_timeout(now, session.key, session.deadline, out);
  settle(now, out);
}

Instant Gateway::next_timeout() const {
  return std::min({transactions_.next_timeout(), visitor_timers_.next(), session_timers_.next()});
}

}  // namespace tandem::webrtc
