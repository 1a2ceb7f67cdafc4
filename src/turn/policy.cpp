#include "turn/policy.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace tandem::turn {
namespace {

IpPrefix block(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint8_t length) {
  return {IpAddress::v4(a, b, c, d), length};
}

IpPrefix block6(std::initializer_list<uint16_t> groups, uint8_t length) {
  IpPrefix p;
  p.ip.family = IpAddress::Family::v6;
  p.length = length;
  size_t at = 0;
  for (const uint16_t g : groups) {
    p.ip.bytes[at++] = static_cast<uint8_t>(g >> 8);
    p.ip.bytes[at++] = static_cast<uint8_t>(g);
  }
  return p;
}

IpPrefix host6(std::initializer_list<uint16_t> groups, uint8_t last_high, uint8_t last_low) {
  IpPrefix p = block6(groups, 128);
  p.ip.bytes[14] = last_high;
  p.ip.bytes[15] = last_low;
  return p;
}

struct Block {
  IpPrefix prefix;
  Denied why;
};

/// The first that fits names the reason: hosts before the blocks they lie in.
const std::vector<Block>& blocks() {
  static const std::vector<Block> all = {
      {block(169, 254, 169, 254, 32), Denied::metadata},        // AWS, Azure, Google and most others
      {block(169, 254, 170, 2, 32), Denied::metadata},          // credentials of AWS containers
      {block(100, 100, 100, 200, 32), Denied::metadata},        // Alibaba
      {block(168, 63, 129, 16, 32), Denied::metadata},          // Azure's wire server, in a public block
      {block(192, 0, 0, 192, 32), Denied::metadata},            // Oracle
      {host6({0xfd00, 0x0ec2}, 0x02, 0x54), Denied::metadata},  // AWS
      {host6({0xfd20, 0x00ce}, 0x02, 0x54), Denied::metadata},  // Google
      {block(0, 0, 0, 0, 8), Denied::unspecified},
      {block(10, 0, 0, 0, 8), Denied::private_use},
      {block(100, 64, 0, 0, 10), Denied::shared},
      {block(127, 0, 0, 0, 8), Denied::loopback},
      {block(169, 254, 0, 0, 16), Denied::link_local},
      {block(172, 16, 0, 0, 12), Denied::private_use},
      {block(192, 0, 0, 0, 24), Denied::special},
      {block(192, 0, 2, 0, 24), Denied::special},
      {block(192, 88, 99, 0, 24), Denied::special},
      {block(192, 168, 0, 0, 16), Denied::private_use},
      {block(198, 18, 0, 0, 15), Denied::special},
      {block(198, 51, 100, 0, 24), Denied::special},
      {block(203, 0, 113, 0, 24), Denied::special},
      {block(224, 0, 0, 0, 4), Denied::multicast},
      {block(240, 0, 0, 0, 4), Denied::broadcast},
      {block6({}, 128), Denied::unspecified},
      {host6({}, 0, 1), Denied::loopback},
      {block6({0x0064, 0xff9b, 0x0001}, 48), Denied::special},
      {block6({0x0100}, 64), Denied::special},
      {block6({0x2001, 0x0000}, 23), Denied::special},  // Teredo, benchmarking, ORCHID
      {block6({0x2001, 0x0db8}, 32), Denied::special},
      {block6({0x3fff}, 20), Denied::special},
      {block6({0x5f00}, 16), Denied::special},  // segment routing
      {block6({0xfc00}, 7), Denied::private_use},
      {block6({0xfe80}, 10), Denied::link_local},
      {block6({0xfec0}, 10), Denied::link_local},
      {block6({0xff00}, 8), Denied::multicast},
  };
  return all;
}

IpAddress v4_at(const IpAddress& ip, size_t at, uint8_t flip = 0) {
  return IpAddress::v4(ip.bytes[at] ^ flip, ip.bytes[at + 1] ^ flip, ip.bytes[at + 2] ^ flip,
                       ip.bytes[at + 3] ^ flip);
}

bool begins(const IpAddress& ip, std::initializer_list<uint8_t> octets) {
  return std::equal(octets.begin(), octets.end(), ip.bytes.begin());
}

bool in_any(const std::vector<IpPrefix>& prefixes, const IpAddress& ip) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const IpPrefix& p) { return p.contains(ip); });
}

}  // namespace

