#include "route/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "route/feature_codes.h"

namespace tandem::route {
namespace {

using port::CallClass;
using port::Feature;
using port::RouteRow;
using ::testing::Contains;
using ::testing::HasSubstr;

/// An office: two domains, two trunks, routes outside, a ring group.
port::PlanRows office() {
  port::PlanRows rows;
  rows.version = 7;
  port::DomainRow d;
  d.name = "office.example";
  d.aliases = {"Office", "192.0.2.10"};
  d.emergency_numbers = {"112", "110"};
  d.country_code = "49";
  d.national_prefix = "0";
  d.international_prefix = "00";
  rows.domains.push_back(d);
  port::DomainRow lab;
  lab.name = "lab.example";
  rows.domains.push_back(lab);
  port::TrunkRow t;
  t.name = "carrier";
  t.domain = "office.example";
  t.host = "203.0.113.5";
  t.send_e164 = true;
  rows.trunks.push_back(t);
  t.name = "backup";
  t.host = "sip.backup.example";
  t.sources = {"198.51.100.0/24"};
  t.send_e164 = false;
  rows.trunks.push_back(t);
  return rows;
}

RouteRow route(uint64_t id, const char* pattern, RouteRow::Action action) {
  RouteRow r;
  r.id = id;
  r.domain = "office.example";
  r.pattern = pattern;
  r.action = action;
  return r;
}
RouteRow outward(uint64_t id, const char* pattern) {
  RouteRow r = route(id, pattern, RouteRow::Action::trunk);
  r.targets = {"carrier", "backup"};
  return r;
}

CallRequest from_1001(std::string dialled, CallClass most = CallClass::international) {
  CallRequest c;
  c.source = FromSubscriber{{"1001", "office.example"}, most, "+4930111", "sales"};
  c.dialled = std::move(dialled);
  c.domain = "office.example";
  return c;
}
CallRequest from_carrier(std::string dialled) {
  CallRequest c;
  c.source = FromTrunk{"carrier", "+49 170 555"};
  c.dialled = std::move(dialled);
  c.domain = "office.example";
  return c;
}

template <class T>
const T& as(const Decision& d) {
  static const T none{};
  const T* v = std::get_if<T>(&d.action);
  if (v == nullptr) ADD_FAILURE() << "another action, index " << d.action.index() << ", rule " << d.rule;
  return v != nullptr ? *v : none;
}
std::string extension_of(const Decision& d) { return as<Extension>(d).aor.to_string(); }
int status_of(const Decision& d) { return as<Reject>(d).status; }

TEST(Plan, EmptyPlanRingsExtensionsAnywhere) {
  const auto plan = Plan::empty();
  CallRequest c = from_1001("1002");
  EXPECT_EQ(extension_of(plan->decide(c)), "1002@office.example");
  c.domain = "ANY.example";
  EXPECT_EQ(extension_of(plan->decide(c)), "1002@any.example");
  c.dialled = "sip:1002@any.example;user=phone";
  EXPECT_EQ(extension_of(plan->decide(c)), "1002@any.example");
  c.dialled = "sip:1002@evil.example";
  EXPECT_EQ(status_of(plan->decide(c)), 403);
  EXPECT_EQ(as<FeatureCall>(plan->decide(from_1001("*43"))).kind, Feature::echo);
}

TEST(Plan, NumbersAreReadAsPhonesSendThem) {
  const auto plan = Plan::compile(office());
  EXPECT_EQ(extension_of(plan->decide(from_1001("10-02"))), "1002@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("tel:1002;phone-context=office.example"))),
            "1002@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("sip:1002@OFFICE;user=phone"))), "1002@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("sips:%31002@192.0.2.10"))), "1002@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("sip:1002;ext=5@office.example"))), "1002@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("alice.b"))), "alice.b@office.example");
  EXPECT_EQ(status_of(plan->decide(from_1001(""))), 484);
  EXPECT_EQ(status_of(plan->decide(from_1001("sip:office.example"))), 484);
  EXPECT_EQ(status_of(plan->decide(from_1001(std::string(257, '1')))), 414);
  CallRequest elsewhere = from_1001("1002");
  elsewhere.domain = "nobody.example";
  EXPECT_EQ(status_of(plan->decide(elsewhere)), 404);
}

