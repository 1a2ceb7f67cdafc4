// Transfers and Replaces (RFC 3515, RFC 3891, RFC 5589); these and pick-up also between two workers.
#include "unit/call/recorder.h"
#include "unit/call/transfers.h"

namespace tandem::call::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

/// The dialog of that phone, seen from us: our tag is the to-tag.
std::string replaces(const Phone& other, const std::string& more = "") {
  return "Replaces: " + other.call_id + ";to-tag=" + other.peer_tag + ";from-tag=" + other.tag + more +
         "\r\n";
}

struct Transfers : ThreePhones {};

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

TEST_F(Transfers, WhoWantsNoReportsIsToldThatNoneWillCome) {  // RFC 4488 section 4
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:1003@" + domain + ">\r\nRefer-Sub: false\r\n");
  EXPECT_EQ(b.expect(202).header(sip::HeaderId::refer_sub).value_or(""), "false");
  c.expect("INVITE");
  c.ring();
  c.answer();
  c.expect("ACK");
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
  sw.expect_empty();
}

/// Nobody is left that could have it back: it hears what the target said, and is hung up.
TEST_F(Transfers, WhoseTargetIsBusyAndWhoseReferrerHasGone) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  b.bye();
  b.expect(200);
  sw.media_sent.clear();
  c.reply(c.invite_text, 486);
  c.expect("ACK");
  sw.advance(milliseconds(4900));
  EXPECT_TRUE(a.quiet());
  EXPECT_GT(sw.media_sent[*SocketAddress::parse(a.media)], 230);
  sw.advance(milliseconds(200));
  const auto bye = a.expect("BYE");
  EXPECT_THAT(std::string(bye.header(sip::HeaderId::reason).value_or("")), HasSubstr("cause=17"));
  a.ok();
  sw.expect_empty();
}

