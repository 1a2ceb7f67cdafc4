// SDES at one leg or at both: who hears what, what a forger gets, and what a snapshot keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "srtp/context.h"
#include "srtp/sdes.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const SocketAddress at_a = at("198.51.100.1:4000"), at_b = at("198.51.100.2:5000");
constexpr auto suite = srtp::Suite::aes_cm_128_hmac_sha1_80;

/// A telephone with keys: its own, and what it was told.
struct Keyed {
  explicit Keyed(uint64_t seed) : rng(seed), key(srtp::MasterKey::generate(suite, rng)) {}

  std::string sdp(const std::string& address, const char* profile = "RTP/SAVP", uint32_t tag = 1) const {
    std::string text = phone_sdp(address, "0 101", "a=crypto:" + srtp::write_crypto(tag, key) + "\r\n");
    return text.replace(text.find("RTP/AVP"), 7, profile);
  }
  /// Takes the key out of what we told it.
  void told(const std::string& text, uint32_t tag = 1) {
    const auto d = parsed(text);
    for (const std::string_view value : d.attributes(0, "crypto"))
      if (auto c = srtp::parse_crypto(value); c.ok() && c->tag == tag) in.emplace(c->key, refusals);
    out.emplace(key, refusals);
    ASSERT_TRUE(in) << text;
  }
  std::vector<uint8_t> packet(Voice& voice, uint8_t sound = 0xD5) {
    std::vector<uint8_t> bytes = voice.packet();
    std::fill(bytes.begin() + 12, bytes.end(), sound);
    const size_t size = bytes.size();
    bytes.resize(size + srtp::tail_room);
    bytes.resize(out->protect_rtp(bytes, size).value());
    return bytes;
  }
  /// The sound of what arrived; nothing when it is not authentic.
  std::optional<std::vector<uint8_t>> hear(const Sent& s) {
    std::vector<uint8_t> bytes = s.bytes;
    const auto size = in->unprotect_rtp(bytes, bytes.size());
    if (!size.ok()) return std::nullopt;
    return std::vector<uint8_t>(bytes.begin() + 12, bytes.begin() + static_cast<ptrdiff_t>(*size));
  }

  SeededRng rng;
  srtp::MasterKey key;
  srtp::Refusals refusals;
  std::optional<srtp::Receiver> in;
  std::optional<srtp::Sender> out;
};

EndpointConfig policy(Srtp srtp) {
  EndpointConfig c;
  c.srtp = srtp;
  return c;
}

std::vector<uint8_t> sound(uint8_t value) { return std::vector<uint8_t>(160, value); }

struct Sdes : ::testing::Test {
  World w;
  Keyed a{1}, b{2};
  EndpointId leg_a, leg_b;
  std::string told_a, told_b;
  uint16_t port_a = 0, port_b = 0;
  Voice voice_a{at_a, 0xA1A1A1A1}, voice_b{at_b, 0xB1B1B1B1, 30'000};

  void open(Srtp of_a, Srtp of_b) {
    leg_a = w.engine->open(policy(of_a)).value();
    leg_b = w.engine->open(policy(of_b)).value();
  }
  void set_up(const std::string& offer, const std::string& answer) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(offer), SdpRole::offer).ok());
    told_b = w.engine->present(w.now, leg_b, parsed(offer), SdpRole::offer, leg_a).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(answer), SdpRole::answer).ok());
    told_a = w.engine->present(w.now, leg_a, parsed(answer), SdpRole::answer, leg_b).value();
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
    port_a = w.port_of(told_a);
    port_b = w.port_of(told_b);
  }
  void one_secret_one_plain() {
    open(Srtp::accepted, Srtp::accepted);
    set_up(a.sdp("198.51.100.1:4000"), phone_sdp("198.51.100.2:5000", "0 101"));
    a.told(told_a);
  }
  std::vector<Sent> receive(const SocketAddress& from, uint16_t to, std::vector<uint8_t> bytes) {
    w.receive(from, to, std::move(bytes));
    return w.take_sent();
  }
  uint64_t fate(const char* what) {
    return w.counters
        .counter("media_packets_total", "RTP and RTCP packets by fate", std::string("fate=\"") + what + "\"")
        .value();
  }
};

