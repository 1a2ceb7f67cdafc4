// The spool on a disk that loses unsynced writes, tears tails, fills up and fails.
#include "store/spool.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "samples.h"
#include "store/cdr_sink.h"
#include "store/crc32c.h"
#include "store/spool_record.h"
#include "store_memory/memory_directory.h"
#include "store_memory/memory_disk.h"

namespace tandem::store_test {
namespace {

using store::SpoolShipper;

/// A node's spool from start to crash, over a disk and a database that outlive it.
struct Boot {
  Boot(store_memory::MemoryDisk& disk, store_memory::MemoryDirectory& directory,
       store::SpoolOptions options = {})
      : core(disk, "data/spool", options, catalog, counters, events),
        sink(directory, disk, "data/spool/rejected", counters),
        shipper(disk, "data/spool", catalog, sink, counters, events) {}
  void append(uint64_t call, port::CommitId commit, uint16_t worker = 0) {
    accepted = core.append(now, worker, commit, port::encode(cdr(call)));
  }
  void flush() {
    committed.clear();
    core.flush(now, committed);
  }
  void ship_all() {
    for (int steps = 0; shipper.step(7) != SpoolShipper::Step::idle; ++steps) ASSERT_LT(steps, 10'000);
  }
  size_t count_events(std::string_view name) const {
    return static_cast<size_t>(std::count(seen.begin(), seen.end(), name));
  }

  Instant now{1'000'000'000};
  std::vector<std::string> seen;
  store::EventSink events = [this](const port::Event& e) { seen.emplace_back(e.name); };
  CounterSet counters;
  store::SpoolCatalog catalog;
  store::SpoolCore core;
  store::CdrSink sink;
  SpoolShipper shipper;
  std::vector<store::SpoolCommitted> committed;
  bool accepted = false;
};

class Spool : public testing::Test {
 protected:
  std::set<uint64_t> calls() const {
    std::set<uint64_t> found;
    for (const auto& [key, row] : directory.cdrs()) found.insert(key.call);
    return found;
  }
  std::string only_segment() {
    const auto names = disk.list("data/spool");
    for (const std::string& name : *names)
      if (name.ends_with(".seg")) return "data/spool/" + name;
    return {};
  }
  store_memory::MemoryDisk disk;
  store_memory::MemoryDirectory directory;
  SeededRng rng{1};
};

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(store::crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(store::crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720 section B.4
  EXPECT_EQ(store::crc32c("56789", store::crc32c("1234")), 0xe3069283u);
}

TEST(SpoolScanner, StepsOverDamageAndNeverIntoAPayload) {
  std::string inner, bytes;
  store::append_frame(inner, 99, "forged");
  store::append_frame(bytes, 1, "one");
  const size_t second = bytes.size();
  store::append_frame(bytes, 2, inner);
  store::append_frame(bytes, 3, "three");
  bytes[second + store::spool_header_bytes + inner.size() - 1] ^= 1;  // damages the payload of record 2
  store::SpoolScanner scanner(bytes, true);
  store::SpoolScanner::Record record;
  ASSERT_TRUE(scanner.next(record));
  EXPECT_EQ(record.payload, "one");
  ASSERT_TRUE(scanner.next(record));
  EXPECT_EQ(record.sequence, 3u);
  EXPECT_EQ(record.payload, "three");
  EXPECT_FALSE(scanner.next(record));
  EXPECT_EQ(scanner.gaps(), 1u);
  EXPECT_EQ(scanner.rest(), 0u);
}

TEST(SpoolScanner, AnyCutLeavesTheRecordsBefore) {
  std::string bytes;
  std::vector<size_t> ends;
  for (uint64_t i = 1; i <= 5; ++i) {
    store::append_frame(bytes, i, std::string(i * 3, 'x'));
    ends.push_back(bytes.size());
  }
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    store::SpoolScanner scanner(std::string_view(bytes).substr(0, cut), true);
    store::SpoolScanner::Record record;
    size_t records = 0;
    while (scanner.next(record)) ++records;
    EXPECT_EQ(records, static_cast<size_t>(
                           std::count_if(ends.begin(), ends.end(), [&](size_t e) { return e <= cut; })));
  }
}

TEST_F(Spool, CommitsInGroupsAndShipsInOrder) {
  Boot boot(disk, directory);
  ASSERT_TRUE(boot.core.recover().ok());
  EXPECT_TRUE(boot.core.next_flush().is_never());
  boot.append(1, 1, 0);
  boot.append(2, 1, 1);
  boot.append(3, 2, 0);
  EXPECT_EQ(boot.core.next_flush(), boot.now + milliseconds(2));
  const uint64_t syncs = disk.syncs();
  boot.flush();
  EXPECT_EQ(disk.syncs(), syncs + 1) << "one sync for the group";
  ASSERT_EQ(boot.committed.size(), 2u);
  EXPECT_EQ(boot.committed[0].upto, 2u);
  EXPECT_EQ(boot.committed[1].worker, 1);
  EXPECT_EQ(boot.committed[1].upto, 1u);
  boot.ship_all();
  EXPECT_EQ(calls(), (std::set<uint64_t>{1, 2, 3}));
  boot.append(4, 3);
  boot.flush();
  boot.ship_all();
  EXPECT_EQ(calls().size(), 4u);
  EXPECT_EQ(boot.counters.total("cdr_doubles_total"), 0u);
}

TEST_F(Spool, NothingUncommittedIsShipped) {
  Boot boot(disk, directory);
  boot.append(1, 1);
  boot.ship_all();
  EXPECT_TRUE(calls().empty());
}

TEST_F(Spool, ShippedSegmentsAreDeletedAndNotShippedAgain) {
  store::SpoolOptions options;
  options.segment_bytes = 1000;
  {
    Boot boot(disk, directory, options);
    for (uint64_t i = 1; i <= 50; ++i) {
      boot.append(i, i);
      boot.flush();
    }
    EXPECT_GT(boot.catalog.size(), 10u);
    boot.ship_all();
    EXPECT_LE(boot.catalog.size(), 1u);
    EXPECT_LE(disk.list("data/spool")->size(), 2u) << "position and the open segment";
    boot.shipper.save_position();
  }
  Boot again(disk, directory, options);
  ASSERT_TRUE(again.core.recover().ok());
  again.ship_all();
  EXPECT_EQ(again.counters.total("spool_shipped_total"), 0u);
  again.append(51, 1);
  again.flush();
  again.ship_all();
  EXPECT_EQ(calls().size(), 51u);
}

TEST_F(Spool, ALostPositionOnlyMeansDoubles) {
  {
    Boot boot(disk, directory);
    for (uint64_t i = 1; i <= 5; ++i) boot.append(i, i);
    boot.flush();
    boot.ship_all();
  }
  Boot again(disk, directory);
  ASSERT_TRUE(again.core.recover().ok());
  again.ship_all();
  EXPECT_EQ(again.counters.total("cdr_doubles_total"), 5u);
  EXPECT_EQ(calls().size(), 5u);
}

TEST_F(Spool, DatabaseAwayKeepsRecordsAndSaysSoOnce) {
  Boot boot(disk, directory);
  boot.append(1, 1);
  boot.flush();
  directory.fail_with(port::StoreError::Kind::unavailable);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(boot.shipper.step(10), SpoolShipper::Step::failed);
  EXPECT_EQ(boot.count_events("spool.shipping_failed"), 1u);
  directory.fail_with(std::nullopt);
  boot.ship_all();
  EXPECT_EQ(boot.count_events("spool.shipping_again"), 1u);
  EXPECT_EQ(calls().size(), 1u);
}

TEST_F(Spool, FullDiskKeepsRecordsInMemoryUntilThereIsRoom) {
  Boot boot(disk, directory);
  ASSERT_TRUE(boot.core.recover().ok());
  disk.set_capacity(100);
  boot.append(1, 1);
  boot.flush();
  EXPECT_TRUE(boot.core.failing());
  EXPECT_TRUE(boot.committed.empty());
  boot.append(2, 2);
  boot.now = boot.now + milliseconds(100);
  boot.flush();
  EXPECT_TRUE(boot.committed.empty()) << "not tried again before its time";
  boot.now = boot.now + seconds(1);
  boot.flush();
  EXPECT_EQ(boot.count_events("spool.failing"), 1u) << "one message per change of state";
  disk.set_capacity(1 << 20);
  boot.now = boot.now + seconds(1);
  boot.flush();
  ASSERT_EQ(boot.committed.size(), 1u);
  EXPECT_EQ(boot.committed[0].upto, 2u);
  EXPECT_FALSE(boot.core.failing());
  EXPECT_EQ(boot.count_events("spool.recovered"), 1u);
  boot.ship_all();
  EXPECT_EQ(calls(), (std::set<uint64_t>{1, 2}));
}

TEST_F(Spool, PatienceReleasesCommitsFromMemoryCounted) {
  Boot boot(disk, directory);
  disk.set_read_only(true);
  boot.append(1, 1);
  boot.flush();
  EXPECT_TRUE(boot.committed.empty());
  boot.now = boot.now + seconds(2);
  EXPECT_LE(boot.core.next_flush(), boot.now);
  boot.flush();
  ASSERT_EQ(boot.committed.size(), 1u);
  EXPECT_EQ(boot.counters.total("spool_undurable_total"), 1u);
  EXPECT_EQ(boot.core.pending(), 1u) << "still kept";
  disk.set_read_only(false);
  boot.now = boot.now + seconds(1);
  boot.append(2, 2);
  boot.flush();
  ASSERT_EQ(boot.committed.size(), 1u);
  EXPECT_EQ(boot.committed[0].upto, 2u);
  boot.ship_all();
  EXPECT_EQ(calls().size(), 2u);
}

TEST_F(Spool, AppendsAreRefusedPastTheLimit) {
  store::SpoolOptions options;
  options.max_pending = 3;
  Boot boot(disk, directory, options);
  disk.set_read_only(true);
  for (uint64_t i = 1; i <= 3; ++i) {
    boot.append(i, i);
    EXPECT_TRUE(boot.accepted);
  }
  boot.append(4, 4);
  EXPECT_FALSE(boot.accepted);
  EXPECT_EQ(boot.counters.total("spool_refused_total"), 1u);
  EXPECT_FALSE(boot.core.append(boot.now, 0, 5, std::string(store::max_spool_record + 1, 'x')));
}

TEST_F(Spool, AFailedSyncIsWrittenAgainElsewhere) {
  Boot boot(disk, directory);
  boot.append(1, 1);
  boot.flush();
  boot.append(2, 2);
  disk.fail_next(1);
  boot.flush();
  EXPECT_TRUE(boot.core.failing());
  boot.now = boot.now + seconds(1);
  boot.flush();
  ASSERT_EQ(boot.committed.size(), 1u);
  disk.crash(rng);
  Boot again(disk, directory);
  ASSERT_TRUE(again.core.recover().ok());
  again.ship_all();
  EXPECT_EQ(calls(), (std::set<uint64_t>{1, 2}));
}

TEST_F(Spool, TornTailIsCutAndDamageInTheMiddleIsReported) {
  {
    Boot boot(disk, directory);
    for (uint64_t i = 1; i <= 10; ++i) boot.append(i, i);
    boot.flush();
  }
  const std::string segment = only_segment();
  const uint64_t size = disk.size(segment).value();
  disk.damage(segment, size / 2, std::string(8, '\xee'));
  ASSERT_TRUE(disk.truncate(segment, size - 5).ok());
  Boot again(disk, directory);
  ASSERT_TRUE(again.core.recover().ok());
  EXPECT_EQ(again.count_events("spool.damaged"), 1u);
  EXPECT_EQ(again.count_events("spool.torn_tail"), 1u);
  EXPECT_EQ(again.counters.total("spool_damaged_total"), 1u);
  again.ship_all();
  EXPECT_EQ(calls().size(), 8u);
  EXPECT_TRUE(disk.size(segment + ".damaged").ok()) << "kept for whoever wants to look";
}

TEST_F(Spool, WhatIsNoCdrIsKeptAside) {
  Boot boot(disk, directory);
  boot.core.append(boot.now, 0, 1, "\xff\xff\xff");
  boot.append(2, 2);
  boot.flush();
  boot.ship_all();
  EXPECT_EQ(calls(), (std::set<uint64_t>{2}));
  EXPECT_EQ(boot.counters.total("cdr_rejected_total"), 1u);
  EXPECT_NE(disk.read("data/spool/rejected", 0, 1000)->find("\xff\xff\xff"), std::string::npos);
}

TEST_F(Spool, LargeRecordsPassThroughTheReadersWindow) {
  Boot boot(disk, directory);
  for (uint64_t i = 1; i <= 6; ++i) {
    port::Cdr large = cdr(i);
    large.caller.user_agent = std::string(700'000, 'u');
    ASSERT_TRUE(boot.core.append(boot.now, 0, i, port::encode(large)));
  }
  boot.flush();
  boot.ship_all();
  EXPECT_EQ(calls().size(), 6u);
}

/// Random work, random faults, random death; then a restart without faults.
void crash_run(uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  SeededRng rng(seed);
  store_memory::MemoryDisk disk;
  store_memory::MemoryDirectory directory;
  store::SpoolOptions options;
  options.segment_bytes = 500 + rng.below(8000);
  options.patience = Duration::max();
  std::set<uint64_t> appended, acknowledged;
  uint64_t call = 0;
  for (uint64_t boots = 1 + rng.below(6); boots > 0; --boots) {
    Boot boot(disk, directory, options);
    std::map<std::pair<uint16_t, port::CommitId>, uint64_t> waiting;
    std::map<uint16_t, port::CommitId> next;
    disk.die_after(static_cast<uint32_t>(rng.below(120)));
    if (rng.below(2) == 0) static_cast<void>(boot.core.recover());
    for (uint64_t work = rng.below(200); work > 0 && !disk.dead(); --work) {
      boot.now = boot.now + milliseconds(static_cast<int64_t>(rng.below(400)));
      switch (rng.below(8)) {
        case 0:
        case 1:
        case 2: {
          const auto worker = static_cast<uint16_t>(rng.below(3));
          boot.append(++call, ++next[worker], worker);
          appended.insert(call);
          waiting[{worker, next[worker]}] = call;
          break;
        }
        case 3:
        case 4:
          boot.flush();
          for (const auto& c : boot.committed)
            for (const auto& [at, id] : waiting)
              if (at.first == c.worker && at.second <= c.upto) acknowledged.insert(id);
          break;
        case 5:
          boot.shipper.step(1 + rng.below(5));
          break;
        case 6:
          boot.shipper.save_position();
          break;
        default:
          if (rng.below(10) == 0) disk.fail_next(1);
          if (rng.below(10) == 0)
            disk.set_capacity(rng.below(2) == 0 ? disk.used() + rng.below(2000) : UINT64_MAX);
      }
    }
    disk.fail_next(0);
    disk.set_capacity(UINT64_MAX);
    disk.crash(rng);
  }
  Boot last(disk, directory, options);
  ASSERT_TRUE(last.core.recover().ok());
  last.ship_all();
  std::set<uint64_t> found;
  for (const auto& [key, row] : directory.cdrs()) {
    found.insert(key.call);
    EXPECT_EQ(row, cdr(key.call));
  }
  EXPECT_TRUE(std::includes(found.begin(), found.end(), acknowledged.begin(), acknowledged.end()))
      << "an acknowledged record is lost";
  EXPECT_TRUE(std::includes(appended.begin(), appended.end(), found.begin(), found.end()))
      << "a record is invented";
}

TEST(SpoolCrash, EveryAcknowledgedRecordOnceAndNoneInvented) {
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    crash_run(seed);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace tandem::store_test
