#pragma once
// What the runtime is told at start. Times and limits have production defaults; tests shrink them.
#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "net/websocket_framer.h"
#include "port/flow.h"
#include "port/relay.h"

namespace tandem::net {

/// PEM files. `ca` verifies client certificates when they are asked for; empty: the system's trust store.
struct TlsFiles {
  std::string certificate;  // the chain, leaf first
  std::string key;
  std::string ca;
};

struct ListenerConfig {
  port::Transport transport = port::Transport::udp;  // udp, tcp or tls
  SocketAddress bind;                                // port 0: the system picks one (tests)
  port::RealmId realm = 0;
  std::string advertised_host;  // for whoever writes Via and Contact; net itself does not use it
  TlsFiles tls;                 // the certificate of clients that name no server, or one we do not know
  std::vector<TlsFiles>
      more_certificates;  // chosen by the names in them (RFC 6066 section 3); `ca` is unused
  bool request_client_certificate = false;
};

/// How a realm stands towards the servers it connects to.
struct RealmOutgoing {
  port::RealmId realm = 0;
  std::string ca;  // PEM authorities servers are verified with; empty: the system's trust store
  /// False: whoever answers is taken for whom we meant. It hides the call from listeners only.
  bool verify = true;
  /// Of the WebSockets for SIP that we open (RFC 7118); empty: none are, their clients open them.
  std::string websocket_path{};
};

/// Media addresses and ports of a realm. A family without a bind address has no media there.
struct RealmMedia {
  port::RealmId realm = 0;
  IpAddress bind_v4, bind_v6;
  IpAddress advertised_v4, advertised_v6;  // unset: the bind address
  uint16_t first_port = 16384;
  uint16_t last_port = 32767;
  /// The worker of index i has a port of number webrtc_port + i, UDP and TCP, for all its WebRTC legs. 0:
  /// none.
  uint16_t webrtc_port = 0;
};

struct DnsConfig {
  std::vector<std::string> servers;  // "192.0.2.53" or "192.0.2.53:53"; empty: /etc/resolv.conf
  std::string hosts_file = "/etc/hosts";
  Duration timeout = seconds(2);  // per try
  int tries = 3;
  size_t cache_entries = 20'000;
  Duration max_ttl = hours(1);
  Duration min_ttl = seconds(1);
  Duration negative_ttl = seconds(30);  // when the zone's SOA says nothing, and at most what it may say
  Duration stale = hours(24);           // how long past its TTL an answer serves when no server answers
  size_t max_outstanding = 4096;        // questions in flight; more are refused
};

/// Past each of these something is refused, shed or closed, and counted.
struct Limits {
  size_t connections = 20'000;            // per worker
  size_t connections_per_source = 1'000;  // per source address, all workers together
  size_t write_queue_bytes = 1 << 20;     // per connection; past it the reader is too slow and is closed
  size_t write_high_water = 256 << 10;    // congested
  size_t write_low_water = 64 << 10;      // drained
  size_t mailbox = 65'536;                // mails and cross-worker sends waiting, per worker
  Duration connect = seconds(5);
  Duration tls_handshake = seconds(10);
  Duration partial_message = seconds(10);  // from the first byte of a message to its last
  /// Neither reads nor writes. Longer than half a session of an hour, when it is refreshed (RFC 4028 section
  /// 10): a call without keep-alives keeps its connection.
  Duration idle = minutes(35);
  Duration write_stall = seconds(15);     // bytes queued and none taken
  WebSocketLimits websocket;              // of each
  Duration websocket_ping = seconds(30);  // nothing read for so long: a ping
  Duration websocket_pong = seconds(15);  // and nothing for so long after it: the peer is gone

  // Media over TCP, on shared ports.
  size_t media_connections = 4'000;           // per worker
  size_t media_connections_unproven = 500;    // of them, before they have shown whose they are
  size_t media_connections_per_source = 100;  // per source address and worker
  size_t media_write_queue_bytes = 16 << 10;  // per connection; past it media is dropped
  Duration media_first_check = seconds(5);    // from the connection to a check that is somebody's
  Duration media_idle = seconds(60);          // nothing has come: consent checks come more often
};

/// The TURN server's sockets. Without listeners there is none.
struct TurnListenerConfig {
  port::RelayTransport transport = port::RelayTransport::udp;
  SocketAddress bind;  // one address, never a wildcard: a client's 5-tuple has it
  TlsFiles tls;        // of tls and dtls
};
struct TurnNetConfig {
  std::vector<TurnListenerConfig> listeners;
  IpAddress relay_v4, relay_v6;            // unset: none of that family
  IpAddress advertised_v4, advertised_v6;  // unset: the bound one
  uint16_t first_port = 49152, last_port = 65535;
  size_t connections = 20'000;          // per worker: clients' connections and DTLS associations, and peers'
  size_t connections_per_source = 200;  // of clients, of one source address, all workers together
  size_t write_queue_bytes =
      256 << 10;  // per connection; what a slow reader's relay has for it then is dropped
  size_t splice_high_water = 64 << 10;  // of a pipe's direction: past it the other side is not read
  Duration handshake = seconds(10);
  Duration connect = seconds(30);
  Duration without_allocation = seconds(30);  // of a client's connection
  Duration partial_message = seconds(10);
  Duration idle = minutes(20);
  Duration write_stall = seconds(15);
  int receive_buffer = 4 << 20;  // of a listener; the kernel may cap it
  int relay_buffer = 256 << 10;  // of a relay port
};

struct RuntimeConfig {
  uint16_t node = 0;
  uint64_t epoch = 0;  // number of this boot: successive ones hand out different media ports first
  uint16_t workers = 1;
  std::vector<ListenerConfig> listeners;
  std::vector<RealmMedia> media;
  std::vector<RealmOutgoing> outgoing;  // realms left out verify with the system's trust store
  TurnNetConfig turn;
  DnsConfig dns;
  Limits limits;
  Duration tick = milliseconds(1);        // datagrams are taken in batches this far apart while they flow
  Duration port_quarantine = seconds(3);  // a closed media port rests this long
  Duration stop_grace =
      seconds(2);  // stop() waits this long for sends that wait for a commit, and write queues
  int sip_receive_buffer = 4 << 20;  // per UDP listener and worker; the kernel may cap it
  int media_receive_buffer = 128 << 10;
  int webrtc_receive_buffer = 4 << 20;  // of a port that many legs share
};

}  // namespace tandem::net
