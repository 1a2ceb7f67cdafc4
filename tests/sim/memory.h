#pragma once
// Counts what the nodes have on the heap. Every block remembers on whose account it was taken, so that what a
// worker hands out and the simulator frees comes off the worker's account.
#include <cstdint>

namespace tandem::sim {

enum class Account : uint64_t { other, node };

/// While it lives, blocks are taken on this account.
class OnAccount {
 public:
  explicit OnAccount(Account account);
  ~OnAccount();
  OnAccount(const OnAccount&) = delete;
  OnAccount& operator=(const OnAccount&) = delete;

 private:
  Account before_;
};

struct Memory {
  int64_t blocks = 0;
  int64_t bytes = 0;
};
/// All zero when the program was built with a sanitizer, which wants the heap for itself.
Memory memory_of(Account account);

}  // namespace tandem::sim
