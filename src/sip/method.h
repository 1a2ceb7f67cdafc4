#pragma once
// Methods by RFC: 3261, 3262 PRACK, 3311 UPDATE, 3428 MESSAGE, 3515 REFER, 3903 PUBLISH, 6086 INFO, 6665
// SUBSCRIBE/NOTIFY.
#include <cstdint>
#include <string_view>

namespace tandem::sip {

enum class Method : uint8_t {
  invite,
  ack,
  bye,
  cancel,
  register_,
  options,
  prack,
  update,
  info,
  message,
  refer,
  subscribe,
  notify,
  publish,
  other,  // any other token; Message::method_text() has it
};
/// Case-sensitive (RFC 3261 section 7.1).
Method method_from(std::string_view token);
std::string_view to_string(Method m);  // "INVITE"; "other" has no text of its own

}  // namespace tandem::sip
