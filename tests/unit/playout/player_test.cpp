// A source, a network with a mind of its own, and the sound that comes out.
#include "playout/player.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>

#include "base/rng.h"
#include "playout/time_scaler.h"

namespace tandem::playout {
namespace {

constexpr uint32_t rate = 8000;
constexpr size_t frame = 160;
constexpr Instant beginning{1'000'000'000'000};

PlayerConfig config_of(const char* name = "PCMU", uint32_t clock = 8000, uint8_t channels = 1) {
  PlayerConfig c;
  c.formats = {{0, name, clock, channels, ""}, {13, "CN", 8000, 1, ""}};
  return c;
}

/// A sender whose clock runs `ppm` fast, and the way its packets take.
struct Source {
  explicit Source(uint64_t seed) : rng(seed) {}
  double ppm = 0;
  double loss = 0;
  Duration jitter{};  // uniform in [0, jitter]
  double hertz = 440;
  SeededRng rng;
  std::unique_ptr<codec::Encoder> encoder = std::move(codec::make_encoder({"PCMU", 8000})).value();
  uint16_t sequence = 65'500;
  uint32_t timestamp = 0xFFFF'F000;
  double phase = 0;
  int64_t made = 0;  // samples
  std::multimap<int64_t, std::pair<uint16_t, std::pair<uint32_t, std::vector<uint8_t>>>> on_the_way;
  uint64_t sent = 0, lost = 0;

  Instant time_of_next() const {
    const double seconds = static_cast<double>(made + static_cast<int64_t>(frame)) / rate / (1 + ppm * 1e-6);
    return beginning + Duration(static_cast<int64_t>(seconds * 1e9));
  }
  void send(bool silent = false) {
    std::vector<int16_t> sound(frame);
    for (int16_t& s : sound) {
      s = silent ? int16_t{0} : static_cast<int16_t>(8000 * std::sin(phase));
      phase += 2 * std::numbers::pi * hertz / rate;
    }
    std::vector<uint8_t> payload(frame);
    (void)encoder->encode(sound, payload);
    const Instant at = time_of_next();
    made += frame;
    ++sent;
    const bool gone = static_cast<double>(rng.below(1'000'000)) < loss * 1e6;
    lost += gone;
    const int64_t late =
        jitter.count() > 0 ? static_cast<int64_t>(rng.below(static_cast<uint64_t>(jitter.count()))) : 0;
    if (!gone) on_the_way.emplace(at.ns + late, std::make_pair(sequence, std::make_pair(timestamp, payload)));
    ++sequence;
    timestamp += frame;
  }
  void skip() {  // says nothing for a frame
    made += frame;
    timestamp += frame;
  }
  void deliver(Player& to, Instant until) {
    while (!on_the_way.empty() && on_the_way.begin()->first <= until.ns) {
      const auto& [at, p] = *on_the_way.begin();
      to.packet(Instant{at}, p.first, p.second.first, 0, p.second.second);
      on_the_way.erase(on_the_way.begin());
    }
  }
};

class Playing : public ::testing::Test {
 protected:
  Player player{config_of()};
  Source source{7};
  Instant now = beginning;
  Duration longest_delay{};
  std::vector<int16_t> heard;

