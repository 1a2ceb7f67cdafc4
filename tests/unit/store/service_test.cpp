// The store's questions without a thread, then the two threads on real files.
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "samples.h"
#include "store/cdr_sink.h"
#include "store/posix_disk.h"
#include "store/spool_thread.h"
#include "store/sql_directory.h"
#include "store/store_desk.h"
#include "store/store_service.h"
#include "store/voicemail_drop.h"
#include "store_memory/memory_directory.h"

namespace tandem::store_test {
namespace {

using port::AskFailure;
using Kind = port::StoreError::Kind;
const port::AddressOfRecord ann{"1001", "example.org"};

class Desk : public testing::Test {
 protected:
  Desk() {
    EXPECT_TRUE(directory.put_plan_row(domain("example.org"), port::Directory::Put::create).ok());
    EXPECT_TRUE(
        directory.put_subscriber(subscriber("1001", "example.org"), port::Directory::Put::create).ok());
  }
  /// Asks as worker 2 and gives what comes back at once.
  port::Answer ask(port::Question question, Instant deadline = Instant::never()) {
    out.clear();
    desk.ask(now, 2, {++id, std::move(question), deadline}, out);
    EXPECT_EQ(out.size(), 1u);
    if (out.size() != 1) return AskFailure::refused;
    EXPECT_EQ(out[0].id, id);
    EXPECT_EQ(out[0].worker, 2);
    return out[0].answer;
  }
  static port::SaveBindings save(const std::string& user, const std::string& key) {
    const port::AddressOfRecord aor{user, "example.org"};
    return {aor, {{aor, key, "sip:x", "phone", {99}, "part"}}};
  }
  void gather(port::SaveBindings s) {
    out.clear();
    desk.ask(now, 2, {++id, std::move(s), Instant::never()}, out);
  }
  static bool failed(const port::Answer& a, AskFailure why) {
    const auto* f = std::get_if<AskFailure>(&a);
    return f && *f == why;
  }

  Instant now{1000};
  port::AskId id = 0;
  std::vector<std::string> events;
  store_memory::MemoryDirectory directory;
  CounterSet counters;
  store::StoreDesk desk{
      directory, {}, counters, [this](const port::Event& e) { events.emplace_back(e.name); }};
  std::vector<store::StoreDesk::Answered> out;
};

TEST_F(Desk, Subscribers) {
  const auto answer = ask(port::AskSubscriber{ann});
  const auto* row = std::get_if<port::SubscriberAnswer>(&answer);
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)->display_name, "Subscriber 1001");
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(ask(port::AskSubscriber{{"9", "example.org"}})));
}

TEST_F(Desk, MessagesAreSavedReadAndDeleted) {
  port::StoredMessage m;
  m.to = ann;
  m.body = "hello";
  const auto saved = ask(port::SaveMessage{m});
  ASSERT_TRUE(std::holds_alternative<port::Stored>(saved));
  auto answer = ask(port::AskMessages{ann, 10});
  ASSERT_EQ(std::get<port::MessagesAnswer>(answer).messages.size(), 1u);
  EXPECT_EQ(std::get<port::MessagesAnswer>(answer).messages[0].id, std::get<port::Stored>(saved).id);
  ask(port::DeleteMessages{{std::get<port::Stored>(saved).id}});
  EXPECT_EQ(std::get<port::WaitingAnswer>(ask(port::AskWaiting{ann})).messages, 0u);
  answer = ask(port::AskMessages{ann, 10});
  EXPECT_TRUE(std::get<port::MessagesAnswer>(answer).messages.empty());
  for (uint32_t i = 0; i < port::max_stored_messages; ++i) ask(port::SaveMessage{m});
  EXPECT_TRUE(failed(ask(port::SaveMessage{m}), AskFailure::refused));
}

TEST_F(Desk, FeaturesAndForeignQuestions) {
  ASSERT_TRUE(
      std::holds_alternative<port::Stored>(ask(port::SetFeature{ann, port::SetFeature::Kind::dnd, "1"})));
  EXPECT_TRUE(directory.subscriber(ann)->do_not_disturb);
  EXPECT_TRUE(failed(ask(port::AskDns{"example.org", 1}), AskFailure::refused));
  EXPECT_TRUE(failed(ask(port::AskBindings{ann}), AskFailure::refused));
}

// ---- voice messages

