// Transfers, Replaces, pick-up and park (RFC 3515, RFC 3891, RFC 5589), also between two workers.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

/// Refer-To value for an attended transfer to the dialog `other` has with us.
std::string refer_replaces(const Phone& other, const std::string& user) {
  std::string call_id = other.call_id;
  if (const size_t at = call_id.find('@'); at != std::string::npos) call_id.replace(at, 1, "%40");
  return "Refer-To: <sip:" + user + "@" + domain + "?Replaces=" + call_id + "%3Bto-tag%3D" + other.peer_tag +
         "%3Bfrom-tag%3D" + other.tag + ">\r\n";
}

void expect_fragment(Phone& p, const std::string& status, const std::string& state) {
  const auto notify = p.expect("NOTIFY");
  EXPECT_THAT(std::string(notify.body_text()), HasSubstr("SIP/2.0 " + status));
  EXPECT_THAT(std::string(notify.header(sip::HeaderId::subscription_state).value_or("")), HasSubstr(state));
  p.ok();
}

struct Transfers : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  void refer(Phone& by, const std::string& to) {
    by.request("REFER", "", "Refer-To: <sip:" + to + "@" + domain + ">\r\n");
    by.expect(202);
    expect_fragment(by, "100", "active");
  }
};

TEST_F(Transfers, Blind) {
  connect(a, b);
  refer(b, "1003");
  const auto invite = c.expect("INVITE");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::from).value_or("")), HasSubstr("1001"));
  c.ring();
  expect_fragment(b, "180", "active");
  c.answer();
  c.expect("ACK");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  EXPECT_TRUE(a.quiet());  // the codecs fit: the transferred phone notices nothing
  ASSERT_EQ(sw.cdrs.size(), 1u);
  sw.advance(seconds(5));
  hang_up(a, c);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1002");
  EXPECT_EQ(sw.cdrs[1].caller.party.user, "1001");
  EXPECT_EQ(sw.cdrs[1].callee.party.user, "1003");
  EXPECT_EQ(sw.cdrs[1].transferred_by, "1002@example.org");
  EXPECT_EQ(sw.cdrs[1].dialled, "1003");
  sw.expect_empty();
}

TEST_F(Transfers, BlindRefused) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  c.reply(c.invite_text, 486);
  c.expect("ACK");
  expect_fragment(b, "486", "terminated");
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  hang_up(a, b);
  EXPECT_EQ(sw.cdrs.size(), 2u);  // the attempt, and the call
  sw.expect_empty();
}

TEST_F(Transfers, ReferrerLeavesAtOnce) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  b.bye();
  b.expect(200);
  EXPECT_TRUE(a.quiet());
  c.answer();
  c.expect("ACK");
  hang_up(c, a);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Transfers, TransferredPartyLeaves) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  c.ring();
  expect_fragment(b, "180", "active");
  a.bye();
  a.expect(200);
  expect_fragment(b, "487", "terminated");
  b.expect("BYE");
  b.ok();
  c.expect("CANCEL");
  c.ok();
  c.reply(c.invite_text, 487);
  c.expect("ACK");
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Transfers, OtherCodecsAreAgreed) {
  a.invite("1002", sdp(a.media, "0 8 101"));
  b.expect("INVITE");
  b.answer(sdp(b.media, "0 101"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  refer(b, "1003");
  c.expect("INVITE");
  c.answer(sdp(c.media, "8 101"));
  c.expect("ACK");
  const auto offer = a.expect("INVITE");  // PCMA now
  EXPECT_THAT(std::string(offer.body_text()), HasSubstr("RTP/AVP 8 101"));
  a.reply(a.request_text, 200, sdp(a.media, "8 101"));
  a.expect("ACK");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Transfers, BadTargets) {
  connect(a, b);
  b.request("REFER", "", "Refer-To: <http://example.org>\r\n");
  b.expect(400);
  b.request("REFER");
  b.expect(400);
  b.request("REFER", "", "Refer-To: <sip:1003@example.org?Replaces=x%3Bto-tag%3Dy%3Bfrom-tag%3Dz>\r\n");
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "481", "terminated");
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, Attended) {
  connect(a, b);
  b.request("INVITE", directed(sdp(b.media), "sendonly"));
  b.expect(200);
  b.ack();
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  connect(b2, c);
  b.request("REFER", "", refer_replaces(b2, "1003"));
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  b2.expect("BYE");
  b2.ok();
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(c.quiet());
  EXPECT_EQ(sw.calls->call_count(), 1u);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  hang_up(c, a);
  ASSERT_EQ(sw.cdrs.size(), 3u);
  EXPECT_EQ(sw.cdrs[2].caller.party.user, "1001");
  EXPECT_EQ(sw.cdrs[2].callee.party.user, "1003");
  sw.expect_empty();
}

TEST_F(Transfers, AttendedWhileItRings) {
  connect(a, b);
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  b2.call("1003");
  c.expect("INVITE");
  c.ring();
  b2.expect(180);
  b.request("REFER", "", refer_replaces(b2, "1003"));
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  b2.expect(487);
  b2.ack_failure();
  c.answer();
  c.expect("ACK");
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Transfers, InviteWithReplaces) {
  connect(a, b);
  Phone d(sw, "1004", "198.51.100.4:5060");
  // b's dialog seen from us: our tag is the to-tag.
  d.invite("1001", sdp(d.media),
           "Replaces: " + b.call_id + ";to-tag=" + b.peer_tag + ";from-tag=" + b.tag + "\r\n");
  d.expect(200);
  d.ack();
  b.expect("BYE");
  b.ok();
  hang_up(a, d);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Transfers, OperatorTransfers) {
  connect(a, b);
  const auto info = sw.calls->list().at(0);
  EXPECT_FALSE(sw.calls->transfer(sw.now, info.id, 99, "1003", sw.out));
  EXPECT_TRUE(sw.calls->transfer(sw.now, info.id, info.legs.at(1).id, "1003", sw.out));
  sw.pump();
  c.expect("INVITE");
  c.answer();
  c.expect("ACK");
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
  sw.expect_empty();
}

// ---- pick-up and park

TEST_F(Transfers, PickUp) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  EXPECT_EQ(sw.lines->at.at("1002@example.org").at(0).state, port::LineCall::State::early);
  c.call("*81002");
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, c);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1003");
  sw.expect_empty();
}

