// The pooled buffer: ownership, growth, and blocks that come back.
#include <gtest/gtest.h>

#include <thread>

#include "base/bytes.h"

namespace tandem {
namespace {

TEST(Buffer, StartsEmptyAndHoldsWhatItIsGiven) {
  const Buffer nothing;
  EXPECT_TRUE(nothing.empty());
  EXPECT_EQ(nothing.capacity(), 0U);
  EXPECT_EQ(Buffer::copy_of("").text(), "");
  const Buffer b = Buffer::copy_of("INVITE");
  EXPECT_EQ(b.text(), "INVITE");
  EXPECT_GE(b.capacity(), 6U);
}

TEST(Buffer, MovingLeavesViewsValid) {
  Buffer a = Buffer::copy_of("hello");
  const std::string_view view = a.text();
  Buffer b = std::move(a);
  EXPECT_EQ(view, "hello");
  EXPECT_EQ(view.data(), b.text().data());
  Buffer c = Buffer::copy_of("other");
  c = std::move(b);
  EXPECT_EQ(c.text(), "hello");
}

TEST(Buffer, CloneIsAnotherBlock) {
  Buffer a = Buffer::copy_of("hello");
  const Buffer b = a.clone();
  a.data()[0] = 'j';
  EXPECT_EQ(b.text(), "hello");
}

TEST(Buffer, GrowsThroughTheClassesAndBeyond) {
  Buffer b;
  std::string expected;
  for (int i = 0; i < 20'000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    b.append(piece);
    expected += piece;
  }
  EXPECT_GT(b.capacity(), 65'536U);
  EXPECT_EQ(b.text(), expected);
  Buffer small;
  for (int i = 0; i < 5000; ++i) small.push_back(static_cast<char>('a' + i % 26));
  EXPECT_EQ(small.size(), 5000U);
  EXPECT_EQ(small.text()[4999], static_cast<char>('a' + 4999 % 26));
}

TEST(Buffer, ResizeKeepsWhatWasThere) {
  Buffer b = Buffer::with_capacity(100);
  std::memcpy(b.writable().data(), "datagram", 8);
  b.resize(8);
  EXPECT_EQ(b.text(), "datagram");
  b.resize(4);
  EXPECT_EQ(b.text(), "data");
}

TEST(Buffer, AGivenBackBlockIsTakenAgain) {
  const uint8_t* block;
  {
    const Buffer a = Buffer::with_capacity(2048);
    block = a.data();
  }
  const Buffer b = Buffer::with_capacity(1);
  EXPECT_EQ(b.data(), block);
}

TEST(Buffer, MayBeGivenBackOnAnotherThread) {
  Buffer a = Buffer::copy_of(std::string(3000, 'x'));
  std::thread([moved = std::move(a)]() mutable { moved = Buffer(); }).join();
  EXPECT_EQ(Buffer::copy_of("after").text(), "after");
}

}  // namespace
}  // namespace tandem
