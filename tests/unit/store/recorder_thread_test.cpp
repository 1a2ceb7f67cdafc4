// The threads: workers that never wait, a disk that does, and what is said about it.
#include "store/recorder_thread.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>

#include "port/message_plan.h"
#include "sounds.h"
#include "store/posix_disk.h"
#include "store/sound_service.h"
#include "store_memory/memory_sounds.h"

namespace tandem::store_test {
namespace {

using port::RecordingFormat;
using port::SoundFailure;
using port::SoundPlace;

constexpr uint32_t rate = 8000;
constexpr auto deadline = std::chrono::seconds(60);

/// Answers as they come, for one who waits.
class Answers {
 public:
  void put(uint16_t worker, port::AskId id, port::Answer answer) {
    {
      const std::lock_guard lock(mutex_);
      answers_.emplace(std::pair(worker, id), std::move(answer));
    }
    wake_.notify_all();
  }
  port::Answer wait(uint16_t worker, port::AskId id) {
    std::unique_lock lock(mutex_);
    const auto there = [&] { return answers_.contains({worker, id}); };
    if (!wake_.wait_for(lock, deadline, there)) {
      ADD_FAILURE() << "no answer to " << id;
      return port::AskFailure::timed_out;
    }
    return answers_.at({worker, id});
  }
  size_t size() {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::pair<uint16_t, port::AskId>, port::Answer> answers_;
};

/// A disk whose writes wait at a gate, as a network's file system does when the network is gone.
class GatedDisk final : public port::Disk {
 public:
  void shut() {
    const std::lock_guard lock(mutex_);
    open_ = false;
  }
  void open_up() {
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
    }
    wake_.notify_all();
  }
  /// Until somebody stands before the gate.
  bool wait_for_a_writer() {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, deadline, [&] { return waiting_ > 0; });
  }

  Status<port::DiskError> make_directory(const std::string& p) override { return disk_.make_directory(p); }
  Result<std::vector<std::string>, port::DiskError> list(const std::string& d) override {
    return disk_.list(d);
  }
  Result<std::vector<std::string>, port::DiskError> folders(const std::string& d) override {
    return disk_.folders(d);
  }
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> create(const std::string& p) override {
    pass();
    return disk_.create(p);
  }
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> open_append(const std::string& p) override {
    return disk_.open_append(p);
  }
  Result<std::string, port::DiskError> read(const std::string& p, uint64_t offset, size_t limit) override {
    return disk_.read(p, offset, limit);
  }
  Result<uint64_t, port::DiskError> size(const std::string& p) override { return disk_.size(p); }
  Status<port::DiskError> overwrite(const std::string& p, uint64_t offset, std::string_view bytes) override {
    pass();
    return disk_.overwrite(p, offset, bytes);
  }
  Status<port::DiskError> truncate(const std::string& p, uint64_t size) override {
    return disk_.truncate(p, size);
  }
  Status<port::DiskError> rename(const std::string& from, const std::string& to) override {
    return disk_.rename(from, to);
  }
  Status<port::DiskError> remove(const std::string& p) override { return disk_.remove(p); }
  Status<port::DiskError> sync_directory(const std::string& d) override { return disk_.sync_directory(d); }

 private:
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    wake_.notify_all();
    wake_.wait(lock, [&] { return open_; });
    --waiting_;
  }
  store::PosixDisk disk_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool open_ = true;
  int waiting_ = 0;
};

class RecorderThreads : public testing::Test {
 protected:
  void start(store::RecorderThreadOptions options = {.round = milliseconds(5)}) {
    recorder = std::make_unique<store::RecorderThread>(
        disk, store::SoundFolders{"", scratch / "recordings", scratch / "voicemail"},
        store::RecorderOptions{}, options, counters,
        [this](uint16_t w, port::AskId id, port::Answer a) { answers.put(w, id, std::move(a)); });
    recorder->start();
  }
  static port::RecordingOrder order(const std::string& name, uint8_t sides = 2) {
    return {{SoundPlace::recordings, name}, RecordingFormat::wav, rate, sides, {}, {}};
  }
  port::RecordingAnswer close(uint16_t worker, port::RecordingId id, uint64_t at) {
    const port::AskId ask = id * 10;
    recorder->ask(worker, ask, port::CloseRecording{id, at, false, {}});
    return std::get<port::RecordingAnswer>(answers.wait(worker, ask));
  }
  std::string path(const std::string& name) const { return scratch / ("recordings/" + name); }

