#pragma once
// Why something of ICE's was refused: a line of SDP, a candidate, a datagram.
#include <array>
#include <cstdint>
#include <string_view>

#include "base/counters.h"

namespace tandem::ice {

enum class Reason : uint8_t {
  // lines and candidates
  malformed,            // not what RFC 8839 section 5 says
  unknown_transport,    // neither UDP nor TCP
  unknown_type,         // a candidate type of another extension
  bad_component,        // not 1 to 256, or none the stream has
  bad_address,          // unspecified, multicast, broadcast, or port 0
  bad_credentials,      // too short, too long, or with other characters than ice-char
  mdns_name,            // a ".local" name: nothing here resolves those
  host_name,            // another name: nothing here resolves those either
  other_generation,     // a trickled candidate that names other credentials than the peer's latest
  too_many_candidates,  // past Config::max_remote_candidates or max_local_candidates
  too_many_pairs,       // past Config::max_pairs: a pair of lower priority was left out
  too_many_streams,     // past Config::max_streams
  unknown_stream,
  bad_snapshot,
  // datagrams
  unknown_base,         // received on what is no base of this agent
  not_stun,             // STUN could not be read in it
  not_binding,          // another method
  unauthenticated,      // a request without USERNAME or MESSAGE-INTEGRITY (400)
  wrong_credentials,    // a request for another ufrag, or whose integrity does not fit (401)
  bad_request,          // an authentic request without PRIORITY or role (400)
  unknown_attribute,    // an authentic request with attributes that must be understood and are not (420)
  role_conflict,        // an authentic request that claims the role we keep (487)
  replayed,             // an authentic request whose transaction has come from another address before
  too_many_roles,       // the peer wants us to change roles once more than max_role_changes
  too_many_reflexive,   // past Config::max_peer_reflexive: no answer, no candidate
  unmatched_response,   // to no request in flight
  bad_response,         // its integrity does not fit, or it has no address
  asymmetric_response,  // authentic, but not from where the request went (RFC 8445 section 7.2.5.2.1)
  count_,
};
inline constexpr size_t reason_count = static_cast<size_t>(Reason::count_);
std::string_view to_string(Reason reason);

/// One counter a reason; shared by all agents of their owner.
struct Troubles {
  std::array<Counter, reason_count> by_reason;
  void add(Reason r) { by_reason[static_cast<size_t>(r)].add(); }
  uint64_t count(Reason r) const { return by_reason[static_cast<size_t>(r)].value(); }
};

}  // namespace tandem::ice
