#include "route/pattern.h"

#include "base/text.h"

namespace tandem::route {
namespace {

constexpr size_t max_text = 256;

bool literal(char c) { return c > 0x20 && c < 0x7f; }

/// '.' and '!' end a pattern, '[' and ']' make sets.
bool plain(char c) { return literal(c) && c != '.' && c != '!' && c != '[' && c != ']'; }

char wildcard(char c) {
  const char l = to_lower(c);
  return l == 'x' || l == 'z' || l == 'n' ? l : '\0';
}

bool has_letters(std::string_view s) {
  for (char c : s)
    if (to_lower(c) >= 'a' && to_lower(c) <= 'z' && !wildcard(c)) return true;
  return false;
}

}  // namespace

const char* to_string(PatternError e) {
  switch (e) {
    case PatternError::empty:
      return "the pattern is empty";
    case PatternError::too_long:
      return "the pattern has more than 64 elements";
    case PatternError::bad_character:
      return "expected digits, * # +, letters, X Z N, [sets], and at the end . or !";
    case PatternError::open_set:
      return "a [ without its ]";
    case PatternError::empty_set:
      return "[] matches nothing";
    case PatternError::bad_range:
      return "a range in [] runs backwards or has no end";
    case PatternError::after_wildcard:
      return "nothing may follow . or !";
  }
  return "";
}

bool Pattern::in(const Set& set, char c) {
  const auto u = static_cast<unsigned char>(to_lower(c));
  return u < 128 && set.test(u);
}

/// The text after '[' up to and including ']'.
Result<Pattern::Set, PatternError> Pattern::take_set(std::string_view& s) {
  const size_t close = s.find(']');
  if (close == std::string_view::npos) return Failure{PatternError::open_set};
  const std::string_view body = s.substr(0, close);
  s.remove_prefix(close + 1);
  Set set;
  for (size_t i = 0; i < body.size(); ++i) {
    const char low = to_lower(body[i]);
    if (low == '-') return Failure{PatternError::bad_range};
    if (!literal(low)) return Failure{PatternError::bad_character};
    char high = low;
    if (i + 1 < body.size() && body[i + 1] == '-') {
      if (i + 2 >= body.size()) return Failure{PatternError::bad_range};
      high = to_lower(body[i + 2]);
      if (!literal(high) || high < low) return Failure{PatternError::bad_range};
      i += 2;
    }
    for (unsigned c = static_cast<uint8_t>(low); c <= static_cast<uint8_t>(high); ++c)
      set.set(static_cast<uint8_t>(to_lower(static_cast<char>(c))));
  }
  if (set.none()) return Failure{PatternError::empty_set};
  return set;
}

/// One element that is not a tail.
Result<Pattern::Set, PatternError> Pattern::take_element(std::string_view& s) {
  const char c = s.front();
  s.remove_prefix(1);
  if (c == '[') return take_set(s);
  Set set;
  if (const char w = wildcard(c)) {
    for (char d = w == 'x' ? '0' : w == 'z' ? '1' : '2'; d <= '9'; ++d) set.set(static_cast<size_t>(d));
  } else if (plain(c)) {
    set.set(static_cast<size_t>(to_lower(c)));
  } else {
    return Failure{PatternError::bad_character};
  }
  return set;
}

Status<PatternError> Pattern::push(const Set& set) {
  if (elements_.size() == max_elements) return Failure{PatternError::too_long};
  exact_ &= set.count() == 1;
  elements_.push_back(set);
  return Done{};
}

Result<Pattern, PatternError> Pattern::compile(std::string_view text) {
  Pattern p;
  std::string_view s = trim(text);
  if (s.size() > max_text) return Failure{PatternError::too_long};
  p.text_ = s;
  if (s.starts_with('=')) {
    for (char c : s.substr(1)) {
      if (!literal(c)) return Failure{PatternError::bad_character};
      Set set;
      set.set(static_cast<size_t>(to_lower(c)));
      if (auto pushed = p.push(set); !pushed.ok()) return Failure{pushed.reason()};
    }
    if (p.elements_.empty()) return Failure{PatternError::empty};
    return p;
  }
  if (s.size() > 1 && s.front() == '_') s.remove_prefix(1);
  const bool separators = !has_letters(s);
  while (!s.empty()) {
    const char c = s.front();
    if (separators && (c == '-' || c == ' ' || c == '(' || c == ')')) {
      s.remove_prefix(1);
      continue;
    }
    if (p.tail_ != Tail::none) return Failure{PatternError::after_wildcard};
    if (c == '.' || c == '!') {
      s.remove_prefix(1);
      p.tail_ = c == '.' ? Tail::some : Tail::any;
      continue;
    }
    auto set = take_element(s);
    if (!set.ok()) return Failure{set.reason()};
    if (auto pushed = p.push(*set); !pushed.ok()) return Failure{pushed.reason()};
  }
  if (p.elements_.empty() && p.tail_ == Tail::none) return Failure{PatternError::empty};
  p.exact_ &= p.tail_ == Tail::none;
  return p;
}

bool Pattern::matches(std::string_view number) const {
  if (number.size() < elements_.size()) return false;
  for (size_t i = 0; i < elements_.size(); ++i)
    if (!in(elements_[i], number[i])) return false;
  const size_t rest = number.size() - elements_.size();
  switch (tail_) {
    case Tail::none:
      return rest == 0;
    case Tail::some:
      return rest > 0;
    case Tail::any:
      return true;
  }
  return false;
}

int Pattern::compare(const Pattern& a, const Pattern& b) {
  const size_t common = std::min(a.elements_.size(), b.elements_.size());
  for (size_t i = 0; i < common; ++i) {
    const auto x = a.elements_[i].count(), y = b.elements_[i].count();
    if (x != y) return x < y ? -1 : 1;
  }
  if (a.elements_.size() != b.elements_.size()) return a.elements_.size() > b.elements_.size() ? -1 : 1;
  return static_cast<int>(a.tail_) - static_cast<int>(b.tail_);
}

void PatternTrie::add(const Pattern& pattern, uint32_t rule) {
  uint32_t at = 0;
  for (const Pattern::Set& set : pattern.elements_) {
    uint32_t child = 0;
    for (const Edge& e : nodes_[at].edges)
      if (e.set == set) child = e.child;
    if (child == 0) {
      child = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      nodes_[at].edges.push_back({set, child});
    }
    at = child;
  }
  Node& node = nodes_[at];
  (pattern.tail_ == Pattern::Tail::none   ? node.ends
   : pattern.tail_ == Pattern::Tail::some ? node.some
                                          : node.any)
      .push_back(rule);
}

void PatternTrie::match(std::string_view number, std::vector<uint32_t>& out) const {
  match_from(0, number, out);
}

// Depth is at most Pattern::max_elements.
void PatternTrie::match_from(uint32_t at, std::string_view rest, std::vector<uint32_t>& out) const {
  const Node& node = nodes_[at];
  out.insert(out.end(), node.any.begin(), node.any.end());
  if (rest.empty()) {
    out.insert(out.end(), node.ends.begin(), node.ends.end());
    return;
  }
  out.insert(out.end(), node.some.begin(), node.some.end());
  for (const Edge& e : node.edges)
    if (Pattern::in(e.set, rest.front())) match_from(e.child, rest.substr(1), out);
}

}  // namespace tandem::route
