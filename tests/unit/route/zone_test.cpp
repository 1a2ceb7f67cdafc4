#include "route/zone.h"

#include <gtest/gtest.h>

#include "route/time_rule.h"

namespace tandem::route {
namespace {

/// 2026-03-29T01:00:00Z and so on.
WallTime utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0, int second = 0) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  const int64_t s =
      std::chrono::sys_days(date).time_since_epoch().count() * 86400LL + hour * 3600 + minute * 60 + second;
  return {s * 1'000'000'000};
}

Zone zone(std::string_view text) {
  const auto z = Zone::parse(text);
  EXPECT_TRUE(z.ok()) << text << ": " << (z.ok() ? "" : z.reason());
  return z.ok() ? *z : Zone();
}

TEST(Zone, BerlinChangesAtOneUtc) {
  const Zone z = zone("CET-1CEST,M3.5.0,M10.5.0/3");
  EXPECT_EQ(z.offset_at(utc(2026, 3, 29, 0, 59, 59)), 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 3, 29, 1)), 7200);
  EXPECT_EQ(z.offset_at(utc(2026, 10, 25, 0, 59, 59)), 7200);
  EXPECT_EQ(z.offset_at(utc(2026, 10, 25, 1)), 3600);
  const LocalTime t = z.local(utc(2026, 3, 29, 1, 30));
  EXPECT_EQ(t.minute, 3 * 60 + 30);
  EXPECT_EQ(t.weekday, 0);
  EXPECT_TRUE(t.daylight);
}

TEST(Zone, NewYorkByTheSecondSundayOfMarch) {
  const Zone z = zone("EST5EDT,M3.2.0,M11.1.0");
  EXPECT_EQ(z.offset_at(utc(2026, 3, 8, 6, 59, 59)), -5 * 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 3, 8, 7)), -4 * 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 11, 1, 5, 59, 59)), -4 * 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 11, 1, 6)), -5 * 3600);
}

TEST(Zone, SydneyHasSummerOverNewYear) {
  const Zone z = zone("AEST-10AEDT,M10.1.0,M4.1.0/3");
  EXPECT_EQ(z.offset_at(utc(2026, 1, 1)), 11 * 3600);
  EXPECT_EQ(z.offset_at(utc(2025, 12, 31, 23, 59, 59)), 11 * 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 4, 4, 15, 59, 59)), 11 * 3600);  // 5 April, 03:00 daylight
  EXPECT_EQ(z.offset_at(utc(2026, 4, 4, 16)), 10 * 3600);
  EXPECT_EQ(z.offset_at(utc(2026, 10, 3, 15, 59, 59)), 10 * 3600);  // 4 October, 02:00 standard
  EXPECT_EQ(z.offset_at(utc(2026, 10, 3, 16)), 11 * 3600);
}

