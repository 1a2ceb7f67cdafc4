#include "store/prompt_loader.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "store/sound_folder.h"

namespace tandem::store {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> extensions = {".wav", ".opus", ".ogg", ".flac", ".mp3"};

/// Names in a folder, sorted, so that what is loaded does not hang on the file system's order.
std::vector<std::string> names_in(const fs::path& folder, bool folders) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) == folders) names.push_back(it->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Loader {
 public:
  Loader(const PromptLoadOptions& options, const std::function<void(const port::Event&)>& events)
      : options_(options), events_(events), library_(options.default_language, options.version) {}

  port::PromptLibrary run() {
    for (const std::string& folder : options_.folders) {
      std::error_code error;
      if (!fs::is_directory(folder, error)) {
        tell(port::Level::warning, "sounds.folder_absent", {{"folder", folder}});
        continue;
      }
      for (const std::string& language : names_in(folder, true)) load_language(folder, language);
    }
    return std::move(library_);
  }

 private:
  void load_language(const std::string& folder, const std::string& language) {
    if (!port::is_sound_name(language)) return;
    for (const std::string& file : names_in(fs::path(folder) / language, false)) {
      const fs::path path(file);
      const std::string extension = path.extension().string();
      if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end())
        load(folder, language, path.stem().string(), file);
    }
  }

  void load(const std::string& folder, const std::string& language, const std::string& name,
            const std::string& file) {
    const std::string below = language + "/" + file;
    const auto unusable = [&](std::string_view why) {
      tell(port::Level::warning, "sounds.prompt_unusable",
           {{"file", folder + "/" + below}, {"why", std::string(why)}});
    };
    if (count_ >= options_.max_prompts || bytes_ >= options_.max_bytes)
      return unusable("as many prompts as the limit allows");
    const auto opened = OpenSound::open(folder, below);
    if (!opened.ok()) return unusable(to_text(opened.reason()));
    auto sound = decode_sound(opened->source(), {.longest = options_.longest});
    if (!sound.ok()) return unusable(to_text(sound.reason()));
    ++count_;
    bytes_ += (*sound)->samples.size() * sizeof(int16_t);
    library_.add(language, name, std::move(*sound));
  }

  void tell(port::Level level, std::string_view name,
            std::vector<std::pair<std::string_view, std::string>> fields) {
    if (events_) events_({level, name, 0, std::move(fields)});
  }

  const PromptLoadOptions& options_;
  const std::function<void(const port::Event&)>& events_;
  port::PromptLibrary library_;
  size_t count_ = 0, bytes_ = 0;
};

}  // namespace

port::PromptLibrary load_prompts(const PromptLoadOptions& options,
                                 const std::function<void(const port::Event&)>& events) {
  return Loader(options, events).run();
}

}  // namespace tandem::store
