#include "port/cdr.h"

#include <gtest/gtest.h>

#include "samples.h"

namespace tandem::store_test {
namespace {

TEST(Cdr, ComesBackFromItsBytes) {
  const port::Cdr sample = cdr(0xffffffffffffffff);
  const auto back = port::decode(port::encode(sample));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, sample);
  EXPECT_EQ(back->talk_time(), Duration(4'999'999'998));
}

TEST(Cdr, KeepsFieldsOfANewerVersion) {
  // Field 200, wire type 2, four bytes: at the top, and inside the caller's leg (field 10).
  const std::string later("\xc2\x0c\x04new!", 7);
  std::string bytes = port::encode(cdr(1)) + later + std::string("\x52\x07", 2) + later;
  const auto back = port::decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->unknown, later);
  EXPECT_EQ(back->caller.unknown, later);
  const auto again = port::decode(port::encode(*back));
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *back);
}

TEST(Cdr, RefusesDamageAndBoundsValues) {
  EXPECT_FALSE(port::decode("\xff\xff\xff"));
  const std::string direction_99("\x28\x63", 2);
  const auto odd = port::decode(direction_99);
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->direction, port::Cdr::Direction::transit);
}

}  // namespace
}  // namespace tandem::store_test
