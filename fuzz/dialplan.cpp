// rooms: route sip base port
// Digit patterns, time zones and dialled text: whatever an operator or a phone writes, the plan compiles and
// decides.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "route/pattern.h"
#include "route/plan.h"
#include "route/zone.h"

using namespace tandem;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Three texts, parted by newlines: a pattern, a zone, what is dialled.
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::string_view text[3];
  for (std::string_view& t : text) {
    t = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(t.size() < rest.size() ? t.size() + 1 : rest.size());
  }
  if (const auto zone = route::Zone::parse(text[1]); zone.ok())
    for (const int64_t s :
         {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1'800'000'000'000'000'000}, INT64_MAX}) {
      const route::LocalTime local = zone->local({s});
      if (local.month < 1 || local.month > 12 || local.minute > 1439) __builtin_trap();
    }
  port::PlanRows rows;
  port::RouteRow row;
  row.pattern = text[0];
  row.caller_pattern = text[0];
  row.action = port::RouteRow::Action::number;
  row.target = text[2];
  row.strip = 1;
  rows.routes = {row};
  rows.ring_groups.push_back({"d", "600"});
  rows.ring_group_members.push_back({"d", "600", 0, std::string(text[2]), 0, 0});
  rows.menus.push_back({"d", "800"});
  rows.menu_choices.push_back(
      {"d", "800", 1, std::string(text[0]), std::string(text[1]), std::string(text[2])});
  port::MailboxRow mailbox;
  mailbox.domain = "d";
  mailbox.user = text[2];
  mailbox.time_zone = text[1];
  rows.mailboxes.push_back(mailbox);
  const auto plan = route::Plan::compile(rows);
  route::CallRequest request;
  request.source = route::FromSubscriber{{"1001", "d"}, port::CallClass::international, "", ""};
  request.dialled = text[2];
  request.domain = "d";
  const route::Decision d = plan->decide(request);
  if (plan->explain(request).action.index() != d.action.index()) __builtin_trap();
  for (const char* number : {"600", "800"}) {
    request.dialled = number;
    plan->decide(request);
  }
  for (const auto* choice : plan->menu("d", "800", {}).choices)
    if (choice->keys.empty() || choice->keys.size() > 8) __builtin_trap();
  return 0;
}
