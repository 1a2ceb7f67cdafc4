#include <gtest/gtest.h>

#include "world.h"

namespace tandem::media {
namespace {

TEST(Negotiation, AnswersWithWhatCanBeCodedAndEvents) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  const auto offer = phone_sdp("10.0.0.1:4000", "9 8 0 101 96", "a=rtpmap:96 opus/48000/2\r\n");
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer));
  const auto answer = parsed(w.engine->answer(w.now, a).value());
  EXPECT_EQ(answer.media(0).formats, "9 8 0 96 101");
  EXPECT_EQ(answer.media(0).proto, "RTP/AVP");
  EXPECT_EQ(answer.attributes(0, "rtpmap").size(), 5u);
  ASSERT_EQ(answer.attributes(0, "fmtp").size(), 2u);
  EXPECT_EQ(answer.attributes(0, "fmtp")[0], "96 useinbandfec=1");
  EXPECT_EQ(answer.attributes(0, "fmtp")[1], "101 0-15");
  EXPECT_EQ(answer.direction(0), sdp::Direction::sendrecv);
  EXPECT_EQ(answer.connection(0)->to_string(), "192.0.2.100");
}

TEST(Negotiation, SourcesAreNamedOnlyWhereTheyAreWhatIsHeard) {  // RFC 5576
  EndpointConfig c;
  c.transcode = true;
  c.codecs = {"opus", "G722", "PCMU", "L16/16000"};
  const std::string opus = "a=rtpmap:96 opus/48000/2\r\n", l16 = "a=rtpmap:96 L16/16000\r\n",
                    ssrc = "a=ssrc:776 cname:x\r\n";
  const auto told_the_caller = [&](const std::string& answer) {
    World w;
    const EndpointId a = w.engine->open(c).value(), b = w.engine->open(c).value();
    const auto offer = parsed(phone_sdp("10.0.0.1:4000", "96 0", opus + ssrc));
    EXPECT_TRUE(w.engine->set_remote(w.now, a, offer, SdpRole::offer).ok());
    (void)w.engine->present(w.now, b, offer, SdpRole::offer, a).value();
    EXPECT_TRUE(w.engine->set_remote(w.now, b, parsed(answer), SdpRole::answer).ok());
    return parsed(w.engine->present(w.now, a, parsed(answer), SdpRole::answer, b).value());
  };
  EXPECT_TRUE(told_the_caller(phone_sdp("10.0.0.2:4000", "0", ssrc)).has_attribute(0, "ssrc"));
  const auto changed = told_the_caller(phone_sdp("10.0.0.2:4000", "9", ssrc));
  EXPECT_FALSE(changed.has_attribute(0, "ssrc")) << changed.to_string();
  EXPECT_EQ(changed.media(0).formats.substr(0, 2), "96") << "it hears Opus of ours";
  // Before the called one has said what it takes, it takes what every browser does.
  const auto told_the_called = [&](const std::string& offer) {
    World w;
    const EndpointId a = w.engine->open(c).value(), b = w.engine->open(c).value();
    EXPECT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer).ok());
    return parsed(w.engine->present(w.now, b, parsed(offer), SdpRole::offer, a).value());
  };
  EXPECT_TRUE(told_the_called(phone_sdp("10.0.0.1:4000", "9", ssrc)).has_attribute(0, "ssrc"));
  EXPECT_FALSE(told_the_called(phone_sdp("10.0.0.1:4000", "96", l16 + ssrc)).has_attribute(0, "ssrc"));
}

TEST(Negotiation, OwnAnswerFollowsTheDirection) {
  World w;
  const auto direction = [&](const std::string& theirs, sdp::Direction wanted) {
    const EndpointId a = w.engine->open({}).value();
    (void)w.engine
        ->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000", "0", "a=" + theirs + "\r\n")),
                     SdpRole::offer)
        .ok();
    return parsed(w.engine->answer(w.now, a, wanted).value()).direction(0);
  };
  using sdp::Direction;
  EXPECT_EQ(direction("sendonly", Direction::sendrecv), Direction::recvonly);
  EXPECT_EQ(direction("recvonly", Direction::sendrecv), Direction::sendonly);
  EXPECT_EQ(direction("inactive", Direction::sendrecv), Direction::inactive);
  EXPECT_EQ(direction("sendrecv", Direction::sendonly), Direction::sendonly);
  EXPECT_EQ(direction("sendonly", Direction::sendonly), Direction::inactive);
}

