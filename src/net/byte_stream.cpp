#include "net/byte_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

namespace tandem::net {

namespace asio = boost::asio;

void SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

ByteStream::ByteStream(asio::ip::tcp::socket socket, SslPointer ssl)
    : socket_(std::move(socket)), ssl_(std::move(ssl)) {
  Error ignored;
  socket_.native_non_blocking(true, ignored);
}

/// Tries, waits for what the try lacked, tries again. Never on a socket that was closed meanwhile: OpenSSL
/// knows only the number of its descriptor, which may be somebody else's by then.
template <class Try>
void ByteStream::run(Try attempt, Done done) {
  const Step step = socket_.is_open() ? attempt() : Step{Wait::none, asio::error::bad_descriptor, 0};
  if (step.wait == Wait::none) {
    asio::post(socket_.get_executor(), [done = std::move(done), step] { done(step.error, step.bytes); });
    return;
  }
  const auto what =
      step.wait == Wait::readable ? asio::ip::tcp::socket::wait_read : asio::ip::tcp::socket::wait_write;
  socket_.async_wait(what, [this, attempt = std::move(attempt), done = std::move(done)](Error e) mutable {
    if (e) return done(e, 0);
    run(std::move(attempt), std::move(done));
  });
}

ByteStream::Step ByteStream::of_ssl(int result) const {
  if (result > 0) return {Wait::none, {}, static_cast<size_t>(result)};
  const int why = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  if (why == SSL_ERROR_WANT_READ) return {Wait::readable, {}, 0};
  if (why == SSL_ERROR_WANT_WRITE) return {Wait::writable, {}, 0};
  const bool in_order = why == SSL_ERROR_ZERO_RETURN;
  return {Wait::none, in_order ? Error(asio::error::eof) : Error(asio::error::connection_reset), 0};
}

ByteStream::Step ByteStream::of_socket(ssize_t result, Wait wait) const {
  if (result > 0) return {Wait::none, {}, static_cast<size_t>(result)};
  if (result == 0) return {Wait::none, asio::error::eof, 0};
  if (errno == EAGAIN || errno == EINTR) return {wait, {}, 0};
  return {Wait::none, Error(errno, boost::system::system_category()), 0};
}

void ByteStream::handshake(Done done) {
  run(
      [this]() -> Step {
        if (!ssl_) return {};
        ERR_clear_error();
        return of_ssl(SSL_do_handshake(ssl_.get()));
      },
      std::move(done));
}

void ByteStream::read_some(asio::mutable_buffer into, Done done) {
  run(
      [this, into] {
        if (!ssl_)
          return of_socket(recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT),
                           Wait::readable);
        ERR_clear_error();
        return of_ssl(SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size())));
      },
      std::move(done));
}

void ByteStream::write(asio::const_buffer all, Done done) {
  run(
      [this, all, total = all.size()]() mutable -> Step {
        while (all.size() > 0) {
          ERR_clear_error();
          const Step step = ssl_ ? of_ssl(SSL_write(ssl_.get(), all.data(), static_cast<int>(all.size())))
                                 : of_socket(send(socket_.native_handle(), all.data(), all.size(),
                                                  MSG_DONTWAIT | MSG_NOSIGNAL),
                                             Wait::writable);
          if (step.wait != Wait::none || step.error) return step;
          all += step.bytes;
        }
        return {Wait::none, {}, total};
      },
      std::move(done));
}

void ByteStream::shut_down() {
  if (!socket_.is_open()) return;
  if (ssl_) {
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  Error ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

std::pair<Fd, SslPointer> ByteStream::release() {
  Error failed;
  Fd fd(socket_.release(failed));
  return {std::move(fd), std::move(ssl_)};
}

}  // namespace tandem::net
