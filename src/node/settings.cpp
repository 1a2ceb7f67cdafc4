#include "node/settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "media/engine.h"
#include "port/directory.h"

namespace tandem::node {
namespace {

port::Transport transport_from(std::string_view name) {
  if (name == "tcp") return port::Transport::tcp;
  if (name == "tls") return port::Transport::tls;
  return port::Transport::udp;
}

media::Dtmf dtmf_policy(std::string_view name) {
  if (name == "rfc4733") return media::Dtmf::rfc4733;
  if (name == "info") return media::Dtmf::info;
  return name == "inband" ? media::Dtmf::inband : media::Dtmf::automatic;
}

media::Srtp srtp_policy(std::string_view name) {
  if (name == "refused") return media::Srtp::refused;
  if (name == "accepted") return media::Srtp::accepted;
  if (name == "offered") return media::Srtp::offered;
  if (name == "required") return media::Srtp::required;
  return media::Srtp::passed;
}

/// The configured media address, else that of the first listener of the family.
IpAddress media_address(const RealmSettings& realm, IpAddress configured, IpAddress::Family family) {
  if (configured) return configured;
  for (const ListenerSettings& l : realm.listeners)
    if (l.bind.ip.family == family) return l.bind.ip;
  return {};
}

edge::Realm to_edge(const RealmSettings& from) {
  edge::Realm realm;
  realm.name = from.name;
  realm.advertised_host = from.advertise;
  for (const ListenerSettings& l : from.listeners)
    realm.listeners.push_back({transport_from(l.transport), l.bind, "", 0});
  const auto advertised = IpAddress::parse(from.advertise);
  edge::MediaRange& m = realm.media;
  m.v4 = media_address(from, from.media_v4, IpAddress::Family::v4);
  m.v6 = media_address(from, from.media_v6, IpAddress::Family::v6);
  m.advertised_v4 = from.media_advertise_v4             ? from.media_advertise_v4
                    : advertised && advertised->is_v4() ? *advertised
                                                        : IpAddress{};
  m.advertised_v6 = from.media_advertise_v6             ? from.media_advertise_v6
                    : advertised && advertised->is_v6() ? *advertised
                                                        : IpAddress{};
  m.first_port = from.first_port;
  m.last_port = from.last_port;
  return realm;
}

/// Where phones in browsers come in: the web listener, under the realm's name for it.
edge::Listener websocket_listener(const NodeConfig& config, const RealmSettings& realm) {
  edge::Listener out{port::Transport::wss, config.web.bind, "", 0};
  if (config.web.bind.ip.is_unspecified() && realm.advertise.empty())
    for (const ListenerSettings& l : realm.listeners)
      if (!l.bind.ip.is_unspecified() && out.advertised_host.empty())
        out.advertised_host = l.bind.ip.to_string();
  return out;
}

std::vector<auth::Algorithm> algorithms(const std::vector<std::string>& names) {
  std::vector<auth::Algorithm> out;
  for (const std::string& name : names) {
    if (name == "SHA-512-256") out.push_back(auth::Algorithm::sha512_256);
    if (name == "SHA-256") out.push_back(auth::Algorithm::sha256);
    if (name == "MD5") out.push_back(auth::Algorithm::md5);
  }
  return out;
}

}  // namespace

port::RealmId websocket_realm(const NodeConfig& config) {
  for (size_t i = 0; i < config.realms.size(); ++i)
    if (config.realms[i].name == config.web.websocket.realm) return static_cast<port::RealmId>(i);
  return 0;
}

Result<std::shared_ptr<const edge::RealmTable>, std::string> make_realms(const NodeConfig& config) {
  std::vector<edge::Realm> realms;
  for (const RealmSettings& r : config.realms) {
    edge::Realm realm = to_edge(r);
    const edge::MediaRange& m = realm.media;
    if ((m.v4.is_unspecified() && !m.advertised_v4) || (m.v6.is_unspecified() && !m.advertised_v6))
      return Failure{
          fmt::format("realm '{}' listens on every address: say in 'advertise' (or media.advertise_v4, "
                      "media.advertise_v6) "
                      "which one peers shall send media to",
                      r.name)};
    if (realms.size() == websocket_realm(config) && config.web.bind.port != 0)
      realm.listeners.push_back(websocket_listener(config, r));
    realms.push_back(std::move(realm));
  }
  return edge::RealmTable::build(std::move(realms));
}

IpAddress relay_address(const TurnSettings& turn, IpAddress::Family family) {
  const IpAddress& configured = family == IpAddress::Family::v6 ? turn.relay_v6 : turn.relay_v4;
  if (configured) return configured;
  for (const TurnListenerSettings& l : turn.listeners)
    if (l.bind.ip.family == family) return l.bind.ip;
  return {};
}

std::string own_turn_secret(const NodeKeys& keys) {
  return crypto::base64url(
      crypto::hmac(crypto::Hash::sha256,
                   {reinterpret_cast<const char*>(keys.tokens.data()), keys.tokens.size()},
                   "turn credentials")
          .view());
}

namespace {

turn::Config turn_config(const NodeConfig& config, const NodeKeys& keys, uint16_t index, uint16_t workers) {
  const TurnSettings& t = config.turn;
  turn::Config c;
  c.enabled = !t.listeners.empty();
  c.realm = t.realm;
  c.domain = t.domain;
  c.subscribers = t.subscribers;
  for (const TurnSecretSettings& s : t.secrets) c.secrets.push_back(s.secret);
  c.secrets.push_back(own_turn_secret(keys));
  c.software = config.sip.user_agent;
  c.nonce_key = keys.nonces;
  c.nonce_lifetime = t.nonce_lifetime;
  c.max_lifetime = t.max_lifetime;
  c.mobility = t.mobility;
  c.tcp_relay = t.tcp_relay;
  c.allocations = t.allocations;
  c.allocations_per_user = static_cast<uint32_t>(t.allocations_per_user);
  c.permissions = t.permissions;
  c.channels = t.channels;
  c.tenants = static_cast<uint32_t>(t.tenants);
  c.challenges_per_second = static_cast<uint32_t>(t.challenges_per_second);
  c.lookups_per_second = static_cast<uint32_t>(t.lookups_per_second);
  c.allocations_per_second = static_cast<uint32_t>(t.allocations_per_second);
  c.bytes_per_second = t.bytes_per_second;
  // Of the worker's part at least one octet: 0 would be no limit.
  if (t.total_bytes_per_second > 0)
    c.total_bytes_per_second = std::max<uint64_t>(t.total_bytes_per_second / workers, 1);
  for (const auto& [from, to] : {std::pair{&t.allow_peers, &c.policy.allow}, {&t.deny_peers, &c.policy.deny}})
    for (const std::string& text : *from)
      if (const auto prefix = IpPrefix::parse(text)) to->push_back(*prefix);
  for (const TurnListenerSettings& l : t.listeners) c.policy.own.push_back(l.bind.ip);
  for (const RealmSettings& r : config.realms)
    for (const ListenerSettings& l : r.listeners) c.policy.own.push_back(l.bind.ip);
  for (const RealmSettings& r : config.realms)
    for (const IpAddress& ip : {r.media_v4, r.media_v6, r.media_advertise_v4, r.media_advertise_v6})
      for (uint16_t w = 0; ip && r.webrtc_port != 0 && w < workers; ++w)
        c.policy.media.push_back({ip, static_cast<uint16_t>(r.webrtc_port + w)});
  c.policy.own.push_back(config.web.bind.ip);
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6})
    if (const IpAddress ip = relay_address(t, family)) {
      const IpAddress& told = ip.is_v6() ? t.advertise_v6 : t.advertise_v4;
      for (const IpAddress& ours : {ip, told ? told : ip}) {
        c.policy.own.push_back(ours);
        c.policy.relays.push_back(ours);
      }
    }
  c.policy.first_port = t.first_port;
  c.policy.last_port = t.last_port;
  c.worker = index;
  c.workers = workers;
  return c;
}

}  // namespace

