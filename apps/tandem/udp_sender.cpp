#include "tandem/udp_sender.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tandem::app {

Result<std::unique_ptr<UdpSender>, std::string> UdpSender::open(const SocketAddress& to) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (to.ip.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(to.port);
    std::memcpy(&in.sin_addr, to.ip.bytes.data(), 4);
    size = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(to.port);
    std::memcpy(&in6.sin6_addr, to.ip.bytes.data(), 16);
    size = sizeof in6;
  }
  const int fd = ::socket(storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&storage), size) != 0) {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    return Failure{fmt::format("cannot send to {}: {}", to.to_string(), why)};
  }
  return std::unique_ptr<UdpSender>(new UdpSender(fd));
}

UdpSender::~UdpSender() { ::close(fd_); }

void UdpSender::send(const std::string& bytes) const {
  (void)::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace tandem::app
