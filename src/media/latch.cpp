#include "media/latch.h"

#include <algorithm>

namespace tandem::media {
namespace {
constexpr uint16_t plausible_step = 4;  // a few packets may be lost on the way, not more
}

void Latch::expect(Instant now, const SocketAddress& address, Duration window) {
  if (address == expected_) return;
  if (confirmed_ && address == source_) {  // the SDP catches up with what was learned
    expected_ = address;
    return;
  }
  former_ = confirmed_ ? source_ : SocketAddress{};
  expected_ = address;
  source_ = {};
  confirmed_ = false;
  candidate_packets_ = 0;
  window_end_ = now + window;
}

void Latch::extend(Instant now, Duration window) {
  if (!confirmed_) window_end_ = std::max(window_end_, now + window);
}

void Latch::confirm(const SocketAddress& source) {
  source_ = source;
  confirmed_ = true;
  candidate_packets_ = 0;
}

bool Latch::likely(const SocketAddress& from, const LatchPolicy& policy) const {
  return from != former_ && (from.ip == expected_.ip || from.ip == policy.signalling);
}

/// How long an unlikely source must have gone on. With no idea of a likely host there is nobody to wait for;
/// a former source keeps sending until its re-INVITE is answered, which takes seconds.
Duration Latch::patience(const SocketAddress& from, const LatchPolicy& policy) const {
  if (from == former_) return policy.far_delay * 20;
  return policy.signalling ? policy.far_delay : Duration::zero();
}

Latch::Verdict Latch::offer(Instant now, const SocketAddress& from, const Evidence& evidence,
                            const LatchPolicy& policy) {
  if (confirmed_) {
    if (from == source_) return Verdict::accepted;
    // Whoever the SDP had left was believed again only for want of anybody else.
    if (source_ != former_ || from != expected_) return Verdict::refused;
  }
  if (expected_ && from == expected_) {
    confirm(from);
    return Verdict::confirmed;
  }
  if (!policy.symmetric || now > window_end_) return Verdict::refused;

  const bool is_likely = likely(from, policy);
  const auto step = static_cast<uint16_t>(evidence.sequence - candidate_sequence_);
  const bool goes_on =
      candidate_packets_ > 0 && from == candidate_ &&
      (!evidence.sequential || (evidence.ssrc == candidate_ssrc_ && step >= 1 && step <= plausible_step));
  if (!goes_on) {
    // A stranger never pushes a likely candidate out; it has to wait for it to fall silent.
    if (candidate_packets_ > 0 && from != candidate_ && likely(candidate_, policy) && !is_likely)
      return Verdict::refused;
    candidate_ = from;
    candidate_since_ = now;
    candidate_packets_ = 0;
  }
  candidate_ssrc_ = evidence.ssrc;
  candidate_sequence_ = evidence.sequence;
  if (candidate_packets_ < UINT8_MAX) ++candidate_packets_;
  const bool enough = candidate_packets_ >= policy.packets || (is_likely && !evidence.sequential);
  if (!enough) return Verdict::refused;
  if (!is_likely && now - candidate_since_ < patience(from, policy)) return Verdict::refused;
  confirm(from);
  return Verdict::latched;
}

Latch Latch::restored(const SocketAddress& expected, const SocketAddress& source, const SocketAddress& former,
                      Instant window_end) {
  Latch l;
  l.expected_ = expected;
  l.former_ = former;
  l.window_end_ = window_end;
  if (source) l.confirm(source);
  return l;
}

}  // namespace tandem::media