auth::TokenConfig token_config(const TokenSettings& s, std::vector<auth::TokenKey> keys) {
  return {std::move(keys), s.issuer, s.audience, s.skew, s.server};
}

auth::TicketKey ticket_key(const NodeKeys& keys) { return auth::make_ticket_key(keys.nonces); }

WorkerSettings make_settings(const NodeConfig& config, const NodeKeys& keys, uint64_t epoch, uint16_t index,
                             uint16_t workers, std::shared_ptr<const edge::RealmTable> realms) {
  WorkerSettings s;
  s.node = config.node;
  s.epoch = epoch;
  s.index = index;
  s.workers = workers;
  s.keys = keys;
  s.realms = std::move(realms);

  s.timers = config.sip.timers;
  s.transactions = {config.limits.transactions, config.limits.transactions};
  s.transaction_policy.tcp_for_large = config.sip.tcp_for_large;
  s.transaction_policy.trying_at_once = false;  // the worker sends it to whom it does not challenge
  s.auth.algorithms = algorithms(config.sip.digest);
  s.auth.nonce_lifetime = config.sip.nonce_lifetime;
  s.auth.key = keys.nonces;
  s.auth.scope = index;
  s.bearer = token_config(config.sip.tokens, keys.bearer);
  s.tickets = ticket_key(keys);

  s.gate.hash_key =
      mix64(epoch ^ hash64({reinterpret_cast<const char*>(keys.tokens.data()), keys.tokens.size()}));
  s.turn = turn_config(config, keys, index, workers);
  s.turn.hash_key = s.gate.hash_key;
  s.gate.requests_per_second = static_cast<double>(config.limits.requests_per_second);
  s.gate.auth_failures = static_cast<uint32_t>(config.limits.auth_failures);
  s.gate.ban = config.limits.ban;
  s.gate.max_calls = config.limits.calls;

  s.registrar.min_expires = config.sip.min_expires;
  s.registrar.default_expires = config.sip.default_expires;
  s.registrar.max_expires = config.sip.max_expires;
  s.registrar.aors = config.limits.registrations;
  s.registrar.contacts_per_aor = static_cast<uint32_t>(config.limits.contacts_per_subscriber);
  s.registrar.gruu_key = keys.gruus;
  s.registrar.boot = {config.node, static_cast<uint16_t>(epoch)};
  s.registrar.worker = index;
  s.registrar.workers = workers;

  s.calls.node = config.node;
  s.calls.worker = index;
  s.calls.workers = workers;
  s.calls.epoch = static_cast<uint16_t>(epoch);
  s.calls.contact_key = keys.gruus;  // a hash of another kind of text: neither can stand for the other
  s.calls.user_agent = config.sip.user_agent;
  s.calls.timers = config.sip.timers;
  s.calls.max_calls = config.limits.calls;
  s.calls.media_timeout = config.media.timeout;
  s.calls.symmetric_media = config.media.symmetric;
  s.calls.bypass_media = config.media.bypass;
  s.calls.codecs = config.media.codecs;
  s.calls.hold_music = config.sounds.hold_music;
  s.calls.recording =
      port::from_text<port::RecordPolicy>(config.recordings.policy).value_or(port::RecordPolicy::on_demand);
  s.calls.recording_format =
      port::from_text<port::RecordingFormat>(config.recordings.format).value_or(port::RecordingFormat::wav);
  s.calls.srtp = srtp_policy(config.media.srtp);
  s.calls.srtp_keying =
      config.media.srtp_keying == "dtls" ? media::SrtpKeying::dtls : media::SrtpKeying::sdes;
  s.calls.dtmf = dtmf_policy(config.media.dtmf);
  s.calls.ice = config.media.ice == "offered"    ? media::Ice::offered
                : config.media.ice == "accepted" ? media::Ice::accepted
                                                 : media::Ice::removed;
  s.calls.ice_lite = config.media.ice_lite;
  for (const std::string& server : config.media.stun_servers)
    if (const auto at = SocketAddress::parse(server)) s.media.stun_servers.push_back(*at);
  s.calls.session_expires = config.sip.session_expires;
  s.calls.min_se = config.sip.min_se;
  s.held_send_patience = config.store.held_send_patience;
  s.channels.idle = config.channels.idle;
  s.channels.longest = config.channels.longest;
  s.channels.grace = config.channels.grace;
  return s;
}

}  // namespace tandem::node
