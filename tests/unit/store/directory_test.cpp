// The contract of port::Directory, run over the SQL one and its twin in memory.
#include <gtest/gtest.h>

#include "samples.h"
#include "store/sql_directory.h"
#include "store_memory/memory_directory.h"

namespace tandem::store_test {
namespace {

using port::Directory;
using port::PlanRow;
using Kind = port::StoreError::Kind;
using Put = Directory::Put;

class DirectoryContract : public testing::TestWithParam<std::string> {
 protected:
  DirectoryContract() {
    if (GetParam() == "sql")
      directory_ = std::make_unique<store::SqlDirectory>(scratch_ / "tandem.db");
    else
      directory_ = std::make_unique<store_memory::MemoryDirectory>();
  }
  Directory& dir() { return *directory_; }
  void put(const PlanRow& row) {
    const auto done = dir().put_plan_row(row, Put::create);
    ASSERT_TRUE(done.ok()) << done.reason().text;
  }
  void put(const port::Subscriber& row) {
    const auto done = dir().put_subscriber(row, Put::create);
    ASSERT_TRUE(done.ok()) << done.reason().text;
  }
  template <class T>
  static Kind kind_of(const port::StoreResult<T>& r) {
    EXPECT_FALSE(r.ok());
    return r.ok() ? Kind::internal : r.reason().kind;
  }

  Scratch scratch_;
  std::unique_ptr<Directory> directory_;
};
INSTANTIATE_TEST_SUITE_P(Twins, DirectoryContract, testing::Values("sql", "memory"),
                         [](const auto& p) { return p.param; });

TEST_P(DirectoryContract, SubscriberComesBackWhole) {
  put(domain("example.org"));
  const auto sample = subscriber("1001", "example.org");
  const uint64_t before = dir().subscribers_version().value();
  put(sample);
  const auto got = dir().subscriber(sample.aor);
  ASSERT_TRUE(got.ok()) << got.reason().text;
  EXPECT_EQ(got->aor, sample.aor);
  EXPECT_TRUE(got->enabled);
  EXPECT_EQ(got->ha1.md5, sample.ha1.md5);
  EXPECT_EQ(got->ha1.sha256, sample.ha1.sha256);
  EXPECT_EQ(got->ha1.sha512_256, sample.ha1.sha512_256);
  EXPECT_EQ(got->display_name, "Subscriber 1001");
  EXPECT_EQ(got->caller_number, "+493012341001");
  EXPECT_EQ(got->call_class, port::CallClass::national);
  EXPECT_EQ(got->forwarding.always, "1");
  EXPECT_EQ(got->forwarding.busy, "2");
  EXPECT_EQ(got->forwarding.no_answer, "3");
  EXPECT_EQ(got->forwarding.unreachable, "4");
  EXPECT_EQ(got->forwarding.no_answer_seconds, 33u);
  EXPECT_EQ(got->max_contacts, 3u);
  EXPECT_EQ(got->max_calls, 2u);
  EXPECT_EQ(got->pickup_group, "sales");
  EXPECT_GT(got->revision, before);
  EXPECT_EQ(dir().subscribers_version().value(), got->revision);
}

TEST_P(DirectoryContract, PutModesAndKeptSecret) {
  put(domain("example.org"));
  auto row = subscriber("1001", "example.org");
  EXPECT_EQ(kind_of(dir().put_subscriber(row, Put::replace)), Kind::not_found);
  put(row);
  EXPECT_EQ(kind_of(dir().put_subscriber(row, Put::create)), Kind::conflict);
  row.ha1 = {};
  row.display_name = "Robert'); DROP TABLE subscribers;--";
  ASSERT_TRUE(dir().put_subscriber(row, Put::replace).ok());
  const auto got = dir().subscriber(row.aor);
  EXPECT_EQ(got->ha1.md5, std::string(32, 'a'));
  EXPECT_EQ(got->display_name, row.display_name);
  row.aor.domain = "elsewhere.org";
  EXPECT_EQ(kind_of(dir().put_subscriber(row, Put::create)), Kind::conflict) << "no such domain";
  row.aor = {"bad user", "example.org"};
  EXPECT_EQ(kind_of(dir().put_subscriber(row, Put::create)), Kind::invalid);
}

TEST_P(DirectoryContract, SameUserInTwoDomains) {
  put(domain("a.org"));
  put(domain("b.org"));
  put(subscriber("1001", "a.org"));
  auto other = subscriber("1001", "b.org");
  other.display_name = "Other";
  put(other);
  ASSERT_TRUE(dir().remove_subscriber({"1001", "a.org"}).ok());
  EXPECT_EQ(kind_of(dir().subscriber({"1001", "a.org"})), Kind::not_found);
  EXPECT_EQ(dir().subscriber({"1001", "b.org"})->display_name, "Other");
}

TEST_P(DirectoryContract, ListsInPagesAndSearches) {
  put(domain("a.org"));
  put(domain("b.org"));
  for (int i = 0; i < 7; ++i) put(subscriber("10" + std::to_string(i), i < 5 ? "a.org" : "b.org"));
  port::SubscriberQuery query;
  query.limit = 3;
  std::vector<std::string> seen;
  for (int pages = 0; pages < 4; ++pages) {
    const auto page = dir().list_subscribers(query);
    ASSERT_TRUE(page.ok());
    for (const auto& row : page->rows) seen.push_back(row.aor.to_string());
    query.cursor = page->next;
    if (page->next.empty()) break;
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"100@a.org", "101@a.org", "102@a.org", "103@a.org", "104@a.org",
                                            "105@b.org", "106@b.org"}));
  query = {};
  query.domain = "b.org";
  query.search = "SUBSCRIBER 106";
  const auto found = dir().list_subscribers(query);
  ASSERT_EQ(found->rows.size(), 1u);
  EXPECT_EQ(found->rows[0].aor.user, "106");
}