TEST_F(Transfers, NothingToPickUp) {
  c.call("*81002");
  c.expect(404);
  c.ack_failure();
  sw.expect_empty();
}

TEST_F(Transfers, GroupPickUp) {
  sw.subscriber("1002").pickup_group = "sales";
  sw.subscriber("1003").pickup_group = "sales";
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  c.call("*8");
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  hang_up(c, a);
  sw.expect_empty();
}

TEST_F(Transfers, ParkAndRetrieve) {
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.calls->list().at(0).state, "parked");
  ASSERT_TRUE(sw.lines->at.count("park+701@example.org"));
  sw.advance(seconds(1));
  EXPECT_GT(sw.media_sent[*SocketAddress::parse(a.media)], 40);  // music
  c.call("701");
  c.expect(200);
  c.ack();
  EXPECT_FALSE(sw.lines->at.count("park+701@example.org"));
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, c);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Transfers, ParkedTooLong) {
  sw.calls.reset();
  sw.config.media_timeout = {};  // these phones send nothing
  sw.build();
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  Phone b2(sw, "1002", "198.51.100.2:5080");
  sw.bindings["1002"].erase(sw.bindings["1002"].begin());
  sw.advance_until_sent(b2.addr, seconds(121));
  b2.expect("INVITE");  // the parker is called back
  b2.answer();
  b2.expect("ACK");
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  hang_up(b2, a);
  sw.expect_empty();
}

TEST_F(Transfers, ParkedPartyHangsUp) {
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  a.bye();
  a.expect(200);
  c.call("701");
  c.expect(404);
  c.ack_failure();
  sw.expect_empty();
}

// ---- features

TEST_F(Transfers, EchoTest) {
  a.call("*43");
  const auto ok = a.expect(200);
  EXPECT_THAT(std::string(ok.body_text()), HasSubstr("PCMU"));
  a.ack();
  a.bye();
  a.expect(200);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "*43");
  sw.expect_empty();
}

TEST_F(Transfers, EchoTestWithoutOffer) {
  a.invite("*43", "");
  a.expect(200);
  a.ack(sdp(a.media));
  a.bye();
  a.expect(200);
  sw.expect_empty();
}

TEST_F(Transfers, EchoTestWithoutG711) {
  a.invite("*43", sdp(a.media, "18"));
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Transfers, FeatureCodeSets) {
  a.call("*78");
  a.expect(200);
  a.ack();
  bool asked = false;
  for (const auto& q : sw.asked_questions)
    if (const auto* set = std::get_if<port::SetFeature>(&q))
      asked = set->kind == port::SetFeature::Kind::dnd && set->value == "1" && set->aor.user == "1001";
  EXPECT_TRUE(asked);
  sw.advance(seconds(3));
  a.expect("BYE");
  a.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.fail_directory = true;
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("*78");
  again.expect(503);
  again.ack_failure();
  sw.expect_empty();
}

