#pragma once
// SDES (RFC 4568) and DTLS-SRTP (RFC 5763) in the descriptions of one leg, and the contexts that follow from
// them. Each leg is keyed by itself: what the other leg does about its own secrecy is no business of this
// one. Inside the room.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dtls/fingerprint.h"
#include "dtls/setup.h"
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
  /// New keys that the two ends of a handshake come to at different times: what the peer still sends under
  /// its old ones is taken, until packets under the new have come.
  void replace(const srtp::MasterKey& theirs, const srtp::MasterKey& ours);

  const srtp::MasterKey& theirs() const { return in_.key(); }
  const srtp::MasterKey& ours() const { return out_.key(); }

  /// Sizes after, or why the packet is refused; a refused packet is as it was.
  Result<size_t, srtp::Reason> open_rtp(MutableBytes packet);
  Result<size_t, srtp::Reason> open_rtcp(MutableBytes packet);
  /// `buffer` holds a packet of `size` octets and has srtp::tail_room behind it.
  Result<size_t, srtp::Reason> close_rtp(MutableBytes buffer, size_t size);
  Result<size_t, srtp::Reason> close_rtcp(MutableBytes buffer, size_t size) {
    return out_.protect_rtcp(buffer, size);
  }

  /// Reports of the leg about packets whose sequence numbers were shifted speak of ours; afterwards of the
  /// sender's. `compound` is whole (RtcpReader::open).
  void shift_back(MutableBytes compound) const;

  /// Whether RTP of that source has left.
  bool has_sent(uint32_t ssrc) { return out_.next_sequence(ssrc).has_value(); }

  /// What is lost when this is not in a snapshot soon: indices the next owner must not use again.
  bool snapshot_due() const { return out_.snapshot_due(); }
  std::string sender_record() { return out_.snapshot(); }
  std::string receiver_record() const { return in_.snapshot(); }
  /// On contexts just made with the same keys.
  bool restore(Bytes sender, Bytes receiver);

 private:
  uint16_t shift_of(uint32_t ssrc, uint16_t sequence);

  srtp::Refusals* refusals_;
  srtp::Receiver in_;
  srtp::Sender out_;
  std::optional<srtp::Receiver> former_;
  uint32_t under_new_ = 0;  // packets, while there is a former one
  /// After a restore our sequence numbers go on ahead of all that may have been used (srtp::restore_jump).
  struct Shift {
    uint32_t ssrc;
    uint16_t by;
  };
  bool shifted_ = false;
  std::vector<Shift> shifts_;
};

/// An RTP line that is to be encrypted: by DTLS, or by an a=crypto that can be used.
bool is_keyed(const sdp::Description& d, size_t i);

/// What the leg's two descriptions agree on for line `i`: the a=crypto of one tag that both have.
struct AgreedKeys {
  srtp::MasterKey theirs, ours;
};
std::optional<AgreedKeys> agreed_keys(const sdp::Description& remote, const sdp::Description& local,
                                      size_t i);

/// Takes SDES and DTLS out of every RTP line.
void lay_open(sdp::Description& d);

/// What goes into a description for a leg.
struct Protection {
  Srtp policy = Srtp::passed;
  SrtpKeying keying = SrtpKeying::sdes;          // where nothing has been agreed
  dtls::Fingerprint fingerprint;                 // of our certificate
  const sdp::Description* before = nullptr;      // what the leg was told last: its keys stay, if not spent
  std::vector<std::optional<dtls::Role>> roles;  // ours, in the associations the lines have
  /// Lines the leg has refused since: which indices their keys were used with is forgotten, and none must be
  /// used twice (RFC 3711 section 9.1).
  std::vector<bool> spent;
  bool webrtc = false;   // its offers have the profile RFC 8829 section 5.1.2 asks for
  IpAddress signalling;  // of a leg that may stand behind a NAT: the host its SIP comes from
};

/// Puts SDES or DTLS into the RTP lines of an offer to a leg. `secret`: the other leg's media is encrypted.
void protect_offer(sdp::Description& offer, const Protection& how, bool secret, Rng& rng);
/// The same of an answer to `offer`. Lines that policy or offer leave no way for are refused. False: none is
/// left of what was there.
bool protect_answer(sdp::Description& answer, const sdp::Description& offer, const Protection& how, Rng& rng);
/// Whether an answer of the leg to `offer` of ours keeps what the offer demanded: no silent downgrade.
bool keeps_protection(const sdp::Description& answer, const sdp::Description& offer);
/// Whether `next` of the leg leaves encrypted what its last two descriptions, which agree, have encrypted: a
/// line that goes on in the clear is no choice any more.
bool stays_protected(const sdp::Description& next, const sdp::Description& remote,
                     const sdp::Description& local);
/// Whether one of the RTP lines of an offer can be answered under that policy, or there are none.
bool can_protect(const sdp::Description& offer, Srtp policy);

}  // namespace tandem::media
