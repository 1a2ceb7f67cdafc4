#pragma once
// The calls in progress at each AOR of this worker's shards, wherever the calls themselves live: what BLF
// shows, what pick-up and park look for, what call limits count.
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/hash.h"
#include "port/ask.h"

namespace tandem::node {

class LineDirectory {
 public:
  LineDirectory(size_t limit_per_line, CounterSet& counters);

  /// Takes in a change. A terminated call leaves the line.
  void update(const port::LineUpdate& change);
  port::LineAnswer calls(const port::AddressOfRecord& aor) const;
  size_t size() const { return total_; }

  /// f(AddressOfRecord, LineCall) for every call of every line (snapshots, moves of shards).
  template <class F>
  void for_each(F&& f) const {
    for (const auto& [key, line] : lines_)
      for (const port::LineCall& call : line.calls) f(line.aor, call);
  }

 private:
  struct Line {
    port::AddressOfRecord aor;
    std::vector<port::LineCall> calls;
  };
  size_t limit_per_line_;
  size_t total_ = 0;
  std::unordered_map<std::string, Line, TextHash, std::equal_to<>> lines_;
  Counter& overflow_;
};

}  // namespace tandem::node
