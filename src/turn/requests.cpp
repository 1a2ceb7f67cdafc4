// Refresh, CreatePermission and ChannelBind (RFC 8656 sections 8, 10 and 12).
#include <algorithm>

#include "turn/state.h"

namespace tandem::turn {
namespace {

// RFC 8656 ends at 0x4FFF, so that a channel's first octet is told from other protocols (RFC 7983). Clients
// of RFC 5766, coturn's among them, take up to 0x7FFF, and here nothing else comes on the port.
constexpr uint16_t first_channel = 0x4000, last_channel = 0x7FFF;

}  // namespace

// ---- Refresh ---------------------------------------------------------------------------------------------

void Server::Impl::refresh(Now now, const Request& r, Allocation* a, port::Outbox& out) {
  const auto ticket = r.message.text(attribute::mobility_ticket);
  if (!a) {
    if (!ticket) return refuse(r, 437, out);
    if (!config.mobility) return refuse(r, 405, out);
    if (worker_of_ticket(*ticket) == config.worker || ticket->size() < 2) return refuse(r, 437, out);
    return fetch(now, r, *ticket, out);
  }
  if (ticket) {
    if (a->ticket.empty()) return refuse(r, 405, out);
    if (*ticket != a->ticket && *ticket != a->old_ticket) return refuse(r, 400, out);
    if (a->client != r.client) take_client(*a, r.client);
  }
  const auto family = r.message.find(attribute::requested_address_family);
  if (family && (family->size() != 4 || ((*family)[0] != 1 && (*family)[0] != 2))) return refuse(r, 400, out);
  if (family && !a->relays[(*family)[0] - 1U]) return refuse(r, 443, out);
  const auto asked = r.message.u32(attribute::lifetime);
  const bool ending = asked && *asked == 0;
  const Duration lifetime = ending ? Duration(0) : lifetime_of(r);
  for (size_t f = 0; f < families; ++f) {
    if (!a->relays[f] || (family && (*family)[0] != f + 1)) continue;
    a->relays[f]->expires = now.mono + lifetime;
    if (ending) close_relay(*a, f);
  }
  stun::Writer w = success(r.message);
  w.add_u32(attribute::lifetime,
            static_cast<uint32_t>(std::chrono::duration_cast<seconds>(lifetime).count()));
  const bool over = !a->relays[0] && !a->relays[1];
  if (!a->ticket.empty() && !over) w.add(attribute::mobility_ticket, a->ticket);
  answer(r, w, out);
  if (over)
    end(now, *a, "refreshed with 0", out);
  else
    arm(*a);
}

// ---- permissions -----------------------------------------------------------------------------------------

const Permission* Server::Impl::permission(Now now, const Allocation& a, const IpAddress& peer) const {
  const auto& relay = a.relays[index_of(peer.family)];
  if (!relay) return nullptr;
  const auto it = permissions.find({relay->port.id, peer});
  if (it == permissions.end() || it->second.allocation != a.id || it->second.expires <= now.mono)
    return nullptr;
  return &it->second;
}

/// Nothing, or the error: no relay of that family, too many, or somebody else on the same relay port has that
/// peer, whose packets could then be for either.
std::optional<uint16_t> Server::Impl::may_reach(Now now, const Allocation& a, const IpAddress& peer) {
  const auto& relay = a.relays[index_of(peer.family)];
  if (!relay) return 443;
  if (const Denied why = policy.judge(peer); why != Denied::no) {
    denied(why);
    return 403;
  }
  const auto it = permissions.find({relay->port.id, peer});
  if (it == permissions.end()) return std::nullopt;
  if (it->second.allocation == a.id || it->second.expires <= now.mono) return std::nullopt;
  conflicts_.add();
  return 508;
}

/// A channel outlives its permission: who gets the peer next has to know whose it was.
Instant Server::Impl::remembered_until(const Allocation& a, const IpAddress& peer, const Permission& p) {
  Instant until = p.expires;
  for (const Channel& c : a.channels)
    if (c.peer.ip == peer) until = std::max(until, c.expires);
  return until;
}

void Server::Impl::permit(Now now, Allocation& a, const IpAddress& peer) {
  Permission& p = permissions[{a.relays[index_of(peer.family)]->port.id, peer}];
  // Who had the peer before on a shared port has no channel to it any more, however long that would last.
  if (Allocation* before = p.allocation == a.id ? nullptr : allocations.find(p.allocation))
    std::erase_if(before->channels, [&](const Channel& c) { return c.peer.ip == peer; });
  if (std::find(a.permissions.begin(), a.permissions.end(), peer) == a.permissions.end())
    a.permissions.push_back(peer);
  p = {a.id, now.mono + config.permission_lifetime};
}

void Server::Impl::create_permission(Now now, const Request& r, Allocation& a, port::Outbox& out) {
  const auto peers = r.message.xor_addresses(attribute::xor_peer_address);
  if (!peers || peers->empty()) return refuse(r, 400, out);
  size_t fresh = 0;
  for (const SocketAddress& peer : *peers) {
    if (const auto error = may_reach(now, a, peer.ip)) return refuse(r, *error, out);
    if (std::find(a.permissions.begin(), a.permissions.end(), peer.ip) == a.permissions.end()) ++fresh;
  }
  // All of them or none (section 10.2).
  if (a.permissions.size() + fresh > config.permissions) return refuse(r, 508, out);
  for (const SocketAddress& peer : *peers) permit(now, a, peer.ip);
  arm(a);
  stun::Writer w = success(r.message);
  answer(r, w, out);
}

// ---- channels --------------------------------------------------------------------------------------------

void Server::Impl::channel_bind(Now now, const Request& r, Allocation& a, port::Outbox& out) {
  const auto number = r.message.find(attribute::channel_number);
  const auto peer = r.message.xor_address(attribute::xor_peer_address);
  if (!number || number->size() != 4 || !peer || a.tcp) return refuse(r, 400, out);
  const uint16_t channel = load16(number->data());
  if (channel < first_channel || channel > last_channel) return refuse(r, 400, out);
  std::erase_if(a.channels, [&](const Channel& c) { return c.expires <= now.mono; });
  const auto known = std::find_if(a.channels.begin(), a.channels.end(),
                                  [&](const Channel& c) { return c.number == channel || c.peer == *peer; });
  if (known != a.channels.end() && (known->number != channel || known->peer != *peer))
    return refuse(r, 400, out);
  if (const auto error = may_reach(now, a, peer->ip)) return refuse(r, *error, out);
  if (const Denied why = policy.judge(*peer); why != Denied::no) {
    denied(why);
    return refuse(r, 403, out);
  }
  const bool permitted =
      std::find(a.permissions.begin(), a.permissions.end(), peer->ip) != a.permissions.end();
  if ((known == a.channels.end() && a.channels.size() >= config.channels) ||
      (!permitted && a.permissions.size() >= config.permissions))
    return refuse(r, 508, out);
  permit(now, a, peer->ip);
  if (known != a.channels.end())
    known->expires = now.mono + config.channel_lifetime;
  else
    a.channels.push_back({channel, *peer, now.mono + config.channel_lifetime});
  arm(a);
  stun::Writer w = success(r.message);
  answer(r, w, out);
}

}  // namespace tandem::turn
