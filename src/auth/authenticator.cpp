#include "auth/authenticator.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace tandem::auth {
namespace {

// Longest values that are looked at at all.
constexpr size_t username_limit = 256;
constexpr size_t uri_limit = 2048;
constexpr size_t cnonce_limit = 256;

std::optional<uint32_t> nonce_count(std::string_view hex) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (hex.size() != 8 || error != std::errc() || end != hex.data() + hex.size() || value == 0)
    return std::nullopt;
  return value;
}

bool same_uri(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto left = sip::Uri::parse(a);
  const auto right = sip::Uri::parse(b);
  return left && right && sip::equivalent(*left, *right);
}

}  // namespace

struct Authenticator::Credentials {
  std::string_view username;
  std::string_view user;    // username without the domain
  std::string_view domain;  // empty: none given
  std::string_view nonce, uri, response, cnonce, nc;
  std::optional<AlgorithmName> algorithm;  // nothing: one we do not know or do not offer
  Qop qop = Qop::none;
  uint32_t count = 1;
  bool well_formed = true;
};

Authenticator::Authenticator(Config config, Now started, Rng& rng, CounterSet& counters)
    : config_(std::move(config)),
      in_clear_(config_.algorithms),
      mint_(config_.key, config_.scope, rng),
      table_(config_.nonces, started.wall,
             counters.counter("auth_nonces_evicted_total",
                              "Nonces forgotten before their time for want of room")),
      challenges_(counters.counter("auth_challenges_total", "Digest challenges sent")),
      replays_(counters.counter("auth_replays_total", "Credentials whose nonce-count was used before")),
      uri_differs_(counters.counter("auth_uri_differs_total",
                                    "Credentials whose uri parameter is not the Request-URI")),
      outcomes_{} {
  constexpr std::array labels = {R"(outcome="ok")", R"(outcome="no_credentials")", R"(outcome="stale")",
                                 R"(outcome="bad")"};
  for (size_t i = 0; i < labels.size(); ++i)
    outcomes_[i] = &counters.counter("auth_checks_total", "Credentials checked, by outcome", labels[i]);
  if (config_.md5_first_in_clear)
    std::stable_partition(in_clear_.begin(), in_clear_.end(),
                          [](Algorithm a) { return a == Algorithm::md5; });
  for (Algorithm a : config_.algorithms)
    if (a == Algorithm::md5) only_md5_.push_back(a);
  for (size_t i = 0; i < algorithm_count; ++i)
    nobody_[i] = ha1_hex(static_cast<Algorithm>(i), "", "", as_text(config_.key));
}

bool Authenticator::knows_one_challenge(std::string_view user_agent) const {
  return std::any_of(config_.md5_only_agents.begin(), config_.md5_only_agents.end(),
                     [&](const std::string& agent) { return user_agent.starts_with(agent); });
}

const std::vector<Algorithm>& Authenticator::offered_to(std::string_view user_agent, bool secure) const {
  if (!only_md5_.empty() && knows_one_challenge(user_agent)) return only_md5_;
  return secure ? config_.algorithms : in_clear_;
}

void Authenticator::challenge(Now now, std::string_view realm, Role role, bool stale, bool secure,
                              sip::Writer& response, std::string_view user_agent, const IpAddress& receiver) {
  challenges_.add();
  const NonceMint::Text nonce = mint_.mint(now, realm, receiver);
  const std::string quoted_realm = sip::quote(realm);
  const auto id =
      role == Role::user_agent ? sip::HeaderId::www_authenticate : sip::HeaderId::proxy_authenticate;
  for (Algorithm a : offered_to(user_agent, secure))
    response.header(id, {"Digest realm=",
                         quoted_realm,
                         ", nonce=\"",
                         {nonce.data(), nonce.size()},
                         "\", algorithm=",
                         to_string(a),
                         ", qop=\"auth\"",
                         stale ? ", stale=true" : ""});
}

std::optional<Authenticator::Credentials> Authenticator::credentials(const sip::Message& request,
                                                                     std::string_view realm,
                                                                     Role role) const {
  const auto id =
      role == Role::user_agent ? sip::HeaderId::authorization : sip::HeaderId::proxy_authorization;
  for (const sip::HeaderField& field : request.headers()) {
    if (field.id != id) continue;
    const auto value = sip::AuthValue::parse(field.value);
    if (!value || !iequals(value->scheme, "Digest") || value->get("realm") != realm) continue;
    Credentials out;
    const auto text = [&](std::string_view name, size_t limit) -> std::string_view {
      const std::string_view found = value->get(name).value_or(std::string_view{});
      if (found.size() > limit) out.well_formed = false;
      return found.substr(0, limit);
    };
    out.username = text("username", username_limit);
    const size_t at = out.username.rfind('@');
    out.user = out.username.substr(0, at);
    if (at != std::string_view::npos) out.domain = out.username.substr(at + 1);
    out.nonce = text("nonce", NonceMint::text_size);
    out.uri = text("uri", uri_limit);
    out.response = text("response", 64);
    out.cnonce = text("cnonce", cnonce_limit);
    out.algorithm = algorithm_from(value->get("algorithm"));
    if (out.algorithm && std::find(config_.algorithms.begin(), config_.algorithms.end(),
                                   out.algorithm->algorithm) == config_.algorithms.end())
      out.algorithm.reset();
    if (const auto qop = value->get("qop")) {
      out.qop = iequals(*qop, "auth-int") ? Qop::auth_int : Qop::auth;
      if (out.qop == Qop::auth && !iequals(*qop, "auth")) out.well_formed = false;
      out.nc = text("nc", 8);
      const auto count = nonce_count(out.nc);
      out.count = count.value_or(1);
      if (!count || out.cnonce.empty()) out.well_formed = false;
    } else if (config_.require_qop) {
      out.well_formed = false;
    }
    if (out.user.empty() || out.uri.empty()) out.well_formed = false;
    return out;
  }
  return std::nullopt;
}