class VoicemailDesk : public Desk, public store::StoreListener {
 protected:
  VoicemailDesk() {
    port::MailboxRow row;
    row.domain = "example.org";
    row.user = "1001";
    EXPECT_TRUE(directory.put_plan_row(row, port::Directory::Put::create).ok());
  }
  void mailbox_changed(const port::AddressOfRecord& mailbox) override { changed.push_back(mailbox); }
  void message_left(const port::Voicemail& message) override { left.push_back(message); }
  void remove_file(const port::SoundFile& file) override { removed.push_back(file.name); }
  void mailbox_plan_changed() override { ++plans; }
  /// As VoicemailDrop hands it over.
  static port::LeaveVoicemail message(std::string file, uint32_t most = 100) {
    port::LeaveVoicemail q;
    q.message.mailbox = ann;
    q.message.file = std::move(file);
    q.message.length = seconds(9);
    q.most = most;
    return q;
  }
  std::vector<port::Voicemail> stored() { return directory.voicemails(ann).value(); }

  std::vector<port::AddressOfRecord> changed;
  std::vector<port::Voicemail> left;
  std::vector<std::string> removed;
  int plans = 0;
  CounterSet voicemail_counters;
  store::StoreDesk desk{
      directory, {}, voicemail_counters, [this](const port::Event& e) { events.emplace_back(e.name); }, this};
  port::Answer ask(port::Question question, Instant deadline = Instant::never()) {
    out.clear();
    desk.ask(now, 2, {++id, std::move(question), deadline}, out);
    return out.size() == 1 ? out[0].answer : port::Answer(AskFailure::refused);
  }
};

TEST_F(VoicemailDesk, AMessageIsStoredAndWhoeverWatchesIsTold) {
  ASSERT_TRUE(std::holds_alternative<port::Stored>(ask(message("a.wav"))));
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].id, stored().at(0).id);
  EXPECT_EQ(changed, std::vector{ann});
  auto counts = std::get<port::WaitingAnswer>(ask(port::AskWaiting{ann}));
  EXPECT_EQ(counts.voice_new, 1U);
  EXPECT_EQ(counts.voice_old, 0U);
  ask(port::MarkVoicemail{ann, left[0].id, true});
  EXPECT_EQ(changed.size(), 2U);
  counts = std::get<port::WaitingAnswer>(ask(port::AskWaiting{ann}));
  EXPECT_EQ(counts.voice_new, 0U);
  EXPECT_EQ(counts.voice_old, 1U);
  ASSERT_EQ(std::get<port::VoicemailsAnswer>(ask(port::AskVoicemails{ann})).messages.size(), 1U);
  ASSERT_TRUE(std::holds_alternative<port::Stored>(ask(port::RemoveVoicemail{ann, left[0].id})));
  EXPECT_EQ(removed, std::vector<std::string>{"a.wav"});
  EXPECT_EQ(changed.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(ask(port::RemoveVoicemail{ann, left[0].id})));
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(ask(port::MarkVoicemail{ann, left[0].id, true})));
  EXPECT_EQ(removed.size(), 1U);
}

TEST_F(VoicemailDesk, WhoeverLeftItMayHaveHungUpLongAgo) {
  EXPECT_TRUE(std::holds_alternative<port::Stored>(ask(message("a.wav"), Instant{1})));
  EXPECT_EQ(stored().size(), 1U);
}

TEST_F(VoicemailDesk, AFullMailboxKeepsWhatItHas) {
  ask(message("a.wav", 1));
  EXPECT_TRUE(failed(ask(message("b.wav", 1)), AskFailure::refused));
  EXPECT_EQ(removed, std::vector<std::string>{"b.wav"});
  EXPECT_EQ(stored().size(), 1U);
  EXPECT_EQ(voicemail_counters.total("voicemails_refused_total"), 1U);
}

TEST_F(VoicemailDesk, AMessageOutlastsADatabaseThatIsAway) {
  directory.fail_with(Kind::unavailable);
  EXPECT_TRUE(failed(ask(message("a.wav")), AskFailure::unavailable));
  EXPECT_TRUE(removed.empty());
  EXPECT_EQ(desk.next_timeout(), now + seconds(1));
  desk.on_timeout(now + seconds(1), out);
  directory.fail_with(std::nullopt);
  EXPECT_TRUE(stored().empty());
  desk.on_timeout(now + seconds(2), out);
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(left.size(), 1U);
  EXPECT_TRUE(desk.next_timeout().is_never());
}

