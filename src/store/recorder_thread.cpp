#include "store/recorder_thread.h"

#include <algorithm>
#include <chrono>

namespace tandem::store {
namespace {

Now now() {
  const auto since = [](auto time) {
    return std::chrono::duration_cast<Duration>(time.time_since_epoch()).count();
  };
  return {{since(std::chrono::steady_clock::now())}, {since(std::chrono::system_clock::now())}};
}

// With nothing open there is only the retention to look after.
constexpr auto idle_round = std::chrono::seconds(10);
// Of one recording between two rounds: whoever sends a sample a packet, or plays with the key for pause,
// fills no memory.
constexpr size_t max_steps = 4000;
constexpr size_t max_late = 10'000;  // questions about what is not open

}  // namespace

RecorderThread::RecorderThread(port::Disk& disk, SoundFolders folders, RecorderOptions core,
                               RecorderThreadOptions options, CounterSet& counters, OnAnswer on_answer,
                               RecorderCore::EventSink events, OnOrphan on_orphan)
    : folders_(folders),
      options_(options),
      on_answer_(std::move(on_answer)),
      on_orphan_(std::move(on_orphan)),
      refused_(counters.counter("recordings_refused_total",
                                "recordings not begun: too many, no folder for them, an order that is none")),
      core_(disk, std::move(folders), core, counters, std::move(events)) {}

void RecorderThread::start() {
  running_ = true;
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
}

void RecorderThread::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

// ---- any thread ------------------------------------------------------------------------------------------

bool RecorderThread::is_fit(const port::RecordingOrder& order) const {
  constexpr uint32_t rates[] = {8000, 16'000, 24'000, 48'000};
  return order.file.place != port::SoundPlace::sounds && !folders_.of(order.file.place).empty() &&
         port::is_sound_name(order.file.name) && (order.sides == 1 || order.sides == 2) &&
         std::find(std::begin(rates), std::end(rates), order.rate) != std::end(rates);
}

port::RecordingId RecorderThread::open(const port::RecordingOrder& order) {
  const bool fit = is_fit(order);
  const std::lock_guard lock(mutex_);
  std::pair name(order.file.place, order.file.name);
  if (!fit || stopping_ || !running_ || queues_.size() >= options_.max_open || names_.contains(name)) {
    ++refusals_;
    return 0;
  }
  const port::RecordingId id = next_++;
  Queue& queue = queues_[id];
  queue.work.id = id;
  queue.work.order = std::make_unique<port::RecordingOrder>(order);
  queue.most =
      static_cast<size_t>(std::chrono::duration_cast<std::chrono::milliseconds>(options_.queued).count()) *
      order.rate / 1000 * order.sides;
  names_.insert(name);
  queue.name = std::move(name);
  if (queues_.size() == 1) wake_.notify_one();
  return id;
}

void RecorderThread::append(port::RecordingId id, uint8_t side, uint64_t at,
                            std::span<const int16_t> samples) {
  if (side > 1 || samples.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(id);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  std::vector<Step>& steps = queue.work.steps;
  size_t& last = queue.last[side];
  const bool follows = last < steps.size() && steps[last].at + steps[last].samples.size() == at;
  if (queue.samples + samples.size() > queue.most || (!follows && steps.size() >= max_steps) ||
      (queued_samples_ + samples.size()) * sizeof(int16_t) > options_.queued_bytes) {
    queue.work.lost += samples.size();
    return;
  }
  queue.samples += samples.size();
  queue.work.samples += samples.size();
  queued_samples_ += samples.size();
  if (follows) {
    steps[last].samples.insert(steps[last].samples.end(), samples.begin(), samples.end());
    return;
  }
  last = steps.size();
  steps.push_back({Step::Kind::samples, side, at, {samples.begin(), samples.end()}});
}

void RecorderThread::control(port::RecordingId id, Step::Kind kind, uint64_t at) {
  const std::lock_guard lock(mutex_);
  const auto found = queues_.find(id);
  if (found == queues_.end()) return;
  Queue& queue = found->second;
  if (queue.work.steps.size() >= max_steps) return;
  queue.work.steps.push_back({kind, 0, at, {}});
  queue.last[0] = queue.last[1] = SIZE_MAX;
}

void RecorderThread::pause(port::RecordingId id, uint64_t at) { control(id, Step::Kind::pause, at); }
void RecorderThread::resume(port::RecordingId id, uint64_t at) { control(id, Step::Kind::resume, at); }

void RecorderThread::ask(uint16_t worker, port::AskId id, port::CloseRecording question) {
  std::unique_lock lock(mutex_);
  const auto found = queues_.find(question.id);
  if (found != queues_.end() && !stopping_) {
    Work& work = found->second.work;
    if (work.close) return;  // twice: the first is answered
    work.close = std::make_unique<port::CloseRecording>(std::move(question));
    work.closer = {worker, id};
  } else if (late_.size() < max_late && !stopping_) {
    late_.push_back({{worker, id}, std::move(question)});
  } else {
    lock.unlock();
    return on_answer_(worker, id, port::RecordingAnswer{});
  }
  urgent_ = true;
  lock.unlock();
  wake_.notify_one();
}

void RecorderThread::ask(uint16_t worker, port::AskId id, port::RemoveRecording question) {
  std::unique_lock lock(mutex_);
  if (stopping_ || late_.size() >= max_late) {
    lock.unlock();
    if (id != 0) on_answer_(worker, id, port::AskFailure::refused);
    return;
  }
  late_.push_back({{worker, id}, std::move(question)});
  urgent_ = true;
  lock.unlock();
  wake_.notify_one();
}

// ---- the thread ------------------------------------------------------------------------------------------

bool RecorderThread::take(std::vector<Work>& taken, std::vector<Late>& late) {
  std::unique_lock lock(mutex_);
  if (queues_.empty())
    wake_.wait_for(lock, idle_round, [this] { return stopping_ || urgent_ || !queues_.empty(); });
  else
    wake_.wait_for(lock, options_.round, [this] { return stopping_ || urgent_; });
  urgent_ = false;
  for (auto& [id, queue] : queues_) {
    taken.push_back(std::move(queue.work));
    queue.work = {};
    queue.work.id = id;
    queue.last[0] = queue.last[1] = SIZE_MAX;
  }
  late.swap(late_);
  refused_.set(refusals_);
  return !stopping_;
}

void RecorderThread::hand_over(Work& work) {
  const Now time = now();
  if (work.order) core_.open(time, work.id, std::move(*work.order));
  core_.lost(work.id, work.lost);
  for (const Step& step : work.steps) {
    if (step.kind == Step::Kind::samples) core_.append(work.id, step.side, step.at, step.samples);
    if (step.kind == Step::Kind::pause) core_.pause(time, work.id, step.at);
    if (step.kind == Step::Kind::resume) core_.resume(time, work.id, step.at);
  }
  if (work.close) core_.close(time, std::move(*work.close), work.closer, answers_);
}

/// What was taken has been dealt with: there is room for more, and for other recordings.
void RecorderThread::give_back(const std::vector<Work>& taken) {
  const std::vector<port::RecordingId> ended = core_.take_ended();
  const std::lock_guard lock(mutex_);
  for (const Work& work : taken) {
    queues_[work.id].samples -= work.samples;
    queued_samples_ -= work.samples;
  }
  for (const port::RecordingId id : ended) {
    const auto found = queues_.find(id);
    names_.erase(found->second.name);
    if (found->second.work.close) {
      // It ended by itself while it was being closed: the answer is kept for this.
      core_.close(now(), std::move(*found->second.work.close), found->second.work.closer, answers_);
    }
    queued_samples_ -= found->second.work.samples;
    queues_.erase(found);
  }
}

void RecorderThread::answer(Late& late) {
  if (auto* close = std::get_if<port::CloseRecording>(&late.question))
    core_.close(now(), std::move(*close), late.asker, answers_);
  else
    answers_.push_back({late.asker.worker, late.asker.id,
                        core_.remove(std::get<port::RemoveRecording>(late.question).file)});
}

void RecorderThread::tell_orphans() {
  for (port::LeaveVoicemail& message : core_.take_orphans())
    if (on_orphan_) on_orphan_(std::move(message));
}

void RecorderThread::run() {
  std::vector<Work> taken;
  std::vector<Late> late;
  core_.recover(now());
  tell_orphans();
  for (bool going = true; going;) {
    going = take(taken, late);
    for (Work& work : taken) hand_over(work);
    core_.round(now(), answers_);
    if (!going) core_.close_all(now(), answers_);
    for (Late& l : late) answer(l);
    give_back(taken);
    for (RecorderCore::Answered& a : answers_)
      if (a.id != 0) on_answer_(a.worker, a.id, std::move(a.answer));
    answers_.clear();
    taken.clear();
    late.clear();
  }
  tell_orphans();
}

}  // namespace tandem::store
