#pragma once
// One registered contact, small: there may be a million of them.
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "port/ask.h"
#include "port/flow.h"

namespace tandem::proto {
class BindingPart;
}

namespace tandem::registrar {

/// The texts of a binding in one allocation.
class Texts {
 public:
  enum Field : uint8_t { uri, call_id, instance, user_agent, routes, field_count };
  using Views = std::array<std::string_view, field_count>;

  Texts() = default;
  /// Each at most 65535 bytes.
  explicit Texts(const Views& views);
  std::string_view get(Field field) const;
  Views views() const;

 private:
  std::unique_ptr<char[]> block_;  // field_count lengths of 16 bits, then the texts
};

/// RFC 3261 section 10.3, RFC 3327, RFC 5626.
struct Binding {
  Texts texts;  // routes: the Path set, one value per line
  Instant expires;
  port::Path path;  // as the REGISTER came
  uint32_t cseq = 0;
  uint32_t reg_id = 0;
  uint32_t serial = 0;  // later registrations have higher ones
  uint16_t q = 1000;
  bool fixed = false;      // path.remote is where to send
  bool outbound = false;   // identified by instance and reg-id
  bool flow_only = false;  // behind a NAT or a WebSocket: without its connection nobody reaches it
  bool flow_lost = false;  // and that connection is gone (after a restart)

  std::string_view uri() const { return texts.get(Texts::uri); }
  std::string_view instance() const { return texts.get(Texts::instance); }
  bool reachable() const { return !(flow_only && flow_lost); }
  /// Its connection has closed, and whether its URI listens nobody knows: the first to go for want of room.
  bool connection_gone() const {
    const bool closed = flow_lost || (port::is_reliable(path.transport) && !path.flow);
    return closed && texts.get(Texts::routes).empty();
  }
  /// Identity inside the AOR: "<instance>;reg-id" or the URI.
  std::string key() const;
};

/// The node and boot in which a FlowId means something.
struct Boot {
  uint16_t node = 0;
  uint16_t epoch = 0;
};

void write_part(Now now, Boot boot, const Binding& binding, proto::BindingPart& part);
/// Nothing when the part makes no sense. A flow of another boot is gone: the address it came from stays.
bool read_part(Now now, Boot boot, const proto::BindingPart& part, Binding& binding);

port::Contact to_contact(const Binding& binding);

}  // namespace tandem::registrar
