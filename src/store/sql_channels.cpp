// Signalling channels and access keys.
#include "store/sql_guard.h"

namespace tandem::store {

using port::StoreResult;
using port::StoreStatus;
using Kind = port::StoreError::Kind;

namespace {

template <class Row>
void put_limited(SqlSession& session, const Row& row, port::Directory::Put mode, const std::string& what,
                 size_t most) {
  if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
  Transaction transaction(session);
  put_row(session, row, mode, what);
  static const std::string text = "SELECT count(*) FROM " + std::string(Table<Row>::name);
  long long count = 0;
  Query query(session, text);
  query.out(count);
  query.next();
  if (static_cast<size_t>(count) > most) fail(Kind::limit, "there are " + std::to_string(most) + " already");
  transaction.commit();
}

}  // namespace

StoreResult<std::vector<port::ChannelRow>> SqlDirectory::channels() {
  return guarded<std::vector<port::ChannelRow>>(
      [](SqlSession& session) { return select_all<port::ChannelRow>(session); });
}

StoreStatus SqlDirectory::put_channel(const port::ChannelRow& row, Put mode) {
  return guarded<Done>([&](SqlSession& session) {
    put_limited(session, row, mode, "channel " + row.name, port::most_channels);
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_channel(const std::string& name) {
  return guarded<Done>([&](SqlSession& session) {
    port::ChannelRow row;
    row.name = name;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no channel " + name);
    return Done{};
  });
}

StoreResult<std::vector<port::AccessKeyRow>> SqlDirectory::access_keys() {
  return guarded<std::vector<port::AccessKeyRow>>(
      [](SqlSession& session) { return select_all<port::AccessKeyRow>(session); });
}

StoreStatus SqlDirectory::put_access_key(const port::AccessKeyRow& row, Put mode) {
  return guarded<Done>([&](SqlSession& session) {
    put_limited(session, row, mode, "access key " + row.id, port::most_access_keys);
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_access_key(const std::string& id) {
  return guarded<Done>([&](SqlSession& session) {
    port::AccessKeyRow row;
    row.id = id;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no access key " + id);
    return Done{};
  });
}

}  // namespace tandem::store
