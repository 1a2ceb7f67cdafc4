#include "base/xml.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace tandem {
namespace {

constexpr std::array<std::pair<char, std::string_view>, 5> entities = {
    {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&apos;"}}};

}  // namespace

std::string xml_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    const char c = text.front();
    const auto* entity =
        std::find_if(entities.begin(), entities.end(), [c](const auto& e) { return e.first == c; });
    if (n == 1 && entity != entities.end())
      out.append(entity->second);
    else if (n > 1 || (n == 1 && static_cast<uint8_t>(c) >= 0x20 && c != 0x7f))
      out.append(text.substr(0, n));
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

std::string xml_unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto* entity = std::find_if(entities.begin(), entities.end(),
                                      [text](const auto& e) { return text.starts_with(e.second); });
    const bool found = entity != entities.end();
    out.push_back(found ? entity->first : text.front());
    text.remove_prefix(found ? entity->second.size() : 1);
  }
  return out;
}

bool XmlElements::next() {
  for (;;) {
    const size_t begin = rest_.find('<');
    if (begin == std::string_view::npos) return false;
    rest_.remove_prefix(begin + 1);
    if (rest_.starts_with("!--")) {
      rest_.remove_prefix(std::min(rest_.find("-->"), rest_.size()));
      continue;
    }
    // A '>' in a quoted attribute value ends no tag.
    size_t end = 0;
    for (char quote = 0; end < rest_.size() && (quote != 0 || rest_[end] != '>'); ++end)
      if (quote != 0 ? rest_[end] == quote : rest_[end] == '"' || rest_[end] == '\'')
        quote = quote != 0 ? '\0' : rest_[end];
    if (end == rest_.size()) return false;
    const std::string_view tag = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (tag.empty() || tag[0] == '?' || tag[0] == '!') continue;
    if (tag[0] == '/') {
      if (deeper_ > 0)
        --deeper_;
      else if (!open_.empty())
        open_.pop_back();
      continue;
    }
    const bool closed = tag.back() == '/';
    if (deeper_ > 0 || open_.size() == max_depth) {
      if (!closed) ++deeper_;
      continue;
    }
    name_ = tag.substr(0, tag.find_first_of(" \t\r\n/"));
    name_.remove_prefix(name_.find(':') + 1);
    parent_ = open_.empty() ? std::string_view() : open_.back();
    text_ = closed ? std::string_view() : rest_.substr(0, rest_.find('<'));
    if (!closed) open_.push_back(name_);
    return true;
  }
}

}  // namespace tandem
