// Trunks: their limits, their codecs, whether they live, and whose calls are theirs.
#include "unit/call/trunks.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// ---- limits

port::PlanRows limited_rows(uint32_t carrier, uint32_t backup = 0, uint32_t in_domain = 0) {
  port::PlanRows rows = trunk_rows();
  rows.trunks[0].max_calls = carrier;
  rows.trunks[1].max_calls = backup;
  rows.domains[0].max_calls = in_domain;
  return rows;
}

struct TrunkLimits : ::testing::Test {
  explicit TrunkLimits(port::PlanRows rows = limited_rows(1)) : sw(CallConfig{}, std::move(rows)) {}
  void use(const port::PlanRows& rows) {
    sw.set_rows(rows);
    sw.calls->set_plan(sw.now, sw.plan, sw.out);
    sw.pump();
  }
  void answered(Phone& from, Phone& at) {
    from.call("0301234567");
    at.expect("INVITE");
    at.answer();
    at.expect("ACK");
    from.expect(200);
    from.ack();
  }
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
  Phone backup{sw, "trunk:backup", "203.0.113.20:5060"};
};

TEST_F(TrunkLimits, AFullTrunkIsPassedOver) {
  answered(a, carrier);
  EXPECT_EQ(sw.seats->taken("carrier"), 1u);
  answered(b, backup);
  EXPECT_TRUE(carrier.quiet());
  EXPECT_EQ(sw.events_seen["trunk.full"], 1);
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  hang_up(a, carrier);
  EXPECT_EQ(sw.seats->taken("carrier"), 0u);
  hang_up(b, backup);
  sw.expect_empty();
}

TEST_F(TrunkLimits, WhenAllAreFull503) {
  use(limited_rows(1, 1));
  answered(a, carrier);
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  answered(again, backup);
  b.call("0301234567");
  b.expect(503);
  b.ack_failure();
  EXPECT_EQ(sw.events_seen["trunk.full"], 3);
  hang_up(a, carrier);
  hang_up(again, backup);
  sw.expect_empty();
}

TEST_F(TrunkLimits, ASeatGoesBackHoweverTheAttemptEnds) {
  a.call("0301234567");  // refused
  carrier.expect("INVITE");
  EXPECT_EQ(sw.seats->taken("carrier"), 1u);
  carrier.reply(carrier.invite_text, 486);
  carrier.expect("ACK");
  a.expect(486);
  a.ack_failure();
  EXPECT_EQ(sw.seats->taken(), 0u);
  Phone second(sw, "1001", "198.51.100.1:5061", false);
  second.call("0301234567");  // cancelled
  carrier.expect("INVITE");
  carrier.ring();
  second.expect(180);
  second.cancel();
  second.expect(200);
  second.expect(487);
  second.ack_failure();
  EXPECT_EQ(sw.seats->taken(), 0u);
  carrier.expect("CANCEL");
  carrier.ok();
  carrier.reply(carrier.invite_text, 487);
  carrier.expect("ACK");
  Phone third(sw, "1001", "198.51.100.1:5062", false);
  third.call("0301234567");  // to the next trunk
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 503);
  carrier.expect("ACK");
  EXPECT_EQ(sw.seats->taken("carrier"), 0u);
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 404);
  backup.expect("ACK");
  third.expect(404);
  third.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkLimits, AnOwnerThatDoesNotAnswerIsNoPermission) {
  sw.seats->silent = true;
  a.call("0301234567");
  backup.expect("INVITE");  // has no limit
  EXPECT_TRUE(carrier.quiet());
  EXPECT_EQ(sw.seats->taken(), 0u);  // what it may have granted was given back
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  a.expect(486);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkLimits, InboundPastTheLimitIsRefused) {
  carrier.call("49301001");
  a.expect("INVITE");
  a.answer();
  a.expect("ACK");
  carrier.expect(200);
  carrier.ack();
  Phone more(sw, "trunk:carrier", "203.0.113.10:5061");
  more.call("49301001");
  const auto refused = more.expect(503);
  EXPECT_EQ(refused.header(sip::HeaderId::retry_after).value_or(""), "5");
  more.ack_failure();
  EXPECT_TRUE(a.quiet());
  b.call("0301234567");  // both directions count
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  b.expect(486);
  b.ack_failure();
  hang_up(carrier, a);
  sw.expect_empty();
}

