// Names operators see, requests, the Outbox's numbers. The bytes of a CDR are tested with the store that
// keeps them.
#include <gtest/gtest.h>

#include "port/cdr.h"
#include "port/directory.h"
#include "port/http.h"
#include "port/outbox.h"

namespace tandem::port {
namespace {

TEST(EnumText, OneNameBothWays) {
  EXPECT_EQ(to_text(CallClass::national), "national");
  EXPECT_EQ(from_text<CallClass>("international"), CallClass::international);
  EXPECT_FALSE(from_text<CallClass>("galactic"));
  EXPECT_FALSE(from_text<CallClass>(""));
  EXPECT_EQ(to_text(static_cast<CallClass>(99)), "unknown");
  for (const Transport t : {Transport::udp, Transport::tcp, Transport::tls, Transport::ws, Transport::wss})
    EXPECT_EQ(from_text<Transport>(to_text(t)), t);
}

TEST(HttpRequest, HeadersHaveNoCase) {
  HttpRequest r;
  r.headers = {{"Content-Type", "application/json"}, {"X-A", "1"}};
  EXPECT_EQ(r.header("content-type"), "application/json");
  EXPECT_EQ(r.header("x-b"), "");
}

TEST(Outbox, NumbersGoOnAcrossBatches) {
  Outbox out;
  const AskId first = out.ask(AskDns{"example.com", 1}, Instant{5}, {Asker::Room::call, 7});
  EXPECT_EQ(out.new_asks.at(0).id, first);
  EXPECT_EQ(out.asks.at(0).deadline, Instant{5});
  out.asks.clear();
  out.new_asks.clear();
  EXPECT_EQ(out.ask(AskDns{"example.com", 1}, Instant{6}, {}), first + 1);
  const CommitId commit = out.append("record");
  EXPECT_NE(commit, 0U);  // 0 means "no need to wait"
  out.appends.clear();
  EXPECT_EQ(out.append("record"), commit + 1);
}

TEST(Outbox, EventsBelowTheLevelAreNotMade) {
  Outbox out;
  out.event(Level::debug, "call.started", 1);
  out.event(Level::warning, "call.started", 1);
  EXPECT_EQ(out.events.size(), 1U);
  out.event_level = Level::debug;
  out.event(Level::debug, "call.started", 1);
  EXPECT_EQ(out.events.size(), 2U);
}

TEST(Cdr, TalkTimeNeedsAnAnswer) {
  Cdr cdr;
  cdr.setup = {1};
  cdr.end = {10'000'000'000};
  EXPECT_EQ(cdr.talk_time(), Duration(0));
  cdr.answer = {4'000'000'000};
  EXPECT_EQ(cdr.talk_time(), Duration(seconds(6)));
  cdr.end = {3'000'000'000};  // the wall clock was set back
  EXPECT_EQ(cdr.talk_time(), Duration(0));
}

TEST(AddressOfRecord, IsUserAtDomain) {
  EXPECT_EQ((AddressOfRecord{"1001", "example.com"}).to_string(), "1001@example.com");
}

TEST(TrunkRow, CodecsAreNamesThatExist) {
  TrunkRow row;
  row.name = "carrier";
  row.domain = "example.com";
  row.host = "192.0.2.9";
  row.codecs = {"PCMA", "g722/8000", "opus/48000/2"};
  EXPECT_EQ(problem_with(PlanRow(row)), "");
  for (const char* wrong : {"PCMX", "PCMA/", "PCMA/0", "PCMA/fast", "opus/48000/0", "opus/48000/2/1",
                            "telephone-event", "PCMA 8000"}) {
    row.codecs = {"PCMA", wrong};
    EXPECT_NE(problem_with(PlanRow(row)).find(wrong), std::string::npos) << wrong;
  }
  const auto opus = CodecName::parse("opus/48000/2");
  ASSERT_TRUE(opus.has_value());
  EXPECT_EQ(opus->encoding, "opus");
  EXPECT_EQ(opus->clock_rate, 48000u);
  EXPECT_EQ(opus->channels, 2);
}

/// The row is right, and `break_it` makes it wrong.
template <class Row, class F>
void expect_problem(Row row, F break_it, const char* about) {
  EXPECT_EQ(problem_with(PlanRow(row)), "");
  break_it(row);
  EXPECT_NE(problem_with(PlanRow(row)).find(about), std::string::npos)
      << about << ": " << problem_with(PlanRow(row));
}

TEST(MenuRow, Limits) {
  MenuRow row;
  row.domain = "example.com";
  row.name = "800";
  row.greeting = {"welcome", "office/hours.wav"};
  expect_problem(
      row, [](MenuRow& r) { r.name.clear(); }, "name");
  expect_problem(
      row, [](MenuRow& r) { r.tries = 0; }, "tries");
  expect_problem(
      row, [](MenuRow& r) { r.tries = 11; }, "tries");
  expect_problem(
      row, [](MenuRow& r) { r.wait_seconds = 61; }, "wait_seconds");
  expect_problem(
      row, [](MenuRow& r) { r.between_seconds = 0; }, "between_seconds");
  expect_problem(
      row, [](MenuRow& r) { r.greeting.assign(17, "welcome"); }, "16");
  expect_problem(
      row, [](MenuRow& r) { r.greeting = {"../secret.wav"}; }, "../secret.wav");
  MenuChoiceRow choice{"example.com", "800", 1, "12345678", "", "1002"};
  for (const char* keys : {"", "123456789", "A", "1 2"})
    expect_problem(
        choice, [&](MenuChoiceRow& r) { r.keys = keys; }, "keys");
}

TEST(MailboxRow, Limits) {
  MailboxRow row;
  row.domain = "example.com";
  row.user = "1001";
  row.pin = "4711";
  row.email = "ann.o'neill+voice@example.com";
  expect_problem(
      row, [](MailboxRow& r) { r.user = "a b"; }, "user");
  for (const char* pin : {"123", "1234567890123", "12a4", "12 4"})
    expect_problem(
        row, [&](MailboxRow& r) { r.pin = pin; }, "pin");
  expect_problem(
      row, [](MailboxRow& r) { r.max_messages = 0; }, "max_messages");
  expect_problem(
      row, [](MailboxRow& r) { r.max_messages = 1001; }, "max_messages");
  expect_problem(
      row, [](MailboxRow& r) { r.max_seconds = 4; }, "max_seconds");
  expect_problem(
      row, [](MailboxRow& r) { r.max_seconds = 3601; }, "max_seconds");
  for (const char* email : {"ann", "@example.com", "ann@", "a@b@c", "ann@example.com, bob@example.com",
                            "Ann <ann@example.com>", "-oX/tmp/x@example.com", "ann@example.com\r\nBcc: x@y"})
    expect_problem(
        row, [&](MailboxRow& r) { r.email = email; }, "email");
  expect_problem(
      row, [](MailboxRow& r) { r.remove_sent = true, r.attach = false; }, "remove_sent");
  row.pin.clear();
  EXPECT_EQ(problem_with(PlanRow(row)), "");
}

TEST(ConferenceRow, Limits) {
  ConferenceRow row;
  row.domain = "example.com";
  row.name = "900";
  row.pin = "1234";
  row.moderator_pin = "5678";
  row.wait = row.lecture = row.ends = true;
  expect_problem(
      row, [](ConferenceRow& r) { r.members = 1; }, "members");
  expect_problem(
      row, [](ConferenceRow& r) { r.members = 201; }, "members");
  expect_problem(
      row, [](ConferenceRow& r) { r.pin = "12"; }, "pin");
  expect_problem(
      row, [](ConferenceRow& r) { r.moderator_pin = "x"; }, "moderator_pin");
  expect_problem(
      row, [](ConferenceRow& r) { r.moderator_pin = r.pin; }, "differ");
  expect_problem(
      row, [](ConferenceRow& r) { r.moderator_pin.clear(); }, "moderator_pin");
}

}  // namespace
}  // namespace tandem::port
