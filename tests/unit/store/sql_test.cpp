// What only the SQL directory has: schema steps, and databases that are damaged, locked, full or not to be
// written.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>

#include "samples.h"
#include "store/migrations.h"
#include "store/sql_directory.h"

namespace tandem::store_test {
namespace {

using Kind = port::StoreError::Kind;
using Put = port::Directory::Put;

/// Statements straight into a file, past our code.
void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << (error ? error : "");
  sqlite3_free(error);
  sqlite3_close(db);
}

/// A database as the version that knew `steps` schema steps left it.
std::string old_database(size_t steps) {
  std::string sql =
      "CREATE TABLE schema_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT "
      "NULL, "
      "applied TEXT NOT NULL DEFAULT (datetime('now')));";
  for (const store::Migration& m : store::migrations().first(steps))
    sql.append(m.sql).append("INSERT INTO schema_migrations (number, name, checksum) VALUES (" +
                             std::to_string(m.number) + ", '" + std::string(m.name) + "', '" + m.checksum() +
                             "');");
  return sql;
}

Kind open_fails(const std::string& path, store::SqlDirectoryOptions options = {}) {
  store::SqlDirectory dir(path, options);
  const auto opened = dir.open();
  EXPECT_FALSE(opened.ok());
  if (opened.ok()) return Kind::internal;
  EXPECT_FALSE(opened.reason().text.empty());
  return opened.reason().kind;
}

TEST(Migrations, AreNumberedWithoutGaps) {
  int expected = 1;
  for (const auto& m : store::migrations()) EXPECT_EQ(m.number, expected++) << m.name;
}

TEST(Migrations, EveryOlderVersionComesUpToDateAndKeepsItsRows) {
  for (size_t steps = 0; steps <= store::migrations().size(); ++steps) {
    Scratch scratch;
    const std::string path = scratch / "old.db";
    run_sql(path, old_database(steps));
    if (steps >= 1)
      run_sql(path,
              "INSERT INTO domains VALUES ('example.org', 1, '', '', '', '', '', '', 0);"
              "INSERT INTO subscribers VALUES ('example.org', '1001', 1, '', '', '', 'Ann', '', 'internal', "
              "0, '', '', '', "
              "'', 20, 10, 0, '', '', 'default', 'default', 'default', 1);");
    store::SqlDirectory dir(path);
    const auto opened = dir.open();
    ASSERT_TRUE(opened.ok()) << "from " << steps << ": " << opened.reason().text;
    if (steps >= 1) {
      EXPECT_EQ(dir.subscriber({"1001", "example.org"})->display_name, "Ann");
    }
    EXPECT_EQ(dir.insert_cdrs(std::vector{cdr(1)}).value(), 1u);
    ASSERT_TRUE(dir.put_plan_row(domain("new.org"), Put::create).ok());
  }
}

TEST(Migrations, ASecondStartChangesNothing) {
  Scratch scratch;
  ASSERT_TRUE(store::SqlDirectory(scratch / "a.db").open().ok());
  store::SqlDirectory again(scratch / "a.db");
  ASSERT_TRUE(again.put_plan_row(domain("example.org"), Put::create).ok());
  EXPECT_EQ(store::SqlDirectory(scratch / "a.db").plan_rows()->domains.size(), 1u);
}

TEST(Migrations, RefuseANewerDatabase) {
  Scratch scratch;
  run_sql(scratch / "a.db", old_database(store::migrations().size()));
  run_sql(scratch / "a.db",
          "INSERT INTO schema_migrations (number, name, checksum) VALUES (99, 'later', 'x')");
  EXPECT_EQ(open_fails(scratch / "a.db"), Kind::newer);
}

TEST(Migrations, RefuseAnotherHistoryAndAnotherProgram) {
  Scratch scratch;
  run_sql(scratch / "a.db", old_database(2));
  run_sql(scratch / "a.db", "UPDATE schema_migrations SET checksum = '0' WHERE number = 2");
  EXPECT_EQ(open_fails(scratch / "a.db"), Kind::corrupt);
  run_sql(scratch / "b.db", "CREATE TABLE photos (id INTEGER)");
  EXPECT_EQ(open_fails(scratch / "b.db"), Kind::invalid);
}

TEST(Broken, NotADatabaseIsReportedAndServedAgainOnceRepaired) {
  Scratch scratch;
  std::ofstream(scratch / "a.db") << std::string(8192, 'x');
  store::SqlDirectory dir(scratch / "a.db");
  const auto opened = dir.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.reason().kind, Kind::corrupt) << opened.reason().text;
  EXPECT_NE(opened.reason().text.find("a.db"), std::string::npos);
  EXPECT_EQ(dir.plan_rows().reason().kind, Kind::corrupt);
  std::filesystem::remove(scratch / "a.db");
  EXPECT_TRUE(dir.plan_rows().ok());
}

