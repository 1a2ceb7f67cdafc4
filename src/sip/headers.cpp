#include "sip/headers.h"

#include <charconv>

#include "base/text.h"
#include "sip/scan.h"
#include "sip/uri_parse.h"

namespace tandem::sip {
namespace {

using scan::npos;

Failure<Reason> fail(Reason r) { return Failure<Reason>{r}; }

/// Takes the token in front of `text`, and the white space after it.
std::string_view take_token(std::string_view& text) {
  size_t n = 0;
  while (n < text.size() && scan::is(text[n], scan::token)) ++n;
  const std::string_view token = text.substr(0, n);
  text = scan::ltrim(text.substr(n));
  return token;
}

/// Takes decimal digits; false when there are none or they do not fit.
bool take_number(std::string_view& text, uint32_t& out) {
  if (text.empty() || !is_digit(text[0])) return false;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(at - text.data()));
  return true;
}

/// What follows a value: nothing, or ";" and parameters.
bool take_params(std::string_view rest, Params& out) {
  rest = scan::ltrim(rest);
  if (rest.empty()) return true;
  if (rest[0] != ';') return false;
  out = Params(rest.substr(1));
  return true;
}

std::string_view without_quotes(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    return value.substr(1, value.size() - 2);
  return value;
}

std::optional<uint32_t> number_param(const Params& params, std::string_view name) {
  const auto value = params.get(name);
  return value ? parse_u32(*value) : std::nullopt;
}

/// The separating comma, or npos.
size_t find_comma(std::string_view s) {
  if (scan::find(s, ',') == npos) return npos;
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == ',') return i;
    if (s[i] == '"') {
      i = scan::skip_quoted(s, i);
      if (i == npos) return npos;
      --i;
    } else if (s[i] == '<') {
      i = scan::find(s, '>', i);
      if (i == npos) return npos;
    }
  }
  return npos;
}

/// The white-space-separated slashes of "SIP / 2.0 / UDP"; the usual form has none and never comes here.
std::optional<Reason> split_protocol(std::string_view& rest, Via& out) {
  const size_t name_at = scan::find(rest, '/');
  if (name_at == npos || !scan::is_token(trim(rest.substr(0, name_at)))) return Reason::bad_via;
  const size_t version_at = scan::find(rest, '/', name_at + 1);
  if (version_at == npos || !scan::is_token(trim(rest.substr(name_at + 1, version_at - name_at - 1))))
    return Reason::bad_via;
  out.protocol = trim(rest.substr(0, version_at));
  rest.remove_prefix(version_at + 1);
  return std::nullopt;
}

constexpr std::string_view weekdays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

template <size_t N>
int index_of(const std::string_view (&names)[N], std::string_view name) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<int>(i);
  return -1;
}

/// Days since 1970-01-01 of a Gregorian date: counts years from March, so that the leap day comes last.
int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  const int64_t y = month <= 2 ? year - 1 : year;
  const int64_t era = y / 400;
  const int64_t year_of_era = y - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

int64_t days_in_month(int64_t year, int64_t month) {
  if (month == 2) return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

}  // namespace

bool ListCursor::next(std::string_view& item) {
  while (!rest_.empty()) {
    const size_t comma = find_comma(rest_);
    item = trim(rest_.substr(0, comma));
    rest_ = comma == npos ? std::string_view{} : rest_.substr(comma + 1);
    if (!item.empty()) return true;
  }
  return false;
}

std::optional<Reason> split_name_addr(std::string_view text, NameAddr& out) {
  text = trim(text);
  if (text == "*") {
    out.star = true;
    return std::nullopt;
  }
  size_t open = 0;
  if (text.empty()) return Reason::bad_name_addr;
  if (text[0] == '"') {
    const size_t closed = scan::skip_quoted(text, 0);
    if (closed == npos) return Reason::bad_quoted_string;
    out.display = text.substr(1, closed - 2);
    open = closed;
    while (open < text.size() && scan::is_lws(text[open])) ++open;
    if (open == text.size() || text[open] != '<') return Reason::bad_name_addr;
  } else {
    open = scan::find(text, '<');
    // A bracket inside a quoted header parameter is none of ours: an addr-spec ends at the first ';'.
    if (open != npos && scan::find(text.substr(0, open), ';') != npos) open = npos;
    if (open != npos) out.display = trim(text.substr(0, open));
  }
  if (open == npos) {  // addr-spec: no comma, question mark or parameter of its own (section 20.10)
    const size_t semi = scan::find(text, ';');
    out.uri_text = trim(text.substr(0, semi));
    if (semi != npos) out.params = Params(text.substr(semi + 1));
    const bool needs_brackets = out.uri_text.find_first_of(",?") != npos;
    return needs_brackets || out.uri_text.empty() ? std::optional(Reason::bad_name_addr) : std::nullopt;
  }
  const size_t close = scan::find(text, '>', open);
  if (close == npos) return Reason::bad_name_addr;
  out.uri_text = trim(text.substr(open + 1, close - open - 1));
  if (!take_params(text.substr(close + 1), out.params)) return Reason::bad_name_addr;
  return std::nullopt;
}

