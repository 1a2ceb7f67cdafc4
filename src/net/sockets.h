#pragma once
// Socket calls with our address types, and their errors as text an operator understands.
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace tandem::net {

/// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void reset();
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A sockaddr with its length, for the calls that take one.
struct RawAddress {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Writes `address` into `out` (room for a sockaddr_in6) and gives its length.
socklen_t to_sockaddr(const SocketAddress& address, void* out);
RawAddress to_raw(const SocketAddress& address);
/// An IPv4-mapped IPv6 address comes out as IPv4. Unset for other families.
SocketAddress from_sockaddr(const void* address);
SocketAddress local_address(int fd);
SocketAddress remote_address(int fd);
/// Of all interfaces of this machine, loopback included.
std::vector<IpAddress> own_addresses();
int family_of(const IpAddress& ip);  // AF_INET or AF_INET6

/// The text of an errno value, lower case as in "address already in use".
std::string error_text(int error);

/// Traffic classes of RFC 4594: signalling CS5, telephony EF.
enum class Dscp : int { standard = 0, signalling = 40, telephony = 46 };
void set_dscp(int fd, const IpAddress& ip, Dscp dscp);

struct SocketOptions {
  bool reuse_port = false;  // several workers share the address
  int receive_buffer = 0;   // bytes, 0: the system's default
  int send_buffer = 0;
  Dscp dscp = Dscp::standard;
};
/// Bound, non-blocking, close-on-exec. An IPv6 socket takes IPv6 only. The failure is an errno.
Result<Fd, int> bind_udp(const SocketAddress& address, const SocketOptions& options);
Result<Fd, int> listen_tcp(const SocketAddress& address, const SocketOptions& options, int backlog);

}  // namespace tandem::net
