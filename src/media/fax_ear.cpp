#include "media/fax_ear.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "codec/g711.h"
#include "codec/goertzel.h"

namespace tandem::media {
namespace {

// A frame of 20 ms tells frequencies 50 Hz apart, and CNG may be 38 Hz off.
constexpr std::array<double, 3> calling_hz = {1075, 1100, 1125};
constexpr std::array<double, 1> answering_hz = {2100};
constexpr double quietest_dbm0 = -43;  // T.30 section 5.1 asks no more of a receiver
constexpr double others_db = 1.5;      // what the tone may be below everything together
constexpr uint32_t enough_ms = 300;    // CNG lasts 425 ms and more, CED 2.6 s

double level_of(std::span<const int16_t> frame) {
  double sum = 0;
  for (const int16_t s : frame) sum += double{1} * s * s;
  const double peak = codec::zero_dbm0_peak;
  return 10 * std::log10(2 * sum / static_cast<double>(frame.size()) / (peak * peak) + 1e-10);
}

}  // namespace

bool FaxEar::hear(std::span<const int16_t> frame, uint32_t rate) {
  if (heard_ || frame.empty() || rate == 0) return heard_;
  const auto ms = static_cast<uint32_t>(frame.size() * 1000 / rate);
  const double all = level_of(frame);
  const auto lasts = [&](std::span<const double> near, uint32_t& so_far) {
    // The measure takes 8 kHz for granted: at another rate the tone lies elsewhere.
    const bool pure = all > quietest_dbm0 && std::any_of(near.begin(), near.end(), [&](double hz) {
                        return codec::tone_level(frame, hz * 8000 / rate) > all - others_db;
                      });
    so_far = pure ? so_far + ms : 0;
    return so_far >= enough_ms;
  };
  const bool calling = lasts(calling_hz, calling_ms_);
  heard_ = lasts(answering_hz, answering_ms_) || calling;
  return heard_;
}

}  // namespace tandem::media