TEST(Zone, UnusualRules) {
  // Half an hour of daylight saving; names of signs; days of the year with and without 29 February.
  EXPECT_EQ(zone("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").offset_at(utc(2026, 1, 1)), 11 * 3600);
  const Zone j = zone("AAA0BBB,J60,J61");
  EXPECT_EQ(j.offset_at(utc(2024, 3, 1, 1, 59, 59)), 0);
  EXPECT_EQ(j.offset_at(utc(2024, 3, 1, 2)), 3600);
  EXPECT_EQ(j.offset_at(utc(2025, 3, 1, 2)), 3600);
  const Zone n = zone("AAA0BBB,59,61");
  EXPECT_EQ(n.offset_at(utc(2024, 2, 29, 2)), 3600);
  EXPECT_EQ(n.offset_at(utc(2025, 3, 1, 2)), 3600);
  EXPECT_EQ(n.offset_at(utc(2025, 2, 28, 23)), 0);
  // Negative times: Nuuk changes on the Saturday before the last Sunday.
  const Zone nuuk = zone("<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
  EXPECT_EQ(nuuk.offset_at(utc(2026, 3, 29, 0, 59, 59)), -7200);
  EXPECT_EQ(nuuk.offset_at(utc(2026, 3, 29, 1)), -3600);
  EXPECT_EQ(nuuk.offset_at(utc(2026, 10, 25, 1)), -7200);
  // Daylight saving all year.
  const Zone all = zone("EST5EDT,0/0,J365/25");
  for (unsigned m = 1; m <= 12; ++m) EXPECT_EQ(all.offset_at(utc(2026, m, 1)), -4 * 3600) << m;
  EXPECT_EQ(all.offset_at(utc(2026, 12, 31, 23)), -4 * 3600);
}

TEST(Zone, FixedOffsets) {
  EXPECT_EQ(zone("").offset_at(utc(2026, 7, 1)), 0);
  EXPECT_EQ(zone("+05:30").offset_at(utc(2026, 7, 1)), 19800);
  EXPECT_EQ(zone("-0330").offset_at(utc(2026, 7, 1)), -12600);
  EXPECT_EQ(zone("UTC+2").offset_at(utc(2026, 7, 1)), 7200);
  EXPECT_EQ(zone("UTC0").offset_at(utc(2026, 7, 1)), 0);
  EXPECT_EQ(zone("JST-9").offset_at(utc(2026, 7, 1)), 9 * 3600);
  const LocalTime before_epoch = zone("EST5").local({-1});
  EXPECT_EQ(before_epoch.year, 1969);
  EXPECT_EQ(before_epoch.minute, 18 * 60 + 59);
  EXPECT_EQ(before_epoch.second, 59);
}

TEST(Zone, RefusesWhatItCannotKnow) {
  for (const char* bad :
       {"Europe/Berlin", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x", "CET-25",
        "UTC+15", "+2:99", "<CET-1", "CE-1", "CET-1CEST,J0,J5", "CET-1CEST,366,5", "UTC+"})
    EXPECT_FALSE(Zone::parse(bad).ok()) << bad;
}

TimeSpan span(port::TimeRuleRow row) {
  const auto s = TimeSpan::compile(row);
  EXPECT_TRUE(s.ok());
  return *s;
}

TEST(TimeRule, OfficeHoursInLocalTime) {
  port::TimeRuleRow row;
  row.time_zone = "CET-1CEST,M3.5.0,M10.5.0/3";
  row.weekdays = 0x1f;  // Monday to Friday
  row.from_minute = 9 * 60;
  row.to_minute = 17 * 60;
  const TimeSpan s = span(row);
  EXPECT_FALSE(s.holds(utc(2026, 3, 27, 7, 59)));  // Friday, 08:59
  EXPECT_TRUE(s.holds(utc(2026, 3, 27, 8)));
  EXPECT_TRUE(s.holds(utc(2026, 3, 27, 15, 59, 59)));
  EXPECT_FALSE(s.holds(utc(2026, 3, 27, 16)));
  EXPECT_FALSE(s.holds(utc(2026, 3, 28, 10)));  // Saturday
  EXPECT_TRUE(s.holds(utc(2026, 3, 30, 7)));    // Monday after the change: 09:00 is 07:00Z
}

TEST(TimeRule, NightsBelongToTheDayTheyBegin) {
  port::TimeRuleRow row;
  row.weekdays = 1 << 4;  // Friday
  row.from_minute = 22 * 60;
  row.to_minute = 6 * 60;
  const TimeSpan s = span(row);
  EXPECT_TRUE(s.holds(utc(2026, 3, 27, 23)));
  EXPECT_TRUE(s.holds(utc(2026, 3, 28, 5, 59)));
  EXPECT_FALSE(s.holds(utc(2026, 3, 28, 6)));
  EXPECT_FALSE(s.holds(utc(2026, 3, 27, 5)));  // Thursday's night
  row.from_date = row.to_date = "2026-03-27";
  EXPECT_TRUE(span(row).holds(utc(2026, 3, 28, 5)));
}

TEST(TimeRule, DatesOfEveryYearAndOverNewYear) {
  port::TimeRuleRow row;
  row.from_date = "12-24";
  row.to_date = "01-06";
  const TimeSpan s = span(row);
  EXPECT_TRUE(s.holds(utc(2026, 12, 24)));
  EXPECT_TRUE(s.holds(utc(2027, 1, 6, 23, 59)));
  EXPECT_FALSE(s.holds(utc(2027, 1, 7)));
  EXPECT_FALSE(s.holds(utc(2026, 12, 23, 23, 59)));
}

TEST(TimeRule, ExceptionsWin) {
  port::TimeRuleRow open, holiday;
  holiday.from_date = holiday.to_date = "2026-12-25";
  holiday.except = true;
  const TimeRule rule{"open", {span(open), span(holiday)}};
  EXPECT_TRUE(rule.holds(utc(2026, 12, 24)));
  EXPECT_FALSE(rule.holds(utc(2026, 12, 25, 12)));
  const TimeRule only{"not christmas", {span(holiday)}};
  EXPECT_TRUE(only.holds(utc(2026, 12, 24)));
  EXPECT_FALSE(only.holds(utc(2026, 12, 25)));
}

TEST(TimeRule, BadRows) {
  const auto bad = [](auto change) {
    port::TimeRuleRow row;
    change(row);
    return !TimeSpan::compile(row).ok();
  };
  EXPECT_TRUE(bad([](auto& r) { r.time_zone = "Nowhere"; }));
  EXPECT_TRUE(bad([](auto& r) { r.from_date = "2026-02-29"; }));
  EXPECT_TRUE(bad([](auto& r) { r.from_date = "13-01"; }));
  EXPECT_TRUE(bad([](auto& r) { r.from_date = "2026-01-01", r.to_date = "12-31"; }));
  EXPECT_TRUE(bad([](auto& r) { r.from_date = "2026-02-01", r.to_date = "2026-01-31"; }));
  EXPECT_TRUE(bad([](auto& r) { r.from_minute = 1441; }));
  EXPECT_FALSE(bad([](auto& r) { r.from_date = "02-29"; }));
}

}  // namespace
}  // namespace tandem::route
