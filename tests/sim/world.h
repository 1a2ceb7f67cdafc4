#pragma once
// One run: nodes, phones, a network, and what befalls them, all from one seed.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "sim/group.h"
#include "sim/judge.h"
#include "sim/memory.h"
#include "sim/network.h"
#include "sim/phone.h"
#include "sim/schedule.h"
#include "sim/sim_node.h"

namespace tandem::sim {

inline constexpr std::array<uint16_t, 3> worker_counts{1, 2, 7};

struct Options {
  uint64_t seed = 1;
  uint16_t workers = 0;  // one of them; 0: by the seed. A restart from bytes may bring another number
  uint16_t nodes = 0;    // 0: 1 or 2, by the seed
  size_t calls = 210;
  Fault fault = Fault::none;
  bool verbose = false;
};

struct Outcome {
  std::vector<Judge::Violation> violations;
  size_t groups = 0, disturbed = 0, records = 0, expected = 0, ended = 0, parts = 0;
  std::array<size_t, static_cast<size_t>(Group::Kind::count_)> undisturbed{};  // by kind of play
  SimNode::Crossings crossings;
  size_t secret = 0, coded = 0;  // sides of undisturbed calls with SRTP; that heard what was coded anew
  uint64_t glares = 0;           // 491 that a phone sent or got
  uint64_t datagrams = 0, lost = 0, digest = 0, steps = 0, struck = 0;
  double virtual_seconds = 0;
};

class World {
 public:
  explicit World(const Options& options);
  ~World();
  Outcome run();

  Schedule& schedule() { return schedule_; }
  Judge& judge() { return judge_; }

 private:
  void populate(SimNode& node, uint16_t index, uint16_t nodes);
  void plan_rows(SimNode& node, uint16_t index, uint16_t nodes);
  void befall();
  void befall_node(SimNode& node);
  void start_group();
  std::vector<Line*> pick(Group::Kind kind);
  std::vector<Line*> pick_planned(Group::Kind kind);
  void plan_lines(SimNode& node, size_t first, uint16_t index);
  Line* free_line(const SimNode* node, bool single, const std::vector<Line*>& taken);
  bool all_done() const;
  void disturb(SimNode& node, std::string_view why, bool connections_only = false);
  /// Groups that start now may fail; until then.
  void unsettled(Duration lasts) { unsettled_until_ = std::max(unsettled_until_, schedule_.now() + lasts); }
  void check_now_and_then();
  void check_nothing_left();
  void check_memory();
  Instant in_window(int64_t from_s, int64_t to_s);

  const Options options_;
  SeededRng rng_;
  Schedule schedule_;
  Judge judge_;
  Sabotage sabotage_;
  Network network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<Phone>> phones_;
  std::vector<std::unique_ptr<Line>> lines_;
  std::vector<std::unique_ptr<Group>> groups_;
  uint16_t workers_;
  Instant unsettled_until_{}, broken_until_{};
  bool running_ = true;
  Memory left_before_;
};

}  // namespace tandem::sim
