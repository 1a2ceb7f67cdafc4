// Callers and the services of ours: menus, mailboxes, conferences.
#include "port/message_plan.h"
#include "unit/call/services.h"
#include "unit/call/transfers.h"

namespace tandem::call::test {
namespace {

struct Services : ::testing::Test {
  ServiceSwitch sw;
  Caller a{sw, "1001", "198.51.100.1:5060"};
  Caller b{sw, "1002", "198.51.100.2:5060"};
  Caller c{sw, "1003", "198.51.100.3:5060"};

  std::vector<media::Occupant> roster(const std::string& room) {
    media::RoomConfig config;
    config.name = room + "@" + domain;
    const auto id = sw.engine->room(config);
    return id.ok() ? sw.engine->roster(*id) : std::vector<media::Occupant>{};
  }
  std::string state(const Phone& p) {
    for (const CallInfo& call : sw.calls->list())
      for (const LegInfo& leg : call.legs)
        if (leg.party == p.user + "@" + domain) return leg.state;
    return "";
  }
  void unregister(const Phone& p) { sw.bindings.erase(p.user); }
  /// The greeting is over, the tone too.
  void until_recorded() {
    for (int i = 0; i < 500 && sw.recorder.recordings.empty(); ++i) sw.advance(milliseconds(20));
    ASSERT_FALSE(sw.recorder.recordings.empty());
  }
};

// ---- menus

TEST_F(Services, AKeyOfTheMenuRingsItsTarget) {
  a.dials("600");
  EXPECT_EQ(state(a), "menu");
  a.press("1");
  b.expect("INVITE");
  b.ring();
  EXPECT_TRUE(a.quiet());
  b.answer();
  b.expect("ACK");
  EXPECT_EQ(state(a), "connected");
  ASSERT_EQ(sw.cdrs.size(), 1u);  // with the menu
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "600");
  EXPECT_EQ(sw.cdrs[0].sip_status, 200);
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[1].callee.party.user, "1002");
  EXPECT_EQ(sw.cdrs[1].dialled, "1002");
  sw.expect_empty();
}

TEST_F(Services, WhoIsNotTakenIsBackInTheMenu) {
  a.dials("600");
  a.press("1");
  b.expect("INVITE");
  b.reply(b.invite_text, 500);
  b.expect("ACK");
  EXPECT_EQ(state(a), "menu");
  a.press("1");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Services, WhoSaysNothingGoesToTheOperator) {
  a.dials("600");
  sw.advance_until_sent(c.addr, seconds(60));
  c.expect("INVITE");
  c.answer();
  c.expect("ACK");
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Services, MenusLeadToMenus) {
  a.dials("600");
  a.press("3");
  EXPECT_EQ(state(a), "menu");
  ASSERT_EQ(sw.cdrs.size(), 1u);
  a.leaves();
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[1].dialled, "601");
  sw.expect_empty();
}

TEST_F(Services, HangingUpWhileTheTargetRings) {
  a.dials("600");
  a.press("1");
  b.expect("INVITE");
  b.ring();
  a.leaves();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  sw.expect_empty();
}

TEST_F(Services, AMenuSurvivesARestart) {
  a.dials("600");
  sw.advance(milliseconds(40));
  sw.reboot();
  EXPECT_EQ(state(a), "menu");
  sw.advance_until_sent(c.addr, seconds(60));
  c.expect("INVITE");
  sw.reboot();
  c.answer();
  c.expect("ACK");
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Services, ACallIsTransferredToTheMenu) {
  connect(a, b);
  refer(b, "600");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(state(a), "menu");
  a.leaves();
  sw.expect_empty();
}

// ---- voicemail

TEST_F(Services, WhatIsNotAnsweredGoesToTheMailbox) {
  unregister(b);
  a.dials("1002");
  EXPECT_EQ(state(a), "voicemail");
  until_recorded();
  a.speak(seconds(4));
  EXPECT_EQ(sw.recorder.recordings.size(), 1u);
  EXPECT_EQ(sw.recorder.recordings[1].order.file.name.find("example.org/1002/"), 0u);
  a.leaves();
  ASSERT_EQ(sw.mail.left.size(), 1u);
  const port::Voicemail& message = sw.mail.left[0].message;
  EXPECT_EQ(message.mailbox, (port::AddressOfRecord{"1002", domain}));
  EXPECT_EQ(message.from, "1001");
  EXPECT_GT(sw.mail.left[0].recording.at, 3 * port::sound_rate);
  EXPECT_LE(sw.mail.left[0].recording.at, 5 * port::sound_rate);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 200);
  sw.expect_empty();
}

