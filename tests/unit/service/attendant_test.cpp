// Calls to an attendant: what the caller does, and what is ordered.
#include <gtest/gtest.h>

#include "session.h"

namespace tandem::service {
namespace {

class AttendantTest : public testing::TestWithParam<bool> {
 protected:
  AttendantTest() {
    menu_.greeting = {"welcome", "office/hours.wav"};
    menu_.otherwise = "100";
  }
  void choice(std::string keys, std::string target) { choices_.push_back({"d", "m", 0, keys, "", target}); }
  /// Until the greeting is heard.
  Session& calls() {
    session_.emplace(attendant(menu_, choices_), GetParam());
    EXPECT_EQ(session_->start(), greeting);
    return *session_;
  }
  static constexpr const char* greeting = "say welcome sounds:office/hours.wav";

  port::MenuRow menu_;
  std::vector<port::MenuChoiceRow> choices_;
  std::optional<Session> session_;
};
INSTANTIATE_TEST_SUITE_P(, AttendantTest, testing::Bool(),
                         [](const auto& i) { return i.param ? "Restored" : "Straight"; });

TEST_P(AttendantTest, AKeyCutsTheGreetingAndDialsAtOnce) {
  choice("1", "sales");
  choice("2", "200");
  EXPECT_EQ(calls().key('1'), "silence; dial sales");
  EXPECT_EQ(session_->machine().kind(), "menu");
  EXPECT_EQ(session_->machine().language(), "en");
}

TEST_P(AttendantTest, AKeyAfterTheGreetingToo) {
  choice("*", "voicemail");
  Session& s = calls();
  EXPECT_EQ(s.said(), "");
  EXPECT_EQ(s.key('*'), "dial voicemail");
}

TEST_P(AttendantTest, TheLongestMatchCounts) {
  choice("1", "one");
  choice("12", "twelve");
  Session& s = calls();
  EXPECT_EQ(s.key('1'), "silence");
  EXPECT_EQ(s.pass(milliseconds(2900)), "");
  EXPECT_EQ(s.key('2'), "dial twelve");
  EXPECT_EQ(calls().key('1'), "silence");
  EXPECT_EQ(session_->pass(seconds(3)), "dial one");
  EXPECT_EQ(calls().keys("1#"), "silence; dial one");
  EXPECT_EQ(calls().keys("13"), "silence; say invalid welcome sounds:office/hours.wav");
}

TEST_P(AttendantTest, TheEndOfWhatWasCutIsNone) {
  choice("1", "one");
  choice("12", "twelve");
  EXPECT_EQ(calls().key('1'), "silence");
  EXPECT_EQ(session_->said(), "");  // they crossed
  EXPECT_EQ(session_->pass(milliseconds(3100)), "dial one");
}

TEST_P(AttendantTest, NumbersAreDialledWithTheCallersRights) {
  menu_.extensions = true;
  choice("1", "one");
  choice("#", "hash");
  EXPECT_EQ(calls().keys("101#"), "silence; dial 101 as caller");
  EXPECT_EQ(calls().keys("101"), "silence");
  EXPECT_EQ(session_->pass(seconds(3)), "dial 101 as caller");
  EXPECT_EQ(calls().keys("1#"), "silence; dial one");
  EXPECT_EQ(calls().keys("#"), "silence; dial hash");
  EXPECT_EQ(calls().keys("*"), "silence; say invalid welcome sounds:office/hours.wav");
  EXPECT_EQ(calls().keys(std::string(32, '9')), "silence; dial " + std::string(32, '9') + " as caller");
}

TEST_P(AttendantTest, HashMayBeAKeyOfAChoice) {
  choice("1#", "one");
  choice("1##", "two");
  EXPECT_EQ(calls().keys("1#"), "silence");
  EXPECT_EQ(session_->key('#'), "dial two");
  EXPECT_EQ(calls().keys("1#"), "silence");
  EXPECT_EQ(session_->pass(seconds(3)), "dial one");
}

TEST_P(AttendantTest, WrongKeysAreToldAsOftenAsTheMenuSays) {
  choice("1", "one");
  Session& s = calls();
  const std::string again = "silence; say invalid welcome sounds:office/hours.wav";
  EXPECT_EQ(s.key('9'), again);
  EXPECT_EQ(s.key('9'), again);
  EXPECT_EQ(s.key('9'), "silence; say invalid");
  EXPECT_EQ(s.key('1'), "");  // too late
  EXPECT_EQ(s.said(), "dial 100");
}

TEST_P(AttendantTest, ASilentCallerGoesOnToOtherwise) {
  choice("1", "one");
  Session& s = calls();
  for (int heard = 1; heard < 3; ++heard) {
    EXPECT_EQ(s.said(), "");
    EXPECT_EQ(s.pass(milliseconds(4900)), "");
    EXPECT_EQ(s.pass(milliseconds(200)), greeting);
  }
  EXPECT_EQ(s.said(), "");
  EXPECT_EQ(s.pass(seconds(5)), "dial 100");
  EXPECT_EQ(s.not_taken(480), "say not-available goodbye");
  EXPECT_EQ(s.said(), "hang-up 480");
}

TEST_P(AttendantTest, WithoutOtherwiseTheCallEnds) {
  menu_.otherwise.clear();
  menu_.tries = 1;
  choice("1", "one");
  Session& s = calls();
  EXPECT_EQ(s.said(), "");
  EXPECT_EQ(s.pass(seconds(5)), "say goodbye");
  EXPECT_EQ(s.key('1'), "");
  EXPECT_EQ(s.said(), "hang-up 200");
  EXPECT_TRUE(s.machine().next_timeout().is_never());
}

TEST_P(AttendantTest, WhoIsNotReachedIsTriedAgain) {
  choice("1", "one");
  Session& s = calls();
  for (const auto& [status, why] :
       {std::pair{486, "line-busy"}, std::pair{480, "not-available"}, std::pair{404, "number-unknown"},
        std::pair{403, "not-permitted"}, std::pair{503, "lines-full"}, std::pair{500, "call-failed"}}) {
    EXPECT_EQ(s.key('1'), "silence; dial one");
    EXPECT_EQ(s.key('1'), "");  // while it rings
    EXPECT_EQ(s.not_taken(status), "say " + std::string(why) + " welcome sounds:office/hours.wav");
  }
  // That took none of the caller's tries.
  EXPECT_EQ(s.key('9'), "silence; say invalid welcome sounds:office/hours.wav");
}

TEST_P(AttendantTest, NobodyDialsForEver) {
  choice("1", "one");
  Session& s = calls();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(s.key('1'), "silence; dial one");
    s.not_taken(486);
  }
  EXPECT_EQ(s.key('1'), "silence; say too-many-tries goodbye");
  EXPECT_EQ(s.said(), "hang-up 480");
}

TEST_P(AttendantTest, AnEmptyTargetIsTheGreetingAgain) {
  choice("9", "");
  Session& s = calls();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(s.key('9'), std::string("silence; ") + greeting);
}

TEST_P(AttendantTest, AnAnnouncementIsHeardOnce) {
  Session& s = calls();
  EXPECT_EQ(s.keys("1#*A"), "");
  EXPECT_EQ(s.said(), "dial 100");
  menu_.otherwise.clear();
  calls();
  EXPECT_EQ(session_->said(), "hang-up 200");
}

TEST_P(AttendantTest, WithoutAGreetingCallersAreThanked) {
  menu_.greeting.clear();
  Session s(attendant(menu_, choices_));
  EXPECT_EQ(s.start(), "say welcome");
}

TEST_P(AttendantTest, LettersAreNoKeys) {
  choice("1", "one");
  EXPECT_EQ(calls().keys("ABCD"), "");
  EXPECT_EQ(session_->key('1'), "silence; dial one");
}

TEST_P(AttendantTest, HalfAnHourIsEnough) {
  choice("9", "");
  Session& s = calls();
  for (int i = 0; i < 29; ++i) {
    EXPECT_EQ(s.key('9'), std::string("silence; ") + greeting);
    EXPECT_EQ(s.pass(minutes(1)), "");
  }
  EXPECT_EQ(s.pass(minutes(1)), "say goodbye");
  EXPECT_EQ(s.pass(minutes(1)), "hang-up 200");
}

}  // namespace
}  // namespace tandem::service
