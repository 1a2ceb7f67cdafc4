#include "ops/task_thread.h"

#include <pthread.h>

#include <utility>

namespace tandem::ops {

void TaskThread::start() {
  const std::lock_guard lock(mutex_);
  if (running_) return;
  running_ = true;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "passwords");
}

void TaskThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    waiting_.clear();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool TaskThread::put(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || waiting_.size() >= most_) return false;
    waiting_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void TaskThread::run() {
  std::unique_lock lock(mutex_);
  while (running_) {
    if (waiting_.empty()) {
      wake_.wait(lock);
      continue;
    }
    auto task = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it held goes without the lock
    lock.lock();
  }
}

}  // namespace tandem::ops
