// Streams cut into messages.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sip/framer.h"

namespace tandem::sip {
namespace {

const std::string first = "OPTIONS sip:a SIP/2.0\r\nVia: x\r\nContent-Length: 5\r\n\r\nhello";
const std::string second = "SIP/2.0 200 OK\r\nX: \r\n y\r\nl :\r\n  0\r\n\r\n";

/// "ping", "pong" or the text of a message, in order.
std::vector<std::string> take(Framer& framer) {
  std::vector<std::string> out;
  while (auto item = framer.pop()) {
    using Kind = Framer::Item::Kind;
    out.emplace_back(item->kind == Kind::ping   ? "ping"
                     : item->kind == Kind::pong ? "pong"
                                                : item->bytes.text());
  }
  return out;
}
using Items = std::vector<std::string>;

Reason fault(std::string_view stream, Limits limits = {}) {
  Framer framer(limits);
  const auto status = framer.push(as_bytes(stream));
  return status ? Reason::count_ : status.reason();
}

TEST(Framer, CutsByContentLength) {
  Framer framer;
  ASSERT_TRUE(framer.push(as_bytes(first + second + first)));
  EXPECT_EQ(take(framer), (Items{first, second, first}));
  EXPECT_FALSE(framer.partial());
}

TEST(Framer, PutsPiecesTogether) {
  const std::string stream = first + second + "\r\n\r\n" + first;
  for (size_t piece = 1; piece < stream.size(); ++piece) {
    Framer framer;
    Items all;
    for (size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(framer.push(as_bytes(std::string_view(stream).substr(at, piece))));
      for (auto& item : take(framer))
        if (item != "pong") all.push_back(std::move(item));
    }
    EXPECT_EQ(all, (Items{first, second, "ping", first})) << piece;
    EXPECT_FALSE(framer.partial());
  }
}

TEST(Framer, KnowsPingFromPong) {
  Framer framer;
  ASSERT_TRUE(framer.push(as_bytes("\r\n")));
  EXPECT_EQ(take(framer), Items{"pong"});
  Framer other;
  ASSERT_TRUE(other.push(as_bytes("\r\n\r\n" + first + "\r\n")));
  EXPECT_EQ(take(other), (Items{"ping", first, "pong"}));
}

// A ping whose halves come in two segments is answered all the same.
TEST(Framer, JoinsASplitPing) {
  Framer framer;
  ASSERT_TRUE(framer.push(as_bytes("\r\n")));
  EXPECT_EQ(take(framer), Items{"pong"});
  ASSERT_TRUE(framer.push(as_bytes("\r\n")));
  EXPECT_EQ(take(framer), Items{"ping"});
  ASSERT_TRUE(framer.push(as_bytes("\r\n")));
  EXPECT_EQ(take(framer), Items{"pong"});
}

TEST(Framer, SaysWhenAMessageIsUnfinished) {
  Framer framer;
  ASSERT_TRUE(framer.push(as_bytes(first.substr(0, 20))));
  EXPECT_TRUE(framer.partial());
  EXPECT_EQ(take(framer), Items{});
  ASSERT_TRUE(framer.push(as_bytes(first.substr(20, first.size() - 21))));
  EXPECT_TRUE(framer.partial());  // one byte of the body is missing
  ASSERT_TRUE(framer.push(as_bytes("o")));
  EXPECT_FALSE(framer.partial());
  EXPECT_EQ(take(framer), Items{first});
}

TEST(Framer, RefusesWhatCannotBeFramed) {
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n"), Reason::bad_content_length);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n"), Reason::bad_content_length);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nContent-Length: 5x\r\n\r\n"), Reason::bad_content_length);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n"),
            Reason::bad_content_length);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nContent-Length: 5\r\nl: 6\r\n\r\n"), Reason::duplicate_header);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nl: 5\r\nl: 5\r\n\r\n"), Reason::count_);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\r\nno colon\r\n\r\n"), Reason::bad_header_name);
  EXPECT_EQ(fault("OPTIONS sip:a SIP/2.0\nl: 0\r\n\r\n"), Reason::bad_line);
  EXPECT_EQ(fault("\n"), Reason::bad_line);
  EXPECT_EQ(fault("\rx"), Reason::bad_line);
}

TEST(Framer, StaysWithinItsLimit) {
  Limits limits;
  limits.message_bytes = 100;
  EXPECT_EQ(fault(std::string(100, 'x'), limits), Reason::count_);
  EXPECT_EQ(fault(std::string(101, 'x'), limits), Reason::too_large);
  const std::string head = "A sip:a SIP/2.0\r\nContent-Length: ";
  EXPECT_EQ(fault(head + std::to_string(100 - head.size() - 6) + "\r\n\r\n", limits), Reason::count_);
  EXPECT_EQ(fault(head + std::to_string(100 - head.size() - 5) + "\r\n\r\n", limits), Reason::too_large);
  EXPECT_EQ(fault(head + "0\r\nX: " + std::string(100, 'x') + "\r\n\r\n", limits), Reason::too_large);
}

TEST(Framer, FailsForGoodAfterGivingUpWhatWasWhole) {
  Framer framer;
  const auto status = framer.push(as_bytes(first + "BAD\r\n\r\n"));
  ASSERT_FALSE(status);
  EXPECT_EQ(take(framer), Items{first});
  EXPECT_FALSE(framer.push(as_bytes(first)));
  EXPECT_EQ(take(framer), Items{});
}

}  // namespace
}  // namespace tandem::sip
