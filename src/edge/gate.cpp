#include "edge/gate.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"
#include "sip/refuse.h"
#include "sip/uri.h"
#include "sip/writer.h"

namespace tandem::edge {
namespace {

using Kind = Verdict::Kind;
using Reason = Verdict::Reason;

constexpr size_t longest_start_line = 4096;
constexpr size_t longest_agent = 512;  // a scanner that hides its name behind more could as well leave it out

/// A start line with SIP/x.y at one of its ends, after any keep-alive CRLFs (RFC 3261 section 7.5). Other
/// versions pass: they are answered with 505.
bool looks_like_sip(std::string_view s) {
  const size_t begin = s.find_first_not_of("\r\n");
  if (begin == std::string_view::npos) return true;  // a keep-alive
  s = s.substr(begin, longest_start_line);
  if (istarts_with(s, "SIP/")) return true;
  const size_t end = s.find_first_of("\r\n");
  if (end == std::string_view::npos) return false;
  const std::string_view line = s.substr(0, end);
  const size_t blank = line.find_last_of(' ');
  return blank != std::string_view::npos && blank > 0 && istarts_with(line.substr(blank + 1), "SIP/");
}

bool icontains(std::string_view text, std::string_view part) {
  for (size_t i = 0; i + part.size() <= text.size(); ++i)
    if (iequals(text.substr(i, part.size()), part)) return true;
  return false;
}

/// The User-Agent line of what could not be parsed.
std::string_view agent_line(std::string_view message) {
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    if (istarts_with(line, "user-agent")) return line;
    message.remove_prefix(std::min(message.size(), line.size() + 1));
  }
  return {};
}

std::string tag_of(uint64_t hash) {
  char bytes[8];
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(hash >> (8 * i));
  return to_hex({bytes, sizeof bytes});
}

bool contains(const std::vector<IpPrefix>& list, const IpAddress& ip) {
  return std::any_of(list.begin(), list.end(), [&](const IpPrefix& p) { return p.contains(ip); });
}

}  // namespace

const char* to_string(Mercy m) {
  switch (m) {
    case Mercy::emergency:
      return "emergency";
    case Mercy::in_dialog:
      return "in_dialog";
    case Mercy::refresh:
      return "refresh";
    case Mercy::new_call:
      return "new_call";
    case Mercy::new_registration:
      return "new_registration";
    case Mercy::rest:
      return "rest";
  }
  return "";
}

const char* to_string(Reason r) {
  switch (r) {
    case Reason::none:
      return "none";
    case Reason::banned:
      return "banned";
    case Reason::not_sip:
      return "not_sip";
    case Reason::denied:
      return "denied";
    case Reason::scanner:
      return "scanner";
    case Reason::no_registrations:
      return "no_registrations";
    case Reason::rate:
      return "rate";
    case Reason::overload:
      return "overload";
    case Reason::draining:
      return "draining";
    case Reason::too_many_calls:
      return "too_many_calls";
    case Reason::malformed:
      return "malformed";
    case Reason::count_:
      break;
  }
  return "";
}

Gate::Gate(const GateConfig& config, std::shared_ptr<const RealmTable> realms, CounterSet& counters)
    : config_(config),
      burst_(config.burst > 0 ? config.burst : 2 * config.requests_per_second),
      realms_(std::move(realms)),
      sources_(config.sources, config.hash_key),
      banned_sources_(counters.counter("edge_bans_total", "Sources banned for wrong credentials or garbage")),
      evicted_(counters.counter("edge_sources_evicted_total", "Sources forgotten to make room for others")) {
  for (size_t i = 1; i < dropped_.size(); ++i) {
    const std::string label = std::string("reason=\"") + to_string(static_cast<Reason>(i)) + "\"";
    dropped_[i] =
        &counters.counter("edge_dropped_total", "Messages dropped at the gate without an answer", label);
    refused_[i] = &counters.counter("edge_refused_total", "Requests refused at the gate, statelessly", label);
  }
  for (size_t i = 0; i < shed_.size(); ++i)
    shed_[i] = &counters.counter("edge_shed_total", "Requests refused for load, by order of mercy",
                                 std::string("class=\"") + to_string(static_cast<Mercy>(i)) + "\"");
}

Verdict Gate::verdict(Kind kind, Reason reason, Mercy mercy, int status, uint32_t retry_after) {
  if (kind != Kind::admit) (kind == Kind::drop ? dropped_ : refused_)[static_cast<size_t>(reason)]->add();
  return {kind, reason, mercy, status, retry_after};
}

