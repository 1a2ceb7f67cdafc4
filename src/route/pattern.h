#pragma once
// Digit patterns as operators know them from Asterisk's extensions: X 0-9, Z 1-9, N 2-9 (either case), [13-5]
// a set, and at the end '.' one or more of anything or '!' none or more. Everything else stands for itself,
// letters without case; "=nancy" takes the rest literally. Between digits '-', blanks and round brackets only
// separate.
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tandem::route {

enum class PatternError : uint8_t {
  empty,
  too_long,
  bad_character,
  open_set,
  empty_set,
  bad_range,
  after_wildcard
};
const char* to_string(PatternError e);

class Pattern {
 public:
  static constexpr size_t max_elements = 64;

  /// A leading '_' (Asterisk's mark of a pattern) is allowed and ignored.
  static Result<Pattern, PatternError> compile(std::string_view text);

  /// The whole number, without case.
  bool matches(std::string_view number) const;

  const std::string& text() const { return text_; }
  /// Every element is one fixed character.
  bool exact() const { return exact_; }
  /// Ends in '.' or '!'.
  bool open_ended() const { return tail_ != Tail::none; }
  /// Characters before the tail.
  size_t length() const { return elements_.size(); }
  /// Order of specificity: element by element the smaller set first, then the longer one, then no tail before
  /// '.' before '!'. Negative when `a` is more specific, 0 when they weigh the same.
  static int compare(const Pattern& a, const Pattern& b);

 private:
  friend class PatternTrie;
  using Set = std::bitset<128>;
  enum class Tail : uint8_t { none, some, any };
  static bool in(const Set& set, char c);
  static Result<Set, PatternError> take_set(std::string_view& rest);
  static Result<Set, PatternError> take_element(std::string_view& rest);
  Status<PatternError> push(const Set& set);

  std::string text_;
  std::vector<Set> elements_;
  Tail tail_ = Tail::none;
  bool exact_ = true;
};

/// Many patterns at once: a trie whose edges are sets of characters. A look-up visits each node at most once,
/// so it costs at most the size of the trie whatever the number, and in practice a few nodes per digit.
class PatternTrie {
 public:
  /// `rule` is the caller's own number for it.
  void add(const Pattern& pattern, uint32_t rule);
  /// Appends every rule whose pattern matches, in no particular order.
  void match(std::string_view number, std::vector<uint32_t>& out) const;

 private:
  struct Edge {
    Pattern::Set set;
    uint32_t child;
  };
  struct Node {
    std::vector<Edge> edges;
    std::vector<uint32_t> ends, some, any;  // patterns that end here: without tail, with '.', with '!'
  };
  void match_from(uint32_t node, std::string_view rest, std::vector<uint32_t>& out) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace tandem::route
