#include "auth/bearer.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "sip/headers.h"

namespace tandem::auth {
namespace {

namespace json = boost::json;

constexpr size_t token_limit = 8192;
constexpr size_t depth_limit = 8;
constexpr size_t subject_limit = 256;
constexpr size_t least_secret = 32;
constexpr int64_t latest_time = int64_t{1}
                                << 40;  // seconds: a claim past it is a mistake, and would overflow

/// A part of a token: base64url of one JSON object.
std::optional<json::object> read_object(std::string_view part) {
  const auto text = crypto::base64url_decode(part);
  if (!text) return std::nullopt;
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = depth_limit;
  json::value value = json::parse(*text, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

/// A member that is a string; nothing when it is absent or something else.
std::optional<std::string_view> text_of(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  if (!v || !v->is_string()) return std::nullopt;
  return std::string_view(v->get_string());
}

/// NumericDate (RFC 7519 section 2): seconds, possibly with a fraction.
std::optional<int64_t> time_of(const json::value& v) {
  if (const int64_t* whole = v.if_int64())
    return *whole >= 0 && *whole < latest_time ? std::optional(*whole) : std::nullopt;
  const double* real = v.if_double();
  if (!real || !(*real >= 0 && *real < static_cast<double>(latest_time))) return std::nullopt;
  return static_cast<int64_t>(*real);
}

/// `aud` is a string or a list of them (RFC 7519 section 4.1.3).
bool names_audience(const json::value& aud, std::string_view wanted) {
  if (aud.is_string()) return std::string_view(aud.get_string()) == wanted;
  if (!aud.is_array()) return false;
  return std::any_of(aud.get_array().begin(), aud.get_array().end(), [&](const json::value& v) {
    return v.is_string() && std::string_view(v.get_string()) == wanted;
  });
}

std::string_view name_of(TokenAlgorithm a) {
  return a == TokenAlgorithm::hs256 ? "HS256" : a == TokenAlgorithm::rs256 ? "RS256" : "ES256";
}

bool signature_is_right(const TokenKey& key, std::string_view text, std::string_view signature) {
  if (const auto* secret = std::get_if<std::string>(&key.key))
    return crypto::constant_time_equal(crypto::hmac(crypto::Hash::sha256, *secret, text).view(),
                                       as_bytes(signature));
  return std::get<crypto::PublicKey>(key.key).verifies_sha256(as_bytes(signature), text);
}

using Fault = TokenFault;

/// The times and names in a token whose signature is right.
Result<TokenClaims, Fault> read_claims(Now now, const json::object& claims, const TokenConfig& config) {
  const int64_t wall = now.wall.unix_seconds();
  const int64_t skew = config.skew / seconds(1);
  const json::value* exp = claims.if_contains("exp");
  const auto expires = exp ? time_of(*exp) : std::nullopt;
  if (!expires) return Failure{Fault::malformed};  // one that never ends is none
  if (wall >= *expires + skew) return Failure{Fault::expired};
  for (const std::string_view name : {"nbf", "iat"}) {
    const json::value* v = claims.if_contains(name);
    if (!v) continue;
    const auto from = time_of(*v);
    if (!from) return Failure{Fault::malformed};
    if (wall + skew < *from) return Failure{Fault::too_early};
  }
  if (!config.issuer.empty() && text_of(claims, "iss") != config.issuer) return Failure{Fault::issuer};
  // RFC 7519 section 4.1.3: who is not named must refuse a token that names somebody.
  const json::value* aud = claims.if_contains("aud");
  if (config.audience.empty() ? aud != nullptr : !aud || !names_audience(*aud, config.audience))
    return Failure{Fault::audience};
  const auto sub = text_of(claims, "sub");
  if (!sub || sub->empty() || sub->size() > subject_limit || !is_plain_text(*sub))
    return Failure{Fault::subject};
  const size_t at = sub->rfind('@');
  TokenClaims out;
  out.user = sub->substr(0, at);
  if (at != std::string_view::npos) out.domain = lower(sub->substr(at + 1));
  if (out.user.empty() || (at != std::string_view::npos && out.domain.empty()))
    return Failure{Fault::subject};
  constexpr int64_t second = 1'000'000'000;
  out.expires = WallTime{*expires > INT64_MAX / second ? INT64_MAX : *expires * second};
  return out;
}

}  // namespace

const char* to_string(TokenFault fault) {
  static constexpr std::array names = {"malformed", "algorithm", "key",      "signature", "expired",
                                       "too_early", "issuer",    "audience", "subject"};
  static_assert(names.size() == static_cast<size_t>(TokenFault::count_));
  return names[static_cast<size_t>(fault)];
}

Result<TokenKey, std::string> make_token_key(std::string id, std::string_view algorithm,
                                             std::string_view material) {
  TokenKey out{std::move(id), TokenAlgorithm::hs256, std::string()};
  if (algorithm == "HS256") {
    if (material.ends_with('\n')) material.remove_suffix(1);
    if (material.ends_with('\r')) material.remove_suffix(1);
    if (material.size() < least_secret) return Failure{std::string("a secret of less than 32 octets")};
    if (material.find("-----BEGIN ") != std::string_view::npos)
      return Failure{std::string("a PEM file, which is no secret for HS256")};
    out.key = std::string(material);
    return out;
  }
  out.algorithm = algorithm == "RS256" ? TokenAlgorithm::rs256 : TokenAlgorithm::es256;
  auto key = crypto::PublicKey::from_pem(material);
  if (!key.ok()) return Failure{key.reason()};
  const auto wanted = algorithm == "RS256" ? crypto::PublicKey::Kind::rsa : crypto::PublicKey::Kind::p256;
  if (key->kind() != wanted) return Failure{"a key that is not for " + std::string(algorithm)};
  out.key = std::move(*key);
  return out;
}

TokenChecker::TokenChecker(TokenConfig config, CounterSet& counters)
    : config_(std::move(config)),
      accepted_(
          counters.counter("auth_tokens_total", "Bearer tokens looked at, by outcome", "outcome=\"ok\"")) {
  for (size_t i = 0; i < refused_.size(); ++i)
    refused_[i] = &counters.counter("auth_tokens_total", "Bearer tokens looked at, by outcome",
                                    "outcome=\"" + std::string(to_string(static_cast<Fault>(i))) + "\"");
}

Result<TokenClaims, TokenFault> TokenChecker::check(Now now, std::string_view token) {
  auto result = judge(now, token);
  (result.ok() ? accepted_ : *refused_[static_cast<size_t>(result.reason())]).add();
  return result;
}

Result<TokenClaims, TokenFault> TokenChecker::judge(Now now, std::string_view token) const {
  if (token.size() > token_limit) return Failure{Fault::malformed};
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return Failure{Fault::malformed};
  const auto header = read_object(token.substr(0, first));
  const auto signature = crypto::base64url_decode(token.substr(second + 1));
  if (!header || !signature || header->contains("crit")) return Failure{Fault::malformed};
  const auto algorithm = text_of(*header, "alg");
  if (!algorithm) return Failure{Fault::malformed};
  const std::string_view id = text_of(*header, "kid").value_or("");
  const auto key =
      std::find_if(config_.keys.begin(), config_.keys.end(), [&](const TokenKey& k) { return k.id == id; });
  if (key == config_.keys.end()) return Failure{Fault::key};
  if (*algorithm != name_of(key->algorithm)) return Failure{Fault::algorithm};
  if (!signature_is_right(*key, token.substr(0, second), *signature)) return Failure{Fault::signature};
  // Only now is the rest believed to be the issuer's, and read.
  const auto claims = read_object(token.substr(first + 1, second - first - 1));
  if (!claims) return Failure{Fault::malformed};
  return read_claims(now, *claims, config_);
}

std::string TokenChecker::challenge(std::string_view realm, bool refused) const {
  std::string out = "Bearer realm=" + sip::quote(realm);
  if (!config_.server.empty()) out += ", authz_server=" + sip::quote(config_.server);
  if (refused) out += ", error=\"invalid_token\"";
  return out;
}

std::optional<std::string_view> bearer_token(const sip::Message& request) {
  for (const sip::HeaderField& field : request.headers()) {
    if (field.id != sip::HeaderId::authorization && field.id != sip::HeaderId::proxy_authorization) continue;
    if (istarts_with(field.value, "Bearer ")) return trim(std::string_view(field.value).substr(7));
  }
  return std::nullopt;
}

}  // namespace tandem::auth
