#pragma once
// CRC-32C (Castagnoli, RFC 3385): the checksum of spool records.
#include <cstdint>
#include <string_view>

namespace tandem::store {

/// `crc` continues an earlier one.
uint32_t crc32c(std::string_view bytes, uint32_t crc = 0);

}  // namespace tandem::store