std::optional<port::AddressOfRecord> Authenticator::claimed(const sip::Message& request,
                                                            std::string_view realm, Role role) const {
  const auto given = credentials(request, realm, role);
  if (!given || given->user.empty()) return std::nullopt;
  return port::AddressOfRecord{std::string(given->user),
                               lower(given->domain.empty() ? realm : given->domain)};
}

bool Authenticator::password_is_right(const sip::Message& request, const Credentials& given,
                                      const port::Subscriber* subscriber) const {
  const AlgorithmName algorithm = given.algorithm.value_or(AlgorithmName{});
  std::string_view ha1;
  if (subscriber && subscriber->enabled && given.well_formed && given.algorithm &&
      subscriber->aor.user == given.user &&
      (given.domain.empty() || iequals(subscriber->aor.domain, given.domain)))
    ha1 = ha1_of(subscriber->ha1, algorithm.algorithm, !given.domain.empty());
  const bool known = !ha1.empty();
  if (!known) ha1 = nobody_[static_cast<size_t>(algorithm.algorithm)];
  const crypto::HexDigest expected =
      digest_response({algorithm, given.qop, ha1, request.method_text(), given.uri, given.nonce, given.cnonce,
                       given.nc, request.body_text()});
  std::array<char, 64> lower_case{};
  std::transform(given.response.begin(), given.response.end(), lower_case.begin(), to_lower);
  const bool equal = crypto::constant_time_equal(expected.view(), {lower_case.data(), given.response.size()});
  return known && equal;
}

bool Authenticator::in_time(Now now, const Nonce& nonce) const {
  const int64_t age_ms = now.wall.unix_millis() - nonce.minted_ms;
  const int64_t lifetime_ms = config_.nonce_lifetime / milliseconds(1);
  constexpr int64_t clock_step_ms = 5000;  // a wall clock set back a little is no reason to challenge
  return age_ms <= lifetime_ms && age_ms >= -clock_step_ms;
}

/// Whether who sent this receives what is sent to that address.
bool Authenticator::has_been_there(Now now, std::string_view realm, const Credentials& given,
                                   const IpAddress& source) const {
  const auto nonce = mint_.open(given.nonce, realm);
  return nonce && in_time(now, *nonce) && mint_.sent_to(*nonce, source);
}

Check::Outcome Authenticator::judge_nonce(Now now, std::string_view realm, const Credentials& given) {
  const auto nonce = mint_.open(given.nonce, realm);
  if (!nonce || !in_time(now, *nonce)) return Check::Outcome::stale;
  switch (table_.use(*nonce, given.count)) {
    case NonceTable::Use::fresh:
      return Check::Outcome::ok;
    case NonceTable::Use::replayed:
      replays_.add();
      return Check::Outcome::stale;
    case NonceTable::Use::forgotten:
      return Check::Outcome::stale;
  }
  return Check::Outcome::stale;
}

Check Authenticator::check(Now now, const sip::Message& request, std::string_view realm, Role role,
                           const port::Subscriber* subscriber, const IpAddress* datagram_from) {
  Check out;
  const auto given = credentials(request, realm, role);
  if (!given) return count(out);
  out.username = given->username;
  if (datagram_from && !has_been_there(now, realm, *given, *datagram_from)) {
    out.outcome = Check::Outcome::stale;
    return count(out);
  }
  // The password comes first: nothing is remembered, and nothing about the nonce is told, to who does not
  // know it.
  const bool right = password_is_right(request, *given, subscriber);
  const bool same = same_uri(given->uri, request.request_uri());
  if (!right || (config_.strict_uri && !same)) {
    out.outcome = Check::Outcome::bad;
    return count(out);
  }
  out.outcome = judge_nonce(now, realm, *given);
  if (!same) {
    out.uri_differs = true;
    uri_differs_.add();
  }
  return count(out);
}

Check Authenticator::count(Check check) {
  outcomes_[static_cast<size_t>(check.outcome)]->add();
  return check;
}

}  // namespace tandem::auth
