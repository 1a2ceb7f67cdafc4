#pragma once
// From folders of prompt files to the library that all workers read.
#include <functional>
#include <string>
#include <vector>

#include "port/event.h"
#include "port/sound.h"

namespace tandem::store {

struct PromptLoadOptions {
  /// Folders with a folder a language in each, LANGUAGE/NAME.wav (or .opus, .ogg, .flac, .mp3). A later
  /// folder's file replaces an earlier one's of that language and name: the operator's come after the built
  /// ones.
  std::vector<std::string> folders;
  std::string default_language = "en";
  uint64_t version = 1;
  Duration longest = minutes(2);  // of one prompt
  size_t max_prompts = 5000;      // of all languages
  size_t max_bytes = 256 << 20;   // of all samples
};

/// Blocks: for the start, or for a control thread. What cannot be read is left out and told in an event
/// `sounds.prompt_unusable` {file, why}; a folder that is absent, in `sounds.folder_absent`.
port::PromptLibrary load_prompts(const PromptLoadOptions& options,
                                 const std::function<void(const port::Event&)>& events);

}  // namespace tandem::store