TEST(Plan, MostSpecificWinsWithinAPriority) {
  auto rows = office();
  rows.routes = {route(1, "X.", RouteRow::Action::reject), route(2, "1XXX", RouteRow::Action::extension),
                 route(3, "15XX", RouteRow::Action::reject), route(4, "1XXX", RouteRow::Action::reject)};
  for (auto& r : rows.routes) r.status = static_cast<uint16_t>(600 + r.id);
  rows.routes[3].priority = 50;
  rows.routes[3].pattern = "19XX";
  const auto plan = Plan::compile(rows);
  ASSERT_TRUE(plan->errors().empty());
  EXPECT_EQ(extension_of(plan->decide(from_1001("1234"))), "1234@office.example");
  EXPECT_EQ(status_of(plan->decide(from_1001("1500"))), 603);
  EXPECT_EQ(status_of(plan->decide(from_1001("1900"))), 604);
  EXPECT_EQ(status_of(plan->decide(from_1001("777777777"))), 601);
}

TEST(Plan, TrunkCallsAreRewrittenForEachHop) {
  auto rows = office();
  rows.routes = {outward(1, "0.")};
  const auto plan = Plan::compile(rows);
  const Decision d = plan->decide(from_1001("030-1234567"));
  const auto& call = as<TrunkCall>(d);
  ASSERT_EQ(call.hops.size(), 2U);
  EXPECT_EQ(call.hops[0].trunk, "carrier");
  EXPECT_EQ(call.hops[0].number, "+49301234567");
  EXPECT_EQ(call.hops[0].caller_number, "+4930111");
  EXPECT_EQ(call.hops[1].number, "0301234567");
  EXPECT_EQ(call.call_class, CallClass::national);
  EXPECT_FALSE(call.emergency);
  EXPECT_FALSE(d.local_first);
  const Decision abroad = plan->decide(from_1001("0044201234567"));
  EXPECT_EQ(as<TrunkCall>(abroad).call_class, CallClass::international);
  EXPECT_EQ(as<TrunkCall>(abroad).hops[0].number, "+44201234567");
  // "+44..." finds the same route in its local form.
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("+44201234567"))).hops[1].number, "0044201234567");
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("+49301234567"))).hops[1].number, "0301234567");
}

TEST(Plan, StripAndPrefixAndCallerNumber) {
  auto rows = office();
  RouteRow r = outward(1, "9.");
  r.strip = 1;
  r.prefix = "7";
  r.caller_number = "030999";
  r.targets = {"backup"};
  rows.routes = {r};
  const auto plan = Plan::compile(rows);
  const auto call = as<TrunkCall>(plan->decide(from_1001("9123456789")));
  EXPECT_EQ(call.hops.at(0).number, "7123456789");
  EXPECT_EQ(call.hops.at(0).caller_number, "030999");
  EXPECT_EQ(status_of(plan->decide(from_1001("9abc12345678"))), 484);
}

TEST(Plan, ClassesHoldWhateverTheRowSays) {
  auto rows = office();
  RouteRow r = outward(1, "9.");  // the row's class is internal
  r.strip = 1;
  rows.routes = {r};
  const auto plan = Plan::compile(rows);
  EXPECT_EQ(status_of(plan->decide(from_1001("9030123456", CallClass::internal))), 403);
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("9030123456", CallClass::national))).hops.size(), 2U);
  EXPECT_EQ(status_of(plan->decide(from_1001("9004420123456", CallClass::national))), 403);
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("9004930123456", CallClass::national))).hops.size(), 2U);
  // Without a country both usual prefixes are taken for international.
  rows.domains[0].international_prefix.clear();
  const auto bare = Plan::compile(rows);
  EXPECT_EQ(status_of(bare->decide(from_1001("9004420123456", CallClass::national))), 403);
  EXPECT_EQ(status_of(bare->decide(from_1001("90114420123456", CallClass::national))), 403);
}

TEST(Plan, ARefusedClassDoesNotFallThroughToACheaperRule) {
  auto rows = office();
  RouteRow premium = outward(1, "0900.");
  premium.call_class = CallClass::international;
  rows.routes = {premium, outward(2, "0.")};
  const auto plan = Plan::compile(rows);
  EXPECT_EQ(status_of(plan->decide(from_1001("0900123456", CallClass::national))), 403);
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("0800123456", CallClass::national))).hops.size(), 2U);
}

