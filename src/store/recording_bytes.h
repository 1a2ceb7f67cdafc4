#pragma once
// A file that grows and whose beginning is corrected: gathers bytes, writes them when told, and goes on after
// a failure where the file was whole.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "port/disk.h"

namespace tandem::store {

class RecordingBytes {
 public:
  RecordingBytes(port::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  void append(std::string_view bytes) { waiting_ += bytes; }
  /// Over bytes that were appended; what reaches past them is appended.
  void patch(uint64_t offset, std::string_view bytes);

  /// Everything up to here into the file, corrections last: they never speak of what is not there yet. Makes
  /// the file, and its folder, at the first time. After a failure nothing is lost: call it again.
  Status<port::DiskError> flush();
  /// flush(), and durable.
  Status<port::DiskError> sync();

  uint64_t size() const { return written_ + waiting_.size(); }
  size_t waiting() const { return waiting_.size(); }
  const std::string& path() const { return path_; }

 private:
  struct Patch {
    uint64_t offset = 0;
    std::string bytes;
  };
  Status<port::DiskError> open();
  Status<port::DiskError> failed(Status<port::DiskError> why);

  port::Disk& disk_;
  const std::string path_;
  std::unique_ptr<port::DiskFile> file_;
  std::string waiting_;
  uint64_t written_ = 0;  // so many bytes of the file are known to be right
  std::vector<Patch> patches_;
};

}  // namespace tandem::store
