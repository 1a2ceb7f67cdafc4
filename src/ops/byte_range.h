#pragma once
// Range requests (RFC 9110 section 14): one range of octets, as players of sound ask for.
#include <cstddef>
#include <optional>
#include <string_view>

namespace tandem::ops {

struct ByteRange {
  size_t first = 0;
  size_t count = 0;  // 0: none of what there is (416)
};

/// What a Range header asks for of `size` octets. Nothing: all of them, for it asks for several ranges, or
/// for none that we can read, which is to be passed over (section 14.2).
std::optional<ByteRange> range_of(std::string_view header, size_t size);

}  // namespace tandem::ops
