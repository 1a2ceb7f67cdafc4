// Two phones without a codec in common hear each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "codec/codec.h"
#include "media/bridge.h"
#include "playout/player.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

constexpr uint32_t rate = 8000;

/// A phone that sends a tone in one codec and listens in it.
struct Talker {
  Talker(const char* codec, uint32_t clock, uint8_t channels, uint8_t type, double hz, SocketAddress at)
      : hertz(hz), payload_type(type), address(at) {
    encoder = std::move(codec::make_encoder({codec, clock, channels, ""}, {rate, 5})).value();
    playout::PlayerConfig config;
    config.formats = {{type, codec, clock, channels, ""}};
    config.audio_rate = rate;
    ear = std::make_unique<playout::Player>(config);
    ticks = clock / 50;
  }
  std::vector<uint8_t> packet() {
    const codec::Shape& shape = encoder->shape();
    std::vector<int16_t> sound(codec::samples_in(shape, 20));
    for (size_t i = 0; i < sound.size(); i += shape.channels) {
      for (size_t c = 0; c < shape.channels; ++c) sound[i + c] = static_cast<int16_t>(8000 * std::sin(phase));
      phase += 2 * std::numbers::pi * hertz / shape.audio_rate;
    }
    std::vector<uint8_t> bytes(12 + codec::largest_payload);
    const auto said = encoder->encode(sound, std::span(bytes).subspan(12));
    bytes.resize(12 + said->octets);
    rtp::Header h;
    h.payload_type = payload_type;
    h.sequence = sequence++;
    h.timestamp = timestamp;
    h.ssrc = ssrc;
    h.write(bytes.data());
    timestamp += ticks;
    return bytes;
  }
  void hear(Now now, const std::vector<Sent>& all) {
    for (const Sent& s : all) {
      if (s.to != address) continue;
      const auto h = rtp::Header::parse(s.bytes, false);
      if (!h) continue;
      packets.push_back(s);
      if (h->payload_type == payload_type)
        ear->packet(now.mono, h->sequence, h->timestamp, h->payload_type, Bytes(s.bytes).subspan(12));
    }
    std::array<int16_t, 160> out;
    ear->render(now.mono, out);
    heard.insert(heard.end(), out.begin(), out.end());
  }
  double level(double hz) const {
    double re = 0, im = 0;
    const size_t n = std::min<size_t>(heard.size(), rate);
    for (size_t i = 0; i < n; ++i) {
      const double w = 2 * std::numbers::pi * hz * static_cast<double>(i) / rate;
      re += heard[heard.size() - n + i] * std::cos(w);
      im += heard[heard.size() - n + i] * std::sin(w);
    }
    return 2 * std::sqrt(re * re + im * im) / static_cast<double>(n);
  }

  double hertz;
  uint8_t payload_type;
  SocketAddress address;
  std::unique_ptr<codec::Encoder> encoder;
  std::unique_ptr<playout::Player> ear;
  std::vector<int16_t> heard;
  std::vector<Sent> packets;
  double phase = 0;
  uint32_t ticks = 160;
  uint16_t sequence = 1000;
  uint32_t timestamp = 5000;
  uint32_t ssrc = 0xA1A1A1A1;
};

struct Bridging : ::testing::Test {
  World w;
  EndpointId a, b;
  uint16_t port_a = 0, port_b = 0;

  EndpointConfig config() {
    EndpointConfig c;
    c.transcode = true;
    c.codecs = {"PCMA", "PCMU", "G722", "opus"};
    return c;
  }
  /// A offers, B answers with that.
  void set_up(const std::string& offer, const std::string& answer) {
    a = *w.engine->open(config());
    b = *w.engine->open(config());
    ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer).ok());
    const auto invite = w.engine->present(w.now, b, parsed(offer), SdpRole::offer, a);
    ASSERT_TRUE(invite.ok());
    told_b = *invite;
    ASSERT_TRUE(w.engine->set_remote(w.now, b, parsed(answer), SdpRole::answer).ok());
    const auto ok = w.engine->present(w.now, a, parsed(answer), SdpRole::answer, b);
    ASSERT_TRUE(ok.ok());
    told_a = *ok;
    ASSERT_TRUE(w.engine->join(w.now, a, b).ok());
    port_a = parsed(told_a).media(0).port;
    port_b = parsed(told_b).media(0).port;
  }
  void talk(Talker* x, Talker* y, int frames) {
    for (int i = 0; i < frames; ++i) {
      if (x) w.receive(x->address, port_a, x->packet());
      if (y) w.receive(y->address, port_b, y->packet());
      w.pass(milliseconds(20));
      const auto sent = w.take_sent();
      if (x) x->hear(w.now, sent);
      if (y) y->hear(w.now, sent);
    }
  }
  std::string told_a, told_b;
};

