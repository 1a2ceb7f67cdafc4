#include "sim/memory.h"

#include <cstdlib>
#include <new>

#include "sanitized.h"

namespace tandem::sim {
namespace {

Account current = Account::other;
Memory accounts[2];

}  // namespace

OnAccount::OnAccount(Account account) : before_(current) { current = account; }
OnAccount::~OnAccount() { current = before_; }

Memory memory_of(Account account) { return accounts[static_cast<size_t>(account)]; }

#ifndef TANDEM_SANITIZED
namespace {

// Before each block, and as large as the strictest alignment plain new promises.
struct alignas(16) Header {
  uint64_t account;
  uint64_t bytes;
};

void* take(size_t bytes) {
  auto* header = static_cast<Header*>(std::malloc(sizeof(Header) + bytes));
  if (!header) throw std::bad_alloc();
  header->account = static_cast<uint64_t>(current);
  header->bytes = bytes;
  Memory& m = accounts[header->account];
  ++m.blocks;
  m.bytes += static_cast<int64_t>(bytes);
  return header + 1;
}

void give_back(void* block) {
  if (!block) return;
  Header* header = static_cast<Header*>(block) - 1;
  Memory& m = accounts[header->account];
  --m.blocks;
  m.bytes -= static_cast<int64_t>(header->bytes);
  std::free(header);
}

}  // namespace
#endif

}  // namespace tandem::sim

#ifndef TANDEM_SANITIZED
void* operator new(size_t bytes) { return tandem::sim::take(bytes); }
void* operator new[](size_t bytes) { return tandem::sim::take(bytes); }
void operator delete(void* block) noexcept { tandem::sim::give_back(block); }
void operator delete[](void* block) noexcept { tandem::sim::give_back(block); }
void operator delete(void* block, size_t) noexcept { tandem::sim::give_back(block); }
void operator delete[](void* block, size_t) noexcept { tandem::sim::give_back(block); }
#endif
