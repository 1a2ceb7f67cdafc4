#pragma once
// Realms: the networks this node stands in. Each has its own listeners, the addresses it tells peers of, its
// media addresses and its policy. Built once from configuration, shared by all workers, never changed.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/address.h"
#include "base/hash.h"
#include "base/result.h"
#include "port/flow.h"
#include "sip/transaction.h"

namespace tandem::edge {

struct Listener {
  port::Transport transport = port::Transport::udp;
  SocketAddress bound;
  std::string
      advertised_host;  // name or address peers reach us at; empty: the realm's, then the bound address
  uint16_t advertised_port = 0;  // 0: the bound one
};

struct MediaRange {
  IpAddress v4, v6;                        // bound; unset: family not offered
  IpAddress advertised_v4, advertised_v6;  // in SDP; unset: the bound ones
  uint16_t first_port = 16384, last_port = 32767;
};

/// Who may speak to us here at all.
struct RealmPolicy {
  std::vector<IpPrefix> allow;    // empty: everybody
  std::vector<IpPrefix> deny;     // wins over allow
  std::vector<IpPrefix> trusted;  // neighbours (trunks, proxies): no rate limit, never banned
  bool silent = true;             // those kept out hear nothing; false: 403
  bool registrations = true;      // false: REGISTER is refused (a realm towards carriers)
  bool scanners = false;          // true: known scanners are let in (a honeypot, a test)
};

struct Realm {
  std::string name = "default";
  std::string advertised_host;  // for listeners that do not say
  std::vector<Listener> listeners;
  MediaRange media;
  RealmPolicy policy;
};

/// Implements sip::SentBy: what stands in our Via.
class RealmTable final : public sip::SentBy {
 public:
  /// The RealmId is the index. The failure says what is wrong in one sentence.
  static Result<std::shared_ptr<const RealmTable>, std::string> build(std::vector<Realm> realms);

  size_t size() const { return realms_.size(); }
  /// The default realm for an unknown id.
  const Realm& realm(port::RealmId id) const { return realms_[id < realms_.size() ? id : 0]; }
  std::optional<port::RealmId> find(std::string_view name) const;
  /// In the order of their ids, for route::Plan::compile.
  std::vector<std::string> names() const;
  /// The realm whose listener is bound there; the exact address first, then a listener on all addresses.
  std::optional<port::RealmId> realm_of(port::Transport transport, const SocketAddress& local) const;

  /// "203.0.113.5:5060": advertised, of the listener the path leaves by, or of one of the same transport and
  /// family.
  std::string_view sent_by(const port::Path& path) const override;
  /// "<sip:user@203.0.113.5:5060;transport=tcp>"; `user` is escaped as needed and may be empty.
  std::string contact_for(const port::Path& path, std::string_view user) const;
  /// True for an address or name a listener is bound to or advertises, in any realm (IPv6 with or without
  /// brackets).
  bool is_local(std::string_view host) const;
  /// What a leg in this realm can send from.
  bool has_v4(port::RealmId id) const;
  bool has_v6(port::RealmId id) const;

 private:
  struct Entry {
    port::Transport transport;
    SocketAddress bound;
    std::string sent_by;
  };
  explicit RealmTable(std::vector<Realm> realms) : realms_(std::move(realms)) {}
  const Entry& entry_for(const port::Path& path) const;

  std::vector<Realm> realms_;
  std::vector<std::vector<Entry>> entries_;  // by realm
  std::unordered_set<std::string, TextHash, std::equal_to<>> local_hosts_;
};

}  // namespace tandem::edge
