#pragma once
// The media of a simulated browser: ICE, DTLS-SRTP and rtcp-mux around the packets of a stream (RFC 8834, RFC
// 8827).
#include <memory>
#include <optional>
#include <string>

#include "base/rng.h"
#include "base/time.h"
#include "dtls/association.h"
#include "ice/agent.h"
#include "port/media.h"
#include "sdp/description.h"
#include "srtp/context.h"

namespace tandem::load {

/// What all peers of a generator share. Outlives them.
struct WebrtcWorld {
  WebrtcWorld(dtls::Endpoint& endpoint, Rng& random) : dtls(endpoint), rng(random) {}
  dtls::Endpoint& dtls;
  Rng& rng;
  ice::Troubles ice_troubles;
  srtp::Refusals srtp_refusals;
};

class WebrtcPeer {
 public:
  /// `offers`: it is the one that calls, and so the controlling one.
  WebrtcPeer(WebrtcWorld& world, bool offers, const port::MediaPort& port, Now now);

  /// Attributes of its m-line, each line with CRLF; setup is what the other side leaves (RFC 5763 section 5).
  std::string attributes() const;
  /// The far side's description. False: it is no WebRTC.
  bool on_description(Now now, const sdp::Description& remote);

  /// A datagram: checks and handshakes end here. What is media is decrypted in place, and returned.
  Bytes on_datagram(Now now, const SocketAddress& from, MutableBytes bytes);
  /// Checks and handshakes that are due.
  void poll(Now now);
  /// Encrypts in place. Nothing: there is no way yet, or no key. `buffer` has srtp::tail_room behind `size`.
  std::optional<size_t> protect(MutableBytes buffer, size_t size);
  /// Where media goes; unset: nowhere yet.
  SocketAddress remote() const;
  bool connected() const { return sender_.has_value(); }
  /// From the far side's description to keys; once, when it has happened.
  std::optional<Duration> take_connect_time() { return std::exchange(connect_time_, std::nullopt); }

  /// Datagrams of its own.
  void take_sends(port::MediaOut& out);

 private:
  void after(Now now);

  WebrtcWorld& world_;
  bool offers_;
  port::MediaPort port_;
  ice::Agent agent_;
  ice::Outbox checks_;
  ice::BaseId base_ = 0;
  std::unique_ptr<dtls::Association> dtls_;
  dtls::Role role_ = dtls::Role::server;
  dtls::Datagrams flights_;
  std::optional<srtp::Sender> sender_;
  std::optional<srtp::Receiver> receiver_;
  Instant described_ = Instant::never();
  std::optional<Duration> connect_time_;
  std::vector<std::pair<SocketAddress, std::vector<uint8_t>>> sends_;
  bool started_ = false;
};

}  // namespace tandem::load
