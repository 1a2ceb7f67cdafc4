#pragma once
// port::Recorder for all workers, and the thread behind it that owns a RecorderCore: workers leave samples in
// queues, the thread takes all of them some times a second. No file is touched by any other thread.
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <variant>
#include <vector>

#include "port/outbox.h"
#include "port/recording.h"
#include "store/recorder_core.h"

namespace tandem::store {

struct RecorderThreadOptions {
  Duration round = milliseconds(200);  // from look to look
  size_t max_open = 2000;
  Duration queued = seconds(10);    // of each recording: what a slow disk may be late by
  size_t queued_bytes = 256 << 20;  // of all of them
};

class RecorderThread final : public port::Recorder {
 public:
  /// Called on the recorder's thread, or, when it has stopped, on the asking one: post it, do not block.
  using OnAnswer = std::function<void(uint16_t worker, port::AskId id, port::Answer answer)>;

  /// Called on the recorder's thread with a message that nobody else will put into its mailbox any more
  /// (RecorderCore::take_orphans): of a run before this one after start(), of this one before stop() returns.
  using OnOrphan = std::function<void(port::LeaveVoicemail message)>;

  RecorderThread(port::Disk& disk, SoundFolders folders, RecorderOptions core, RecorderThreadOptions options,
                 CounterSet& counters, OnAnswer on_answer, RecorderCore::EventSink events = {},
                 OnOrphan on_orphan = {});
  ~RecorderThread() override { stop(); }
  RecorderThread(const RecorderThread&) = delete;
  RecorderThread& operator=(const RecorderThread&) = delete;

  /// The thread finishes what a killed run left before it opens anything; what is opened meanwhile waits.
  void start();
  /// Closes what is open, makes it durable and ends the thread.
  void stop();

  // Any thread from here on.
  port::RecordingId open(const port::RecordingOrder& order) override;
  void append(port::RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples) override;
  void pause(port::RecordingId id, uint64_t at) override;
  void resume(port::RecordingId id, uint64_t at) override;
  void ask(uint16_t worker, port::AskId id, port::CloseRecording question);
  void ask(uint16_t worker, port::AskId id, port::RemoveRecording question);
  /// The same, for nobody who waits for an answer.
  void remove(port::SoundFile file) { ask(0, 0, port::RemoveRecording{std::move(file)}); }

 private:
  /// One thing a worker said about a recording.
  struct Step {
    enum class Kind : uint8_t { samples, pause, resume } kind = Kind::samples;
    uint8_t side = 0;
    uint64_t at = 0;
    std::vector<int16_t> samples;
  };
  /// What the thread takes of a recording, in this order: the opening, the steps, the closing.
  struct Work {
    port::RecordingId id = 0;
    std::unique_ptr<port::RecordingOrder> order;
    std::vector<Step> steps;
    uint64_t lost = 0;   // samples dropped
    size_t samples = 0;  // in the steps
    std::unique_ptr<port::CloseRecording> close;
    RecorderCore::Asker closer;
  };
  struct Queue {
    Work work;
    size_t last[2] = {SIZE_MAX, SIZE_MAX};  // the step that more samples of a side may lengthen
    size_t samples = 0;                     // queued, and in the thread's hands
    size_t most = 0;
    std::pair<port::SoundPlace, std::string> name;
  };
  /// A question about what is not being written, or not any more.
  struct Late {
    RecorderCore::Asker asker;
    std::variant<port::CloseRecording, port::RemoveRecording> question;
  };

  void run();
  /// Waits for the next round; false when it is the last.
  bool take(std::vector<Work>& taken, std::vector<Late>& late);
  void hand_over(Work& work);
  void answer(Late& late);
  void tell_orphans();
  void give_back(const std::vector<Work>& taken);
  void control(port::RecordingId id, Step::Kind kind, uint64_t at);
  bool is_fit(const port::RecordingOrder& order) const;

  // given
  const SoundFolders folders_;
  const RecorderThreadOptions options_;
  OnAnswer on_answer_;
  OnOrphan on_orphan_;
  Counter& refused_;
  // of the thread
  RecorderCore core_;
  std::vector<RecorderCore::Answered> answers_;
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<port::RecordingId, Queue> queues_;
  std::set<std::pair<port::SoundPlace, std::string>> names_;  // being written
  std::vector<Late> late_;
  size_t queued_samples_ = 0;
  port::RecordingId next_ = 1;
  uint64_t refusals_ = 0;
  bool urgent_ = false;  // somebody waits for an answer
  bool running_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::store
