// What people hear and what is recorded: the prompts in memory, the thread that reads files, the one that
// writes.
#include <filesystem>

#include "codec/tone.h"
#include "net/clock.h"
#include "tandem/program_impl.h"

namespace tandem::app {
namespace {

/// The prompts of the build: beside the program in a build directory, else where the package puts them.
std::string built_prompts() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = program.parent_path() / "sounds";
  if (fs::is_directory(beside, error)) return beside.string();
  return (program.parent_path().parent_path() / "share/tandem/sounds").string();
}

/// After it one speaks.
port::SoundPtr beep() {
  // The generator's 8 kHz samples are played twice as fast: 850 Hz, 250 ms.
  codec::ToneSequence tones;
  tones.steps = {{425, 0, -12, 500}};
  tones.repeats = 1;
  auto sound = std::make_shared<port::Sound>();
  sound->samples.resize(port::sound_rate / 4);
  codec::ToneGenerator(tones).render(sound->samples);
  return sound;
}

}  // namespace

void Program::Impl::start_sounds() {
  const auto sink = [this](const port::Event& e) { log.event(e, net::now().wall, "sounds"); };
  store::PromptLoadOptions prompt_options;
  prompt_options.folders.push_back(built_prompts());
  if (!config.sounds.folder.empty()) prompt_options.folders.push_back(config.sounds.folder);
  prompt_options.default_language = config.sounds.language;
  port::PromptLibrary library = store::load_prompts(prompt_options, sink);
  if (!library.find(config.sounds.language, "beep")) library.add(config.sounds.language, "beep", beep());
  prompts = std::make_shared<const port::PromptLibrary>(std::move(library));
  if (!prompts->has(config.sounds.language))
    say(port::Level::warning, "sounds.language_absent", {{"language", config.sounds.language}});

  const store::SoundFolders folders{
      config.sounds.folder,
      config.recordings.folder.empty() ? data.file("recordings") : config.recordings.folder,
      data.file("voicemail")};
  const auto answer = [this](uint16_t worker, port::AskId id, port::Answer a) {
    runtime->post_answer(worker, id, std::move(a));
  };
  store::SoundServiceOptions reading;
  reading.cache.limits.longest = config.sounds.longest;
  sounds = std::make_unique<store::SoundService>(folders, reading, sound_counters, answer);

  store::RecorderOptions writing;
  writing.longest = config.recordings.longest;
  writing.retention.max_age = config.recordings.max_age;
  writing.retention.max_bytes = config.recordings.max_bytes;
  recorder = std::make_unique<store::RecorderThread>(
      disk, folders, writing, store::RecorderThreadOptions{}, recorder_counters,
      [this](uint16_t worker, port::AskId id, port::Answer a) {
        recorder_answered(worker, id, std::move(a));
      },
      sink, [this](port::LeaveVoicemail message) { store->tell(std::move(message)); });
  voicemail_drop = std::make_unique<store::VoicemailDrop>(recorder_counters);
}

}  // namespace tandem::app
