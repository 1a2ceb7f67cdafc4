#include "auth/ticket.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"

namespace tandem::auth {
namespace {

constexpr std::string_view prefix = "ticket.";

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string signed_until(const TicketKey& key, const port::AddressOfRecord& aor, std::string_view until) {
  const crypto::Digest seal =
      crypto::hmac(crypto::Hash::sha256, text_of(key), {aor.to_string(), "\n", until});
  return std::string(prefix) + std::string(until) + "." + crypto::base64url(seal.view());
}

}  // namespace

TicketKey make_ticket_key(Bytes secret) {
  TicketKey key{};
  const crypto::Digest made = crypto::hmac(crypto::Hash::sha256, text_of(secret), "tickets of the JSON API");
  std::copy_n(made.bytes.begin(), key.size(), key.begin());
  return key;
}

std::string make_ticket(const TicketKey& key, const port::AddressOfRecord& aor, WallTime until) {
  return signed_until(key, aor, std::to_string(until.unix_seconds()));
}

bool is_ticket(std::string_view token) { return token.starts_with(prefix); }

bool ticket_fits(const TicketKey& key, std::string_view ticket, const port::AddressOfRecord& aor,
                 WallTime now) {
  if (!is_ticket(ticket)) return false;
  const std::string_view rest = ticket.substr(prefix.size());
  const std::string_view seconds = rest.substr(0, rest.find('.'));
  const auto until = parse_u64(seconds);
  return until && crypto::constant_time_equal(ticket, signed_until(key, aor, seconds)) &&
         now.unix_seconds() < static_cast<int64_t>(*until);
}

}  // namespace tandem::auth
