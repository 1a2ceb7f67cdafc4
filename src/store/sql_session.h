#pragma once
// A SOCI connection as this room uses it: cached prepared statements, every value bound, errors as
// StoreError. Internal to the room: SOCI's templates stay behind sql_directory.h.
#include <soci/soci.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "port/directory.h"

namespace tandem::store {

struct SqlOptions {
  uint32_t busy_timeout_seconds = 5;  // another connection holds the write lock for longer: `unavailable`
  bool read_only = false;
  // The medium cannot be written: SQLite is told that nobody changes the file, and reads it without a lock or
  // a WAL index.
  bool immutable = false;
  uint64_t max_pages = 0;  // of 4 KiB; past it writes fail with `full`. 0: SQLite's own limit
};

/// Thrown inside the room, caught at the Directory's surface.
struct SqlFailure {
  port::StoreError error;
};

class SqlSession {
 public:
  /// Opens and brings the schema up to date. Throws soci::soci_error or SqlFailure.
  SqlSession(const std::string& path, const SqlOptions& options);
  soci::session& soci() { return soci_; }
  soci::statement& prepared(std::string_view text);
  void forget(std::string_view text) { statements_.erase(statements_.find(text)); }
  /// SQLite's primary result code for an exception this session threw.
  int code_of(const soci::soci_error& error);

 private:
  friend class Query;
  void migrate();

  soci::session soci_;
  std::unordered_map<std::string, soci::statement, TextHash, std::equal_to<>> statements_;
};

/// The same for an exception out of SqlSession's constructor, when there is no session to ask.
int code_at_open(const soci::soci_error& error);
port::StoreError error_of(int sqlite_code, std::string_view message, const std::string& path);

/// A value to be stored as a BLOB.
struct Blob {
  std::string_view bytes;
};

/// One run of a prepared statement. Parameters are bound in order; columns are read into the variables given
/// to out(), which must outlive the Query.
class Query {
 public:
  Query(SqlSession& session, std::string_view text);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& in(int64_t value);
  Query& in(std::string_view value);
  Query& in(Blob value);
  Query& in_u64(uint64_t value) { return in(static_cast<int64_t>(value)); }
  Query& out(long long& value);
  Query& out(std::string& value);
  Query& out_blob(std::string& value);

  /// Runs a statement without result rows; gives the number of rows it changed.
  int64_t run();
  /// The next row; the first call runs the statement.
  bool next();

 private:
  void start(bool exchange);

  SqlSession& session_;
  std::string_view text_;
  soci::statement statement_;
  std::deque<long long> numbers_;
  std::deque<std::string> texts_;
  std::deque<soci::blob> blobs_;
  struct BlobOut {
    soci::blob* blob;
    std::string* to;
  };
  std::deque<BlobOut> blob_outs_;
  bool started_ = false;
  bool more_ = false;
  int uncaught_;
};

/// Takes the write lock at once, so that a later statement cannot fail half way for want of it. Rolls back
/// unless committed.
class Transaction {
 public:
  enum class Kind : uint8_t { read, write };
  explicit Transaction(SqlSession& session, Kind kind = Kind::write);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  SqlSession& session_;
  bool open_ = true;
};

}  // namespace tandem::store
