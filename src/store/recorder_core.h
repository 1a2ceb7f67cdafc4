#pragma once
// All recordings that are being written: samples in, files out. No thread and no clock; RecorderThread drives
// it.
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "port/ask.h"
#include "port/disk.h"
#include "port/event.h"
#include "port/message_plan.h"
#include "store/recording_retention.h"
#include "store/sound_cache.h"
#include "store/sound_writer.h"
#include "store/timeline.h"

namespace tandem::store {

struct RecorderOptions {
  Duration longest = hours(4);            // of a recording, whatever its order says; it is cut there
  Duration patience = milliseconds(500);  // so long a side is waited for before its silence is written
  Duration flush =
      milliseconds(500);             // from write to write of a recording; with `patience` what a kill loses
  Duration retry = seconds(1);       // after the disk failed
  Duration give_up = minutes(1);     // a recording that was closed is tried to be finished so long
  Duration kept_back = seconds(10);  // of each recording, while the disk fails,
  size_t kept_back_bytes = 256 << 20;  // and of all together
  RetentionOptions retention;          // of port::SoundPlace::recordings
};

class RecorderCore {
 public:
  using EventSink = std::function<void(const port::Event&)>;
  RecorderCore(port::Disk& disk, SoundFolders folders, RecorderOptions options, CounterSet& counters,
               EventSink events = {});
  ~RecorderCore();

  /// Finishes what a killed run left, in `recordings` and `voicemail`, before anything is opened.
  void recover(Now now);

  struct Answered {
    uint16_t worker = 0;
    port::AskId id = 0;
    port::Answer answer;
  };
  struct Asker {
    uint16_t worker = 0;
    port::AskId id = 0;
  };
  /// The order has been found fit (RecorderThread::open) and no other of its name is open.
  void open(Now now, port::RecordingId id, port::RecordingOrder order);
  void append(port::RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples);
  void pause(Now now, port::RecordingId id, uint64_t at);
  void resume(Now now, port::RecordingId id, uint64_t at);
  /// Samples that never got here.
  void lost(port::RecordingId id, uint64_t samples);
  /// Answered by a later round(), or at once when there is no such recording, or it is to be discarded.
  void close(Now now, port::CloseRecording question, Asker asker, std::vector<Answered>& out);
  port::Answer remove(const port::SoundFile& file);

  /// Writes what is ready. To be called some times a second.
  void round(Now now, std::vector<Answered>& out);
  /// The end of the run: everything is closed where its last sample is, and tried once.
  void close_all(Now now, std::vector<Answered>& out);

  size_t open_recordings() const { return open_.size(); }
  /// Recordings that are over, whoever has or has not closed them, since the last call.
  std::vector<port::RecordingId> take_ended();
  /// Messages that nobody else will put into their mailboxes, since the last call: of a killed run
  /// (recover()), and those still spoken at the end of this one (close_all()). Their files are durable.
  std::vector<port::LeaveVoicemail> take_orphans();

 private:
  struct Recording;
  using Recordings = std::map<port::RecordingId, std::unique_ptr<Recording>>;

  /// True when it is over.
  bool work_on(Now now, Recording& r);
  void encode(Recording& r);
  void write(Now now, Recording& r);
  /// The last bytes, the length, the name. True once it is durable.
  bool finish(Now now, Recording& r);
  bool checked(Now now, Recording& r, Status<port::DiskError> done);
  void begin_end(Now now, Recording& r);
  void discard(Recordings::iterator which, std::vector<Answered>& out);
  void take_leave(Recordings::iterator which, port::RecordingEnd how, std::vector<Answered>& out);
  void count_gap(Recording& r, uint64_t samples, Counter& counter);
  void recover_folder(Now now, const std::string& folder, int depth);
  void adopt(const port::RecordingFields& fields, const port::SoundFile& file, Duration length);
  void recover_message(const std::string& whole, Duration length);
  void recover_file(Now now, const std::string& folder, const std::string& file);
  std::string path(const port::SoundFile& file) const { return folders_.of(file.place) + "/" + file.name; }
  void tell(port::Level level, std::string_view name,
            std::vector<std::pair<std::string_view, std::string>> fields) const;

  // given
  port::Disk& disk_;
  const SoundFolders folders_;
  const RecorderOptions options_;
  EventSink events_;
  Counter& open_gauge_;
  Counter& whole_;
  Counter& cut_;
  Counter& unfinished_;
  Counter& discarded_;
  Counter& recovered_;
  Counter& failures_;
  Counter& bytes_;
  Counter& gap_queue_;
  Counter& gap_disk_;
  Counter& gap_late_;
  // state
  RecordingRetention retention_;
  Recordings open_;
  std::map<port::RecordingId, port::RecordingAnswer> ended_;  // that nobody has closed yet
  std::deque<port::RecordingId> ended_order_;
  std::vector<port::RecordingId> ended_now_;
  std::vector<port::LeaveVoicemail> orphans_;
  bool closing_ = false;
  size_t failing_ = 0;  // recordings whose disk fails
};

}  // namespace tandem::store
