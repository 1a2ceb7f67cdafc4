// Key presses from any way to any other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "codec/codec.h"
#include "codec/dtmf.h"
#include "codec/tone.h"
#include "playout/player.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

constexpr uint32_t rate = 8000;

struct Presses {
  std::vector<std::pair<char, int>> all;  // digit and ms
  bool operator==(const Presses&) const = default;
};

/// A phone that says silence, tones and telephone events, and remembers what it was sent.
struct Phone {
  Phone(SocketAddress address_, uint8_t type, const char* codec, uint8_t event_type_ = 101,
        uint32_t event_rate_ = rate, uint32_t clock_ = 8000, uint8_t channels = 1)
      : address(address_),
        payload_type(type),
        event_type(event_type_),
        event_rate(event_rate_),
        clock(clock_) {
    encoder = std::move(codec::make_encoder({codec, clock, channels, ""}, {rate, 5})).value();
    playout::PlayerConfig config;
    config.formats = {{type, codec, clock, channels, ""}};
    config.audio_rate = rate;
    ear = std::make_unique<playout::Player>(config);
  }

  std::vector<uint8_t> header(uint8_t type, uint32_t at, bool marker, size_t octets) {
    std::vector<uint8_t> bytes(12 + octets);
    rtp::Header h;
    h.marker = marker;
    h.payload_type = type;
    h.sequence = sequence++;
    h.timestamp = at;
    h.ssrc = ssrc;
    h.write(bytes.data());
    return bytes;
  }
  /// 20 ms of what it says.
  std::vector<uint8_t> sound() {
    std::array<int16_t, rate / 50> samples{};
    tones.render(samples);
    if (hum != 0)
      for (int16_t& s : samples)
        s = static_cast<int16_t>(s + 3000 * std::sin(2 * std::numbers::pi * hum * hummed++ / rate));
    const codec::Shape& shape = encoder->shape();
    std::vector<int16_t> shaped(codec::samples_in(shape, 20));
    const size_t each = shaped.size() / samples.size();
    for (size_t i = 0; i < shaped.size(); ++i) shaped[i] = samples[i / each];
    std::vector<uint8_t> payload(codec::largest_payload);
    const auto said = encoder->encode(shaped, payload);
    auto bytes = header(payload_type, timestamp, false, said->octets);
    std::copy_n(payload.begin(), said->octets, bytes.begin() + 12);
    timestamp += clock / 50;
    return bytes;
  }
  std::vector<uint8_t> event(uint8_t code, uint32_t began, uint32_t ms, bool marker, bool end) {
    auto bytes = header(event_type, began, marker, 4);
    rtp::TelephoneEvent{code, end, 10, static_cast<uint16_t>(ms * (event_rate / 1000))}.write(&bytes[12]);
    return bytes;
  }
  void hear(Now now, const std::vector<Sent>& all) {
    for (const Sent& s : all) {
      if (s.to != address) continue;
      packets.push_back(s);
      if (s.payload_type() == payload_type)
        ear->packet(now.mono, s.sequence(), s.timestamp(), s.payload_type(), Bytes(s.bytes).subspan(12));
    }
    std::array<int16_t, rate / 50> out;
    ear->render(now.mono, out);
    for (const codec::DtmfChange& c : detector.process(out)) {
      if (c.on)
        on_at = c.at_ms;
      else
        tones_heard.all.emplace_back(digit, static_cast<int>(c.at_ms - on_at));
      if (c.on) digit = c.digit;
    }
    heard.insert(heard.end(), out.begin(), out.end());
  }
  /// The events among the packets: one entry a timestamp.
  Presses events() const {
    Presses out;
    std::optional<uint32_t> began;
    for (const Sent& s : packets) {
      if (s.payload_type() != event_type) continue;
      const auto e = rtp::TelephoneEvent::parse(Bytes(s.bytes).subspan(12));
      if (began != s.timestamp()) {
        out.all.emplace_back(e->digit(), 0);
        EXPECT_NE(s.bytes[1] & 0x80, 0) << "the first has a marker";
      } else {
        EXPECT_EQ(s.bytes[1] & 0x80, 0) << "the others have none";
      }
      began = s.timestamp();
      const int ms = static_cast<int>(e->duration / (event_rate / 1000));
      EXPECT_GE(ms, out.all.back().second) << "it grows";
      out.all.back().second = ms;
    }
    return out;
  }
  void expect_one_line() const {
    for (size_t i = 1; i < packets.size(); ++i) {
      EXPECT_EQ(packets[i].ssrc(), packets[0].ssrc()) << i;
      EXPECT_EQ(packets[i].sequence(), static_cast<uint16_t>(packets[i - 1].sequence() + 1)) << i;
      EXPECT_GE(static_cast<int32_t>(packets[i].timestamp() - packets[i - 1].timestamp()), -800 * 60) << i;
    }
  }

