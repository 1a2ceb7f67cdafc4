#pragma once
// What is taken out before a message or a number is shown to people or sent to a collector.
#include <string>
#include <string_view>

namespace tandem::ops {

/// A SIP message with the values of Authorization, Proxy-Authorization, Authentication-Info (responses,
/// nonces, cnonces) and a=crypto keys replaced by "<removed>". The rest stays byte for byte.
std::string redact_sip(std::string_view message);

/// "+49301234567" -> "+4930***67": enough to recognise, not enough to call. Short extensions (up to 6 digits)
/// stay whole.
std::string shorten_number(std::string_view number);

}  // namespace tandem::ops
