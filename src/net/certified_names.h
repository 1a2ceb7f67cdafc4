#pragma once
// Who a certificate speaks for (RFC 5922 section 7). Says nothing of whether the certificate is to be
// trusted.
#include <string>
#include <string_view>
#include <vector>

struct x509_st;

namespace tandem::net {

/// Section 7.1: the hosts of its "sip" URIs without a user; only when it has none, its DNS names; its
/// addresses; and the common name only when there is no subjectAltName at all. Lower case, addresses as text,
/// no duplicates.
std::vector<std::string> certified_names(const x509_st* certificate);

/// Section 7.2: the whole name, without case; no suffix and no wildcard matches. `wanted` may be an address,
/// or end in a dot.
bool is_certified(const std::vector<std::string>& names, std::string_view wanted);

/// For choosing one of our own certificates: every host, DNS name (wildcards too) and address in it.
std::vector<std::string> server_names(const x509_st* certificate);
/// As is_certified(), and "*.example.com" for one label more than "example.com" (RFC 6125 section 6.4.3).
bool serves_name(const std::vector<std::string>& names, std::string_view asked);

}  // namespace tandem::net
