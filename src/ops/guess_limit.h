#pragma once
// Guessing of API tokens, limited by source address: what a Bearer token is worth depends on how often one
// may try.
#include <cstdint>

#include "base/address.h"
#include "base/time.h"
#include "edge/source_table.h"

namespace tandem::ops {

class GuessLimit {
 public:
  static constexpr Duration window = minutes(1);

  /// `guesses`: wrong tokens within a window after which the source waits for its end. `sources`: how many
  /// are remembered. `key`: see edge::SourceTable.
  GuessLimit(uint32_t guesses, size_t sources, uint64_t key) : guesses_(guesses), sources_(sources, key) {}

  /// Seconds until this source may try again; 0: it may now. While it waits a right token is not looked at
  /// either: the answer would tell the guesser.
  uint32_t wait(WallTime now, const IpAddress& source);
  void note_wrong(WallTime now, const IpAddress& source);

 private:
  uint32_t guesses_;
  edge::SourceTable sources_;
};

}  // namespace tandem::ops