TEST_F(Sdes, OneLegIsEncryptedTheOtherIsNot) {
  one_secret_one_plain();
  EXPECT_THAT(told_b, HasSubstr("RTP/AVP "));  // a choice: nobody has to
  EXPECT_THAT(told_b, HasSubstr("a=crypto:1 AES_CM_128_HMAC_SHA1_80"));
  EXPECT_THAT(told_b, Not(HasSubstr(srtp::write_crypto(1, a.key))));
  EXPECT_THAT(told_a, HasSubstr("RTP/SAVP 0 101"));
  for (uint8_t i = 0; i < 5; ++i) {
    const auto to_b = receive(at_a, port_a, a.packet(voice_a, i));
    ASSERT_EQ(to_b.size(), 1u);
    EXPECT_EQ(to_b[0].to, at_b);
    EXPECT_EQ(std::vector<uint8_t>(to_b[0].bytes.begin() + 12, to_b[0].bytes.end()), sound(i));
    const auto to_a = receive(at_b, port_b, voice_b.packet());
    ASSERT_EQ(to_a.size(), 1u);
    EXPECT_EQ(a.hear(to_a[0]), sound(0xD5));
  }
}

TEST_F(Sdes, BothLegsHaveKeysOfTheirOwn) {
  open(Srtp::accepted, Srtp::required);
  set_up(a.sdp("198.51.100.1:4000", "RTP/SAVP", 7), b.sdp("198.51.100.2:5000"));
  EXPECT_THAT(told_b, HasSubstr("RTP/SAVP 0 101"));
  a.told(told_a, 7);
  b.told(told_b);
  const auto to_b = receive(at_a, port_a, a.packet(voice_a, 3));
  ASSERT_EQ(to_b.size(), 1u);
  EXPECT_EQ(b.hear(to_b[0]), sound(3));
  const auto to_a = receive(at_b, port_b, b.packet(voice_b, 4));
  ASSERT_EQ(to_a.size(), 1u);
  EXPECT_EQ(a.hear(to_a[0]), sound(4));
}

TEST_F(Sdes, APlainCallerNeedsNoKeys) {
  open(Srtp::accepted, Srtp::accepted);
  set_up(phone_sdp("198.51.100.1:4000", "0 101"), phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_b, Not(HasSubstr("crypto")));
  EXPECT_EQ(receive(at_a, port_a, voice_a.packet()).size(), 1u);
}

TEST_F(Sdes, WhatIsNotAuthenticGoesNowhere) {
  one_secret_one_plain();
  auto forged = a.packet(voice_a);
  forged.back() ^= 1;
  EXPECT_TRUE(receive(at_a, port_a, forged).empty());
  EXPECT_TRUE(receive(at_a, port_a, voice_a.packet()).empty());  // plain, into an encrypted leg
  EXPECT_EQ(fate("not_authentic"), 2u);
  EXPECT_EQ(w.engine->statistics(leg_a).packets_received, 0u);
  const auto good = a.packet(voice_a);
  EXPECT_EQ(receive(at_a, port_a, good).size(), 1u);
  EXPECT_TRUE(receive(at_a, port_a, good).empty());  // once more
  EXPECT_EQ(fate("not_authentic"), 3u);
}

TEST_F(Sdes, AForgerDoesNotMoveTheSource) {
  one_secret_one_plain();
  Voice stranger{at("203.0.113.66:9000"), 0xE0E0E0E0};
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(receive(stranger.from, port_a, stranger.packet()).empty());
    w.pass(milliseconds(50));
    w.take_sent();
  }
  EXPECT_EQ(receive(at_b, port_b, voice_b.packet()).at(0).to, at_a);
}

