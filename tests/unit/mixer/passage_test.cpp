// What changes must not be heard: from a stream of all to a stream of one's own and back, who joins, who
// leaves, who is faded in and out.
#include <gtest/gtest.h>

#include "mixer/stream.h"
#include "unit/codec/speech.h"
#include "unit/mixer/conference.h"

namespace tandem::mixer {
namespace {

using namespace testing;

Frame frame_of(const Samples& sound, size_t n) {
  Frame f;
  std::copy_n(sound.begin() + static_cast<std::ptrdiff_t>(n * frame_samples), frame_samples, f.begin());
  return f;
}

/// Two voices: what the others hear, and what one of the two hears.
struct Voices {
  Samples one = codec::testing::speech(audio_rate), both;
  Voices() {
    const size_t shift = one.size() / 3 / frame_samples * frame_samples;
    both.resize(one.size());
    for (size_t i = 0; i < one.size(); ++i)
      both[i] = static_cast<int16_t>(std::clamp(one[i] + one[(i + shift) % one.size()], -32768, 32767));
  }
  size_t frames() const { return one.size() / frame_samples; }
};

/// A stream with the decoder of somebody who listens to it.
struct Listener {
  explicit Listener(const playout::Format& f)
      : decoder(std::move(codec::make_decoder({f.name, f.clock_rate, f.channels, f.fmtp}, {audio_rate, 5}))
                    .value()) {}
  std::unique_ptr<codec::Decoder> decoder;
  Samples pcm = Samples(48 * 120);
  std::span<const int16_t> hear(const Stream& s) {
    EXPECT_EQ(s.pieces().size(), 1u);
    const auto n = decoder->decode(s.payload(s.pieces().front()), pcm);
    return std::span(pcm).first(n.value_or(0));
  }
};

std::unique_ptr<Stream> stream(const playout::Format& f) {
  return std::move(Stream::make(stream_format(f, 20), 5, 0, History{}, Stream::Decoder::fresh)).value();
}

struct Error {
  double noise = 0, signal = 0;
  void add(std::span<const int16_t> heard, std::span<const int16_t> wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double e = static_cast<double>(heard[i]) - wanted[i];
      noise += e * e;
      signal += static_cast<double>(wanted[i]) * wanted[i];
    }
  }
  double db() const { return 10 * std::log10((noise + 1) / (signal + 1)); }
};

constexpr size_t before = 50;   // frames: a second in which all come to be as they are
constexpr size_t measured = 5;  // frames behind the change

/// The other side of a talker hears one stream until it talks, then another; against an encoder that had
/// coded all of it.
double going(const playout::Format& f, bool twin) {
  const Voices v;
  Error error;
  for (size_t t = 60; t + 20 < v.frames(); t += 61) {
    auto shared = stream(f);
    auto ideal = stream(f);
    Listener hears(f), hears_ideal(f);
    History history;
    for (size_t i = t - before; i < t; ++i) {
      const Frame both = frame_of(v.both, i);
      history.push((i + before - t) * frame_samples, both);
      shared->feed(both);
      ideal->feed(both);
      hears.hear(*shared);
      hears_ideal.hear(*ideal);
    }
    auto own = twin ? std::move(shared->twin(before * frame_samples, history)).value() : stream(f);
    for (size_t i = t; i < t + measured; ++i) {
      own->feed(frame_of(v.one, i));
      ideal->feed(frame_of(v.one, i));
      error.add(hears.hear(*own), hears_ideal.hear(*ideal));
    }
  }
  return error.db();
}

/// Back to everybody's stream `ticks` after both have the same sound; against one that stayed.
double coming_back(const playout::Format& f, size_t ticks) {
  const Voices v;
  Error error;
  for (size_t t = 60; t + ticks + 20 < v.frames(); t += 61) {
    auto shared = stream(f);
    auto own = stream(f);
    Listener hears(f), stays(f);
    for (size_t i = t - before; i < t + ticks; ++i) {
      shared->feed(frame_of(i < t ? v.both : v.one, i));
      own->feed(frame_of(v.one, i));
      hears.hear(*own);
      stays.hear(*own);
    }
    for (size_t i = t + ticks; i < t + ticks + measured; ++i) {
      shared->feed(frame_of(v.one, i));
      own->feed(frame_of(v.one, i));
      error.add(hears.hear(*shared), stays.hear(*own));
    }
  }
  return error.db();
}

TEST(Passage, ATwinIsNotHeard) {
  for (const playout::Format& f : {pcmu(), l16(48000), g722(), opus(), opus("useinbandfec=1")}) {
    EXPECT_LT(going(f, true), -60) << f.name;
    EXPECT_GT(going(f, false), f.name == "G722" || f.name == "opus" ? -12 : -60)
        << f.name << ": a stranger is";
  }
}

#ifdef TANDEM_G729
TEST(Passage, WithoutATwinHistoryDoes) {
  // Two encoders of G.729 with different pasts differ by -11 dB for ever and sound alike.
  EXPECT_LT(going(g729(), true), -7);
  EXPECT_GT(going(g729(), false), -4);
}
#endif

TEST(Passage, BackAfterAWhileIsNotHeard) {
  constexpr size_t settled = 12;
  EXPECT_LT(coming_back(pcmu(), 1), -60);
  EXPECT_LT(coming_back(g722(), settled), -16);
  EXPECT_GT(coming_back(g722(), 0), coming_back(g722(), settled) + 4);
  for (const playout::Format& f : {opus(), opus("useinbandfec=1")}) {
    EXPECT_LT(coming_back(f, settled), -9) << f.fmtp;
    EXPECT_GT(coming_back(f, 0), coming_back(f, settled) + 2) << f.fmtp;
  }
#ifdef TANDEM_G729
  EXPECT_LT(coming_back(g729(), settled), -8);
#endif
}

/// What is left of sound when one tone is taken out of every 20 ms: the most, dBm0.
double worst_residue(std::span<const int16_t> sound, double hertz) {
  double worst = -100;
  for (size_t at = 0; at + frame_samples <= sound.size(); at += frame_samples / 2) {
    double cc = 0, ss = 0, cs = 0, xc = 0, xs = 0, xx = 0;
    for (size_t i = 0; i < frame_samples && at + i < sound.size(); ++i) {
      const double w = 2 * std::numbers::pi * hertz * static_cast<double>(i) / audio_rate;
      const double c = std::cos(w), s = std::sin(w), x = sound[at + i];
      cc += c * c;
      ss += s * s;
      cs += c * s;
      xc += x * c;
      xs += x * s;
      xx += x * x;
    }
    const double det = cc * ss - cs * cs;
    const double a = (xc * ss - xs * cs) / det, b = (xs * cc - xc * cs) / det;
    const double left = std::max(xx - a * xc - b * xs, 1e-6) / frame_samples;
    worst = std::max(worst, 10 * std::log10(2 * left) - 20 * std::log10(22828.0));
  }
  return worst;
}

TEST(Passage, WhoBeginsAndStopsTalkingHearsTheOtherAllTheWhile) {
  struct Case {
    playout::Format format;
    double most;  // of what is not the other's tone of -20 dBm0
  };
  for (const auto& [format, most] :
       {Case{pcmu(), -52}, Case{l16(16000), -60}, Case{g722(), -40}, Case{opus(), -38}}) {
    Conference c;
    Phone& steady = c.join(l16(16000));
    Phone& hears = c.join(format);
    c.join(format);  // who shares the stream
    steady.says = tone(1000);
    c.run(2000);
    hears.heard.clear();
    c.run(1000);
    const double unchanged = worst_residue(hears.heard, 1000);
    hears.heard.clear();
    for (int i = 0; i < 4; ++i) {
      hears.says = tone(620, -15);
      c.run(700 + 60 * static_cast<uint32_t>(i));
      if (i % 2 == 0) {
        hears.says = silence();
      } else {  // in the middle of a word
        ASSERT_TRUE(c.mixer.mute(hears.id, true).ok());
      }
      c.run(4000);
      ASSERT_TRUE(c.mixer.mute(hears.id, false).ok());
    }
    EXPECT_GT(c.mixer.counts().own_encodes, 100u);
    EXPECT_EQ(c.mixer.counts().abrupt, 0u);
    EXPECT_LT(worst_residue(hears.heard, 1000), most) << format.name << ", and without changes " << unchanged;
    EXPECT_LT(hears.hears(620, 400), -45);
  }
}

TEST(Passage, TheWayBackWaitsForAPause) {
  Conference c;
  Phone& other = c.join(l16(16000));
  Phone& talker = c.join(g722());
  c.join(g722());
  talker.says = tone(620);
  const auto own_after_mute = [&](const Voice& meanwhile) {
    other.says = tone(1000);
    c.run(1000);
    (void)c.mixer.mute(talker.id, true);
    other.says = meanwhile;
    const uint64_t encoded = c.mixer.counts(c.now, talker.id)->own_encodes;
    c.run(4000);
    (void)c.mixer.mute(talker.id, false);
    return c.mixer.counts(c.now, talker.id)->own_encodes - encoded;
  };
  EXPECT_NEAR(static_cast<double>(own_after_mute(tone(1000))), 152, 3) << "three seconds, and the fade";
  EXPECT_NEAR(static_cast<double>(own_after_mute(silence())), 15, 3) << "240 ms, and the fade";
}

/// The sharpest bend: the largest second difference.
int sharpest(std::span<const int16_t> sound) {
  int most = 0;
  for (size_t i = 2; i < sound.size(); ++i)
    most = std::max(most, std::abs(sound[i] - 2 * sound[i - 1] + sound[i - 2]));
  return most;
}

TEST(Passage, NobodyComesOrGoesWithAClick) {
  Conference c;
  Phone& listener = c.join(l16(16000));
  const double w = 2 * std::numbers::pi * 300 / audio_rate;
  const double bend = 22828 * std::pow(10, -10 / 20.0) * w * w;  // of the tone itself
  for (int i = 0; i < 5; ++i) {
    Phone& talker = c.join(l16(16000));
    talker.says = tone(300, -10);
    c.run(500 + 20 * static_cast<uint32_t>(i));
    EXPECT_NEAR(listener.hears(300, 200), -10, 0.5);
    EXPECT_TRUE(c.mixer.leave(talker.id).ok());
    c.phones.pop_back();
    c.run(500);
    EXPECT_LT(listener.hears(300, 200), -60);
  }
  EXPECT_LT(sharpest(listener.heard), 2.5 * bend);
  EXPECT_FALSE(c.mixer.leave(c.phones.back()->id).ok() && c.mixer.leave(c.phones.back()->id).ok());
}

TEST(Passage, WhoJoinsWhileOthersTalkIsNotStartled) {
  for (const playout::Format& f : {pcmu(), g722(), opus()}) {
    Conference c;
    c.join(f).says = tone(1000, -12);
    c.join(f);
    c.run(2000);
    Phone& late = c.join(f);
    c.run(500);
    int peak = 0;
    for (const int16_t s : late.heard) peak = std::max(peak, std::abs(s));
    EXPECT_LT(peak, 22828 * std::pow(10, -12 / 20.0) * 1.25) << f.name;
    EXPECT_NEAR(late.hears(1000, 200), -12, 1) << f.name;
  }
}

}  // namespace
}  // namespace tandem::mixer