TEST_F(Services, AMessageIsRecordedWithWhereItGoes) {
  unregister(b);
  a.dials("1002");
  until_recorded();
  const auto plan = port::message_plan(sw.recorder.recordings[1].order.fields);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->message.mailbox, (port::AddressOfRecord{"1002", domain}));
  EXPECT_EQ(plan->message.from, "1001");
  EXPECT_GT(plan->message.received.ns, 0);
  EXPECT_EQ(plan->shortest, seconds(2));
  a.leaves();
  sw.expect_empty();
}

TEST_F(Services, TheMailboxTakesBusyAndSilence) {
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  a.hears(a.expect(200));
  a.ack();
  EXPECT_EQ(state(a), "voicemail");
  a.leaves();
  c.call("1002");
  b.expect("INVITE");
  b.ring();
  c.expect(180);
  sw.advance_until_sent(b.addr, seconds(62));
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  c.expect(200);
  c.ack();
  EXPECT_EQ(state(c), "voicemail");
  c.leaves();
  sw.expect_empty();
}

TEST_F(Services, WhatEndsForAnotherReasonIsNotTaken) {
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 488);
  b.expect("ACK");
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Services, WithoutAMailboxNobodyAnswers) {
  unregister(c);
  a.call("1003");
  a.expect(480);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Services, TheKeyThatEndsTheMessageIsAnswered) {
  unregister(b);
  a.dials("1002");
  until_recorded();
  a.speak(seconds(3));
  a.press("#");
  ASSERT_EQ(sw.mail.left.size(), 1u);
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

TEST_F(Services, WhatIsTooShortIsThrownAway) {
  unregister(b);
  a.dials("1002");
  until_recorded();
  a.speak(milliseconds(300));
  a.leaves();
  EXPECT_TRUE(sw.mail.left.empty());
  ASSERT_EQ(sw.mail.closed.size(), 1u);
  EXPECT_TRUE(sw.mail.closed[0].discard);
  sw.expect_empty();
}

TEST_F(Services, AMessageEndsAtItsLongest) {
  unregister(b);
  a.dials("1002");
  until_recorded();
  a.speak(seconds(181));
  EXPECT_EQ(sw.mail.left.size(), 1u);
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

TEST_F(Services, OwnMessagesAreReadWithThePin) {
  port::Voicemail message;
  message.id = 7;
  message.mailbox = {"1002", domain};
  message.from = "1001";
  message.file = "example.org/1002/one.wav";
  sw.mail.messages.push_back(message);
  auto words = std::make_shared<port::Sound>();
  words->samples.assign(port::sound_rate / 2, 500);
  sw.sounds[message.file] = words;
  b.dials("*97");
  EXPECT_EQ(state(b), "voicemail");
  b.press("4711#");
  sw.advance(seconds(1));
  b.press("1");
  sw.advance(seconds(5));
  EXPECT_TRUE(sw.mail.messages[0].heard);
  b.leaves();
  sw.expect_empty();
}

TEST_F(Services, SomebodyElsesMailboxIsNotThere) {
  a.call("*97");
  a.expect(404);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Services, ARestartWhileAMessageIsSpoken) {
  unregister(b);
  a.dials("1002");
  until_recorded();
  a.speak(seconds(2));
  sw.reboot();
  EXPECT_EQ(state(a), "voicemail");
  sw.advance(seconds(20));  // it is told that there is no message
  a.expect("BYE");
  a.ok();
  EXPECT_TRUE(sw.mail.left.empty());
  sw.expect_empty();
}

// ---- conferences

TEST_F(Services, AConference) {
  a.dials("800");
  b.dials("800");
  sw.advance(seconds(2));
  EXPECT_EQ(roster("800").size(), 2u);
  EXPECT_EQ(state(a), "conference");
  b.press("*6");
  sw.advance(seconds(1));
  size_t muted = 0;
  for (const auto& o : roster("800")) muted += o.seat.muted;
  EXPECT_EQ(muted, 1u);
  a.leaves();
  EXPECT_EQ(roster("800").size(), 1u);
  b.leaves();
  sw.expect_empty();
}

TEST_F(Services, WhoIsRecordedIsRecordedInAConferenceToo) {
  sw.subscriber("1001").recording = sw.subscriber("1003").recording = port::RecordPolicy::announced;
  c.dials("600");
  EXPECT_EQ(sw.recorder.recordings.size(), 0u) << "a menu is no conversation";
  c.leaves();
  a.dials("800");
  b.dials("800");
  sw.advance(seconds(2));
  ASSERT_EQ(sw.recorder.recordings.size(), 1u);
  EXPECT_EQ(sw.recorder.recordings[1].order.sides, 2);
  EXPECT_NEAR(sw.recorder.recordings[1].samples, 2 * port::sound_rate, port::sound_rate / 10);
  for (Caller* each : {&a, &b}) each->leaves();
  EXPECT_EQ(std::count_if(sw.cdrs.begin(), sw.cdrs.end(),
                          [](const auto& cdr) { return cdr.recordings.size() == 1; }),
            1);
  sw.expect_empty();
}

TEST_F(Services, AFullConference) {
  Caller d{sw, "1004", "198.51.100.4:5060"};
  for (Caller* each : {&a, &b, &c}) each->dials("800");
  sw.advance(seconds(2));
  d.dials("800");
  sw.advance(seconds(5));
  d.expect("BYE");
  d.ok();
  EXPECT_EQ(roster("800").size(), 3u);
  for (Caller* each : {&a, &b, &c}) each->leaves();
  sw.expect_empty();
}

TEST_F(Services, GuestsWaitForTheModeratorAndLeaveWithIt) {
  a.dials("801");
  b.dials("801");
  a.press("11#");
  sw.advance(seconds(1));
  EXPECT_EQ(roster("801").size(), 0u);
  b.press("99#");
  sw.advance(seconds(1));
  EXPECT_EQ(roster("801").size(), 2u);
  b.leaves();
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

TEST_F(Services, AWrongPinIsNoWayIn) {
  a.dials("801");
  a.press("12#");
  sw.advance(seconds(2));
  a.press("13#");
  sw.advance(seconds(2));
  a.press("14#");
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  EXPECT_EQ(roster("801").size(), 0u);
  sw.expect_empty();
}

TEST_F(Services, WhoGuessesInCallAfterCallIsRefused) {
  const auto guess = [&](Caller& who) {
    who.dials("801");
    for (int i = 0; i < 3; ++i) who.press("1234#");
    sw.advance_until_sent(who.addr, seconds(20));
    who.expect("BYE");
    who.ok();
    who = Caller(sw, who.user, who.addr.to_string(), false);
  };
  for (int i = 0; i < 3; ++i) guess(a);
  a.call("801");
  a.expect(403);
  a.ack_failure();
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  b.dials("801");  // another's tries are its own
  b.leaves();
  a = Caller(sw, "1001", "198.51.100.1:5060", false);
  a.dials("800");  // and other doors are open
  a.leaves();
  sw.advance(minutes(11));
  a = Caller(sw, "1001", "198.51.100.1:5060", false);
  a.dials("801");
  a.leaves();
  sw.expect_empty();
}

TEST_F(Services, WrongPinsCountThoughTheCallerHangsUpFirst) {
  for (const char* keys : {"1234#1235#", "1236#1237#", "1238#1239#", "1240#1241#", "1242#"}) {
    a.dials("801");
    a.press(keys);
    a.leaves();
    a = Caller(sw, "1001", "198.51.100.1:5060", false);
  }
  a.call("801");
  a.expect(403);
  a.ack_failure();
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  sw.expect_empty();
}

TEST_F(Services, WrongPinsOfAMailboxCountToo) {
  for (const char* keys : {"1234#1235#", "1236#1237#", "1238#1239#", "1240#1241#", "1242#"}) {
    b.dials("*97");
    b.press(keys);
    b.leaves();
    b = Caller(sw, "1002", "198.51.100.2:5060", false);
  }
  b.call("*97");
  b.expect(403);
  b.ack_failure();
  sw.expect_empty();
}

TEST_F(Services, RightPinsAreNoTries) {
  for (int i = 0; i < 12; ++i) {
    a.dials("801");
    a.press(i % 4 ? "11#" : "1234#11#");  // three are mistyped first
    a.leaves();
    a = Caller(sw, "1001", "198.51.100.1:5060", false);
  }
  EXPECT_EQ(sw.counters.total("call_refused_total"), 0u);
  sw.expect_empty();
}

TEST_F(Services, ManyCallsAtTheDoorHaveNoMoreTriesThanOne) {
  std::deque<Caller> many;
  for (const char* port : {"5071", "5072", "5073", "5074"})
    many.emplace_back(sw, "1001", std::string("198.51.100.1:") + port, false).dials("801");
  for (size_t i = 0; i < 3; ++i) {
    many[i].press("12#13#14#");
    sw.advance_until_sent(many[i].addr, seconds(20));
    many[i].expect("BYE");
    many[i].ok();
  }
  EXPECT_TRUE(many[3].quiet());
  many[3].press("1");  // of the right one
  many[3].expect("BYE");
  many[3].ok();
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  sw.expect_empty();
}

TEST_F(Services, FromTheMenuIntoTheConference) {
  b.dials("800");
  a.dials("600");
  a.press("2");
  sw.advance(seconds(2));
  EXPECT_EQ(state(a), "conference");
  EXPECT_EQ(roster("800").size(), 2u);
  a.leaves();
  b.leaves();
  sw.expect_empty();
}

TEST_F(Services, AConferenceSurvivesARestart) {
  a.dials("800");
  b.dials("800");
  sw.advance(seconds(2));
  sw.reboot();
  EXPECT_EQ(roster("800").size(), 2u);
  c.dials("800");
  sw.advance(seconds(2));
  EXPECT_EQ(roster("800").size(), 3u);
  for (Caller* each : {&a, &b, &c}) each->leaves();
  sw.expect_empty();
}

TEST_F(Services, AnAttendedTransferIntoTheConference) {
  Caller b2{sw, "1002", "198.51.100.2:5070", false};
  c.dials("800");
  connect(a, b);
  b2.dials("800");
  sw.advance(seconds(2));
  EXPECT_EQ(roster("800").size(), 2u);
  transfer(b, b2, "800");
  sw.advance(seconds(1));
  EXPECT_EQ(roster("800").size(), 2u);
  EXPECT_EQ(state(a), "conference");
  a.leaves();
  c.leaves();
  sw.expect_empty();
}

// ---- callers who make no offer: ours is in the 200, their answer in the ACK

TEST_F(Services, WhoOffersLateHearsTheGreetingAndIsRecorded) {
  unregister(b);
  const SocketAddress ear = *SocketAddress::parse(a.media);
  a.invite("1002", "");
  a.hears(a.expect(200));
  sw.advance(milliseconds(300));
  EXPECT_EQ(state(a), "voicemail");
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(sw.recorder.recordings.empty());
  EXPECT_EQ(sw.media_sent[ear], 0);
  a.ack(sdp(a.media));
  sw.advance(milliseconds(80));
  EXPECT_GT(sw.media_sent[ear], 0) << "the greeting";
  EXPECT_TRUE(sw.recorder.recordings.empty());
  until_recorded();
  a.speak(seconds(4));
  a.leaves();
  ASSERT_EQ(sw.mail.left.size(), 1u);
  EXPECT_GT(sw.mail.left[0].recording.at, 3 * port::sound_rate);
  sw.expect_empty();
}

TEST_F(Services, ARestartBeforeTheLateAnswer) {
  unregister(b);
  a.invite("1002", "");
  a.hears(a.expect(200));
  sw.reboot();
  EXPECT_EQ(state(a), "voicemail");
  a.ack(sdp(a.media));
  until_recorded();
  a.speak(seconds(4));
  a.leaves();
  EXPECT_EQ(sw.mail.left.size(), 1u);
  sw.expect_empty();
}

TEST_F(Services, WhoOffersLateEntersAConference) {
  a.invite("800", "");
  a.hears(a.expect(200));
  a.ack(sdp(a.media));
  b.dials("800");
  sw.advance(seconds(2));
  EXPECT_TRUE(a.quiet());
  EXPECT_EQ(state(a), "conference");
  EXPECT_EQ(roster("800").size(), 2u);
  a.leaves();
  b.leaves();
  sw.expect_empty();
}

TEST_F(Services, WhoseLateAnswerIsUnusableIsHungUp) {
  a.invite("600", "");
  a.expect(200);
  a.ack("no description");
  a.expect("BYE");
  a.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Services, WhoNeverAnswersOurOfferIsHungUp) {
  a.invite("600", "");
  a.expect(200);
  a.ack();
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

// ---- two workers

TEST(ServicesOfTwoWorkers, ACallerMovesToTheWorkerOfTheConference) {
  CallConfig config;
  config.workers = 2;
  config.worker = 0;
  const auto lines = std::make_shared<Lines>();
  const auto ports = std::make_shared<media::FakePorts>();
  ServiceSwitch one(config, service_rows(), lines, 11, ports);
  config.worker = 1;
  ServiceSwitch two(config, service_rows(), lines, 12, ports);
  const bool second = sip::worker_of_shard(sip::shard_of("800@" + domain), 2) == 1;
  ServiceSwitch& from = second ? one : two;
  ServiceSwitch& to = second ? two : one;
  Caller a(from, "1001", "198.51.100.1:5060");
  a.call("800");
  ASSERT_EQ(from.moves.size(), 1u);
  EXPECT_EQ(from.moves[0].to_worker, to.config.worker);
  EXPECT_EQ(from.calls->call_count(), 0u);
  ASSERT_TRUE(to.calls->restore(to.now, from.moves[0].part, from.moves[0].then, to.out));
  to.pump();
  a.sw = &to;
  a.hears(a.expect(200));
  a.ack();
  to.advance(seconds(2));
  ASSERT_EQ(to.calls->list().size(), 1u);
  EXPECT_EQ(to.calls->list()[0].legs.at(0).state, "conference");
  a.leaves();
  to.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
