#include "store/recording_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

namespace tandem::store {
namespace {

/// RFC 8259 section 7. What is no control character goes as it is: the fields are UTF-8, as SIP's are.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

/// The text that begins at `at`, which is past it then. Of escapes, those that quoted() writes.
std::optional<std::string> unquoted(std::string_view line, size_t& at) {
  if (at >= line.size() || line[at] != '"') return std::nullopt;
  std::string out;
  for (++at; at < line.size(); ++at) {
    if (line[at] == '"') {
      ++at;
      return out;
    }
    if (line[at] != '\\') {
      out += line[at];
      continue;
    }
    if (++at == line.size()) break;
    if (line[at] != 'u') {
      out += line[at];
      continue;
    }
    unsigned code = 0;
    if (line.size() - at < 5) break;
    const char* const end = line.data() + at + 5;
    if (const auto read = std::from_chars(line.data() + at + 1, end, code, 16);
        read.ptr != end || code > 0x7f)
      break;
    out += static_cast<char>(code);
    at += 4;
  }
  return std::nullopt;
}

bool is_number(std::string_view name, std::string_view value) {
  const bool named = name.ends_with("_ms") || name == "rate" || name == "sides" || name == "bytes";
  return named && !value.empty() && value.size() < 16 &&
         std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string utc(WallTime time) {
  const std::chrono::sys_seconds at{seconds(time.unix_seconds())};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{at - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()}, clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace

std::string note_line(std::string_view event, WallTime time, const NoteFields& fields) {
  std::string line = "{\"event\":" + quoted(event) + ",\"time\":" + quoted(utc(time));
  for (const auto& [name, value] : fields)
    line += "," + quoted(name) + ":" + (is_number(name, value) ? value : quoted(value));
  return line + "}\n";
}

std::optional<NoteFields> note_fields(std::string_view line) {
  NoteFields fields;
  size_t at = 0;
  const auto skip = [&](char c) {
    const bool there = at < line.size() && line[at] == c;
    at += there;
    return there;
  };
  if (!skip('{')) return std::nullopt;
  do {
    auto name = unquoted(line, at);
    if (!name || !skip(':') || at >= line.size()) return std::nullopt;
    std::optional<std::string> value;
    if (line[at] == '"') {
      value = unquoted(line, at);
    } else {
      const size_t end = std::min(line.find_first_of(",}", at), line.size());
      value = std::string(line.substr(at, end - at));
      at = end;
    }
    if (!value) return std::nullopt;
    fields.emplace_back(*std::move(name), *std::move(value));
  } while (skip(','));
  if (!skip('}')) return std::nullopt;
  return fields;
}

}  // namespace tandem::store