TEST_P(DirectoryContract, FeaturesOfASubscriber) {
  put(domain("example.org"));
  put(subscriber("1001", "example.org"));
  using F = port::SetFeature;
  const port::AddressOfRecord aor{"1001", "example.org"};
  const uint64_t before = dir().subscriber(aor)->revision;
  ASSERT_TRUE(dir().set_feature({aor, F::Kind::dnd, "1"}).ok());
  ASSERT_TRUE(dir().set_feature({aor, F::Kind::forward_busy, "1009"}).ok());
  ASSERT_TRUE(dir().set_feature({aor, F::Kind::forward_always, ""}).ok());
  const auto row = dir().subscriber(aor);
  EXPECT_TRUE(row->do_not_disturb);
  EXPECT_EQ(row->forwarding.busy, "1009");
  EXPECT_EQ(row->forwarding.always, "");
  EXPECT_EQ(row->forwarding.no_answer, "3");
  EXPECT_EQ(row->revision, before + 3);
  EXPECT_EQ(kind_of(dir().set_feature({{"x", "example.org"}, F::Kind::dnd, "1"})), Kind::not_found);
}

TEST_P(DirectoryContract, PlanRowsComeBackAndTheVersionGrows) {
  const uint64_t start = dir().plan_version().value();
  put(domain("example.org"));
  port::TrunkRow trunk;
  trunk.name = "carrier";
  trunk.domain = "example.org";
  trunk.kind = port::TrunkRow::Kind::registration;
  trunk.host = "sip.carrier.example";
  trunk.port = 5061;
  trunk.transport = port::Transport::tls;
  trunk.user = "tandem";
  trunk.auth_realm = "carrier";
  trunk.ha1.md5 = std::string(32, 'd');
  trunk.sources = {"192.0.2.0/28", "2001:db8::/48"};
  trunk.codecs = {"PCMA", "G722"};
  trunk.dtmf = port::DtmfPolicy::info;
  trunk.max_calls = 30;
  trunk.inbound_class = port::CallClass::national;
  trunk.send_e164 = true;
  put(trunk);
  port::RouteRow route;
  route.domain = "example.org";
  route.pattern = "0X.";
  route.action = port::RouteRow::Action::trunk;
  route.targets = {"carrier", "backup"};
  route.strip = 1;
  route.prefix = "49";
  const auto late = dir().put_plan_row(route, Put::create);
  route.priority = 10;
  route.name = "first";
  const auto early = dir().put_plan_row(route, Put::create);
  ASSERT_TRUE(early.ok()) << early.reason().text;
  EXPECT_NE(early->id, late->id);
  port::RingGroupRow group;
  group.domain = "example.org";
  group.name = "600";
  group.strategy = port::RingGroupRow::Strategy::sequential;
  put(group);
  put(port::RingGroupMemberRow{"example.org", "600", 2, "1002", 5, 0});
  put(port::RingGroupMemberRow{"example.org", "600", 1, "1001", 0, 9});
  put(port::FeatureCodeRow{"", "*43", true, port::Feature::echo});
  port::TimeRuleRow hours;
  hours.domain = "example.org";
  hours.name = "open";
  hours.time_zone = "CET-1CEST,M3.5.0,M10.5.0/3";
  hours.weekdays = 0x1f;
  hours.from_minute = 540;
  hours.to_date = "12-23";
  hours.except = true;
  put(hours);
  put(port::ParkRow{"example.org", true, 701, 709, 60, "1001"});

  const auto rows = dir().plan_rows();
  ASSERT_TRUE(rows.ok()) << rows.reason().text;
  EXPECT_EQ(rows->version, start + 10);
  ASSERT_EQ(rows->domains.size(), 1u);
  EXPECT_EQ(rows->domains[0], domain("example.org"));
  ASSERT_EQ(rows->trunks.size(), 1u);
  EXPECT_EQ(rows->trunks[0].sources, trunk.sources);
  EXPECT_EQ(rows->trunks[0].codecs, trunk.codecs);
  EXPECT_EQ(rows->trunks[0].dtmf, trunk.dtmf);
  EXPECT_EQ(rows->trunks[0].kind, trunk.kind);
  EXPECT_EQ(rows->trunks[0].transport, port::Transport::tls);
  EXPECT_EQ(rows->trunks[0].ha1.md5, trunk.ha1.md5);
  EXPECT_TRUE(rows->trunks[0].send_e164);
  ASSERT_EQ(rows->routes.size(), 2u);
  EXPECT_EQ(rows->routes[0].name, "first");
  EXPECT_EQ(rows->routes[0].targets, route.targets);
  EXPECT_EQ(rows->routes[0].action, port::RouteRow::Action::trunk);
  ASSERT_EQ(rows->ring_groups.size(), 1u);
  EXPECT_EQ(rows->ring_groups[0].strategy, port::RingGroupRow::Strategy::sequential);
  ASSERT_EQ(rows->ring_group_members.size(), 2u);
  EXPECT_EQ(rows->ring_group_members[0].target, "1001");
  EXPECT_EQ(rows->feature_codes.at(0).feature, port::Feature::echo);
  EXPECT_EQ(rows->time_rules.at(0).time_zone, hours.time_zone);
  EXPECT_TRUE(rows->time_rules.at(0).except);
  EXPECT_EQ(rows->parks.at(0).last_slot, 709u);
}

