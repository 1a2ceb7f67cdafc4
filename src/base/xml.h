#pragma once
// XML as presence documents need it: text put into markup, and elements read out of a document one by one.
// Nothing here fails on bad markup; it yields less.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

/// Text as XML character data or attribute value: markup escaped, control characters and broken UTF-8 left
/// out.
std::string xml_escape(std::string_view text);
/// The way back, of the five entities of XML 1.0; other references stay as they are.
std::string xml_unescape(std::string_view text);

/// The elements of a document in order, without their namespaces.
class XmlElements {
 public:
  static constexpr size_t max_depth = 32;  // deeper ones are passed over

  /// `document` outlives this.
  explicit XmlElements(std::string_view document) : rest_(document) {}
  explicit XmlElements(std::string&&) = delete;

  /// False: there are no more.
  bool next();
  std::string_view name() const { return name_; }
  /// Empty: it is the root.
  std::string_view parent() const { return parent_; }
  /// From its tag to the next one, as it stands there.
  std::string_view text() const { return text_; }

 private:
  std::string_view rest_, name_, parent_, text_;
  std::vector<std::string_view> open_;
  size_t deeper_ = 0;
};

}  // namespace tandem
