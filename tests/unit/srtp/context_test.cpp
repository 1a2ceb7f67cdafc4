#include "srtp/context.h"

#include <gtest/gtest.h>

#include "allocations.h"
#include "packets.h"

namespace tandem::srtp {
namespace {

using test::feed_rtcp;
using test::feed_rtp;
using test::key_of;
using test::Octets;
using test::protect_rtcp;
using test::protect_rtp;
using test::rtcp_packet;
using test::rtp_packet;

constexpr uint32_t ssrc = 0xCAFEBABE;

/// A context in both directions, with one key.
class Contexts : public testing::TestWithParam<SuiteTraits> {
 protected:
  Refusals out, in;
  MasterKey key = key_of(GetParam().suite);
  Sender sender{key, out};
  Receiver receiver{key, in};

  /// How a packet with this sequence number fares, end to end.
  std::string_view through(uint16_t sequence) {
    const Octets plain = rtp_packet(ssrc, sequence);
    Octets p = protect_rtp(sender, plain);
    const auto how = test::unprotect_rtp(receiver, p);
    if (how == "ok") {
      EXPECT_EQ(p, plain);
    }
    return how;
  }
};

INSTANTIATE_TEST_SUITE_P(Suites, Contexts, testing::ValuesIn(all_suites),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(Contexts, RtpGoesThroughEncryptedAndTagged) {
  const Octets plain = rtp_packet(ssrc, 1);
  Octets p = protect_rtp(sender, plain);
  ASSERT_EQ(p.size(), plain.size() + GetParam().rtp_tag_octets);
  EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + 12, p.begin()));
  EXPECT_FALSE(std::equal(plain.begin() + 12, plain.end(), p.begin() + 12));
  ASSERT_EQ(test::unprotect_rtp(receiver, p), "ok");
  EXPECT_EQ(p, plain);
}

TEST_P(Contexts, CsrcsAndExtensionStayInTheClear) {
  Octets plain = rtp_packet(ssrc, 1, 0);
  plain[0] |= 0x10 | 2;
  for (const uint8_t b : test::hex("0000000100000002 bede0001 10aa0000 6162636465666768")) plain.push_back(b);
  Octets p = protect_rtp(sender, plain);
  EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + 28, p.begin()));
  EXPECT_FALSE(std::equal(plain.begin() + 28, plain.end(), p.begin() + 28));
  ASSERT_EQ(test::unprotect_rtp(receiver, p), "ok");
  EXPECT_EQ(p, plain);
}

TEST_P(Contexts, APacketWithoutPayloadIsStillAuthenticated) {
  Octets p = protect_rtp(sender, rtp_packet(ssrc, 1, 0));
  ASSERT_EQ(p.size(), 12u + GetParam().rtp_tag_octets);
  p[1] ^= 0x80;
  EXPECT_EQ(feed_rtp(receiver, p), "not_authentic");
  p[1] ^= 0x80;
  EXPECT_EQ(feed_rtp(receiver, p), "ok");
}

TEST_P(Contexts, RtcpGoesThroughEncryptedAndTagged) {
  const Octets plain = rtcp_packet(ssrc);
  for (uint32_t index = 0; index < 3; ++index) {
    Octets p = protect_rtcp(sender, plain);
    ASSERT_EQ(p.size(), plain.size() + GetParam().rtcp_tag_octets + 4);
    EXPECT_TRUE(std::equal(plain.begin(), plain.begin() + 8, p.begin()));
    EXPECT_FALSE(std::equal(plain.begin() + 8, plain.end(), p.begin() + 8));
    const size_t word = GetParam().aead ? p.size() - 4 : p.size() - 14;
    EXPECT_EQ(rtp::load32(p.data() + word), 0x80000000u | index);  // E, and counted from 0 (section 3.4)
    ASSERT_EQ(test::unprotect_rtcp(receiver, p), "ok");
    EXPECT_EQ(p, plain);
  }
}

TEST_P(Contexts, AnyBitOfRtpIsNoticed) {
  const Octets good = protect_rtp(sender, rtp_packet(ssrc, 77, 20));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Octets bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const Octets before = bad;
    EXPECT_NE(test::unprotect_rtp(receiver, bad), "ok") << bit;
    EXPECT_EQ(bad, before) << bit;
  }
  EXPECT_EQ(receiver.sources(), 0u);  // forgeries left nothing behind
  EXPECT_EQ(feed_rtp(receiver, good), "ok");
}

