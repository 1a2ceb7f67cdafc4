// Against another implementation: what one protects the other reads, for every suite, both ways.
#include <gtest/gtest.h>
#include <srtp2/srtp.h>

#include "packets.h"

namespace tandem::srtp {
namespace {

using test::key_of;
using test::Octets;
using test::protect_rtcp;
using test::protect_rtp;
using test::rtcp_packet;
using test::rtp_packet;

constexpr uint32_t ssrc = 0xCAFEBABE;

void set_policies(Suite suite, srtp_policy_t& policy) {
  using Set = void (*)(srtp_crypto_policy_t*);
  Set rtp = nullptr, rtcp = nullptr;
  switch (suite) {
    case Suite::aes_cm_128_hmac_sha1_80:
      rtp = rtcp = srtp_crypto_policy_set_rtp_default;
      break;
    case Suite::aes_cm_128_hmac_sha1_32:
      rtp = srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32;
      rtcp = srtp_crypto_policy_set_rtcp_default;
      break;
    case Suite::aes_256_cm_hmac_sha1_80:
      rtp = rtcp = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80;
      break;
    case Suite::aes_256_cm_hmac_sha1_32:
      rtp = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32;
      rtcp = srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80;
      break;
    case Suite::aead_aes_128_gcm:
      rtp = rtcp = srtp_crypto_policy_set_aes_gcm_128_16_auth;
      break;
    case Suite::aead_aes_256_gcm:
      rtp = rtcp = srtp_crypto_policy_set_aes_gcm_256_16_auth;
      break;
  }
  rtp(&policy.rtp);
  rtcp(&policy.rtcp);
}

/// A libsrtp session in one direction.
class Libsrtp {
 public:
  Libsrtp(const MasterKey& key, srtp_ssrc_type_t direction)
      : octets_(key.bytes().begin(), key.bytes().end()) {
    static const srtp_err_status_t ready = srtp_init();
    EXPECT_EQ(ready, srtp_err_status_ok);
    srtp_policy_t policy{};
    set_policies(key.suite(), policy);
    policy.ssrc.type = direction;
    policy.key = octets_.data();
    policy.window_size = 128;
    EXPECT_EQ(srtp_create(&session_, &policy), srtp_err_status_ok);
  }
  ~Libsrtp() { srtp_dealloc(session_); }
  Libsrtp(const Libsrtp&) = delete;
  Libsrtp& operator=(const Libsrtp&) = delete;

  using Call = srtp_err_status_t (*)(srtp_t, void*, int*);
  /// In place; false when it was refused.
  bool run(Call call, Octets& p) {
    int size = static_cast<int>(p.size());
    p.resize(p.size() + SRTP_MAX_TRAILER_LEN);
    const bool ok = call(session_, p.data(), &size) == srtp_err_status_ok;
    p.resize(ok ? static_cast<size_t>(size) : 0);
    return ok;
  }

 private:
  Octets octets_;
  srtp_t session_ = nullptr;
};

class Interop : public testing::TestWithParam<SuiteTraits> {
 protected:
  MasterKey key = key_of(GetParam().suite, 99);
  Refusals counts;
};

INSTANTIATE_TEST_SUITE_P(Suites, Interop, testing::ValuesIn(all_suites),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(Interop, TheyReadOurs) {
  Sender us(key, counts);
  Libsrtp them(key, ssrc_any_inbound);
  for (uint32_t n = 65000; n < 67000; n += 7) {  // across a wrap
    const Octets plain = rtp_packet(ssrc, static_cast<uint16_t>(n), n % 200);
    Octets p = protect_rtp(us, plain);
    ASSERT_TRUE(them.run(srtp_unprotect, p)) << n;
    ASSERT_EQ(p, plain);
  }
  for (int i = 0; i < 20; ++i) {
    const Octets plain = rtcp_packet(ssrc);
    Octets p = protect_rtcp(us, plain);
    ASSERT_TRUE(them.run(srtp_unprotect_rtcp, p));
    ASSERT_EQ(p, plain);
  }
}

TEST_P(Interop, WeReadTheirs) {
  Libsrtp them(key, ssrc_any_outbound);
  Receiver us(key, counts);
  for (uint32_t n = 65000; n < 67000; n += 7) {
    const Octets plain = rtp_packet(ssrc, static_cast<uint16_t>(n), n % 200);
    Octets p = plain;
    ASSERT_TRUE(them.run(srtp_protect, p));
    ASSERT_EQ(test::unprotect_rtp(us, p), "ok") << n;
    ASSERT_EQ(p, plain);
  }
  for (int i = 0; i < 20; ++i) {
    const Octets plain = rtcp_packet(ssrc);
    Octets p = plain;
    ASSERT_TRUE(them.run(srtp_protect_rtcp, p));
    ASSERT_EQ(test::unprotect_rtcp(us, p), "ok");
    ASSERT_EQ(p, plain);
  }
}

TEST_P(Interop, TheyFollowARestoredSender) {
  Libsrtp them(key, ssrc_any_inbound);
  Sender first(key, counts);
  Octets p = protect_rtp(first, rtp_packet(ssrc, 60000));
  ASSERT_TRUE(them.run(srtp_unprotect, p));
  Sender second(key, counts);
  ASSERT_TRUE(second.restore(as_bytes(first.snapshot())));
  p = protect_rtp(second, rtp_packet(ssrc, *second.next_sequence(ssrc)));
  ASSERT_FALSE(p.empty());
  EXPECT_TRUE(them.run(srtp_unprotect, p));
}

}  // namespace
}  // namespace tandem::srtp
