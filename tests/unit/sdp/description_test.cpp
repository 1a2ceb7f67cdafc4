#include "sdp/description.h"

#include <gtest/gtest.h>

namespace tandem::sdp {
namespace {

const std::string offer =
    "v=0\r\n"
    "o=alice 2890844526 2890844527 IN IP4 192.0.2.1\r\n"
    "s=call\r\n"
    "i=unknown to us\r\n"
    "c=IN IP4 192.0.2.1\r\n"
    "b=AS:128\r\n"
    "t=0 0\r\n"
    "z=0 0\r\n"
    "a=group:BUNDLE 0 1\r\n"
    "a=x-session:kept as it is: 1 2 3\r\n"
    "m=audio 49170 RTP/AVP 0 96 8 97\r\n"
    "b=TIAS:64000\r\n"
    "a=rtpmap:96 opus/48000/2\r\n"
    "a=fmtp:96 useinbandfec=1; maxplaybackrate=16000\r\n"
    "a=rtpmap:97 telephone-event/8000\r\n"
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 49170 typ host\r\n"
    "a=ice-ufrag:abcd\r\n"
    "a=ptime:20\r\n"
    "a=x-unknown\r\n"
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
    "a=sendrecv\r\n"
    "m=video 51372 RTP/SAVP 99\r\n"
    "c=IN IP6 2001:db8::7\r\n"
    "a=rtpmap:99 H264/90000\r\n"
    "a=rtcp:53020 IN IP6 2001:db8::8\r\n"
    "a=recvonly\r\n"
    "m=application 0 UDP/BFCP *\r\n";

Description parsed(const std::string& text) {
  auto d = Description::parse(text);
  EXPECT_TRUE(d.ok()) << (d.ok() ? "" : to_string(d.reason()));
  return std::move(d).value();
}

Reason refused(const std::string& text, const Limits& limits = {}) {
  const auto d = Description::parse(text, limits);
  EXPECT_FALSE(d.ok());
  return d.ok() ? Reason::count_ : d.reason();
}

TEST(Description, GoesThroughUnchanged) { EXPECT_EQ(parsed(offer).to_string(), offer); }

TEST(Description, BareLineFeedsAndMissingLastLineEndAreRead) {
  EXPECT_EQ(parsed("v=0\no=- 1 1 IN IP4 h\ns=-\nt=0 0").to_string(),
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n");
  EXPECT_EQ(parsed("v=0\r\no=- 1 1 IN IP4 h\r\n\r\n\r\n").to_string(), "v=0\r\no=- 1 1 IN IP4 h\r\n");
}

TEST(Description, ReadsOriginAndMediaLines) {
  const Description d = parsed(offer);
  EXPECT_EQ(d.origin().username, "alice");
  EXPECT_EQ(d.origin().version, "2890844527");
  EXPECT_EQ(d.origin().address, "192.0.2.1");
  ASSERT_EQ(d.media_count(), 3u);
  EXPECT_EQ(d.media(0).kind, "audio");
  EXPECT_EQ(d.media(0).port, 49170);
  EXPECT_EQ(d.media(0).formats, "0 96 8 97");
  EXPECT_EQ(d.media(1).proto, "RTP/SAVP");
  EXPECT_EQ(d.media(2).port, 0);
}

TEST(Description, ReadsFormats) {
  const Description d = parsed(offer);
  const auto f = d.formats(0);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_EQ(f[0].encoding, "PCMU");
  EXPECT_EQ(f[0].clock_rate, 8000u);
  EXPECT_EQ(f[1].encoding, "opus");
  EXPECT_EQ(f[1].clock_rate, 48000u);
  EXPECT_EQ(f[1].channels, 2);
  EXPECT_EQ(f[1].parameters, "useinbandfec=1; maxplaybackrate=16000");
  EXPECT_EQ(f[2].encoding, "PCMA");
  EXPECT_EQ(f[3].encoding, "telephone-event");
  EXPECT_TRUE(d.formats(2).empty());
}

TEST(Description, ReadsAddresses) {
  const Description d = parsed(offer);
  EXPECT_EQ(d.rtp_address(0)->to_string(), "192.0.2.1:49170");
  EXPECT_EQ(d.rtcp_address(0)->to_string(), "192.0.2.1:49171");
  EXPECT_EQ(d.rtp_address(1)->to_string(), "[2001:db8::7]:51372");
  EXPECT_EQ(d.rtcp_address(1)->to_string(), "[2001:db8::8]:53020");
  EXPECT_FALSE(d.rtp_address(2));
}

TEST(Description, MuxedRtcpHasTheRtpAddress) {
  const Description d = parsed(
      "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP "
      "0\r\na=rtcp:4009\r\n"
      "a=rtcp-mux\r\n");
  EXPECT_EQ(d.rtcp_address(0)->port, 4000);
}

TEST(Description, NowhereIsNoAddress) {
  const auto with = [](const std::string& c, const std::string& port) {
    return parsed("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=" + c + "\r\nt=0 0\r\nm=audio " + port +
                  " RTP/AVP 0\r\n");
  };
  EXPECT_TRUE(with("IN IP4 10.0.0.1", "4000").rtp_address(0));
  EXPECT_FALSE(with("IN IP4 0.0.0.0", "4000").rtp_address(0));
  EXPECT_FALSE(with("IN IP6 ::", "4000").rtp_address(0));
  EXPECT_FALSE(with("IN IP4 10.0.0.1", "9").rtp_address(0));
  EXPECT_FALSE(with("IN IP4 phone.example.com", "4000").rtp_address(0));
  EXPECT_EQ(with("IN IP4 224.2.1.1/127/3", "4000").rtp_address(0)->ip, IpAddress::v4(224, 2, 1, 1));
  EXPECT_FALSE(with("IN IP4 10.0.0.1", "65535").rtcp_address(0));
  EXPECT_EQ(with("IN IP4 10.0.0.1", "4000/2").media(0).port_count, 2);
}

TEST(Description, DirectionComesFromMediaSessionAndHoldAddress) {
  const auto with = [](const std::string& session, const std::string& media, const std::string& ip) {
    return parsed("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 " + ip + "\r\nt=0 0\r\n" + session +
                  "m=audio 4000 RTP/AVP 0\r\n" + media)
        .direction(0);
  };
  EXPECT_EQ(with("", "", "10.0.0.1"), Direction::sendrecv);
  EXPECT_EQ(with("a=sendonly\r\n", "", "10.0.0.1"), Direction::sendonly);
  EXPECT_EQ(with("a=sendonly\r\n", "a=sendrecv\r\n", "10.0.0.1"), Direction::sendrecv);
  EXPECT_EQ(with("", "a=inactive\r\n", "10.0.0.1"), Direction::inactive);
  EXPECT_EQ(with("", "", "0.0.0.0"), Direction::sendonly);
  EXPECT_EQ(with("", "a=recvonly\r\n", "0.0.0.0"), Direction::inactive);
  EXPECT_EQ(with("", "a=ice-ufrag:abcd\r\n", "0.0.0.0"), Direction::sendonly);
}

TEST(Description, WhoHasNoCandidateYetHoldsNobody) {
  const auto with = [](const std::string& session, const std::string& media) {
    return parsed("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\n" + session +
                  "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n" + media)
        .direction(0);
  };
  EXPECT_EQ(with("", "a=ice-ufrag:abcd\r\n"), Direction::sendrecv);
  EXPECT_EQ(with("a=ice-ufrag:abcd\r\n", ""), Direction::sendrecv);
  EXPECT_EQ(with("", "a=ice-ufrag:abcd\r\na=sendonly\r\n"), Direction::sendonly);
  EXPECT_EQ(with("", ""), Direction::sendonly) << "and no ICE: on hold";
}

TEST(Description, DirectionsInvert) {
  EXPECT_EQ(inverted(Direction::sendonly), Direction::recvonly);
  EXPECT_EQ(inverted(Direction::recvonly), Direction::sendonly);
  EXPECT_EQ(inverted(Direction::sendrecv), Direction::sendrecv);
  EXPECT_EQ(inverted(Direction::inactive), Direction::inactive);
}

TEST(Description, AnchoringChangesAddressesAndNothingElse) {
  Description d = parsed(offer);
  Origin o;
  o.session_id = "7";
  o.version = "8";
  o.address = "203.0.113.9";
  d.set_origin(o);
  d.set_connection(IpAddress::v4(203, 0, 113, 9));
  d.set_media_port(0, 30000, 30001);
  d.set_media_port(1, 30002, 30009);
  d.remove_ice();
  EXPECT_EQ(d.to_string(),
            "v=0\r\n"
            "o=- 7 8 IN IP4 203.0.113.9\r\n"
            "s=call\r\n"
            "i=unknown to us\r\n"
            "c=IN IP4 203.0.113.9\r\n"
            "b=AS:128\r\n"
            "t=0 0\r\n"
            "z=0 0\r\n"
            "a=x-session:kept as it is: 1 2 3\r\n"
            "m=audio 30000 RTP/AVP 0 96 8 97\r\n"
            "b=TIAS:64000\r\n"
            "a=rtpmap:96 opus/48000/2\r\n"
            "a=fmtp:96 useinbandfec=1; maxplaybackrate=16000\r\n"
            "a=rtpmap:97 telephone-event/8000\r\n"
            "a=ptime:20\r\n"
            "a=x-unknown\r\n"
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
            "a=sendrecv\r\n"
            "m=video 30002 RTP/SAVP 99\r\n"
            "a=rtpmap:99 H264/90000\r\n"
            "a=recvonly\r\n"
            "a=rtcp:30009 IN IP4 203.0.113.9\r\n"
            "m=application 0 UDP/BFCP *\r\n");
}

TEST(Description, ConnectionIsInsertedWhereTheGrammarWantsIt) {
  Description d =
      parsed("v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\nc=IN IP4 10.0.0.1\r\n");
  d.set_connection(*IpAddress::parse("2001:db8::1"));
  d.set_media_port(0, 5000, 5001);
  EXPECT_EQ(d.to_string(),
            "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n");
}

TEST(Description, MediaCanBeRefusedAddedAndCut) {
  Description d = parsed(offer);
  d.reject_media(1);
  d.add_rejected_media(parsed(offer), 0);
  d.set_direction(0, Direction::inactive);
  const std::string text = d.to_string();
  EXPECT_NE(
      text.find("m=video 0 RTP/SAVP 99\r\nm=application 0 UDP/BFCP *\r\nm=audio 0 RTP/AVP 0 96 8 97\r\n"),
      std::string::npos)
      << text;
  EXPECT_EQ(d.direction(0), Direction::inactive);
  EXPECT_EQ(text.find("a=sendrecv"), std::string::npos);
  d.truncate_media(1);
  EXPECT_EQ(d.media_count(), 1u);
}

TEST(Description, OfOurOwn) {
  Origin o;
  o.session_id = "1";
  o.version = "2";
  o.address = "192.0.2.4";
  Description d = Description::make(o);
  d.set_connection(IpAddress::v4(192, 0, 2, 4));
  const size_t i = d.add_media("audio", 4000, "RTP/AVP", "8 0");
  d.add_attribute(i, "ptime", "20");
  EXPECT_EQ(
      d.to_string(),
      "v=0\r\no=- 1 2 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\n"
      "a=ptime:20\r\n");
  EXPECT_EQ(parsed(d.to_string()).to_string(), d.to_string());
}

TEST(Description, BadTextHasAReason) {
  const std::string head = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n";
  EXPECT_EQ(refused(""), Reason::empty);
  EXPECT_EQ(refused("\r\n \r\n"), Reason::empty);
  EXPECT_EQ(refused("o=- 1 1 IN IP4 h\r\n"), Reason::bad_version);
  EXPECT_EQ(refused("v=1\r\no=- 1 1 IN IP4 h\r\n"), Reason::bad_version);
  EXPECT_EQ(refused("v=0\r\ns=-\r\n"), Reason::bad_origin);
  EXPECT_EQ(refused("v=0\r\no=- 1 1 IN IP4\r\n"), Reason::bad_origin);
  EXPECT_EQ(refused(head + "o=- 1 1 IN IP4 h\r\n"), Reason::bad_origin);
  EXPECT_EQ(refused(head + "c=IN IP9 h\r\n"), Reason::bad_connection);
  EXPECT_EQ(refused(head + "m=audio 70000 RTP/AVP 0\r\n"), Reason::bad_media);
  EXPECT_EQ(refused(head + "m=audio 4000/0 RTP/AVP 0\r\n"), Reason::bad_media);
  EXPECT_EQ(refused(head + "m=audio 4000 RTP/AVP\r\n"), Reason::bad_media);
  EXPECT_EQ(refused(head + "nonsense\r\n"), Reason::bad_line);
  EXPECT_EQ(refused(head + "\r\na=x\r\n"), Reason::bad_line);
  EXPECT_EQ(refused(head + std::string("a=x\0y\r\n", 7)), Reason::bad_line);
  EXPECT_EQ(refused(head + "a=x\ry\r\n"), Reason::bad_line);
}

TEST(Description, LimitsHold) {
  Limits limits;
  limits.bytes = 400;
  limits.lines = 12;
  limits.media = 2;
  limits.attributes = 3;
  limits.formats = 4;
  const std::string head = "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n";
  EXPECT_EQ(refused(head + "a=" + std::string(400, 'x') + "\r\n", limits), Reason::too_large);
  EXPECT_EQ(refused(head + "a=1\r\na=2\r\na=3\r\na=4\r\n", limits), Reason::too_many_attributes);
  const std::string m = "m=audio 4000 RTP/AVP 0\r\n";
  EXPECT_TRUE(Description::parse(head + m + m, limits).ok());
  EXPECT_EQ(refused(head + m + m + m, limits), Reason::too_many_media);
  EXPECT_EQ(refused(head + "m=audio 4000 RTP/AVP 0 1 2 3 4\r\n", limits), Reason::too_many_formats);
  std::string long_text = head;
  for (int i = 0; i < 10; ++i) long_text += "b=AS:1\r\n";
  EXPECT_EQ(refused(long_text, limits), Reason::too_many_lines);
}

TEST(Description, FormatsAreLeftOutWithTheirAttributes) {
  auto d = Description::parse(
      "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nt=0 0\r\nm=audio 4000/2 RTP/AVP 0 8 96 101\r\n"
      "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\n"
      "a=rtcp-fb:* nack\r\na=rtcp-fb:96 nack pli\r\na=ptime:20\r\n");
  ASSERT_TRUE(d.ok());
  d->set_formats(0, {101, 8});
  const std::string text = d->to_string();
  EXPECT_NE(text.find("m=audio 4000/2 RTP/AVP 101 8\r\n"), std::string::npos) << text;
  EXPECT_EQ(text.find(":96"), std::string::npos) << text;
  for (const char* kept : {"a=rtpmap:101", "a=rtcp-fb:* nack", "a=ptime:20"})
    EXPECT_NE(text.find(kept), std::string::npos) << kept;
  const auto formats = d->formats(0);
  ASSERT_EQ(formats.size(), 2u);
  EXPECT_EQ(formats[0].encoding, "telephone-event");
  EXPECT_EQ(formats[1].encoding, "PCMA");
}

}  // namespace
}  // namespace tandem::sdp
