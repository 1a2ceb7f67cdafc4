#include "sip/strict.h"

#include <array>

#include "base/text.h"
#include "sip/scan.h"
#include "sip/uri_parse.h"

namespace tandem::sip {
namespace {

using scan::npos;
using Verdict = std::optional<Reason>;

Verdict unless(bool good, Reason reason) { return good ? std::nullopt : Verdict(reason); }

/// Characters of `bits`, or %HH.
bool all_or_escaped(std::string_view s, int bits) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '%')
      i += 2;  // parse_uri() has seen that two hex digits follow
    else if (!scan::is(s[i], bits))
      return false;
  }
  return true;
}

bool is_ipv4(std::string_view host) {
  const auto ip = IpAddress::parse(host);
  return ip && ip->is_v4();
}

/// hostname: labels of letters, digits and inner hyphens; the last one starts with a letter.
bool is_hostname(std::string_view host) {
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  std::string_view label;
  for (std::string_view rest = host;;) {
    const size_t dot = scan::find(rest, '.');
    label = rest.substr(0, dot);
    if (label.empty() || label.front() == '-' || label.back() == '-' || scan::find(label, '_') != npos)
      return false;
    if (dot == npos) break;
    rest = rest.substr(dot + 1);
  }
  return !is_digit(label.front());
}

bool is_host(std::string_view host) {
  return !host.empty() && (host.front() == '[' || is_hostname(host) || is_ipv4(host));
}

bool is_quoted(std::string_view s) {
  return s.size() >= 2 && s[0] == '"' && scan::skip_quoted(s, 0) == s.size();
}

/// A generic-param's value: token, host (IPv6 bare too, as `received` has it) or quoted-string.
bool is_param_value(std::string_view value) {
  if (is_quoted(value)) return true;
  for (const char c : value)
    if (!scan::is(c, scan::token) && c != '[' && c != ']' && c != ':') return false;
  return !value.empty();
}

/// ";a=b;c" without empty ones. Params skips those, so the separators are counted.
bool params_hold(const Params& params) {
  if (trim(params.text()).empty()) return params.text().data() == nullptr;
  size_t given = 0, separators = 0;
  bool good = true;
  params.for_each([&](const Param& p) {
    ++given;
    good = good && scan::is_token(p.name) && (!p.has_value || is_param_value(p.value));
  });
  const std::string_view text = params.text();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      i = scan::skip_quoted(text, i);
      if (i == npos) return false;
      --i;
    } else if (text[i] == ';') {
      ++separators;
    }
  }
  return good && given == separators + 1;
}

/// No empty elements ("a,,b").
bool list_holds(std::string_view value) {
  size_t commas = 0, items = 0;
  ListCursor list(value);
  std::string_view item;
  size_t inside = 0;
  while (list.next(item)) {
    ++items;
    for (const char c : item) inside += c == ',';
  }
  for (const char c : value) commas += c == ',';
  return items == commas - inside + 1;
}

Verdict check_via(std::string_view item) {
  Via via;
  if (const auto r = parse_via(item, via)) return r;
  const size_t slash = scan::find(via.protocol, '/');
  const bool sip =
      iequals(trim(via.protocol.substr(0, slash)), "SIP") && trim(via.protocol.substr(slash + 1)) == "2.0";
  return unless(sip && is_host(via.host) && params_hold(via.params), Reason::bad_via);
}

bool is_display(std::string_view display) {
  for (const char c : display)
    if (!scan::is(c, scan::token) && !scan::is_lws(c)) return false;
  return true;
}

bool is_qvalue(std::string_view q) {
  if (q.empty() || q.size() > 5 || (q[0] != '0' && q[0] != '1')) return false;
  if (q.size() > 1 && q[1] != '.') return false;
  for (size_t i = 2; i < q.size(); ++i)
    if (!is_digit(q[i]) || (q[0] == '1' && q[i] != '0')) return false;
  return true;
}

Verdict check_name_addr(std::string_view item, HeaderId id) {
  NameAddr name;
  if (const auto r = split_name_addr(item, name)) return r;
  if (name.star) return unless(id == HeaderId::contact, Reason::bad_name_addr);
  const bool brackets = name.uri_text.data() != trim(item).data();
  if (brackets) {
    // White space inside the brackets is none the grammar has.
    if (name.uri_text.empty() || name.uri_text.data()[-1] != '<' ||
        name.uri_text.data()[name.uri_text.size()] != '>')
      return Reason::bad_name_addr;
    if (trim(item).front() != '"' && !is_display(name.display)) return Reason::bad_name_addr;
  }
  if (!brackets && (id == HeaderId::route || id == HeaderId::record_route || id == HeaderId::path))
    return Reason::bad_name_addr;
  if (const auto r = strict_uri(name.uri_text)) return r;
  if (!params_hold(name.params)) return Reason::bad_params;
  if (id != HeaderId::contact) return std::nullopt;
  const auto expires = name.params.get("expires");
  if (expires && !parse_u32(*expires)) return Reason::bad_number;
  const auto q = name.params.get("q");
  return unless(!q || is_qvalue(*q), Reason::bad_params);
}

