#pragma once
// One member of a conference: what it says, what it hears, and what the chair has decided about it.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "mixer/bus.h"
#include "mixer/source.h"
#include "mixer/sound.h"

namespace tandem::mixer {

/// What a member is, and everything that can be set about it. Plain values: a snapshot copies them.
struct MemberConfig {
  std::vector<playout::Format> heard;   // payload types it may send; none: it only listens
  std::optional<playout::Format> said;  // what it is sent; nothing: it only talks
  uint32_t ptime_ms = 20;               // 10 to 60
  bool muted = false;                   // is not heard
  bool deafened = false;                // hears nobody, only sounds played to it alone
  bool lecturer = false;                // heard while lecture mode is on
  bool has_floor = false;               // heard like a lecturer, for the time being
  float gain = 1;                       // of its voice, 0 to 4
};

/// Which sum a member hears: of nobody; of those who have the floor (everybody unless lecture mode is on); of
/// everybody, the audience included.
enum class BusId : uint8_t { nobody, floor, everybody };
inline constexpr size_t bus_count = 3;

/// A stream for one member: while it hears something else than the others of its bus (everything but itself,
/// or a sound to it alone), and until it can go back to theirs without anybody noticing.
struct OwnStream {
  std::unique_ptr<Stream> stream;
  Limiter limiter;
  Frame out{};
  uint32_t alike = 0;  // ticks it has had the same sound as its bus
  uint32_t same = 0;   // and the same payloads as the bus's stream
};

struct Member {
  explicit Member(const MemberConfig& c) : config(c), source(c.heard) {}

  MemberConfig config;
  Source source;
  bool chosen = false;  // among those mixed
  BusId bus = BusId::floor;
  BusId fades_from = BusId::floor;  // another than `bus`: it changes in this frame
  SharedStream* shared = nullptr;   // of its bus; or else
  std::unique_ptr<OwnStream> own;
  bool needs_own = false;                // in this frame it hears something else than its bus
  const Frame* private_sound = nullptr;  // played to it alone in this frame
  Ramp private_ramp;
  bool quiet = true;  // nothing was sent last: the next has the marker bit (RFC 3551 section 4.1)
  uint64_t sent = 0;  // payloads
  uint64_t own_encodes = 0;

  /// At which gain it is in a sum.
  Ramp ramp(BusId id) const {
    return id == BusId::nobody ? Ramp{} : id == BusId::everybody ? source.everybody : source.floor;
  }
};

}  // namespace tandem::mixer
