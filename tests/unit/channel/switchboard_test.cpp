// Masters and viewers on the channels of one worker: who hears what, what waits, what is refused, and when
// connections end.
#include "channel/switchboard.h"

#include <gmock/gmock.h>

#include "crypto/base64.h"

namespace tandem::channel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

port::Path web(uint32_t slot) {
  port::Path p;
  p.transport = port::Transport::wss;
  p.flow = {1, 0, slot, 1};
  return p;
}

class Board : public testing::Test {
 protected:
  Guest guest(bool master, std::string client = {}, std::string channel = "door") {
    port::ChannelGuest g;
    g.channel = std::move(channel);
    g.master = master;
    g.client = std::move(client);
    g.access_key = master ? "MASTERKEY" : "VIEWERKEY";
    g.max_viewers = 2;
    return std::make_shared<const port::ChannelGuest>(std::move(g));
  }
  /// Slot 1 is the master's, others the viewers'.
  void master(uint32_t slot = 1) { board().on_opened(now, web(slot), guest(true), out); }
  void viewer(uint32_t slot, std::string client) {
    board().on_opened(now, web(slot), guest(false, std::move(client)), out);
  }
  void say(uint32_t slot, const std::string& text) { board().on_text(now, web(slot).flow, text, out); }
  void wait(Duration d) {
    now.mono = now.mono + d;
    board().on_timeout(now, out);
  }
  /// What was sent since the last call: "SLOT text".
  std::vector<std::string> sent() {
    std::vector<std::string> all;
    for (const Outcome::Text& t : out.texts) all.push_back(std::to_string(t.web.flow.slot) + " " + t.text);
    out.texts.clear();
    return all;
  }
  std::vector<uint32_t> ended() {
    std::vector<uint32_t> all;
    for (const port::FlowId f : out.hang_ups) all.push_back(f.slot);
    out.hang_ups.clear();
    return all;
  }
  uint64_t count(std::string_view name) const { return counters.total(name); }
  uint64_t refused(const std::string& why) const {
    for (const auto& e : counters.entries())
      if (e.name == "channel_messages_refused_total" && e.labels == "reason=\"" + why + "\"")
        return e.counter.value();
    return 0;
  }
  Switchboard& board() {
    if (!board_) board_ = std::make_unique<Switchboard>(config, counters);
    return *board_;
  }

  SwitchboardConfig config;
  CounterSet counters;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  Outcome out;

 private:
  std::unique_ptr<Switchboard> board_;
};

const std::string offer = R"({"action":"SDP_OFFER","messagePayload":"b2ZmZXI="})";
const std::string candidate = R"({"action":"ICE_CANDIDATE","messagePayload":"Y2FuZA=="})";
std::string answer_to(const std::string& client, const std::string& more = {}) {
  return R"({"action":"SDP_ANSWER","messagePayload":"YW5zd2Vy","recipientClientId":")" + client + '"' + more +
         '}';
}

TEST_F(Board, AViewersOfferAndTheMastersAnswer) {
  master();
  viewer(2, "a");
  viewer(3, "b");
  say(2, offer);
  EXPECT_THAT(
      sent(),
      ElementsAre(R"(1 {"messageType":"SDP_OFFER","messagePayload":"b2ZmZXI=","senderClientId":"a"})"));
  say(1, answer_to("a"));
  EXPECT_THAT(sent(), ElementsAre(R"(2 {"messageType":"SDP_ANSWER","messagePayload":"YW5zd2Vy"})"));
  say(3, candidate);
  EXPECT_THAT(
      sent(),
      ElementsAre(R"(1 {"messageType":"ICE_CANDIDATE","messagePayload":"Y2FuZA==","senderClientId":"b"})"));
  EXPECT_EQ(count("channel_messages_total"), 3u);
}

TEST_F(Board, AViewerSpeaksToTheMasterWhateverItSays) {
  master();
  viewer(2, "a");
  viewer(3, "b");
  say(2, R"({"action":"SDP_OFFER","messagePayload":"b2ZmZXI=","recipientClientId":"b"})");
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("1 ")));
}

TEST_F(Board, ChannelsHearNothingOfEachOther) {
  master();
  board().on_opened(now, web(4), guest(true, {}, "gate"), out);
  board().on_opened(now, web(5), guest(false, "a", "gate"), out);
  say(5, offer);
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("4 ")));
  say(1, answer_to("a"));  // there is no a at the door
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(Board, ASecondMasterTakesTheFirstOnesPlace) {
  master(1);
  viewer(2, "a");
  master(7);
  EXPECT_THAT(ended(), ElementsAre(1u));
  say(1, answer_to("a"));  // what was under way
  EXPECT_THAT(sent(), IsEmpty());
  board().on_closed(web(1).flow);
  say(2, offer);
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("7 ")));
  EXPECT_EQ(count("channel_replaced_total"), 1u);
}

