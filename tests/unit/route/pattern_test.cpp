#include "route/pattern.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/rng.h"

namespace tandem::route {
namespace {

struct Case {
  const char* pattern;
  const char* number;
  bool matches;
};

class PatternTable : public ::testing::TestWithParam<Case> {};

TEST_P(PatternTable, Matches) {
  const Case& c = GetParam();
  const auto p = Pattern::compile(c.pattern);
  ASSERT_TRUE(p.ok()) << c.pattern;
  EXPECT_EQ(p->matches(c.number), c.matches) << c.pattern << " on " << c.number;
  PatternTrie trie;
  trie.add(*p, 7);
  std::vector<uint32_t> found;
  trie.match(c.number, found);
  EXPECT_EQ(found.size(), c.matches ? 1U : 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Table, PatternTable,
    ::testing::Values(Case{"1001", "1001", true}, Case{"1001", "10011", false}, Case{"1001", "100", false},
                      Case{"1XXX", "1999", true}, Case{"1xxx", "1000", true}, Case{"1XXX", "2000", false},
                      Case{"ZXX", "012", false}, Case{"ZXX", "912", true}, Case{"NXX", "112", false},
                      Case{"NXX", "212", true}, Case{"_1XXX", "1234", true}, Case{"00.", "00", false},
                      Case{"00.", "001", true}, Case{"00!", "00", true}, Case{"00!", "0049", true},
                      Case{".", "", false}, Case{".", "alice", true}, Case{"!", "", true},
                      Case{"[13-5]X", "49", true}, Case{"[13-5]X", "29", false}, Case{"[13-5]X", "19", true},
                      Case{"*8.", "*81001", true}, Case{"*8.", "81001", false}, Case{"+49.", "+4930", true},
                      Case{"0-30 (12)", "03012", true}, Case{"alice", "Alice", true},
                      Case{"alice-b", "alice-b", true}, Case{"alice-b", "aliceb", false},
                      Case{"=nancy", "nancy", true}, Case{"=nancy", "2a2cy", false},
                      Case{"nancy", "2a2cy", true}, Case{"=a.b", "a.b", true}, Case{"=a.b", "a.bc", false},
                      Case{"[a-c]x", "B7", true}, Case{"#21#", "#21#", true}, Case{"X", "\xff", false}));

TEST(Pattern, SaysWhatIsWrong) {
  const auto why = [](std::string_view text) {
    const auto p = Pattern::compile(text);
    EXPECT_FALSE(p.ok()) << text;
    return p.ok() ? PatternError::empty : p.reason();
  };
  EXPECT_EQ(why(""), PatternError::empty);
  EXPECT_EQ(why("="), PatternError::empty);
  EXPECT_EQ(why("1[23"), PatternError::open_set);
  EXPECT_EQ(why("1[]"), PatternError::empty_set);
  EXPECT_EQ(why("[5-3]"), PatternError::bad_range);
  EXPECT_EQ(why("[5-]"), PatternError::bad_range);
  EXPECT_EQ(why("1.2"), PatternError::after_wildcard);
  EXPECT_EQ(why("!!"), PatternError::after_wildcard);
  EXPECT_EQ(why("1]"), PatternError::bad_character);
  EXPECT_EQ(why("a b"), PatternError::bad_character);
  EXPECT_EQ(why(std::string(65, '1')), PatternError::too_long);
  EXPECT_EQ(why(std::string(300, '(')), PatternError::too_long);
  EXPECT_TRUE(Pattern::compile(std::string(64, '1')).ok());
}

TEST(Pattern, MoreSpecificComesFirst) {
  const auto before = [](const char* a, const char* b) {
    return Pattern::compare(*Pattern::compile(a), *Pattern::compile(b)) < 0;
  };
  EXPECT_TRUE(before("1001", "1XXX"));
  EXPECT_TRUE(before("1NXX", "1XXX"));
  EXPECT_TRUE(before("1XXX", "1."));
  EXPECT_TRUE(before("0049.", "00."));
  EXPECT_TRUE(before("00.", "0."));
  EXPECT_TRUE(before("0", "0."));
  EXPECT_TRUE(before("0.", "0!"));
  EXPECT_TRUE(before("X.", "."));
  EXPECT_FALSE(before(".", "X."));
}

TEST(Pattern, TrieAgreesWithOneByOne) {
  SeededRng rng(4);
  const auto random_text = [&](std::string_view alphabet, size_t most) {
    std::string out;
    for (size_t n = 1 + rng.below(most); n > 0; --n) out += alphabet[rng.below(alphabet.size())];
    return out;
  };
  std::vector<Pattern> patterns;
  PatternTrie trie;
  while (patterns.size() < 400) {
    std::string text = random_text("01234xzn", 5);
    if (rng.below(3) == 0) text += rng.below(2) ? "." : "!";
    if (rng.below(4) == 0) text = "[1-4]" + text;
    auto p = Pattern::compile(text);
    ASSERT_TRUE(p.ok());
    trie.add(*p, static_cast<uint32_t>(patterns.size()));
    patterns.push_back(*p);
  }
  for (int i = 0; i < 2000; ++i) {
    const std::string number = random_text("0123456789", 7);
    std::vector<uint32_t> found, expected;
    trie.match(number, found);
    std::sort(found.begin(), found.end());
    for (uint32_t j = 0; j < patterns.size(); ++j)
      if (patterns[j].matches(number)) expected.push_back(j);
    ASSERT_EQ(found, expected) << number;
  }
}

}  // namespace
}  // namespace tandem::route
