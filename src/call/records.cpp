// What others keep of a call: call detail records and the state of lines.
#include <algorithm>

#include "call/flow.h"

namespace tandem::call {

namespace {

uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

uint32_t microseconds_of(double ms) { return static_cast<uint32_t>(std::clamp(ms, 0.0, 60000.0) * 1000); }
uint32_t hundredths_of(double mos) { return static_cast<uint32_t>(std::clamp(mos, 0.0, 5.0) * 100); }

/// What an order calls over trunks goes out, whichever party it is.
port::Cdr::Direction direction_of(const Call& call, bool from_trunk, bool to_trunk) {
  using Direction = port::Cdr::Direction;
  if (!call.ordered_by.empty() && (from_trunk || to_trunk)) return Direction::outbound;
  if (from_trunk) return to_trunk ? Direction::transit : Direction::inbound;
  return to_trunk ? Direction::outbound : Direction::internal;
}

void describe(port::CdrLeg& to, const Party& p) {
  if (p.sip) {
    to.call_id = p.sip->call_id();
    to.remote = p.sip->path().remote;
    to.transport = p.sip->path().transport;
    to.user_agent = p.sip->remote_agent();
  }
  to.party = {p.user, p.domain, p.display, {}};
  to.trunk = p.trunk;
}

/// Who is at the other end, for who watches a lamp. `private_caller`: of the call.
void show(port::LineCall& to, const Party& other, bool private_caller) {
  const bool nameless = private_caller && other.caller;
  to.remote_uri =
      nameless ? std::string("sip:anonymous@anonymous.invalid") : "sip:" + other.user + "@" + other.domain;
  to.remote_display = nameless ? std::string("Anonymous") : other.display;
  to.remote_aor = other.aor;  // told to nobody
}

}  // namespace

Pairing* CallFlow::pair_of(LegId leg) {
  for (Pairing& p : call_.pairs)
    if (p.open && (p.a == leg || p.b == leg)) return &p;
  return nullptr;
}

void CallFlow::count_media(port::CdrLeg& to, const Party& p, const media::LegStatistics& was) const {
  if (!p.endpoint) return;
  const media::LegStatistics s = layer_.engine.statistics(p.endpoint);
  to.codec = s.codec;
  to.packets_received = minus(s.packets_received, was.packets_received);
  to.octets_received = minus(s.octets_received, was.octets_received);
  to.packets_sent = minus(s.packets_sent, was.packets_sent);
  to.octets_sent = minus(s.octets_sent, was.octets_sent);
  const int64_t lost = std::max<int64_t>(s.packets_lost, 0) - std::max<int64_t>(was.packets_lost, 0);
  to.packets_lost = lost > 0 ? static_cast<uint64_t>(lost) : 0;
  to.jitter_us = microseconds_of(s.jitter_ms);
  to.mos_x100 = hundredths_of(s.mos);
  to.round_trip_us = microseconds_of(s.round_trip_ms);
  if (!s.has_report) return;
  to.reported_lost = static_cast<uint64_t>(std::max(s.report_lost, 0));
  to.reported_jitter_us = microseconds_of(s.report_jitter_ms);
  to.reported_mos_x100 = hundredths_of(s.report_mos);
}

/// What is known of the pair's origin before it is known who its legs are.
port::Cdr CallFlow::new_record() const {
  port::Cdr cdr;
  cdr.setup = turn_.now.wall;
  cdr.dialled = call_.callee;
  cdr.route = call_.rule;
  cdr.ordered_by = call_.ordered_by;
  cdr.private_caller = call_.private_caller;
  if (!call_.setup) return cdr;
  const Setup& setup = *call_.setup;
  cdr.setup = setup.started;
  if (setup.purpose != Setup::Purpose::call && setup.purpose != Setup::Purpose::first)
    cdr.dialled = setup.dialled;
  cdr.forwarded_by = setup.forwarded_by;
  cdr.transferred_by = setup.transferred_by;
  return cdr;
}

Pairing& CallFlow::open_pair(const Party& a, const Party& b) {
  Pairing& pair = call_.pairs.emplace_back();
  pair.number = call_.next_pair++;
  pair.a = a.id;
  pair.b = b.id;
  port::Cdr& cdr = pair.cdr;
  cdr = new_record();
  // Who picks the call up, or takes it over, has not been rung.
  if (call_.setup) cdr.ring = b.attempt == call_.setup->number ? b.rung : call_.setup->rung;
  cdr.direction = direction_of(call_, !a.trunk.empty(), !b.trunk.empty());
  if (a.endpoint) pair.a_before = layer_.engine.statistics(a.endpoint);
  if (b.endpoint) pair.b_before = layer_.engine.statistics(b.endpoint);
  touch();
  return pair;
}

port::CommitId CallFlow::append(port::Cdr& cdr, const Cause& cause, port::Cdr::Side side) {
  cdr.q850_cause = static_cast<uint8_t>(std::min<uint16_t>(cause.q850, 127));
  cdr.release_side = side;
  cdr.end = turn_.now.wall;
  layer_.counters.cdrs.add();
  touch();
  return turn_.out.append(port::encode(cdr));
}

port::CommitId CallFlow::close_pair(Pairing& pair, const Cause& cause, port::Cdr::Side side) {
  if (!pair.open) return 0;
  end_recording(pair);
  pair.open = false;
  port::Cdr cdr = std::move(pair.cdr);
  cdr.key = {layer_.config.node, layer_.config.epoch, call_.id, pair.number};
  const Party* a = party(pair.a);
  const Party* b = party(pair.b);
  if (a) {
    describe(cdr.caller, *a);
    count_media(cdr.caller, *a, pair.a_before);
  }
  if (b && b != a) {
    describe(cdr.callee, *b);
    count_media(cdr.callee, *b, pair.b_before);
  }
  if (a == b) cdr.callee.party = {cdr.dialled, call_.domain, {}, {}};
  return append(cdr, cause, side);
}

/// A leg that was called and goes without having answered: refused, taken back, or broken down.
void CallFlow::record_called(const Party& called, const Cause& cause, port::Cdr::Side side) {
  const Party* from = origin();
  if (!from || called.branch < 0 || called.attempt != call_.setup->number) return;
  if (!called.sip || called.sip->call_id().empty()) return;  // its INVITE was never made
  port::Cdr cdr = new_record();
  cdr.key = {layer_.config.node, layer_.config.epoch, call_.id, call_.next_pair++};
  cdr.ring = called.rung;
  cdr.sip_status = cause.status >= 300 ? cause.status : 487;
  cdr.direction = direction_of(call_, !from->trunk.empty(), !called.trunk.empty());
  if (call_.setup->purpose == Setup::Purpose::first) {
    // It was to be the caller; whom for has not been called.
    describe(cdr.caller, called);
    count_media(cdr.caller, called, {});
    cdr.callee.party = {call_.callee, call_.domain, {}, {}};
    ++call_.setup->records;
    call_.setup->recorded = append(cdr, cause, side);
    return;
  }
  describe(cdr.caller, *from);
  // What the caller hears while several ring is one phone's early media; all it heard belongs to that one.
  if (called.early_media && from->state != Party::State::up) count_media(cdr.caller, *from, {});
  describe(cdr.callee, called);
  count_media(cdr.callee, called, {});
  ++call_.setup->records;
  call_.setup->recorded = append(cdr, cause, side);
}

/// The record of an attempt that called nobody.
port::CommitId CallFlow::record_attempt(const Cause& cause, port::Cdr::Side side) {
  const Party* from = origin();
  if (!from) return 0;
  const Setup& setup = *call_.setup;
  port::Cdr cdr = new_record();
  cdr.key = {layer_.config.node, layer_.config.epoch, call_.id, call_.next_pair++};
  cdr.sip_status = cause.status;
  const bool first = setup.purpose == Setup::Purpose::first;
  const Branch* branch = setup.branches.empty() ? nullptr : &setup.branches.front();
  if (first) {
    cdr.caller.party = {call_.caller, call_.domain, {}, {}};
    cdr.callee.party = {call_.callee, call_.domain, {}, {}};
  } else {
    describe(cdr.caller, *from);
  }
  if (branch && !first) cdr.callee.party = {branch->aor.user, branch->aor.domain, {}, {}};
  cdr.direction = direction_of(call_, !from->trunk.empty(), branch && branch->kind == Branch::Kind::trunk);
  return append(cdr, cause, side);
}

void CallFlow::line(Party& p, port::LineCall::State state) {
  if (p.aor.user.empty() || !p.sip || (p.line_told && p.line == state)) return;
  if (!p.line_told && state == port::LineCall::State::terminated) return;
  p.line = state;
  p.line_told = true;
  port::LineUpdate update;
  update.aor = p.aor;
  port::LineCall& c = update.call;
  c.call = call_.id;
  c.worker = layer_.config.worker;
  c.state = state;
  c.initiator = p.caller;
  c.call_id = p.sip->call_id();
  c.local_tag = p.sip->local_tag();
  c.remote_tag = p.sip->remote_tag();
  c.since = call_.started;
  const Party* other = party(p.partner);
  if (!other && !p.caller) other = origin();
  if (other) {
    show(c, *other, call_.private_caller);
  } else if (p.caller) {
    c.remote_uri = "sip:" + call_.callee + "@" + call_.domain;
  }
  if (!p.caller) c.pickup_group = p.pickup_group;
  // Group pick-up looks at the group's line.
  const bool rings = !p.caller && !p.pickup_group.empty() && state != port::LineCall::State::parked;
  if (rings) {
    port::LineUpdate group = update;
    group.aor = {"pickup+" + p.pickup_group, p.aor.domain};
    if (state == port::LineCall::State::confirmed) group.call.state = port::LineCall::State::terminated;
    turn_.out.lines.push_back(std::move(group));
  }
  turn_.out.lines.push_back(std::move(update));
}

void CallFlow::park_line(Party& p, port::LineCall::State state) {
  if (call_.park_slot.empty() || !p.sip) return;
  port::LineUpdate update;
  update.aor = {"park+" + call_.park_slot, call_.domain};
  port::LineCall& c = update.call;
  c.call = call_.id;
  c.worker = layer_.config.worker;
  c.state = state;
  c.initiator = p.caller;
  c.call_id = p.sip->call_id();
  c.local_tag = p.sip->local_tag();
  c.remote_tag = p.sip->remote_tag();
  show(c, p, call_.private_caller);
  c.since = turn_.now.wall;
  turn_.out.lines.push_back(std::move(update));
  if (state == port::LineCall::State::terminated) call_.park_slot.clear();
}

}  // namespace tandem::call
