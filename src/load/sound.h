#pragma once
// What a generator's streams send instead of marked packets, when what comes out is another codec than what
// goes in: packets of something like speech, encoded once and sent over and over.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::load {

struct Sound {
  std::string name;  // as in an rtpmap: "opus"
  uint32_t clock_rate = 8000;
  uint8_t channels = 1;
  uint8_t payload_type = 0;  // where we are free to say
  std::string fmtp;          // empty: none
  uint32_t ticks = 160;      // of the RTP clock, a packet
  std::vector<std::vector<uint8_t>> payloads;
};

/// PCMU, PCMA, G722, G729 or opus. Null: no such codec, or it is not in this build.
std::shared_ptr<const Sound> make_sound(std::string_view codec);

}  // namespace tandem::load
