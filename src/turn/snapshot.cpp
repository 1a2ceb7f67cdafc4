// An allocation as bytes and back (proto/turn.proto). TCP allocations end with their connections and are not
// kept.
#include <algorithm>

#include "turn.pb.h"
#include "turn/state.h"

namespace tandem::turn {
namespace {

constexpr uint32_t part_format = 1;
// More than a peer of another version could want to give us.
constexpr int most_entries = 4096;

std::string text_of(const SocketAddress& a) { return a ? a.to_string() : std::string{}; }

bool read_head(const proto::TurnPart& part, Allocation& a) {
  const auto client = SocketAddress::parse(part.client());
  a.key.algorithm = static_cast<Algorithm>(part.algorithm());
  if (!client || part.key().size() != a.key.view().size()) return false;
  std::copy(part.key().begin(), part.key().end(), a.key.octets.data());
  a.user = part.user();
  a.owner = part.owner();
  std::copy(part.transaction().begin(), part.transaction().end(), a.made_by.begin());
  a.since = {part.since()};
  a.seat = part.seat();
  a.client.transport = static_cast<port::RelayTransport>(part.transport());
  a.client.listener = static_cast<uint16_t>(part.listener());
  a.client.remote = *client;
  a.away = part.away() || a.client.transport != port::RelayTransport::udp;
  a.ticket = part.ticket();
  a.old_ticket = part.old_ticket();
  a.packets_up = part.packets_up();
  a.packets_down = part.packets_down();
  a.octets_up = part.octets_up();
  a.octets_down = part.octets_down();
  return true;
}

}  // namespace

std::string Server::Impl::part_of(Now now, const Allocation& a) const {
  proto::TurnPart part;
  part.set_format(part_format);
  part.set_user(a.user);
  part.set_owner(a.owner);
  part.set_algorithm(static_cast<uint32_t>(a.key.algorithm));
  part.set_key(std::string(as_text(a.key.view())));
  part.set_transaction(std::string(as_text(a.made_by)));
  part.set_since(a.since.ns);
  part.set_seat(a.seat);
  part.set_transport(static_cast<uint32_t>(a.client.transport));
  part.set_listener(a.client.listener);
  part.set_client(text_of(a.client.remote));
  part.set_away(a.away || a.client.transport != port::RelayTransport::udp);
  for (const auto& relay : a.relays) {
    if (!relay) continue;
    proto::TurnRelay& out = *part.add_relays();
    out.set_local(relay->port.local.to_string());
    out.set_expires(deadline_to_wall(now, relay->expires));
  }
  for (const IpAddress& ip : a.permissions)
    if (const Permission* p = permission(now, a, ip)) {
      proto::TurnPermission& out = *part.add_permissions();
      out.set_peer(ip.to_string());
      out.set_expires(deadline_to_wall(now, p->expires));
    }
  for (const Channel& c : a.channels) {
    if (c.expires <= now.mono) continue;
    proto::TurnChannel& out = *part.add_channels();
    out.set_number(c.number);
    out.set_peer(c.peer.to_string());
    out.set_expires(deadline_to_wall(now, c.expires));
  }
  part.set_ticket(a.ticket);
  part.set_old_ticket(a.old_ticket);
  part.set_packets_up(a.packets_up);
  part.set_packets_down(a.packets_down);
  part.set_octets_up(a.octets_up);
  part.set_octets_down(a.octets_down);
  return part.SerializeAsString();
}

/// A port that others of a restore hold already is joined.
std::optional<port::RelayPort> Server::Impl::reopen(const SocketAddress& local, bool own) {
  if (!own)
    for (auto& [id, state] : port_states)
      if (state.port.local == local && !state.own) {
        ++state.tenants;
        return state.port;
      }
  const auto port = world.reopen(local, false);
  if (port) hold(*port, own);
  return port;
}

bool Server::Impl::restore_relays(Now now, const proto::TurnPart& part, Allocation& a) {
  for (const proto::TurnRelay& in : part.relays()) {
    const auto local = SocketAddress::parse(in.local());
    if (!local || a.relays[index_of(local->ip.family)]) return false;
    const auto port = reopen(*local, !a.ticket.empty());
    if (!port) {
      lost_.add();
      return false;
    }
    a.relays[index_of(local->ip.family)] = Relay{*port, deadline_from_wall(now, in.expires())};
  }
  return true;
}

/// The policy may be another one now: who is denied by it stays behind.
void Server::Impl::restore_peers(Now now, const proto::TurnPart& part, Allocation& a) {
  for (const proto::TurnPermission& in : part.permissions()) {
    const auto ip = IpAddress::parse(in.peer());
    if (!ip || may_reach(now, a, *ip)) continue;
    permit(now, a, *ip);
    permissions[{a.relays[index_of(ip->family)]->port.id, *ip}].expires =
        deadline_from_wall(now, in.expires());
  }
  for (const proto::TurnChannel& in : part.channels()) {
    const auto peer = SocketAddress::parse(in.peer());
    if (!peer || may_reach(now, a, peer->ip) || policy.judge(*peer) != Denied::no) continue;
    if (!permission(now, a, peer->ip)) {  // it has lapsed, and the channel has not
      permit(now, a, peer->ip);
      permissions[{a.relays[index_of(peer->ip.family)]->port.id, peer->ip}].expires = now.mono;
    }
    a.channels.push_back({static_cast<uint16_t>(in.number()), *peer, deadline_from_wall(now, in.expires())});
  }
}

Allocation* Server::Impl::restore_part(Now now, std::string_view bytes) {
  proto::TurnPart part;
  if (!part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || part.format() != part_format ||
      part.algorithm() > 1 || part.transport() > 3 || part.transaction().size() != 12 ||
      part.relays_size() == 0 || part.relays_size() > 2 || part.permissions_size() > most_entries ||
      part.channels_size() > most_entries)
    return nullptr;
  const SlotId id = allocations.emplace();
  if (!id) return nullptr;
  Allocation& a = *allocations.find(id);
  a.id = id;
  // Away it is found by its ticket alone; else its client must not have another by now.
  const bool read = read_head(part, a) && !(a.away ? a.ticket.empty() : by_client.contains(a.client));
  if (!read || !restore_relays(now, part, a)) {
    for (size_t f = 0; f < families; ++f) close_relay(a, f);
    allocations.erase(id);
    return nullptr;
  }
  restore_peers(now, part, a);
  a.up = Meter(config.bytes_per_second);
  a.down = Meter(config.bytes_per_second);
  if (!a.away) by_client[a.client] = id;
  for (const std::string& ticket : {a.ticket, a.old_ticket})
    if (!ticket.empty()) tickets[ticket] = id;
  if (a.seat != 0 && next_renewal.is_never()) next_renewal = now.mono;
  arm(a);
  open_.set(allocations.size());
  return &a;
}

void Server::snapshot(Now now, std::vector<Part>& out) const {
  impl_->allocations.for_each([&](SlotId, const Allocation& a) {
    if (a.tcp || (a.ticket.empty() && a.client.transport != port::RelayTransport::udp)) return;
    const uint16_t shard = a.ticket.empty() ? shard_of_client(a.client.remote) : shard_of_ticket(a.ticket);
    out.push_back({shard, impl_->part_of(now, a)});
  });
}

bool Server::restore(Now now, std::string_view part) { return impl_->restore_part(now, part) != nullptr; }

}  // namespace tandem::turn
