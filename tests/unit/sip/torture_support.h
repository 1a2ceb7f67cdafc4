#pragma once
// Torture messages are written with plain line ends; wire() makes them what the RFC means.
#include <optional>
#include <string>
#include <string_view>

#include "sip/message.h"
#include "sip/strict.h"

namespace tandem::sip::torture {

inline std::string wire(std::string_view text) {
  std::string out;
  if (!text.empty() && text.front() == '\n') text.remove_prefix(1);
  for (const char c : text) {
    if (c == '\n') out.push_back('\r');
    out.push_back(c);
  }
  return out;
}

inline std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  return at == std::string::npos ? std::string() : text.replace(at, what.size(), by);
}

inline std::string sdp(std::string_view address) {
  std::string a(address);
  return wire("v=0\no=mhandley 29739 7272939 IN IP4 " + a + "\ns=-\nc=IN IP4 " + a +
              "\nt=0 0\nm=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n");
}

inline Result<Message, Reason> parse(std::string_view bytes) {
  return Message::parse(Buffer::copy_of(bytes));
}

/// What parse() says, or, when it takes the message, the strict policy.
struct Verdict {
  std::optional<Reason> parse;
  std::optional<Reason> strict;
};
inline Verdict verdict(std::string_view bytes) {
  auto m = parse(bytes);
  if (!m) return {m.reason(), {}};
  return {{}, strict_check(*m)};
}

#define EXPECT_VALID(bytes)                           \
  do {                                                \
    const auto v_ = torture::verdict(bytes);          \
    EXPECT_FALSE(v_.parse) << to_string(*v_.parse);   \
    EXPECT_FALSE(v_.strict) << to_string(*v_.strict); \
  } while (false)

/// Refused outright.
#define EXPECT_REFUSED(bytes, why)                     \
  do {                                                 \
    const auto v_ = torture::verdict(bytes);           \
    ASSERT_TRUE(v_.parse);                             \
    EXPECT_EQ(*v_.parse, why) << to_string(*v_.parse); \
  } while (false)

/// The RFC calls it invalid, and lets a liberal receiver read it: the strict policy refuses.
#define EXPECT_INVALID(bytes, why)                       \
  do {                                                   \
    const auto v_ = torture::verdict(bytes);             \
    ASSERT_FALSE(v_.parse) << to_string(*v_.parse);      \
    ASSERT_TRUE(v_.strict);                              \
    EXPECT_EQ(*v_.strict, why) << to_string(*v_.strict); \
  } while (false)

}  // namespace tandem::sip::torture
