// Recordings of calls: /recordings, a day's, and each one's sound.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"
#include "ops/byte_range.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

/// An hour of two sides at 16 kHz is 230 MB: what is longer is fetched as a file.
constexpr size_t most_bytes = 128 << 20;

/// "2026-11-25", as port::dated_name writes it.
bool is_day(std::string_view text) {
  if (text.size() != 10) return false;
  for (size_t i = 0; i < text.size(); ++i)
    if (i == 4 || i == 7 ? text[i] != '-' : !is_digit(text[i])) return false;
  return true;
}

bool is_recording(std::string_view name) {
  return port::is_sound_name(name) && (name.ends_with(".wav") || name.ends_with(".mka"));
}

void list(ApiImpl& api, const Exchange& x) {
  const std::string day = x.text("day");
  if (!is_day(day)) return x.error(400, "invalid", "day: expected one such as 2026-11-25, in UTC");
  json::array items;
  for (const RecordingView& r : api.node.recordings(day))
    if (is_recording(r.name))
      items.emplace_back(json::object{{"name", day + "/" + r.name}, {"bytes", r.bytes}});
  x.json(200, {{"items", std::move(items)}});
}

std::optional<port::SoundFile> file_of(const Exchange& x) {
  port::SoundFile file{port::SoundPlace::recordings, x.path[0] + "/" + x.path[1]};
  if (is_day(x.path[0]) && is_recording(x.path[1])) return file;
  x.error(404, "not_found", "there is no such recording");
  return std::nullopt;
}

void sound(ApiImpl& api, const Exchange& x) {
  if (auto file = file_of(x)) answer_sound(api, x, std::move(*file));
}

void remove(ApiImpl& api, const Exchange& x) {
  const auto file = file_of(x);
  if (!file) return;
  const auto there = api.node.recordings(x.path[0]);
  if (std::none_of(there.begin(), there.end(), [&](const auto& r) { return r.name == x.path[1]; }))
    return x.error(404, "not_found", "there is no such recording");
  api.node.remove_file(*file);
  x.none();
}

}  // namespace

/// Players of sound ask for a part first, some of them before they play any of it.
void answer_sound(ApiImpl& api, const Exchange& x, port::SoundFile file) {
  const bool wav = file.name.ends_with(".wav");
  api.node.read_file(std::move(file), most_bytes, [x, wav](Result<std::string, port::SoundFailure> bytes) {
    using port::SoundFailure;
    if (bytes.ok()) {
      port::HttpResponse r;
      r.content_type = wav ? "audio/wav" : "audio/x-matroska";
      r.headers.emplace_back("Accept-Ranges", "bytes");
      const size_t size = bytes->size();
      if (const auto range = range_of(x.range, size)) {
        r.status = range->count > 0 ? 206 : 416;
        r.headers.emplace_back("Content-Range", range->count > 0
                                                    ? fmt::format("bytes {}-{}/{}", range->first,
                                                                  range->first + range->count - 1, size)
                                                    : fmt::format("bytes */{}", size));
        *bytes = bytes->substr(range->first, range->count);
      }
      r.body = std::move(*bytes);
      return x.reply(std::move(r));
    }
    if (bytes.reason() == SoundFailure::busy)
      return x.error(503, "unavailable", "too many files are being read");
    if (bytes.reason() == SoundFailure::too_long)
      return x.error(413, "too_large", "the file has more than 128 MiB");
    x.error(404, "not_found", "the file cannot be read");
  });
}

void add_recording_operations(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/recordings",
                   Scope::read,
                   "Recordings of calls of a day",
                   nullptr,
                   "[RecordingFile]",
                   {{"day", "in UTC, such as 2026-11-25"}},
                   list});
  // What people said to each other is not for a token that only watches the node.
  table.push_back({"GET",
                   "/recordings/{day}/{file}",
                   Scope::admin,
                   "The sound of a recording",
                   nullptr,
                   "audio/wav",
                   {},
                   sound});
  table.push_back({"DELETE",
                   "/recordings/{day}/{file}",
                   Scope::admin,
                   "Remove a recording",
                   nullptr,
                   nullptr,
                   {},
                   remove});
}

}  // namespace tandem::ops
