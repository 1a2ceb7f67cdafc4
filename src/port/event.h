#pragma once
// What happened, as data: logs, HEP, live views and tests read the same stream. A call's events share its
// trail.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace tandem::port {

enum class Level : uint8_t { debug, info, notice, warning, error };

/// One event. Field values never hold secrets; telephone numbers are shortened by the sink that prints them.
struct Event {
  Level level = Level::info;
  std::string_view name;  // a literal such as "call.answered"; names are listed in docs/events.md
  uint64_t trail = 0;     // the call's id, 0 when there is none
  std::vector<std::pair<std::string_view, std::string>> fields;
};

}  // namespace tandem::port