TEST_P(Contexts, AnyBitOfRtcpIsNoticed) {
  const Octets good = protect_rtcp(sender, rtcp_packet(ssrc));
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Octets bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
    const Octets before = bad;
    EXPECT_NE(test::unprotect_rtcp(receiver, bad), "ok") << bit;
    EXPECT_EQ(bad, before) << bit;
  }
  EXPECT_EQ(receiver.sources(), 0u);
  EXPECT_EQ(feed_rtcp(receiver, good), "ok");
}

TEST_P(Contexts, AForgeryFarAheadDoesNotMoveTheWindow) {
  ASSERT_EQ(through(100), "ok");
  Octets forged = protect_rtp(sender, rtp_packet(ssrc, 30000));
  forged.back() ^= 1;
  EXPECT_EQ(feed_rtp(receiver, forged), "not_authentic");
  Sender other(key, out);  // the true sender was at 101
  EXPECT_EQ(feed_rtp(receiver, protect_rtp(other, rtp_packet(ssrc, 101))), "ok");
  EXPECT_EQ(in.count(Reason::not_authentic), 1u);
}

TEST_P(Contexts, AnotherKeyIsNotAuthentic) {
  Sender stranger(key_of(GetParam().suite, 2), out);
  EXPECT_EQ(feed_rtp(receiver, protect_rtp(stranger, rtp_packet(ssrc, 1))), "not_authentic");
  EXPECT_EQ(feed_rtcp(receiver, protect_rtcp(stranger, rtcp_packet(ssrc))), "not_authentic");
}

TEST_P(Contexts, ReplaysAndStragglers) {
  std::vector<Octets> sent;
  for (uint16_t s = 0; s < 200; ++s) sent.push_back(protect_rtp(sender, rtp_packet(ssrc, s)));
  EXPECT_EQ(feed_rtp(receiver, sent[150]), "ok");
  EXPECT_EQ(feed_rtp(receiver, sent[150]), "replayed");
  EXPECT_EQ(feed_rtp(receiver, sent[23]), "ok");  // 127 behind: the last place of the window
  EXPECT_EQ(feed_rtp(receiver, sent[23]), "replayed");
  EXPECT_EQ(feed_rtp(receiver, sent[22]), "too_old");
  EXPECT_EQ(feed_rtp(receiver, sent[151]), "ok");
  EXPECT_EQ(feed_rtp(receiver, sent[23]), "too_old");
  EXPECT_EQ(feed_rtp(receiver, sent[24]), "ok");
  EXPECT_EQ(in.count(Reason::replayed), 2u);
  EXPECT_EQ(in.count(Reason::too_old), 2u);
}

TEST_P(Contexts, RtcpReplays) {
  std::vector<Octets> sent;
  for (int i = 0; i < 200; ++i) sent.push_back(protect_rtcp(sender, rtcp_packet(ssrc)));
  EXPECT_EQ(feed_rtcp(receiver, sent[0]), "ok");
  EXPECT_EQ(feed_rtcp(receiver, sent[0]), "replayed");
  EXPECT_EQ(feed_rtcp(receiver, sent[150]), "ok");
  EXPECT_EQ(feed_rtcp(receiver, sent[23]), "ok");
  EXPECT_EQ(feed_rtcp(receiver, sent[22]), "too_old");
}

TEST_P(Contexts, TheRocFollowsTheSequence) {
  for (uint32_t n = 65000; n < 65000 + 3 * 65536; n += 499)
    ASSERT_EQ(through(static_cast<uint16_t>(n)), "ok") << n;
}

TEST_P(Contexts, ReorderedAcrossTheWrap) {
  std::vector<Octets> sent;
  for (uint32_t n = 65530; n < 65546; ++n)
    sent.push_back(protect_rtp(sender, rtp_packet(ssrc, static_cast<uint16_t>(n))));
  EXPECT_EQ(feed_rtp(receiver, sent[0]), "ok");
  EXPECT_EQ(feed_rtp(receiver, sent[9]), "ok");  // ROC 1
  EXPECT_EQ(feed_rtp(receiver, sent[3]), "ok");  // ROC 0 again
  EXPECT_EQ(feed_rtp(receiver, sent[10]), "ok");
  EXPECT_EQ(feed_rtp(receiver, sent[3]), "replayed");
}

