// Recordings: what a leg says and hears, on one line of time, whatever codecs its calls use.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "codec/codec.h"
#include "codec/goertzel.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

/// Keeps what it is given; what nobody hands over is silence.
struct FakeRecorder final : port::Recorder {
  struct Tape {
    port::RecordingOrder order;
    std::array<std::vector<int16_t>, 2> sides;
    std::vector<std::pair<uint64_t, bool>> pauses;
  };
  std::map<port::RecordingId, Tape> tapes;
  bool full = false;

  port::RecordingId open(const port::RecordingOrder& order) override {
    if (full) return 0;
    const port::RecordingId id = tapes.size() + 1;
    tapes[id].order = order;
    return id;
  }
  void append(port::RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples) override {
    auto& tape = tapes.at(id).sides.at(side);
    if (tape.size() < at + samples.size()) tape.resize(at + samples.size());
    std::copy(samples.begin(), samples.end(), tape.begin() + static_cast<ptrdiff_t>(at));
  }
  void pause(port::RecordingId id, uint64_t at) override { tapes.at(id).pauses.emplace_back(at, true); }
  void resume(port::RecordingId id, uint64_t at) override { tapes.at(id).pauses.emplace_back(at, false); }
};

/// Sends a tone in G.711 mu-law or another codec.
struct Talker {
  Talker(const char* name, uint32_t clock, uint8_t type, double tone, SocketAddress from, uint32_t ssrc)
      : encoder(std::move(codec::make_encoder({name, clock, channels_of(clock), ""}, {8000, 5})).value()),
        hertz(tone),
        ticks(clock / 50),
        voice{from, ssrc} {
    voice.payload_type = type;
  }
  static uint8_t channels_of(uint32_t clock) { return clock == 48000 ? 2 : 1; }  // Opus says two always
  std::vector<uint8_t> packet() {
    const auto& shape = encoder->shape();
    std::vector<int16_t> sound(codec::samples_in(shape, 20));
    for (int16_t& s : sound) {
      s = static_cast<int16_t>(8000 * std::sin(phase));
      phase += 2 * 3.14159265358979 * hertz / shape.audio_rate;
    }
    std::vector<uint8_t> payload(codec::largest_payload);
    const auto said = encoder->encode(sound, payload);
    const uint32_t at = voice.timestamp;
    auto bytes = voice.packet(said->octets);
    voice.timestamp = at + ticks;
    std::copy_n(payload.begin(), said->octets, bytes.begin() + 12);
    return bytes;
  }
  std::unique_ptr<codec::Encoder> encoder;
  double hertz, phase = 0;
  uint32_t ticks;  // of the clock in a packet
  Voice voice;
};

struct Taps : ::testing::Test {
  FakeRecorder recorder;
  World w;
  Taps() { w.engine->use(recorder); }

  void talk(Talker& a, uint16_t a_port, Talker& b, uint16_t b_port, int packets) {
    for (int i = 0; i < packets; ++i) {
      w.receive(a.voice.from, a_port, a.packet());
      w.receive(b.voice.from, b_port, b.packet());
      w.pass(milliseconds(20));
    }
  }
  static double level(const std::vector<int16_t>& tape, double hertz, double from = 0.3,
                      double length = 0.6) {
    const auto at = [](double s) { return static_cast<size_t>(s * port::sound_rate); };
    if (tape.size() < at(from + length)) return -99;
    std::vector<int16_t> half;  // the measure is for 8 kHz
    for (size_t i = at(from); i < at(from + length); i += 2) half.push_back(tape[i]);
    return codec::tone_level(half, hertz);
  }
};

TEST_F(Taps, EachSideHasItsOwnChannel) {
  EndpointConfig config;
  config.transcode = true;
  config.codecs = {"PCMU", "G722"};
  for (const bool coded : {false, true}) {
    Call c = coded ? establish(w, phone_sdp("10.0.0.1:4000", "0"), phone_sdp("10.0.0.2:5000", "9"), config)
                   : establish(w, phone_sdp("10.0.0.1:4000", "0"), phone_sdp("10.0.0.2:5000", "0"), config);
    Talker a("PCMU", 8000, 0, 700, c.voice_a.from, 0xA);
    Talker b(coded ? "G722" : "PCMU", 8000, coded ? 9 : 0, 1300, c.voice_b.from, 0xB);
    const auto id = w.engine->record(w.now, c.a, {});
    ASSERT_TRUE(id.ok());
    talk(a, c.a_port, b, c.b_port, 60);
    const auto& tape = recorder.tapes.at(*id);
    SCOPED_TRACE(coded ? "two codecs" : "one codec");
    EXPECT_GT(level(tape.sides[0], 700), -16);
    EXPECT_LT(level(tape.sides[0], 1300), -45);
    EXPECT_GT(level(tape.sides[1], 1300), -16);
    EXPECT_LT(level(tape.sides[1], 700), -45);
    EXPECT_EQ(w.engine->stop_recording(c.a)->position, 60u * 320);
    EXPECT_FALSE(w.engine->recording(c.a));
    w.engine->close(w.now, c.a);
    w.engine->close(w.now, c.b);
  }
}

