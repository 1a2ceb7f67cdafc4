#include "media/latch.h"

#include <algorithm>
#include <utility>

namespace tandem::media {
namespace {
constexpr uint16_t plausible_step = 4;  // a few packets may be lost on the way, not more
constexpr Instant never_opened{INT64_MIN};
constexpr Duration candidate_rest = seconds(1);  // a likely candidate that falls silent is one no more
}  // namespace

void Latch::announce(Instant now, const SocketAddress& address, Duration window) {
  if (!s_.confirmed) return expect(now, address, window);
  if (address == meant()) return;
  s_.next = address == s_.expected ? SocketAddress{} : address;
  s_.window_end = now + window;
}

void Latch::expect(Instant now, const SocketAddress& address, Duration window) {
  s_.next = {};
  if (address == s_.expected) return;
  if (s_.confirmed && address == s_.source) {  // the SDP catches up with what was learned
    s_.expected = address;
    s_.provisional = false;
    return;
  }
  s_.former = s_.confirmed ? s_.source : SocketAddress{};
  s_.expected = address;
  forget();
  s_.candidate = {};
  s_.window_end = now + window;
}

void Latch::extend(Instant now, Duration window) {
  if (!s_.confirmed) s_.window_end = std::max(s_.window_end, now + window);
}

void Latch::confirm(const SocketAddress& source) {
  if (s_.next && source != s_.source) {  // it has moved before anybody agreed
    s_.former = s_.source;
    s_.expected = std::exchange(s_.next, {});
  }
  s_.source = source;
  s_.confirmed = true;
  s_.provisional = false;
  s_.candidate = {};
}

bool Latch::likely(const SocketAddress& from, const LatchPolicy& policy) const {
  return from != s_.former && (from.ip == meant().ip || from.ip == policy.signalling);
}

bool Latch::plausible(Instant now, const SocketAddress& from, const LatchPolicy& policy) const {
  if (s_.confirmed) return from == s_.source || gives_way(now, from, policy);
  if (s_.expected && from == s_.expected) return true;
  return policy.symmetric && now <= s_.window_end && likely(from, policy);
}

/// Whether the confirmed source would make room for `from`.
bool Latch::gives_way(Instant now, const SocketAddress& from, const LatchPolicy& policy) const {
  // Whoever the SDP had left was believed again only for want of anybody else.
  if (s_.source == s_.former && from == s_.expected) return true;
  if (s_.next) return from == s_.next || (now <= s_.window_end && likely(from, policy));
  if (!s_.provisional) return false;
  return from == s_.expected || (now <= s_.window_end && likely(from, policy));
}

/// Whether a source that is not likely may be learned. An SDP that names the host the signalling comes from
/// is right about it: no NAT stands between, so whoever sends from another host is a stranger.
bool Latch::may_be_far(const SocketAddress& from, const LatchPolicy& policy) const {
  if (!policy.far) return false;
  const bool announced = s_.expected && s_.expected.ip == policy.signalling;
  return !announced || from.ip == s_.expected.ip;
}

/// How long a far source must have gone on. With no idea of a likely host there is nobody to wait for;
/// a former source keeps sending until its re-INVITE is answered, which takes seconds, and who sent already
/// before the leg had said where it is was most likely told of the port in another call.
Duration Latch::patience(const SocketAddress& from, const LatchPolicy& policy) const {
  if (from == s_.former || from == s_.early) return policy.far_delay * 20;
  return policy.signalling ? policy.far_delay : Duration::zero();
}

/// One more packet of a source that is not believed yet; true when that is enough.
bool Latch::count(Instant now, const SocketAddress& from, const Evidence& evidence,
                  const LatchPolicy& policy) {
  Candidate& c = s_.candidate;
  const bool is_likely = likely(from, policy);
  const bool same = c.packets > 0 && from == c.source && (!evidence.sequential || evidence.ssrc == c.ssrc);
  const auto step = static_cast<uint16_t>(evidence.sequence - c.sequence);
  // Doubled on the way, or overtaken: it says nothing for its stream, and nothing against it.
  if (same && evidence.sequential && static_cast<uint16_t>(-step) <= plausible_step) return false;
  const bool goes_on = same && (!evidence.sequential || step <= plausible_step);
  if (!goes_on) {
    // A stranger never pushes a likely candidate out, and who was there too early nobody: it has to wait for
    // it to fall silent.
    const bool defers = from == s_.early || likely(c.source, policy);
    if (c.packets > 0 && from != c.source && defers && !is_likely && now - c.last < candidate_rest)
      return false;
    c = {from, now, now, 0, 0, 0};
  }
  c.last = now;
  c.ssrc = evidence.ssrc;
  c.sequence = evidence.sequence;
  if (c.packets < UINT8_MAX) ++c.packets;
  if (is_likely) return c.packets >= policy.likely_packets || !evidence.sequential;
  return c.packets >= policy.far_packets && now - c.since >= patience(from, policy);
}

Latch::Verdict Latch::offer(Instant now, const SocketAddress& from, const Evidence& evidence,
                            const LatchPolicy& policy) {
  if (s_.confirmed) {
    if (from == s_.source) return Verdict::accepted;
    if (!gives_way(now, from, policy)) return Verdict::refused;
  }
  if (s_.window_end == never_opened && !s_.early) s_.early = from;
  if (meant() && from == meant()) {
    confirm(from);
    return Verdict::confirmed;
  }
  if (!policy.symmetric || now > s_.window_end) return Verdict::refused;
  const bool is_likely = likely(from, policy);
  if (!is_likely && !may_be_far(from, policy)) return Verdict::refused;
  if (!count(now, from, evidence, policy)) return Verdict::refused;
  confirm(from);
  s_.provisional = !is_likely;
  return Verdict::latched;
}

}  // namespace tandem::media
