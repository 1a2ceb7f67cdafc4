#pragma once
// Key presses in INFO requests. No RFC has them; there are two bodies, and devices know either or both:
//
//     application/dtmf-relay       application/dtmf
//     Signal=5                     5
//     Duration=160
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace tandem::call {

enum class DtmfForm : uint8_t { relay, plain };

struct DtmfInfo {
  DtmfForm form = DtmfForm::relay;
  char digit = 0;                       // '0'..'9', '*', '#', 'A'..'D'
  Duration lasted = milliseconds(250);  // 1 ms to a minute; where nothing is said, what gateways take it for
};

/// Nothing: it is no press, or not one of these keys (a hook flash, "hf" or 16), or says nonsense; then the
/// body is between the two ends.
std::optional<DtmfInfo> read_dtmf(std::string_view content_type, std::string_view body);

std::string_view content_type_of(DtmfForm form);
std::string write_dtmf(const DtmfInfo& info);

}  // namespace tandem::call
