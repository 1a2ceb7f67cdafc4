#pragma once
// Which column holds which member: the one place that knows, for reading and writing alike. Internal to the
// room.
#include <deque>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "port/admins.h"
#include "port/channels.h"
#include "port/webhooks.h"
#include "store/sql_session.h"

namespace tandem::store {

/// Table name and number of leading columns that form the key.
template <class Row>
struct Table;

#define TANDEM_TABLE(Row, Name, Keys, Order)         \
  template <>                                        \
  struct Table<port::Row> {                          \
    static constexpr std::string_view name = Name;   \
    static constexpr size_t keys = Keys;             \
    static constexpr std::string_view order = Order; \
  }
TANDEM_TABLE(DomainRow, "domains", 1, "name");
TANDEM_TABLE(TrunkRow, "trunks", 1, "name");
TANDEM_TABLE(RouteRow, "routes", 1, "priority, id");
TANDEM_TABLE(RingGroupRow, "ring_groups", 2, "domain, name");
TANDEM_TABLE(RingGroupMemberRow, "ring_group_members", 3, "domain, group_name, position");
TANDEM_TABLE(FeatureCodeRow, "feature_codes", 2, "domain, code");
TANDEM_TABLE(TimeRuleRow, "time_rules", 3, "domain, name, position");
TANDEM_TABLE(ParkRow, "parks", 1, "domain");
TANDEM_TABLE(MenuRow, "menus", 2, "domain, name");
TANDEM_TABLE(MenuChoiceRow, "menu_choices", 3, "domain, menu, position");
TANDEM_TABLE(MailboxRow, "mailboxes", 2, "domain, user");
TANDEM_TABLE(ConferenceRow, "conferences", 2, "domain, name");
TANDEM_TABLE(Subscriber, "subscribers", 2, "domain, user");
TANDEM_TABLE(ApiTokenRow, "api_tokens", 1, "name");
TANDEM_TABLE(AdminRow, "admins", 1, "name");
TANDEM_TABLE(WebhookRow, "webhooks", 1, "name");
TANDEM_TABLE(ChannelRow, "channels", 1, "name");
TANDEM_TABLE(AccessKeyRow, "access_keys", 1, "id");
#undef TANDEM_TABLE

template <class V>
void columns(V& v, port::DomainRow& r) {
  v("name", r.name), v("enabled", r.enabled), v("digest_realm", r.digest_realm), v("aliases", r.aliases);
  v("emergency_numbers", r.emergency_numbers), v("country_code", r.country_code);
  v("national_prefix", r.national_prefix), v("international_prefix", r.international_prefix);
  v("max_calls", r.max_calls);
}

template <class V>
void columns(V& v, port::TrunkRow& r) {
  v("name", r.name), v("domain", r.domain), v("kind", r.kind), v("enabled", r.enabled), v("host", r.host);
  v("port", r.port), v("transport", r.transport), v("realm", r.realm), v("user", r.user);
  v("from_domain", r.from_domain), v("auth_user", r.auth_user), v("auth_realm", r.auth_realm);
  v("ha1_md5", r.ha1.md5), v("ha1_sha256", r.ha1.sha256), v("ha1_sha512_256", r.ha1.sha512_256);
  v("password", r.password), v("sources", r.sources), v("tls_name", r.tls_name),
      v("expires_seconds", r.expires_seconds);
  v("max_calls", r.max_calls), v("max_calls_per_second", r.max_calls_per_second);
  v("inbound_class", r.inbound_class), v("codecs", r.codecs), v("srtp", r.srtp), v("recording", r.recording),
      v("dtmf", r.dtmf), v("send_e164", r.send_e164);
  v("options_seconds", r.options_seconds);
}

template <class V>
void columns(V& v, port::RouteRow& r) {
  v("id", r.id), v("domain", r.domain), v("priority", r.priority), v("name", r.name), v("enabled", r.enabled);
  v("pattern", r.pattern), v("caller_pattern", r.caller_pattern), v("from_trunk", r.from_trunk);
  v("call_class", r.call_class), v("time_rule", r.time_rule), v("action", r.action), v("target", r.target);
  v("targets", r.targets), v("strip", r.strip), v("prefix", r.prefix), v("caller_number", r.caller_number);
  v("status", r.status), v("reason", r.reason), v("otherwise", r.otherwise);
}

template <class V>
void columns(V& v, port::RingGroupRow& r) {
  v("domain", r.domain), v("name", r.name), v("enabled", r.enabled), v("strategy", r.strategy);
  v("timeout_seconds", r.timeout_seconds), v("member_timeout_seconds", r.member_timeout_seconds);
  v("otherwise", r.otherwise), v("skip_busy", r.skip_busy);
}

template <class V>
void columns(V& v, port::RingGroupMemberRow& r) {
  v("domain", r.domain), v("group_name", r.group), v("position", r.position), v("target", r.target);
  v("delay_seconds", r.delay_seconds), v("timeout_seconds", r.timeout_seconds);
}

template <class V>
void columns(V& v, port::FeatureCodeRow& r) {
  v("domain", r.domain), v("code", r.code), v("enabled", r.enabled), v("feature", r.feature);
}

template <class V>
void columns(V& v, port::TimeRuleRow& r) {
  v("domain", r.domain), v("name", r.name), v("position", r.position), v("time_zone", r.time_zone);
  v("weekdays", r.weekdays), v("from_minute", r.from_minute), v("to_minute", r.to_minute);
  v("from_date", r.from_date), v("to_date", r.to_date), v("forbids", r.except);
}

template <class V>
void columns(V& v, port::ParkRow& r) {
  v("domain", r.domain), v("enabled", r.enabled), v("first_slot", r.first_slot), v("last_slot", r.last_slot);
  v("timeout_seconds", r.timeout_seconds), v("otherwise", r.otherwise);
}

template <class V>
void columns(V& v, port::MenuRow& r) {
  v("domain", r.domain), v("name", r.name), v("enabled", r.enabled), v("language", r.language);
  v("greeting", r.greeting), v("wait_seconds", r.wait_seconds), v("between_seconds", r.between_seconds);
  v("tries", r.tries), v("extensions", r.extensions), v("otherwise", r.otherwise);
}

template <class V>
void columns(V& v, port::MenuChoiceRow& r) {
  v("domain", r.domain), v("menu", r.menu), v("position", r.position), v("keys", r.keys);
  v("time_rule", r.time_rule), v("target", r.target);
}

template <class V>
void columns(V& v, port::MailboxRow& r) {
  v("domain", r.domain), v("user", r.user), v("enabled", r.enabled), v("pin", r.pin);
  v("language", r.language), v("unanswered", r.unanswered), v("max_messages", r.max_messages);
  v("max_seconds", r.max_seconds), v("time_zone", r.time_zone), v("email", r.email), v("attach", r.attach);
  v("remove_sent", r.remove_sent);
}

template <class V>
void columns(V& v, port::ConferenceRow& r) {
  v("domain", r.domain), v("name", r.name), v("enabled", r.enabled), v("pin", r.pin);
  v("moderator_pin", r.moderator_pin), v("language", r.language), v("members", r.members);
  v("lecture", r.lecture), v("muted", r.muted), v("wait", r.wait), v("ends", r.ends);
  v("announce", r.announce);
}

template <class V>
void columns(V& v, port::Subscriber& r) {
  v("domain", r.aor.domain), v("user", r.aor.user), v("enabled", r.enabled), v("ha1_md5", r.ha1.md5);
  v("ha1_sha256", r.ha1.sha256), v("ha1_sha512_256", r.ha1.sha512_256), v("display_name", r.display_name);
  v("caller_number", r.caller_number), v("call_class", r.call_class), v("do_not_disturb", r.do_not_disturb);
  v("forward_always", r.forwarding.always), v("forward_busy", r.forwarding.busy);
  v("forward_no_answer", r.forwarding.no_answer), v("forward_unreachable", r.forwarding.unreachable);
  v("no_answer_seconds", r.forwarding.no_answer_seconds), v("max_contacts", r.max_contacts);
  v("max_calls", r.max_calls), v("pickup_group", r.pickup_group), v("codecs", r.codecs);
  v("srtp", r.srtp), v("recording", r.recording), v("dtmf", r.dtmf), v("revision", r.revision);
}

template <class V>
void columns(V& v, port::ApiTokenRow& r) {
  v("name", r.name), v("sha256", r.sha256), v("scopes", r.scopes), v("enabled", r.enabled);
  v("expires", r.expires);
}

template <class V>
void columns(V& v, port::AdminRow& r) {
  v("name", r.name), v("password", r.password), v("role", r.role), v("enabled", r.enabled);
}

template <class V>
void columns(V& v, port::WebhookRow& r) {
  v("name", r.name), v("url", r.url), v("secret", r.secret), v("old_secret", r.old_secret);
  v("events", r.events), v("enabled", r.enabled);
}

template <class V>
void columns(V& v, port::ChannelRow& r) {
  v("name", r.name), v("created", r.created), v("version", r.version);
  v("message_ttl_seconds", r.message_ttl_seconds), v("max_viewers", r.max_viewers);
}

template <class V>
void columns(V& v, port::AccessKeyRow& r) {
  v("id", r.id), v("secret", r.secret), v("note", r.note), v("enabled", r.enabled);
  v("master", r.master), v("viewer", r.viewer), v("admin", r.admin), v("channels", r.channels);
  v("created", r.created);
}

// ---- visitors
// ----------------------------------------------------------------------------------------------

struct ColumnNames {
  std::vector<std::string_view> names;
  template <class T>
  void operator()(std::string_view name, T&) {
    names.push_back(name);
  }
};

template <class Row>
std::vector<std::string_view> column_names() {
  Row row;
  ColumnNames v;
  columns(v, row);
  return std::move(v.names);
}

std::string join_list(const std::vector<std::string>& list);
std::vector<std::string> split_list(std::string_view text);

/// Binds the members of a row whose column index is in [from, to).
struct BindColumns {
  Query& query;
  size_t from = 0;
  size_t to = SIZE_MAX;
  size_t at = 0;
  template <class T>
  void operator()(std::string_view, T& member) {
    const size_t i = at++;
    if (i < from || i >= to) return;
    if constexpr (std::is_same_v<T, std::string>)
      query.in(std::string_view(member));
    else if constexpr (std::is_same_v<T, std::vector<std::string>>)
      query.in(join_list(member));
    else if constexpr (std::is_same_v<T, WallTime>)
      query.in(member.ns);
    else if constexpr (std::is_enum_v<T>)
      query.in(port::to_text(member));
    else
      query.in(static_cast<int64_t>(member));
  }
};

/// Owns what a SELECT of a row's columns is read into, and turns it into the row.
class RowReader {
 public:
  explicit RowReader(Query& query) : query_(query) {}
  template <class Row>
  void bind(Row& row) {
    Binder binder{*this};
    columns(binder, row);
  }
  template <class Row>
  Row take() {
    Row row;
    Taker taker{*this};
    columns(taker, row);
    return row;
  }

