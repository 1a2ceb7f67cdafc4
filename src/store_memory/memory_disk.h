#pragma once
// A disk in memory that behaves as badly as real ones may: a crash drops what was not synced, tears the tail,
// and leaves renames done or undone; it fills up, turns read-only and fails.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "port/disk.h"

namespace tandem::store_memory {

/// For one thread. Two parts of a program on one "machine" share one disk.
class MemoryDisk final : public port::Disk {
 public:
  /// Power failure. Synced bytes and synced directory entries survive; of the rest, `rng` decides: an entry
  /// may be there or not, an unsynced tail may be gone, cut anywhere, or full length with blocks of zeros in
  /// it. Files that were open cannot be written any more.
  void crash(Rng& rng);
  /// Bytes of all files together; past it appends take what fits and fail with no_space.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  void set_read_only(bool on) { read_only_ = on; }
  /// The next `count` appends or syncs fail with `io`; after a failed sync the bytes it covered never become
  /// durable.
  void fail_next(uint32_t count) { failures_ = count; }
  /// The machine dies within its next `operations` + 1 changes: the last one is done by half, all later ones
  /// fail. crash() says what is left of it.
  void die_after(uint32_t operations) { dies_in_ = operations; }
  bool dead() const { return dead_; }
  /// Damages bytes of a file, as a failing medium does.
  void damage(const std::string& path, uint64_t offset, std::string_view bytes);

  uint64_t used() const;
  uint64_t syncs() const { return syncs_; }

  Status<port::DiskError> make_directory(const std::string& path) override;
  Result<std::vector<std::string>, port::DiskError> list(const std::string& directory) override;
  Result<std::vector<std::string>, port::DiskError> folders(const std::string& directory) override;
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> create(const std::string& path) override;
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> open_append(const std::string& path) override;
  Result<std::string, port::DiskError> read(const std::string& path, uint64_t offset, size_t limit) override;
  Result<uint64_t, port::DiskError> size(const std::string& path) override;
  Status<port::DiskError> overwrite(const std::string& path, uint64_t offset,
                                    std::string_view bytes) override;
  Status<port::DiskError> truncate(const std::string& path, uint64_t size) override;
  Status<port::DiskError> rename(const std::string& from, const std::string& to) override;
  Status<port::DiskError> remove(const std::string& path) override;
  Status<port::DiskError> sync_directory(const std::string& directory) override;

 private:
  class File;
  struct Overwritten {
    uint64_t offset = 0;
    std::string before;
  };
  struct Inode {
    std::string content;
    uint64_t synced = 0;                   // so many bytes survive a crash
    std::vector<Overwritten> overwritten;  // since the last sync
    bool lost_sync = false;  // a sync failed: what was unsynced then never survives, whatever later syncs say
  };
  using Entries = std::map<std::string, std::shared_ptr<Inode>>;

  Status<port::DiskError> append(Inode& inode, std::string_view bytes);
  Status<port::DiskError> sync(Inode& inode);
  bool take_failure();
  bool may_change();
  static void tear(Inode& inode, Rng& rng);

  Entries live_;     // as programs see it
  Entries durable_;  // as the medium has it
  uint64_t capacity_ = UINT64_MAX;
  bool read_only_ = false;
  uint32_t failures_ = 0;
  uint32_t dies_in_ = UINT32_MAX;
  bool dead_ = false;
  uint64_t boot_ = 1;
  uint64_t syncs_ = 0;
};

}  // namespace tandem::store_memory
