#pragma once
// Mean opinion score by the E-model (ITU-T G.107), with the impairments of G.113 for the codecs met in
// telephony.
#include <string_view>

namespace tandem::media {

struct Quality {
  std::string_view codec;    // encoding name; unknown ones count as G.711
  double loss = 0;           // fraction 0..1, random
  double jitter_ms = 0;      // a jitter buffer of twice that is assumed
  double round_trip_ms = 0;  // 0: unknown, 40 ms one way are assumed
};

/// Transmission rating R, 0..93.2.
double rating(const Quality& q);
/// 1.0 to 4.41.
double mean_opinion_score(double r);
inline double mean_opinion_score(const Quality& q) { return mean_opinion_score(rating(q)); }

}  // namespace tandem::media
