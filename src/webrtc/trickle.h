#pragma once
// Candidates in INFO: application/trickle-ice-sdpfrag (RFC 8840 section 9), written and read.
#include <string>
#include <string_view>
#include <vector>

#include "webrtc/protocol.h"

namespace tandem::webrtc {

constexpr std::string_view fragment_type = "application/trickle-ice-sdpfrag";

/// `description`: ours that the candidates belong to; user fragment and password are read off it. `end`:
/// these are the last ones.
std::string write_fragment(std::string_view description, const std::vector<Candidate>& candidates, bool end);

struct Fragment {
  std::vector<Candidate> candidates;
  bool end = false;
};
/// What of it can be understood; at most 64 candidates.
Fragment read_fragment(std::string_view body);

}  // namespace tandem::webrtc
