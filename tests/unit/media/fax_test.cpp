// Faxes: T.38 takes the place of sound and gives it back; modems through a bridge keep their timing.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <set>

#include "codec/g711.h"
#include "media/fax_ear.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

std::string t38_sdp(const std::string& address) {
  const SocketAddress a = at(address);
  return "v=0\r\no=fax 1 2 IN IP4 " + a.ip.to_string() + "\r\ns=-\r\nc=IN IP4 " + a.ip.to_string() +
         "\r\nt=0 0\r\nm=image " + std::to_string(a.port) +
         " udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";
}

/// UDPTL that looks like RTP, like RTCP, like STUN: whatever it is, it is not read.
const std::vector<std::vector<uint8_t>> datagrams = {{0x80, 0x01, 0x01, 0xC0, 0, 0},
                                                     {0x80, 0xC8, 0x01, 0xC0, 0, 0, 0, 0, 0, 0},
                                                     {0x00, 0x02, 0x01, 0xC0, 0, 0},
                                                     {0x80, 0x03}};

struct Fax : ::testing::Test {
  World w;
  Call c = establish(w);
  void reinvite(const std::string& offer, const std::string& answer) {
    ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(offer), SdpRole::offer));
    c.to_b = w.engine->present(w.now, c.b, parsed(offer), SdpRole::offer, c.a).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, c.b, parsed(answer), SdpRole::answer));
    c.to_a = w.engine->present(w.now, c.a, parsed(answer), SdpRole::answer, c.b).value();
    c.a_port = w.port_of(c.to_a), c.b_port = w.port_of(c.to_b);
  }
  void exchange(const SocketAddress& from_a, const SocketAddress& from_b) {
    for (const auto& bytes : datagrams) {
      w.receive(from_a, c.a_port, bytes);
      w.receive(from_b, c.b_port, bytes);
    }
  }
};

TEST_F(Fax, SoundBecomesT38AndSoundAgain) {
  w.talk(c.voice_a, c.a_port, 5), w.talk(c.voice_b, c.b_port, 5);
  w.take_sent();
  reinvite(t38_sdp("10.0.0.1:4000"), t38_sdp("10.0.0.2:5000"));
  EXPECT_NE(c.to_b.find("m=image " + std::to_string(c.b_port) + " udptl t38"), std::string::npos) << c.to_b;
  EXPECT_NE(c.to_b.find("a=T38FaxUdpEC:t38UDPRedundancy"), std::string::npos);
  const uint64_t malformed = w.engine->statistics(c.a).malformed_dropped;
  exchange(c.voice_a.from, c.voice_b.from);
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 2 * datagrams.size());
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].bytes, datagrams[i / 2]) << "as it came";
    EXPECT_EQ(sent[i].to, i % 2 == 0 ? c.voice_b.from : c.voice_a.from);
  }
  EXPECT_EQ(w.engine->statistics(c.a).malformed_dropped, malformed);
  EXPECT_EQ(w.engine->statistics(c.a).packets_lost, 0);
  reinvite(phone_sdp("10.0.0.1:4000"), phone_sdp("10.0.0.2:5000"));
  w.talk(c.voice_a, c.a_port, 3), w.talk(c.voice_b, c.b_port, 3);
  EXPECT_EQ(w.take_sent().size(), 6u);
}

TEST_F(Fax, BehindANatTheSourceIsLearned) {
  reinvite(t38_sdp("10.0.0.1:4010"), t38_sdp("10.0.0.2:5010"));  // other sockets than the sound's
  exchange(at("10.0.0.1:40999"), at("10.0.0.2:5010"));           // A's router chose a port of its own
  w.take_sent();
  w.receive(at("10.0.0.2:5010"), c.b_port, datagrams[0]);
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, at("10.0.0.1:40999"));
  w.receive(at("203.0.113.66:9"), c.a_port, datagrams[0]);
  EXPECT_TRUE(w.take_sent().empty()) << "a stranger";
}

TEST_F(Fax, WhoCannotSaysPortNullAndTheSoundGoesOn) {
  const std::string refusal =
      "v=0\r\no=phone 1 2 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=image 0 udptl t38\r\n";
  reinvite(t38_sdp("10.0.0.1:4000"), refusal);
  EXPECT_NE(c.to_a.find("m=image 0 udptl t38"), std::string::npos) << c.to_a;
  exchange(c.voice_a.from, c.voice_b.from);
  EXPECT_TRUE(w.take_sent().empty());
  reinvite(phone_sdp("10.0.0.1:4000"), phone_sdp("10.0.0.2:5000"));
  w.talk(c.voice_a, c.a_port, 3), w.talk(c.voice_b, c.b_port, 3);
  EXPECT_EQ(w.take_sent().size(), 6u);
}

TEST_F(Fax, ARefusedReInviteBringsTheSoundBack) {
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(t38_sdp("10.0.0.1:4000")), SdpRole::offer));
  ASSERT_TRUE(w.engine->present(w.now, c.b, parsed(t38_sdp("10.0.0.1:4000")), SdpRole::offer, c.a).ok());
  w.engine->rollback(w.now, c.a), w.engine->rollback(w.now, c.b);  // 488
  w.talk(c.voice_a, c.a_port, 3), w.talk(c.voice_b, c.b_port, 3);
  EXPECT_EQ(w.take_sent().size(), 6u);
}

