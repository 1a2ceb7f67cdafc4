// rooms: store port base
// Durable CDR appends: three workers append as fast as they can and the spool's thread syncs in groups; and
// what one record costs a worker.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "port/cdr.h"
#include "store/cdr_sink.h"
#include "store/posix_disk.h"
#include "store/spool_thread.h"
#include "store/sql_directory.h"

namespace {

using namespace tandem;

port::Cdr sample(uint64_t call) {
  port::Cdr c;
  c.key = {1, 1, call, 0};
  c.caller.call_id = "4f1c2a8e9b7d4e6f@192.0.2.10";
  c.callee.call_id = "a81b9f3d5c2e4f70@198.51.100.1";
  c.caller.party = {"1001", "example.org", "Ann Example", {}};
  c.callee.party = {"1002", "example.org", "Bob Example", {}};
  c.caller.codec = c.callee.codec = "PCMA";
  c.caller.user_agent = c.callee.user_agent = "SomePhone/1.2.3";
  c.setup.ns = c.answer.ns = c.end.ns = 1'700'000'000'000'000'000;
  c.dialled = "1002";
  c.sip_status = 200;
  c.q850_cause = 16;
  return c;
}

std::string scratch_directory() {
  char pattern[] = "/var/tmp/tandem-spool-XXXXXX";
  return mkdtemp(pattern);
}

void encode_cdr(benchmark::State& state) {
  const port::Cdr cdr = sample(1);
  for (auto _ : state) benchmark::DoNotOptimize(port::encode(cdr));
}
BENCHMARK(encode_cdr);

void durable_appends(benchmark::State& state) {
  const auto batch = static_cast<uint64_t>(state.range(0));
  const std::string directory = scratch_directory();
  store::PosixDisk disk;
  CounterSet counters;
  store::SpoolCatalog catalog;
  store::SpoolCore core(disk, directory, {}, catalog, counters);
  if (!core.recover()) state.SkipWithError("cannot write the spool");
  std::array<std::atomic<port::CommitId>, 3> upto{};
  store::SpoolThread spool(core, {}, counters, [&](uint16_t worker, port::CommitId id) {
    upto[worker].store(id);
    upto[worker].notify_one();
  });
  spool.start();
  const std::string record = port::encode(sample(1));
  uint64_t done = 0;
  for (auto _ : state) {
    // Each worker waits until its records are durable, as the 200s to its BYEs do.
    std::vector<std::thread> workers;
    for (uint16_t w = 0; w < 3; ++w)
      workers.emplace_back([&, w] {
        std::vector<port::Append> appends;
        for (uint64_t i = 1; i <= batch; ++i) {
          appends.push_back({done + i, record});
          if (appends.size() == 32 || i == batch) spool.append(w, appends);
        }
        for (auto seen = upto[w].load(); seen < done + batch; seen = upto[w].load()) upto[w].wait(seen);
      });
    for (auto& t : workers) t.join();
    done += batch;
  }
  spool.stop();
  state.SetItemsProcessed(static_cast<int64_t>(3 * done));
  std::filesystem::remove_all(directory);
}
BENCHMARK(durable_appends)->Arg(1)->Arg(100)->Arg(5000)->UseRealTime()->Unit(benchmark::kMillisecond);

void insert_into_sql(benchmark::State& state) {
  const std::string path = scratch_directory();
  store::SqlDirectory directory(path + "/bench.db");
  uint64_t call = 0;
  for (auto _ : state) {
    std::vector<port::Cdr> batch;
    for (int i = 0; i < 256; ++i) batch.push_back(sample(++call));
    if (!directory.insert_cdrs(batch)) state.SkipWithError("insert failed");
  }
  state.SetItemsProcessed(static_cast<int64_t>(call));
  std::filesystem::remove_all(path);
}
BENCHMARK(insert_into_sql)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
