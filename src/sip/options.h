#pragma once
// Extensions a request needs (RFC 3261 section 8.2.2.3).
#include <string>
#include <string_view>

#include "sip/message.h"

namespace tandem::sip {

/// The options of every Require that `known` (a comma list) does not name, as the Unsupported of a 420 lists
/// them; empty when all are known. Not for ACK and CANCEL, whose Require is ignored.
std::string unsupported_options(const Message& request, std::string_view known);

}  // namespace tandem::sip
