// Which calls are recorded, and what becomes of it.
#include "unit/call/recorder.h"

#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using Policy = port::RecordPolicy;

struct Recordings : ::testing::Test {
  Switch sw;
  FakeRecorder recorder;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};

  Recordings() {
    auto told = std::make_shared<port::Sound>();
    told->samples.assign(port::sound_rate, 1000);
    auto library = std::make_shared<port::PromptLibrary>();
    library->add("en", "recorded", told);
    sw.on_build = [this, library] {
      sw.engine->use(library);
      sw.engine->use(recorder);
    };
    sw.on_build();
  }
  RecordingDone ask(RecordingAction action, bool announce = false) {
    const auto done = sw.calls->record(sw.now, sw.calls->list().at(0).id, action, announce, sw.out);
    sw.pump();
    return done;
  }
  size_t closed() const {
    size_t n = 0;
    for (const auto& q : sw.asked_questions) n += std::holds_alternative<port::CloseRecording>(q);
    return n;
  }
  int heard(const Phone& p) { return sw.media_sent[*SocketAddress::parse(p.media)]; }
  std::string state() { return sw.calls->list().at(0).legs.at(0).recording; }
};

TEST_F(Recordings, OfARowAreOfEachCallInTheRecord) {
  sw.subscriber("1002").recording = Policy::silent;
  connect(a, b);
  ASSERT_EQ(recorder.recordings.size(), 1u);
  const port::RecordingOrder& order = recorder.recordings[1].order;
  EXPECT_EQ(order.sides, 2);
  EXPECT_EQ(order.file.place, port::SoundPlace::recordings);
  EXPECT_EQ(state(), "running");
  sw.advance(seconds(2));
  EXPECT_EQ(heard(a) + heard(b), 0) << "nobody is told";
  hang_up(a, b);
  EXPECT_EQ(closed(), 1u);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_THAT(sw.cdrs[0].recordings, ::testing::ElementsAre(order.file.name + ".wav"));
  sw.expect_empty();
}

TEST_F(Recordings, AreAnnouncedToBoth) {
  sw.subscriber("1001").recording = Policy::announced;
  sw.subscriber("1002").recording = Policy::silent;
  connect(a, b);
  sw.advance(seconds(2));
  EXPECT_NEAR(heard(a), 50, 2);
  EXPECT_NEAR(heard(b), 50, 2);
  EXPECT_EQ(recorder.recordings.size(), 1u);
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Recordings, OneWhoseCallsAreNeverRecordedIsNot) {
  sw.subscriber("1001").recording = Policy::silent;
  sw.subscriber("1002").recording = Policy::never;
  connect(a, b);
  EXPECT_EQ(recorder.recordings.size(), 0u);
  EXPECT_EQ(ask(RecordingAction::start), RecordingDone::forbidden);
  EXPECT_EQ(recorder.recordings.size(), 0u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Recordings, OnDemand) {
  a.call("1002");
  b.expect("INVITE");
  EXPECT_EQ(ask(RecordingAction::start), RecordingDone::not_talking);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_EQ(ask(RecordingAction::pause), RecordingDone::not_recorded);
  EXPECT_EQ(ask(RecordingAction::start, true), RecordingDone::done);
  EXPECT_EQ(ask(RecordingAction::start), RecordingDone::done);
  sw.advance(seconds(1));
  EXPECT_GT(heard(a), 40);
  EXPECT_EQ(ask(RecordingAction::pause), RecordingDone::done);
  EXPECT_EQ(state(), "paused");
  EXPECT_EQ(ask(RecordingAction::resume), RecordingDone::done);
  EXPECT_EQ(ask(RecordingAction::stop), RecordingDone::done);
  EXPECT_EQ(state(), "");
  EXPECT_EQ(closed(), 1u);
  EXPECT_EQ(ask(RecordingAction::start), RecordingDone::done);
  hang_up(a, b);
  EXPECT_EQ(closed(), 2u);
  EXPECT_EQ(sw.cdrs.at(0).recordings.size(), 2u);
  sw.expect_empty();
}

TEST_F(Recordings, ThatCannotBeginAreCountedAndTheCallGoesOn) {
  recorder.refuses = true;
  sw.subscriber("1002").recording = Policy::silent;
  connect(a, b);
  EXPECT_EQ(sw.counters.total("call_not_recorded_total"), 1u);
  EXPECT_EQ(ask(RecordingAction::start), RecordingDone::failed);
  hang_up(a, b);
  EXPECT_TRUE(sw.cdrs.at(0).recordings.empty());
  sw.expect_empty();
}

TEST_F(Recordings, ARestartBeginsAnother) {
  sw.subscriber("1002").recording = Policy::announced;
  connect(a, b);
  sw.advance(seconds(3));
  sw.reboot();
  EXPECT_EQ(recorder.recordings.size(), 2u);
  EXPECT_EQ(state(), "running");
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].recordings.size(), 2u);
  EXPECT_NE(sw.cdrs[0].recordings[0], sw.cdrs[0].recordings[1]);
  sw.expect_empty();
}

TEST_F(Recordings, EndWithATransferAndBeginAgain) {
  Phone c{sw, "1003", "198.51.100.3:5060"};
  sw.subscriber("1001").recording = Policy::silent;
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:1003@" + domain + ">\r\n");
  b.expect(202);
  c.expect("INVITE");
  c.answer();
  EXPECT_EQ(recorder.recordings.size(), 2u);
  EXPECT_EQ(closed(), 1u);
  EXPECT_EQ(sw.cdrs.at(0).recordings.size(), 1u);
}

}  // namespace
}  // namespace tandem::call::test
