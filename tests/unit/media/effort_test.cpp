// Opus is coded with less effort while a worker is late, and with more again when it has been calm.
#include "media/effort.h"

#include <gtest/gtest.h>

namespace tandem::media {
namespace {

class EffortTest : public ::testing::Test {
 protected:
  /// Seconds of one leg's frames, each so late; every `among`-th of them is, the others are on time.
  void run(int seconds_long, Duration lateness, int among = 1) {
    for (int i = 0; i < seconds_long * 50; ++i) {
      due_ = due_ + milliseconds(20);
      effort_.frame(due_, due_ + (i % among == 0 ? lateness : Duration::zero()));
    }
  }
  CounterSet counters_;
  Effort effort_{counters_};
  Instant due_ = Instant{} + seconds(100);
};

TEST_F(EffortTest, stays_at_full_effort_while_frames_are_on_time) {
  run(60, milliseconds(2));
  EXPECT_EQ(effort_.complexity(), 5);
  EXPECT_EQ(counters_.total("media_effort_lowered_total"), 0u);
}

TEST_F(EffortTest, goes_down_a_step_a_second_and_no_further_than_nothing) {
  run(3, milliseconds(12));
  EXPECT_LT(effort_.complexity(), 5);
  run(10, milliseconds(12));
  EXPECT_EQ(effort_.complexity(), 0);
  EXPECT_EQ(counters_.total("media_effort_lowered_total"), 3u);
  EXPECT_EQ(counters_.total("media_effort_steps_down"), 3u);
}

TEST_F(EffortTest, one_late_frame_in_fifty_is_no_load) {
  run(60, milliseconds(50), 50);
  EXPECT_EQ(effort_.complexity(), 5);
}

TEST_F(EffortTest, comes_back_after_calm) {
  run(20, milliseconds(12));
  ASSERT_EQ(effort_.complexity(), 0);
  run(8, Duration::zero());
  EXPECT_EQ(effort_.complexity(), 0) << "not at the first calm second";
  run(60, Duration::zero());
  EXPECT_EQ(effort_.complexity(), 5);
  EXPECT_EQ(counters_.total("media_effort_steps_down"), 0u);
}

TEST_F(EffortTest, waits_longer_before_it_tries_again_what_failed) {
  run(20, milliseconds(12));
  int ups = 0;
  uint8_t last = effort_.complexity();
  // A load that fits at the lowest effort only: every step up makes it late at once.
  for (int second = 0; second < 300; ++second) {
    run(1, effort_.complexity() > 0 ? milliseconds(12) : Duration::zero());
    if (effort_.complexity() > last) ++ups;
    last = effort_.complexity();
  }
  EXPECT_GE(ups, 2);
  EXPECT_LE(ups, 6) << "swinging up and down is heard more than staying down";
}

TEST_F(EffortTest, a_machine_that_slept_was_not_loaded) {
  for (int i = 0; i < 100; ++i) {
    due_ = due_ + milliseconds(20);
    effort_.frame(due_, due_ + seconds(3));
  }
  EXPECT_EQ(effort_.complexity(), 5);
}

}  // namespace
}  // namespace tandem::media
