#pragma once
// How a call sounds, by the E-model: ITU-T G.107 for narrowband, G.107.1 for wideband codecs, with the
// equipment impairments of G.113.
#include <string_view>

namespace tandem::media {

/// What one direction of a leg is like.
struct Conditions {
  std::string_view codec;    // encoding name; unknown ones count as G.711
  double loss = 0;           // fraction 0..1
  double burst_ratio = 1;    // of a run of losses, over that of random loss (G.107 section 7.5): 1 or more
  double jitter_ms = 0;      // a jitter buffer of twice that is assumed
  double round_trip_ms = 0;  // 0: unknown, 40 ms one way are assumed
};

/// Ear of the listener, mouth of the talker: ms.
double one_way_delay(const Conditions& c);

struct Rating {
  double r = 0;           // 0..93.2 (G.107), or 0..129 on the wideband scale (G.107.1)
  bool wideband = false;  // which of the two; they cannot be compared
  double mos = 1;         // of conversation: MOS-CQE, or MOS-CQEW
  double listening = 1;   // the same without delay
};
Rating rate(const Conditions& c);

/// The rating without any impairment by codec or loss, `delay_ms` one way and all else as G.107 table 2 has
/// it (TELR 65 dB): 93.2 without delay.
double narrowband_rating(double delay_ms);
/// 129 without delay (G.107.1); the echo is taken as cancelled.
double wideband_rating(double delay_ms);
/// Annex B of G.107: 1.0 to 4.5.
double mean_opinion_score(double r);

}  // namespace tandem::media
