#include "port/cdr.h"

#include <algorithm>

#include "cdr.pb.h"

namespace tandem::port {
namespace {

// Unknown fields are kept as their wire bytes: appended to the encoding they mean the same again.
template <class Message>
void keep_unknown(Message& message, const std::string& unknown) {
  if (!unknown.empty()) *message.mutable_unknown_fields() = unknown;
}

void write(const CdrParty& from, proto::CdrParty& to) {
  to.set_user(from.user);
  to.set_domain(from.domain);
  to.set_display(from.display);
  keep_unknown(to, from.unknown);
}

void write(const CdrLeg& from, proto::CdrLeg& to) {
  to.set_call_id(from.call_id);
  write(from.party, *to.mutable_party());
  if (from.remote) to.set_remote(from.remote.to_string());
  to.set_transport(static_cast<uint32_t>(from.transport));
  to.set_trunk(from.trunk);
  to.set_codec(from.codec);
  to.set_user_agent(from.user_agent);
  to.set_packets_received(from.packets_received);
  to.set_octets_received(from.octets_received);
  to.set_packets_sent(from.packets_sent);
  to.set_octets_sent(from.octets_sent);
  to.set_packets_lost(from.packets_lost);
  to.set_jitter_us(from.jitter_us);
  to.set_mos_x100(from.mos_x100);
  keep_unknown(to, from.unknown);
}

CdrParty read(const proto::CdrParty& from) {
  return {from.user(), from.domain(), from.display(), from.unknown_fields()};
}

CdrLeg read(const proto::CdrLeg& from) {
  CdrLeg to;
  to.call_id = from.call_id();
  to.party = read(from.party());
  to.remote = SocketAddress::parse(from.remote()).value_or(SocketAddress{});
  to.transport = static_cast<Transport>(std::min<uint32_t>(from.transport(), 4));
  to.trunk = from.trunk();
  to.codec = from.codec();
  to.user_agent = from.user_agent();
  to.packets_received = from.packets_received();
  to.octets_received = from.octets_received();
  to.packets_sent = from.packets_sent();
  to.octets_sent = from.octets_sent();
  to.packets_lost = from.packets_lost();
  to.jitter_us = from.jitter_us();
  to.mos_x100 = from.mos_x100();
  to.unknown = from.unknown_fields();
  return to;
}

}  // namespace

std::string encode(const Cdr& cdr) {
  proto::Cdr m;
  m.set_node(cdr.key.node);
  m.set_epoch(cdr.key.epoch);
  m.set_call(cdr.key.call);
  m.set_pair(cdr.key.pair);
  m.set_direction(static_cast<uint32_t>(cdr.direction));
  m.set_setup_ns(cdr.setup.ns);
  m.set_ring_ns(cdr.ring.ns);
  m.set_answer_ns(cdr.answer.ns);
  m.set_end_ns(cdr.end.ns);
  write(cdr.caller, *m.mutable_caller());
  write(cdr.callee, *m.mutable_callee());
  m.set_dialled(cdr.dialled);
  m.set_sip_status(cdr.sip_status);
  m.set_q850_cause(cdr.q850_cause);
  m.set_release_side(static_cast<uint32_t>(cdr.release_side));
  m.set_transferred_by(cdr.transferred_by);
  m.set_forwarded_by(cdr.forwarded_by);
  m.set_route(cdr.route);
  keep_unknown(m, cdr.unknown);
  return m.SerializeAsString();
}

std::optional<Cdr> decode(std::string_view bytes) {
  proto::Cdr m;
  if (bytes.size() > 0x7fffffff || !m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return std::nullopt;
  Cdr cdr;
  cdr.key = {static_cast<uint16_t>(std::min<uint32_t>(m.node(), 0xffff)), m.epoch(), m.call(), m.pair()};
  cdr.direction = static_cast<Cdr::Direction>(std::min<uint32_t>(m.direction(), 3));
  cdr.setup.ns = m.setup_ns();
  cdr.ring.ns = m.ring_ns();
  cdr.answer.ns = m.answer_ns();
  cdr.end.ns = m.end_ns();
  cdr.caller = read(m.caller());
  cdr.callee = read(m.callee());
  cdr.dialled = m.dialled();
  cdr.sip_status = static_cast<uint16_t>(std::min<uint32_t>(m.sip_status(), 699));
  cdr.q850_cause = static_cast<uint8_t>(std::min<uint32_t>(m.q850_cause(), 127));
  cdr.release_side = static_cast<Cdr::Side>(std::min<uint32_t>(m.release_side(), 2));
  cdr.transferred_by = m.transferred_by();
  cdr.forwarded_by = m.forwarded_by();
  cdr.route = m.route();
  cdr.unknown = m.unknown_fields();
  return cdr;
}

}  // namespace tandem::port
