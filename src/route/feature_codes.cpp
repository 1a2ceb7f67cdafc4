#include "route/feature_codes.h"

namespace tandem::route {

using port::Feature;

bool takes_argument(Feature f) {
  return f == Feature::forward_always_on || f == Feature::forward_busy_on ||
         f == Feature::forward_no_answer_on || f == Feature::forward_unreachable_on ||
         f == Feature::pickup_directed || f == Feature::unpark || f == Feature::voicemail_leave;
}

bool harmless(Feature f) {
  return f == Feature::echo || f == Feature::say_number || f == Feature::hold_music;
}

FeatureCodes FeatureCodes::defaults() {
  FeatureCodes c;
  c.codes_ = {{"*43", Feature::echo},
              {"*65", Feature::say_number},
              {"*9664", Feature::hold_music},
              {"*72", Feature::forward_always_on},
              {"*73", Feature::forward_always_off},
              {"*74", Feature::forward_all_off},
              {"*90", Feature::forward_busy_on},
              {"*91", Feature::forward_busy_off},
              {"*92", Feature::forward_no_answer_on},
              {"*93", Feature::forward_no_answer_off},
              {"*94", Feature::forward_unreachable_on},
              {"*95", Feature::forward_unreachable_off},
              {"*78", Feature::dnd_on},
              {"*79", Feature::dnd_off},
              {"*8", Feature::pickup_group},
              {"**", Feature::pickup_directed},
              {"*68", Feature::park},
              {"*97", Feature::voicemail},
              {"*98", Feature::voicemail_other},
              {"*99", Feature::voicemail_leave}};
  return c;
}

void FeatureCodes::put(const port::FeatureCodeRow& row) {
  if (row.enabled)
    codes_[row.code] = row.feature;
  else
    codes_.erase(row.code);
}

std::optional<FeatureCall> FeatureCodes::find(std::string_view number) const {
  for (size_t n = number.size(); n > 0; --n) {
    const auto it = codes_.find(number.substr(0, n));
    if (it == codes_.end()) continue;
    // "*72*1002#" is written on some phones' keys for "*721002".
    std::string_view rest = number.substr(n);
    if (rest.starts_with('*')) rest.remove_prefix(1);
    if (rest.ends_with('#')) rest.remove_suffix(1);
    if (takes_argument(it->second)) return FeatureCall{it->second, std::string(rest)};
    if (n == number.size()) return FeatureCall{it->second, {}};
    // The group pick-up code followed by an extension picks up there; the park code followed by a slot parks
    // there.
    if (rest.empty()) continue;
    if (it->second == Feature::pickup_group) return FeatureCall{Feature::pickup_directed, std::string(rest)};
    if (it->second == Feature::park) return FeatureCall{Feature::park, std::string(rest)};
    if (it->second == Feature::voicemail_other)
      return FeatureCall{Feature::voicemail_other, std::string(rest)};
  }
  return std::nullopt;
}

}  // namespace tandem::route
