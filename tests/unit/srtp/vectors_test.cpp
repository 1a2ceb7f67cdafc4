// The numbers printed in RFC 3711 appendix B, RFC 6188 section 7 and RFC 7714 sections 16 and 17.
#include <gtest/gtest.h>

#include <algorithm>

#include "packets.h"

namespace tandem::srtp {
namespace {

using test::hex;
using test::hex_of;
using test::Octets;

Octets prf(std::string_view key, std::string_view salt, uint8_t label, size_t octets) {
  Octets out(octets);
  aes_cm_prf(hex(key), hex(salt), label, out);
  return out;
}

SessionKeys session(std::string_view key, std::string_view salt) {
  SessionKeys keys;
  std::ranges::copy(hex(key), keys.encryption.data());
  std::ranges::copy(hex(salt), keys.salt.data());
  return keys;
}

constexpr std::string_view key128 = "000102030405060708090a0b0c0d0e0f";
constexpr std::string_view key256 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr std::string_view quid_pro_quo = "517569642070726f2071756f";

/// The keystream for SSRC 0 and index 0 is what zeros are encrypted to.
Octets keystream(Suite suite, const SessionKeys& keys, size_t octets) {
  PacketCipher cipher(suite, keys, Direction::protect, PacketKind::rtp);
  Octets packet(12 + octets + tail_room);
  cipher.protect_rtp({packet.data(), 12 + octets}, 12, 0, 0);
  return {packet.begin() + 12, packet.begin() + 12 + static_cast<std::ptrdiff_t>(octets)};
}

TEST(Rfc3711, B2AesCmKeystream) {
  const auto keys = session("2B7E151628AED2A6ABF7158809CF4F3C", "F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
  const Octets stream = keystream(Suite::aes_cm_128_hmac_sha1_80, keys, 1044512);
  EXPECT_EQ(
      hex_of(Bytes(stream).first(48)),
      "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0");
  EXPECT_EQ(
      hex_of(Bytes(stream).last(48)),
      "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44");
}

TEST(Rfc3711, B3KeyDerivation) {
  constexpr std::string_view key = "E1F97A0D3E018BE0D64FA32C06DE4139", salt = "0EC675AD498AFEEBB6960B3AABE6";
  EXPECT_EQ(prf(key, salt, 0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
  EXPECT_EQ(prf(key, salt, 2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
  EXPECT_EQ(prf(key, salt, 1, 94), hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCE"
                                       "E049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC25"
                                       "6D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2"));
  const auto master =
      MasterKey::from(Suite::aes_cm_128_hmac_sha1_80, hex(std::string(key) + std::string(salt)));
  ASSERT_TRUE(master);
  const SessionKeys keys = derive(*master, PacketKind::rtp);
  EXPECT_EQ(hex_of(keys.encryption.first(16)), "c61e7a93744f39ee10734afe3ff7a087");
  EXPECT_EQ(hex_of(keys.authentication.first(20)), "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
  EXPECT_EQ(hex_of(keys.salt.first(14)), "30cbbc08863d8c85d49db34a9ae1");
}

TEST(Rfc6188, Section71Aes256CmKeystream) {
  const auto keys = session("57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
                            "f0f1f2f3f4f5f6f7f8f9fafbfcfd");
  EXPECT_EQ(
      hex_of(keystream(Suite::aes_256_cm_hmac_sha1_80, keys, 48)),
      "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31");
}

TEST(Rfc6188, Section72KeyDerivation) {
  constexpr std::string_view key = "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6";
  constexpr std::string_view salt = "3b04803de51ee7c96423ab5b78d2";
  EXPECT_EQ(prf(key, salt, 0, 32), hex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"));
  EXPECT_EQ(prf(key, salt, 2, 14), hex("fa31791685ca444a9e07c6c64e93"));
  EXPECT_EQ(prf(key, salt, 1, 20), hex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"));
}

// ---- RFC 7714 --------------------------------------------------------------------------------------------

struct Aead {
  Suite suite;
  std::string_view key;
  std::string_view srtp, srtp_tagged, srtcp, srtcp_tagged;
};

constexpr std::string_view gallia =
    "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 "
    "73207472 6573";
constexpr std::string_view mars =
    "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef "
    "deadbeef deadbeef";
constexpr uint16_t sequence = 0xf17b;
constexpr uint32_t rtp_ssrc = 0x5501a0b2, rtcp_ssrc = 0x4d617273, rtcp_index = 0x5d4;

class Rfc7714 : public testing::TestWithParam<Aead> {
 protected:
  PacketCipher cipher(Direction direction, PacketKind kind) const {
    return {GetParam().suite, session(GetParam().key, quid_pro_quo), direction, kind};
  }
};

// 16.1.1, 16.1.2, 16.2.1, 16.2.2; with a whole packet as header, 16.1.3, 16.1.4, 16.2.3, 16.2.4.
TEST_P(Rfc7714, Srtp) {
  for (const bool encrypt : {true, false}) {
    const Octets plain = hex(gallia);
    const size_t header = encrypt ? 12 : plain.size();
    Octets packet = plain;
    packet.resize(plain.size() + 16);
    cipher(Direction::protect, PacketKind::rtp)
        .protect_rtp({packet.data(), plain.size()}, header, rtp_ssrc, sequence);
    EXPECT_EQ(packet, hex(encrypt ? GetParam().srtp : GetParam().srtp_tagged));
    auto back = cipher(Direction::unprotect, PacketKind::rtp);
    ASSERT_TRUE(back.unprotect_rtp(packet, header, rtp_ssrc, sequence));
    packet.resize(plain.size());
    EXPECT_EQ(packet, plain);
  }
}

// 17.1 to 17.4, and verification of each.
TEST_P(Rfc7714, Srtcp) {
  for (const bool encrypt : {true, false}) {
    const Octets plain = hex(mars);
    Octets packet = plain;
    packet.resize(plain.size() + 20);
    cipher(Direction::protect, PacketKind::rtcp)
        .protect_rtcp({packet.data(), plain.size()}, rtcp_ssrc, rtcp_index, encrypt);
    EXPECT_EQ(packet, hex(encrypt ? GetParam().srtcp : GetParam().srtcp_tagged));
    auto back = cipher(Direction::unprotect, PacketKind::rtcp);
    ASSERT_TRUE(back.unprotect_rtcp(packet, rtcp_ssrc));
    packet.resize(plain.size());
    EXPECT_EQ(packet, plain);
  }
}

TEST_P(Rfc7714, ARefusedPacketIsAsItCame) {
  Octets packet = hex(GetParam().srtp);
  packet.back() ^= 1;
  const Octets before = packet;
  auto back = cipher(Direction::unprotect, PacketKind::rtp);
  EXPECT_FALSE(back.unprotect_rtp(packet, 12, rtp_ssrc, sequence));
  EXPECT_EQ(packet, before);
  packet = hex(GetParam().srtcp);
  packet[20] ^= 1;
  const Octets before_rtcp = packet;
  auto back_rtcp = cipher(Direction::unprotect, PacketKind::rtcp);
  EXPECT_FALSE(back_rtcp.unprotect_rtcp(packet, rtcp_ssrc));
  EXPECT_EQ(packet, before_rtcp);
}

INSTANTIATE_TEST_SUITE_P(
    Vectors, Rfc7714,
    testing::Values(
        Aead{Suite::aead_aes_128_gcm, key128,
             "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a "
             "51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
             "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 "
             "61727465 73207472 65732249 3f82d2bc e397e9d7 9e3b19aa 4216",
             "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda "
             "4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
             "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef "
             "deadbeef deadbeef deadbeef 841dd968 3dd78ec9 2ae58790 125f62b3 000005d4"},
        Aead{Suite::aead_aes_256_gcm, key256,
             "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 "
             "76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
             "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 "
             "61727465 73207472 6573a866 d5910f88 7463067c eefec452 15d4",
             "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be "
             "8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
             "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef "
             "deadbeef deadbeef deadbeef 91db4afb feee5a97 8fab4393 ed2615fe 000005d4"}),
    [](const auto& p) { return std::string(traits(p.param.suite).name); });

}  // namespace
}  // namespace tandem::srtp