  SocketAddress address;
  uint8_t payload_type, event_type;
  uint32_t event_rate, clock;
  std::unique_ptr<codec::Encoder> encoder;
  std::unique_ptr<playout::Player> ear;
  codec::DtmfDetector detector;
  codec::ToneGenerator tones;
  double hum = 0;
  int hummed = 0;
  char digit = 0;
  uint32_t on_at = 0;
  Presses tones_heard;
  std::vector<int16_t> heard;
  std::vector<Sent> packets;
  uint16_t sequence = 1000;
  uint32_t timestamp = 5000;
  uint32_t ssrc = 0xA1A1A1A1;
};

const SocketAddress at_a = at("198.51.100.1:4000"), at_b = at("198.51.100.2:5000");
const std::string with_events = phone_sdp("198.51.100.1:4000", "0 101");
const std::string b_with_events = phone_sdp("198.51.100.2:5000", "0 101");
const std::string without =
    "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP "
    "0\r\n";
const std::string b_without =
    "v=0\r\no=- 1 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\nm=audio 5000 RTP/AVP "
    "0\r\n";

struct Dtmf : ::testing::Test {
  World w;
  EndpointId a, b;
  uint16_t port_a = 0, port_b = 0;
  std::string told_a, told_b;
  std::vector<MediaEvent> seen;

  void set_up(const std::string& offer, const std::string& answer, media::Dtmf of_a = media::Dtmf::automatic,
              media::Dtmf of_b = media::Dtmf::automatic) {
    EndpointConfig c;
    c.transcode = true;
    c.codecs = {"PCMU", "PCMA", "opus"};
    c.dtmf = of_a;
    a = *w.engine->open(c);
    c.dtmf = of_b;
    b = *w.engine->open(c);
    ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer).ok());
    told_b = w.engine->present(w.now, b, parsed(offer), SdpRole::offer, a).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, b, parsed(answer), SdpRole::answer).ok());
    told_a = w.engine->present(w.now, a, parsed(answer), SdpRole::answer, b).value();
    ASSERT_TRUE(w.engine->join(w.now, a, b).ok());
    find_ports();
  }
  void find_ports() {
    port_a = parsed(told_a).media(0).port;
    port_b = parsed(told_b).media(0).port;
  }
  void collect(Phone& x, Phone& y) {
    const auto sent = w.take_sent();
    x.hear(w.now, sent);
    y.hear(w.now, sent);
    for (const MediaEvent& e : w.events()) seen.push_back(e);
  }
  void talk(Phone& x, Phone& y, int frames) {
    for (int i = 0; i < frames; ++i) {
      w.receive(x.address, port_a, x.sound());
      w.receive(y.address, port_b, y.sound());
      w.pass(milliseconds(20));
      collect(x, y);
    }
  }
  /// X holds a key down; it says nothing meanwhile.
  void press(Phone& x, Phone& y, uint8_t code, int ms, int ends = 3) {
    const uint32_t began = x.timestamp;
    for (int at = 20; at <= ms; at += 20) {
      w.receive(x.address, port_a, x.event(code, began, static_cast<uint32_t>(at), at == 20, false));
      w.receive(y.address, port_b, y.sound());
      w.pass(milliseconds(20));
      collect(x, y);
      x.timestamp += x.clock / 50;
    }
    for (int i = 0; i < ends; ++i)
      w.receive(x.address, port_a, x.event(code, began, static_cast<uint32_t>(ms), false, true));
    collect(x, y);
  }
  void tone(Phone& x, char digit, uint16_t ms) {
    x.tones = codec::ToneGenerator(*codec::dtmf_tones(digit, ms));
  }
  std::string digits_of(EndpointId id, MediaEvent::Kind kind = MediaEvent::Kind::digit) const {
    std::string all;
    for (const MediaEvent& e : seen)
      if (e.kind == kind && e.endpoint == id) all.push_back(e.digit);
    return all;
  }
  static void expect_near(const Presses& got, const Presses& wanted, int within) {
    ASSERT_EQ(got.all.size(), wanted.all.size());
    for (size_t i = 0; i < got.all.size(); ++i) {
      EXPECT_EQ(got.all[i].first, wanted.all[i].first) << i;
      EXPECT_NEAR(got.all[i].second, wanted.all[i].second, within) << i;
    }
  }
};