TEST(Broken, DamageInTheMiddle) {
  Scratch scratch;
  {
    store::SqlDirectory dir(scratch / "a.db");
    std::vector<port::Cdr> batch;
    for (uint64_t i = 0; i < 500; ++i) batch.push_back(cdr(i));
    ASSERT_TRUE(dir.insert_cdrs(batch).ok());
  }
  const auto size = std::filesystem::file_size(scratch / "a.db");
  std::fstream file(scratch / "a.db", std::ios::in | std::ios::out | std::ios::binary);
  for (uint64_t at = 4096 * 30; at + 4096 < size; at += 4096) {
    file.seekp(static_cast<std::streamoff>(at));
    file << std::string(512, '\xff');
  }
  file.close();
  store::SqlDirectory dir(scratch / "a.db");
  port::CdrQuery query;
  query.limit = 1000;
  const auto found = dir.search_cdrs(query);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.reason().kind, Kind::corrupt) << found.reason().text;
}

TEST(Broken, PathsThatCannotBe) {
  Scratch scratch;
  std::ofstream(scratch / "file") << "x";
  EXPECT_EQ(open_fails(scratch / "file/a.db"), Kind::unavailable);
  EXPECT_EQ(open_fails(scratch / "absent/a.db"), Kind::unavailable);
  EXPECT_EQ(open_fails(scratch / ""), Kind::unavailable);
  EXPECT_EQ(open_fails(scratch / "quote\".db"), Kind::invalid);
}

TEST(Broken, ReadOnlyServesReadsAndRefusesWrites) {
  Scratch scratch;
  ASSERT_TRUE(store::SqlDirectory(scratch / "a.db").put_plan_row(domain("example.org"), Put::create).ok());
  store::SqlDirectory dir(scratch / "a.db", {.read_only = true});
  EXPECT_EQ(dir.plan_rows()->domains.size(), 1u);
  EXPECT_EQ(dir.put_plan_row(domain("b.org"), Put::create).reason().kind, Kind::read_only);
  EXPECT_EQ(dir.insert_cdrs(std::vector{cdr(1)}).reason().kind, Kind::read_only);
  EXPECT_EQ(dir.plan_rows()->domains.size(), 1u);
}

TEST(Broken, FullRefusesWritesAndGoesOnReading) {
  Scratch scratch;
  store::SqlDirectory dir(scratch / "a.db", {.max_pages = 60});
  ASSERT_TRUE(dir.put_plan_row(domain("example.org"), Put::create).ok());
  std::vector<port::Cdr> batch;
  for (uint64_t i = 0; i < 2000; ++i) batch.push_back(cdr(i));
  const auto inserted = dir.insert_cdrs(batch);
  ASSERT_FALSE(inserted.ok());
  EXPECT_EQ(inserted.reason().kind, Kind::full) << inserted.reason().text;
  EXPECT_EQ(dir.count_cdrs().value(), 0u) << "a batch is stored whole or not at all";
  EXPECT_EQ(dir.plan_rows()->domains.size(), 1u);
  EXPECT_EQ(dir.insert_cdrs(std::vector{cdr(1)}).value(), 1u);
}

TEST(Broken, LockedByAnother) {
  Scratch scratch;
  store::SqlDirectory dir(scratch / "a.db", {.busy_timeout_seconds = 0});
  ASSERT_TRUE(dir.open().ok());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open((scratch / "a.db").c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(dir.put_plan_row(domain("a.org"), Put::create).reason().kind, Kind::unavailable);
  EXPECT_TRUE(dir.plan_rows().ok()) << "reading goes on";
  sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_TRUE(dir.put_plan_row(domain("a.org"), Put::create).ok());
}

TEST(SqlDirectory, TwoConnectionsSeeEachOther) {
  Scratch scratch;
  store::SqlDirectory a(scratch / "with space.db"), b(scratch / "with space.db");
  const uint64_t version = a.plan_version().value();
  ASSERT_TRUE(b.put_plan_row(domain("example.org"), Put::create).ok());
  EXPECT_EQ(a.plan_version().value(), version + 1);
}

}  // namespace
}  // namespace tandem::store_test
