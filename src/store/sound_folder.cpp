#include "store/sound_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tandem::store {

using port::SoundFailure;

namespace {

Failure<SoundFailure> failed() {
  const bool absent = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
  return {absent ? SoundFailure::not_found : SoundFailure::unreadable};
}

}  // namespace

OpenSound::~OpenSound() {
  if (fd_ >= 0) ::close(fd_);
}

OpenSound::OpenSound(OpenSound&& other) noexcept : fd_(other.fd_), stamp_(other.stamp_) { other.fd_ = -1; }

Result<OpenSound, SoundFailure> OpenSound::open(const std::string& folder, const std::string& name) {
  if (folder.empty() || !port::is_sound_name(name)) return Failure{SoundFailure::not_found};
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed();
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('/', at), name.size());
    const bool last = end == name.size();
    // Not blocking: the open of a pipe would wait for a writer.
    const int next = ::openat(fd, name.substr(at, end - at).c_str(),
                              O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY));
    const int why = errno;
    ::close(fd);
    errno = why;
    if (next < 0) return failed();
    fd = next;
    at = end + 1;
  }
  OpenSound opened(fd);
  struct stat info {};
  if (::fstat(fd, &info) < 0) return failed();
  if (!S_ISREG(info.st_mode)) return Failure{SoundFailure::unreadable};
  opened.stamp_ = {static_cast<uint64_t>(info.st_size), info.st_ino,
                   info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
  return opened;
}

SoundSource OpenSound::source() const {
  return {stamp_.size, [fd = fd_](uint64_t at, MutableBytes into) -> int64_t {
            for (;;) {
              const ssize_t n = ::pread(fd, into.data(), into.size(), static_cast<off_t>(at));
              if (n >= 0 || errno != EINTR) return n;
            }
          }};
}

}  // namespace tandem::store
