// Reading a mailbox.
#include <gtest/gtest.h>

#include "session.h"

namespace tandem::service {
namespace {

constexpr const char* main_end =
    " choice-greeting press digit-3 choice-pin press digit-4 choice-exit press pound";
constexpr const char* greeting_menu =
    "choice-hear-greeting press digit-1 choice-record-greeting press digit-2 choice-default-greeting press "
    "digit-3 choice-back press pound";

class ReadMessages : public testing::TestWithParam<bool> {
 protected:
  ReadMessages() {
    mailbox_.domain = "example.com";
    mailbox_.user = "101";
  }
  void holds(uint64_t id, bool heard, std::string from, Duration ago = minutes(5)) {
    port::Voicemail m;
    m.id = id;
    m.from = std::move(from);
    m.received = Session::began + -ago;
    m.file = std::to_string(id) + ".wav";
    m.heard = heard;
    answer_.messages.push_back(m);
  }
  Session& calls(bool own = true) {
    return session_.emplace(read_messages(mailbox_, own, hours(9)), GetParam());
  }
  /// To the end of the main menu, from an own telephone without a PIN.
  Session& listens() {
    EXPECT_EQ(calls().start(), "ask voicemails 101@example.com");
    EXPECT_NE(session_->answer(answer_), "");
    EXPECT_EQ(session_->said(), "");
    return *session_;
  }
  /// With three new ones, to the main menu.
  Session& has_three() {
    holds(1, false, "201");
    holds(2, false, "");
    holds(3, false, "203");
    return listens();
  }
  static std::string envelope(int index, int id, const std::string& from) {
    return "message number-" + std::to_string(index) + " received today at number-11 pm " + from +
           " voicemail:" + std::to_string(id) + ".wav";
  }
  static constexpr const char* from_201 = "from digit-2 digit-0 digit-1";
  static constexpr const char* from_203 = "from digit-2 digit-0 digit-3";
  static std::string main_menu(const std::string& count, bool fresh, bool old) {
    return count + (fresh ? " choice-new press digit-1" : "") + (old ? " choice-old press digit-2" : "") +
           main_end;
  }
  static std::string choices(bool next, bool previous, bool from) {
    return std::string(
               "choice-play-again press digit-1 choice-keep press digit-2 choice-delete press digit-3 ") +
           (next ? "choice-next press digit-6 " : "") + (previous ? "choice-previous press digit-4 " : "") +
           (from ? "choice-call-back press digit-0 " : "") + "choice-back press pound";
  }

  port::MailboxRow mailbox_;
  port::VoicemailsAnswer answer_;
  std::optional<Session> session_;
};
INSTANTIATE_TEST_SUITE_P(, ReadMessages, testing::Bool(),
                         [](const auto& i) { return i.param ? "Restored" : "Straight"; });

TEST_P(ReadMessages, WithoutAPinOnlyItsOwnTelephonesReadIt) {
  EXPECT_EQ(calls(false).start(), "say not-permitted");
  EXPECT_EQ(session_->said(), "hang-up 403");
  EXPECT_EQ(calls(true).start(), "ask voicemails 101@example.com");
}

TEST_P(ReadMessages, ThePinIsAskedOfEverybody) {
  mailbox_.pin = "4711";
  for (const bool own : {false, true}) {
    EXPECT_EQ(calls(own).start(), "say enter-pin");
    EXPECT_EQ(session_->keys("4711#"), "silence; ask voicemails 101@example.com");
    EXPECT_EQ(session_->answer(answer_), "say " + main_menu("no-messages", false, false));
  }
}

TEST_P(ReadMessages, ThreeWrongPinsEndTheCall) {
  mailbox_.pin = "4711";
  calls(false).start();
  EXPECT_EQ(session_->keys("471#"), "silence; wrong-pin; say invalid-pin enter-pin");
  EXPECT_EQ(session_->keys("47111#"), "silence; wrong-pin; say invalid-pin enter-pin");
  EXPECT_EQ(session_->keys("4712#"), "silence; wrong-pin; say invalid-pin too-many-tries goodbye");
  EXPECT_EQ(session_->keys("4711#"), "");
  EXPECT_EQ(session_->said(), "hang-up 401");
}

TEST_P(ReadMessages, ASilentCallerIsAskedThreeTimesForThePin) {
  mailbox_.pin = "4711";
  calls(false).start();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(session_->said(), "");
    EXPECT_EQ(session_->pass(seconds(10)), "say nothing-entered enter-pin");
  }
  EXPECT_EQ(session_->said(), "");
  EXPECT_EQ(session_->pass(seconds(10)), "say nothing-entered too-many-tries goodbye");
}

TEST_P(ReadMessages, TheMainMenuCountsThem) {
  holds(1, false, "201");
  holds(2, true, "202");
  holds(3, false, "203");
  calls().start();
  EXPECT_EQ(session_->answer(answer_),
            "say " + main_menu("you-have number-2 new-messages and number-1 old-message", true, true));
}

TEST_P(ReadMessages, AStoreThatIsAwayIsTold) {
  calls().start();
  EXPECT_EQ(session_->answer(port::AskFailure::unavailable), "say not-now");
  EXPECT_EQ(session_->said(), "hang-up 503");
}

TEST_P(ReadMessages, WhatWasHeardToItsEndIsOld) {
  Session& s = has_three();
  EXPECT_EQ(s.key('1'), "say " + envelope(1, 1, from_201));
  EXPECT_EQ(s.said(), "ask mark 1 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say " + choices(true, false, true));
  EXPECT_EQ(s.key('#'), "silence; say " +
                            main_menu("you-have number-2 new-messages and number-1 old-message", true, true));
  EXPECT_EQ(s.key('2'), "silence; say " + envelope(1, 1, from_201));
  EXPECT_EQ(s.said(), "say " + choices(false, false, true));  // no need to mark it again
}

TEST_P(ReadMessages, WhatWasSkippedStaysNew) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.key('6'), "silence; say " + envelope(2, 2, "unknown-caller"));
  EXPECT_EQ(s.key('6'), "silence; say " + envelope(3, 3, from_203));
  EXPECT_EQ(s.key('6'),
            "silence; say no-more-messages " + main_menu("you-have number-3 new-messages", true, false));
}

