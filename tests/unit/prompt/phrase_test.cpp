// What is said in which order, and that every word of it is in the language's script.
#include "prompt/phrase.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>

#include "prompt/names.h"

namespace tandem::prompt {
namespace {

constexpr int64_t second = 1'000'000'000;
/// 2026-11-25, a Wednesday, at 14:05 UTC.
constexpr LocalTime afternoon{{1'795'615'500 * second}};

std::string said(const Phrase& phrase) {
  std::string text;
  for (const std::string& name : phrase) text += (text.empty() ? "" : " ") + name;
  return text;
}

LocalTime earlier(LocalTime t, Duration by) { return {t.utc + -by, t.offset}; }

std::set<std::string> script(std::string_view code) {
  std::ifstream in(std::string(TANDEM_SOURCE_DIR) + "/sounds/" + std::string(code) + ".txt");
  std::set<std::string> names;
  for (std::string line; std::getline(in, line);)
    if (const size_t equals = line.find(" = "); equals != std::string::npos && line.front() != '#')
      names.insert(line.substr(0, equals));
  return names;
}

TEST(Language, IsFoundByItsCodeAndEnglishOtherwise) {
  EXPECT_EQ(language("ko").code(), "ko");
  EXPECT_EQ(language("ko-KR").code(), "ko");
  EXPECT_EQ(language("en-GB").code(), "en");
  EXPECT_EQ(language("kor").code(), "en");
  EXPECT_EQ(language("").code(), "en");
}

TEST(English, CountsMessages) {
  const Language& en = language("en");
  EXPECT_EQ(said(en.messages(0, 0)), "no-messages");
  EXPECT_EQ(said(en.messages(1, 0)), "you-have number-1 new-message");
  EXPECT_EQ(said(en.messages(3, 1)), "you-have number-3 new-messages and number-1 old-message");
  EXPECT_EQ(said(en.messages(0, 2)), "you-have number-2 old-messages");
}

TEST(English, Numbers) {
  const Language& en = language("en");
  EXPECT_EQ(said(en.number(0)), "number-0");
  EXPECT_EQ(said(en.number(59)), "number-59");
  EXPECT_EQ(said(en.number(60)), "number-60");
  EXPECT_EQ(said(en.number(71)), "number-70 number-1");
  EXPECT_EQ(said(en.number(100)), "number-1 hundred");
  EXPECT_EQ(said(en.number(215)), "number-2 hundred number-15");
  EXPECT_EQ(said(en.number(1000)), "number-1 thousand");
  EXPECT_EQ(said(en.number(120'045)), "number-1 hundred number-20 thousand number-45");
  EXPECT_EQ(said(en.number(1'000'000)), said(en.digits("1000000")));
}

TEST(English, TimesOfDay) {
  const Language& en = language("en");
  const auto at = [&](int hour, int minute) {
    return said(en.time({{(1'795'564'800 + hour * 3600 + minute * 60) * second}}));
  };
  EXPECT_EQ(at(0, 0), "number-12 am");
  EXPECT_EQ(at(0, 30), "number-12 number-30 am");
  EXPECT_EQ(at(9, 5), "number-9 oh number-5 am");
  EXPECT_EQ(at(12, 0), "number-12 pm");
  EXPECT_EQ(at(23, 59), "number-11 number-59 pm");
}

TEST(English, DaysAreAsNearAsTheyAre) {
  const Language& en = language("en");
  const auto day = [&](Duration ago) { return said(en.day(earlier(afternoon, ago), afternoon)); };
  EXPECT_EQ(day(hours(14)), "today");
  EXPECT_EQ(day(hours(15)), "yesterday");
  EXPECT_EQ(day(hours(48)), "weekday-1");
  EXPECT_EQ(day(hours(24 * 6)), "weekday-4");
  EXPECT_EQ(day(hours(24 * 7)), "month-11 day-18");
  EXPECT_EQ(day(hours(-24)), "month-11 day-26");  // a clock that was set back
}

TEST(English, TheDayIsThePlaceOfTheListener) {
  const LocalTime seoul{afternoon.utc, hours(9)}, honolulu{afternoon.utc, hours(-10)};
  EXPECT_EQ(said(language("en").time(seoul)), "number-11 oh number-5 pm");
  EXPECT_EQ(said(language("en").time(honolulu)), "number-4 oh number-5 am");
  const LocalTime an_hour_later{afternoon.utc + hours(1), hours(9)};
  EXPECT_EQ(said(language("en").day(seoul, an_hour_later)), "yesterday");
}

TEST(English, Sentences) {
  const Language& en = language("en");
  EXPECT_EQ(said(en.digits("+82 2-10*#x")), "plus digit-8 digit-2 digit-2 digit-1 digit-0 star pound");
  EXPECT_EQ(said(en.envelope(2, earlier(afternoon, hours(24)), afternoon, "101")),
            "message number-2 received yesterday at number-2 oh number-5 pm from digit-1 digit-0 digit-1");
  EXPECT_EQ(said(en.envelope(1, afternoon, afternoon, "")),
            "message number-1 received today at number-2 oh number-5 pm unknown-caller");
  EXPECT_EQ(said(en.not_available("12", false)), "extension digit-1 digit-2 is-not-available");
  EXPECT_EQ(said(en.not_available("12", true)), "extension digit-1 digit-2 is-busy");
  EXPECT_EQ(said(en.not_available("alice", false)), "not-available");
  EXPECT_EQ(said(en.choice(choice_delete, '3')), "choice-delete press digit-3");
  EXPECT_EQ(said(en.choice(choice_exit, '#')), "choice-exit press pound");
  EXPECT_EQ(said(en.participants(1)), "conference-only");
  EXPECT_EQ(said(en.participants(200)), "there-are number-2 hundred participants");
  EXPECT_EQ(said(en.with_number(parked_at, "701")), "parked-at digit-7 digit-0 digit-1");
}

TEST(Korean, NumbersAndCounts) {
  const Language& ko = language("ko");
  EXPECT_EQ(said(ko.number(0)), "number-0");
  EXPECT_EQ(said(ko.number(65)), "number-60 number-5");
  EXPECT_EQ(said(ko.number(100)), "hundred");
  EXPECT_EQ(said(ko.number(215)), "number-2 hundred number-15");
  EXPECT_EQ(said(ko.number(1004)), "thousand number-4");
  EXPECT_EQ(said(ko.number(10'000)), "ten-thousand");
  EXPECT_EQ(said(ko.number(123'456)), "number-12 ten-thousand number-3 thousand number-4 hundred number-56");
  EXPECT_EQ(said(ko.messages(3, 21)), "new-messages count-3 old-messages number-21 items there-are");
  EXPECT_EQ(said(ko.messages(0, 1)), "old-messages count-1 there-are");
  EXPECT_EQ(said(ko.messages(0, 0)), "no-messages");
}

TEST(Korean, Sentences) {
  const Language& ko = language("ko");
  EXPECT_EQ(said(ko.time(afternoon)), "pm hour-2 number-5 minute");
  EXPECT_EQ(said(ko.time(earlier(afternoon, hours(14) + minutes(5)))), "am hour-12");
  EXPECT_EQ(said(ko.envelope(2, afternoon, afternoon, "010")),
            "message number-2 today pm hour-2 number-5 minute received from digit-0 digit-1 digit-0");
  EXPECT_EQ(said(ko.choice(choice_delete, '3')), "choice-delete digit-3 press");
  EXPECT_EQ(said(ko.choice(choice_delete, '*')), "choice-delete star press-key");
  EXPECT_EQ(said(ko.participants(2)), "participants number-2 people");
  EXPECT_EQ(said(ko.with_number(parked_at, "7")), "parked-at digit-7 is");
}

/// Everything the grammars can say, over all numbers, minutes and days that make a difference.
std::set<std::string> words_of(const Language& l) {
  std::set<std::string> words;
  const auto add = [&](const Phrase& phrase) { words.insert(phrase.begin(), phrase.end()); };
  for (uint32_t n = 0; n < 3000; ++n) {
    add(l.number(n));
    add(l.messages(n, n / 2));
    add(l.participants(n));
  }
  add(l.number(987'654));
  for (int minute = 0; minute < 24 * 60; ++minute) add(l.time(earlier(afternoon, minutes(minute))));
  for (int day = 0; day < 400; ++day) {
    add(l.day(earlier(afternoon, hours(24 * day)), afternoon));
    add(l.day(earlier(afternoon, hours(24 * day)), earlier(afternoon, hours(24 * (day - 3)))));
    add(l.envelope(1, afternoon, earlier(afternoon, hours(24 * day)), day % 2 ? "1" : ""));
  }
  for (const bool busy : {false, true}) {
    add(l.not_available("+0123456789*#", busy));
    add(l.not_available("", busy));
  }
  for (const char key : std::string_view("0123456789*#")) add(l.choice(choice_delete, key));
  add(l.with_number(forward_on, "1"));
  return words;
}

TEST(Script, HasEveryWordTheGrammarSays) {
  for (const Language* l : languages()) {
    const std::set<std::string> written = script(l->code());
    ASSERT_GT(written.size(), 200U) << l->code();
    for (const std::string& word : words_of(*l))
      EXPECT_TRUE(written.contains(word)) << l->code() << " " << word;
  }
}

TEST(Script, HasEverySentenceAndNothingNobodySays) {
  std::set<std::string> sentences;
  std::ifstream in(std::string(TANDEM_SOURCE_DIR) + "/src/prompt/names.h");
  const std::regex constant("string_view (\\w+) = \"([a-z0-9-]+)\"");
  for (std::string line; std::getline(in, line);)
    if (std::smatch m; std::regex_search(line, m, constant)) {
      std::string name = m[1];
      std::replace(name.begin(), name.end(), '_', '-');
      EXPECT_EQ(name, m[2]) << "the constant is called as the prompt";
      sentences.insert(m[2]);
    }
  ASSERT_GT(sentences.size(), 50U);
  for (const Language* l : languages()) {
    const std::set<std::string> written = script(l->code()), words = words_of(*l);
    for (const std::string& name : sentences) EXPECT_TRUE(written.contains(name)) << l->code() << " " << name;
    for (const std::string& name : written)
      EXPECT_TRUE(sentences.contains(name) || words.contains(name)) << l->code() << " says " << name;
  }
}

}  // namespace
}  // namespace tandem::prompt
