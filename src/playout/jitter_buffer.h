#pragma once
// The packets of one RTP source in the order of their timestamps, and when to play them. It holds payloads
// and decodes nothing.
//
//   insert() ── sorted by timestamp ── next(): play | conceal | silence ── played()/concealed(): the position
//
// Time is counted in ticks of the RTP clock. Of each packet "transit" is its arrival minus its timestamp; the
// least transit of the last seconds is the base, and the delay of everything else is counted from there. The
// wanted delay follows from how late packets have been lately: all but one in fifty would have been in time.
// (RFC 3550 section 6.4.1 measures jitter; what a buffer needs is its tail.)
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace tandem::playout {

struct JitterConfig {
  uint32_t clock_rate = 8000;  // Hz of RTP timestamps
  Duration least = milliseconds(10);
  Duration most = milliseconds(200);  // the wanted delay is never more
  size_t packets = 64;                // held at most; the oldest makes room
};

struct JitterCounts {
  uint64_t played = 0;
  uint64_t duplicate = 0;
  uint64_t late = 0;     // came when their time was over
  uint64_t dropped = 0;  // for want of room, or because the source began anew
};

class JitterBuffer {
 public:
  enum class Inserted : uint8_t { kept, duplicate, late };
  struct Packet {
    int64_t at = 0;  // extended timestamp
    uint16_t sequence = 0;
    uint8_t payload_type = 0;
    Instant arrived;
    Buffer payload;
  };

  explicit JitterBuffer(const JitterConfig& config);

  /// `ticks` is how long the payload plays when that is known, else 0.
  Inserted insert(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload);

  enum class Next : uint8_t {
    packet,   // take() has the one whose time it is
    missing,  // lost, or late: conceal
    pause,    // the source said nothing meanwhile (discontinuous transmission): comfort noise
    nothing,  // no packet has come for a while, or it is too early to begin
  };
  Next next(Instant now);
  /// After Next::packet: the packet; the position moves when played() says by how much.
  Packet take();
  /// Sound for so many ticks has been made: of a packet, or in place of one.
  void played(uint32_t ticks);
  void concealed(uint32_t ticks);
  /// The payload after the missing one, for decoders that find a copy in it; empty when it is not here.
  Bytes after_missing() const;
  /// Ticks that are missing before the next packet that is here; 0: none is here.
  uint32_t gap() const;

  /// How far what is played lies behind the fastest packet, `ahead` ticks of sound not yet handed out
  /// included; what is being concealed counts as lost, not as late.
  Duration delay(Instant now, uint32_t ahead = 0) const;
  Duration wanted() const { return wanted_; }
  size_t size() const { return held_.size(); }
  const JitterCounts& counts() const { return counts_; }

  /// A new source, or the same one after a pause nobody knows the length of.
  void restart();

  /// From now on the delay is that and stays it; what is held goes, and the source begins anew with it.
  void hold(Duration delay);

  /// What a successor on another node needs to begin with the right delay.
  Duration learnt() const { return wanted_; }
  void learn(Duration wanted);

 private:
  static constexpr size_t bins = 64;
  static constexpr Duration bin_width = milliseconds(4);
  static constexpr Duration base_span = seconds(3);

  static constexpr Duration slack = milliseconds(4);
  static constexpr Duration longest_wait = milliseconds(200);

  int64_t ticks(Instant t) const;
  Duration duration(int64_t ticks) const;
  void drop_late(Instant now);
  int64_t extend(uint32_t timestamp);
  void observe(Instant now, int64_t transit);
  int64_t base() const { return std::min(least_now_, least_before_); }

  JitterConfig config_;
  std::vector<Packet> held_;  // by timestamp
  JitterCounts counts_;

  bool started_ = false;  // a timestamp has been seen
  bool playing_ = false;
  int64_t highest_ = 0;   // extended timestamp
  int64_t position_ = 0;  // of what is played next
  int64_t filled_ = 0;    // ticks concealed since position_
  int64_t frame_ = 0;     // ticks of the last packet played
  uint16_t last_sequence_ = 0;

  // The base: the least transit of this span and of the one before.
  int64_t least_now_ = 0, least_before_ = 0;
  Instant span_began_;
  std::array<float, bins> lateness_{};  // share of packets by lateness, the newest counting most
  uint32_t observed_ = 0;
  Duration wanted_;
  bool fixed_ = false;
};

}  // namespace tandem::playout
