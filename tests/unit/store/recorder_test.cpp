// Recordings as files that other programs play: what is in them, and what is left of them whatever happens.
#include "store/recorder_core.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/rng.h"
#include "port/message_plan.h"
#include "recordings.h"
#include "store/posix_disk.h"
#include "store/recording_notes.h"
#include "store_memory/memory_disk.h"

namespace tandem::store_test {
namespace {

using port::RecordingEnd;
using port::RecordingFormat;

constexpr uint32_t rate = 16'000;

class Recorder : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return scratch / ("recordings/" + name); }
  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }
  Scratch scratch;
  store::PosixDisk disk;
  Bench bench{disk, scratch / ""};
};

TEST_F(Recorder, EverySideHasItsChannelInEveryFormatAndRate) {
  struct Case {
    RecordingFormat format;
    uint32_t rate;
    const char* codec;
  };
  for (const auto& [format, r, codec] :
       {Case{RecordingFormat::wav, 8000, "pcm_s16le"}, Case{RecordingFormat::wav, 48'000, "pcm_s16le"},
        Case{RecordingFormat::wav_mu_law, 8000, "pcm_mulaw"}, Case{RecordingFormat::opus, 8000, "opus"},
        Case{RecordingFormat::opus, 16'000, "opus"}, Case{RecordingFormat::opus, 48'000, "opus"}}) {
    const std::string name = std::string(codec) + std::to_string(r);
    const auto id = bench.open(name, format, r);
    bench.speak(id, tone(500, r, 3, -12), tone(1800, r, 3, -20), r);
    const auto answer = bench.close(id, 3 * r);
    EXPECT_EQ(port::to_text(answer.end), "whole");
    EXPECT_EQ(answer.length, seconds(3));
    EXPECT_EQ(answer.gaps.count(), 0);
    const std::string file = path(name + "." + std::string(port::extension_of(format)));
    EXPECT_EQ(path(answer.file.name), file);
    ASSERT_EQ(answer.bytes, std::filesystem::file_size(file));
    expect_two_tones(file, r, 3, format == RecordingFormat::opus ? -45 : -60);
    const std::string told = probed(file, "stream=codec_name:format=duration");
    EXPECT_TRUE(told.starts_with(codec)) << told;
    EXPECT_NEAR(std::stod(told.substr(told.find(' '))), 3, 0.05);
    EXPECT_FALSE(std::filesystem::exists(file + ".part"));
    struct stat info {};
    ASSERT_EQ(::stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << "nobody else's";
  }
}

TEST_F(Recorder, ASingleSideIsMono) {
  const auto id = bench.open("message", RecordingFormat::wav_mu_law, 8000, 1);
  bench.speak(id, tone(500, 8000, 1.0001, -12), {}, 8000);  // an odd number of bytes
  const auto answer = bench.close(id, 8001);
  EXPECT_EQ(answer.bytes % 2, 0U);
  ASSERT_EQ(played(path("message.wav"), 8000).size(), 1U);
  EXPECT_NEAR(level_at(part(played(path("message.wav"), 8000)[0], 8000, 0.2, 0.8), 500, 8000), -12, 0.3);
}

TEST_F(Recorder, ReadsItsOwnFilesBack) {
  store::SoundCache cache({"", scratch / "recordings", ""}, {}, bench.counters);
  for (const RecordingFormat format :
       {RecordingFormat::wav, RecordingFormat::wav_mu_law, RecordingFormat::opus}) {
    const auto id = bench.open(std::string(port::to_text(format)), format, 8000, 1);
    bench.speak(id, tone(500, 8000, 2, -12), {}, 8000);
    const auto sound = cache.get({bench.close(id, 16'000).file, {}});
    ASSERT_TRUE(sound.ok());
    EXPECT_NEAR(level_at(part((*sound)->samples, rate, 0.5, 1.5), 500, rate), -12, 0.5);
    EXPECT_NEAR(static_cast<double>((*sound)->samples.size()) / rate, 2, 0.03);
  }
}

TEST_F(Recorder, WhatIsMissingIsSilenceAtItsPlace) {
  const auto id = bench.open("gaps");
  const Samples left = tone(500, rate, 3, -12), right = tone(1800, rate, 3, -20);
  for (size_t at = 0, n = 1; at < left.size(); at += 320, ++n) {
    const bool lost = at >= rate && at < 2 * rate;  // the second second of the left side
    if (!lost) bench.core.append(id, 0, at, std::span(left).subspan(at, 320));
    bench.core.append(id, 1, at, std::span(right).subspan(at, 320));
    if (n % 10 == 0) bench.pass(milliseconds(200));
  }
  bench.close(id, 3 * rate);
  const std::vector<Samples> sides = played(path("gaps.wav"), rate);
  const Samples &l = sides.at(0), &r = sides.at(1);
  EXPECT_EQ(part(l, rate, 0, 1), part(left, rate, 0, 1));
  EXPECT_EQ(part(l, rate, 1, 2), Samples(rate, 0));
  EXPECT_EQ(part(l, rate, 2, 3), part(left, rate, 2, 3));
  EXPECT_EQ(r, right);
}

TEST_F(Recorder, ASideThatComesTooLateIsCounted) {
  const auto id = bench.open("late");
  bench.speak(id, tone(500, rate, 2, -12), {}, rate);
  bench.pass(milliseconds(200));
  bench.core.append(id, 1, 0, tone(1800, rate, 1, -20));
  const auto answer = bench.close(id, 2 * rate);
  EXPECT_EQ(answer.gaps, seconds(1));
  EXPECT_EQ(bench.counters.total("recording_gap_ms_total"), 1000U);
}

TEST_F(Recorder, APauseLeavesNothingOfWhatWasSaid) {
  for (const RecordingFormat format : {RecordingFormat::wav, RecordingFormat::opus}) {
    const std::string name = format == RecordingFormat::wav ? "card.wav" : "card.mka";
    const auto id = bench.open("card", format);
    bench.speak(id, tone(500, rate, 1, -12), tone(1800, rate, 1, -20), rate);
    bench.core.pause(bench.now, id, rate);
    bench.speak(id, tone(1000, rate, 2, -6), tone(1000, rate, 2, -6), rate, rate);
    bench.core.resume(bench.now, id, 3 * rate);
    bench.speak(id, tone(500, rate, 1, -12), tone(1800, rate, 1, -20), rate, 3 * rate);
    EXPECT_EQ(bench.close(id, 4 * rate).length, seconds(2));
    for (const Samples& s : played(path(name), rate)) {
      EXPECT_NEAR(static_cast<double>(s.size()) / rate, 2, 0.05);
      EXPECT_LT(level_at(s, 1000, rate), -50) << name;
    }
    const std::string notes = file_bytes(path("card.json"));
    EXPECT_NE(notes.find("{\"event\":\"paused\",\"time\":\"2026-11-25T14:05:0"), std::string::npos) << notes;
    EXPECT_NE(notes.find("\"at_ms\":1000}\n"), std::string::npos) << notes;
    EXPECT_NE(notes.find("\"at_ms\":3000}\n"), std::string::npos) << notes;
  }
}

TEST_F(Recorder, NotesAreAJsonObjectALine) {
  const auto id = bench.open("notes");
  bench.speak(id, tone(500, rate, 1), {}, rate);
  bench.close(id, rate, {{"reason", "a \"quoted\" \\ and a\nline"}, {"to", "홍길동"}});
  const std::string check =
      "python3 -c 'import json; o=[json.loads(l) for l in open(\"" + path("notes.json") +
      "\")]; assert [x[\"event\"] for x in o] == [\"opened\", \"closed\"], o; assert "
      "o[0][\"call\"] == \"c1\" and o[0][\"rate\"] == 16000 and o[1][\"length_ms\"] == 1000 and "
      "o[1][\"to\"] == \"홍길동\" and o[1][\"reason\"] == \"a \\\"quoted\\\" \\\\ and a\\nline\", o'";
  must_run(check);
}

TEST_F(Recorder, TheLongestIsCutAndAnsweredWhenItIsClosed) {
  const auto id = bench.open("long", RecordingFormat::wav, rate, 2, seconds(1));
  bench.speak(id, tone(500, rate, 2), tone(1800, rate, 2), rate);
  EXPECT_EQ(bench.core.open_recordings(), 0U);
  ASSERT_TRUE(exists("long.wav"));
  const auto answer = bench.close(id, 2 * rate);
  EXPECT_EQ(port::to_text(answer.end), "cut");
  EXPECT_EQ(answer.length, seconds(1));
  EXPECT_EQ(port::to_text(bench.close(id, 2 * rate).end), "unknown") << "answered once";
}

TEST_F(Recorder, ARecordingNobodyFeedsOrClosesEndsByTheClock) {
  bench.open("forgotten", RecordingFormat::wav, rate, 2, seconds(10));
  bench.pass(seconds(80));
  EXPECT_EQ(bench.core.open_recordings(), 0U);
}

TEST_F(Recorder, ANewerFileReplacesTheOlderOnlyOnceItIsWhole) {
  auto id = bench.open("greeting");
  bench.speak(id, tone(500, rate, 1), tone(500, rate, 1), rate);
  bench.close(id, rate);
  const std::string older = file_bytes(path("greeting.wav"));
  id = bench.open("greeting");
  bench.speak(id, tone(900, rate, 2), tone(900, rate, 2), rate);
  EXPECT_EQ(file_bytes(path("greeting.wav")), older);
  bench.close(id, 2 * rate);
  EXPECT_NEAR(std::stod(probed(path("greeting.wav"), "format=duration")), 2, 0.01);
}

TEST_F(Recorder, RemovesAFileAndItsNotesButNothingElse) {
  const auto id = bench.open("a");
  bench.close(id, rate);
  ASSERT_TRUE(exists("a.wav") && exists("a.json"));
  using port::SoundPlace;
  write_file(scratch / "victim.wav", "x");
  write_file(path("b.wav.part"), "x");
  const auto removed = [&](SoundPlace place, const std::string& name) {
    return std::holds_alternative<port::Stored>(bench.core.remove({place, name}));
  };
  EXPECT_FALSE(removed(SoundPlace::recordings, "../victim.wav"));
  EXPECT_FALSE(removed(SoundPlace::sounds, "a.wav"));
  EXPECT_FALSE(removed(SoundPlace::voicemail, "a.wav"));
  EXPECT_FALSE(removed(SoundPlace::recordings, "b.wav.part"));
  EXPECT_TRUE(removed(SoundPlace::recordings, "a.wav"));
  EXPECT_FALSE(removed(SoundPlace::recordings, "a.wav"));
  EXPECT_FALSE(exists("a.wav") || exists("a.json"));
  EXPECT_TRUE(std::filesystem::exists(scratch / "victim.wav") && exists("b.wav.part"));
}

// ---- disks that fail -------------------------------------------------------------------------------------

TEST_F(Recorder, WhatIsDiscardedLeavesNothingAndTheOlderStays) {
  const auto old = bench.open("a");
  bench.speak(old, tone(500, rate, 1, -12), {}, rate);
  bench.close(old, rate);
  const auto size = std::filesystem::file_size(path("a.wav"));
  const auto fresh = bench.open("a");
  bench.speak(fresh, tone(500, rate, 3, -12), {}, rate);
  EXPECT_TRUE(exists("a.wav.part"));
  bench.core.close(bench.now, {fresh, 3 * rate, true, {}}, {7, 900}, bench.answers);
  ASSERT_TRUE(bench.answered(900));
  EXPECT_EQ(std::get<port::RecordingAnswer>(bench.answers.back().answer).end, RecordingEnd::discarded);
  EXPECT_FALSE(exists("a.wav.part"));
  EXPECT_FALSE(exists("a.json.part"));
  EXPECT_EQ(std::filesystem::file_size(path("a.wav")), size);
  EXPECT_TRUE(exists("a.json"));
  EXPECT_EQ(bench.core.open_recordings(), 0U);
  EXPECT_EQ(bench.core.take_ended().size(), 2U);
}

TEST_F(Recorder, WhatHasEndedByItselfCanStillBeDiscarded) {
  const auto id = bench.open("a", RecordingFormat::wav, rate, 1, seconds(1));
  bench.speak(id, tone(500, rate, 3, -12), {}, rate);
  bench.pass(seconds(3));
  ASSERT_TRUE(exists("a.wav"));
  bench.core.close(bench.now, {id, 3 * rate, true, {}}, {7, 900}, bench.answers);
  EXPECT_EQ(std::get<port::RecordingAnswer>(bench.answers.back().answer).end, RecordingEnd::discarded);
  EXPECT_FALSE(exists("a.wav"));
  EXPECT_FALSE(exists("a.json"));
}

class FailingDisk : public testing::Test {
 protected:
  /// The file as a real one, for ffmpeg.
  std::string taken_out(const std::string& name) {
    const std::string to = scratch / name;
    write_file(to, disk.read("d/recordings/" + name, 0, 1 << 30).value_or(""));
    return to;
  }
  bool exists(const std::string& name) { return disk.size("d/recordings/" + name).ok(); }
  Scratch scratch;
  store_memory::MemoryDisk disk;
  Bench bench{disk, "d"};
};

TEST_F(FailingDisk, FullForAMomentCostsNothing) {
  for (const RecordingFormat format : {RecordingFormat::wav, RecordingFormat::opus}) {
    const std::string name = format == RecordingFormat::wav ? "full.wav" : "full.mka";
    const auto id = bench.open("full", format);
    const auto say = [&](size_t second, double length) {
      bench.speak(id, tone(500, rate, length, -12, second * rate),
                  tone(1800, rate, length, -20, second * rate), rate, second * rate);
    };
    say(0, 2);
    disk.set_capacity(disk.used() + 1000);
    say(2, 5);
    disk.set_capacity(UINT64_MAX);
    say(7, 3);
    const auto answer = bench.close(id, 10 * rate);
    EXPECT_EQ(port::to_text(answer.end), "whole");
    EXPECT_EQ(answer.gaps.count(), 0);
    expect_two_tones(taken_out(name), rate, 10, format == RecordingFormat::opus ? -45 : -60);
  }
  EXPECT_EQ(bench.told("recordings.disk_failing"), 2U) << "once a failure, not once a write";
  EXPECT_EQ(bench.told("recordings.disk_recovered"), 2U);
  EXPECT_GT(bench.counters.total("recording_disk_failures_total"), 0U);
}

TEST_F(FailingDisk, FullForLongCostsTheMiddleAndSidesStayAligned) {
  const auto id = bench.open("full");
  const Samples left = tone(500, rate, 60, -12), right = tone(1800, rate, 60, -20);
  const auto say = [&](double from, double to) {
    bench.speak(id, part(left, rate, from, to), part(right, rate, from, to), rate,
                static_cast<size_t>(from * rate));
  };
  say(0, 2);
  disk.set_capacity(disk.used());
  say(2, 40);
  disk.set_capacity(UINT64_MAX);
  say(40, 60);
  const auto answer = bench.close(id, 60 * rate);
  EXPECT_EQ(port::to_text(answer.end), "whole");
  EXPECT_EQ(answer.length, seconds(60));
  EXPECT_GT(answer.gaps, seconds(2 * 20));  // of two sides
  const std::vector<Samples> sides = played(taken_out("full.wav"), rate);
  const Samples &l = sides.at(0), &r = sides.at(1);
  ASSERT_EQ(l.size(), left.size());
  EXPECT_EQ(part(l, rate, 0, 2), part(left, rate, 0, 2));
  EXPECT_EQ(part(l, rate, 41, 60), part(left, rate, 41, 60));
  EXPECT_EQ(part(r, rate, 41, 60), part(right, rate, 41, 60));
  EXPECT_EQ(part(l, rate, 10, 20), Samples(10 * rate, 0));
}

TEST_F(FailingDisk, OthersGoOnWhenOneFails) {
  disk.fail_next(1);
  const auto first = bench.open("first"), second = bench.open("second");
  for (int i = 0; i < 100; ++i) {
    const Samples piece = tone(500, rate, 0.02, -12, static_cast<size_t>(i) * 320);
    for (const auto id : {first, second})
      for (const uint8_t side : {uint8_t{0}, uint8_t{1}})
        bench.core.append(id, side, static_cast<uint64_t>(i) * 320, piece);
    if (i % 10 == 9) bench.pass(milliseconds(200));
  }
  EXPECT_EQ(port::to_text(bench.close(first, 2 * rate).end), "whole");
  EXPECT_EQ(port::to_text(bench.close(second, 2 * rate).end), "whole");
  const Samples expected = tone(500, rate, 2, -12);
  EXPECT_EQ(played(taken_out("first.wav"), rate).at(1), expected);
  EXPECT_EQ(played(taken_out("second.wav"), rate).at(1), expected);
}

TEST_F(FailingDisk, ReadOnlyFromTheBeginningIsWaitedForAndGivenUp) {
  disk.set_read_only(true);
  const auto waits = bench.open("waits"), gives_up = bench.open("gives_up");
  for (const auto id : {waits, gives_up}) bench.speak(id, tone(500, rate, 2), tone(500, rate, 2), rate);
  EXPECT_EQ(port::to_text(bench.close(gives_up, 2 * rate).end), "unfinished");
  EXPECT_EQ(bench.told("recording.unfinished"), 1U);
  disk.set_read_only(false);
  EXPECT_EQ(port::to_text(bench.close(waits, 2 * rate).end), "whole");
  EXPECT_TRUE(exists("waits.wav"));
}

/// Any single operation of the disk may fail: the recording is whole all the same, and so are its notes.
TEST_F(FailingDisk, AnyOneFailureIsMadeGood) {
  const Samples left = tone(500, rate, 1.5), right = tone(1800, rate, 1.5);
  for (uint32_t after = 0; after < 40; ++after) {
    store_memory::MemoryDisk one;
    Bench b(one, "d");
    const auto id = b.open("x", after % 2 ? RecordingFormat::opus : RecordingFormat::wav);
    for (size_t at = 0, n = 0; at < left.size(); at += 320, ++n) {
      b.core.append(id, 0, at, std::span(left).subspan(at, 320));
      b.core.append(id, 1, at, std::span(right).subspan(at, 320));
      if (n == after) one.fail_next(1);
      if (n % 10 == 9) b.pass(milliseconds(200));
    }
    if (after >= 30) one.fail_next(after - 29);
    ASSERT_EQ(port::to_text(b.close(id, left.size()).end), "whole") << after;
    ASSERT_EQ(one.size("d/recordings/x.json").ok(), true) << after;
    if (after % 2 == 0) {
      write_file(scratch / "x.wav", one.read("d/recordings/x.wav", 0, 1 << 30).value_or(""));
      const Samples l = raw_samples(scratch / "x.wav");
      ASSERT_EQ(l.size(), 22 + 2 * left.size()) << after;
      for (size_t i = 0; i < left.size(); ++i) {
        ASSERT_EQ(l[22 + 2 * i], left[i]) << after << " " << i;
        ASSERT_EQ(l[23 + 2 * i], right[i]) << after << " " << i;
      }
    }
  }
}

// ---- runs that are killed --------------------------------------------------------------------------------

/// Power failure at any moment: what was answered `whole` is whole, what lies about is made to play or
/// removed.
TEST(KilledRecorder, APowerFailureTakesNothingThatWasAnswered) {
  size_t survived = 0, mended = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    SeededRng rng(seed);
    store_memory::MemoryDisk disk;
    std::map<std::string, std::string> promised;
    {
      Bench b(disk, "d");
      std::vector<port::RecordingId> ids;
      for (int i = 0; i < 4; ++i)
        ids.push_back(
            b.open("r" + std::to_string(i), i % 2 ? RecordingFormat::opus : RecordingFormat::wav, 8000));
      for (const auto id : ids) b.speak(id, tone(500, 8000, 1 + static_cast<double>(id) / 4), {}, 8000);
      disk.die_after(static_cast<uint32_t>(rng.below(30)));
      for (const auto id : ids) {
        const auto answer = b.close(id, 8000);
        if (answer.end != RecordingEnd::whole) continue;
        const std::string file = "d/recordings/" + answer.file.name;
        promised[file] = disk.read(file, 0, 1 << 30).value_or("");
      }
    }
    disk.crash(rng);
    Bench again(disk, "d");
    again.core.recover(again.now);
    for (const auto& [file, bytes] : promised) {
      ASSERT_EQ(disk.read(file, 0, 1 << 30).value_or("gone") == bytes, true)
          << "seed " << seed << " " << file;
      ++survived;
    }
    const auto left = disk.list("d/recordings");
    ASSERT_TRUE(left.ok());
    for (const std::string& name : *left) {
      if (name.ends_with(".wav") || name.ends_with(".mka")) {
        if (!promised.contains("d/recordings/" + name)) ++mended;
      } else {
        EXPECT_FALSE(name.ends_with(".wav.part") || name.ends_with(".mka.part"))
            << "seed " << seed << " " << name;
      }
    }
  }
  EXPECT_GT(survived, 50U);
  EXPECT_GT(mended, 50U);
}

/// A process of its own that records until it is killed; says a byte for each second of sound it has been
/// given.
[[noreturn]] void record_for_ever(const std::string& root, RecordingFormat format, int progress) {
  store::PosixDisk disk;
  Bench bench(disk, root);
  const auto id = bench.open("killed", format);
  for (size_t second = 0;; ++second) {
    bench.speak(id, tone(500, rate, 1, -12, second * rate), tone(1800, rate, 1, -20, second * rate), rate,
                second * rate);
    if (::write(progress, ".", 1) != 1) ::_exit(1);
  }
}

class KilledProcess : public testing::TestWithParam<RecordingFormat> {};

TEST_P(KilledProcess, LeavesAFileThatPlaysAndTheNextStartFinishesIt) {
  Scratch scratch;
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(pipe[0]);
    record_for_ever(scratch / "", GetParam(), pipe[1]);
  }
  ::close(pipe[1]);
  size_t told = 0;
  for (char c = 0; told < 5 && ::read(pipe[0], &c, 1) == 1;) ++told;
  ::kill(child, SIGKILL);
  for (char c = 0; ::read(pipe[0], &c, 1) == 1;) ++told;
  ::waitpid(child, nullptr, 0);
  ::close(pipe[0]);
  ASSERT_GE(told, 5U);

  const std::string folder = scratch / "recordings/";
  const std::string extension(port::extension_of(GetParam()));
  const std::string part_file = folder + "killed." + extension + ".part",
                    whole = folder + "killed." + extension;
  const auto expect_playable = [&](const std::string& file) {
    const double length = static_cast<double>(played(file, rate).at(0).size()) / rate;
    EXPECT_GT(length, static_cast<double>(told) - 1.05) << file;
    expect_two_tones(file, rate, length, -45);
  };
  expect_playable(part_file);  // before anybody has looked after it

  store::PosixDisk disk;
  Bench again(disk, scratch / "");
  again.core.recover(again.now);
  EXPECT_EQ(again.events, std::vector<std::string>{"recording.recovered"});
  EXPECT_EQ(again.counters.total("recordings_recovered_total"), 1U);
  EXPECT_FALSE(std::filesystem::exists(part_file));
  expect_playable(whole);
  const std::string notes = file_bytes(folder + "killed.json");
  EXPECT_NE(notes.find("\"event\":\"opened\""), std::string::npos);
  EXPECT_NE(notes.find("\"event\":\"recovered\""), std::string::npos) << notes;
}

INSTANTIATE_TEST_SUITE_P(Formats, KilledProcess,
                         testing::Values(RecordingFormat::wav, RecordingFormat::wav_mu_law,
                                         RecordingFormat::opus),
                         [](const auto& which) {
                           std::string name(port::to_text(which.param));
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

/// Cut at any byte: it is made whole up to there, or removed when nothing is in it.
TEST_F(Recorder, ATornFileIsMadeWholeWhereverItIsTorn) {
  for (const RecordingFormat format :
       {RecordingFormat::wav, RecordingFormat::wav_mu_law, RecordingFormat::opus}) {
    const std::string extension(port::extension_of(format));
    const auto id = bench.open("torn", format, 8000);
    bench.speak(id, tone(500, 8000, 3, -12), tone(1800, 8000, 3, -20), 8000);
    const std::string bytes = file_bytes(path("torn." + extension + ".part"));
    bench.close(id, 3 * 8000);
    ASSERT_GT(bytes.size(), 10'000U);
    SeededRng rng(3);
    for (int i = 0; i < 60; ++i) {
      const size_t length = i < 10 ? static_cast<size_t>(i) * 12 : rng.below(bytes.size());
      Scratch other;
      std::filesystem::create_directories(other / "recordings/2026-11-25");
      const std::string file = other / ("recordings/2026-11-25/t." + extension);
      write_file(file + ".part", std::string_view(bytes).substr(0, length));
      Bench again(disk, other / "");
      again.core.recover(again.now);
      EXPECT_FALSE(std::filesystem::exists(file + ".part"));
      if (length < 400) continue;  // less than the resampler holds back
      if (!std::filesystem::exists(file)) {
        EXPECT_LT(length, format == RecordingFormat::opus ? 6000U : 0U);
        continue;
      }
      store::SoundCache cache({"", other / "recordings", ""}, {}, again.counters);
      const auto sound = cache.get({{port::SoundPlace::recordings, "2026-11-25/t." + extension}, {}});
      ASSERT_TRUE(sound.ok()) << extension << " " << length;
      const double expected = 3.0 * static_cast<double>(length) / static_cast<double>(bytes.size());
      EXPECT_NEAR(static_cast<double>((*sound)->length().count()) / 1e9, expected, 0.7)
          << extension << " " << length;
    }
  }
}

TEST_F(Recorder, KilledBetweenTheTwoNamesKeepsItsNotes) {
  const auto id = bench.open("x");
  bench.speak(id, tone(500, rate, 1), tone(1800, rate, 1), rate);
  bench.close(id, rate);
  const std::string bytes = file_bytes(path("x.wav")), notes = file_bytes(path("x.json"));
  std::filesystem::rename(path("x.wav"), path("x.wav.part"));
  Bench again(disk, scratch / "");
  again.core.recover(again.now);
  EXPECT_EQ(file_bytes(path("x.wav")), bytes);
  EXPECT_EQ(file_bytes(path("x.json")), notes);
}

/// Voice messages whose run ends before they do.
class Messages : public FailingDisk {
 protected:
  Messages() {
    plan.message.mailbox = {"101", "example.com"};
    plan.message.from = "+4930123";
    plan.message.from_display = "A \"quoted\" \\ name";
    plan.message.received = bench.now.wall;
    plan.most = 7;
    plan.shortest = seconds(2);
  }
  void is_spoken(Bench& run, double how_long, port::RecordingFields fields) {
    run.core.open(
        run.now, 1,
        {{port::SoundPlace::voicemail, name}, RecordingFormat::wav, 8000, 1, {}, std::move(fields)});
    run.speak(1, tone(500, 8000, how_long), {}, 8000);
  }
  bool is_there(const std::string& extension) { return disk.size("d/voicemail/" + name + extension).ok(); }

  const std::string name = "example.com/101/2026-11-25/140500-7-1";
  port::MessagePlan plan;
};

TEST_F(Messages, OfAKilledRunGoToTheirMailbox) {
  {
    Bench killed(disk, "d");
    is_spoken(killed, 4, port::to_fields(plan));
  }
  bench.core.recover(bench.now);
  const auto orphans = bench.core.take_orphans();
  ASSERT_EQ(orphans.size(), 1U);
  const port::Voicemail& message = orphans[0].message;
  EXPECT_EQ(message.mailbox, plan.message.mailbox);
  EXPECT_EQ(message.from, plan.message.from);
  EXPECT_EQ(message.from_display, plan.message.from_display);
  EXPECT_EQ(message.received, plan.message.received);
  EXPECT_EQ(message.file, name + ".wav");
  EXPECT_NEAR(static_cast<double>(message.length.count()) / 1e9, 3.5, 0.7);
  EXPECT_EQ(orphans[0].most, 7U);
  EXPECT_TRUE(is_there(".wav") && is_there(".json"));
  EXPECT_TRUE(bench.core.take_orphans().empty());
  Bench third(disk, "d");
  third.core.recover(third.now);
  EXPECT_TRUE(third.core.take_orphans().empty()) << "once";
}

TEST_F(Messages, OfAKilledRunThatAreTooShortAreNone) {
  {
    Bench killed(disk, "d");
    is_spoken(killed, 1.6, port::to_fields(plan));
  }
  ASSERT_TRUE(is_there(".wav.part"));
  bench.core.recover(bench.now);
  EXPECT_TRUE(bench.core.take_orphans().empty());
  EXPECT_FALSE(is_there(".wav") || is_there(".json") || is_there(".wav.part"));
}

TEST_F(Messages, AGreetingIsNone) {
  {
    Bench killed(disk, "d");
    is_spoken(killed, 4, {});
  }
  bench.core.recover(bench.now);
  EXPECT_TRUE(bench.core.take_orphans().empty());
  EXPECT_TRUE(is_there(".wav"));
}

TEST_F(Messages, StillSpokenAtTheEndOfTheRunGoToTheirMailbox) {
  is_spoken(bench, 4, port::to_fields(plan));
  bench.core.close_all(bench.now, bench.answers);
  const auto orphans = bench.core.take_orphans();
  ASSERT_EQ(orphans.size(), 1U);
  EXPECT_EQ(orphans[0].message.file, name + ".wav");
  EXPECT_EQ(orphans[0].message.length, seconds(4));
  EXPECT_TRUE(is_there(".wav"));
}

TEST_F(Messages, ThatSomebodyClosedAreHis) {
  is_spoken(bench, 4, port::to_fields(plan));
  bench.core.close(bench.now, {1, 4 * 8000, false, {}}, {7, 1}, bench.answers);
  bench.core.close_all(bench.now, bench.answers);
  EXPECT_TRUE(bench.answered(1));
  EXPECT_TRUE(bench.core.take_orphans().empty());
}

TEST(RecordingNotes, AreReadBack) {
  const store::NoteFields fields = {
      {"from_display", "a \"quoted\" \\ and a\nline, {}"}, {"to", "홍길동"}, {"length_ms", "1500"}};
  const std::string line = store::note_line("opened", WallTime{1'795'615'500'000'000'000}, fields);
  const auto read = store::note_fields(line);
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->size(), 5U);
  EXPECT_EQ((*read)[0].second, "opened");
  EXPECT_EQ(store::NoteFields(read->begin() + 2, read->end()), fields);
  for (size_t length = 0; length + 1 < line.size(); ++length)  // without its brace
    EXPECT_FALSE(store::note_fields(std::string_view(line).substr(0, length)).has_value()) << length;
}

TEST(MessagePlan, IsReadBackOrNone) {
  port::MessagePlan plan;
  plan.message.mailbox = {"101", "example.com"};
  plan.message.received = WallTime{5};
  const port::RecordingFields fields = port::to_fields(plan);
  ASSERT_TRUE(port::message_plan(fields).has_value());
  for (const char* name : {"mailbox_user", "mailbox_domain", "received_ns", "most", "shortest_ms"})
    for (const char* bad : {"", "x"}) {
      port::RecordingFields others = fields;
      for (auto& [key, value] : others)
        if (key == name) value = bad;
      const bool is_text = std::string_view(name).starts_with("mailbox") && *bad;
      EXPECT_EQ(port::message_plan(others).has_value(), is_text) << name << " " << bad;
    }
  EXPECT_FALSE(port::message_plan({{"call", "c1"}}).has_value());
}

TEST_F(Recorder, AtTheEndOfTheRunEverythingIsClosedWhereItIs) {
  const auto a = bench.open("a"), b = bench.open("b", RecordingFormat::opus);
  for (const auto id : {a, b}) bench.speak(id, tone(500, rate, 45, -12), tone(1800, rate, 45, -20), rate);
  bench.core.append(a, 0, 45 * rate, tone(500, rate, 40, -12, 45 * rate));  // more than a round encodes
  bench.core.close_all(bench.now, bench.answers);
  EXPECT_EQ(bench.core.open_recordings(), 0U);
  EXPECT_EQ(played(path("a.wav"), rate).at(0), tone(500, rate, 85, -12));
  expect_two_tones(path("b.mka"), rate, 45, -45);
}

// ---- keeping
// -----------------------------------------------------------------------------------------------

class Retention : public FailingDisk {
 protected:
  void put(const std::string& name, size_t bytes) {
    auto file = disk.create("d/recordings/" + name);
    ASSERT_TRUE(file.ok() && (*file)->append(std::string(bytes, 'x')).ok());
  }
  void sweep(store::RetentionOptions options, int times = 1) {
    store::RecordingRetention retention(disk, "d/recordings", options, bench.counters, {});
    for (int i = 0; i < times; ++i) {
      retention.sweep(bench.now);
      bench.now.mono = bench.now.mono + minutes(1);
    }
  }
};

TEST_F(Retention, DaysThatAreOverLongEnoughGo) {
  put("2026-11-20/a.wav", 10);
  put("2026-11-20/a.json", 10);
  put("2026-11-22/b.wav", 10);
  put("2026-11-23/c.wav", 10);
  put("named/by/hand.wav", 10);
  put("2026-13-01/x.wav", 10);
  put("by-hand.wav", 10);
  put("2026-11-20/open.wav.part", 10);
  sweep({.max_age = hours(48)});  // 2026-11-25 14:05: the 22nd ended 62 hours ago, the 23rd 38
  EXPECT_FALSE(exists("2026-11-20/a.wav") || exists("2026-11-20/a.json") || exists("2026-11-22/b.wav"));
  for (const char* name : {"2026-11-23/c.wav", "named/by/hand.wav", "2026-13-01/x.wav", "by-hand.wav",
                           "2026-11-20/open.wav.part"})
    EXPECT_TRUE(exists(name)) << name;
}

TEST_F(Retention, OfTooManyTheOldestGo) {
  put("2026-11-24/101010-a.wav", 400);
  put("2026-11-25/101010-b.wav", 400);
  put("2026-11-25/111111-c.wav", 400);
  sweep({.max_bytes = 1200});
  EXPECT_TRUE(exists("2026-11-24/101010-a.wav"));
  sweep({.max_bytes = 900});
  EXPECT_FALSE(exists("2026-11-24/101010-a.wav"));
  sweep({.max_bytes = 500});
  EXPECT_FALSE(exists("2026-11-25/101010-b.wav"));
  EXPECT_TRUE(exists("2026-11-25/111111-c.wav"));
  EXPECT_EQ(bench.counters.total("recordings_bytes"), 400U);
}

TEST_F(Retention, CountsWhatComesAndRemovesALittleAtATime) {
  for (int i = 0; i < 30; ++i) put("2026-11-20/" + std::to_string(100 + i) + ".wav", 10);
  store::RecordingRetention retention(disk, "d/recordings", {.max_bytes = 100, .files_a_poll = 7},
                                      bench.counters, {});
  retention.sweep(bench.now);
  EXPECT_EQ(disk.list("d/recordings/2026-11-20")->size(), 23U);
  for (int i = 0; i < 10; ++i) retention.sweep(bench.now);
  EXPECT_EQ(disk.list("d/recordings/2026-11-20")->size(), 10U);
  put("2026-11-25/new.wav", 60);
  retention.added("2026-11-25/new.wav", 60);
  bench.now.mono = bench.now.mono + minutes(1);
  retention.sweep(bench.now);
  EXPECT_EQ(disk.list("d/recordings/2026-11-20")->size(), 4U);
}

TEST_F(Retention, CountsADayAtATimeWhereThereAreMany) {
  for (const char* day : {"2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"})
    for (int i = 0; i < 5; ++i) put(std::string(day) + "/" + std::to_string(100 + i) + ".wav", 10);
  store::RecordingRetention retention(disk, "d/recordings", {.max_bytes = 150, .counted_a_round = 5},
                                      bench.counters, {});
  retention.sweep(bench.now);
  put("2026-11-25/new.wav", 10);  // while it counts
  retention.added("2026-11-25/new.wav", 10);
  for (int i = 0; i < 2; ++i) retention.sweep(bench.now);
  EXPECT_TRUE(exists("2026-11-20/100.wav")) << "how many there are is not known yet";
  retention.sweep(bench.now);
  EXPECT_EQ(bench.counters.total("recordings_bytes"), 150U);
  EXPECT_FALSE(exists("2026-11-20/104.wav") || exists("2026-11-21/100.wav"));
  EXPECT_TRUE(exists("2026-11-21/101.wav") && exists("2026-11-25/new.wav"));
}

TEST_F(Retention, WhatOthersRemovedTakesNoRoom) {
  put("2026-11-24/101010-a.wav", 400);
  put("2026-11-25/101010-b.wav", 400);
  put("2026-11-25/111111-open.wav.part", 5000);  // not yet one of them
  store::RecordingRetention retention(disk, "d/recordings", {.max_bytes = 1000}, bench.counters, {});
  retention.sweep(bench.now);
  EXPECT_EQ(bench.counters.total("recordings_bytes"), 800U);
  ASSERT_TRUE(disk.remove("d/recordings/2026-11-25/101010-b.wav").ok());  // by hand
  put("2026-11-25/121212-c.wav", 400);
  retention.added("2026-11-25/121212-c.wav", 400);
  bench.now.mono = bench.now.mono + minutes(1);
  retention.sweep(bench.now);
  EXPECT_TRUE(exists("2026-11-24/101010-a.wav") && exists("2026-11-25/121212-c.wav"));
  EXPECT_EQ(bench.counters.total("recordings_bytes"), 800U);
  put("2026-11-25/131313-d.wav", 400);
  retention.added("2026-11-25/131313-d.wav", 400);
  bench.now.mono = bench.now.mono + minutes(1);
  retention.sweep(bench.now);
  EXPECT_FALSE(exists("2026-11-24/101010-a.wav"));
  EXPECT_TRUE(exists("2026-11-25/121212-c.wav") && exists("2026-11-25/131313-d.wav"));
}

TEST_F(Retention, WhatTheRecorderRemovesIsCountedAtOnce) {
  store::RecorderOptions options;
  options.retention.max_bytes = 1'000'000;
  Bench kept(disk, "d", options);
  put("2026-11-24/101010-a.wav", 400);
  put("2026-11-24/101010-a.json", 40);
  put("2026-11-25/101010-b.wav", 300);
  kept.pass(milliseconds(200));
  EXPECT_EQ(kept.counters.total("recordings_bytes"), 740U);
  const port::Answer removed = kept.core.remove({port::SoundPlace::recordings, "2026-11-24/101010-a.wav"});
  EXPECT_TRUE(std::holds_alternative<port::Stored>(removed));
  EXPECT_EQ(kept.counters.total("recordings_bytes"), 300U);
}

TEST_F(Retention, NothingIsRemovedUnlessAsked) {
  put("1999-01-01/a.wav", 10);
  sweep({}, 3);
  EXPECT_TRUE(exists("1999-01-01/a.wav"));
}

TEST(RecordingNames, FallIntoAFolderADay) {
  EXPECT_EQ(port::dated_name({1'795'615'500'000'000'000}, "7-42"), "2026-11-25/140500-7-42");
  EXPECT_TRUE(port::is_sound_name(port::dated_name({0}, "x")));
}

}  // namespace
}  // namespace tandem::store_test
