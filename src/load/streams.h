#pragma once
// RTP of calls: G.711 in packets of 20 ms whose payload tells the far generator what was sent and when; or a
// sound in any codec, of which what comes in is counted by its RTP sequence. In the clear, or as browsers
// have it.
#include <array>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "base/slot_map.h"
#include "load/sound.h"
#include "load/statistics.h"
#include "load/webrtc_peer.h"
#include "port/media.h"
#include "rtp/statistics.h"

namespace tandem::load {

/// The start of a payload; the rest is silence (mu-law 0xff).
///
///    | "TLD1" | sequence from 0, 32 bits | wall clock of sending, nanoseconds, 64 bits |
///
/// The one-way delay is as good as the agreement of both clocks; on one machine they are the same.
struct Mark {
  static constexpr size_t bytes = 16;
  uint32_t sequence = 0;
  int64_t sent_ns = 0;
  void write(uint8_t* out) const;
  /// Nothing when the payload is not from a generator.
  static std::optional<Mark> read(Bytes payload);
};

enum class Wire : uint8_t { plain, webrtc_offering, webrtc_answering };

class Streams {
 public:
  static constexpr Duration packet_time = milliseconds(20);
  static constexpr size_t packet_bytes = 12 + 160;

  /// `dtls`: null when no stream is WebRTC; outlives this.
  Streams(port::MediaPorts& ports, Rng& rng, Statistics& statistics, dtls::Endpoint* dtls = nullptr);

  /// Binds a port pair. A null id when the range is exhausted. `sound`: null for marked packets.
  SlotId open(Now now, std::shared_ptr<const Sound> sound = nullptr, Wire wire = Wire::plain);
  uint16_t port_of(SlotId id) const;
  /// Sends from now on, to `remote`; called again it changes the address.
  void start(Now now, SlotId id, SocketAddress remote);
  /// Null: it is no WebRTC stream.
  const WebrtcPeer* peer_of(SlotId id) const;
  /// A WebRTC stream: it connects, and sends from then on. False: the description is not that of one.
  bool connect(Now now, SlotId id, const sdp::Description& remote, port::MediaOut& out);
  const Sound* sound_of(SlotId id) const;
  uint8_t payload_type(SlotId id) const;
  void set_payload_type(SlotId id, uint8_t payload_type);
  /// Ends the stream and counts what it lost.
  void close(SlotId id);
  void stop_sending(SlotId id);

  void on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out);
  void on_timeout(Now now, port::MediaOut& out);
  Instant next_timeout() const { return sending_ > 0 ? next_tick_ : Instant::never(); }
  size_t size() const { return streams_.size(); }

 private:
  static constexpr size_t phases = 20;
  static constexpr Duration tick = packet_time / phases;

  struct Stream {
    port::MediaPorts::Pair ports;
    SocketAddress remote;
    bool sending = false;
    bool expected = false;  // it was sending, so its far end should have been
    uint32_t ssrc = 0;
    uint32_t sent = 0;
    uint32_t received = 0;
    uint32_t first_sequence = 0;  // that could come
    uint32_t next_sequence = 0;   // one past the highest seen
    std::shared_ptr<const Sound> sound;
    uint8_t payload_type = 0;
    rtp::ReceiverStatistics heard;  // of a sound
    std::unique_ptr<WebrtcPeer> peer;
  };

  void begin(Now now, SlotId id, Stream& stream);
  void send(Now now, Stream& stream, port::MediaOut& out);
  void send_sound(Stream& stream, port::MediaOut& out);
  void send_packet(Stream& stream, Buffer packet, port::MediaOut& out);
  void received(Now now, Stream& stream, Bytes packet);

  port::MediaPorts& ports_;
  Rng& rng_;
  Statistics& statistics_;
  std::unique_ptr<WebrtcWorld> webrtc_;
  SlotMap<Stream> streams_;
  std::vector<SlotId> by_port_;                    // by slot of the RTP port
  std::array<std::vector<SlotId>, phases> wheel_;  // a step of 1 ms each; gone streams drop out in passing
  size_t sending_ = 0;
  size_t phase_ = 0;
  size_t next_phase_ = 0;  // where the next stream goes
  Instant next_tick_;
};

}  // namespace tandem::load
