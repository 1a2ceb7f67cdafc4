// Leaving a message: room, greeting, tone, message.
#include <gtest/gtest.h>

#include "session.h"

namespace tandem::service {
namespace {

class LeaveMessage : public testing::TestWithParam<bool> {
 protected:
  LeaveMessage() {
    mailbox_.domain = "example.com";
    mailbox_.user = "101";
    mailbox_.max_messages = 5;
  }
  /// Up to the answer about the messages there are.
  Session& calls(bool busy = false) {
    session_.emplace(leave_message(mailbox_, {{}, "030123", "Ann"}, busy, "tail"), GetParam());
    EXPECT_EQ(session_->start(), "ask waiting 101@example.com");
    return *session_;
  }
  static port::WaitingAnswer holds(uint32_t fresh, uint32_t old) { return {7, fresh, old}; }
  static port::SoundResult no_greeting() { return Failure{port::SoundFailure::not_found}; }
  /// Up to the end of the tone.
  Session& speaks() {
    Session& s = calls();
    EXPECT_EQ(s.answer(holds(0, 0)), ask_greeting);
    EXPECT_EQ(s.answer(no_greeting()), std::string("say ") + standard);
    EXPECT_EQ(s.said(), recording);
    return s;
  }
  static constexpr const char* ask_greeting = "ask sound example.com/101/greeting.wav";
  static constexpr const char* standard =
      "extension digit-1 digit-0 digit-1 is-not-available leave-message BEEP";
  static constexpr const char* recording =
      "record example.com/101/2026-11-25/140500-tail 180s from 030123 for 101@example.com, at most 5";

  port::MailboxRow mailbox_;
  std::optional<Session> session_;
};
INSTANTIATE_TEST_SUITE_P(, LeaveMessage, testing::Bool(),
                         [](const auto& i) { return i.param ? "Restored" : "Straight"; });

TEST_P(LeaveMessage, IsKeptAndTheCallEnds) {
  Session& s = speaks();
  const Record& order = std::get<Record>(s.last().at(0));
  EXPECT_EQ(order.shortest, seconds(2));
  EXPECT_EQ(order.deposit->message.from_display, "Ann");
  EXPECT_EQ(order.file.place, port::SoundPlace::voicemail);
  EXPECT_EQ(s.pass(seconds(20)), "");
  EXPECT_EQ(s.keys("1*"), "");  // part of the message
  EXPECT_EQ(s.key('#'), "stop-record");
  EXPECT_EQ(s.key('#'), "");
  EXPECT_EQ(s.recorded(Recorded::kept), "say message-saved goodbye");
  EXPECT_EQ(s.said(), "hang-up 200");
  EXPECT_EQ(s.machine().kind(), "voicemail");
}

TEST_P(LeaveMessage, TheLongestTimeEndsItToo) {
  Session& s = speaks();
  EXPECT_EQ(s.pass(seconds(180)), "");
  EXPECT_EQ(s.recorded(Recorded::kept), "say message-saved goodbye");
}

TEST_P(LeaveMessage, TheMailboxsOwnGreetingGoesBeforeTheStandardOne) {
  Session& s = calls();
  s.answer(holds(0, 0));
  EXPECT_EQ(s.answer(port::SoundResult(std::make_shared<port::Sound>())),
            "say voicemail:example.com/101/greeting.wav BEEP");
}

TEST_P(LeaveMessage, ABusyOwnerIsCalledBusy) {
  Session& s = calls(true);
  s.answer(holds(0, 0));
  EXPECT_EQ(s.answer(port::AskFailure::timed_out),
            "say extension digit-1 digit-0 digit-1 is-busy leave-message BEEP");
}

TEST_P(LeaveMessage, HashGoesToTheTone) {
  Session& s = calls();
  s.answer(holds(0, 0));
  EXPECT_EQ(s.answer(no_greeting()), std::string("say ") + standard);
  EXPECT_EQ(s.keys("19*"), "");
  EXPECT_EQ(s.key('#'), "say BEEP");
  EXPECT_EQ(s.said(), recording);
}

TEST_P(LeaveMessage, NobodySpeaksIntoAFullMailbox) {
  Session& s = calls();
  EXPECT_EQ(s.answer(holds(2, 3)), "say mailbox-full");
  EXPECT_EQ(s.said(), "hang-up 486");
  EXPECT_EQ(calls().answer(holds(2, 2)), ask_greeting);
}

TEST_P(LeaveMessage, OneThatFilledUpMeanwhileIsTold) {
  EXPECT_EQ(speaks().recorded(Recorded::full), "say mailbox-full");
  EXPECT_EQ(session_->said(), "hang-up 486");
}

TEST_P(LeaveMessage, AStoreThatIsAwayIsTold) {
  EXPECT_EQ(calls().answer(port::AskFailure::unavailable), "say mailbox-away");
  EXPECT_EQ(session_->said(), "hang-up 503");
  EXPECT_EQ(speaks().recorded(Recorded::failed), "say mailbox-away");
  EXPECT_EQ(session_->said(), "hang-up 503");
}

TEST_P(LeaveMessage, ATooShortOneIsAskedForOnceMore) {
  Session& s = speaks();
  EXPECT_EQ(s.key('#'), "stop-record");
  EXPECT_EQ(s.recorded(Recorded::too_short), "say message-too-short leave-message BEEP");
  EXPECT_EQ(s.said(), recording);
  EXPECT_EQ(s.key('#'), "stop-record");
  EXPECT_EQ(s.recorded(Recorded::too_short), "say message-too-short goodbye");
  EXPECT_EQ(s.said(), "hang-up 200");
}

TEST_P(LeaveMessage, AnAnswerThatNeverComesIsNoAnswer) {
  Session& s = calls();
  EXPECT_EQ(s.pass(seconds(30)), "say mailbox-away");
  EXPECT_EQ(s.pass(seconds(60)), "hang-up 503");
}

TEST_P(LeaveMessage, ARecordingNobodyEndsHasFailed) {
  Session& s = speaks();
  EXPECT_EQ(s.pass(seconds(239)), "");
  EXPECT_EQ(s.pass(seconds(2)), "say mailbox-away");
}

TEST_P(LeaveMessage, SpeaksTheMailboxsLanguage) {
  mailbox_.language = "ko";
  Session& s = calls();
  EXPECT_EQ(s.machine().language(), "ko");
}

}  // namespace
}  // namespace tandem::service
