#pragma once
// Named telephone events (RFC 4733) over time: which packets a key press becomes, and which key presses
// packets were. The payload's four octets are read and written by the rtp room.
#include <cstdint>
#include <optional>

namespace tandem::codec {

/// One packet's content. Durations and timestamps in ticks of the event's clock (8000 or 48000 Hz).
struct EventPacket {
  uint8_t event = 0;       // 0..15: digits, '*', '#', A..D (RFC 4733 section 3.2)
  bool end = false;        // E bit
  bool marker = false;     // of the RTP header: first packet of an event
  uint8_t volume = 0;      // 0..63, in -dBm0
  uint16_t duration = 0;   // since `timestamp`
  uint32_t timestamp = 0;  // where the event, or this segment of it, began
  bool operator==(const EventPacket&) const = default;
};

/// Sends one event after another. next() is called once a packet time.
class EventSender {
 public:
  /// Clock 8000 to 48000 Hz; packet time 5 to 100 ms; other values are brought into these ranges.
  EventSender(uint32_t clock_rate, uint16_t packet_ms);
  /// False, and nothing done, while another event is sent or when there would be no duration.
  bool start(uint8_t event, uint8_t volume, uint32_t duration_ms, uint32_t timestamp);
  /// The key was released: the event ends with what was already played.
  void stop();
  /// It lasts so long in all; not shorter than what was already played.
  void last(uint32_t duration_ms);
  /// The end is sent three times (section 2.5.1.4). An event longer than 65535 ticks continues in a new
  /// segment with a later timestamp (section 2.5.1.3). Nothing when no event is sent.
  std::optional<EventPacket> next();
  bool active() const { return state_.ends_left > 0; }

  /// For a snapshot.
  struct State {
    EventPacket now;
    uint32_t played = 0;    // ticks
    uint32_t left = 0;      // ticks still to come
    uint8_t ends_left = 0;  // 3 while the event runs
  };
  const State& state() const { return state_; }
  void go_on(const State& state) { state_ = state; }

 private:
  uint32_t clock_rate_, packet_ticks_;
  State state_;
};

/// A key press as it was heard.
struct HeardEvent {
  uint8_t event = 0;
  uint8_t volume = 0;
  uint32_t duration = 0;  // ticks, over all segments; 0 at the start
  bool operator==(const HeardEvent&) const = default;
};

/// What a packet changed; both when an event was heard by its end alone, or when the last one's end was lost.
struct EventNews {
  std::optional<HeardEvent> ended;  // the one that was running before
  std::optional<HeardEvent> started;
  std::optional<HeardEvent> passed;  // started and ended in one packet
  bool operator==(const EventNews&) const = default;
};

/// One source of events. Repeated, reordered and late packets change nothing.
class EventReceiver {
 public:
  EventNews on_packet(const EventPacket& packet);
  /// An event whose packets have stopped, its end lost, ends when `timestamp` lies `patience` ticks behind
  /// its last known moment.
  std::optional<HeardEvent> on_silence(uint32_t timestamp, uint32_t patience);
  /// No more packets of the event that runs are awaited.
  std::optional<HeardEvent> give_up();
  bool active() const { return state_.running; }

  /// For a snapshot.
  struct State {
    bool running = false;
    bool any = false;  // `timestamp` says something
    HeardEvent event;
    uint32_t timestamp = 0;  // of the segment heard last
    uint16_t segment = 0;    // its duration so far
    uint32_t before = 0;     // duration of the segments before it
  };
  const State& state() const { return state_; }
  void go_on(const State& state) { state_ = state; }

 private:
  HeardEvent end();
  bool continues(const EventPacket& p) const;

  State state_;
};

}  // namespace tandem::codec
