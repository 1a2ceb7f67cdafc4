// Reading, writing and handshaking of one connection; the rest of Connections is in connections.cpp.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>

#include "net/certified_names.h"
#include "net/connections.h"

namespace tandem::net {
namespace {

constexpr size_t area_bytes = 65536;
// Reads per wake: one busy connection must not keep the others waiting.
constexpr int reads_per_wake = 16;
constexpr size_t parts_per_write = 16;
using boost::asio::ip::tcp;

}  // namespace

void Connections::wait_read(Connection& c) {
  if (c.reading) return;
  c.reading = true;
  c.socket.async_wait(tcp::socket::wait_read, [this, id = c.id](const boost::system::error_code& error) {
    Connection* found = table_.find(id);
    if (!found) return;
    found->reading = false;
    if (error)
      end(*found, &counts_.by_peer);
    else
      progress(*found);
  });
}

void Connections::wait_write(Connection& c) {
  if (c.write_waiting) return;
  c.write_waiting = true;
  c.socket.async_wait(tcp::socket::wait_write, [this, id = c.id](const boost::system::error_code& error) {
    Connection* found = table_.find(id);
    if (!found) return;
    found->write_waiting = false;
    if (error)
      end(*found, &counts_.by_peer);
    else if (found->state != State::open)
      progress(*found);
    else if (write_some(*found) && found->ssl)
      read_some(*found);  // a TLS read may have waited for room to write
  });
}

bool Connections::progress(Connection& c) {
  switch (c.state) {
    case State::connecting:
      return finish_connect(c);
    case State::handshake:
      return handshake(c);
    case State::upgrading:
      return await_websocket(c);
    case State::open:
      break;
  }
  if (c.ssl && c.queued > 0 && !write_some(c)) return false;  // it may have waited for this very read
  return read_some(c);
}

bool Connections::handshake(Connection& c) {
  ERR_clear_error();
  SSL_set_app_data(c.ssl.get(), &c.peer_name);  // for verify_peer(); the table may have moved it since
  const int r = SSL_do_handshake(c.ssl.get());
  if (r == 1) return transported(c);
  switch (SSL_get_error(c.ssl.get(), r)) {
    case SSL_ERROR_WANT_READ:
      wait_read(c);
      return true;
    case SSL_ERROR_WANT_WRITE:
      wait_write(c);
      return true;
    default:
      break;
  }
  const bool untrusted =
      SSL_get_verify_mode(c.ssl.get()) != SSL_VERIFY_NONE && SSL_get_verify_result(c.ssl.get()) != X509_V_OK;
  if (!c.accepted) tell_handshake_failed(c, untrusted);
  ERR_clear_error();
  end(c, untrusted ? &counts_.untrusted : &counts_.handshake_failed);
  return false;
}

/// Only of connections we opened: strangers must not fill the log.
void Connections::tell_handshake_failed(const Connection& c, bool untrusted) {
  const char* error = ERR_reason_error_string(ERR_peek_last_error());
  const std::string why = untrusted ? X509_verify_cert_error_string(SSL_get_verify_result(c.ssl.get()))
                          : error   ? error
                                    : "the peer closed the connection";
  sink_.event(port::Level::warning, untrusted ? "tls.peer_untrusted" : "tls.handshake_failed",
              {{"remote", c.path.remote.to_string()}, {"expected", c.peer_name}, {"why", why}});
}

/// The names of the peer, when its certificate was asked for and verified.
port::CertifiedNames Connections::names_of_peer(const Connection& c) {
  const SSL* ssl = c.ssl.get();
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (!certificate || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE || SSL_get_verify_result(ssl) != X509_V_OK)
    return nullptr;
  return std::make_shared<const std::vector<std::string>>(certified_names(certificate));
}

/// The stream is there.
bool Connections::transported(Connection& c) { return c.web ? ask_websocket(c) : opened(c); }

bool Connections::opened(Connection& c, Bytes first) {
  c.state = State::open;
  c.was_opened = true;
  c.last_used = now();
  if (c.queued > 0) c.write_since = c.last_used;
  if (c.ssl) c.path.peer = names_of_peer(c);
  // Whoever connected to us over TLS did not prove to be the one a send of ours is meant for: answers go back
  // by the flow, and nothing else shares it.
  if (!c.ssl || !c.accepted) by_identity_.try_emplace(identity(c), c.id);
  sink_.flow_event({port::FlowEvent::Kind::opened, c.path.flow, c.path, 0});
  rearm(c);
  if (c.queued > 0 && !write_some(c)) return false;
  if (!first.empty() && !deliver(c, first)) return false;
  return read_some(c);
}

// ---- reading ----

Connections::Io Connections::read_bytes(Connection& c, size_t& n) {
  if (!c.ssl) {
    const ssize_t r = recv(c.socket.native_handle(), area_.get(), area_bytes, MSG_DONTWAIT);
    if (r > 0) return n = static_cast<size_t>(r), Io::done;
    return r < 0 && (errno == EAGAIN || errno == EINTR) ? Io::again : Io::failed;
  }
  ERR_clear_error();
  const int r = SSL_read(c.ssl.get(), area_.get(), static_cast<int>(area_bytes));
  if (r > 0) return n = static_cast<size_t>(r), Io::done;
  switch (SSL_get_error(c.ssl.get(), r)) {
    case SSL_ERROR_WANT_READ:
      return Io::again;
    case SSL_ERROR_WANT_WRITE:
      wait_write(c);
      return Io::again;
    default:
      ERR_clear_error();
      return Io::failed;
  }
}

bool Connections::read_some(Connection& c) {
  for (int i = 0; i < reads_per_wake; ++i) {
    size_t n = 0;
    switch (read_bytes(c, n)) {
      case Io::failed:
        end(c, &counts_.by_peer);
        return false;
      case Io::again:
        wait_read(c);
        return true;
      case Io::done:
        break;
    }
    c.last_used = c.last_read = now();
    c.pinged = false;
    if (!deliver(c, Bytes(area_.get(), n))) return false;
    if (!c.ssl && n < area_bytes) {  // taken all there was
      wait_read(c);
      return true;
    }
  }
  // More may wait inside OpenSSL, where readiness does not show: come back after the others.
  if (!c.reading) {
    c.reading = true;
    boost::asio::post(io_, [this, id = c.id] {
      Connection* found = table_.find(id);
      if (!found) return;
      found->reading = false;
      read_some(*found);
    });
  }
  return true;
}

bool Connections::deliver(Connection& c, Bytes bytes) {
  if (c.web) return deliver_frames(c, bytes);
  if (c.closing) return true;
  if (!c.framer.push(bytes).ok()) {
    end(c, &counts_.framing);
    return false;
  }
  bool whole = false;
  while (auto item = c.framer.pop()) {
    if (item->kind == sip::Framer::Item::Kind::message) {
      whole = true;
      counts_.received[static_cast<size_t>(c.path.transport)]->add();
      sink_.received({c.path, std::move(item->bytes)});
    } else if (item->kind == sip::Framer::Item::Kind::ping) {
      counts_.keepalives.add();
      if (!enqueue(c, {Buffer::copy_of("\r\n"), 0, 0, worker_, false})) return false;
      sink_.flow_event({port::FlowEvent::Kind::keepalive, c.path.flow, c.path, 0});
    }
  }
  note_partial(c, c.framer.partial(), whole);
  rearm(c);
  return true;
}

/// A message that has begun must end in time, however slowly its bytes drip.
void Connections::note_partial(Connection& c, bool partial, bool whole) {
  if (!partial)
    c.partial_since = Instant::never();
  else if (whole || c.partial_since.is_never())
    c.partial_since = now();
}

// ---- writing ----

bool Connections::enqueue(Connection& c, Pending pending) {
  const size_t size = pending.bytes.size();
  if (size == 0) return true;
  if (c.queued + size > limits_.write_queue_bytes) {
    // A burst of ours is not a slow reader: see what the peer takes right now.
    const port::Path path = c.path;
    if (c.state == State::open && !c.write_waiting && !write_some(c)) {
      sink_.send_failed(path, pending.notify, pending.from);
      return false;
    }
    if (c.queued + size > limits_.write_queue_bytes) {
      c.out.push_back(std::move(pending));
      end(c, &counts_.slow_reader);
      return false;
    }
  }
  if (c.queued == 0) {
    ++writing_;
    if (c.state == State::open) c.write_since = now();
  }
  c.queued += size;
  c.out.push_back(std::move(pending));
  rearm(c);
  mark_dirty(c);
  return true;
}

void Connections::mark_dirty(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  dirty_.push_back(c.id);
}

Connections::Io Connections::write_bytes(Connection& c, size_t& n) {
  if (c.ssl) {
    const Pending& p = c.out.front();
    ERR_clear_error();
    const int r =
        SSL_write(c.ssl.get(), p.bytes.data() + p.written, static_cast<int>(p.bytes.size() - p.written));
    if (r > 0) return n = static_cast<size_t>(r), Io::done;
    const int error = SSL_get_error(c.ssl.get(), r);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ) return wait_read(c), Io::again;
    return error == SSL_ERROR_WANT_WRITE ? Io::again : Io::failed;
  }
  std::array<iovec, parts_per_write> parts;
  size_t count = 0;
  for (auto p = c.out.begin(); p != c.out.end() && count < parts.size(); ++p)
    parts[count++] = {p->bytes.data() + p->written, p->bytes.size() - p->written};
  msghdr h{};
  h.msg_iov = parts.data();
  h.msg_iovlen = count;
  const ssize_t r = sendmsg(c.socket.native_handle(), &h, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (r >= 0) return n = static_cast<size_t>(r), Io::done;
  return errno == EAGAIN || errno == EINTR ? Io::again : Io::failed;
}

void Connections::taken(Connection& c, size_t n) {
  c.queued -= n;
  c.write_since = now();
  c.last_used = c.write_since;
  while (n > 0) {
    Pending& p = c.out.front();
    const size_t part = std::min(n, p.bytes.size() - p.written);
    p.written += part;
    n -= part;
    if (p.written < p.bytes.size()) return;
    if (p.message) counts_.sent[static_cast<size_t>(c.path.transport)]->add();
    c.out.pop_front();
  }
}

bool Connections::write_some(Connection& c) {
  while (c.queued > 0) {
    size_t n = 0;
    const Io result = write_bytes(c, n);
    if (result == Io::failed) {
      end(c, &counts_.by_peer);
      return false;
    }
    if (result == Io::again) {
      wait_write(c);
      break;
    }
    taken(c, n);
    if (c.queued == 0) {
      --writing_;
      c.write_since = Instant::never();
    }
  }
  return after_write(c);
}

bool Connections::after_write(Connection& c) {
  if (!c.congested && c.queued > limits_.write_high_water) {
    c.congested = true;
    tell(c, port::FlowEvent::Kind::congested);
  } else if (c.congested && c.queued <= limits_.write_low_water) {
    c.congested = false;
    tell(c, port::FlowEvent::Kind::drained);
  }
  // A WebSocket whose Close has not been answered stays a little: bytes it still sends would reset the
  // connection, and the Close could be lost with it.
  if (c.closing && c.queued == 0 && (!c.web || c.web->close_received())) {
    end(c, c.web && c.web->ended() == WebSocketFramer::End::by_peer ? &counts_.by_peer : &counts_.by_us);
    return false;
  }
  rearm(c);
  return true;
}

}  // namespace tandem::net
