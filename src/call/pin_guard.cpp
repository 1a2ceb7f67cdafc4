#include "call/pin_guard.h"

namespace tandem::call {

bool PinGuard::full(const Counts& counts, Instant now, const std::string& key, uint32_t limit) {
  const auto it = counts.find(key);
  return it != counts.end() && it->second.until > now && it->second.tries >= limit;
}

void PinGuard::count(Counts& counts, Instant now, const std::string& key) {
  if (counts.size() >= most && !counts.contains(key)) {
    std::erase_if(counts, [&](const auto& entry) { return entry.second.until <= now; });
    if (counts.size() >= most) counts.erase(counts.begin());
  }
  Count& c = counts[key];
  if (c.until <= now) c = {0, now + window};
  ++c.tries;
}

bool PinGuard::refuses(Instant now, const std::string& door, const std::string& caller) const {
  return full(doors_, now, door, of_a_door) || full(callers_, now, door + " " + caller, of_a_caller);
}

void PinGuard::failed(Instant now, const std::string& door, const std::string& caller) {
  count(doors_, now, door);
  count(callers_, now, door + " " + caller);
}

}  // namespace tandem::call
