#pragma once
// The full syntax verdict of RFC 3261. Message::parse() refuses only what makes a message useless; a realm
// whose policy is "strict" asks here as well, before it acts on a message.
#include <optional>
#include <string_view>

#include "sip/message.h"

namespace tandem::sip {

/// Nothing when the message is well-formed by section 25 and the RFCs of the headers we know; else the first
/// fault. Looked into: start line, Request-URI, Via, every name-addr header with its URIs and parameters,
/// Call-ID, numbers and their ranges, Date, credentials, option tags, headers standing twice, nesting of
/// comments. An unknown URI scheme is no syntax fault (416 is the transaction user's to say).
std::optional<Reason> strict_check(const Message& message, const Limits& limits = {});

/// One URI by the grammar of section 25.1 (tel: RFC 3966): each character class, host name and parameter.
std::optional<Reason> strict_uri(std::string_view text);

}  // namespace tandem::sip