const SocketAddress at_a = at("198.51.100.1:4000"), at_b = at("198.51.100.2:5000");

TEST_F(Bridging, TwoLaws) {
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "8 101"));
  EXPECT_NE(told_b.find("RTP/AVP 0 101 8 9"), std::string::npos) << told_b;
  EXPECT_NE(told_a.find("RTP/AVP 0 101\r\n"), std::string::npos) << told_a;
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("PCMA", 8000, 1, 8, 620, at_b);
  talk(&x, &y, 150);
  EXPECT_NEAR(x.level(620), 8000, 400);
  EXPECT_NEAR(y.level(440), 8000, 400);
  EXPECT_LT(x.level(440), 100);
  for (Talker* t : {&x, &y}) {  // one SSRC, every number once, the clock even
    ASSERT_GT(t->packets.size(), 140u);
    for (size_t i = 1; i < t->packets.size(); ++i) {
      EXPECT_EQ(t->packets[i].ssrc(), t->packets[0].ssrc());
      EXPECT_EQ(t->packets[i].sequence(), static_cast<uint16_t>(t->packets[i - 1].sequence() + 1));
      EXPECT_EQ(t->packets[i].timestamp(), t->packets[i - 1].timestamp() + 160);
      EXPECT_EQ(t->packets[i].bytes.size(), 172u);
    }
  }
}

TEST_F(Bridging, WidebandAndOpus) {
  set_up(phone_sdp("198.51.100.1:4000", "9 101"),
         phone_sdp("198.51.100.2:5000", "96 101", "a=rtpmap:96 opus/48000/2\r\n"));
  Talker x("G722", 8000, 1, 9, 440, at_a), y("opus", 48000, 2, 96, 620, at_b);
  talk(&x, &y, 150);
  EXPECT_NEAR(x.level(620), 8000, 1200);
  EXPECT_NEAR(y.level(440), 8000, 1200);
}

TEST_F(Bridging, AWorkerThatIsLateCodesWithLessEffort) {
  set_up(phone_sdp("198.51.100.1:4000", "9 101"),
         phone_sdp("198.51.100.2:5000", "96 101", "a=rtpmap:96 opus/48000/2\r\n"));
  Talker x("G722", 8000, 1, 9, 440, at_a), y("opus", 48000, 2, 96, 620, at_b);
  w.late = milliseconds(9);
  talk(&x, &y, 400);
  EXPECT_EQ(w.counters.total("media_effort_steps_down"), 3u);
  EXPECT_NEAR(y.level(440), 8000, 1200) << "and it is still heard";
  w.late = {};
  talk(&x, &y, 40 * 50);
  EXPECT_EQ(w.counters.total("media_effort_steps_down"), 0u);
}

/// The same sound, through a bridge that works hard and one that does not.
TEST(BridgeEffort, ReachesTheEncoder) {
  const auto said = [](uint8_t complexity) {
    BridgePlan plan;
    plan.heard = {{0, "PCMU", 8000, 1, ""}};
    plan.said = {96, "opus", 48000, 2, ""};
    Bridge bridge(plan);
    Talker x("PCMU", 8000, 1, 0, 440, at_a);
    std::vector<std::vector<uint8_t>> all;
    Instant now = Instant{} + seconds(1);
    for (int i = 0; i < 100; ++i) {
      const auto packet = x.packet();
      const auto header = rtp::Header::parse(packet, false);
      EXPECT_TRUE(bridge.hear(now, *header, Bytes(packet).subspan(12)));
      if (i == 50) bridge.set_complexity(complexity);
      if (const auto s = bridge.say(now)) all.emplace_back(s->payload.begin(), s->payload.end());
      now = now + milliseconds(20);
    }
    return all;
  };
  const auto hard = said(5), light = said(0);
  ASSERT_EQ(hard.size(), light.size());
  EXPECT_TRUE(std::equal(hard.begin(), hard.begin() + 45, light.begin()));
  EXPECT_NE(hard, light);
  EXPECT_EQ(hard, said(5));
}