std::string_view to_string(Denied why) {
  static constexpr std::array<std::string_view, denied_count> names = {
      "no",        "unspecified", "loopback", "link_local", "private", "shared",
      "multicast", "broadcast",   "metadata", "special",    "own",     "configured"};
  return names[static_cast<size_t>(why)];
}

std::optional<IpAddress> embedded_v4(const IpAddress& ip) {
  if (!ip.is_v6()) return std::nullopt;
  const auto zero = [&](size_t from, size_t to) {
    return std::all_of(ip.bytes.begin() + static_cast<std::ptrdiff_t>(from),
                       ip.bytes.begin() + static_cast<std::ptrdiff_t>(to), [](uint8_t b) { return b == 0; });
  };
  if (zero(0, 10) && ip.bytes[10] == 0xff && ip.bytes[11] == 0xff) return v4_at(ip, 12);  // mapped
  if (zero(0, 8) && ip.bytes[8] == 0xff && ip.bytes[9] == 0xff && ip.bytes[10] == 0 && ip.bytes[11] == 0)
    return v4_at(ip, 12);  // translated (RFC 2765)
  // Compatible, but for :: and ::1, which are themselves.
  if (zero(0, 12) && !(zero(12, 15) && ip.bytes[15] <= 1)) return v4_at(ip, 12);
  if (begins(ip, {0x00, 0x64, 0xff, 0x9b})) return v4_at(ip, 12);
  if (begins(ip, {0x20, 0x02})) return v4_at(ip, 2);
  if (begins(ip, {0x20, 0x01, 0x00, 0x00})) return v4_at(ip, 12, 0xff);
  if ((ip.bytes[8] & 0xfd) == 0 && ip.bytes[9] == 0 && ip.bytes[10] == 0x5e && ip.bytes[11] == 0xfe)
    return v4_at(ip, 12);
  return std::nullopt;
}

bool PeerPolicy::is_own(const IpAddress& ip) const {
  const auto is_among = [&](const std::vector<IpAddress>& all) {
    return std::find(all.begin(), all.end(), ip) != all.end();
  };
  return is_among(config_.own) || is_among(machine_);
}

bool PeerPolicy::is_relay(const IpAddress& ip) const {
  return std::find(config_.relays.begin(), config_.relays.end(), ip) != config_.relays.end();
}

bool PeerPolicy::has_media(const IpAddress& ip) const {
  return std::any_of(config_.media.begin(), config_.media.end(), [&](const auto& m) { return m.ip == ip; });
}

Denied PeerPolicy::judge_one(const IpAddress& ip) const {
  if (in_any(config_.deny, ip)) return Denied::configured;
  if (in_any(config_.allow, ip)) return Denied::no;
  for (const Block& b : blocks())
    if (b.prefix.contains(ip)) return b.why;
  return is_own(ip) && !is_relay(ip) && !has_media(ip) ? Denied::own : Denied::no;
}

Denied PeerPolicy::judge(const IpAddress& ip) const {
  const auto inner = embedded_v4(ip);
  if (inner)
    if (const Denied why = judge_one(*inner); why != Denied::no) return why;
  return judge_one(ip);
}

Denied PeerPolicy::judge(const SocketAddress& peer) const {
  if (const Denied why = judge(peer.ip); why != Denied::no) return why;
  const IpAddress inner = embedded_v4(peer.ip).value_or(peer.ip);
  if (in_any(config_.allow, inner)) return Denied::no;
  // An address we relay from is ours, too: of it only the relay ports are open, whatever else listens there.
  // And of one with media only that.
  const bool relay_port = peer.port >= config_.first_port && peer.port <= config_.last_port;
  if (is_relay(inner) && relay_port) return Denied::no;
  const SocketAddress there{inner, peer.port};
  if (std::find(config_.media.begin(), config_.media.end(), there) != config_.media.end()) return Denied::no;
  return is_relay(inner) || has_media(inner) ? Denied::own : Denied::no;
}

}  // namespace tandem::turn