  void frame_passes(bool sends = true) {
    while (source.time_of_next() <= now) sends ? source.send() : source.skip();
    source.deliver(player, now);
    std::array<int16_t, frame> out;
    player.render(now, out);
    heard.insert(heard.end(), out.begin(), out.end());
    if (player.jitter_counts().played > 0) longest_delay = std::max(longest_delay, player.delay(now));
    now = now + milliseconds(20);
  }
  void run(Duration how_long, bool sends = true) {
    for (const Instant end = now + how_long; now < end;) frame_passes(sends);
  }
  double share_of(double hertz, size_t from) const {
    double re = 0, im = 0, all = 0;
    for (size_t i = from; i < heard.size(); ++i) {
      const double w = 2 * std::numbers::pi * hertz * static_cast<double>(i) / rate;
      re += heard[i] * std::cos(w);
      im += heard[i] * std::sin(w);
      all += static_cast<double>(heard[i]) * heard[i];
    }
    return all > 0 ? 2 * (re * re + im * im) / (static_cast<double>(heard.size() - from) * all) : 0;
  }
};

TEST_F(Playing, AQuietNetwork) {
  run(seconds(20));
  EXPECT_EQ(player.counts().concealed, 0u);
  EXPECT_EQ(player.jitter_counts().late, 0u);
  EXPECT_LE(player.delay(now), milliseconds(60));
  EXPECT_LE(player.wanted_delay(), milliseconds(20));
  EXPECT_GT(share_of(440, heard.size() - rate), 0.99);
}

TEST_F(Playing, AnHourOfLossJitterAndAnotherClock) {
  for (const double ppm : {200.0, -200.0}) {
    player = Player(config_of());
    source = Source(11);
    source.ppm = ppm;
    source.loss = 0.05;
    source.jitter = milliseconds(30);
    now = beginning;
    heard.clear();
    run(seconds(5));
    longest_delay = {};
    const PlayerCounts before = player.counts();
    const uint64_t lost_before = source.lost;
    for (int minute = 0; minute < 60; ++minute) {
      run(minutes(1));
      heard.clear();
    }
    EXPECT_LT(longest_delay, milliseconds(80)) << ppm;
    const auto concealed = static_cast<double>(player.counts().concealed - before.concealed);
    const auto lost = static_cast<double>(source.lost - lost_before) * frame;
    EXPECT_GT(concealed, 0.95 * lost);
    EXPECT_LT(concealed, 1.3 * lost) << ppm << ": more than a few came too late";
    EXPECT_LT(player.counts().shortened + player.counts().lengthened, uint64_t{rate} * 60) << ppm;
  }
}

TEST_F(Playing, TheDelayGrowsWithTheJitterAndShrinksAgain) {
  run(seconds(3));
  source.jitter = milliseconds(100);
  run(seconds(20));
  EXPECT_GT(player.wanted_delay(), milliseconds(80));
  EXPECT_GT(player.delay(now), milliseconds(70));
  source.jitter = {};
  run(seconds(30));
  EXPECT_LT(player.delay(now), milliseconds(50));
  EXPECT_GT(player.counts().shortened, 0u);
}

TEST_F(Playing, OrderIsRestored) {
  source.jitter = milliseconds(60);
  run(seconds(10));
  const uint64_t concealed = player.counts().concealed;
  run(seconds(20));
  EXPECT_LT(player.counts().concealed - concealed, uint64_t{rate} * 20 / 20);
  EXPECT_GT(share_of(440, heard.size() - rate), 0.7);
}

TEST_F(Playing, DuplicatesAreHeardOnce) {
  for (int i = 0; i < 50; ++i) {
    while (source.time_of_next() <= now) source.send();
    if (!source.on_the_way.empty()) {
      const auto copy = *source.on_the_way.begin();
      source.on_the_way.insert(copy);
    }
    frame_passes();
  }
  EXPECT_GT(player.jitter_counts().duplicate + player.jitter_counts().late, 40u);
  EXPECT_EQ(player.counts().concealed, 0u);
}

TEST_F(Playing, SilenceBetweenSpurts) {  // discontinuous transmission without comfort noise
  run(seconds(2));
  run(seconds(3), false);
  const uint64_t concealed = player.counts().concealed;
  EXPECT_LT(concealed, uint64_t{rate} / 2);
  std::array<int16_t, frame> out;
  player.render(now, out);
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](int16_t s) { return s == 0; }));
  run(seconds(2));
  EXPECT_LT(player.counts().concealed - concealed, uint64_t{rate} / 4);
  EXPECT_GT(share_of(440, heard.size() - rate), 0.98);
  EXPECT_LE(player.delay(now), milliseconds(60));
}

TEST_F(Playing, ComfortNoise) {
  run(seconds(1));
  const std::array<uint8_t, 1> level{40};
  player.packet(now, source.sequence++, source.timestamp, 13, level);
  run(seconds(2), false);
  double sum = 0;
  for (size_t i = heard.size() - rate; i < heard.size(); ++i) sum += static_cast<double>(heard[i]) * heard[i];
  const double rms = std::sqrt(sum / rate);
  EXPECT_GT(rms, 80);
  EXPECT_LT(rms, 1500);
  run(seconds(1));
  EXPECT_GT(share_of(440, heard.size() - rate / 2), 0.95);
}

