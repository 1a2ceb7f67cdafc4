#include "media/e_model.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tandem::media {
namespace {

struct Codec {
  std::string_view name;
  bool wideband;
  double ie;   // equipment impairment without loss, on the scale of its kind
  double bpl;  // robustness against loss
};

/// G.113 appendix I (narrowband; G.711 with packet loss concealment, as every telephone of today has it) and
/// appendix IV (wideband). G.113 has no Bpl for G.722 and nothing for Opus: G.722 is given that of G.722.2 at
/// 23 kbit/s, Opus the values of G.722.2 at its highest rate and a Bpl twice as high, for its in-band FEC.
constexpr Codec codecs[] = {
    {"PCMU", false, 0, 25.1},  {"PCMA", false, 0, 25.1},    {"L16", false, 0, 25.1},
    {"G729", false, 11, 19.0}, {"G723", false, 15, 16.1},   {"G728", false, 7, 17.0},
    {"GSM", false, 20, 10.0},  {"GSM-EFR", false, 5, 10.0}, {"iLBC", false, 11, 32.0},
    {"AMR", false, 5, 10.0},   {"speex", false, 11, 20.0},  {"G722", true, 13, 4.6},
    {"AMR-WB", true, 8, 4.9},  {"opus", true, 8, 9.8},
};

const Codec& codec_of(std::string_view name) {
  const auto* found = std::find_if(std::begin(codecs), std::end(codecs),
                                   [&](const Codec& c) { return iequals(c.name, name); });
  return found == std::end(codecs) ? codecs[0] : *found;
}

double decibel(double x) { return 10 * std::log10(x); }
double power(double db) { return std::pow(10, db / 10); }

/// G.107 table 2.
namespace standard {
constexpr double slr = 8, rlr = 2, olr = slr + rlr;  // loudness, dB
constexpr double stmr = 15, lstr = 18;               // sidetone, dB
constexpr double ds = 3, ps = 35, pr = 35;           // D-value, room noise dB(A)
constexpr double telr = 65, wepl = 110;              // echo, dB
constexpr double nc = -70, nfor = -64;               // circuit noise dBm0p, noise floor dBmp
constexpr double qdu = 1;
constexpr double least_delay = 100, sensitivity = 1;  // mT ms, sT
}  // namespace standard

/// Section 7.2: noise at the 0 dBr point, all sources together, in dBm0p.
double noise() {
  using namespace standard;
  const double nos = ps - slr - ds - 100 + 0.004 * std::pow(ps - olr - ds - 14, 2);
  const double pre = pr + decibel(1 + power(10 - lstr));
  const double nor = rlr - 121 + pre + 0.008 * std::pow(pre - 35, 2);
  const double nfo = nfor + rlr;
  return decibel(power(nc) + power(nos) + power(nor) + power(nfo));
}

/// Section 7.3: what happens together with the voice: too loud, sidetone, quantization.
double simultaneous(double ro, double no, double delay_ms) {
  using namespace standard;
  const double xolr = olr + 0.2 * (64 + no - rlr);
  const double iolr = 20 * (std::pow(1 + std::pow(xolr / 8, 8), 1.0 / 8) - xolr / 8);
  const double stmro = -decibel(power(-stmr) + std::exp(-delay_ms / 4) * power(-telr));
  const double ist = 12 * std::pow(1 + std::pow((stmro - 13) / 6, 8), 1.0 / 8) -
                     28 * std::pow(1 + std::pow((stmro + 1) / 19.4, 35), 1.0 / 35) -
                     13 * std::pow(1 + std::pow((stmro - 3) / 33, 13), 1.0 / 13) + 29;
  const double q = 37 - 15 * std::log10(qdu);
  const double g = 1.07 + 0.258 * q + 0.0602 * q * q;
  const double y = (ro - 100) / 15 + 46 / 8.4 - g / 9;
  const double z = 46.0 / 30 - g / 40;
  return iolr + ist + 15 * std::log10(1 + std::pow(10, y) + std::pow(10, z));
}

/// Section 7.4: delay that is felt though no echo is heard.
double absolute_delay(double delay_ms) {
  using namespace standard;
  if (delay_ms <= least_delay) return 0;
  const double x = std::log2(delay_ms / least_delay);
  const double power6 = 6 * sensitivity;
  return 25 * (std::pow(1 + std::pow(x, power6), 1 / power6) -
               3 * std::pow(1 + std::pow(x / 3, power6), 1 / power6) + 2);
}

/// Section 7.4: echo of the talker and of the listener.
double echo(double ro, double no, double delay_ms) {
  using namespace standard;
  double talker = 0;
  if (delay_ms >= 1) {
    const double terv = telr - 40 * std::log10((1 + delay_ms / 10) / (1 + delay_ms / 150)) +
                        6 * std::exp(-0.3 * delay_ms * delay_ms);
    const double roe = -1.5 * (no - rlr);
    const double re = 80 + 2.5 * (terv - 14);
    const double half = (roe - re) / 2;
    talker = (half + std::sqrt(half * half + 100) - 1) * (1 - std::exp(-delay_ms));
  }
  const double rle = 10.5 * (wepl + 7) * std::pow(2 * delay_ms + 1, -0.25);
  const double half = (ro - rle) / 2;
  return talker + half + std::sqrt(half * half + 169);
}

/// Section 7.5, and equation 7-15 of G.107.1: what the codec and the losses do, with the same 95 on both
/// scales.
double equipment(const Codec& codec, const Conditions& c) {
  const double loss = std::clamp(c.loss, 0.0, 1.0) * 100;
  if (loss == 0) return codec.ie;
  return codec.ie + (95 - codec.ie) * loss / (loss / std::max(1.0, c.burst_ratio) + codec.bpl);
}

}  // namespace

double one_way_delay(const Conditions& c) {
  constexpr double packet = 20, unknown_path = 40;
  return (c.round_trip_ms > 0 ? c.round_trip_ms / 2 : unknown_path) + packet + 2 * c.jitter_ms;
}

double narrowband_rating(double delay_ms) {
  const double no = noise();
  const double ro = 15 - 1.5 * (standard::slr + no);
  return ro - simultaneous(ro, no, delay_ms) - echo(ro, no, delay_ms) - absolute_delay(delay_ms);
}

double wideband_rating(double delay_ms) { return 129 - absolute_delay(delay_ms); }

double mean_opinion_score(double r) {
  if (r <= 0) return 1;
  if (r >= 100) return 4.5;
  return std::max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

Rating rate(const Conditions& c) {
  const Codec& codec = codec_of(c.codec);
  const double impairment = equipment(codec, c);
  const double delay = one_way_delay(c);
  Rating rating;
  rating.wideband = codec.wideband;
  if (codec.wideband) {  // annex A of G.107.1
    rating.r = std::max(0.0, wideband_rating(delay) - impairment);
    rating.mos = mean_opinion_score(rating.r / 1.29);
    rating.listening = mean_opinion_score((wideband_rating(0) - impairment) / 1.29);
  } else {
    rating.r = std::max(0.0, narrowband_rating(delay) - impairment);
    rating.mos = mean_opinion_score(rating.r);
    rating.listening = mean_opinion_score(narrowband_rating(0) - impairment);
  }
  return rating;
}

}  // namespace tandem::media
