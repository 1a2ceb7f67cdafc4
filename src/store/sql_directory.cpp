#include "store/sql_directory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "store/sql_guard.h"

namespace tandem::store {

using Kind = port::StoreError::Kind;
using port::StoreError;
using port::StoreResult;
using port::StoreStatus;

std::string join_list(const std::vector<std::string>& list) {
  std::string s;
  for (const std::string& item : list) s.append(s.empty() ? "" : ",").append(item);
  return s;
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> list;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    list.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return list;
}

uint64_t counter_value(SqlSession& session, std::string_view counter) {
  long long value = 0;
  Query query(session, "SELECT value FROM counters WHERE name = :n");
  query.in(counter).out(value);
  query.next();
  return static_cast<uint64_t>(value);
}

uint64_t bump(SqlSession& session, std::string_view counter) {
  Query(session, "UPDATE counters SET value = value + 1 WHERE name = :n").in(counter).run();
  return counter_value(session, counter);
}

SqlDirectory::SqlDirectory(std::string path, SqlDirectoryOptions options)
    : path_(std::move(path)), options_(options) {}

SqlDirectory::~SqlDirectory() = default;

SqlSession& SqlDirectory::session() {
  if (session_) return *session_;
  SqlOptions options{options_.busy_timeout_seconds, options_.read_only, false, options_.max_pages};
  try {
    session_ = std::make_unique<SqlSession>(path_, options);
  } catch (const soci::soci_error& why) {
    // A write-ahead log wants files beside the database even for reading, which a read-only file system
    // refuses.
    const Kind kind = error_of(code_at_open(why), {}, path_).kind;
    if ((kind != Kind::unavailable && kind != Kind::read_only) || ::access(path_.c_str(), W_OK) == 0 ||
        errno != EROFS)
      throw;
    options.immutable = true;
    session_ = std::make_unique<SqlSession>(path_, options);
  }
  return *session_;
}

StoreError SqlDirectory::failed(const std::exception_ptr& why) {
  StoreError error;
  try {
    std::rethrow_exception(why);
  } catch (const SqlFailure& failure) {
    error = failure.error;
  } catch (const soci::soci_error& e) {
    // Not what(): it quotes the statement's parameters, which may be secrets.
    error = error_of(session_ ? session_->code_of(e) : code_at_open(e), e.get_error_message(), path_);
  } catch (const std::exception& e) {
    error = {Kind::internal, e.what()};
  }
  // A damaged or failing file may be repaired or replaced under us, a file system mounted for writing: look
  // again next time.
  if (error.kind == Kind::corrupt || error.kind == Kind::internal || error.kind == Kind::unavailable ||
      error.kind == Kind::read_only)
    session_.reset();
  return error;
}

StoreStatus SqlDirectory::open() {
  return guarded<Done>([](SqlSession&) { return Done{}; });
}

// ---- subscribers
// -------------------------------------------------------------------------------------------

StoreResult<port::SubscriberPage> SqlDirectory::list_subscribers(const port::SubscriberQuery& q) {
  return guarded<port::SubscriberPage>([&](SqlSession& session) {
    static const std::string text =
        select_text<port::Subscriber>(
            "(:d1 = '' OR domain = :d2) AND (:s1 = '' OR instr(lower(user), lower(:s2)) > 0 "
            "OR instr(lower(display_name), lower(:s3)) > 0) AND (domain, user) > (:cd, :cu)") +
        " ORDER BY domain, user LIMIT :l";
    const std::string after = from_hex(q.cursor).value_or("");
    const size_t line = after.find('\n');
    const uint32_t limit = std::clamp<uint32_t>(q.limit, 1, 1000);
    port::SubscriberPage page;
    Query query(session, text);
    query.in(std::string_view(q.domain)).in(std::string_view(q.domain));
    query.in(std::string_view(q.search)).in(std::string_view(q.search)).in(std::string_view(q.search));
    query.in(std::string_view(after).substr(0, line));
    query.in(line == std::string::npos ? std::string_view() : std::string_view(after).substr(line + 1));
    query.in(int64_t{limit} + 1);
    port::Subscriber row;
    RowReader reader(query);
    reader.bind(row);
    while (query.next()) page.rows.push_back(reader.take<port::Subscriber>());
    if (page.rows.size() > limit) {
      page.rows.pop_back();
      page.next = to_hex(page.rows.back().aor.domain + "\n" + page.rows.back().aor.user);
    }
    return page;
  });
}

namespace {

port::Subscriber select_subscriber(SqlSession& session, const port::AddressOfRecord& aor) {
  static const std::string text = select_text<port::Subscriber>("domain = :d AND user = :u");
  Query query(session, text);
  query.in(std::string_view(aor.domain)).in(std::string_view(aor.user));
  port::Subscriber row;
  RowReader reader(query);
  reader.bind(row);
  if (!query.next()) fail(Kind::not_found, "there is no subscriber " + aor.to_string());
  return reader.take<port::Subscriber>();
}

bool domain_exists(SqlSession& session, const std::string& name) {
  long long n = 0;
  Query query(session, "SELECT count(*) FROM domains WHERE name = :n");
  query.in(std::string_view(name)).out(n);
  query.next();
  return n != 0;
}

void must_have_domain(SqlSession& session, const std::string& name) {
  if (!domain_exists(session, name)) fail(Kind::conflict, "there is no domain " + name);
}

}  // namespace

StoreResult<port::Subscriber> SqlDirectory::subscriber(const port::AddressOfRecord& aor) {
  return guarded<port::Subscriber>([&](SqlSession& session) { return select_subscriber(session, aor); });
}

StoreResult<uint64_t> SqlDirectory::put_subscriber(const port::Subscriber& row, Put mode) {
  return guarded<uint64_t>([&](SqlSession& session) {
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    Transaction transaction(session);
    must_have_domain(session, row.aor.domain);
    port::Subscriber stored = row;
    stored.revision = bump(session, "subscribers");
    const bool keep = row.ha1.md5.empty() && row.ha1.sha256.empty() && row.ha1.sha512_256.empty();
    if (keep && mode != Put::create) {
      try {
        stored.ha1 = select_subscriber(session, row.aor).ha1;
      } catch (const SqlFailure&) {
        if (mode == Put::replace) throw;
      }
    }
    put_row(session, stored, mode, "subscriber " + row.aor.to_string());
    transaction.commit();
    return stored.revision;
  });
}

StoreStatus SqlDirectory::remove_subscriber(const port::AddressOfRecord& aor) {
  return guarded<Done>([&](SqlSession& session) {
    Transaction transaction(session);
    port::Subscriber row;
    row.aor = aor;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no subscriber " + aor.to_string());
    for (const char* text : {"DELETE FROM bindings WHERE domain = :d AND user = :u",
                             "DELETE FROM messages WHERE domain = :d AND user = :u"})
      Query(session, text).in(std::string_view(aor.domain)).in(std::string_view(aor.user)).run();
    bump(session, "subscribers");
    transaction.commit();
    return Done{};
  });
}

StoreStatus SqlDirectory::set_feature(const port::SetFeature& change) {
  return guarded<Done>([&](SqlSession& session) {
    Transaction transaction(session);
    port::Subscriber row = select_subscriber(session, change.aor);
    apply(change, row);
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    row.revision = bump(session, "subscribers");
    update_row(session, row);
    transaction.commit();
    return Done{};
  });
}

StoreResult<uint64_t> SqlDirectory::subscribers_version() {
  return guarded<uint64_t>([](SqlSession& session) { return counter_value(session, "subscribers"); });
}

// ---- the plan
// ----------------------------------------------------------------------------------------------

StoreResult<port::PlanRows> SqlDirectory::plan_rows() {
  return guarded<port::PlanRows>([](SqlSession& session) {
    Transaction transaction(session, Transaction::Kind::read);
    port::PlanRows rows;
    rows.version = counter_value(session, "plan");
    rows.domains = select_all<port::DomainRow>(session);
    rows.trunks = select_all<port::TrunkRow>(session);
    rows.routes = select_all<port::RouteRow>(session);
    rows.ring_groups = select_all<port::RingGroupRow>(session);
    rows.ring_group_members = select_all<port::RingGroupMemberRow>(session);
    rows.feature_codes = select_all<port::FeatureCodeRow>(session);
    rows.time_rules = select_all<port::TimeRuleRow>(session);
    rows.parks = select_all<port::ParkRow>(session);
    rows.menus = select_all<port::MenuRow>(session);
    rows.menu_choices = select_all<port::MenuChoiceRow>(session);
    rows.mailboxes = select_all<port::MailboxRow>(session);
    rows.conferences = select_all<port::ConferenceRow>(session);
    transaction.commit();
    return rows;
  });
}

StoreResult<uint64_t> SqlDirectory::plan_version() {
  return guarded<uint64_t>([](SqlSession& session) { return counter_value(session, "plan"); });
}

namespace {

uint64_t put(SqlSession& session, const port::DomainRow& row, port::Directory::Put mode) {
  put_row(session, row, mode, "domain " + row.name);
  return 0;
}

uint64_t put(SqlSession& session, const port::TrunkRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "trunk " + row.name);
  return 0;
}

uint64_t put(SqlSession& session, const port::RouteRow& row, port::Directory::Put mode) {
  if (!row.domain.empty()) must_have_domain(session, row.domain);
  if (row.id != 0) {
    put_row(session, row, mode, "route " + std::to_string(row.id));
    return row.id;
  }
  if (mode == port::Directory::Put::replace) fail(Kind::not_found, "a route to be replaced needs its id");
  insert_row(session, row, 1);
  long long id = 0;
  Query query(session, "SELECT last_insert_rowid()");
  query.out(id);
  query.next();
  return static_cast<uint64_t>(id);
}

uint64_t put(SqlSession& session, const port::RingGroupRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "ring group " + row.name);
  return 0;
}

