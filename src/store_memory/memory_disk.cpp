#include "store_memory/memory_disk.h"

#include <algorithm>
#include <set>

namespace tandem::store_memory {

using port::DiskError;

class MemoryDisk::File final : public port::DiskFile {
 public:
  File(MemoryDisk& disk, std::shared_ptr<Inode> inode)
      : disk_(disk), inode_(std::move(inode)), boot_(disk.boot_) {}
  Status<DiskError> append(std::string_view bytes) override {
    if (boot_ != disk_.boot_) return Failure{DiskError::io};
    return disk_.append(*inode_, bytes);
  }
  Status<DiskError> sync() override {
    if (boot_ != disk_.boot_) return Failure{DiskError::io};
    return disk_.sync(*inode_);
  }

 private:
  MemoryDisk& disk_;
  std::shared_ptr<Inode> inode_;
  uint64_t boot_;
};

uint64_t MemoryDisk::used() const {
  uint64_t sum = 0;
  for (const auto& [path, inode] : live_) sum += inode->content.size();
  return sum;
}

bool MemoryDisk::take_failure() {
  if (failures_ == 0) return false;
  --failures_;
  return true;
}

/// False once the machine is dead. The change it dies at does not happen, or in part.
bool MemoryDisk::may_change() {
  if (dead_) return false;
  if (dies_in_ == UINT32_MAX) return true;
  dead_ = dies_in_ == 0;
  if (!dead_) --dies_in_;
  return !dead_;
}

Status<DiskError> MemoryDisk::append(Inode& inode, std::string_view bytes) {
  if (read_only_) return Failure{DiskError::read_only};
  const uint64_t in_use = used(), room = capacity_ > in_use ? capacity_ - in_use : 0;
  if (dead_) return Failure{DiskError::io};
  const bool failing = !may_change() || take_failure();
  inode.content += failing ? bytes.substr(0, bytes.size() / 2) : bytes.substr(0, room);
  if (failing) return Failure{DiskError::io};
  if (bytes.size() > room) return Failure{DiskError::no_space};
  return Done{};
}

Status<DiskError> MemoryDisk::sync(Inode& inode) {
  if (read_only_) return Failure{DiskError::read_only};
  ++syncs_;
  if (!may_change()) return Failure{DiskError::io};
  if (take_failure()) {
    inode.lost_sync = true;
    return Failure{DiskError::io};
  }
  if (inode.lost_sync) return Done{};
  inode.synced = inode.content.size();
  inode.overwritten.clear();
  return Done{};
}

void MemoryDisk::tear(Inode& inode, Rng& rng) {
  // The last of several writes over the same bytes is undone first.
  for (auto it = inode.overwritten.rbegin(); it != inode.overwritten.rend(); ++it)
    if (rng.below(2) == 0) inode.content.replace(it->offset, it->before.size(), it->before);
  inode.overwritten.clear();
  const uint64_t synced = std::min<uint64_t>(inode.synced, inode.content.size());
  const uint64_t unsynced = inode.content.size() - synced;
  if (unsynced != 0) switch (rng.below(4)) {
      case 0:
        inode.content.resize(synced);
        break;
      case 1:
        inode.content.resize(synced + rng.below(unsynced + 1));
        break;
      case 2:
        // Blocks reach the medium in any order; those that did not read as zeros.
        for (uint64_t at = synced; at < inode.content.size(); at = (at / 512 + 1) * 512)
          if (rng.below(2) == 0)
            std::fill(inode.content.begin() + static_cast<ptrdiff_t>(at),
                      inode.content.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(
                                                  (at / 512 + 1) * 512, inode.content.size())),
                      '\0');
        break;
      default:
        break;  // all of it made it
    }
  inode.synced = inode.content.size();
  inode.lost_sync = false;
}

void MemoryDisk::crash(Rng& rng) {
  ++boot_;
  dead_ = false;
  dies_in_ = UINT32_MAX;
  std::set<std::string> paths;
  for (const auto& [path, inode] : live_) paths.insert(path);
  for (const auto& [path, inode] : durable_) paths.insert(path);
  Entries after;
  for (const std::string& path : paths) {
    const auto live = live_.find(path), durable = durable_.find(path);
    const std::shared_ptr<Inode> now = live == live_.end() ? nullptr : live->second;
    const std::shared_ptr<Inode> old = durable == durable_.end() ? nullptr : durable->second;
    const std::shared_ptr<Inode>& kept = now == old || rng.below(2) == 0 ? now : old;
    if (kept) after[path] = kept;
  }
  // An inode may stand under two names (a rename half seen); it is torn once.
  std::set<Inode*> torn;
  for (auto& [path, inode] : after)
    if (torn.insert(inode.get()).second) tear(*inode, rng);
  live_ = after;
  durable_ = std::move(after);
}

