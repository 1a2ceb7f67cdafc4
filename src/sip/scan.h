#pragma once
// Character classes of RFC 3261 section 25.1 and the wide scans the parsers of this room share.
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tandem::sip::scan {

enum Class : uint8_t {
  token = 1,       // alphanum - . ! % * _ + ` ' ~
  host = 2,        // alphanum - . and the underscore that devices use
  user = 4,        // unreserved, user-unreserved
  param = 8,       // unreserved, param-unreserved
  uri_plain = 16,  // anything that does not end a URI: no controls, white space, <, > or "
  header = 32,     // unreserved, hnv-unreserved
  word = 64,       // Call-ID's word
};

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> t{};
  const auto mark = [&t](std::string_view set, int bits) {
    for (const char c : set) t[static_cast<uint8_t>(c)] |= static_cast<uint8_t>(bits);
  };
  constexpr std::string_view alphanum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  mark(alphanum, token | host | user | param | header | word);
  mark("-.!%*_+`'~", token | word);
  mark("()<>:\\\"/[]?{}", word);
  mark("-._", host);
  mark("-_.!~*'()", user | param | header);
  mark("&=+$,;?/", user);
  mark("[]/:&+$", param);
  mark("[]/?:+$", header);
  for (size_t c = 0x21; c < 256; ++c)
    if (c != 0x7f && c != '<' && c != '>' && c != '"') t[c] |= uri_plain;
  return t;
}
inline constexpr std::array<uint8_t, 256> classes = make_classes();

constexpr bool is(char c, int bits) { return (classes[static_cast<uint8_t>(c)] & bits) != 0; }
constexpr bool all(std::string_view s, int bits) {
  for (const char c : s)
    if (!is(c, bits)) return false;
  return true;
}
constexpr bool is_token(std::string_view s) { return !s.empty() && all(s, token); }
constexpr bool is_lws(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

inline constexpr size_t npos = std::string_view::npos;

inline size_t find(std::string_view s, char c, size_t from = 0) {
  if (from >= s.size()) return npos;
  const void* at = std::memchr(s.data() + from, c, s.size() - from);
  return at ? static_cast<size_t>(static_cast<const char*>(at) - s.data()) : npos;
}

/// `at` stands on an opening quote; the place after the closing one, npos when it never closes.
constexpr size_t skip_quoted(std::string_view s, size_t at) {
  for (size_t i = at + 1; i < s.size(); ++i) {
    if (s[i] == '\\')
      ++i;
    else if (s[i] == '"')
      return i + 1;
  }
  return npos;
}

/// The first CR, LF or NUL in [p, end), or end.
inline const char* find_line_special(const char* p, const char* end) {
#if defined(__SSE2__)
  const __m128i cr = _mm_set1_epi8('\r');
  const __m128i lf = _mm_set1_epi8('\n');
  const __m128i nul = _mm_setzero_si128();
  for (; end - p >= 16; p += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(block, cr), _mm_cmpeq_epi8(block, lf)),
                                     _mm_cmpeq_epi8(block, nul));
    if (const int mask = _mm_movemask_epi8(hit)) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (p != end && *p != '\r' && *p != '\n' && *p != '\0') ++p;
  return p;
}

/// The first `c` in [p, end), or end; quick when it is near.
inline const char* find_near(const char* p, const char* end, char c) {
#if defined(__SSE2__)
  if (end - p >= 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
    if (mask) return p + __builtin_ctz(static_cast<unsigned>(mask));
    p += 16;
  }
#endif
  while (p != end && *p != c) ++p;
  return p;
}

constexpr std::string_view ltrim(std::string_view s) {
  while (!s.empty() && is_lws(s.front())) s.remove_prefix(1);
  return s;
}

/// One header field as it lies in the text.
struct Field {
  std::string_view name;
  std::string_view value;  // trimmed
};

enum class FieldResult : uint8_t { field, end_of_headers, need_more, bad_line, bad_name };

/// Reads the field (with its folded lines) at `p` and moves `p` behind it. Lines end with CRLF only: a CR or
/// LF alone, which other elements on the way may read as a line end, is bad_line, and so is a NUL that no
/// backslash stands before.
inline FieldResult next_field(const char*& p, const char* end, Field& out) {
  if (end - p < 2) return FieldResult::need_more;
  if (p[0] == '\r') {
    if (p[1] != '\n') return FieldResult::bad_line;
    p += 2;
    return FieldResult::end_of_headers;
  }
  const char* stop = p;
  for (;;) {
    stop = find_line_special(stop, end);
    if (end - stop < 2) return FieldResult::need_more;
    if (stop[0] == '\0' && stop != p && stop[-1] == '\\') {  // a quoted-pair may hold it (section 25.1)
      ++stop;
      continue;
    }
    if (stop[0] != '\r' || stop[1] != '\n') return FieldResult::bad_line;
    if (end - stop < 3) return FieldResult::need_more;  // the next line may be a folded one
    if (stop[2] != ' ' && stop[2] != '\t') break;
    stop += 3;
  }
  const char* colon = find_near(p, stop, ':');
  if (colon == stop) return FieldResult::bad_name;
  const char* name_end = colon;
  while (name_end != p && (name_end[-1] == ' ' || name_end[-1] == '\t')) --name_end;
  const char* from = colon + 1;
  const char* to = stop;
  while (from != to && is_lws(*from)) ++from;
  while (to != from && is_lws(to[-1])) --to;
  out.name = {p, static_cast<size_t>(name_end - p)};
  out.value = {from, static_cast<size_t>(to - from)};
  p = stop + 2;
  return out.name.empty() ? FieldResult::bad_name : FieldResult::field;
}

}  // namespace tandem::sip::scan
