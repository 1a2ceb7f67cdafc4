#include "sip/header_id.h"

#include <array>
#include <bit>
#include <cstring>
#include <type_traits>

#include "base/text.h"

namespace tandem::sip {
namespace {

constexpr size_t id_count = static_cast<size_t>(HeaderId::other);
constexpr size_t longest = 24;

constexpr std::array<std::string_view, id_count> names{"Via",
                                                       "From",
                                                       "To",
                                                       "Call-ID",
                                                       "CSeq",
                                                       "Max-Forwards",
                                                       "Contact",
                                                       "Route",
                                                       "Record-Route",
                                                       "Content-Length",
                                                       "Content-Type",
                                                       "Content-Disposition",
                                                       "Content-Encoding",
                                                       "Content-Language",
                                                       "Accept",
                                                       "Accept-Encoding",
                                                       "Accept-Language",
                                                       "Alert-Info",
                                                       "Allow",
                                                       "Allow-Events",
                                                       "Authentication-Info",
                                                       "Authorization",
                                                       "Call-Info",
                                                       "Date",
                                                       "Error-Info",
                                                       "Event",
                                                       "Expires",
                                                       "History-Info",
                                                       "Diversion",
                                                       "Identity",
                                                       "In-Reply-To",
                                                       "Join",
                                                       "MIME-Version",
                                                       "Min-Expires",
                                                       "Min-SE",
                                                       "Organization",
                                                       "P-Asserted-Identity",
                                                       "P-Preferred-Identity",
                                                       "P-Associated-URI",
                                                       "Path",
                                                       "Priority",
                                                       "Privacy",
                                                       "Proxy-Authenticate",
                                                       "Proxy-Authorization",
                                                       "Proxy-Require",
                                                       "RAck",
                                                       "Reason",
                                                       "Refer-Sub",
                                                       "Refer-To",
                                                       "Referred-By",
                                                       "Remote-Party-ID",
                                                       "Replaces",
                                                       "Reply-To",
                                                       "Request-Disposition",
                                                       "Require",
                                                       "Retry-After",
                                                       "RSeq",
                                                       "Server",
                                                       "Service-Route",
                                                       "Session-Expires",
                                                       "SIP-ETag",
                                                       "SIP-If-Match",
                                                       "Subject",
                                                       "Subscription-State",
                                                       "Supported",
                                                       "Target-Dialog",
                                                       "Timestamp",
                                                       "Unsupported",
                                                       "User-Agent",
                                                       "Warning",
                                                       "WWW-Authenticate"};

/// Compact forms, by letter: RFC 3261 section 7.3.3, RFC 3515 (r), 3841 (a j d: not known here but d), 3892
/// (b), 4028 (x), 4474/8224 (y), 6665 (o u).
constexpr std::array<HeaderId, 26> make_compact() {
  std::array<HeaderId, 26> t{};
  t.fill(HeaderId::other);
  const auto set = [&t](char c, HeaderId id) { t[static_cast<size_t>(c - 'a')] = id; };
  set('b', HeaderId::referred_by);
  set('c', HeaderId::content_type);
  set('d', HeaderId::request_disposition);
  set('e', HeaderId::content_encoding);
  set('f', HeaderId::from);
  set('i', HeaderId::call_id);
  set('k', HeaderId::supported);
  set('l', HeaderId::content_length);
  set('m', HeaderId::contact);
  set('o', HeaderId::event);
  set('r', HeaderId::refer_to);
  set('s', HeaderId::subject);
  set('t', HeaderId::to);
  set('u', HeaderId::allow_events);
  set('v', HeaderId::via);
  set('x', HeaderId::session_expires);
  set('y', HeaderId::identity);
  return t;
}
constexpr auto compact = make_compact();

/// Lower-case spelling, and the bit that folds each letter (0 at a hyphen, so that nothing else reads as
/// one). One cache line each.
struct alignas(64) Spelling {
  std::array<char, longest> lower{};
  std::array<char, longest> fold{};
  uint8_t length = 0;
};
constexpr std::array<Spelling, id_count> make_spellings() {
  std::array<Spelling, id_count> t{};
  for (size_t i = 0; i < id_count; ++i) {
    t[i].length = static_cast<uint8_t>(names[i].size());
    for (size_t k = 0; k < names[i].size(); ++k) {
      t[i].lower[k] = to_lower(names[i][k]);
      t[i].fold[k] = names[i][k] == '-' ? '\0' : '\x20';
    }
  }
  return t;
}
constexpr auto spellings = make_spellings();

template <class Word>
Word load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}
constexpr uint32_t load4(const char* p) {
  if (!std::is_constant_evaluated()) return load<uint32_t>(p);
  uint32_t word = 0;
  for (size_t i = 0; i < 4; ++i) {
    const size_t shift = std::endian::native == std::endian::little ? 8 * i : 24 - 8 * i;
    word |= static_cast<uint32_t>(static_cast<uint8_t>(p[i])) << shift;
  }
  return word;
}

// Perfect hash over the length and the four characters at either end; the multiplier that leaves no two names
// in one slot is found while compiling. Names of two and three characters are compared outright.
constexpr size_t slot_bits = 9;
constexpr size_t shortest_hashed = 4;
constexpr uint32_t mix(std::string_view s, uint32_t multiplier) {
  constexpr uint32_t fold = 0x20202020u;
  const uint32_t head = load4(s.data()) | fold;
  const uint32_t tail = load4(s.data() + s.size() - 4) | fold;
  return ((head ^ (tail << 7 | tail >> 25)) * multiplier + tail * 0x85ebca6bu +
          static_cast<uint32_t>(s.size()) * 0x9e3779b1u) >>
         (32 - slot_bits);
}
struct Table {
  uint32_t multiplier = 0;
  std::array<HeaderId, size_t{1} << slot_bits> slots{};
};
consteval Table make_table() {
  uint32_t multiplier = 0x9e3779b1u;
  for (int attempt = 0; attempt < 4000; ++attempt, multiplier = multiplier * 1664525u + 1013904223u) {
    Table t;
    t.multiplier = multiplier | 1u;
    t.slots.fill(HeaderId::other);
    bool clash = false;
    for (size_t i = 0; i < id_count && !clash; ++i) {
      if (names[i].size() < shortest_hashed) continue;
      HeaderId& slot = t.slots[mix(names[i], t.multiplier)];
      clash = slot != HeaderId::other;
      slot = static_cast<HeaderId>(i);
    }
    if (!clash) return t;
  }
  throw "no perfect hash found";
}
constexpr Table table = make_table();

template <class Word>
bool matches(const char* name, const Spelling& s, size_t at) {
  return (load<Word>(name + at) | load<Word>(s.fold.data() + at)) == load<Word>(s.lower.data() + at);
}

bool spelled(std::string_view name, const Spelling& s) {
  const size_t n = name.size();
  const char* p = name.data();
  if (n < 8) return matches<uint32_t>(p, s, 0) && matches<uint32_t>(p, s, n - 4);
  return matches<uint64_t>(p, s, 0) && (n <= 16 || matches<uint64_t>(p, s, 8)) &&
         matches<uint64_t>(p, s, n - 8);
}

}  // namespace

HeaderId header_id(std::string_view name) {
  if (name.size() == 1) {
    const char c = to_lower(name[0]);
    return c >= 'a' && c <= 'z' ? compact[static_cast<size_t>(c - 'a')] : HeaderId::other;
  }
  if (name.size() < shortest_hashed) {
    if (iequals(name, "Via")) return HeaderId::via;
    return iequals(name, "To") ? HeaderId::to : HeaderId::other;
  }
  if (name.size() > longest) return HeaderId::other;
  const HeaderId id = table.slots[mix(name, table.multiplier)];
  if (id == HeaderId::other) return id;
  const Spelling& s = spellings[static_cast<size_t>(id)];
  return s.length == name.size() && spelled(name, s) ? id : HeaderId::other;
}

std::string_view to_string(HeaderId id) {
  return id < HeaderId::other ? names[static_cast<size_t>(id)] : std::string_view{};
}

}  // namespace tandem::sip
