// Whatever is told to a conference in whatever order, these hold.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "base/rng.h"
#include "unit/mixer/conference.h"

namespace tandem::mixer {
namespace {

using namespace testing;

/// A member as its phone sees it: what was promised, and what has come.
struct Expected {
  playout::Format format;
  uint32_t ptime = 20;
  std::optional<uint32_t> timestamp;  // of the last payload
  std::unique_ptr<codec::Decoder> decoder;
  std::unique_ptr<playout::Speaker> speaker;
  uint16_t sequence = 0;
  uint32_t says = 0;
  bool loud = false;
  double phase = 0;
  int without = 0;  // ticks
};

class Random : public ::testing::TestWithParam<uint64_t> {
 protected:
  SeededRng rng{GetParam()};
  MixerConfig config = [] {
    MixerConfig c;
    c.members = 24;
    c.talkers = 4;
    c.passages = 3;
    c.private_sounds = 3;
    c.sounds = 2;
    return c;
  }();
  Mixer mixer{config};
  Instant now{1'000'000'000'000};
  std::map<uint64_t, Expected> members;
  std::set<SoundId> sounds;
  bool calm = false;
  std::shared_ptr<const Sound> sound = [] {
    auto s = std::make_shared<Sound>();
    for (int i = 0; i < 8000; ++i) s->samples.push_back(static_cast<int16_t>(i * 331 % 30'000 - 15'000));
    return s;
  }();

  playout::Format any_format() {
    const playout::Format all[] = {pcmu(), pcma(), g722(), l16(8000), l16(48000), opus(), opus("usedtx=1")};
    return all[rng.below(std::size(all))];
  }
  MemberId any_member() {
    if (members.empty() || rng.below(20) == 0) return {static_cast<uint32_t>(rng.below(30)), 1};
    auto m = members.begin();
    std::advance(m, static_cast<std::ptrdiff_t>(rng.below(members.size())));
    return MemberId::unpack(m->first);
  }
  Expected expect(const playout::Format& f, uint32_t ptime) {
    Expected e;
    e.format = f;
    e.ptime = ptime;
    e.decoder =
        std::move(codec::make_decoder({f.name, f.clock_rate, f.channels, f.fmtp}, {audio_rate, 5})).value();
    e.speaker =
        std::make_unique<playout::Speaker>(std::move(playout::Speaker::make({f, audio_rate, 20, 0})).value());
    e.loud = rng.below(2) == 0;
    return e;
  }
  uint32_t any_ptime() { return static_cast<uint32_t>(10 * (1 + rng.below(6))); }

