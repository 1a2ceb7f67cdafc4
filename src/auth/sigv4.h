#pragma once
// AWS Signature Version 4: requests signed with a secret both sides have, in the header Authorization or in
// the query of a URL signed beforehand. A pure function: who the key belongs to, and what it may do, is its
// caller's business. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "port/http.h"

namespace tandem::auth {

struct SigV4Config {
  std::string region;             // "us-east-1": of the credential scope
  std::string service;            // "kinesisvideo"
  Duration skew = minutes(5);     // between the signer's clock and ours; a header is good for so long, too
  Duration longest = minutes(5);  // of a URL, whatever it says of itself
};

enum class SigV4Fault : uint8_t {
  missing,     // not signed at all
  incomplete,  // a part of it is missing, stands twice, is too long or cannot be read
  scope,       // another region, service or day than the credential's
  expired,     // signed too long ago
  too_early,   // signed in the future
  body,        // it says another hash of its body
  signature,
  count_,
};
const char* to_string(SigV4Fault fault);

/// What a request says of its signature. Nothing of it is proved.
struct SigV4Claims {
  std::string access_key;
  std::string time;                  // "20150830T123600Z"
  std::string day, region, service;  // the credential's scope
  std::vector<std::string> headers;  // that are signed: lower case, sorted, host among them
  std::string signature;             // lower-case hex
  WallTime signed_at;
  Duration expires{0};  // of a URL; 0: the signature is in a header
};

/// The failure is `missing` or `incomplete`.
Result<SigV4Claims, SigV4Fault> sigv4_claims(const port::HttpRequest& request);

/// Whether `secret` has signed the request, body included, and is still good for it at `now`.
Status<SigV4Fault> sigv4_check(WallTime now, const SigV4Config& config, const port::HttpRequest& request,
                               const SigV4Claims& claims, std::string_view secret);

/// The signature `claims` ought to have, in lower-case hex.
std::string sigv4_signature(const port::HttpRequest& request, const SigV4Claims& claims,
                            std::string_view secret);

/// A member of a URL's query, decoded; nothing when it is not there. In a URL whose claims were read none
/// stands twice.
std::optional<std::string> query_member(std::string_view target, std::string_view name);

}  // namespace tandem::auth
