#include "auth/sigv4.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace tandem::auth {
namespace {

constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
constexpr std::string_view terminator = "aws4_request";
constexpr size_t most_members = 64, longest_scope = 256, most_signed_headers = 32;
constexpr int64_t longest_expires = 604'800;  // seconds: what Signature Version 4 allows

using Member = std::pair<std::string, std::string>;

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

/// RFC 3986 section 2.1; what is no escape stays.
std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' && i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : std::nullopt;
    if (byte) {
      out += *byte;
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

/// All but unreserved characters (RFC 3986 section 2.3) escaped, in upper case.
std::string encoded(std::string_view text, bool keep_slash) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const char l = to_lower(c);
    const bool plain = (l >= 'a' && l <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~';
    if (plain || (keep_slash && c == '/')) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    out.push_back('%');
    out.push_back(hex[byte >> 4]);
    out.push_back(hex[byte & 15]);
  }
  return out;
}

/// Decoded, in the order they stand. Nothing when there are too many.
std::optional<std::vector<Member>> members_of(std::string_view target) {
  std::vector<Member> out;
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return out;
  for (std::string_view rest = target.substr(question + 1); !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (part.empty()) continue;
    if (out.size() == most_members) return std::nullopt;
    const size_t equals = std::min(part.find('='), part.size());
    out.emplace_back(decoded(part.substr(0, equals)),
                     decoded(part.substr(std::min(equals + 1, part.size()))));
  }
  return out;
}

/// Empty when it is not there.
std::string member(const std::vector<Member>& members, std::string_view name) {
  for (const auto& [key, value] : members)
    if (key == name) return value;
  return {};
}

/// So that nobody reads the other one.
bool one_stands_twice(std::vector<Member> members) {
  std::sort(members.begin(), members.end());
  return std::adjacent_find(members.begin(), members.end(), [](const Member& a, const Member& b) {
           return a.first == b.first;
         }) != members.end();
}

/// Empty when it is not there; nothing when it stands twice.
std::optional<std::string> only_header(const port::HttpRequest& request, std::string_view name) {
  std::optional<std::string> found;
  for (const auto& [key, value] : request.headers) {
    if (!iequals(key, name)) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found.value_or("");
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  for (;;) {
    const size_t end = text.find(by);
    out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

/// "20150830T123600Z".
std::optional<WallTime> parse_time(std::string_view text) {
  if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
  const auto number = [&](size_t at, size_t digits) { return parse_u32(text.substr(at, digits)); };
  const auto year = number(0, 4), month = number(4, 2), day = number(6, 2);
  const auto hour = number(9, 2), minute = number(11, 2), second = number(13, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  // Nanoseconds since 1970 fit until 2262.
  if (*year < 1970 || *year > 2200 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(*month), std::chrono::day(*day)};
  if (!date.ok()) return std::nullopt;
  const Duration since =
      std::chrono::sys_days(date).time_since_epoch() + hours(*hour) + minutes(*minute) + seconds(*second);
  return WallTime{since.count()};
}

/// "AKID/20150830/us-east-1/kinesisvideo/aws4_request".
bool read_credential(std::string_view text, SigV4Claims& out) {
  if (text.size() > longest_scope) return false;
  const auto parts = split(text, '/');
  if (parts.size() != 5 || parts[0].empty() || parts[4] != terminator) return false;
  out.access_key = parts[0];
  out.day = parts[1];
  out.region = parts[2];
  out.service = parts[3];
  return true;
}

bool read_signed_headers(std::string_view text, SigV4Claims& out) {
  out.headers = split(text, ';');
  if (out.headers.size() > most_signed_headers || !std::is_sorted(out.headers.begin(), out.headers.end()))
    return false;
  const bool lower_case =
      std::all_of(out.headers.begin(), out.headers.end(), [](const auto& h) { return lower(h) == h; });
  // Without the host a signature would be good on every node.
  return lower_case && std::find(out.headers.begin(), out.headers.end(), "host") != out.headers.end();
}

bool read_signature(std::string_view text, SigV4Claims& out) {
  out.signature = text;
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool read_time(std::string text, SigV4Claims& out) {
  const auto at = parse_time(text);
  if (!at) return false;
  out.signed_at = *at;
  out.time = std::move(text);
  return true;
}

bool claims_of_header(const port::HttpRequest& request, std::string_view value, SigV4Claims& out) {
  if (!value.starts_with(algorithm)) return false;
  value.remove_prefix(algorithm.size());
  if (value.empty() || value.front() != ' ') return false;
  bool credential = false, headers = false, signature = false;
  for (const std::string& field : split(value, ',')) {
    const std::string_view part = trim(field);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = part.substr(0, equals), what = part.substr(equals + 1);
    bool& seen = name == "Credential" ? credential : name == "SignedHeaders" ? headers : signature;
    if (seen) return false;
    seen = &seen == &credential ? read_credential(what, out)
           : &seen == &headers  ? read_signed_headers(what, out)
                                : name == "Signature" && read_signature(what, out);
    if (!seen) return false;
  }
  auto date = only_header(request, "X-Amz-Date");
  return credential && headers && signature && date && read_time(std::move(*date), out);
}

bool claims_of_query(const std::vector<Member>& members, SigV4Claims& out) {
  const auto expires = parse_u32(member(members, "X-Amz-Expires"));
  if (one_stands_twice(members) || member(members, "X-Amz-Algorithm") != algorithm || !expires ||
      *expires == 0 || *expires > longest_expires)
    return false;
  out.expires = seconds(*expires);
  return read_credential(member(members, "X-Amz-Credential"), out) &&
         read_time(member(members, "X-Amz-Date"), out) &&
         read_signed_headers(member(members, "X-Amz-SignedHeaders"), out) &&
         read_signature(member(members, "X-Amz-Signature"), out);
}

std::string canonical_query(std::string_view target) {
  std::vector<Member> all;
  for (auto& [name, value] : members_of(target).value_or(std::vector<Member>{}))
    if (name != "X-Amz-Signature") all.emplace_back(encoded(name, false), encoded(value, false));
  std::sort(all.begin(), all.end());
  std::string out;
  for (const auto& [name, value] : all) {
    if (!out.empty()) out.push_back('&');
    ((out += name) += '=') += value;
  }
  return out;
}

/// Of one header: trimmed, runs of spaces made one, several lines joined by commas.
std::string canonical_value(const port::HttpRequest& request, std::string_view name) {
  std::string out;
  bool first = true;
  for (const auto& [key, value] : request.headers) {
    if (!iequals(key, name)) continue;
    if (!first) out.push_back(',');
    first = false;
    char before = 0;
    for (const char c : trim(value)) {
      if (c != ' ' || before != ' ') out.push_back(c);
      before = c;
    }
  }
  return out;
}

std::string canonical_request(const port::HttpRequest& request, const SigV4Claims& claims) {
  std::string out = request.method + '\n' + encoded(path_of(request.target), true) + '\n' +
                    canonical_query(request.target) + '\n';
  std::string names;
  for (const std::string& name : claims.headers) {
    ((out += name) += ':') += canonical_value(request, name) + '\n';
    if (!names.empty()) names.push_back(';');
    names += name;
  }
  ((out += '\n') += names) += '\n';
  return out += crypto::hash_hex(crypto::Hash::sha256, {request.body}).view();
}

}  // namespace

const char* to_string(SigV4Fault fault) {
  static constexpr std::array names = {"missing",   "incomplete", "scope",    "expired",
                                       "too_early", "body",       "signature"};
  static_assert(names.size() == static_cast<size_t>(SigV4Fault::count_));
  return names[static_cast<size_t>(fault)];
}

std::optional<std::string> query_member(std::string_view target, std::string_view name) {
  for (auto& [key, value] : members_of(target).value_or(std::vector<Member>{}))
    if (key == name) return std::move(value);
  return std::nullopt;
}

Result<SigV4Claims, SigV4Fault> sigv4_claims(const port::HttpRequest& request) {
  const auto members = members_of(request.target);
  const auto header = only_header(request, "Authorization");
  if (!members || !header) return Failure{SigV4Fault::incomplete};
  const bool in_query = std::any_of(members->begin(), members->end(),
                                    [](const Member& m) { return m.first == "X-Amz-Signature"; });
  if (header->empty() && !in_query) return Failure{SigV4Fault::missing};
  SigV4Claims claims;
  const bool whole = header->empty() ? claims_of_query(*members, claims)
                                     : !in_query && claims_of_header(request, *header, claims);
  if (!whole) return Failure{SigV4Fault::incomplete};
  return claims;
}

std::string sigv4_signature(const port::HttpRequest& request, const SigV4Claims& claims,
                            std::string_view secret) {
  using crypto::Hash;
  std::string first = "AWS4";
  first += secret;
  const auto day = crypto::hmac(Hash::sha256, first, claims.day);
  crypto::wipe(first);
  const auto region = crypto::hmac(Hash::sha256, as_text(day.view()), claims.region);
  const auto service = crypto::hmac(Hash::sha256, as_text(region.view()), claims.service);
  const auto key = crypto::hmac(Hash::sha256, as_text(service.view()), terminator);
  const auto request_hash = crypto::hash_hex(Hash::sha256, {canonical_request(request, claims)});
  const auto signature = crypto::hmac(Hash::sha256, as_text(key.view()),
                                      {algorithm, "\n", claims.time, "\n", claims.day, "/", claims.region,
                                       "/", claims.service, "/", terminator, "\n", request_hash.view()});
  return std::string(crypto::hex(signature).view());
}

Status<SigV4Fault> sigv4_check(WallTime now, const SigV4Config& config, const port::HttpRequest& request,
                               const SigV4Claims& claims, std::string_view secret) {
  if (claims.region != config.region || claims.service != config.service ||
      claims.day != std::string_view(claims.time).substr(0, 8))
    return Failure{SigV4Fault::scope};
  // The signature first: who cannot sign learns nothing of our clock.
  if (secret.empty() ||
      !crypto::constant_time_equal(sigv4_signature(request, claims, secret), claims.signature))
    return Failure{SigV4Fault::signature};
  const std::string_view said = request.header("X-Amz-Content-Sha256");
  if (!said.empty() && said != crypto::hash_hex(crypto::Hash::sha256, {request.body}).view())
    return Failure{SigV4Fault::body};
  if (claims.signed_at > now + config.skew) return Failure{SigV4Fault::too_early};
  const Duration good =
      claims.expires == Duration{0} ? config.skew : std::min(claims.expires, config.longest);
  if (now > claims.signed_at + good) return Failure{SigV4Fault::expired};
  return Done{};
}

}  // namespace tandem::auth
