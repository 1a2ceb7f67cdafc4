#include "codec/country_tones.h"

#include <array>

#include "base/text.h"

namespace tandem::codec {
namespace {

struct Sound {
  uint16_t frequency1 = 0, frequency2 = 0;  // Hz
  int8_t level = -10;                       // dBm0 of each
};

/// On, off, on, off ... in ms; 0 ends it.
struct Cadence {
  std::array<uint16_t, 6> ms{};
};

struct Row {
  std::string_view country;
  Sound dial, ringback, busy;  // congestion sounds as busy does
  Cadence ringing, busy_beat, congestion_beat;
};

constexpr Sound hz(uint16_t f1, uint16_t f2 = 0, int8_t level = -10) { return {f1, f2, level}; }

// Japan's and Australia's ringback is a tone modulated in strength; two tones beat at the same pace.
constexpr std::array<Row, 11> rows = {{
    {"AU", hz(425), hz(400, 450, -16), hz(425), {{400, 200, 400, 2000}}, {{375, 375}}, {{375, 375}}},
    {"CA",
     hz(350, 440, -13),
     hz(440, 480, -19),
     hz(480, 620, -24),
     {{2000, 4000}},
     {{500, 500}},
     {{250, 250}}},
    {"CN", hz(450), hz(450), hz(450), {{1000, 4000}}, {{350, 350}}, {{700, 700}}},
    {"DE", hz(425), hz(425), hz(425), {{1000, 4000}}, {{480, 480}}, {{240, 240}}},
    {"ES", hz(425), hz(425), hz(425), {{1500, 3000}}, {{200, 200}}, {{200, 200, 200, 200, 200, 600}}},
    {"FR", hz(440), hz(440), hz(440), {{1500, 3500}}, {{500, 500}}, {{250, 250}}},
    {"GB",
     hz(350, 440, -13),
     hz(400, 450, -16),
     hz(400),
     {{400, 200, 400, 2000}},
     {{375, 375}},
     {{400, 350, 225, 525}}},
    {"IT", hz(425), hz(425), hz(425), {{1000, 4000}}, {{500, 500}}, {{200, 200}}},
    {"JP", hz(400), hz(392, 408, -16), hz(400), {{1000, 2000}}, {{500, 500}}, {{500, 500}}},
    {"KR",
     hz(350, 440, -13),
     hz(440, 480, -16),
     hz(480, 620, -16),
     {{1000, 2000}},
     {{500, 500}},
     {{300, 200}}},
    {"US",
     hz(350, 440, -13),
     hz(440, 480, -19),
     hz(480, 620, -24),
     {{2000, 4000}},
     {{500, 500}},
     {{250, 250}}},
}};

ToneSequence beaten(const Sound& s, const Cadence& c) {
  ToneSequence sequence;
  for (size_t i = 0; i < c.ms.size() && c.ms[i] != 0; ++i)
    sequence.steps.push_back(i % 2 == 0 ? ToneStep{s.frequency1, s.frequency2, s.level, c.ms[i]}
                                        : ToneStep{0, 0, 0, c.ms[i]});
  return sequence;
}

}  // namespace

std::optional<CountryTones> country_tones(std::string_view country) {
  for (const Row& r : rows)
    if (iequals(r.country, country))
      return CountryTones{beaten(r.dial, {{1000}}), beaten(r.ringback, r.ringing),
                          beaten(r.busy, r.busy_beat), beaten(r.busy, r.congestion_beat)};
  return std::nullopt;
}

}  // namespace tandem::codec
