#pragma once
// Candidates (RFC 8445 section 5.1, for TCP RFC 6544) and their line in SDP (RFC 8839 section 5.1):
//
//    a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 10.0.1.1 rport 8998
//    a=candidate:1 1 TCP 1015021823 10.0.1.1 9 typ host tcptype active
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "ice/reason.h"

namespace tandem::ice {

enum class Transport : uint8_t { udp, tcp };
/// Who opens the connection (RFC 6544 section 4.5). `none` for UDP.
enum class TcpType : uint8_t { none, active, passive, simultaneous_open };
enum class CandidateType : uint8_t { host, server_reflexive, peer_reflexive, relayed };

std::string_view to_string(CandidateType type);  // "srflx"
std::string_view to_string(TcpType type);        // "so"

struct Candidate {
  std::string foundation;  // 1 to 32 ice-char
  uint16_t component = 1;  // 1 to 256; RTP is 1, RTCP 2
  Transport transport = Transport::udp;
  TcpType tcp_type = TcpType::none;
  uint32_t priority = 0;  // from 1
  SocketAddress address;  // of an active TCP candidate the port says nothing (9); unset when `name` is not
  std::string name;       // what stood in the address's place and is none: a host name, "8f3a....local"
  CandidateType type = CandidateType::host;
  SocketAddress related;  // raddr and rport; unset when absent
  /// Everything behind that, in order. A raddr that is no address is here too.
  std::vector<std::pair<std::string, std::string>> extensions;

  /// The value of a=candidate; "candidate:" before it, as browsers' scripts have it, is passed over.
  static Result<Candidate, Reason> parse(std::string_view value);
  std::string to_string() const;
  /// The value of an extension; empty when there is none.
  std::string_view extension(std::string_view name) const;
  bool operator==(const Candidate&) const = default;
};

/// The ice-char of RFC 8839: what foundations, fragments and passwords are made of.
bool is_ice_text(std::string_view text, size_t least, size_t most);

/// RFC 8445 section 5.1.2.1. UDP has 126, 110, 100 and 0 of 126 for the type, as section 5.1.2.2 recommends;
/// a TCP candidate stands between reflexive and relayed ones, since media suffers from retransmission. Among
/// TCP candidates of a type the direction decides (RFC 6544 section 4.2). `preference` 0 to 65535 orders
/// addresses of one type, the higher the better.
uint32_t candidate_priority(CandidateType type, Transport transport, TcpType tcp_type, uint16_t preference,
                            uint16_t component);

/// RFC 8445 section 6.1.2.3: both sides come to the same.
uint64_t pair_priority(uint32_t controlling, uint32_t controlled);

}  // namespace tandem::ice
