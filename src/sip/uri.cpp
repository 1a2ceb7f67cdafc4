#include "sip/uri.h"

#include <charconv>

#include "base/address.h"
#include "base/text.h"
#include "sip/scan.h"
#include "sip/uri_parse.h"

namespace tandem::sip {
namespace {

using scan::npos;

Failure<Reason> fail(Reason r) { return Failure<Reason>{r}; }

int nibble(char c) {
  if (is_digit(c)) return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Every % must start an escape.
bool escapes_hold(std::string_view s) {
  for (size_t i = scan::find(s, '%'); i != npos; i = scan::find(s, '%', i + 3))
    if (s.size() - i < 3 || nibble(s[i + 1]) < 0 || nibble(s[i + 2]) < 0) return false;
  return true;
}

std::optional<Reason> parse_userinfo(std::string_view info, Uri& out) {
  const size_t colon = scan::find(info, ':');
  out.user = info.substr(0, colon);
  if (colon != npos) out.password = info.substr(colon + 1);
  if (out.user.empty()) return Reason::bad_uri;
  return std::nullopt;
}

std::optional<Reason> parse_tel(std::string_view rest, Uri& out) {
  const size_t semi = scan::find(rest, ';');
  out.user = rest.substr(0, semi);
  if (semi != npos) out.params = Params(rest.substr(semi + 1));
  if (out.user.empty()) return Reason::bad_uri;
  size_t digits = 0;
  for (size_t i = 0; i < out.user.size(); ++i) {
    const char c = out.user[i];
    if (c == '+' && i == 0) continue;
    if (nibble(c) >= 0 || c == '*' || c == '#')
      ++digits;
    else if (c != '-' && c != '.' && c != '(' && c != ')')
      return Reason::bad_uri;
  }
  return digits ? std::nullopt : std::optional(Reason::bad_uri);
}

std::optional<Reason> parse_sip(std::string_view rest, Uri& out) {
  if (const size_t at = scan::find(rest, '@'); at != npos) {
    if (const auto r = parse_userinfo(rest.substr(0, at), out)) return r;
    rest.remove_prefix(at + 1);
    if (scan::find(rest, '@') != npos) return Reason::bad_uri;
  }
  size_t end = 0;
  if (!rest.empty() && rest[0] == '[') {
    end = scan::find(rest, ']');
    if (end == npos) return Reason::bad_host;
  }
  while (end < rest.size() && rest[end] != ';' && rest[end] != '?') ++end;
  if (const auto r = parse_host_port(rest.substr(0, end), out.host, out.port)) return r;
  rest.remove_prefix(end);
  if (!rest.empty() && rest[0] == ';') {
    const size_t question = scan::find(rest, '?');
    out.params = Params(rest.substr(1, question == npos ? npos : question - 1));
    rest = question == npos ? std::string_view{} : rest.substr(question);
  }
  if (!rest.empty()) out.headers = rest.substr(1);
  return std::nullopt;
}

// ---- comparison

constexpr std::string_view reserved = ";/?:@&=+$,";

/// One character of escaped text; an escaped reserved character is another one than its plain self.
struct Unit {
  char c = 0;
  bool escaped_reserved = false;
};
Unit take_unit(std::string_view& s) {
  if (s[0] == '%' && s.size() >= 3 && nibble(s[1]) >= 0 && nibble(s[2]) >= 0) {
    const char c = static_cast<char>(nibble(s[1]) << 4 | nibble(s[2]));
    s.remove_prefix(3);
    return {c, reserved.find(c) != npos};
  }
  const char c = s[0];
  s.remove_prefix(1);
  return {c, false};
}
bool same_text(std::string_view a, std::string_view b, bool fold_case) {
  while (!a.empty() && !b.empty()) {
    const Unit x = take_unit(a), y = take_unit(b);
    const bool same = fold_case ? to_lower(x.c) == to_lower(y.c) : x.c == y.c;
    if (!same || x.escaped_reserved != y.escaped_reserved) return false;
  }
  return a.empty() && b.empty();
}

/// "[2001:db8::1]". The grammar of RFC 3261 lets ":::" stand before an embedded IPv4 address; RFC 5118
/// section 4.10 wants it read as "::".
std::optional<IpAddress> parse_reference(std::string_view text) {
  if (scan::find(text, ':') == npos) return std::nullopt;  // IPv4 in brackets is no reference
  const size_t three = text.find(":::");
  if (three == npos) return IpAddress::parse(text);
  char fixed[64];
  const std::string_view after = text.substr(three + 3);
  if (text.size() > sizeof fixed || scan::find(after, '.') == npos || scan::find(after, ':') != npos)
    return std::nullopt;
  std::memcpy(fixed, text.data(), three + 2);
  std::memcpy(fixed + three + 2, after.data(), after.size());
  return IpAddress::parse({fixed, three + 2 + after.size()});
}

bool same_host(std::string_view a, std::string_view b) {
  if (!a.empty() && a[0] == '[') {
    const auto x = parse_reference(a), y = parse_reference(b);
    return x && y && *x == *y;
  }
  return iequals(a, b);
}

std::optional<std::string_view> find_param(const Params& params, std::string_view name) {
  std::optional<std::string_view> found;
  params.for_each([&](const Param& p) {
    if (!found && same_text(p.name, name, true)) found = p.value;
  });
  return found;
}

/// Every parameter of `a` that `b` has too must agree; the four that change where a request goes must stand
/// in both.
bool params_agree(const Params& a, const Params& b) {
  bool agree = true;
  a.for_each([&](const Param& p) {
    // Where a name stands twice the first one counts.
    if (!agree || find_param(a, p.name)->data() != p.value.data()) return;
    const auto other = find_param(b, p.name);
    if (other) {
      agree = agree && same_text(p.value, *other, true);
      return;
    }
    for (const std::string_view must : {"transport", "user", "ttl", "method", "maddr"})
      if (same_text(p.name, must, true)) agree = false;
  });
  return agree;
}

bool headers_in(std::string_view a, std::string_view b) {
  const Params of_a(a, '&'), of_b(b, '&');
  bool all = true;
  of_a.for_each([&](const Param& p) {
    bool found = false;
    of_b.for_each([&](const Param& q) {
      found = found || (same_text(p.name, q.name, true) && same_text(p.value, q.value, false));
    });
    all = all && found;
  });
  return all;
}

/// Comparing looks each parameter up among the others; past this many a peer would make us pay for it.
bool too_many_to_compare(const Uri& uri) {
  constexpr size_t most = 64;
  size_t separators = 0;
  for (const char c : uri.params.text()) separators += c == ';';
  for (const char c : uri.headers) separators += c == '&';
  return separators > most;
}

/// RFC 3966 section 3: visual separators do not count.
bool same_number(std::string_view a, std::string_view b) {
  const auto next = [](std::string_view& s) -> char {
    while (!s.empty()) {
      const char c = to_lower(s[0]);
      s.remove_prefix(1);
      if (c != '-' && c != '.' && c != '(' && c != ')') return c;
    }
    return '\0';
  };
  for (;;) {
    const char x = next(a), y = next(b);
    if (x != y) return false;
    if (x == '\0') return true;
  }
}

bool tel_params_same(const Params& a, const Params& b) {
  bool same = true;
  a.for_each([&](const Param& p) {
    const auto other = b.get(p.name);
    if (a.get(p.name)->data() != p.value.data()) return;
    same = same && other && iequals(p.value, *other);
  });
  return same;
}

}  // namespace

std::optional<Reason> parse_host_port(std::string_view text, std::string_view& host, uint16_t& port) {
  size_t end;
  if (!text.empty() && text[0] == '[') {
    end = scan::find(text, ']');
    if (end == npos) return Reason::bad_host;
    ++end;
    if (!parse_reference(text.substr(0, end))) return Reason::bad_host;
  } else {
    end = 0;
    while (end < text.size() && scan::is(text[end], scan::host)) ++end;
    if (end == 0) return Reason::bad_host;
  }
  host = text.substr(0, end);
  std::string_view rest = text.substr(end);
  port = 0;
  if (rest.empty()) return std::nullopt;
  rest = scan::ltrim(rest);
  if (rest.empty()) return std::nullopt;
  if (rest[0] != ':') return Reason::bad_host;
  rest = trim(rest.substr(1));
  const auto [at, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
  if (error != std::errc() || at != rest.data() + rest.size() || port == 0) return Reason::bad_port;
  return std::nullopt;
}

std::optional<Reason> parse_uri(std::string_view text, Uri& out) {
  out.text = text;
  if (!scan::all(text, scan::uri_plain)) return Reason::bad_uri;
  if (!escapes_hold(text)) return Reason::bad_escape;
  if (istarts_with(text, "sip:")) {
    out.scheme = Scheme::sip;
    return parse_sip(text.substr(4), out);
  }
  if (istarts_with(text, "sips:")) {
    out.scheme = Scheme::sips;
    return parse_sip(text.substr(5), out);
  }
  if (istarts_with(text, "tel:")) {
    out.scheme = Scheme::tel;
    return parse_tel(text.substr(4), out);
  }
  const size_t colon = scan::find(text, ':');
  if (colon == npos || colon == 0 || colon + 1 == text.size()) return Reason::bad_uri;
  for (size_t i = 0; i < colon; ++i) {
    const char c = to_lower(text[i]);
    const bool letter = c >= 'a' && c <= 'z';
    if (!letter && (i == 0 || !(is_digit(c) || c == '+' || c == '-' || c == '.'))) return Reason::bad_uri;
  }
  out.scheme = Scheme::other;
  return std::nullopt;
}

Result<Uri, Reason> Uri::parse(std::string_view text) {
  Uri uri;
  if (const auto r = parse_uri(text, uri)) return fail(*r);
  return uri;
}

bool Params::next(std::string_view& rest, Param& out) const {
  for (;;) {
    rest = scan::ltrim(rest);
    if (rest.empty()) return false;
    size_t end = scan::find(rest, separator_);
    size_t quote = scan::find(rest.substr(0, end), '"');
    while (quote != npos) {
      const size_t closed = scan::skip_quoted(rest, quote);
      if (closed == npos) {
        end = npos;
        break;
      }
      end = scan::find(rest, separator_, closed);
      quote = scan::find(rest.substr(0, end), '"', closed);
    }
    const std::string_view item = trim(rest.substr(0, end));
    rest = end == npos ? std::string_view{} : rest.substr(end + 1);
    if (item.empty()) continue;
    const size_t equal = scan::find(item, '=');
    out.has_value = equal != npos;
    out.name = out.has_value ? trim(item.substr(0, equal)) : item;
    out.value = out.has_value ? trim(item.substr(equal + 1)) : std::string_view{};
    return true;
  }
}

std::optional<std::string_view> Params::get(std::string_view name) const {
  std::string_view rest = text_;
  Param p;
  while (next(rest, p))
    if (iequals(p.name, name)) return p.value;
  return std::nullopt;
}

bool equivalent(const Uri& a, const Uri& b) {
  if (a.scheme != b.scheme) return false;
  if (a.scheme == Scheme::other || too_many_to_compare(a) || too_many_to_compare(b)) return a.text == b.text;
  if (a.scheme == Scheme::tel)
    return same_number(a.user, b.user) && tel_params_same(a.params, b.params) &&
           tel_params_same(b.params, a.params);
  return same_text(a.user, b.user, false) && same_text(a.password, b.password, false) &&
         same_host(a.host, b.host) && a.port == b.port && params_agree(a.params, b.params) &&
         params_agree(b.params, a.params) && headers_in(a.headers, b.headers) &&
         headers_in(b.headers, a.headers);
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int hi = nibble(text[i + 1]), lo = nibble(text[i + 2]);
    if (hi < 0 || lo < 0) return std::nullopt;
    out.push_back(static_cast<char>(hi << 4 | lo));
    i += 2;
  }
  return out;
}

std::string escape_user(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (scan::is(c, scan::user)) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(digits[static_cast<uint8_t>(c) >> 4]);
      out.push_back(digits[static_cast<uint8_t>(c) & 15]);
    }
  }
  return out;
}

}  // namespace tandem::sip
