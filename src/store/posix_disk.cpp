#include "store/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace tandem::store {

using port::DiskError;

namespace {

Failure<DiskError> failed() {
  switch (errno) {
    case ENOENT:
      return {DiskError::not_found};
    case ENOSPC:
    case EDQUOT:
      return {DiskError::no_space};
    case EROFS:
    case EACCES:
    case EPERM:
      return {DiskError::read_only};
    case ENOTDIR:
      return {DiskError::not_a_directory};
    default:
      return {DiskError::io};
  }
}

Status<DiskError> checked(int result) {
  if (result < 0) return failed();
  return Done{};
}

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

class PosixFile final : public port::DiskFile {
 public:
  explicit PosixFile(Descriptor fd) : fd_(std::move(fd)) {}
  Status<DiskError> append(std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed();
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return Done{};
  }
  Status<DiskError> sync() override { return checked(::fdatasync(fd_.get())); }

 private:
  Descriptor fd_;
};

Result<std::unique_ptr<port::DiskFile>, DiskError> open_file(const std::string& path, int flags) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0600));
  if (!fd) return failed();
  return std::unique_ptr<port::DiskFile>(std::make_unique<PosixFile>(std::move(fd)));
}

/// Names of one kind, and those of which the file system does not say the kind.
Result<std::vector<std::string>, DiskError> names_of(const std::string& directory, unsigned char kind) {
  DIR* dir = ::opendir(directory.c_str());
  if (!dir) return failed();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir))
    if (entry->d_type == kind || entry->d_type == DT_UNKNOWN) names.emplace_back(entry->d_name);
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Status<DiskError> PosixDisk::make_directory(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    if (::mkdir(path.substr(0, end).c_str(), 0700) < 0 && errno != EEXIST) return failed();
    if (end == std::string::npos) break;
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0) return failed();
  if (!S_ISDIR(info.st_mode)) return Failure{DiskError::not_a_directory};
  return Done{};
}

Result<std::vector<std::string>, DiskError> PosixDisk::list(const std::string& directory) {
  return names_of(directory, DT_REG);
}

Result<std::vector<std::string>, DiskError> PosixDisk::folders(const std::string& directory) {
  auto names = names_of(directory, DT_DIR);
  if (names.ok()) std::erase_if(*names, [](const std::string& name) { return name == "." || name == ".."; });
  return names;
}

Result<std::unique_ptr<port::DiskFile>, DiskError> PosixDisk::create(const std::string& path) {
  return open_file(path, O_TRUNC);
}

Result<std::unique_ptr<port::DiskFile>, DiskError> PosixDisk::open_append(const std::string& path) {
  return open_file(path, 0);
}

Result<std::string, DiskError> PosixDisk::read(const std::string& path, uint64_t offset, size_t limit) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed();
  std::string bytes(limit, '\0');
  size_t got = 0;
  while (got < limit) {
    const ssize_t n = ::pread(fd.get(), bytes.data() + got, limit - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

Result<uint64_t, DiskError> PosixDisk::size(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0) return failed();
  return static_cast<uint64_t>(info.st_size);
}

Status<DiskError> PosixDisk::overwrite(const std::string& path, uint64_t offset, std::string_view bytes) {
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) < 0) return failed();
  if (offset + bytes.size() > static_cast<uint64_t>(info.st_size)) return Failure{DiskError::io};
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return Done{};
}

Status<DiskError> PosixDisk::truncate(const std::string& path, uint64_t size) {
  const Descriptor fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) < 0) return failed();
  return checked(::fsync(fd.get()));
}

Status<DiskError> PosixDisk::rename(const std::string& from, const std::string& to) {
  return checked(::rename(from.c_str(), to.c_str()));
}

Status<DiskError> PosixDisk::remove(const std::string& path) { return checked(std::remove(path.c_str())); }

Status<DiskError> PosixDisk::sync_directory(const std::string& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return failed();
  return checked(::fsync(fd.get()));
}

}  // namespace tandem::store
