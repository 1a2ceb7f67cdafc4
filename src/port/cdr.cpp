#include "port/cdr.h"

#include <algorithm>

#include "cdr.pb.h"

namespace tandem::port {
namespace {

// Highest field numbers of proto/cdr.proto.
constexpr uint64_t last_party_field = 3;
constexpr uint64_t last_leg_field = 18;
constexpr uint64_t last_cdr_field = 21;

bool take_varint(std::string_view& wire, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !wire.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(wire.front());
    wire.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/// Bytes of the field's value after its tag; npos when they are not all there.
size_t value_size(std::string_view wire, uint64_t wire_type) {
  uint64_t length = 0;
  const size_t whole = wire.size();
  switch (wire_type) {
    case 0:
      return take_varint(wire, length) ? whole - wire.size() : std::string_view::npos;
    case 1:
      length = 8;
      break;
    case 5:
      length = 4;
      break;
    case 2:
      if (!take_varint(wire, length)) return std::string_view::npos;
      break;
    default:
      return std::string_view::npos;
  }
  return length <= wire.size() ? whole - wire.size() + length : std::string_view::npos;
}

/// The fields of a serialised message whose numbers are past `last_known`, as they came. The lite runtime
/// keeps them, but hands them out only with the rest.
std::string unknown_fields(std::string_view wire, uint64_t last_known) {
  std::string unknown;
  while (!wire.empty()) {
    const std::string_view field = wire;
    uint64_t tag = 0;
    if (!take_varint(wire, tag)) break;
    const size_t size = value_size(wire, tag & 7);
    if (size == std::string_view::npos) break;
    wire.remove_prefix(size);
    if (tag >> 3 > last_known) unknown += field.substr(0, field.size() - wire.size());
  }
  return unknown;
}

template <class Message>
void keep_unknown(Message& message, const std::string& unknown) {
  if (!unknown.empty()) message.MergeFromString(unknown);
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
  to.set_reported_lost(from.reported_lost);
  to.set_reported_jitter_us(from.reported_jitter_us);
  to.set_reported_mos_x100(from.reported_mos_x100);
  to.set_round_trip_us(from.round_trip_us);
  keep_unknown(to, from.unknown);
}

CdrParty read(const proto::CdrParty& from) {
  return {from.user(), from.domain(), from.display(),
          unknown_fields(from.SerializeAsString(), last_party_field)};
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
  to.reported_lost = from.reported_lost();
  to.reported_jitter_us = from.reported_jitter_us();
  to.reported_mos_x100 = from.reported_mos_x100();
  to.round_trip_us = from.round_trip_us();
  to.unknown = unknown_fields(from.SerializeAsString(), last_leg_field);
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
  m.set_ordered_by(cdr.ordered_by);
  m.set_private_caller(cdr.private_caller);
  m.set_forwarded_by(cdr.forwarded_by);
  for (const std::string& file : cdr.recordings) m.add_recordings(file);
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
  cdr.ordered_by = m.ordered_by();
  cdr.private_caller = m.private_caller();
  cdr.forwarded_by = m.forwarded_by();
  cdr.recordings.assign(m.recordings().begin(), m.recordings().end());
  cdr.route = m.route();
  cdr.unknown = unknown_fields(bytes, last_cdr_field);
  return cdr;
}

}  // namespace tandem::port