Result<NameAddr, Reason> NameAddr::parse(std::string_view text) {
  NameAddr out;
  if (const auto r = split_name_addr(text, out)) return fail(*r);
  if (out.star) return out;
  if (const auto r = parse_uri(out.uri_text, out.uri)) return fail(*r);
  return out;
}

std::optional<Reason> parse_via(std::string_view text, Via& out) {
  text = trim(text);
  out.text = text;
  std::string_view rest = text;
  if (text.size() > 8 && std::memcmp(text.data(), "SIP/2.0/", 8) == 0) {
    out.protocol = text.substr(0, 7);
    rest.remove_prefix(8);
  } else if (const auto r = split_protocol(rest, out)) {
    return r;
  }
  rest = scan::ltrim(rest);
  size_t n = 0;
  while (n < rest.size() && scan::is(rest[n], scan::token)) ++n;
  out.transport = rest.substr(0, n);
  if (n == 0 || n == rest.size() || !scan::is_lws(rest[n])) return Reason::bad_via;
  rest = scan::ltrim(rest.substr(n));
  const size_t semi = scan::find(rest, ';');
  if (parse_host_port(trim(rest.substr(0, semi)), out.host, out.port)) return Reason::bad_via;
  if (semi == npos) return std::nullopt;
  out.params = Params(rest.substr(semi + 1));
  if (const auto branch = out.params.get("branch")) out.branch = *branch;
  return std::nullopt;
}

Result<Via, Reason> Via::parse(std::string_view text) {
  Via out;
  if (const auto r = parse_via(text, out)) return fail(*r);
  return out;
}

std::optional<Reason> parse_cseq(std::string_view text, CSeq& out) {
  text = trim(text);
  if (!take_number(text, out.number) || text.empty() || !scan::is_lws(text[0])) return Reason::bad_cseq;
  text = scan::ltrim(text);
  out.method_text = take_token(text);
  if (out.method_text.empty() || !text.empty()) return Reason::bad_cseq;
  out.method = method_from(out.method_text);
  return std::nullopt;
}

Result<CSeq, Reason> CSeq::parse(std::string_view text) {
  CSeq out;
  if (const auto r = parse_cseq(text, out)) return fail(*r);
  return out;
}

Result<RAck, Reason> RAck::parse(std::string_view text) {
  RAck out;
  text = trim(text);
  if (!take_number(text, out.rseq) || text.empty() || !scan::is_lws(text[0])) return fail(Reason::bad_number);
  text = scan::ltrim(text);
  if (!take_number(text, out.cseq) || text.empty() || !scan::is_lws(text[0])) return fail(Reason::bad_number);
  text = scan::ltrim(text);
  out.method_text = take_token(text);
  if (out.method_text.empty() || !text.empty()) return fail(Reason::bad_token);
  return out;
}

Result<Replaces, Reason> Replaces::parse(std::string_view text) {
  Replaces out;
  text = trim(text);
  const size_t semi = scan::find(text, ';');
  out.call_id = trim(text.substr(0, semi));
  if (out.call_id.empty() || !scan::all(out.call_id, scan::word | scan::uri_plain))
    return fail(Reason::bad_token);
  if (semi == npos) return fail(Reason::bad_params);
  const Params params(text.substr(semi + 1));
  // Target-Dialog calls the peer's view local-tag and remote-tag (RFC 4538); the request's sender is the
  // "from" there.
  out.to_tag = params.get("to-tag").value_or(params.get("remote-tag").value_or(std::string_view{}));
  out.from_tag = params.get("from-tag").value_or(params.get("local-tag").value_or(std::string_view{}));
  out.early_only = params.has("early-only");
  if (out.to_tag.empty() || out.from_tag.empty()) return fail(Reason::bad_params);
  return out;
}

