// Key presses by INFO: what is one, and to whom it goes.
#include "call/dtmf_info.h"
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(DtmfInfo, BothBodies) {
  const auto relay = read_dtmf("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
  ASSERT_TRUE(relay);
  EXPECT_EQ(relay->digit, '5');
  EXPECT_EQ(relay->lasted, milliseconds(160));
  EXPECT_EQ(relay->form, DtmfForm::relay);
  const auto plain = read_dtmf("Application/DTMF; charset=utf-8", "#\r\n");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->digit, '#');
  EXPECT_EQ(plain->form, DtmfForm::plain);
  EXPECT_EQ(plain->lasted, milliseconds(250)) << "nothing is said";
  EXPECT_EQ(read_dtmf("application/dtmf", "Signal=7\r\nDuration=90")->lasted, milliseconds(90));
  EXPECT_EQ(read_dtmf("application/dtmf-relay", "signal = 11 \nduration = 100")->digit, '#');
  EXPECT_EQ(read_dtmf("application/dtmf-relay", "Signal=c")->digit, 'C');
  EXPECT_EQ(read_dtmf("application/dtmf-relay", "Signal=1\r\nDuration=0")->lasted, milliseconds(250));
  EXPECT_EQ(read_dtmf("application/dtmf-relay", "Signal=1\r\nDuration=900000")->lasted, seconds(60));
}

TEST(DtmfInfo, WhatIsNoPress) {
  for (const char* body :
       {"", "Signal=hf", "Signal=16", "Signal=", "Signal=55", "Signal=5\r\nSignal=6", "Duration=160",
        "Signal=5\r\nDuration=x", "Signal=5\r\nDuration=1\r\nDuration=2", "Signal=5\r\nrubbish", "five"})
    EXPECT_FALSE(read_dtmf("application/dtmf-relay", body)) << body;
  EXPECT_FALSE(read_dtmf("application/dtmf-relay", "Signal=5\r\n" + std::string(600, 'x') + "=1"));
  EXPECT_FALSE(read_dtmf("text/plain", "5"));
}

TEST(DtmfInfo, IsReadAsItWasWritten) {
  for (const DtmfForm form : {DtmfForm::relay, DtmfForm::plain})
    for (const char digit : {'0', '9', '*', '#', 'D'}) {
      const auto again = read_dtmf(content_type_of(form), write_dtmf({form, digit, milliseconds(70)}));
      ASSERT_TRUE(again);
      EXPECT_EQ(again->digit, digit);
      EXPECT_EQ(again->form, form);
    }
}

CallConfig transcoding() {
  CallConfig c;
  c.codecs = {"PCMU", "PCMA"};
  return c;
}

struct Dtmf : ::testing::Test {
  Switch sw{transcoding()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
};

TEST_F(Dtmf, InfoIsTranslated) {
  connect(a, b);
  a.request("INFO", "Signal=5\r\nDuration=160\r\n", "", "application/dtmf-relay");
  a.expect(200);
  EXPECT_TRUE(b.quiet()) << "it has telephone-event";
  sw.advance(milliseconds(400));
  EXPECT_GT(sw.media_sent[*SocketAddress::parse(b.media)], 8u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dtmf, InfoToWhomInfoIsWanted) {
  sw.subscriber("1002").dtmf = port::DtmfPolicy::info;
  connect(a, b);
  b.request("INFO", "8", "", "application/dtmf");
  b.expect(200);
  a.request("INFO", "Signal=5\r\nDuration=160\r\n", "", "application/dtmf-relay");
  a.expect(200);
  const auto info = b.expect("INFO");
  EXPECT_EQ(info.content_type(), "application/dtmf") << "as it sends itself";
  EXPECT_EQ(as_text(info.body()), "5");
  b.ok();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dtmf, TheRowOfTheCalleeSaysWhatItIsOffered) {
  sw.subscriber("1002").dtmf = port::DtmfPolicy::inband;
  a.invite("1002", sdp(a.media, "0 101"));
  EXPECT_THAT(std::string(as_text(b.expect("INVITE").body())), Not(HasSubstr("telephone-event")));
  b.answer(sdp(b.media, "0"));
  b.expect("ACK");
  EXPECT_THAT(std::string(as_text(a.expect(200).body())), HasSubstr("telephone-event"));
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dtmf, AFlashAndOtherInfoPass) {
  connect(a, b);
  for (const auto& [type, body] : {std::pair{"application/dtmf-relay", "Signal=hf\r\nDuration=100\r\n"},
                                   {"application/media_control+xml", "<media_control/>"}}) {
    a.request("INFO", body, "", type);
    a.expect(200);
    const auto info = b.expect("INFO");
    EXPECT_EQ(info.content_type(), type);
    EXPECT_EQ(as_text(info.body()), body);
    b.ok();
  }
  hang_up(a, b);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
