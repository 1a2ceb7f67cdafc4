#include <gtest/gtest.h>

#include "ice/description.h"
#include "base/rng.h"
#include "network.h"

namespace tandem::ice {
namespace {

using test::at;

std::string why(std::string_view line) {
  const auto c = Candidate::parse(line);
  return c ? "ok" : std::string(to_string(c.reason()));
}

TEST(Candidate, LinesAsBrowsersAndRfcsHaveThem) {
  for (const char* line : {
           "1 1 UDP 2130706431 10.0.1.1 8998 typ host",
           "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.1.1 rport 8998",
           "842163049 1 UDP 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag "
           "EEtu "
           "network-cost 999",
           "1 2 UDP 2130706430 fe80::6676:baff:fe9c:ee4a 8998 typ host",
           "1 1 TCP 2105458943 10.0.1.1 9 typ host tcptype active generation 0",
           "7 1 TCP 1015021823 192.0.2.3 3478 typ srflx raddr 10.0.1.1 rport 3478 tcptype so",
           "a+/9 256 UDP 1 192.0.2.1 65535 typ relay raddr 192.0.2.2 rport 1 x y x z",
           "3 1 UDP 2113937151 0f8a1b0e-9c4f.local 55555 typ host generation 0",
           "4 1 UDP 1677729535 203.0.113.7 46154 typ srflx raddr 0f8a.local rport 46154",
       }) {
    const auto c = Candidate::parse(line);
    ASSERT_TRUE(c) << line << ": " << to_string(c.reason());
    EXPECT_EQ(c->to_string(), line);
    const auto prefixed = Candidate::parse(std::string("candidate:") + line);
    ASSERT_TRUE(prefixed);
    EXPECT_EQ(*prefixed, *c);
  }
}

TEST(Candidate, ItsParts) {
  const auto c =
      Candidate::parse("2 1 udp 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.1.1 rport 8998 ufrag ab");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->foundation, "2");
  EXPECT_EQ(c->component, 1);
  EXPECT_EQ(c->priority, 1694498815u);
  EXPECT_EQ(c->address, at("192.0.2.3:45664"));
  EXPECT_EQ(c->type, CandidateType::server_reflexive);
  EXPECT_EQ(c->related, at("10.0.1.1:8998"));
  EXPECT_EQ(c->extension("ufrag"), "ab");
  EXPECT_EQ(c->extension("generation"), "");
  const auto named = Candidate::parse("3 1 UDP 1 abc.local 5 typ host");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->name, "abc.local");
  EXPECT_FALSE(named->address);
}

TEST(Candidate, WhatIsRefusedAndWhy) {
  EXPECT_EQ(why(""), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 type host"), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 typ"), "unknown_type");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 typ token"), "unknown_type");
  EXPECT_EQ(why("1 1 SCTP 1 192.0.2.1 1 typ host"), "unknown_transport");
  EXPECT_EQ(why("1 0 UDP 1 192.0.2.1 1 typ host"), "bad_component");
  EXPECT_EQ(why("1 257 UDP 1 192.0.2.1 1 typ host"), "bad_component");
  EXPECT_EQ(why("1 1 UDP 0 192.0.2.1 1 typ host"), "malformed");
  EXPECT_EQ(why("1 1 UDP 4294967296 192.0.2.1 1 typ host"), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 65536 typ host"), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 [::1 1 typ host"), "bad_address");
  EXPECT_EQ(why("1 1 UDP 1 fe80::1%eth0 1 typ host"), "bad_address");
  EXPECT_EQ(why("1- 1 UDP 1 192.0.2.1 1 typ host"), "malformed");
  EXPECT_EQ(why(std::string(33, 'a') + " 1 UDP 1 192.0.2.1 1 typ host"), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 typ host generation"), "malformed");
  EXPECT_EQ(why("1 1 TCP 1 192.0.2.1 9 typ host"), "malformed") << "no tcptype";
  EXPECT_EQ(why("1 1 TCP 1 192.0.2.1 9 typ host tcptype sometimes"), "malformed");
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 typ host x " + std::string(1024, 'y')), "malformed") << "too long";
  std::string many = "1 1 UDP 1 192.0.2.1 1 typ host";
  for (int i = 0; i < 17; ++i) many += " x y";
  EXPECT_EQ(why(many), "malformed") << "too many extensions";
  EXPECT_EQ(why("1 1 UDP 1 192.0.2.1 1 typ host x y\r\na=setup:active"), "malformed")
      << "no line hides in it";
}

TEST(Candidate, Priorities) {
  const auto udp = [](CandidateType t, uint16_t preference, uint16_t component) {
    return candidate_priority(t, Transport::udp, TcpType::none, preference, component);
  };
  // RFC 8445 section 5.1.2.1: 2^24 * type + 2^8 * local + 256 - component.
  EXPECT_EQ(udp(CandidateType::host, 65535, 1), 2130706431u);
  EXPECT_EQ(udp(CandidateType::host, 65535, 2), 2130706430u);
  EXPECT_EQ(udp(CandidateType::server_reflexive, 65535, 1), 1694498815u);
  EXPECT_EQ(udp(CandidateType::peer_reflexive, 65535, 1), 1862270975u);
  EXPECT_EQ(udp(CandidateType::relayed, 0, 1), 255u);
  const auto tcp = [](CandidateType t, TcpType d) {
    return candidate_priority(t, Transport::tcp, d, 65535, 1);
  };
  EXPECT_GT(tcp(CandidateType::host, TcpType::active), tcp(CandidateType::host, TcpType::passive));
  EXPECT_GT(tcp(CandidateType::host, TcpType::passive), tcp(CandidateType::host, TcpType::simultaneous_open));
  EXPECT_GT(tcp(CandidateType::server_reflexive, TcpType::simultaneous_open),
            tcp(CandidateType::server_reflexive, TcpType::active));
  EXPECT_LT(tcp(CandidateType::host, TcpType::active), udp(CandidateType::server_reflexive, 0, 2));
  EXPECT_EQ(tcp(CandidateType::host, TcpType::active), 60u << 24 | (6u << 13 | 8191u) << 8 | 255u);
  // Section 6.1.2.3, with G and D: 2^32*MIN + 2*MAX + (G > D).
  EXPECT_EQ(pair_priority(5, 3), (uint64_t{3} << 32) + 11);
  EXPECT_EQ(pair_priority(3, 5), (uint64_t{3} << 32) + 10);
  EXPECT_EQ(pair_priority(UINT32_MAX, UINT32_MAX), (uint64_t{UINT32_MAX} << 32) + 2 * uint64_t{UINT32_MAX});
}