TEST_F(VoicemailDesk, NotMoreWaitThanAllowed) {
  CounterSet c;
  store::StoreDesk small(directory, {.max_unsaved = 1}, c, {}, this);
  directory.fail_with(Kind::full);
  small.ask(now, 2, {1, message("a.wav"), Instant::never()}, out);
  small.ask(now, 2, {2, message("b.wav"), Instant::never()}, out);
  EXPECT_EQ(removed, std::vector<std::string>{"b.wav"});
  directory.fail_with(std::nullopt);
  small.close(now, out);
  ASSERT_EQ(stored().size(), 1U);
  EXPECT_EQ(stored()[0].file, "a.wav");
}

TEST_F(VoicemailDesk, ANewPinIsANewPlan) {
  EXPECT_TRUE(std::holds_alternative<port::Stored>(ask(port::SetMailboxPin{ann, "2468"})));
  EXPECT_EQ(plans, 1);
  EXPECT_TRUE(failed(ask(port::SetMailboxPin{ann, "x"}), AskFailure::refused));
  EXPECT_TRUE(std::holds_alternative<port::NotFound>(ask(port::SetMailboxPin{{"9", "example.org"}, "2468"})));
  EXPECT_EQ(plans, 1);
}

TEST(VoicemailDrop, HandsAMessageFromTheRecorderToTheStore) {
  CounterSet counters;
  store::VoicemailDrop drop(counters);
  port::LeaveVoicemail q;
  q.recording.id = 77;
  q.message.mailbox = ann;
  EXPECT_EQ(drop.begin(2, {5, q, Instant{9}}).id, 77U);
  port::RecordingAnswer recorded{
      port::RecordingEnd::cut, {port::SoundPlace::voicemail, "a.wav"}, seconds(7), 1, {}};
  EXPECT_FALSE(drop.closed(2, 6, recorded)) << "another question's answer";
  EXPECT_FALSE(drop.closed(3, 5, recorded));
  const auto next = drop.closed(2, 5, recorded);
  ASSERT_TRUE(next && std::holds_alternative<port::Asked>(*next));
  const auto& asked = std::get<port::Asked>(*next);
  EXPECT_EQ(asked.id, 5U);
  const auto& message = std::get<port::LeaveVoicemail>(asked.question).message;
  EXPECT_EQ(message.file, "a.wav");
  EXPECT_EQ(message.length, seconds(7));
  EXPECT_FALSE(drop.closed(2, 5, recorded)) << "only once";

  for (const port::Answer& bad : {port::Answer(port::RecordingAnswer{}), port::Answer(AskFailure::refused)}) {
    drop.begin(2, {6, q, Instant{9}});
    const auto failed = drop.closed(2, 6, bad);
    ASSERT_TRUE(failed && std::holds_alternative<port::Answer>(*failed));
    EXPECT_EQ(std::get<AskFailure>(std::get<port::Answer>(*failed)), AskFailure::unavailable);
  }
  EXPECT_EQ(counters.total("voicemails_unrecorded_total"), 2U);
}

TEST_F(Desk, BindingsAreWrittenInGroupsAndTheLastOfAnAddressWins) {
  gather(save("1001", "old"));
  gather(save("1002", "k"));
  gather(save("1001", "new"));
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(directory.bindings()->empty());
  EXPECT_EQ(desk.next_timeout(), now + milliseconds(5));
  desk.on_timeout(now + milliseconds(4), out);
  EXPECT_TRUE(out.empty());
  desk.on_timeout(now + milliseconds(5), out);
  ASSERT_EQ(out.size(), 3u) << "the overtaken one is answered too";
  for (const auto& a : out) EXPECT_TRUE(std::holds_alternative<port::Stored>(a.answer));
  const auto rows = directory.bindings();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].key, "new");
  EXPECT_TRUE(desk.next_timeout().is_never());
  EXPECT_EQ(counters.total("store_bindings_replaced_total"), 1u);
}

TEST_F(Desk, AFullGroupIsWrittenAtOnce) {
  for (int i = 0; i < 499; ++i) gather(save(std::to_string(i), "k"));
  EXPECT_TRUE(out.empty());
  gather(save("last", "k"));
  EXPECT_EQ(out.size(), 500u);
}