TEST_F(Playing, ASourceThatBeginsAnew) {
  run(seconds(2));
  source.timestamp += 0x4000'0000;
  source.sequence += 1000;
  run(seconds(2));
  EXPECT_GT(share_of(440, heard.size() - rate), 0.98);
  EXPECT_LE(player.delay(now), milliseconds(60));
}

TEST_F(Playing, SaysWhetherSomebodyTalks) {
  std::array<int16_t, frame> out;
  EXPECT_FALSE(player.render(now, out));
  run(seconds(1));
  EXPECT_TRUE(player.render(now, out));
  now = now + milliseconds(20);
  const std::array<uint8_t, 1> level{40};
  source.deliver(player, now);
  player.packet(now, source.sequence++, source.timestamp, 13, level);
  run(milliseconds(200), false);
  EXPECT_FALSE(player.render(now, out)) << "noise that was described is background";
  EXPECT_TRUE(std::any_of(out.begin(), out.end(), [](int16_t s) { return s != 0; }));
}

TEST_F(Playing, WithoutComfortNoise) {
  PlayerConfig config = config_of();
  config.comfort_noise = false;
  player = Player(config);
  run(seconds(1));
  const std::array<uint8_t, 1> level{40};
  player.packet(now, source.sequence++, source.timestamp, 13, level);
  run(seconds(1), false);
  EXPECT_TRUE(std::all_of(heard.end() - rate / 2, heard.end(), [](int16_t s) { return s == 0; }));
}

TEST_F(Playing, NothingIsLeftOfTheSourceBefore) {
  run(seconds(1));
  std::array<int16_t, frame / 2> half;
  EXPECT_TRUE(player.render(now, half));
  player.restart();
  EXPECT_FALSE(player.render(now, half));
  EXPECT_TRUE(std::all_of(half.begin(), half.end(), [](int16_t s) { return s == 0; }));
}

TEST_F(Playing, TypesThatNobodyNamed) {
  const std::array<uint8_t, 3> payload{1, 2, 3};
  player.packet(now, 1, 1, 96, payload);
  EXPECT_EQ(player.counts().refused, 1u);
}

TEST_F(Playing, ASuccessorBeginsWithTheDelay) {
  source.jitter = milliseconds(100);
  run(seconds(20));
  Player next(config_of());
  next.learn(player.learnt());
  EXPECT_EQ(next.wanted_delay(), player.wanted_delay());
  player = std::move(next);
  const uint64_t lost = source.lost;
  run(seconds(5));
  EXPECT_EQ(source.lost, lost);
  EXPECT_LT(player.counts().concealed, uint64_t{rate} * 5 / 10);
}

TEST(TimeScaler, ATonesPitchStays) {
  std::vector<int16_t> sound(480);
  for (size_t i = 0; i < 320; ++i)
    sound[i] =
        static_cast<int16_t>(10'000 * std::sin(2 * std::numbers::pi * 400 * static_cast<double>(i) / rate));
  const Period p = find_period(std::span(sound).first(320), rate, 1);
  EXPECT_GT(p.match, 0.98F);
  EXPECT_NEAR(static_cast<double>(p.frames % 20), 0, 1);
  std::vector<int16_t> shorter(sound.begin(), sound.begin() + 320);
  const size_t left = shorten(shorter, p, 1);
  EXPECT_EQ(left, 320 - p.frames);
  for (size_t i = 0; i < left; ++i) EXPECT_NEAR(shorter[i], sound[i], 700) << i;
  const size_t size = lengthen(sound, 320, p, 1);
  EXPECT_EQ(size, 320 + p.frames);
  for (size_t i = 1; i < size; ++i) EXPECT_LT(std::abs(sound[i] - sound[i - 1]), 3600) << i;
}

TEST(TimeScaler, NoiseHasNoPeriod) {
  SeededRng rng(3);
  std::vector<int16_t> sound(320);
  for (int16_t& s : sound) s = static_cast<int16_t>(static_cast<int>(rng.below(20'000)) - 10'000);
  EXPECT_LT(find_period(sound, rate, 1).match, 0.65F);
  std::fill(sound.begin(), sound.end(), int16_t{3});
  EXPECT_EQ(find_period(sound, rate, 1).match, 1.0F);
}

}  // namespace
}  // namespace tandem::playout
