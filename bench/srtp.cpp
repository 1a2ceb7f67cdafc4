// rooms: srtp crypto rtp base
// libs: PkgConfig::SRTP2 OpenSSL::Crypto
// Protecting and unprotecting packets of 172 octets (20 ms of G.711), per suite: ours, the raw work (the same
// cipher and MAC calls on prefetched, prekeyed EVP contexts, and nothing around them), and libsrtp. Rounds of
// the three alternate in this one process; CPU time of the thread, the best of the rounds. Ends with 1 when
// ours costs more than 1.5 times the raw work for any suite.
#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "rtp/packet.h"
#include "srtp/context.h"

namespace {

using namespace tandem;
using namespace tandem::srtp;

constexpr size_t packet_octets = 172;
constexpr size_t header_octets = 12;
constexpr int packets = 4000;
constexpr int rounds = 15;
constexpr double bar = 1.5;

using Slot = std::array<uint8_t, packet_octets + SRTP_MAX_TRAILER_LEN>;
using Slots = std::vector<Slot>;

double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

void must(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "srtp bench: %s failed\n", what);
  std::exit(2);
}

Slots plain_packets() {
  Slots all(packets);
  for (int i = 0; i < packets; ++i) {
    rtp::Header h;
    h.sequence = static_cast<uint16_t>(i);
    h.ssrc = 0xCAFEBABE;
    all[static_cast<size_t>(i)].fill(0x55);
    h.write(all[static_cast<size_t>(i)].data());
  }
  return all;
}

/// ns a packet to protect, and to unprotect.
struct Cost {
  double protect = 1e18, unprotect = 1e18;
  void best(Cost c) {
    protect = std::min(protect, c.protect);
    unprotect = std::min(unprotect, c.unprotect);
  }
};

template <class P, class U>
Cost measure(P&& protect, U&& unprotect) {
  Slots all = plain_packets();
  const double start = cpu_ns();
  for (Slot& s : all) protect(s);
  const double middle = cpu_ns();
  for (Slot& s : all) unprotect(s);
  return {(middle - start) / packets, (cpu_ns() - middle) / packets};
}

Cost ours(const MasterKey& key) {
  Refusals refusals;
  Sender sender(key, refusals);
  Receiver receiver(key, refusals);
  const size_t protected_octets = packet_octets + traits(key.suite()).rtp_tag_octets;
  return measure([&](Slot& s) { must(sender.protect_rtp(s, packet_octets).ok(), "protect"); },
                 [&](Slot& s) { must(receiver.unprotect_rtp(s, protected_octets).ok(), "unprotect"); });
}

