#pragma once
// What a node is told at start. Living things (subscribers, trunks, routes) are in the directory, not here.
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "node/schema.h"
#include "port/flow.h"
#include "sip/timers.h"

namespace tandem::node {

struct CertificateSettings {
  std::string chain, key;  // PEM files
};

struct ListenerSettings {
  std::string transport = "udp";  // udp, tcp, tls
  SocketAddress bind;
  std::vector<CertificateSettings> certificates;  // the first is the default; none: the web certificate
  std::string client_ca;
  bool request_client_certificate = false;
};

/// A network the node stands in: its listeners, media addresses and the address peers see
/// (docs/ARCHITECTURE.md, realms).
struct RealmSettings {
  std::string name = "default";
  std::vector<ListenerSettings> listeners;
  std::string
      advertise;  // host or address put into Via, Contact and (when an address) SDP; empty: the bound one
  std::string tls_ca;      // PEM; empty: the system's trust store
  bool tls_verify = true;  // servers we connect to must prove who they are
  IpAddress media_v4, media_v6;
  IpAddress media_advertise_v4, media_advertise_v6;
  uint16_t first_port = 16384;
  uint16_t last_port = 32767;
  uint64_t webrtc_port = 0;  // of the first worker; 0: none
};

struct TokenKeySettings {
  std::string id;                   // `kid` of the tokens it is for; empty: of those that name none
  std::string algorithm = "RS256";  // HS256, RS256, ES256
  std::string file;                 // the secret, or a PEM public key or certificate
};

/// Bearer tokens subscribers may show instead of a password (RFC 8898).
struct TokenSettings {
  std::vector<TokenKeySettings> keys;  // none: no tokens
  std::string issuer, audience, server;
  Duration skew = seconds(30);
};

struct SipSettings {
  sip::Timers timers;
  uint32_t session_expires = 1800;  // seconds; 0: we never ask for session timers
  uint32_t min_se = 90;
  std::vector<std::string> digest{"SHA-512-256", "SHA-256", "MD5"};  // offered in this order
  Duration nonce_lifetime = seconds(300);
  bool tcp_for_large = true;
  std::string user_agent = "Tandem";
  uint32_t min_expires = 60;
  uint32_t default_expires = 3600;
  uint32_t max_expires = 7200;
  TokenSettings tokens;
};

struct LimitSettings {
  uint64_t calls = 50'000;          // per worker
  uint64_t transactions = 200'000;  // per worker and side
  uint64_t contacts_per_subscriber = 10;
  uint64_t registrations = 500'000;  // per worker
  uint64_t connections = 20'000;     // per worker
  uint64_t requests_per_second = 0;  // per source address; 0: no limit
  uint64_t auth_failures = 20;       // per source and minute, then it is banned
  Duration ban = minutes(10);
};

struct MediaSettings {
  Duration timeout = seconds(60);
  bool symmetric = true;
  bool bypass = false;
  std::vector<std::string> codecs = {"PCMU", "PCMA", "G722", "opus", "G729"};
  std::string srtp = "accepted";
  std::string srtp_keying = "sdes";
  std::string dtmf = "auto";
  std::string ice = "accepted";
  bool ice_lite = false;
  std::vector<std::string> stun_servers;  // address:port; empty: none are asked
};

struct SoundSettings {
  std::string folder;  // the operator's prompts and music; empty: none
  std::string language = "en";
  Duration longest = minutes(15);  // of one file
  std::string hold_music;          // a file in `folder`; empty: a melody of ours
};

struct RecordingSettings {
  std::string folder;           // empty: DATA/recordings
  Duration longest = hours(4);  // of one recording
  std::string policy = "on_demand";
  std::string format = "wav";
  Duration max_age = Duration(0);
  uint64_t max_bytes = 0;
};

struct VoicemailSettings {
  std::vector<std::string> mail_program;  // its path and arguments; empty: no e-mail is sent
  std::string mail_from;
  Duration mail_timeout = seconds(30);
};

struct WebhookSettings {
  std::vector<std::string> allow;  // addresses and prefixes that may be reached although they are private
  bool plain_http = false;
  std::string ca;  // PEM file; empty: the system's
  Duration timeout = seconds(15);
  uint64_t attempts = 12;
  Duration first_pause = seconds(5);
  Duration longest_pause = hours(4);
  uint64_t queue = 10'000;   // of one endpoint
  uint64_t given_up = 1000;  // kept of one endpoint
};

struct StoreSettings {
  std::string path;  // SQLite file; empty: DATA/tandem.db
  Duration held_send_patience = seconds(2);
};

struct WebSocketSettings {
  std::string realm;                 // whose clients they are; empty: the first realm
  std::vector<std::string> origins;  // of pages that may connect; empty: those of the host they connect to
  bool require_origin = false;       // programs that are no browsers are refused
  uint64_t message_bytes = 65'536;
  uint64_t messages_per_second = 200;  // of one connection
  Duration ping = seconds(30);         // silence after which we ask
};

struct TurnListenerSettings {
  std::string transport = "udp";  // udp, tcp, tls, dtls
  SocketAddress bind;
  std::string chain, key;  // of tls and dtls, PEM files; empty: the web certificate
};
struct TurnSecretSettings {
  std::string secret;
};

/// The STUN and TURN server. Off without listeners.
struct TurnSettings {
  std::vector<TurnListenerSettings> listeners;
  std::string realm;  // of the challenge
  bool subscribers = true;
  std::string domain;  // of subscribers; empty: the realm
  std::vector<TurnSecretSettings> secrets;
  std::string host;  // what clients are told to reach us by; empty: the listener's address
  Duration credentials_ttl = hours(24);
  IpAddress relay_v4, relay_v6;          // unset: the first listener's of that family
  IpAddress advertise_v4, advertise_v6;  // unset: the bound ones
  uint16_t first_port = 49152, last_port = 65535;
  std::vector<std::string> allow_peers, deny_peers;
  Duration max_lifetime = hours(1);
  Duration nonce_lifetime = minutes(30);
  bool mobility = true;
  bool tcp_relay = true;
  uint64_t allocations = 50'000;  // per worker
  uint64_t allocations_per_user = 64;
  uint64_t permissions = 64;  // of an allocation
  uint64_t channels = 64;
  uint64_t tenants = 64;  // of a relay port
  uint64_t challenges_per_second = 100;
  uint64_t lookups_per_second = 100;
  uint64_t allocations_per_second = 50;
  uint64_t bytes_per_second = 0;
  uint64_t total_bytes_per_second = 0;
  uint64_t connections = 20'000;  // per worker
};

struct WebSettings {
  SocketAddress bind{IpAddress::v4(127, 0, 0, 1), 8443};
  std::string certificate, key;  // empty: made at first start in DATA
  WebSocketSettings websocket;
  std::string console;  // folder of the console's files; empty: those of the build
  Duration session_idle = minutes(30);
  Duration session_longest = hours(12);
  uint64_t sip_messages = 20'000;  // of calls, kept in memory; 0: none
};

/// Signalling channels, for clients of Kinesis Video Streams.
struct ChannelSettings {
  bool enabled = false;
  std::string region = "us-east-1";  // of signatures and ARNs: what clients are configured with
  std::string endpoint;              // "host:port" clients are sent to; empty: the host they asked
  Duration idle = minutes(10);       // of a connection
  Duration longest = hours(1);       // likewise
  Duration grace = minutes(1);       // between GO_AWAY and the end
};

struct LogSettings {
  std::string level = "info";
  std::string format = "text";
  bool trace_sip = false;
};

struct HepSettings {
  SocketAddress collector;  // unset: off
  uint64_t capture_id = 1;
  std::string password;
};

struct NodeConfig {
  uint16_t node = 1;
  uint16_t workers = 0;  // 0: one per core
  std::string data = "./data";
  std::vector<RealmSettings> realms;
  SipSettings sip;
  MediaSettings media;
  LimitSettings limits;
  StoreSettings store;
  SoundSettings sounds;
  RecordingSettings recordings;
  VoicemailSettings voicemail;
  TurnSettings turn;
  WebhookSettings webhooks;
  ChannelSettings channels;
  WebSettings web;
  LogSettings log;
  HepSettings hep;
  std::vector<std::string> dns_servers;  // empty: /etc/resolv.conf
  Duration drain = seconds(30);          // how long SIGTERM waits for calls to end
};

/// The schema of it all: reading, checking and the reference come from this one description.
void describe(NodeConfig& config, Schema& schema);

/// What is wrong with a configuration, and where.
struct Problem {
  std::string path;  // of the key, such as "realms[0].listeners[1].bind"; it need not stand in the file
  std::string text;  // one sentence
  std::string with;  // another key whose value it rests on; empty: none
};

/// What no single key can show to be wrong (no realm, two listeners on one address, a certificate without its
/// key).
std::vector<Problem> problems_with(const NodeConfig& config);

}  // namespace tandem::node