TEST(Plan, EmergencyIsNeverRefused) {
  auto rows = office();
  auto plan = Plan::compile(rows);
  const Decision d = plan->decide(from_1001("112", CallClass::internal));
  const auto& call = as<TrunkCall>(d);
  EXPECT_TRUE(call.emergency);
  EXPECT_EQ(call.hops.size(), 2U);
  EXPECT_EQ(call.hops[0].number, "112");
  EXPECT_TRUE(as<TrunkCall>(plan->decide(from_1001("urn:service:sos.fire", CallClass::internal))).emergency);
  EXPECT_TRUE(
      as<TrunkCall>(plan->decide(from_1001("sip:110@office.example", CallClass::internal))).emergency);
  // A route of its own comes first, unless it would refuse; a lock on everything does not count.
  RouteRow lock = route(1, ".", RouteRow::Action::reject);
  lock.status = 603;
  RouteRow own = outward(2, "112");
  own.targets = {"backup"};
  rows.routes = {lock, own};
  plan = Plan::compile(rows);
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("112", CallClass::internal))).hops.at(0).trunk, "backup");
  EXPECT_TRUE(as<TrunkCall>(plan->decide(from_1001("110", CallClass::internal))).emergency);
  // From outside it is a number like any other.
  EXPECT_FALSE(std::holds_alternative<TrunkCall>(plan->decide(from_carrier("110")).action));
}

TEST(Plan, CatchAllNeverCarriesACallBetweenColleaguesOutside) {
  auto rows = office();
  rows.routes = {outward(1, "X.")};
  const auto plan = Plan::compile(rows);
  Decision d = plan->decide(from_1001("1002"));
  ASSERT_TRUE(d.local_first);
  EXPECT_EQ(d.local_first->to_string(), "1002@office.example");
  EXPECT_EQ(as<TrunkCall>(d).hops.at(1).number, "1002");
  d = plan->decide(from_1001("1002", CallClass::internal));
  EXPECT_TRUE(d.local_first);
  EXPECT_EQ(status_of(d), 403);
  EXPECT_FALSE(plan->decide(from_1001("0301234567")).local_first);
}

TEST(Plan, TrunksReachWhatTheyAreLetTo) {
  auto rows = office();
  RouteRow did = route(1, "+4930111XX", RouteRow::Action::extension);
  did.from_trunk = "carrier";
  did.strip = 8;
  did.prefix = "10";
  RouteRow transit = outward(2, "0.");
  transit.from_trunk = "*";
  rows.routes = {did, transit, outward(3, "00.")};
  auto plan = Plan::compile(rows);
  EXPECT_EQ(extension_of(plan->decide(from_carrier("+493011102"))), "1002@office.example");
  EXPECT_EQ(status_of(plan->decide(from_carrier("030123456"))), 403);
  EXPECT_EQ(status_of(plan->decide(from_carrier("0044123456"))), 403);
  EXPECT_EQ(extension_of(plan->decide(from_carrier("*43"))),
            "*43@office.example");  // no feature codes from outside
  EXPECT_EQ(extension_of(plan->decide(from_carrier("701"))), "701@office.example");
  rows.trunks[0].inbound_class = CallClass::national;
  plan = Plan::compile(rows);
  const Decision through = plan->decide(from_carrier("030123456"));
  EXPECT_EQ(as<TrunkCall>(through).hops.at(0).caller_number, "+49170555");
  CallRequest stranger = from_carrier("1002");
  stranger.source = FromTrunk{"nobody", ""};
  EXPECT_EQ(status_of(plan->decide(stranger)), 403);
}

TEST(Plan, OtherDomainsAreReachedButNotUsed) {
  auto rows = office();
  RouteRow out = outward(1, "0.");
  RouteRow lab_out = out;
  lab_out.id = 2;
  lab_out.domain = "lab.example";
  rows.routes = {out, lab_out};
  const auto plan = Plan::compile(rows);
  EXPECT_EQ(extension_of(plan->decide(from_1001("sip:bob@lab.example"))), "bob@lab.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("sip:030123456@lab.example"))), "030123456@lab.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("sip:*43@lab.example"))), "*43@lab.example");
  EXPECT_EQ(status_of(plan->decide(from_1001("sip:bob@elsewhere.example"))), 403);
  CallRequest by_plan = from_1001("sip:bob@elsewhere.example");
  by_plan.source = FromPlan{};
  EXPECT_EQ(as<ExternalUri>(plan->decide(by_plan)).uri, "sip:bob@elsewhere.example");
}

