#include "store/recording_notes.h"

#include <fmt/format.h>

#include <algorithm>
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

}  // namespace tandem::store
