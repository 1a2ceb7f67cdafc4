#include "node/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "media/codecs.h"
#include "port/directory.h"
#include "port/sound.h"

namespace tandem::node {
namespace {

void describe_listener(ListenerSettings& l, Schema& s) {
  s.choice("transport", l.transport, {"udp", "tcp", "tls"}, "transport protocol");
  s.address("bind", l.bind, "where to listen");
  s.items<CertificateSettings>("certificates", l.certificates,
                               "tls: chosen by the server name the client asks for, the first when none "
                               "fits; none: the web certificate",
                               [](CertificateSettings& c, Schema& in) {
                                 in.text("chain", c.chain, "PEM chain, leaf first");
                                 in.text("key", c.key, "PEM key of the certificate");
                               });
  s.flag("request_client_certificate", l.request_client_certificate, "ask clients for a certificate");
  s.text("client_ca", l.client_ca, "PEM authorities that may sign client certificates");
}

void describe_realm(RealmSettings& r, Schema& s) {
  s.text("name", r.name, "name of the realm, unique");
  s.items<ListenerSettings>("listeners", r.listeners, "where SIP is listened for", describe_listener);
  s.text("advertise", r.advertise,
         "host name or address peers reach us by (Via, Contact, SDP); empty: the bound address");
  s.section("tls", "servers this realm connects to over TLS", [&](Schema& t) {
    t.text("ca", r.tls_ca, "PEM authorities that vouch for them; empty: the system's trust store");
    t.flag("verify", r.tls_verify,
           "their certificates must carry the name or address asked for; false: anybody may pose as them");
  });
  s.section("media", "RTP and RTCP", [&](Schema& m) {
    m.ip("bind_v4", r.media_v4, "IPv4 address media is bound to; empty: that of the first IPv4 listener");
    m.ip("bind_v6", r.media_v6, "IPv6 address media is bound to; empty: that of the first IPv6 listener");
    m.ip("advertise_v4", r.media_advertise_v4, "IPv4 address put into SDP; empty: the bound one");
    m.ip("advertise_v6", r.media_advertise_v6, "IPv6 address put into SDP; empty: the bound one");
    m.port_range("ports", r.first_port, r.last_port, "ports of this realm, RTP on even and RTCP on odd ones");
    m.number(
        "webrtc_port", r.webrtc_port, 0, 65535,
        "UDP and TCP port that all legs with ICE and rtcp-mux share, of the first worker; each other has the "
        "next one; 0: such legs have ports of their own");
  });
}

void describe_tokens(TokenSettings& c, Schema& s) {
  s.items<TokenKeySettings>(
      "keys", c.keys, "whose signatures count, several while one replaces another; none: no tokens are taken",
      [](TokenKeySettings& k, Schema& in) {
        in.text("id", k.id, "kid of the tokens it is for; empty: of those that name none");
        in.choice("algorithm", k.algorithm, {"HS256", "RS256", "ES256"}, "the only one it is used with");
        in.text("file", k.file, "HS256: the secret, 32 octets or more; else a PEM public key or certificate");
      });
  s.text("issuer", c.issuer, "iss a token must have; empty: any");
  s.text("audience", c.audience, "aud a token must name; empty: tokens that name somebody are refused");
  s.text("server", c.server, "where phones get a token, told in challenges (authz_server); empty: not told");
  s.duration("skew", c.skew, Duration(0), minutes(5), "between the issuer's clock and ours");
}

void check_tokens(const TokenSettings& c, std::vector<Problem>& problems) {
  std::set<std::string> ids;
  for (size_t i = 0; i < c.keys.size(); ++i) {
    if (!ids.insert(c.keys[i].id).second)
      problems.push_back({fmt::format("sip.tokens.keys[{}].id", i),
                          fmt::format("two keys have the id '{}'", c.keys[i].id), ""});
    if (c.keys[i].file.empty())
      problems.push_back({fmt::format("sip.tokens.keys[{}].file", i), "a key needs its file", ""});
  }
}

void describe_sip(SipSettings& c, Schema& s) {
  s.duration("t1", c.timers.t1, milliseconds(50), seconds(5), "RFC 3261 T1, round-trip estimate");
  s.duration("t2", c.timers.t2, milliseconds(500), seconds(30),
             "RFC 3261 T2, longest retransmission interval");
  s.duration("t4", c.timers.t4, milliseconds(500), seconds(30),
             "RFC 3261 T4, longest life of a message in the network");
  s.integer("session_expires", c.session_expires, 0, 86400,
            "RFC 4028 session interval in seconds; 0: not asked for");
  s.integer("min_se", c.min_se, 90, 86400, "RFC 4028 least session interval in seconds");
  s.texts("digest", c.digest, "digest algorithms offered, strongest first: SHA-512-256, SHA-256, MD5");
  s.duration("nonce_lifetime", c.nonce_lifetime, seconds(10), hours(24),
             "how long a digest nonce may be used");
  s.flag("tcp_for_large", c.tcp_for_large, "send requests over 1300 bytes by TCP (RFC 3261 section 18.1.1)");
  s.text("user_agent", c.user_agent, "User-Agent and Server header");
  s.integer("min_expires", c.min_expires, 1, 86400, "shortest registration in seconds (423 below)");
  s.integer("default_expires", c.default_expires, 1, 86400,
            "registration when the phone names no time, in seconds");
  s.integer("max_expires", c.max_expires, 1, 604800, "longest registration in seconds");
  s.section("tokens", "signed tokens (JWT) phones may show instead of a password (RFC 8898)",
            [&](Schema& in) { describe_tokens(c.tokens, in); });
}

void describe_limits(LimitSettings& l, Schema& s) {
  s.number("calls", l.calls, 1, 1'000'000, "calls per worker; past it 503 with Retry-After");
  s.number("transactions", l.transactions, 1000, 10'000'000, "transactions per worker and side; past it 503");
  s.number("contacts_per_subscriber", l.contacts_per_subscriber, 1, 100, "contacts of one address-of-record");
  s.number("registrations", l.registrations, 1, 10'000'000, "contacts per worker");
  s.number("connections", l.connections, 1, 1'000'000, "TCP and TLS connections per worker");
  s.number("requests_per_second", l.requests_per_second, 0, 1'000'000, "per source address; 0: no limit");
  s.number("auth_failures", l.auth_failures, 0, 10'000, "per source and minute, then it is banned; 0: never");
  s.duration("ban", l.ban, seconds(1), hours(720), "how long a banned source is ignored");
}

void describe_websocket(WebSocketSettings& c, Schema& s) {
  s.text("realm", c.realm, "the realm of these phones; empty: the first");
  s.texts(
      "origins", c.origins,
      "web pages that may connect, such as https://phone.example.com; *: any; empty: those that come from "
      "the host they connect to");
  s.flag("require_origin", c.require_origin, "refuse programs that are no browsers and send no Origin");
  s.number("message_bytes", c.message_bytes, 1024, 1 << 20, "longest message");
  s.number("messages_per_second", c.messages_per_second, 1, 100'000,
           "of one connection, twice as many at once");
  s.duration("ping", c.ping, seconds(1), minutes(10),
             "silence after which a phone is asked whether it is there; it has 15 s to answer");
}

void describe_channels(ChannelSettings& c, Schema& s) {
  s.flag("enabled", c.enabled, "serve them; who may use them are access keys, made through REST");
  s.text("region", c.region, "what clients are configured with; part of their signatures");
  s.text("endpoint", c.endpoint,
         "host:port that clients are sent to, such as that of a proxy before the node; empty: the one they "
         "asked");
  s.duration("idle", c.idle, seconds(1), hours(24), "a connection without a message or a ping ends");
  s.duration("longest", c.longest, seconds(2), hours(24), "a connection ends, and its client comes anew");
  s.duration("grace", c.grace, seconds(1), hours(1), "how long before that it is told to go away");
}

/// Scheme and host, as a browser writes an Origin (RFC 6454 section 6.2).
bool is_origin(std::string_view text) {
  const size_t scheme = istarts_with(text, "https://") ? 8 : istarts_with(text, "http://") ? 7 : 0;
  return scheme != 0 && text.size() > scheme &&
         text.find_first_of("/?#@ *", scheme) == std::string_view::npos;
}

void check_channels(const ChannelSettings& c, std::vector<Problem>& problems) {
  const auto plain = [](std::string_view text) {
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
  };
  if (c.region.empty() || !plain(c.region))
    problems.push_back(
        {"channels.region", fmt::format("'{}' is no region, such as us-east-1", c.region), ""});
  if (c.endpoint.find_first_of("/?#@ \"\\") != std::string::npos)
    problems.push_back({"channels.endpoint",
                        fmt::format("'{}' is no host, such as video.example.com:8443", c.endpoint), ""});
  if (c.grace >= c.longest)
    problems.push_back({"channels.grace", "expected less than channels.longest", "channels.longest"});
}

void check_websocket(const NodeConfig& c, std::vector<Problem>& problems) {
  const WebSocketSettings& w = c.web.websocket;
  for (size_t i = 0; i < w.origins.size(); ++i)
    if (w.origins[i] != "*" && !is_origin(w.origins[i]))
      problems.push_back({fmt::format("web.websocket.origins[{}]", i),
                          fmt::format("'{}' is no origin, expected scheme and host such as "
                                      "https://phone.example.com, or *",
                                      w.origins[i]),
                          ""});
  if (!w.realm.empty() &&
      std::none_of(c.realms.begin(), c.realms.end(), [&](const auto& r) { return r.name == w.realm; }))
    problems.push_back({"web.websocket.realm", fmt::format("there is no realm '{}'", w.realm), "realms"});
}

void describe_turn(TurnSettings& t, Schema& s) {
  s.items<TurnListenerSettings>(
      "listeners", t.listeners, "where clients are listened for; none: off",
      [](TurnListenerSettings& l, Schema& in) {
        in.choice("transport", l.transport, {"udp", "tcp", "tls", "dtls"}, "between client and server");
        in.address("bind", l.bind, "where to listen, one address");
        in.text("chain", l.chain, "tls, dtls: PEM chain, leaf first; empty: the web certificate");
        in.text("key", l.key, "PEM key of the certificate");
      });
  s.text("realm", t.realm, "digest realm of the challenge: that of the subscribers, when they may use it");
  s.flag("subscribers", t.subscribers, "subscribers may use it with their SIP user and password");
  s.text("domain", t.domain, "domain of subscribers whose username names none; empty: the realm");
  s.items<TurnSecretSettings>(
      "secrets", t.secrets,
      "secrets of time-limited credentials, shared with applications that make them: all are "
      "accepted, the first signs what this node hands out; none: the node's own",
      [](TurnSecretSettings& c, Schema& in) { in.secret("secret", c.secret, "at least 16 characters"); });
  s.duration("credentials_ttl", t.credentials_ttl, minutes(1), hours(24 * 30),
             "how long handed out credentials are good for");
  s.text("host", t.host, "name or address in the URIs that are handed out; empty: the listener's address");
  s.section("relay", "addresses and ports towards peers", [&](Schema& r) {
    r.ip("bind_v4", t.relay_v4, "IPv4 address; empty: that of the first IPv4 listener");
    r.ip("bind_v6", t.relay_v6, "IPv6 address; empty: that of the first IPv6 listener");
    r.ip("advertise_v4", t.advertise_v4, "IPv4 address clients are told; empty: the bound one");
    r.ip("advertise_v6", t.advertise_v6, "IPv6 address clients are told; empty: the bound one");
    r.port_range("ports", t.first_port, t.last_port, "relay ports");
    r.flag("tcp", t.tcp_relay, "TCP allocations (RFC 6062)");
    r.flag("mobility", t.mobility, "allocations may follow their client to another address (RFC 8016)");
  });
  s.section("peers", "whom clients may reach; the open internet by default", [&](Schema& p) {
    p.texts(
        "allow", t.allow_peers,
        "address blocks opened although they are loopback, private or otherwise denied, such as 10.1.0.0/16");
    p.texts("deny", t.deny_peers, "address blocks denied whatever else is said");
  });
  s.section("limits", "past each of these TURN refuses or drops, and counts it", [&](Schema& l) {
    l.duration("max_lifetime", t.max_lifetime, minutes(10), hours(24),
               "longest lifetime of an allocation at a time");
    l.duration("nonce_lifetime", t.nonce_lifetime, minutes(1), hours(24),
               "how long a nonce may be used (438 after)");
    l.number("allocations", t.allocations, 1, 10'000'000, "allocations per worker (508)");
    l.number("allocations_per_user", t.allocations_per_user, 0, 1'000'000, "of one user (486); 0: no limit");
    l.number("permissions", t.permissions, 1, 1024, "peers of one allocation (508)");
    l.number("channels", t.channels, 1, 1024, "channels of one allocation (508)");
    l.number("tenants", t.tenants, 1, 4096,
             "allocations that share a relay port once all ports are taken (508)");
    l.number("challenges_per_second", t.challenges_per_second, 0, 1'000'000,
             "unsigned refusals to one source address; 0: no limit");
    l.number("lookups_per_second", t.lookups_per_second, 0, 1'000'000,
             "subscribers looked up for one source address; 0: no limit");
    l.number("allocations_per_second", t.allocations_per_second, 0, 1'000'000,
             "from one source address (486); 0: no limit");
    l.number("bytes_per_second", t.bytes_per_second, 0, UINT64_MAX,
             "of one allocation, each direction; 0: no limit");
    l.number("total_bytes_per_second", t.total_bytes_per_second, 0, UINT64_MAX,
             "of all allocations, each direction; 0: no limit");
    l.number("connections", t.connections, 1, 1'000'000,
             "TCP and TLS connections and DTLS associations, and TCP connections with peers, per worker");
  });
}

/// Unspecified, too: every address of this host. Not multicast, not the whole of 240.0.0.0/4.
bool can_be_one_hosts(const IpAddress& ip) { return ip.is_v4() ? ip.bytes[0] < 224 : ip.bytes[0] != 0xff; }

/// An address media is bound to, or put into SDP: a unicast one of its family.
void check_media_address(const IpAddress& ip, IpAddress::Family family, const std::string& path,
                         std::vector<Problem>& problems) {
  if (!ip) return;
  const bool v4 = family == IpAddress::Family::v4;
  if (ip.family != family)
    problems.push_back({path, fmt::format("'{}' is no IPv{} address", ip.to_string(), v4 ? '4' : '6'), ""});
  else if (!can_be_one_hosts(ip))
    problems.push_back({path,
                        fmt::format("'{}' is the address of no single host, expected one media is sent from "
                                    "and to",
                                    ip.to_string()),
                        ""});
}

void check_turn(const TurnSettings& t, std::vector<Problem>& problems) {
  std::set<std::string> bound;
  for (size_t i = 0; i < t.listeners.size(); ++i) {
    const TurnListenerSettings& l = t.listeners[i];
    const std::string path = fmt::format("turn.listeners[{}]", i);
    if (!l.bind || l.bind.ip.is_unspecified())
      problems.push_back({path + ".bind",
                          "a TURN listener needs one address: a client is known by it (RFC 8656 section 2.2)",
                          ""});
    const bool datagrams = l.transport == "udp" || l.transport == "dtls";
    if (l.bind.port != 0 && !bound.insert((datagrams ? "udp " : "tcp ") + l.bind.to_string()).second)
      problems.push_back(
          {path + ".bind", fmt::format("{} stands twice", l.bind.to_string()), path + ".transport"});
    if (l.chain.empty() != l.key.empty())
      problems.push_back({path + (l.key.empty() ? ".chain" : ".key"), "chain and key go together",
                          path + (l.key.empty() ? ".key" : ".chain")});
  }
  if (t.listeners.empty()) return;
  if (t.realm.empty())
    problems.push_back({"turn.realm", "a TURN server needs the realm of its challenge", ""});
  for (size_t i = 0; i < t.secrets.size(); ++i)
    if (t.secrets[i].secret.size() < 16)
      problems.push_back({fmt::format("turn.secrets[{}].secret", i), "it is shorter than 16 characters", ""});
  for (const auto& [list, name] : {std::pair{&t.allow_peers, "allow"}, std::pair{&t.deny_peers, "deny"}})
    for (size_t i = 0; i < list->size(); ++i)
      if (!IpPrefix::parse((*list)[i]))
        problems.push_back({fmt::format("turn.peers.{}[{}]", name, i),
                            fmt::format("'{}' is no address block, such as 10.1.0.0/16", (*list)[i]), ""});
  using Family = IpAddress::Family;
  check_media_address(t.relay_v4, Family::v4, "turn.relay.bind_v4", problems);
  check_media_address(t.relay_v6, Family::v6, "turn.relay.bind_v6", problems);
  check_media_address(t.advertise_v4, Family::v4, "turn.relay.advertise_v4", problems);
  check_media_address(t.advertise_v6, Family::v6, "turn.relay.advertise_v6", problems);
  for (const auto& [ip, key] :
       {std::pair{t.relay_v4, "bind_v4"}, std::pair{t.relay_v6, "bind_v6"},
        std::pair{t.advertise_v4, "advertise_v4"}, std::pair{t.advertise_v6, "advertise_v6"}})
    if (ip.is_unspecified())
      problems.push_back({fmt::format("turn.relay.{}", key), "expected one address: peers send to it", ""});
}

void check_listener(const RealmSettings& realm, const ListenerSettings& l, const std::string& path,
                    std::map<std::string, std::string>& bound, std::vector<Problem>& problems) {
  if (!l.bind) {
    problems.push_back({path + ".bind",
                        fmt::format("realm '{}': a {} listener has no bind address", realm.name, l.transport),
                        ""});
    return;
  }
  const std::string family = l.transport == "udp" ? "udp " : "tcp ";
  const auto [other, fresh] = bound.emplace(family + l.bind.to_string(), realm.name);
  if (!fresh && l.bind.port != 0)
    problems.push_back({path + ".bind",
                        fmt::format("realm '{}': {}{} is already listened on by realm '{}'", realm.name,
                                    family, l.bind.to_string(), other->second),
                        path + ".transport"});
  for (size_t i = 0; i < l.certificates.size(); ++i)
    if (l.certificates[i].chain.empty() || l.certificates[i].key.empty())
      problems.push_back({fmt::format("{}.certificates[{}]", path, i),
                          fmt::format("realm '{}': certificates[{}] of {} needs a chain and a key",
                                      realm.name, i, l.bind.to_string()),
                          ""});
  if (!l.client_ca.empty() && !l.request_client_certificate)
    problems.push_back({path + ".client_ca",
                        fmt::format("realm '{}': client_ca of {} does nothing without "
                                    "request_client_certificate",
                                    realm.name, l.bind.to_string()),
                        path + ".request_client_certificate"});
}

void check_media(const RealmSettings& realm, const std::string& path, std::vector<Problem>& problems) {
  using Family = IpAddress::Family;
  check_media_address(realm.media_v4, Family::v4, path + ".bind_v4", problems);
  check_media_address(realm.media_v6, Family::v6, path + ".bind_v6", problems);
  check_media_address(realm.media_advertise_v4, Family::v4, path + ".advertise_v4", problems);
  check_media_address(realm.media_advertise_v6, Family::v6, path + ".advertise_v6", problems);
  for (const auto& [ip, key] : {std::pair{realm.media_advertise_v4, ".advertise_v4"},
                                std::pair{realm.media_advertise_v6, ".advertise_v6"}})
    if (ip.is_unspecified())
      problems.push_back(
          {path + key, fmt::format("'{}' tells peers nothing, expected one address", ip.to_string()), ""});
}

/// One port for each worker, apart from those of the range. How many workers there are may only show at
/// start: their ports are then checked by binding.
void check_webrtc_port(const RealmSettings& realm, uint16_t workers, const std::string& path,
                       std::vector<Problem>& problems) {
  if (realm.webrtc_port == 0) return;
  const uint64_t last = realm.webrtc_port + std::max<uint16_t>(workers, 1) - 1;
  if (last > 65535)
    problems.push_back({path + ".webrtc_port",
                        fmt::format("{} leaves no port for each of {} workers", realm.webrtc_port, workers),
                        "workers"});
  else if (last >= realm.first_port && realm.webrtc_port <= realm.last_port)
    problems.push_back({path + ".webrtc_port",
                        fmt::format("{} to {} lies within the ports of the realm, {}-{}", realm.webrtc_port,
                                    last, realm.first_port, realm.last_port),
                        path + ".ports"});
}

void check_realms(const std::vector<RealmSettings>& realms, uint16_t workers,
                  std::vector<Problem>& problems) {
  if (realms.empty()) problems.push_back({"realms", "at least one realm with a listener is needed", ""});
  std::set<std::string> names;
  std::map<std::string, std::string> bound;
  for (size_t r = 0; r < realms.size(); ++r) {
    const RealmSettings& realm = realms[r];
    const std::string path = fmt::format("realms[{}]", r);
    if (!names.insert(realm.name).second)
      problems.push_back({path + ".name", fmt::format("realm '{}' stands twice", realm.name), ""});
    if (realm.listeners.empty())
      problems.push_back({path + ".listeners",
                          fmt::format("realm '{}' has no listeners: nothing could reach it", realm.name),
                          ""});
    for (size_t l = 0; l < realm.listeners.size(); ++l)
      check_listener(realm, realm.listeners[l], fmt::format("{}.listeners[{}]", path, l), bound, problems);
    check_media(realm, path + ".media", problems);
    check_webrtc_port(realm, workers, path + ".media", problems);
  }
}

void check_codecs(const std::vector<std::string>& codecs, std::vector<Problem>& problems) {
  for (size_t i = 0; i < codecs.size(); ++i) {
    const auto format = media::format_of(codecs[i]);
    // G729 may be left out of a build and stays in the default
    if (format && (media::can_code(*format) || iequals(format->encoding, "G729"))) continue;
    problems.push_back({fmt::format("media.codecs[{}]", i),
                        fmt::format("'{}' is no codec of ours, expected PCMU, PCMA, G722, G729, opus or L16 "
                                    "with its rate, such as L16/16000",
                                    codecs[i]),
                        ""});
  }
}

void check_stun_servers(const std::vector<std::string>& servers, std::vector<Problem>& problems) {
  constexpr size_t most = 4;  // of each address family; ice::AgentState asks no more
  if (servers.size() > 2 * most)
    problems.push_back({"media.stun_servers", fmt::format("more than {} are never asked", 2 * most), ""});
  for (size_t i = 0; i < servers.size(); ++i)
    if (const auto at = SocketAddress::parse(servers[i]); !at || at->port == 0)
      problems.push_back(
          {fmt::format("media.stun_servers[{}]", i),
           fmt::format("'{}' is no address with a port, such as 192.0.2.3:3478 or [2001:db8::3]:3478",
                       servers[i]),
           ""});
}

void check_sounds(const SoundSettings& c, std::vector<Problem>& problems) {
  if (c.hold_music.empty()) return;
  if (!port::is_sound_name(c.hold_music))
    problems.push_back(
        {"sounds.hold_music",
         fmt::format("'{}' is no name of a file in sounds.folder, such as hold/harp.mp3", c.hold_music), ""});
  if (c.folder.empty())
    problems.push_back({"sounds.hold_music", "music needs the folder it lies in", "sounds.folder"});
}

void check_voicemail(const VoicemailSettings& c, std::vector<Problem>& problems) {
  if (c.mail_program.empty()) return;
  if (!c.mail_program.front().starts_with('/'))
    problems.push_back({"voicemail.mail_program[0]",
                        fmt::format("'{}' is no absolute path of a program", c.mail_program.front()), ""});
  if (!port::is_mail_address(c.mail_from))
    problems.push_back({"voicemail.mail_from",
                        "e-mails need the address they come from, such as voicemail@example.com",
                        "voicemail.mail_program"});
}

void check_webhooks(const WebhookSettings& c, std::vector<Problem>& problems) {
  for (size_t i = 0; i < c.allow.size(); ++i)
    if (!IpPrefix::parse(c.allow[i]))
      problems.push_back({fmt::format("webhooks.allow[{}]", i),
                          fmt::format("'{}' is no address or prefix, such as 10.1.0.0/16", c.allow[i]), ""});
  if (c.first_pause > c.longest_pause)
    problems.push_back(
        {"webhooks.first_pause", "it is longer than webhooks.longest_pause", "webhooks.longest_pause"});
}

void check_sip(const SipSettings& c, std::vector<Problem>& problems) {
  for (size_t i = 0; i < c.digest.size(); ++i)
    if (c.digest[i] != "SHA-512-256" && c.digest[i] != "SHA-256" && c.digest[i] != "MD5")
      problems.push_back({fmt::format("sip.digest[{}]", i),
                          fmt::format("'{}' is not one of SHA-512-256, SHA-256, MD5", c.digest[i]), ""});
  if (c.digest.empty()) problems.push_back({"sip.digest", "at least one algorithm is needed", ""});
  if (c.min_expires > c.max_expires)
    problems.push_back({"sip.min_expires", "it is greater than sip.max_expires", "sip.max_expires"});
  if (c.session_expires != 0 && c.session_expires < c.min_se)
    problems.push_back({"sip.session_expires", "it is less than sip.min_se", "sip.min_se"});
  if (c.timers.t2 < c.timers.t1) problems.push_back({"sip.t2", "it is less than sip.t1", "sip.t1"});
}

}  // namespace

void describe(NodeConfig& c, Schema& s) {
  s.integer("node", c.node, 1, 65535, "number of this node, unique in the cluster; part of every CDR's key");
  s.integer("workers", c.workers, 0, 256, "worker threads; 0: one per core");
  s.text("data", c.data, "directory of the database, the CDR spool and generated certificates");
  s.items<RealmSettings>("realms", c.realms, "networks this node stands in", describe_realm);
  s.section("sip", "SIP protocol settings", [&](Schema& in) { describe_sip(c.sip, in); });
  s.section("media", "media of all realms", [&](Schema& in) {
    in.duration("timeout", c.media.timeout, Duration(0), hours(24),
                "no RTP for so long ends the call; 0s: never");
    in.flag("symmetric", c.media.symmetric, "answer media where it comes from (phones behind NAT)");
    in.flag("bypass", c.media.bypass,
            "phones of one realm send media to each other, not through us: no NAT traversal, no hold or park "
            "music, no media time-out, no packets in records");
    in.choice(
        "srtp", c.media.srtp, {"passed", "refused", "accepted", "offered", "required"},
        "encryption of phones and trunks: passed through with the keys of its ends; refused; accepted, and "
        "offered as a choice to whom an encrypted caller calls; always offered as a choice; required");
    in.choice("srtp_keying", c.media.srtp_keying, {"sdes", "dtls"},
              "how the keys of what is offered are agreed on: a=crypto, or a DTLS handshake; what a phone or "
              "trunk offers is answered as it was offered");
    in.choice(
        "dtmf", c.media.dtmf, {"auto", "rfc4733", "info", "inband"},
        "how phones and trunks are sent key presses: telephone events where agreed on, else INFO to who "
        "sends INFO, else tones; telephone events or nothing; INFO; tones");
    in.choice(
        "ice", c.media.ice, {"removed", "accepted", "offered"},
        "ICE of phones and trunks: taken out of what they are told; answered when they offer it; offered "
        "to them, too");
    in.flag("ice_lite", c.media.ice_lite,
            "ICE makes no checks of its own (RFC 8445 section 2.5): only where every peer reaches our "
            "addresses as they are advertised");
    in.texts("stun_servers", c.media.stun_servers,
             "as address:port, asked by legs with ICE what their ports look like from outside (behind a NAT "
             "whose outer address is not known); empty: none");
    in.texts("codecs", c.media.codecs,
             "what phones and trunks are offered beside what the other side speaks, and what is decoded and "
             "encoded for them where two have nothing in common; empty: media only passes");
  });
  s.section("limits", "past each of these we refuse, and count it",
            [&](Schema& in) { describe_limits(c.limits, in); });
  s.section("store", "the embedded database", [&](Schema& in) {
    in.text("path", c.store.path, "SQLite file; empty: tandem.db in the data directory");
    in.duration("held_send_patience", c.store.held_send_patience, milliseconds(10), seconds(30),
                "how long a 200 to BYE waits for its CDR to be durable before it leaves all the same");
  });
  s.section("sounds", "what people hear", [&](Schema& in) {
    in.text("folder", c.sounds.folder,
            "prompts of yours, as LANGUAGE/NAME.wav, in place of the built ones, and music; empty: none");
    in.text("language", c.sounds.language, "what is spoken to whom no other language is set for: en, ko");
    in.duration("longest", c.sounds.longest, seconds(1), hours(2), "a longer file is not played");
    in.text(
        "hold_music", c.sounds.hold_music,
        "a file in the folder, such as hold/harp.mp3, over and over for who is on hold or parked; empty: a "
        "melody of ours");
  });
  s.section("recordings", "what is recorded", [&](Schema& in) {
    in.text("folder", c.recordings.folder,
            "where recordings of this node, and of no other, lie; empty: recordings in the data directory");
    in.duration("longest", c.recordings.longest, seconds(1), hours(24), "a recording is cut there");
    in.choice("policy", c.recordings.policy, {"never", "on_demand", "announced", "silent"},
              "calls of phones and trunks whose rows leave it open: never recorded; when somebody asks for "
              "it; all, and "
              "both parties are told; all, and nobody is told (where the law allows that)");
    in.choice("format", c.recordings.format, {"wav", "wav-mu-law", "opus"},
              "of calls: 16-bit WAV (256 kbit/s a side), G.711 in WAV, Opus in Matroska (32 kbit/s a side)");
    in.duration("max_age", c.recordings.max_age, Duration(0), hours(24 * 3660),
                "recordings of days that are over for so long are removed; 0s: never");
    in.number("max_bytes", c.recordings.max_bytes, 0, UINT64_MAX,
              "past it the oldest recordings are removed; 0: no limit");
  });
  s.section("voicemail", "voice messages", [&](Schema& in) {
    in.texts("mail_program", c.voicemail.mail_program,
             "a program and its arguments that takes an e-mail on its standard input, such as "
             "/usr/sbin/sendmail, -t and -i; empty: no e-mail is sent");
    in.text("mail_from", c.voicemail.mail_from, "the address e-mails about voice messages come from");
    in.duration("mail_timeout", c.voicemail.mail_timeout, seconds(1), minutes(10),
                "a program that takes longer is killed, and tried again later");
  });
  s.section("turn", "STUN and TURN server (docs/turn.md)", [&](Schema& in) { describe_turn(c.turn, in); });
  s.section("webhooks", "who is told over HTTP of what happens", [&](Schema& in) {
    in.texts(
        "allow", c.webhooks.allow,
        "addresses and prefixes that webhooks may reach although they are private or this host's own, such "
        "as 10.1.0.0/16; every other private, link-local and reserved address is refused");
    in.flag("plain_http", c.webhooks.plain_http,
            "http:// is taken for other hosts than this one, too: who is between reads everything");
    in.text("ca", c.webhooks.ca, "PEM file of the authorities endpoints are trusted by; empty: the system's");
    in.duration("timeout", c.webhooks.timeout, seconds(1), minutes(2), "an answer that takes longer is none");
    in.number("attempts", c.webhooks.attempts, 1, 100, "then an event is given up for an endpoint");
    in.duration("first_pause", c.webhooks.first_pause, milliseconds(100), hours(1),
                "after the first failure; four times as long after each more, a fifth more or less");
    in.duration("longest_pause", c.webhooks.longest_pause, milliseconds(100), hours(24), "and never longer");
    in.number("queue", c.webhooks.queue, 1, 1'000'000,
              "events that may wait for one endpoint; past it they are dropped, and counted");
    in.number("given_up", c.webhooks.given_up, 0, 100'000,
              "given up events kept of one endpoint, to be looked at and delivered again");
  });
  s.section("web", "console, REST API, health, metrics and WebSockets", [&](Schema& in) {
    in.address("bind", c.web.bind, "where HTTPS is listened for");
    in.text("certificate", c.web.certificate, "PEM chain; empty: made at first start in the data directory");
    in.text("key", c.web.key, "PEM key of the certificate");
    in.section("websocket", "SIP over WebSocket at /sip",
               [&](Schema& w) { describe_websocket(c.web.websocket, w); });
    in.text("console", c.web.console,
            "folder of the console's files; empty: those that came with the program");
    in.duration("session_idle", c.web.session_idle, minutes(1), hours(24),
                "who does nothing for so long is signed out of the console");
    in.duration("session_longest", c.web.session_longest, minutes(5), hours(24 * 30),
                "who signed in so long ago is signed out, whatever he does");
    in.number(
        "sip_messages", c.web.sip_messages, 0, 1'000'000,
        "SIP messages of calls kept in memory for their ladder diagrams, at 2 KiB each on average; 0: none");
  });
  s.section("channels", "signalling channels for clients of Kinesis Video Streams (docs/channels.md)",
            [&](Schema& in) { describe_channels(c.channels, in); });
  s.section("log", "log output on standard error", [&](Schema& in) {
    in.choice("level", c.log.level, {"debug", "info", "notice", "warning", "error"},
              "least level that is written");
    in.choice("format", c.log.format, {"text", "json"}, "text for people, JSON for machines");
    in.flag("trace_sip", c.log.trace_sip, "write every SIP message, credentials removed");
  });
  s.section("hep", "HEP3 export to a Homer collector", [&](Schema& in) {
    in.address("collector", c.hep.collector, "UDP address of the collector; empty: off");
    in.number("capture_id", c.hep.capture_id, 0, 0xffffffff, "capture agent id");
    in.secret("password", c.hep.password, "authenticate key");
  });
  s.texts("dns_servers", c.dns_servers, "resolvers, as address or address:port; empty: the system's");
  s.duration("drain", c.drain, Duration(0), hours(24), "how long SIGTERM waits for calls to end");
}

std::vector<Problem> problems_with(const NodeConfig& c) {
  std::vector<Problem> problems;
  check_realms(c.realms, c.workers, problems);
  check_sip(c.sip, problems);
  check_tokens(c.sip.tokens, problems);
  check_codecs(c.media.codecs, problems);
  check_stun_servers(c.media.stun_servers, problems);
  check_sounds(c.sounds, problems);
  check_voicemail(c.voicemail, problems);
  check_webhooks(c.webhooks, problems);
  check_websocket(c, problems);
  check_turn(c.turn, problems);
  check_channels(c.channels, problems);
  if (c.web.certificate.empty() != c.web.key.empty())
    problems.push_back({c.web.key.empty() ? "web.certificate" : "web.key", "certificate and key go together",
                        c.web.key.empty() ? "web.key" : "web.certificate"});
  for (size_t i = 0; i < c.dns_servers.size(); ++i)
    if (!IpAddress::parse(c.dns_servers[i]) && !SocketAddress::parse(c.dns_servers[i]))
      problems.push_back(
          {fmt::format("dns_servers[{}]", i),
           fmt::format("'{}' is not an address, such as 192.0.2.53 or [2001:db8::53]:53", c.dns_servers[i]),
           ""});
  return problems;
}

}  // namespace tandem::node