struct Free {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
  void operator()(EVP_CIPHER* c) const { EVP_CIPHER_free(c); }
  void operator()(EVP_MAC_CTX* c) const { EVP_MAC_CTX_free(c); }
  void operator()(EVP_MAC* c) const { EVP_MAC_free(c); }
  void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
  void operator()(EVP_MD* c) const { EVP_MD_free(c); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// The raw work of an AES-CM suite. HMAC-SHA1 by the cheapest way EVP has: digest contexts with the pads
/// hashed ahead, copied for each packet.
Cost raw_counter_mode(const SuiteTraits& t) {
  const Owned<EVP_CIPHER> cipher(
      EVP_CIPHER_fetch(nullptr, t.key_octets == 32 ? "AES-256-CTR" : "AES-128-CTR", nullptr));
  const Owned<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
  const Owned<EVP_MD> sha1(EVP_MD_fetch(nullptr, "SHA1", nullptr));
  const Owned<EVP_MD_CTX> inner(EVP_MD_CTX_new()), outer(EVP_MD_CTX_new()), work(EVP_MD_CTX_new());
  std::array<uint8_t, 32> key{};
  std::array<uint8_t, 16> iv{};
  std::array<uint8_t, 64> pad{};
  must(EVP_EncryptInit_ex2(context.get(), cipher.get(), key.data(), iv.data(), nullptr) == 1, "raw key");
  for (const auto& [ctx, octet] : {std::pair{inner.get(), 0x36}, {outer.get(), 0x5c}}) {
    pad.fill(static_cast<uint8_t>(octet));
    must(EVP_DigestInit_ex2(ctx, sha1.get(), nullptr) == 1, "raw digest");
    EVP_DigestUpdate(ctx, pad.data(), pad.size());
  }
  std::array<uint8_t, 20> tag{};
  const auto crypt = [&](Slot& s) {
    int n = 0;
    EVP_EncryptInit_ex2(context.get(), nullptr, nullptr, iv.data(), nullptr);
    EVP_EncryptUpdate(context.get(), s.data() + header_octets, &n, s.data() + header_octets,
                      packet_octets - header_octets);
  };
  const auto authenticate = [&](Slot& s) {
    EVP_MD_CTX_copy_ex(work.get(), inner.get());
    EVP_DigestUpdate(work.get(), s.data(), packet_octets);
    EVP_DigestUpdate(work.get(), iv.data(), 4);
    EVP_DigestFinal_ex(work.get(), tag.data(), nullptr);
    EVP_MD_CTX_copy_ex(work.get(), outer.get());
    EVP_DigestUpdate(work.get(), tag.data(), tag.size());
    EVP_DigestFinal_ex(work.get(), tag.data(), nullptr);
  };
  return measure([&](Slot& s) { crypt(s), authenticate(s); }, [&](Slot& s) { authenticate(s), crypt(s); });
}

Cost raw_gcm(const SuiteTraits& t) {
  const Owned<EVP_CIPHER> cipher(
      EVP_CIPHER_fetch(nullptr, t.key_octets == 32 ? "AES-256-GCM" : "AES-128-GCM", nullptr));
  const Owned<EVP_CIPHER_CTX> seal(EVP_CIPHER_CTX_new()), open(EVP_CIPHER_CTX_new());
  std::array<uint8_t, 32> key{};
  std::array<uint8_t, 12> iv{};
  must(EVP_EncryptInit_ex2(seal.get(), cipher.get(), key.data(), iv.data(), nullptr) == 1, "raw key");
  must(EVP_DecryptInit_ex2(open.get(), cipher.get(), key.data(), iv.data(), nullptr) == 1, "raw key");
  const auto crypt = [&](EVP_CIPHER_CTX* context, Slot& s) {
    int n = 0;
    EVP_CipherInit_ex2(context, nullptr, nullptr, iv.data(), -1, nullptr);
    EVP_CipherUpdate(context, nullptr, &n, s.data(), header_octets);
    EVP_CipherUpdate(context, s.data() + header_octets, &n, s.data() + header_octets,
                     packet_octets - header_octets);
  };
  std::array<uint8_t, 16> rest{};
  return measure(
      [&](Slot& s) {
        int n = 0;
        crypt(seal.get(), s);
        EVP_CipherFinal_ex(seal.get(), rest.data(), &n);
        EVP_CIPHER_CTX_ctrl(seal.get(), EVP_CTRL_AEAD_GET_TAG, 16, s.data() + packet_octets);
      },
      [&](Slot& s) {
        int n = 0;
        crypt(open.get(), s);
        EVP_CIPHER_CTX_ctrl(open.get(), EVP_CTRL_AEAD_SET_TAG, 16, s.data() + packet_octets);
        must(EVP_CipherFinal_ex(open.get(), rest.data(), &n) == 1, "raw open");
      });
}

void set_policy(Suite suite, srtp_crypto_policy_t* policy) {
  switch (suite) {
    case Suite::aes_cm_128_hmac_sha1_80:
      return srtp_crypto_policy_set_rtp_default(policy);
    case Suite::aes_cm_128_hmac_sha1_32:
      return srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(policy);
    case Suite::aes_256_cm_hmac_sha1_80:
      return srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(policy);
    case Suite::aes_256_cm_hmac_sha1_32:
      return srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(policy);
    case Suite::aead_aes_128_gcm:
      return srtp_crypto_policy_set_aes_gcm_128_16_auth(policy);
    case Suite::aead_aes_256_gcm:
      return srtp_crypto_policy_set_aes_gcm_256_16_auth(policy);
  }
}

srtp_t libsrtp_session(const MasterKey& key, srtp_ssrc_type_t direction) {
  std::vector<uint8_t> octets(key.bytes().begin(), key.bytes().end());
  srtp_policy_t policy{};
  set_policy(key.suite(), &policy.rtp);
  set_policy(key.suite(), &policy.rtcp);
  policy.ssrc.type = direction;
  policy.key = octets.data();
  policy.window_size = 128;
  srtp_t session = nullptr;
  must(srtp_create(&session, &policy) == srtp_err_status_ok, "libsrtp session");
  return session;
}

Cost libsrtp(const MasterKey& key) {
  const srtp_t out = libsrtp_session(key, ssrc_any_outbound), in = libsrtp_session(key, ssrc_any_inbound);
  const int tag = traits(key.suite()).rtp_tag_octets;
  const Cost cost = measure(
      [&](Slot& s) {
        int n = packet_octets;
        must(srtp_protect(out, s.data(), &n) == srtp_err_status_ok, "libsrtp protect");
      },
      [&](Slot& s) {
        int n = static_cast<int>(packet_octets) + tag;
        must(srtp_unprotect(in, s.data(), &n) == srtp_err_status_ok, "libsrtp unprotect");
      });
  srtp_dealloc(out);
  srtp_dealloc(in);
  return cost;
}

bool report(const SuiteTraits& t) {
  SeededRng rng(1);
  const MasterKey key = MasterKey::generate(t.suite, rng);
  Cost us, raw, them;
  for (int i = 0; i < rounds; ++i) {
    us.best(ours(key));
    raw.best(t.aead ? raw_gcm(t) : raw_counter_mode(t));
    them.best(libsrtp(key));
  }
  const double protect = us.protect / raw.protect, unprotect = us.unprotect / raw.unprotect;
  std::printf("%-24s %7.0f %7.0f %5.2fx %8.0f | %7.0f %7.0f %5.2fx %8.0f\n", t.name.data(), us.protect,
              raw.protect, protect, them.protect, us.unprotect, raw.unprotect, unprotect, them.unprotect);
  return protect <= bar && unprotect <= bar;
}

}  // namespace

int main() {
  must(srtp_init() == srtp_err_status_ok, "libsrtp");
  std::printf("ns a packet of %zu octets, best of %d rounds\n", packet_octets, rounds);
  std::printf("%-24s %7s %7s %6s %8s | %7s %7s %6s %8s\n", "", "protect", "raw", "", "libsrtp", "unprot.",
              "raw", "", "libsrtp");
  bool held = true;
  for (const SuiteTraits& t : all_suites) held = report(t) && held;
  std::printf("srtp: at most %.1fx the raw work: %s\n", bar, held ? "yes" : "no");
  return held ? 0 : 1;
}
