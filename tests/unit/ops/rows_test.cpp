// Rows as JSON: there and back, and errors that name the member.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "ops/json_rows.h"

namespace tandem::ops {
namespace {

namespace json = boost::json;

/// Written, read into an empty row and written again: the same.
template <class Row>
void there_and_back(const Row& row) {
  const json::object first = to_json(row);
  Row again;
  const auto done = from_json(json::value(first), again);
  ASSERT_TRUE(done.ok()) << done.reason().path << ' ' << done.reason().text;
  EXPECT_EQ(to_json(again), first);
}

template <class Row>
std::string error_of(const char* text, Row row = {}) {
  const auto done = from_json(json::parse(text), row);
  if (done.ok()) return "";
  return done.reason().path.empty() ? done.reason().text : done.reason().path + ": " + done.reason().text;
}

TEST(JsonRows, ThereAndBack) {
  port::DomainRow domain;
  domain.name = "example.com";
  domain.aliases = {"a", "b"};
  domain.country_code = "49";
  domain.max_calls = 5;
  there_and_back(domain);

  port::TrunkRow trunk;
  trunk.name = "carrier";
  trunk.kind = port::TrunkRow::Kind::registration;
  trunk.transport = port::Transport::tls;
  trunk.port = 5061;
  trunk.sources = {"192.0.2.0/28"};
  trunk.tls_name = "sbc.carrier.example";
  trunk.inbound_class = port::CallClass::national;
  there_and_back(trunk);

  port::RouteRow route;
  route.id = 7;
  route.pattern = "0X.";
  route.action = port::RouteRow::Action::trunk;
  route.targets = {"carrier", "other"};
  route.strip = 1;
  route.time_rule = "!holidays";
  there_and_back(route);

  port::RingGroupRow group;
  group.name = "sales";
  there_and_back(group);
  port::TimeRuleRow rule;
  rule.time_zone = "CET-1CEST,M3.5.0,M10.5.0/3";
  there_and_back(rule);
  there_and_back(port::ParkRow{});
  port::MenuRow menu;
  menu.greeting = {"welcome", "hours.wav"};
  menu.extensions = true;
  there_and_back(menu);
  there_and_back(port::MenuChoiceRow{"example.com", "800", 3, "12", "!open", "1002"});
  port::MailboxRow mailbox;
  mailbox.email = "ann@example.com";
  mailbox.remove_sent = true;
  there_and_back(mailbox);
  port::ConferenceRow conference;
  conference.members = 7;
  conference.lecture = true;
  there_and_back(conference);
  there_and_back(port::FeatureCodeRow{});
}

TEST(JsonRows, PinsAreReadAndNeverWritten) {
  port::MailboxRow mailbox;
  ASSERT_TRUE(from_json(json::parse(R"({"pin": "4711", "has_pin": false})"), mailbox).ok());
  EXPECT_EQ(mailbox.pin, "4711");
  EXPECT_EQ(json::serialize(to_json(mailbox)).find("4711"), std::string::npos);
  EXPECT_TRUE(to_json(mailbox).at("has_pin").as_bool());
  ASSERT_TRUE(from_json(json::parse(R"({"language": "ko"})"), mailbox).ok());
  EXPECT_EQ(mailbox.pin, "4711") << "left out, it stays";
  ASSERT_TRUE(from_json(json::parse(R"({"pin": ""})"), mailbox).ok());
  EXPECT_FALSE(to_json(mailbox).at("has_pin").as_bool());
  port::ConferenceRow room;
  room.pin = "1234";
  room.moderator_pin = "9876";
  const std::string text = json::serialize(to_json(room));
  EXPECT_EQ(text.find("1234"), std::string::npos);
  EXPECT_EQ(text.find("9876"), std::string::npos);
  EXPECT_TRUE(to_json(room).at("has_moderator_pin").as_bool());
}

TEST(JsonRows, OfAVoiceMessageOnlyWhetherItWasHeardChanges) {
  port::Voicemail m;
  m.id = 7;
  m.from = "+4930123";
  m.length = milliseconds(4321);
  m.file = "example.com/1001/secret-path.wav";
  json::object text = to_json(m);
  EXPECT_EQ(text.at("length_ms").to_number<int>(), 4321);
  EXPECT_EQ(json::serialize(text).find("secret-path"), std::string::npos);
  text["heard"] = true;
  text["id"] = 8;
  text["from"] = "x";
  ASSERT_TRUE(from_json(json::value(text), m).ok());
  EXPECT_TRUE(m.heard);
  EXPECT_EQ(m.id, 7U);
  EXPECT_EQ(m.from, "+4930123");
}

TEST(JsonRows, SecretsAreNotWritten) {
  port::Subscriber s;
  s.aor = {"1001", "example.com"};
  s.ha1.md5 = "00112233445566778899aabbccddeeff";
  EXPECT_EQ(json::serialize(to_json(s)).find("00112233"), std::string::npos);
  port::TrunkRow t;
  t.password = "hunter2";
  t.ha1.sha256 = "feedface";
  const std::string text = json::serialize(to_json(t));
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  EXPECT_EQ(text.find("feedface"), std::string::npos);
}

TEST(JsonRows, MembersLeftOutStay) {
  SubscriberInput in;
  in.row.display_name = "Front";
  in.row.forwarding.busy = "1002";
  ASSERT_TRUE(
      from_json(json::parse(R"({"max_calls": 3, "forwarding": {"always": "1009"}, "password": "pw"})"), in)
          .ok());
  EXPECT_EQ(in.row.max_calls, 3U);
  EXPECT_EQ(in.row.display_name, "Front");
  EXPECT_EQ(in.row.forwarding.always, "1009");
  EXPECT_EQ(in.row.forwarding.busy, "1002");
  EXPECT_EQ(in.password, "pw");
}

TEST(JsonRows, ErrorsNameTheMemberAndWhatIsExpected) {
  EXPECT_NE(error_of<port::RouteRow>(R"({"pattern": 5})").find("pattern: expected a string"),
            std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"enabled": "yes"})").find("enabled: expected true or false"),
            std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"priority": -1})").find("priority: expected a whole number"),
            std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"priority": 1.5})").find("priority"), std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"priority": 4294967296})").find("4294967295"), std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"action": "explode"})").find("action: expected"), std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"targets": ["a", 1]})").find("targets[1]: expected a string"),
            std::string::npos);
  EXPECT_NE(error_of<port::RouteRow>(R"({"colour": "red"})").find("colour: unknown member"),
            std::string::npos);
  EXPECT_NE(
      error_of<SubscriberInput>(R"({"forwarding": {"alway": "1"}})").find("forwarding.alway: unknown member"),
      std::string::npos);
  EXPECT_NE(error_of<SubscriberInput>(R"({"forwarding": []})").find("forwarding: expected an object"),
            std::string::npos);
  EXPECT_FALSE(error_of<port::DomainRow>("[]").empty());
  EXPECT_FALSE(error_of<port::DomainRow>("null").empty());
}