TEST_P(Contexts, AWrapBeforeTheFirstPacketThatArrives) {
  (void)protect_rtp(sender, rtp_packet(ssrc, 65535));  // lost
  EXPECT_EQ(through(0), "ok");
  EXPECT_EQ(through(1), "ok");
}

TEST_P(Contexts, TheSenderNeverUsesAnIndexTwice) {
  ASSERT_FALSE(protect_rtp(sender, rtp_packet(ssrc, 500)).empty());
  Octets again = rtp_packet(ssrc, 500, 80);
  again.resize(again.size() + tail_room);
  const Octets before = again;
  const auto twice = sender.protect_rtp(again, 92);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.reason(), Reason::replayed);
  EXPECT_EQ(again, before);
  EXPECT_FALSE(protect_rtp(sender, rtp_packet(ssrc, 499)).empty());  // reordered on its way to us: fresh
  EXPECT_TRUE(protect_rtp(sender, rtp_packet(ssrc, 300)).empty());
  EXPECT_EQ(out.count(Reason::too_old), 1u);
}

TEST_P(Contexts, TheLastIndices) {
  // A record at the end of both index spaces; a restore without a jump goes on right there.
  ASSERT_EQ(through(1), "ok");
  (void)protect_rtcp(sender, rtcp_packet(ssrc));
  std::string record = sender.snapshot();
  auto* p = reinterpret_cast<uint8_t*>(record.data()) + 8;
  rtp::store32(p + 6, 0xFFFFFFFF);
  rtp::store16(p + 10, 0xFFFE);
  rtp::store32(p + 28, 0x7FFFFFFE);
  Sender late(key, out);
  ASSERT_TRUE(late.restore(as_bytes(record), 0));
  EXPECT_FALSE(protect_rtp(late, rtp_packet(ssrc, 0xFFFF)).empty());
  EXPECT_TRUE(protect_rtp(late, rtp_packet(ssrc, 0)).empty());
  EXPECT_FALSE(protect_rtcp(late, rtcp_packet(ssrc)).empty());
  EXPECT_TRUE(protect_rtcp(late, rtcp_packet(ssrc)).empty());
  EXPECT_EQ(out.count(Reason::index_exhausted), 2u);

  // A jump past the end shuts it for good, also when snapshotted again; nothing wraps to index 0.
  Sender shut(key, out);
  ASSERT_TRUE(shut.restore(as_bytes(record)));
  Sender still_shut(key, out);
  ASSERT_TRUE(still_shut.restore(as_bytes(shut.snapshot())));
  for (uint32_t s = 0; s < 65536; s += 37)
    ASSERT_TRUE(protect_rtp(still_shut, rtp_packet(ssrc, static_cast<uint16_t>(s))).empty()) << s;
  EXPECT_TRUE(protect_rtcp(still_shut, rtcp_packet(ssrc)).empty());
}

TEST_P(Contexts, SourcesAreBounded) {
  Receiver small(key, in, 2);
  Sender wide(key, out, 2);
  EXPECT_FALSE(protect_rtp(wide, rtp_packet(1, 1)).empty());
  EXPECT_FALSE(protect_rtcp(wide, rtcp_packet(2)).empty());
  EXPECT_TRUE(protect_rtp(wide, rtp_packet(3, 1)).empty());
  EXPECT_TRUE(protect_rtcp(wide, rtcp_packet(3)).empty());
  EXPECT_EQ(out.count(Reason::too_many_sources), 2u);
  for (uint32_t s = 1; s <= 2; ++s) EXPECT_EQ(feed_rtp(small, protect_rtp(sender, rtp_packet(s, 1))), "ok");
  EXPECT_EQ(feed_rtp(small, protect_rtp(sender, rtp_packet(3, 1))), "too_many_sources");
  EXPECT_EQ(feed_rtcp(small, protect_rtcp(sender, rtcp_packet(3))), "too_many_sources");
  EXPECT_EQ(in.count(Reason::too_many_sources), 2u);
  EXPECT_EQ(feed_rtp(small, protect_rtp(sender, rtp_packet(2, 2))), "ok");  // who is in stays in
}

