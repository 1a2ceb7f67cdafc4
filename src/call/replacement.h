#pragma once
// A leg of this call is to take the place of a leg of another (RFC 3891, pick-up, retrieving from park).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "call/leg.h"
#include "route/decision.h"

namespace tandem::call {

struct Replacement {
  LegId newcomer = 0;
  LegId referrer = 0;  // asked for it with REFER and is told the outcome; 0: nobody did
  std::string tag;     // ours, of the leg to be replaced, on whichever worker
  /// On whose word. The dial plan sent the newcomer there (feature codes), or a peer names the dialog and has
  /// to show that it knows it and may take it.
  enum class By : uint8_t { plan, peer } by = By::plan;
  /// What the leg must still be when the newcomer gets there.
  enum class Only : uint8_t { any, early, parked } only = Only::any;
  std::string call_id, peer_tag;  // by a peer: the rest of the dialog's name
};

/// What a call does next on the worker it moves to (CallMove::then): one of its legs takes another's place
/// there, or its caller is served there.
using Next = std::variant<Replacement, route::ServiceCall>;
std::string to_part(const Next& next);
/// Nothing: no such part.
std::optional<Next> next_from(std::string_view part);

}  // namespace tandem::call
