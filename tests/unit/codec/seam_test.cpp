// The seam: what formats give, what bad input does, what each codec promises beside its sound.
#include <gtest/gtest.h>

#include <array>

#include "base/rng.h"
#include "codec/codec.h"
#include "codec/goertzel.h"
#include "codec/resampler.h"
#include "speech.h"

namespace tandem::codec {
namespace {
using namespace testing;

TEST(Factory, KnowsEveryFormat) {
  EXPECT_EQ(make_encoder({"pcmu", 8000}).value()->shape(), (Shape{"PCMU", 8000, 8000, 1, 125}));
  EXPECT_EQ(make_decoder({"PCMA", 8000}).value()->shape(), (Shape{"PCMA", 8000, 8000, 1, 125}));
  EXPECT_EQ(make_encoder({"G722", 8000}).value()->shape(), (Shape{"G722", 8000, 16000, 1, 125}));
  EXPECT_EQ(make_encoder({"G722", 8000}, {8000}).value()->shape(), (Shape{"G722", 8000, 8000, 1, 125}));
  EXPECT_EQ(make_decoder({"G722", 8000}, {48000}).value()->shape(), (Shape{"G722", 8000, 16000, 1, 125}));
  EXPECT_EQ(make_decoder({"OPUS", 48000, 2}).value()->shape(), (Shape{"opus", 48000, 48000, 1, 2500}));
  EXPECT_EQ(make_encoder({"L16", 44100, 2}).value()->shape(), (Shape{"L16", 44100, 44100, 2, 22}));
}

TEST(Factory, SaysWhyNot) {
  EXPECT_EQ(make_encoder({"iLBC", 8000}).reason(), FormatReason::unknown_name);
  EXPECT_EQ(make_encoder({"", 8000}).reason(), FormatReason::unknown_name);
  EXPECT_EQ(make_decoder({"G722", 16000}).reason(), FormatReason::bad_rate);
  EXPECT_EQ(make_decoder({"L16", 11111}).reason(), FormatReason::bad_rate);
  EXPECT_EQ(make_decoder({"PCMU", 8000, 2}).reason(), FormatReason::bad_channels);
  EXPECT_EQ(make_decoder({"L16", 8000, 0}).reason(), FormatReason::bad_channels);
  EXPECT_EQ(make_decoder({"opus", 48000, 1}).reason(), FormatReason::bad_channels);
  for (const char* fmtp : {"stereo=2", "maxplaybackrate=7999", "maxplaybackrate=99999999999",
                           "usedtx=", "cbr=yes", "maxaveragebitrate=5000"})
    EXPECT_EQ(make_encoder({"opus", 48000, 2, fmtp}).reason(), FormatReason::bad_parameter) << fmtp;
}

TEST(Factory, OpusRunsAtTheNarrowestRate) {
  const auto rate = [](const char* fmtp, uint32_t audio) {
    return make_encoder({"opus", 48000, 2, fmtp}, {audio}).value()->shape().audio_rate;
  };
  EXPECT_EQ(rate("", 8000), 8000U);
  EXPECT_EQ(rate("", 16000), 16000U);
  EXPECT_EQ(rate("", 32000), 48000U);
  EXPECT_EQ(rate("", 0), 48000U);
  EXPECT_EQ(rate("maxplaybackrate=16000", 48000), 16000U);
  EXPECT_EQ(rate("maxplaybackrate=12000; stereo=1", 48000), 16000U);
  EXPECT_EQ(make_encoder({"opus", 48000, 2, "useinbandfec=1; Stereo = 1"}).value()->shape().channels, 2);
  EXPECT_EQ(make_decoder({"opus", 48000, 2, "stereo=1;unknown"}).value()->shape().channels, 1);
  EXPECT_EQ(make_decoder({"opus", 48000, 2, "sprop-stereo=1;sprop-maxcapturerate=8000"}).value()->shape(),
            (Shape{"opus", 48000, 8000, 2, 2500}));
}

TEST(Refusals, LengthsThatCannotBe) {
  std::array<int16_t, 12000> pcm{};
  std::array<uint8_t, largest_payload> bytes{};
  const auto sent = [&](const Format& f, size_t samples, size_t room = largest_payload) {
    return make_encoder(f)
        .value()
        ->encode(std::span(pcm).first(samples), std::span(bytes).first(room))
        .reason();
  };
  const auto heard = [&](const Format& f, size_t octets, size_t room = 12000) {
    return make_decoder(f)
        .value()
        ->decode(std::span(bytes).first(octets), std::span(pcm).first(room))
        .reason();
  };
  for (const Format& f :
       {Format{"PCMU", 8000}, Format{"G722", 8000}, Format{"opus", 48000, 2}, Format{"L16", 8000}}) {
    EXPECT_EQ(sent(f, 0), Reason::empty);
    EXPECT_EQ(heard(f, 0), Reason::empty);
  }
  EXPECT_EQ(sent({"PCMU", 8000}, 961), Reason::too_long);
  EXPECT_EQ(sent({"PCMU", 8000}, 160, 159), Reason::too_long);
  EXPECT_EQ(heard({"PCMA", 8000}, 961), Reason::too_long);
  EXPECT_EQ(heard({"PCMA", 8000}, 160, 159), Reason::too_long);
  EXPECT_EQ(sent({"G722", 8000}, 321), Reason::bad_length);
  EXPECT_EQ(heard({"G722", 8000}, 961), Reason::too_long);
  EXPECT_EQ(heard({"G722", 8000}, 160, 319), Reason::too_long);
  EXPECT_EQ(heard({"L16", 8000}, 3), Reason::bad_length);
  EXPECT_EQ(heard({"L16", 8000, 2}, 6), Reason::bad_length);
  EXPECT_EQ(sent({"L16", 8000, 2}, 3), Reason::bad_length);
  EXPECT_EQ(sent({"opus", 48000, 2}, 961), Reason::bad_length);
  EXPECT_EQ(sent({"opus", 48000, 2}, 960, 0), Reason::too_long);
  EXPECT_EQ(heard({"opus", 48000, 2}, 1, 10), Reason::too_long);
  bytes[0] = 3;  // code 3 without the octet that says how many frames
  EXPECT_EQ(heard({"opus", 48000, 2}, 1), Reason::corrupt);
}

TEST(Reset, MakesADecoderNew) {
  for (const Format& f :
       {Format{"PCMU", 8000}, Format{"G722", 8000}, Format{"opus", 48000, 2}, Format{"L16", 8000}}) {
    const auto e = make_encoder(f, {16000}).value()->shape();
    const auto d = std::move(make_decoder(f, {16000})).value();
    SeededRng rng(7);
    Octets payload(f.name == "opus" ? 40 : 160);
    rng.fill(payload);
    payload[0] = 0x48;  // of Opus: SILK wideband, 20 ms, mono, one frame
    Samples first(samples_in(e, longest_payload_ms)), again(first.size());
    ASSERT_TRUE(d->decode(payload, first)) << f.name;
    d->decode_lost(std::span(again).first(320));
    d->reset();
    std::fill(again.begin(), again.end(), int16_t{0});
    ASSERT_TRUE(d->decode(payload, again));
    EXPECT_EQ(first, again) << f.name;
  }
}

TEST(G729, PayloadsHoldWhatIsContinuous) {
  if (!make_encoder({"G729", 8000})) return;  // left out of this build on purpose
  EXPECT_EQ(make_encoder({"G729", 8000, 1, "annexb=maybe"}).reason(), FormatReason::bad_parameter);
  const auto with = std::move(make_encoder({"G729", 8000})).value();
  const auto without = std::move(make_encoder({"G729", 8000, 1, "annexb=no"})).value();
  const auto d = std::move(make_decoder({"G729", 8000})).value();
  Samples said = speech(8000);
  said.insert(said.end(), 16000, 3);  // two seconds of next to nothing
  Octets payload(20);
  Samples heard(960);
  size_t silent = 0, late = 0, noise = 0;
  for (size_t at = 0; at + 160 <= said.size(); at += 160) {
    const auto frame = std::span(said).subspan(at, 160);
    EXPECT_EQ(without->encode(frame, payload).value().octets, 20U);
    const Encoded made = with->encode(frame, payload).value();
    ASSERT_EQ(made.skipped % 80, 0U);
    ASSERT_LE(made.octets + made.skipped / 8, 20U);
    silent += made.octets == 0 ? 1 : 0;
    late += made.skipped > 0 ? 1 : 0;
    noise += made.octets % 10 == 2 ? 1 : 0;
    if (made.octets > 0) {
      const auto n = d->decode(std::span(payload).first(made.octets), heard);
      ASSERT_TRUE(n);
      ASSERT_EQ(*n, (made.octets + 8) / 10 * 80);
    }
  }
  EXPECT_GT(silent, 50U);
  EXPECT_GT(noise, 0U);
  EXPECT_GT(late, 0U);
  for (const size_t octets : {1, 3, 11, 14, 121, 132})
    EXPECT_FALSE(d->decode(Octets(octets), heard)) << octets;
}

TEST(G729, GoesOnWithComfortNoiseAfterADescriptor) {
  if (!make_encoder({"G729", 8000})) return;  // left out of this build on purpose
  const auto e = std::move(make_encoder({"G729", 8000})).value();
  const auto d = std::move(make_decoder({"G729", 8000})).value();
  SeededRng rng(9);
  Samples frame(80), heard(80);
  Octets payload(10);
  bool silent = false;
  for (int i = 0; i < 600; ++i) {
    for (int16_t& s : frame) s = static_cast<int16_t>(static_cast<int>(rng.below(801)) - 400);
    const Encoded made = e->encode(frame, payload).value();
    silent = made.octets <= 2;
    if (made.octets > 0) {
      ASSERT_TRUE(d->decode(std::span(payload).first(made.octets), heard));
    } else {
      d->decode_lost(heard);
    }
  }
  ASSERT_TRUE(silent) << "steady noise was never taken for background";
  double energy = 0;
  for (int i = 0; i < 100; ++i) {
    d->decode_lost(heard);
    for (const int16_t s : heard) energy += static_cast<double>(s) * s;
  }
  EXPECT_NEAR(20 * std::log10(std::sqrt(energy / 8000) / 231), 0, 6) << "dB beside the noise itself";
}

TEST(Opus, SaysNothingInSilenceWhenAskedTo) {
  const auto e = std::move(make_encoder({"opus", 48000, 2, "usedtx=1"}, {16000})).value();
  const Samples silence(320);
  Octets payload(1500);
  size_t unsent = 0;
  for (int i = 0; i < 100; ++i) unsent += e->encode(silence, payload).value().octets == 0 ? 1 : 0;
  EXPECT_GT(unsent, 60U);
}

TEST(Opus, ObeysBitRateAndStereo) {
  const auto octets = [](const char* fmtp, uint8_t channels) {
    const auto e = std::move(make_encoder({"opus", 48000, 2, fmtp}, {16000})).value();
    EXPECT_EQ(e->shape().channels, channels);
    e->set_complexity(0);
    const Samples& said = speech(16000);
    Octets payload(1500);
    size_t sum = 0;
    for (size_t at = 0; at + 640 <= 64000; at += 320u * channels)
      sum += e->encode(std::span(said).subspan(at, 320u * channels), payload).value().octets;
    return sum;
  };
  EXPECT_EQ(octets("maxaveragebitrate=12000;cbr=1", 1), 199U * 30);
  EXPECT_GT(octets("", 1), 199U * 40);
  EXPECT_GT(octets("stereo=1", 2), 0U);
}

TEST(Opus, LeftAndRightStayApart) {
  const auto e = std::move(make_encoder({"opus", 48000, 2, "stereo=1"})).value();
  const auto d = std::move(make_decoder({"opus", 48000, 2, "sprop-stereo=1"})).value();
  ASSERT_EQ(e->shape().channels, 2);
  ASSERT_EQ(d->shape(), e->shape());
  constexpr double hertz[] = {440, 1000};
  const uint32_t rate = e->shape().audio_rate;
  Samples both(samples_in(e->shape(), 20)), heard(samples_in(e->shape(), longest_payload_ms)), side[2];
  std::vector<uint8_t> payload(largest_payload);
  for (size_t n = 0, at = 0; n < 100; ++n) {
    for (size_t i = 0; i < both.size(); i += 2, ++at)
      for (size_t c = 0; c < 2; ++c)
        both[i + c] =
            static_cast<int16_t>(8000 * std::sin(2 * M_PI * hertz[c] * static_cast<double>(at) / rate));
    const auto octets = e->encode(both, payload)->octets;
    EXPECT_NE(payload[0] & 0x04, 0) << "the TOC says stereo (RFC 6716 section 3.1)";
    ASSERT_EQ(d->decode(Bytes(payload).first(octets), heard).value(), both.size());
    for (size_t i = 0; n >= 50 && i < both.size(); ++i) side[i % 2].push_back(heard[i]);
  }
  // tone_level measures at 8 kHz.
  const auto down = [&](const Samples& s) {
    const auto r = Resampler::make(rate, 8000);
    Samples narrow(r->room_for(s.size()));
    narrow.resize(r->process(s, narrow));
    return narrow;
  };
  for (const size_t c : {0, 1}) {
    const Samples narrow = down(side[c]);
    const auto steady = std::span(narrow).subspan(800, 4000);
    const double own = tone_level(steady, hertz[c]);
    EXPECT_GT(own, -16) << c;
    EXPECT_LT(tone_level(steady, hertz[1 - c]), own - 30) << c;
  }
}

TEST(L16, IsNetworkOrder) {
  const std::array<int16_t, 2> pcm = {0x1234, -2};
  std::array<uint8_t, 4> bytes{};
  ASSERT_EQ(make_encoder({"L16", 48000, 2}).value()->encode(pcm, bytes).value().octets, 4U);
  EXPECT_EQ(bytes, (std::array<uint8_t, 4>{0x12, 0x34, 0xFF, 0xFE}));
}

TEST(Encoders, ATwinGoesOnAsTheOtherDoes) {
  for (const Format& f : {Format{"PCMU", 8000},
                          {"PCMA", 8000},
                          {"G722", 8000},
                          {"L16", 16000, 2},
                          {"opus", 48000, 2},
                          {"opus", 48000, 2, "useinbandfec=1;stereo=1"}}) {
    const auto e = std::move(make_encoder(f, {16000, 5})).value();
    const size_t frame = samples_in(e->shape(), 20);
    std::vector<int16_t> pcm(frame);
    const auto fill = [&](size_t n) {
      for (size_t i = 0; i < frame; ++i)
        pcm[i] = static_cast<int16_t>(9000 * std::sin(0.03 * static_cast<double>((n * frame + i) % 7919)));
    };
    std::vector<uint8_t> one(largest_payload), two(largest_payload);
    for (size_t n = 0; n < 40; ++n) {
      fill(n);
      ASSERT_TRUE(e->encode(pcm, one).ok());
    }
    const auto fresh = std::move(make_encoder(f, {16000, 5})).value();
    const auto t = e->twin();
    ASSERT_TRUE(t) << f.name;
    EXPECT_EQ(t->shape(), e->shape());
    bool as_fresh = true;
    for (size_t n = 40; n < 60; ++n) {
      fill(n);
      const size_t octets = e->encode(pcm, one)->octets;
      ASSERT_EQ(t->encode(pcm, two)->octets, octets) << f.name << " " << n;
      ASSERT_TRUE(std::equal(one.begin(), one.begin() + static_cast<ptrdiff_t>(octets), two.begin()))
          << f.name;
      as_fresh &= fresh->encode(pcm, two)->octets == octets &&
                  std::equal(one.begin(), one.begin() + static_cast<ptrdiff_t>(octets), two.begin());
    }
    EXPECT_EQ(as_fresh, f.name != "G722" && f.name != "opus") << f.name << ": a state worth a twin";
  }
  const auto g729 = make_encoder({"G729", 8000});
  EXPECT_FALSE(g729.ok() && (*g729)->twin());
}

}  // namespace
}  // namespace tandem::codec