TEST_P(Contexts, SourcesAreKeptApart) {
  for (uint32_t s = 1; s <= 8; ++s) {
    EXPECT_EQ(feed_rtp(receiver, protect_rtp(sender, rtp_packet(s, 65535))), "ok");
    EXPECT_EQ(feed_rtp(receiver, protect_rtp(sender, rtp_packet(s, 0))), "ok");
  }
  EXPECT_EQ(feed_rtp(receiver, protect_rtp(sender, rtp_packet(99, 0))), "ok");  // and that one is at ROC 0
  EXPECT_EQ(receiver.sources(), 9u);
}

TEST_P(Contexts, BatchesTellOfEachPacket) {
  std::vector<Octets> store;
  for (uint16_t s = 1; s <= 4; ++s) store.push_back(rtp_packet(ssrc, s == 3 ? 2 : s));
  std::vector<Packet> batch;
  for (Octets& o : store) {
    const size_t size = o.size();
    o.resize(size + tail_room);
    batch.push_back({o, size, Reason::malformed});
  }
  sender.protect_rtp(batch);
  EXPECT_FALSE(batch[0].refused);
  EXPECT_EQ(batch[0].size, 172u + GetParam().rtp_tag_octets);
  EXPECT_EQ(batch[2].refused, Reason::replayed);
  EXPECT_EQ(batch[2].size, 172u);
  receiver.unprotect_rtp(batch);
  EXPECT_FALSE(batch[1].refused);
  EXPECT_EQ(batch[1].size, 172u);
  EXPECT_EQ(batch[2].refused, Reason::replayed);  // which its index says before its tag is looked at
  EXPECT_FALSE(batch[3].refused);

  Octets report = rtcp_packet(ssrc);
  const size_t size = report.size();
  report.resize(size + tail_room);
  std::array<Packet, 1> reports = {Packet{report, size, {}}};
  sender.protect_rtcp(reports);
  EXPECT_EQ(reports[0].size, size + GetParam().rtcp_tag_octets + 4);
  receiver.unprotect_rtcp(reports);
  EXPECT_FALSE(reports[0].refused);
  EXPECT_EQ(reports[0].size, size);
}

