// Who asks: a request comes in, its sender is found out, and it is answered or performed.
#include "turn/server.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "turn/state.h"

namespace tandem::turn {
namespace {

constexpr size_t username_octets = 508;  // RFC 8489 section 14.3
// What may be signed by nobody yet: more is no request but work for us. Datagrams are no longer anyway.
constexpr size_t largest_request = 4096;
constexpr Duration seat_renewal = seconds(30);
constexpr Duration sweep = seconds(5);

constexpr std::array<uint16_t, 16> codes = {400, 401, 403, 405, 420, 437, 438, 440,
                                            441, 442, 443, 446, 447, 486, 500, 508};

std::string_view phrase_of(uint16_t code) {
  switch (code) {
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 405:
      return "Mobility Forbidden";
    case 420:
      return "Unknown Attribute";
    case 437:
      return "Allocation Mismatch";
    case 438:
      return "Stale Nonce";
    case 440:
      return "Address Family not Supported";
    case 441:
      return "Wrong Credentials";
    case 442:
      return "Unsupported Transport Protocol";
    case 443:
      return "Peer Address Family Mismatch";
    case 446:
      return "Connection Already Exists";
    case 447:
      return "Connection Timeout or Failure";
    case 486:
      return "Allocation Quota Reached";
    case 508:
      return "Insufficient Capacity";
    default:
      return "Server Error";
  }
}

constexpr std::array<std::string_view, drop_count> drop_names = {
    "not_stun",  "bad_stun",    "no_allocation", "no_channel", "bad_length", "no_permission", "denied_peer",
    "bandwidth", "closed_port", "client_gone",   "challenges", "waiting",    "lookups",       "banned"};

}  // namespace

uint16_t shard_of_client(const SocketAddress& remote) {
  // Net's socket filter computes the same: keep them equal.
  uint32_t a = 0;
  for (size_t at = 0; at < (remote.ip.is_v6() ? 16U : 4U); at += 4)
    a ^= uint32_t{remote.ip.bytes[at]} << 24 | uint32_t{remote.ip.bytes[at + 1]} << 16 |
         uint32_t{remote.ip.bytes[at + 2]} << 8 | remote.ip.bytes[at + 3];
  a = (a ^ remote.port) * 0x9E3779B1U;
  return static_cast<uint16_t>(a >> 20);
}

Server::Impl::Impl(const Config& c, port::RelayPorts& p, Rng& r, CounterSet& set)
    : config(c),
      world(p),
      rng(r),
      policy(c.policy),
      nonces(c.nonce_key, c.nonce_lifetime),
      nobody(key_of_password(Algorithm::md5, "", "", as_text(c.nonce_key))),
      allocations(c.allocations),
      waiting(c.waiting),
      challenges(c.challenges_per_second, c.hash_key),
      newcomers(c.allocations_per_second, c.hash_key),
      lookups(c.lookups_per_second, c.hash_key),
      all_up(c.total_bytes_per_second),
      all_down(c.total_bytes_per_second),
      transaction_seed(r.next()),
      made_(set.counter("turn_allocations_total", "TURN allocations made")),
      open_(set.gauge("turn_allocations", "TURN allocations there are")),
      ports_open_(set.gauge("turn_relay_ports", "Relay ports open")),
      shared_(set.counter("turn_ports_shared_total", "Allocations that joined a relay port of others")),
      packets_up_(set.counter("turn_packets_total", "Packets relayed", R"(direction="to_peer")")),
      packets_down_(set.counter("turn_packets_total", "Packets relayed", R"(direction="to_client")")),
      octets_up_(
          set.counter("turn_octets_total", "Octets relayed, without TURN's own", R"(direction="to_peer")")),
      octets_down_(
          set.counter("turn_octets_total", "Octets relayed, without TURN's own", R"(direction="to_client")")),
      bindings_(set.counter("turn_bindings_total", "STUN Binding requests answered")),
      conflicts_(
          set.counter("turn_port_conflicts_total",
                      "Permissions and channels refused (508): another allocation on the same relay port has "
                      "that peer")),
      moved_(set.counter("turn_moves_total", "Allocations that followed their client to another address")),
      lost_(set.counter("turn_restore_failed_total", "Allocations not restored: their relay port is taken")) {
  for (size_t i = 0; i < drop_count; ++i)
    dropped_[i] = &set.counter("turn_dropped_total", "Packets of clients and peers that went nowhere",
                               "reason=\"" + std::string(drop_names[i]) + "\"");
  for (size_t i = 1; i < denied_count; ++i)
    denied_[i] = &set.counter("turn_denied_peers_total", "Peers the policy denied, by what they are",
                              "why=\"" + std::string(to_string(static_cast<Denied>(i))) + "\"");
  for (const uint16_t code : codes)
    errors_[code] =
        &set.counter("turn_errors_total", "Error answers, by code", "code=\"" + std::to_string(code) + "\"");
}

Server::Impl::~Impl() {
  for (const auto& [id, state] : port_states) world.close(state.port.id);
  for (const auto& [token, reservation] : reservations) world.close(reservation.port.id);
}

// ---- answers ---------------------------------------------------------------------------------------------

stun::Writer Server::Impl::success(const stun::Message& m) const {
  return {stun::Class::success, m.method(), m.transaction()};
}

void Server::Impl::seal(stun::Writer& w, const Key& key, bool fingerprint) {
  if (key.sha256_integrity)
    w.add_integrity_sha256(key.view());
  else
    w.add_integrity(key.view());
  if (fingerprint) w.add_fingerprint();
}

void Server::Impl::send(const port::RelayClient& client, const stun::Writer& w, port::Outbox& out) {
  out.relay.own.push_back(Buffer::copy_of(Bytes(w.octets())));
  out.relay.to_clients.push_back({client, out.relay.own.back().bytes()});
}

void Server::Impl::answer(const Request& r, stun::Writer& w, port::Outbox& out) {
  if (!config.software.empty()) w.add(attribute::software, config.software);
  seal(w, r.key, r.message.has_fingerprint());
  send(r.client, w, out);
}

void Server::Impl::refuse(const Request& r, uint16_t code, port::Outbox& out) {
  errors_[code]->add();
  stun::Writer w(stun::Class::error, r.message.method(), r.message.transaction());
  w.add_error(code, phrase_of(code));
  seal(w, r.key, r.message.has_fingerprint());
  send(r.client, w, out);
}

void Server::Impl::refuse_bare(Now now, const port::RelayClient& client, const stun::Message& m,
                               uint16_t code, port::Outbox& out) {
  if (!challenges.take(now.mono, client.remote.ip)) return drop(Drop::challenges);
  errors_[code]->add();
  stun::Writer w(stun::Class::error, m.method(), m.transaction());
  w.add_error(code, phrase_of(code));
  if (m.has_fingerprint()) w.add_fingerprint();
  send(client, w, out);
}

/// Who forges an address gets no more than so many of these, and of unsigned refusals: they are longer than
/// what they answer.
void Server::Impl::challenge(Now now, const port::RelayClient& client, const stun::Message& m, uint16_t code,
                             port::Outbox& out) {
  if (!challenges.take(now.mono, client.remote.ip)) return drop(Drop::challenges);
  errors_[code]->add();
  stun::Writer w(stun::Class::error, m.method(), m.transaction());
  w.add_error(code, phrase_of(code)).add(attribute::realm, config.realm);
  w.add(attribute::nonce, nonces.mint(now, client.remote.ip));
  w.add(attribute::password_algorithms, offered_algorithms());
  if (m.has_fingerprint()) w.add_fingerprint();
  send(client, w, out);
}

/// Told to whoever bans: the nonce has shown that the request comes from where it says.
bool Server::Impl::is_banned(Now now, const port::RelayClient& client) const {
  return config.banned && config.banned(now, client.remote.ip);
}

void Server::Impl::wrong_password(Now now, const port::RelayClient& client, const stun::Message& m,
                                  port::Outbox& out) {
  if (is_banned(now, client)) return drop(Drop::banned);
  failures.push_back(client.remote);
  challenge(now, client, m, 401, out);
}

// ---- what comes in ---------------------------------------------------------------------------------------

void Server::Impl::from_client(Now now, port::RelayPacket& p, port::Outbox& out) {
  if (p.bytes.empty()) return drop(Drop::not_stun);
  if ((p.bytes[0] & 0xC0) == 0x40) return channel_data(now, p, out);
  const auto m = stun::Message::parse(p.bytes);
  if (!m) return drop(m.reason() == stun::Reason::not_stun ? Drop::not_stun : Drop::bad_stun);
  if (m->message_class() == stun::Class::indication && m->method() == method::send)
    return send_indication(now, p, *m, out);
  if (m->message_class() != stun::Class::request) return drop(Drop::bad_stun);
  if (p.bytes.size() > largest_request) return drop(Drop::bad_length);
  if (m->method() == method::binding) return binding(p.client, *m, out);
  request(now, p.client, p.bytes, *m, out);
}

void Server::Impl::binding(const port::RelayClient& client, const stun::Message& m, port::Outbox& out) {
  // Integrity of a Binding request is not asked for (RFC 8489 section 12): anybody may know his own address.
  const auto unknown = m.unknown_required(
      {attribute::username, attribute::message_integrity, attribute::message_integrity_sha256,
       attribute::realm, attribute::nonce, attribute::userhash, attribute::password_algorithm});
  if (!unknown.empty()) {
    errors_[420]->add();
    stun::Writer w(stun::Class::error, m.method(), m.transaction());
    w.add_error(420, phrase_of(420)).add_unknown_attributes(unknown);
    if (m.has_fingerprint()) w.add_fingerprint();
    return send(client, w, out);
  }
  bindings_.add();
  stun::Writer w = success(m);
  w.add_xor_address(attribute::xor_mapped_address, client.remote);
  if (m.has_fingerprint()) w.add_fingerprint();
  send(client, w, out);
}

/// The allocation a request is about, whose key it must carry: the client's own, or the one a ticket or a
/// connection names.
Allocation* Server::Impl::spoken_of(const port::RelayClient& client, const stun::Message& m) {
  if (Allocation* own = of_client(client)) return own;
  if (m.method() == method::refresh)
    if (const auto ticket = m.text(attribute::mobility_ticket)) return by_ticket(*ticket);
  if (m.method() == method::connection_bind)
    if (const auto id = m.u32(attribute::connection_id)) {
      Allocation* whose = nullptr;
      return find_connection(*id, &whose) ? whose : nullptr;
    }
  return nullptr;
}

void Server::Impl::request(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                           port::Outbox& out) {
  switch (m.method()) {
    case method::allocate:
    case method::refresh:
    case method::create_permission:
    case method::channel_bind:
      break;
    case method::connect:
    case method::connection_bind:
      if (config.tcp_relay) break;
      [[fallthrough]];
    default:
      return refuse_bare(now, client, m, 400, out);
  }
  // RFC 8489 section 9.2.4, in its order.
  if (!m.has_integrity()) return challenge(now, client, m, 401, out);
  const auto user = m.text(attribute::username);
  const auto realm = m.text(attribute::realm);
  const auto nonce = m.text(attribute::nonce);
  const auto algorithm = algorithm_of(m);
  if (!user || !realm || !nonce || !algorithm || user->size() > username_octets || !is_plain_text(*user))
    return refuse_bare(now, client, m, 400, out);
  if (!nonces.good(now, client.remote.ip, *nonce)) return challenge(now, client, m, 438, out);
  if (*realm != config.realm) return challenge(now, client, m, 401, out);
  if (const Allocation* a = spoken_of(client, m)) {
    // What made the allocation keeps it: a password changed meanwhile ends no call.
    if (a->user != *user) return refuse_bare(now, client, m, 441, out);
    if (a->key.algorithm != *algorithm) return challenge(now, client, m, 401, out);
    return with_key(now, client, bytes, m, *user, std::string(a->owner), a->key, out);
  }
  if (is_banned(now, client)) return drop(Drop::banned);
  if (with_secret(now, client, bytes, m, *user, *algorithm, out)) return;
  with_row(now, client, bytes, m, *user, *algorithm, out);
}

/// False: these are no time-limited credentials of ours.
bool Server::Impl::with_secret(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                               std::string_view user, Algorithm algorithm, port::Outbox& out) {
  const auto timed = timed_name(user);
  if (!timed || config.secrets.empty()) return false;
  for (const std::string& secret : config.secrets) {
    std::string password = timed_password(secret, user);
    Key key = key_of_password(algorithm, user, config.realm, password);
    crypto::wipe(password);
    if (!fits(m, key)) continue;
    if (static_cast<int64_t>(std::min<uint64_t>(timed->expiry, INT64_MAX)) <= now.wall.unix_seconds())
      challenge(now, client, m, 401, out);
    else
      with_key(now, client, bytes, m, user, timed->name.empty() ? user : timed->name, key, out);
    return true;
  }
  return false;
}

void Server::Impl::with_row(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                            std::string_view user, Algorithm algorithm, port::Outbox& out) {
  if (!config.subscribers) return wrong_password(now, client, m, out);
  if (!lookups.take(now.mono, client.remote.ip)) return drop(Drop::lookups);
  SlotId id;
  Waiting* w = wait(now, Waiting::Phase::row, client, bytes, id);
  if (!w) return;
  const size_t at = user.rfind('@');
  w->with_domain = at != std::string_view::npos;
  w->key.algorithm = algorithm;
  port::AddressOfRecord aor{std::string(user.substr(0, at)), w->with_domain ? lower(user.substr(at + 1))
                                                             : config.domain.empty() ? config.realm
                                                                                     : config.domain};
  w->owner = aor.to_string();
  out.ask(port::AskSubscriber{std::move(aor)}, now.mono + config.ask_timeout,
          {port::Asker::Room::turn, id.packed()});
}

Waiting* Server::Impl::wait(Now now, Waiting::Phase phase, const port::RelayClient& client, Bytes bytes,
                            SlotId& id) {
  id = waiting.emplace();
  if (!id) {
    drop(Drop::waiting);
    return nullptr;
  }
  Waiting* w = waiting.find(id);
  w->phase = phase;
  w->client = client;
  w->request = Buffer::copy_of(bytes);
  w->until = now.mono + 2 * config.ask_timeout;
  if (next_sweep.is_never()) next_sweep = now.mono + sweep;
  return w;
}

void Server::Impl::row_answered(Now now, Waiting w, const port::Answer& answer, port::Outbox& out) {
  const auto m = stun::Message::parse(w.request.bytes());
  if (!m) return;
  if (gone.contains(w.client)) return drop(Drop::client_gone);
  // Many may have been asked at once; what is wrong with the first is the end of the others.
  if (is_banned(now, w.client)) return drop(Drop::banned);
  // A directory that is away: the client sends again, and another try may find it.
  if (std::holds_alternative<port::AskFailure>(answer)) return drop(Drop::waiting);
  const auto* row = std::get_if<port::SubscriberAnswer>(&answer);
  const bool usable = row && *row && (*row)->enabled;
  // Nobody's key is as long to check as anybody's: what takes time tells nobody who exists.
  std::optional<Key> key = usable ? key_of_row((*row)->ha1, w.key.algorithm, w.with_domain) : std::nullopt;
  const bool known = key.has_value();
  if (!key) key = nobody;
  const bool right = fits(*m, *key);
  if (!known || !right) return wrong_password(now, w.client, *m, out);
  with_key(now, w.client, w.request.bytes(), *m, *m->text(attribute::username), w.owner, *key, out);
}

void Server::Impl::with_key(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                            std::string_view user, std::string_view owner, Key key, port::Outbox& out) {
  if (!fits(m, key)) return wrong_password(now, client, m, out);
  perform(now, {client, m, bytes, user, owner, key}, out);
}

void Server::Impl::seat_answered(Now now, Waiting w, const port::Answer& answer, port::Outbox& out) {
  const auto m = stun::Message::parse(w.request.bytes());
  if (!m) return;
  const auto* seat = std::get_if<port::SeatAnswer>(&answer);
  if (gone.contains(w.client)) {
    if (seat && seat->verdict == port::SeatAnswer::Verdict::granted)
      out.seats.push_back({{port::SeatPool::Kind::relay, w.owner}, false, {w.seat}});
    return drop(Drop::client_gone);
  }
  // No answer is no refusal: the owner of the quota may be restarting, and calls matter more.
  const bool refused = seat && seat->verdict != port::SeatAnswer::Verdict::granted;
  perform(now,
          {w.client, *m, w.request.bytes(), *m->text(attribute::username), w.owner, w.key, w.seat, refused},
          out);
}

void Server::Impl::perform(Now now, const Request& r, port::Outbox& out) {
  const auto unknown = r.message.unknown_required(
      {attribute::username, attribute::realm, attribute::nonce, attribute::message_integrity,
       attribute::message_integrity_sha256, attribute::password_algorithm, attribute::channel_number,
       attribute::lifetime, attribute::xor_peer_address, attribute::requested_address_family,
       attribute::even_port, attribute::requested_transport, attribute::dont_fragment,
       attribute::reservation_token, attribute::connection_id});
  if (!unknown.empty()) {
    errors_[420]->add();
    stun::Writer w(stun::Class::error, r.message.method(), r.message.transaction());
    w.add_error(420, phrase_of(420)).add_unknown_attributes(unknown);
    seal(w, r.key, r.message.has_fingerprint());
    return send(r.client, w, out);
  }
  if (r.message.method() == method::allocate) return allocate(now, r, out);
  Allocation* a = spoken_of(r.client, r.message);
  // It may have come here while the sender was looked up: it is his who has its key, and nobody else's.
  if (a && (a->user != r.user || !(a->key == r.key))) return refuse(r, 441, out);
  if (r.message.method() == method::refresh) return refresh(now, r, a, out);
  if (!a) return refuse(r, r.message.method() == method::connection_bind ? 400 : 437, out);
  switch (r.message.method()) {
    case method::create_permission:
      return create_permission(now, r, *a, out);
    case method::channel_bind:
      return channel_bind(now, r, *a, out);
    case method::connect:
      return connect(now, r, *a, out);
    default:
      return connection_bind(now, r, *a, out);
  }
}

// ---- time ------------------------------------------------------------------------------------------------

void Server::Impl::timeout(Now now, port::Outbox& out) {
  TimerQueue<SlotId>::Due due{};
  while (timers.pop_due(now.mono, due)) {
    Allocation* a = allocations.find(due.key);
    if (!a || a->armed != due.deadline) continue;
    a->armed = Instant::never();
    expire_connections(now, *a, out);
    for (size_t f = 0; f < families; ++f)
      if (a->relays[f] && a->relays[f]->expires <= now.mono) close_relay(*a, f);
    if (!a->relays[0] && !a->relays[1]) {
      end(now, *a, "expired", out);
      continue;
    }
    std::erase_if(a->channels, [&](const Channel& c) { return c.expires <= now.mono; });
    std::erase_if(a->permissions, [&](const IpAddress& ip) {
      const auto& relay = a->relays[index_of(ip.family)];
      if (!relay) return true;
      const auto it = permissions.find({relay->port.id, ip});
      if (it == permissions.end() || it->second.allocation != a->id) return true;
      if (remembered_until(*a, ip, it->second) > now.mono) return false;
      permissions.erase(it);
      return true;
    });
    arm(*a);
  }
  if (next_sweep <= now.mono) {
    std::erase_if(reservations, [&](auto& r) {
      if (r.second.expires > now.mono) return false;
      world.close(r.second.port.id);
      return true;
    });
    waiting.for_each([&](SlotId id, const Waiting& w) {
      if (w.until <= now.mono) waiting.erase(id);
    });
    // Nothing waits longer than that.
    if (waiting.size() == 0) gone.clear();
    std::erase_if(gone, [&](const auto& g) { return g.second + 2 * config.ask_timeout <= now.mono; });
    next_sweep = reservations.empty() && waiting.size() == 0 ? Instant::never() : now.mono + sweep;
  }
  if (next_renewal <= now.mono) {
    renew_seats(now, out);
    next_renewal = allocations.size() == 0 ? Instant::never() : now.mono + seat_renewal;
  }
}

/// Seats are held as long as somebody says so (see SeatDirectory).
void Server::Impl::renew_seats(Now, port::Outbox& out) {
  std::unordered_map<std::string_view, std::vector<uint64_t>> by_owner;
  allocations.for_each([&](SlotId, const Allocation& a) {
    if (a.seat != 0) by_owner[a.owner].push_back(a.seat);
  });
  for (auto& [owner, seats] : by_owner)
    out.seats.push_back({{port::SeatPool::Kind::relay, std::string(owner)}, true, std::move(seats)});
}

// ---- the contract ----------------------------------------------------------------------------------------

Server::Server(const Config& config, port::RelayPorts& ports, Rng& rng, CounterSet& counters)
    : impl_(std::make_unique<Impl>(config, ports, rng, counters)) {}
Server::~Server() = default;

void Server::on_packets(Now now, std::span<port::RelayPacket> packets, port::Outbox& out) {
  for (port::RelayPacket& p : packets) {
    if (p.port)
      impl_->from_peer(now, p, out);
    else
      impl_->from_client(now, p, out);
  }
}

void Server::on_event(Now now, const port::RelayEvent& e, port::Outbox& out) {
  using Kind = port::RelayEvent::Kind;
  switch (e.kind) {
    case Kind::client_closed:
      return impl_->client_closed(now, e.client, out);
    case Kind::connected:
      return impl_->connected(now, e, true, out);
    case Kind::connect_failed:
      return impl_->connected(now, e, false, out);
    case Kind::accepted:
      return impl_->accepted(now, e, out);
    case Kind::closed:
      return impl_->connection_closed(e.connection);
  }
}

void Server::on_answer(Now now, uint64_t object, const port::Answer& answer, port::Outbox& out) {
  const SlotId id = SlotId::unpack(object);
  Waiting* found = impl_->waiting.find(id);
  if (!found) return;
  Waiting w = std::move(*found);
  impl_->waiting.erase(id);
  if (w.phase == Waiting::Phase::row)
    impl_->row_answered(now, std::move(w), answer, out);
  else
    impl_->seat_answered(now, std::move(w), answer, out);
}

void Server::on_move(Now now, port::RelayMove move, port::Outbox& out) {
  if (move.answer)
    impl_->move_in(now, move, out);
  else
    impl_->move_out(now, move, out);
}

void Server::set_machine(std::vector<IpAddress> addresses) {
  impl_->policy.set_machine(std::move(addresses));
}

void Server::on_timeout(Now now, port::Outbox& out) { impl_->timeout(now, out); }

std::vector<SocketAddress> Server::take_failures() { return std::exchange(impl_->failures, {}); }

Instant Server::next_timeout() const {
  return std::min({impl_->timers.next(), impl_->next_sweep, impl_->next_renewal});
}

size_t Server::size() const { return impl_->allocations.size(); }
size_t Server::waiting() const { return impl_->waiting.size(); }
size_t Server::ports() const { return impl_->port_states.size() + impl_->reservations.size(); }

std::vector<AllocationInfo> Server::list(Now now, size_t limit) const {
  std::vector<AllocationInfo> all;
  impl_->allocations.for_each([&](SlotId, const Allocation& a) {
    if (all.size() >= limit) return;
    AllocationInfo info;
    info.user = a.user;
    info.client = a.away ? std::string() : a.client.remote.to_string();
    info.transport = std::string(port::to_text(a.client.transport));
    for (const auto& relay : a.relays) {
      if (!relay) continue;
      info.relays.push_back(relay->told().to_string());
      info.expires_in = std::max<int64_t>(
          info.expires_in, std::chrono::duration_cast<seconds>(relay->expires - now.mono).count());
    }
    info.tcp = a.tcp;
    info.mobile = !a.ticket.empty();
    info.since = a.since;
    info.permissions = a.permissions.size();
    info.channels = a.channels.size();
    info.packets_up = a.packets_up;
    info.packets_down = a.packets_down;
    info.octets_up = a.octets_up;
    info.octets_down = a.octets_down;
    all.push_back(std::move(info));
  });
  return all;
}

}  // namespace tandem::turn
