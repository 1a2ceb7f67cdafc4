// WebSockets among the connections of a worker: taking them over from the HTTP server, asking others for
// them, and their messages.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/connections.h"

namespace tandem::net {
namespace {

constexpr Duration close_linger = seconds(2);

/// RFC 5626 section 3.5.1 as phones in browsers send it: nothing but line ends.
bool is_keepalive(Bytes bytes) {
  return !bytes.empty() && bytes.size() <= 4 &&
         std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == '\r' || b == '\n'; });
}

}  // namespace

void Connections::adopt(Upgraded upgraded) {
  if (table_.full()) {
    counts_.refused_full.add();
    sources_.leave(upgraded.path.remote.ip);
    return forget_websocket();
  }
  Connection& c = *add(std::move(upgraded.fd), upgraded.path, true);
  c.ssl = std::move(upgraded.ssl);
  c.web = std::make_unique<WebSocketFramer>(limits_.websocket);
  if (upgraded.request->subprotocol != "sip") c.request = std::move(upgraded.request);
  counts_.upgraded.add();
  if (!enqueue(c, {Buffer::copy_of(upgraded.response), 0, 0, worker_, false})) return;
  // Events first, then what came with the request: nobody is to hear of a flow by its messages.
  c.state = State::open;
  c.was_opened = true;
  tell(c, port::FlowEvent::Kind::opened);
  rearm(c);
  if (!write_some(c)) return;
  if (!upgraded.input.empty() && !deliver(c, as_bytes(upgraded.input))) return;
  read_some(c);
}

/// A fresh socket takes so little at once.
bool Connections::ask_websocket(Connection& c) {
  const SocketAddress& remote = c.path.remote;
  const bool named = !c.peer_name.empty() && !IpAddress::parse(c.peer_name);
  c.question = std::make_unique<UpgradeQuestion>(
      ask_upgrade(named ? c.peer_name + ":" + std::to_string(remote.port) : remote.to_string(),
                  outgoing_[c.path.realm].websocket_path, "sip", rng_));
  const std::string& text = c.question->request;
  ERR_clear_error();
  const auto taken = c.ssl ? SSL_write(c.ssl.get(), text.data(), static_cast<int>(text.size()))
                           : ::send(c.socket.native_handle(), text.data(), text.size(), MSG_NOSIGNAL);
  if (taken != static_cast<ssize_t>(text.size())) return end(c, &counts_.handshake_failed), false;
  c.state = State::upgrading;
  c.begun = now();
  rearm(c);
  return await_websocket(c);
}

bool Connections::await_websocket(Connection& c) {
  std::optional<UpgradeVerdict> verdict;
  while (!verdict) {
    size_t n = 0;
    switch (read_bytes(c, n)) {
      case Io::again:
        wait_read(c);
        return true;
      case Io::failed:
        verdict = UpgradeVerdict{false, "the peer closed the connection", {}};
        break;
      case Io::done:
        verdict = read_answer(*c.question, Bytes(area_.get(), n));
    }
  }
  if (!verdict->agreed) {
    sink_.event(port::Level::warning, "websocket.refused",
                {{"remote", c.path.remote.to_string()}, {"answer", verdict->status_line}});
    end(c, &counts_.handshake_failed);
    return false;
  }
  c.question.reset();
  return opened(c, as_bytes(verdict->behind));
}

void Connections::say_goodbye() {
  table_.for_each([&](SlotId, Connection& c) {
    if (!c.web || c.closing) return;
    c.web->close(1001, "going away");
    if (write_frames(c, 0, worker_) && !c.write_waiting) write_some(c);
  });
}

void Connections::tell(const Connection& c, port::FlowEvent::Kind kind) {
  using Web = port::WebSocketEvent::Kind;
  if (!c.request) return sink_.flow_event({kind, c.path.flow, c.path, 0});
  const Web what = kind == port::FlowEvent::Kind::opened      ? Web::opened
                   : kind == port::FlowEvent::Kind::congested ? Web::congested
                                                              : Web::drained;
  sink_.websocket({what, c.path, c.request, {}, 0});
}

bool Connections::deliver_frames(Connection& c, Bytes bytes) {
  if (c.closing && c.web->ended() != WebSocketFramer::End::none) return true;  // read and thrown away
  c.web->receive(now(), bytes);
  bool whole = false;
  while (auto message = c.web->pop()) {
    whole = true;
    if (c.closing) continue;
    counts_.received[static_cast<size_t>(c.path.transport)]->add();
    if (c.request) {
      sink_.websocket({port::WebSocketEvent::Kind::message, c.path, c.request, std::move(*message), 0});
      continue;
    }
    if (message->empty()) continue;
    if (is_keepalive(message->bytes())) {
      counts_.keepalives.add();
      // Four bytes are a ping, two the answer to one of ours, which we do not send.
      if (message->size() == 4) c.web->send(as_bytes("\r\n"));
      sink_.flow_event({port::FlowEvent::Kind::keepalive, c.path.flow, c.path, 0});
      continue;
    }
    sink_.received({c.path, std::move(*message)});
  }
  if (c.web->take_pinged() && c.request && c.request->guest && !c.closing)
    sink_.websocket({port::WebSocketEvent::Kind::alive, c.path, c.request, {}, 0});
  note_partial(c, c.web->partial(), whole);
  if (!write_frames(c, 0, worker_)) return false;
  if (c.web->ended() != WebSocketFramer::End::none) {
    if (Counter* refused = count_of(c.web->ended())) refused->add();
    begin_close(c);
    if (c.queued == 0) return after_write(c);
  }
  rearm(c);
  return true;
}

/// Null for one that ended in order.
Counter* Connections::count_of(WebSocketFramer::End end) {
  using End = WebSocketFramer::End;
  switch (end) {
    case End::protocol:
      return &counts_.web_protocol;
    case End::too_big:
      return &counts_.web_too_big;
    case End::not_utf8:
      return &counts_.web_not_utf8;
    case End::fragments:
      return &counts_.web_fragments;
    case End::message_rate:
      return &counts_.web_message_rate;
    case End::control_rate:
      return &counts_.web_control_rate;
    case End::none:
    case End::by_peer:
    case End::by_us:
      break;
  }
  return nullptr;
}

/// Puts what the framer has for the peer into the queue.
bool Connections::write_frames(Connection& c, port::SendId notify, uint16_t from) {
  Buffer out = c.web->take_output();
  if (out.empty()) return true;
  return enqueue(c, {std::move(out), 0, notify, from, notify != 0});
}

bool Connections::send_frame(Connection& c, port::Send send, uint16_t from) {
  if (!c.web->send(send.bytes.bytes())) {
    sink_.send_failed(send.path, send.notify, from);
    return true;
  }
  Buffer out = c.web->take_output();
  return enqueue(c, {std::move(out), 0, send.notify, from, true});
}

void Connections::begin_close(Connection& c) {
  if (c.closing) return;
  c.closing = true;
  c.partial_since = Instant::never();
  c.close_by = now() + close_linger;
  rearm(c);
}

/// The peer has been silent for so long that we ask whether it is still there.
void Connections::ping(Connection& c) {
  c.pinged = true;
  c.web->ping();
  if (write_frames(c, 0, worker_)) rearm(c);
}

}  // namespace tandem::net
