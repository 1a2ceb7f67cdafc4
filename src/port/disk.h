#pragma once
// Files as the spool and the recorder need them: append, sync, read, rename. `store` implements it with the
// operating system's, the simulator with a disk that drops unsynced writes and tears the tail.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "port/enum_text.h"

namespace tandem::port {

enum class DiskError : uint8_t { not_found, no_space, read_only, not_a_directory, io };

template <>
struct EnumText<DiskError> {
  static constexpr std::string_view names[] = {"no such file", "no space left", "read-only file system",
                                               "not a directory", "input/output error"};
};

/// A file open for appending. What append() took is durable only after sync() succeeded. After any failure
/// the file's content past the last successful sync() is undefined (a failed fsync may have thrown pages
/// away): close it and write the records elsewhere.
class DiskFile {
 public:
  virtual ~DiskFile() = default;
  virtual Status<DiskError> append(std::string_view bytes) = 0;
  virtual Status<DiskError> sync() = 0;
};

/// Paths are relative to nothing in particular: whatever the owner of the disk hands out, with '/' between
/// parts.
class Disk {
 public:
  virtual ~Disk() = default;
  /// Creates the directory and its parents; one that exists is fine.
  virtual Status<DiskError> make_directory(const std::string& path) = 0;
  /// Names of the plain files in a directory, sorted.
  virtual Result<std::vector<std::string>, DiskError> list(const std::string& directory) = 0;
  /// Names of the folders in a directory, sorted.
  virtual Result<std::vector<std::string>, DiskError> folders(const std::string& directory) = 0;
  /// A new, empty file (an old one of that name is emptied). Durable under its name after sync_directory().
  virtual Result<std::unique_ptr<DiskFile>, DiskError> create(const std::string& path) = 0;
  /// An existing or new file; appends go to its end.
  virtual Result<std::unique_ptr<DiskFile>, DiskError> open_append(const std::string& path) = 0;
  /// At most `limit` bytes from `offset`; fewer at the end of the file.
  virtual Result<std::string, DiskError> read(const std::string& path, uint64_t offset, size_t limit) = 0;
  virtual Result<uint64_t, DiskError> size(const std::string& path) = 0;
  /// Writes over bytes that are in the file already, in place: never past its end. Durable after a sync() of
  /// the file; until then a crash may leave the old bytes, the new ones or some of each.
  virtual Status<DiskError> overwrite(const std::string& path, uint64_t offset, std::string_view bytes) = 0;
  /// Cuts the file and makes the cut durable.
  virtual Status<DiskError> truncate(const std::string& path, uint64_t size) = 0;
  /// Replaces `to` at once: after a crash there is the old or the new one.
  virtual Status<DiskError> rename(const std::string& from, const std::string& to) = 0;
  /// A file, or a folder with nothing in it.
  virtual Status<DiskError> remove(const std::string& path) = 0;
  /// Makes creations, renames and removals in it durable.
  virtual Status<DiskError> sync_directory(const std::string& directory) = 0;
};

}  // namespace tandem::port
