// Webhooks: what is told, how it is signed, where it may go, and what becomes of what is not taken.
#include "ops/webhooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "store_memory/memory_directory.h"

namespace tandem::ops {
namespace {

using ::testing::HasSubstr;
using Put = port::Directory::Put;

port::WebhookRow row(const std::string& name) {
  return {name, "https://" + name + ".example.com/in", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "", {},
          true};
}

/// The example of the specification of Standard Webhooks.
TEST(WebhookSignature, IsTheSpecifications) {
  const std::string body = R"({"test": 2432232314})";
  EXPECT_EQ(webhook_signature(row("a"), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  port::WebhookRow two = row("a");
  two.old_secret = two.secret;
  two.secret = "whsec_" + std::string(32, 'A');
  const std::string both = webhook_signature(two, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body);
  EXPECT_THAT(both, HasSubstr(" v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
  two.secret = "whsec_?";
  two.old_secret.clear();
  EXPECT_EQ(webhook_signature(two, "i", 1, ""), "");
}

TEST(WebhookSecret, IsOneThatMayBeStored) {
  SeededRng rng(1);
  port::WebhookRow r = row("a");
  r.secret = new_webhook_secret(rng);
  EXPECT_EQ(port::problem_with(r), "");
  EXPECT_NE(r.secret, new_webhook_secret(rng));
}

TEST(WebhookAddress, PrivateOnesAreRefused) {
  const auto may = [](const char* ip, std::vector<IpPrefix> allowed = {}) {
    return webhook_may_reach(*IpAddress::parse(ip), allowed);
  };
  for (const char* ip : {"127.0.0.1",
                         "0.0.0.0",
                         "10.1.2.3",
                         "172.31.0.1",
                         "192.168.0.1",
                         "169.254.169.254",
                         "100.64.0.1",
                         "224.0.0.1",
                         "255.255.255.255",
                         "198.18.0.1",
                         "::",
                         "::1",
                         "fe80::1",
                         "fd00::1",
                         "fd00:ec2::254",
                         "ff02::1",
                         "::ffff:127.0.0.1",
                         "::ffff:169.254.169.254",
                         "::127.0.0.1",
                         "64:ff9b::10.0.0.1",
                         "2002:a00:1::",
                         "2002:7f00:1::1",
                         "64:ff9b:1::1"})
    EXPECT_FALSE(may(ip)) << ip;
  for (const char* ip : {"8.8.8.8", "172.32.0.1", "2a00:1450::1", "64:ff9b::8.8.8.8", "2002:808:808::1"})
    EXPECT_TRUE(may(ip)) << ip;
  const std::vector<IpPrefix> allowed{*IpPrefix::parse("10.1.0.0/16")};
  EXPECT_TRUE(may("10.1.2.3", allowed));
  EXPECT_TRUE(may("::ffff:10.1.2.3", allowed));
  EXPECT_FALSE(may("10.2.0.1", allowed));
}

TEST(WebhookAddress, PlainHttpIsForThisHost) {
  for (const char* url :
       {"https://example.com/", "http://127.0.0.1/", "http://127.8.0.1:80/x", "http://[::1]:8/"})
    EXPECT_TRUE(webhook_may_speak_plain(url, false)) << url;
  for (const char* url : {"http://example.com/", "http://localhost/", "http://127.0.0.1.example.com/",
                          "http://10.0.0.1/", "http://[::2]/"})
    EXPECT_FALSE(webhook_may_speak_plain(url, false)) << url;
  EXPECT_TRUE(webhook_may_speak_plain("http://example.com/", true));
}

TEST(WebhookEvents, OfTheNodeAndItsRecords) {
  const auto started = webhook_event(
      {port::Level::info, "call.started", 77, {{"from", "1001"}, {"to", "a\"\xff"}}}, {1'000'000'000});
  ASSERT_TRUE(started);
  EXPECT_EQ(started->type, "call.started");
  EXPECT_EQ(boost::json::parse(started->data).at("call").as_string(), "77");
  EXPECT_EQ(webhook_event({port::Level::info, "conference.entered", 1, {}}, {})->type, "conference.joined");
  EXPECT_FALSE(webhook_event({port::Level::info, "call.ended", 1, {}}, {}));  // its record tells it
  EXPECT_FALSE(webhook_event({port::Level::info, "api.changed", 0, {}}, {}));
  port::Cdr cdr;
  cdr.key = {1, 2, 3, 4};
  cdr.recordings = {"x.wav"};
  const auto ended = webhook_events(cdr);
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_EQ(ended[0].id, "cdr_1_2_3_4");
  EXPECT_EQ(ended[0].type, "call.ended");
  EXPECT_EQ(ended[1].type, "recording.finished");
}

struct Sender : ::testing::Test {
  Sender() { add(row("a")); }
  void add(const port::WebhookRow& r) {
    ASSERT_TRUE(store.put_webhook(r, Put::either).ok());
    load();
  }
  void load() { sender.set_endpoints(*store.webhooks()); }
  void happen(const std::string& type = "call.started") { sender.accept({{}, type, now.wall, "{}"}); }
  void wait(Duration d) {
    now.mono = now.mono + d;
    now.wall = now.wall + d;
  }
  void answer(const WebhookPost& post, int status, uint32_t retry_after = 0) {
    sender.done(now, post, {status, status ? "" : "refused", retry_after});
  }

  store_memory::MemoryDirectory store;
  SeededRng rng{3};
  CounterSet counters;
  std::vector<std::string> said;
  Now now{{1'000'000'000'000}, {1'700'000'000'000'000'000}};
  WebhookOptions options{.queue = 5, .dead = 2, .attempts = 3, .refused_attempts = 2, .accepted = 8};
  WebhookSender sender{options, store, rng, counters,
                       [this](const port::Event& e) { said.emplace_back(e.name); }};
};

TEST_F(Sender, OneAfterTheOtherForEachEndpoint) {
  add(row("b"));
  happen();
  happen("call.answered");
  auto posts = sender.step(now);
  ASSERT_EQ(posts.size(), 2u);
  EXPECT_EQ(posts[0].url, "https://a.example.com/in");
  const auto body = boost::json::parse(posts[0].body);
  EXPECT_EQ(body.at("type").as_string(), "call.started");
  EXPECT_EQ(body.at("time").as_string(), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(body.at("id").as_string(), posts[0].headers[1].second);
  EXPECT_EQ(posts[0].headers[1].second, posts[1].headers[1].second);  // the event is the same for both
  EXPECT_TRUE(sender.step(now).empty());
  answer(posts[1], 500);  // b fails: a goes on
  answer(posts[0], 204);
  auto next = sender.step(now);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].endpoint, "a");
  EXPECT_EQ(boost::json::parse(next[0].body).at("type").as_string(), "call.answered");
  answer(next[0], 200);
  EXPECT_TRUE(sender.step(now).empty());
  const Duration pause = sender.next() - now.mono;
  EXPECT_GE(pause, seconds(4));
  EXPECT_LE(pause, seconds(6));
  wait(pause);
  next = sender.step(now);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].endpoint, "b");
  EXPECT_EQ(next[0].attempts, 1u);
  EXPECT_EQ(next[0].body, posts[1].body);
  EXPECT_EQ(counters.total("webhook_delivered_total"), 2u);
}

TEST_F(Sender, GivesUpAndIsToldToTryAgain) {
  happen();
  for (int i = 0; i < 3; ++i) {
    auto posts = sender.step(now);
    ASSERT_EQ(posts.size(), 1u) << i;
    answer(posts[0], i == 0 ? 0 : 503, i == 1 ? 100 : 0);
    EXPECT_TRUE(sender.step(now).empty());
    if (i == 1) {
      EXPECT_GE(sender.next() - now.mono, seconds(100));  // as it asked
    }
    wait(minutes(3));
  }
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_THAT(said, ::testing::ElementsAre("webhook.failing", "webhook.given_up"));
  EXPECT_EQ(counters.total("webhook_given_up_total"), 1u);
  const auto dead = store.dead_deliveries("a", 0, 10);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ((*dead)[0].error, "status 503");
  ASSERT_TRUE(store.revive_delivery("a", (*dead)[0].number).ok());
  sender.stir();
  EXPECT_EQ(sender.step(now).size(), 1u);
}

TEST_F(Sender, WhatIsRefusedHoldsNobodyUpForLong) {
  happen();
  happen("call.answered");
  for (int i = 0; i < 2; ++i) {
    auto posts = sender.step(now);
    ASSERT_EQ(posts.size(), 1u);
    answer(posts[0], 422);
    wait(hours(1));
  }
  auto posts = sender.step(now);
  ASSERT_EQ(posts.size(), 1u);
  EXPECT_EQ(boost::json::parse(posts[0].body).at("type").as_string(), "call.answered");
}

TEST_F(Sender, GoneIsSwitchedOff) {
  happen();
  answer(sender.step(now)[0], 410);
  EXPECT_FALSE((*store.webhooks())[0].enabled);
  EXPECT_FALSE(sender.wanted("call.started"));
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_THAT(said, ::testing::ElementsAre("webhook.gone"));
}

TEST_F(Sender, LimitsAreCounted) {
  for (int i = 0; i < 10; ++i) happen();
  EXPECT_EQ(counters.total("webhook_dropped_total"), 2u);  // in memory
  EXPECT_EQ(sender.step(now).size(), 1u);
  EXPECT_EQ(counters.total("webhook_dropped_total"), 5u);  // and in the queue
  EXPECT_EQ(counters.total("webhook_queued_total"), 5u);
}

TEST_F(Sender, ADatabaseThatIsAwayLosesNothing) {
  store.fail_with(port::StoreError::Kind::unavailable);
  happen();
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_LE(sender.next(), now.mono + seconds(1));
  EXPECT_FALSE(sender.file(store, {{"cdr_1", "call.ended", {}, "{}"}}).ok());
  store.fail_with(std::nullopt);
  wait(seconds(1));
  EXPECT_EQ(sender.step(now).size(), 1u);
  EXPECT_TRUE(sender.file(store, {{"cdr_1", "call.ended", {}, "{}"}}).ok());
  EXPECT_TRUE(sender.file(store, {{"cdr_1", "call.ended", {}, "{}"}}).ok());  // told of it twice
  EXPECT_EQ((*store.count_deliveries())[0].waiting, 2u);
}

TEST_F(Sender, WhatTheDatabaseDoesNotBuryIsNotPostedInALoop) {
  happen();
  answer(sender.step(now)[0], 422);
  wait(seconds(10));
  auto posts = sender.step(now);
  ASSERT_EQ(posts.size(), 1u);
  store.fail_with(port::StoreError::Kind::unavailable);
  answer(posts[0], 422);
  store.fail_with(std::nullopt);
  EXPECT_EQ(sender.next(), now.mono + seconds(1));
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_EQ(counters.total("webhook_given_up_total"), 0u);
  EXPECT_EQ(counters.total("webhook_store_failures_total"), 1u);
  wait(seconds(1));
  posts = sender.step(now);
  ASSERT_EQ(posts.size(), 1u);
  answer(posts[0], 422);
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_EQ(counters.total("webhook_given_up_total"), 1u);
  EXPECT_EQ(store.dead_deliveries("a", 0, 10)->size(), 1u);
}

TEST_F(Sender, AClockThatIsSetBackHoldsNobodyUp) {
  happen();
  answer(sender.step(now)[0], 503);
  EXPECT_TRUE(sender.step(now).empty());
  now.wall = now.wall + -hours(24);
  wait(seconds(10));
  const auto posts = sender.step(now);
  ASSERT_EQ(posts.size(), 1u);
  EXPECT_EQ(posts[0].attempts, 1u);
}

TEST_F(Sender, WhoWantsNothingIsAskedNothing) {
  port::WebhookRow r = row("a");
  r.events = {"call.ended"};
  add(r);
  happen();
  EXPECT_TRUE(sender.step(now).empty());
  EXPECT_TRUE(sender.next().is_never());
}

}  // namespace
}  // namespace tandem::ops
