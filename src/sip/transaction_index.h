#pragma once
// How a message finds its transaction: the text it is known by, and a table from that text's keyed hash to
// the object.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/slot_map.h"
#include "base/text.h"

namespace tandem::sip {

/// The matching key of RFC 3261 sections 17.1.3 and 17.2.3 as one text. Inline for every branch a sane peer
/// makes.
class Identity {
 public:
  Identity() = default;
  explicit Identity(std::string_view text) { append(text); }
  Identity(Identity&&) noexcept = default;
  Identity& operator=(Identity&&) noexcept = default;

  Identity& append(std::string_view more) {
    if (more.empty()) return *this;  // an empty view may point nowhere
    std::memcpy(room_for(more.size()), more.data(), more.size());
    size_ += static_cast<uint32_t>(more.size());
    return *this;
  }
  Identity& append_lower(std::string_view more) {
    char* at = room_for(more.size());
    for (size_t i = 0; i < more.size(); ++i) at[i] = to_lower(more[i]);
    size_ += static_cast<uint32_t>(more.size());
    return *this;
  }
  std::string_view text() const { return {heap_ ? heap_.get() : inline_, size_}; }

 private:
  char* room_for(size_t more) {
    const size_t needed = size_ + more;
    if (!heap_ && needed <= sizeof inline_) return inline_ + size_;
    if (needed > capacity_) {
      auto bigger = std::make_unique<char[]>(2 * needed);
      std::memcpy(bigger.get(), text().data(), size_);
      heap_ = std::move(bigger);
      capacity_ = static_cast<uint32_t>(2 * needed);
    }
    return heap_.get() + size_;
  }

  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
  std::unique_ptr<char[]> heap_;
  char inline_[96];
};

/// Exactly sized copy of a message. A transaction lingers for 32 seconds; a pooled 2 KiB block would cost it
/// four times the memory.
class Octets {
 public:
  void assign(Bytes bytes) {
    if (bytes.size() > capacity_) {
      block_ = std::make_unique_for_overwrite<uint8_t[]>(bytes.size());
      capacity_ = static_cast<uint32_t>(bytes.size());
    }
    if (!bytes.empty()) std::memcpy(block_.get(), bytes.data(), bytes.size());
    size_ = static_cast<uint32_t>(bytes.size());
  }
  void clear() {
    block_.reset();
    size_ = capacity_ = 0;
  }
  bool empty() const { return size_ == 0; }
  Bytes bytes() const { return {block_.get(), size_}; }
  std::string_view text() const { return as_text(bytes()); }
  Buffer copy() const { return Buffer::copy_of(bytes()); }

 private:
  std::unique_ptr<uint8_t[]> block_;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

/// Open addressing with linear probing and backward-shift deletion: one cache line per lookup, no tombstones.
/// Several entries may share a hash; `same` decides.
class TransactionIndex {
 public:
  TransactionIndex() : cells_(64) {}

  template <class Same>  // bool same(SlotId)
  SlotId find(uint64_t hash, Same&& same) const {
    for (size_t i = hash & mask(); cells_[i].id; i = (i + 1) & mask())
      if (cells_[i].hash == hash && same(cells_[i].id)) return cells_[i].id;
    return {};
  }
  void insert(uint64_t hash, SlotId id) {
    if (2 * (size_ + 1) > cells_.size()) grow();
    place(cells_, {hash, id});
    ++size_;
  }
  void erase(uint64_t hash, SlotId id) {
    size_t hole = hash & mask();
    while (cells_[hole].id && cells_[hole].id != id) hole = (hole + 1) & mask();
    if (!cells_[hole].id) return;
    for (size_t i = (hole + 1) & mask(); cells_[i].id; i = (i + 1) & mask()) {
      // An entry may move back into the hole unless its home lies cyclically between the hole and itself.
      const size_t home = cells_[i].hash & mask();
      if (((i - home) & mask()) >= ((i - hole) & mask())) {
        cells_[hole] = cells_[i];
        hole = i;
      }
    }
    cells_[hole] = {};
    --size_;
  }
  size_t size() const { return size_; }

 private:
  struct Cell {
    uint64_t hash = 0;
    SlotId id;
  };
  size_t mask() const { return cells_.size() - 1; }
  static void place(std::vector<Cell>& cells, const Cell& cell) {
    const size_t m = cells.size() - 1;
    size_t i = cell.hash & m;
    while (cells[i].id) i = (i + 1) & m;
    cells[i] = cell;
  }
  void grow() {
    std::vector<Cell> bigger(cells_.size() * 2);
    for (const Cell& c : cells_)
      if (c.id) place(bigger, c);
    cells_.swap(bigger);
  }

  std::vector<Cell> cells_;
  size_t size_ = 0;
};

}  // namespace tandem::sip
