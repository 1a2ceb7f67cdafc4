#include "sip/reliable.h"

#include <algorithm>

#include "sip.pb.h"
#include "sip/method.h"

namespace tandem::sip {
namespace {

// A part may be damaged: an interval that does not grow would have its owner send without end, and one beyond
// 64*T1 overflow.
bool plausible(int64_t interval, Instant retransmit_at, Instant end_at) {
  if (retransmit_at.is_never() && end_at.is_never()) return true;
  return !end_at.is_never() && Duration(interval) >= milliseconds(1) && Duration(interval) <= seconds(120);
}

}  // namespace

void OkRetransmitter::start(Now now, const Timers& timers, uint32_t cseq, Bytes response) {
  interval_ = timers.t1;
  t2_ = timers.t2;
  retransmit_at_ = now.mono + interval_;
  end_at_ = now.mono + 64 * timers.t1;
  cseq_ = cseq;
  response_ = as_text(response);
}

bool OkRetransmitter::on_ack(uint32_t cseq) {
  if (!waiting() || cseq != cseq_) return false;
  stop();
  return true;
}

ResendStep OkRetransmitter::on_timeout(Now now) {
  if (end_at_ <= now.mono) {
    stop();
    return ResendStep::give_up;
  }
  if (retransmit_at_ > now.mono) return ResendStep::nothing;
  interval_ = std::min(2 * interval_, t2_);
  retransmit_at_ = now.mono + interval_;
  return ResendStep::resend;
}

std::string OkRetransmitter::to_part(Now now) const {
  proto::SipOkRetransmitter p;
  p.set_retransmit_at(deadline_to_wall(now, retransmit_at_));
  p.set_interval(interval_.count());
  p.set_end_at(deadline_to_wall(now, end_at_));
  p.set_response(response_);
  p.set_cseq(cseq_);
  return p.SerializeAsString();
}

std::optional<OkRetransmitter> OkRetransmitter::from_part(Now now, const Timers& timers,
                                                          std::string_view part) {
  proto::SipOkRetransmitter p;
  if (part.empty() || !p.ParseFromArray(part.data(), static_cast<int>(part.size()))) return std::nullopt;
  OkRetransmitter r;
  r.retransmit_at_ = deadline_from_wall(now, p.retransmit_at());
  r.end_at_ = deadline_from_wall(now, p.end_at());
  r.interval_ = Duration(p.interval());
  r.t2_ = timers.t2;
  r.cseq_ = p.cseq();
  r.response_ = p.response();
  if (!plausible(p.interval(), r.retransmit_at_, r.end_at_)) return std::nullopt;
  return r;
}

void ReliableProvisional::start(Now now, const Timers& timers, uint32_t cseq, Bytes response) {
  ++rseq_;
  interval_ = timers.t1;
  retransmit_at_ = now.mono + interval_;
  end_at_ = now.mono + 64 * timers.t1;
  cseq_ = cseq;
  pending_ = true;
  response_ = as_text(response);
}

bool ReliableProvisional::on_prack(const RAck& rack) {
  if (!pending_ || rack.rseq != rseq_ || rack.cseq != cseq_ || rack.method_text != to_string(Method::invite))
    return false;
  pending_ = false;
  on_final();
  return true;
}

void ReliableProvisional::on_final() {
  retransmit_at_ = end_at_ = Instant::never();
  response_.clear();
}

ResendStep ReliableProvisional::on_timeout(Now now) {
  if (end_at_ <= now.mono) {
    pending_ = false;
    on_final();
    return ResendStep::give_up;
  }
  if (retransmit_at_ > now.mono) return ResendStep::nothing;
  interval_ *= 2;
  retransmit_at_ = now.mono + interval_;
  return ResendStep::resend;
}

std::string ReliableProvisional::to_part(Now now) const {
  proto::SipReliableProvisional p;
  p.set_retransmit_at(deadline_to_wall(now, retransmit_at_));
  p.set_interval(interval_.count());
  p.set_end_at(deadline_to_wall(now, end_at_));
  p.set_response(response_);
  p.set_rseq(rseq_);
  p.set_cseq(cseq_);
  p.set_pending(pending_);
  return p.SerializeAsString();
}

std::optional<ReliableProvisional> ReliableProvisional::from_part(Now now, std::string_view part) {
  proto::SipReliableProvisional p;
  if (part.empty() || !p.ParseFromArray(part.data(), static_cast<int>(part.size()))) return std::nullopt;
  ReliableProvisional r;
  r.retransmit_at_ = deadline_from_wall(now, p.retransmit_at());
  r.end_at_ = deadline_from_wall(now, p.end_at());
  r.interval_ = Duration(p.interval());
  r.rseq_ = p.rseq();
  r.cseq_ = p.cseq();
  r.pending_ = p.pending();
  r.response_ = p.response();
  if (!plausible(p.interval(), r.retransmit_at_, r.end_at_)) return std::nullopt;
  return r;
}

RSeqOrder::Verdict RSeqOrder::see(uint32_t rseq) {
  if (last && rseq <= *last) return Verdict::repeated;
  if (last && rseq != *last + 1) return Verdict::gap;
  last = rseq;
  return Verdict::next;
}

}  // namespace tandem::sip
