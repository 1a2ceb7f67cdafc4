#include "auth/client.h"

#include <array>

#include "auth/digest.h"
#include "base/text.h"
#include "sip/headers.h"

namespace tandem::auth {
namespace {

/// The qop to use out of the offered list; nothing when the list has none of ours.
std::optional<Qop> choose_qop(std::optional<std::string_view> offered) {
  if (!offered) return Qop::none;
  bool integrity = false;
  std::string_view rest = *offered;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view one = trim(rest.substr(0, comma));
    if (iequals(one, "auth")) return Qop::auth;
    integrity = integrity || iequals(one, "auth-int");
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  }
  if (integrity) return Qop::auth_int;
  return std::nullopt;
}

std::array<char, 8> hex_count(uint32_t nc) {
  static constexpr char digits[] = "0123456789abcdef";
  std::array<char, 8> out{};
  for (size_t i = out.size(); i-- > 0; nc >>= 4) out[i] = digits[nc & 15];
  return out;
}

/// For values that were unquoted with their escapes kept.
void quoted(std::string& out, std::string_view name, std::string_view value) {
  out.append(", ").append(name).append("=\"").append(value).append("\"");
}

}  // namespace

std::optional<std::string> answer(std::string_view challenge, std::string_view method, std::string_view uri,
                                  const Credentials& credentials, std::string_view cnonce, uint32_t nc,
                                  std::string_view body) {
  const auto value = sip::AuthValue::parse(challenge);
  if (!value || !iequals(value->scheme, "Digest")) return std::nullopt;
  const auto realm = value->get("realm");
  const auto nonce = value->get("nonce");
  const auto algorithm = algorithm_from(value->get("algorithm"));
  const auto qop = choose_qop(value->get("qop"));
  if (!realm || !nonce || !algorithm || !qop) return std::nullopt;
  if (!credentials.realm.empty() && credentials.realm != *realm) return std::nullopt;

  std::string ha1(ha1_of(credentials.ha1, algorithm->algorithm, false));
  if (ha1.empty()) ha1 = ha1_hex(algorithm->algorithm, credentials.user, *realm, credentials.password);
  const auto count = hex_count(nc);
  const std::string_view count_text(count.data(), count.size());
  const crypto::HexDigest response =
      digest_response({*algorithm, *qop, ha1, method, uri, *nonce, cnonce, count_text, body});

  const auto hash_user = value->get("userhash");
  const bool user_hashed = hash_user && iequals(*hash_user, "true");
  std::string out = "Digest username=";
  if (user_hashed)  // RFC 7616 section 3.4.4
    out.append("\"")
        .append(crypto::hash_hex(hash_of(algorithm->algorithm), {credentials.user, ":", *realm}).view())
        .append("\"");
  else
    out.append(sip::quote(credentials.user));
  quoted(out, "realm", *realm);
  quoted(out, "nonce", *nonce);
  quoted(out, "uri", uri);
  quoted(out, "response", response.view());
  if (const auto name = value->get("algorithm")) out.append(", algorithm=").append(*name);
  if (*qop != Qop::none) {
    quoted(out, "cnonce", cnonce);
    out.append(*qop == Qop::auth ? ", qop=auth" : ", qop=auth-int").append(", nc=").append(count_text);
  } else if (algorithm->session) {
    quoted(out, "cnonce", cnonce);
  }
  if (const auto opaque = value->get("opaque")) quoted(out, "opaque", *opaque);
  if (user_hashed) out.append(", userhash=true");
  return out;
}

std::optional<Answer> answer(const sip::Message& response, std::string_view method, std::string_view uri,
                             const Credentials& credentials, std::string_view cnonce, uint32_t nc,
                             std::string_view body) {
  const bool proxy = response.status() == 407;
  if (!proxy && response.status() != 401) return std::nullopt;
  const auto id = proxy ? sip::HeaderId::proxy_authenticate : sip::HeaderId::www_authenticate;
  for (const sip::HeaderField& field : response.headers()) {
    if (field.id != id) continue;
    auto value = answer(field.value, method, uri, credentials, cnonce, nc, body);
    if (!value) continue;
    Answer out;
    out.header = proxy ? sip::HeaderId::proxy_authorization : sip::HeaderId::authorization;
    out.value = std::move(*value);
    const auto parsed = sip::AuthValue::parse(field.value);
    const auto stale = parsed ? parsed->get("stale") : std::nullopt;
    out.stale = stale && iequals(*stale, "true");
    return out;
  }
  return std::nullopt;
}

}  // namespace tandem::auth
