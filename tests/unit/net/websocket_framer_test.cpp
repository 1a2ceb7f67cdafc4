// Frames in and out of the framer, and each of its limits.
#include "net/websocket_framer.h"

#include "unit/net/websocket_client.h"

namespace tandem::net::test {
namespace {

using End = WebSocketFramer::End;

class Framer : public testing::Test {
 protected:
  void feed(std::string_view bytes) { framer().receive(now, as_bytes(bytes)); }
  WebSocketFramer& framer() {
    if (!made_) made_ = std::make_unique<WebSocketFramer>(limits);
    return *made_;
  }
  std::string pop() {
    const auto message = framer().pop();
    return message ? std::string(message->text()) : "(none)";
  }
  std::string output() { return std::string(framer().take_output().text()); }
  int closed_with() {
    const std::string out = output();
    if (out.size() < 4 || static_cast<uint8_t>(out[0]) != 0x88) return 0;
    return static_cast<uint8_t>(out[2]) << 8 | static_cast<uint8_t>(out[3]);
  }
  WebSocketLimits limits{
      .message_bytes = 1000, .fragments = 3, .messages_per_second = 5, .control_per_second = 2};
  Instant now{1'000'000'000};

 private:
  std::unique_ptr<WebSocketFramer> made_;
};

TEST_F(Framer, MessagesComeWhole) {
  const std::string two = frame("one") + frame("two", 2);
  for (const char c : two) feed(std::string_view(&c, 1));
  EXPECT_EQ(pop(), "one");
  EXPECT_EQ(pop(), "two");
  EXPECT_EQ(pop(), "(none)");
  EXPECT_FALSE(framer().partial());
  EXPECT_EQ(framer().ended(), End::none);
}

TEST_F(Framer, FragmentsMayBeInterruptedByControlFrames) {
  feed(frame("he", 1, false) + frame("are you there", 9) + frame("llo", 0, true));
  EXPECT_EQ(pop(), "hello");
  EXPECT_EQ(output(), std::string("\x8a\x0d", 2) + "are you there");
}

TEST_F(Framer, WhatIsNotWholeIsPartial) {
  feed(frame("he", 1, false));
  EXPECT_TRUE(framer().partial());
  feed(frame("llo", 0, true).substr(0, 7));
  EXPECT_TRUE(framer().partial());
  feed(frame("llo", 0, true).substr(7));
  EXPECT_FALSE(framer().partial());
  EXPECT_EQ(pop(), "hello");
}

TEST_F(Framer, TextAndBinaryAreSentAsWhatTheyAre) {
  EXPECT_TRUE(framer().send(as_bytes("sip \xc3\xa9")));
  EXPECT_TRUE(framer().send(as_bytes("\xff\xfe")));
  EXPECT_EQ(output(), "\x81\x06sip \xc3\xa9\x82\x02\xff\xfe");
}

TEST_F(Framer, LongMessagesHaveLongLengths) {
  const std::string text(70'000, 'x');
  EXPECT_TRUE(framer().send(as_bytes(text)));
  EXPECT_EQ(output(), std::string("\x81\x7f\0\0\0\0\0\x01\x11\x70", 10) + text);
}

TEST_F(Framer, AMessageOverTheLimitEndsIt) {
  feed(frame(std::string(1001, 'x')).substr(0, 10));  // it is not even read
  EXPECT_EQ(closed_with(), 1009);
  EXPECT_EQ(framer().ended(), End::too_big);
  feed(frame("more"));
  EXPECT_EQ(pop(), "(none)");
  EXPECT_FALSE(framer().send(as_bytes("late")));
}

TEST_F(Framer, TheLimitHoldsForFragmentsTogether) {
  feed(frame(std::string(600, 'x'), 1, false) + frame(std::string(600, 'x'), 0, true));
  EXPECT_EQ(closed_with(), 1009);
  EXPECT_EQ(framer().ended(), End::too_big);
}

TEST_F(Framer, AMessageOfTheLimitComesThrough) {
  feed(frame(std::string(1000, 'x')));
  EXPECT_EQ(pop().size(), 1000u);
}

TEST_F(Framer, TooManyFragments) {
  feed(frame("a", 1, false) + frame("b", 0, false) + frame("c", 0, false));
  EXPECT_EQ(framer().ended(), End::none);
  feed(frame("", 0, false));
  EXPECT_EQ(closed_with(), 1008);
  EXPECT_EQ(framer().ended(), End::fragments);
}

TEST_F(Framer, TooManyMessagesASecond) {
  std::string ten;
  for (int i = 0; i < 10; ++i) ten += frame("m");  // twice the rate at once
  feed(ten);
  EXPECT_EQ(framer().ended(), End::none);
  now = now + seconds(1);
  for (int i = 0; i < 5; ++i) feed(frame("m"));
  EXPECT_EQ(framer().ended(), End::none);
  feed(frame("m"));
  EXPECT_EQ(closed_with(), 1008);
  EXPECT_EQ(framer().ended(), End::message_rate);
}

TEST_F(Framer, TooManyPings) {
  for (int i = 0; i < 4; ++i) feed(frame("", 9));
  output();
  EXPECT_EQ(framer().ended(), End::none);
  feed(frame("", 10));
  EXPECT_EQ(closed_with(), 1008);
  EXPECT_EQ(framer().ended(), End::control_rate);
}

TEST_F(Framer, TextMustBeUtf8AlsoAcrossFragments) {
  feed(frame("\xc3", 1, false) + frame("\xa9", 0, true));
  EXPECT_EQ(pop(), "\xc3\xa9");
  feed(frame("\xc3\x28"));
  EXPECT_EQ(closed_with(), 1007);
  EXPECT_EQ(framer().ended(), End::not_utf8);
}

/// Each is a fresh connection's first frame.
TEST_F(Framer, ProtocolErrors) {
  const std::pair<const char*, std::string> wrong[] = {
      {"unmasked", frame("hi", 1, true, false)},
      {"reserved bit, as if compressed", frame("hi", 1, true, true, 4)},
      {"reserved opcode", frame("hi", 3)},
      {"reserved control opcode", frame("hi", 11)},
      {"continuation of nothing", frame("hi", 0)},
      {"message inside a message", frame("a", 1, false) + frame("b", 1)},
      {"fragmented ping", frame("hi", 9, false)},
      {"long ping", frame(std::string(126, 'x'), 9)},
      {"close with half a code", frame("x", 8)},
      {"close with a code nobody may send", close_frame(1005)},
      {"length with its top bit set", std::string("\x81\xff\xff\0\0\0\0\0\0\0", 10)},
      {"length that is longer than it need be", std::string("\x81\xfe\0\x05", 4)},
  };
  for (const auto& [what, bytes] : wrong) {
    WebSocketFramer fresh(limits);
    fresh.receive(now, as_bytes(bytes));
    EXPECT_EQ(fresh.ended(), End::protocol) << what;
    const std::string out(fresh.take_output().text());
    ASSERT_GE(out.size(), 4u) << what;
    EXPECT_EQ(static_cast<uint8_t>(out[2]) << 8 | static_cast<uint8_t>(out[3]), 1002) << what;
    EXPECT_FALSE(fresh.pop() && fresh.pop()) << what;
  }
}

TEST_F(Framer, CloseIsAnswered) {
  feed(frame("last") + close_frame(1001, "page closed") + frame("after"));
  EXPECT_EQ(pop(), "last");
  EXPECT_EQ(pop(), "(none)");
  EXPECT_EQ(closed_with(), 1001);
  EXPECT_EQ(framer().ended(), End::by_peer);
  EXPECT_EQ(framer().close_code(), 1001);
}

TEST_F(Framer, OurCloseIsAnsweredToo) {
  framer().close(4001, std::string(200, 'x'));
  EXPECT_EQ(output(), std::string("\x88\x7d\x0f\xa1", 4) + std::string(123, 'x'));
  EXPECT_FALSE(framer().close_received());
  EXPECT_EQ(framer().close_code(), 1006);
  framer().close(1000, "again");
  EXPECT_EQ(output(), "");
  feed(close_frame(4001));
  EXPECT_TRUE(framer().close_received());
  EXPECT_EQ(framer().ended(), End::by_us);
  EXPECT_EQ(output(), "");
}

/// What one end sends is what the other one takes, and a client's is masked, each frame anew.
TEST_F(Framer, BothEndsUnderstandEachOther) {
  WebSocketFramer client(limits, WebSocketFramer::Side::client);
  std::string sent[2];
  for (std::string& bytes : sent) {
    ASSERT_TRUE(client.send(as_bytes("hello")));
    bytes = client.take_output().text();
    ASSERT_EQ(bytes.size(), 2 + 4 + 5u);
    EXPECT_EQ(static_cast<uint8_t>(bytes[1]), 0x80 | 5);
    feed(bytes);
    EXPECT_EQ(pop(), "hello");
  }
  EXPECT_NE(sent[0].substr(2, 4), sent[1].substr(2, 4));
  ASSERT_TRUE(framer().send(as_bytes("there")));
  client.receive(now, framer().take_output().bytes());
  EXPECT_EQ(client.pop()->text(), "there");
  client.ping();
  feed(client.take_output().text());
  client.receive(now, framer().take_output().bytes());
  EXPECT_EQ(client.ended(), End::none);
  framer().close(1001, "going away");
  client.receive(now, framer().take_output().bytes());
  EXPECT_EQ(client.ended(), End::by_peer);
  EXPECT_EQ(client.close_code(), 1001);
  feed(client.take_output().text());
  EXPECT_EQ(framer().ended(), End::by_us);
}

TEST_F(Framer, AServerThatMasksIsRefused) {
  WebSocketFramer client(limits, WebSocketFramer::Side::client);
  client.receive(now, as_bytes(frame("hello")));
  EXPECT_EQ(client.ended(), End::protocol);
  feed(client.take_output().text());
  EXPECT_EQ(framer().close_code(), 1002);
}

}  // namespace
}  // namespace tandem::net::test
