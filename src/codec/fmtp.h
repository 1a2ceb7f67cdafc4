#pragma once
// Parameters of an fmtp attribute: "name=value;name=value" (RFC 8866 section 6.15, RFC 4855).
#include <cstdint>
#include <optional>
#include <string_view>

namespace tandem::codec {

/// The value of the first parameter of that name (any case), without blanks around it.
std::optional<std::string_view> fmtp_value(std::string_view fmtp, std::string_view name);

/// A decimal number from `least` to `most`; `otherwise` when the parameter is absent, nothing when it is bad.
std::optional<uint32_t> fmtp_number(std::string_view fmtp, std::string_view name, uint32_t least,
                                    uint32_t most, uint32_t otherwise);

}  // namespace tandem::codec
