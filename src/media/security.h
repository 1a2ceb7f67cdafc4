#pragma once
// SDES (RFC 4568) in the descriptions of one leg, and the contexts that follow from them. Each leg is keyed
// by itself: what the other leg does about its own secrecy is no business of this one. Inside the room.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "media/engine.h"
#include "sdp/description.h"
#include "srtp/context.h"

namespace tandem::media {

/// Both directions of one m-line that we decrypt and encrypt. RTP and RTCP share them.
class Secured {
 public:
  Secured(const srtp::MasterKey& theirs, const srtp::MasterKey& ours, srtp::Refusals& refusals);

  /// Keys that stay keep their rollover counters and replay windows (RFC 3711 section 3.3.1).
  void rekey(const srtp::MasterKey& theirs, const srtp::MasterKey& ours);

  /// Sizes after, or why the packet is refused; a refused packet is as it was.
  Result<size_t, srtp::Reason> open_rtp(MutableBytes packet) {
    return in_.unprotect_rtp(packet, packet.size());
  }
  Result<size_t, srtp::Reason> open_rtcp(MutableBytes packet) {
    return in_.unprotect_rtcp(packet, packet.size());
  }
  /// `buffer` holds a packet of `size` octets and has srtp::tail_room behind it.
  Result<size_t, srtp::Reason> close_rtp(MutableBytes buffer, size_t size);
  Result<size_t, srtp::Reason> close_rtcp(MutableBytes buffer, size_t size) {
    return out_.protect_rtcp(buffer, size);
  }

  /// What is lost when this is not in a snapshot soon: indices the next owner must not use again.
  bool snapshot_due() const { return out_.snapshot_due(); }
  std::string sender_record() { return out_.snapshot(); }
  std::string receiver_record() const { return in_.snapshot(); }
  /// On contexts just made with the same keys.
  bool restore(Bytes sender, Bytes receiver);

 private:
  uint16_t shift_of(uint32_t ssrc, uint16_t sequence);

  srtp::Receiver in_;
  srtp::Sender out_;
  /// After a restore our sequence numbers go on ahead of all that may have been used (srtp::restore_jump).
  struct Shift {
    uint32_t ssrc;
    uint16_t by;
  };
  bool shifted_ = false;
  std::vector<Shift> shifts_;
};

/// An RTP line keyed by SDES: RTP/SAVP with an a=crypto that can be used, or RTP/AVP with one.
bool is_keyed(const sdp::Description& d, size_t i);

/// What the leg's two descriptions agree on for line `i`: the a=crypto of one tag that both have.
struct AgreedKeys {
  srtp::MasterKey theirs, ours;
};
std::optional<AgreedKeys> agreed_keys(const sdp::Description& remote, const sdp::Description& local,
                                      size_t i);

/// Takes SDES out of every RTP line. Those keyed by DTLS stay as they are.
void lay_open(sdp::Description& d);

/// Puts SDES into the RTP lines of an offer to a leg; `before` is what the leg was told last, whose keys are
/// kept. `secret`: the other leg's media is encrypted.
void protect_offer(sdp::Description& offer, Srtp policy, bool secret, const sdp::Description* before,
                   Rng& rng);
/// The same of an answer to `offer`. Lines that policy or offer leave no way for are refused. False: none is
/// left of what was there.
bool protect_answer(sdp::Description& answer, const sdp::Description& offer, Srtp policy,
                    const sdp::Description* before, Rng& rng);
/// Whether an answer of the leg to `offer` of ours keeps what the offer demanded: no silent downgrade.
bool keeps_protection(const sdp::Description& answer, const sdp::Description& offer);

}  // namespace tandem::media
