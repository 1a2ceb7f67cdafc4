#pragma once
// Responses that are sent again until somebody says they arrived: the 2xx to INVITE (RFC 3261
// section 13.3.1.4) and reliable provisional responses (RFC 3262). Values without I/O: whoever owns one sends
// what it says through TransactionLayer::respond().
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/time.h"
#include "sip/headers.h"
#include "sip/timers.h"

namespace tandem::sip {

enum class ResendStep : uint8_t {
  nothing,
  resend,   // give response() to the transaction layer again
  give_up,  // 64*T1 have passed; see the class
};

/// The UAS core's 2xx to an INVITE: every T1, doubling to T2, over any transport, until the ACK. give_up: the
/// dialog stays confirmed, and a BYE ends it.
class OkRetransmitter {
 public:
  /// `response`: the 2xx just sent. `cseq`: the INVITE's.
  void start(Now now, const Timers& timers, uint32_t cseq, Bytes response);
  /// The dialog's ACK: true when it is the awaited one; false for a repeated one or another INVITE's.
  bool on_ack(uint32_t cseq);
  void stop() { *this = {}; }  // the dialog is gone (BYE)
  ResendStep on_timeout(Now now);
  Instant next_timeout() const { return retransmit_at_ < end_at_ ? retransmit_at_ : end_at_; }
  bool waiting() const { return !end_at_.is_never(); }
  Buffer response() const { return Buffer::copy_of(response_); }

  std::string to_part(Now now) const;
  static std::optional<OkRetransmitter> from_part(Now now, const Timers& timers, std::string_view part);

 private:
  Instant retransmit_at_ = Instant::never();
  Instant end_at_ = Instant::never();
  Duration interval_{};
  Duration t2_{};
  uint32_t cseq_ = 0;
  std::string response_;
};

/// RFC 3262 section 3, UAS: at most one provisional response of an INVITE waits for its PRACK; the next is
/// sent after that (the RFC allows more, and asks for this). Every T1, doubling without a cap. give_up:
/// answer the INVITE with 5xx.
class ReliableProvisional {
 public:
  ReliableProvisional() = default;
  /// `first_rseq`: 1..2^31-1, random (section 3).
  explicit ReliableProvisional(uint32_t first_rseq) : rseq_(first_rseq - 1) {}

  /// The RSeq to write into the next reliable response; only while idle().
  uint32_t next_rseq() const { return rseq_ + 1; }
  bool idle() const { return end_at_.is_never(); }
  /// `response`: just sent, with `RSeq: next_rseq()` and `Require: 100rel`. `cseq`: the INVITE's.
  void start(Now now, const Timers& timers, uint32_t cseq, Bytes response);
  /// True: answer the PRACK with 200; false: with 481.
  bool on_prack(const RAck& rack);
  /// After the final response to the INVITE nothing is repeated; a late PRACK is still accepted.
  void on_final();
  ResendStep on_timeout(Now now);
  Instant next_timeout() const { return retransmit_at_ < end_at_ ? retransmit_at_ : end_at_; }
  Buffer response() const { return Buffer::copy_of(response_); }

  std::string to_part(Now now) const;
  static std::optional<ReliableProvisional> from_part(Now now, std::string_view part);

 private:
  Instant retransmit_at_ = Instant::never();
  Instant end_at_ = Instant::never();
  Duration interval_{};
  uint32_t rseq_ = 0;
  uint32_t cseq_ = 0;
  bool pending_ = false;
  std::string response_;
};

/// RFC 3262 section 4, UAC: the order of reliable provisional responses in one early dialog.
class RSeqOrder {
 public:
  enum class Verdict : uint8_t {
    next,      // send PRACK and use the response
    repeated,  // its PRACK is on the way or lost: the PRACK's own transaction repeats it
    gap,       // an earlier one is missing: neither acknowledge nor use it
  };
  Verdict see(uint32_t rseq);
  std::optional<uint32_t> last;
};

}  // namespace tandem::sip
