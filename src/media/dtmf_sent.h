#pragma once
// Presses on their way to a leg that is sent telephone events (RFC 4733) or tones, a frame at a time, and the
// numbers of a relayed stream in which packets come and go. Inside the room, as state.h.
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <utility>

#include "base/time.h"
#include "codec/telephone_event.h"
#include "rtp/packet.h"

namespace tandem::media {

/// One press after the other, with a pause between two.
class DtmfSent {
 public:
  static constexpr uint32_t pause_ms = 60;           // Q.24 asks a receiver to tell pauses from 40 ms on
  static constexpr uint32_t shortest_ms = 60;        // and tones; an event may be shorter
  static constexpr Duration lag = milliseconds(60);  // of what is still pressed: its end has come by then
  static constexpr size_t most_waiting = 64;

  struct Terms {
    bool events = false;         // else tones
    uint32_t clock_rate = 8000;  // of the stream's timestamps
    uint32_t event_rate = 8000;  // of telephone-event
    uint32_t frame_ms = 20;
    bool operator==(const Terms&) const = default;
  };

  /// Key down. False: too many wait.
  bool begin(Instant now, char digit, uint8_t volume);
  /// The key is up again.
  void end(char digit, Duration lasted);
  /// Both, of a press that is over: nothing is waited for.
  bool press(Instant now, char digit, uint8_t volume, Duration lasted);
  bool active() const { return !waiting_.empty() || pause_left_ > 0; }

  /// What the next frame is, which begins at `timestamp`. Sound is what render() makes; else the event is all
  /// there is, or nothing.
  struct Frame {
    std::optional<codec::EventPacket> event;
    bool sound = false;
  };
  Frame next(Instant now, const Terms& terms, uint32_t timestamp);
  /// The frame of tones next() told of.
  void render(std::span<int16_t> out, uint32_t rate) const;

  struct Press {
    char digit = 0;
    uint8_t volume = 10;
    Instant due;                          // not sent before
    std::optional<uint32_t> duration_ms;  // nothing: still down
  };
  /// For a snapshot.
  struct State {
    std::deque<Press> waiting;  // the first of them is being sent
    uint32_t sent_ms = 0;       // of it
    bool started = false;
    uint32_t pause_left = 0;
    uint32_t began = 0;  // its event's timestamp
    codec::EventSender::State event;
    Terms terms;
  };
  State state() const;
  void go_on(const State& state);

 private:
  Frame next_event();
  void over();

  std::deque<Press> waiting_;
  uint32_t sent_ms_ = 0;
  bool started_ = false;
  uint32_t pause_left_ = 0;
  uint32_t began_ = 0;
  Terms terms_;  // of what is being sent
  codec::EventSender sender_{8000, 20};
  uint32_t frame_begins_ms_ = 0;  // of the tone, for render()
};

/// A relayed stream some of whose packets are left out and others put in, so that its receiver sees one
/// without a gap. While it is open every packet is numbered anew; afterwards an offset does.
class DtmfLine {
 public:
  bool open() const { return open_; }
  /// From the last packet that was relayed. `timestamp`: now.
  void begin(uint32_t ssrc, uint16_t last_in, uint32_t timestamp, uint32_t clock_rate);
  /// The offset stands from now on.
  void close();
  /// A packet of the source's that comes through: its new number. Nothing: it is too late.
  std::optional<uint16_t> pass(const rtp::Header& header, bool event);
  /// One that does not.
  void drop(const rtp::Header& header);
  /// One of ours.
  uint16_t next() { return ++last_out_; }

  uint32_t ssrc() const { return ssrc_; }
  uint32_t timestamp() const { return timestamp_; }
  uint32_t clock_rate() const { return clock_rate_; }
  void advance(uint32_t ticks) { timestamp_ += ticks; }
  /// Added to the source's sequence numbers.
  uint16_t offset() const { return offset_; }
  /// The first packet of the source's after ours begins a talk spurt (RFC 3551 section 4.1).
  bool take_marker() { return std::exchange(marker_, false); }
  void mark() { marker_ = true; }

  struct State {
    bool open = false;
    uint32_t ssrc = 0;
    uint16_t last_in = 0, last_out = 0, offset = 0;
    uint32_t timestamp = 0, clock_rate = 8000;
  };
  State state() const { return {open_, ssrc_, last_in_, last_out_, offset_, timestamp_, clock_rate_}; }
  void go_on(const State& state);

 private:
  bool newer(const rtp::Header& header) const { return static_cast<int16_t>(header.sequence - last_in_) > 0; }

  bool open_ = false;
  bool marker_ = false;
  uint32_t ssrc_ = 0;
  uint16_t last_in_ = 0, last_out_ = 0, offset_ = 0;
  uint32_t timestamp_ = 0;  // ours ended there
  uint32_t clock_rate_ = 8000;
};

}  // namespace tandem::media