TEST_P(ReadMessages, AgainAndBack) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.key('1'), "silence; say " + envelope(1, 1, from_201));
  EXPECT_EQ(s.key('4'), "silence; say first-message " + envelope(1, 1, from_201));
  s.key('6');
  EXPECT_EQ(s.key('4'), "silence; say " + envelope(1, 1, from_201));
  EXPECT_EQ(s.key('9'), "silence; say invalid " + choices(true, false, true));
}

TEST_P(ReadMessages, DeletingGoesOnToTheNext) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.key('3'), "silence; ask remove 1 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say message-deleted " + envelope(2, 2, "unknown-caller"));
  EXPECT_EQ(s.key('4'), "silence; say first-message " + envelope(2, 2, "unknown-caller"));
  EXPECT_EQ(s.key('7'), "silence; ask remove 2 of 101@example.com");
  EXPECT_EQ(s.answer(port::NotFound{}),
            "say message-deleted " + envelope(3, 3, from_203));  // by another telephone
  s.key('3');
  EXPECT_EQ(s.answer(port::Stored{}),
            "say message-deleted no-more-messages " + main_menu("no-messages", false, false));
  EXPECT_EQ(s.key('1'), "silence; say no-more-messages " + main_menu("no-messages", false, false));
}

TEST_P(ReadMessages, WhatWasDeletedIsPassedOverBothWays) {
  Session& s = has_three();
  s.keys("163");
  EXPECT_EQ(s.answer(port::Stored{}), "say message-deleted " + envelope(3, 3, from_203));
  EXPECT_EQ(s.key('4'), "silence; say " + envelope(1, 1, from_201));
  EXPECT_EQ(s.key('6'), "silence; say " + envelope(3, 3, from_203));
}

TEST_P(ReadMessages, WhatCouldNotBeDeletedIsStillThere) {
  Session& s = has_three();
  s.key('1');
  s.key('3');
  EXPECT_EQ(s.answer(port::AskFailure::unavailable), "say not-now " + choices(true, false, true));
  EXPECT_EQ(s.key('1'), "silence; say " + envelope(1, 1, from_201));
  s.key('2');
  EXPECT_EQ(s.pass(seconds(30)), "say not-now " + choices(true, false, true));
}

TEST_P(ReadMessages, KeepingGoesOnToTheNext) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.key('2'), "silence; ask mark 1 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say message-kept " + envelope(2, 2, "unknown-caller"));
}

TEST_P(ReadMessages, KeysAheadOfAnAnswerWait) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.keys("336"), "silence; ask remove 1 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say message-deleted " + envelope(2, 2, "unknown-caller") +
                                          "; silence; ask remove 2 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say message-deleted " + envelope(3, 3, from_203) +
                                          "; silence; say no-more-messages " +
                                          main_menu("you-have number-1 new-message", true, false));
}

TEST_P(ReadMessages, CallsBackWithTheCallersRights) {
  Session& s = has_three();
  s.key('1');
  EXPECT_EQ(s.key('0'), "silence; dial 201 as caller");
  EXPECT_EQ(s.not_taken(486), "say line-busy " + choices(true, false, true));
  s.key('6');
  EXPECT_EQ(s.key('0'), "silence; say invalid " + choices(true, true, false));  // withheld
}

TEST_P(ReadMessages, ASilentCallerIsAskedAgainAndLetGo) {
  Session& s = has_three();
  const std::string menu = "say " + main_menu("you-have number-3 new-messages", true, false);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(s.pass(seconds(8)), menu);
    EXPECT_EQ(s.said(), "");
  }
  EXPECT_EQ(s.pass(seconds(8)), "say goodbye");
  EXPECT_EQ(s.said(), "hang-up 200");
}

