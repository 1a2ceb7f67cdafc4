#pragma once
// What the registrar's own source files share.
#include <string>
#include <string_view>
#include <vector>

#include "registrar/registrar.h"

namespace tandem::registrar {

struct Registrar::Aor {
  std::string key;  // user@domain
  uint16_t user_size = 0;
  bool dirty = false;
  bool complete = false;   // stored bindings that are not here were removed: they stay out
  port::AskId saving = 0;  // the open question, 0: none
  Instant armed = Instant::never();
  Instant saved_until =
      Instant{};  // up to when what the store has would still serve; 0: it has to be written
  std::vector<Binding> bindings;

  std::string_view user() const { return std::string_view(key).substr(0, user_size); }
  std::string_view domain() const { return std::string_view(key).substr(user_size + 1u); }
  port::AddressOfRecord aor() const { return {std::string(user()), std::string(domain())}; }
};

/// One Contact of a REGISTER. Views into the message.
struct Registrar::Wanted {
  std::string_view uri;
  sip::Uri parsed;
  std::string_view instance;
  uint32_t reg_id = 0;
  uint32_t expires = 0;  // seconds, 0: remove
  uint16_t q = 1000;
};

struct Registrar::Request {
  port::AddressOfRecord aor;
  uint32_t max_contacts = 0;
  bool star = false;      // Contact: *
  bool outbound = false;  // RFC 5626 is asked for and possible
  bool wants_gruu = false;
  uint32_t vias = 0;
  std::string routes;  // Path set, one per line
  bool first_hop_outbound = false;
  std::vector<Wanted> contacts;
};

/// The binding that a contact names (section 10.3 step 7, RFC 5626 section 6), or the end.
template <class Bindings, class Contact>
auto match(Bindings& bindings, const Contact& wanted, bool outbound) {
  auto it = bindings.begin();
  for (; it != bindings.end(); ++it) {
    if (outbound && wanted.reg_id != 0) {
      if (it->outbound && it->reg_id == wanted.reg_id && it->instance() == wanted.instance) break;
      continue;
    }
    if (it->uri() == wanted.uri) break;
    const auto parsed = sip::Uri::parse(it->uri());
    if (parsed && sip::equivalent(*parsed, wanted.parsed)) break;
  }
  return it;
}

}  // namespace tandem::registrar