TEST_F(Dtmf, EventsBetweenTwoWhoHaveThemPassUntouched) {
  set_up(with_events, b_with_events);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  press(x, y, 5, 100);
  talk(x, y, 20);
  EXPECT_EQ(y.events(), (Presses{{{'5', 100}}}));
  EXPECT_EQ(digits_of(a), "5");
  y.expect_one_line();
  EXPECT_EQ(y.packets.back().sequence(), static_cast<uint16_t>(x.sequence - 1)) << "numbers are the sender's";
}

/// Of more formats than there are clocks for, those count that both sides have.
TEST_F(Dtmf, EventsAreKnownAmongManyFormats) {
  std::string strange;
  for (int type = 110; type < 120; ++type)
    strange += "a=rtpmap:" + std::to_string(type) + " strange" + std::to_string(type) + "/8000\r\n";
  set_up(phone_sdp("198.51.100.1:4000", "0 110 111 112 113 114 115 116 117 118 119 101", strange),
         b_with_events);
  ASSERT_TRUE(std::string(parsed(told_b).media(0).formats).find("119 101") != std::string::npos) << told_b;
  Phone x(at_b, 0, "PCMU"), y(at_a, 0, "PCMU");
  std::swap(port_a, port_b);
  talk(x, y, 20);
  press(x, y, 5, 100);
  talk(x, y, 20);
  EXPECT_EQ(digits_of(b), "5");
  EXPECT_EQ(y.events(), (Presses{{{'5', 100}}}));
}

TEST_F(Dtmf, EventsBecomeTones) {
  set_up(with_events, b_without);
  EXPECT_NE(told_a.find("telephone-event"), std::string::npos) << told_a;
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 30);
  const int lengths[] = {100, 300, 200};
  for (int i = 0; i < 3; ++i) {
    press(x, y, static_cast<uint8_t>(i + 1), lengths[i]);
    talk(x, y, 15);
  }
  talk(x, y, 20);
  EXPECT_TRUE(y.events().all.empty());
  expect_near(y.tones_heard, {{{'1', 100}, {'2', 300}, {'3', 200}}}, 15);
  y.expect_one_line();
  EXPECT_EQ(digits_of(a), "123");
}

TEST_F(Dtmf, EventsBecomeInfo) {
  set_up(with_events, b_with_events, media::Dtmf::automatic, media::Dtmf::info);
  EXPECT_EQ(told_b.find("telephone-event"), std::string::npos) << told_b;
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  press(x, y, 11, 240);
  talk(x, y, 30);
  EXPECT_EQ(digits_of(b, MediaEvent::Kind::send_digit), "#");
  for (const MediaEvent& e : seen) {
    if (e.kind == MediaEvent::Kind::send_digit) {
      EXPECT_EQ(e.lasted, milliseconds(240));
    }
  }
  EXPECT_TRUE(y.events().all.empty());
  y.expect_one_line();
  EXPECT_EQ(digits_of(a), "#");
}

TEST_F(Dtmf, TonesBecomeEventsAndAreNotHeard) {
  set_up(without, b_with_events);
  EXPECT_NE(told_b.find("telephone-event"), std::string::npos) << told_b;
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 30);
  for (const auto& [digit, ms] : {std::pair{'7', 100}, {'*', 300}, {'D', 200}}) {
    tone(x, digit, static_cast<uint16_t>(ms));
    talk(x, y, ms / 20 + 15);
  }
  talk(x, y, 20);
  expect_near(y.events(), {{{'7', 100}, {'*', 300}, {'D', 200}}}, 20);
  EXPECT_TRUE(y.tones_heard.all.empty());
  int loudest = 0;
  for (const int16_t s : y.heard) loudest = std::max<int>(loudest, std::abs(s));
  EXPECT_LT(loudest, 100) << "not a millisecond of it";
  y.expect_one_line();
  EXPECT_EQ(digits_of(a), "7*D");
}

