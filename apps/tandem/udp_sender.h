#pragma once
// Datagrams to one collector, sent from any thread and never waited for.
#include <memory>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace tandem::app {

class UdpSender {
 public:
  static Result<std::unique_ptr<UdpSender>, std::string> open(const SocketAddress& to);
  ~UdpSender();
  UdpSender(const UdpSender&) = delete;
  UdpSender& operator=(const UdpSender&) = delete;
  /// A datagram the kernel has no room for is lost, as on any network.
  void send(const std::string& bytes) const;

 private:
  explicit UdpSender(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace tandem::app
