#include "sip/method.h"

#include <array>

namespace tandem::sip {
namespace {

constexpr std::array<std::string_view, 15> names{"INVITE",  "ACK",       "BYE",    "CANCEL",  "REGISTER",
                                                 "OPTIONS", "PRACK",     "UPDATE", "INFO",    "MESSAGE",
                                                 "REFER",   "SUBSCRIBE", "NOTIFY", "PUBLISH", ""};

Method same(std::string_view token, Method m) {
  return token == names[static_cast<size_t>(m)] ? m : Method::other;
}

}  // namespace

Method method_from(std::string_view token) {
  if (token.size() < 3) return Method::other;
  switch (token[0]) {
    case 'I':
      return same(token, token[2] == 'V' ? Method::invite : Method::info);
    case 'A':
      return same(token, Method::ack);
    case 'B':
      return same(token, Method::bye);
    case 'C':
      return same(token, Method::cancel);
    case 'R':
      return same(token, token[2] == 'G' ? Method::register_ : Method::refer);
    case 'O':
      return same(token, Method::options);
    case 'P':
      return same(token, token[1] == 'R' ? Method::prack : Method::publish);
    case 'U':
      return same(token, Method::update);
    case 'M':
      return same(token, Method::message);
    case 'S':
      return same(token, Method::subscribe);
    case 'N':
      return same(token, Method::notify);
    default:
      return Method::other;
  }
}

std::string_view to_string(Method m) { return names[static_cast<size_t>(m)]; }

}  // namespace tandem::sip
