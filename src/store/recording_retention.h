#pragma once
// Removes recordings that are too old, or the oldest of too many. Goes by names (port::dated_name): a folder
// a day, YYYY-MM-DD, and files in the order of their time; what is called otherwise is never touched.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "port/disk.h"
#include "port/event.h"

namespace tandem::store {

struct RetentionOptions {
  Duration max_age = Duration{0};  // whole days count; 0: for ever
  uint64_t max_bytes = 0;          // of all dated files; 0: no limit
  Duration poll = minutes(1);
  size_t files_a_poll = 200;      // removed at most, so that writing goes on beside it
  size_t counted_a_round = 5000;  // likewise, but for the rest of a day
};

class RecordingRetention {
 public:
  RecordingRetention(port::Disk& disk, std::string folder, RetentionOptions options, CounterSet& counters,
                     std::function<void(const port::Event&)> events);
  /// A file has come to be, by its name below the folder.
  void added(const std::string& name, uint64_t bytes);
  /// One has been removed by somebody else.
  void removed(const std::string& name, uint64_t bytes);
  void sweep(Now now);

 private:
  /// False when the folder cannot be read.
  bool begin_count();
  /// True when it is done; else it goes on in the next round.
  bool go_on_counting();
  /// True when the day is empty now.
  bool remove_from(const std::string& day, bool all_of_it, size_t& left);

  // given
  port::Disk& disk_;
  const std::string folder_;
  const RetentionOptions options_;
  std::function<void(const port::Event&)> events_;
  Counter& removed_;
  Counter& kept_bytes_;
  // state
  bool counted_ = false;
  bool going_on_ = false;                 // the sweep before left some of its work
  std::map<std::string, uint64_t> days_;  // bytes
  std::vector<std::string> uncounted_;    // days, while they are being counted
  uint64_t bytes_ = 0;
  Instant next_;
};

}  // namespace tandem::store
