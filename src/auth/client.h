#pragma once
// The client side: answering the challenges of trunks and other registrars (RFC 3261 section 22.2, RFC 8760
// section 2.5).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "port/records.h"
#include "sip/header_id.h"
#include "sip/message.h"

namespace tandem::auth {

/// What we may answer with. With `ha1` no password is needed.
struct Credentials {
  std::string user;
  std::string password;
  std::string realm;  // the only realm we answer; empty: any. Set it where the peer could be someone else's
                      // (digest leak)
  port::Ha1 ha1;      // used where not empty
};

/// The value of Authorization or Proxy-Authorization for one challenge. Nothing when the scheme, the
/// algorithm or the qop is not ours, or the realm not the one we answer. `nc`: how many requests went out on
/// this nonce, this one included.
std::optional<std::string> answer(std::string_view challenge, std::string_view method, std::string_view uri,
                                  const Credentials& credentials, std::string_view cnonce, uint32_t nc = 1,
                                  std::string_view body = {});

struct Answer {
  sip::HeaderId header = sip::HeaderId::authorization;
  std::string value;
  bool stale =
      false;  // the server says the password was right; otherwise answering a second 401 leads nowhere
};
/// Answers the topmost challenge of a 401 or 407 that we can (RFC 8760: the server's preference).
std::optional<Answer> answer(const sip::Message& response, std::string_view method, std::string_view uri,
                             const Credentials& credentials, std::string_view cnonce, uint32_t nc = 1,
                             std::string_view body = {});

}  // namespace tandem::auth