TEST_F(Sdes, TheLegsPolicyIsKept) {
  const std::string plain = phone_sdp("198.51.100.1:4000", "0 101");
  const std::string keyed = a.sdp("198.51.100.1:4000");
  const auto offered = [&](const std::string& offer) {
    return w.engine->set_remote(w.now, leg_a, parsed(offer), SdpRole::offer);
  };
  open(Srtp::required, Srtp::accepted);
  EXPECT_TRUE(offered(keyed).ok());
  const auto in_the_clear = offered(plain);
  ASSERT_FALSE(in_the_clear.ok());
  EXPECT_EQ(in_the_clear.reason(), Reason::not_protected);
  EXPECT_TRUE(w.engine->answer(w.now, leg_a).ok()) << "the offer before it stands";

  open(Srtp::refused, Srtp::accepted);
  EXPECT_TRUE(offered(plain).ok());
  const auto refused = offered(keyed);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.reason(), Reason::not_protected);

  open(Srtp::accepted, Srtp::accepted);
  EXPECT_TRUE(offered(plain).ok());
  EXPECT_TRUE(offered(keyed).ok());
}

TEST_F(Sdes, AnAnswerWithoutTheKeysThatWereDemandedIsRefused) {
  open(Srtp::accepted, Srtp::required);
  const auto offer = parsed(phone_sdp("198.51.100.1:4000", "0 101"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, offer, SdpRole::offer).ok());
  told_b = w.engine->present(w.now, leg_b, offer, SdpRole::offer, leg_a).value();
  const auto plain = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
  const auto taken = w.engine->set_remote(w.now, leg_b, plain, SdpRole::answer);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.reason(), Reason::not_protected);
}

/// What a leg was free to choose is no choice any more once it is encrypted.
TEST_F(Sdes, NobodyLeavesTheKeysInMidCall) {
  const auto plain_a = parsed(phone_sdp("198.51.100.1:4000", "0 101"));
  const auto plain_b = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
  for (const Srtp of_a : {Srtp::accepted, Srtp::offered}) {
    open(of_a, Srtp::offered);
    set_up(a.sdp("198.51.100.1:4000", "RTP/AVP"), b.sdp("198.51.100.2:5000", "RTP/AVP"));
    a.told(told_a);
    b.told(told_b);
    const auto offered = w.engine->set_remote(w.now, leg_a, plain_a, SdpRole::offer);
    ASSERT_FALSE(offered.ok());
    EXPECT_EQ(offered.reason(), Reason::not_protected);
    EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);
    // An answer, too: our offer to B has its keys as a choice, as the first one had.
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("198.51.100.1:4000")), SdpRole::offer).ok());
    const auto again = w.engine->present(w.now, leg_b, plain_a, SdpRole::offer, leg_a);
    ASSERT_TRUE(again.ok());
    EXPECT_THAT(*again, HasSubstr("RTP/AVP "));
    const auto answered = w.engine->set_remote(w.now, leg_b, plain_b, SdpRole::answer);
    ASSERT_FALSE(answered.ok());
    EXPECT_EQ(answered.reason(), Reason::not_protected);
    w.engine->rollback(w.now, leg_a);
    w.engine->rollback(w.now, leg_b);
    EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);
    // A fax has no keys, and goes in the place of the sound.
    auto fax = phone_sdp("198.51.100.1:4000", "t38");
    fax.replace(fax.find("m=audio 4000 RTP/AVP"), 20, "m=image 4000 udptl");
    EXPECT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(fax), SdpRole::offer).ok());
    w.engine->close(w.now, leg_a);
    w.engine->close(w.now, leg_b);
    w.take_sent();
  }
}

TEST_F(Sdes, AReInviteWithTheSameKeysForgetsNothing) {
  one_secret_one_plain();
  const auto old = a.packet(voice_a);
  EXPECT_EQ(receive(at_a, port_a, old).size(), 1u);
  const auto again = parsed(a.sdp("198.51.100.1:4000"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, again, SdpRole::offer).ok());
  EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);  // while it is open, too
  const std::string told =
      w.engine->present(w.now, leg_a, parsed(phone_sdp("198.51.100.2:5000", "0 101")), SdpRole::answer, leg_b)
          .value();
  const auto before = parsed(told_a), after = parsed(told);
  EXPECT_EQ(after.attributes(0, "crypto"), before.attributes(0, "crypto"));
  EXPECT_TRUE(receive(at_a, port_a, old).empty());
  EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);
}

