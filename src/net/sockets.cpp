#include "net/sockets.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/text.h"

namespace tandem::net {

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

socklen_t to_sockaddr(const SocketAddress& address, void* out) {
  if (address.ip.is_v6()) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(address.port);
    std::memcpy(&in.sin6_addr, address.ip.bytes.data(), 16);
    std::memcpy(out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(address.port);
  std::memcpy(&in.sin_addr, address.ip.bytes.data(), 4);
  std::memcpy(out, &in, sizeof in);
  return sizeof in;
}

RawAddress to_raw(const SocketAddress& address) {
  RawAddress raw;
  raw.length = to_sockaddr(address, &raw.storage);
  return raw;
}

SocketAddress from_sockaddr(const void* address) {
  SocketAddress out;
  sa_family_t family;
  std::memcpy(&family, address, sizeof family);
  if (family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof in);
    out.ip.family = IpAddress::Family::v4;
    std::memcpy(out.ip.bytes.data(), &in.sin_addr, 4);
    out.port = ntohs(in.sin_port);
  } else if (family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof in);
    out.port = ntohs(in.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
      out.ip.family = IpAddress::Family::v4;
      std::memcpy(out.ip.bytes.data(), in.sin6_addr.s6_addr + 12, 4);
    } else {
      out.ip.family = IpAddress::Family::v6;
      std::memcpy(out.ip.bytes.data(), &in.sin6_addr, 16);
    }
  }
  return out;
}

SocketAddress local_address(int fd) {
  RawAddress raw;
  return getsockname(fd, raw.get(), &raw.length) == 0 ? from_sockaddr(&raw.storage) : SocketAddress{};
}

SocketAddress remote_address(int fd) {
  RawAddress raw;
  return getpeername(fd, raw.get(), &raw.length) == 0 ? from_sockaddr(&raw.storage) : SocketAddress{};
}

std::vector<IpAddress> own_addresses() {
  std::vector<IpAddress> all;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return all;
  for (const ifaddrs* i = list; i; i = i->ifa_next)
    if (i->ifa_addr && (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6))
      all.push_back(from_sockaddr(i->ifa_addr).ip);
  freeifaddrs(list);
  return all;
}

int family_of(const IpAddress& ip) { return ip.is_v6() ? AF_INET6 : AF_INET; }

std::string error_text(int error) { return lower(std::generic_category().message(error)); }

void set_dscp(int fd, const IpAddress& ip, Dscp dscp) {
  if (dscp == Dscp::standard) return;
  const int value = static_cast<int>(dscp) << 2;
  if (ip.is_v6())
    setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &value, sizeof value);
  else
    setsockopt(fd, IPPROTO_IP, IP_TOS, &value, sizeof value);
}

namespace {

Result<Fd, int> bound_socket(const SocketAddress& address, int type, const SocketOptions& options) {
  Fd fd(socket(family_of(address.ip), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Failure{errno};
  const int on = 1;
  if (address.ip.is_v6()) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (type == SOCK_STREAM) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.reuse_port) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (options.receive_buffer > 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof options.receive_buffer);
  if (options.send_buffer > 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof options.send_buffer);
  set_dscp(fd.get(), address.ip, options.dscp);
  const RawAddress raw = to_raw(address);
  if (bind(fd.get(), raw.get(), raw.length) != 0) return Failure{errno};
  return fd;
}

}  // namespace

Result<Fd, int> bind_udp(const SocketAddress& address, const SocketOptions& options) {
  return bound_socket(address, SOCK_DGRAM, options);
}

Result<Fd, int> listen_tcp(const SocketAddress& address, const SocketOptions& options, int backlog) {
  auto fd = bound_socket(address, SOCK_STREAM, options);
  if (fd.ok() && listen(fd->get(), backlog) != 0) return Failure{errno};
  return fd;
}

}  // namespace tandem::net
