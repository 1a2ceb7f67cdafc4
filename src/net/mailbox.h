#pragma once
// Mailbox: what other threads leave for a worker. Many writers, one reader, taken in batches.
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

#include "net/runtime.h"
#include "net/sockets.h"
#include "net/upgrade.h"
#include "port/worker.h"

namespace tandem::net {

struct AnswerItem {
  port::AskId id;
  port::Answer answer;
};
struct CommittedItem {
  port::CommitId upto;
};
/// A send to a flow of the receiving worker.
struct SendItem {
  uint16_t from;
  port::Send send;
};
/// A send of the receiving worker to a foreign flow has failed.
struct FlowEventItem {
  port::FlowEvent event;
};
struct CloseItem {
  port::FlowId flow;
};
/// A WebSocket for the receiving worker.
struct AdoptItem {
  Upgraded connection;
};
struct TaskItem {
  Runtime::Task task;
};
using MailItem = std::variant<std::unique_ptr<port::MailBody>, AnswerItem, CommittedItem, SendItem,
                              FlowEventItem, CloseItem, AdoptItem, TaskItem>;

/// Bounded for everything a peer can cause more of. Answers, commits and the failures of own sends are always
/// taken: there are never more of them than the worker has asked for. So is mail that must not be lost
/// (port::MailBody), and what the program itself changes (Runtime::post_change).
class Mailbox {
 public:
  explicit Mailbox(size_t limit);

  /// False: full, the item is gone. Any thread; wakes the reader when the box was empty.
  bool push(MailItem item);
  /// Would push() be refused right now? Any thread.
  bool full();
  void push_always(MailItem item);
  /// Wakes the reader without an item.
  void wake();

  // Reader only.
  bool pending() const { return pending_.load(std::memory_order_acquire); }
  /// Swaps all waiting items into `out` (which must be empty).
  void take(std::vector<MailItem>& out);
  int wake_fd() const { return wake_fd_.get(); }
  void clear_wake();
  uint64_t shed() const { return shed_.load(std::memory_order_relaxed); }

 private:
  void put(std::unique_lock<std::mutex> lock, MailItem item);

  const size_t limit_;
  Fd wake_fd_;
  std::mutex mutex_;
  std::vector<MailItem> items_;  // under mutex_
  std::atomic<bool> pending_{false};
  std::atomic<uint64_t> shed_{0};
};

}  // namespace tandem::net