uint64_t put(SqlSession& session, const port::RingGroupMemberRow& row, port::Directory::Put mode) {
  long long n = 0;
  {
    Query query(session, "SELECT count(*) FROM ring_groups WHERE domain = :d AND name = :n");
    query.in(std::string_view(row.domain)).in(std::string_view(row.group)).out(n);
    query.next();
  }
  if (n == 0) fail(Kind::conflict, "there is no ring group " + row.group);
  put_row(session, row, mode, "member " + std::to_string(row.position) + " of ring group " + row.group);
  return 0;
}

uint64_t put(SqlSession& session, const port::FeatureCodeRow& row, port::Directory::Put mode) {
  if (!row.domain.empty()) must_have_domain(session, row.domain);
  put_row(session, row, mode, "feature code " + row.code);
  return 0;
}

uint64_t put(SqlSession& session, const port::TimeRuleRow& row, port::Directory::Put mode) {
  if (!row.domain.empty()) must_have_domain(session, row.domain);
  put_row(session, row, mode, "row " + std::to_string(row.position) + " of time rule " + row.name);
  return 0;
}

uint64_t put(SqlSession& session, const port::ParkRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "parking of domain " + row.domain);
  return 0;
}

uint64_t put(SqlSession& session, const port::MenuRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "menu " + row.name);
  return 0;
}

