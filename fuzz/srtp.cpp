// rooms: srtp crypto rtp base
// Any datagrams into a receiver, and any plain packets through a sender and back: no length leads outside the
// buffer, a refused packet is as it came and leaves no state, what was protected reads back, records restore
// or are refused.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "srtp/context.h"

namespace {

using namespace tandem;
using namespace tandem::srtp;

using Octets = std::vector<uint8_t>;

void check(bool ok) {
  if (!ok) std::abort();
}

void feed(Receiver& receiver, Octets packet, bool rtcp) {
  const Octets before = packet;
  const size_t sources = receiver.sources();
  const auto done =
      rtcp ? receiver.unprotect_rtcp(packet, packet.size()) : receiver.unprotect_rtp(packet, packet.size());
  if (done)
    check(*done < before.size());
  else
    check(packet == before && receiver.sources() == sources);
}

void round_trip(Sender& sender, Receiver& receiver, const Octets& plain, bool rtcp) {
  Octets packet = plain;
  packet.resize(plain.size() + tail_room);
  const auto size =
      rtcp ? sender.protect_rtcp(packet, plain.size()) : sender.protect_rtp(packet, plain.size());
  if (!size) {
    check(std::equal(plain.begin(), plain.end(), packet.begin()));
    return;
  }
  packet.resize(*size);
  const auto back =
      rtcp ? receiver.unprotect_rtcp(packet, packet.size()) : receiver.unprotect_rtp(packet, packet.size());
  if (back) check(*back == plain.size() && std::equal(plain.begin(), plain.end(), packet.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  SeededRng rng(1);
  const MasterKey key = MasterKey::generate(all_suites[data[0] % all_suites.size()].suite, rng);
  Refusals refusals;
  Sender sender(key, refusals, 4);
  Receiver receiver(key, refusals, 4);
  // Records of {what, length, octets}.
  for (size_t at = 1; at + 2 <= size;) {
    const uint8_t what = data[at];
    const size_t length = std::min<size_t>(data[at + 1], size - at - 2);
    const Octets octets(data + at + 2, data + at + 2 + length);
    at += 2 + length;
    switch (what % 7) {
      case 0:
        feed(receiver, octets, false);
        break;
      case 1:
        feed(receiver, octets, true);
        break;
      case 2:
        round_trip(sender, receiver, octets, false);
        break;
      case 3:
        round_trip(sender, receiver, octets, true);
        break;
      case 4:
        check(receiver.restore(as_bytes(receiver.snapshot())).ok());
        break;
      case 5:
        check(sender.restore(as_bytes(sender.snapshot())).ok());
        break;
      case 6: {
        Receiver other(key, refusals, 4);
        if (!other.restore(octets)) check(other.sources() == 0);
        break;
      }
    }
  }
  return 0;
}