void MemoryDisk::damage(const std::string& path, uint64_t offset, std::string_view bytes) {
  const auto found = live_.find(path);
  if (found == live_.end()) return;
  std::string& content = found->second->content;
  for (size_t i = 0; i < bytes.size() && offset + i < content.size(); ++i) content[offset + i] = bytes[i];
}

Status<DiskError> MemoryDisk::make_directory(const std::string& path) {
  if (live_.contains(path)) return Failure{DiskError::not_a_directory};
  return Done{};  // directories are the prefixes of names
}

Result<std::vector<std::string>, DiskError> MemoryDisk::list(const std::string& directory) {
  std::vector<std::string> names;
  const std::string prefix = directory + "/";
  for (auto it = live_.lower_bound(prefix); it != live_.end() && it->first.starts_with(prefix); ++it) {
    const std::string name = it->first.substr(prefix.size());
    if (name.find('/') == std::string::npos) names.push_back(name);
  }
  return names;
}

Result<std::vector<std::string>, DiskError> MemoryDisk::folders(const std::string& directory) {
  std::set<std::string> names;
  const std::string prefix = directory + "/";
  for (auto it = live_.lower_bound(prefix); it != live_.end() && it->first.starts_with(prefix); ++it)
    if (const size_t end = it->first.find('/', prefix.size()); end != std::string::npos)
      names.insert(it->first.substr(prefix.size(), end - prefix.size()));
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::unique_ptr<port::DiskFile>, DiskError> MemoryDisk::create(const std::string& path) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  auto inode = std::make_shared<Inode>();
  live_[path] = inode;
  return std::unique_ptr<port::DiskFile>(std::make_unique<File>(*this, std::move(inode)));
}

Result<std::unique_ptr<port::DiskFile>, DiskError> MemoryDisk::open_append(const std::string& path) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  auto& inode = live_[path];
  if (!inode) inode = std::make_shared<Inode>();
  return std::unique_ptr<port::DiskFile>(std::make_unique<File>(*this, inode));
}

Result<std::string, DiskError> MemoryDisk::read(const std::string& path, uint64_t offset, size_t limit) {
  const auto found = live_.find(path);
  if (found == live_.end()) return Failure{DiskError::not_found};
  const std::string& content = found->second->content;
  return offset >= content.size() ? std::string() : content.substr(offset, limit);
}

Result<uint64_t, DiskError> MemoryDisk::size(const std::string& path) {
  const auto found = live_.find(path);
  if (found == live_.end()) return Failure{DiskError::not_found};
  return uint64_t{found->second->content.size()};
}

Status<DiskError> MemoryDisk::overwrite(const std::string& path, uint64_t offset, std::string_view bytes) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change() || take_failure()) return Failure{DiskError::io};
  const auto found = live_.find(path);
  if (found == live_.end()) return Failure{DiskError::not_found};
  Inode& inode = *found->second;
  if (offset + bytes.size() > inode.content.size()) return Failure{DiskError::io};
  inode.overwritten.push_back({offset, inode.content.substr(offset, bytes.size())});
  inode.content.replace(offset, bytes.size(), bytes);
  return Done{};
}

Status<DiskError> MemoryDisk::truncate(const std::string& path, uint64_t size) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  const auto found = live_.find(path);
  if (found == live_.end()) return Failure{DiskError::not_found};
  found->second->content.resize(size);
  std::erase_if(found->second->overwritten,
                [size](const Overwritten& o) { return o.offset + o.before.size() > size; });
  found->second->synced = std::min(found->second->synced, size);
  return Done{};
}

Status<DiskError> MemoryDisk::rename(const std::string& from, const std::string& to) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  const auto found = live_.find(from);
  if (found == live_.end()) return Failure{DiskError::not_found};
  live_[to] = found->second;
  live_.erase(from);
  return Done{};
}

Status<DiskError> MemoryDisk::remove(const std::string& path) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  if (live_.erase(path) == 0) return Failure{DiskError::not_found};
  return Done{};
}

Status<DiskError> MemoryDisk::sync_directory(const std::string& directory) {
  if (read_only_) return Failure{DiskError::read_only};
  if (!may_change()) return Failure{DiskError::io};
  if (take_failure()) return Failure{DiskError::io};
  const std::string prefix = directory + "/";
  std::erase_if(durable_, [&](const auto& entry) { return entry.first.starts_with(prefix); });
  for (const auto& entry : live_)
    if (entry.first.starts_with(prefix)) durable_.insert(entry);
  return Done{};
}

}  // namespace tandem::store_memory
