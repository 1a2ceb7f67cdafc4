#pragma once
// One thread for what would make the control thread wait: hashing a password takes a tenth of a second.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace tandem::ops {

class TaskThread {
 public:
  /// `most`: tasks waiting; past it put() refuses.
  explicit TaskThread(size_t most) : most_(most) {}
  ~TaskThread() { stop(); }
  TaskThread(const TaskThread&) = delete;
  TaskThread& operator=(const TaskThread&) = delete;

  void start();
  /// The task under way ends; what waits is dropped.
  void stop();
  /// Any thread; does not wait. False: too many wait, or it is not running.
  bool put(std::function<void()> task);

 private:
  void run();

  const size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> waiting_;
  bool running_ = false;
  std::thread thread_;
};

}  // namespace tandem::ops
