#include "auth/digest.h"

#include "base/text.h"

namespace tandem::auth {

std::string_view to_string(Algorithm a) {
  switch (a) {
    case Algorithm::md5:
      return "MD5";
    case Algorithm::sha256:
      return "SHA-256";
    case Algorithm::sha512_256:
      return "SHA-512-256";
  }
  return "MD5";
}

crypto::Hash hash_of(Algorithm a) {
  switch (a) {
    case Algorithm::md5:
      return crypto::Hash::md5;
    case Algorithm::sha256:
      return crypto::Hash::sha256;
    case Algorithm::sha512_256:
      return crypto::Hash::sha512_256;
  }
  return crypto::Hash::md5;
}

std::optional<AlgorithmName> algorithm_from(std::optional<std::string_view> name) {
  AlgorithmName out;
  if (!name) return out;
  std::string_view n = *name;
  constexpr std::string_view suffix = "-sess";
  if (n.size() > suffix.size() && iequals(n.substr(n.size() - suffix.size()), suffix)) {
    out.session = true;
    n.remove_suffix(suffix.size());
  }
  for (Algorithm a : {Algorithm::md5, Algorithm::sha256, Algorithm::sha512_256})
    if (iequals(n, to_string(a))) {
      out.algorithm = a;
      return out;
    }
  return std::nullopt;
}

crypto::HexDigest digest_response(const DigestInput& in) {
  const crypto::Hash h = hash_of(in.algorithm.algorithm);
  crypto::HexDigest ha1;
  std::string_view secret = in.ha1;
  if (in.algorithm.session) {
    ha1 = crypto::hash_hex(h, {in.ha1, ":", in.nonce, ":", in.cnonce});
    secret = ha1.view();
  }
  crypto::HexDigest ha2;
  if (in.qop == Qop::auth_int) {
    const crypto::HexDigest body = crypto::hash_hex(h, {in.body});
    ha2 = crypto::hash_hex(h, {in.method, ":", in.uri, ":", body.view()});
  } else {
    ha2 = crypto::hash_hex(h, {in.method, ":", in.uri});
  }
  if (in.qop == Qop::none) return crypto::hash_hex(h, {secret, ":", in.nonce, ":", ha2.view()});
  const std::string_view qop = in.qop == Qop::auth ? "auth" : "auth-int";
  return crypto::hash_hex(h, {secret, ":", in.nonce, ":", in.nc, ":", in.cnonce, ":", qop, ":", ha2.view()});
}

std::string ha1_hex(Algorithm a, std::string_view user, std::string_view realm, std::string_view password) {
  return std::string(crypto::hash_hex(hash_of(a), {user, ":", realm, ":", password}).view());
}

port::Ha1 make_ha1(std::string_view user, std::string_view realm, std::string_view password,
                   std::string_view domain) {
  const std::string with_domain = std::string(user) + "@" + std::string(domain.empty() ? realm : domain);
  const auto both = [&](Algorithm a) {
    return ha1_hex(a, user, realm, password) + ha1_hex(a, with_domain, realm, password);
  };
  return {both(Algorithm::md5), both(Algorithm::sha256), both(Algorithm::sha512_256)};
}

std::string_view ha1_of(const port::Ha1& ha1, Algorithm a, bool username_with_domain) {
  const std::string& value = a == Algorithm::md5      ? ha1.md5
                             : a == Algorithm::sha256 ? ha1.sha256
                                                      : ha1.sha512_256;
  const size_t size = 2 * crypto::digest_size(hash_of(a));
  const size_t at = username_with_domain ? size : 0;
  if (value.size() < at + size) return {};
  return std::string_view(value).substr(at, size);
}

}  // namespace tandem::auth
