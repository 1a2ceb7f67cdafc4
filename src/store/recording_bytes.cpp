#include "store/recording_bytes.h"

#include <algorithm>

namespace tandem::store {

void RecordingBytes::patch(uint64_t offset, std::string_view bytes) {
  const uint64_t end = size();
  if (offset + bytes.size() > end) {
    const auto over = static_cast<size_t>(offset + bytes.size() - std::max(end, offset));
    waiting_ += bytes.substr(bytes.size() - over);
    bytes.remove_suffix(over);
  }
  if (offset < written_) {
    const auto in_file = static_cast<size_t>(std::min<uint64_t>(bytes.size(), written_ - offset));
    // The same place again and again (the sizes of a header): the last one counts.
    std::erase_if(patches_, [&](const Patch& p) { return p.offset == offset && p.bytes.size() <= in_file; });
    patches_.push_back({offset, std::string(bytes.substr(0, in_file))});
    bytes.remove_prefix(in_file);
    offset += in_file;
  }
  if (!bytes.empty()) waiting_.replace(static_cast<size_t>(offset - written_), bytes.size(), bytes);
}

Status<port::DiskError> RecordingBytes::open() {
  if (file_) return Done{};
  if (written_ > 0) {
    // A write failed: what it left behind the good bytes is cut off.
    if (auto cut = disk_.truncate(path_, written_); !cut.ok()) return cut;
    auto again = disk_.open_append(path_);
    if (!again.ok()) return Failure{again.reason()};
    file_ = std::move(*again);
    return Done{};
  }
  if (auto made = disk_.make_directory(path_.substr(0, path_.rfind('/'))); !made.ok()) return made;
  auto created = disk_.create(path_);
  if (!created.ok()) return Failure{created.reason()};
  file_ = std::move(*created);
  return Done{};
}

Status<port::DiskError> RecordingBytes::failed(Status<port::DiskError> why) {
  file_.reset();
  return why;
}

Status<port::DiskError> RecordingBytes::flush() {
  if (auto opened = open(); !opened.ok()) return opened;
  if (!waiting_.empty()) {
    if (auto wrote = file_->append(waiting_); !wrote.ok()) return failed(wrote);
    written_ += waiting_.size();
    waiting_.clear();
  }
  while (!patches_.empty()) {
    const Patch& first = patches_.front();
    if (auto wrote = disk_.overwrite(path_, first.offset, first.bytes); !wrote.ok()) return failed(wrote);
    patches_.erase(patches_.begin());
  }
  return Done{};
}

Status<port::DiskError> RecordingBytes::sync() {
  if (auto flushed = flush(); !flushed.ok()) return flushed;
  if (auto synced = file_->sync(); !synced.ok()) return failed(synced);
  return Done{};
}

}  // namespace tandem::store