TEST_P(DirectoryContract, PlanRowsKeepTheirReferences) {
  EXPECT_EQ(kind_of(dir().put_plan_row(port::ParkRow{"example.org"}, Put::create)), Kind::conflict);
  put(domain("example.org"));
  EXPECT_EQ(
      kind_of(dir().put_plan_row(port::RingGroupMemberRow{"example.org", "600", 1, "1001"}, Put::create)),
      Kind::conflict);
  port::RingGroupRow group;
  group.domain = "example.org";
  group.name = "600";
  put(group);
  put(port::RingGroupMemberRow{"example.org", "600", 1, "1001"});
  ASSERT_TRUE(dir().remove_plan_row(group).ok());
  EXPECT_TRUE(dir().plan_rows()->ring_group_members.empty());
  EXPECT_EQ(kind_of(dir().remove_plan_row(group)), Kind::not_found);

  port::RouteRow route;
  route.domain = "example.org";
  route.pattern = "X.";
  put(route);
  put(subscriber("1001", "example.org"));
  EXPECT_EQ(kind_of(dir().remove_plan_row(domain("example.org"))), Kind::conflict);
  ASSERT_TRUE(dir().remove_subscriber({"1001", "example.org"}).ok());
  ASSERT_TRUE(dir().remove_plan_row(domain("example.org")).ok());
  EXPECT_TRUE(dir().plan_rows()->routes.empty());
}

port::MailboxRow mailbox(const std::string& user) {
  port::MailboxRow row;
  row.domain = "example.org";
  row.user = user;
  row.pin = "4711";
  row.language = "ko";
  row.unanswered = false;
  row.max_messages = 3;
  row.max_seconds = 60;
  row.time_zone = "KST-9";
  row.email = "ann@example.org";
  row.attach = false;
  return row;
}

