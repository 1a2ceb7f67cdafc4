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

/// The new value of a counter that says "something changed".
uint64_t bump(SqlSession& session, std::string_view counter);
uint64_t counter_value(SqlSession& session, std::string_view counter);

}  // namespace tandem::store