TEST_F(Dtmf, SpeechBeforeAndAfterATonePasses) {
  set_up(without, b_with_events);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  x.hum = 440;
  talk(x, y, 50);
  const auto level = [&](size_t from) {
    double sum = 0;
    for (size_t i = from; i < from + rate / 5; ++i) sum += double{1} * y.heard[i] * y.heard[i];
    return std::sqrt(2 * sum / (rate / 5));
  };
  EXPECT_NEAR(level(y.heard.size() - rate / 2), 3000, 200);
  x.hum = 0;
  tone(x, '4', 100);
  talk(x, y, 15);
  x.hum = 440;
  talk(x, y, 50);
  EXPECT_NEAR(level(y.heard.size() - rate / 2), 3000, 200);
  expect_near(y.events(), {{{'4', 100}}}, 20);
  y.expect_one_line();
}

TEST_F(Dtmf, InfoBecomesEvents) {
  set_up(with_events, b_with_events);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  EXPECT_TRUE(w.engine->press(w.now, a, '9', milliseconds(160)));
  EXPECT_TRUE(w.engine->press(w.now, a, '9', milliseconds(100)));
  talk(x, y, 40);
  EXPECT_EQ(y.events(), (Presses{{{'9', 160}, {'9', 100}}}));
  y.expect_one_line();
  EXPECT_EQ(digits_of(a), "99");
}

TEST_F(Dtmf, InfoBecomesTones) {
  set_up(with_events, b_without);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  EXPECT_TRUE(w.engine->press(w.now, a, '9', milliseconds(160)));
  EXPECT_TRUE(w.engine->press(w.now, a, '9', milliseconds(100)));
  talk(x, y, 40);
  expect_near(y.tones_heard, {{{'9', 160}, {'9', 100}}}, 15);
  y.expect_one_line();
  EXPECT_EQ(digits_of(a), "99");
}

TEST_F(Dtmf, WhoSendsInfoAndHasNoEventsIsSentInfo) {
  set_up(with_events, b_without);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 10);
  EXPECT_TRUE(w.engine->press(w.now, b, '1', milliseconds(100)));
  talk(x, y, 20);
  EXPECT_EQ(x.events(), (Presses{{{'1', 100}}}));
  press(x, y, 2, 100);
  talk(x, y, 20);
  EXPECT_EQ(digits_of(b, MediaEvent::Kind::send_digit), "2");
  EXPECT_TRUE(y.tones_heard.all.empty());
}

TEST_F(Dtmf, OnePressToldTwiceIsOne) {
  set_up(with_events, b_with_events);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 10);
  press(x, y, 5, 100);
  EXPECT_TRUE(w.engine->press(w.now, a, '5', milliseconds(100)));
  talk(x, y, 30);
  EXPECT_EQ(y.events(), (Presses{{{'5', 100}}}));
  EXPECT_TRUE(w.engine->press(w.now, a, '6', milliseconds(100)));  // now the other way first
  press(x, y, 6, 100);
  talk(x, y, 30);
  EXPECT_EQ(y.events(), (Presses{{{'5', 100}, {'6', 100}}}));
  EXPECT_EQ(digits_of(a), "56");
  y.expect_one_line();
}

TEST_F(Dtmf, AcrossClocksAndCodecs) {
  const std::string opus =
      "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
      "m=audio 4000 RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n";
  set_up(opus, b_with_events);
  Phone x(at_a, 96, "opus", 97, 48000, 48000, 2), y(at_b, 0, "PCMU");
  talk(x, y, 30);
  press(x, y, 3, 200);
  talk(x, y, 30);
  EXPECT_EQ(y.events(), (Presses{{{'3', 200}}}));
  EXPECT_EQ(digits_of(a), "3");
}

TEST_F(Dtmf, OneCodecAndTwoEventClocks) {
  const auto opus = [](const char* host, const char* port, const char* clock) {
    return std::string("v=0\r\no=- 1 1 IN IP4 ") + host + "\r\ns=-\r\nc=IN IP4 " + host +
           "\r\nt=0 0\r\nm=audio " + port +
           " RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\n"
           "a=rtpmap:97 telephone-event/" +
           clock + "\r\n";
  };
  set_up(opus("198.51.100.1", "4000", "8000"), opus("198.51.100.2", "5000", "48000"));
  Phone x(at_a, 96, "opus", 97, 8000, 48000, 2), y(at_b, 96, "opus", 97, 48000, 48000, 2);
  talk(x, y, 20);
  press(x, y, 3, 200);
  talk(x, y, 20);
  EXPECT_EQ(y.events(), (Presses{{{'3', 200}}}));
  y.expect_one_line();
}

