#include "edge/gate.h"

#include <gtest/gtest.h>

namespace tandem::edge {
namespace {

using port::Transport;
using Kind = Verdict::Kind;
using Reason = Verdict::Reason;

class GateTest : public ::testing::Test {
 protected:
  GateConfig config;
  Realm realm;
  CounterSet counters;
  Now now{{5'000'000'000}, {}};
  std::unique_ptr<Gate> gate_;

  GateTest() { realm.listeners = {{Transport::udp, *SocketAddress::parse("10.0.0.1:5060"), "", 0}}; }
  Gate& gate() {
    if (!gate_) gate_ = std::make_unique<Gate>(config, *RealmTable::build({realm}), counters);
    return *gate_;
  }
  static port::Path from(const char* ip, Transport transport = Transport::udp) {
    port::Path p;
    p.transport = transport;
    p.remote = {*IpAddress::parse(ip), 5060};
    return p;
  }
  static sip::Message request(const char* method, const char* uri = "sip:1002@example.com",
                              const char* more = "", const char* to_tag = "") {
    std::string text = std::string(method) + " " + uri +
                       " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc;rport\r\n" +
                       "From: <sip:1001@example.com>;tag=f\r\nTo: <sip:1002@example.com>" + to_tag +
                       "\r\nCall-ID: c1\r\nCSeq: 1 " + method + "\r\nMax-Forwards: 70\r\n" + more +
                       "Content-Length: 0\r\n\r\n";
    auto m = sip::Message::parse(Buffer::copy_of(text));
    EXPECT_TRUE(m.ok()) << text;
    return std::move(*m);
  }
  bool bytes(const char* text, const char* ip = "192.0.2.1", Transport transport = Transport::udp) {
    return gate().admit_bytes(now, as_bytes(std::string_view(text)), from(ip, transport));
  }
  Verdict admit(const sip::Message& m, Load load = {}, const char* ip = "192.0.2.1") {
    return gate().admit(now, m, from(ip), load);
  }
  uint64_t count(const char* name, const char* label) {
    for (const auto& e : counters.entries())
      if (e.name == name && e.labels.find(label) != std::string::npos) return e.counter.value();
    return 0;
  }
};

TEST_F(GateTest, BytesMustLookLikeSip) {
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n"));
  EXPECT_TRUE(bytes("\r\n\r\nINVITE sip:a@b SIP/7.0\r\n"));  // answered with 505 by the parser
  EXPECT_TRUE(bytes("SIP/2.0 200 OK\r\n"));
  EXPECT_TRUE(bytes("\r\n\r\n"));
  EXPECT_TRUE(bytes(""));
  EXPECT_FALSE(bytes("GET / HTTP/1.1\r\n"));
  EXPECT_FALSE(bytes("OPTIONS sip:a@b SIP/2.0"));
  EXPECT_FALSE(bytes("\x16\x03\x01\r\n"));
  EXPECT_FALSE(bytes((std::string(9000, 'A') + " SIP/2.0\r\n").c_str()));
  EXPECT_EQ(count("edge_dropped_total", "not_sip"), 4U);
}

TEST_F(GateTest, ScannersHearNothing) {
  const auto m = request("OPTIONS", "sip:100@10.0.0.1", "User-Agent: Friendly-Scanner 1.0\r\n");
  EXPECT_EQ(admit(m).kind, Kind::drop);
  EXPECT_EQ(admit(m).reason, Reason::scanner);
  EXPECT_EQ(count("edge_dropped_total", "scanner"), 2U);
  EXPECT_EQ(admit(request("OPTIONS", "sip:100@10.0.0.1", "User-Agent: baresip v1\r\n")).kind, Kind::admit);
  gate_.reset();
  realm.policy.scanners = true;
  EXPECT_EQ(admit(m).kind, Kind::admit);
}

TEST_F(GateTest, AnswersWhatDoesNotParse) {
  const auto answer = [&](std::string_view more, Load load = {}, const char* ip = "192.0.2.1") {
    const std::string text =
        "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa\r\nFrom: "
        "<sip:a@b>;tag=f\r\n"
        "To: <sip:c@d>\r\nCall-ID: c1\r\nCSeq: -1 OPTIONS\r\n" +
        std::string(more) + "Content-Length: 0\r\n\r\n";
    auto b = gate().refuse_malformed(now, as_bytes(text), sip::Reason::bad_cseq, from(ip), load);
    return b ? std::string(b->text()) : std::string();
  };
  const std::string first = answer("");
  EXPECT_EQ(first.substr(0, 12), "SIP/2.0 400 ");
  EXPECT_NE(first.find("To: <sip:c@d>;tag="), std::string::npos);
  EXPECT_NE(first.find("received=192.0.2.1"), std::string::npos);
  EXPECT_EQ(answer(""), first);  // a retransmission gets the same tag
  EXPECT_EQ(count("edge_refused_total", "malformed"), 2U);
  EXPECT_EQ(answer("User-Agent: friendly-scanner\r\n"), "");
  EXPECT_EQ(count("edge_dropped_total", "scanner"), 1U);
  EXPECT_EQ(answer("", {0, false, 0.99}), "");
  EXPECT_EQ(count("edge_dropped_total", "overload"), 1U);
  gate_.reset();
  config.requests_per_second = 1;
  config.burst = 2;
  realm.policy.deny = {*IpPrefix::parse("198.51.100.0/24")};
  EXPECT_EQ(answer("", {}, "198.51.100.1"), "");
  EXPECT_EQ(count("edge_dropped_total", "denied"), 1U);
  EXPECT_NE(answer(""), "");
  EXPECT_NE(answer(""), "");
  EXPECT_EQ(answer(""), "");
  EXPECT_EQ(count("edge_dropped_total", "rate"), 1U);
}

TEST_F(GateTest, ListsOfTheRealm) {
  realm.policy.allow = {*IpPrefix::parse("192.0.2.0/24")};
  realm.policy.deny = {*IpPrefix::parse("192.0.2.66")};
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n", "192.0.2.1"));
  EXPECT_FALSE(bytes("OPTIONS sip:a@b SIP/2.0\r\n", "192.0.2.66"));
  EXPECT_FALSE(bytes("OPTIONS sip:a@b SIP/2.0\r\n", "198.51.100.1"));
  EXPECT_EQ(count("edge_dropped_total", "denied"), 2U);
  gate_.reset();
  realm.policy.silent = false;
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n", "198.51.100.1"));
  const Verdict v = admit(request("OPTIONS"), {}, "198.51.100.1");
  EXPECT_EQ(v.kind, Kind::refuse);
  EXPECT_EQ(v.status, 403);
  EXPECT_EQ(admit(request("ACK"), {}, "198.51.100.1").kind, Kind::drop);
  gate().set_neighbours({*IpPrefix::parse("198.51.100.0/24")});
  EXPECT_EQ(admit(request("OPTIONS"), {}, "198.51.100.1").kind, Kind::admit);
}

TEST_F(GateTest, RealmWithoutRegistrations) {
  realm.policy.registrations = false;
  EXPECT_EQ(admit(request("REGISTER")).status, 403);
  EXPECT_EQ(admit(request("INVITE")).kind, Kind::admit);
}

TEST_F(GateTest, RateOfOneSource) {
  config.requests_per_second = 10;
  config.burst = 5;
  const auto m = request("OPTIONS");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(admit(m).kind, Kind::admit) << i;
  Verdict v = admit(m);
  EXPECT_EQ(v.kind, Kind::refuse);
  EXPECT_EQ(v.status, 503);
  EXPECT_GT(v.retry_after, 0U);
  EXPECT_EQ(admit(m, {}, "192.0.2.2").kind, Kind::admit);  // another source has its own
  EXPECT_EQ(admit(request("BYE", "sip:a@b", "", ";tag=t")).kind,
            Kind::admit);  // what runs goes on for a while
  for (int i = 0; i < 3; ++i) EXPECT_EQ(admit(m).kind, Kind::refuse) << i;
  EXPECT_EQ(admit(m).kind, Kind::drop);
  EXPECT_EQ(admit(request("BYE", "sip:a@b", "", ";tag=t")).kind, Kind::drop);
  now.mono = now.mono + milliseconds(1001);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(admit(m).kind, Kind::admit) << i;
  EXPECT_EQ(admit(m).kind, Kind::refuse);
  gate().set_neighbours({*IpPrefix::parse("192.0.2.1")});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(admit(m).kind, Kind::admit);
}

TEST_F(GateTest, AHouseholdSharesItsSixtyFour) {
  config.requests_per_second = 1;
  config.burst = 1;
  const auto m = request("OPTIONS");
  EXPECT_EQ(admit(m, {}, "2001:db8:0:1::1").kind, Kind::admit);
  EXPECT_EQ(admit(m, {}, "2001:db8:0:1:ffff::2").kind, Kind::refuse);
  EXPECT_EQ(admit(m, {}, "2001:db8:0:2::1").kind, Kind::admit);
}

TEST_F(GateTest, WrongPasswordsBan) {
  config.auth_failures = 3;
  config.ban = minutes(10);
  const auto path = from("192.0.2.1");
  gate().note_auth_failure(now, path);
  gate().note_auth_failure(now, path);
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n"));
  now.mono = now.mono + minutes(2);  // another window
  gate().note_auth_failure(now, path);
  EXPECT_FALSE(gate().banned(now, path.remote.ip));
  gate().note_auth_failure(now, path);
  gate().note_auth_failure(now, path);
  EXPECT_TRUE(gate().banned(now, path.remote.ip));
  EXPECT_FALSE(bytes("OPTIONS sip:a@b SIP/2.0\r\n"));
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n", "192.0.2.2"));
  now.mono = now.mono + minutes(10) - seconds(1);
  EXPECT_FALSE(bytes("OPTIONS sip:a@b SIP/2.0\r\n"));
  now.mono = now.mono + seconds(2);
  EXPECT_TRUE(bytes("OPTIONS sip:a@b SIP/2.0\r\n"));
  EXPECT_EQ(counters.total("edge_bans_total"), 1U);
  EXPECT_EQ(count("edge_dropped_total", "banned"), 2U);
}

TEST_F(GateTest, GarbageBansSlowerAndTrustedOnesNever) {
  config.auth_failures = 4;
  config.garbage = 10;
  realm.policy.trusted = {*IpPrefix::parse("192.0.2.9")};
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(bytes("rubbish\r\n", "192.0.2.1", Transport::tcp));
  EXPECT_FALSE(gate().banned(now, *IpAddress::parse("192.0.2.1")));
  gate().note_garbage(now, from("192.0.2.1", Transport::tcp));
  EXPECT_TRUE(gate().banned(now, *IpAddress::parse("192.0.2.1")));
  for (int i = 0; i < 100; ++i) gate().note_auth_failure(now, from("192.0.2.9"));
  EXPECT_FALSE(gate().banned(now, *IpAddress::parse("192.0.2.9")));
  // Half of each adds up.
  for (int i = 0; i < 5; ++i) gate().note_garbage(now, from("192.0.2.3", Transport::tls));
  gate().note_auth_failure(now, from("192.0.2.3"));
  EXPECT_FALSE(gate().banned(now, *IpAddress::parse("192.0.2.3")));
  gate().note_auth_failure(now, from("192.0.2.3"));
  EXPECT_TRUE(gate().banned(now, *IpAddress::parse("192.0.2.3")));
}

TEST_F(GateTest, DatagramsInAnothersNameDoNotSilenceIt) {
  config.garbage = 10;
  config.requests_per_second = 1;
  config.burst = 1;
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(bytes("rubbish\r\n"));
    gate().note_garbage(now, from("192.0.2.1"));
  }
  EXPECT_FALSE(gate().banned(now, *IpAddress::parse("192.0.2.1")));
  EXPECT_EQ(count("edge_dropped_total", "not_sip"), 10U);
  EXPECT_EQ(admit(request("OPTIONS")).kind, Kind::admit);
}

TEST_F(GateTest, ShedsByOrderOfMercy) {
  struct Row {
    Mercy mercy;
    sip::Message message;
    double shed_at;
  };
  std::vector<Row> rows;
  rows.push_back({Mercy::rest, request("OPTIONS"), 0.80});
  rows.push_back({Mercy::new_registration, request("REGISTER"), 0.85});
  rows.push_back({Mercy::new_call, request("INVITE"), 0.90});
  rows.push_back(
      {Mercy::refresh, request("REGISTER", "sip:b", "Authorization: Digest username=\"a\"\r\n"), 0.97});
  rows.push_back({Mercy::in_dialog, request("BYE", "sip:b", "", ";tag=t"), 2});
  rows.push_back({Mercy::in_dialog, request("CANCEL"), 2});
  rows.push_back({Mercy::emergency, request("INVITE", "sip:112@example.com"), 2});
  rows.push_back({Mercy::emergency, request("INVITE", "urn:service:sos.police"), 2});
  for (const Row& row : rows) {
    EXPECT_EQ(Gate::mercy_of(row.message, config.emergency_numbers), row.mercy);
    EXPECT_EQ(admit(row.message, {0, false, row.shed_at - 0.01}).kind, Kind::admit) << to_string(row.mercy);
    const Verdict v = admit(row.message, {0, false, std::min(1.0, row.shed_at)});
    EXPECT_EQ(v.kind, row.shed_at <= 1 ? Kind::refuse : Kind::admit) << to_string(row.mercy);
    if (v.kind == Kind::refuse) {
      EXPECT_EQ(v.reason, Reason::overload);
    }
  }
  EXPECT_EQ(count("edge_shed_total", "new_call"), 1U);
}

TEST_F(GateTest, DrainingAndFullNodesTakeNoNewCalls) {
  config.max_calls = 10;
  EXPECT_EQ(admit(request("INVITE"), {9, false, 0}).kind, Kind::admit);
  EXPECT_EQ(admit(request("INVITE"), {10, false, 0}).reason, Reason::too_many_calls);
  EXPECT_EQ(admit(request("REGISTER"), {10, false, 0}).kind, Kind::admit);
  EXPECT_EQ(admit(request("INVITE", "sip:911@example.com"), {10, true, 0}).kind, Kind::admit);
  EXPECT_EQ(admit(request("INVITE"), {0, true, 0}).reason, Reason::draining);
  EXPECT_EQ(admit(request("INVITE", "sip:b", "", ";tag=t"), {0, true, 0}).kind, Kind::admit);
  EXPECT_EQ(admit(request("OPTIONS"), {0, true, 0}).reason, Reason::draining);
  EXPECT_EQ(admit(request("REGISTER"), {0, true, 0}).kind, Kind::admit);
}

TEST_F(GateTest, RefusalsComeFromTheRequestAlone) {
  const auto m = request("INVITE");
  const Verdict v = admit(m, {0, true, 0});
  const Buffer first = gate().refusal(m, from("192.0.2.1"), v),
               again = gate().refusal(m, from("192.0.2.1"), v);
  EXPECT_EQ(first.text(), again.text());
  auto answer = sip::Message::parse(first.clone());
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status(), 503);
  EXPECT_EQ(answer->call_id(), "c1");
  EXPECT_EQ(answer->from_tag(), "f");
  EXPECT_EQ(answer->to_tag().size(), 16U);
  EXPECT_EQ(answer->top_via().branch, "z9hG4bKabc");
  EXPECT_EQ(answer->header(sip::HeaderId::retry_after), "5");
}

TEST_F(GateTest, TheTableIsBoundedAndKeepsBans) {
  config.sources = 64;
  config.requests_per_second = 100;
  const auto villain = *IpAddress::parse("203.0.113.66");
  gate().ban(now, villain, minutes(10));
  const auto m = request("OPTIONS");
  for (int i = 0; i < 5000; ++i) {
    const std::string ip = "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    now.mono = now.mono + microseconds(10);
    EXPECT_EQ(admit(m, {}, ip.c_str()).kind, Kind::admit);
  }
  EXPECT_TRUE(gate().banned(now, villain));
  EXPECT_GT(counters.total("edge_sources_evicted_total"), 4000U);
  SourceTable table(64, 1);
  EXPECT_EQ(table.capacity(), 64U);
  // With nothing but bans in a set the one that ends first makes room.
  bool evicted = false;
  SourceTable tiny(1, 1);
  for (uint64_t k = 1; k <= 9; ++k)
    tiny.find_or_add(now.mono, k, 1, evicted).banned_until =
        now.mono + seconds(static_cast<int64_t>(100 - k));
  EXPECT_TRUE(evicted);
  EXPECT_EQ(tiny.find(8), nullptr);
  EXPECT_NE(tiny.find(1), nullptr);
  EXPECT_NE(tiny.find(9), nullptr);
}

}  // namespace
}  // namespace tandem::edge