Result<SessionExpires, Reason> SessionExpires::parse(std::string_view text) {
  SessionExpires out;
  text = trim(text);
  if (!take_number(text, out.seconds)) return fail(Reason::bad_number);
  Params params;
  if (!take_params(text, params)) return fail(Reason::bad_params);
  if (const auto refresher = params.get("refresher")) {
    if (iequals(*refresher, "uac"))
      out.refresher = Refresher::uac;
    else if (iequals(*refresher, "uas"))
      out.refresher = Refresher::uas;
    else
      return fail(Reason::bad_params);
  }
  return out;
}

Result<EventType, Reason> EventType::parse(std::string_view text) {
  EventType out;
  text = trim(text);
  out.package = take_token(text);
  if (out.package.empty()) return fail(Reason::bad_token);
  if (!take_params(text, out.params)) return fail(Reason::bad_params);
  out.id = out.params.get("id").value_or(std::string_view{});
  return out;
}

Result<SubscriptionState, Reason> SubscriptionState::parse(std::string_view text) {
  SubscriptionState out;
  text = trim(text);
  out.state = take_token(text);
  if (out.state.empty()) return fail(Reason::bad_token);
  Params params;
  if (!take_params(text, params)) return fail(Reason::bad_params);
  out.reason = params.get("reason").value_or(std::string_view{});
  out.expires = number_param(params, "expires");
  out.retry_after = number_param(params, "retry-after");
  return out;
}

Result<AuthValue, Reason> AuthValue::parse(std::string_view text) {
  AuthValue out;
  text = trim(text);
  size_t n = 0;
  while (n < text.size() && scan::is(text[n], scan::token)) ++n;
  out.scheme = text.substr(0, n);
  if (n == 0 || n == text.size() || !scan::is_lws(text[n])) return fail(Reason::bad_auth);
  out.params = scan::ltrim(text.substr(n));
  for (size_t quote = scan::find(out.params, '"'); quote != npos;) {
    const size_t closed = scan::skip_quoted(out.params, quote);
    if (closed == npos) return fail(Reason::bad_quoted_string);
    quote = scan::find(out.params, '"', closed);
  }
  return out.params.empty() ? Result<AuthValue, Reason>(fail(Reason::bad_auth)) : out;
}

std::optional<std::string_view> AuthValue::get(std::string_view name) const {
  const auto value = Params(params, ',').get(name);
  if (!value) return std::nullopt;
  return without_quotes(*value);
}

Result<ReasonValue, Reason> ReasonValue::parse(std::string_view text) {
  ReasonValue out;
  text = trim(text);
  out.protocol = take_token(text);
  if (out.protocol.empty()) return fail(Reason::bad_token);
  Params params;
  if (!take_params(text, params)) return fail(Reason::bad_params);
  out.cause = number_param(params, "cause");
  out.text = without_quotes(params.get("text").value_or(std::string_view{}));
  return out;
}

// "Sat, 13 Nov 2010 23:29:00 GMT": every column is fixed.
Result<int64_t, Reason> parse_date(std::string_view text) {
  const std::string_view t = trim(text);
  if (t.size() != 29 || index_of(weekdays, t.substr(0, 3)) < 0 || t.substr(3, 2) != ", " || t[7] != ' ' ||
      t[11] != ' ' || t[16] != ' ' || t[19] != ':' || t[22] != ':' || t.substr(25) != " GMT")
    return fail(Reason::bad_date);
  const auto day = parse_u32(t.substr(5, 2)), year = parse_u32(t.substr(12, 4)),
             hour = parse_u32(t.substr(17, 2)), minute = parse_u32(t.substr(20, 2)),
             second = parse_u32(t.substr(23, 2));
  const int month = index_of(months, t.substr(8, 3)) + 1;
  if (!day || !year || !hour || !minute || !second || month == 0) return fail(Reason::bad_date);
  // A leap second is written as 60.
  if (*day < 1 || *day > days_in_month(*year, month) || *hour > 23 || *minute > 59 || *second > 60)
    return fail(Reason::bad_date);
  return ((days_from_civil(*year, month, *day) * 24 + *hour) * 60 + *minute) * 60 + *second;
}

Result<uint32_t, Reason> parse_delta_seconds(std::string_view text) {
  uint32_t seconds = 0;
  text = trim(text);
  if (!take_number(text, seconds)) return fail(Reason::bad_number);
  text = scan::ltrim(text);
  if (!text.empty() && text[0] != '(' && text[0] != ';') return fail(Reason::bad_number);
  return seconds;
}

std::string unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  text = text.substr(1, text.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out.push_back(text[i]);
  }
  return out;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<uint8_t>(c);
    if (u < 0x20 || u == 0x7f) continue;
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

}  // namespace tandem::sip
