#include "ops/sessions.h"

#include <algorithm>
#include <array>

#include "crypto/base64.h"
#include "crypto/hash.h"

namespace tandem::ops {
namespace {

std::string random_text(Rng& rng) {
  std::array<uint8_t, 32> bytes{};
  rng.fill(bytes);
  return crypto::base64url(bytes);
}

std::string digest_of(std::string_view cookie) {
  return std::string(crypto::hash_hex(crypto::Hash::sha256, {cookie}).view());
}

}  // namespace

SessionTable::SessionTable(SessionLimits limits, CounterSet& counters)
    : limits_(limits),
      open_(counters.gauge("console_sessions", "Sessions of people who are signed in")),
      ended_idle_(counters.counter("console_sessions_expired_total", "Sessions that were unused, or old")),
      refused_(counters.counter("console_sessions_refused_total",
                                "Sign-ins refused because too many were signed in already")) {}

bool SessionTable::over(WallTime now, const Session& s) const {
  return now - s.created >= limits_.longest || now - s.used >= limits_.idle;
}

void SessionTable::drop_over(WallTime now) {
  ended_idle_.add(std::erase_if(sessions_, [&](const auto& s) { return over(now, s.second); }));
  count();
}

void SessionTable::count() { open_.set(sessions_.size()); }

void SessionTable::make_room_of(const std::string& account) {
  std::vector<const Session*> own;
  for (const auto& [digest, s] : sessions_)
    if (s.account == account) own.push_back(&s);
  if (own.size() < limits_.most_of_account) return;
  const auto oldest = std::min_element(own.begin(), own.end(),
                                       [](const auto* a, const auto* b) { return a->used < b->used; });
  end((*oldest)->id);
}

std::optional<SessionTable::Opened> SessionTable::open(WallTime now, Session session, Rng& rng) {
  drop_over(now);
  make_room_of(session.account);
  if (sessions_.size() >= limits_.most) {
    refused_.add();
    return std::nullopt;
  }
  session.id = next_id_++;
  session.csrf = random_text(rng);
  session.created = session.used = now;
  Opened opened{random_text(rng), session};
  sessions_[digest_of(opened.cookie)] = std::move(session);
  count();
  return opened;
}

const Session* SessionTable::find(WallTime now, std::string_view cookie, bool background) {
  const auto it = sessions_.find(digest_of(cookie));
  if (it == sessions_.end()) return nullptr;
  if (over(now, it->second)) {
    sessions_.erase(it);
    ended_idle_.add();
    count();
    return nullptr;
  }
  if (!background) it->second.used = std::max(it->second.used, now);
  return &it->second;
}

bool SessionTable::has(uint64_t id) const {
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& s) { return s.second.id == id; });
}

bool SessionTable::end(uint64_t id) {
  const size_t ended = std::erase_if(sessions_, [&](const auto& s) { return s.second.id == id; });
  count();
  return ended > 0;
}

void SessionTable::end_of(std::string_view account, uint64_t except) {
  std::erase_if(sessions_,
                [&](const auto& s) { return s.second.account == account && s.second.id != except; });
  count();
}

std::vector<Session> SessionTable::list(WallTime now) {
  drop_over(now);
  std::vector<Session> all;
  for (const auto& [digest, s] : sessions_) all.push_back(s);
  std::sort(all.begin(), all.end(), [](const Session& a, const Session& b) { return a.id < b.id; });
  return all;
}

}  // namespace tandem::ops
