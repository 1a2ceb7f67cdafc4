#pragma once
// The CDR spool: records are durable in segment files before the 200 to a BYE leaves, and go from there to
// SQL in order. SpoolCore writes, SpoolShipper reads and deletes; neither has a thread or a clock, so the
// simulator drives both. They meet only in the SpoolCatalog and may run on two threads.
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "port/directory.h"
#include "port/disk.h"
#include "port/event.h"
#include "port/outbox.h"

namespace tandem::store {

using EventSink = std::function<void(const port::Event&)>;

struct SpoolOptions {
  size_t segment_bytes = 8 << 20;  // a segment is closed once it is as large
  size_t max_pending = 100'000;    // records waiting to become durable; past it appends are refused
  size_t max_pending_bytes = 256 << 20;
  Duration gather = milliseconds(2);  // from the first append to the write; with the sync at most 5 ms
  Duration retry = seconds(1);        // after a failure of the disk
  // A record that waited so long for a failing disk is reported committed although it is only in memory:
  // calls can then still be ended, degraded and counted. Duration::max(): never.
  Duration patience = seconds(2);
};

/// Segments in the order they were written, with how much of each is durable. Shared by writer and shipper.
class SpoolCatalog {
 public:
  struct Segment {
    std::string name;
    uint64_t bytes = 0;    // durable
    bool closed = false;   // will not grow
    bool damaged = false;  // bad bytes between records: kept aside when shipped, not deleted
  };
  void add(Segment segment);
  void extend_last(uint64_t bytes);
  void close_last();
  void drop_last();
  std::optional<Segment> front() const;
  void pop_front();
  size_t size() const;
  /// Highest sequence known to be shipped when the spool was opened.
  void set_position(uint64_t sequence);
  uint64_t position() const;

 private:
  mutable std::mutex mutex_;
  std::deque<Segment> segments_;
  uint64_t position_ = 0;
};

struct SpoolCommitted {
  uint16_t worker = 0;
  port::CommitId upto = 0;
};

/// The writing side.
class SpoolCore {
 public:
  SpoolCore(port::Disk& disk, std::string directory, SpoolOptions options, SpoolCatalog& catalog,
            CounterSet& counters, EventSink events = {});

  /// Takes over what an earlier run left: cuts torn tails, reports damage, finds the next sequence. flush()
  /// does it by itself when it has not succeeded yet; calling it at start gives a clear message early.
  Status<port::DiskError> recover();

  /// False: refused, because too much is waiting for a failing disk (or the record is too large). Commits of
  /// one worker come in ascending order; a refused one is passed over by the next that commits.
  bool append(Instant now, uint16_t worker, port::CommitId commit, std::string record);
  /// When flush() wants to be called; never() when nothing waits.
  Instant next_flush() const;
  /// Writes and syncs everything pending. Commits that became durable (or, on a failing disk, ran out of
  /// patience) are appended to `out`.
  void flush(Instant now, std::vector<SpoolCommitted>& out);

  bool failing() const { return failing_; }
  size_t pending() const { return pending_.size(); }

 private:
  struct Pending {
    uint16_t worker = 0;
    port::CommitId commit = 0;
    std::string record;
    Instant appended;
  };

  Status<port::DiskError> recover_segment(const std::string& name, uint64_t& highest,
                                          std::vector<SpoolCatalog::Segment>& segments);
  uint64_t read_position();
  Status<port::DiskError> open_segment();
  /// One write and one sync of as many pending records as the segment takes.
  Status<port::DiskError> write_some(std::vector<SpoolCommitted>& out);
  void give_up_segment();
  void fail(Instant now, port::DiskError why);
  void release_impatient(Instant now, std::vector<SpoolCommitted>& out);
  void report(uint16_t worker, port::CommitId commit, std::vector<SpoolCommitted>& out);
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // given
  port::Disk& disk_;
  const std::string directory_;
  const SpoolOptions options_;
  SpoolCatalog& catalog_;
  EventSink events_;
  Counter& appended_;
  Counter& committed_;
  Counter& refused_;
  Counter& failures_;
  Counter& undurable_;
  Counter& torn_;
  Counter& damaged_;
  Counter& waiting_;
  // state
  bool recovered_ = false;
  bool failing_ = false;
  Instant retry_at_;
  uint64_t next_sequence_ = 1;
  std::deque<Pending> pending_;
  size_t pending_bytes_ = 0;
  size_t released_ = 0;  // so many at the front are reported already, out of patience
  std::unique_ptr<port::DiskFile> file_;
  std::string file_name_;
  uint64_t file_bytes_ = 0;  // durable
  std::unordered_map<uint16_t, port::CommitId> reported_;
};

/// Where shipped records go. Either all of them are in safe hands when it returns, or none counts as shipped
/// and they come again; it has to be idempotent.
class SpoolSink {
 public:
  virtual ~SpoolSink() = default;
  virtual port::StoreStatus ship(std::span<const std::string_view> records) = 0;
};

/// The reading side.
class SpoolShipper {
 public:
  SpoolShipper(port::Disk& disk, std::string directory, SpoolCatalog& catalog, SpoolSink& sink,
               CounterSet& counters, EventSink events = {});
  enum class Step : uint8_t { idle, shipped, failed };
  /// Ships up to `limit` records of the oldest segment, and deletes it once all of it is shipped.
  Step step(size_t limit);
  /// Remembers how far shipping is, so that a restart does not ship it again. Only spares work: doubles are
  /// harmless.
  void save_position();

 private:
  bool finish_segment(const SpoolCatalog::Segment& segment);
  void failed(const std::string& why);
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // given
  port::Disk& disk_;
  const std::string directory_;
  SpoolCatalog& catalog_;
  SpoolSink& sink_;
  EventSink events_;
  Counter& shipped_total_;
  Counter& failures_;
  // state
  std::string segment_;  // the one being read
  uint64_t offset_ = 0;
  uint64_t shipped_ = 0;  // highest sequence
  uint64_t saved_ = 0;
  bool failing_ = false;
};

}  // namespace tandem::store
