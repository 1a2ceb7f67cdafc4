#pragma once
// Which shard, and so which worker, a message belongs to: read off the message alone, so that any worker can
// tell.
#include <cstdint>
#include <string>

#include "port/records.h"
#include "route/plan.h"
#include "sip/message.h"
#include "sip/token.h"

namespace tandem::node {

/// The shard of an address-of-record (bindings, nonce counts, subscriptions, lines).
uint16_t shard_of(const port::AddressOfRecord& aor);

/// AOR of a URI: user unescaped, host lower-case without port. Empty user for a URI without one.
port::AddressOfRecord aor_of(const sip::Uri& uri);

/// Responses by their top Via branch, in-dialog requests by their To-tag (both minted by us), REGISTER by the
/// To AOR, SUBSCRIBE and PUBLISH by the AOR they watch or change, everything else by Call-ID. A host that is
/// another name of one of our domains counts as that domain.
uint16_t shard_of(const sip::Message& message, const sip::TokenMint& mint, const route::Plan& plan);

}  // namespace tandem::node