TEST_P(Contexts, GarbageIsMalformed) {
  const Octets whole = protect_rtp(sender, rtp_packet(ssrc, 1, 1));
  for (size_t n = 0; n < 12u + GetParam().rtp_tag_octets; ++n) {
    Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(feed_rtp(receiver, cut), "malformed") << n;
  }
  const Octets report = protect_rtcp(sender, rtcp_packet(ssrc));
  for (size_t n = 0; n < 12u + GetParam().rtcp_tag_octets; ++n) {
    Octets cut(report.begin(), report.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_EQ(feed_rtcp(receiver, cut), "malformed") << n;
  }
  Octets plain = rtp_packet(ssrc, 2);
  plain[0] = 0x00;
  EXPECT_TRUE(protect_rtp(sender, plain).empty());
  Octets long_extension = rtp_packet(ssrc, 2, 8);
  long_extension[0] |= 0x10;
  long_extension[14] = 0xFF;
  EXPECT_TRUE(protect_rtp(sender, long_extension).empty());
  EXPECT_TRUE(protect_rtcp(sender, rtp_packet(ssrc, 3)).empty());
  EXPECT_EQ(out.count(Reason::malformed), 3u);
}

TEST_P(Contexts, TooLittleRoomChangesNothing) {
  Octets p = rtp_packet(ssrc, 9);
  const size_t size = p.size();
  p.resize(size + GetParam().rtp_tag_octets - 1u);
  EXPECT_FALSE(sender.protect_rtp(p, size));
  EXPECT_FALSE(sender.protect_rtp(p, p.size() + 1));
  Octets report = rtcp_packet(ssrc);
  const size_t report_size = report.size();
  report.resize(report_size + GetParam().rtcp_tag_octets + 3u);
  EXPECT_FALSE(sender.protect_rtcp(report, report_size));
  EXPECT_EQ(out.count(Reason::no_room), 3u);
  EXPECT_EQ(sender.sources(), 0u);
  EXPECT_EQ(through(9), "ok");
}

TEST_P(Contexts, UnencryptedSrtcpIsRefusedEvenWhenAuthentic) {
  const MasterKey& k = key;
  PacketCipher cipher(k.suite(), derive(k, PacketKind::rtcp), Direction::protect, PacketKind::rtcp);
  Octets p = rtcp_packet(ssrc);
  const size_t size = p.size();
  p.resize(size + GetParam().rtcp_tag_octets + 4u);
  cipher.protect_rtcp({p.data(), size}, ssrc, 0, false);
  EXPECT_EQ(feed_rtcp(receiver, p), "not_encrypted");
}

TEST_P(Contexts, RekeyedWithTheSameKeyTheRocStays) {
  ASSERT_EQ(through(65535), "ok");
  ASSERT_EQ(through(0), "ok");
  const Octets old = protect_rtp(sender, rtp_packet(ssrc, 1));
  EXPECT_EQ(feed_rtp(receiver, old), "ok");
  EXPECT_FALSE(sender.rekey(key));
  EXPECT_FALSE(receiver.rekey(key));
  EXPECT_EQ(feed_rtp(receiver, old), "replayed");
  EXPECT_EQ(through(2), "ok");

  const MasterKey fresh = key_of(GetParam().suite, 2);
  EXPECT_TRUE(sender.rekey(fresh));
  EXPECT_TRUE(receiver.rekey(fresh));
  EXPECT_EQ(feed_rtp(receiver, old), "not_authentic");
  EXPECT_EQ(through(3), "ok");
  Receiver newcomer(fresh, in);  // so the new key began at ROC 0
  EXPECT_EQ(feed_rtp(newcomer, protect_rtp(sender, rtp_packet(ssrc, 4))), "ok");
}

TEST_P(Contexts, PacketsCostNoAllocation) {
  ASSERT_TRUE(test::counting());
  Octets p = rtp_packet(ssrc, 1), q = rtcp_packet(ssrc);
  const size_t size = p.size(), report = q.size();
  p.resize(size + tail_room);
  q.resize(report + tail_room);
  size_t before = test::allocations();
  for (uint16_t s = 1; s < 100; ++s) {
    if (s == 2) before = test::allocations();  // the first packet of an SSRC makes its entry
    rtp::store16(p.data() + 2, s);
    const auto n = sender.protect_rtp(p, size);
    const auto m = sender.protect_rtcp(q, report);
    ASSERT_TRUE(n && m && receiver.unprotect_rtp(p, *n) && receiver.unprotect_rtcp(q, *m));
    ASSERT_FALSE(receiver.unprotect_rtp(p, size));  // and neither does a refused one
  }
  EXPECT_EQ(test::allocations(), before);
}

TEST(EstimateIndex, AsAppendixASays) {
  EXPECT_EQ(estimate_index(0, 0), 0);
  EXPECT_EQ(estimate_index(10, 20), 20);
  EXPECT_EQ(estimate_index(10, 65530), -6);
  EXPECT_EQ(estimate_index(65530, 3), 65539);
  EXPECT_EQ(estimate_index(0x10000 + 10, 65530), 65530);
  EXPECT_EQ(estimate_index(0x10000 + 40000, 100), 0x20000 + 100);
  EXPECT_EQ(estimate_index(0x10000 + 40000, 10000), 0x10000 + 10000);
}

TEST(MasterKey, HasExactlyTheSuitesLength) {
  for (const SuiteTraits& t : all_suites) {
    const size_t size = size_t{t.key_octets} + t.salt_octets;
    EXPECT_TRUE(MasterKey::from(t.suite, Octets(size)));
    EXPECT_FALSE(MasterKey::from(t.suite, Octets(size - 1)));
    EXPECT_FALSE(MasterKey::from(t.suite, Octets(size + 1)));
    EXPECT_EQ(suite_named(t.name), t.suite);
    if (t.dtls_profile != 0) {
      EXPECT_EQ(suite_of_profile(t.dtls_profile), t.suite);
    }
  }
  EXPECT_FALSE(suite_of_profile(0));
  EXPECT_FALSE(suite_named("F8_128_HMAC_SHA1_80"));
}

TEST(MasterKey, IsWipedWhenItEnds) {
  static_assert(alignof(MasterKey) == 1);
  Octets place(sizeof(MasterKey));
  auto* key = new (place.data()) MasterKey(key_of(Suite::aes_256_cm_hmac_sha1_80));
  const Octets octets(key->bytes().begin(), key->bytes().end());
  const auto holds_it = [&] {
    return std::search(place.begin(), place.end(), octets.begin(), octets.end()) != place.end();
  };
  ASSERT_TRUE(holds_it());
  key->~MasterKey();
  EXPECT_FALSE(holds_it());
}

}  // namespace
}  // namespace tandem::srtp
