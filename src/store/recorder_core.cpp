#include "store/recorder_core.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "store/recording_notes.h"

namespace tandem::store {

using port::Level;
using port::RecordingEnd;

namespace {

// Of sound that is made bytes in one round for one recording, so that a recording with much to catch up lets
// the others have their turn.
constexpr uint64_t seconds_a_round = 20;
// Bytes that wait for the disk before more samples are encoded.
constexpr size_t enough_waiting = 256 << 10;
// Recordings that ended by themselves and were not closed yet.
constexpr size_t max_ended = 10'000;

Duration time_of(uint64_t samples, uint32_t rate) {
  return Duration(
      static_cast<int64_t>(samples / rate * 1'000'000'000 + samples % rate * 1'000'000'000 / rate));
}
uint64_t samples_of(Duration time, uint32_t rate) {
  return static_cast<uint64_t>(std::max<int64_t>(0, time.count() / 1000)) * rate / 1'000'000;
}
std::string ms(Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

/// A WAV file's sizes have 32 bits.
uint64_t longest_of(const port::RecordingOrder& order, Duration limit) {
  const Duration wanted = order.longest.count() > 0 ? std::min(order.longest, limit) : limit;
  constexpr uint64_t most_bytes = UINT32_MAX - 1024;
  return std::min<uint64_t>(samples_of(wanted, order.rate), most_bytes / (2 * order.sides));
}

}  // namespace

struct RecorderCore::Recording {
  Recording(port::Disk& disk, const std::string& file, port::RecordingId i, port::RecordingOrder o,
            const RecorderOptions& options)
      : id(i),
        order(std::move(o)),
        timeline(order.sides, samples_of(options.patience, order.rate), longest_of(order, options.longest)),
        bytes(disk, file + "." + std::string(extension_of(order.format)) + ".part"),
        notes(disk, file + ".json.part") {}

