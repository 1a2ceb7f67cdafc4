// Webhooks and what still has to be told to them.
#include <algorithm>
#include <map>

#include "store/sql_guard.h"

namespace tandem::store {

using Kind = port::StoreError::Kind;
using port::StoreResult;
using port::StoreStatus;
using port::WebhookDelivery;

StoreResult<std::vector<port::WebhookRow>> SqlDirectory::webhooks() {
  return guarded<std::vector<port::WebhookRow>>(
      [](SqlSession& session) { return select_all<port::WebhookRow>(session); });
}

StoreStatus SqlDirectory::put_webhook(const port::WebhookRow& row, Put mode) {
  return guarded<Done>([&](SqlSession& session) {
    if (std::string problem = problem_with(row); !problem.empty()) fail(Kind::invalid, problem);
    Transaction transaction(session);
    const bool changed = mode != Put::create && update_row(session, row) != 0;
    if (!changed && mode == Put::replace) fail(Kind::not_found, "there is no webhook " + row.name);
    if (!changed && insert_row(session, row) == 0)
      fail(Kind::conflict, "webhook " + row.name + " exists already");
    transaction.commit();
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_webhook(const std::string& name) {
  return guarded<Done>([&](SqlSession& session) {
    port::WebhookRow row;
    row.name = name;
    if (delete_row(session, row) == 0) fail(Kind::not_found, "there is no webhook " + name);
    return Done{};
  });
}

namespace {

constexpr std::string_view columns_of_delivery =
    "SELECT number, endpoint, id, type, body, time, attempts, next, error, dead FROM webhook_deliveries ";

struct DeliveryReader {
  long long number = 0, time = 0, attempts = 0, next = 0, dead = 0;
  WebhookDelivery row;
  void bind(Query& query) {
    query.out(number).out(row.endpoint).out(row.id).out(row.type).out_blob(row.body).out(time);
    query.out(attempts).out(next).out(row.error).out(dead);
  }
  WebhookDelivery take() const {
    WebhookDelivery d = row;
    d.number = static_cast<uint64_t>(number);
    d.time.ns = time;
    d.attempts = static_cast<uint32_t>(attempts);
    d.next.ns = next;
    d.dead = dead != 0;
    return d;
  }
};

uint64_t waiting_for(SqlSession& session, const std::string& endpoint) {
  long long n = 0;
  Query query(session, "SELECT count(*) FROM webhook_deliveries WHERE endpoint = :e AND dead = 0");
  query.in(std::string_view(endpoint)).out(n);
  query.next();
  return static_cast<uint64_t>(n);
}

bool insert_delivery(SqlSession& session, const WebhookDelivery& d) {
  return Query(session,
               "INSERT INTO webhook_deliveries (endpoint, id, type, body, time, attempts, next, error, dead) "
               "SELECT name, :i, :t, :b, :w, 0, 0, '', 0 FROM webhooks WHERE name = :e "
               "ON CONFLICT DO NOTHING")
             .in(std::string_view(d.id))
             .in(std::string_view(d.type))
             .in(Blob{d.body})
             .in(d.time.ns)
             .in(std::string_view(d.endpoint))
             .run() != 0;
}

}  // namespace

StoreResult<port::WebhookDirectory::Queued> SqlDirectory::queue_deliveries(
    std::span<const WebhookDelivery> batch, uint32_t most) {
  return guarded<Queued>([&](SqlSession& session) {
    Transaction transaction(session);
    std::map<std::string, uint64_t> waiting;
    Queued done;
    for (const WebhookDelivery& d : batch) {
      const auto [at, fresh] = waiting.emplace(d.endpoint, 0);
      if (fresh) at->second = waiting_for(session, d.endpoint);
      if (at->second >= most) {
        ++done.dropped;
      } else if (insert_delivery(session, d)) {
        ++at->second;
        ++done.queued;
      }
    }
    transaction.commit();
    return done;
  });
}

StoreResult<std::vector<WebhookDelivery>> SqlDirectory::next_deliveries() {
  return guarded<std::vector<WebhookDelivery>>([](SqlSession& session) {
    static const std::string text =
        std::string(columns_of_delivery) +
        "WHERE number IN (SELECT (SELECT d.number FROM webhook_deliveries d WHERE d.endpoint = w.name AND "
        "d.dead = 0 ORDER BY d.number LIMIT 1) FROM webhooks w WHERE w.enabled = 1)";
    Query query(session, text);
    DeliveryReader reader;
    reader.bind(query);
    std::vector<WebhookDelivery> all;
    while (query.next()) all.push_back(reader.take());
    return all;
  });
}

StoreStatus SqlDirectory::delivered(uint64_t number) {
  return guarded<Done>([&](SqlSession& session) {
    Query(session, "DELETE FROM webhook_deliveries WHERE number = :n").in_u64(number).run();
    return Done{};
  });
}

StoreStatus SqlDirectory::postpone_delivery(uint64_t number, uint32_t attempts, WallTime next,
                                            const std::string& error) {
  return guarded<Done>([&](SqlSession& session) {
    Query(session,
          "UPDATE webhook_deliveries SET attempts = :a, next = :w, error = :e WHERE number = :n AND dead = 0")
        .in(int64_t{attempts})
        .in(next.ns)
        .in(std::string_view(error))
        .in_u64(number)
        .run();
    return Done{};
  });
}

StoreResult<size_t> SqlDirectory::bury_delivery(uint64_t number, uint32_t attempts, const std::string& error,
                                                uint32_t most) {
  return guarded<size_t>([&](SqlSession& session) {
    Transaction transaction(session);
    Query(session, "UPDATE webhook_deliveries SET attempts = :a, error = :e, dead = 1 WHERE number = :n")
        .in(int64_t{attempts})
        .in(std::string_view(error))
        .in_u64(number)
        .run();
    const int64_t removed =
        Query(session,
              "DELETE FROM webhook_deliveries WHERE number IN (SELECT number FROM webhook_deliveries WHERE "
              "dead = 1 AND endpoint = (SELECT endpoint FROM webhook_deliveries WHERE number = :n) ORDER BY "
              "number DESC LIMIT -1 OFFSET :m)")
            .in_u64(number)
            .in(int64_t{most})
            .run();
    transaction.commit();
    return static_cast<size_t>(removed);
  });
}

StoreResult<std::vector<WebhookDelivery>> SqlDirectory::dead_deliveries(const std::string& endpoint,
                                                                        uint64_t before, uint32_t limit) {
  return guarded<std::vector<WebhookDelivery>>([&](SqlSession& session) {
    static const std::string text =
        std::string(columns_of_delivery) +
        "WHERE endpoint = :e AND dead = 1 AND (:b = 0 OR number < :c) ORDER BY number DESC LIMIT :l";
    Query query(session, text);
    query.in(std::string_view(endpoint)).in_u64(before).in_u64(before);
    query.in(int64_t{std::clamp<uint32_t>(limit, 1, 1000)});
    DeliveryReader reader;
    reader.bind(query);
    std::vector<WebhookDelivery> all;
    while (query.next()) all.push_back(reader.take());
    return all;
  });
}

StoreStatus SqlDirectory::revive_delivery(const std::string& endpoint, uint64_t number) {
  return guarded<Done>([&](SqlSession& session) {
    const int64_t changed =
        Query(session,
              "UPDATE webhook_deliveries SET dead = 0, attempts = 0, next = 0, number = (SELECT max(number) "
              "+ 1 FROM webhook_deliveries) WHERE number = :n AND endpoint = :e AND dead = 1")
            .in_u64(number)
            .in(std::string_view(endpoint))
            .run();
    if (changed == 0) fail(Kind::not_found, "there is no such failed delivery");
    return Done{};
  });
}

StoreStatus SqlDirectory::remove_delivery(const std::string& endpoint, uint64_t number) {
  return guarded<Done>([&](SqlSession& session) {
    const int64_t changed =
        Query(session, "DELETE FROM webhook_deliveries WHERE number = :n AND endpoint = :e AND dead = 1")
            .in_u64(number)
            .in(std::string_view(endpoint))
            .run();
    if (changed == 0) fail(Kind::not_found, "there is no such failed delivery");
    return Done{};
  });
}

StoreResult<std::vector<port::WebhookDirectory::WebhookCount>> SqlDirectory::count_deliveries() {
  return guarded<std::vector<WebhookCount>>([](SqlSession& session) {
    Query query(session,
                "SELECT endpoint, count(*) - sum(dead), sum(dead) FROM webhook_deliveries GROUP BY endpoint "
                "ORDER BY endpoint");
    std::string endpoint;
    long long waiting = 0, dead = 0;
    query.out(endpoint).out(waiting).out(dead);
    std::vector<WebhookCount> all;
    while (query.next())
      all.push_back({endpoint, static_cast<uint64_t>(waiting), static_cast<uint64_t>(dead)});
    return all;
  });
}

}  // namespace tandem::store
