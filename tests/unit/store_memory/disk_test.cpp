#include "store_memory/memory_disk.h"

#include <gtest/gtest.h>

#include <set>

namespace tandem::store_memory {
namespace {

using port::DiskError;

/// What is left of "synced" + "unsynced" after a crash, over many seeds.
std::set<std::string> survivors(bool directory_synced) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    MemoryDisk disk;
    auto file = disk.create("d/f");
    EXPECT_TRUE((*file)->append("synced").ok() && (*file)->sync().ok());
    if (directory_synced) {
      EXPECT_TRUE(disk.sync_directory("d").ok());
    }
    EXPECT_TRUE((*file)->append("unsynced").ok());
    SeededRng rng(seed);
    disk.crash(rng);
    EXPECT_FALSE((*file)->append("late").ok()) << "a handle of before the crash";
    const auto left = disk.read("d/f", 0, 100);
    seen.insert(left ? *left : "absent");
  }
  return seen;
}

TEST(MemoryDisk, ACrashKeepsWhatWasSyncedAndTearsTheRest) {
  const auto seen = survivors(true);
  for (const std::string& s : seen) EXPECT_TRUE(s.starts_with("synced")) << s;
  EXPECT_TRUE(seen.contains("synced"));
  EXPECT_TRUE(seen.contains("syncedunsynced"));
  EXPECT_TRUE(seen.contains("syncedun"));
  EXPECT_TRUE(seen.contains(std::string("synced") + std::string(8, '\0')));
}

TEST(MemoryDisk, AnEntryThatWasNotSyncedMayBeGone) {
  const auto seen = survivors(false);
  EXPECT_TRUE(seen.contains("absent"));
  EXPECT_TRUE(seen.contains("syncedunsynced"));
}

TEST(MemoryDisk, ARenameIsSeenWholeOrNotAtAll) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    MemoryDisk disk;
    for (const char* name : {"d/new", "d/old"}) {
      auto file = disk.create(name);
      ASSERT_TRUE((*file)->append(name).ok() && (*file)->sync().ok());
    }
    ASSERT_TRUE(disk.sync_directory("d").ok());
    ASSERT_TRUE(disk.rename("d/new", "d/old").ok());
    SeededRng rng(seed);
    disk.crash(rng);
    seen.insert(disk.read("d/old", 0, 100).value());
  }
  EXPECT_EQ(seen, (std::set<std::string>{"d/new", "d/old"}));
}

TEST(MemoryDisk, AFailedSyncNeverBecomesDurable) {
  std::set<uint64_t> sizes;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    MemoryDisk disk;
    auto file = disk.create("d/f");
    ASSERT_TRUE(disk.sync_directory("d").ok());
    ASSERT_TRUE((*file)->append("x").ok());
    disk.fail_next(1);
    EXPECT_EQ((*file)->sync().reason(), DiskError::io);
    EXPECT_TRUE((*file)->sync().ok()) << "the kernel forgets the error once it is told";
    SeededRng rng(seed);
    disk.crash(rng);
    sizes.insert(disk.size("d/f").value());
  }
  EXPECT_TRUE(sizes.contains(0));
}

TEST(MemoryDisk, FullReadOnlyAndDead) {
  MemoryDisk disk;
  auto file = disk.create("d/f");
  disk.set_capacity(5);
  EXPECT_EQ((*file)->append("1234567").reason(), DiskError::no_space);
  EXPECT_EQ(disk.size("d/f").value(), 5u) << "what fits is written";
  disk.set_capacity(UINT64_MAX);
  disk.set_read_only(true);
  EXPECT_EQ((*file)->append("8").reason(), DiskError::read_only);
  EXPECT_EQ(disk.create("d/g").reason(), DiskError::read_only);
  EXPECT_EQ(disk.remove("d/f").reason(), DiskError::read_only);
  disk.set_read_only(false);
  disk.die_after(1);
  EXPECT_TRUE((*file)->append("8").ok());
  EXPECT_FALSE((*file)->append("90").ok());
  EXPECT_TRUE(disk.dead());
  EXPECT_FALSE((*file)->append("1").ok());
  EXPECT_FALSE(disk.create("d/h").ok());
  EXPECT_EQ(disk.size("d/f").value(), 7u) << "the change it died at was done by half";
}

}  // namespace
}  // namespace tandem::store_memory