TEST(Negotiation, NothingInCommonIsAReasonAndLeaksNoPort) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  EXPECT_EQ(w.engine->answer(w.now, a).reason(), Reason::no_remote);
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000", "3 101")), SdpRole::offer));
  EXPECT_EQ(w.engine->answer(w.now, a).reason(), Reason::no_common_codec);
  auto savp = phone_sdp("10.0.0.1:4000", "0");
  savp.replace(savp.find("RTP/AVP"), 7, "RTP/SAVP");
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(savp), SdpRole::offer));
  EXPECT_EQ(w.engine->answer(w.now, a).reason(), Reason::no_common_codec);
  EXPECT_EQ(w.ports.open(), 0u);
}

TEST(Negotiation, OwnAnswerRefusesTheOtherLines) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  const auto offer = phone_sdp("10.0.0.1:4000") + "m=video 4002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n";
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(offer), SdpRole::offer));
  const auto answer = parsed(w.engine->answer(w.now, a).value());
  ASSERT_EQ(answer.media_count(), 2u);
  EXPECT_EQ(answer.media(1).kind, "video");
  EXPECT_EQ(answer.media(1).port, 0);
  EXPECT_EQ(w.ports.open(), 2u);
}

TEST(Negotiation, OwnOfferAndItsAnswer) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  const auto offer = parsed(w.engine->offer(w.now, a, sdp::Direction::sendonly).value());
  EXPECT_EQ(offer.media(0).formats, "0 8 101");
  EXPECT_EQ(offer.direction(0), sdp::Direction::sendonly);
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000", "8", "a=recvonly\r\n")),
                                   SdpRole::answer));
  ASSERT_TRUE(w.engine->play(w.now, a, codec::ToneSequence::busy()));
  w.pass(milliseconds(100));
  ASSERT_FALSE(w.sent.empty());
  EXPECT_EQ(w.sent[0].payload_type(), 8);
}

TEST(Negotiation, VersionGrowsOnlyWithAChange) {
  World w;
  Call c = establish(w);
  const auto answer = phone_sdp("10.0.0.2:5000");
  EXPECT_EQ(w.engine->present(w.now, c.a, parsed(answer), SdpRole::answer).value(), c.to_a);
  const auto held = w.engine->present(
      w.now, c.a, parsed(phone_sdp("10.0.0.2:5000", "0 8 101", "a=sendonly\r\n")), SdpRole::offer);
  EXPECT_EQ(parsed(*held).origin().version, "2");
  EXPECT_EQ(parsed(*held).origin().session_id, parsed(c.to_a).origin().session_id);
  EXPECT_EQ(parsed(*held).media(0).port, c.a_port) << "the port stays";
}

TEST(Negotiation, RefusedOfferRollsBack) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port);
  w.talk(c.voice_b, c.b_port);
  const auto with_video = phone_sdp("10.0.0.50:4444") + "m=video 4002 RTP/AVP 99\r\n";
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(with_video), SdpRole::offer));
  ASSERT_TRUE(w.engine->present(w.now, c.b, parsed(with_video), SdpRole::offer).ok());
  EXPECT_EQ(w.ports.open(), 6u);
  w.engine->rollback(w.now, c.a);
  w.engine->rollback(w.now, c.b);
  EXPECT_EQ(w.ports.open(), 4u);
  EXPECT_EQ(w.engine->local_description(c.b), c.to_b);
  w.take_sent();
  w.talk(c.voice_a, c.a_port);
  w.talk(c.voice_b, c.b_port);
  ASSERT_EQ(w.sent.size(), 2u);
  EXPECT_EQ(w.sent[1].to, at("10.0.0.1:4000"));
  w.engine->rollback(w.now, c.a);  // nothing in progress
  EXPECT_EQ(w.engine->local_description(c.a), c.to_a);
}

TEST(Negotiation, FirstOfferRolledBackLeavesNoPort) {
  World w;
  const EndpointId b = w.engine->open({}).value();
  ASSERT_TRUE(w.engine->present(w.now, b, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer).ok());
  EXPECT_EQ(w.ports.open(), 2u);
  w.engine->rollback(w.now, b);
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.engine->local_description(b), "");
}