TEST_P(ReadMessages, TheGreetingIsHeard) {
  Session& s = listens();
  EXPECT_EQ(s.key('3'), std::string("say ") + greeting_menu);
  EXPECT_EQ(s.key('1'), "silence; ask sound example.com/101/greeting.wav");
  EXPECT_EQ(s.answer(port::SoundResult(std::make_shared<port::Sound>())),
            std::string("say your-greeting voicemail:example.com/101/greeting.wav ") + greeting_menu);
  s.key('1');
  EXPECT_EQ(
      s.answer(port::SoundResult(Failure{port::SoundFailure::not_found})),
      std::string("say your-greeting extension digit-1 digit-0 digit-1 is-not-available leave-message ") +
          greeting_menu);
}

TEST_P(ReadMessages, TheGreetingIsRecorded) {
  Session& s = listens();
  s.key('3');
  EXPECT_EQ(s.key('2'), "silence; say record-greeting BEEP");
  EXPECT_EQ(s.key('5'), "");
  EXPECT_EQ(s.said(), "record example.com/101/greeting 120s");
  EXPECT_EQ(s.keys("5##"), "stop-record");
  EXPECT_EQ(s.recorded(Recorded::kept), std::string("say greeting-saved ") + greeting_menu);
  EXPECT_EQ(s.keys("2#"), "silence; say record-greeting BEEP; say BEEP");
  s.said();
  EXPECT_EQ(s.recorded(Recorded::too_short), std::string("say message-too-short ") + greeting_menu);
  EXPECT_EQ(s.keys("2*"), std::string("silence; say record-greeting BEEP; say ") + greeting_menu);
  s.key('2');
  s.said();
  EXPECT_EQ(s.recorded(Recorded::failed), std::string("say not-now ") + greeting_menu);
}

TEST_P(ReadMessages, TheStandardGreetingComesBack) {
  Session& s = listens();
  s.key('3');
  for (const port::Answer& answer : {port::Answer(port::Stored{}), port::Answer(port::NotFound{})}) {
    EXPECT_EQ(s.key('3'), "silence; ask remove example.com/101/greeting.wav");
    EXPECT_EQ(s.answer(answer), std::string("say greeting-standard ") + greeting_menu);
  }
  s.key('3');
  EXPECT_EQ(s.answer(port::AskFailure::unavailable), std::string("say not-now ") + greeting_menu);
  EXPECT_EQ(s.key('#'), "silence; say " + main_menu("no-messages", false, false));
}

TEST_P(ReadMessages, ThePinIsChanged) {
  Session& s = listens();
  EXPECT_EQ(s.key('4'), "say enter-new-pin");
  EXPECT_EQ(s.keys("13579#"), "silence; say enter-new-pin-again");
  EXPECT_EQ(s.keys("13579#"), "silence; ask pin 13579 of 101@example.com");
  EXPECT_EQ(s.answer(port::Stored{}), "say pin-changed " + main_menu("no-messages", false, false));
  s.keys("413579#13579#");
  EXPECT_EQ(s.answer(port::NotFound{}), "say not-now " + main_menu("no-messages", false, false));
}

TEST_P(ReadMessages, ANewPinHasFourToTwelveDigitsTwice) {
  Session& s = listens();
  const std::string menu = main_menu("no-messages", false, false);
  EXPECT_EQ(s.keys("4123#"), "say enter-new-pin; silence; say pin-too-short enter-new-pin");
  EXPECT_EQ(s.keys("1234567890123#"), "silence; say invalid enter-new-pin");
  EXPECT_EQ(s.keys("1234#1235#"), "silence; say enter-new-pin-again; silence; say pins-differ " + menu);
  EXPECT_EQ(s.keys("4#"), "silence; say enter-new-pin; silence; say " + menu);  // thought better of
}

TEST_P(ReadMessages, SpeaksTheMailboxsLanguage) {
  mailbox_.language = "ko";
  holds(1, false, "201");
  Session& s = listens();
  EXPECT_EQ(s.key('1'),
            "say message number-1 today pm hour-11 received from digit-2 digit-0 digit-1 voicemail:1.wav");
}

TEST_P(ReadMessages, NoMoreAreShownThanTheMailboxMayHold) {
  mailbox_.max_messages = 2;
  holds(1, false, "201");
  holds(2, false, "201");
  holds(3, false, "201");
  calls().start();
  EXPECT_EQ(session_->answer(answer_), "say " + main_menu("you-have number-2 new-messages", true, false));
}

TEST_P(ReadMessages, HalfAnHourAndTheLongestMessageAreEnough) {
  Session& s = has_three();
  for (int i = 0; i < 32; ++i) {
    EXPECT_NE(s.key('9'), "");
    EXPECT_EQ(s.pass(minutes(1)), "");
  }
  s.key('9');
  EXPECT_EQ(s.pass(minutes(1)), "say goodbye");
}

}  // namespace
}  // namespace tandem::service
