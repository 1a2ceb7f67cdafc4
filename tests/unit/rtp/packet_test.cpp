#include "rtp/packet.h"

#include <gtest/gtest.h>

#include <vector>

namespace tandem::rtp {
namespace {

using Octets = std::vector<uint8_t>;

TEST(RtpHeader, WritesAndReads) {
  Header h;
  h.marker = true;
  h.payload_type = 101;
  h.sequence = 0xFFFE;
  h.timestamp = 0x12345678;
  h.ssrc = 0xCAFEBABE;
  Octets b(12);
  h.write(b.data());
  EXPECT_EQ(b, (Octets{0x80, 0xE5, 0xFF, 0xFE, 0x12, 0x34, 0x56, 0x78, 0xCA, 0xFE, 0xBA, 0xBE}));
  const auto r = Header::parse(b);
  ASSERT_TRUE(r);
  EXPECT_TRUE(r->marker);
  EXPECT_EQ(r->payload_type, 101);
  EXPECT_EQ(r->sequence, 0xFFFE);
  EXPECT_EQ(r->timestamp, 0x12345678u);
  EXPECT_EQ(r->ssrc, 0xCAFEBABEu);
  EXPECT_EQ(r->payload_offset, 12);
}

TEST(RtpHeader, SourcesExtensionAndPaddingAreCounted) {
  Octets b(12 + 8 + 4 + 4 + 10, 0);
  b[0] = 0x80 | 0x20 | 0x10 | 2;  // padding, extension, two CSRCs
  b[12 + 8 + 3] = 1;              // one word
  b.back() = 3;
  const auto h = Header::parse(b);
  ASSERT_TRUE(h);
  EXPECT_EQ(h->payload_offset, 28);
  EXPECT_EQ(h->padding, 3);
}

TEST(RtpHeader, LengthsAreChecked) {
  EXPECT_FALSE(Header::parse(Octets{}));
  EXPECT_FALSE(Header::parse(Octets(11, 0x80)));
  Octets b(12, 0);
  EXPECT_FALSE(Header::parse(b)) << "version 0";
  b[0] = 0x81;
  EXPECT_FALSE(Header::parse(b)) << "a CSRC that is not there";
  b[0] = 0x90;
  EXPECT_FALSE(Header::parse(b)) << "no room for the extension's header";
  b.resize(16);
  EXPECT_TRUE(Header::parse(b));
  b[15] = 1;
  EXPECT_FALSE(Header::parse(b)) << "an extension that points past the end";
  b[0] = 0xA0;
  b[15] = 5;
  EXPECT_FALSE(Header::parse(b)) << "more padding than payload";
  b[15] = 0;
  EXPECT_FALSE(Header::parse(b)) << "padding of zero";
  EXPECT_TRUE(Header::parse(b, true)) << "encrypted: nobody knows";
  b[15] = 4;
  EXPECT_TRUE(Header::parse(b));
}

TEST(Kind, ToldByTheFirstOctets) {
  EXPECT_EQ(kind_of(Octets{0x80, 0}), Kind::rtp);
  EXPECT_EQ(kind_of(Octets{0x80, 0x80 | 101}), Kind::rtp) << "a marked packet of a dynamic payload type";
  EXPECT_EQ(kind_of(Octets{0x80, 200}), Kind::rtcp);
  EXPECT_EQ(kind_of(Octets{0x81, 206}), Kind::rtcp);
  EXPECT_EQ(kind_of(Octets{0x00, 1}), Kind::stun);
  EXPECT_EQ(kind_of(Octets{22, 254}), Kind::dtls);
  EXPECT_EQ(kind_of(Octets{0x40, 0}), Kind::other);
  EXPECT_EQ(kind_of(Octets{0x80}), Kind::other);
  EXPECT_EQ(kind_of(Octets{}), Kind::other);
}

TEST(TelephoneEvent, WritesAndReads) {
  Octets b(4);
  TelephoneEvent{11, true, 10, 1600}.write(b.data());
  EXPECT_EQ(b, (Octets{11, 0x8A, 0x06, 0x40}));
  const auto e = TelephoneEvent::parse(b);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->digit(), '#');
  EXPECT_TRUE(e->end);
  EXPECT_EQ(e->volume, 10);
  EXPECT_EQ(e->duration, 1600);
  EXPECT_FALSE(TelephoneEvent::parse(Bytes(b).first(3)));
  std::string digits;
  for (uint8_t i = 0; i < 16; ++i) digits += TelephoneEvent{i}.digit();
  EXPECT_EQ(digits, "0123456789*#ABCD");
  EXPECT_EQ(TelephoneEvent{16}.digit(), '\0');
}

}  // namespace
}  // namespace tandem::rtp
