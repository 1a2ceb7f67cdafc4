#pragma once
// Cryptographic contexts (RFC 3711 section 3.2): a Sender protects, a Receiver unprotects, each with one
// master key and as many SSRCs as share it. Packets are worked on in place. Nothing here allocates for a
// packet; the first packet of an SSRC may.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/result.h"
#include "srtp/key.h"
#include "srtp/packet_cipher.h"
#include "srtp/replay.h"

namespace tandem::srtp {

/// Why a packet was refused. A refused packet changes no state and is left as it was.
enum class Reason : uint8_t {
  malformed,         // no RTP or RTCP, or too short to be protected
  no_room,           // the buffer ends before tag (and index) would
  not_authentic,     // wrong tag: another key, a forgery, or damage
  replayed,          // this index has been
  too_old,           // further back than the replay window reaches
  not_encrypted,     // SRTCP with E = 0: nobody negotiates that with us
  index_exhausted,   // 2^48 SRTP or 2^31 SRTCP packets: only a new master key helps
  too_many_sources,  // one more SSRC than `max_sources`
};
inline constexpr size_t reason_count = 8;
std::string_view to_string(Reason reason);

/// One counter a reason; owned by whoever owns the contexts, and usually shared by many of them.
struct Refusals {
  std::array<Counter, reason_count> by_reason;
  void add(Reason r) { by_reason[static_cast<size_t>(r)].add(); }
  uint64_t count(Reason r) const { return by_reason[static_cast<size_t>(r)].value(); }
};

/// Octets a packet may grow by: tag and SRTCP index. There is no MKI.
inline constexpr size_t tail_room = 20;
/// SSRCs of one context. A source is never forgotten: its packets could be replayed.
inline constexpr size_t default_max_sources = 64;
/// A snapshot is due when this many packets went out since the last one...
inline constexpr uint64_t snapshot_interval = uint64_t{1} << 13;
/// ...and this far ahead a restored sender goes on: past everything sent since, and less than 2^15, which is
/// as far as a receiver's estimate of the ROC follows.
inline constexpr uint64_t restore_jump = uint64_t{1} << 14;

/// A datagram in a batch.
struct Packet {
  MutableBytes buffer;            // the packet, and room behind it
  size_t size = 0;                // octets of it that are the packet; updated on success
  std::optional<Reason> refused;  // set, or cleared, by every call
};

enum class RecordReason : uint8_t { malformed, unknown_version, other_direction, too_many_sources };

/// What is kept for an SSRC.
struct Source {
  uint32_t ssrc = 0;
  bool settled = false;  // its ROC has been confirmed by an authentic packet, since restored if it was
  ReplayWindow rtp;      // by packet index: ROC * 2^16 + SEQ
  ReplayWindow rtcp;     // by SRTCP index
};

/// The SSRCs of a context, and their packed record.
class Sources {
 public:
  explicit Sources(size_t limit) : limit_(limit) {}
  Source* find(uint32_t ssrc);
  bool full() const { return all_.size() >= limit_; }
  Source& add(uint32_t ssrc);
  void clear() {
    all_.clear();
    first_rtcp_index = 0;
  }
  size_t size() const { return all_.size(); }
  std::span<Source> all() { return all_; }

  /// The SRTCP index a source begins with: 0, or after restores what no earlier sender can have reached.
  uint64_t first_rtcp_index = 0;

  /// Version, kind, count, first SRTCP index; then for each SSRC: SSRC, ROC, highest sequence, SRTCP index,
  /// both replay windows.
  std::string pack(char kind) const;
  /// All or nothing.
  Status<RecordReason> unpack(Bytes record, char kind);

 private:
  size_t limit_;
  size_t last_ = 0;  // index of the one found last: packets come in runs
  std::vector<Source> all_;
};

class Sender {
 public:
  Sender(const MasterKey& key, Refusals& refusals, size_t max_sources = default_max_sources);

  /// Sizes after. The sequence number of the packet picks its index; one that was used, or is further behind
  /// than the window, is refused, since a keystream must never serve twice (RFC 3711 section 9.1).
  Result<size_t, Reason> protect_rtp(MutableBytes buffer, size_t size);
  /// A compound; its first SSRC is the one that counts.
  Result<size_t, Reason> protect_rtcp(MutableBytes buffer, size_t size);
  void protect_rtp(std::span<Packet> batch);
  void protect_rtcp(std::span<Packet> batch);

  /// A new master key starts every SSRC at ROC 0; the same key changes nothing, ROCs above all. True when it
  /// was a new one.
  bool rekey(const MasterKey& key);

  /// Packets protected since the last snapshot (or the start).
  uint64_t since_snapshot() const { return since_snapshot_; }
  /// After that many packets, and at once when an SSRC has begun to send, since the last record knows nothing
  /// of it.
  bool snapshot_due() const { return begun_ || since_snapshot_ >= snapshot_interval; }
  std::string snapshot();
  /// On a context just made with the same key. Every SSRC goes on `jump` packets ahead of the record, so that
  /// no index is used twice as long as fewer than `jump` packets went out after the record was taken. The
  /// caller offsets its sequence numbers so that the next one is next_sequence().
  Status<RecordReason> restore(Bytes record, uint64_t jump = restore_jump);
  /// The lowest sequence number that is certainly free. Nothing when no RTP of this SSRC is known: a stream
  /// that goes on after a restore must then take a new SSRC, since nobody remembers which numbers it has
  /// used.
  std::optional<uint16_t> next_sequence(uint32_t ssrc);

  size_t sources() const { return sources_.size(); }
  const MasterKey& key() const { return key_; }

 private:
  Result<size_t, Reason> try_protect_rtp(MutableBytes buffer, size_t size);
  Result<size_t, Reason> try_protect_rtcp(MutableBytes buffer, size_t size);

  MasterKey key_;
  Refusals* refusals_;
  PacketCipher rtp_;
  PacketCipher rtcp_;
  Sources sources_;
  uint64_t since_snapshot_ = 0;
  bool begun_ = false;  // an SSRC sends RTP or RTCP that no record has
};

class Receiver {
 public:
  Receiver(const MasterKey& key, Refusals& refusals, size_t max_sources = default_max_sources);

  /// Size after. Authenticates first; only then does an SSRC, a ROC or a window change.
  Result<size_t, Reason> unprotect_rtp(MutableBytes buffer, size_t size);
  Result<size_t, Reason> unprotect_rtcp(MutableBytes buffer, size_t size);
  void unprotect_rtp(std::span<Packet> batch);
  void unprotect_rtcp(std::span<Packet> batch);

  bool rekey(const MasterKey& key);  // as Sender's

  std::string snapshot() const { return sources_.pack('r'); }
  /// On a context just made with the same key. Until a packet of an SSRC proves authentic its ROC may have
  /// moved on: the estimate is tried, then one more and one less.
  Status<RecordReason> restore(Bytes record);

  size_t sources() const { return sources_.size(); }
  const MasterKey& key() const { return key_; }

 private:
  Result<size_t, Reason> try_unprotect_rtp(MutableBytes buffer, size_t size);
  Result<size_t, Reason> try_unprotect_rtcp(MutableBytes buffer, size_t size);

  MasterKey key_;
  Refusals* refusals_;
  PacketCipher rtp_;
  PacketCipher rtcp_;
  Sources sources_;
};

/// The packet index nearest to `highest` for a sequence number (RFC 3711 section 3.3.1 and appendix A).
/// Negative when it would lie before index 0.
int64_t estimate_index(uint64_t highest, uint16_t sequence);

}  // namespace tandem::srtp