TEST_F(TrunkLimits, ADomainCountsEveryCallOfIts) {
  use(limited_rows(0, 0, 1));
  connect(a, b);
  EXPECT_EQ(sw.seats->taken(), 1u);
  carrier.call("49301001");
  carrier.expect(503);
  carrier.ack_failure();
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("1002");
  again.expect(503);
  again.ack_failure();
  EXPECT_EQ(sw.events_seen["domain.full"], 2);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(TrunkLimits, EmergencyCallsAreCountedAndNeverRefused) {
  auto rows = limited_rows(1, 1, 1);
  use(rows);
  answered(a, carrier);
  Phone again(sw, "1002", "198.51.100.2:5061", false);
  again.call("112");
  carrier.expect("INVITE");
  EXPECT_EQ(sw.seats->taken("carrier"), 2u);
  carrier.reply(carrier.invite_text, 486);
  carrier.expect("ACK");
  again.expect(486);
  again.ack_failure();
  carrier.invite_text.clear();
  sw.calls->hangup(sw.now, sw.calls->list().at(0).id, Cause::from_q850(16), sw.out);
  sw.pump();
  a.expect("BYE");
  a.ok();
  carrier.expect("BYE");
  carrier.ok();
  sw.expect_empty();
}

TEST_F(TrunkLimits, SeatsSurviveARestart) {
  use(limited_rows(2, 0, 5));
  answered(a, carrier);
  b.call("0301234567");
  carrier.expect("INVITE");
  sw.reboot();
  EXPECT_EQ(sw.seats->taken("carrier"), 2u);
  EXPECT_EQ(sw.seats->taken(), 4u);
  Phone third(sw, "1001", "198.51.100.1:5061", false);
  third.call("0301234567");
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  third.expect(486);
  third.ack_failure();
  carrier.reply(carrier.invite_text, 486);
  carrier.expect("ACK");
  b.expect(486);
  b.ack_failure();
  EXPECT_EQ(sw.seats->taken("carrier"), 1u);
  sw.calls->hangup(sw.now, sw.calls->list().at(0).id, Cause::from_q850(16), sw.out);
  sw.pump();
  a.expect("BYE");
  a.ok();
  carrier.expect("BYE");
  carrier.ok();
  sw.expect_empty();
}

TEST_F(TrunkLimits, AQuestionThatWasOpenAtARestartIsPutAgain) {
  use(limited_rows(1, 0, 5));
  sw.hold_asks = true;
  a.call("0301234567");
  sw.reboot();
  EXPECT_EQ(sw.seats->taken(), 0u);  // what was not granted is not claimed
  const port::SeatPool pool{port::SeatPool::Kind::trunk, "carrier"};
  sw.seats->update({pool, true, {1}});  // somebody was faster
  sw.hold_asks = false;
  sw.pump();
  EXPECT_TRUE(carrier.quiet());
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  sw.seats->update({pool, false, {1}});
  a.expect(486);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkLimits, CallsFromBeforeTheLimitAreCountedOnceThereIsOne) {
  use(limited_rows(0));
  answered(a, carrier);
  EXPECT_EQ(sw.seats->taken(), 0u);
  use(limited_rows(1));
  EXPECT_EQ(sw.seats->taken("carrier"), 1u);
  sw.seats->at.clear();  // the owner lost its book
  sw.advance(seconds(31));
  EXPECT_EQ(sw.seats->taken("carrier"), 1u);
  hang_up(a, carrier);
  sw.expect_empty();
}

// ---- codecs

std::string body_of(const sip::Message& m) { return std::string(as_text(m.body())); }

struct TrunkCodecs : TrunkLimits {
  static port::PlanRows rows(std::vector<std::string> codecs) {
    port::PlanRows rows = trunk_rows();
    rows.trunks[0].codecs = std::move(codecs);
    return rows;
  }
  TrunkCodecs() : TrunkLimits(rows({"PCMA", "G722/8000"})) {}
  static std::string audio_line(const sip::Message& m) {
    const std::string body = body_of(m);
    const size_t at = body.find("m=audio");
    const std::string line = body.substr(at, body.find('\r', at) - at);
    return line.substr(line.find("RTP/AVP") + 8);
  }
};

TEST_F(TrunkCodecs, OffersAreRestrictedAndOrdered) {
  a.invite("0301234567", sdp(a.media, "0 9 8 101",
                             "a=rtpmap:0 PCMU/8000\r\na=rtpmap:9 G722/8000\r\n"
                             "a=rtpmap:101 telephone-event/8000\r\n"));
  const auto invite = carrier.expect("INVITE");
  EXPECT_EQ(audio_line(invite), "8 9 101");
  EXPECT_THAT(body_of(invite), Not(HasSubstr("rtpmap:0 ")));
  EXPECT_THAT(body_of(invite), HasSubstr("rtpmap:9 G722/8000"));
  carrier.answer(sdp(carrier.media, "0 8 101"));  // says more than it was offered
  carrier.expect("ACK");
  EXPECT_EQ(audio_line(a.expect(200)), "8 101");
  a.ack();
  hang_up(a, carrier);
  sw.expect_empty();
}

TEST_F(TrunkCodecs, NothingInCommonGoesToTheNextTrunk) {
  a.invite("0301234567", sdp(a.media, "0 101"));
  backup.expect("INVITE");
  EXPECT_TRUE(carrier.quiet());
  EXPECT_EQ(sw.events_seen["trunk.no_codec"], 1);
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  a.expect(486);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkCodecs, NothingInCommonAnywhereIs488) {
  auto all = rows({"PCMA"});
  all.trunks[1].codecs = {"opus/48000/2"};
  use(all);
  a.invite("0301234567", sdp(a.media, "0 101"));
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkCodecs, WhatATrunkOffersIsRestrictedToo) {
  carrier.invite("49301001", sdp(carrier.media, "0 8 101"));
  EXPECT_EQ(audio_line(a.expect("INVITE")), "8 101");
  a.answer(sdp(a.media, "8 101"));
  a.expect("ACK");
  EXPECT_EQ(audio_line(carrier.expect(200)), "8 101");
  carrier.ack();
  Phone other(sw, "trunk:carrier", "203.0.113.10:5061");
  other.invite("49301001", sdp(other.media, "0 101"));
  other.expect(488);
  other.ack_failure();
  hang_up(carrier, a);
  sw.expect_empty();
}

TEST_F(TrunkCodecs, AReInviteIsRestrictedToo) {
  a.invite("0301234567", sdp(a.media, "8 101"));
  carrier.expect("INVITE");
  carrier.answer(sdp(carrier.media, "8 101"));
  carrier.expect("ACK");
  a.expect(200);
  a.ack();
  a.request("INVITE", sdp(a.media, "0 9 8 101"));
  EXPECT_EQ(audio_line(carrier.expect("INVITE")), "8 9 101");
  carrier.reply(carrier.request_text, 200, sdp(carrier.media, "9 101"));
  carrier.expect("ACK");
  EXPECT_EQ(audio_line(a.expect(200)), "9 101");
  a.ack();
  a.request("INVITE", sdp(a.media, "18 101"));
  a.expect(488);
  a.ack_failure();
  EXPECT_TRUE(carrier.quiet());
  hang_up(a, carrier);
  sw.expect_empty();
}

// ---- OPTIONS

struct TrunkProbes : TrunkLimits {
  static port::PlanRows rows() {
    port::PlanRows rows = trunk_rows();
    rows.trunks[0].options_seconds = rows.trunks[1].options_seconds = 60;
    return rows;
  }
  TrunkProbes() : TrunkLimits(rows()) { use(rows()); }
  /// The next OPTIONS of each is answered so; 0: not at all.
  void probe(int at_carrier, int at_backup) {
    sw.advance_until_sent(carrier.addr, seconds(70));
    sw.advance_until_sent(backup.addr, seconds(70));
    for (auto [phone, status] : {std::pair{&carrier, at_carrier}, std::pair{&backup, at_backup}}) {
      EXPECT_EQ(phone->expect("OPTIONS").header(sip::HeaderId::accept).value_or(""), "application/sdp");
      if (status) phone->reply(phone->request_text, status);
    }
    if (at_carrier && at_backup) return;
    sw.advance(seconds(33));  // Timer F
    sw.sent[carrier.addr].clear();
    sw.sent[backup.addr].clear();
  }
  TrunkStatus::Health health(const std::string& trunk) const {
    for (const TrunkStatus& t : sw.calls->trunks())
      if (t.trunk == trunk) return t.health;
    return TrunkStatus::Health::unknown;
  }
  void goes_to(Phone& trunk, const std::string& port) {
    Phone caller(sw, "1001", "198.51.100.1:" + port, false);
    caller.call("0301234567");
    trunk.expect("INVITE");
    trunk.reply(trunk.invite_text, 486);
    trunk.expect("ACK");
    caller.expect(486);
    caller.ack_failure();
  }
};

TEST_F(TrunkProbes, AnyFinalAnswerIsLifeBut503) {
  probe(404, 503);
  EXPECT_EQ(health("carrier"), TrunkStatus::Health::up);
  EXPECT_EQ(health("backup"), TrunkStatus::Health::down);
  EXPECT_EQ(sw.events_seen["trunk.down"], 1);
  EXPECT_EQ(sw.events_seen["trunk.up"], 0);
  EXPECT_EQ(sw.counters.total("trunk_down"), 1u);
}

TEST_F(TrunkProbes, ADownTrunkIsPassedOverUntilItAnswers) {
  goes_to(carrier, "5070");
  probe(0, 200);
  EXPECT_EQ(health("carrier"), TrunkStatus::Health::down);
  goes_to(backup, "5071");
  EXPECT_TRUE(carrier.quiet());
  probe(200, 200);
  EXPECT_EQ(health("carrier"), TrunkStatus::Health::up);
  EXPECT_EQ(sw.events_seen["trunk.up"], 1);
  goes_to(carrier, "5072");
}

TEST_F(TrunkProbes, WhenAllAreDownTheyAreTriedAnyway) {
  probe(0, 503);
  goes_to(carrier, "5070");
}

// ---- whose calls are whose

struct TrunkInbound : ::testing::Test {
  static port::PlanRows rows() {
    port::PlanRows rows = registration_rows();
    rows.trunks[0].host = "sip.carrier.example";
    return rows;
  }
  TrunkInbound() : sw(CallConfig{}, rows()) {
    sw.names["sip.carrier.example"] = {"203.0.113.10"};
    sw.calls->set_plan(sw.now, sw.plan, sw.out);
    sw.pump();
  }
  const route::Trunk* from(const std::string& address, const std::string& user,
                           port::Transport transport = port::Transport::udp, port::RealmId realm = 0) {
    port::Path path = sw.path_from(*SocketAddress::parse(address));
    path.transport = transport;
    path.realm = realm;
    return sw.calls->trunk_of(user, path);
  }
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
};

TEST_F(TrunkInbound, TheContactWeRegisteredNamesTheTrunk) {
  const auto reg = carrier.expect("REGISTER");
  const auto contact = reg.contact();
  ASSERT_TRUE(contact.ok());
  const std::string token(contact->uri.user);
  EXPECT_EQ(token.size(), 33u);
  const route::Trunk* trunk = from("203.0.113.99:5060", token);
  ASSERT_NE(trunk, nullptr);
  EXPECT_EQ(trunk->row.name, "carrier");
  EXPECT_EQ(from("203.0.113.99:5060", token, port::Transport::udp, 1), nullptr);  // another realm
  // Not guessed, not near, not with more of it, not the name or the account.
  std::string wrong = token;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  for (const std::string& user :
       {wrong, token.substr(0, 32), token + "0", std::string("carrier"), std::string("acme"), std::string()})
    EXPECT_EQ(from("203.0.113.99:5060", user), nullptr) << user;
  // Another key, another token: it is no hash of the name alone.
  CallConfig other;
  other.contact_key = {9};
  EXPECT_NE(TrunkContacts(other.contact_key).user_for("carrier"), token);
  EXPECT_EQ(TrunkContacts(CallConfig{}.contact_key).user_for("carrier"), token);
  // A trunk we do not register with was told no Contact.
  EXPECT_EQ(from("203.0.113.99:5060", TrunkContacts(CallConfig{}.contact_key).user_for("backup")), nullptr);
  // The call that comes so is for the number in its To.
  carrier.user = "+49301112";
  carrier.invite("sip:" + token + "@192.0.2.1", sdp(carrier.media));
  carrier.expect(404);  // the To repeats the token here
  carrier.ack_failure();
  carrier.new_branch();
  carrier.call_id = "did@carrier";
  carrier.remote_uri = "sip:49301001@" + domain;
  carrier.peer_tag.clear();
  carrier.send(
      Phone::with_body(carrier.head("INVITE", "sip:" + token + "@192.0.2.1", 7), sdp(carrier.media)));
  EXPECT_THAT(std::string(a.expect("INVITE").header(sip::HeaderId::from).value_or("")),
              HasSubstr("49301112"));
}

TEST_F(TrunkInbound, WhereACertificateDecidesNothingElseDoes) {
  const std::string token = TrunkContacts(CallConfig{}.contact_key).user_for("carrier");
  ASSERT_NE(from("203.0.113.10:5060", token), nullptr);
  auto certified = rows();
  certified.trunks[0].transport = port::Transport::tls;
  certified.trunks[0].tls_name = "sbc.carrier.example";
  sw.set_rows(certified);
  sw.calls->set_plan(sw.now, sw.plan, sw.out);
  sw.pump();
  EXPECT_EQ(from("203.0.113.10:5060", token, port::Transport::tls), nullptr);
  EXPECT_EQ(from("203.0.113.10:5060", "", port::Transport::tls), nullptr);
  EXPECT_TRUE(sw.calls->trunk_addresses().empty());  // and the flood filter spares no address either
}

TEST_F(TrunkInbound, TlsTrunksAreNotMatchedWithoutTls) {
  auto tls = rows();
  tls.trunks[0].transport = port::Transport::tls;
  sw.set_rows(tls);
  sw.calls->set_plan(sw.now, sw.plan, sw.out);
  sw.pump();
  const std::string token = TrunkContacts(CallConfig{}.contact_key).user_for("carrier");
  EXPECT_EQ(from("203.0.113.10:5060", token), nullptr);
  EXPECT_EQ(from("203.0.113.10:5060", ""), nullptr);
  EXPECT_NE(from("203.0.113.10:5061", token, port::Transport::tls), nullptr);
}

TEST_F(TrunkInbound, TheAddressesOfTheHostsNameAreItsSources) {
  ASSERT_NE(from("203.0.113.10:5080", ""), nullptr);
  EXPECT_EQ(from("203.0.113.10:5080", "")->row.name, "carrier");
  EXPECT_EQ(from("203.0.113.11:5080", ""), nullptr);
  EXPECT_EQ(from("203.0.113.10:5080", "", port::Transport::udp, 1), nullptr);
  EXPECT_EQ(sw.calls->trunk_addresses().size(), 1u);
  sw.names["sip.carrier.example"] = {"203.0.113.11"};
  sw.advance(seconds(301));  // the records' time is over
  EXPECT_NE(from("203.0.113.11:5080", ""), nullptr);
  EXPECT_EQ(from("203.0.113.10:5080", ""), nullptr);
  sw.names.clear();  // DNS has lost it: what was known serves on
  sw.advance(seconds(301));
  EXPECT_NE(from("203.0.113.11:5080", ""), nullptr);
  auto named = rows();
  named.trunks[0].sources = {"198.18.0.0/24"};  // the administrator says which
  sw.set_rows(named);
  sw.calls->set_plan(sw.now, sw.plan, sw.out);
  sw.pump();
  EXPECT_EQ(from("203.0.113.11:5080", ""), nullptr);
}

// ---- connections

/// A trunk over TLS, to which we open the connection.
struct TrunkConnection : ::testing::Test {
  static port::PlanRows rows() {
    port::PlanRows rows = trunk_rows();
    rows.trunks[0].transport = port::Transport::tls;
    rows.trunks[0].tls_name = "sbc.carrier.example";
    return rows;
  }
  TrunkConnection() {
    sw.lose = [this](const port::Send& s) {
      if (s.path.remote == carrier.addr) names.push_back(s.server_name);
      return false;
    };
  }
  Switch sw{CallConfig{}, rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
  std::vector<std::string> names;  // whose certificate was wanted of what was sent to the carrier
};

/// Another name than the INVITE's, or none, would have a connection of its own.
TEST_F(TrunkConnection, APrackAsksForTheSameCertificateAsTheInvite) {
  a.call("0301234567");
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 183, sdp(carrier.media), "Require: 100rel\r\nRSeq: 77\r\n");
  carrier.expect("PRACK");
  EXPECT_EQ(names, std::vector<std::string>(2, "sbc.carrier.example"));
  carrier.ok();
  carrier.answer();
  carrier.expect("ACK");
  a.expect(183);
  a.expect(200);
  a.ack();
  hang_up(a, carrier);
  sw.expect_empty();
}

TEST_F(TrunkConnection, AByeOverAnotherConnectionAsksForTheSameCertificate) {
  sw.connection_transport = port::Transport::tls;
  sw.connections[carrier.addr] = {0, 0, 7, 1};
  a.call("0301234567");
  carrier.expect("INVITE");
  carrier.answer();
  carrier.expect("ACK");
  a.expect(200);
  a.ack();
  names.clear();
  port::SendId failed = 0;
  sw.lose = [&](const port::Send& s) {
    if (s.path.remote != carrier.addr) return false;
    names.push_back(s.server_name);
    if (s.path.flow) failed = s.notify;
    return static_cast<bool>(s.path.flow);
  };
  a.bye();
  a.expect(200);
  EXPECT_TRUE(carrier.quiet());
  ASSERT_NE(failed, 0u);
  sw.fail(failed);
  carrier.expect("BYE");
  carrier.ok();
  EXPECT_EQ(names, std::vector<std::string>(2, "sbc.carrier.example"));
  sw.lose = {};
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
