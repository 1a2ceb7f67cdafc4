#pragma once
// Small values in proto/call.proto and back. Internal to the call room.
#include "call.pb.h"
#include "call/call.h"

namespace tandem::call {

inline void write(const port::Path& from, proto::CallPath& to) {
  to.set_transport(static_cast<uint32_t>(from.transport));
  to.set_realm(from.realm);
  to.set_flow_node(from.flow.node);
  to.set_flow_worker(from.flow.worker);
  to.set_flow_slot(from.flow.slot);
  to.set_flow_generation(from.flow.generation);
  if (from.local) to.set_local(from.local.to_string());
  if (from.remote) to.set_remote(from.remote.to_string());
}
inline port::Path read(const proto::CallPath& from) {
  port::Path to;
  to.transport = static_cast<port::Transport>(std::min<uint32_t>(from.transport(), 4));
  to.realm = static_cast<port::RealmId>(from.realm());
  to.flow = {static_cast<uint16_t>(from.flow_node()), static_cast<uint16_t>(from.flow_worker()),
             from.flow_slot(), from.flow_generation()};
  to.local = SocketAddress::parse(from.local()).value_or(SocketAddress{});
  to.remote = SocketAddress::parse(from.remote()).value_or(SocketAddress{});
  return to;
}

inline void write(const Cause& from, proto::CallCause& to) {
  to.set_status(from.status);
  to.set_q850(from.q850);
  to.set_text(from.text);
}
inline Cause read(const proto::CallCause& from) {
  Cause to;
  to.status = static_cast<uint16_t>(std::min<uint32_t>(from.status(), 699));
  to.q850 = static_cast<uint16_t>(std::min<uint32_t>(from.q850(), 127));
  to.text = from.text();
  return to;
}

inline void write(const route::CallSource& from, proto::CallSource& to) {
  if (const auto* s = std::get_if<route::FromSubscriber>(&from)) {
    to.set_user(s->aor.user);
    to.set_domain(s->aor.domain);
    to.set_call_class(static_cast<uint32_t>(s->call_class));
    to.set_caller_number(s->caller_number);
    to.set_pickup_group(s->pickup_group);
  } else if (const auto* t = std::get_if<route::FromTrunk>(&from)) {
    to.set_kind(1);
    to.set_trunk(t->name);
    to.set_caller_number(t->caller_number);
  } else if (const auto* p = std::get_if<route::FromPlan>(&from)) {
    to.set_kind(2);
    to.set_caller_number(p->caller_number);
  }
}
inline route::CallSource read(const proto::CallSource& from) {
  if (from.kind() == 1) return route::FromTrunk{from.trunk(), from.caller_number()};
  if (from.kind() == 2) return route::FromPlan{from.caller_number()};
  return route::FromSubscriber{{from.user(), from.domain()},
                               static_cast<port::CallClass>(std::min<uint32_t>(from.call_class(), 2)),
                               from.caller_number(),
                               from.pickup_group()};
}

template <class E>
E clamp_enum(uint32_t value, E last) {
  return value > static_cast<uint32_t>(last) ? E{} : static_cast<E>(value);
}

}  // namespace tandem::call
