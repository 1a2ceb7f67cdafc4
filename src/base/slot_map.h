#pragma once
// SlotMap: objects named by {slot, generation}, so that a stale name finds nothing instead of a stranger.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tandem {

/// Name of an object in a SlotMap. generation 0 names nothing.
struct SlotId {
  uint32_t slot = 0;
  uint32_t generation = 0;
  constexpr bool operator==(const SlotId&) const = default;
  constexpr explicit operator bool() const { return generation != 0; }
  constexpr uint64_t packed() const { return uint64_t{generation} << 32 | slot; }
  static constexpr SlotId unpack(uint64_t v) {
    return {static_cast<uint32_t>(v), static_cast<uint32_t>(v >> 32)};
  }
};

/// Bounded: insert() gives a null id once `limit` objects are in. Objects never move (each has its own
/// allocation), so a pointer from find() is good until erase().
template <class T>
class SlotMap {
 public:
  explicit SlotMap(size_t limit) : limit_(limit) {}

  template <class... Args>
  SlotId emplace(Args&&... args) {
    if (size_ >= limit_) return {};
    uint32_t slot;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.emplace_back();
    }
    Slot& s = slots_[slot];
    if (++s.generation == 0) s.generation = 1;
    s.object = std::make_unique<T>(std::forward<Args>(args)...);
    ++size_;
    return {slot, s.generation};
  }
  T* find(SlotId id) {
    if (id.slot >= slots_.size() || slots_[id.slot].generation != id.generation) return nullptr;
    return slots_[id.slot].object.get();
  }
  const T* find(SlotId id) const { return const_cast<SlotMap*>(this)->find(id); }
  bool erase(SlotId id) {
    if (!find(id)) return false;
    slots_[id.slot].object.reset();
    free_.push_back(id.slot);
    --size_;
    return true;
  }
  size_t size() const { return size_; }
  size_t limit() const { return limit_; }
  bool full() const { return size_ >= limit_; }

  /// f(SlotId, T&). f may erase the element it is given, and no other.
  template <class F>
  void for_each(F&& f) {
    for (uint32_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].object) f(SlotId{i, slots_[i].generation}, *slots_[i].object);
  }
  template <class F>
  void for_each(F&& f) const {
    for (uint32_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].object) f(SlotId{i, slots_[i].generation}, static_cast<const T&>(*slots_[i].object));
  }

 private:
  struct Slot {
    uint32_t generation = 0;
    std::unique_ptr<T> object;
  };
  size_t limit_;
  size_t size_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace tandem