  const port::RecordingId id;
  const port::RecordingOrder order;
  Timeline timeline;
  RecordingBytes bytes, notes;
  std::unique_ptr<SoundWriter> writer;  // null: the format is not to be had
  std::vector<int16_t> scratch;
  Instant flush_at, retry_at, over_at;  // over_at: its longest time has passed by the clock, too
  bool failing = false;
  enum class Stage : uint8_t { writing, encoded, synced, notes_named, named } stage = Stage::writing;
  Instant give_up_at = Instant::never();
  std::optional<Asker> asker;
  NoteFields last_fields;
  uint64_t gap_samples = 0, late_seen = 0;
};

RecorderCore::RecorderCore(port::Disk& disk, SoundFolders folders, RecorderOptions options,
                           CounterSet& counters, EventSink events)
    : disk_(disk),
      folders_(std::move(folders)),
      options_(options),
      events_(std::move(events)),
      open_gauge_(counters.gauge("recordings_open", "recordings being written")),
      whole_(counters.counter("recordings_total", "recordings that ended, by how", "end=\"whole\"")),
      cut_(counters.counter("recordings_total", "recordings that ended, by how", "end=\"cut\"")),
      unfinished_(
          counters.counter("recordings_total", "recordings that ended, by how", "end=\"unfinished\"")),
      discarded_(counters.counter("recordings_total", "recordings that ended, by how", "end=\"discarded\"")),
      recovered_(
          counters.counter("recordings_recovered_total", "recordings of a killed run made whole at start")),
      failures_(
          counters.counter("recording_disk_failures_total", "writes of recordings that the disk refused")),
      bytes_(counters.counter("recording_bytes_total", "bytes of recordings that are whole")),
      gap_queue_(counters.counter("recording_gap_ms_total", "recorded sound that is silence instead",
                                  "reason=\"queue\"")),
      gap_disk_(counters.counter("recording_gap_ms_total", "recorded sound that is silence instead",
                                 "reason=\"disk\"")),
      gap_late_(counters.counter("recording_gap_ms_total", "recorded sound that is silence instead",
                                 "reason=\"late\"")),
      retention_(disk, folders_.recordings, options.retention, counters, events_) {}

RecorderCore::~RecorderCore() = default;

void RecorderCore::tell(Level level, std::string_view name,
                        std::vector<std::pair<std::string_view, std::string>> fields) const {
  if (events_) events_({level, name, 0, std::move(fields)});
}

// ---- from the workers ------------------------------------------------------------------------------------

void RecorderCore::open(Now now, port::RecordingId id, port::RecordingOrder order) {
  const std::string file = path(order.file);
  auto r = std::make_unique<Recording>(disk_, file, id, std::move(order), options_);
  r->writer = make_sound_writer(r->order, r->bytes);
  r->flush_at = now.mono + options_.flush;
  r->over_at = now.mono + time_of(longest_of(r->order, options_.longest), r->order.rate) + options_.give_up;
  NoteFields fields = {{"format", std::string(port::to_text(r->order.format))},
                       {"rate", std::to_string(r->order.rate)},
                       {"sides", std::to_string(r->order.sides)}};
  fields.insert(fields.end(), r->order.fields.begin(), r->order.fields.end());
  r->notes.append(note_line("opened", now.wall, fields));
  if (!r->writer)
    tell(Level::error, "recording.format_unavailable",
         {{"file", r->order.file.name}, {"format", std::string(port::to_text(r->order.format))}});
  open_[id] = std::move(r);
  open_gauge_.set(open_.size());
}

void RecorderCore::append(port::RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples) {
  if (const auto found = open_.find(id); found != open_.end()) found->second->timeline.put(side, at, samples);
}

void RecorderCore::pause(Now now, port::RecordingId id, uint64_t at) {
  const auto found = open_.find(id);
  if (found == open_.end() || !found->second->timeline.pause(at)) return;
  Recording& r = *found->second;
  r.notes.append(note_line("paused", now.wall, {{"at_ms", ms(time_of(at, r.order.rate))}}));
}

void RecorderCore::resume(Now now, port::RecordingId id, uint64_t at) {
  const auto found = open_.find(id);
  if (found == open_.end() || !found->second->timeline.resume(at)) return;
  Recording& r = *found->second;
  r.notes.append(note_line("resumed", now.wall, {{"at_ms", ms(time_of(at, r.order.rate))}}));
}

void RecorderCore::lost(port::RecordingId id, uint64_t samples) {
  if (const auto found = open_.find(id); found != open_.end()) count_gap(*found->second, samples, gap_queue_);
}

void RecorderCore::count_gap(Recording& r, uint64_t samples, Counter& counter) {
  if (samples == 0) return;
  r.gap_samples += samples;
  counter.add(samples * 1000 / r.order.rate);
}

void RecorderCore::close(Now now, port::CloseRecording question, Asker asker, std::vector<Answered>& out) {
  const auto found = open_.find(question.id);
  if (found == open_.end()) {
    port::RecordingAnswer answer;
    if (const auto ended = ended_.find(question.id); ended != ended_.end()) {
      answer = std::move(ended->second);
      ended_.erase(ended);
      if (question.discard && answer.end != RecordingEnd::unfinished) {
        static_cast<void>(remove(answer.file));
        answer.end = RecordingEnd::discarded;
      }
    }
    out.push_back({asker.worker, asker.id, std::move(answer)});
    return;
  }
  Recording& r = *found->second;
  if (r.asker) return;  // closed twice: the first is answered
  r.asker = asker;
  if (question.discard) return discard(found, out);
  r.last_fields = std::move(question.fields);
  r.timeline.end(question.at);
  begin_end(now, r);
}

/// What has its name already, of this one or an earlier, is not touched: the .part files are all there is.
void RecorderCore::discard(Recordings::iterator which, std::vector<Answered>& out) {
  for (const RecordingBytes* file : {&which->second->bytes, &which->second->notes})
    if (const auto removed = disk_.remove(file->path());
        !removed.ok() && removed.reason() != port::DiskError::not_found)
      failures_.add();
  take_leave(which, RecordingEnd::discarded, out);
  open_gauge_.set(open_.size());
}

port::Answer RecorderCore::remove(const port::SoundFile& file) {
  if (file.place == port::SoundPlace::sounds || !port::is_sound_name(file.name) ||
      folders_.of(file.place).empty() || file.name.ends_with(".part"))
    return port::NotFound{};
  const std::string target = path(file);
  uint64_t bytes = disk_.size(target).value_or(0);
  if (const auto removed = disk_.remove(target); !removed.ok())
    return removed.reason() == port::DiskError::not_found ? port::Answer(port::NotFound{})
                                                          : port::Answer(port::AskFailure::unavailable);
  const size_t dot = target.rfind('.');
  if (dot != std::string::npos && dot > target.rfind('/')) {
    const std::string notes = target.substr(0, dot) + ".json";
    const uint64_t more = disk_.size(notes).value_or(0);
    if (disk_.remove(notes).ok()) bytes += more;
  }
  if (file.place == port::SoundPlace::recordings) retention_.removed(file.name, bytes);
  return port::Stored{};
}

// ---- to the disk -----------------------------------------------------------------------------------------

void RecorderCore::round(Now now, std::vector<Answered>& out) {
  for (auto it = open_.begin(); it != open_.end();) {
    const auto which = it++;
    Recording& r = *which->second;
    if (work_on(now, r)) {
      take_leave(which, r.timeline.full() ? RecordingEnd::cut : RecordingEnd::whole, out);
    } else if (now.mono >= r.give_up_at) {
      take_leave(which, RecordingEnd::unfinished, out);
    }
  }
  open_gauge_.set(open_.size());
  retention_.sweep(now);
}

void RecorderCore::close_all(Now now, std::vector<Answered>& out) {
  closing_ = true;
  for (auto& [id, r] : open_) {
    r->timeline.end();
    begin_end(now, *r);
    r->retry_at = now.mono;
    r->give_up_at = now.mono;
  }
  // Each round makes a bounded part of what is waiting.
  while (!open_.empty()) {
    const size_t before = open_.size();
    bool more = false;
    for (const auto& [id, r] : open_) more = more || (r->timeline.ready() > 0 && !r->failing);
    for (auto& [id, r] : open_) r->give_up_at = more ? Instant::never() : now.mono;
    round(now, out);
    if (!more && open_.size() == before) break;
  }
  closing_ = false;
}

void RecorderCore::begin_end(Now now, Recording& r) {
  if (r.give_up_at.is_never()) r.give_up_at = now.mono + options_.give_up;
}

bool RecorderCore::work_on(Now now, Recording& r) {
  if (!r.writer) {  // there is nothing to wait for
    r.timeline.end();
    r.give_up_at = now.mono;
    return false;
  }
  if (!r.timeline.ended() && (r.timeline.full() || now.mono >= r.over_at)) {
    r.timeline.end();
    begin_end(now, r);
  }
  count_gap(r, r.timeline.late() - r.late_seen, gap_late_);
  r.late_seen = r.timeline.late();
  if (r.failing && now.mono < r.retry_at) {
    const uint64_t keep = std::min<uint64_t>(samples_of(options_.kept_back, r.order.rate) * r.order.sides,
                                             options_.kept_back_bytes / sizeof(int16_t) / open_.size());
    count_gap(r, r.timeline.trim(keep), gap_disk_);
    return false;
  }
  if (!r.failing) encode(r);  // what is encoded already goes first
  const bool last = r.timeline.ended() && r.timeline.ready() == 0;
  if (last) return finish(now, r);
  if (now.mono >= r.flush_at || r.failing || r.bytes.waiting() >= enough_waiting) write(now, r);
  return false;
}

void RecorderCore::encode(Recording& r) {
  uint64_t left = seconds_a_round * r.order.rate;
  while (left > 0 && r.timeline.ready() > 0 && r.bytes.waiting() < enough_waiting) {
    r.scratch.clear();
    const uint64_t before = r.timeline.taken();
    r.timeline.take(std::min<uint64_t>(left, r.order.rate), r.scratch);
    left -= std::min(left, r.timeline.taken() - before);
    if (r.writer->write(r.scratch)) continue;
    tell(Level::error, "recording.format_unavailable",
         {{"file", r.order.file.name}, {"format", std::string(port::to_text(r.order.format))}});
    r.writer.reset();
    return;
  }
}

void RecorderCore::write(Now now, Recording& r) {
  r.flush_at = now.mono + options_.flush;
  if (!r.writer || !r.writer->settle()) return;
  // The notes first: a .part file without notes beside it is one whose notes have their name already.
  auto done = r.notes.flush();
  if (done.ok()) done = r.bytes.flush();
  static_cast<void>(checked(now, r, done));
}

bool RecorderCore::finish(Now now, Recording& r) {
  using Stage = Recording::Stage;
  const auto name = [&](const RecordingBytes& file) {
    return checked(now, r, disk_.rename(file.path(), file.path().substr(0, file.path().size() - 5)));
  };
  if (r.stage == Stage::writing) {
    if (!r.writer->finish()) {
      r.writer.reset();
      return false;
    }
    NoteFields fields = {{"length_ms", ms(time_of(r.timeline.taken(), r.order.rate))},
                         {"gap_ms", ms(time_of(r.gap_samples, r.order.rate))},
                         {"end", std::string(r.timeline.full() ? "cut" : "whole")}};
    fields.insert(fields.end(), r.last_fields.begin(), r.last_fields.end());
    r.notes.append(note_line("closed", now.wall, fields));
    r.stage = Stage::encoded;
  }
  if (r.stage == Stage::encoded) {
    auto done = r.notes.sync();
    if (done.ok()) done = r.bytes.sync();
    if (!checked(now, r, done)) return false;
    r.stage = Stage::synced;
  }
  if (r.stage == Stage::synced) {
    if (!name(r.notes)) return false;
    r.stage = Stage::notes_named;
  }
  if (r.stage == Stage::notes_named) {
    if (!name(r.bytes)) return false;
    r.stage = Stage::named;
  }
  const std::string& part = r.bytes.path();
  return checked(now, r, disk_.sync_directory(part.substr(0, part.rfind('/'))));
}

/// True when it is done. The first failure, and that there are none any more, are told.
bool RecorderCore::checked(Now now, Recording& r, Status<port::DiskError> done) {
  if (done.ok()) {
    if (!r.failing) return true;
    r.failing = false;
    if (--failing_ == 0) tell(Level::notice, "recordings.disk_recovered", {});
    return true;
  }
  failures_.add();
  r.retry_at = now.mono + options_.retry;
  if (!r.failing) {
    r.failing = true;
    if (failing_++ == 0)
      tell(Level::error, "recordings.disk_failing",
           {{"file", r.bytes.path()}, {"why", std::string(port::to_text(done.reason()))}});
  }
  return false;
}

void RecorderCore::take_leave(Recordings::iterator which, RecordingEnd how, std::vector<Answered>& out) {
  Recording& r = *which->second;
  Counter* const counters[] = {&whole_, &cut_, &unfinished_, nullptr, &discarded_};
  counters[static_cast<size_t>(how)]->add();
  if (how == RecordingEnd::discarded) {
    // Nothing of it is there.
  } else if (how == RecordingEnd::unfinished) {
    tell(Level::error, "recording.unfinished", {{"file", r.bytes.path()}});
  } else {
    bytes_.add(r.bytes.size());
    if (r.order.file.place == port::SoundPlace::recordings)
      retention_.added(r.order.file.name, r.bytes.size() + r.notes.size());
  }
  if (r.failing && --failing_ == 0 && how != RecordingEnd::unfinished)
    tell(Level::notice, "recordings.disk_recovered", {});
  port::RecordingAnswer answer{
      how,
      {r.order.file.place, r.order.file.name + "." + std::string(extension_of(r.order.format))},
      time_of(r.timeline.taken(), r.order.rate),
      r.bytes.size(),
      time_of(r.gap_samples, r.order.rate)};
  if (r.asker) {
    out.push_back({r.asker->worker, r.asker->id, std::move(answer)});
  } else {
    if (closing_ && (how == RecordingEnd::whole || how == RecordingEnd::cut))
      adopt(r.order.fields, answer.file, answer.length);
    ended_[r.id] = std::move(answer);
    ended_order_.push_back(r.id);
    if (ended_order_.size() > max_ended) {
      ended_.erase(ended_order_.front());
      ended_order_.pop_front();
    }
  }
  ended_now_.push_back(r.id);
  open_.erase(which);
}

std::vector<port::RecordingId> RecorderCore::take_ended() { return std::exchange(ended_now_, {}); }

std::vector<port::LeaveVoicemail> RecorderCore::take_orphans() { return std::exchange(orphans_, {}); }

/// Whoever took the message is gone: it still goes where it was meant to, or nowhere when it is too short.
void RecorderCore::adopt(const port::RecordingFields& fields, const port::SoundFile& file, Duration length) {
  if (file.place != port::SoundPlace::voicemail) return;
  auto plan = port::message_plan(fields);
  if (!plan) return;  // a greeting
  if (length < plan->shortest) {
    static_cast<void>(remove(file));
    return;
  }
  port::LeaveVoicemail& orphan = orphans_.emplace_back();
  orphan.message = std::move(plan->message);
  orphan.message.file = file.name;
  orphan.message.length = length;
  orphan.most = plan->most;
}

// ---- what a killed run left ------------------------------------------------------------------------------

void RecorderCore::recover(Now now) {
  constexpr int deepest = 8;
  for (const std::string* folder : {&folders_.recordings, &folders_.voicemail})
    if (!folder->empty()) recover_folder(now, *folder, deepest);
}

void RecorderCore::recover_folder(Now now, const std::string& folder, int depth) {
  if (const auto files = disk_.list(folder); files.ok())
    for (const std::string& file : *files)
      if (file.ends_with(".wav.part") || file.ends_with(".mka.part")) recover_file(now, folder, file);
  if (depth == 0) return;
  if (const auto folders = disk_.folders(folder); folders.ok())
    for (const std::string& below : *folders) recover_folder(now, folder + "/" + below, depth - 1);
}

void RecorderCore::recover_file(Now now, const std::string& folder, const std::string& file) {
  const std::string part = folder + "/" + file, whole = part.substr(0, part.size() - 5);
  const std::string notes = whole.substr(0, whole.size() - 4) + ".json";
  const auto mended = whole.ends_with(".wav") ? mend_wav(disk_, part) : mend_matroska(disk_, part);
  if (mended.ok() && mended->bytes == 0) {
    static_cast<void>(disk_.remove(part));
    static_cast<void>(disk_.remove(notes + ".part"));
    tell(Level::notice, "recording.empty_removed", {{"file", part}});
    return;
  }
  // Killed between the two renames it is whole but for its name, and its notes say so.
  const bool named = !disk_.size(notes + ".part").ok() && disk_.size(notes).ok();
  if (mended.ok() && !named) {
    if (auto more = disk_.open_append(notes + ".part"); more.ok())
      static_cast<void>(
          (*more)->append(note_line("recovered", now.wall, {{"length_ms", ms(mended->length)}})));
    static_cast<void>(disk_.rename(notes + ".part", notes));
  }
  if (!mended.ok() || !disk_.rename(part, whole).ok() || !disk_.sync_directory(folder).ok()) {
    failures_.add();
    tell(Level::error, "recording.unfinished", {{"file", part}});
    return;
  }
  recovered_.add();
  tell(Level::notice, "recording.recovered", {{"file", whole}, {"length_ms", ms(mended->length)}});
  recover_message(whole, mended->length);
}

/// The first line of its notes, which were on the disk before the sound was, says whose it is.
void RecorderCore::recover_message(const std::string& whole, Duration length) {
  const std::string folder = folders_.voicemail + "/";
  if (folders_.voicemail.empty() || !whole.starts_with(folder)) return;
  constexpr size_t longest_line = 64 << 10;
  const std::string notes =
      disk_.read(whole.substr(0, whole.size() - 4) + ".json", 0, longest_line).value_or("");
  if (const auto fields = note_fields(std::string_view(notes).substr(0, notes.find('\n'))))
    adopt(*fields, {port::SoundPlace::voicemail, whole.substr(folder.size())}, length);
}

}  // namespace tandem::store
