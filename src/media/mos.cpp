#include "media/mos.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::media {
namespace {

struct Impairment {
  std::string_view codec;
  double ie;   // equipment impairment without loss
  double bpl;  // robustness against random loss
};

/// G.113 appendix I. G.711 with packet loss concealment, as every phone of today does.
constexpr Impairment impairments[] = {
    {"PCMU", 0, 25.1},  {"PCMA", 0, 25.1},  {"G722", 0, 25.1}, {"opus", 0, 30.0},
    {"G729", 11, 19.0}, {"G723", 15, 16.1}, {"GSM", 20, 10.0}, {"GSM-EFR", 5, 10.0},
    {"iLBC", 11, 32.0}, {"AMR", 5, 10.0},   {"G728", 7, 17.0}, {"speex", 11, 20.0},
};

Impairment impairment_of(std::string_view codec) {
  for (const Impairment& i : impairments)
    if (iequals(i.codec, codec)) return i;
  return impairments[0];
}

}  // namespace

double rating(const Quality& q) {
  const Impairment i = impairment_of(q.codec);
  const double loss = std::clamp(q.loss, 0.0, 1.0) * 100;  // Ppl, percent
  const double ie_eff = i.ie + (95 - i.ie) * loss / (loss + i.bpl);
  const double one_way = q.round_trip_ms > 0 ? q.round_trip_ms / 2 : 40;
  const double delay = one_way + 20 + 2 * q.jitter_ms;  // packetization and jitter buffer
  const double id = 0.024 * delay + (delay > 177.3 ? 0.11 * (delay - 177.3) : 0);
  return std::clamp(93.2 - id - ie_eff, 0.0, 93.2);
}

double mean_opinion_score(double r) {
  if (r <= 0) return 1;
  if (r >= 100) return 4.5;
  return std::max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);  // G.107 annex B
}

}  // namespace tandem::media
