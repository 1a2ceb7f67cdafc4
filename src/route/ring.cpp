// Ring groups: checked once when the plan compiles, unfolded into a flat schedule for each call.
#include <algorithm>

#include "route/tables.h"

namespace tandem::route {
namespace {

constexpr int max_recursion = 200;

enum class Mark : uint8_t { unseen, open, done };

struct Linker {
  std::vector<Group>& groups;
  std::vector<RowError>& errors;
  std::vector<Mark> marks;
  std::vector<int> heights;  // groups below and including this one

  void refuse(const Group& g, const GroupMember& m, RowError::Kind kind, std::string text) {
    errors.push_back(
        {kind, "ring_group_members", g.row.name + "/" + std::to_string(m.row.position), std::move(text)});
  }
  // A group is entered once; the recursion is cut where no acceptable plan can reach.
  void visit(size_t at, int depth) {
    marks[at] = Mark::open;
    Group& g = groups[at];
    int height = 1;
    std::erase_if(g.members, [&](const GroupMember& m) {
      if (m.nested < 0) return false;
      const auto below = static_cast<size_t>(m.nested);
      if (marks[below] == Mark::open) {
        refuse(g, m, RowError::Kind::loop,
               "the group " + m.row.target + " contains " + g.row.name + " itself");
        return true;
      }
      if (marks[below] == Mark::unseen && depth < max_recursion) visit(below, depth + 1);
      if (heights[below] == 0 || heights[below] + 1 > Plan::max_nesting) {
        refuse(g, m, RowError::Kind::too_deep,
               "ring groups may be nested " + std::to_string(Plan::max_nesting) + " deep");
        return true;
      }
      height = std::max(height, heights[below] + 1);
      return false;
    });
    heights[at] = height;
    marks[at] = Mark::done;
  }
};

struct Unfolder {
  const std::vector<Group>& groups;
  const MemberResolver& resolver;
  uint64_t seed;
  std::vector<RingStep>& out;
  int visits = 0;

  std::vector<uint32_t> order(const Group& g) const {
    using Strategy = port::RingGroupRow::Strategy;
    std::vector<uint32_t> index(g.members.size());
    for (uint32_t i = 0; i < index.size(); ++i) index[i] = i;
    if (index.empty()) return index;
    if (g.row.strategy == Strategy::rotate)
      std::rotate(index.begin(), index.begin() + static_cast<ptrdiff_t>(seed % index.size()), index.end());
    if (g.row.strategy == Strategy::random)
      for (size_t i = index.size(); i > 1; --i) std::swap(index[i - 1], index[mix64(seed + i) % i]);
    return index;
  }
  void add(const GroupMember& m, int64_t start, int64_t ring) {
    if (out.size() >= Plan::max_ring_steps) return;
    if (auto target = resolver.resolve(m.row.target))
      out.push_back({std::move(*target), std::chrono::seconds(start), std::chrono::seconds(ring)});
  }
  /// Everything of group `at` that rings within [start, end). Returns when its last member ends.
  int64_t run(int at, int64_t start, int64_t end) {
    const Group& g = groups[static_cast<size_t>(at)];
    const bool parallel = g.row.strategy == port::RingGroupRow::Strategy::parallel;
    end = std::min(end, start + g.row.timeout_seconds);
    int64_t at_time = start, last = start;
    // A group that several others contain is unfolded for each of them: `visits` bounds the product.
    for (uint32_t i : order(g)) {
      if (++visits > 1024 || out.size() >= Plan::max_ring_steps) break;
      const GroupMember& m = g.members[i];
      const int64_t begin = (parallel ? start : at_time) + m.row.delay_seconds;
      if (begin >= end) {
        if (parallel) continue;
        break;
      }
      int64_t ring = m.row.timeout_seconds;
      if (ring == 0 && parallel) ring = end - begin;
      if (ring == 0)
        ring = m.nested >= 0 ? groups[static_cast<size_t>(m.nested)].row.timeout_seconds
                             : g.row.member_timeout_seconds;
      int64_t until = std::min(end, begin + ring);
      if (until <= begin) continue;
      if (m.nested >= 0)
        until = run(m.nested, begin, until);
      else
        add(m, begin, until - begin);
      at_time = until;
      last = std::max(last, until);
    }
    return last;
  }
};

/// An address-of-record rings once, from its earliest step on.
void drop_duplicates(std::vector<RingStep>& steps) {
  std::vector<port::AddressOfRecord> seen;
  std::erase_if(steps, [&](const RingStep& s) {
    const auto* ext = std::get_if<Extension>(&s.target);
    if (ext == nullptr) return false;
    if (std::find(seen.begin(), seen.end(), ext->aor) != seen.end()) return true;
    seen.push_back(ext->aor);
    return false;
  });
}

}  // namespace

void link_groups(std::vector<Group>& groups, std::vector<RowError>& errors) {
  Linker linker{groups, errors, std::vector<Mark>(groups.size(), Mark::unseen),
                std::vector<int>(groups.size(), 0)};
  for (size_t i = 0; i < groups.size(); ++i)
    if (linker.marks[i] == Mark::unseen) linker.visit(i, 1);
}

RingGroup unfold(const std::vector<Group>& groups, int group, uint64_t seed, const MemberResolver& resolver) {
  const Group& g = groups[static_cast<size_t>(group)];
  RingGroup out;
  out.name = g.row.name;
  out.skip_busy = g.row.skip_busy;
  Unfolder unfolder{groups, resolver, seed, out.steps};
  unfolder.run(group, 0, g.row.timeout_seconds);
  std::stable_sort(out.steps.begin(), out.steps.end(),
                   [](const RingStep& a, const RingStep& b) { return a.start < b.start; });
  drop_duplicates(out.steps);
  for (const RingStep& s : out.steps) out.timeout = std::max(out.timeout, s.start + s.ring);
  return out;
}

}  // namespace tandem::route
