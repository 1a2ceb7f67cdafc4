// TCP allocations (RFC 6062): connections to and from peers, each bound to a connection of the client.
#include <algorithm>

#include "turn/state.h"

namespace tandem::turn {

using State = PeerConnection::State;

/// All pipes of an allocation draw from what its packets, and those of the worker, would.
struct Server::Impl::Pipes final : port::PipeMeter {
  Pipes(Impl& i, SlotId of) : impl(i), id(of) {}
  size_t budget(Instant now, bool up) override {
    Allocation* a = impl.allocations.find(id);
    if (!a) return 0;
    const uint64_t own = (up ? a->up : a->down).available(now);
    const uint64_t all = (up ? impl.all_up : impl.all_down).available(now);
    return static_cast<size_t>(std::min<uint64_t>({own, all, SIZE_MAX}));
  }
  void passed(Instant now, bool up, size_t octets) override {
    Allocation* a = impl.allocations.find(id);
    if (!a) return;
    (up ? a->up : a->down).take(now, octets);
    (up ? impl.all_up : impl.all_down).take(now, octets);
    (up ? a->octets_up : a->octets_down) += octets;
    (up ? impl.octets_up_ : impl.octets_down_).add(octets);
  }
  Impl& impl;
  SlotId id;
};

PeerConnection* Server::Impl::find_connection(uint32_t id, Allocation** whose) {
  const auto it = connection_ids.find(id);
  Allocation* a = it == connection_ids.end() ? nullptr : allocations.find(it->second);
  if (!a) return nullptr;
  const auto c = std::find_if(a->connections.begin(), a->connections.end(),
                              [&](const PeerConnection& p) { return p.id == id; });
  if (c == a->connections.end()) return nullptr;
  *whose = a;
  return &*c;
}

void Server::Impl::forget_connection(Allocation& a, size_t i, bool close) {
  const PeerConnection c = a.connections[i];
  a.connections.erase(a.connections.begin() + static_cast<std::ptrdiff_t>(i));
  connection_ids.erase(c.id);
  connections.erase(c.connection);
  if (close) world.close(c.connection);
}

/// Section 5.2.
void Server::Impl::connect(Now now, const Request& r, Allocation& a, port::Outbox& out) {
  const auto peer = r.message.xor_address(attribute::xor_peer_address);
  if (!peer || !a.tcp) return refuse(r, 400, out);
  for (const PeerConnection& c : a.connections)
    if (c.peer == *peer) return refuse(r, 446, out);
  if (const auto error = may_reach(now, a, peer->ip)) return refuse(r, *error, out);
  if (const Denied why = policy.judge(*peer); why != Denied::no) {
    denied(why);
    return refuse(r, 403, out);
  }
  if (a.connections.size() >= config.connections) return refuse(r, 508, out);
  const port::RelayConnection connection = world.connect(a.relays[index_of(peer->ip.family)]->port.id, *peer);
  if (connection == 0) return refuse(r, 447, out);
  PeerConnection c;
  c.connection = connection;
  while (c.id == 0 || connection_ids.contains(c.id)) c.id = static_cast<uint32_t>(rng.next());
  c.peer = *peer;
  c.until = now.mono + config.connection_patience;
  c.transaction = r.message.transaction();
  c.fingerprint = r.message.has_fingerprint();
  a.key.sha256_integrity = r.key.sha256_integrity;
  connection_ids[c.id] = a.id;
  connections[connection] = c.id;
  a.connections.push_back(c);
  arm(a);
}

void Server::Impl::answer_connect(const Allocation& a, const PeerConnection& c, uint16_t code,
                                  port::Outbox& out) {
  stun::Writer w(code == 0 ? stun::Class::success : stun::Class::error, method::connect, c.transaction);
  if (code == 0) {
    w.add_u32(attribute::connection_id, c.id);
  } else {
    errors_[code]->add();
    w.add_error(code, "Connection Timeout or Failure");
  }
  seal(w, a.key, c.fingerprint);
  send(a.client, w, out);
}

void Server::Impl::connected(Now now, const port::RelayEvent& e, bool up, port::Outbox& out) {
  const auto it = connections.find(e.connection);
  Allocation* a = nullptr;
  PeerConnection* c = it == connections.end() ? nullptr : find_connection(it->second, &a);
  if (!c) return up ? world.close(e.connection) : void();
  answer_connect(*a, *c, up ? 0 : 447, out);
  if (!up) return forget_connection(*a, static_cast<size_t>(c - a->connections.data()), false);
  c->state = State::waiting;
  c->until = now.mono + config.connection_patience;
  arm(*a);
}

/// Section 5.3: a peer without a permission is turned away.
void Server::Impl::accepted(Now now, const port::RelayEvent& e, port::Outbox& out) {
  const auto permitted = permissions.find({e.port, e.peer.ip});
  Allocation* a = permitted == permissions.end() || permitted->second.expires <= now.mono
                      ? nullptr
                      : allocations.find(permitted->second.allocation);
  if (!a || a->connections.size() >= config.connections) {
    drop(Drop::no_permission);
    return world.close(e.connection);
  }
  PeerConnection c;
  c.state = State::waiting;
  c.connection = e.connection;
  while (c.id == 0 || connection_ids.contains(c.id)) c.id = static_cast<uint32_t>(rng.next());
  c.peer = e.peer;
  c.until = now.mono + config.connection_patience;
  connection_ids[c.id] = a->id;
  connections[e.connection] = c.id;
  a->connections.push_back(c);
  arm(*a);
  stun::Writer w(stun::Class::indication, method::connection_attempt, stun::new_transaction(rng));
  w.add_u32(attribute::connection_id, c.id).add_xor_address(attribute::xor_peer_address, e.peer);
  send(a->client, w, out);
}

/// Section 5.4. The connection it comes on is a pipe from here on.
void Server::Impl::connection_bind(Now, const Request& r, Allocation& a, port::Outbox& out) {
  const auto id = r.message.u32(attribute::connection_id);
  Allocation* whose = nullptr;
  PeerConnection* c = id ? find_connection(*id, &whose) : nullptr;
  if (!c || whose != &a || c->state != State::waiting || !is_stream(r.client.transport) ||
      of_client(r.client))
    return refuse(r, 400, out);
  stun::Writer w = success(r.message);
  w.add_u32(attribute::connection_id, c->id);
  answer(r, w, out);
  c->state = State::bound;
  c->until = Instant::never();
  world.splice(c->connection, r.client, std::make_shared<Pipes>(*this, a.id));
}

void Server::Impl::connection_closed(port::RelayConnection connection) {
  const auto it = connections.find(connection);
  Allocation* a = nullptr;
  PeerConnection* c = it == connections.end() ? nullptr : find_connection(it->second, &a);
  if (c) forget_connection(*a, static_cast<size_t>(c - a->connections.data()), false);
}

void Server::Impl::expire_connections(Now now, Allocation& a, port::Outbox& out) {
  for (size_t i = a.connections.size(); i-- > 0;) {
    const PeerConnection& c = a.connections[i];
    if (c.until > now.mono) continue;
    if (c.state == State::connecting) answer_connect(a, c, 447, out);
    forget_connection(a, i, true);
  }
}

}  // namespace tandem::turn
