#pragma once
// Resource records out of a DNS response (RFC 1035, RFC 2782, RFC 3403).
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "port/ask.h"

namespace tandem::net {

namespace dns_type {
constexpr uint16_t a = 1, cname = 5, soa = 6, aaaa = 28, srv = 33, naptr = 35;
}

struct DnsResponse {
  std::vector<port::DnsRecord> records;  // of the type asked for, whatever alias led there
  uint32_t ttl = 0;                      // smallest of the answer section
  bool negative_ttl_known = false;       // the authority section had a SOA
  uint32_t negative_ttl = 0;             // RFC 2308 section 5
};

/// False when the response is malformed; what was read before stays in `out`.
bool read_dns_response(Bytes response, uint16_t type, DnsResponse& out);

}  // namespace tandem::net
