#pragma once
// SqlDirectory::guarded, shared by the files that implement it. Internal to the room.
#include <exception>

#include "store/sql_directory.h"
#include "store/sql_rows.h"

namespace tandem::store {

template <class T, class F>
port::StoreResult<T> SqlDirectory::guarded(F f) {
  try {
    return f(session());
  } catch (...) {
    return Failure{failed(std::current_exception())};
  }
}

[[noreturn]] inline void fail(port::StoreError::Kind kind, std::string text) {
  throw SqlFailure{{kind, std::move(text)}};
}

/// Stores the row in the given mode; `what` names it in errors.
template <class Row>
void put_row(SqlSession& session, const Row& row, port::Directory::Put mode, const std::string& what) {
  using Put = port::Directory::Put;
  if (mode != Put::create && update_row(session, row) != 0) return;
  if (mode == Put::replace) fail(port::StoreError::Kind::not_found, "there is no " + what);
  if (insert_row(session, row) == 0) fail(port::StoreError::Kind::conflict, what + " exists already");
}

/// The new value of a counter that says "something changed".
uint64_t bump(SqlSession& session, std::string_view counter);
uint64_t counter_value(SqlSession& session, std::string_view counter);

}  // namespace tandem::store