uint64_t put(SqlSession& session, const port::MenuChoiceRow& row, port::Directory::Put mode) {
  long long n = 0;
  {
    Query query(session, "SELECT count(*) FROM menus WHERE domain = :d AND name = :n");
    query.in(std::string_view(row.domain)).in(std::string_view(row.menu)).out(n);
    query.next();
  }
  if (n == 0) fail(Kind::conflict, "there is no menu " + row.menu);
  put_row(session, row, mode, "choice " + std::to_string(row.position) + " of menu " + row.menu);
  return 0;
}

uint64_t put(SqlSession& session, const port::MailboxRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "mailbox " + row.user + "@" + row.domain);
  return 0;
}

uint64_t put(SqlSession& session, const port::ConferenceRow& row, port::Directory::Put mode) {
  must_have_domain(session, row.domain);
  put_row(session, row, mode, "conference " + row.name);
  return 0;
}

/// What belongs to the domain alone goes with it; subscribers, trunks and mailboxes (whose messages are
/// files, too) have to be removed first.
void before_removal(SqlSession& session, const port::DomainRow& row) {
  for (const char* text :
       {"SELECT count(*) FROM subscribers WHERE domain = :d", "SELECT count(*) FROM trunks WHERE domain = :d",
        "SELECT count(*) FROM mailboxes WHERE domain = :d"}) {
    long long n = 0;
    Query query(session, text);
    query.in(std::string_view(row.name)).out(n);
    query.next();
    if (n != 0) fail(Kind::conflict, "domain " + row.name + " still has subscribers, trunks or mailboxes");
  }
  for (const char* text :
       {"DELETE FROM routes WHERE domain = :d", "DELETE FROM ring_groups WHERE domain = :d",
        "DELETE FROM feature_codes WHERE domain = :d", "DELETE FROM time_rules WHERE domain = :d",
        "DELETE FROM parks WHERE domain = :d", "DELETE FROM menus WHERE domain = :d",
        "DELETE FROM conferences WHERE domain = :d"})
    Query(session, text).in(std::string_view(row.name)).run();
}
template <class Row>
void before_removal(SqlSession&, const Row&) {}

}  // namespace

