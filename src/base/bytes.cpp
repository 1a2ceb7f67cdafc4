#include "base/bytes.h"

#include <array>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

namespace tandem {
namespace {

constexpr std::array<size_t, 3> class_sizes{2048, 8192, 65536};
// What one thread may keep back; past it blocks return to malloc, so a burst does not pin memory for ever.
constexpr std::array<size_t, 3> class_keeps{4096, 256, 32};

struct Pool {
  std::array<std::vector<uint8_t*>, 3> free;
  ~Pool() {
    for (auto& list : free)
      for (uint8_t* block : list) std::free(block);
  }
};

// A buffer held by a static may outlive the thread's pool; then it goes straight back to malloc.
thread_local bool pool_gone = false;
struct PoolHolder {
  Pool pool;
  ~PoolHolder() { pool_gone = true; }
};
Pool* this_thread_pool() {
  thread_local PoolHolder holder;
  return pool_gone ? nullptr : &holder.pool;
}

int class_of(size_t capacity) {
  for (int i = 0; i < 3; ++i)
    if (capacity <= class_sizes[static_cast<size_t>(i)]) return i;
  return -1;
}

uint8_t* must(void* block) {
  if (!block) throw std::bad_alloc();
  return static_cast<uint8_t*>(block);
}

}  // namespace

Buffer Buffer::with_capacity(size_t capacity) {
  Buffer b;
  const int c = class_of(capacity);
  if (c < 0) {
    b.block_ = must(std::malloc(capacity));
    b.capacity_ = static_cast<uint32_t>(capacity);
    return b;
  }
  const auto index = static_cast<size_t>(c);
  b.capacity_ = static_cast<uint32_t>(class_sizes[index]);
  if (Pool* pool = this_thread_pool(); pool && !pool->free[index].empty()) {
    b.block_ = pool->free[index].back();
    pool->free[index].pop_back();
  } else {
    b.block_ = must(std::malloc(class_sizes[index]));
  }
  return b;
}

Buffer Buffer::copy_of(Bytes bytes) {
  Buffer b = with_capacity(bytes.size());
  if (!bytes.empty()) std::memcpy(b.block_, bytes.data(), bytes.size());
  b.size_ = static_cast<uint32_t>(bytes.size());
  return b;
}

Buffer::Buffer(Buffer&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    release();
    block_ = std::exchange(other.block_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void Buffer::resize(size_t size) {
  if (size > capacity_) grow(size);
  size_ = static_cast<uint32_t>(size);
}

void Buffer::append(Bytes more) {
  if (more.empty()) return;
  if (size_ + more.size() > capacity_) grow(size_ + more.size());
  std::memcpy(block_ + size_, more.data(), more.size());
  size_ += static_cast<uint32_t>(more.size());
}

void Buffer::grow(size_t needed) {
  Buffer bigger = with_capacity(needed < 2 * size_t{capacity_} ? 2 * size_t{capacity_} : needed);
  if (size_) std::memcpy(bigger.block_, block_, size_);
  bigger.size_ = size_;
  *this = std::move(bigger);
}

void Buffer::release() {
  if (!block_) return;
  const int c = class_of(capacity_);
  uint8_t* block = std::exchange(block_, nullptr);
  if (c >= 0 && class_sizes[static_cast<size_t>(c)] == capacity_) {
    const auto index = static_cast<size_t>(c);
    if (Pool* pool = this_thread_pool(); pool && pool->free[index].size() < class_keeps[index]) {
      pool->free[index].push_back(block);
      return;
    }
  }
  std::free(block);
}

}  // namespace tandem