  void join() {
    const playout::Format f = any_format();
    MemberConfig m;
    m.heard = {f};
    m.said = f;
    m.ptime_ms = any_ptime();
    m.muted = rng.below(4) == 0;
    m.lecturer = rng.below(4) == 0;
    const bool full = members.size() == config.members;
    const auto id = mixer.join(m);
    ASSERT_EQ(id.ok(), !full);
    if (id.ok()) members.emplace(id->packed(), expect(f, m.ptime_ms));
  }
  void reformat() {
    const MemberId id = any_member();
    const playout::Format f = any_format();
    const uint32_t ptime = any_ptime();
    const bool known = members.contains(id.packed());
    ASSERT_EQ(mixer.reformat(id, {f}, f, ptime).ok(), known);
    if (known) members[id.packed()] = expect(f, ptime);
  }
  void command() {
    const bool on = rng.below(2) == 0;
    switch (rng.below(12)) {
      case 0:
      case 1:
        return join();
      case 2: {
        const MemberId id = any_member();
        ASSERT_EQ(mixer.leave(id).ok(), members.erase(id.packed()) == 1);
        return;
      }
      case 3:
        (void)mixer.mute(any_member(), on).ok();
        return;
      case 4:
        (void)mixer.deafen(any_member(), on).ok();
        return;
      case 5:
        (void)mixer.set_gain(any_member(), static_cast<float>(rng.below(50)) / 10).ok();
        return;
      case 6:
        (void)mixer.set_lecturer(any_member(), on).ok();
        return;
      case 7:
        (void)mixer.give_floor(any_member(), on).ok();
        return;
      case 8:
        mixer.set_lecture({on, rng.below(2) == 0});
        return;
      case 9: {
        const auto to = on ? std::optional(any_member()) : std::nullopt;
        const auto id = mixer.play(sound, to, 1, static_cast<uint32_t>(rng.below(3)));
        ASSERT_TRUE(!id.ok() || sounds.insert(*id).second);
        return;
      }
      case 10:
        if (!sounds.empty()) mixer.stop(*sounds.begin());
        return;
      default:
        return reformat();
    }
  }
  void talk() {
    for (auto& [packed, e] : members) {
      if (!calm && rng.below(50) == 0) e.loud = !e.loud;
      Frame f{};
      for (int16_t& s : f) {
        s = e.loud ? static_cast<int16_t>(30'000 * std::sin(e.phase)) : int16_t{0};
        e.phase += 0.1 + 0.001 * static_cast<double>(packed % 64);
      }
      const auto said = e.speaker->say(f);
      if (said && (calm || rng.below(30) != 0))
        mixer.packet(now, MemberId::unpack(packed), e.sequence, e.says, e.format.payload_type, said->payload);
      ++e.sequence;
      e.says += e.speaker->frame_ticks();
    }
  }
  void check(std::span<const Outgoing> out) {
    std::map<uint64_t, int> payloads;
    for (const Outgoing& o : out) {
      const auto m = members.find(o.member.packed());
      ASSERT_NE(m, members.end()) << "for somebody who is not there";
      Expected& e = m->second;
      ++payloads[m->first];
      ASSERT_EQ(o.payload_type, e.format.payload_type);
      std::array<int16_t, 48 * 120 * 2> pcm;
      const auto n = e.decoder->decode(o.payload, pcm);
      ASSERT_TRUE(n.ok());
      const codec::Shape& shape = e.decoder->shape();
      const auto ticks = static_cast<uint32_t>(*n / shape.channels * shape.clock_rate / shape.audio_rate);
      ASSERT_LE(ticks, e.ptime * shape.clock_rate / 1000);
      const uint32_t step = o.timestamp - e.timestamp.value_or(o.timestamp - ticks);
      ASSERT_GE(step, ticks) << "said twice";
      ASSERT_TRUE(o.marker || step == ticks) << "left out";
      e.timestamp = o.timestamp;
    }
    // Everybody is sent something in every 60 ms, unless its format may be silent.
    for (auto& [id, e] : members) {
      e.without = payloads[id] > 0 ? 0 : e.without + 1;
      ASSERT_TRUE(e.without <= 3 || e.format.fmtp == "usedtx=1") << e.format.name << " " << e.ptime;
    }
    ASSERT_LE(mixer.talkers().size(), 2 * config.talkers);
    for (const Talker& t : mixer.talkers()) ASSERT_FALSE(mixer.member(t.member)->muted);
    for (const int16_t s : mixer.mix()) ASSERT_LE(std::abs(s), Limiter::ceiling + 1);
    for (const SoundId id : mixer.finished()) ASSERT_EQ(sounds.erase(id), 1u);
  }
};

TEST_P(Random, Commands) {
  for (int t = 0; t < 1000; ++t) {
    while (rng.below(4) == 0) command();
    talk();
    check(mixer.tick(now));
    if (HasFatalFailure()) return;
    now = now + milliseconds(tick_ms);
    ASSERT_EQ(mixer.size(), members.size());
    if (rng.below(200) != 0) continue;
    Mixer other(config);
    const auto ids = other.restore(mixer.snapshot());
    ASSERT_TRUE(ids.ok());
    ASSERT_EQ(ids->size(), members.size());
  }
  // Once everybody is silent and hears the same, each format and packet length costs one encoder.
  std::set<std::tuple<std::string, uint32_t, std::string, uint32_t>> kinds;
  for (auto& [packed, e] : members) {
    e.loud = false;
    (void)mixer.deafen(MemberId::unpack(packed), false);
    kinds.insert({e.format.name, e.format.clock_rate, e.format.fmtp, e.ptime});
  }
  calm = true;
  mixer.set_lecture({});
  for (const SoundId id : sounds) mixer.stop(id);
  const auto pass = [&](int ticks) {
    for (int t = 0; t < ticks; ++t) {
      talk();
      check(mixer.tick(now));
      now = now + milliseconds(tick_ms);
    }
  };
  pass(300);
  const MixerCounts before = mixer.counts();
  pass(60);  // 1200 ms, a multiple of every packet length
  uint64_t frames = 0;
  for (const auto& [name, clock, fmtp, ptime] : kinds)
    frames += 1200 / (name == "opus" && ptime == 30 ? 20 : name == "opus" && ptime == 50 ? 40 : ptime);
  EXPECT_EQ(mixer.counts().own_encodes, before.own_encodes);
  EXPECT_EQ(mixer.counts().shared_encodes - before.shared_encodes, frames);
  EXPECT_EQ(mixer.counts().mixed, before.mixed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Random, ::testing::Values(1, 2, 3, 4));

}  // namespace
}  // namespace tandem::mixer
