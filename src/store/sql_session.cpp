#include "store/sql_session.h"

#include <soci/sqlite3/soci-sqlite3.h>

#include <exception>

#include "store/migrations.h"

namespace tandem::store {
namespace {

std::string connect_string(const std::string& path, const SqlOptions& options) {
  std::string name = path;
  if (options.immutable) {
    name = "file:";
    for (const char c : path)
      name += c == '%' ? "%25" : c == '?' ? "%3f" : c == '#' ? "%23" : std::string(1, c);
    name += "?immutable=1";
  }
  std::string s = "db=\"" + name + "\" timeout=" + std::to_string(options.busy_timeout_seconds);
  if (options.read_only || options.immutable) s += " readonly=true";
  return s;
}

[[noreturn]] void fail(port::StoreError::Kind kind, std::string text) {
  throw SqlFailure{{kind, std::move(text)}};
}

/// f(statement) for each statement of a migration.
template <class F>
void for_each_statement(std::string_view sql, F f) {
  while (true) {
    const size_t end = sql.find(';');
    if (end == std::string_view::npos) return;
    f(sql.substr(0, end));
    sql.remove_prefix(end + 1);
  }
}

}  // namespace

SqlSession::SqlSession(const std::string& path, const SqlOptions& options) {
  if (path.find_first_of("\"\\") != std::string::npos)
    fail(port::StoreError::Kind::invalid, "a database path cannot hold quotes or backslashes");
  soci_.open(soci::sqlite3, connect_string(path, options));
  // SOCI prints failed queries nowhere by default; parameters, which may be secrets, stay out of the logs.
  std::string mode;
  if (!options.read_only && !options.immutable) soci_ << "PRAGMA journal_mode = WAL", soci::into(mode);
  soci_ << "PRAGMA synchronous = FULL";
  soci_ << "PRAGMA foreign_keys = ON";
  soci_ << "PRAGMA trusted_schema = OFF";
  if (options.max_pages != 0) {
    long long pages = 0;
    soci_ << "PRAGMA max_page_count = " + std::to_string(options.max_pages), soci::into(pages);
  }
  migrate();
}

void SqlSession::migrate() {
  using Kind = port::StoreError::Kind;
  long long tables = 0, known = 0;
  soci_ << "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
      soci::into(tables);
  soci_ << "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'",
      soci::into(known);
  if (tables != 0 && known == 0)
    fail(Kind::invalid, "the database belongs to another program (no schema_migrations)");
  const auto ours = migrations();
  long long highest = 0;
  if (known != 0) soci_ << "SELECT coalesce(max(number), 0) FROM schema_migrations", soci::into(highest);
  if (highest > ours.back().number)
    fail(Kind::newer, "the database has schema version " + std::to_string(highest) +
                          ", this program knows up to " + std::to_string(ours.back().number) +
                          ": start the newer program, or restore a backup");
  for (const Migration& m : ours.first(static_cast<size_t>(highest))) {
    std::string checksum;
    long long number = m.number;
    soci_ << "SELECT checksum FROM schema_migrations WHERE number = :n", soci::use(number),
        soci::into(checksum);
    if (checksum != m.checksum())
      fail(Kind::corrupt,
           "schema step " + std::to_string(m.number) + " of the database is not this program's");
  }
  if (static_cast<size_t>(highest) == ours.size()) return;
  Transaction transaction(*this);
  soci_ << "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
           "checksum TEXT NOT NULL, applied TEXT NOT NULL DEFAULT (datetime('now')))";
  // Another process may have been quicker while this one waited for the lock.
  soci_ << "SELECT coalesce(max(number), 0) FROM schema_migrations", soci::into(highest);
  for (const Migration& m : ours.subspan(std::min(static_cast<size_t>(highest), ours.size()))) {
    for_each_statement(m.sql, [this](std::string_view statement) { soci_ << std::string(statement); });
    Query(*this, "INSERT INTO schema_migrations (number, name, checksum) VALUES (:n, :a, :c)")
        .in(int64_t{m.number})
        .in(m.name)
        .in(m.checksum())
        .run();
  }
  transaction.commit();
}

soci::statement& SqlSession::prepared(std::string_view text) {
  const auto found = statements_.find(text);
  if (found != statements_.end()) return found->second;
  soci::statement statement(soci_);
  statement.alloc();
  statement.prepare(std::string(text));
  return statements_.emplace(std::string(text), statement).first->second;
}

int SqlSession::code_of(const soci::soci_error& error) {
  if (const auto* e = dynamic_cast<const soci::sqlite3_soci_error*>(&error)) return e->result() & 0xff;
  const auto* backend = static_cast<soci::sqlite3_session_backend*>(soci_.get_backend());
  return backend ? sqlite_api::sqlite3_errcode(backend->conn_) & 0xff : SQLITE_CANTOPEN;
}

int code_at_open(const soci::soci_error& error) {
  const auto* e = dynamic_cast<const soci::sqlite3_soci_error*>(&error);
  return e ? e->result() & 0xff : SQLITE_CANTOPEN;
}

port::StoreError error_of(int code, std::string_view message, const std::string& path) {
  using Kind = port::StoreError::Kind;
  const std::string where = " (" + path + ")";
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Kind::unavailable, "the database is locked by another program" + where};
    case SQLITE_CANTOPEN:
      return {Kind::unavailable, "the database cannot be opened" + where};
    case SQLITE_IOERR:
      return {Kind::unavailable, "input/output error on the database" + where};
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return {Kind::read_only, "the database cannot be written" + where};
    case SQLITE_FULL:
      return {Kind::full, "no space left for the database" + where};
    case SQLITE_CORRUPT:
      return {Kind::corrupt, "the database is damaged" + where};
    case SQLITE_NOTADB:
      return {Kind::corrupt, "the file is not a database" + where};
    case SQLITE_CONSTRAINT:
      return {Kind::conflict, "another row stands in the way: " + std::string(message)};
    case SQLITE_TOOBIG:
      return {Kind::invalid, "a value is too large"};
    default:
      return {Kind::internal, std::string(message) + where};
  }
}

