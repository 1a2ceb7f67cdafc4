#include "ice/description.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::ice {
namespace {

constexpr size_t most_options = 16;
constexpr size_t most_remote_candidates = 16;

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (text = trim(text); !text.empty();) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text = trim(text.substr(end));
  }
  return words;
}

Result<bool, Reason> read_options(Description& d, std::string_view value) {
  const auto words = words_of(value);
  if (words.empty() || words.size() > most_options) return Failure{Reason::malformed};
  for (const auto w : words)
    if (!is_ice_text(w, 1, 64)) return Failure{Reason::malformed};
  d.options.assign(words.begin(), words.end());
  return true;
}

Result<bool, Reason> read_remote_candidates(Description& d, std::string_view value) {
  const auto words = words_of(value);
  if (words.empty() || words.size() % 3 != 0 || words.size() / 3 > most_remote_candidates)
    return Failure{Reason::malformed};
  std::vector<RemoteCandidate> all;
  for (size_t i = 0; i < words.size(); i += 3) {
    const auto component = parse_u32(words[i]);
    const auto ip = IpAddress::parse(words[i + 1]);
    const auto port = parse_u32(words[i + 2]);
    if (!component || !port || *port > 65535) return Failure{Reason::malformed};
    if (*component < 1 || *component > 256) return Failure{Reason::bad_component};
    if (!ip) return Failure{Reason::bad_address};
    all.push_back({static_cast<uint16_t>(*component), {*ip, static_cast<uint16_t>(*port)}});
  }
  d.remote_candidates = std::move(all);
  return true;
}

Result<bool, Reason> read_candidate(Description& d, std::string_view value) {
  auto c = Candidate::parse(value);
  if (!c) return Failure{c.reason()};
  if (d.candidates.size() == most_candidates) return Failure{Reason::too_many_candidates};
  d.candidates.push_back(std::move(c).value());
  return true;
}

Result<bool, Reason> read_credential(std::string& to, std::string_view value, size_t least) {
  if (!is_ice_text(value, least, 256)) return Failure{Reason::bad_credentials};
  to = value;
  return true;
}

Result<bool, Reason> read_pacing(Description& d, std::string_view value) {
  const auto n = parse_u32(value);
  if (!n || value.size() > 10) return Failure{Reason::malformed};
  d.pacing_ms = *n;
  return true;
}

}  // namespace

Credentials Credentials::make(Rng& rng, std::string_view prefix) {
  Credentials c;
  for (const char ch : prefix)
    if (c.ufrag.size() < 200 && is_ice_text({&ch, 1}, 1, 1)) c.ufrag.push_back(ch);
  c.ufrag += rng.token(8);
  c.pwd = rng.token(26);
  return c;
}

bool Description::has_option(std::string_view name) const {
  return std::find(options.begin(), options.end(), name) != options.end();
}

void Description::inherit(const Description& session) {
  if (credentials.ufrag.empty()) credentials.ufrag = session.credentials.ufrag;
  if (credentials.pwd.empty()) credentials.pwd = session.credentials.pwd;
  if (options.empty()) options = session.options;
  if (!pacing_ms) pacing_ms = session.pacing_ms;
  lite |= session.lite;
  end_of_candidates |= session.end_of_candidates;  // RFC 8840 section 4.2: of all streams
}

std::vector<Attribute> to_attributes(const Description& d) {
  std::vector<Attribute> lines;
  if (d.lite) lines.push_back({"ice-lite", ""});
  if (d.pacing_ms) lines.push_back({"ice-pacing", std::to_string(*d.pacing_ms)});
  if (!d.options.empty()) {
    std::string value;
    for (const auto& o : d.options) value += (value.empty() ? "" : " ") + o;
    lines.push_back({"ice-options", value});
  }
  if (!d.credentials.ufrag.empty()) lines.push_back({"ice-ufrag", d.credentials.ufrag});
  if (!d.credentials.pwd.empty()) lines.push_back({"ice-pwd", d.credentials.pwd});
  if (d.mismatch) lines.push_back({"ice-mismatch", ""});
  for (const auto& c : d.candidates) lines.push_back({"candidate", c.to_string()});
  if (d.end_of_candidates) lines.push_back({"end-of-candidates", ""});
  if (!d.remote_candidates.empty()) {
    std::string value;
    for (const auto& r : d.remote_candidates)
      value += (value.empty() ? "" : " ") + std::to_string(r.component) + " " + r.address.ip.to_string() +
               " " + std::to_string(r.address.port);
    lines.push_back({"remote-candidates", value});
  }
  return lines;
}

Result<bool, Reason> read_attribute(Description& d, std::string_view name, std::string_view value) {
  value = trim(value);
  if (name == "candidate") return read_candidate(d, value);
  if (name == "ice-ufrag") return read_credential(d.credentials.ufrag, value, 4);
  if (name == "ice-pwd") return read_credential(d.credentials.pwd, value, 22);
  if (name == "ice-options") return read_options(d, value);
  if (name == "remote-candidates") return read_remote_candidates(d, value);
  if (name == "ice-pacing") return read_pacing(d, value);
  if (name == "ice-lite") return d.lite = true;
  if (name == "ice-mismatch") return d.mismatch = true;
  if (name == "end-of-candidates") return d.end_of_candidates = true;
  return false;
}

}  // namespace tandem::ice
