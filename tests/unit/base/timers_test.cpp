// Time, the timer queue, and objects by {slot, generation}.
#include <gtest/gtest.h>

#include <vector>

#include "base/slot_map.h"
#include "base/time.h"
#include "base/timers.h"

namespace tandem {
namespace {

constexpr Instant at(int64_t ms) { return Instant{ms * 1'000'000}; }

TEST(Instant, NeverStaysNever) {
  EXPECT_TRUE((Instant::never() + seconds(1)).is_never());
  EXPECT_TRUE((Instant::never() - seconds(1)).is_never());
  EXPECT_TRUE((Instant{Instant::never().ns - 5} + seconds(1)).is_never());
  EXPECT_EQ(at(5) + milliseconds(5), at(10));
  EXPECT_EQ(at(5) - milliseconds(2), at(3));
}

TEST(Deadline, SurvivesAnotherBoot) {
  const Now before{at(1'000'000), WallTime{50'000'000'000}};
  const int64_t kept = deadline_to_wall(before, before.mono + seconds(7));
  const Now after{at(3),
                  WallTime{52'000'000'000}};  // two seconds later by the wall, another monotonic origin
  EXPECT_EQ(deadline_from_wall(after, kept) - after.mono, Duration(seconds(5)));
  EXPECT_TRUE(deadline_from_wall(after, deadline_to_wall(before, Instant::never())).is_never());
  const Now late{at(3), WallTime{60'000'000'000}};
  EXPECT_LT(deadline_from_wall(late, kept), late.mono);  // overdue: fires at once
}

TEST(TimerQueue, EarliestFirstThenInTheOrderPushed) {
  TimerQueue<int> q;
  EXPECT_TRUE(q.next().is_never());
  q.push(at(30), 1);
  q.push(at(10), 2);
  q.push(at(10), 3);
  q.push(at(20), 4);
  q.push(Instant::never(), 5);
  EXPECT_EQ(q.size(), 4U);
  EXPECT_EQ(q.next(), at(10));
  TimerQueue<int>::Due due;
  EXPECT_FALSE(q.pop_due(at(9), due));
  std::vector<int> order;
  while (q.pop_due(at(25), due)) order.push_back(due.key);
  EXPECT_EQ(order, (std::vector<int>{2, 3, 4}));
  EXPECT_EQ(q.next(), at(30));
}

TEST(TimerQueue, ManyEqualDeadlinesKeepTheirOrder) {
  TimerQueue<int> q;
  for (int i = 0; i < 500; ++i) q.push(at(1), i);
  TimerQueue<int>::Due due;
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(q.pop_due(at(1), due));
    EXPECT_EQ(due.key, i);
  }
}

TEST(SlotMap, AStaleNameFindsNothing) {
  SlotMap<int> map(10);
  const SlotId a = map.emplace(1);
  ASSERT_TRUE(a);
  EXPECT_TRUE(map.erase(a));
  const SlotId b = map.emplace(2);
  EXPECT_EQ(b.slot, a.slot);
  EXPECT_EQ(map.find(a), nullptr);
  EXPECT_EQ(*map.find(b), 2);
  EXPECT_FALSE(map.erase(a));
  EXPECT_EQ(map.size(), 1U);
  EXPECT_EQ(map.find(SlotId{}), nullptr);
  EXPECT_EQ(map.find(SlotId{99, 1}), nullptr);
}

TEST(SlotMap, IsBoundedAndDoesNotMoveObjects) {
  SlotMap<int> map(3);
  const SlotId first = map.emplace(1);
  int* where = map.find(first);
  map.emplace(2);
  map.emplace(3);
  EXPECT_TRUE(map.full());
  EXPECT_FALSE(map.emplace(4));
  EXPECT_EQ(map.find(first), where);
}

TEST(SlotMap, EachMayEraseItself) {
  SlotMap<int> map(10);
  for (int i = 0; i < 6; ++i) map.emplace(i);
  int sum = 0;
  map.for_each([&](SlotId id, int& v) {
    sum += v;
    if (v % 2) map.erase(id);
  });
  EXPECT_EQ(sum, 15);
  EXPECT_EQ(map.size(), 3U);
}

TEST(SlotId, PacksIntoANumber) {
  const SlotId id{7, 9};
  EXPECT_EQ(SlotId::unpack(id.packed()), id);
  EXPECT_NE(id.packed(), (SlotId{9, 7}).packed());
}

}  // namespace
}  // namespace tandem
