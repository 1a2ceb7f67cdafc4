#pragma once
// A subscriber's row as it lies in a cache: one block of a few hundred bytes where port::Subscriber, with a
// string per field, takes over a kilobyte. There may be a row per registered phone.
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "port/records.h"

namespace tandem::node {

class PackedSubscriber {
 public:
  /// "user@domain" of a row, or of the known absence of one.
  explicit PackedSubscriber(const port::AddressOfRecord& absent);
  explicit PackedSubscriber(const port::Subscriber& row);

  bool present() const { return size_ > key_size_; }
  std::string_view key() const { return {block_.get(), key_size_}; }
  /// The row as it was; only where it is present.
  port::Subscriber unpack() const;
  size_t size() const { return size_; }

 private:
  std::unique_ptr<char[]> block_;  // the key, then the fields
  uint32_t key_size_ = 0;
  uint32_t size_ = 0;
};

}  // namespace tandem::node
