#pragma once
// One port that many legs share (port::SharedPort): whose a datagram is. A request is told by the fragment it
// names, an answer by the mark we put into the question, everything else by the remote address, once a check
// has shown it to be a leg's. Nothing is kept of who has not passed one. Inside the room.
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/hash.h"
#include "base/time.h"
#include "port/media.h"

namespace tandem::media {

class SharedPorts {
 public:
  /// Where something came from: a hub, and who sends to it.
  struct From {
    uint32_t hub = 0;  // its slot
    SocketAddress remote;
    bool connection = false;
    bool operator==(const From&) const = default;
  };
  /// An address is its leg's for so long after the last datagram; then another leg that passes a check from
  /// there may have it: a browser that was loaded anew, a NAT that gives a port again.
  static constexpr Duration claim_rest = seconds(2);

  /// Of a leg; past them its oldest is nobody's again.
  static constexpr size_t most_remotes = 128;

  /// `secret` hides in marks how many legs there are.
  explicit SharedPorts(uint32_t secret) : secret_(secret) {}

  void add(port::MediaPortId leg, port::MediaPortId hub);
  /// The connections it had, to be ended.
  std::vector<From> remove(port::MediaPortId leg);
  bool has(port::MediaPortId leg) const { return find(leg) != nullptr; }
  size_t size() const { return legs_.size(); }
  port::MediaPortId hub_of(port::MediaPortId leg) const;

  /// What requests for the leg may name from now on.
  void set_fragments(port::MediaPortId leg, std::vector<std::string> fragments);
  uint32_t mark_of(port::MediaPortId leg) const { return (leg.slot + 1) ^ secret_; }

  port::MediaPortId by_fragment(uint32_t hub, std::string_view fragment) const;
  port::MediaPortId by_mark(uint32_t hub, uint32_t mark) const;
  /// Whose that address is. Unset: nobody's.
  port::MediaPortId by_remote(const From& from) const;
  /// Something authentic came from there: the claim is in use. What a stranger can write keeps none.
  void heard(Now now, const From& from);
  /// Whether the address is another leg's, and in use. Whose it was before may have it back at once: somebody
  /// may have written in its name.
  bool is_taken(Now now, const From& from, port::MediaPortId leg) const;
  /// It has passed a check: what comes from there is the leg's.
  void claim(Now now, const From& from, port::MediaPortId leg);
  void release(const From& from);
  /// Whether the leg is reached there by a connection.
  bool by_connection(port::MediaPortId leg, const SocketAddress& remote) const;

 private:
  struct FromHash {
    size_t operator()(const From& f) const noexcept {
      return SocketAddressHash{}(f.remote) ^ (size_t{f.hub} << 1 | (f.connection ? 1 : 0));
    }
  };
  struct Leg {
    port::MediaPortId id, hub;
    std::vector<std::string> fragments;
    std::vector<From> remotes;
  };
  struct Claim {
    port::MediaPortId leg;
    Instant heard;
    port::MediaPortId before;  // whom it was taken from
  };
  const Leg* find(port::MediaPortId leg) const;

  const uint32_t secret_;
  std::unordered_map<uint32_t, Leg> legs_;                                          // by slot
  std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> fragments_;  // to slots
  std::unordered_map<From, Claim, FromHash> claims_;
};

}  // namespace tandem::media
