// In-band FEC of Opus (RFC 7587 section 6.1, RFC 6716 section 4.2.5): asked for where we decode, spent where
// packets are lost and somebody has asked.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "unit/codec/speech.h"
#include "unit/media/phones.h"

namespace tandem::media {
namespace {

const Codec& pcmu = all_codecs[0];
const Codec& g722 = all_codecs[2];
const Codec& asks_not = all_codecs[4];
constexpr Codec asks{
    "opus", "96 101",        "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\n", 48000, 2, 96,
    48000,  "useinbandfec=1"};
constexpr uint8_t tenth = 26;  // of 256

std::vector<std::string> fmtp_of(const std::string& description) {
  const auto d = parsed(description);
  std::vector<std::string> all;
  for (const std::string_view value : d.attributes(0, "fmtp")) all.emplace_back(value);
  return all;
}
using Lines = std::vector<std::string>;

TEST(Fec, IsAskedForInAnAnswerOfOurs) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  const auto offer =
      phone_sdp("10.0.0.1:4000", "111 0 101",
                "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;maxplaybackrate=16000\r\n");
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer));
  EXPECT_EQ(fmtp_of(w.engine->answer(w.now, a).value()), (Lines{"111 useinbandfec=1", "101 0-15"}))
      << "what the leg receives is not what we do";
}

TEST(Fec, IsAskedForInAnOfferOfOurs) {
  World w;
  EndpointConfig config;
  config.transcode = true;
  config.codecs = {"opus", "PCMU"};
  const EndpointId a = w.engine->open(config).value();
  const auto offer = fmtp_of(w.engine->offer(w.now, a).value());
  ASSERT_FALSE(offer.empty());
  EXPECT_EQ(offer[0], "96 useinbandfec=1");
}

TEST(Fec, IsAskedForWhereACallIsTranscoded) {
  for (const bool opus_offers : {true, false}) {
    World w;
    Phone a(opus_offers ? asks_not : pcmu, "198.51.100.1:4000", 1);
    Phone b(opus_offers ? pcmu : asks_not, "198.51.100.2:5000", 2);
    connect(w, a, b);
    const auto told = fmtp_of(w.engine->local_description(opus_offers ? a.leg : b.leg));
    EXPECT_EQ(std::count(told.begin(), told.end(), "96 useinbandfec=1"), 1) << opus_offers;
  }
}

TEST(Fec, IsBetweenTheLegsWherePacketsPassAsTheyAre) {
  World w;
  const auto of = [](const std::string& address, const std::string& parameters) {
    return phone_sdp(
        address, "96",
        "a=rtpmap:96 opus/48000/2\r\n" + (parameters.empty() ? "" : "a=fmtp:96 " + parameters + "\r\n"));
  };
  EndpointConfig config;
  config.transcode = true;
  config.codecs = {"opus", "PCMU"};
  config.dtmf = Dtmf::info;
  const Call c = establish(w, of("10.0.0.1:4000", "maxplaybackrate=16000"), of("10.0.0.2:5000", ""), config);
  EXPECT_EQ(fmtp_of(c.to_b), Lines{"96 maxplaybackrate=16000"});
  EXPECT_EQ(fmtp_of(c.to_a), Lines{});
}

/// Whether there is a copy of the packet before in it: 20 ms of one SILK frame begin with its VAD and its
/// LBRR flag (RFC 6716 section 4.2.3), one bit each.
bool has_copy(const Payload& p) { return p.size() > 1 && (p[0] & 0x80) == 0 && (p[1] & 0x40) != 0; }

double copies(std::span<const Payload> payloads) {
  return static_cast<double>(std::count_if(payloads.begin(), payloads.end(), has_copy)) /
         static_cast<double>(payloads.size());
}

/// A reads aloud, B listens and says what it misses.
struct Reading {
  Reading(const Codec& x, const Codec& y)
      : a(x, "198.51.100.1:4000", 0xA1A1A1A1), b(y, "198.51.100.2:5000", 0xB1B1B1B1) {
    connect(w, a, b);
    text = encoded(x, codec::testing::speech(x.sound_rate));
  }
  void read(size_t packets) {
    for (size_t i = 0; i < packets; ++i) {
      a.say(w, text[at++ % text.size()]);
      w.pass(milliseconds(20));
      b.hear(w, w.take_sent());
    }
  }
  /// RR about what B is sent, or about somebody else's stream.
  void report(uint8_t fraction_lost, uint32_t other_than = 0) {
    rtp::ReportBlock block;
    block.ssrc = b.heard.back().plain.ssrc() ^ other_than;
    block.fraction_lost = fraction_lost;
    std::vector<uint8_t> bytes(160);
    bytes.resize(rtp::write_report(bytes, b.ssrc, std::nullopt, block, "b"));
    SocketAddress rtcp = b.address;
    ++rtcp.port;
    w.receive(rtcp, static_cast<uint16_t>(b.port + 1), bytes);
    w.take_sent();
  }
  /// What B got lately.
  std::vector<Payload> last(size_t packets) const {
    const auto all = b.payloads();
    return {all.end() - static_cast<ptrdiff_t>(std::min(packets, all.size())), all.end()};
  }
  World w;
  Phone a, b;
  std::vector<Payload> text;
  size_t at = 0;
};

