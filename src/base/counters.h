#pragma once
// Counters: one writer (the worker that owns them), any reader at any time. A scrape reads them without a
// lock and without asking the worker anything.
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace tandem {

class Counter {
 public:
  /// Owner thread only: a plain load and store, no locked instruction.
  void add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }  // for gauges
  void sub(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

/// All counters of one worker (or one service thread). Counters are created while the worker is built, before
/// any other thread reads; after that the set never changes, so references stay valid and reading needs no
/// lock.
class CounterSet {
 public:
  enum class Kind : uint8_t { counter, gauge };
  struct Entry {
    std::string name;    // Prometheus name without prefix, e.g. "sip_parse_errors_total"
    std::string labels;  // e.g. reason="bad_via", or empty
    std::string help;
    Kind kind;
    Counter counter;
  };

  /// The counter of that name and labels, made at the first call.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = "");
  Counter& gauge(std::string_view name, std::string_view help, std::string_view labels = "");
  const std::deque<Entry>& entries() const { return entries_; }
  /// Sum over all labels of `name`; 0 when there is none. For tests and status pages.
  uint64_t total(std::string_view name) const;

 private:
  Counter& find_or_add(std::string_view name, std::string_view help, std::string_view labels, Kind kind);
  std::deque<Entry> entries_;
};

}  // namespace tandem
