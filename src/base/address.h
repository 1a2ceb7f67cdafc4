#pragma once
// IP addresses without system headers, so that protocol rooms can hold them.
#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

/// IPv4 or IPv6 address in network byte order; `none` when unset.
struct IpAddress {
  enum class Family : uint8_t { none, v4, v6 };
  Family family = Family::none;
  std::array<uint8_t, 16> bytes{};  // v4 uses the first four

  constexpr auto operator<=>(const IpAddress&) const = default;
  bool is_v4() const { return family == Family::v4; }
  bool is_v6() const { return family == Family::v6; }
  explicit operator bool() const { return family != Family::none; }

  static constexpr IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    IpAddress ip;
    ip.family = Family::v4;
    ip.bytes = {a, b, c, d};
    return ip;
  }
  /// Dotted quad, or IPv6 text with or without brackets. No names, no zone index. IPv4-mapped IPv6 comes out
  /// as IPv4.
  static std::optional<IpAddress> parse(std::string_view text);
  std::string to_string() const;  // IPv6 without brackets (RFC 5952)

  bool is_loopback() const;
  bool is_unspecified() const;
  /// RFC 1918, RFC 6598 (100.64/10), RFC 4193 (fc00::/7), link-local: an address a far-end NAT may hide.
  bool is_private() const;
};

struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;  // host byte order
  constexpr auto operator<=>(const SocketAddress&) const = default;
  explicit operator bool() const { return static_cast<bool>(ip); }
  /// "192.0.2.1:5060" or "[2001:db8::1]:5060".
  static std::optional<SocketAddress> parse(std::string_view text);
  std::string to_string() const;
};

struct SocketAddressHash {
  size_t operator()(const SocketAddress& a) const noexcept;
};

/// Address block, e.g. 10.0.0.0/8.
struct IpPrefix {
  IpAddress ip;
  uint8_t length = 0;                                           // bits
  static std::optional<IpPrefix> parse(std::string_view text);  // a bare address is a /32 or /128
  bool contains(const IpAddress& other) const;
  std::string to_string() const;
};

}  // namespace tandem
