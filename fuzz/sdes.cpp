// rooms: srtp crypto rtp base
// Any a=crypto value: parsed or refused, and what was parsed is written and parsed again as the same key.
#include <cstdlib>

#include "srtp/sdes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  const auto crypto = srtp::parse_crypto(as_text({data, size}));
  if (!crypto) return to_string(crypto.reason()).empty() ? 1 : 0;
  const auto again = srtp::parse_crypto(srtp::write_crypto(crypto->tag, crypto->key));
  if (!again || !(again->key == crypto->key) || again->tag != crypto->tag || again->lifetime) std::abort();
  if (crypto->lifetime && (*crypto->lifetime == 0 || *crypto->lifetime > uint64_t{1} << 48)) std::abort();
  return 0;
}
