// Where a call would go, asked step by step: what the directory and the registrar say decides.
#include <gtest/gtest.h>

#include "ops/explain.h"
#include "route/plan.h"

namespace tandem::ops {
namespace {

using Kind = port::StoreError::Kind;

/// 1001 calls 1002, who forwards to 1003 when unreachable. `answers`: what the directory says of each in
/// turn.
Result<Explanation, port::StoreError> explained(std::vector<std::optional<Kind>> answers) {
  route::CallRequest call;
  call.source = route::FromSubscriber{{"1001", "example.com"}, port::CallClass::internal, "", ""};
  call.dialled = "1002";
  call.domain = "example.com";
  size_t asked = 0;
  return Explanation::of(call, {[](const route::CallRequest& r) { return route::Plan::empty()->explain(r); },
                                [&](const port::AddressOfRecord& aor) -> port::StoreResult<port::Subscriber> {
                                  const auto failure = answers.at(asked++);
                                  if (failure) return Failure{port::StoreError{*failure, "as the test says"}};
                                  port::Subscriber row;
                                  row.aor = aor;
                                  if (aor.user == "1002") row.forwarding.unreachable = "1003";
                                  return row;
                                },
                                [](const port::AddressOfRecord&) { return false; }});
}

TEST(Explanation, ADirectoryThatIsAwayIsNoAnswer) {
  for (const Kind kind : {Kind::unavailable, Kind::corrupt, Kind::internal}) {
    EXPECT_EQ(explained({kind}).reason().kind, kind);
    EXPECT_EQ(explained({std::nullopt, kind}).reason().kind, kind);
  }
  EXPECT_TRUE(explained({std::nullopt, Kind::not_found}).ok());
}

TEST(Explanation, AsksForEveryRegistrationThatCouldDecide) {
  const auto e = explained({std::nullopt, std::nullopt});
  ASSERT_TRUE(e.ok());
  ASSERT_EQ(e->asks().size(), 2U);
  EXPECT_EQ(e->asks()[0].user, "1002");
  EXPECT_EQ(e->asks()[1].user, "1003");
  EXPECT_EQ(e->settle({1, 1}).action, "extension 1002@example.com");
  EXPECT_EQ(e->settle({0, 3}).action, "extension 1003@example.com");
  EXPECT_EQ(e->settle({0, 0}).status, 480);
  EXPECT_EQ(e->settle({}).status, 480);  // a worker that gave no answer knows of nobody
}

}  // namespace
}  // namespace tandem::ops
