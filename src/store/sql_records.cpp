// SqlDirectory's records: messages, voice messages, bindings, call detail records.
#include <algorithm>
#include <array>
#include <charconv>

#include "store/sql_guard.h"

namespace tandem::store {

using Kind = port::StoreError::Kind;
using port::StoreResult;
using port::StoreStatus;

namespace {

uint32_t count_messages(SqlSession& session, const port::AddressOfRecord& aor) {
  long long count = 0;
  Query query(session, "SELECT count(*) FROM messages WHERE domain = :d AND user = :u");
  query.in(std::string_view(aor.domain)).in(std::string_view(aor.user)).out(count);
  query.next();
  return static_cast<uint32_t>(count);
}

}  // namespace

StoreResult<uint64_t> SqlDirectory::save_message(const port::StoredMessage& m) {
  return guarded<uint64_t>([&](SqlSession& session) {
    Transaction transaction(session);
    long long id = 0;
    const uint32_t waiting = count_messages(session, m.to);
    if (waiting >= port::max_stored_messages)
      fail(Kind::limit, m.to.to_string() + " has " + std::to_string(waiting) + " messages waiting");
    Query(session,
          "INSERT INTO messages (domain, user, sender, sender_display, content_type, body, received) "
          "VALUES (:d, :u, :f, :fd, :t, :b, :r)")
        .in(std::string_view(m.to.domain))
        .in(std::string_view(m.to.user))
        .in(std::string_view(m.from))
        .in(std::string_view(m.from_display))
        .in(std::string_view(m.content_type))
        .in(Blob{m.body})
        .in(m.received.ns)
        .run();
    {
      Query query(session, "SELECT last_insert_rowid()");
      query.out(id);
      query.next();
    }
    transaction.commit();
    return static_cast<uint64_t>(id);
  });
}

StoreResult<std::vector<port::StoredMessage>> SqlDirectory::messages(const port::AddressOfRecord& aor,
                                                                     uint32_t limit) {
  return guarded<std::vector<port::StoredMessage>>([&](SqlSession& session) {
    Query query(session,
                "SELECT id, sender, sender_display, content_type, body, received FROM messages "
                "WHERE domain = :d AND user = :u ORDER BY id LIMIT :l");
    query.in(std::string_view(aor.domain))
        .in(std::string_view(aor.user))
        .in(int64_t{std::min<uint32_t>(limit, 1000)});
    port::StoredMessage m;
    m.to = aor;
    long long id = 0, received = 0;
    query.out(id).out(m.from).out(m.from_display).out(m.content_type).out_blob(m.body).out(received);
    std::vector<port::StoredMessage> rows;
    while (query.next()) {
      m.id = static_cast<uint64_t>(id);
      m.received.ns = received;
      rows.push_back(m);
    }
    return rows;
  });
}

StoreResult<uint32_t> SqlDirectory::waiting(const port::AddressOfRecord& aor) {
  return guarded<uint32_t>([&](SqlSession& session) { return count_messages(session, aor); });
}

StoreStatus SqlDirectory::delete_messages(std::span<const uint64_t> ids) {
  return guarded<Done>([&](SqlSession& session) {
    Transaction transaction(session);
    for (const uint64_t id : ids) Query(session, "DELETE FROM messages WHERE id = :i").in_u64(id).run();
    transaction.commit();
    return Done{};
  });
}

// ---- voice messages
// -----------------------------------------------------------------------------------------

namespace {

port::Directory::VoicemailCount count_voicemails_of(SqlSession& session,
                                                    const port::AddressOfRecord& mailbox) {
  long long all = 0, heard = 0;
  Query query(session,
              "SELECT count(*), coalesce(sum(heard), 0) FROM voicemails WHERE domain = :d AND user = :u");
  query.in(std::string_view(mailbox.domain)).in(std::string_view(mailbox.user)).out(all).out(heard);
  query.next();
  return {static_cast<uint32_t>(all - heard), static_cast<uint32_t>(heard)};
}

}  // namespace

StoreResult<uint64_t> SqlDirectory::save_voicemail(const port::Voicemail& m, uint32_t most) {
  return guarded<uint64_t>([&](SqlSession& session) {
    Transaction transaction(session);
    long long boxes = 0;
    {
      Query query(session, "SELECT count(*) FROM mailboxes WHERE domain = :d AND user = :u");
      query.in(std::string_view(m.mailbox.domain)).in(std::string_view(m.mailbox.user)).out(boxes);
      query.next();
    }
    if (boxes == 0) fail(Kind::conflict, "there is no mailbox " + m.mailbox.to_string());
    const VoicemailCount there = count_voicemails_of(session, m.mailbox);
    if (there.fresh + there.old >= most)
      fail(Kind::limit, "the mailbox " + m.mailbox.to_string() + " is full");
    Query(session,
          "INSERT INTO voicemails (domain, user, sender, sender_display, received, length, file, heard) "
          "VALUES (:d, :u, :f, :fd, :r, :l, :n, :h)")
        .in(std::string_view(m.mailbox.domain))
        .in(std::string_view(m.mailbox.user))
        .in(std::string_view(m.from))
        .in(std::string_view(m.from_display))
        .in(m.received.ns)
        .in(int64_t{m.length.count()})
        .in(std::string_view(m.file))
        .in(int64_t{m.heard})
        .run();
    long long id = 0;
    {
      Query query(session, "SELECT last_insert_rowid()");
      query.out(id);
      query.next();
    }
    transaction.commit();
    return static_cast<uint64_t>(id);
  });
}

StoreResult<std::vector<port::Voicemail>> SqlDirectory::voicemails(const port::AddressOfRecord& mailbox) {
  return guarded<std::vector<port::Voicemail>>([&](SqlSession& session) {
    Query query(session,
                "SELECT id, sender, sender_display, received, length, file, heard FROM voicemails "
                "WHERE domain = :d AND user = :u ORDER BY id");
    query.in(std::string_view(mailbox.domain)).in(std::string_view(mailbox.user));
    port::Voicemail m;
    m.mailbox = mailbox;
    long long id = 0, received = 0, length = 0, heard = 0;
    query.out(id).out(m.from).out(m.from_display).out(received).out(length).out(m.file).out(heard);
    std::vector<port::Voicemail> rows;
    while (query.next()) {
      m.id = static_cast<uint64_t>(id);
      m.received.ns = received;
      m.length = Duration(length);
      m.heard = heard != 0;
      rows.push_back(m);
    }
    return rows;
  });
}

StoreStatus SqlDirectory::mark_voicemail(const port::AddressOfRecord& mailbox, uint64_t id, bool heard) {
  return guarded<Done>([&](SqlSession& session) {
    const int64_t changed =
        Query(session, "UPDATE voicemails SET heard = :h WHERE id = :i AND domain = :d AND user = :u")
            .in(int64_t{heard})
            .in_u64(id)
            .in(std::string_view(mailbox.domain))
            .in(std::string_view(mailbox.user))
            .run();
    if (changed == 0) fail(Kind::not_found, "there is no such voice message");
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_voicemail(const port::AddressOfRecord& mailbox, uint64_t id) {
  return guarded<Done>([&](SqlSession& session) {
    const int64_t removed =
        Query(session, "DELETE FROM voicemails WHERE id = :i AND domain = :d AND user = :u")
            .in_u64(id)
            .in(std::string_view(mailbox.domain))
            .in(std::string_view(mailbox.user))
            .run();
    if (removed == 0) fail(Kind::not_found, "there is no such voice message");
    return Done{};
  });
}

StoreResult<port::Directory::VoicemailCount> SqlDirectory::count_voicemails(
    const port::AddressOfRecord& mailbox) {
  return guarded<VoicemailCount>([&](SqlSession& session) { return count_voicemails_of(session, mailbox); });
}

// ---- bindings
// ----------------------------------------------------------------------------------------------

namespace {

/// Lets the commits within go without an fsync of their own; the next synced commit covers them.
class Unsynced {
 public:
  explicit Unsynced(SqlSession& session) : session_(session) {
    session_.soci() << "PRAGMA synchronous = NORMAL";
  }
  ~Unsynced() {
    try {
      session_.soci() << "PRAGMA synchronous = FULL";
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): setting a flag in memory; the session
                                       // is gone
    }
  }
  Unsynced(const Unsynced&) = delete;
  Unsynced& operator=(const Unsynced&) = delete;

 private:
  SqlSession& session_;
};

}  // namespace

StoreStatus SqlDirectory::save_bindings(std::span<const port::SaveBindings> batch) {
  return guarded<Done>([&](SqlSession& session) {
    const Unsynced unsynced(session);
    Transaction transaction(session);
    for (const port::SaveBindings& save : batch) {
      Query(session, "DELETE FROM bindings WHERE domain = :d AND user = :u")
          .in(std::string_view(save.aor.domain))
          .in(std::string_view(save.aor.user))
          .run();
      for (const port::StoredBinding& b : save.bindings)
        Query(session,
              "INSERT OR REPLACE INTO bindings (domain, user, key, contact, user_agent, expires, part) "
              "VALUES (:d, :u, :k, :c, :a, :e, :p)")
            .in(std::string_view(save.aor.domain))
            .in(std::string_view(save.aor.user))
            .in(std::string_view(b.key))
            .in(std::string_view(b.contact))
            .in(std::string_view(b.user_agent))
            .in(b.expires.ns)
            .in(Blob{b.part})
            .run();
    }
    transaction.commit();
    return Done{};
  });
}

StoreResult<std::vector<port::StoredBinding>> SqlDirectory::bindings() {
  return guarded<std::vector<port::StoredBinding>>([](SqlSession& session) {
    Query query(session,
                "SELECT domain, user, key, contact, user_agent, expires, part FROM bindings ORDER BY domain, "
                "user, key");
    port::StoredBinding b;
    long long expires = 0;
    query.out(b.aor.domain)
        .out(b.aor.user)
        .out(b.key)
        .out(b.contact)
        .out(b.user_agent)
        .out(expires)
        .out_blob(b.part);
    std::vector<port::StoredBinding> rows;
    while (query.next()) {
      b.expires.ns = expires;
      rows.push_back(b);
    }
    return rows;
  });
}

StoreStatus SqlDirectory::remove_expired_bindings(WallTime now) {
  return guarded<Done>([&](SqlSession& session) {
    const Unsynced unsynced(session);
    Query(session, "DELETE FROM bindings WHERE expires <= :n").in(now.ns).run();
    return Done{};
  });
}

// ---- call detail records
// -----------------------------------------------------------------------------------

namespace {

bool insert_cdr(SqlSession& session, const port::Cdr& cdr) {
  const std::string part = encode(cdr);
  return Query(session,
               "INSERT INTO cdrs (node, epoch, call, pair, setup, answer, ended, direction, caller, "
               "caller_domain, "
               "callee, callee_domain, dialled, caller_call_id, callee_call_id, caller_trunk, callee_trunk, "
               "sip_status, q850_cause, part) VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k, :l, :m, "
               ":n, :o, :p, "
               ":q, :r, :s, :t) ON CONFLICT (node, epoch, call, pair) DO NOTHING")
             .in(int64_t{cdr.key.node})
             .in_u64(cdr.key.epoch)
             .in_u64(cdr.key.call)
             .in(int64_t{cdr.key.pair})
             .in(cdr.setup.ns)
             .in(cdr.answer.ns)
             .in(cdr.end.ns)
             .in(port::to_text(cdr.direction))
             .in(std::string_view(cdr.caller.party.user))
             .in(std::string_view(cdr.caller.party.domain))
             .in(std::string_view(cdr.callee.party.user))
             .in(std::string_view(cdr.callee.party.domain))
             .in(std::string_view(cdr.dialled))
             .in(std::string_view(cdr.caller.call_id))
             .in(std::string_view(cdr.callee.call_id))
             .in(std::string_view(cdr.caller.trunk))
             .in(std::string_view(cdr.callee.trunk))
             .in(int64_t{cdr.sip_status})
             .in(int64_t{cdr.q850_cause})
             .in(Blob{part})
             .run() != 0;
}

/// Where a page ended: the key of its last row, setup time first.
using CdrCursor = std::array<int64_t, 5>;

std::string cursor_text(const port::Cdr& cdr) {
  return std::to_string(cdr.setup.ns) + "_" + std::to_string(cdr.key.node) + "_" +
         std::to_string(static_cast<int64_t>(cdr.key.epoch)) + "_" +
         std::to_string(static_cast<int64_t>(cdr.key.call)) + "_" + std::to_string(cdr.key.pair);
}

CdrCursor parse_cursor(std::string_view text) {
  CdrCursor cursor{};
  for (int64_t& number : cursor) {
    const size_t end = text.find('_');
    const std::string_view part = text.substr(0, end);
    const auto [at, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || at != part.data() + part.size())
      fail(Kind::invalid, "the cursor is not one of ours");
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  if (!text.empty()) fail(Kind::invalid, "the cursor is not one of ours");
  return cursor;
}

/// The conditions a query has, as fixed pieces of SQL; the values follow in the same order through
/// bind_conditions().
std::string cdr_search_text(const port::CdrQuery& q) {
  std::string s = "SELECT part FROM cdrs WHERE 1";
  if (q.from.ns != 0) s += " AND setup >= :from";
  if (q.to.ns != 0) s += " AND setup < :to";
  if (!q.party.empty()) s += " AND (caller = :p1 OR callee = :p2 OR dialled = :p3)";
  if (!q.domain.empty()) s += " AND (caller_domain = :d1 OR callee_domain = :d2)";
  if (!q.call_id.empty()) s += " AND (caller_call_id = :i1 OR callee_call_id = :i2)";
  if (!q.trunk.empty()) s += " AND (caller_trunk = :t1 OR callee_trunk = :t2)";
  if (q.sip_status) s += " AND sip_status = :s";
  if (q.q850_cause) s += " AND q850_cause = :q";
  if (!q.cursor.empty()) s += " AND (setup, node, epoch, call, pair) < (:c1, :c2, :c3, :c4, :c5)";
  return s + " ORDER BY setup DESC, node DESC, epoch DESC, call DESC, pair DESC LIMIT :limit";
}

void bind_conditions(Query& query, const port::CdrQuery& q, uint32_t limit) {
  const auto both = [&query](const std::string& value, int times) {
    for (int i = 0; i < times && !value.empty(); ++i) query.in(std::string_view(value));
  };
  if (q.from.ns != 0) query.in(q.from.ns);
  if (q.to.ns != 0) query.in(q.to.ns);
  both(q.party, 3);
  both(q.domain, 2);
  both(q.call_id, 2);
  both(q.trunk, 2);
  if (q.sip_status) query.in(int64_t{*q.sip_status});
  if (q.q850_cause) query.in(int64_t{*q.q850_cause});
  if (!q.cursor.empty())
    for (const int64_t number : parse_cursor(q.cursor)) query.in(number);
  query.in(int64_t{limit} + 1);
}

}  // namespace

StoreResult<size_t> SqlDirectory::insert_cdrs(std::span<const port::Cdr> batch) {
  return guarded<size_t>([&](SqlSession& session) {
    Transaction transaction(session);
    size_t fresh = 0;
    for (const port::Cdr& cdr : batch) fresh += insert_cdr(session, cdr);
    transaction.commit();
    return fresh;
  });
}

StoreResult<port::CdrPage> SqlDirectory::search_cdrs(const port::CdrQuery& q) {
  return guarded<port::CdrPage>([&](SqlSession& session) {
    const uint32_t limit = std::clamp<uint32_t>(q.limit, 1, 1000);
    const std::string text = cdr_search_text(q);
    port::CdrPage page;
    std::string part;
    Query query(session, text);
    bind_conditions(query, q, limit);
    query.out_blob(part);
    while (query.next()) {
      auto cdr = port::decode(part);
      if (!cdr) fail(Kind::corrupt, "a call detail record in the database is damaged");
      page.rows.push_back(std::move(*cdr));
    }
    if (page.rows.size() > limit) {
      page.rows.pop_back();
      page.next = cursor_text(page.rows.back());
    }
    return page;
  });
}

StoreResult<uint64_t> SqlDirectory::count_cdrs() {
  return guarded<uint64_t>([](SqlSession& session) {
    long long n = 0;
    Query query(session, "SELECT count(*) FROM cdrs");
    query.out(n);
    query.next();
    return static_cast<uint64_t>(n);
  });
}

StoreResult<size_t> SqlDirectory::remove_cdrs(WallTime before, uint32_t limit) {
  return guarded<size_t>([&](SqlSession& session) {
    return static_cast<size_t>(Query(session,
                                     "DELETE FROM cdrs WHERE rowid IN (SELECT rowid FROM cdrs WHERE setup < "
                                     ":b ORDER BY setup LIMIT :l)")
                                   .in(before.ns)
                                   .in(int64_t{limit})
                                   .run());
  });
}

}  // namespace tandem::store
