#include "base/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "base/hash.h"

namespace tandem {

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  char z[48];
  if (text.empty() || text.size() >= sizeof z) return std::nullopt;
  std::memcpy(z, text.data(), text.size());
  z[text.size()] = '\0';
  IpAddress ip;
  if (inet_pton(AF_INET, z, ip.bytes.data()) == 1) {
    ip.family = Family::v4;
    return ip;
  }
  if (inet_pton(AF_INET6, z, ip.bytes.data()) != 1) return std::nullopt;
  static constexpr uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(ip.bytes.data(), mapped, 12) == 0)
    return v4(ip.bytes[12], ip.bytes[13], ip.bytes[14], ip.bytes[15]);
  ip.family = Family::v6;
  return ip;
}

std::string IpAddress::to_string() const {
  if (family == Family::none) return "none";
  char z[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes.data(), z, sizeof z);
  return z;
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes[0] == 127;
  static constexpr std::array<uint8_t, 16> one{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return is_v6() && bytes == one;
}

bool IpAddress::is_unspecified() const {
  if (family == Family::none) return false;
  const size_t n = is_v4() ? 4 : 16;
  for (size_t i = 0; i < n; ++i)
    if (bytes[i]) return false;
  return true;
}

bool IpAddress::is_private() const {
  if (is_v4()) {
    const auto& b = bytes;
    return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
           (b[0] == 100 && (b[1] & 0xc0) == 64) || (b[0] == 169 && b[1] == 254);
  }
  return is_v6() && ((bytes[0] & 0xfe) == 0xfc || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80));
}

std::optional<SocketAddress> SocketAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = !host.empty() && host.front() == '[';
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const auto ip = IpAddress::parse(host);
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (!ip || error != std::errc() || at != end) return std::nullopt;
  return SocketAddress{*ip, port};
}

std::string SocketAddress::to_string() const {
  const std::string host = ip.to_string();
  return (ip.is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

size_t SocketAddressHash::operator()(const SocketAddress& a) const noexcept {
  uint64_t lo, hi;
  std::memcpy(&lo, a.ip.bytes.data(), 8);
  std::memcpy(&hi, a.ip.bytes.data() + 8, 8);
  return mix64(lo ^ mix64(hi ^ (uint64_t{a.port} << 8 | static_cast<uint8_t>(a.ip.family))));
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto ip = IpAddress::parse(text.substr(0, slash));
  if (!ip) return std::nullopt;
  const uint8_t most = ip->is_v4() ? 32 : 128;
  uint8_t length = most;
  if (slash != std::string_view::npos) {
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + slash + 1, end, length);
    if (error != std::errc() || at != end || length > most) return std::nullopt;
  }
  return IpPrefix{*ip, length};
}

bool IpPrefix::contains(const IpAddress& other) const {
  if (ip.family != other.family) return false;
  const size_t whole = length / 8;
  if (std::memcmp(ip.bytes.data(), other.bytes.data(), whole) != 0) return false;
  const unsigned rest = length % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (ip.bytes[whole] & mask) == (other.bytes[whole] & mask);
}

std::string IpPrefix::to_string() const { return ip.to_string() + "/" + std::to_string(length); }

}  // namespace tandem