TEST_F(Bridging, WhatFitsPassesAsItIs) {
  set_up(phone_sdp("198.51.100.1:4000", "0 8 101"), phone_sdp("198.51.100.2:5000", "8 0 101"));
  Voice v{at_b};
  v.payload_type = 8;
  w.receive(at_b, port_b, v.packet());
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].ssrc(), v.ssrc);
  EXPECT_EQ(w.counters.total("media_packets_total"), 1u);
}

TEST_F(Bridging, OneSideOfAPairThatOnlyPartlyFits) {  // B may send either; what A takes goes past the bridge
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "0 8 101"));
  EXPECT_EQ(told_a.find("RTP/AVP 0 8"), std::string::npos) << told_a;
  Voice v{at_b};
  w.receive(at_b, port_b, v.packet());
  EXPECT_EQ(w.take_sent().size(), 1u);
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("PCMA", 8000, 1, 8, 620, at_b);
  talk(&x, &y, 100);
  EXPECT_NEAR(x.level(620), 8000, 400);
  w.pass(seconds(3));
  w.take_sent();
  w.receive(at_b, port_b, v.packet());
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST_F(Bridging, KeyPresses) {
  set_up(phone_sdp("198.51.100.1:4000", "0 101"),
         phone_sdp("198.51.100.2:5000", "8 96", "a=rtpmap:96 telephone-event/8000\r\n"));
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("PCMA", 8000, 1, 8, 620, at_b);
  talk(&x, &y, 50);
  const size_t before = y.packets.size();
  const uint32_t begins = x.timestamp;
  for (uint16_t i = 1; i <= 6; ++i) {
    auto bytes = x.packet();
    x.timestamp = begins;
    bytes.resize(16);
    rtp::Header h;
    h.marker = i == 1;
    h.payload_type = 101;
    h.sequence = static_cast<uint16_t>(x.sequence - 1);
    h.timestamp = begins;
    h.ssrc = x.ssrc;
    h.write(bytes.data());
    bytes[12] = 5;
    bytes[13] = static_cast<uint8_t>(i > 4 ? 0x8A : 0x0A);
    rtp::store16(&bytes[14], static_cast<uint16_t>(160 * std::min<uint16_t>(i, 5)));
    w.receive(at_a, port_a, bytes);
    w.pass(milliseconds(20));
    y.hear(w.now, w.take_sent());
  }
  std::vector<Sent> events;
  for (size_t i = before; i < y.packets.size(); ++i) {
    EXPECT_NE(y.packets[i].payload_type(), 8) << "sound beside a key press";
    if (y.packets[i].payload_type() == 96) events.push_back(y.packets[i]);
  }
  ASSERT_EQ(events.size(), 6u);
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].timestamp(), events[0].timestamp());
    EXPECT_EQ((events[i].bytes[1] & 0x80) != 0, i == 0);
    EXPECT_EQ(events[i].ssrc(), y.packets[0].ssrc());
    EXPECT_EQ(events[i].bytes[12], 5);
  }
  const auto events_seen = w.events();
  EXPECT_EQ(
      std::count_if(events_seen.begin(), events_seen.end(),
                    [](const MediaEvent& e) { return e.kind == MediaEvent::Kind::digit && e.digit == '5'; }),
      1);
}