/// dB: how like the lost packets' sound is to what it would have been, each tenth being lost.
double likeness_of_lost(const Codec& c, const std::vector<Payload>& payloads, uint32_t rate, bool by_copies) {
  const auto whole = std::move(codec::make_decoder(c.format(), {rate})).value();
  const auto ear = std::move(codec::make_decoder(c.format(), {rate})).value();
  Samples said(rate / 50), heard(rate / 50);
  double signal = 0, noise = 0;
  for (size_t i = 0; i + 1 < payloads.size(); ++i) {
    EXPECT_TRUE(whole->decode(payloads[i], said).ok());
    if (i % 10 != 5) {
      EXPECT_TRUE(ear->decode(payloads[i], heard).ok());
      continue;
    }
    ear->decode_lost(heard, by_copies ? Bytes(payloads[i + 1]) : Bytes{});
    for (size_t n = 0; n < said.size(); ++n) {
      signal += static_cast<double>(said[n]) * said[n];
      noise += std::pow(static_cast<double>(said[n]) - heard[n], 2);
    }
  }
  return 10 * std::log10(signal / noise);
}

TEST(Fec, IsSpentOnALegThatAsksForItAndLosesPackets) {
  for (const auto& [from, rate] : {std::pair(&pcmu, 8000u), std::pair(&g722, 16000u)}) {
    Reading call(*from, asks);
    call.read(50);
    call.report(0);
    call.read(400);
    EXPECT_EQ(copies(call.last(390)), 0) << from->name << ": nothing is lost";
    call.report(tenth);
    call.read(400);
    const auto heard = call.last(390);
    EXPECT_GT(copies(heard), 0.6) << from->name << ": of speech, not of its pauses";
    const double with = likeness_of_lost(asks, heard, rate, true);
    const double without = likeness_of_lost(asks, heard, rate, false);
    EXPECT_GT(with, without + 4) << from->name << ": the lost one is in the next one";
    for (int i = 0; i < 5; ++i) {
      call.report(0);
      call.read(20);
    }
    call.read(20);
    EXPECT_EQ(copies(call.last(20)), 0) << from->name << ": that is over";
  }
}

TEST(Fec, IsNotSpentOnALegThatDoesNotAskForIt) {
  Reading call(pcmu, asks_not), quiet(pcmu, asks_not);
  call.read(50), quiet.read(50);
  call.report(tenth), quiet.report(0);
  call.read(300), quiet.read(300);
  EXPECT_EQ(copies(call.last(300)), 0);
  EXPECT_EQ(call.b.payloads(), quiet.b.payloads()) << "whatever it reports";
}

TEST(Fec, IsNotSpentOnWhatIsLostOfAnotherStream) {
  Reading call(pcmu, asks);
  call.read(50);
  call.report(0);
  call.report(tenth, 1);
  call.read(200);
  EXPECT_EQ(copies(call.last(190)), 0);
}

TEST(Fec, OfAPlayedSound) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  Phone phone(asks, "198.51.100.1:4000", 7);
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(phone.sdp()), SdpRole::offer));
  phone.told(w.engine->answer(w.now, a).value());
  auto sound =
      std::make_shared<port::Sound>(port::Sound{port::sound_rate, codec::testing::speech(port::sound_rate)});
  ASSERT_TRUE(w.engine->play(w.now, a, Programme{{{"en", "x", {}, sound}}, 0}));
  const auto listen = [&](uint8_t fraction_lost) {
    w.pass(milliseconds(100));
    const auto sent = w.take_sent();
    rtp::ReportBlock block;
    block.ssrc = sent.back().ssrc();
    block.fraction_lost = fraction_lost;
    std::vector<uint8_t> bytes(160);
    bytes.resize(rtp::write_report(bytes, 7, std::nullopt, block, "a"));
    w.receive(at("198.51.100.1:4001"), static_cast<uint16_t>(phone.port + 1), bytes);
    w.pass(milliseconds(100));
    w.take_sent();
    phone.heard.clear();
    w.pass(seconds(4));
    phone.hear(w, w.take_sent());
    return copies(phone.payloads());
  };
  EXPECT_EQ(listen(0), 0);
  EXPECT_GT(listen(tenth), 0.6);
}

}  // namespace
}  // namespace tandem::media
