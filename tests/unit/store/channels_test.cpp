// Rows of signalling channels and access keys, over the SQL directory and its twin in memory.
#include <gtest/gtest.h>

#include "samples.h"
#include "store/sql_directory.h"
#include "store_memory/memory_directory.h"

namespace tandem::store_test {
namespace {

using Kind = port::StoreError::Kind;
using Put = port::Directory::Put;

class ChannelContract : public testing::TestWithParam<std::string> {
 protected:
  ChannelContract() {
    if (GetParam() == "sql")
      directory_ = std::make_unique<store::SqlDirectory>(scratch_ / "tandem.db");
    else
      directory_ = std::make_unique<store_memory::MemoryDirectory>();
  }
  port::ChannelDirectory& dir() { return *directory_; }
  template <class T>
  static Kind kind_of(const port::StoreResult<T>& r) {
    EXPECT_FALSE(r.ok());
    return r.ok() ? Kind::internal : r.reason().kind;
  }
  static port::AccessKeyRow key() {
    port::AccessKeyRow k;
    k.id = "ABCDEFGHIJKLMNOPQRST";
    k.secret = "0123456789abcdef0123456789abcdef01234567";
    k.note = "camera 7";
    k.master = true;
    k.channels = {"door", "gate-*", "*"};
    k.created = WallTime{1'700'000'000'000'000'000};
    return k;
  }

  Scratch scratch_;
  std::unique_ptr<port::ChannelDirectory> directory_;
};
INSTANTIATE_TEST_SUITE_P(Twins, ChannelContract, testing::Values("sql", "memory"),
                         [](const auto& p) { return p.param; });

TEST_P(ChannelContract, KeepsChannels) {
  port::ChannelRow row;
  row.name = "door";
  row.created = WallTime{1'700'000'000'000'000'000};
  row.max_viewers = 3;
  EXPECT_EQ(kind_of(dir().put_channel(row, Put::replace)), Kind::not_found);
  ASSERT_TRUE(dir().put_channel(row, Put::create).ok());
  EXPECT_EQ(kind_of(dir().put_channel(row, Put::create)), Kind::conflict);
  row.version = 2;
  row.message_ttl_seconds = 5;
  ASSERT_TRUE(dir().put_channel(row, Put::replace).ok());
  row.name = "attic";
  ASSERT_TRUE(dir().put_channel(row, Put::create).ok());
  const auto rows = dir().channels();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].name, "attic");
  EXPECT_EQ((*rows)[1].version, 2u);
  EXPECT_EQ((*rows)[1].message_ttl_seconds, 5u);
  EXPECT_EQ((*rows)[1].max_viewers, 3u);
  EXPECT_EQ((*rows)[1].created, row.created);
  ASSERT_TRUE(dir().remove_channel("door").ok());
  EXPECT_EQ(kind_of(dir().remove_channel("door")), Kind::not_found);
}

TEST_P(ChannelContract, KeepsAccessKeys) {
  const port::AccessKeyRow k = key();
  ASSERT_TRUE(dir().put_access_key(k, Put::create).ok());
  EXPECT_EQ(kind_of(dir().put_access_key(k, Put::create)), Kind::conflict);
  const auto rows = dir().access_keys();
  ASSERT_TRUE(rows.ok());
  ASSERT_EQ(rows->size(), 1u);
  const port::AccessKeyRow& got = rows->front();
  EXPECT_EQ(got.secret, k.secret);
  EXPECT_EQ(got.channels, k.channels);
  EXPECT_EQ(got.note, k.note);
  EXPECT_TRUE(got.enabled && got.master && !got.viewer && !got.admin);
  EXPECT_EQ(got.created, k.created);
  ASSERT_TRUE(dir().remove_access_key(k.id).ok());
  EXPECT_EQ(kind_of(dir().remove_access_key(k.id)), Kind::not_found);
}

TEST_P(ChannelContract, RefusesRowsThatCannotBe) {
  port::ChannelRow row;
  for (const char* name : {"", "a b", "a/b", "ä"}) {
    row.name = name;
    EXPECT_EQ(kind_of(dir().put_channel(row, Put::either)), Kind::invalid) << name;
  }
  row.name = "door";
  row.message_ttl_seconds = 4;
  EXPECT_EQ(kind_of(dir().put_channel(row, Put::either)), Kind::invalid);
  row.message_ttl_seconds = 60;
  row.max_viewers = 1001;
  EXPECT_EQ(kind_of(dir().put_channel(row, Put::either)), Kind::invalid);
  port::AccessKeyRow k = key();
  k.id = "SHORT";
  EXPECT_EQ(kind_of(dir().put_access_key(k, Put::either)), Kind::invalid);
  k = key();
  k.secret = "with a space in it, and long";
  EXPECT_EQ(kind_of(dir().put_access_key(k, Put::either)), Kind::invalid);
  for (const char* pattern : {"", "a b", "*a", "a**"}) {
    k = key();
    k.channels = {pattern};
    EXPECT_EQ(kind_of(dir().put_access_key(k, Put::either)), Kind::invalid) << pattern;
  }
}

TEST(Covers, NamesAndBeginnings) {
  port::AccessKeyRow k;
  EXPECT_FALSE(port::covers(k, "door"));
  k.channels = {"door", "gate-*"};
  EXPECT_TRUE(port::covers(k, "door"));
  EXPECT_FALSE(port::covers(k, "doors"));
  EXPECT_TRUE(port::covers(k, "gate-1"));
  EXPECT_FALSE(port::covers(k, "gate"));
  k.channels = {"*"};
  EXPECT_TRUE(port::covers(k, "anything"));
}

}  // namespace
}  // namespace tandem::store_test