TEST_F(Bridging, ASnapshotInTheMiddle) {
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "8 101"));
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("PCMA", 8000, 1, 8, 620, at_b);
  talk(&x, &y, 100);
  const EndpointId ids[] = {a, b};
  const std::string part = w.engine->snapshot(w.now, ids);
  w.engine->close(w.now, a);
  w.engine->close(w.now, b);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  const uint64_t concealed = y.ear->counts().concealed;
  talk(&x, &y, 100);
  EXPECT_NEAR(y.level(440), 8000, 400);
  EXPECT_LE(y.ear->counts().concealed - concealed, 5u * 160);
  for (size_t i = 1; i < y.packets.size(); ++i) {
    EXPECT_EQ(y.packets[i].ssrc(), y.packets[0].ssrc());
    EXPECT_EQ(y.packets[i].sequence(), static_cast<uint16_t>(y.packets[i - 1].sequence() + 1));
  }
}

TEST_F(Bridging, WhoTalksToSomebodySilentIsToldHowItArrives) {
  const auto sdp_a = parsed(phone_sdp("198.51.100.1:4000", "0 101"));
  const auto sdp_b = parsed(phone_sdp("198.51.100.2:5000", "8 101"));
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "0 101"));
  w.pass(seconds(20));
  // B changes to another law: nothing passes any more, and so no reports of B's.
  ASSERT_TRUE(w.engine->set_remote(w.now, b, sdp_b, SdpRole::offer));
  ASSERT_TRUE(w.engine->present(w.now, a, sdp_b, SdpRole::offer, b).ok());
  ASSERT_TRUE(w.engine->set_remote(w.now, a, sdp_a, SdpRole::answer));
  ASSERT_TRUE(w.engine->present(w.now, b, sdp_a, SdpRole::answer, a).ok());
  Talker x("PCMU", 8000, 1, 0, 440, at_a);
  std::vector<Sent> reports;
  for (int i = 0; i < 400; ++i) {
    if (i % 10 == 5) x.packet();  // lost
    w.receive(at_a, port_a, x.packet());
    w.pass(milliseconds(20));
    for (const Sent& s : w.take_sent())
      if (s.to == at("198.51.100.1:4001")) reports.push_back(s);
  }
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports[0].bytes[1], 201) << "RR: nothing has been said to it";
  EXPECT_EQ(rtp::load32(&reports[0].bytes[8]), x.ssrc);
  EXPECT_NEAR(reports[0].bytes[12], 256 / 11, 4) << "fraction lost";
}

/// RFC 6716 section 3.1: the configuration stands in the first five bits of a packet.
std::set<int> configurations(const std::vector<Sent>& packets) {
  std::set<int> all;
  for (const Sent& s : packets) all.insert(s.bytes.at(12) >> 3);
  return all;
}

TEST_F(Bridging, OpusMadeOfPcmuIsNarrowband) {
  set_up(phone_sdp("198.51.100.1:4000", "0 101"),
         phone_sdp("198.51.100.2:5000", "96 101", "a=rtpmap:96 opus/48000/2\r\n"));
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("opus", 48000, 2, 96, 620, at_b);
  talk(&x, &y, 50);
  ASSERT_GT(y.packets.size(), 40u);
  for (const int c : configurations(y.packets)) EXPECT_TRUE(c <= 3 || (c >= 16 && c <= 19)) << c;
}

TEST_F(Bridging, OpusMadeOfG722IsWideband) {
  set_up(phone_sdp("198.51.100.1:4000", "9 101"),
         phone_sdp("198.51.100.2:5000", "96 101", "a=rtpmap:96 opus/48000/2\r\n"));
  Talker x("G722", 8000, 1, 9, 440, at_a), y("opus", 48000, 2, 96, 620, at_b);
  talk(&x, &y, 50);
  ASSERT_GT(y.packets.size(), 40u);
  for (const int c : configurations(y.packets)) EXPECT_TRUE((c >= 8 && c <= 11) || (c >= 20 && c <= 23)) << c;
}

