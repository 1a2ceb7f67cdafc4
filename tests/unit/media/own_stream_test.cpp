// One source for a leg that hears several: numbers and times go on, late packets and restarts, and what is
// reported of it in either direction.
#include "media/own_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "unit/media/world.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Duration frame = milliseconds(20);

/// What became of a packet: its header, or that it was too late.
struct Relaying : ::testing::Test {
  SeededRng rng{5};
  OwnStream own;
  Instant now{1'000'000'000};
  std::vector<rtp::Header> heard;

  void SetUp() override { own.begin(8000, rng); }
  bool relay(uint32_t ssrc, uint16_t sequence, uint32_t timestamp, bool sound = true) {
    rtp::Header h;
    h.ssrc = ssrc;
    h.sequence = sequence;
    h.timestamp = timestamp;
    if (!own.relay(now, h, 160, sound)) return false;
    heard.push_back(h);
    return true;
  }
  /// So many packets of a source, on time.
  void talk(uint32_t ssrc, uint16_t first, uint32_t timestamp, int packets) {
    for (int i = 0; i < packets; ++i) {
      EXPECT_TRUE(relay(ssrc, static_cast<uint16_t>(first + i), timestamp + static_cast<uint32_t>(160 * i)));
      now = now + frame;
    }
  }
  /// So many frames of ours.
  void say(int frames) {
    for (int i = 0; i < frames; ++i) {
      own.take_over(now);
      rtp::Header h;
      h.ssrc = own.ssrc;
      h.sequence = own.sequence;
      h.timestamp = own.timestamp;
      own.said(now, h.timestamp, 160);
      own.timestamp += 160;
      heard.push_back(h);
      now = now + frame;
    }
  }
  void expect_one_stream() const {
    for (size_t i = 1; i < heard.size(); ++i) {
      EXPECT_EQ(heard[i].ssrc, heard[0].ssrc) << i;
      EXPECT_EQ(heard[i].sequence, static_cast<uint16_t>(heard[i - 1].sequence + 1)) << i;
      EXPECT_EQ(heard[i].timestamp, heard[i - 1].timestamp + 160) << i;
    }
  }
};

TEST_F(Relaying, EveryChangeOfSourceGoesOn) {
  say(3);
  talk(0xB0B, 60'000, 4'000'000'000, 5);
  say(2);
  talk(0xB0B, 60'100, 5, 4);
  talk(0xCAFE, 7, 77, 4);
  talk(0xB0B, 65'530, 4'294'967'200, 20);  // wraps
  say(1);
  ASSERT_EQ(heard.size(), 39u);
  expect_one_stream();
  std::vector<size_t> marked;
  for (size_t i = 0; i < heard.size(); ++i)
    if (heard[i].marker) marked.push_back(i);
  EXPECT_EQ(marked, (std::vector<size_t>{3, 10, 14, 18}));
  EXPECT_EQ(own.packets, 39u);
  EXPECT_EQ(own.octets, 39u * 160);
}

TEST_F(Relaying, SilenceBetweenSourcesTakesItsTime) {
  talk(0xB0B, 1, 1000, 2);
  now = now + seconds(3);
  say(1);
  now = now + seconds(2);
  talk(0xB0B, 3, 41'320, 1);
  ASSERT_EQ(heard.size(), 4u);
  EXPECT_EQ(heard[2].timestamp - heard[1].timestamp, 8u * 3020);
  EXPECT_EQ(heard[3].timestamp - heard[2].timestamp, 8u * 2020);
  // The next speaks at once, but not in what was said before.
  rtp::Header h;
  h.ssrc = 0xCAFE;
  now = now - milliseconds(17);
  ASSERT_TRUE(own.relay(now, h, 160, true));
  EXPECT_EQ(h.timestamp, heard[3].timestamp + 160);
}

TEST_F(Relaying, DisorderLossAndPausesAreTheSourcesOwn) {
  talk(0xB0B, 100, 1000, 3);
  EXPECT_TRUE(relay(0xB0B, 110, 2600));
  EXPECT_TRUE(relay(0xB0B, 105, 1800));
  EXPECT_EQ(heard[3].sequence, static_cast<uint16_t>(heard[0].sequence + 10));
  EXPECT_EQ(heard[3].timestamp, heard[0].timestamp + 1600);
  EXPECT_EQ(heard[4].sequence, static_cast<uint16_t>(heard[0].sequence + 5));
  EXPECT_EQ(heard[4].timestamp, heard[0].timestamp + 800);
  EXPECT_TRUE(relay(0xB0B, 111, 2760));
  EXPECT_EQ(heard[5].sequence, static_cast<uint16_t>(heard[0].sequence + 11))
      << "what came late took nothing";
}

TEST_F(Relaying, WhatWasUnderWayWhenWeSpokeIsLate) {
  talk(0xB0B, 100, 1000, 3);
  say(2);
  ASSERT_TRUE(relay(0xB0B, 104, 1640));
  EXPECT_FALSE(relay(0xB0B, 103, 1480)) << "its number has gone to us";
  EXPECT_TRUE(relay(0xB0B, 105, 1800));
  EXPECT_TRUE(relay(0xB0B, 104, 1640)) << "a duplicate is a duplicate";
  EXPECT_EQ(heard.back().sequence, heard[5].sequence);
}

TEST_F(Relaying, ASourceThatBeginsAnewGoesOn) {
  talk(0xB0B, 40'000, 1000, 3);
  for (const uint16_t first : {5, 5000, 3000}) talk(0xB0B, first, 77'777, 3);  // the same SSRC
  expect_one_stream();
  EXPECT_EQ(heard.size(), 12u);
}

TEST_F(Relaying, AnEventsTimeIsNotTheStreams) {
  talk(0xB0B, 1, 1000, 2);
  for (uint16_t i = 0; i < 10; ++i) {
    EXPECT_TRUE(relay(0xB0B, static_cast<uint16_t>(3 + i), 900'000, false));
    now = now + frame;
  }
  say(1);
  EXPECT_EQ(heard.back().timestamp, heard[1].timestamp + 11 * 160);
}

TEST_F(Relaying, AnotherClockIsAnotherStream) {
  talk(0xB0B, 1, 1000, 2);
  const uint32_t before = own.ssrc;
  own.begin(48'000, rng);
  EXPECT_NE(own.ssrc, before);
  EXPECT_FALSE(own.relayed);
  own.begin(48'000, rng);
  own.name(8000, rng);
  EXPECT_EQ(own.clock_rate, 48'000u) << "a name is all that was asked for";
}

TEST_F(Relaying, ClocksDoNotChangeTheSourceForever) {
  std::set<uint32_t> sources;
  for (int i = 0; i < 100; ++i) {
    own.begin(i % 2 ? 8000 : 48'000, rng);
    talk(0xB0B, static_cast<uint16_t>(1 + 3 * i), 1000, 3);
    sources.insert(own.ssrc);
  }
  EXPECT_LE(sources.size(), OwnStream::most_changes + 1u);
  for (size_t i = heard.size() - 200; i < heard.size(); ++i)
    EXPECT_EQ(heard[i].sequence, static_cast<uint16_t>(heard[i - 1].sequence + 1));
}

TEST_F(Relaying, AnEventThatBeginsCountsThePauseOnce) {
  talk(0xB0B, 1, 1000, 2);
  now = now + seconds(10);
  EXPECT_TRUE(relay(0xB0B, 3, 1000, false));
  talk(0xCAFE, 3, 5, 1);
  now = now + milliseconds(80);
  say(1);
  EXPECT_LE(heard.back().timestamp - heard[1].timestamp, 8u * 10'200);
}

// ---- in a call ----

/// A page, the caller, and a telephone with the same codec.
struct OneSource : ::testing::Test {
  World w;
  EndpointId page, phone;
  std::string told_page, told_phone;
  uint16_t page_port = 0, phone_port = 0;
  Voice of_page{at("10.0.0.1:4000"), 0xAAAA}, of_phone{at("10.0.0.2:5000"), 0xBBBB, 30'000};

  void SetUp() override {
    EndpointConfig c;
    c.transcode = true;
    c.srtp = Srtp::accepted;
    phone = w.engine->open(c).value();
    c.webrtc = true;
    page = w.engine->open(c).value();
    const std::string offer =
        phone_sdp("10.0.0.1:4000", "0 101", "a=ssrc:43690 cname:page\r\na=rtcp-mux\r\n");
    const std::string answer =
        phone_sdp("10.0.0.2:5000", "0 101", "a=ssrc:48059 cname:phone\r\na=rtcp-mux\r\n");
    ASSERT_TRUE(w.engine->set_remote(w.now, page, parsed(offer), SdpRole::offer).ok());
    told_phone = w.engine->present(w.now, phone, parsed(offer), SdpRole::offer, page).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, phone, parsed(answer), SdpRole::answer).ok());
    told_page = w.engine->present(w.now, page, parsed(answer), SdpRole::answer, phone).value();
    ASSERT_TRUE(w.engine->join(w.now, page, phone).ok());
    page_port = w.port_of(told_page);
    phone_port = w.port_of(told_phone);
  }
  std::vector<Sent> sent_to(const SocketAddress& end, rtp::Kind kind) {
    std::vector<Sent> out;
    for (const Sent& s : w.take_sent())
      if (s.to == end && rtp::kind_of(s.bytes) == kind) out.push_back(s);
    return out;
  }
  std::vector<Sent> sound_to(const SocketAddress& end) { return sent_to(end, rtp::Kind::rtp); }
  std::vector<Sent> reports_to(const SocketAddress& end) { return sent_to(end, rtp::Kind::rtcp); }
  static rtp::Report report_in(const Sent& s) {
    return rtp::Report::parse(*rtp::RtcpReader::open(s.bytes)->next()).value();
  }
  static std::vector<uint8_t> report_of(uint32_t ssrc, std::optional<rtp::SenderInfo> info,
                                        std::optional<rtp::ReportBlock> block) {
    std::vector<uint8_t> out(200);
    out.resize(rtp::write_report(out, ssrc, info, block, "x"));
    return out;
  }
  static void expect_one_stream(const std::vector<Sent>& heard) {
    for (size_t i = 1; i < heard.size(); ++i) {
      EXPECT_EQ(heard[i].ssrc(), heard[0].ssrc()) << i;
      EXPECT_EQ(heard[i].sequence(), static_cast<uint16_t>(heard[i - 1].sequence() + 1)) << i;
      EXPECT_EQ(heard[i].timestamp(), heard[i - 1].timestamp() + 160) << i;
    }
  }
};

TEST_F(OneSource, APageHearsTheHoldMusicWhereItHeardTheTelephone) {
  EXPECT_THAT(told_page, Not(HasSubstr("a=ssrc")));
  EXPECT_THAT(told_phone, HasSubstr("a=ssrc:43690")) << "a telephone hears who speaks";
  w.talk(of_phone, phone_port, 5);
  ASSERT_TRUE(w.engine->play(w.now, page, codec::ToneSequence::music()).ok());
  for (int i = 0; i < 10; ++i) w.pass(frame);
  w.engine->stop(w.now, page);
  w.talk(of_phone, phone_port, 5);
  const auto heard = sound_to(of_page.from);
  ASSERT_GE(heard.size(), 20u);
  EXPECT_NE(heard[0].ssrc(), of_phone.ssrc);
  expect_one_stream(heard);
  w.talk(of_page, page_port, 2);
  for (const Sent& s : sound_to(of_phone.from)) EXPECT_EQ(s.ssrc(), of_page.ssrc);
}

TEST_F(OneSource, WhatIsReportedOfItIsTranslated) {
  w.talk(of_phone, phone_port, 5);
  w.talk(of_page, page_port, 5);
  auto heard = sound_to(of_page.from);
  ASSERT_EQ(heard.size(), 5u);
  const uint32_t ours = heard[0].ssrc();
  ASSERT_NE(ours, of_phone.ssrc);
  const uint16_t ahead = static_cast<uint16_t>(heard.back().sequence() - 30'004);
  const uint32_t later = heard.back().timestamp() - (of_phone.timestamp - 160);

  w.receive(of_phone.from, phone_port,
            report_of(of_phone.ssrc, rtp::SenderInfo{1, of_phone.timestamp, 5, 800},
                      rtp::ReportBlock{of_page.ssrc}));
  auto reports = reports_to(of_page.from);
  ASSERT_EQ(reports.size(), 1u);
  const rtp::Report to_page = report_in(reports[0]);
  EXPECT_EQ(to_page.ssrc, ours);
  EXPECT_EQ(to_page.sender->rtp_timestamp, of_phone.timestamp + later);
  EXPECT_EQ(to_page.sender->packets, 5u);
  EXPECT_EQ(to_page.blocks[0].ssrc, of_page.ssrc);

  rtp::ReportBlock lost;
  lost.ssrc = ours;
  lost.fraction_lost = 51;
  lost.extended_highest = heard.back().sequence();
  w.receive(of_page.from, page_port, report_of(of_page.ssrc, std::nullopt, lost));
  reports = reports_to(of_phone.from);
  ASSERT_EQ(reports.size(), 1u);
  const rtp::Report to_phone = report_in(reports[0]);
  EXPECT_EQ(to_phone.ssrc, of_page.ssrc);
  EXPECT_EQ(to_phone.blocks[0].ssrc, of_phone.ssrc);
  EXPECT_EQ(to_phone.blocks[0].fraction_lost, 51);
  EXPECT_EQ(static_cast<uint16_t>(to_phone.blocks[0].extended_highest),
            static_cast<uint16_t>(heard.back().sequence() - ahead));

  // While music plays it is about nothing the telephone knows.
  ASSERT_TRUE(w.engine->play(w.now, page, codec::ToneSequence::music()).ok());
  w.pass(milliseconds(40));
  w.take_sent();
  w.receive(of_page.from, page_port, report_of(of_page.ssrc, std::nullopt, lost));
  reports = reports_to(of_phone.from);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(report_in(reports[0]).blocks[0].ssrc, ours);
}

TEST_F(OneSource, ATransferGoesOnInIt) {
  w.talk(of_phone, phone_port, 5);
  EndpointConfig c;
  c.transcode = true;
  const EndpointId other = w.engine->open(c).value();
  const std::string offer = phone_sdp("10.0.0.3:5000", "0 101");
  ASSERT_TRUE(w.engine->set_remote(w.now, other, parsed(offer), SdpRole::offer).ok());
  const uint16_t other_port = w.port_of(
      w.engine->present(w.now, other, parsed(phone_sdp("10.0.0.1:4000", "0 101")), SdpRole::answer, page)
          .value());
  ASSERT_TRUE(w.engine->join(w.now, page, other).ok());
  Voice of_other{at("10.0.0.3:5000"), 0xCCCC, 9};
  w.talk(of_other, other_port, 5);
  const auto heard = sound_to(of_page.from);
  ASSERT_EQ(heard.size(), 10u);
  expect_one_stream(heard);
}

TEST_F(OneSource, ARestoredNodeGoesOnInIt) {
  w.talk(of_phone, phone_port, 5);
  const std::string part = w.engine->snapshot(w.now, std::vector{page, phone});
  w.talk(of_phone, phone_port, 3);  // nobody knows of them any more
  w.engine.reset();
  w.engine = std::make_unique<Engine>(w.config, w.ports, w.rng, w.counters, *w.keys);
  ASSERT_TRUE(w.engine->restore(w.now, part).ok());
  w.talk(of_phone, phone_port, 3);
  const auto heard = sound_to(of_page.from);
  ASSERT_EQ(heard.size(), 11u);
  EXPECT_NE(heard[0].ssrc(), of_phone.ssrc);
  expect_one_stream(heard);
}

TEST_F(OneSource, PressesAreAmongThem) {
  w.talk(of_phone, phone_port, 3);
  ASSERT_TRUE(w.engine->press(w.now, phone, '5', milliseconds(100)));  // by INFO
  for (int i = 0; i < 30; ++i) w.talk(of_phone, phone_port, 1);
  const auto heard = sound_to(of_page.from);
  size_t events = 0;
  for (size_t i = 1; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].ssrc(), heard[0].ssrc()) << i;
    EXPECT_EQ(heard[i].sequence(), static_cast<uint16_t>(heard[i - 1].sequence() + 1)) << i;
    if (heard[i].payload_type() == 101) ++events;
  }
  EXPECT_GE(events, 5u);
}

TEST_F(OneSource, AnEchoIsNobodyElse) {
  w.talk(of_phone, phone_port, 3);
  ASSERT_TRUE(w.engine->join(w.now, page, page).ok());
  w.talk(of_page, page_port, 5);
  const auto heard = sound_to(of_page.from);
  ASSERT_EQ(heard.size(), 8u);
  expect_one_stream(heard);
  EXPECT_NE(heard[0].ssrc(), of_page.ssrc);
}

}  // namespace
}  // namespace tandem::media