TEST_F(Board, ASecondViewerOfThatNameTakesTheFirstOnesPlace) {
  master();
  viewer(2, "a");
  viewer(3, "a");
  EXPECT_THAT(ended(), ElementsAre(2u));
  say(1, answer_to("a"));
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("3 ")));
  EXPECT_EQ(board().connections(), 2u);
}

TEST_F(Board, NoMoreViewersThanTheChannelTakes) {
  master();
  viewer(2, "a");
  viewer(3, "b");
  viewer(4, "c");
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("ClientLimitExceededException")));
  EXPECT_THAT(ended(), ElementsAre(4u));
  EXPECT_EQ(count("channel_viewers_full_total"), 1u);
  viewer(5, "b");  // who has a place may take it again
  EXPECT_THAT(ended(), ElementsAre(3u));
  board().on_closed(web(2).flow);
  viewer(6, "c");
  EXPECT_THAT(ended(), IsEmpty());
}

TEST_F(Board, NoMoreConnectionsThanTheWorkerTakes) {
  config.connections = 1;
  master();
  viewer(2, "a");
  EXPECT_THAT(ended(), ElementsAre(2u));
  EXPECT_EQ(count("channel_connections_full_total"), 1u);
}

TEST_F(Board, WhatIsSaidToNobodyWaitsAWhile) {
  viewer(2, "a");
  say(2, offer);
  say(2, candidate);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(board().waiting_octets(), 16u);
  wait(seconds(59));
  master();
  EXPECT_THAT(sent(),
              ElementsAre(HasSubstr(R"("SDP_OFFER","messagePayload":"b2ZmZXI=","senderClientId":"a")"),
                          HasSubstr("ICE_CANDIDATE")));
  EXPECT_EQ(board().waiting_octets(), 0u);
  say(1, answer_to("b"));
  wait(seconds(60));
  EXPECT_EQ(count("channel_dropped_total"), 1u);
  viewer(3, "b");
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(Board, ALaterOfferStandsInPlaceOfOneThatWaits) {
  viewer(2, "a");
  say(2, offer);
  say(2, R"({"action":"SDP_OFFER","messagePayload":"bGF0ZXI="})");
  viewer(3, "b");
  say(3, offer);
  master();
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("bGF0ZXI="), HasSubstr(R"("senderClientId":"b")")));
}

TEST_F(Board, NotMoreWaitThanThereIsRoomFor) {
  config.waiting = 2;
  viewer(2, "a");
  say(2, candidate);
  say(2, candidate);
  say(2, R"({"action":"ICE_CANDIDATE","messagePayload":"Y2FuZA==","correlationId":"x1"})");
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("ClientLimitExceededException")));
  EXPECT_EQ(refused("full"), 1u);
}

TEST_F(Board, WhatWaitsOnAllChannelsIsBounded) {
  config.waiting_octets = 10;
  viewer(2, "a");
  say(2, candidate);
  say(2, candidate);
  EXPECT_EQ(refused("full"), 1u);
  EXPECT_EQ(board().waiting_octets(), 8u);
}

TEST_F(Board, AChannelIsForgottenWithItsLastGuestAndMessage) {
  viewer(2, "a");
  say(2, offer);
  board().on_closed(web(2).flow);
  EXPECT_EQ(board().channels(), 1u);
  wait(seconds(60));
  EXPECT_EQ(board().channels(), 0u);
  EXPECT_EQ(board().waiting_octets(), 0u);
}

TEST_F(Board, WhoAsksIsToldWhatWasWrong) {
  master();
  say(1, R"({"action":"SDP_ANSWER","messagePayload":"YQ==","correlationId":"c-1"})");
  EXPECT_THAT(
      sent(),
      ElementsAre(HasSubstr(
          R"("messageType":"STATUS_RESPONSE","messagePayload":"","statusResponse":{"correlationId":"c-1",)"
          R"("errorType":"InvalidArgumentException","statusCode":"400")")));
  say(1, R"({"action":"SDP_ANSWER","messagePayload":"YQ=="})");  // who did not ask is not
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(refused("recipient"), 2u);
}