TEST(Negotiation, AnswerThatRefusesALineGivesItsPortsBack) {
  World w;
  const auto offer = phone_sdp("10.0.0.1:4000") + "m=video 4002 RTP/AVP 99\r\n";
  const Call c = establish(w, offer, phone_sdp("10.0.0.2:5000") + "m=video 0 RTP/AVP 99\r\n");
  EXPECT_EQ(w.ports.open(), 4u);
  EXPECT_EQ(parsed(c.to_a).media(1).port, 0);
}

TEST(Negotiation, LaterOffersKeepTheNumberOfLines) {
  World w;
  const auto two = phone_sdp("10.0.0.1:4000") + "m=video 4002 RTP/AVP 99\r\n";
  Call c = establish(w, two, phone_sdp("10.0.0.2:5000") + "m=video 5002 RTP/AVP 99\r\n");
  // A new partner with audio only takes A's place; B must still see two lines.
  const auto offer =
      parsed(w.engine->present(w.now, c.b, parsed(phone_sdp("10.0.0.3:6000")), SdpRole::offer).value());
  ASSERT_EQ(offer.media_count(), 2u);
  EXPECT_EQ(offer.media(1).kind, "video");
  EXPECT_EQ(offer.media(1).port, 0);
  // And the answer towards the new partner has its one line.
  const EndpointId n = w.engine->open({}).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, n, parsed(phone_sdp("10.0.0.3:6000")), SdpRole::offer));
  const auto answer =
      parsed(w.engine
                 ->present(w.now, n, parsed(phone_sdp("10.0.0.2:5000") + "m=video 0 RTP/AVP 99\r\n"),
                           SdpRole::answer)
                 .value());
  EXPECT_EQ(answer.media_count(), 1u);
  // An own offer keeps the places too.
  EXPECT_EQ(parsed(w.engine->offer(w.now, c.b).value()).media_count(), 2u);
}

TEST(Negotiation, LimitsHaveReasons) {
  EngineConfig config;
  config.endpoints = 2;
  World w(1, config);
  std::string many = phone_sdp("10.0.0.1:4000");
  for (int i = 0; i < 8; ++i) many += "m=video 5000 RTP/AVP 99\r\n";
  const EndpointId a = w.engine->open({}).value();
  const EndpointId b = w.engine->open({}).value();
  EXPECT_EQ(w.engine->open({}).reason(), Reason::too_many_endpoints);
  EXPECT_EQ(w.engine->set_remote(w.now, a, parsed(many), SdpRole::offer).reason(), Reason::too_many_media);
  EXPECT_EQ(w.engine->present(w.now, a, parsed(many), SdpRole::offer).reason(), Reason::too_many_media);
  EXPECT_EQ(w.ports.open(), 0u);
  // One pair in the range: two lines do not fit, and what was bound for them is given back.
  const auto two = phone_sdp("10.0.0.1:4000") + "m=video 4002 RTP/AVP 99\r\n";
  EXPECT_EQ(w.engine->present(w.now, a, parsed(two), SdpRole::offer).reason(), Reason::ports_exhausted);
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.counters.total("media_ports_exhausted_total"), 1u);
  ASSERT_TRUE(w.engine->present(w.now, a, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer).ok());
  EXPECT_EQ(w.engine->present(w.now, b, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer).reason(),
            Reason::ports_exhausted);
  w.engine->close(w.now, a);
  EXPECT_TRUE(w.engine->present(w.now, b, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer).ok());
  EXPECT_EQ(w.engine->join(w.now, a, b).reason(), Reason::unknown_endpoint);
}

TEST(Negotiation, NothingLeaks) {
  World w;
  for (int i = 0; i < 100; ++i) {
    Call c = establish(w);
    w.talk(c.voice_a, c.a_port, 2);
    w.engine->close(w.now, c.a);
    w.engine->close(w.now, c.b);
    w.engine->close(w.now, c.b);
  }
  EXPECT_EQ(w.engine->size(), 0u);
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.ports.wrong_closes, 0u);
  EXPECT_EQ(w.counters.total("media_ports"), 0u);
  EXPECT_EQ(w.counters.total("media_endpoints"), 0u);
  Call c = establish(w);
  w.engine.reset();
  EXPECT_EQ(w.ports.open(), 0u) << "an engine that goes gives its ports back";
}

}  // namespace
}  // namespace tandem::media