TEST_F(Dtmf, ABridgeSendsTonesAndEvents) {
  const std::string pcma = phone_sdp("198.51.100.2:5000", "8");
  const std::string bare = pcma.substr(0, pcma.find("a=rtpmap"));
  set_up(with_events, bare);
  Phone x(at_a, 0, "PCMU"), y(at_b, 8, "PCMA");
  talk(x, y, 30);
  press(x, y, 8, 200);
  talk(x, y, 40);
  expect_near(y.tones_heard, {{{'8', 200}}}, 15);
  tone(y, '0', 150);
  talk(x, y, 40);
  expect_near(x.events(), {{{'0', 150}}}, 20);
  EXPECT_TRUE(x.tones_heard.all.empty());
  int loudest = 0;
  for (const int16_t s : x.heard) loudest = std::max<int>(loudest, std::abs(s));
  EXPECT_LT(loudest, 100);
  x.expect_one_line();
  y.expect_one_line();
}

TEST_F(Dtmf, ALegAloneIsHeardByAnyWay) {
  EndpointConfig c;
  c.transcode = true;
  a = *w.engine->open(c);
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(without), SdpRole::offer).ok());
  told_a = w.engine->answer(w.now, a).value();
  port_a = parsed(told_a).media(0).port;
  Phone x(at_a, 0, "PCMU"), nobody(at_b, 0, "PCMU");
  const auto alone = [&](int frames) {
    for (int i = 0; i < frames; ++i) {
      w.receive(x.address, port_a, x.sound());
      w.pass(milliseconds(20));
      collect(x, nobody);
    }
  };
  alone(20);
  tone(x, '6', 120);
  alone(20);
  EXPECT_TRUE(w.engine->press(w.now, a, '6', milliseconds(120)));  // its INFO, late
  alone(5);
  EXPECT_EQ(digits_of(a), "6");
  EXPECT_TRUE(w.engine->press(w.now, a, '7', milliseconds(120)));
  alone(5);
  EXPECT_EQ(digits_of(a), "67");
}

TEST_F(Dtmf, NothingIsLeftForWhoTakesEventsOnlyAndHasNone) {
  set_up(with_events, b_without, media::Dtmf::automatic, media::Dtmf::rfc4733);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 10);
  press(x, y, 5, 100);
  talk(x, y, 20);
  EXPECT_TRUE(y.events().all.empty());
  EXPECT_TRUE(y.tones_heard.all.empty());
  EXPECT_EQ(w.counters.total("dtmf_lost_total"), 1u);
  EXPECT_EQ(w.counters.total("dtmf_sent_total"), 0u);
}

TEST_F(Dtmf, WhereMediaOnlyPassesSoDoPresses) {
  Call c = establish(w);
  EXPECT_FALSE(w.engine->press(w.now, c.a, '1', milliseconds(100)));
  w.pass(seconds(1));
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_FALSE(w.engine->press(w.now, c.a, 'x', milliseconds(100)));
}

TEST_F(Dtmf, AnEventWhoseEndIsLostEnds) {
  set_up(with_events, b_without);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  press(x, y, 5, 200, 0);
  talk(x, y, 40);
  ASSERT_EQ(y.tones_heard.all.size(), 1u);
  EXPECT_LT(y.tones_heard.all[0].second, 420);
  y.expect_one_line();
}

TEST_F(Dtmf, ASnapshotInTheMiddleOfAPress) {
  set_up(with_events, b_without);
  Phone x(at_a, 0, "PCMU"), y(at_b, 0, "PCMU");
  talk(x, y, 20);
  const uint32_t began = x.timestamp;
  for (uint32_t ms = 20; ms <= 300; ms += 20) {
    if (ms == 160) {
      const EndpointId ids[] = {a, b};
      const std::string part = w.engine->snapshot(w.now, ids);
      w.engine->close(w.now, a);
      w.engine->close(w.now, b);
      const auto back = w.engine->restore(w.now, part);
      ASSERT_TRUE(back.ok());
      a = (*back)[0];
      b = (*back)[1];
    }
    w.receive(x.address, port_a, x.event(4, began, ms, ms == 20, false));
    w.pass(milliseconds(20));
    collect(x, y);
    x.timestamp += 160;
  }
  for (int i = 0; i < 3; ++i) w.receive(x.address, port_a, x.event(4, began, 300, false, true));
  talk(x, y, 40);
  expect_near(y.tones_heard, {{{'4', 300}}}, 15);
  y.expect_one_line();
  size_t digits = 0;
  for (const MediaEvent& e : seen) digits += e.kind == MediaEvent::Kind::digit;
  EXPECT_EQ(digits, 1u);
}

}  // namespace
}  // namespace tandem::media
