#pragma once
// The media ports of a node: a table of numbers shared by its workers, as net::PortRanges is.
#include <cstdint>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/rng.h"
#include "port/media.h"
#include "sim/faults.h"
#include "sim/schedule.h"

namespace tandem::sim {

/// Who holds which number.
struct PortTable {
  struct Tenant {
    uint16_t worker = 0;
    port::MediaPortId id;
  };
  static constexpr uint16_t first = 20000, pairs = 4000;
  IpAddress ip;
  std::map<uint16_t, Tenant> tenants;   // by number
  std::map<uint16_t, Instant> resting;  // even numbers given back a moment ago
  uint64_t epoch = 0;                   // of the boot: as in net::PortRange, each begins with its own eighth
};

class SimPorts final : public port::MediaPorts {
 public:
  SimPorts(PortTable& table, uint16_t worker, uint64_t seed, const Schedule& schedule, Sabotage& sabotage)
      : table_(table), worker_(worker), rng_(seed), schedule_(schedule), sabotage_(sabotage) {}

  std::optional<Pair> open_pair(port::RealmId realm, IpAddress::Family like) override;
  std::optional<Pair> reopen_pair(port::RealmId realm, SocketAddress rtp_local) override;
  void close(port::MediaPortId id) override;

  /// 0 for a port that is not open.
  uint16_t number_of(port::MediaPortId id) const;
  size_t open() const { return open_.size(); }
  uint64_t wrong_closes() const { return wrong_closes_; }

 private:
  port::MediaPort bind(uint16_t number);
  Pair bind_pair(uint16_t number);

  static constexpr Duration rest = seconds(2);
  PortTable& table_;
  const uint16_t worker_;
  SeededRng rng_;
  const Schedule& schedule_;
  Sabotage& sabotage_;
  std::map<uint32_t, std::pair<uint32_t, uint16_t>> open_;  // slot -> generation, number
  uint32_t next_slot_ = 0;
  uint32_t generation_ = 0;
  uint16_t last_ = 0;
  uint64_t wrong_closes_ = 0;
};

}  // namespace tandem::sim
