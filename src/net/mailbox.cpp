#include "net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace tandem::net {

Mailbox::Mailbox(size_t limit) : limit_(limit), wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

bool Mailbox::push(MailItem item) {
  std::unique_lock lock(mutex_);
  if (items_.size() >= limit_) {
    shed_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  put(std::move(lock), std::move(item));
  return true;
}

bool Mailbox::full() {
  const std::lock_guard lock(mutex_);
  return items_.size() >= limit_;
}

void Mailbox::push_always(MailItem item) { put(std::unique_lock(mutex_), std::move(item)); }

void Mailbox::put(std::unique_lock<std::mutex> lock, MailItem item) {
  const bool was_empty = items_.empty();
  items_.push_back(std::move(item));
  pending_.store(true, std::memory_order_release);
  lock.unlock();
  if (was_empty) wake();
}

void Mailbox::wake() {
  const uint64_t one = 1;
  // Fails only when the counter is about to overflow: then the reader has been woken already.
  [[maybe_unused]] const ssize_t n = write(wake_fd_.get(), &one, sizeof one);
}

void Mailbox::take(std::vector<MailItem>& out) {
  std::lock_guard lock(mutex_);
  items_.swap(out);
  pending_.store(false, std::memory_order_release);
}

void Mailbox::clear_wake() {
  uint64_t count;
  [[maybe_unused]] const ssize_t n = read(wake_fd_.get(), &count, sizeof count);
}

}  // namespace tandem::net
