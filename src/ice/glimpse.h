#pragma once
// What a datagram on a port of many sessions says of whose it is, before any session has looked at it.
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"

namespace tandem::ice {

/// Nothing in it has been authenticated.
struct Glimpse {
  bool request = false;
  std::string_view
      fragment;       // of a request: the receiver's, before the colon of USERNAME. A view of the datagram
  uint32_t mark = 0;  // of an answer: LocalBase::mark of who asked
};

/// Nothing: no Binding request with a USERNAME of two parts, and no answer to one.
std::optional<Glimpse> glimpse(Bytes datagram);

}  // namespace tandem::ice
