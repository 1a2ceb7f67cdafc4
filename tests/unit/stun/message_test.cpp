#include "stun/message.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "crypto/hash.h"

namespace tandem::stun {
namespace {

using Octets = std::vector<uint8_t>;

Octets hex(std::string_view digits) {
  std::string packed;
  for (const char c : digits)
    if (c != ' ') packed.push_back(c);
  const std::string octets = from_hex(packed).value();
  return {octets.begin(), octets.end()};
}
std::string_view why(const Octets& datagram) {
  const auto m = Message::parse(datagram);
  return m ? "ok" : to_string(m.reason());
}

constexpr std::string_view ice_password = "VOkJxbRl1RmTxUk/WvJxBt";

// ---- RFC 5769 --------------------------------------------------------------------------------------------

TEST(Rfc5769, Section21SampleRequest) {
  const Octets d = hex(
      "00010058 2112a442 b7e7a701 bc34d686 fa87dfae 80220010 5354554e 20746573 7420636c 69656e74 00240004 "
      "6e0001ff 80290008 932ff9b1 51263b36 00060009 6576746a 3a683676 59202020 00080014 9aeaa70c bfd8cb56 "
      "781ef2b5 b2d3f249 c1b571a2 80280004 e57a3bcf");
  const auto m = Message::parse(d);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->message_class(), Class::request);
  EXPECT_EQ(m->method(), method::binding);
  EXPECT_EQ(m->text(attribute::software), "STUN test client");
  EXPECT_EQ(m->text(attribute::username), "evtj:h6vY");
  EXPECT_EQ(m->u32(attribute::priority), 0x6e0001ffu);
  EXPECT_EQ(m->u64(attribute::ice_controlled), 0x932ff9b151263b36u);
  EXPECT_TRUE(m->has_fingerprint());
  EXPECT_EQ(m->check_integrity(as_bytes(ice_password)), Integrity::good);
  EXPECT_EQ(m->check_integrity(as_bytes("VOkJxbRl1RmTxUk/WvJxBu")), Integrity::bad);
  EXPECT_EQ(m->check_integrity_sha256(as_bytes(ice_password)), Integrity::absent);
}

TEST(Rfc5769, Section22SampleIpv4Response) {
  const Octets d = hex(
      "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200008 0001a147 "
      "e112a643 00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7 80280004 c07d4c96");
  const auto m = Message::parse(d);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->message_class(), Class::success);
  EXPECT_EQ(m->check_integrity(as_bytes(ice_password)), Integrity::good);
  EXPECT_EQ(m->xor_address(attribute::xor_mapped_address), SocketAddress::parse("192.0.2.1:32853"));
  EXPECT_EQ(m->text(attribute::software), "test vector");
}

