// rooms: base port
// sources: src/net/dns_answer.cpp
// libs: PkgConfig::CARES
// A response from whoever answers for the resolver; the first octet chooses the type that was asked for.
#include <cstdlib>

#include "net/dns_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  if (size == 0) return 0;
  constexpr uint16_t types[] = {net::dns_type::a, net::dns_type::aaaa, net::dns_type::srv,
                                net::dns_type::naptr};
  net::DnsResponse out;
  (void)net::read_dns_response({data + 1, size - 1}, types[data[0] % 4], out);
  // A record costs at least its fixed part of 10 octets and a name of one; more than that was made up.
  if (out.records.size() > size / 11) std::abort();
  return 0;
}
