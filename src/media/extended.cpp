#include "media/extended.h"

#include "base/text.h"

namespace tandem::media {

XrTerms xr_terms(const sdp::Description& d, size_t i) {
  XrTerms terms;
  auto value = d.attribute(i, "rtcp-xr");
  if (!value) value = d.attribute(sdp::Description::session, "rtcp-xr");
  if (!value) return terms;
  std::string_view rest = trim(*value);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest = trim(rest.substr(end));
    if (iequals(word, "voip-metrics")) terms.metrics = true;
    if (istarts_with(word, "rcvr-rtt=")) terms.round_trip = true;
  }
  return terms;
}

std::string xr_attribute(const XrTerms& terms) {
  std::string value;
  if (terms.round_trip) value = "rcvr-rtt=all";
  if (terms.metrics) value += value.empty() ? "voip-metrics" : " voip-metrics";
  return value;
}

}  // namespace tandem::media
