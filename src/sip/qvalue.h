#pragma once
#include <cstdint>
#include <string_view>

#include "base/text.h"

namespace tandem::sip {

/// A qvalue (RFC 3261 section 25.1) in thousandths; what is none counts as 1.
constexpr uint16_t qvalue(std::string_view text) {
  if (text.empty() || text[0] != '0') return 1000;
  uint16_t q = 0;
  uint16_t unit = 100;
  for (size_t i = 2; i < text.size() && i < 5 && is_digit(text[i]); ++i, unit = unit / 10)
    q = static_cast<uint16_t>(q + unit * (text[i] - '0'));
  return q;
}

}  // namespace tandem::sip
