// Sounds ordered for those who talk.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

struct Playing : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};

  Playing() {
    auto second = std::make_shared<port::Sound>();
    second->samples.assign(port::sound_rate, 1000);
    sw.sounds["notice.wav"] = second;
    auto library = std::make_shared<port::PromptLibrary>();
    library->add("en", "recorded", second);
    sw.on_build = [this, library] { sw.engine->use(library); };
    sw.on_build();
  }
  PlayDone play(const PlayOrder& order) {
    const auto done = sw.calls->play(sw.now, sw.calls->list().at(0).id, order, sw.out);
    sw.pump();
    return done;
  }
  static PlayOrder file(const char* name, std::vector<uint16_t> legs = {}) {
    PlayOrder order;
    order.legs = std::move(legs);
    order.sounds.push_back({{}, {}, {port::SoundPlace::sounds, name}});
    return order;
  }
  uint16_t leg_of(const char* party) {
    const CallInfo call = sw.calls->list().at(0);
    for (const LegInfo& leg : call.legs)
      if (leg.party.starts_with(party)) return leg.id;
    return 0;
  }
  int heard(const Phone& p) { return sw.media_sent[*SocketAddress::parse(p.media)]; }
};

TEST_F(Playing, BothHearAPromptAndThenAFile) {
  connect(a, b);
  PlayOrder order = file("notice.wav");
  order.sounds.insert(order.sounds.begin(), {{}, "recorded", {}});
  EXPECT_EQ(play(order), PlayDone::done);
  sw.advance(seconds(3));
  EXPECT_NEAR(heard(a), 100, 4);
  EXPECT_NEAR(heard(b), 100, 4);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Playing, OneHearsItAndItIsStopped) {
  connect(a, b);
  PlayOrder order = file("notice.wav", {leg_of("1002")});
  order.rounds = 0;
  EXPECT_EQ(play(order), PlayDone::done);
  sw.advance(seconds(3));
  EXPECT_NEAR(heard(b), 150, 4);
  EXPECT_EQ(heard(a), 0);
  EXPECT_EQ(play({}), PlayDone::done);
  sw.advance(seconds(1));
  EXPECT_NEAR(heard(b), 150, 4);
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Playing, GoesOnAfterARestore) {
  connect(a, b);
  PlayOrder order = file("notice.wav", {leg_of("1001")});
  order.rounds = 3;
  EXPECT_EQ(play(order), PlayDone::done);
  sw.advance(seconds(1));
  sw.reboot();
  sw.advance(seconds(4));
  EXPECT_NEAR(heard(a), 150, 5);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Playing, AFileThatIsNotThereIsPassedOverAndIsNoMusic) {
  connect(a, b);
  PlayOrder order = file("missing.wav", {leg_of("1001")});
  order.sounds.push_back({{}, "recorded", {}});
  EXPECT_EQ(play(order), PlayDone::done);
  sw.advance(seconds(3));
  EXPECT_NEAR(heard(a), 50, 3);
  EXPECT_EQ(sw.events_seen["call.no_sound"], 1);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Playing, WhoIsNotTalkingHearsNothing) {
  a.call("1002");
  b.expect("INVITE");
  EXPECT_EQ(play(file("notice.wav")), PlayDone::not_talking);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_EQ(play(file("notice.wav", {77})), PlayDone::no_leg);
  const uint16_t held = leg_of("1002");
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  a.expect(200);
  a.ack();
  EXPECT_EQ(play(file("notice.wav", {held})), PlayDone::held);
  hang_up(a, b);
  EXPECT_EQ(sw.calls->play(sw.now, 12345, {}, sw.out), PlayDone::no_call);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
