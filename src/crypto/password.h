#pragma once
// Passwords of people, kept as scrypt (RFC 7914): slow and hungry for memory, so that a stolen database is
// worth little. A hash costs 32 MiB and about a tenth of a second: never on a thread that others wait for.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::crypto {

using PasswordSalt = std::array<uint8_t, 16>;

/// RFC 7914 section 2: N = 2^log_n. Another than this one is for tests.
struct PasswordCost {
  uint32_t log_n = 15, r = 8, p = 1;
};

/// "$scrypt$ln=15,r=8,p=1$SALT$HASH" (base 64 for URLs). The salt must be random.
std::string password_hash(std::string_view password, const PasswordSalt& salt, const PasswordCost& cost = {});

/// False, too, for what is no such text, or asks for more than 1 GiB or 16 times the work of today's.
/// Takes the time of a hash whatever the answer, when `stored` is well-formed.
bool password_matches(std::string_view password, std::string_view stored);

}  // namespace tandem::crypto