TEST(Credentials, AreRandomAndCarryThePrefix) {
  SeededRng rng(1);
  const auto c = Credentials::make(rng, "n7+s1234/");
  EXPECT_TRUE(c.valid());
  EXPECT_EQ(c.ufrag.substr(0, 9), "n7+s1234/");
  EXPECT_EQ(c.ufrag.size(), 17u);
  EXPECT_NE(c, Credentials::make(rng, "n7+s1234/"));
  EXPECT_TRUE(Credentials::make(rng, "a b:c\r\n" + std::string(1000, 'x')).valid());
}

Result<bool, Reason> add(Description& d, const char* name, const char* value) {
  return read_attribute(d, name, value);
}

TEST(Description, AttributesThereAndBack) {
  Description d;
  d.credentials = {"abcd", "0123456789abcdefghijkl"};
  d.lite = true;
  d.options = {"ice2", "trickle"};
  d.pacing_ms = 20;
  d.candidates.push_back(*Candidate::parse("1 1 UDP 2130706431 10.0.1.1 8998 typ host"));
  d.end_of_candidates = true;
  d.remote_candidates = {{1, at("192.0.2.1:5000")}, {2, at("[2001:db8::1]:5001")}};
  const auto lines = to_attributes(d);
  const std::vector<Attribute> expected = {{"ice-lite", ""},
                                           {"ice-pacing", "20"},
                                           {"ice-options", "ice2 trickle"},
                                           {"ice-ufrag", "abcd"},
                                           {"ice-pwd", "0123456789abcdefghijkl"},
                                           {"candidate", "1 1 UDP 2130706431 10.0.1.1 8998 typ host"},
                                           {"end-of-candidates", ""},
                                           {"remote-candidates", "1 192.0.2.1 5000 2 2001:db8::1 5001"}};
  EXPECT_EQ(lines, expected);
  Description again;
  for (const auto& [name, value] : lines) {
    const auto taken = read_attribute(again, name, value);
    ASSERT_TRUE(taken) << name;
    EXPECT_TRUE(*taken);
  }
  EXPECT_EQ(to_attributes(again), lines);
  EXPECT_FALSE(*add(again, "rtpmap", "0 PCMU/8000")) << "not ours";
}

TEST(Description, BadLinesChangeNothing) {
  Description d;
  const auto reason = [&](const char* name, const std::string& value) {
    const auto r = read_attribute(d, name, value);
    return r ? "ok" : std::string(to_string(r.reason()));
  };
  EXPECT_EQ(reason("ice-ufrag", "abc"), "bad_credentials");
  EXPECT_EQ(reason("ice-ufrag", std::string(257, 'a')), "bad_credentials");
  EXPECT_EQ(reason("ice-ufrag", "ab:cd"), "bad_credentials");
  EXPECT_EQ(reason("ice-pwd", std::string(21, 'a')), "bad_credentials");
  EXPECT_EQ(reason("ice-options", ""), "malformed");
  EXPECT_EQ(reason("ice-options", "a\x01"), "malformed");
  EXPECT_EQ(reason("ice-pacing", "fast"), "malformed");
  EXPECT_EQ(reason("remote-candidates", "1 192.0.2.1"), "malformed");
  EXPECT_EQ(reason("remote-candidates", "0 192.0.2.1 5"), "bad_component");
  EXPECT_EQ(reason("remote-candidates", "1 example.com 5"), "bad_address");
  EXPECT_EQ(reason("candidate", "nonsense"), "malformed");
  EXPECT_TRUE(to_attributes(d).empty());
}

TEST(Description, HoldsAtMostSoManyCandidates) {
  Description d;
  for (size_t i = 0; i < most_candidates; ++i)
    ASSERT_TRUE(add(d, "candidate", "1 1 UDP 1 192.0.2.1 1 typ host"));
  EXPECT_EQ(add(d, "candidate", "1 1 UDP 1 192.0.2.1 1 typ host").reason(), Reason::too_many_candidates);
  EXPECT_EQ(d.candidates.size(), most_candidates);
}

TEST(Description, AnMLineInheritsFromTheSession) {
  Description session, line;
  session.credentials = {"sess", std::string(22, 's')};
  session.lite = true;
  session.options = {"ice2"};
  session.pacing_ms = 30;
  line.inherit(session);
  EXPECT_EQ(line.credentials, session.credentials);
  EXPECT_TRUE(line.lite);
  EXPECT_TRUE(line.has_option("ice2"));
  EXPECT_EQ(line.pacing_ms, 30u);
  Description own;
  own.credentials = {"line", std::string(22, 'l')};
  own.options = {"trickle"};
  own.inherit(session);
  EXPECT_EQ(own.credentials.ufrag, "line");
  EXPECT_FALSE(own.has_option("ice2"));
}

}  // namespace
}  // namespace tandem::ice
