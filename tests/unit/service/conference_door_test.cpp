// The door of a conference, and the keys in it.
#include <gtest/gtest.h>

#include "session.h"

namespace tandem::service {
namespace {

class DoorTest : public testing::TestWithParam<bool> {
 protected:
  DoorTest() {
    row_.domain = "example.com";
    row_.name = "3000";
  }
  Session& calls() { return session_.emplace(conference_door(row_), GetParam()); }
  /// As a participant who finds two others there.
  Session& enters() {
    calls();
    EXPECT_EQ(session_->start(), "enter 3000@example.com");
    EXPECT_EQ(session_->room(RoomEvent::entered, 2), "say there-are number-3 participants");
    return *session_;
  }
  Session& enters_as_moderator() {
    row_.moderator_pin = "9999";
    calls();
    EXPECT_EQ(session_->start(), "say enter-moderator-pin");
    EXPECT_EQ(session_->keys("9999#"), "silence; enter 3000@example.com as moderator");
    session_->room(RoomEvent::entered, 0);
    return *session_;
  }
  port::ConferenceRow row_;
  std::optional<Session> session_;
};
INSTANTIATE_TEST_SUITE_P(, DoorTest, testing::Bool(),
                         [](const auto& i) { return i.param ? "Restored" : "Straight"; });

TEST_P(DoorTest, IsOpenWithoutPins) {
  Session& s = enters();
  EXPECT_EQ(s.said(), "");
  EXPECT_EQ(s.pass(hours(20)), "");
  EXPECT_EQ(s.machine().kind(), "conference");
}

TEST_P(DoorTest, TheFirstOneIsTold) {
  EXPECT_EQ(calls().start(), "enter 3000@example.com");
  EXPECT_EQ(session_->room(RoomEvent::entered, 0), "say conference-only");
}

TEST_P(DoorTest, APinLetsIn) {
  row_.pin = "1234";
  EXPECT_EQ(calls().start(), "say enter-pin");
  EXPECT_EQ(session_->keys("1234"), "silence");
  EXPECT_EQ(session_->key('#'), "enter 3000@example.com");
}

TEST_P(DoorTest, APauseEndsThePinAndStarBeginsItAgain) {
  row_.pin = "1234";
  EXPECT_EQ(calls().start(), "say enter-pin");
  EXPECT_EQ(session_->said(), "");
  EXPECT_EQ(session_->keys("99*1234"), "");
  EXPECT_EQ(session_->pass(milliseconds(4900)), "");
  EXPECT_EQ(session_->pass(milliseconds(200)), "enter 3000@example.com");
}

TEST_P(DoorTest, TheModeratorsPinMakesAModerator) {
  row_.pin = "1234";
  row_.moderator_pin = "999999";
  row_.muted = true;
  calls().start();
  EXPECT_EQ(session_->keys("999999#"), "silence; enter 3000@example.com as moderator");
  calls().start();
  EXPECT_EQ(session_->keys("1234#"), "silence; enter 3000@example.com muted");
}

TEST_P(DoorTest, ThreeWrongPinsEndTheCall) {
  row_.pin = "1234";
  calls().start();
  EXPECT_EQ(session_->keys("1235#"), "silence; wrong-pin; say invalid-pin enter-pin");
  EXPECT_EQ(session_->keys("12345#"), "silence; wrong-pin; say invalid-pin enter-pin");
  EXPECT_EQ(session_->said(), "");
  EXPECT_EQ(session_->pass(seconds(10)), "say nothing-entered too-many-tries goodbye");
  EXPECT_EQ(session_->keys("1234#"), "");
  EXPECT_EQ(session_->said(), "hang-up 401");
}

TEST_P(DoorTest, MoreDigitsThanAPinHasAreNoPin) {
  row_.pin = "123456789012";
  calls().start();
  EXPECT_EQ(session_->keys("1234567890120000000000#"), "silence; wrong-pin; say invalid-pin enter-pin");
  EXPECT_EQ(session_->keys("123456789012#"), "silence; enter 3000@example.com");
}

TEST_P(DoorTest, WithoutParticipantsPinNothingIsAParticipant) {
  row_.moderator_pin = "9999";
  calls().start();
  EXPECT_EQ(session_->key('#'), "silence; enter 3000@example.com");
  calls().start();
  session_->said();
  EXPECT_EQ(session_->pass(seconds(10)), "enter 3000@example.com");
  calls().start();
  EXPECT_EQ(session_->keys("1111#"), "silence; wrong-pin; say invalid-pin enter-moderator-pin");
}

TEST_P(DoorTest, WaitsForAModerator) {
  EXPECT_EQ(calls().start(), "enter 3000@example.com");
  EXPECT_EQ(session_->room(RoomEvent::waiting), "say conference-wait");
  EXPECT_EQ(session_->said(), "");
  EXPECT_EQ(session_->keys("*6"), "");
  EXPECT_EQ(session_->pass(hours(2)), "");
  EXPECT_EQ(session_->room(RoomEvent::entered, 1), "say there-are number-2 participants");
}

TEST_P(DoorTest, FullOrLockedIsTold) {
  calls().start();
  EXPECT_EQ(session_->room(RoomEvent::full), "say conference-full");
  EXPECT_EQ(session_->said(), "hang-up 486");
  calls().start();
  EXPECT_EQ(session_->room(RoomEvent::locked), "say conference-locked");
  EXPECT_EQ(session_->said(), "hang-up 403");
}

TEST_P(DoorTest, AConferenceThatDoesNotAnswer) {
  calls().start();
  EXPECT_EQ(session_->pass(seconds(30)), "say not-now");
  EXPECT_EQ(session_->said(), "hang-up 503");
}

TEST_P(DoorTest, StarSixMutes) {
  Session& s = enters();
  EXPECT_EQ(s.key('6'), "");
  EXPECT_EQ(s.keys("*6"), "mute on; say muted");
  EXPECT_EQ(s.room(RoomEvent::muted), "");  // said already
  EXPECT_EQ(s.key('6'), "");
  EXPECT_EQ(s.keys("**6"), "mute off; say unmuted");
  EXPECT_EQ(s.key('*'), "");
  EXPECT_EQ(s.pass(seconds(3)), "");
  EXPECT_EQ(s.key('6'), "");  // too late
  EXPECT_EQ(s.keys("*16"), "");
}

TEST_P(DoorTest, WhoComesMutedIsToldAndMayUnmute) {
  row_.muted = true;
  EXPECT_EQ(calls().start(), "enter 3000@example.com muted");
  EXPECT_EQ(session_->room(RoomEvent::entered, 0), "say conference-only muted");
  EXPECT_EQ(session_->keys("*6"), "mute off; say unmuted");
}

TEST_P(DoorTest, ParticipantsHaveNoModeratorsKeys) { EXPECT_EQ(enters().keys("*5*7"), ""); }

TEST_P(DoorTest, ModeratorsLecture) {
  Session& s = enters_as_moderator();
  EXPECT_EQ(s.keys("*5"), "lecture on; say conference-lecture-on");
  EXPECT_EQ(s.room(RoomEvent::lecture_on), "");
  EXPECT_EQ(s.room(RoomEvent::lecture_off), "say conference-lecture-off");  // by another moderator
  EXPECT_EQ(s.keys("*5"), "lecture on; say conference-lecture-on");
  EXPECT_EQ(s.keys("*5"), "lecture off; say conference-lecture-off");
}

TEST_P(DoorTest, ARowsLectureIsOnFromTheBeginning) {
  row_.lecture = true;
  EXPECT_EQ(calls().start(), "enter 3000@example.com");
  EXPECT_EQ(session_->room(RoomEvent::entered, 0), "say conference-only conference-lecture-on");
  EXPECT_EQ(session_->room(RoomEvent::lecture_off), "say conference-lecture-off");
  EXPECT_EQ(enters_as_moderator().keys("*5"), "lecture off; say conference-lecture-off");
}

TEST_P(DoorTest, ModeratorsLock) {
  Session& s = enters_as_moderator();
  EXPECT_EQ(s.keys("*7"), "lock on; say conference-now-locked");
  EXPECT_EQ(s.keys("*7"), "lock off; say conference-unlocked");
}

TEST_P(DoorTest, OthersMuteAndUnmute) {
  Session& s = enters();
  EXPECT_EQ(s.room(RoomEvent::unmuted), "");
  EXPECT_EQ(s.key('*'), "");
  EXPECT_EQ(s.room(RoomEvent::muted), "say muted");
  EXPECT_EQ(s.key('6'), "");  // the command was before that
  EXPECT_EQ(s.keys("*6"), "mute off; say unmuted");
}

TEST_P(DoorTest, WhoIsRecordedIsTold) {
  EXPECT_EQ(enters().room(RoomEvent::recorded), "say recorded");
  EXPECT_EQ(calls().start(), "enter 3000@example.com");
  EXPECT_EQ(session_->room(RoomEvent::recorded), "");
  EXPECT_EQ(session_->room(RoomEvent::entered, 2), "say recorded there-are number-3 participants");
}

TEST_P(DoorTest, ItsEndIsToldAndARemovalToo) {
  EXPECT_EQ(enters().room(RoomEvent::ended), "say conference-ended");
  EXPECT_EQ(session_->room(RoomEvent::removed), "");
  EXPECT_EQ(session_->said(), "hang-up 200");
  EXPECT_EQ(enters().room(RoomEvent::removed), "say conference-removed");
  EXPECT_EQ(session_->said(), "hang-up 200");
}

TEST_P(DoorTest, ADayIsEnough) {
  EXPECT_EQ(enters().pass(hours(24)), "say goodbye");
  EXPECT_EQ(session_->said(), "hang-up 200");
}

}  // namespace
}  // namespace tandem::service
