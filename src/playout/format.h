#pragma once
#include <cstdint>
#include <string>

namespace tandem::playout {

/// A payload type as a description names it. Owning: descriptions come and go.
struct Format {
  uint8_t payload_type = 0;
  std::string name;  // "PCMU", "opus", "CN"
  uint32_t clock_rate = 8000;
  uint8_t channels = 1;
  std::string fmtp;  // of the other side
  bool operator==(const Format&) const = default;
};

}  // namespace tandem::playout
