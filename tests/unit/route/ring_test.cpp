#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "route/plan.h"

namespace tandem::route {
namespace {

using port::RouteRow;
using Strategy = port::RingGroupRow::Strategy;

class RingGroups : public ::testing::Test {
 protected:
  port::PlanRows rows;

  void group(const char* name, Strategy strategy, uint32_t timeout = 60, uint32_t member_timeout = 20) {
    port::RingGroupRow g;
    g.domain = "d";
    g.name = name;
    g.strategy = strategy;
    g.timeout_seconds = timeout;
    g.member_timeout_seconds = member_timeout;
    g.otherwise = "999";
    rows.ring_groups.push_back(g);
  }
  void member(const char* name, const char* target, uint32_t delay = 0, uint32_t timeout = 0) {
    const auto position = static_cast<uint32_t>(rows.ring_group_members.size());
    rows.ring_group_members.push_back({"d", name, position, target, delay, timeout});
  }
  Decision dial(const char* number, uint64_t seed = 0) {
    CallRequest c;
    c.source = FromSubscriber{{"1", "d"}, port::CallClass::internal, "", ""};
    c.dialled = number;
    c.domain = "d";
    c.seed = seed;
    return Plan::compile(rows)->decide(c);
  }
  /// "1001@0+20 1002@20+20"
  static std::string schedule(const Decision& d) {
    const auto* g = std::get_if<RingGroup>(&d.action);
    if (g == nullptr) return "no group";
    std::string out;
    for (const RingStep& s : g->steps) {
      const auto* ext = std::get_if<Extension>(&s.target);
      const auto* uri = std::get_if<ExternalUri>(&s.target);
      if (!out.empty()) out += ' ';
      out += ext != nullptr   ? ext->aor.user
             : uri != nullptr ? uri->uri
                              : std::get<TrunkCall>(s.target).hops[0].number;
      out += "@" + std::to_string(s.start.count()) + "+" + std::to_string(s.ring.count());
    }
    return out;
  }
};

TEST_F(RingGroups, ParallelWithDelays) {
  group("600", Strategy::parallel, 30);
  member("600", "1001");
  member("600", "1002", 10);
  member("600", "1003", 5, 8);
  member("600", "1004", 30);
  member("600", "1001", 12);
  const Decision d = dial("600");
  EXPECT_EQ(schedule(d), "1001@0+30 1003@5+8 1002@10+20");
  EXPECT_EQ(d.otherwise, "999");
  EXPECT_EQ(std::get<RingGroup>(d.action).timeout.count(), 30);
}

TEST_F(RingGroups, SequentialOneAfterTheOther) {
  group("600", Strategy::sequential, 50);
  member("600", "1001");
  member("600", "1002", 0, 10);
  member("600", "1003");
  member("600", "1004");
  EXPECT_EQ(schedule(dial("600")), "1001@0+20 1002@20+10 1003@30+20");
}

TEST_F(RingGroups, RotatesAndShufflesBySeed) {
  group("600", Strategy::rotate);
  group("601", Strategy::random);
  for (const char* m : {"1001", "1002", "1003"}) member("600", m), member("601", m);
  EXPECT_EQ(schedule(dial("600", 0)), "1001@0+20 1002@20+20 1003@40+20");
  EXPECT_EQ(schedule(dial("600", 4)), "1002@0+20 1003@20+20 1001@40+20");
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 200; ++seed) orders.insert(schedule(dial("601", seed)));
  EXPECT_EQ(orders.size(), 6U);
  EXPECT_EQ(schedule(dial("601", 5)), schedule(dial("601", 5)));
}

TEST_F(RingGroups, NestedGroupsUnfold) {
  group("600", Strategy::sequential, 60, 15);
  group("601", Strategy::parallel, 20);
  member("600", "1001");
  member("600", "601");
  member("600", "1004");
  member("601", "1002");
  member("601", "1003", 5);
  EXPECT_EQ(schedule(dial("600")), "1001@0+15 1002@15+20 1003@20+15 1004@35+15");
}

TEST_F(RingGroups, MembersOutside) {
  port::TrunkRow t;
  t.name = "carrier";
  t.domain = "d";
  t.host = "192.0.2.1";
  rows.trunks.push_back(t);
  RouteRow r;
  r.pattern = "0.";
  r.action = RouteRow::Action::trunk;
  r.targets = {"carrier"};
  rows.routes.push_back(r);
  group("600", Strategy::parallel, 20);
  member("600", "0170123456789");
  member("600", "sip:bob@elsewhere.example");
  member("600", "*43");
  // The caller may dial internal numbers only: the group's own members are the administrator's decision.
  EXPECT_EQ(schedule(dial("600")), "0170123456789@0+20 sip:bob@elsewhere.example@0+20 *43@0+20");
}

TEST_F(RingGroups, LoopsAreCutWhenCompiling) {
  group("600", Strategy::parallel);
  group("601", Strategy::parallel);
  member("600", "601");
  member("601", "600");
  member("601", "1001");
  member("600", "600");
  const auto plan = Plan::compile(rows);
  ASSERT_EQ(plan->errors().size(), 2U);
  EXPECT_EQ(plan->errors()[0].kind, RowError::Kind::loop);
  EXPECT_EQ(plan->errors()[1].kind, RowError::Kind::loop);
  EXPECT_EQ(schedule(dial("600")), "1001@0+60");
  EXPECT_EQ(schedule(dial("601")), "1001@0+60");
}

TEST_F(RingGroups, NestingHasALimit) {
  for (int i = 0; i < 400; ++i) {
    const std::string name = "g" + std::to_string(i), next = "g" + std::to_string(i + 1);
    group(name.c_str(), Strategy::parallel);
    if (i < 399) member(name.c_str(), next.c_str());
  }
  member("g399", "1001");
  const auto plan = Plan::compile(rows);
  EXPECT_FALSE(plan->errors().empty());
  for (const RowError& e : plan->errors()) EXPECT_EQ(e.kind, RowError::Kind::too_deep);
  EXPECT_EQ(schedule(dial("g399")), "1001@0+60");
  EXPECT_EQ(schedule(dial("g395")), "1001@0+60");
}

TEST_F(RingGroups, EmptyGroupsAndTooManyPhones) {
  group("600", Strategy::parallel);
  group("601", Strategy::parallel);
  for (int i = 0; i < 100; ++i) member("601", std::to_string(2000 + i).c_str());
  EXPECT_EQ(std::get<Reject>(dial("600").action).status, 480);
  EXPECT_EQ(std::get<RingGroup>(dial("601").action).steps.size(), Plan::max_ring_steps);
}

TEST_F(RingGroups, ACatchAllDoesNotHideAGroup) {
  group("600", Strategy::parallel);
  member("600", "1001");
  RouteRow r;
  r.pattern = "X.";
  r.action = RouteRow::Action::reject;
  r.status = 603;
  rows.routes = {r};
  EXPECT_EQ(schedule(dial("600")), "1001@0+60");
  rows.routes[0].pattern = "600";
  EXPECT_EQ(std::get<Reject>(dial("600").action).status, 603);
}

}  // namespace
}  // namespace tandem::route