TEST(Plan, FeatureCodes) {
  const auto plan = Plan::compile(office());
  const auto feature = [&](const char* dialled) { return as<FeatureCall>(plan->decide(from_1001(dialled))); };
  EXPECT_EQ(feature("*721002").kind, Feature::forward_always_on);
  EXPECT_EQ(feature("*721002").argument, "1002");
  EXPECT_EQ(feature("*72*1002#").argument, "1002");
  EXPECT_EQ(status_of(plan->decide(from_1001("*72"))), 484);
  EXPECT_EQ(feature("*73").kind, Feature::forward_always_off);
  EXPECT_EQ(feature("*90030123").argument, "030123");
  EXPECT_EQ(feature("*921002").kind, Feature::forward_no_answer_on);
  EXPECT_EQ(feature("*78").kind, Feature::dnd_on);
  EXPECT_EQ(feature("*79").kind, Feature::dnd_off);
  EXPECT_EQ(feature("*8").kind, Feature::pickup_group);
  EXPECT_EQ(feature("*8").argument, "sales");
  EXPECT_EQ(feature("*81002").kind, Feature::pickup_directed);
  EXPECT_EQ(feature("*81002").argument, "1002");
  EXPECT_EQ(feature("**1002").argument, "1002");
  EXPECT_EQ(feature("*68").kind, Feature::park);
  EXPECT_EQ(feature("*68705").argument, "705");
  EXPECT_EQ(feature("700").kind, Feature::park);
  EXPECT_EQ(feature("701").kind, Feature::unpark);
  EXPECT_EQ(feature("720").argument, "720");
  EXPECT_TRUE(plan->decide(from_1001("701")).local_first);  // an extension of that number goes first
  EXPECT_EQ(extension_of(plan->decide(from_1001("721"))), "721@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("*431"))), "*431@office.example");
  CallRequest transferred = from_1001("705");
  transferred.diverted = true;
  EXPECT_EQ(as<FeatureCall>(plan->decide(transferred)).kind, Feature::park);
  transferred.dialled = "*721002";
  EXPECT_EQ(status_of(plan->decide(transferred)), 403);
}

TEST(Plan, FeatureRowsReplaceDefaults) {
  auto rows = office();
  rows.feature_codes = {{"", "*21", true, Feature::forward_always_on},
                        {"", "*43", false, Feature::echo},
                        {"lab.example", "*43", true, Feature::hold_music}};
  port::ParkRow park;
  park.domain = "lab.example";
  park.first_slot = 1;
  park.last_slot = 2;
  port::ParkRow none;
  none.domain = "office.example";
  none.enabled = false;
  rows.parks = {park, none};
  const auto plan = Plan::compile(rows);
  EXPECT_EQ(as<FeatureCall>(plan->decide(from_1001("*211002"))).kind, Feature::forward_always_on);
  EXPECT_EQ(extension_of(plan->decide(from_1001("*43"))), "*43@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("701"))), "701@office.example");
  EXPECT_EQ(plan->park("office.example"), nullptr);
  CallRequest lab = from_1001("*43");
  lab.domain = "lab.example";
  EXPECT_EQ(as<FeatureCall>(plan->decide(lab)).kind, Feature::hold_music);
  lab.dialled = "2";
  EXPECT_EQ(as<FeatureCall>(plan->decide(lab)).kind, Feature::unpark);
  ASSERT_NE(plan->park("LAB.example"), nullptr);
  EXPECT_EQ(plan->park("LAB.example")->last_slot, 2U);
}

TEST(Plan, TimeAndCallerConditions) {
  auto rows = office();
  port::TimeRuleRow t;
  t.domain = "office.example";
  t.name = "open";
  t.weekdays = 0x1f;
  t.from_minute = 540;
  t.to_minute = 1020;
  rows.time_rules = {t};
  RouteRow day = route(1, "200", RouteRow::Action::extension), night = day, boss = day;
  day.target = "1001";
  day.time_rule = "open";
  night.id = 2;
  night.target = "1009";
  night.time_rule = "!open";
  boss.id = 3;
  boss.priority = 1;
  boss.caller_pattern = "+49170.";
  boss.from_trunk = "*";
  boss.target = "1005";
  rows.routes = {day, night, boss};
  const auto plan = Plan::compile(rows);
  CallRequest c = from_1001("200");
  c.wall = {1'800'000'000LL * 1'000'000'000};  // Friday 2027-01-15, 08:00 UTC
  EXPECT_EQ(extension_of(plan->decide(c)), "1009@office.example");
  c.wall = c.wall + hours(2);
  EXPECT_EQ(extension_of(plan->decide(c)), "1001@office.example");
  c.wall = c.wall + hours(24);
  EXPECT_EQ(extension_of(plan->decide(c)), "1009@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_carrier("200"))), "1005@office.example");
}

// ---- menus, mailboxes, conferences

port::PlanRows with_services() {
  auto rows = office();
  port::TimeRuleRow t;
  t.domain = "office.example";
  t.name = "open";
  t.weekdays = 0x1f;
  t.from_minute = 540;
  t.to_minute = 1020;
  rows.time_rules = {t};
  rows.menus = {{"office.example", "800"}, {"office.example", "off", false}};
  rows.menu_choices = {{"office.example", "800", 3, "1", "", "1001"},
                       {"office.example", "800", 1, "1", "open", "1002"},
                       {"office.example", "800", 2, "2", "!open", "1003"},
                       {"office.example", "800", 4, "9", "", ""}};
  port::MailboxRow box;
  box.domain = "office.example";
  box.user = "1002";
  rows.mailboxes = {box};
  rows.conferences = {{"office.example", "900"}};
  return rows;
}

std::string service_of(const Decision& d) {
  const auto* s = std::get_if<ServiceCall>(&d.action);
  if (s == nullptr) return d.action.index() == 0 ? std::to_string(std::get<Reject>(d.action).status) : "";
  constexpr const char* kinds[] = {"menu ", "voicemail ", "conference "};
  return kinds[static_cast<size_t>(s->kind)] + s->name + "@" + s->domain;
}

TEST(Plan, MenusAndConferencesAreDialledByName) {
  const auto plan = Plan::compile(with_services());
  EXPECT_TRUE(plan->errors().empty());
  EXPECT_EQ(service_of(plan->decide(from_1001("800"))), "menu 800@office.example");
  EXPECT_EQ(service_of(plan->decide(from_1001("900"))), "conference 900@office.example");
  EXPECT_EQ(service_of(plan->decide(from_carrier("900"))), "conference 900@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("off"))), "off@office.example");
  EXPECT_EQ(extension_of(plan->decide(from_1001("1002"))), "1002@office.example") << "not its mailbox";
  CallRequest stranger = from_1001("sip:900@office.example");
  std::get<FromSubscriber>(stranger.source).aor.domain = stranger.domain = "lab.example";
  EXPECT_EQ(service_of(plan->decide(stranger)), "") << "another domain's services are not lent";
}

TEST(Plan, ARouteComesBeforeAName) {
  auto rows = with_services();
  RouteRow exact = route(1, "800", RouteRow::Action::extension), open = outward(2, "9.");
  exact.target = "1001";
  rows.routes = {exact, open};
  const auto plan = Plan::compile(rows);
  EXPECT_EQ(extension_of(plan->decide(from_1001("800"))), "1001@office.example");
  EXPECT_EQ(service_of(plan->decide(from_1001("900"))), "conference 900@office.example");
}

TEST(Plan, RoutesLeadToServices) {
  auto rows = with_services();
  RouteRow menu = route(1, "0123", RouteRow::Action::menu),
           number = route(2, "7XXXX", RouteRow::Action::voicemail),
           room = route(3, "55", RouteRow::Action::conference),
           other = route(4, "56", RouteRow::Action::voicemail);
  menu.from_trunk = "*";
  menu.target = "800";
  number.strip = 1;

  room.target = "900";
  other.domain = "lab.example";
  other.target = "1002@office.example";
  rows.routes = {menu, number, room, other};
  number.from_trunk = "*";
  number.id = 5;
  rows.routes.push_back(number);
  const auto plan = Plan::compile(rows);
  EXPECT_TRUE(plan->errors().empty());
  EXPECT_EQ(service_of(plan->decide(from_carrier("0123"))), "menu 800@office.example");
  EXPECT_EQ(service_of(plan->decide(from_carrier("71002"))), "voicemail 1002@office.example");
  EXPECT_EQ(service_of(plan->decide(from_1001("71001"))), "404") << "no such mailbox";
  EXPECT_EQ(service_of(plan->decide(from_1001("55"))), "conference 900@office.example");
  CallRequest lab = from_1001("56");
  std::get<FromSubscriber>(lab.source).aor.domain = lab.domain = "lab.example";
  EXPECT_EQ(service_of(plan->decide(lab)), "voicemail 1002@office.example");
}

TEST(Plan, VoicemailCodes) {
  const auto plan = Plan::compile(with_services());
  const auto feature = [&](const char* dialled) { return as<FeatureCall>(plan->decide(from_1001(dialled))); };
  EXPECT_EQ(feature("*97").kind, Feature::voicemail);
  EXPECT_EQ(feature("*98").kind, Feature::voicemail_other);
  EXPECT_EQ(feature("*98").argument, "");
  EXPECT_EQ(feature("*981002").argument, "1002");
  EXPECT_EQ(feature("*98*1002#").argument, "1002");
  EXPECT_EQ(feature("*991002").kind, Feature::voicemail_leave);
  EXPECT_EQ(feature("*991002").argument, "1002");
  EXPECT_EQ(service_of(plan->decide(from_1001("*99"))), "484");
  for (const Feature f : {Feature::voicemail, Feature::voicemail_other, Feature::voicemail_leave})
    EXPECT_FALSE(harmless(f)) << "a caller from outside is given no mailbox by a code";
}

TEST(Plan, AMenuHasTheChoicesThatHoldNow) {
  const auto plan = Plan::compile(with_services());
  const auto targets = [&](Duration later) {
    std::string out;
    for (const auto* c :
         plan->menu("Office", "800", WallTime{1'800'000'000LL * 1'000'000'000} + later).choices)
      out += c->keys + ":" + c->target + " ";
    return out;
  };
  EXPECT_EQ(targets(hours(0)), "2:1003 1:1001 9: ");  // Friday 2027-01-15, 08:00 UTC
  EXPECT_EQ(targets(hours(2)), "1:1002 9: ");
  EXPECT_EQ(plan->menu("office.example", "off", {}).row, nullptr);
  EXPECT_EQ(plan->menu("lab.example", "800", {}).row, nullptr);
  ASSERT_NE(plan->mailbox("office.example", "1002"), nullptr);
  EXPECT_EQ(plan->mailbox("office.example", "1001"), nullptr);
  ASSERT_NE(plan->conference("Office", "900"), nullptr);
  EXPECT_EQ(plan->conference("office.example", "900")->members, 200U);
}

TEST(Plan, BadServicesAreLeftOutAlone) {
  auto rows = with_services();
  rows.menus.push_back(rows.menus[0]);
  rows.menus.push_back({"nowhere.example", "801"});
  rows.menu_choices.push_back({"office.example", "802", 1, "1", "", "1001"});
  rows.menu_choices.push_back({"office.example", "off", 1, "1", "", "1001"});  // switched off: no error
  rows.menu_choices.push_back({"office.example", "800", 5, "3", "never", "1001"});
  rows.menu_choices.push_back({"office.example", "800", 6, "x", "", "1001"});
  port::MailboxRow box = rows.mailboxes[0];
  box.user = "1003";
  box.time_zone = "Mars/Olympus";
  rows.mailboxes.push_back(box);
  RouteRow menu = route(1, "1", RouteRow::Action::menu), mail = route(2, "2", RouteRow::Action::voicemail),
           room = route(3, "3", RouteRow::Action::conference);
  menu.target = mail.target = room.target = "nobody";
  rows.routes = {menu, mail, room};
  const auto plan = Plan::compile(rows);
  using K = RowError::Kind;
  std::vector<K> kinds;
  for (const RowError& e : plan->errors()) kinds.push_back(e.kind);
  EXPECT_THAT(kinds, ::testing::UnorderedElementsAre(
                         K::duplicate, K::unknown_target, K::unknown_target, K::unknown_target, K::bad_number,
                         K::bad_time, K::unknown_target, K::unknown_target, K::unknown_target));
  EXPECT_EQ(plan->menu("office.example", "800", {}).choices.size(), 3U);
}

TEST(Plan, ExplainsItself) {
  auto rows = office();
  RouteRow internal_only = outward(2, "0.");
  internal_only.from_trunk = "carrier";
  rows.routes = {outward(1, "00."), internal_only, outward(3, "0.")};
  const auto plan = Plan::compile(rows);
  const Decision d = plan->explain(from_1001("030123456", CallClass::internal));
  EXPECT_THAT(d.why, Contains(HasSubstr("route 2: no, it is for calls from trunk carrier")));
  EXPECT_THAT(d.why, Contains(HasSubstr("route 3: yes, 030123456 matches 0.")));
  EXPECT_THAT(d.why, Contains(HasSubstr("route 1: no, 030123456 does not match 00.")));
  EXPECT_THAT(d.why, Contains(HasSubstr("refused, it takes national and the caller may only internal")));
  EXPECT_EQ(d.rule, "route 3");
  EXPECT_TRUE(plan->decide(from_1001("030123456")).why.empty());
}

TEST(Plan, AliasesEnd) {
  auto rows = office();
  RouteRow a = route(1, "300", RouteRow::Action::number), b = route(2, "301", RouteRow::Action::number);
  a.target = "301";
  b.target = "1002";
  rows.routes = {a, b};
  EXPECT_EQ(extension_of(Plan::compile(rows)->decide(from_1001("300"))), "1002@office.example");
  rows.routes[1].target = "300";
  EXPECT_EQ(status_of(Plan::compile(rows)->decide(from_1001("300"))), 482);
}

TEST(Plan, BadRowsAreLeftOutAlone) {
  auto rows = office();
  rows.trunks.push_back(rows.trunks[0]);
  port::TrunkRow bad = rows.trunks[0];
  bad.name = "bad";
  bad.sources = {"10.0.0.0/33"};
  rows.trunks.push_back(bad);
  RouteRow good = outward(1, "0."), pattern = outward(2, "1[2"), target = outward(3, "2."),
           rule = outward(4, "3."), group = route(5, "4", RouteRow::Action::ring_group),
           status = route(6, "5", RouteRow::Action::reject);
  target.targets = {"nobody"};
  rule.time_rule = "never";
  group.target = "none";
  RouteRow domain = outward(7, "6.");
  domain.domain = "other.example";
  good.targets = {"carrier", "bad"};
  rows.routes = {good, pattern, target, rule, group, status, domain};
  rows.feature_codes = {{"", "abc", true, Feature::echo}};
  const auto plan = Plan::compile(rows);
  std::vector<RowError::Kind> kinds;
  for (const RowError& e : plan->errors()) {
    kinds.push_back(e.kind);
    EXPECT_FALSE(e.text.empty());
  }
  using K = RowError::Kind;
  EXPECT_THAT(kinds,
              ::testing::UnorderedElementsAre(K::duplicate, K::bad_address, K::bad_number, K::unknown_target,
                                              K::bad_pattern, K::unknown_target, K::unknown_target,
                                              K::unknown_target, K::bad_number, K::unknown_target));
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("0301234567"))).hops.size(), 1U);
}

TEST(Plan, SwitchedOffTrunks) {
  auto rows = office();
  rows.routes = {outward(1, "0."), outward(2, "1.")};
  rows.routes[1].targets = {"carrier"};
  rows.trunks[0].enabled = false;
  const auto plan = Plan::compile(rows);
  EXPECT_TRUE(plan->errors().empty());
  EXPECT_EQ(as<TrunkCall>(plan->decide(from_1001("0301234567"))).hops.at(0).trunk, "backup");
  EXPECT_EQ(status_of(plan->decide(from_1001("1301234567"))), 503);
  EXPECT_EQ(plan->trunk("carrier"), nullptr);
}

TEST(Plan, FindsTrunksByAddressAndContact) {
  auto rows = office();
  port::TrunkRow part = rows.trunks[1];
  part.name = "part";
  part.sources = {"198.51.100.16/28"};
  port::TrunkRow secure = part;
  secure.name = "secure";
  secure.transport = port::Transport::tls;
  secure.sources = {"198.51.100.99"};
  secure.realm = "outside";
  rows.trunks.push_back(part);
  rows.trunks.push_back(secure);
  const std::vector<std::string> realms = {"inside", "outside"};
  const auto plan = Plan::compile(rows, realms);
  ASSERT_TRUE(plan->errors().empty());
  const auto by = [&](const char* ip, port::Transport t, port::RealmId realm) {
    const Trunk* trunk = plan->trunk_by_source(*IpAddress::parse(ip), t, realm);
    return trunk != nullptr ? trunk->row.name : std::string();
  };
  using port::Transport;
  EXPECT_EQ(by("203.0.113.5", Transport::udp, 0), "carrier");  // its host is an address
  EXPECT_EQ(by("198.51.100.17", Transport::tcp, 0), "part");
  EXPECT_EQ(by("198.51.100.7", Transport::udp, 0), "backup");
  EXPECT_EQ(by("198.51.100.99", Transport::tls, 1), "secure");
  EXPECT_EQ(by("198.51.100.99", Transport::udp, 1), "");
  EXPECT_EQ(by("198.51.100.99", Transport::udp, 0), "backup");
  EXPECT_EQ(by("192.0.2.1", Transport::udp, 0), "");
  rows.trunks[3].realm = "nowhere";
  EXPECT_EQ(Plan::compile(rows, realms)->errors().size(), 1U);
}

TEST(Plan, FindsTrunksByCertificate) {
  auto rows = office();
  port::TrunkRow trunk = rows.trunks[1];
  trunk.name = "east";
  trunk.transport = port::Transport::tls;
  trunk.tls_name = "SBC.carrier.example";
  trunk.sources = {"198.51.100.16/28"};
  rows.trunks.push_back(trunk);
  trunk.name = "anywhere";
  trunk.sources.clear();
  rows.trunks.push_back(trunk);
  trunk.name = "plain";
  trunk.transport = port::Transport::udp;
  rows.trunks.push_back(trunk);
  const auto plan = Plan::compile(rows);
  ASSERT_EQ(plan->errors().size(), 1U);  // a name needs TLS
  EXPECT_EQ(plan->errors()[0].row, "plain");
  const auto by = [&](const char* ip, std::vector<std::string> names, port::RealmId realm = 0) {
    const Trunk* found = plan->trunk_by_certificate(names, *IpAddress::parse(ip), realm);
    return found != nullptr ? found->row.name : std::string();
  };
  EXPECT_EQ(by("198.51.100.17", {"other.example", "sbc.carrier.example"}), "east");
  EXPECT_EQ(by("192.0.2.1", {"sbc.carrier.example"}), "anywhere");
  EXPECT_EQ(by("192.0.2.1", {"sbc.carrier.example"}, 1), "");
  EXPECT_EQ(by("192.0.2.1", {"carrier.example"}), "");
  EXPECT_EQ(by("198.51.100.17", {}), "");
  // Its address alone is not enough any more: the next wider block's trunk is found.
  const Trunk* by_address =
      plan->trunk_by_source(*IpAddress::parse("198.51.100.17"), port::Transport::tls, 0);
  ASSERT_NE(by_address, nullptr);
  EXPECT_EQ(by_address->row.name, "backup");
}

TEST(Plan, RandomPlansAlwaysDecide) {
  SeededRng rng(11);
  const auto text = [&](std::string_view alphabet, size_t most) {
    std::string out;
    for (size_t n = rng.below(most + 1); n > 0; --n) out += alphabet[rng.below(alphabet.size())];
    return out;
  };
  for (int round = 0; round < 150; ++round) {
    auto rows = office();
    if (rng.below(4) == 0) rows.domains.clear();
    for (uint32_t g = 0; g < 6; ++g) {
      port::RingGroupRow group;
      group.domain = "office.example";
      group.name = std::to_string(g);
      group.strategy = static_cast<port::RingGroupRow::Strategy>(rng.below(4));
      group.timeout_seconds = static_cast<uint32_t>(rng.below(60));
      rows.ring_groups.push_back(group);
      for (uint32_t m = 0; m < rng.below(8); ++m)
        rows.ring_group_members.push_back({"office.example", group.name, m, text("0123456", 2),
                                           static_cast<uint32_t>(rng.below(20)),
                                           static_cast<uint32_t>(rng.below(30))});
    }
    for (const char* name : {"1", "20", "3"}) {
      rows.menus.push_back({"office.example", name});
      rows.conferences.push_back({"office.example", text("0123456", 2)});
      rows.mailboxes.push_back({"office.example", text("0123456", 2)});
    }
    for (uint64_t i = 0; i < 40; ++i) {
      RouteRow r = route(i, "", static_cast<RouteRow::Action>(rng.below(11)));
      r.pattern = text("012xzn[]-.!*", 4);
      r.target = text("0123456", 2);
      if (rng.below(2)) r.targets = {"carrier"};
      r.priority = static_cast<uint32_t>(rng.below(3));
      r.strip = static_cast<uint32_t>(rng.below(3));
      r.prefix = text("012", 1);
      r.status = 603;
      if (rng.below(3) == 0) r.domain.clear();
      if (rng.below(5) == 0) r.from_trunk = "*";
      rows.routes.push_back(r);
    }
    const auto plan = Plan::compile(rows);
    for (int i = 0; i < 60; ++i) {
      CallRequest c = rng.below(3) ? from_1001(text("0123456*+", 5)) : from_carrier(text("0123456", 4));
      c.seed = rng.next();
      const Decision d = plan->decide(c);
      if (const auto* group = std::get_if<RingGroup>(&d.action)) {
        EXPECT_FALSE(group->steps.empty());
        EXPECT_LE(group->steps.size(), Plan::max_ring_steps);
        for (const RingStep& s : group->steps) {
          EXPECT_GT(s.ring.count(), 0);
          EXPECT_LE(s.start + s.ring, group->timeout);
        }
      }
      if (const auto* call = std::get_if<TrunkCall>(&d.action)) {
        EXPECT_FALSE(call->hops.empty());
        if (std::holds_alternative<FromTrunk>(c.source)) {
          ADD_FAILURE() << "a trunk of class internal got out: " << c.dialled;
        }
      }
      if (const auto* reject = std::get_if<Reject>(&d.action)) {
        EXPECT_GE(reject->status, 400);
      }
      if (const auto* service = std::get_if<ServiceCall>(&d.action)) {
        EXPECT_TRUE(service->kind != ServiceCall::Kind::voicemail ||
                    plan->mailbox(service->domain, service->name) != nullptr);
      }
      EXPECT_EQ(plan->explain(c).action.index(), d.action.index());
    }
  }
}

}  // namespace
}  // namespace tandem::route
