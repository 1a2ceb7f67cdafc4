#pragma once
// A phone that transfers, and what it is told of it.
#include "unit/call/harness.h"

namespace tandem::call::test {

struct ThreePhones : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};
};

inline void expect_fragment(Phone& p, const std::string& status, const std::string& state) {
  using ::testing::HasSubstr;
  const auto notify = p.expect("NOTIFY");
  EXPECT_THAT(std::string(notify.body_text()), HasSubstr("SIP/2.0 " + status));
  EXPECT_THAT(std::string(notify.header(sip::HeaderId::subscription_state).value_or("")), HasSubstr(state));
  p.ok();
}

inline void refer(Phone& by, const std::string& to) {
  by.request("REFER", "", "Refer-To: <sip:" + to + "@" + domain + ">\r\n");
  by.expect(202);
  expect_fragment(by, "100", "active");
}

/// Refer-To value for an attended transfer to the dialog `other` has with us.
inline std::string refer_replaces(const Phone& other, const std::string& user, const std::string& more = "") {
  std::string call_id = other.call_id;
  if (const size_t at = call_id.find('@'); at != std::string::npos) call_id.replace(at, 1, "%40");
  return "Refer-To: <sip:" + user + "@" + domain + "?Replaces=" + call_id + "%3Bto-tag%3D" + other.peer_tag +
         "%3Bfrom-tag%3D" + other.tag + more + ">\r\n";
}

/// `by` brings its party to whom `other`, its second phone, talks with, and is out of both calls.
inline void transfer(Phone& by, Phone& other, const std::string& user) {
  by.request("REFER", "", refer_replaces(other, user));
  by.expect(202);
  expect_fragment(by, "100", "active");
  expect_fragment(by, "200", "terminated");
  by.expect("BYE");
  by.ok();
  other.expect("BYE");
  other.ok();
}

/// A calls B, and does not wish to be named (RFC 3323 section 4.2).
inline void connect_unnamed(Phone& a, Phone& b) {
  a.invite(b.user, sdp(a.media), "Privacy: id\r\n");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
}

}  // namespace tandem::call::test
