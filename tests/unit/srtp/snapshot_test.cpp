// Take-over: what a restored sender and a restored receiver do.
#include <gtest/gtest.h>

#include <array>
#include <set>

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

constexpr uint32_t ssrc = 0x1234;

TEST(Snapshot, AReceiverGoesOnWhereItWas) {
  const MasterKey key = key_of(Suite::aead_aes_128_gcm);
  Refusals counts;
  Sender sender(key, counts);
  Receiver first(key, counts);
  std::vector<Octets> sent;
  for (uint32_t n = 65500; n < 65600; ++n)
    sent.push_back(protect_rtp(sender, rtp_packet(ssrc, static_cast<uint16_t>(n))));
  const Octets report = protect_rtcp(sender, rtcp_packet(ssrc));
  for (size_t i = 0; i < 90; i += 2) ASSERT_EQ(feed_rtp(first, sent[i]), "ok");
  ASSERT_EQ(feed_rtcp(first, report), "ok");

  Receiver second(key, counts);
  ASSERT_TRUE(second.restore(as_bytes(first.snapshot())));
  EXPECT_EQ(second.snapshot(), first.snapshot());
  EXPECT_EQ(feed_rtp(second, sent[88]), "replayed");
  EXPECT_EQ(feed_rtp(second, sent[10]), "replayed");
  EXPECT_EQ(feed_rtcp(second, report), "replayed");
  EXPECT_EQ(feed_rtp(second, sent[11]), "ok");  // ROC 0, a straggler
  EXPECT_EQ(feed_rtp(second, sent[99]), "ok");  // ROC 1
}

TEST(Snapshot, ARestoredReceiverTriesTheNextRoc) {
  const MasterKey key = key_of(Suite::aes_cm_128_hmac_sha1_80);
  Refusals counts;
  Sender sender(key, counts);
  Receiver first(key, counts);
  ASSERT_EQ(feed_rtp(first, protect_rtp(sender, rtp_packet(ssrc, 1000))), "ok");
  const std::string record = first.snapshot();
  // Silence, and 60,000 packets later the estimate, which looks for the nearest, is one ROC too low.
  for (uint32_t n = 1001; n < 61000; n += 1000)
    (void)protect_rtp(sender, rtp_packet(ssrc, static_cast<uint16_t>(n)));
  (void)protect_rtp(sender, rtp_packet(ssrc, 200));
  const Octets now = protect_rtp(sender, rtp_packet(ssrc, 1100));  // ROC 1
  Receiver second(key, counts);
  ASSERT_TRUE(second.restore(as_bytes(record)));
  EXPECT_EQ(feed_rtp(second, now), "ok");
  EXPECT_EQ(feed_rtp(second, protect_rtp(sender, rtp_packet(ssrc, 1101))), "ok");

  // The first one has long settled: a stranger's ROC does not move it.
  EXPECT_EQ(feed_rtp(first, now), "not_authentic");
}

TEST(Snapshot, AForgeryDoesNotSettleARestoredReceiver) {
  const MasterKey key = key_of(Suite::aead_aes_256_gcm);
  Refusals counts;
  Sender sender(key, counts);
  Receiver first(key, counts);
  ASSERT_EQ(feed_rtp(first, protect_rtp(sender, rtp_packet(ssrc, 65000))), "ok");
  Receiver second(key, counts);
  ASSERT_TRUE(second.restore(as_bytes(first.snapshot())));
  for (uint16_t s = 0; s < 50; ++s) EXPECT_NE(feed_rtp(second, rtp_packet(ssrc, s)), "ok");
  EXPECT_EQ(feed_rtp(second, protect_rtp(sender, rtp_packet(ssrc, 10))), "ok");
}

TEST(Snapshot, ASenderJumpsAndTheReceiverFollows) {
  for (const SuiteTraits& t : all_suites) {
    const MasterKey key = key_of(t.suite);
    Refusals counts;
    Sender first(key, counts);
    Receiver receiver(key, counts);
    ASSERT_EQ(feed_rtp(receiver, protect_rtp(first, rtp_packet(ssrc, 60000))), "ok");
    const std::string record = first.snapshot();
    ASSERT_EQ(feed_rtp(receiver, protect_rtp(first, rtp_packet(ssrc, 60001))), "ok");  // not in the record
    Sender second(key, counts);
    ASSERT_TRUE(second.restore(as_bytes(record)));
    EXPECT_TRUE(protect_rtp(second, rtp_packet(ssrc, 60001)).empty());
    EXPECT_TRUE(protect_rtp(second, rtp_packet(ssrc, 60002)).empty());
    const auto next = second.next_sequence(ssrc);
    ASSERT_TRUE(next);
    EXPECT_EQ(*next, static_cast<uint16_t>(60001 + restore_jump));
    EXPECT_EQ(feed_rtp(receiver, protect_rtp(second, rtp_packet(ssrc, *next))), "ok");  // across the wrap
    EXPECT_FALSE(second.next_sequence(ssrc + 1));
  }
}

TEST(Snapshot, TellsWhenOneIsDue) {
  Refusals counts;
  Sender sender(key_of(Suite::aead_aes_128_gcm), counts);
  EXPECT_FALSE(sender.snapshot_due());
  (void)protect_rtcp(sender, rtcp_packet(ssrc));
  EXPECT_TRUE(sender.snapshot_due());  // an SSRC the last record does not know
  (void)sender.snapshot();
  EXPECT_FALSE(sender.snapshot_due());
  (void)protect_rtp(sender, rtp_packet(ssrc, 9999, 0));
  EXPECT_TRUE(sender.snapshot_due());  // it sends RTP now
  (void)sender.snapshot();
  for (uint64_t n = 0; n < snapshot_interval; ++n) {
    ASSERT_FALSE(sender.snapshot_due());
    (void)protect_rtp(sender, rtp_packet(ssrc, static_cast<uint16_t>(10000 + n), 0));
  }
  EXPECT_TRUE(sender.snapshot_due());
  (void)sender.snapshot();
  EXPECT_FALSE(sender.snapshot_due());
}

