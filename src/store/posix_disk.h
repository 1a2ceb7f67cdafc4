#pragma once
// The operating system's files behind port::Disk.
#include "port/disk.h"

namespace tandem::store {

/// Stateless; any thread may use it.
class PosixDisk final : public port::Disk {
 public:
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
};

}  // namespace tandem::store
