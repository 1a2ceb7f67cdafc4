// Allocate (RFC 8656 section 7), and how allocations begin and end.
#include <algorithm>

#include "base/text.h"
#include "turn/state.h"

namespace tandem::turn {
namespace {

constexpr uint8_t protocol_udp = 17, protocol_tcp = 6;
constexpr uint8_t family_v4 = 1, family_v6 = 2;
constexpr Duration housekeeping = seconds(60);  // lapsed permissions give their peers back
constexpr size_t join_tries = 8;
constexpr size_t token_octets = 8;

std::string text_of(port::RelayTransport t) { return std::string(port::to_text(t)); }

}  // namespace

Duration Server::Impl::lifetime_of(const Request& r) const {
  const auto wanted = r.message.u32(attribute::lifetime);
  if (!wanted) return config.default_lifetime;
  return std::clamp<Duration>(seconds(*wanted), config.default_lifetime,
                              std::max(config.default_lifetime, config.max_lifetime));
}

/// What the attributes ask for, or the error they are.
std::optional<uint16_t> Server::Impl::read_wanted(const Request& r, Wanted& w) const {
  const stun::Message& m = r.message;
  const auto transport = m.find(attribute::requested_transport);
  if (!transport || transport->size() != 4) return 400;
  const uint8_t protocol = (*transport)[0];
  if (protocol != protocol_udp && protocol != protocol_tcp) return 442;
  w.tcp = protocol == protocol_tcp;
  const auto even = m.find(attribute::even_port);
  const auto token = m.find(attribute::reservation_token);
  const auto family = m.find(attribute::requested_address_family);
  const auto additional = m.find(attribute::additional_address_family);
  const auto ticket = m.find(attribute::mobility_ticket);
  if ((even && even->size() != 1) || (token && token->size() != token_octets) ||
      (family && family->size() != 4) || (additional && additional->size() != 4))
    return 400;
  if (w.tcp) {
    if (!config.tcp_relay) return 442;
    // RFC 6062 section 5.1
    if (!is_stream(r.client.transport) || even || token || m.find(attribute::dont_fragment)) return 400;
  }
  if (token && (even || family || additional)) return 400;
  if (additional && (family || (*additional)[0] != family_v6 || (even && ((*even)[0] & 0x80) != 0)))
    return 400;
  if (family && (*family)[0] != family_v4 && (*family)[0] != family_v6) return 440;
  w.even = even.has_value();
  w.reserve = even && ((*even)[0] & 0x80) != 0;
  if (token) w.token = std::string(as_text(*token));
  w.additional = additional.has_value();
  w.family[family && (*family)[0] == family_v6 ? 1 : 0] = true;
  if (w.additional) w.family[1] = true;
  if (ticket) {
    if (!config.mobility || w.tcp || !ticket->empty()) return 405;  // RFC 8016 section 3.1
    w.mobile = true;
  }
  return std::nullopt;
}

void Server::Impl::allocate(Now now, const Request& r, port::Outbox& out) {
  if (const Allocation* a = of_client(r.client)) {
    give_back_seat(r, out);  // of the same request sent again, which has asked for another
    if (a->made_by == r.message.transaction()) return allocated(r, *a, 0, out, now);  // sent again
    return refuse(r, 437, out);
  }
  Wanted wanted;
  if (const auto error = read_wanted(r, wanted)) return refuse(r, *error, out);
  if (!wanted.token.empty() && !reservations.contains(wanted.token) &&
      worker_of_ticket(wanted.token) != config.worker)
    return fetch(now, r, wanted.token, out);
  if (r.seat_refused) return refuse(r, 486, out);
  if (r.seat == 0) {
    if (!newcomers.take(now.mono, r.client.remote.ip)) return refuse(r, 486, out);
    if (config.allocations_per_user > 0) return ask_seat(now, r, out);
  }
  const auto give_up = [&](uint16_t code) {
    give_back_seat(r, out);
    refuse(r, code, out);
  };
  const SlotId id = allocations.emplace();
  if (!id) return give_up(508);
  Allocation& a = *allocations.find(id);
  a.id = id;
  uint16_t additional_error = 0;
  if (const auto error = take_ports(now, r, wanted, a, additional_error)) {
    for (size_t f = 0; f < families; ++f) close_relay(a, f);
    allocations.erase(id);
    return give_up(*error);
  }
  a.user = r.user;
  a.owner = r.owner;
  a.key = r.key;
  a.made_by = r.message.transaction();
  a.tcp = wanted.tcp;
  a.since = now.wall;
  a.seat = r.seat;
  a.client = r.client;
  if (wanted.mobile) a.ticket = new_ticket(r.client);
  const Instant expires = now.mono + lifetime_of(r);
  for (auto& relay : a.relays)
    if (relay) relay->expires = expires;
  made(now, a, out);
  allocated(r, a, additional_error, out, now);
}

void Server::Impl::give_back_seat(const Request& r, port::Outbox& out) {
  if (r.seat != 0 && !r.seat_refused)
    out.seats.push_back({{port::SeatPool::Kind::relay, std::string(r.owner)}, false, {r.seat}});
}

void Server::Impl::ask_seat(Now now, const Request& r, port::Outbox& out) {
  SlotId id;
  Waiting* w = wait(now, Waiting::Phase::seat, r.client, r.bytes, id);
  if (!w) return;
  w->owner = r.owner;
  w->key = r.key;
  while (w->seat == 0) w->seat = rng.next();
  out.ask(port::AskSeat{{port::SeatPool::Kind::relay, w->owner}, w->seat}, now.mono + config.ask_timeout,
          {port::Asker::Room::turn, id.packed()});
}

void Server::Impl::allocated(const Request& r, const Allocation& a, uint16_t additional_error,
                             port::Outbox& out, Now now) {
  stun::Writer w = success(r.message);
  Instant expires = now.mono;
  for (const auto& relay : a.relays)
    if (relay) {
      w.add_xor_address(attribute::xor_relayed_address, relay->told());
      expires = relay->expires;
    }
  if (additional_error != 0) {
    // RFC 8656 section 18.12: the family, and the code as in ERROR-CODE
    const std::array<uint8_t, 4> value = {family_v6, 0, static_cast<uint8_t>(additional_error / 100),
                                          static_cast<uint8_t>(additional_error % 100)};
    w.add(attribute::address_error_code, Bytes(value));
  }
  const auto left = std::chrono::duration_cast<seconds>(expires - now.mono).count();
  w.add_u32(attribute::lifetime, static_cast<uint32_t>(std::max<int64_t>(left, 0)));
  w.add_xor_address(attribute::xor_mapped_address, r.client.remote);
  if (!a.token.empty()) w.add(attribute::reservation_token, a.token);
  if (!a.ticket.empty()) w.add(attribute::mobility_ticket, a.ticket);
  answer(r, w, out);
}

// ---- ports -----------------------------------------------------------------------------------------------

std::optional<uint16_t> Server::Impl::take_ports(Now now, const Request& r, const Wanted& wanted,
                                                 Allocation& a, uint16_t& additional_error) {
  if (!wanted.token.empty()) return take_reserved(now, wanted, a);
  for (size_t f = 0; f < families; ++f) {
    if (!wanted.family[f]) continue;
    const auto family = family_at(f);
    uint16_t error = 0;
    if (!world.has(family)) {
      error = 440;
    } else if (wanted.reserve) {
      const auto pair = world.open_pair(family);
      if (pair) {
        hold(pair->first, true);
        a.relays[f] = Relay{pair->first, Instant::never()};
        a.token = new_ticket(r.client).substr(0, token_octets);
        reservations[a.token] = {pair->second, std::string(r.user), now.mono + config.reservation_lifetime};
        if (next_sweep.is_never()) next_sweep = now.mono + seconds(5);
      } else {
        error = 508;
      }
    } else if (const auto port = take_port(family, wanted)) {
      a.relays[f] = Relay{*port, Instant::never()};
    } else {
      error = 508;
    }
    if (error == 0) continue;
    if (f == 0 || !wanted.additional) return error;
    additional_error = error;  // IPv4 alone will do
  }
  return std::nullopt;
}

std::optional<uint16_t> Server::Impl::take_reserved(Now now, const Wanted& wanted, Allocation& a) {
  const auto it = reservations.find(wanted.token);
  if (it == reservations.end() || it->second.expires <= now.mono) return 508;
  const port::RelayPort port = it->second.port;
  reservations.erase(it);
  hold(port, true);
  a.relays[index_of(port.local.ip.family)] = Relay{port, Instant::never()};
  return std::nullopt;
}

/// One of its own while there are any. Then it joins others on a port, except who needs it alone: a port that
/// moves to another worker, one peers connect to, and one of a pair.
std::optional<port::RelayPort> Server::Impl::take_port(IpAddress::Family family, const Wanted& wanted) {
  auto port = wanted.tcp ? world.open_tcp(family) : world.open(family, wanted.even);
  if (port) {
    hold(*port, wanted.tcp || wanted.mobile || wanted.even);
    return port;
  }
  if (wanted.tcp || wanted.mobile || wanted.even) return std::nullopt;
  return join_port(family);
}

std::optional<port::RelayPort> Server::Impl::join_port(IpAddress::Family family) {
  auto& ring = shareable[index_of(family)];
  for (size_t i = 0; i < join_tries && !ring.empty(); ++i) {
    const port::RelayPortId id = ring.front();
    ring.pop_front();
    const auto it = port_states.find(SlotId{id.slot, id.generation}.packed());
    if (it == port_states.end() || it->second.own) continue;  // closed meanwhile
    ring.push_back(id);
    if (it->second.tenants >= config.tenants) continue;
    ++it->second.tenants;
    shared_.add();
    return it->second.port;
  }
  return std::nullopt;
}

void Server::Impl::hold(const port::RelayPort& port, bool own) {
  port_states[SlotId{port.id.slot, port.id.generation}.packed()] = {port, 1, own};
  if (!own) shareable[index_of(port.local.ip.family)].push_back(port.id);
  ports_open_.set(port_states.size());
}

void Server::Impl::leave(port::RelayPortId id) {
  const auto it = port_states.find(SlotId{id.slot, id.generation}.packed());
  if (it == port_states.end() || --it->second.tenants > 0) return;
  // The ring drops what is closed when it comes by; while ports are free nobody looks, so it is kept short
  // here.
  auto& ring = shareable[index_of(it->second.port.local.ip.family)];
  port_states.erase(it);
  if (ring.size() > 64 && ring.size() > 4 * port_states.size())
    std::erase_if(ring, [&](port::RelayPortId p) {
      return !port_states.contains(SlotId{p.slot, p.generation}.packed());
    });
  world.close(id);
  ports_open_.set(port_states.size());
}

// ---- beginning and end -----------------------------------------------------------------------------------

void Server::Impl::made(Now now, Allocation& a, port::Outbox& out) {
  a.up = Meter(config.bytes_per_second);
  a.down = Meter(config.bytes_per_second);
  if (!a.away) by_client[a.client] = a.id;
  if (!a.ticket.empty()) tickets[a.ticket] = a.id;
  if (a.client.transport != port::RelayTransport::udp) world.keep(a.client);
  arm(a);
  if (a.seat != 0 && next_renewal.is_never()) next_renewal = now.mono + seconds(30);
  made_.add();
  open_.set(allocations.size());
  std::string relays;
  for (const auto& relay : a.relays)
    if (relay) relays += (relays.empty() ? "" : " ") + relay->told().to_string();
  out.event(port::Level::info, "turn.allocated", 0,
            {{"user", a.user},
             {"client", a.client.remote.to_string()},
             {"transport", text_of(a.client.transport)},
             {"relay", std::move(relays)},
             {"protocol", a.tcp ? "tcp" : "udp"}});
}

void Server::Impl::close_relay(Allocation& a, size_t f) {
  if (!a.relays[f]) return;
  const port::RelayPortId id = a.relays[f]->port.id;
  const auto family = family_at(f);
  for (const IpAddress& ip : a.permissions)
    if (ip.family == family) {
      const auto it = permissions.find({id, ip});
      if (it != permissions.end() && it->second.allocation == a.id) permissions.erase(it);
    }
  std::erase_if(a.permissions, [&](const IpAddress& ip) { return ip.family == family; });
  std::erase_if(a.channels, [&](const Channel& c) { return c.peer.ip.family == family; });
  a.relays[f].reset();
  leave(id);
}

void Server::Impl::end(Now, Allocation& a, std::string_view why, port::Outbox& out) {
  while (!a.connections.empty()) forget_connection(a, a.connections.size() - 1, true);
  forget_reservation(a.token);
  for (size_t f = 0; f < families; ++f) close_relay(a, f);
  if (const auto it = by_client.find(a.client); it != by_client.end() && it->second == a.id) {
    by_client.erase(it);
    if (a.client.transport != port::RelayTransport::udp) world.let_go(a.client);
  }
  for (const std::string& ticket : {a.ticket, a.old_ticket})
    if (!ticket.empty()) tickets.erase(ticket);
  if (a.seat != 0) out.seats.push_back({{port::SeatPool::Kind::relay, a.owner}, false, {a.seat}});
  out.event(port::Level::info, "turn.ended", 0,
            {{"user", a.user},
             {"why", std::string(why)},
             {"packets_to_peers", std::to_string(a.packets_up)},
             {"packets_to_client", std::to_string(a.packets_down)},
             {"octets_to_peers", std::to_string(a.octets_up)},
             {"octets_to_client", std::to_string(a.octets_down)}});
  allocations.erase(a.id);
  open_.set(allocations.size());
  if (allocations.size() == 0) next_renewal = Instant::never();
}

/// What it reserved and nobody has taken goes with it: reservations are within their users' quota.
void Server::Impl::forget_reservation(const std::string& token) {
  const auto it = reservations.find(token);
  if (it == reservations.end()) return;
  world.close(it->second.port.id);
  reservations.erase(it);
}

/// One entry a time in the queue: who refreshes a thousand times a second must not fill it.
void Server::Impl::arm(Allocation& a) {
  Instant next = Instant::never();
  for (const auto& relay : a.relays)
    if (relay) next = std::min(next, relay->expires);
  for (const PeerConnection& c : a.connections) next = std::min(next, c.until);
  for (const IpAddress& ip : a.permissions)
    if (const auto& relay = a.relays[index_of(ip.family)]) {
      const auto it = permissions.find({relay->port.id, ip});
      if (it != permissions.end()) next = std::min(next, remembered_until(a, ip, it->second) + housekeeping);
    }
  if (next >= a.armed) return;
  a.armed = next;
  timers.push(next, a.id);
}

}  // namespace tandem::turn