Query::Query(SqlSession& session, std::string_view text)
    : session_(session),
      text_(text),
      statement_(session.prepared(text)),
      uncaught_(std::uncaught_exceptions()) {}

Query::~Query() {
  // A statement that failed is not used again; one that was not read to its end would hold its snapshot open.
  try {
    if (std::uncaught_exceptions() > uncaught_) {
      session_.forget(text_);
      return;
    }
    while (more_) more_ = statement_.fetch();
    statement_.bind_clean_up();
  } catch (const std::exception&) {
    session_.forget(text_);
  }
}

Query& Query::in(int64_t value) {
  statement_.exchange(soci::use(numbers_.emplace_back(value)));
  return *this;
}

Query& Query::in(std::string_view value) {
  statement_.exchange(soci::use(texts_.emplace_back(value)));
  return *this;
}

Query& Query::in(Blob value) {
  soci::blob& blob = blobs_.emplace_back(session_.soci_);
  blob.write(0, value.bytes.data(), value.bytes.size());
  statement_.exchange(soci::use(blob));
  return *this;
}

Query& Query::out(long long& value) {
  statement_.exchange(soci::into(value));
  return *this;
}

Query& Query::out(std::string& value) {
  statement_.exchange(soci::into(value));
  return *this;
}

Query& Query::out_blob(std::string& value) {
  soci::blob& blob = blobs_.emplace_back(session_.soci_);
  statement_.exchange(soci::into(blob));
  blob_outs_.push_back({&blob, &value});
  return *this;
}

void Query::start(bool exchange) {
  statement_.define_and_bind();
  started_ = true;
  more_ = statement_.execute(exchange);
}

int64_t Query::run() {
  start(true);
  more_ = false;
  return statement_.get_affected_rows();
}

bool Query::next() {
  if (!started_) {
    start(false);
    more_ = true;
  }
  if (more_) more_ = statement_.fetch();
  if (!more_) return false;
  for (const BlobOut& b : blob_outs_) {
    b.to->resize(b.blob->get_len());
    if (!b.to->empty()) b.blob->read(0, b.to->data(), b.to->size());
  }
  return true;
}

Transaction::Transaction(SqlSession& session, Kind kind) : session_(session) {
  session_.soci() << (kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    session_.soci() << "ROLLBACK";
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): SQLite has rolled back by itself already
  }
}

void Transaction::commit() {
  session_.soci() << "COMMIT";
  open_ = false;
}

}  // namespace tandem::store
