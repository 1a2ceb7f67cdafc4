// The small tables of a worker: open questions, held sends, subscriber rows, lines, names of moved calls.
#include <gtest/gtest.h>

#include "node/ask_table.h"
#include "node/forwarder.h"
#include "node/held_sends.h"
#include "node/line_directory.h"
#include "node/seat_directory.h"
#include "node/subscriber_cache.h"

namespace tandem::node {
namespace {

constexpr Instant at(int64_t ms) { return Instant{ms * 1'000'000}; }
constexpr Now now_at(int64_t ms) { return Now{at(ms), WallTime{ms * 1'000'000}}; }

// ---- AskTable --------------------------------------------------------------------------------------------

TEST(AskTable, AnAnswerFindsItsAskerOnce) {
  CounterSet counters;
  AskTable asks(counters);
  asks.add({1, {port::Asker::Room::call, 42}, at(100)});
  EXPECT_EQ(asks.size(), 1U);
  const auto asker = asks.take(1);
  ASSERT_TRUE(asker);
  EXPECT_EQ(asker->room, port::Asker::Room::call);
  EXPECT_EQ(asker->object, 42U);
  EXPECT_FALSE(asks.take(1));
  EXPECT_FALSE(asks.take(999));
  EXPECT_EQ(counters.total("asks_late_total"), 2U);
  EXPECT_EQ(counters.total("asks_open"), 0U);
}

TEST(AskTable, ExpiredOnesComeByDeadlineAndAreThenLate) {
  CounterSet counters;
  AskTable asks(counters);
  asks.add({1, {port::Asker::Room::call, 1}, at(300)});
  asks.add({2, {port::Asker::Room::auth, 2}, at(100)});
  asks.add({3, {port::Asker::Room::route, 3}, at(200)});
  EXPECT_EQ(asks.next_timeout(), at(100));
  EXPECT_FALSE(asks.pop_expired(at(99)));
  asks.take(3);  // answered in time: never expires
  const auto first = asks.pop_expired(at(250));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 2U);
  EXPECT_EQ(first->asker.room, port::Asker::Room::auth);
  EXPECT_FALSE(asks.pop_expired(at(250)));
  EXPECT_EQ(asks.size(), 1U);
  EXPECT_FALSE(asks.take(2));
  EXPECT_EQ(counters.total("asks_timed_out_total"), 1U);
}

// ---- HeldSends -------------------------------------------------------------------------------------------

port::Send send_after(port::CommitId after, std::string_view text) {
  port::Send s;
  s.bytes = Buffer::copy_of(text);
  s.after = after;
  return s;
}

std::string texts(const std::vector<port::Send>& sends) {
  std::string out;
  for (const port::Send& s : sends) out += std::string(s.bytes.text()) + " ";
  return out;
}

TEST(HeldSends, WaitForTheirCommitAndNothingElseDoes) {
  CounterSet counters;
  HeldSends held(seconds(2), counters);
  std::vector<port::Send> sends;
  sends.push_back(send_after(0, "100"));
  sends.push_back(send_after(5, "200-bye"));
  sends.push_back(send_after(0, "180"));
  held.hold(now_at(0), sends);
  EXPECT_EQ(texts(sends), "100 180 ");
  EXPECT_EQ(held.size(), 1U);
  sends.clear();
  held.committed(4, sends);
  EXPECT_TRUE(sends.empty());
  held.committed(5, sends);
  EXPECT_EQ(texts(sends), "200-bye ");
  EXPECT_EQ(sends[0].after, 0U);
  EXPECT_TRUE(held.next_timeout().is_never());
  EXPECT_EQ(counters.total("held_sends"), 0U);
}

TEST(HeldSends, WhatIsDurableAlreadyDoesNotWait) {
  CounterSet counters;
  HeldSends held(seconds(2), counters);
  std::vector<port::Send> sends;
  held.committed(9, sends);
  sends.push_back(send_after(9, "now"));
  sends.push_back(send_after(10, "later"));
  held.hold(now_at(0), sends);
  EXPECT_EQ(texts(sends), "now ");
  sends.clear();
  held.committed(3, sends);  // an older report takes nothing back
  sends.push_back(send_after(8, "old"));
  held.hold(now_at(1), sends);
  EXPECT_EQ(texts(sends), "old ");
}

TEST(HeldSends, ADeadDiskDoesNotHoldThemForEver) {
  CounterSet counters;
  HeldSends held(milliseconds(500), counters);
  std::vector<port::Send> sends;
  sends.push_back(send_after(1, "a"));
  held.hold(now_at(0), sends);
  sends.push_back(send_after(2, "b"));
  held.hold(now_at(100), sends);
  EXPECT_EQ(held.next_timeout(), at(500));
  held.on_timeout(now_at(499), sends);
  EXPECT_TRUE(sends.empty());
  held.on_timeout(now_at(500), sends);
  EXPECT_EQ(texts(sends), "a ");
  EXPECT_EQ(held.next_timeout(), at(600));
  EXPECT_EQ(counters.total("held_sends_released_undurable_total"), 1U);
  sends.clear();
  held.committed(2, sends);
  EXPECT_EQ(texts(sends), "b ");
  EXPECT_EQ(counters.total("held_sends_released_undurable_total"), 1U);
}

TEST(HeldSends, AnOlderCommitBehindANewerOneIsFound) {
  CounterSet counters;
  HeldSends held(seconds(2), counters);
  std::vector<port::Send> sends;
  sends.push_back(send_after(7, "newer"));
  sends.push_back(send_after(3, "older"));
  held.hold(now_at(0), sends);
  sends.clear();
  held.committed(3, sends);
  EXPECT_EQ(texts(sends), "older ");
}

// ---- SubscriberCache -------------------------------------------------------------------------------------

const port::AddressOfRecord alice{"alice", "example.com"};

port::Answer row_of(const port::AddressOfRecord& aor, uint64_t revision = 1) {
  auto row = std::make_shared<port::Subscriber>();
  row->aor = aor;
  row->revision = revision;
  return port::SubscriberAnswer(row);
}

uint64_t revision_of(const port::Answer& answer) {
  const auto* row = std::get_if<port::SubscriberAnswer>(&answer);
  return row && *row ? (*row)->revision : 0;
}

struct Cache {
  CounterSet counters;
  SubscriberCacheLimits limits{3, seconds(60), hours(24), seconds(5)};
  SubscriberCache cache{limits, counters};
};

TEST(SubscriberCache, AFreshRowIsUsedWithoutAsking) {
  Cache t;
  EXPECT_FALSE(t.cache.fresh(now_at(0), alice));
  t.cache.learn(now_at(0), alice, row_of(alice, 7));
  const auto found = t.cache.fresh(now_at(59'999), alice);
  ASSERT_TRUE(found);
  EXPECT_EQ(revision_of(*found), 7U);
  EXPECT_FALSE(t.cache.fresh(now_at(60'000), alice));
  EXPECT_EQ(t.counters.total("subscriber_cache_hits_total"), 1U);
  EXPECT_EQ(t.counters.total("subscriber_cache_misses_total"), 2U);
}

TEST(SubscriberCache, AbsenceIsRememberedForAWhile) {
  Cache t;
  t.cache.learn(now_at(0), alice, port::NotFound{});
  const auto found = t.cache.fresh(now_at(4'999), alice);
  ASSERT_TRUE(found);
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(*found));
  EXPECT_FALSE(t.cache.fresh(now_at(5'000), alice));
}

TEST(SubscriberCache, AnOldRowServesWhileTheDirectoryIsAway) {
  Cache t;
  t.cache.learn(now_at(0), alice, row_of(alice, 7));
  const int64_t hour = 3'600'000;
  EXPECT_EQ(revision_of(t.cache.learn(now_at(hour), alice, port::AskFailure::unavailable)), 7U);
  EXPECT_EQ(t.counters.total("subscriber_cache_stale_total"), 1U);
  // Trust ends: a day after the directory was last heard of it.
  const port::Answer late = t.cache.learn(now_at(25 * hour), alice, port::AskFailure::unavailable);
  EXPECT_TRUE(std::holds_alternative<port::AskFailure>(late));
}

TEST(SubscriberCache, WhoWasNeverThereIsNotInvented) {
  Cache t;
  EXPECT_TRUE(
      std::holds_alternative<port::AskFailure>(t.cache.learn(now_at(0), alice, port::AskFailure::timed_out)));
  t.cache.learn(now_at(0), alice, port::NotFound{});
  EXPECT_TRUE(
      std::holds_alternative<port::AskFailure>(t.cache.learn(now_at(1), alice, port::AskFailure::timed_out)));
}

TEST(SubscriberCache, ADeletedSubscriberIsGoneForGood) {
  Cache t;
  t.cache.learn(now_at(0), alice, row_of(alice));
  t.cache.learn(now_at(10), alice, port::NotFound{});
  EXPECT_TRUE(std::holds_alternative<port::AskFailure>(
      t.cache.learn(now_at(20), alice, port::AskFailure::unavailable)));
}

TEST(SubscriberCache, AForgottenRowIsAskedForAgainButServesInNeed) {
  Cache t;
  t.cache.learn(now_at(0), alice, row_of(alice, 1));
  t.cache.forget(alice);
  EXPECT_FALSE(t.cache.fresh(now_at(1), alice));
  EXPECT_EQ(revision_of(t.cache.learn(now_at(2), alice, port::AskFailure::unavailable)), 1U);
  EXPECT_EQ(revision_of(t.cache.learn(now_at(3), alice, row_of(alice, 2))), 2U);
  EXPECT_TRUE(t.cache.fresh(now_at(4), alice));
  t.cache.forget_all();
  EXPECT_FALSE(t.cache.fresh(now_at(5), alice));
}

TEST(SubscriberCache, IsBoundedAndLosesTheLeastUsed) {
  Cache t;
  const port::AddressOfRecord b{"b", "x"}, c{"c", "x"}, d{"d", "x"};
  t.cache.learn(now_at(0), alice, row_of(alice));
  t.cache.learn(now_at(0), b, row_of(b));
  t.cache.learn(now_at(0), c, row_of(c));
  EXPECT_TRUE(t.cache.fresh(now_at(1), alice));
  t.cache.learn(now_at(1), d, row_of(d));
  EXPECT_EQ(t.cache.size(), 3U);
  EXPECT_TRUE(t.cache.fresh(now_at(2), alice));
  EXPECT_FALSE(t.cache.fresh(now_at(2), b));
}

TEST(SubscriberCache, ARowComesOutAsItWentIn) {
  port::Subscriber in;
  in.aor = {"al@ice", "example.com"};
  in.enabled = false;
  in.ha1 = {std::string(64, 'a'), "not hex", "ABCD"};
  in.display_name = std::string(300, 'x');
  in.caller_number = "+4930";
  in.call_class = port::CallClass::national;
  in.do_not_disturb = true;
  in.forwarding = {"1", "sip:2@b", "3", "4", 4'000'000'000U};
  in.max_contacts = 7;
  in.max_calls = 300;
  in.pickup_group = "g";
  in.dtmf = port::DtmfPolicy::inband;
  in.revision = ~uint64_t{0};
  const PackedSubscriber packed(in);
  EXPECT_TRUE(packed.present());
  EXPECT_EQ(packed.key(), "al@ice@example.com");
  const port::Subscriber out = packed.unpack();
  EXPECT_EQ(out.aor, in.aor);
  EXPECT_EQ(out.enabled, in.enabled);
  EXPECT_EQ(out.ha1.md5, in.ha1.md5);
  EXPECT_EQ(out.ha1.sha256, in.ha1.sha256);
  EXPECT_EQ(out.ha1.sha512_256, in.ha1.sha512_256);
  EXPECT_EQ(out.display_name, in.display_name);
  EXPECT_EQ(out.caller_number, in.caller_number);
  EXPECT_EQ(out.call_class, in.call_class);
  EXPECT_EQ(out.do_not_disturb, in.do_not_disturb);
  EXPECT_EQ(out.forwarding.always, in.forwarding.always);
  EXPECT_EQ(out.forwarding.busy, in.forwarding.busy);
  EXPECT_EQ(out.forwarding.no_answer, in.forwarding.no_answer);
  EXPECT_EQ(out.forwarding.unreachable, in.forwarding.unreachable);
  EXPECT_EQ(out.forwarding.no_answer_seconds, in.forwarding.no_answer_seconds);
  EXPECT_EQ(out.max_contacts, in.max_contacts);
  EXPECT_EQ(out.max_calls, in.max_calls);
  EXPECT_EQ(out.pickup_group, in.pickup_group);
  EXPECT_EQ(out.dtmf, in.dtmf);
  EXPECT_EQ(out.revision, in.revision);
}

TEST(SubscriberCache, ARowOfAUsualPhoneIsSmall) {
  port::Subscriber row;
  row.aor = {"1001", "pbx.example.com"};
  row.ha1 = {std::string(64, 'a'), std::string(128, 'b'), std::string(128, 'c')};
  row.display_name = "Alice Example";
  EXPECT_LT(PackedSubscriber(row).size(), 220U);
  EXPECT_FALSE(PackedSubscriber(row.aor).present());
}

// ---- LineDirectory ---------------------------------------------------------------------------------------

port::LineUpdate line(std::string call_id, port::LineCall::State state, std::string tag = "t") {
  port::LineUpdate u;
  u.aor = alice;
  u.call.call_id = std::move(call_id);
  u.call.local_tag = std::move(tag);
  u.call.state = state;
  return u;
}

TEST(LineDirectory, FollowsACallFromRingingToItsEnd) {
  using State = port::LineCall::State;
  CounterSet counters;
  LineDirectory lines(10, counters);
  lines.update(line("a", State::early));
  lines.update(line("a", State::confirmed));
  ASSERT_EQ(lines.calls(alice).calls.size(), 1U);
  EXPECT_EQ(lines.calls(alice).calls[0].state, State::confirmed);
  lines.update(line("a", State::early, "other"));  // another leg of the same Call-ID
  EXPECT_EQ(lines.size(), 2U);
  lines.update(line("a", State::terminated));
  lines.update(line("a", State::terminated));
  EXPECT_EQ(lines.size(), 1U);
  lines.update(line("a", State::terminated, "other"));
  EXPECT_EQ(lines.size(), 0U);
  EXPECT_TRUE(lines.calls(alice).calls.empty());
  lines.update(line("never seen", State::terminated));
  EXPECT_EQ(lines.size(), 0U);
}

TEST(LineDirectory, TheCallsNumberMayChange) {
  CounterSet counters;
  LineDirectory lines(10, counters);
  auto u = line("a", port::LineCall::State::confirmed);
  u.call.call = 1;
  lines.update(u);
  u.call.call = 2;  // it moved to another worker
  u.call.worker = 3;
  lines.update(u);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines.calls(alice).calls[0].worker, 3);
}

TEST(LineDirectory, ALineHasALimit) {
  using State = port::LineCall::State;
  CounterSet counters;
  LineDirectory lines(2, counters);
  for (const char* id : {"a", "b", "c"}) lines.update(line(id, State::early));
  EXPECT_EQ(lines.size(), 2U);
  EXPECT_EQ(counters.total("line_calls_dropped_total"), 1U);
  lines.update(line("c", State::terminated));  // was never shown
  EXPECT_EQ(lines.size(), 2U);
  size_t seen = 0;
  lines.for_each([&](const port::AddressOfRecord& aor, const port::LineCall&) { seen += aor == alice; });
  EXPECT_EQ(seen, 2U);
}

// ---- Forwarder -------------------------------------------------------------------------------------------

TEST(Forwarder, PassesOnUntilTold) {
  CounterSet counters;
  Forwarder names(2, counters);
  EXPECT_TRUE(names.add("tag-1", 3));
  EXPECT_EQ(names.find("tag-1"), 3);
  EXPECT_FALSE(names.find("tag-2"));
  EXPECT_EQ(counters.total("forwarded_messages_total"), 1U);
  EXPECT_TRUE(names.add("tag-1", 4));  // it moved once more
  EXPECT_EQ(names.find("tag-1"), 4);
  EXPECT_TRUE(names.add("tag-2", 1));
  EXPECT_FALSE(names.add("tag-3", 1));
  EXPECT_EQ(counters.total("forwarder_full_total"), 1U);
  EXPECT_TRUE(names.add("tag-2", 2));  // a name that is known finds room in a full table
  EXPECT_TRUE(names.add("", 1));       // a transaction without a name needs none
  names.remove("tag-1");
  names.remove("tag-1");
  EXPECT_FALSE(names.contains("tag-1"));
  EXPECT_EQ(names.size(), 1U);
}

TEST(SeatDirectory, GrantsUpToTheLimitAndTheSameSeatTwice) {
  CounterSet counters;
  SeatDirectory seats(seconds(100), counters);
  const port::SeatPool pool{port::SeatPool::Kind::trunk, "carrier"};
  const Instant now{1};
  using Verdict = port::SeatAnswer::Verdict;
  EXPECT_EQ(seats.ask(now, {pool, 1}, {2, 0}).verdict, Verdict::granted);
  EXPECT_EQ(seats.ask(now, {pool, 2}, {2, 0}).verdict, Verdict::granted);
  EXPECT_EQ(seats.ask(now, {pool, 3}, {2, 0}).verdict, Verdict::full);
  EXPECT_EQ(seats.ask(now, {pool, 2}, {2, 0}).verdict, Verdict::granted);
  EXPECT_EQ(seats.size(pool), 2u);
  EXPECT_EQ(seats.ask(now, {{port::SeatPool::Kind::domain, "carrier"}, 3}, {2, 0}).verdict, Verdict::granted);
  seats.update(now, {pool, false, {1, 7}});  // 7 was never there
  EXPECT_EQ(seats.size(), 2u);
  EXPECT_EQ(seats.ask(now, {pool, 3}, {2, 0}).verdict, Verdict::granted);
  seats.update(now, {pool, true, {4, 5}});  // an emergency, and a call from before the limit
  EXPECT_EQ(seats.size(pool), 4u);
  EXPECT_EQ(seats.ask(now, {pool, 6}, {2, 0}).verdict, Verdict::full);
}

TEST(SeatDirectory, NoSecondHasMoreCallsThanTheRowSays) {
  CounterSet counters;
  SeatDirectory seats(seconds(100), counters);
  const port::SeatPool pool{port::SeatPool::Kind::trunk, "carrier"};
  using Verdict = port::SeatAnswer::Verdict;
  uint64_t seat = 0;
  std::vector<Instant> granted;
  for (int ms = 0; ms < 5000; ms += 70) {  // faster than allowed, and each call is over at once
    const Instant now = Instant{1} + milliseconds(ms);
    if (seats.ask(now, {pool, ++seat}, {0, 3}).verdict != Verdict::granted) continue;
    seats.update(now, {pool, false, {seat}});
    granted.push_back(now);
    if (granted.size() > 3) {
      EXPECT_GE(now - granted[granted.size() - 4], seconds(1));
    }
  }
  EXPECT_EQ(granted.size(), 15u);
  EXPECT_EQ(seats.size(), 0u);
}

TEST(SeatDirectory, ASeatNobodySpeaksForLapses) {
  CounterSet counters;
  SeatDirectory seats(seconds(100), counters);
  const port::SeatPool pool{port::SeatPool::Kind::trunk, "carrier"};
  Instant now{1};
  seats.ask(now, {pool, 1}, {2, 0});
  seats.ask(now, {pool, 2}, {2, 0});
  for (int i = 0; i < 8; ++i) {
    now = now + seconds(30);
    seats.update(now, {pool, true, {2}});
    seats.on_timeout(now);
  }
  EXPECT_EQ(seats.size(), 1u);
  EXPECT_EQ(counters.total("seats_lapsed_total"), 1u);
  now = now + seconds(200);
  seats.on_timeout(now);
  EXPECT_EQ(seats.size(), 0u);
  seats.on_timeout(seats.next_timeout());
  EXPECT_TRUE(seats.next_timeout().is_never());
}

}  // namespace
}  // namespace tandem::node