TEST(Rfc5769, Section23SampleIpv6Response) {
  const Octets d = hex(
      "01010048 2112a442 b7e7a701 bc34d686 fa87dfae 8022000b 74657374 20766563 746f7220 00200014 0002a147 "
      "0113a9fa a5d3f179 bc25f4b5 bed2b9d9 00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41 80280004 "
      "c8fb0b4c");
  const auto m = Message::parse(d);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->check_integrity(as_bytes(ice_password)), Integrity::good);
  EXPECT_EQ(m->xor_address(attribute::xor_mapped_address),
            SocketAddress::parse("[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
}

TEST(Rfc5769, Section24LongTermCredentials) {
  const Octets d = hex(
      "00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383 e382afe3 82b90000 "
      "0015001c 662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 36347341 0014000b 6578616d 706c652e "
      "6f726700 00080014 f6702465 6dd64a3e 02b8e071 2e85c9a2 8ca89666");
  const auto m = Message::parse(d);
  ASSERT_TRUE(m);
  EXPECT_FALSE(m->has_fingerprint());
  EXPECT_EQ(m->text(attribute::realm), "example.org");
  EXPECT_EQ(m->text(attribute::nonce), "f//499k954d6OL34oL9FSTvy64sA");
  const std::string key =
      long_term_key_md5(*m->text(attribute::username), *m->text(attribute::realm), "TheMatrIX");
  EXPECT_EQ(m->check_integrity(as_bytes(key)), Integrity::good);
}

// ---- our own ---------------------------------------------------------------------------------------------

const TransactionId transaction = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

TEST(Message, WritesWhatItReads) {
  for (const Class c : {Class::request, Class::indication, Class::success, Class::error}) {
    for (const uint16_t m : {method::binding, method::channel_bind, uint16_t{0xFFF}, uint16_t{0x8A5}}) {
      Writer w(c, m, transaction);
      w.add(attribute::username, "a:b")
          .add_u32(attribute::priority, 7)
          .add_u64(attribute::ice_controlling, 8);
      w.add_xor_address(attribute::xor_mapped_address, *SocketAddress::parse("198.51.100.7:9"));
      w.add_address(attribute::mapped_address, *SocketAddress::parse("[2001:db8::1]:65535"));
      w.add_integrity(as_bytes("k")).add_integrity_sha256(as_bytes("l")).add_fingerprint();
      ASSERT_TRUE(w.ok());
      const auto read = Message::parse(w.octets());
      ASSERT_TRUE(read);
      EXPECT_EQ(read->message_class(), c);
      EXPECT_EQ(read->method(), m);
      EXPECT_EQ(read->transaction(), transaction);
      EXPECT_EQ(read->text(attribute::username), "a:b");
      EXPECT_EQ(read->u32(attribute::priority), 7u);
      EXPECT_EQ(read->u64(attribute::ice_controlling), 8u);
      EXPECT_EQ(read->xor_address(attribute::xor_mapped_address), SocketAddress::parse("198.51.100.7:9"));
      EXPECT_EQ(read->address(attribute::mapped_address), SocketAddress::parse("[2001:db8::1]:65535"));
      EXPECT_EQ(read->check_integrity(as_bytes("k")), Integrity::good);
      EXPECT_EQ(read->check_integrity_sha256(as_bytes("l")), Integrity::good);
      EXPECT_EQ(read->check_integrity_sha256(as_bytes("k")), Integrity::bad);
      EXPECT_TRUE(read->has_fingerprint());
      EXPECT_FALSE(read->find(attribute::realm));
      EXPECT_FALSE(read->u32(attribute::username));
    }
  }
}

TEST(Message, ABindingRequestIsType1) {
  const Writer request(Class::request, method::binding, transaction);
  EXPECT_EQ(request.octets()[0] << 8 | request.octets()[1], 0x0001);
  const Writer error(Class::error, method::binding, transaction);
  EXPECT_EQ(error.octets()[0] << 8 | error.octets()[1], 0x0111);
}

TEST(Message, ErrorCodes) {
  Writer w(Class::error, method::binding, transaction);
  w.add_error(487, "Role Conflict").add_unknown_attributes({0x7001, 0x7002, 0x7003});
  const auto m = Message::parse(w.octets());
  ASSERT_TRUE(m && m->error());
  EXPECT_EQ(m->error()->code, 487);
  EXPECT_EQ(m->error()->phrase, "Role Conflict");
  EXPECT_EQ(*m->text(attribute::unknown_attributes), std::string_view("\x70\x01\x70\x02\x70\x03", 6));
  for (const char* bad : {"00000700", "00000200", "00000464", "0000"}) {
    Writer odd(Class::error, method::binding, transaction);
    odd.add(attribute::error_code, hex(bad));
    EXPECT_FALSE(Message::parse(odd.octets())->error()) << bad;
  }
}

TEST(Message, WhatIntegrityDoesNotCoverIsNotGiven) {
  Writer w(Class::request, method::binding, transaction);
  w.add(attribute::username, "before").add_integrity(as_bytes("k"));
  w.add(attribute::use_candidate, "").add(attribute::username, "after").add_fingerprint();
  const auto m = Message::parse(w.octets());
  ASSERT_TRUE(m);
  EXPECT_EQ(m->check_integrity(as_bytes("k")), Integrity::good);
  EXPECT_EQ(m->text(attribute::username), "before");
  EXPECT_FALSE(m->find(attribute::use_candidate));
  EXPECT_TRUE(m->unknown_required({attribute::username}).empty());
}

TEST(Message, ASecondIntegrityIsNoOtherChance) {
  Writer w(Class::request, method::binding, transaction);
  w.add_integrity(as_bytes("wrong")).add_integrity(as_bytes("k"));
  EXPECT_EQ(Message::parse(w.octets())->check_integrity(as_bytes("k")), Integrity::bad);
  Writer v(Class::request, method::binding, transaction);  // SHA-1 stands before SHA-256, or is not looked at
  v.add_integrity_sha256(as_bytes("k")).add_integrity(as_bytes("k"));
  EXPECT_EQ(Message::parse(v.octets())->check_integrity(as_bytes("k")), Integrity::absent);
}

TEST(Message, ATruncatedSha256) {
  for (const size_t octets : {12u, 16u, 18u, 20u, 28u, 32u}) {
    // The hash is over a header whose length counts the attribute as it is sent.
    Writer w(Class::request, method::binding, transaction);
    w.add_u32(attribute::priority, 1);
    Octets covered = w.octets();
    covered[3] = static_cast<uint8_t>(8 + 4 + octets);
    const auto digest = crypto::hmac(crypto::Hash::sha256, "k", as_text(covered));
    w.add(attribute::message_integrity_sha256, digest.view().first(octets));
    const auto m = Message::parse(w.octets());
    ASSERT_TRUE(m);
    const bool allowed = octets >= 16 && octets % 4 == 0;
    EXPECT_EQ(m->check_integrity_sha256(as_bytes("k")), allowed ? Integrity::good : Integrity::bad) << octets;
  }
}

TEST(Message, UnknownRequiredAttributes) {
  Writer w(Class::request, method::binding, transaction);
  w.add(0x7001, "x")
      .add(0x7001, "y")
      .add(0xF001, "optional")
      .add(attribute::priority, "1234")
      .add(0x0002, "");
  EXPECT_EQ(Message::parse(w.octets())->unknown_required({attribute::priority}),
            (std::vector<uint16_t>{0x7001, 0x0002}));
}

TEST(Message, SoManyUnknownAttributesAndNoMore) {
  Writer w(Class::request, method::binding, transaction);
  for (uint16_t i = 0; i < 200; ++i) w.add(static_cast<uint16_t>(0x7000 + i), "");
  const auto unknown = Message::parse(w.octets())->unknown_required({});
  ASSERT_EQ(unknown.size(), Message::most_unknown);
  EXPECT_EQ(unknown.back(), 0x7000 + Message::most_unknown - 1);
}

TEST(Message, BadDatagrams) {
  Writer w(Class::request, method::binding, transaction);
  w.add(attribute::username, "user").add_fingerprint();
  const Octets good = w.octets();
  ASSERT_EQ(why(good), "ok");
  for (size_t n = 0; n < good.size(); ++n) {
    const Octets cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(why(cut), n < 20 ? "not_stun" : "bad_length") << n;
  }
  Octets bad = good;
  bad.push_back(0);
  EXPECT_EQ(why(bad), "bad_length");
  bad = good;
  bad[0] = 0x80;
  EXPECT_EQ(why(bad), "not_stun");
  bad = good;
  bad[4] ^= 1;
  EXPECT_EQ(why(bad), "not_stun");  // as RFC 3489 had it
  bad = good;
  bad[23] = 0xFF;
  EXPECT_EQ(why(bad), "bad_attribute");
  bad = good;
  bad[22] = 0xFF;
  bad[23] = 0xFF;
  EXPECT_EQ(why(bad), "bad_attribute");
  for (size_t i = 24; i < good.size(); ++i) {
    if (i >= 28 && i < 32) continue;  // the header of FINGERPRINT
    bad = good;
    bad[i] ^= 1;
    EXPECT_EQ(why(bad), "bad_fingerprint") << i;
  }
  w.add_u32(attribute::priority, 1);
  EXPECT_EQ(why(w.octets()), "misplaced");
  Writer odd(Class::request, method::binding, transaction);
  odd.add(attribute::fingerprint, "12345678");
  EXPECT_EQ(why(odd.octets()), "misplaced");
}

TEST(Message, AddressesOfAnotherShape) {
  for (const char* bad :
       {"0001a147e112a6", "0003a147e112a643", "0002a147e112a643", "", "0001a147e112a643e112a643"}) {
    Writer w(Class::success, method::binding, transaction);
    w.add(attribute::xor_mapped_address, hex(bad));
    const auto m = Message::parse(w.octets());
    ASSERT_TRUE(m);
    EXPECT_FALSE(m->xor_address(attribute::xor_mapped_address)) << bad;
  }
}

TEST(Writer, SaysWhenItDidNotFit) {
  Writer w(Class::request, method::binding, transaction);
  w.add(attribute::username, std::string(1000, 'x'));
  EXPECT_TRUE(w.ok());
  w.add(attribute::realm, std::string(300, 'x'));
  EXPECT_FALSE(w.ok());
  EXPECT_TRUE(Message::parse(w.octets()));
  EXPECT_FALSE(Writer(Class::request, method::binding, transaction)
                   .add(attribute::nonce, std::string(70000, 'x'))
                   .ok());
}

TEST(Keys, LongTerm) {
  EXPECT_EQ(to_hex(long_term_key_md5("user", "realm", "pass")), "8493fbc53ba582fb4c044c456bdc40eb");
  EXPECT_EQ(long_term_key_sha256("user", "realm", "pass").size(), 32u);
}

}  // namespace
}  // namespace tandem::stun
