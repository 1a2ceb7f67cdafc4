#include "ops/byte_range.h"

#include <algorithm>
#include <cstdint>

#include "base/text.h"

namespace tandem::ops {

std::optional<ByteRange> range_of(std::string_view header, size_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!header.starts_with(unit)) return std::nullopt;
  header.remove_prefix(unit.size());
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view from = header.substr(0, dash), to = header.substr(dash + 1);
  const auto first = parse_u64(from), last = parse_u64(to);
  if (from.empty()) {  // the last so many
    if (!last) return std::nullopt;
    const auto count = static_cast<size_t>(std::min<uint64_t>(*last, size));
    return ByteRange{size - count, count};
  }
  if (!first || (!last && !to.empty()) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return ByteRange{size, 0};
  const uint64_t end = last ? std::min<uint64_t>(*last, size - 1) : size - 1;
  return ByteRange{static_cast<size_t>(*first), static_cast<size_t>(end - *first + 1)};
}

}  // namespace tandem::ops