// ---- two workers

struct TwoWorkers : ::testing::Test {
  static CallConfig worker(uint16_t n) {
    CallConfig c;
    c.worker = n;
    c.workers = 2;
    return c;
  }
  std::shared_ptr<Lines> lines = std::make_shared<Lines>();
  std::shared_ptr<media::FakePorts> ports = std::make_shared<media::FakePorts>();
  Switch one{worker(0), {}, lines, 11, ports};
  Switch two{worker(1), {}, lines, 12, ports};
  /// A Call-ID whose shard belongs to that worker.
  static std::string id_for(uint16_t worker_number) {
    for (int i = 0;; ++i) {
      const std::string id = "id" + std::to_string(worker_number) + "-" + std::to_string(i);
      if (sip::worker_of_shard(sip::shard_of(id), 2) == worker_number) return id;
    }
  }
  void deliver(Switch& from, Switch& to) {
    auto moves = std::exchange(from.moves, {});
    ASSERT_EQ(moves.size(), 1u);
    EXPECT_EQ(moves[0].to_worker, to.config.worker);
    EXPECT_FALSE(moves[0].local_tags.empty());
    EXPECT_EQ(from.calls->call_count(), 0u);
    EXPECT_EQ(from.engine->size(), 0u);
    EXPECT_TRUE(to.calls->restore(to.now, moves[0].part, moves[0].then, to.out));
    to.pump();
  }
  void goes_to(Phone& p, Switch& from, Switch& to) {
    auto& queue = from.sent[p.addr];
    for (auto text = queue.rbegin(); text != queue.rend(); ++text)
      to.sent[p.addr].push_front(std::move(*text));
    queue.clear();
    p.sw = &to;
  }
  void empty() {
    // The moved call's own names live on `two`; both must forget everything.
    two.advance(seconds(200));
    one.expect_empty();
    two.expect_empty();
  }
};

TEST_F(TwoWorkers, AttendedTransfer) {
  Phone a(one, "1001", "198.51.100.1:5060"), b(one, "1002", "198.51.100.2:5060");
  Phone b2(two, "1002", "198.51.100.2:5070"), c(two, "1003", "198.51.100.3:5060");
  a.call_id = id_for(0);
  b2.call_id = id_for(1);
  connect(a, b);
  connect(b2, c);
  b.request("REFER", "", refer_replaces(b2, "1003"));
  b.expect(202);
  expect_fragment(b, "100", "active");
  deliver(one, two);
  goes_to(a, one, two);
  goes_to(b, one, two);
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  b2.expect("BYE");
  b2.ok();
  EXPECT_EQ(two.calls->call_count(), 1u);
  hang_up(a, c);
  EXPECT_EQ(two.cdrs.size(), 3u);
  EXPECT_EQ(one.cdrs.size(), 0u);
  empty();
}

TEST_F(TwoWorkers, PickUp) {
  Phone c(one, "1003", "198.51.100.3:5060");
  Phone a(two, "1001", "198.51.100.1:5060"), b(two, "1002", "198.51.100.2:5060");
  a.call_id = id_for(1);
  c.call_id = id_for(0);
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  c.call("*81002");
  deliver(one, two);
  goes_to(c, one, two);
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  hang_up(c, a);
  EXPECT_EQ(two.cdrs.size(), 1u);
  empty();
}

TEST_F(TwoWorkers, TheOtherCallIsGone) {
  Phone c(one, "1003", "198.51.100.3:5060");
  Phone a(two, "1001", "198.51.100.1:5060"), b(two, "1002", "198.51.100.2:5060");
  a.call_id = id_for(1);
  c.call_id = id_for(0);
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  c.call("*81002");
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  deliver(one, two);
  goes_to(c, one, two);
  c.expect(481);
  c.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  empty();
}

TEST_F(TwoWorkers, Retrieve) {
  Phone c(one, "1003", "198.51.100.3:5060");
  Phone a(two, "1001", "198.51.100.1:5060"), b(two, "1002", "198.51.100.2:5060");
  a.call_id = id_for(1);
  c.call_id = id_for(0);
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:700@" + domain + ">\r\n");
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  c.call("701");
  deliver(one, two);
  goes_to(c, one, two);
  c.expect(200);
  c.ack();
  hang_up(a, c);
  empty();
}

}  // namespace
}  // namespace tandem::call::test