StoreResult<port::Directory::PutDone> SqlDirectory::put_plan_row(const port::PlanRow& row, Put mode) {
  return guarded<PutDone>([&](SqlSession& session) {
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    Transaction transaction(session);
    PutDone done;
    done.id = std::visit([&](const auto& r) { return put(session, r, mode); }, row);
    done.version = bump(session, "plan");
    transaction.commit();
    return done;
  });
}

StoreStatus SqlDirectory::remove_plan_row(const port::PlanRow& row) {
  return guarded<Done>([&](SqlSession& session) {
    Transaction transaction(session);
    const int64_t removed = std::visit(
        [&](const auto& r) {
          before_removal(session, r);
          return delete_row(session, r);
        },
        row);
    if (removed == 0) fail(Kind::not_found, "there is no such row");
    bump(session, "plan");
    transaction.commit();
    return Done{};
  });
}

StoreStatus SqlDirectory::set_mailbox_pin(const port::SetMailboxPin& change) {
  return guarded<Done>([&](SqlSession& session) {
    port::MailboxRow row;
    row.domain = change.mailbox.domain;
    row.user = change.mailbox.user;
    row.pin = change.pin;
    if (std::string problem = problem_with(port::PlanRow(row)); !problem.empty())
      fail(Kind::invalid, problem);
    Transaction transaction(session);
    const int64_t changed = Query(session, "UPDATE mailboxes SET pin = :p WHERE domain = :d AND user = :u")
                                .in(std::string_view(row.pin))
                                .in(std::string_view(row.domain))
                                .in(std::string_view(row.user))
                                .run();
    if (changed == 0) fail(Kind::not_found, "there is no mailbox " + change.mailbox.to_string());
    bump(session, "plan");
    transaction.commit();
    return Done{};
  });
}

// ---- settings, tokens, administrators
// --------------------------------------------------------------------------------------

StoreResult<std::optional<std::string>> SqlDirectory::setting(const std::string& key) {
  return guarded<std::optional<std::string>>([&](SqlSession& session) -> std::optional<std::string> {
    std::string value;
    Query query(session, "SELECT value FROM settings WHERE name = :n");
    query.in(std::string_view(key)).out(value);
    if (!query.next()) return std::nullopt;
    return value;
  });
}

StoreStatus SqlDirectory::put_setting(const std::string& key, const std::string& value) {
  return guarded<Done>([&](SqlSession& session) {
    Query(session,
          "INSERT INTO settings (name, value) VALUES (:n, :v) ON CONFLICT (name) DO UPDATE SET value = :w")
        .in(std::string_view(key))
        .in(std::string_view(value))
        .in(std::string_view(value))
        .run();
    return Done{};
  });
}

StoreResult<std::vector<port::ApiTokenRow>> SqlDirectory::api_tokens() {
  return guarded<std::vector<port::ApiTokenRow>>(
      [](SqlSession& session) { return select_all<port::ApiTokenRow>(session); });
}

StoreStatus SqlDirectory::put_api_token(const port::ApiTokenRow& row) {
  return guarded<Done>([&](SqlSession& session) {
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    Transaction transaction(session);
    put_row(session, row, Put::either, "token " + row.name);
    transaction.commit();
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_api_token(const std::string& name) {
  return guarded<Done>([&](SqlSession& session) {
    port::ApiTokenRow row;
    row.name = name;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no token " + name);
    return Done{};
  });
}

StoreResult<std::vector<port::AdminRow>> SqlDirectory::admins() {
  return guarded<std::vector<port::AdminRow>>(
      [](SqlSession& session) { return select_all<port::AdminRow>(session); });
}

StoreStatus SqlDirectory::put_admin(const port::AdminRow& row, Put mode) {
  return guarded<Done>([&](SqlSession& session) {
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    Transaction transaction(session);
    put_row(session, row, mode, "administrator " + row.name);
    transaction.commit();
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_admin(const std::string& name) {
  return guarded<Done>([&](SqlSession& session) {
    port::AdminRow row;
    row.name = name;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no administrator " + name);
    return Done{};
  });
}

}  // namespace tandem::store