TEST_F(Sdes, NewKeysHoldFromTheAnswerOn) {
  one_secret_one_plain();
  EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);
  Keyed next{9};
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(next.sdp("198.51.100.1:4000")), SdpRole::offer).ok());
  EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u);
  next.told(
      w.engine->present(w.now, leg_a, parsed(phone_sdp("198.51.100.2:5000", "0 101")), SdpRole::answer, leg_b)
          .value());
  EXPECT_TRUE(receive(at_a, port_a, a.packet(voice_a)).empty());
  EXPECT_EQ(receive(at_a, port_a, next.packet(voice_a)).size(), 1u);
}

/// Which indices its packets had is forgotten with it: under the same key they would be used again.
TEST_F(Sdes, ALineThatWasRefusedComesBackWithAnotherKey) {
  const std::string picture = " 96\r\na=rtpmap:96 VP8/90000\r\n";
  const std::string offer = phone_sdp("198.51.100.1:4000", "0 101") + "m=video 4010 RTP/AVP" + picture;
  const std::string sound_only = b.sdp("198.51.100.2:5000") + "m=video 0 RTP/SAVP" + picture;
  const std::string both = b.sdp("198.51.100.2:5000") + "m=video 5010 RTP/SAVP" + picture +
                           "a=crypto:" + srtp::write_crypto(1, b.key) + "\r\n";
  open(Srtp::accepted, Srtp::required);
  set_up(offer, both);
  const auto first = parsed(told_b);
  ASSERT_FALSE(first.attributes(1, "crypto").empty());
  set_up(offer, sound_only);
  const auto refused = parsed(told_b);
  EXPECT_EQ(refused.attributes(1, "crypto"), first.attributes(1, "crypto")) << "it was in use until then";
  set_up(offer, both);
  const auto again = parsed(told_b);
  EXPECT_EQ(again.attributes(0, "crypto"), first.attributes(0, "crypto"));
  ASSERT_EQ(again.attributes(1, "crypto").size(), first.attributes(1, "crypto").size());
  for (const std::string_view key : again.attributes(1, "crypto"))
    for (const std::string_view before : first.attributes(1, "crypto")) EXPECT_NE(key, before);
  set_up(offer, both);
  const auto refreshed = parsed(told_b);
  EXPECT_EQ(refreshed.attributes(1, "crypto"), again.attributes(1, "crypto"));
}

TEST_F(Sdes, ToneAndReportsAreEncryptedToo) {
  one_secret_one_plain();
  receive(at_a, port_a, a.packet(voice_a));
  ASSERT_TRUE(w.engine->play(w.now, leg_a, codec::ToneSequence::music()).ok());
  w.pass(seconds(6));
  size_t media = 0, reports = 0;
  for (const Sent& s : w.take_sent()) {
    if (s.to == at_a) {
      ++media;
      EXPECT_TRUE(a.hear(s));
    } else if (s.to.port == at_a.port + 1) {
      std::vector<uint8_t> bytes = s.bytes;
      ++reports;
      EXPECT_TRUE(a.in->unprotect_rtcp(bytes, bytes.size()).ok());
    }
  }
  EXPECT_GT(media, 200u);
  EXPECT_GT(reports, 0u);
}

TEST_F(Sdes, ARestoredLegUsesNoIndexTwice) {
  one_secret_one_plain();
  const auto talk = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      EXPECT_EQ(receive(at_a, port_a, a.packet(voice_a)).size(), 1u) << i;
      const auto to_a = receive(at_b, port_b, voice_b.packet());
      ASSERT_EQ(to_a.size(), 1u);
      EXPECT_TRUE(a.hear(to_a[0])) << i;  // its replay window has seen all that went before
    }
  };
  talk(50);
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  talk(500);  // of which the snapshot knows nothing
  w.engine->close(w.now, leg_a);
  w.engine->close(w.now, leg_b);
  const auto restored = w.engine->restore(w.now, part);
  ASSERT_TRUE(restored.ok());
  leg_a = (*restored)[0];
  leg_b = (*restored)[1];
  talk(50);
}

}  // namespace
}  // namespace tandem::media
