#pragma once
// Hears that a call is a fax or a modem: the calling tone (CNG, 1100 Hz: ITU-T T.30 section 4) or the answer
// tone (CED, ANS, ANSam, 2100 Hz: T.30, V.8, V.25). Inside the room.
#include <cstdint>
#include <span>

namespace tandem::media {

class FaxEar {
 public:
  /// A frame of 10 to 60 ms at `rate` Hz. True when either tone has now lasted long enough, and ever after.
  bool hear(std::span<const int16_t> frame, uint32_t rate);
  bool heard() const { return heard_; }

 private:
  uint32_t calling_ms_ = 0, answering_ms_ = 0;  // of that tone and nothing else, in a row
  bool heard_ = false;
};

}  // namespace tandem::media
