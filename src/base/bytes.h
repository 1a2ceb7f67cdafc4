#pragma once
// Views of bytes and text, and the pooled buffer that owns a datagram or a message.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace tandem {

using Bytes = std::span<const uint8_t>;
using MutableBytes = std::span<uint8_t>;

inline std::string_view as_text(Bytes b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline Bytes as_bytes(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }

/// A movable, uniquely owned block from a per-thread pool (size classes 2 KiB, 8 KiB, 64 KiB, then the heap).
/// Taking and giving back a pooled block costs no malloc in the steady state; a buffer may be given back on
/// another thread than the one that took it. Data never moves when the Buffer object is moved: views into it
/// stay valid.
class Buffer {
 public:
  Buffer() = default;
  /// Empty buffer with room for at least `capacity` bytes.
  static Buffer with_capacity(size_t capacity);
  static Buffer copy_of(Bytes bytes);
  static Buffer copy_of(std::string_view text) { return copy_of(as_bytes(text)); }

  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }

  uint8_t* data() { return block_; }
  const uint8_t* data() const { return block_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  Bytes bytes() const { return {block_, size_}; }
  MutableBytes writable() { return {block_, capacity_}; }
  std::string_view text() const { return as_text(bytes()); }
  Buffer clone() const { return copy_of(bytes()); }

  /// `size` must be at most capacity(); new bytes are whatever was there (a receive fills them first).
  void resize(size_t size);
  /// Grows (and may move the data) when there is no room.
  void append(Bytes more);
  void append(std::string_view more) { append(as_bytes(more)); }
  void push_back(char c) {
    if (size_ == capacity_) grow(size_ + 1);
    block_[size_++] = static_cast<uint8_t>(c);
  }

 private:
  void grow(size_t needed);
  void release();

  uint8_t* block_ = nullptr;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace tandem
