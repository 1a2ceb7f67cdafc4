#pragma once
// The answer to a request that could not be parsed, as far as there is enough of it to answer: stateless,
// before anything is allocated for it.
#include <optional>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "sip/reason.h"

namespace tandem::sip {

/// 400 (505 for the version, 513 for the size), built from the first Via, From, To, Call-ID and CSeq that can
/// be found; `to_tag` goes into a To that can be read and has none (section 8.2.6.2). Nothing for a response,
/// for an ACK, and when one of those headers is missing or would not survive the trip: the sender could not
/// match the answer.
std::optional<Buffer> refuse_malformed(Bytes message, Reason why, const SocketAddress& source,
                                       std::string_view to_tag);

}  // namespace tandem::sip
