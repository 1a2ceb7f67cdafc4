#include "node/config.h"

#include <fmt/format.h>

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
  });
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

void check_realms(const std::vector<RealmSettings>& realms, std::vector<Problem>& problems) {
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
  s.section("web", "REST API, health and metrics", [&](Schema& in) {
    in.address("bind", c.web.bind, "where HTTPS is listened for");
    in.text("certificate", c.web.certificate, "PEM chain; empty: made at first start in the data directory");
    in.text("key", c.web.key, "PEM key of the certificate");
  });
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
  check_realms(c.realms, problems);
  check_sip(c.sip, problems);
  check_codecs(c.media.codecs, problems);
  check_sounds(c.sounds, problems);
  check_voicemail(c.voicemail, problems);
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
