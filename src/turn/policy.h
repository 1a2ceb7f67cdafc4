#pragma once
// Which peers a client may reach through us. A relay that sends wherever it is told is a way into the network
// it stands in: everything that is not the open internet is denied unless the operator names it.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace tandem::turn {

/// Why a peer is denied; each has a counter.
enum class Denied : uint8_t {
  no,
  unspecified,  // 0.0.0.0/8, ::
  loopback,     // 127.0.0.0/8, ::1
  link_local,   // 169.254.0.0/16, fe80::/10, and the deprecated fec0::/10
  private_use,  // RFC 1918, fc00::/7
  shared,       // 100.64.0.0/10 (RFC 6598)
  multicast,    // 224.0.0.0/4, ff00::/8
  broadcast,    // 255.255.255.255 and all of 240.0.0.0/4
  metadata,     // 169.254.169.254, fd00:ec2::254 and their like at other clouds
  special,      // documentation, benchmarking, protocol assignments, translation prefixes that are local (RFC
                // 6890)
  own,          // an address of this machine, other than a relay port or one for browsers' media
  configured,   // in the operator's deny list
};
inline constexpr size_t denied_count = 12;
std::string_view to_string(Denied why);

struct PolicyConfig {
  std::vector<IpPrefix> deny;   // wins over all else
  std::vector<IpPrefix> allow;  // opens what is denied by default, and nothing that `deny` names
  std::vector<IpAddress> own;   // of this machine: those that are configured
  /// Where relay ports lie. Two clients of this server that both relay reach each other there, unless the
  /// address is denied for what it is.
  std::vector<IpAddress> relays;
  uint16_t first_port = 49152, last_port = 65535;
  /// Where browsers' media comes to this node, open to everybody anyhow: who reaches nothing but this server
  /// calls over it. Likewise unless the address is denied for what it is.
  std::vector<SocketAddress> media;
};

/// The IPv4 address inside an IPv6 one that reaches it: IPv4-mapped and -compatible, NAT64 (64:ff9b::/96 and
/// 64:ff9b:1::/48, RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380, the client's), ISATAP (RFC 5214).
std::optional<IpAddress> embedded_v4(const IpAddress& ip);

class PeerPolicy {
 public:
  explicit PeerPolicy(PolicyConfig config) : config_(std::move(config)) {}

  /// The addresses this machine has now: they come and go.
  void set_machine(std::vector<IpAddress> addresses) { machine_ = std::move(addresses); }

  /// For a permission, which names no port.
  Denied judge(const IpAddress& ip) const;
  /// For a packet, a channel or a connection.
  Denied judge(const SocketAddress& peer) const;

 private:
  Denied judge_one(const IpAddress& ip) const;
  bool is_own(const IpAddress& ip) const;
  bool is_relay(const IpAddress& ip) const;
  bool has_media(const IpAddress& ip) const;

  PolicyConfig config_;
  std::vector<IpAddress> machine_;
};

}  // namespace tandem::turn
