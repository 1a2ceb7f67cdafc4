#pragma once
// The frames of one WebSocket (RFC 6455), without I/O: bytes of the peer in, whole messages and
// bytes for the peer out. Frames are libwslay's business; limits and what is answered to those who pass them
// are ours.
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/time.h"

struct wslay_event_context;

namespace tandem::net {

/// Past each of these the peer is told why (section 7.4.1) and nothing more of it is read.
struct WebSocketLimits {
  size_t message_bytes = 65'536;       // of a message, whole; 1009
  uint32_t fragments = 64;             // frames of one message; 1008
  uint32_t messages_per_second = 200;  // twice as many at once; 1008
  uint32_t control_per_second = 20;    // pings and pongs, likewise; 1008
};

/// How much of something a peer may do: `rate` a second, twice that at once.
class TokenBucket {
 public:
  explicit TokenBucket(uint32_t rate) : rate_(rate), tokens_(2.0 * rate) {}
  bool take(Instant now);

 private:
  double rate_, tokens_;
  Instant last_{};
};

class WebSocketFramer {
 public:
  /// Why we closed, or why the peer did.
  enum class End : uint8_t {
    none,
    by_peer,       // it sent Close; ours is in the output
    by_us,         // it answered close()
    protocol,      // 1002: masked as the other end does, reserved bits or opcodes, a broken Close
    too_big,       // 1009
    not_utf8,      // 1007
    fragments,     // 1008
    message_rate,  // 1008
    control_rate,  // 1008
  };
  /// Which end we are: a client masks what it sends, a server does not (section 5.1).
  enum class Side : uint8_t { server, client };
  explicit WebSocketFramer(const WebSocketLimits& limits, Side side = Side::server);
  ~WebSocketFramer();
  WebSocketFramer(const WebSocketFramer&) = delete;
  WebSocketFramer& operator=(const WebSocketFramer&) = delete;

  /// Bytes as they came, cut anywhere. After the end they are thrown away.
  void receive(Instant now, Bytes bytes);
  /// Messages, in order. Text has been checked to be UTF-8.
  std::optional<Buffer> pop();

  /// A message as one frame: text when it is UTF-8, binary otherwise (RFC 7118 section 4.2 allows both).
  /// False once Close is under way.
  bool send(Bytes message);
  void ping();
  /// Only the first does anything. `reason`: what is over 123 bytes is cut.
  void close(uint16_t code, std::string_view reason);
  /// Whether a ping has come since the last call; it has been answered.
  bool take_pinged() { return std::exchange(pinged_, false); }
  /// What is to be written, in order, all that came up since the last call.
  Buffer take_output();

  /// A frame or message has begun and is not whole.
  bool partial() const { return partial_; }
  End ended() const { return end_; }
  /// The peer's Close has come: the TCP connection may end (section 7.1.1).
  bool close_received() const;
  /// What it said; 1005: nothing, 1006: no Close came.
  uint16_t close_code() const;

 private:
  struct Callbacks;  // libwslay's, into this object
  void frame_begins(uint8_t opcode, uint64_t octets);
  void message_came(uint8_t opcode, Bytes bytes);
  void fail(End why, uint16_t code, std::string_view reason);
  void broken();
  void flush();

  struct Free {
    void operator()(wslay_event_context* context) const;
  };
  const WebSocketLimits limits_;
  const Side side_;
  std::unique_ptr<wslay_event_context, Free> context_;
  TokenBucket messages_, controls_;
  Instant now_{};
  Bytes input_;  // of the receive() under way
  Buffer output_;
  std::deque<Buffer> received_;
  uint32_t frames_ = 0;  // of the message that is coming in
  bool partial_ = false, in_frame_ = false, in_message_ = false, closing_ = false;
  End end_ = End::none;
  bool pinged_ = false;
};

/// All of it is UTF-8 (RFC 3629).
bool is_utf8(std::string_view text);

}  // namespace tandem::net
