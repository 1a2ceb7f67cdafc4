// Reading sound files: what ffmpeg wrote, in every format we name; what hostile hands wrote; and no others.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>

#include "base/rng.h"
#include "sounds.h"
#include "store/prompt_loader.h"
#include "store/sound_cache.h"

namespace tandem::store_test {
namespace {

using port::SoundFailure;
using port::SoundPlace;

class Sounds : public testing::Test {
 protected:
  port::SoundResult get(const std::string& name, Duration longest = {}) {
    return cache.get({{SoundPlace::sounds, name}, longest});
  }
  void expect_failure(SoundFailure why, const std::string& name, Duration longest = {}) {
    const auto sound = get(name, longest);
    ASSERT_FALSE(sound.ok()) << name;
    EXPECT_EQ(port::to_text(sound.reason()), port::to_text(why)) << name;
  }
  /// Two seconds of a tone of 1 kHz, 12 dB below full scale: {name, ffmpeg's options for it}, in one go.
  struct File {
    std::string name, options;
  };
  void make(const std::vector<File>& files) {
    std::string command =
        "ffmpeg -nostdin -y -f lavfi -i 'sine=frequency=1000:sample_rate=48000:duration=2,volume=2'";
    for (const File& f : files) command += " " + f.options + " '" + folder + "/" + f.name + "'";
    must_run(command);
  }
  void make(const std::string& name, const std::string& options) { make({{name, options}}); }
  void expect_tone(const std::string& name, double seconds = 2) {
    const auto sound = get(name);
    ASSERT_TRUE(sound.ok()) << name << ": " << port::to_text(sound.reason());
    const port::Sound& s = **sound;
    EXPECT_EQ(s.rate, 16'000U);
    EXPECT_NEAR(static_cast<double>(s.samples.size()) / s.rate, seconds, 0.06) << name;
    const Samples middle = part(s.samples, s.rate, 0.5, 1.5);
    EXPECT_NEAR(level_at(middle, 1000, s.rate), -12, 0.5) << name;
    // Nothing else: what is left beside the tone is at least 30 dB below it.
    const double all = 20 * std::log10(rms(middle) * std::numbers::sqrt2 / 32767);
    EXPECT_NEAR(all, -12, 0.5) << name;
    EXPECT_LT(level_at(middle, 1300, s.rate), -50) << name;
  }

  Scratch scratch;
  const std::string folder = scratch / "sounds";
  const bool made = std::filesystem::create_directory(folder);
  CounterSet counters;
  store::SoundCache cache{{folder, "", ""}, {}, counters};
};

TEST_F(Sounds, ReadsEveryWayThereIsToWriteWav) {
  std::vector<File> files;
  for (const std::string codec :
       {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"})
    files.push_back({codec + ".wav", "-ar 8000 -c:a " + codec});
  make(files);
  for (const File& f : files) expect_tone(f.name);
}

TEST_F(Sounds, ReadsTheOtherFormats) {
  const std::vector<File> files = {{"opus.opus", "-c:a libopus -b:a 64k"},
                                   {"opus.webm", "-c:a libopus -b:a 64k"},
                                   {"opus.mka", "-c:a libopus -b:a 64k"},
                                   {"vorbis.ogg", "-c:a libvorbis"},
                                   {"flac.flac", "-c:a flac"},
                                   {"flac.ogg", "-c:a flac -f ogg"},
                                   {"mp3.mp3", "-c:a libmp3lame"},
                                   {"aiff.aiff", "-c:a pcm_s16be"},
                                   {"au.au", "-c:a pcm_s16be"}};
  make(files);
  for (const File& f : files) expect_tone(f.name);
}

TEST_F(Sounds, EveryRateAndBothChannelsBecomeOneOfSixteenKilohertz) {
  std::vector<File> files;
  for (const std::string rate : {"8000", "11025", "22050", "44100", "48000", "96000"})
    files.push_back({rate + ".wav", "-c:a pcm_s16le -af 'pan=stereo|c0=c0|c1=c0' -ar " + rate});
  make(files);
  for (const File& f : files) expect_tone(f.name);
}

TEST_F(Sounds, OfTwoSidesBothAreHeard) {
  must_run(
      "ffmpeg -nostdin -y -f lavfi -i 'aevalsrc=0.5*sin(2*PI*500*t)|0.5*sin(2*PI*2000*t):s=16000:d=2' '" +
      folder + "/sides.wav'");
  const auto sound = get("sides.wav");
  ASSERT_TRUE(sound.ok());
  const Samples middle = part((*sound)->samples, 16'000, 0.5, 1.5);
  EXPECT_NEAR(level_at(middle, 500, 16'000), -12, 0.5);
  EXPECT_NEAR(level_at(middle, 2000, 16'000), -12, 0.5);
}

TEST_F(Sounds, TheSameFileIsReadOnceUntilItChanges) {
  make("a.wav", "-c:a pcm_s16le");
  const auto first = get("a.wav"), second = get("a.wav");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
  EXPECT_EQ(counters.total("sound_loads_total"), 1U);
  make("b.wav", "-c:a pcm_s16le -t 1");
  std::filesystem::rename(folder + "/b.wav", folder + "/a.wav");
  const auto third = get("a.wav");
  ASSERT_TRUE(third.ok());
  EXPECT_NEAR(static_cast<double>((*third)->samples.size()), 16'000, 100);
  std::filesystem::remove(folder + "/a.wav");
  expect_failure(SoundFailure::not_found, "a.wav");
  EXPECT_EQ(counters.total("sound_cache_bytes"), 0U);
}

TEST_F(Sounds, AGreetingRecordedAnewIsHeardAtOnce) {
  make({{"a.wav", "-c:a pcm_s16le"}, {"b.wav", "-c:a pcm_s16le -filter:a volume=-12dB"}});
  std::filesystem::last_write_time(folder + "/b.wav", std::filesystem::last_write_time(folder + "/a.wav"));
  ASSERT_EQ(std::filesystem::file_size(folder + "/a.wav"), std::filesystem::file_size(folder + "/b.wav"));
  const auto old = get("a.wav");
  std::filesystem::rename(folder + "/b.wav", folder + "/a.wav");  // as the recorder does, within one tick
  const auto fresh = get("a.wav");
  ASSERT_TRUE(old.ok() && fresh.ok());
  EXPECT_NE((*old)->samples, (*fresh)->samples);
}

TEST_F(Sounds, TheCacheHoldsTheLatestUsedAndNoMore) {
  make({{"a.wav", ""}, {"b.wav", ""}, {"c.wav", ""}});  // 64,000 bytes each, in memory
  store::SoundCache small{{folder, "", ""}, {.bytes = 150'000}, counters};
  const auto load = [&](const char* name) { ASSERT_TRUE(small.get({{SoundPlace::sounds, name}, {}}).ok()); };
  for (const char* name : {"a.wav", "b.wav", "a.wav", "c.wav"}) load(name);
  EXPECT_EQ(counters.total("sound_loads_total"), 3U);
  EXPECT_LE(counters.total("sound_cache_bytes"), 150'000U);
  load("a.wav");
  EXPECT_EQ(counters.total("sound_loads_total"), 3U);
  load("b.wav");
  EXPECT_EQ(counters.total("sound_loads_total"), 4U);
}

TEST_F(Sounds, TooLongIsSaidAndNotKept) {
  make("long.wav", "-c:a pcm_s16le");
  expect_failure(SoundFailure::too_long, "long.wav", seconds(1));
  ASSERT_TRUE(get("long.wav").ok());
  expect_failure(SoundFailure::too_long, "long.wav", seconds(1));
  store::SoundCache strict{{folder, "", ""}, {.limits = {.longest = seconds(1)}}, counters};
  EXPECT_FALSE(strict.get({{SoundPlace::sounds, "long.wav"}, hours(1)}).ok())
      << "the limit is not the asker's";
  store::SoundCache little{{folder, "", ""}, {.limits = {.file_bytes = 1000}}, counters};
  const auto large = little.get({{SoundPlace::sounds, "long.wav"}, {}});
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.reason(), SoundFailure::too_long);
}

/// Hours of silence are a small FLAC file: what counts is what comes out.
TEST_F(Sounds, AFileThatUnfoldsStopsAtTheLimit) {
  must_run("ffmpeg -nostdin -y -f lavfi -i anullsrc=r=8000:cl=mono -t 2000 -c:a flac '" + folder +
           "/bomb.flac'");
  ASSERT_LT(std::filesystem::file_size(folder + "/bomb.flac"), 500'000U);
  expect_failure(SoundFailure::too_long, "bomb.flac");
}

TEST_F(Sounds, NoNameLeadsOut) {
  make("in.wav", "-c:a pcm_s16le");
  std::filesystem::copy(folder + "/in.wav", scratch / "secret.wav");
  std::filesystem::create_directory(folder + "/deep");
  std::filesystem::create_symlink("../secret.wav", folder + "/link.wav");
  std::filesystem::create_directory_symlink(scratch / "", folder + "/linked");
  ASSERT_TRUE(get("in.wav").ok());
  const std::string many = "a/a/a/a/a/a/a/a/in.wav";
  for (const std::string& name :
       {std::string("../secret.wav"), std::string("deep/../../secret.wav"), scratch / "secret.wav",
        std::string(), std::string("."), std::string("deep/"), std::string("/in.wav"),
        std::string("deep//in.wav"), std::string("in.wav\0.txt", 11), std::string("..\\secret.wav"),
        std::string(300, 'a'), many})
    expect_failure(SoundFailure::not_found, name);
  const auto link = get("link.wav"), linked = get("linked/secret.wav");
  EXPECT_FALSE(link.ok());
  EXPECT_FALSE(linked.ok());
  const auto nowhere = cache.get({{SoundPlace::voicemail, "in.wav"}, {}});
  ASSERT_FALSE(nowhere.ok()) << "a place without a folder";
  EXPECT_EQ(nowhere.reason(), SoundFailure::not_found);
}

TEST_F(Sounds, WhatIsNoFileIsNotWaitedFor) {
  ASSERT_EQ(::mkfifo((folder + "/pipe.wav").c_str(), 0600), 0);
  std::filesystem::create_directory(folder + "/folder.wav");
  expect_failure(SoundFailure::unreadable, "pipe.wav");
  expect_failure(SoundFailure::unreadable, "folder.wav");
  std::filesystem::create_symlink("/dev/zero", folder + "/zero.wav");
  expect_failure(SoundFailure::unreadable, "zero.wav");
}

TEST_F(Sounds, WhatIsNoSoundIsUnreadable) {
  write_file(folder + "/empty.wav", "");
  write_file(folder + "/text.wav", std::string(100'000, 'x'));
  make("cut.wav", "-c:a pcm_s16le");
  write_file(folder + "/head.wav", file_bytes(folder + "/cut.wav").substr(0, 44));
  must_run("ffmpeg -nostdin -y -f lavfi -i testsrc=d=1:s=64x64 '" + folder + "/film.mkv'");
  for (const char* name : {"empty.wav", "text.wav", "head.wav", "film.mkv"})
    expect_failure(SoundFailure::unreadable, name);
}

/// Formats that name other files or addresses: they are none of ours, whatever their extension says.
TEST_F(Sounds, NoFileSpeaksForAnother) {
  make("in.wav", "-c:a pcm_s16le");
  write_file(folder + "/list.wav", "ffconcat version 1.0\nfile 'in.wav'\n");
  write_file(folder + "/stream.mp3",
             "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nin.wav\n#EXT-X-ENDLIST\n");
  write_file(folder + "/session.wav", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio 5004 RTP/AVP 0\n");
  for (const char* name : {"list.wav", "stream.mp3", "session.wav"})
    expect_failure(SoundFailure::unreadable, name);
}

/// A torn copy plays as far as it goes; damage in the middle is a gap, not the end.
TEST_F(Sounds, DamageCostsWhatIsDamaged) {
  make("whole.opus", "-c:a libopus -b:a 64k -page_duration 100000");
  const std::string bytes = file_bytes(folder + "/whole.opus");
  write_file(folder + "/half.opus", bytes.substr(0, bytes.size() / 2));
  const auto half = get("half.opus");
  ASSERT_TRUE(half.ok());
  EXPECT_GT((*half)->length(), milliseconds(500));
  EXPECT_LT((*half)->length(), milliseconds(1500));
}

TEST_F(Sounds, AnyBytesAtAllAreSurvived) {
  make({{"seed.wav", "-c:a pcm_mulaw -ar 8000 -t 0.3"},
        {"seed.opus", "-c:a libopus -t 0.3"},
        {"seed.mka", "-c:a libopus -t 0.3"},
        {"seed.flac", "-c:a flac -t 0.3"}});
  SeededRng rng(7);
  for (const char* seed : {"seed.wav", "seed.opus", "seed.mka", "seed.flac"}) {
    const std::string good = file_bytes(folder + "/" + seed);
    for (int round = 0; round < 60; ++round) {
      std::string bad = good;
      for (uint64_t n = rng.below(20) + 1; n > 0; --n)
        bad[rng.below(rng.below(4) == 0 ? bad.size() : std::min<size_t>(bad.size(), 120))] =
            static_cast<char>(rng.next());
      const store::SoundSource source{bad.size(), [&](uint64_t at, MutableBytes into) -> int64_t {
                                        if (at >= bad.size()) return 0;
                                        const size_t n = std::min(into.size(), bad.size() - at);
                                        std::copy_n(bad.begin() + static_cast<ptrdiff_t>(at), n,
                                                    into.begin());
                                        return static_cast<int64_t>(n);
                                      }};
      const auto sound = store::decode_sound(source, {.longest = seconds(10)});
      if (sound.ok()) {
        EXPECT_LE((*sound)->length(), seconds(10));
      }
    }
  }
}

// ---- prompts ---------------------------------------------------------------------------------------------

TEST_F(Sounds, TheOperatorsPromptReplacesTheBuiltOne) {
  make("x.wav", "-c:a pcm_s16le");
  for (const char* path : {"/built/en", "/built/ko", "/own/en"})
    std::filesystem::create_directories(folder + path);
  std::filesystem::copy(folder + "/x.wav", folder + "/built/en/hello.wav");
  std::filesystem::copy(folder + "/x.wav", folder + "/built/ko/hello.wav");
  std::filesystem::copy(folder + "/x.wav", folder + "/built/en/bye.wav");
  make("own/en/hello.opus", "-c:a libopus -t 1");
  write_file(folder + "/own/en/bye.wav", "not a sound");
  write_file(folder + "/own/en/README", "not meant to be one");
  std::vector<std::string> told;
  const port::PromptLibrary library = store::load_prompts(
      {.folders = {folder + "/built", folder + "/own", folder + "/absent"}, .version = 5},
      [&](const port::Event& e) { told.push_back(std::string(e.name) + " " + e.fields.front().second); });
  EXPECT_EQ(library.version(), 5U);
  EXPECT_EQ(library.size(), 3U);
  EXPECT_EQ(library.languages(), (std::vector<std::string>{"en", "ko"}));
  ASSERT_TRUE(library.find("en", "hello"));
  EXPECT_LT(library.find("en", "hello")->length(), milliseconds(1100)) << "the operator's";
  EXPECT_GT(library.find("ko", "hello")->length(), milliseconds(1900));
  EXPECT_GT(library.find("en", "bye")->length(), milliseconds(1900)) << "a broken one replaces nothing";
  EXPECT_EQ(library.find("ko", "bye"), library.find("en", "bye"))
      << "in another language rather than not at all";
  EXPECT_EQ(library.find("ko-KR", "hello"), library.find("ko", "hello"));
  EXPECT_FALSE(library.find_exactly("ko", "bye"));
  EXPECT_FALSE(library.find("en", "nothing"));
  EXPECT_EQ(told, (std::vector<std::string>{"sounds.prompt_unusable " + folder + "/own/en/bye.wav",
                                            "sounds.folder_absent " + folder + "/absent"}));
}

TEST_F(Sounds, PromptsAreLimitedInNumberAndSize) {
  make("x.wav", "-c:a pcm_s16le");
  std::filesystem::create_directories(folder + "/built/en");
  for (int i = 0; i < 5; ++i)
    std::filesystem::copy(folder + "/x.wav", folder + "/built/en/p" + std::to_string(i) + ".wav");
  size_t told = 0;
  const auto count = [&](const port::Event&) { ++told; };
  EXPECT_EQ(store::load_prompts({.folders = {folder + "/built"}, .max_prompts = 3}, count).size(), 3U);
  EXPECT_EQ(told, 2U);
  EXPECT_EQ(store::load_prompts({.folders = {folder + "/built"}, .max_bytes = 100'000}, {}).size(), 2U);
  EXPECT_EQ(store::load_prompts({.folders = {folder + "/built"}, .longest = seconds(1)}, {}).size(), 0U);
}

/// What the build made: every prompt of the scripts, at the level networks are planned for.
TEST(BuiltPrompts, AreThereAndAtTheirLevel) {
  std::vector<std::string> told;
  const auto library = store::load_prompts({.folders = {TANDEM_BUILT_SOUNDS}}, [&](const port::Event& e) {
    told.push_back(e.fields.front().second);
  });
  EXPECT_EQ(told, std::vector<std::string>{});
  for (const char* language : {"en", "ko"}) {
    std::ifstream script(std::string(TANDEM_SOURCE_DIR) + "/sounds/" + language + ".txt");
    size_t prompts = 0;
    for (std::string line; std::getline(script, line);) {
      const size_t equals = line.find(" = ");
      if (equals == std::string::npos || line.front() == '#') continue;
      ++prompts;
      const port::SoundPtr sound = library.find_exactly(language, line.substr(0, equals));
      ASSERT_TRUE(sound) << language << " " << line;
      EXPECT_GT(sound->length(), milliseconds(100)) << line;
      EXPECT_LT(sound->length(), seconds(12)) << line;
      // Active speech at -26 dBov; the pauses, the breath at the end and the shortness of a word cost a
      // little.
      const double level = 20 * std::log10(rms(sound->samples) / 32768);
      EXPECT_NEAR(level, -26.5, 1.5) << language << " " << line;
      // Begins and ends in silence: no click between two of them.
      EXPECT_LT(std::abs(sound->samples.front()), 200) << language << " " << line;
      EXPECT_LT(std::abs(sound->samples.back()), 200) << language << " " << line;
    }
    EXPECT_GT(prompts, 200U);
  }
}

}  // namespace
}  // namespace tandem::store_test