bool Gate::trusted(const port::Path& path) const {
  return contains(realms_->realm(path.realm).policy.trusted, path.remote.ip) ||
         contains(neighbours_, path.remote.ip);
}

bool Gate::allowed(const port::Path& path) const {
  const RealmPolicy& policy = realms_->realm(path.realm).policy;
  if (contains(policy.deny, path.remote.ip)) return false;
  return policy.allow.empty() || contains(policy.allow, path.remote.ip) || trusted(path);
}

bool Gate::admit_bytes(Now now, Bytes bytes, const port::Path& path) {
  if (refuses(now, path)) return false;
  if (realms_->realm(path.realm).policy.silent && !allowed(path)) {
    dropped_[static_cast<size_t>(Reason::denied)]->add();
    return false;
  }
  if (!looks_like_sip(as_text(bytes))) {
    dropped_[static_cast<size_t>(Reason::not_sip)]->add();
    note_garbage(now, path);
    return false;
  }
  return true;
}

Mercy Gate::mercy_of(const sip::Message& m, const std::vector<std::string>& emergency_numbers) {
  using sip::Method;
  const Method method = m.method();
  if (!m.to_tag().empty() || method == Method::ack || method == Method::cancel || method == Method::prack)
    return Mercy::in_dialog;
  if (method == Method::register_)
    return m.has(sip::HeaderId::authorization) ? Mercy::refresh : Mercy::new_registration;
  if (method != Method::invite) return Mercy::rest;
  if (istarts_with(m.request_uri(), "urn:service:sos")) return Mercy::emergency;
  const auto uri = m.parsed_request_uri();
  if (uri.ok() &&
      std::find(emergency_numbers.begin(), emergency_numbers.end(), uri->user) != emergency_numbers.end())
    return Mercy::emergency;
  return Mercy::new_call;
}

bool Gate::names_scanner(std::string_view agent) const {
  const std::string_view text = agent.substr(0, longest_agent);
  return std::any_of(config_.scanners.begin(), config_.scanners.end(),
                     [&](const std::string& s) { return icontains(text, s); });
}

bool Gate::scanner(const sip::Message& request) const {
  const auto agent = request.header(sip::HeaderId::user_agent);
  return agent && names_scanner(*agent);
}

Verdict Gate::admit(Now now, const sip::Message& m, const port::Path& path, Load load) {
  const RealmPolicy& policy = realms_->realm(path.realm).policy;
  const Mercy mercy = mercy_of(m, config_.emergency_numbers);
  // An ACK has no answer: what would be refused is dropped.
  const Kind refuse = m.method() == sip::Method::ack ? Kind::drop : Kind::refuse;
  if (!allowed(path)) return verdict(policy.silent ? Kind::drop : refuse, Reason::denied, mercy, 403);
  if (!policy.scanners && scanner(m)) return verdict(Kind::drop, Reason::scanner, mercy);
  if (!policy.registrations && m.method() == sip::Method::register_)
    return verdict(refuse, Reason::no_registrations, mercy, 403);
  const uint32_t later = config_.retry_after_seconds;
  switch (take_token(now, path)) {
    case Rate::fine:
      break;
    case Rate::over:
      if (mercy > Mercy::in_dialog) return verdict(refuse, Reason::rate, mercy, 503, later);
      break;
    case Rate::far_over:
      return verdict(Kind::drop, Reason::rate, mercy);
  }
  if (mercy <= Mercy::in_dialog && load.level < config_.shed_at[static_cast<size_t>(mercy)])
    return verdict(Kind::admit, Reason::none, mercy);
  // A registration may be a refreshing one, whatever it looks like: the registrar knows.
  if (load.draining && m.method() != sip::Method::register_)
    return verdict(refuse, Reason::draining, mercy, 503, later);
  if (mercy == Mercy::new_call && config_.max_calls != 0 && load.calls >= config_.max_calls)
    return verdict(refuse, Reason::too_many_calls, mercy, 503, later);
  if (load.level >= config_.shed_at[static_cast<size_t>(mercy)]) {
    shed_[static_cast<size_t>(mercy)]->add();
    return verdict(refuse, Reason::overload, mercy, 503, later);
  }
  return verdict(Kind::admit, Reason::none, mercy);
}