TEST_P(DirectoryContract, ServicesComeBackWhole) {
  put(domain("example.org"));
  port::MenuRow menu{"example.org", "800", true, "de", {"welcome", "hours.wav"}, 7, 4, 2, true, "1001"};
  put(menu);
  put(port::MenuChoiceRow{"example.org", "800", 2, "#", "!open", ""});
  put(port::MenuChoiceRow{"example.org", "800", 1, "12", "open", "1002"});
  put(mailbox("1001"));
  port::MailboxRow sent = mailbox("1002");
  sent.attach = sent.remove_sent = true;
  put(sent);
  port::ConferenceRow room{"example.org", "900", false, "1234", "9876", "ko", 7,
                           true,          true,  true,  true,   false};
  put(room);
  const auto rows = dir().plan_rows();
  ASSERT_TRUE(rows.ok()) << rows.reason().text;
  ASSERT_EQ(rows->menus.size(), 1U);
  EXPECT_EQ(rows->menus[0].language, "de");
  EXPECT_EQ(rows->menus[0].greeting, menu.greeting);
  EXPECT_EQ(rows->menus[0].wait_seconds, 7U);
  EXPECT_EQ(rows->menus[0].between_seconds, 4U);
  EXPECT_EQ(rows->menus[0].tries, 2U);
  EXPECT_TRUE(rows->menus[0].extensions);
  EXPECT_EQ(rows->menus[0].otherwise, "1001");
  ASSERT_EQ(rows->menu_choices.size(), 2U);
  EXPECT_EQ(rows->menu_choices[0].keys, "12");
  EXPECT_EQ(rows->menu_choices[0].target, "1002");
  EXPECT_EQ(rows->menu_choices[1].time_rule, "!open");
  ASSERT_EQ(rows->mailboxes.size(), 2U);
  EXPECT_TRUE(rows->mailboxes[1].attach && rows->mailboxes[1].remove_sent);
  const port::MailboxRow &got = rows->mailboxes[0], sample = mailbox("1001");
  EXPECT_EQ(got.pin, sample.pin);
  EXPECT_EQ(got.language, "ko");
  EXPECT_FALSE(got.unanswered);
  EXPECT_EQ(got.max_messages, 3U);
  EXPECT_EQ(got.max_seconds, 60U);
  EXPECT_EQ(got.time_zone, "KST-9");
  EXPECT_EQ(got.email, sample.email);
  EXPECT_FALSE(got.attach);
  EXPECT_FALSE(got.remove_sent);
  ASSERT_EQ(rows->conferences.size(), 1U);
  const port::ConferenceRow& c = rows->conferences[0];
  EXPECT_FALSE(c.enabled);
  EXPECT_EQ(c.pin + c.moderator_pin, "12349876");
  EXPECT_EQ(c.members, 7U);
  EXPECT_TRUE(c.lecture && c.muted && c.wait && c.ends);
  EXPECT_FALSE(c.announce);
}

TEST_P(DirectoryContract, ServicesKeepTheirReferences) {
  put(domain("example.org"));
  const port::MenuChoiceRow choice{"example.org", "800", 1, "1", "", "1002"};
  EXPECT_EQ(kind_of(dir().put_plan_row(choice, Put::create)), Kind::conflict);
  port::MenuRow menu;
  menu.domain = "example.org";
  menu.name = "800";
  put(menu);
  put(choice);
  ASSERT_TRUE(dir().remove_plan_row(menu).ok());
  EXPECT_TRUE(dir().plan_rows()->menu_choices.empty());

  port::Voicemail message;
  message.mailbox = {"1001", "example.org"};
  EXPECT_EQ(kind_of(dir().save_voicemail(message, 10)), Kind::conflict) << "no such mailbox";
  put(mailbox("1001"));
  ASSERT_TRUE(dir().save_voicemail(message, 10).ok());
  EXPECT_EQ(kind_of(dir().remove_plan_row(domain("example.org"))), Kind::conflict);
  ASSERT_TRUE(dir().remove_plan_row(mailbox("1001")).ok());
  put(mailbox("1001"));
  EXPECT_TRUE(dir().voicemails(message.mailbox)->empty()) << "messages go with their mailbox";
  ASSERT_TRUE(dir().remove_plan_row(mailbox("1001")).ok());
  EXPECT_TRUE(dir().remove_plan_row(domain("example.org")).ok());
}

TEST_P(DirectoryContract, VoiceMessagesAreKeptInOrderCountedAndBounded) {
  put(domain("example.org"));
  put(mailbox("1001"));
  put(mailbox("1002"));
  port::Voicemail m;
  m.mailbox = {"1001", "example.org"};
  m.from = "+4930123";
  m.from_display = "Bob \"B\" O'Neill";
  m.received = WallTime{1'795'615'500'000'000'000};
  m.length = milliseconds(4321);
  m.file = "example.org/1001/2026-11-25/a.wav";
  const auto first = dir().save_voicemail(m, 2);
  ASSERT_TRUE(first.ok()) << first.reason().text;
  m.file = "example.org/1001/2026-11-25/b.wav";
  const auto second = dir().save_voicemail(m, 2);
  EXPECT_GT(*second, *first);
  EXPECT_EQ(kind_of(dir().save_voicemail(m, 2)), Kind::limit);
  const auto all = dir().voicemails(m.mailbox);
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[0].id, *first);
  EXPECT_EQ((*all)[0].mailbox, m.mailbox);
  EXPECT_EQ((*all)[0].from, m.from);
  EXPECT_EQ((*all)[0].from_display, m.from_display);
  EXPECT_EQ((*all)[0].received, m.received);
  EXPECT_EQ((*all)[0].length, m.length);
  EXPECT_EQ((*all)[1].file, m.file);
  EXPECT_FALSE((*all)[0].heard);

  const port::AddressOfRecord other{"1002", "example.org"};
  EXPECT_EQ(kind_of(dir().mark_voicemail(other, *first, true)), Kind::not_found) << "not of that mailbox";
  EXPECT_EQ(kind_of(dir().remove_voicemail(other, *first)), Kind::not_found);
  ASSERT_TRUE(dir().mark_voicemail(m.mailbox, *first, true).ok());
  auto count = dir().count_voicemails(m.mailbox);
  EXPECT_EQ(count->fresh, 1U);
  EXPECT_EQ(count->old, 1U);
  ASSERT_TRUE(dir().remove_voicemail(m.mailbox, *second).ok());
  EXPECT_EQ(kind_of(dir().remove_voicemail(m.mailbox, *second)), Kind::not_found);
  EXPECT_EQ(dir().count_voicemails(m.mailbox)->fresh, 0U);
  EXPECT_EQ(dir().count_voicemails(other)->fresh + dir().count_voicemails(other)->old, 0U);
  EXPECT_GT(*dir().save_voicemail(m, 2), *second) << "an id is not given twice";
}

