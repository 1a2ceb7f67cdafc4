// rooms: stun crypto base
// An ICE connectivity check (RFC 5769 section 2.1): read with its integrity, and the answer written.
// items_per_second is messages.
#include <benchmark/benchmark.h>

#include "stun/message.h"

namespace {

using namespace tandem;
using namespace tandem::stun;

const Bytes password = as_bytes("VOkJxbRl1RmTxUk/WvJxBt");
const TransactionId transaction = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

void read_check(benchmark::State& state) {
  Writer w(Class::request, method::binding, transaction);
  w.add(attribute::username, "evtj:h6vY").add_u32(attribute::priority, 0x6e0001ff);
  w.add_u64(attribute::ice_controlled, 0x932ff9b151263b36).add_integrity(password).add_fingerprint();
  for (auto _ : state) {
    const auto m = Message::parse(w.octets());
    if (!m || m->check_integrity(password) != Integrity::good) state.SkipWithError("not read");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_check);

void refuse_other_protocols(benchmark::State& state) {
  const std::vector<uint8_t> rtp(172, 0x80);
  for (auto _ : state) benchmark::DoNotOptimize(Message::parse(rtp).ok());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(refuse_other_protocols);

void write_answer(benchmark::State& state) {
  const SocketAddress mapped = *SocketAddress::parse("192.0.2.1:32853");
  for (auto _ : state) {
    Writer w(Class::success, method::binding, transaction);
    w.add_xor_address(attribute::xor_mapped_address, mapped).add_integrity(password).add_fingerprint();
    benchmark::DoNotOptimize(w.octets().data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(write_answer);

}  // namespace

BENCHMARK_MAIN();
