#pragma once
// Guessing of API tokens and passwords, limited by source address and by account: what a secret is worth
// depends on how often one may try.
#include <cstdint>
#include <string_view>

#include "base/address.h"
#include "base/hash.h"
#include "base/time.h"
#include "edge/source_table.h"

namespace tandem::ops {

class GuessLimit {
 public:
  static constexpr Duration window = minutes(1);

  /// `guesses`: wrong ones within a window after which the source waits for its end. `sources`: how many are
  /// remembered. `key`: see edge::SourceTable.
  GuessLimit(uint32_t guesses, size_t sources, uint64_t key)
      : guesses_(guesses), key_(key), sources_(sources, key) {}

  uint64_t key_of(const IpAddress& source) const { return sources_.key_of(source); }
  uint64_t key_of(std::string_view account) const { return hash64(account, key_) | 1; }

  /// Seconds until this source may try again; 0: it may now. While it waits a right secret is not looked at
  /// either: the answer would tell the guesser.
  uint32_t wait(WallTime now, uint64_t source);
  void note_wrong(WallTime now, uint64_t source);
  /// Takes one back that was noted before it was known to be right.
  void forgive(uint64_t source);

 private:
  uint32_t guesses_;
  uint64_t key_;
  edge::SourceTable sources_;
};

}  // namespace tandem::ops
