#include <gtest/gtest.h>

#include "world.h"

namespace tandem::media {
namespace {

/// The node goes through bytes: a new engine, another monotonic origin, the same ports.
std::vector<EndpointId> reboot(World& w, const std::vector<EndpointId>& ids) {
  const std::string part = w.engine->snapshot(w.now, ids);
  w.engine.reset();
  EXPECT_EQ(w.ports.open(), 0u);
  w.engine = std::make_unique<Engine>(w.config, w.ports, w.rng, w.counters, *w.keys);
  w.now.mono = {5'000'000};
  return w.engine->restore(w.now, part).value();
}

TEST(Snapshot, RelayGoesOnAsIfNothingHadHappened) {
  World w;
  Call c = establish(w);
  c.voice_a.from = at("198.51.100.7:61000");  // learned, not from the SDP
  w.talk(c.voice_b, c.b_port, 3);
  w.talk(c.voice_a, c.a_port, 10);
  const LegStatistics before = w.engine->statistics(c.a);
  w.take_sent();
  const auto ids = reboot(w, {c.a, c.b});
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(w.engine->peer(ids[0]), ids[1]);
  EXPECT_EQ(w.engine->local_description(ids[0]), c.to_a);
  EXPECT_EQ(w.engine->local_description(ids[1]), c.to_b);

  const auto packet = c.voice_a.packet();
  w.receive(c.voice_a.from, c.a_port, packet);
  w.receive(c.voice_b.from, c.b_port, c.voice_b.packet());
  ASSERT_EQ(w.sent.size(), 2u);
  EXPECT_EQ(w.sent[0].from, c.b_port);
  EXPECT_EQ(w.sent[0].bytes, packet);
  EXPECT_EQ(w.sent[1].to, at("198.51.100.7:61000")) << "the latch survived";
  Voice attacker{at("203.0.113.66:6666")};
  w.take_sent();
  w.talk(attacker, c.a_port, 50);
  EXPECT_TRUE(w.sent.empty());

  const LegStatistics after = w.engine->statistics(ids[0]);
  EXPECT_EQ(after.packets_received, before.packets_received + 1);
  EXPECT_EQ(after.packets_lost, before.packets_lost);
  EXPECT_EQ(after.packets_sent, before.packets_sent + 1);
  EXPECT_DOUBLE_EQ(after.max_jitter_ms, before.max_jitter_ms);
  EXPECT_EQ(w.count(MediaEvent::Kind::first_packet), 0u) << "it was told before";
}

TEST(Snapshot, MusicContinuesWithoutASeam) {
  const auto run = [](bool interrupted) {
    World w;
    Call c = establish(w);
    (void)w.engine->play(w.now, c.b, codec::ToneSequence::music()).ok();
    w.pass(milliseconds(1790));
    if (interrupted) reboot(w, {c.a, c.b});
    w.pass(milliseconds(5000));
    std::vector<std::vector<uint8_t>> heard;
    for (const Sent& s : w.sent)
      if (s.to == at("10.0.0.2:5000")) heard.push_back(s.bytes);
    return heard;
  };
  const auto straight = run(false);
  EXPECT_GT(straight.size(), 300u);
  EXPECT_EQ(run(true), straight) << "SSRC, sequence, timestamp and sound";
}

TEST(Snapshot, OfferInProgressCanStillBeRolledBack) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port);
  const auto offer = phone_sdp("10.0.0.50:4444") + "m=video 4002 RTP/AVP 99\r\n";
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(offer), SdpRole::offer));
  ASSERT_TRUE(w.engine->present(w.now, c.b, parsed(offer), SdpRole::offer).ok());
  const auto ids = reboot(w, {c.a, c.b});
  EXPECT_EQ(w.ports.open(), 6u);
  for (const EndpointId id : ids) w.engine->rollback(w.now, id);
  EXPECT_EQ(w.ports.open(), 4u);
  EXPECT_EQ(w.engine->local_description(ids[1]), c.to_b);
  w.take_sent();
  w.talk(c.voice_b, c.b_port);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.1:4000"));
}

TEST(Snapshot, DeadlinesMoveWithTheWallClock) {
  World w;
  EndpointConfig config;
  config.media_timeout = seconds(30);
  Call c = establish(w, config);
  w.talk(c.voice_a, c.a_port);
  w.events();
  w.pass(seconds(20));
  const std::string part = w.engine->snapshot(w.now, std::vector<EndpointId>{c.a, c.b});
  w.engine = nullptr;
  w.engine = std::make_unique<Engine>(w.config, w.ports, w.rng, w.counters, *w.keys);
  w.now.mono = {77};
  w.now.wall = w.now.wall + seconds(5);  // the restart took five seconds
  ASSERT_TRUE(w.engine->restore(w.now, part).ok());
  w.pass(seconds(4));
  EXPECT_TRUE(w.events().empty());
  w.pass(seconds(2));
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 2u);
}

TEST(Snapshot, AllOrNothing) {
  World w;
  Call c = establish(w);
  const std::string part = w.engine->snapshot(w.now, std::vector<EndpointId>{c.a, c.b});
  EXPECT_EQ(w.engine->restore(w.now, part).reason(), Reason::port_taken)
      << "the originals still hold the ports";
  EXPECT_EQ(w.engine->size(), 2u);
  w.engine->close(w.now, c.a);
  w.engine->close(w.now, c.b);
  w.ports.take(c.b_port);  // a stranger
  EXPECT_EQ(w.engine->restore(w.now, part).reason(), Reason::port_taken);
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.engine->size(), 0u);
}

TEST(Snapshot, DamagedBytesAreRefused) {
  World w;
  Call c = establish(w);
  (void)w.engine->play(w.now, c.b, codec::ToneSequence::music()).ok();
  const std::string part = w.engine->snapshot(w.now, std::vector<EndpointId>{c.a, c.b});
  w.engine->close(w.now, c.a);
  w.engine->close(w.now, c.b);
  EXPECT_EQ(w.engine->restore(w.now, "").reason(), Reason::bad_snapshot);
  EXPECT_EQ(w.engine->restore(w.now, "nonsense").reason(), Reason::bad_snapshot);
  SeededRng rng(3);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = part;
    for (int k = 0; k < 3; ++k) damaged[rng.below(damaged.size())] = static_cast<char>(rng.next());
    const auto ids = w.engine->restore(w.now, damaged);
    if (!ids) continue;
    w.pass(milliseconds(40));
    for (const EndpointId id : *ids) w.engine->close(w.now, id);
  }
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.engine->size(), 0u);
}

TEST(Snapshot, DescriptionsInAnyCharsetSurvive) {
  World w;
  auto offer = phone_sdp("10.0.0.1:4000");
  offer.replace(offer.find("s=-"), 3, "s=caf\xE9");
  Call c = establish(w, offer, phone_sdp("10.0.0.2:5000"));
  const auto ids = reboot(w, {c.a, c.b});
  EXPECT_EQ(w.engine->remote_description(ids[0])->to_string(), offer);
}

TEST(Snapshot, RevisionGrowsWithChangesAndNotWithPackets) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port);  // confirms the source
  const uint64_t before = w.engine->revision(c.a);
  w.talk(c.voice_a, c.a_port, 20);
  EXPECT_EQ(w.engine->revision(c.a), before);
  w.engine->unjoin(w.now, c.a);
  EXPECT_GT(w.engine->revision(c.a), before);
}

}  // namespace
}  // namespace tandem::media