TEST_P(DirectoryContract, AMailboxOwnerChangesThePin) {
  put(domain("example.org"));
  put(mailbox("1001"));
  const uint64_t before = dir().plan_version().value();
  EXPECT_EQ(kind_of(dir().set_mailbox_pin({{"1001", "example.org"}, "12"})), Kind::invalid);
  EXPECT_EQ(kind_of(dir().set_mailbox_pin({{"9", "example.org"}, "1234"})), Kind::not_found);
  EXPECT_EQ(dir().plan_version().value(), before);
  ASSERT_TRUE(dir().set_mailbox_pin({{"1001", "example.org"}, "00123"}).ok());
  EXPECT_EQ(dir().plan_rows()->mailboxes.at(0).pin, "00123");
  EXPECT_EQ(dir().plan_rows()->mailboxes.at(0).email, "ann@example.org");
  EXPECT_GT(dir().plan_version().value(), before);
}

TEST_P(DirectoryContract, RouteIsReplacedById) {
  port::RouteRow route;
  route.pattern = "X.";
  EXPECT_EQ(kind_of(dir().put_plan_row(route, Put::replace)), Kind::not_found);
  route.id = dir().put_plan_row(route, Put::create)->id;
  route.pattern = "1XX";
  ASSERT_TRUE(dir().put_plan_row(route, Put::replace).ok());
  ASSERT_EQ(dir().plan_rows()->routes.size(), 1u);
  EXPECT_EQ(dir().plan_rows()->routes[0].pattern, "1XX");
  route.pattern = "1[2";
  EXPECT_EQ(kind_of(dir().put_plan_row(route, Put::replace)), Kind::invalid);
}

TEST_P(DirectoryContract, MessagesAreKeptInOrderAndBounded) {
  const port::AddressOfRecord to{"1001", "example.org"};
  port::StoredMessage m;
  m.to = to;
  m.from = "sip:1002@example.org";
  m.from_display = "Bob";
  m.content_type = "text/plain";
  m.received.ns = 77;
  std::vector<uint64_t> ids;
  for (uint32_t i = 0; i < port::max_stored_messages; ++i) {
    m.body = i == 0 ? std::string() : std::string("a\0b", 3) + std::to_string(i);
    const auto id = dir().save_message(m);
    ASSERT_TRUE(id.ok()) << id.reason().text;
    ids.push_back(*id);
  }
  EXPECT_EQ(kind_of(dir().save_message(m)), Kind::limit);
  const auto got = dir().messages(to, 2);
  ASSERT_EQ(got->size(), 2u);
  EXPECT_EQ((*got)[0].id, ids[0]);
  EXPECT_EQ((*got)[0].body, "");
  EXPECT_EQ((*got)[1].body, std::string("a\0b1", 4));
  EXPECT_EQ((*got)[1].from_display, "Bob");
  EXPECT_EQ((*got)[1].received.ns, 77);
  ASSERT_TRUE(dir().delete_messages(std::span(ids).first(99)).ok());
  ASSERT_EQ(dir().messages(to, 50)->size(), 1u);
  EXPECT_EQ(*dir().waiting(to), 1u);
  EXPECT_EQ(*dir().waiting({"nobody", "example.org"}), 0u);
  EXPECT_EQ((*dir().messages(to, 50))[0].id, ids[99]);
}

