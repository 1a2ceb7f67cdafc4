// Transactions through bytes at every state: restored on another layer with another monotonic origin, they go
// on.
#include "transaction_harness.h"

namespace tandem::sip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;
using Times = std::vector<int64_t>;

constexpr TuRef user{port::Asker::Room::call, 77, 5};

/// Everything in `from` as parts, into a fresh layer whose monotonic clock began elsewhere.
struct Moved {
  explicit Moved(Harness& from) : to({}, {}, 5, 99) {
    to.now.wall = from.now.wall;
    from.layer.snapshot(from.now, parts);
    for (const std::string& part : parts)
      if (auto r = to.layer.restore(to.now, part)) restored.push_back(*r);
    EXPECT_EQ(restored.size(), parts.size());
  }
  Harness to;
  std::vector<std::string> parts;
  std::vector<TransactionLayer::Restored> restored;
};

TEST(Snapshot, calling_goes_on_with_its_schedule) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.run(milliseconds(1600));
  Moved m(h);
  EXPECT_EQ(m.restored[0].user.object, user.object);
  EXPECT_EQ(m.restored[0].user.detail, user.detail);
  m.to.run(seconds(40));
  // Sent at 0, 500, 1500 before; the clock here started at 1600.
  EXPECT_EQ(m.to.sent_at(), (Times{1900, 5900, 13900, 29900}));
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::timeout));
  EXPECT_EQ(m.to.last_events[0].user.object, user.object);
}

TEST(Snapshot, overdue_deadlines_fire_at_once) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  std::vector<std::string> parts;
  h.layer.snapshot(h.now, parts);
  Harness late({}, {}, 5);
  late.now.wall = h.now.wall + seconds(100);
  ASSERT_TRUE(late.layer.restore(late.now, parts.at(0)));
  late.run(Duration::zero());
  EXPECT_THAT(late.kinds(), ElementsAre(Kind::timeout));
}

TEST(Snapshot, proceeding_can_be_cancelled_elsewhere) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.in(answer(invite, 180), udp_path());
  Moved m(h);
  EXPECT_TRUE(m.to.layer.next_timeout().is_never());
  m.to.cancel(m.restored[0].client);
  EXPECT_THAT(m.to.last_text(), StartsWith("CANCEL sip:bob@198.51.100.7:5070"));
  EXPECT_EQ(parse_ok(m.to.last_text()).top_via().text, parse_ok(invite).top_via().text);
  m.to.in(answer(invite, 487), udp_path());
  EXPECT_THAT(m.to.last_text(), StartsWith("ACK "));
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::response));
}

TEST(Snapshot, wanted_and_sent_cancels_are_kept) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.cancel(id, "SIP;cause=200");
  Moved wanted(h);
  wanted.to.in(answer(invite, 100, ""), udp_path());
  EXPECT_THAT(wanted.to.last_text(), StartsWith("CANCEL"));
  EXPECT_THAT(wanted.to.last_text(), testing::HasSubstr("Reason: SIP;cause=200\r\n"));
  wanted.to.run(milliseconds(700));
  wanted.to.sent();
  Moved sent(wanted.to);
  sent.to.run(seconds(40));
  EXPECT_EQ(sent.to.sent_at().size(), 9u);
  EXPECT_THAT(sent.to.kinds(), ElementsAre(Kind::timeout));
  EXPECT_EQ(sent.to.layer.client_count(), 0u);
}

TEST(Snapshot, completed_client_acknowledges_again) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.in(answer(invite, 486), udp_path());
  Moved m(h);
  m.to.in(answer(invite, 486), udp_path());
  EXPECT_EQ(m.to.last_text(), h.last_text());
  EXPECT_THAT(m.to.kinds(), IsEmpty());
  m.to.run(seconds(32));
  EXPECT_EQ(m.to.layer.client_count(), 0u);
}

TEST(Snapshot, accepted_client_passes_2xx_on) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 200), udp_path());
  h.run(seconds(10));
  Moved m(h);
  m.to.in(answer(h.texts[0], 200), udp_path());
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::response));
  m.to.run(milliseconds(21999));
  EXPECT_EQ(m.to.layer.client_count(), 1u);
  m.to.run(milliseconds(1));
  EXPECT_EQ(m.to.layer.client_count(), 0u);
}

