#pragma once
// For tests: a recorder's core on a disk, with time that is only moved by hand.
#include <map>
#include <string>
#include <vector>

#include "sounds.h"
#include "store/recorder_core.h"

namespace tandem::store_test {

struct Bench {
  Bench(port::Disk& d, std::string root, store::RecorderOptions options = {})
      : disk(d),
        folder(root + "/recordings"),
        core(d, {"", root + "/recordings", root + "/voicemail"}, options, counters,
             [this](const port::Event& e) { events.emplace_back(e.name); }) {}

  port::RecordingId open(const std::string& name, port::RecordingFormat format = port::RecordingFormat::wav,
                         uint32_t rate = 16'000, uint8_t sides = 2, Duration longest = {}) {
    core.open(now, ++last_id,
              {{port::SoundPlace::recordings, name}, format, rate, sides, longest, {{"call", "c1"}}});
    return last_id;
  }
  /// The time passes: rounds are made as the thread makes them.
  void pass(Duration time) {
    for (const Instant end = now.mono + time; now.mono < end;) {
      now.mono = now.mono + milliseconds(200);
      now.wall = now.wall + milliseconds(200);
      core.round(now, answers);
    }
  }
  /// Both sides speak, 20 ms by 20 ms, as the time passes; an empty side is silent.
  void speak(port::RecordingId id, const Samples& left, const Samples& right, uint32_t rate,
             size_t from = 0) {
    const size_t piece = rate / 50, most = std::max(left.size(), right.size());
    for (size_t at = 0, n = 1; at < most; at += piece, ++n) {
      const auto say = [&](uint8_t side, const Samples& s) {
        if (at < s.size())
          core.append(id, side, from + at, std::span(s).subspan(at, std::min(piece, s.size() - at)));
      };
      say(0, left);
      say(1, right);
      if (n % 10 == 0) pass(milliseconds(200));
    }
  }
  port::RecordingAnswer close(port::RecordingId id, uint64_t at,
                              std::vector<std::pair<std::string, std::string>> fields = {}) {
    const port::AskId ask = ++last_ask;
    core.close(now, {id, at, false, std::move(fields)}, {7, ask}, answers);
    for (int i = 0; i < 1000 && !answered(ask); ++i) pass(milliseconds(200));
    for (const auto& a : answers)
      if (a.id == ask && a.worker == 7) return std::get<port::RecordingAnswer>(a.answer);
    ADD_FAILURE() << "no answer";
    return {};
  }
  bool answered(port::AskId id) const {
    return std::any_of(answers.begin(), answers.end(), [&](const auto& a) { return a.id == id; });
  }
  size_t told(std::string_view event) const {
    return static_cast<size_t>(std::count(events.begin(), events.end(), event));
  }

  port::Disk& disk;
  const std::string folder;
  Now now{{1'000'000'000}, {1'795'615'500'000'000'000}};  // 2026-11-25 14:05:00
  CounterSet counters;
  std::vector<std::string> events;
  std::vector<store::RecorderCore::Answered> answers;
  store::RecorderCore core;
  port::RecordingId last_id = 0;
  port::AskId last_ask = 0;
};

/// A tone on each side, as an other program plays it.
inline void expect_two_tones(const std::string& path, uint32_t rate, double seconds, double crosstalk,
                             double from = 0.3) {
  const std::vector<Samples> sides = played(path, rate);
  ASSERT_EQ(sides.size(), 2U) << path;
  for (const size_t side : {0U, 1U}) {
    const Samples& s = sides[side];
    ASSERT_NEAR(static_cast<double>(s.size()) / rate, seconds, 0.05) << path;
    const Samples middle = part(s, rate, from, seconds - 0.3);
    EXPECT_NEAR(level_at(middle, side == 0 ? 500 : 1800, rate), side == 0 ? -12 : -20, 0.5)
        << path << " " << side;
    EXPECT_LT(level_at(middle, side == 0 ? 1800 : 500, rate), crosstalk) << path << " " << side;
  }
}

}  // namespace tandem::store_test
