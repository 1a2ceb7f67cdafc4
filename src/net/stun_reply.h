#pragma once
// The one STUN exchange every SIP UDP port speaks: a Binding request as keep-alive (RFC 5626 section 3.5.2,
// RFC 5389).
#include <array>
#include <cstddef>

#include "base/address.h"
#include "base/bytes.h"

namespace tandem::net {

/// Header and one IPv6 XOR-MAPPED-ADDRESS.
constexpr size_t stun_reply_bytes = 44;

bool is_stun_binding_request(Bytes datagram);
/// Writes the success response to `request` from `source`; returns its length.
size_t write_stun_reply(Bytes request, const SocketAddress& source,
                        std::array<uint8_t, stun_reply_bytes>& out);

}  // namespace tandem::net
