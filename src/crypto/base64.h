#pragma once
// Base 64 (RFC 4648): the standard alphabet with padding, and the URL-safe one without.
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tandem::crypto {

std::string base64(Bytes bytes);
/// Strict: right length and padding, no white space, no stray bits in the last character.
std::optional<std::string> base64_decode(std::string_view text);

/// '-' and '_' instead of '+' and '/', no padding (RFC 4648 section 5): safe in URIs, tokens and quoted
/// strings.
std::string base64url(Bytes bytes);
std::optional<std::string> base64url_decode(std::string_view text);

}  // namespace tandem::crypto