TEST_F(Board, WhatCannotBeReadIsRefused) {
  master();
  for (const char* bad :
       {"", "x", "[]", "1", "{}", R"({"action":"SDP_OFFER"})", R"({"action":1,"messagePayload":"YQ=="})",
        R"({"action":"SDP_OFFER","messagePayload":""})",
        R"({"action":"SDP_OFFER","messagePayload":"no base 64"})",
        R"({"action":"SDP_OFFER","messagePayload":"YQ==","correlationId":"a b"})",
        R"({"a":{"b":{"c":{"d":[[1]]}}}})"})
    say(1, bad);
  EXPECT_EQ(refused("malformed"), 11u);
  say(1, R"({"action":"GO_AWAY","messagePayload":"YQ=="})");
  EXPECT_EQ(refused("action"), 1u);
  say(1, answer_to("a b"));
  EXPECT_EQ(refused("recipient"), 1u);
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(Board, PayloadsHaveALimit) {
  master();
  viewer(2, "a");
  const auto with = [](size_t chars, const std::string& more = {}) {
    return R"({"action":"ICE_CANDIDATE","messagePayload":")" + std::string(chars, 'A') + '"' + more + '}';
  };
  say(2, with(10'240));
  EXPECT_EQ(sent().size(), 1u);
  say(2, with(10'244, R"(,"correlationId":"big")"));
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("2 {\"messageType\":\"STATUS_RESPONSE\"")));
  EXPECT_EQ(refused("too_big"), 1u);
  say(2, with(20'000));
  EXPECT_EQ(refused("too_big"), 2u);
}

TEST_F(Board, FiveDescriptionsAndTwentyCandidatesASecond) {
  master();
  viewer(2, "a");
  for (int i = 0; i < 11; ++i) say(2, offer);
  EXPECT_EQ(sent().size(), 10u);  // twice as many at once
  for (int i = 0; i < 41; ++i) say(2, candidate);
  EXPECT_EQ(sent().size(), 40u);
  EXPECT_EQ(refused("too_fast"), 2u);
  wait(seconds(1));
  for (int i = 0; i < 6; ++i) say(2, offer);
  EXPECT_EQ(sent().size(), 5u);
}

TEST_F(Board, WhoIsRefusedForEverIsSentAway) {
  config.refusals = 3;
  master();
  for (int i = 0; i < 3; ++i) say(1, "x");
  EXPECT_THAT(ended(), IsEmpty());
  say(1, "x");
  EXPECT_THAT(ended(), ElementsAre(1u));
  EXPECT_EQ(count("channel_refused_out_total"), 1u);
  EXPECT_EQ(board().connections(), 0u);
}

TEST_F(Board, SilenceEndsAConnectionAndPingsAreNone) {
  master();
  viewer(2, "a");
  wait(minutes(9));
  board().on_alive(now, web(1).flow);
  say(2, candidate);
  sent();
  wait(minutes(9));
  EXPECT_THAT(ended(), IsEmpty());
  board().on_alive(now, web(1).flow);
  wait(minutes(1));
  EXPECT_THAT(ended(), ElementsAre(2u));
  EXPECT_EQ(count("channel_idle_total"), 1u);
}

TEST_F(Board, AConnectionIsToldToGoAMinuteBeforeItEnds) {
  master();
  for (int i = 0; i < 58; ++i) {
    wait(minutes(1));
    board().on_alive(now, web(1).flow);
  }
  EXPECT_THAT(sent(), IsEmpty());
  wait(minutes(1));
  EXPECT_THAT(sent(), ElementsAre(R"(1 {"messageType":"GO_AWAY","messagePayload":""})"));
  wait(seconds(59));
  EXPECT_THAT(ended(), IsEmpty());
  wait(seconds(1));
  EXPECT_THAT(ended(), ElementsAre(1u));
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_EQ(count("channel_expired_total"), 1u);
}

TEST_F(Board, ANodeThatStopsSendsEverybodyAway) {
  master();
  board().say_goodbye(now, out);
  EXPECT_THAT(sent(), ElementsAre(HasSubstr("RECONNECT_ICE_SERVER"), HasSubstr("GO_AWAY")));
  board().say_goodbye(now, out);
  EXPECT_THAT(sent(), IsEmpty());
  wait(seconds(59));
  EXPECT_THAT(ended(), IsEmpty());
  wait(seconds(1));
  EXPECT_THAT(ended(), ElementsAre(1u));
}

TEST_F(Board, AChannelThatIsNoMoreIsEmptied) {
  master();
  viewer(2, "a");
  say(1, answer_to("b"));
  board().end_channel("door", out);
  EXPECT_THAT(ended(), ElementsAre(1u, 2u));
  EXPECT_EQ(board().channels(), 0u);
  EXPECT_EQ(board().waiting_octets(), 0u);
  EXPECT_EQ(count("channel_revoked_total"), 2u);
}

TEST_F(Board, AnAccessKeyThatIsNoMoreEndsItsConnections) {
  master();
  viewer(2, "a");
  board().end_access_key("VIEWERKEY", out);
  EXPECT_THAT(ended(), ElementsAre(2u));
  EXPECT_EQ(board().connections(), 1u);
}

}  // namespace
}  // namespace tandem::channel
