#include "webrtc/trickle.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::webrtc {
namespace {

constexpr size_t most_candidates = 64;

/// The first line "a=NAME:value"; empty: there is none.
std::string_view attribute(std::string_view text, std::string_view name) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trim(text.substr(at, end - at));
    if (line.starts_with("a=") && line.substr(2).starts_with(name) && line.size() > name.size() + 3 &&
        line[name.size() + 2] == ':')
      return line.substr(name.size() + 3);
    at = end + 1;
  }
  return {};
}

void add_line(std::string& to, std::string_view name, std::string_view value) {
  if (!value.empty()) to.append("a=").append(name).append(":").append(value).append("\r\n");
}

}  // namespace

std::string write_fragment(std::string_view description, const std::vector<Candidate>& candidates, bool end) {
  std::string out;
  add_line(out, "ice-ufrag", attribute(description, "ice-ufrag"));
  add_line(out, "ice-pwd", attribute(description, "ice-pwd"));
  std::vector<std::string_view> mids;
  for (const Candidate& c : candidates)
    if (std::find(mids.begin(), mids.end(), c.mid) == mids.end()) mids.push_back(c.mid);
  for (const std::string_view mid : mids) {
    out.append("m=audio 9 RTP/AVP 0\r\n");  // says nothing but where its mid stands (section 4.3)
    add_line(out, "mid", mid);
    for (const Candidate& c : candidates)
      if (c.mid == mid && !c.candidate.empty()) out.append("a=").append(c.candidate).append("\r\n");
  }
  if (end) out.append("a=end-of-candidates\r\n");
  return out;
}

Fragment read_fragment(std::string_view body) {
  Fragment f;
  std::string mid;
  const std::string ufrag(attribute(body, "ice-ufrag"));
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view line = trim(body.substr(at, end - at));
    at = end + 1;
    if (line.starts_with("m=")) mid.clear();
    if (line.starts_with("a=mid:")) mid = line.substr(6);
    if (line == "a=end-of-candidates") f.end = true;
    if (line.starts_with("a=candidate:") && f.candidates.size() < most_candidates)
      f.candidates.push_back({std::string(line.substr(2)), mid, ufrag});
  }
  return f;
}

}  // namespace tandem::webrtc
