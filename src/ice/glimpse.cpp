#include "ice/glimpse.h"

#include "stun/message.h"

namespace tandem::ice {

std::optional<Glimpse> glimpse(Bytes datagram) {
  const auto m = stun::Message::parse(datagram);
  if (!m || m->method() != stun::method::binding) return std::nullopt;
  switch (m->message_class()) {
    case stun::Class::request: {
      const auto username = m->text(stun::attribute::username);
      const size_t colon = username ? username->find(':') : std::string_view::npos;
      if (colon == std::string_view::npos || colon == 0) return std::nullopt;
      return Glimpse{true, username->substr(0, colon), 0};
    }
    case stun::Class::success:
    case stun::Class::error: {
      const stun::TransactionId id = m->transaction();
      return Glimpse{false, {}, uint32_t{id[0]} << 24 | uint32_t{id[1]} << 16 | uint32_t{id[2]} << 8 | id[3]};
    }
    case stun::Class::indication:
      break;
  }
  return std::nullopt;
}

}  // namespace tandem::ice