TEST_F(Desk, ReadingBindingsSeesWhatWasGathered) {
  gather(save("1001", "k"));
  desk.ask(now, 2, {++id, port::AskStoredBindings{}, Instant::never()}, out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_EQ(std::get<port::StoredBindingsAnswer>(out[1].answer).bindings->size(), 1u);
}

TEST_F(Desk, AnAbsentDirectoryIsReportedOnceAndBindingsAreWrittenLater) {
  directory.fail_with(Kind::corrupt);
  EXPECT_TRUE(failed(ask(port::AskSubscriber{ann}), AskFailure::unavailable));
  EXPECT_TRUE(failed(ask(port::AskMessages{ann, 1}), AskFailure::unavailable));
  gather(save("1001", "k"));
  out.clear();
  desk.on_timeout(now + milliseconds(5), out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(failed(out[0].answer, AskFailure::unavailable));
  EXPECT_EQ(events, (std::vector<std::string>{"store.failing"}));
  directory.fail_with(std::nullopt);
  out.clear();
  desk.on_timeout(desk.next_timeout(), out);
  EXPECT_TRUE(out.empty()) << "answered already";
  EXPECT_EQ(directory.bindings()->size(), 1u);
  EXPECT_EQ(events, (std::vector<std::string>{"store.failing", "store.recovered"}));
}

TEST_F(Desk, LateReadsAreDroppedLateWritesOfBindingsAreNot) {
  EXPECT_TRUE(failed(ask(port::AskSubscriber{ann}, now), AskFailure::timed_out));
  EXPECT_EQ(counters.total("store_asks_late_total"), 1u);
  out.clear();
  desk.ask(now, 2, {++id, save("1001", "k"), now}, out);
  desk.write_bindings(now, out);
  EXPECT_EQ(directory.bindings()->size(), 1u);
}

TEST_F(Desk, UnwrittenBindingsAreBounded) {
  store::StoreDeskOptions options;
  options.max_unwritten = 2;
  store::StoreDesk small(directory, options, counters);
  for (const char* user : {"1", "2", "3"}) small.ask(now, 0, {++id, save(user, "k"), Instant::never()}, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_TRUE(failed(out[0].answer, AskFailure::refused));
  EXPECT_EQ(counters.total("store_bindings_dropped_total"), 1u);
}

/// Gathers what threads call back with.
template <class T>
class Mailbox {
 public:
  void post(T item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }
  /// Waits for `count` items; a minute is for ever.
  std::vector<T> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::minutes(1), [&] { return items_.size() >= count; });
    return items_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> items_;
};

using Answers = Mailbox<std::pair<port::AskId, port::Answer>>;

TEST(StoreService, AnswersOnItsThreadAndRefusesWhenFull) {
  Scratch scratch;
  store::SqlDirectory directory(scratch / "a.db");
  ASSERT_TRUE(directory.put_plan_row(domain("example.org"), port::Directory::Put::create).ok());
  ASSERT_TRUE(directory.put_subscriber(subscriber("1001", "example.org"), port::Directory::Put::create).ok());
  CounterSet counters;
  Answers answers;
  store::StoreServiceOptions options;
  options.max_queued = 3;
  store::StoreService service(directory, nullptr, options, counters,
                              [&](uint16_t, port::AskId id, port::Answer a) {
                                answers.post({id, std::move(a)});
                              });
  std::vector<port::Asked> asks;
  for (port::AskId id = 1; id <= 4; ++id) asks.push_back({id, port::AskSubscriber{ann}, Instant::never()});
  service.ask(0, asks);  // the thread is not running yet: the fourth finds the queue full
  auto got = answers.wait_for(1);
  EXPECT_EQ(got[0].first, 4u);
  EXPECT_EQ(std::get<AskFailure>(got[0].second), AskFailure::refused);
  service.start();
  got = answers.wait_for(4);
  ASSERT_EQ(got.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<port::SubscriberAnswer>(got[1].second));
  asks.push_back({5, port::SaveBindings{ann, {{ann, "k", "sip:x", "p", {99}, "part"}}}, Instant::never()});
  service.ask(0, asks);
  service.stop();
  got = answers.wait_for(5);
  ASSERT_EQ(got.size(), 5u);
  EXPECT_TRUE(std::holds_alternative<port::Stored>(got[4].second));
  EXPECT_EQ(directory.bindings()->size(), 1u);
  EXPECT_EQ(counters.total("store_asks_refused_total"), 1u);
}

TEST(SpoolThread, WorkersAppendAndEverythingReachesSql) {
  Scratch scratch;
  constexpr uint64_t per_worker = 400;
  store::PosixDisk disk;
  CounterSet spool_counters, store_counters;
  store::SpoolCatalog catalog;
  store::SpoolOptions options;
  options.segment_bytes = 20'000;
  store::SpoolCore core(disk, scratch / "spool", options, catalog, spool_counters);
  ASSERT_TRUE(core.recover().ok());
  Mailbox<store::SpoolCommitted> committed;
  store::SpoolThread spool(core, options, spool_counters, [&](uint16_t worker, port::CommitId upto) {
    committed.post({worker, upto});
  });
  store::SqlDirectory directory(scratch / "a.db");
  store::CdrSink sink(directory, disk, scratch / "spool/rejected", store_counters);
  store::SpoolShipper shipper(disk, scratch / "spool", catalog, sink, store_counters);
  store::StoreService service(directory, &shipper, {}, store_counters,
                              [](uint16_t, port::AskId, port::Answer) {});
  spool.start();
  service.start();
  std::vector<std::thread> workers;
  for (uint16_t w = 0; w < 3; ++w)
    workers.emplace_back([&, w] {
      for (uint64_t i = 1; i <= per_worker; ++i) {
        std::vector<port::Append> appends;
        appends.push_back({i, port::encode(cdr(w * 1000 + i))});
        spool.append(w, appends);
      }
    });
  for (auto& t : workers) t.join();
  spool.stop();
  service.stop();
  std::map<uint16_t, port::CommitId> last;
  for (const auto& c : committed.wait_for(1)) {
    EXPECT_GT(c.upto, last[c.worker]) << "commits of a worker only grow";
    last[c.worker] = c.upto;
  }
  for (uint16_t w = 0; w < 3; ++w) EXPECT_EQ(last[w], per_worker);
  EXPECT_EQ(directory.count_cdrs().value(), 3 * per_worker);
  EXPECT_LE(catalog.size(), 1u);
}

TEST(SpoolThread, ADirectoryThatIsAFileFailsClearlyAndLosesNothing) {
  Scratch scratch;
  store::PosixDisk disk;
  {
    auto file = disk.create(scratch / "spool");
    ASSERT_TRUE(file.ok());
  }
  CounterSet counters;
  store::SpoolCatalog catalog;
  std::vector<std::string> reasons;
  store::SpoolCore core(disk, scratch / "spool", {}, catalog, counters, [&](const port::Event& e) {
    if (e.name == "spool.failing") reasons.push_back(e.fields[1].second);
  });
  EXPECT_EQ(core.recover().reason(), port::DiskError::not_a_directory);
  ASSERT_TRUE(core.append({0}, 0, 1, port::encode(cdr(1))));
  std::vector<store::SpoolCommitted> committed;
  core.flush({1}, committed);
  EXPECT_EQ(reasons, (std::vector<std::string>{"not a directory"}));
  ASSERT_TRUE(disk.remove(scratch / "spool").ok());
  core.flush(Instant{1} + seconds(1), committed);
  ASSERT_EQ(committed.size(), 1u);
  EXPECT_EQ(disk.list(scratch / "spool")->size(), 1u);
}

TEST(SpoolThread, RefusesPastItsLimit) {
  Scratch scratch;
  store::PosixDisk disk;
  CounterSet counters;
  store::SpoolCatalog catalog;
  store::SpoolOptions options;
  options.max_pending = 2;
  store::SpoolCore core(disk, scratch / "spool", options, catalog, counters);
  Mailbox<port::CommitId> refused;
  Mailbox<store::SpoolCommitted> committed;
  store::SpoolThread spool(
      core, options, counters,
      [&](uint16_t w, port::CommitId upto) {
        committed.post({w, upto});
      },
      [&](uint16_t, port::CommitId commit) { refused.post(commit); });
  std::vector<port::Append> appends;
  for (port::CommitId c = 1; c <= 3; ++c) appends.push_back({c, "x"});
  spool.append(0, appends);
  EXPECT_EQ(refused.wait_for(1), (std::vector<port::CommitId>{3}));
  spool.start();
  EXPECT_EQ(committed.wait_for(1)[0].upto, 2u);
  spool.stop();
  EXPECT_EQ(counters.total("spool_overflow_total"), 1u);
}

}  // namespace
}  // namespace tandem::store_test