TEST_F(Bridging, ReportsAreAboutWhatEachSideHas) {
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "8 101"));
  Talker x("PCMU", 8000, 1, 0, 440, at_a), y("PCMA", 8000, 1, 8, 620, at_b);
  std::vector<Sent> reports;
  for (int i = 0; i < 400; ++i) {
    w.receive(at_a, port_a, x.packet());
    w.receive(at_b, port_b, y.packet());
    w.pass(milliseconds(20));
    for (const Sent& s : w.take_sent())
      if (s.bytes[1] == 200) reports.push_back(s);
  }
  ASSERT_GE(reports.size(), 2u);
  const auto to_a = std::find_if(reports.begin(), reports.end(),
                                 [](const Sent& s) { return s.to == at("198.51.100.1:4001"); });
  ASSERT_NE(to_a, reports.end());
  EXPECT_EQ(rtp::load32(&to_a->bytes[28]), x.ssrc);  // the block is about what A sends
}

/// Where nothing passes: of what the leg may be sent the cheapest that narrows the other's sound least; the
/// first, where an operator has put them in order.
TEST(BridgePlans, TheCheapestThatCarriesTheSound) {
  struct Case {
    const char *offered, *answered, *told_to_a;
    uint8_t to_b;
    bool in_order;
  };
  const std::string opus = "a=rtpmap:96 opus/48000/2\r\n";
  for (const Case& c :
       {Case{"96 0 101", "9 101", "96", 9, false},  // G.722 is wideband, and PCMU is not
        Case{"96 0 101", "18 101", "0", 18, false}, Case{"96 0 101", "18 101", "96", 18, true},
        Case{"8 101", "96 0 101", "8", 0, false}, Case{"8 101", "96 0 101", "8", 96, true},
        Case{"9 101", "0 96 101", "9", 96, false}}) {
    if (!codec::has_codec({"G729", 8000, 1, {}}) && std::string(c.answered).find("18") == 0) continue;
    SCOPED_TRACE(std::string(c.offered) + " beside " + c.answered + (c.in_order ? " in order" : ""));
    EndpointConfig config;
    config.transcode = true;
    config.codecs = {"opus", "PCMU", "PCMA", "G722", "G729"};
    config.only_codecs = c.in_order;
    World w;
    Call call = establish(w, phone_sdp("10.0.0.1:4000", c.offered, opus),
                          phone_sdp("10.0.0.2:5000", c.answered, opus), config);
    const auto told = parsed(call.to_a);
    EXPECT_EQ(std::to_string(told.formats(0)[0].payload_type), c.told_to_a);
    call.voice_a.payload_type = told.formats(0)[0].payload_type;
    if (call.voice_a.payload_type == 96) continue;  // its payload would have to be Opus
    w.talk(call.voice_a, call.a_port, 10);
    bool heard = false;
    for (const Sent& s : w.take_sent()) {
      if (s.to != at("10.0.0.2:5000")) continue;
      heard = true;
      EXPECT_EQ(s.payload_type(), c.to_b);
    }
    EXPECT_TRUE(heard);
  }
}

/// A partner's maxptime is kept to, also where the codec passes; who keeps to it is passed on.
TEST(BridgePlans, PacketsLongerThanTheReceiverTakesAreCutAnew) {
  for (const int length : {20, 40, 60}) {
    SCOPED_TRACE(length);
    EndpointConfig config;
    config.transcode = true;
    config.codecs = {"PCMU"};
    World w;
    Call call = establish(w, phone_sdp("10.0.0.1:4000", "0 101"),
                          phone_sdp("10.0.0.2:5000", "0 101", "a=ptime:20\r\na=maxptime:20\r\n"), config);
    size_t packets = 0;
    for (int ms = 0; ms < 2400; ms += length) {
      auto packet = call.voice_a.packet(static_cast<size_t>(length) * 8);
      call.voice_a.timestamp += static_cast<uint32_t>(length - 20) * 8;
      w.receive(call.voice_a.from, call.a_port, std::move(packet));
      w.pass(milliseconds(length));
      for (const Sent& s : w.take_sent()) {
        if (s.to != at("10.0.0.2:5000")) continue;
        EXPECT_EQ(s.bytes.size(), 12 + 160u) << "at " << ms << " ms";
        ++packets;
        EXPECT_EQ(s.ssrc() == call.voice_a.ssrc, length == 20) << "passed on, or packed by us";
      }
    }
    EXPECT_NEAR(static_cast<double>(packets), 120, 3);
  }
}

}  // namespace
}  // namespace tandem::media