// ---- modems in G.711 -------------------------------------------------------------------------------------

std::vector<int16_t> tone(double hz, size_t samples, double amplitude = 6000, double rate = 8000) {
  std::vector<int16_t> out(samples);
  for (size_t i = 0; i < samples; ++i)
    out[i] =
        static_cast<int16_t>(amplitude * std::sin(2 * std::numbers::pi * hz * static_cast<double>(i) / rate));
  return out;
}

bool hears(double hz, int frames, double amplitude = 6000, uint32_t rate = 8000) {
  FaxEar ear;
  for (int i = 0; i < frames; ++i) ear.hear(tone(hz, rate / 50, amplitude, rate), rate);
  return ear.heard();
}

TEST(FaxEar, HearsCallingAndAnsweringTonesOnly) {
  for (const uint32_t rate : {8000u, 16000u, 48000u}) {
    EXPECT_TRUE(hears(1100, 20, 6000, rate)) << rate;
    EXPECT_TRUE(hears(2100, 20, 6000, rate)) << rate;
    EXPECT_FALSE(hears(1100, 10, 6000, rate)) << "too short for either";
  }
  EXPECT_TRUE(hears(1138, 20)) << "T.30: 1100 Hz +/- 38";
  EXPECT_TRUE(hears(2115, 20)) << "T.30: 2100 Hz +/- 15";
  EXPECT_FALSE(hears(2100, 20, 50)) << "as good as silent";
  for (const double hz : {440.0, 950.0, 1000.0, 1250.0, 1400.0, 1800.0, 2000.0, 2200.0, 2600.0})
    EXPECT_FALSE(hears(hz, 100)) << hz;
  FaxEar mixed;
  for (int i = 0; i < 100; ++i) {
    auto a = tone(1100, 160);
    const auto b = tone(1633, 160);
    for (size_t n = 0; n < a.size(); ++n) a[n] = static_cast<int16_t>(a[n] + b[n]);
    mixed.hear(a, 8000);
  }
  EXPECT_FALSE(mixed.heard()) << "two tones at a time";
}

/// A sends mu-law, B takes A-law: what is said, what is heard.
struct Modem : ::testing::Test {
  World w;
  Call c;
  double phase = 0;
  std::vector<int16_t> said, heard;

  void SetUp() override {
    EndpointConfig config;
    config.transcode = true;
    config.codecs = {"PCMU", "PCMA"};
    c = establish(w, phone_sdp("10.0.0.1:4000", "0"), phone_sdp("10.0.0.2:5000", "8"), config);
  }
  /// A tone, or with `sweep` one that wanders so far around it, each moment of it periodic and none like
  /// another. The sender's clock is `ppm` fast.
  void say(double hz, double sweep, int frames, double ppm) {
    for (int i = 0; i < frames; ++i) {
      std::vector<uint8_t> bytes = c.voice_a.packet();
      for (size_t n = 12; n < bytes.size(); ++n) {
        const double now = static_cast<double>(said.size()) / 8000;
        phase += 2 * std::numbers::pi * (hz + sweep * std::sin(0.7 * now)) / 8000;
        said.push_back(static_cast<int16_t>(6000 * std::sin(phase)));
        bytes[n] = codec::encode_mu_law(said.back());
      }
      w.receive(c.voice_a.from, c.a_port, bytes);
      w.pass(Duration(static_cast<int64_t>(20'000'000 * (1 - ppm * 1e-6))));
      for (const Sent& s : w.take_sent())
        if (s.to == c.voice_b.from && s.payload_type() == 8)
          for (size_t n = 12; n < s.bytes.size(); ++n) heard.push_back(codec::decode_a_law(s.bytes[n]));
    }
  }
  /// How many samples what is heard from `begin` on lags behind what was said.
  int lag(size_t begin) const {
    int best = 0;
    double least = 1e18;
    for (int by = -2000; by <= 2000; ++by) {
      double sum = 0;
      for (size_t i = begin; i < begin + 4000 && sum < least; ++i) {
        const auto from = static_cast<ptrdiff_t>(i) - by;
        if (from < 0 || from >= static_cast<ptrdiff_t>(said.size())) return best;
        sum += std::abs(double{1} * heard[i] - said[static_cast<size_t>(from)]);
      }
      if (sum < least) least = sum, best = by;
    }
    return best;
  }
};

TEST_F(Modem, AfterAnAnswerToneNoSampleIsAddedOrTakenOut) {
  say(2100, 0, 25, 0);
  say(1700, 300, 1500, 800);  // sixteen times what telephones are off, so that half a minute shows it
  EXPECT_EQ(lag(16'000), lag(heard.size() - 8000));
}

TEST_F(Modem, WithoutOneTheClockIsFollowed) {
  say(1700, 0, 25, 0);
  say(1700, 300, 1500, 800);
  EXPECT_NE(lag(16'000), lag(heard.size() - 8000)) << "else the test above proves nothing";
}

}  // namespace
}  // namespace tandem::media