TEST(Snapshot, tcp_attempt_still_falls_back) {
  Harness h;
  port::Path path = udp_path();
  path.flow = {};
  const ClientTxId id = h.ask(own_request(Method::invite, path, 1300));
  Harness to({}, {}, 5, 99);
  to.now.wall = h.now.wall;
  const std::string part = h.layer.take(h.now, id);
  EXPECT_EQ(h.layer.client_count(), 0u);
  const auto r = to.layer.restore(to.now, part);
  ASSERT_TRUE(r);
  to.fail(r->client.packed());
  EXPECT_EQ(to.sends.back().path.transport, port::Transport::udp);
  EXPECT_EQ(parse_ok(to.last_text()).top_via().transport, "UDP");
}

TEST(Snapshot, unanswered_bye_is_kept_and_an_answered_one_is_not) {
  Harness h;
  h.ask(own_request(Method::bye, udp_path()));
  const ClientTxId answered = h.ask(own_request(Method::options, udp_path()));
  h.in(answer(h.last_text(), 200), udp_path());
  Moved m(h);
  ASSERT_EQ(m.parts.size(), 1u);
  EXPECT_EQ(h.layer.take(h.now, answered), "");
  EXPECT_EQ(h.layer.client_count(), 2u);
  m.to.run(milliseconds(500));
  EXPECT_EQ(m.to.texts.at(0), h.texts.at(0));
}

TEST(Snapshot, what_was_answered_within_a_dialog_gets_the_same_answer_again) {
  Harness h;
  const std::string prack = peer_request("PRACK", udp_via("z9hG4bKp"), "us");
  const std::string options = peer_request("OPTIONS", udp_via("z9hG4bKo"));
  h.in(prack, udp_path());
  h.respond(h.events.back().server, 200);
  h.in(options, udp_path());
  h.respond(h.events.back().server, 200);
  h.run(seconds(4));
  Moved m(h);
  ASSERT_EQ(m.restored.size(), 1u);
  EXPECT_TRUE(m.restored[0].answered);
  m.to.in(prack, udp_path());
  EXPECT_THAT(m.to.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_THAT(m.to.kinds(), IsEmpty());
  Moved again(m.to);
  again.to.in(prack, udp_path());
  EXPECT_THAT(again.to.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_THAT(again.to.kinds(), IsEmpty());
  again.to.run(seconds(28));  // Timer J began when it was answered
  EXPECT_EQ(again.to.layer.server_count(), 0u);
  again.to.in(options, udp_path());
  EXPECT_THAT(again.to.kinds(), ElementsAre(Kind::done, Kind::request));
}

TEST(Snapshot, server_proceeding_keeps_request_and_last_response) {
  Harness h;
  const std::string invite = peer_request("INVITE", udp_via());
  h.in(invite, udp_path());
  const ServerTxId id = h.events.back().server;
  h.layer.set_user(id, user);
  h.respond(id, 180);
  Moved m(h);
  const ServerTxId there = m.restored[0].server;
  EXPECT_EQ(m.restored[0].user.object, user.object);
  ASSERT_NE(m.to.layer.request_of(there), nullptr);
  EXPECT_EQ(as_text(m.to.layer.request_of(there)->bytes()), invite);
  EXPECT_EQ(*m.to.layer.path_of(there), udp_path());
  m.to.in(invite, udp_path());
  EXPECT_THAT(m.to.last_text(), StartsWith("SIP/2.0 180"));
  m.to.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::cancel));
  Moved again(m.to);
  again.to.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(again.to.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_THAT(again.to.kinds(), IsEmpty());  // reported before the move
  again.to.respond(again.restored[0].server, 487);
  again.to.in(peer_request("ACK", udp_via(), "us"), udp_path());
  again.to.run(seconds(5));
  EXPECT_THAT(again.to.kinds(), ElementsAre(Kind::done));
}

TEST(Snapshot, server_completed_goes_on_repeating) {
  Harness h;
  h.in(peer_request("INVITE", udp_via()), udp_path());
  h.respond(h.events.back().server, 486);
  h.run(milliseconds(600));
  Moved m(h);
  m.to.run(seconds(40));
  EXPECT_EQ(m.to.sent_at(), (Times{900, 2900, 6900, 10900, 14900, 18900, 22900, 26900, 30900}));
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::ack_missing, Kind::done));
}