TEST_F(Taps, ACodecOfAnotherClockThanTheFirstIsHeard) {
  const std::string opus = "a=rtpmap:96 opus/48000/2\r\n";
  Call c = establish(w, phone_sdp("10.0.0.1:4000", "96 0 101", opus),
                     phone_sdp("10.0.0.2:5000", "96 0 101", opus));
  Talker a("PCMU", 8000, 0, 700, c.voice_a.from, 0xA), b("opus", 48000, 96, 1300, c.voice_b.from, 0xB);
  const auto id = w.engine->record(w.now, c.a, {});
  ASSERT_TRUE(id.ok());
  talk(a, c.a_port, b, c.b_port, 60);
  const auto& tape = recorder.tapes.at(*id);
  EXPECT_GT(level(tape.sides[0], 700), -16);
  EXPECT_GT(level(tape.sides[1], 1300), -16);
  // Both change over to what the other spoke.
  Talker then_a("opus", 48000, 96, 900, c.voice_a.from, 0xA);
  Talker then_b("PCMU", 8000, 0, 1100, c.voice_b.from, 0xB);
  then_a.voice.sequence = a.voice.sequence;
  then_b.voice.sequence = b.voice.sequence;
  talk(then_a, c.a_port, then_b, c.b_port, 60);
  EXPECT_GT(level(tape.sides[0], 900, 1.5), -16);
  EXPECT_LT(level(tape.sides[0], 700, 1.5), -30);
  EXPECT_GT(level(tape.sides[1], 1100, 1.5), -16);
  EXPECT_LT(level(tape.sides[1], 1300, 1.5), -30);
  // And back, whose players are there already.
  a.voice.sequence = then_a.voice.sequence;
  b.voice.sequence = then_b.voice.sequence;
  talk(a, c.a_port, b, c.b_port, 60);
  EXPECT_GT(level(tape.sides[0], 700, 2.7), -16);
  EXPECT_GT(level(tape.sides[1], 1300, 2.7), -16);
  EXPECT_EQ(w.engine->recording(c.a)->position, 180u * 320);
}

TEST_F(Taps, WhatWePlayIsHeardToo) {
  Call c = establish(w, phone_sdp("10.0.0.1:4000", "8"), phone_sdp("10.0.0.2:5000", "8"));
  const auto id = w.engine->record(w.now, c.b, {});
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::steady(900, -12)));
  w.pass(seconds(1));
  EXPECT_NEAR(level(recorder.tapes.at(*id).sides[1], 900), -12, 1);
  EXPECT_LT(level(recorder.tapes.at(*id).sides[0], 900), -60);
}

TEST_F(Taps, APauseIsToldAndNothingOfItIsKept) {
  Call c = establish(w);
  Talker a("PCMU", 8000, 0, 700, c.voice_a.from, 0xA), b("PCMU", 8000, 0, 1300, c.voice_b.from, 0xB);
  const auto id = w.engine->record(w.now, c.a, {});
  talk(a, c.a_port, b, c.b_port, 60);
  w.engine->pause_recording(c.a, true);
  const size_t kept = recorder.tapes.at(*id).sides[0].size();
  talk(a, c.a_port, b, c.b_port, 50);
  EXPECT_EQ(recorder.tapes.at(*id).sides[0].size(), kept);
  w.engine->pause_recording(c.a, false);
  talk(a, c.a_port, b, c.b_port, 60);
  const std::vector<std::pair<uint64_t, bool>> pauses{{60 * 320, true}, {110 * 320, false}};
  EXPECT_EQ(recorder.tapes.at(*id).pauses, pauses);
  EXPECT_GT(level(recorder.tapes.at(*id).sides[0], 700, 2.5), -16);
}

TEST_F(Taps, ThePathOfThePacketsIsUntouched) {
  Call c = establish(w);
  Talker a("PCMU", 8000, 0, 700, c.voice_a.from, 0xA), b("PCMU", 8000, 0, 1300, c.voice_b.from, 0xB);
  (void)w.engine->record(w.now, c.a, {}).ok();
  auto packet = a.packet();
  w.receive(c.voice_a.from, c.a_port, packet);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].bytes, packet);
}

TEST_F(Taps, WhatCannotBeRecordedIsAReason) {
  Call c = establish(w);
  ASSERT_TRUE(w.engine->record(w.now, c.a, {}).ok());
  EXPECT_EQ(w.engine->record(w.now, c.a, {}).reason(), Reason::not_recorded) << "already";
  recorder.full = true;
  EXPECT_EQ(w.engine->record(w.now, c.b, {}).reason(), Reason::not_recorded);
  const EndpointId fresh = w.engine->open({}).value();
  EXPECT_EQ(w.engine->record(w.now, fresh, {}).reason(), Reason::no_remote);
}

TEST_F(Taps, AfterASleepBothSidesAreStillWhereTheyBelong) {
  Call c = establish(w);
  Talker a("PCMU", 8000, 0, 700, c.voice_a.from, 0xA), b("PCMU", 8000, 0, 1300, c.voice_b.from, 0xB);
  const auto id = w.engine->record(w.now, c.a, {});
  talk(a, c.a_port, b, c.b_port, 10);
  w.now.mono = w.now.mono + seconds(20);
  for (Talker* t : {&a, &b}) t->voice.timestamp += 20 * 8000;
  port::MediaOut out;
  w.engine->on_timeout(w.now, out);
  talk(a, c.a_port, b, c.b_port, 60);
  EXPECT_NEAR(static_cast<double>(w.engine->recording(c.a)->position), 21.4 * port::sound_rate, 640);
  EXPECT_GT(level(recorder.tapes.at(*id).sides[0], 700, 20.6), -16);
}

}  // namespace
}  // namespace tandem::media