TEST_P(DirectoryContract, BindingsAreReplacedPerAddress) {
  const auto binding = [](const std::string& user, const std::string& key, int64_t expires) {
    return port::StoredBinding{{user, "example.org"}, key, "sip:" + user, "phone", {expires},
                               std::string("p\0q", 3)};
  };
  std::vector<port::SaveBindings> batch{
      {{"1001", "example.org"}, {binding("1001", "k2", 50), binding("1001", "k1", 10)}},
      {{"1002", "example.org"}, {binding("1002", "k1", 20)}}};
  ASSERT_TRUE(dir().save_bindings(batch).ok());
  auto all = dir().bindings();
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[0].key, "k1");
  EXPECT_EQ((*all)[0].part, std::string("p\0q", 3));
  EXPECT_EQ((*all)[0].user_agent, "phone");
  batch = {{{"1002", "example.org"}, {}}};
  ASSERT_TRUE(dir().save_bindings(batch).ok());
  ASSERT_TRUE(dir().remove_expired_bindings({10}).ok());
  all = dir().bindings();
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].key, "k2");
}

TEST_P(DirectoryContract, CdrsAreIdempotent) {
  const std::vector<port::Cdr> batch{cdr(1), cdr(2), cdr(1)};
  EXPECT_EQ(dir().insert_cdrs(batch).value(), 2u);
  EXPECT_EQ(dir().insert_cdrs(batch).value(), 0u);
  EXPECT_EQ(dir().count_cdrs().value(), 2u);
  port::CdrQuery query;
  query.call_id = "b2";
  const auto page = dir().search_cdrs(query);
  ASSERT_TRUE(page.ok()) << page.reason().text;
  ASSERT_EQ(page->rows.size(), 1u);
  EXPECT_EQ(page->rows[0], cdr(2));
}

TEST_P(DirectoryContract, CdrSearchFiltersAndPages) {
  std::vector<port::Cdr> batch;
  for (uint64_t i = 0; i < 10; ++i) {
    batch.push_back(cdr(i, static_cast<int64_t>(100 + i / 2)));  // pairs of equal setup times
    if (i == 4) batch.back().sip_status = 486;
    if (i == 5) batch.back().q850_cause = 17;
    if (i == 6) batch.back().caller.party.user = "2000";
    if (i == 7) batch.back().callee.trunk = "other";
    if (i == 8) batch.back().callee.party.domain = "third.org";
  }
  ASSERT_EQ(dir().insert_cdrs(batch).value(), 10u);
  const auto calls = [&](port::CdrQuery q) {
    std::vector<uint64_t> found;
    const auto page = dir().search_cdrs(q);
    EXPECT_TRUE(page.ok());
    for (const auto& row : page->rows) found.push_back(row.key.call);
    return found;
  };
  port::CdrQuery q;
  q.sip_status = 486;
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{4}));
  q = {};
  q.q850_cause = 17;
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{5}));
  q = {};
  q.party = "2000";
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{6}));
  q.party = "0049301234";
  EXPECT_EQ(calls(q).size(), 10u);
  q = {};
  q.trunk = "other";
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{7}));
  q = {};
  q.domain = "third.org";
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{8}));
  q = {};
  q.from.ns = 101;
  q.to.ns = 103;
  EXPECT_EQ(calls(q), (std::vector<uint64_t>{5, 4, 3, 2}));

  q = {};
  q.limit = 3;
  std::vector<uint64_t> seen;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = dir().search_cdrs(q);
    ASSERT_TRUE(page.ok());
    for (const auto& row : page->rows) seen.push_back(row.key.call);
    q.cursor = page->next;
    if (q.cursor.empty()) break;
  }
  EXPECT_EQ(seen, (std::vector<uint64_t>{9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));
  q.cursor = "1_2_x";
  EXPECT_EQ(kind_of(dir().search_cdrs(q)), Kind::invalid);
  EXPECT_EQ(dir().remove_cdrs({103}, 4).value(), 4u);
  EXPECT_EQ(dir().count_cdrs().value(), 6u);
}

TEST_P(DirectoryContract, SettingsAndTokens) {
  EXPECT_EQ(dir().setting("k").value(), std::nullopt);
  ASSERT_TRUE(dir().put_setting("k", "v1").ok());
  ASSERT_TRUE(dir().put_setting("k", "v2").ok());
  EXPECT_EQ(dir().setting("k").value(), "v2");
  port::ApiTokenRow token{"ops", std::string(64, '0'), "admin", true, {5}};
  ASSERT_TRUE(dir().put_api_token(token).ok());
  token.scopes = "read";
  ASSERT_TRUE(dir().put_api_token(token).ok());
  ASSERT_EQ(dir().api_tokens()->size(), 1u);
  EXPECT_EQ((*dir().api_tokens())[0].scopes, "read");
  EXPECT_EQ((*dir().api_tokens())[0].expires.ns, 5);
  token.scopes = "everything";
  EXPECT_EQ(kind_of(dir().put_api_token(token)), Kind::invalid);
  ASSERT_TRUE(dir().remove_api_token("ops").ok());
  EXPECT_EQ(kind_of(dir().remove_api_token("ops")), Kind::not_found);
}

