#include "ops/task_thread.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

namespace tandem::ops {
namespace {

TEST(TaskThread, DoesOneAfterTheOtherElsewhere) {
  TaskThread thread(4);
  EXPECT_FALSE(thread.put([] {}));  // not running yet
  thread.start();
  std::promise<std::thread::id> first, second;
  EXPECT_TRUE(thread.put([&] { first.set_value(std::this_thread::get_id()); }));
  EXPECT_TRUE(thread.put([&] { second.set_value(std::this_thread::get_id()); }));
  const auto id = first.get_future().get();
  EXPECT_NE(id, std::this_thread::get_id());
  EXPECT_EQ(second.get_future().get(), id);
}

TEST(TaskThread, RefusesWhatItHasNoRoomForAndDropsWhatWaitsAtItsEnd) {
  TaskThread thread(2);
  thread.start();
  std::promise<void> begun, go_on;
  EXPECT_TRUE(thread.put([&] {
    begun.set_value();
    go_on.get_future().get();
  }));
  begun.get_future().get();
  int done = 0;
  auto held = std::make_shared<int>();
  const std::weak_ptr<int> waiting = held;
  EXPECT_TRUE(thread.put([&, held] { ++done; }));
  EXPECT_TRUE(thread.put([&, held] { ++done; }));
  held.reset();
  EXPECT_FALSE(thread.put([&] { ++done; }));
  std::thread stopper([&] { thread.stop(); });
  while (!waiting.expired()) std::this_thread::yield();  // until it has dropped them
  go_on.set_value();
  stopper.join();
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace tandem::ops