/// A call that is taken over again and again, each time from a record that is up to an interval old. A flow
/// as the relay has it: the packets keep coming with the sequence numbers of their source, and it adds an
/// offset.
class TakeOvers {
 public:
  explicit TakeOvers(uint64_t seed)
      : rng_(seed), key_(key_of(all_suites[seed % all_suites.size()].suite, seed)) {
    sender_.emplace(key_, counts_);
    receiver_.emplace(key_, counts_, 1000);
    for (Flow& flow : flows_) {
      flow.ssrc = next_ssrc_++;
      flow.source = static_cast<uint16_t>(rng_.below(65536));
    }
    record_ = sender_->snapshot();
  }

  void run() {
    for (int step = 0; step < 6000; ++step) {
      const uint64_t what = rng_.below(1000);
      if (what < 2)
        take_over();
      else if (what < 8 || (sender_->snapshot_due() && rng_.below(20) == 0))  // replication may be late
        record_ = sender_->snapshot();
      else if (what < 60)
        send_rtcp(flows_[rng_.below(flows_.size())]);
      else
        send_rtp(flows_[rng_.below(flows_.size())]);
    }
    EXPECT_GT(take_overs_, 0);
  }

 private:
  struct Flow {
    uint32_t ssrc = 0;
    uint16_t source = 0;
    uint16_t offset = 0;
    bool sent = false;  // RTP, with this SSRC or an earlier one
  };

  void take_over() {
    ++take_overs_;
    Sender next(key_, counts_);
    ASSERT_TRUE(next.restore(as_bytes(record_)));
    sender_.emplace(std::move(next));
    record_ = sender_->snapshot();
    for (Flow& flow : flows_) {
      const auto sequence = sender_->next_sequence(flow.ssrc);
      if (sequence)
        flow.offset = static_cast<uint16_t>(*sequence - flow.source - 1);
      else if (flow.sent)
        flow.ssrc = next_ssrc_++;
    }
  }

  void send_rtp(Flow& flow) {
    flow.source = static_cast<uint16_t>(flow.source + 1 + (rng_.below(50) == 0 ? rng_.below(30) : 0));
    flow.sent = true;
    const auto sequence = static_cast<uint16_t>(flow.source + flow.offset);
    const Octets p = protect_rtp(*sender_, rtp_packet(flow.ssrc, sequence, 8));
    ASSERT_FALSE(p.empty());
    ASSERT_EQ(feed_rtp(*receiver_, p), "ok");  // an index used twice would be a replay
    ASSERT_TRUE(used_.insert({flow.ssrc, p}).second);
  }

  void send_rtcp(const Flow& flow) {
    const Octets p = protect_rtcp(*sender_, rtcp_packet(flow.ssrc));
    ASSERT_FALSE(p.empty());
    ASSERT_EQ(feed_rtcp(*receiver_, p), "ok");
    ASSERT_TRUE(used_.insert({flow.ssrc, p}).second);
  }

  SeededRng rng_;
  MasterKey key_;
  Refusals counts_;
  std::optional<Sender> sender_;
  std::optional<Receiver> receiver_;
  std::string record_;
  std::array<Flow, 3> flows_;
  uint32_t next_ssrc_ = 1;
  std::set<std::pair<uint32_t, Octets>> used_;
  int take_overs_ = 0;
};

TEST(Snapshot, NoIndexIsEverUsedTwice) {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    SCOPED_TRACE(seed);
    TakeOvers(seed).run();
    if (HasFatalFailure()) return;
  }
}

TEST(Snapshot, BadRecordsChangeNothing) {
  const MasterKey key = key_of(Suite::aes_cm_128_hmac_sha1_80);
  Refusals counts;
  Sender sender(key, counts);
  for (uint32_t s = 1; s <= 3; ++s) (void)protect_rtp(sender, rtp_packet(s, 9));
  const std::string good = sender.snapshot();
  Sender other(key, counts, 2);
  const auto why = [&](const std::string& record) { return other.restore(as_bytes(record)).reason(); };
  EXPECT_EQ(why(good), RecordReason::too_many_sources);
  EXPECT_EQ(why(""), RecordReason::malformed);
  EXPECT_EQ(why(good.substr(0, good.size() - 1)), RecordReason::malformed);
  EXPECT_EQ(why(good + "x"), RecordReason::malformed);
  std::string bad = good;
  bad[0] = 2;
  EXPECT_EQ(why(bad), RecordReason::unknown_version);
  bad = good;
  bad[1] = 'r';
  EXPECT_EQ(why(bad), RecordReason::other_direction);
  EXPECT_EQ(other.sources(), 0u);
  Sender third(key, counts);
  bad = good;
  bad[8 + 3] = 2;  // the first SSRC is now the second's
  EXPECT_EQ(third.restore(as_bytes(bad)).reason(), RecordReason::malformed);
  bad = good;
  bad[8 + 5] = 0;  // neither RTP nor RTCP
  EXPECT_EQ(third.restore(as_bytes(bad)).reason(), RecordReason::malformed);
  EXPECT_EQ(third.sources(), 0u);
  EXPECT_TRUE(third.restore(as_bytes(good)));
  EXPECT_EQ(third.sources(), 3u);
}

}  // namespace
}  // namespace tandem::srtp
