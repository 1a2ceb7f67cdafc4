#pragma once
// Who opens the association (RFC 4145 section 4, RFC 5763 section 5).
#include <cstdint>
#include <optional>
#include <string_view>

namespace tandem::dtls {

/// The value of a=setup. `holdconn` has no meaning for DTLS-SRTP and is not read.
enum class Setup : uint8_t { active, passive, actpass };

enum class Role : uint8_t { client, server };

std::optional<Setup> parse_setup(std::string_view value);
std::string_view to_string(Setup setup);

/// What to answer to an offer: active to actpass (the answerer's ClientHello then also opens the way through
/// its NAT), otherwise the opposite.
Setup answer_to(Setup offered);

/// Our role from both sides' setup. Nothing for a conflict: both active, both passive, or an answer that
/// still says actpass.
std::optional<Role> role_from(Setup ours, Setup theirs);

}  // namespace tandem::dtls