/// Balanced parentheses outside quotes (Server, User-Agent).
Verdict check_comments(std::string_view value, uint8_t deepest) {
  size_t depth = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\' && depth) {
      ++i;
    } else if (value[i] == '(') {
      if (++depth > deepest) return Reason::nested_too_deep;
    } else if (value[i] == ')') {
      if (depth-- == 0) return Reason::bad_token;
    }
  }
  return unless(depth == 0, Reason::bad_token);
}

bool is_call_id(std::string_view value) {
  const size_t at = scan::find(value, '@');
  const std::string_view host = at == npos ? std::string_view("x") : value.substr(at + 1);
  const std::string_view word = value.substr(0, at);
  return !word.empty() && !host.empty() && scan::all(word, scan::word) && scan::all(host, scan::word);
}

/// 370 devnull "Choose a bigger pipe" (section 20.43)
Verdict check_warning(std::string_view item) {
  const size_t space = scan::find(item, ' ');
  if (space != 3 || !parse_u32(item.substr(0, 3))) return Reason::bad_number;
  const size_t quote = scan::find(item, '"');
  return unless(quote != npos && is_quoted(trim(item.substr(quote))), Reason::bad_quoted_string);
}

/// type/subtype;parameters
Verdict check_media_type(std::string_view value) {
  const size_t semi = scan::find(value, ';');
  const std::string_view type = value.substr(0, semi);
  const size_t slash = scan::find(type, '/');
  if (slash == npos || !scan::is_token(trim(type.substr(0, slash))) ||
      !scan::is_token(trim(type.substr(slash + 1))))
    return Reason::bad_token;
  return unless(semi == npos || params_hold(Params(value.substr(semi + 1))), Reason::bad_params);
}

template <class T>
Verdict reason_of(const Result<T, Reason>& result) {
  return result ? std::nullopt : Verdict(result.reason());
}

bool is_name_addr_list(HeaderId id) {
  switch (id) {
    case HeaderId::contact:
    case HeaderId::route:
    case HeaderId::record_route:
    case HeaderId::path:
    case HeaderId::service_route:
    case HeaderId::p_asserted_identity:
    case HeaderId::p_preferred_identity:
    case HeaderId::p_associated_uri:
    case HeaderId::diversion:
      return true;
    default:
      return false;
  }
}

bool is_token_list(HeaderId id) {
  switch (id) {
    case HeaderId::allow:
    case HeaderId::allow_events:
    case HeaderId::supported:
    case HeaderId::require:
    case HeaderId::proxy_require:
    case HeaderId::unsupported:
      return true;
    default:
      return false;
  }
}

bool may_repeat(HeaderId id) {
  switch (id) {
    case HeaderId::from:
    case HeaderId::to:
    case HeaderId::call_id:
    case HeaderId::cseq:
    case HeaderId::max_forwards:
    case HeaderId::content_length:
    case HeaderId::content_type:
    case HeaderId::content_disposition:
    case HeaderId::date:
    case HeaderId::event:
    case HeaderId::expires:
    case HeaderId::min_expires:
    case HeaderId::min_se:
    case HeaderId::mime_version:
    case HeaderId::organization:
    case HeaderId::priority:
    case HeaderId::rack:
    case HeaderId::rseq:
    case HeaderId::refer_to:
    case HeaderId::referred_by:
    case HeaderId::replaces:
    case HeaderId::reply_to:
    case HeaderId::retry_after:
    case HeaderId::server:
    case HeaderId::session_expires:
    case HeaderId::sip_etag:
    case HeaderId::sip_if_match:
    case HeaderId::subject:
    case HeaderId::subscription_state:
    case HeaderId::timestamp:
    case HeaderId::user_agent:
      return false;
    default:
      return true;
  }
}

template <class F>
Verdict each(std::string_view value, Reason on_gap, F&& check) {
  if (!list_holds(value)) return on_gap;
  ListCursor list(value);
  std::string_view item;
  while (list.next(item))
    if (const Verdict v = check(item)) return v;
  return std::nullopt;
}

Verdict check_number(std::string_view value, uint32_t most) {
  const auto n = parse_u32(value);
  return unless(n && *n <= most, Reason::bad_number);
}

Verdict check_cseq(std::string_view value) {
  CSeq cseq;
  if (const auto r = parse_cseq(value, cseq)) return r;
  return unless(cseq.number < (uint32_t{1} << 31), Reason::bad_cseq);  // section 8.1.1.5
}

