// The fast path: ChannelData and Send indications to peers, datagrams of peers to clients. Nothing is copied
// or allocated here but room in the list of sends.
#include <cstring>

#include "turn/state.h"

namespace tandem::turn {
namespace {

constexpr size_t channel_header = 4;
constexpr size_t stun_header = 20;
constexpr size_t largest = 65535;

constexpr size_t padded(size_t n) { return (n + 3) & ~size_t{3}; }

}  // namespace

void Server::Impl::to_peer(Now now, Allocation& a, const SocketAddress& peer, Bytes bytes, bool dont_fragment,
                           port::Outbox& out) {
  if (!a.up.take(now.mono, bytes.size()) || !all_up.take(now.mono, bytes.size()))
    return drop(Drop::bandwidth);
  ++a.packets_up;
  a.octets_up += bytes.size();
  packets_up_.add();
  octets_up_.add(bytes.size());
  out.relay.to_peers.push_back({a.relays[index_of(peer.ip.family)]->port.id, peer, bytes, dont_fragment});
}

void Server::Impl::channel_data(Now now, const port::RelayPacket& p, port::Outbox& out) {
  if (p.bytes.size() < channel_header) return drop(Drop::bad_length);
  const uint16_t number = load16(p.bytes.data());
  const size_t length = load16(p.bytes.data() + 2);
  if (length > p.bytes.size() - channel_header) return drop(Drop::bad_length);
  Allocation* a = of_client(p.client);
  if (!a) return drop(Drop::no_allocation);
  for (const Channel& c : a->channels)
    if (c.number == number && c.expires > now.mono)
      return to_peer(now, *a, c.peer, Bytes(p.bytes).subspan(channel_header, length), false, out);
  drop(Drop::no_channel);
}

void Server::Impl::send_indication(Now now, const port::RelayPacket& p, const stun::Message& m,
                                   port::Outbox& out) {
  Allocation* a = of_client(p.client);
  if (!a || a->tcp) return drop(Drop::no_allocation);
  const auto peer = m.xor_address(attribute::xor_peer_address);
  const auto data = m.find(attribute::data);
  // What must be understood and is not makes an indication void (RFC 8489 section 6.3.2).
  const bool plain =
      m.unknown_required({attribute::xor_peer_address, attribute::data, attribute::dont_fragment}).empty();
  if (!peer || !data || !plain) return drop(Drop::bad_length);
  if (!permission(now, *a, peer->ip)) return drop(Drop::no_permission);
  if (const Denied why = policy.judge(*peer); why != Denied::no) {
    denied(why);
    return drop(Drop::denied_peer);
  }
  to_peer(now, *a, *peer, *data, m.find(attribute::dont_fragment).has_value(), out);
}

void Server::Impl::from_peer(Now now, port::RelayPacket& p, port::Outbox& out) {
  const auto permitted = permissions.find({p.port, p.peer.ip});
  if (permitted == permissions.end() || permitted->second.expires <= now.mono)
    return drop(Drop::no_permission);
  Allocation* a = allocations.find(permitted->second.allocation);
  if (!a) return drop(Drop::closed_port);
  if (a->away) return drop(Drop::client_gone);
  const size_t length = p.bytes.size();
  if (!a->down.take(now.mono, length) || !all_down.take(now.mono, length)) return drop(Drop::bandwidth);
  uint8_t* data = p.bytes.data();
  uint8_t* head = nullptr;
  size_t total = 0;
  for (const Channel& c : a->channels)
    if (c.peer == p.peer && c.expires > now.mono) {
      head = data - channel_header;
      store16(head, c.number);
      store16(head + 2, static_cast<uint16_t>(length));
      total = channel_header + length;
      break;
    }
  if (!head) {
    // Data indication: XOR-PEER-ADDRESS, then DATA, whose value is where it already lies.
    const size_t address = p.peer.ip.is_v6() ? 20 : 8;
    const size_t before = stun_header + 4 + address + 4;
    if (padded(length) + before > largest) return drop(Drop::bad_length);
    head = data - before;
    stun::TransactionId transaction{};
    const uint64_t unique = mix64(transaction_seed + ++transaction_count);
    std::memcpy(transaction.data(), &unique, 8);
    std::memcpy(transaction.data() + 8, &transaction_count, 4);
    stun::write_data_indication(head, transaction, p.peer, length);
    total = before + padded(length);
  } else if (is_stream(a->client.transport)) {
    total = padded(total);  // a stream is framed in fours (RFC 8656 section 12.5), a datagram is not
  }
  std::memset(data + length, 0, padded(length) - length);
  ++a->packets_down;
  a->octets_down += length;
  packets_down_.add();
  octets_down_.add(length);
  out.relay.to_clients.push_back({a->client, Bytes(head, total)});
}

}  // namespace tandem::turn