Buffer Gate::refusal(const sip::Message& request, const port::Path& path, const Verdict& v) const {
  const uint64_t h = hash64(request.top_via().branch, config_.hash_key ^ hash64(request.call_id()));
  sip::Writer w = sip::response_to(request, path.remote, v.status != 0 ? v.status : 503, tag_of(h));
  if (v.retry_after != 0) w.header_number(sip::HeaderId::retry_after, v.retry_after);
  return std::move(w).finish();
}

std::optional<Buffer> Gate::refuse_malformed(Now now, Bytes bytes, sip::Reason why, const port::Path& path,
                                             Load load) {
  const RealmPolicy& policy = realms_->realm(path.realm).policy;
  const auto drop = [&](Reason reason) {
    verdict(Kind::drop, reason, Mercy::rest);
    return std::nullopt;
  };
  const std::string_view text = as_text(bytes);
  if (!allowed(path)) return drop(Reason::denied);
  if (!policy.scanners && names_scanner(agent_line(text))) return drop(Reason::scanner);
  if (take_token(now, path) != Rate::fine) return drop(Reason::rate);
  if (load.level >= config_.shed_at[static_cast<size_t>(Mercy::rest)]) return drop(Reason::overload);
  auto answer = sip::refuse_malformed(bytes, why, path.remote, tag_of(hash64(text, config_.hash_key)));
  if (answer) verdict(Kind::refuse, Reason::malformed, Mercy::rest);
  return answer;
}

// ---- sources ----------------------------------------------------------------------------------------------

SourceEntry& Gate::entry(Now now, const IpAddress& ip) {
  bool evicted = false;
  SourceEntry& e = sources_.find_or_add(now.mono, sources_.key_of(ip), burst_, evicted);
  if (evicted) evicted_.add();
  return e;
}

Gate::Rate Gate::take_token(Now now, const port::Path& path) {
  if (config_.requests_per_second <= 0 || trusted(path)) return Rate::fine;
  SourceEntry& e = entry(now, path.remote.ip);
  const double elapsed = std::chrono::duration<double>(now.mono - e.filled).count();
  e.tokens = std::min(burst_, e.tokens + std::max(0.0, elapsed) * config_.requests_per_second);
  e.filled = now.mono;
  if (e.tokens >= 1) {
    e.tokens -= 1;
    return Rate::fine;
  }
  // Refusals cost too: after as many as the burst the source is not worth an answer.
  if (e.tokens <= -burst_) return Rate::far_over;
  e.tokens -= 1;
  return Rate::over;
}

void Gate::count_failure(Now now, const port::Path& path, uint64_t limit, uint64_t weight) {
  if (limit == 0 || trusted(path)) return;
  SourceEntry& e = entry(now, path.remote.ip);
  if (now.mono - e.window > config_.failure_window) {
    e.window = now.mono;
    e.failures = 0;
  }
  e.failures += weight;
  if (e.failures >= limit) ban(now, path.remote.ip, config_.ban);
}

// Failures are counted in units of one common denominator, so that a few of each kind add up to a ban as
// well.
void Gate::note_auth_failure(Now now, const port::Path& path) {
  const uint64_t unit = std::max(1U, config_.garbage);
  count_failure(now, path, config_.auth_failures * unit, unit);
}

void Gate::note_garbage(Now now, const port::Path& path) {
  if (!port::is_reliable(path.transport)) return;
  const uint64_t unit = std::max(1U, config_.auth_failures);
  count_failure(now, path, config_.garbage * unit, unit);
}

bool Gate::banned(Now now, const IpAddress& source) {
  if (bans_ == 0) return false;
  const SourceEntry* e = sources_.find(sources_.key_of(source));
  return e != nullptr && e->banned_until > now.mono;
}

bool Gate::refuses(Now now, const port::Path& path) {
  if (!banned(now, path.remote.ip)) return false;
  dropped_[static_cast<size_t>(Reason::banned)]->add();
  return true;
}

void Gate::ban(Now now, const IpAddress& source, Duration how_long) {
  SourceEntry& e = entry(now, source);
  if (e.banned_until <= now.mono) banned_sources_.add();
  e.banned_until = now.mono + how_long;
  e.failures = 0;
  ++bans_;
}

void Gate::unban(const IpAddress& source) {
  if (SourceEntry* e = sources_.find(sources_.key_of(source))) {
    e->failures = 0;
    e->banned_until = {INT64_MIN};
  }
}

}  // namespace tandem::edge
