#pragma once
// Tickets: what a page of the console shows the JSON API instead of its subscriber's password, which it does
// not have. REST hands one out to the subscriber's own session; workers check it without asking anybody, for
// it is signed with a key that the node alone has.
//
//   "ticket." seconds since 1970 "." base64url(HMAC-SHA256(key, user@domain "\n" seconds))
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "port/ask.h"

namespace tandem::auth {

using TicketKey = std::array<uint8_t, 32>;

/// From a secret that has another use, too.
TicketKey make_ticket_key(Bytes secret);

/// Good for `aor` alone, until that time (whole seconds).
std::string make_ticket(const TicketKey& key, const port::AddressOfRecord& aor, WallTime until);

/// Whether it is meant as one. A JSON Web Token (bearer.h) never is: it begins with the base64url of a "{".
bool is_ticket(std::string_view token);

bool ticket_fits(const TicketKey& key, std::string_view ticket, const port::AddressOfRecord& aor,
                 WallTime now);

}  // namespace tandem::auth