TEST_P(DirectoryContract, Administrators) {
  port::AdminDirectory& admins = dynamic_cast<port::AdminDirectory&>(dir());
  EXPECT_TRUE(admins.admins()->empty());
  port::AdminRow row{"zoë", "$scrypt$x", port::AdminRow::Role::operate, true};
  EXPECT_EQ(kind_of(admins.put_admin(row, Put::replace)), Kind::not_found);
  ASSERT_TRUE(admins.put_admin(row, Put::create).ok());
  EXPECT_EQ(kind_of(admins.put_admin(row, Put::create)), Kind::conflict);
  ASSERT_TRUE(admins.put_admin({"anna", "$scrypt$y", port::AdminRow::Role::admin, true}, Put::either).ok());
  row.enabled = false;
  ASSERT_TRUE(admins.put_admin(row, Put::replace).ok());
  const auto rows = admins.admins();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].name, "anna");
  EXPECT_EQ((*rows)[0].role, port::AdminRow::Role::admin);
  EXPECT_EQ((*rows)[1].name, "zoë");
  EXPECT_EQ((*rows)[1].password, "$scrypt$x");
  EXPECT_EQ((*rows)[1].role, port::AdminRow::Role::operate);
  EXPECT_FALSE((*rows)[1].enabled);
  for (const char* name : {"", "1001@example.org", "a b", "a/b", "<a>", "a\nb"})
    EXPECT_EQ(kind_of(admins.put_admin({name, "$scrypt$x", {}, true}, Put::either)), Kind::invalid) << name;
  EXPECT_EQ(kind_of(admins.put_admin({"clear", "secret", {}, true}, Put::either)), Kind::invalid);
  ASSERT_TRUE(admins.remove_admin("zoë").ok());
  EXPECT_EQ(kind_of(admins.remove_admin("zoë")), Kind::not_found);
}

port::WebhookRow webhook(const std::string& name) {
  return {name, "https://" + name + ".example.com/in?key=1", "whsec_" + std::string(32, 'A'), "", {}, true};
}

port::WebhookDelivery delivery(const std::string& endpoint, const std::string& id) {
  port::WebhookDelivery d;
  d.endpoint = endpoint;
  d.id = id;
  d.type = "call.ended";
  d.body = "{\"n\":\"\x01" + id + "\"}";
  d.time = {7};
  return d;
}

TEST_P(DirectoryContract, Webhooks) {
  auto& hooks = dynamic_cast<port::WebhookDirectory&>(dir());
  EXPECT_EQ(kind_of(hooks.put_webhook(webhook("a"), Put::replace)), Kind::not_found);
  ASSERT_TRUE(hooks.put_webhook(webhook("b"), Put::create).ok());
  ASSERT_TRUE(hooks.put_webhook(webhook("a"), Put::either).ok());
  EXPECT_EQ(kind_of(hooks.put_webhook(webhook("a"), Put::create)), Kind::conflict);
  port::WebhookRow row = webhook("a");
  row.events = {"call.ended", "call.started"};
  row.old_secret = "whsec_" + std::string(32, 'B');
  ASSERT_TRUE(hooks.put_webhook(row, Put::replace).ok());
  const auto rows = hooks.webhooks();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].name, "a");
  EXPECT_EQ((*rows)[0].events, row.events);
  EXPECT_EQ((*rows)[0].old_secret, row.old_secret);
  EXPECT_TRUE((*rows)[0].wants("call.ended"));
  EXPECT_FALSE((*rows)[0].wants("call.answered"));
  EXPECT_TRUE((*rows)[1].wants("call.answered"));
  const auto refused = [&](auto change) {
    port::WebhookRow bad = webhook("c");
    change(bad);
    return kind_of(hooks.put_webhook(bad, Put::either)) == Kind::invalid;
  };
  EXPECT_TRUE(refused([](auto& r) { r.name = "a b"; }));
  for (const char* url : {"", "ftp://x/", "https://", "https:///x", "https://u:p@x/", "https://x/a b",
                          "https://x/#f", "javascript:1", "https://x/\r\nA: b"})
    EXPECT_TRUE(refused([&](auto& r) { r.url = url; })) << url;
  EXPECT_TRUE(refused([](auto& r) { r.secret = "secret"; }));
  EXPECT_TRUE(refused([](auto& r) { r.secret = "whsec_short"; }));
  EXPECT_TRUE(refused([](auto& r) { r.old_secret = "x"; }));
  EXPECT_TRUE(refused([](auto& r) { r.events = {"call.endet"}; }));
  ASSERT_TRUE(hooks.remove_webhook("b").ok());
  EXPECT_EQ(kind_of(hooks.remove_webhook("b")), Kind::not_found);
}

