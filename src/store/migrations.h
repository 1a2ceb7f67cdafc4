#pragma once
// The SQL schema as numbered steps. A step that has been released is never edited: its checksum is stored
// with the database, and a database whose history differs is refused.
#include <span>
#include <string>
#include <string_view>

namespace tandem::store {

struct Migration {
  int number;  // from 1, without gaps
  std::string_view name;
  std::string_view sql;  // statements, each ended by ';' (which stands nowhere else)
  std::string checksum() const;
};

std::span<const Migration> migrations();

}  // namespace tandem::store