 private:
  struct Cell {
    long long number = 0;
    std::string text;
  };
  template <class T>
  static constexpr bool is_number = std::is_integral_v<T> || std::is_same_v<T, WallTime>;
  struct Binder {
    RowReader& reader;
    template <class T>
    void operator()(std::string_view, T&) {
      Cell& cell = reader.cells_.emplace_back();
      if constexpr (is_number<T>)
        reader.query_.out(cell.number);
      else
        reader.query_.out(cell.text);
    }
  };
  struct Taker {
    RowReader& reader;
    size_t at = 0;
    template <class T>
    void operator()(std::string_view, T& member) {
      Cell& cell = reader.cells_[at++];
      if constexpr (std::is_same_v<T, std::string>)
        member = cell.text;
      else if constexpr (std::is_same_v<T, std::vector<std::string>>)
        member = split_list(cell.text);
      else if constexpr (std::is_same_v<T, WallTime>)
        member.ns = cell.number;
      else if constexpr (std::is_enum_v<T>)
        // A value of a later version reads as the default of the member.
        member = port::from_text<T>(cell.text).value_or(member);
      else
        member = static_cast<T>(cell.number);
    }
  };
  Query& query_;
  std::deque<Cell> cells_;
};

// ---- statements: their text depends on the type alone, never on a value
// -----------------------------------------

template <class Row>
std::string select_text(std::string_view where = "") {
  std::string s = "SELECT ";
  for (const auto name : column_names<Row>()) s.append(s.size() > 7 ? ", " : "").append(name);
  s.append(" FROM ").append(Table<Row>::name);
  if (!where.empty()) s.append(" WHERE ").append(where);
  return s;
}

/// " WHERE key = ... AND ..." for the key columns.
template <class Row>
std::string key_condition() {
  const auto names = column_names<Row>();
  std::string s = " WHERE ";
  for (size_t i = 0; i < Table<Row>::keys; ++i)
    s.append(i ? " AND " : "").append(names[i]).append(" = :k").append(std::to_string(i));
  return s;
}

/// `first` 1 leaves out an automatic id.
template <class Row>
std::string insert_text(size_t first = 0) {
  const auto names = column_names<Row>();
  std::string s = "INSERT INTO " + std::string(Table<Row>::name) + " (";
  for (size_t i = first; i < names.size(); ++i) s.append(i > first ? ", " : "").append(names[i]);
  s += ") VALUES (";
  for (size_t i = first; i < names.size(); ++i) s.append(i > first ? ", :c" : ":c").append(std::to_string(i));
  return s + ") ON CONFLICT DO NOTHING";
}

template <class Row>
std::string update_text() {
  const auto names = column_names<Row>();
  constexpr size_t keys = Table<Row>::keys;
  std::string s = "UPDATE " + std::string(Table<Row>::name) + " SET ";
  for (size_t i = keys; i < names.size(); ++i)
    s.append(i > keys ? ", " : "").append(names[i]).append(" = :c").append(std::to_string(i));
  return s + key_condition<Row>();
}

template <class Row>
int64_t insert_row(SqlSession& session, Row row, size_t first = 0) {
  static const std::string whole = insert_text<Row>(), without_id = insert_text<Row>(1);
  Query query(session, first == 0 ? whole : without_id);
  BindColumns bind{query, first};
  columns(bind, row);
  return query.run();
}

template <class Row>
int64_t update_row(SqlSession& session, Row row) {
  static const std::string text = update_text<Row>();
  Query query(session, text);
  BindColumns rest{query, Table<Row>::keys};
  columns(rest, row);
  BindColumns key{query, 0, Table<Row>::keys};
  columns(key, row);
  return query.run();
}

template <class Row>
int64_t delete_row(SqlSession& session, Row row) {
  static const std::string text = "DELETE FROM " + std::string(Table<Row>::name) + key_condition<Row>();
  Query query(session, text);
  BindColumns key{query, 0, Table<Row>::keys};
  columns(key, row);
  return query.run();
}

template <class Row>
std::vector<Row> select_all(SqlSession& session) {
  static const std::string text = select_text<Row>() + " ORDER BY " + std::string(Table<Row>::order);
  Query query(session, text);
  Row row;
  RowReader reader(query);
  reader.bind(row);
  std::vector<Row> rows;
  while (query.next()) rows.push_back(reader.take<Row>());
  return rows;
}

}  // namespace tandem::store