TEST_P(DirectoryContract, DeliveriesAreInOrderForEachWebhook) {
  auto& hooks = dynamic_cast<port::WebhookDirectory&>(dir());
  for (const char* name : {"a", "b", "off"}) ASSERT_TRUE(hooks.put_webhook(webhook(name), Put::create).ok());
  port::WebhookRow off = webhook("off");
  off.enabled = false;
  ASSERT_TRUE(hooks.put_webhook(off, Put::replace).ok());
  const std::vector batch{delivery("a", "1"), delivery("a", "2"),   delivery("b", "1"), delivery("a", "1"),
                          delivery("a", "3"), delivery("off", "1"), delivery("c", "1")};
  const auto queued = hooks.queue_deliveries(batch, 2);
  ASSERT_TRUE(queued.ok());
  EXPECT_EQ(queued->queued, 4u);
  EXPECT_EQ(queued->dropped, 2u);  // the double came when the queue was full
  auto next = hooks.next_deliveries();
  ASSERT_EQ(next->size(), 2u);
  EXPECT_EQ((*next)[0].id, "1");
  EXPECT_EQ((*next)[0].body, delivery("a", "1").body);
  EXPECT_EQ((*next)[0].time.ns, 7);
  EXPECT_EQ((*next)[1].endpoint, "b");
  const uint64_t first = (*next)[0].number;
  ASSERT_TRUE(hooks.postpone_delivery(first, 3, {99}, "status 500").ok());
  next = hooks.next_deliveries();
  EXPECT_EQ((*next)[0].number, first);  // nothing overtakes it
  EXPECT_EQ((*next)[0].attempts, 3u);
  EXPECT_EQ((*next)[0].next.ns, 99);
  EXPECT_EQ((*next)[0].error, "status 500");
  ASSERT_TRUE(hooks.delivered((*next)[1].number).ok());
  EXPECT_EQ(*hooks.bury_delivery(first, 4, "gave up", 1), 0u);
  next = hooks.next_deliveries();
  ASSERT_EQ(next->size(), 1u);
  EXPECT_EQ((*next)[0].id, "2");
  auto dead = hooks.dead_deliveries("a", 0, 10);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ((*dead)[0].error, "gave up");
  EXPECT_TRUE((*dead)[0].dead);
  const auto counts = hooks.count_deliveries();
  ASSERT_EQ(counts->size(), 2u);
  EXPECT_EQ((*counts)[0].waiting, 1u);
  EXPECT_EQ((*counts)[0].dead, 1u);
  EXPECT_EQ(kind_of(hooks.revive_delivery("b", first)), Kind::not_found);
  ASSERT_TRUE(hooks.revive_delivery("a", first).ok());
  EXPECT_EQ((*hooks.next_deliveries())[0].id, "2");  // it stands behind
  ASSERT_TRUE(hooks.delivered((*hooks.next_deliveries())[0].number).ok());
  next = hooks.next_deliveries();
  EXPECT_EQ((*next)[0].id, "1");
  EXPECT_EQ((*next)[0].attempts, 0u);
  // Of the dead the latest are kept.
  ASSERT_TRUE(hooks.queue_deliveries(std::vector{delivery("a", "5")}, 10).ok());
  EXPECT_EQ(*hooks.bury_delivery((*hooks.next_deliveries())[0].number, 1, "", 1), 0u);
  EXPECT_EQ(*hooks.bury_delivery((*hooks.next_deliveries())[0].number, 1, "", 1), 1u);
  dead = hooks.dead_deliveries("a", 0, 10);
  ASSERT_EQ(dead->size(), 1u);
  EXPECT_EQ((*dead)[0].id, "5");
  EXPECT_TRUE(hooks.dead_deliveries("a", (*dead)[0].number, 10)->empty());
  ASSERT_TRUE(hooks.remove_delivery("a", (*dead)[0].number).ok());
  EXPECT_EQ(kind_of(hooks.remove_delivery("a", (*dead)[0].number)), Kind::not_found);
  ASSERT_TRUE(hooks.remove_webhook("off").ok());  // with what waited for it
  EXPECT_TRUE(hooks.count_deliveries()->empty());
}

TEST(MemoryDirectory, FailsOnRequest) {
  store_memory::MemoryDirectory dir;
  dir.fail_with(Kind::unavailable);
  EXPECT_EQ(dir.plan_rows().reason().kind, Kind::unavailable);
  EXPECT_EQ(dir.insert_cdrs({}).reason().kind, Kind::unavailable);
  dir.fail_with(std::nullopt);
  EXPECT_TRUE(dir.plan_rows().ok());
}

}  // namespace
}  // namespace tandem::store_test