  Scratch scratch;
  GatedDisk disk;
  CounterSet counters;
  Answers answers;
  std::unique_ptr<store::RecorderThread> recorder;
};

TEST_F(RecorderThreads, ManyWorkersRecordAtOnce) {
  start();
  constexpr int workers = 4, each = 6;
  std::vector<std::thread> threads;
  for (uint16_t w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      std::vector<port::RecordingId> ids;
      for (int i = 0; i < each; ++i)
        ids.push_back(recorder->open(order(std::to_string(w) + "/" + std::to_string(i))));
      for (size_t at = 0; at < 2 * rate; at += 160)
        for (size_t i = 0; i < ids.size(); ++i) {
          recorder->append(ids[i], 0, at, tone(400 + 100.0 * w, rate, 0.02, -12, at));
          recorder->append(ids[i], 1, at, tone(1000 + 100.0 * static_cast<double>(i), rate, 0.02, -12, at));
        }
      for (const auto id : ids) EXPECT_EQ(port::to_text(close(w, id, 2 * rate).end), "whole");
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(counters.total("recordings_total"), uint64_t{workers * each});
  EXPECT_EQ(counters.total("recording_gap_ms_total"), 0U);
  for (int w = 0; w < workers; ++w)
    for (int i = 0; i < each; ++i) {
      const std::string bytes = file_bytes(path(std::to_string(w) + "/" + std::to_string(i) + ".wav"));
      ASSERT_EQ(bytes.size(), 44U + 2 * 2 * 2 * rate);
      const Samples left = tone(400 + 100.0 * w, rate, 2, -12), right = tone(1000 + 100.0 * i, rate, 2, -12);
      for (size_t n = 0; n < left.size(); ++n) {
        int16_t frame[2];
        std::memcpy(frame, bytes.data() + 44 + n * 4, 4);
        ASSERT_EQ(frame[0], left[n]) << w << " " << i << " " << n;
        ASSERT_EQ(frame[1], right[n]) << w << " " << i << " " << n;
      }
    }
}

/// The disk stands still for longer than the queue holds: no append waits, what does not fit is counted, and
/// afterwards everything is at its place.
TEST_F(RecorderThreads, ASlowDiskKeepsNobodyWaiting) {
  start({.round = milliseconds(5), .queued = seconds(2)});
  disk.shut();
  const auto id = recorder->open(order("slow"));
  const Samples left = tone(500, rate, 20, -12), right = tone(1800, rate, 20, -20);
  const auto say = [&](size_t from, size_t to) {
    for (size_t at = from * rate; at < to * rate; at += 160) {
      recorder->append(id, 0, at, std::span(left).subspan(at, 160));
      recorder->append(id, 1, at, std::span(right).subspan(at, 160));
    }
  };
  say(0, 1);
  ASSERT_TRUE(disk.wait_for_a_writer());
  say(1, 19);  // with the disk shut: if this waited, it would wait for ever
  disk.open_up();
  // A question that is answered by the thread: it has taken the queue since.
  recorder->ask(0, 999, port::RemoveRecording{{SoundPlace::recordings, "none.wav"}});
  answers.wait(0, 999);
  say(19, 20);
  const auto answer = close(1, id, 20 * rate);
  EXPECT_EQ(port::to_text(answer.end), "whole");
  EXPECT_EQ(answer.length, seconds(20));
  EXPECT_GE(answer.gaps, seconds(2 * 15));
  EXPECT_EQ(counters.total("recording_gap_ms_total"), static_cast<uint64_t>(answer.gaps / milliseconds(1)));
  const std::vector<Samples> sides = played(path("slow.wav"), rate);
  EXPECT_EQ(part(sides.at(0), rate, 0, 1), part(left, rate, 0, 1));
  EXPECT_EQ(part(sides.at(0), rate, 5, 19), Samples(14 * rate, 0));
  EXPECT_EQ(part(sides.at(0), rate, 19, 20), part(left, rate, 19, 20));
  EXPECT_EQ(part(sides.at(1), rate, 19, 20), part(right, rate, 19, 20));
}

TEST_F(RecorderThreads, AllQueuesTogetherAreBoundedToo) {
  start({.round = milliseconds(5), .queued = seconds(100), .queued_bytes = 64'000});
  disk.shut();
  const auto first = recorder->open(order("first", 1)), second = recorder->open(order("second", 1));
  recorder->append(first, 0, 0, Samples(8000, 1));
  ASSERT_TRUE(disk.wait_for_a_writer());
  for (int i = 1; i < 10; ++i) {
    recorder->append(first, 0, static_cast<uint64_t>(i) * 8000, Samples(8000, 1));
    recorder->append(second, 0, static_cast<uint64_t>(i) * 8000, Samples(8000, 1));
  }
  disk.open_up();
  const auto a = close(0, first, 80'000), b = close(0, second, 80'000);
  // Four seconds fit; the first one may have left the queue before the disk stood still.
  EXPECT_GE(a.gaps + b.gaps, seconds(19 - 5));
  EXPECT_LE(a.gaps + b.gaps, seconds(19 - 4));
}

TEST_F(RecorderThreads, RefusesWhatItCannotDo) {
  start({.max_open = 2});
  const auto a = recorder->open(order("a"));
  EXPECT_NE(a, 0U);
  EXPECT_EQ(recorder->open(order("a")), 0U) << "that name is being written";
  for (const char* name : {"../a", "", "/a", "a//b", ".a"})
    EXPECT_EQ(recorder->open(order(name)), 0U) << name;
  auto bad = order("b");
  bad.rate = 11'025;
  EXPECT_EQ(recorder->open(bad), 0U);
  bad = order("b", 3);
  EXPECT_EQ(recorder->open(bad), 0U);
  bad = order("b");
  bad.file.place = SoundPlace::sounds;
  EXPECT_EQ(recorder->open(bad), 0U) << "the operator's own folder is only read";
  EXPECT_NE(recorder->open(order("b")), 0U);
  EXPECT_EQ(recorder->open(order("c")), 0U) << "as many as allowed";
  close(0, a, 0);
  EXPECT_NE(recorder->open(order("c")), 0U);
  recorder->append(12345, 0, 0, Samples(10, 1));
  recorder->pause(12345, 0);
  EXPECT_EQ(port::to_text(close(0, 12345, 0).end), "unknown");
  recorder->stop();
  EXPECT_EQ(counters.total("recordings_refused_total"), 10U);
  EXPECT_EQ(recorder->open(order("d")), 0U);
  EXPECT_EQ(port::to_text(close(0, 4711, 0).end), "unknown");
}

TEST_F(RecorderThreads, AKeyThatIsPlayedWithFillsNoMemory) {
  start();
  const auto id = recorder->open(order("keys", 1));
  recorder->append(id, 0, 0, tone(500, rate, 1));
  for (int i = 0; i < 100'000; ++i) {
    recorder->pause(id, rate);
    recorder->resume(id, rate);
  }
  EXPECT_EQ(close(0, id, rate).length, seconds(1));
  EXPECT_LT(std::filesystem::file_size(path("keys.json")), 4U << 20);
}

TEST_F(RecorderThreads, StopMakesEverythingWhole) {
  start({.round = seconds(100)});
  const auto id = recorder->open(order("open", 1));
  recorder->append(id, 0, 0, tone(500, rate, 3));
  recorder->stop();
  EXPECT_EQ(played(path("open.wav"), rate).at(0), tone(500, rate, 3));
}

TEST_F(RecorderThreads, AMessageThatIsStillSpokenAtTheStopIsHandedOn) {
  std::vector<port::LeaveVoicemail> handed;  // by the thread, which has ended when it is looked at
  port::MessagePlan plan;
  plan.message.mailbox = {"101", "example.com"};
  recorder = std::make_unique<store::RecorderThread>(
      disk, store::SoundFolders{"", scratch / "recordings", scratch / "voicemail"}, store::RecorderOptions{},
      store::RecorderThreadOptions{.round = seconds(100)}, counters,
      [this](uint16_t w, port::AskId id, port::Answer a) { answers.put(w, id, std::move(a)); },
      store::RecorderCore::EventSink{},
      [&handed](port::LeaveVoicemail message) { handed.push_back(std::move(message)); });
  recorder->start();
  port::RecordingOrder spoken = order("example.com/101/one", 1);
  spoken.file.place = SoundPlace::voicemail;
  spoken.fields = port::to_fields(plan);
  recorder->append(recorder->open(spoken), 0, 0, tone(500, rate, 3));
  recorder->stop();
  ASSERT_EQ(handed.size(), 1U);
  EXPECT_EQ(handed[0].message.mailbox, plan.message.mailbox);
  EXPECT_EQ(handed[0].message.file, "example.com/101/one.wav");
  EXPECT_EQ(handed[0].message.length, seconds(3));
}

TEST_F(RecorderThreads, AFileThatNobodyWaitsForIsRemovedWithoutAnAnswer) {
  start();
  const auto id = recorder->open(order("x"));
  recorder->append(id, 0, 0, tone(500, rate, 1));
  close(0, id, rate);
  ASSERT_TRUE(std::filesystem::exists(path("x.wav")));
  recorder->remove({SoundPlace::recordings, "x.wav"});
  recorder->ask(0, 77, port::RemoveRecording{{SoundPlace::recordings, "x.wav"}});
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(answers.wait(0, 77)));
  EXPECT_FALSE(std::filesystem::exists(path("x.wav")));
}

TEST_F(RecorderThreads, ANameIsFreeAgainOnceItsRecordingIsDiscarded) {
  start();
  const auto id = recorder->open(order("x"));
  recorder->append(id, 0, 0, tone(500, rate, 1));
  recorder->ask(0, 5, port::CloseRecording{id, rate, true, {}});
  EXPECT_EQ(std::get<port::RecordingAnswer>(answers.wait(0, 5)).end, port::RecordingEnd::discarded);
  EXPECT_FALSE(std::filesystem::exists(path("x.wav")));
  store_memory::MemorySounds sounds;
  store_memory::MemoryRecorder twin(sounds);
  EXPECT_EQ(twin.answer(port::CloseRecording{twin.open(order("x")), rate, true, {}}).end,
            port::RecordingEnd::discarded);
  EXPECT_TRUE(sounds.all().empty());
}

TEST_F(RecorderThreads, TheTwinInMemoryKeepsTheSameTimeline) {
  start();
  store_memory::MemorySounds sounds;
  store_memory::MemoryRecorder twin(sounds);
  const auto real = recorder->open(order("x")), fake = twin.open(order("x"));
  EXPECT_EQ(twin.open(order("x")), 0U);
  const Samples left = tone(500, rate, 3), right = tone(1800, rate, 3);
  for (port::Recorder* r :
       {static_cast<port::Recorder*>(recorder.get()), static_cast<port::Recorder*>(&twin)}) {
    const auto id = r == &twin ? fake : real;
    r->pause(id, rate);
    r->resume(id, 2 * rate);
    r->append(id, 1, 0, right);
    r->append(id, 0, 0, left);
  }
  const auto a = close(0, real, 3 * rate + 80),
             b = twin.answer(port::CloseRecording{fake, 3 * rate + 80, false, {}});
  EXPECT_EQ(a.length, b.length);
  EXPECT_EQ(a.file, b.file);
  const std::vector<Samples> sides = played(path("x.wav"), rate);
  Samples frames;
  for (size_t i = 0; i < sides.at(0).size(); ++i) {
    frames.push_back(sides[0][i]);
    frames.push_back(sides[1][i]);
  }
  ASSERT_EQ(twin.recorded().size(), 1U);
  EXPECT_EQ(twin.recorded()[0].frames, frames);
  EXPECT_TRUE(sounds.answer(port::AskSound{b.file, {}}).ok());
  EXPECT_TRUE(std::holds_alternative<port::Stored>(sounds.answer(port::RemoveRecording{b.file})));
  EXPECT_FALSE(sounds.answer(port::AskSound{b.file, {}}).ok());
}

// ---- reading
// -----------------------------------------------------------------------------------------------

class SoundServices : public testing::Test {
 protected:
  static constexpr Instant never = Instant::never();
  std::unique_ptr<store::SoundService> make(store::SoundServiceOptions options = {}) {
    return std::make_unique<store::SoundService>(
        store::SoundFolders{scratch / "", "", ""}, options, counters,
        [this](uint16_t w, port::AskId id, port::Answer a) { answers.put(w, id, std::move(a)); });
  }
  port::SoundResult wait(uint16_t worker, port::AskId id) {
    return std::get<port::SoundResult>(answers.wait(worker, id));
  }
  Scratch scratch;
  CounterSet counters;
  Answers answers;
};

TEST_F(SoundServices, AllWorkersGetTheSameSamples) {
  must_run("ffmpeg -nostdin -y -f lavfi -i sine=duration=2 -ar 8000 '" + scratch / "a.wav" + "'");
  auto service = make();
  service->start();
  std::vector<std::thread> threads;
  for (uint16_t w = 0; w < 4; ++w)
    threads.emplace_back([&, w] {
      for (port::AskId id = 1; id <= 50; ++id)
        service->ask(w, id, {{SoundPlace::sounds, id % 10 == 0 ? "absent.wav" : "a.wav"}, {}}, never);
    });
  for (std::thread& t : threads) t.join();
  const port::Sound* first = nullptr;
  for (uint16_t w = 0; w < 4; ++w)
    for (port::AskId id = 1; id <= 50; ++id) {
      const auto sound = wait(w, id);
      if (id % 10 == 0) {
        ASSERT_FALSE(sound.ok());
        EXPECT_EQ(sound.reason(), SoundFailure::not_found);
        continue;
      }
      ASSERT_TRUE(sound.ok());
      if (!first) first = sound->get();
      EXPECT_EQ(sound->get(), first);
    }
  service->stop();
  EXPECT_EQ(counters.total("sound_loads_total"), 1U);
  EXPECT_EQ(counters.total("sound_failures_total"), 20U);
}

TEST_F(SoundServices, TooManyTooLateAndTooNearTheEndAreBusy) {
  auto service = make({.max_queued = 3});
  for (port::AskId id = 1; id <= 4; ++id) service->ask(0, id, {{SoundPlace::sounds, "a.wav"}, {}}, never);
  const auto refused = wait(0, 4);  // at once: nothing runs yet
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.reason(), SoundFailure::busy);
  EXPECT_EQ(answers.size(), 1U);
  service->start();
  for (port::AskId id = 1; id <= 3; ++id) EXPECT_EQ(wait(0, id).reason(), SoundFailure::not_found);
  service->ask(0, 5, {{SoundPlace::sounds, "a.wav"}, {}}, Instant{1});
  EXPECT_EQ(wait(0, 5).reason(), SoundFailure::busy) << "its deadline has passed";
  service->stop();
  service->ask(0, 6, {{SoundPlace::sounds, "a.wav"}, {}}, never);
  EXPECT_EQ(wait(0, 6).reason(), SoundFailure::busy);
}

}  // namespace
}  // namespace tandem::store_test