TEST(Snapshot, server_confirmed_and_accepted) {
  Harness h;
  h.in(peer_request("INVITE", udp_via("z9hG4bKa")), udp_path());
  h.respond(h.events.back().server, 486);
  h.in(peer_request("ACK", udp_via("z9hG4bKa"), "us"), udp_path());
  h.in(peer_request("INVITE", udp_via("z9hG4bKb")), udp_path());
  h.respond(h.events.back().server, 200);
  h.run(seconds(4));
  Moved m(h);
  ASSERT_EQ(m.restored.size(), 2u);
  m.to.in(peer_request("INVITE", udp_via("z9hG4bKa")), udp_path());
  m.to.in(peer_request("INVITE", udp_via("z9hG4bKb")), udp_path());
  EXPECT_THAT(m.to.sent(), IsEmpty());
  m.to.run(seconds(1));
  EXPECT_EQ(m.to.layer.server_count(), 1u);
  m.to.run(seconds(27));
  EXPECT_EQ(m.to.layer.server_count(), 0u);
}

TEST(Snapshot, server_rfc2543_and_pending_non_invite) {
  Harness h;
  const std::string via = "SIP/2.0/UDP 198.51.100.7:5070";
  h.in(peer_request("INVITE", via, "tag"), udp_path());
  h.in(peer_request("OPTIONS", udp_via("z9hG4bKo")), udp_path());
  Moved m(h);
  ASSERT_EQ(m.restored.size(), 2u);
  m.to.in(peer_request("INVITE", via, "tag"), udp_path());
  m.to.in(peer_request("OPTIONS", udp_via("z9hG4bKo")), udp_path());
  EXPECT_THAT(m.to.kinds(), IsEmpty());
  m.to.in(peer_request("INVITE", via, "other"), udp_path());
  EXPECT_THAT(m.to.kinds(), ElementsAre(Kind::request));
}

TEST(Snapshot, take_removes_one_without_an_event) {
  Harness h;
  h.in(peer_request("INVITE", udp_via("z9hG4bKa")), udp_path());
  const ServerTxId a = h.events.back().server;
  h.in(peer_request("INVITE", udp_via("z9hG4bKb")), udp_path());
  h.kinds();
  EXPECT_NE(h.layer.take(h.now, a), "");
  EXPECT_EQ(h.layer.take(h.now, a), "");
  EXPECT_EQ(h.layer.server_count(), 1u);
  EXPECT_EQ(h.counted("sip_transactions", "side=\"server\""), 1u);
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.in(peer_request("INVITE", udp_via("z9hG4bKb")), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.in(peer_request("INVITE", udp_via("z9hG4bKa")), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::request));
}

TEST(Snapshot, what_is_not_a_part_is_refused_and_leaves_nothing) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.in(peer_request("INVITE", udp_via()), udp_path());
  std::vector<std::string> parts;
  h.layer.snapshot(h.now, parts);
  Harness to;
  EXPECT_FALSE(to.layer.restore(to.now, ""));
  EXPECT_FALSE(to.layer.restore(to.now, "not a part at all"));
  SeededRng rng(4);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = parts[i % 2];
    bad.resize(rng.below(bad.size()));
    if (!bad.empty()) bad[rng.below(bad.size())] ^= static_cast<char>(1 + rng.below(255));
    Harness victim;
    if (victim.layer.restore(victim.now, bad)) victim.run(seconds(1));
    EXPECT_LE(victim.layer.server_count() + victim.layer.client_count(), 1u);
  }
  Harness full({0, 0});
  for (const std::string& part : parts) EXPECT_FALSE(full.layer.restore(full.now, part));
}

}  // namespace
}  // namespace tandem::sip
