// tandem_sim: runs seeds, prints those that fail and how to run them again.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <set>
#include <thread>

#include "sim/world.h"

namespace {

using namespace tandem::sim;

constexpr unsigned most_jobs = 256;
constexpr uint64_t worth_jobs = 8;  // seeds, from which on all cores are used without being asked

struct Totals {
  size_t passed = 0, failed = 0, calls = 0, records = 0, parts = 0, moves = 0, secret = 0, coded = 0;
  void add(const Totals& other) {
    passed += other.passed;
    failed += other.failed;
    calls += other.calls;
    records += other.records;
    parts += other.parts;
    moves += other.moves;
    secret += other.secret;
    coded += other.coded;
  }
};

std::string replay(const Options& o) {
  std::string text = fmt::format("tandem_sim --seed {} --seeds 1 --verbose", o.seed);
  if (o.workers) text += fmt::format(" --workers {}", o.workers);
  if (o.nodes) text += fmt::format(" --nodes {}", o.nodes);
  return text;
}

/// What the seed went through without a disturbance, and what crossed workers.
void print_exercised(const Outcome& out) {
  fmt::print("undisturbed:");
  for (size_t i = 0; i < out.undisturbed.size(); ++i)
    fmt::print(" {} {}", Group::text_of(static_cast<Group::Kind>(i)), out.undisturbed[i]);
  fmt::print(
      "\nbetween workers: {} calls moved, {} SIP messages, {} questions, {} line updates; {} times glare\n",
      out.crossings.calls, out.crossings.messages, out.crossings.questions, out.crossings.lines, out.glares);
}

/// One seed with one number of workers.
bool run_world(const Options& options, Totals& totals) {
  Outcome out = World(options).run();
  totals.calls += out.groups;
  totals.records += out.records;
  totals.parts += out.parts;
  totals.moves += out.crossings.calls;
  totals.secret += out.secret;
  totals.coded += out.coded;
  if (options.verbose)
    fmt::print(
        "seed {} with {} workers: {} calls ({} disturbed), {} records ({} foretold, {} dialogs ended), {} "
        "parts restored, {} "
        "datagrams ({} lost), "
        "{} steps, {:.0f} s, digest {:016x}\n",
        options.seed, options.workers, out.groups, out.disturbed, out.records, out.expected, out.ended,
        out.parts, out.datagrams, out.lost, out.steps, out.virtual_seconds, out.digest);
  if (options.verbose) print_exercised(out);
  if (out.violations.empty()) return true;
  fmt::print("seed {} FAILED; again with: {}\n", options.seed, replay(options));
  for (const Judge::Violation& v : out.violations) fmt::print("  {}: {}\n", v.invariant, v.text);
  return false;
}

void run_seed(const Options& options, Totals& totals) {
  bool ok = true;
  for (const uint16_t workers : worker_counts) {
    if (options.workers != 0 && options.workers != workers) continue;
    Options one = options;
    one.workers = workers;
    ok = run_world(one, totals) && ok;
  }
  ++(ok ? totals.passed : totals.failed);
}

bool same_twice(const Options& options) {
  const uint64_t first = World(options).run().digest, second = World(options).run().digest;
  if (first == second) return true;
  fmt::print("seed {} FAILED: two runs differ\n", options.seed);
  return false;
}

/// Each planted fault has to be found within a few seeds.
bool find_faults(Options options, uint64_t tries, std::string_view only) {
  bool all = true;
  options.calls += options.calls / 4;  // most strike late, and need somebody left to suffer
  for (size_t i = 1; i < fault_texts.size(); ++i) {
    if (!only.empty() && only != fault_texts[i].name) continue;
    options.fault = static_cast<Fault>(i);
    bool found = false;
    uint64_t struck = 0;
    for (uint64_t seed = options.seed; !found && seed < options.seed + tries; ++seed) {
      Options one = options;
      one.seed = seed;
      const Outcome out = World(one).run();
      struck += out.struck;
      if (out.violations.empty() || out.struck == 0) continue;
      found = true;
      fmt::print("fault {:<14} {}: found by: {} (seed {})\n", fault_texts[i].name, fault_texts[i].what,
                 out.violations.front().invariant, seed);
    }
    if (!found)
      fmt::print("fault {:<14} {}: NOT FOUND ({} times planted)\n", fault_texts[i].name, fault_texts[i].what,
                 struck);
    all = all && found;
  }
  return all;
}

/// What a job tells, in memory it shares with its parent.
struct Job {
  Totals totals;
  uint64_t seed = 0;  // at which it is
};

void run_stride(Options options, uint64_t begin, uint64_t seeds, unsigned step, Job& job) {
  for (uint64_t i = begin; i < seeds; i += step) {
    Options one = options;
    job.seed = one.seed = options.seed + i;
    run_seed(one, job.totals);
  }
}

/// Every job is a process: the simulator counts the memory of a process, and a seed that crashes shall take
/// nothing with it but its job.
bool run_jobs(const Options& options, uint64_t seeds, unsigned jobs, Totals& totals) {
  void* memory = mmap(nullptr, jobs * sizeof(Job), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  Job* shared = static_cast<Job*>(memory);
  std::vector<pid_t> pids;
  for (unsigned j = 0; j < jobs; ++j) {
    new (&shared[j]) Job;
    const pid_t pid = fork();
    if (pid == 0) {
      run_stride(options, j, seeds, jobs, shared[j]);
      fflush(stdout);
      _exit(0);
    }
    pids.push_back(pid);
  }
  bool ok = true;
  for (unsigned j = 0; j < jobs; ++j) {
    int status = 0;
    const bool ended = pids[j] > 0 && waitpid(pids[j], &status, 0) == pids[j] && WIFEXITED(status) &&
                       WEXITSTATUS(status) == 0;
    totals.add(shared[j].totals);
    if (ended) continue;
    ok = false;
    fmt::print("seed {} FAILED: its process ended with status {:x}; the seeds after it were not run\n",
               shared[j].seed, status);
  }
  munmap(memory, jobs * sizeof(Job));
  return ok && totals.failed == 0 && totals.passed == seeds;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulates nodes, phones and everything between them."};
  Options options;
  uint64_t seeds = 20, tries = 24;  // a part or a mail that gets lost may be of a call that is over
  bool faults = false;
  std::string only;
  unsigned jobs = 0;
  app.add_option("--seeds", seeds, "how many seeds to run");
  app.add_option("--seed", options.seed, "the first of them");
  app.add_option("--workers", options.workers,
                 "workers each node begins with (else each seed runs with 1, with 2 and with 7)")
      ->check(CLI::IsMember(std::set<uint16_t>(worker_counts.begin(), worker_counts.end())));
  app.add_option("--nodes", options.nodes, "nodes (else 1 or 2, by the seed)")->check(CLI::Range(0, 2));
  app.add_option("--calls", options.calls, "calls of each run");
  app.add_option("--jobs", jobs, "processes (else as many as there are cores, for a few seeds one)")
      ->check(CLI::Range(1U, most_jobs));
  app.add_flag("--faults", faults, "plant each known fault and see that it is found");
  app.add_option("--fault", only, "only this one of --faults");
  app.add_option("--tries", tries, "seeds each planted fault may take");
  app.add_flag("--verbose", options.verbose, "print what happens");
  CLI11_PARSE(app, argc, argv);
  setvbuf(stdout, nullptr, _IOLBF, 1 << 16);

  if (faults) return find_faults(options, tries, only) ? 0 : 1;
  const auto begun = std::chrono::steady_clock::now();
  Totals totals;
  bool ok = options.verbose || same_twice(options);
  if (jobs == 0)
    jobs = options.verbose || seeds < worth_jobs
               ? 1
               : std::clamp(std::thread::hardware_concurrency(), 1U, most_jobs);
  fflush(stdout);
  ok = run_jobs(options, seeds, jobs, totals) && ok;
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  fmt::print(
      "{} seeds passed, {} failed; {} calls, {} records, {} parts restored, {} calls moved between workers, "
      "{} sides "
      "encrypted, {} heard what was coded anew, in {:.1f} s\n",
      totals.passed, totals.failed, totals.calls, totals.records, totals.parts, totals.moves, totals.secret,
      totals.coded, took);
  return ok ? 0 : 1;
}
