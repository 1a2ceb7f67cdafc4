#pragma once
// The bytes of an HTTP connection, plain or TLS, driven by readiness, so that the connection can be handed on
// as what it is: a descriptor and an SSL object that holds no BIO but that descriptor.
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>

#include "net/sockets.h"
#include "net/ssl_pointer.h"

namespace tandem::net {

/// One reading operation and one writing one at a time. Handlers never run inside the call that took them;
/// they keep the stream alive.
class ByteStream {
 public:
  using Error = boost::system::error_code;
  using Done = std::function<void(Error, size_t)>;

  /// `ssl`: null for plain bytes; otherwise with the socket's descriptor and in accept state.
  ByteStream(boost::asio::ip::tcp::socket socket, SslPointer ssl);

  void handshake(Done done);
  void read_some(boost::asio::mutable_buffer into, Done done);
  void write(boost::asio::const_buffer all, Done done);
  /// Our side is finished: close_notify if it fits, and FIN. What the peer still sends can be read from the
  /// socket.
  void shut_down();
  boost::asio::ip::tcp::socket& socket() { return socket_; }

  /// Takes the connection out; no operation may be under way. Nothing works on the stream afterwards.
  std::pair<Fd, SslPointer> release();

 private:
  enum class Wait : uint8_t { none, readable, writable };
  struct Step {
    Wait wait = Wait::none;
    Error error;
    size_t bytes = 0;
  };
  template <class Try>
  void run(Try attempt, Done done);
  Step of_ssl(int result) const;
  Step of_socket(ssize_t result, Wait wait) const;

  boost::asio::ip::tcp::socket socket_;
  SslPointer ssl_;
};

}  // namespace tandem::net