Verdict check_value(HeaderId id, std::string_view value, const Limits& limits) {
  if (is_name_addr_list(id))
    return each(value, Reason::bad_name_addr,
                [id](std::string_view item) { return check_name_addr(item, id); });
  if (is_token_list(id)) {
    if (value.empty()) return std::nullopt;
    return each(value, Reason::bad_token,
                [](std::string_view item) { return unless(scan::is_token(item), Reason::bad_token); });
  }
  switch (id) {
    case HeaderId::via:
      return each(value, Reason::bad_via, check_via);
    case HeaderId::from:
    case HeaderId::to:
    case HeaderId::refer_to:
    case HeaderId::referred_by:
    case HeaderId::reply_to:
      return check_name_addr(value, id);
    case HeaderId::call_id:
      return unless(is_call_id(value), Reason::bad_token);
    case HeaderId::cseq:
      return check_cseq(value);
    case HeaderId::max_forwards:
      return check_number(value, 255);
    case HeaderId::content_length:
    case HeaderId::min_expires:
    case HeaderId::expires:
      return check_number(value, UINT32_MAX);
    case HeaderId::rseq:
      return check_number(value, (uint32_t{1} << 31) - 1);
    case HeaderId::retry_after:
      return reason_of(parse_delta_seconds(value));
    case HeaderId::min_se:
    case HeaderId::session_expires:
      return reason_of(SessionExpires::parse(value));
    case HeaderId::date:
      return reason_of(parse_date(value));
    case HeaderId::rack:
      return reason_of(RAck::parse(value));
    case HeaderId::event:
      return reason_of(EventType::parse(value));
    case HeaderId::subscription_state:
      return reason_of(SubscriptionState::parse(value));
    case HeaderId::replaces:
      return reason_of(Replaces::parse(value));
    case HeaderId::content_type:
      return check_media_type(value);
    case HeaderId::authorization:
    case HeaderId::proxy_authorization:
    case HeaderId::www_authenticate:
    case HeaderId::proxy_authenticate:
      return reason_of(AuthValue::parse(value));
    case HeaderId::warning:
      return each(value, Reason::bad_token, check_warning);
    case HeaderId::server:
    case HeaderId::user_agent:
      return check_comments(value, limits.nesting);
    default:
      return std::nullopt;
  }
}

/// Controls stand only in folds and behind the backslash of a quoted-pair.
bool controls_hold(std::string_view value) {
  for (size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<uint8_t>(value[i]);
    if (c == '\\')
      ++i;
    else if ((c < 0x20 && !scan::is_lws(value[i])) || c == 0x7f)
      return false;
  }
  return true;
}

Verdict check_sip(const Uri& uri) {
  if (!is_host(uri.host)) return Reason::bad_host;
  if (!all_or_escaped(uri.user, scan::user)) return Reason::bad_uri;
  for (const char c : uri.password)
    if (scan::find("/;?", c) != npos) return Reason::bad_uri;
  if (!all_or_escaped(uri.password, scan::user)) return Reason::bad_uri;
  bool good = true;
  uri.params.for_each([&good](const Param& p) {
    good = good && !p.name.empty() && all_or_escaped(p.name, scan::param) &&
           all_or_escaped(p.value, scan::param) && p.has_value == !p.value.empty();
  });
  const std::string_view params = uri.params.text();
  const bool gap =
      params.find(";;") != npos || (!params.empty() && (params.front() == ';' || params.back() == ';'));
  if (!good || gap || (params.empty() && params.data() != nullptr)) return Reason::bad_params;
  Params(uri.headers, '&').for_each([&good](const Param& h) {
    good = good && h.has_value && !h.name.empty() && all_or_escaped(h.name, scan::header) &&
           all_or_escaped(h.value, scan::header);
  });
  return unless(good, Reason::bad_uri);
}

}  // namespace

std::optional<Reason> strict_uri(std::string_view text) {
  Uri uri;
  if (const auto r = parse_uri(text, uri)) return r;
  if (uri.is_sip()) return check_sip(uri);
  // RFC 3966 section 3: a local number says in which context it is one.
  if (uri.scheme == Scheme::tel)
    return unless(uri.user[0] == '+' || uri.params.has("phone-context"), Reason::bad_uri);
  return std::nullopt;
}

std::optional<Reason> strict_check(const Message& message, const Limits& limits) {
  if (message.loose_start_line()) return Reason::bad_start_line;
  if (message.is_request()) {
    if (const auto r = strict_uri(message.request_uri())) return r;
    // Section 19.1.1, table 1: headers have no place in a Request-URI.
    const auto uri = message.parsed_request_uri();
    if (uri && !uri->headers.empty()) return Reason::bad_uri;
  }
  std::array<bool, static_cast<size_t>(HeaderId::other)> seen{};
  for (const HeaderField& f : message.headers()) {
    if (!controls_hold(f.value)) return Reason::bad_line;
    if (f.id == HeaderId::other) continue;
    bool& twice = seen[static_cast<size_t>(f.id)];
    if (twice && !may_repeat(f.id)) return Reason::duplicate_header;
    twice = true;
    if (const auto r = check_value(f.id, f.value, limits)) return r;
  }
  return std::nullopt;
}

}  // namespace tandem::sip