TEST_F(Transfers,
       OneReportAtATime) {  // UDP may reorder: what comes next waits for the answer to what went before
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:1003@" + domain + ">\r\n");
  b.expect(202);
  b.expect("NOTIFY");
  const std::string trying = b.request_text;
  c.expect("INVITE");
  c.ring();
  c.answer();
  c.expect("ACK");
  EXPECT_TRUE(b.quiet());
  b.reply(trying, 200);
  const auto last = b.expect("NOTIFY");  // the 180 is history
  EXPECT_THAT(std::string(last.body_text()), HasSubstr("SIP/2.0 200"));
  EXPECT_TRUE(b.quiet());
  b.ok();
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Transfers, ALostReportDoesNotKeepTheReferrer) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  sw.lose = [&](const port::Send& s) {
    return s.path.remote == b.addr && s.bytes.text().substr(0, 6) == "NOTIFY";
  };
  c.answer();
  c.expect("ACK");
  sw.advance(milliseconds(3900));
  EXPECT_TRUE(b.quiet());
  sw.advance(milliseconds(200));  // 8*T1
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Transfers, ALostReportIsRepeatedBeforeTheBye) {
  connect(a, b);
  refer(b, "1003");
  c.expect("INVITE");
  int notifies = 0;
  sw.lose = [&](const port::Send& s) {
    return s.path.remote == b.addr && s.bytes.text().substr(0, 6) == "NOTIFY" && ++notifies == 1;
  };
  c.answer();
  c.expect("ACK");
  sw.advance(milliseconds(600));
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  hang_up(a, c);
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
  transfer(b, b2, "1003");
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

TEST_F(Transfers, WhoWishesNotToBeNamedIsNotNamedAfterTheTransferEither) {
  connect_unnamed(a, b);
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  connect(b2, c);
  transfer(b, b2, "1003");
  EXPECT_EQ(sw.lines->at.at("1003@example.org").at(0).remote_uri, "sip:anonymous@anonymous.invalid");
  hang_up(c, a);
  ASSERT_EQ(sw.cdrs.size(), 3u);
  EXPECT_TRUE(sw.cdrs[2].private_caller);
  EXPECT_EQ(sw.cdrs[2].caller.party.user, "1001");
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

// ---- INVITE with Replaces: who may take which dialog (RFC 3891 sections 3 and 8)

TEST_F(Transfers, ReplacesByAnotherPhoneOfAParty) {
  connect(a, b);
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  b2.invite("1001", sdp(b2.media), replaces(b));
  b2.expect(200);
  b2.ack();
  b.expect("BYE");
  b.ok();
  // So may the other party: the call goes on with whom its phone named.
  Phone a2(sw, "1001", "198.51.100.1:5070", false);
  a2.invite("1002", sdp(a2.media), replaces(a));
  a2.expect(200);
  a2.ack();
  a.expect("BYE");
  a.ok();
  EXPECT_EQ(sw.lines->at.at("1002@example.org").at(0).remote_aor.user, "1001");
  hang_up(a2, b2);
  EXPECT_EQ(sw.cdrs.size(), 3u);
  EXPECT_EQ(sw.refused_replaces(), 0u);
  sw.expect_empty();
}

TEST_F(Transfers, ReplacesByAStranger) {
  connect(a, b);
  for (Phone* named : {&a, &b}) {
    Phone d(sw, "1004", "198.51.100.4:5060", false);
    d.invite("1001", sdp(d.media), replaces(*named));
    d.expect(403);
    d.ack_failure();
  }
  EXPECT_EQ(sw.refused_replaces(), 2u);
  EXPECT_EQ(sw.events_seen["call.replaces_refused"], 2);
  EXPECT_EQ(sw.events_seen["call.replaced"], 0);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, ReplacesByTheSameNameInAnotherDomain) {
  connect(a, b);
  Phone d(sw, "foreigner", "198.51.100.4:5060", false);
  sw.subscriber("foreigner").aor = {"1002", "example.net"};
  d.invite("1001", sdp(d.media), replaces(b));
  d.expect(403);
  d.ack_failure();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, ReplacesInThePickupGroup) {
  for (const char* user : {"1002", "1003"}) sw.subscriber(user).pickup_group = "sales";
  sw.subscriber("1001").pickup_group = "sales";
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  // As the line tells it, early-only like any phone that means to pick up.
  const port::LineCall shown = sw.lines->at.at("1002@example.org").at(0);
  EXPECT_EQ(shown.remote_tag, b.tag);
  EXPECT_EQ(shown.pickup_group, "sales");
  // The caller's own dialog is not one that rings.
  Phone d(sw, "1003", "198.51.100.3:5070", false);
  d.invite("1001", sdp(d.media), replaces(a));
  d.expect(403);
  d.ack_failure();
  c.invite("1002", sdp(c.media),
           "Replaces: " + shown.call_id + ";to-tag=" + shown.local_tag + ";from-tag=" + shown.remote_tag +
               ";early-only\r\n");
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Transfers, ReplacesOutsideThePickupGroup) {
  sw.subscriber("1002").pickup_group = "sales";
  sw.subscriber("1003").pickup_group = "support";
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  for (const char* group : {"support", ""}) {
    sw.subscriber("1003").pickup_group = group;
    Phone d(sw, "1003", "198.51.100.3:5070", false);
    d.invite("1002", sdp(d.media), replaces(b));
    d.expect(403);
    d.ack_failure();
  }
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, ThePickupGroupHasNoConfirmedDialog) {
  for (const char* user : {"1002", "1003"}) sw.subscriber(user).pickup_group = "sales";
  connect(a, b);
  c.invite("1002", sdp(c.media), replaces(b));
  c.expect(403);
  c.ack_failure();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, EarlyOnly) {
  connect(a, b);
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  b2.invite("1001", sdp(b2.media), replaces(b, ";early-only"));
  b2.expect(486);
  b2.ack_failure();
  // In a REFER too.
  Phone a2(sw, "1001", "198.51.100.1:5070", false);
  connect(a2, c);
  a2.request("REFER", "", refer_replaces(a, "1002", "%3Bearly-only"));
  a2.expect(202);
  expect_fragment(a2, "100", "active");
  expect_fragment(a2, "486", "terminated");
  hang_up(a2, c);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, ReplacesWithAnotherName) {
  connect(a, b);
  const std::string to = ";to-tag=" + b.peer_tag, from = ";from-tag=" + b.tag;
  const std::string names[] = {b.call_id + "x" + to + from, b.call_id + to + from + "x",
                               b.call_id + to + "x" + from, a.call_id + to + from,
                               b.call_id + ";to-tag=" + b.peer_tag + ";from-tag=" + b.peer_tag};
  for (const std::string& name : names) {
    Phone b2(sw, "1002", "198.51.100.2:5070", false);
    b2.invite("1001", sdp(b2.media), "Replaces: " + name + "\r\n");
    b2.expect(481);
    b2.ack_failure();
  }
  Phone b2(sw, "1002", "198.51.100.2:5070", false);
  b2.invite("1001", sdp(b2.media), "Replaces: " + b.call_id + to + "\r\n");
  b2.expect(400);
  b2.ack_failure();
  EXPECT_EQ(sw.refused_replaces(), 0u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transfers, ReferrerOfOneCallOnly) {
  connect(a, b);
  Phone d(sw, "1004", "198.51.100.4:5060"), e(sw, "1005", "198.51.100.5:5060");
  connect(d, e);
  b.request("REFER", "", refer_replaces(d, "1005"));
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "403", "terminated");
  EXPECT_EQ(sw.refused_replaces(), 1u);
  hang_up(a, b);
  hang_up(d, e);
  sw.expect_empty();
}

TEST_F(Transfers, ReferrerOfThePickupGroupOnly) {
  sw.subscriber("1002").pickup_group = sw.subscriber("1004").pickup_group = "sales";
  connect(a, b);
  Phone d(sw, "1004", "198.51.100.4:5060");
  c.call("1004");
  d.expect("INVITE");
  d.ring();
  c.expect(180);
  b.request("REFER", "", refer_replaces(d, "1004"));
  b.expect(202);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "403", "terminated");
  c.cancel();
  c.expect(200);
  c.expect(487);
  c.ack_failure();
  d.expect("CANCEL");
  d.ok();
  d.reply(d.invite_text, 487);
  d.expect("ACK");
  hang_up(a, b);
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
    moved = moves[0].branches;
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
  std::vector<std::string> moved;  // the branches that went along with the last call
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
  deliver(one, two);  // with its NOTIFY on the way: the answer comes to the new owner
  const auto& sent = one.sent[b.addr];
  const auto notify =
      std::find_if(sent.begin(), sent.end(), [](const auto& t) { return t.find("NOTIFY ") == 0; });
  ASSERT_NE(notify, sent.end());
  EXPECT_THAT(moved,
              Contains(std::string(b.parse(*notify).top_via().branch)));  // or it would come to the old
  goes_to(a, one, two);
  goes_to(b, one, two);
  expect_fragment(b, "100", "active");
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

TEST_F(TwoWorkers, WhatWasRecordedIsClosedWhereTheCallWas) {
  FakeRecorder here, there;
  one.engine->use(here);
  two.engine->use(there);
  for (Switch* sw : {&one, &two}) sw->subscriber("1001").recording = port::RecordPolicy::silent;
  Phone a(one, "1001", "198.51.100.1:5060"), b(one, "1002", "198.51.100.2:5060");
  Phone b2(two, "1002", "198.51.100.2:5070"), c(two, "1003", "198.51.100.3:5060");
  a.call_id = id_for(0);
  b2.call_id = id_for(1);
  connect(a, b);
  connect(b2, c);
  EXPECT_EQ(here.recordings.size(), 1u);
  b.request("REFER", "", refer_replaces(b2, "1003"));
  b.expect(202);
  std::vector<port::RecordingId> closed;
  const auto close_of = [](const port::Question& q) { return std::get_if<port::CloseRecording>(&q); };
  for (const auto& q : one.asked_questions)
    if (const auto* close = close_of(q)) closed.push_back(close->id);
  EXPECT_THAT(closed, ::testing::ElementsAre(here.last));
  deliver(one, two);
  goes_to(a, one, two);
  goes_to(b, one, two);
  // One of the call that came, where it went on, and one of what has become of it.
  ASSERT_EQ(there.recordings.size(), 2u);
  EXPECT_EQ(here.recordings.size(), 1u);
  EXPECT_NE(there.recordings[1].order.file.name, here.recordings[1].order.file.name);
  expect_fragment(b, "100", "active");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  b2.expect("BYE");
  b2.ok();
  hang_up(a, c);
  size_t closed_there = 0;
  for (const auto& q : two.asked_questions) closed_there += close_of(q) != nullptr;
  EXPECT_EQ(closed_there, 2u);
  const auto of_the_move = std::find_if(two.cdrs.begin(), two.cdrs.end(),
                                        [](const port::Cdr& cdr) { return cdr.recordings.size() == 2; });
  EXPECT_NE(of_the_move, two.cdrs.end()) << "the record names both";
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
  EXPECT_EQ(two.cdrs.size(), 2u);  // of who rang, and of who picked up
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

TEST_F(TwoWorkers, TheOtherCallIsAnswered) {
  Phone c(one, "1003", "198.51.100.3:5060");
  Phone a(two, "1001", "198.51.100.1:5060"), b(two, "1002", "198.51.100.2:5060");
  a.call_id = id_for(1);
  c.call_id = id_for(0);
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  c.call("*81002");
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  deliver(one, two);
  goes_to(c, one, two);
  c.expect(486);
  c.ack_failure();
  hang_up(a, b);
  empty();
}

/// A phone on `one` names b's dialog, which lives on `two`.
struct ReplacesFromAfar : TwoWorkers {
  Phone a{two, "1001", "198.51.100.1:5060"}, b{two, "1002", "198.51.100.2:5060"};
  void refused(const std::string& user, const std::string& named, int status) {
    Phone d(one, user, "198.51.100.4:5060", false);
    d.call_id = id_for(0);
    d.invite("1001", sdp(d.media), named);
    deliver(one, two);
    goes_to(d, one, two);
    d.expect(status);
    d.ack_failure();
  }
};

TEST_F(ReplacesFromAfar, JudgedWhereTheDialogIs) {
  a.call_id = id_for(1);
  connect(a, b);
  refused("1004", replaces(b), 403);
  EXPECT_EQ(two.refused_replaces(), 1u);
  refused("1002", replaces(b, ";early-only"), 486);
  refused("1002", "Replaces: x;to-tag=" + b.peer_tag + ";from-tag=" + b.tag + "\r\n", 481);
  refused("1002", "Replaces: " + b.call_id + ";to-tag=" + b.peer_tag + ";from-tag=x\r\n", 481);
  EXPECT_EQ(two.refused_replaces(), 1u);
  one.subscriber("1005").pickup_group = "sales";
  refused("1005", replaces(b), 403);
  Phone b2(one, "1002", "198.51.100.2:5070", false);
  b2.call_id = id_for(0);
  b2.invite("1001", sdp(b2.media), replaces(b));
  deliver(one, two);
  goes_to(b2, one, two);
  b2.expect(200);
  b2.ack();
  b.expect("BYE");
  b.ok();
  hang_up(a, b2);
  empty();
}

TEST_F(ReplacesFromAfar, PickupGroup) {
  two.subscriber("1002").pickup_group = "sales";
  a.call_id = id_for(1);
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  refused("1004", replaces(b), 403);
  Phone c(one, "1003", "198.51.100.3:5060");
  one.subscriber("1003").pickup_group = "sales";
  c.call_id = id_for(0);
  c.invite("1002", sdp(c.media), replaces(b, ";early-only"));
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
  hang_up(a, c);
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
