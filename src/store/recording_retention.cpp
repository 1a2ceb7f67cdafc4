#include "store/recording_retention.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace tandem::store {
namespace {

/// The day that is meant by "2026-11-25".
std::optional<std::chrono::sys_days> day_of(std::string_view name) {
  if (name.size() != 10 || name[4] != '-' || name[7] != '-') return std::nullopt;
  int parts[3] = {};
  size_t part = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '-') {
      ++part;
      continue;
    }
    if (name[i] < '0' || name[i] > '9' || part > 2) return std::nullopt;
    parts[part] = parts[part] * 10 + (name[i] - '0');
  }
  const std::chrono::year_month_day date{std::chrono::year(parts[0]),
                                         std::chrono::month(static_cast<unsigned>(parts[1])),
                                         std::chrono::day(static_cast<unsigned>(parts[2]))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

}  // namespace

RecordingRetention::RecordingRetention(port::Disk& disk, std::string folder, RetentionOptions options,
                                       CounterSet& counters, std::function<void(const port::Event&)> events)
    : disk_(disk),
      folder_(std::move(folder)),
      options_(options),
      events_(std::move(events)),
      removed_(counters.counter("recordings_removed_total",
                                "recording files removed because of their age or their number")),
      kept_bytes_(counters.gauge("recordings_bytes",
                                 "bytes of the recordings on disk, counted when a limit is set")) {}

void RecordingRetention::added(const std::string& name, uint64_t bytes) {
  const std::string day = name.substr(0, name.find('/'));
  if (!counted_ || !day_of(day)) return;
  days_[day] += bytes;
  bytes_ += bytes;
  kept_bytes_.set(bytes_);
}

void RecordingRetention::removed(const std::string& name, uint64_t bytes) {
  const auto found = days_.find(name.substr(0, name.find('/')));
  if (found == days_.end()) return;
  bytes = std::min(bytes, found->second);
  found->second -= bytes;
  bytes_ -= std::min(bytes_, bytes);
  kept_bytes_.set(bytes_);
}

/// What there was before is right until its day is counted: what comes and goes meanwhile is in the sum.
bool RecordingRetention::begin_count() {
  auto days = disk_.folders(folder_);
  if (!days.ok()) return false;
  counted_ = true;
  uncounted_ = std::move(*days);
  std::erase_if(uncounted_, [](const std::string& day) { return !day_of(day); });
  std::sort(uncounted_.begin(), uncounted_.end());
  std::erase_if(days_, [&](const auto& day) {
    if (std::binary_search(uncounted_.begin(), uncounted_.end(), day.first)) return false;
    bytes_ -= std::min(bytes_, day.second);
    return true;
  });
  return true;
}

/// What is being written is counted once it is whole (added()).
bool RecordingRetention::go_on_counting() {
  for (size_t seen = 0; !uncounted_.empty() && seen < options_.counted_a_round;) {
    const std::string day = std::move(uncounted_.back());
    uncounted_.pop_back();
    const auto files = disk_.list(folder_ + "/" + day);
    uint64_t sum = 0;
    if (files.ok())
      for (const std::string& file : *files)
        if (!file.ends_with(".part")) sum += disk_.size(folder_ + "/" + day + "/" + file).value_or(0);
    seen += files.ok() ? files->size() : 0;
    uint64_t& of_day = days_[day];
    bytes_ = bytes_ - std::min(bytes_, of_day) + sum;
    of_day = sum;
  }
  if (!uncounted_.empty()) return false;
  kept_bytes_.set(bytes_);
  return true;
}

bool RecordingRetention::remove_from(const std::string& day, bool all_of_it, size_t& left) {
  const std::string folder = folder_ + "/" + day;
  const auto files = disk_.list(folder);
  if (!files.ok()) return true;  // somebody else has removed it
  bool emptied = true;
  for (const std::string& file : *files) {
    if (left == 0 || file.ends_with(".part") || !(all_of_it || bytes_ > options_.max_bytes)) {
      emptied = false;
      continue;
    }
    const uint64_t size = disk_.size(folder + "/" + file).value_or(0);
    if (!disk_.remove(folder + "/" + file).ok()) {
      emptied = false;
      continue;
    }
    --left;
    removed_.add();
    uint64_t& of_day = days_[day];
    of_day -= std::min(of_day, size);
    bytes_ -= std::min(bytes_, size);
  }
  if (emptied) static_cast<void>(disk_.remove(folder));
  return emptied;
}

void RecordingRetention::sweep(Now now) {
  if ((options_.max_age.count() == 0 && options_.max_bytes == 0) || folder_.empty() || now.mono < next_)
    return;
  next_ = now.mono + options_.poll;
  // Files also go by other hands: nothing is removed for the number of those that are gone already. Once for
  // all that is removed then, since counting reads every folder.
  const bool too_many = options_.max_bytes > 0 && bytes_ > options_.max_bytes;
  if (uncounted_.empty() && (!counted_ || (too_many && !going_on_)) && !begin_count()) return;
  if (!go_on_counting()) {
    next_ = now.mono;  // sound is waiting to be written: more of it in the next round
    return;
  }
  const auto today = std::chrono::floor<std::chrono::days>(
      std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(now.wall.ns)));
  size_t left = options_.files_a_poll;
  const uint64_t before = removed_.value();
  for (auto it = days_.begin(); it != days_.end() && left > 0;) {
    // A day ends at its midnight: only then its last recording begins to age.
    const auto age = today - (*day_of(it->first) + std::chrono::days(1));
    const bool old = options_.max_age.count() > 0 && age >= options_.max_age;
    const bool many = options_.max_bytes > 0 && bytes_ > options_.max_bytes;
    if (!old && !many) break;
    const std::string day = it->first;
    if (remove_from(day, old, left)) {
      bytes_ -= std::min(bytes_, it->second);
      it = days_.erase(it);
    } else {
      ++it;
    }
  }
  kept_bytes_.set(bytes_);
  if (removed_.value() > before && events_)
    events_({port::Level::info,
             "recordings.removed",
             0,
             {{"files", std::to_string(removed_.value() - before)}, {"kept_bytes", std::to_string(bytes_)}}});
  going_on_ = left == 0;
  if (going_on_) next_ = now.mono;  // more of it in the next round
}

}  // namespace tandem::store