TEST(JsonRows, ABadRowChangesNothing) {
  port::RouteRow row;
  row.pattern = "1XXX";
  EXPECT_FALSE(from_json(json::parse(R"({"pattern": "2XXX", "priority": "high"})"), row).ok());
  EXPECT_EQ(row.pattern, "1XXX");
}

TEST(JsonRows, WhatAPhoneSentIsJsonAllTheSame) {
  RegistrationView phone;
  phone.contact = "sip:\xff@10.0.0.1";
  phone.user_agent = "caf\xe9";
  port::Cdr cdr;
  cdr.dialled = "10\xc3(";
  for (const json::object& row : {to_json(phone), to_json(cdr)}) {
    boost::system::error_code error;
    (void)json::parse(json::serialize(row), error);
    EXPECT_FALSE(error) << json::serialize(row);
  }
  EXPECT_EQ(to_json(phone).at("user_agent").as_string(), "caf\xef\xbf\xbd");
}

TEST(JsonRows, ControlCharactersAreRefused) {
  EXPECT_NE(error_of<port::TrunkRow>(R"({"from_domain": "a\r\nEvil: 1"})")
                .find("from_domain: expected text without control"),
            std::string::npos);
  EXPECT_NE(error_of<port::DomainRow>(R"({"aliases": ["ok", "b\u0000"]})").find("aliases[1]"),
            std::string::npos);
}

TEST(JsonRows, LargeIdsAreTexts) {
  call::CallInfo call;
  call.id = 18'446'744'073'709'551'615ULL;
  EXPECT_EQ(to_json(call).at("id").as_string(), "18446744073709551615");
  port::Cdr cdr;
  cdr.key.call = 9'007'199'254'740'993ULL;
  EXPECT_EQ(to_json(cdr).at("call").as_string(), "9007199254740993");
  EXPECT_EQ(to_json(cdr).at("answer").as_string(), "");
}

TEST(JsonRows, EverySchemaIsAnObject) {
  const json::object schemas = json_schemas();
  EXPECT_GE(schemas.size(), 10U);
  for (const auto& entry : schemas) {
    EXPECT_EQ(entry.value().at("type").as_string(), "object") << entry.key();
    EXPECT_FALSE(entry.value().at("properties").as_object().empty()) << entry.key();
  }
}

}  // namespace
}  // namespace tandem::ops
