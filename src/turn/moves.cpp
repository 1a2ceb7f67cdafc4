// Mobility (RFC 8016), and what a client left at another worker: packets go to workers by the client's
// address, so a client with a new address, or the second of two that share a reservation, speaks to a worker
// that knows nothing of it. Ticket and token name the shard of the worker that does; it hands over the
// allocation, or the port.
#include <algorithm>

#include "base/text.h"
#include "turn/state.h"

namespace tandem::turn {
namespace {

constexpr size_t token_octets = 8;
constexpr size_t ticket_octets = 18;  // shard, then 128 random bits

}  // namespace

/// With the shard the client's own packets are steered to, where it has one of this worker: a restore, with
/// another number of workers too, puts the allocation where the ticket then points.
std::string Server::Impl::new_ticket(const port::RelayClient& client) {
  const bool stream = is_stream(client.transport);
  uint16_t shard = shard_of_client(stream ? SocketAddress{client.remote.ip, 0} : client.remote);
  if (shard % config.workers != config.worker) shard = config.worker;
  std::array<uint8_t, ticket_octets> octets;
  store16(octets.data(), shard);
  rng.fill(MutableBytes(octets).subspan(2));
  return std::string(as_text(octets));
}

uint16_t Server::Impl::worker_of_ticket(std::string_view ticket) const {
  if (ticket.size() < 2) return UINT16_MAX;
  return static_cast<uint16_t>(shard_of_ticket(ticket) % config.workers);
}

Allocation* Server::Impl::by_ticket(std::string_view ticket) {
  if (ticket.size() != ticket_octets) return nullptr;
  const auto it = tickets.find(std::string(ticket));
  return it == tickets.end() ? nullptr : allocations.find(it->second);
}

void Server::Impl::fetch(Now now, const Request& r, std::string_view ticket, port::Outbox& out) {
  SlotId id;
  Waiting* w = wait(now, Waiting::Phase::move, r.client, r.bytes, id);
  if (!w) return;
  w->owner = r.owner;
  w->key = r.key;
  port::RelayMove move;
  move.to_worker = worker_of_ticket(ticket);
  move.request = id.packed();
  move.from_worker = config.worker;
  move.user = r.user;
  move.ticket = ticket;
  move.part = std::string(as_text(r.bytes));
  out.relay_moves.push_back(std::move(move));
}

/// At the worker that has it. A ticket travels in the clear: it moves nothing unless the request that carries
/// it is signed with the allocation's key.
void Server::Impl::move_out(Now now, const port::RelayMove& move, port::Outbox& out) {
  port::RelayMove back;
  back.to_worker = move.from_worker;
  back.from_worker = config.worker;
  back.answer = true;
  back.request = move.request;
  back.user = move.user;
  back.ticket = move.ticket;
  const auto m = stun::Message::parse(as_bytes(move.part));
  if (move.ticket.size() == token_octets) {
    const auto it = reservations.find(move.ticket);
    if (it != reservations.end() && it->second.user == move.user && it->second.expires > now.mono) {
      back.part = it->second.port.local.to_string();
      world.close(it->second.port.id);
      reservations.erase(it);
    }
  } else if (Allocation* a = by_ticket(move.ticket); a && m.ok() && a->user == move.user) {
    if (Key key = a->key; fits(*m, key)) {
      back.part = part_of(now, *a);
      a->seat = 0;  // it goes with it
      const bool connection = a->client.transport != port::RelayTransport::udp && !a->away;
      const port::RelayClient old = a->client;
      end(now, *a, "moved", out);
      if (connection) world.close(old);
    }
  }
  out.relay_moves.push_back(std::move(back));
}

/// At the worker that asked.
void Server::Impl::move_in(Now now, const port::RelayMove& move, port::Outbox& out) {
  const SlotId id = SlotId::unpack(move.request);
  Waiting* found = waiting.find(id);
  if (!found || found->phase != Waiting::Phase::move) return;
  const Waiting w = std::move(*found);
  waiting.erase(id);
  const auto m = stun::Message::parse(w.request.bytes());
  if (!m) return;
  const Request r{w.client, *m, w.request.bytes(), *m->text(attribute::username), w.owner, w.key};
  if (move.ticket.size() == token_octets) {
    const auto local = SocketAddress::parse(move.part);
    const auto port = local ? world.reopen(*local, false) : std::nullopt;
    if (!port) return refuse(r, 508, out);
    reservations[move.ticket] = {*port, move.user, now.mono + config.reservation_lifetime};
  } else if (move.part.empty() || of_client(w.client) || !restore_part(now, move.part)) {
    return refuse(r, 437, out);
  }
  perform(now, r, out);
  if (gone.contains(w.client)) client_closed(now, w.client, out);
}

void Server::Impl::take_client(Allocation& a, const port::RelayClient& client) {
  if (!a.away) {
    by_client.erase(a.client);
    if (a.client.transport != port::RelayTransport::udp) world.close(a.client);
  }
  a.client = client;
  a.away = false;
  by_client[client] = a.id;
  if (client.transport != port::RelayTransport::udp) world.keep(client);
  // The ticket before stays good: the answer with the new one may be lost.
  if (!a.old_ticket.empty()) tickets.erase(a.old_ticket);
  a.old_ticket = a.ticket;
  a.ticket = new_ticket(client);
  tickets[a.ticket] = a.id;
  moved_.add();
}

void Server::Impl::client_closed(Now now, const port::RelayClient& client, port::Outbox& out) {
  if (waiting.size() > 0) gone[client] = now.mono;
  Allocation* a = of_client(client);
  if (!a) return;
  if (a->ticket.empty()) return end(now, *a, "client gone", out);
  by_client.erase(client);
  a->away = true;
}

}  // namespace tandem::turn
