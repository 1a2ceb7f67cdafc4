#pragma once
// Who is signed in. A session is known by a cookie of 256 random bits, of which only the SHA-256 is kept; it
// ends when nobody uses it, when it is old, when it is ended by hand, or with the node.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "port/ask.h"

namespace tandem::ops {

/// What somebody may do, and what an operation asks for. From `own` on each includes the one before.
enum class Scope : uint8_t {
  none,     // nobody
  open,     // an operation for everybody
  session,  // an operation for whoever is signed in, on his own session
  own,      // a subscriber: what is his
  read,     // reads everything
  operate,  // and hangs calls up
  admin,    // everything
};

struct Session {
  uint64_t id = 0;      // in lists; tells nothing about the cookie
  std::string account;  // name of an administrator, or user@domain
  Scope scope = Scope::none;
  std::optional<port::AddressOfRecord> subscriber;
  std::string csrf;  // what a request that changes something must carry besides the cookie
  IpAddress source;
  std::string user_agent;
  WallTime created, used;
};

struct SessionLimits {
  Duration idle = minutes(30);
  Duration longest = hours(12);
  size_t most = 4096;          // past it nobody can sign in
  size_t most_of_account = 8;  // past it the account's session that is unused longest ends
};

class SessionTable {
 public:
  SessionTable(SessionLimits limits, CounterSet& counters);

  struct Opened {
    std::string cookie;
    Session session;
  };
  /// Fills in id, csrf and times. Nothing: the table is full.
  std::optional<Opened> open(WallTime now, Session session, Rng& rng);
  /// Null: no such session, or it is over. `background`: the request is a page's own and does not count as
  /// use. Good until the next call.
  const Session* find(WallTime now, std::string_view cookie, bool background);
  bool has(uint64_t id) const;
  bool end(uint64_t id);
  void end_of(std::string_view account, uint64_t except = 0);
  std::vector<Session> list(WallTime now);

 private:
  bool over(WallTime now, const Session& s) const;
  void drop_over(WallTime now);
  void make_room_of(const std::string& account);
  void count();

  const SessionLimits limits_;
  std::unordered_map<std::string, Session> sessions_;  // by SHA-256 of the cookie
  uint64_t next_id_ = 1;
  Counter& open_;
  Counter& ended_idle_;
  Counter& refused_;
};

}  // namespace tandem::ops
