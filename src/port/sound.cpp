#include "port/sound.h"

#include <algorithm>

namespace tandem::port {

bool is_sound_name(std::string_view name) {
  constexpr size_t max_bytes = 255, max_parts = 8;
  if (name.size() > max_bytes) return false;
  size_t parts = 0;
  for (size_t at = 0; at <= name.size(); ++parts) {
    const size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (part.empty() || part.front() == '.' || parts == max_parts) return false;
    for (const char c : part)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') return false;
    at = end + 1;
  }
  return true;
}

void PromptLibrary::add(std::string_view language, std::string_view name, SoundPtr sound) {
  languages_[std::string(language)].insert_or_assign(std::string(name), std::move(sound));
}

SoundPtr PromptLibrary::find_exactly(std::string_view language, std::string_view name) const {
  const auto prompts = languages_.find(language);
  if (prompts == languages_.end()) return nullptr;
  const auto found = prompts->second.find(name);
  return found == prompts->second.end() ? nullptr : found->second;
}

SoundPtr PromptLibrary::find(std::string_view language, std::string_view name) const {
  if (SoundPtr found = find_exactly(language, name)) return found;
  if (const size_t dash = language.find('-'); dash != std::string_view::npos)
    if (SoundPtr found = find_exactly(language.substr(0, dash), name)) return found;
  return find_exactly(default_, name);
}

std::vector<std::string> PromptLibrary::languages() const {
  std::vector<std::string> names;
  for (const auto& [language, prompts] : languages_) names.push_back(language);
  return names;
}

size_t PromptLibrary::size() const {
  size_t sum = 0;
  for (const auto& [language, prompts] : languages_) sum += prompts.size();
  return sum;
}

size_t PromptLibrary::bytes() const {
  size_t sum = 0;
  for (const auto& [language, prompts] : languages_)
    for (const auto& [name, sound] : prompts) sum += sound->samples.size() * sizeof(int16_t);
  return sum;
}

}  // namespace tandem::port
