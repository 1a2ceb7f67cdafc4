#include "sim/secrecy.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "rtp/packet.h"
#include "srtp/sdes.h"

namespace tandem::sim {
namespace {

constexpr Duration change_of_keys = seconds(2);  // packets under the old ones are under way

}  // namespace

Secrecy::Secrecy(srtp::Suite suite, uint64_t seed)
    : rng_(seed), key_(srtp::MasterKey::generate(suite, rng_)), sender_(key_, refusals_) {}

std::string Secrecy::line() const { return "a=crypto:" + srtp::write_crypto(tag_, key_) + "\r\n"; }

bool Secrecy::take(std::string_view sdp, Instant now) {
  constexpr std::string_view name = "a=crypto:";
  for (size_t at = sdp.find(name); at != std::string_view::npos; at = sdp.find(name, at + 1)) {
    const size_t begin = at + name.size();
    const auto crypto = srtp::parse_crypto(sdp.substr(begin, sdp.find("\r\n", begin) - begin));
    if (!crypto.ok() || crypto->key.suite() != key_.suite()) continue;
    tag_ = crypto->tag;
    theirs_ = crypto->key;
    if (!receiver_) {
      receiver_.emplace(crypto->key, refusals_);
      keyed_at_ = now;
    } else if (receiver_->rekey(crypto->key)) {
      keyed_at_ = now;
      seen_.clear();
    }
    return true;
  }
  return false;
}

void Secrecy::protect(Buffer& packet) {
  const size_t size = packet.size();
  packet.resize(size + srtp::tail_room);
  const auto done = sender_.protect_rtp(packet.writable(), size);
  packet.resize(done.ok() ? *done : 0);
}

/// Another packet under an index that has been. The network repeats packets, but does not change them.
bool Secrecy::reused(Bytes packet) {
  const srtp::SuiteTraits& t = srtp::traits(key_.suite());
  uint32_t ssrc = 0, index = 0;
  if (rtp::kind_of(packet) == rtp::Kind::rtp) {
    ssrc = rtp::load32(&packet[8]);
    index = rtp::load16(&packet[2]);
  } else {  // RFC 3711 section 3.4: the index is in front of the tag; RFC 7714 section 9.2: at the end
    const size_t behind = t.aead ? 0 : t.rtcp_tag_octets;
    if (packet.size() < 12 + behind) return false;
    ssrc = rtp::load32(&packet[4]);
    index = rtp::load32(&packet[packet.size() - behind - 4]) | 0x8000'0000;
  }
  const uint64_t what = hash64({reinterpret_cast<const char*>(packet.data()), packet.size()});
  const auto [found, fresh] = seen_.try_emplace({ssrc, index}, what);
  return !fresh && found->second != what;
}

/// By a receiver without a memory.
bool Secrecy::is_under_these_keys(std::vector<uint8_t> packet) {
  srtp::Receiver fresh(*theirs_, refusals_);
  return rtp::kind_of(packet) == rtp::Kind::rtp ? fresh.unprotect_rtp(packet, packet.size()).ok()
                                                : fresh.unprotect_rtcp(packet, packet.size()).ok();
}

Secrecy::Heard Secrecy::hear(Buffer& packet, Instant now) {
  const rtp::Kind kind = rtp::kind_of(packet.bytes());
  if (kind != rtp::Kind::rtp && kind != rtp::Kind::rtcp) return Heard::unreadable;
  const std::vector<uint8_t> as_it_came(packet.bytes().begin(), packet.bytes().end());
  const auto done = kind == rtp::Kind::rtp ? receiver_->unprotect_rtp(packet.writable(), packet.size())
                                           : receiver_->unprotect_rtcp(packet.writable(), packet.size());
  const bool replay =
      !done.ok() && (done.reason() == srtp::Reason::replayed || done.reason() == srtp::Reason::too_old);
  if (!done.ok() && !replay) return now - keyed_at_ < change_of_keys ? Heard::changing : Heard::unreadable;
  // What is under the keys of before is no replay of what is under these, though it has its number.
  if (replay && now - keyed_at_ < change_of_keys && !is_under_these_keys(as_it_came)) return Heard::changing;
  if (reused(as_it_came)) return Heard::reused;
  if (replay) return Heard::repeated;
  packet.resize(*done);
  return Heard::taken;
}

}  // namespace tandem::sim
