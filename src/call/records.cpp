// What others keep of a call: call detail records and the state of lines.
#include <algorithm>

#include "call/flow.h"

namespace tandem::call {

namespace {

uint64_t minus(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

}  // namespace

Pairing* CallFlow::pair_of(LegId leg) {
  for (Pairing& p : call_.pairs)
    if (p.open && (p.a == leg || p.b == leg)) return &p;
  return nullptr;
}

void CallFlow::fill_leg(port::CdrLeg& to, const Party& p, const media::LegStatistics* before) const {
  if (p.sip) {
    to.call_id = p.sip->call_id();
    to.remote = p.sip->path().remote;
    to.transport = p.sip->path().transport;
    to.user_agent = p.sip->remote_agent();
  }
  to.party = {p.user, p.domain, p.display, {}};
  to.trunk = p.trunk;
  if (!p.endpoint) return;
  const media::LegStatistics s = layer_.engine.statistics(p.endpoint);
  const media::LegStatistics none;
  const media::LegStatistics& was = before ? *before : none;
  to.codec = s.codec;
  to.packets_received = minus(s.packets_received, was.packets_received);
  to.octets_received = minus(s.octets_received, was.octets_received);
  to.packets_sent = minus(s.packets_sent, was.packets_sent);
  to.octets_sent = minus(s.octets_sent, was.octets_sent);
  const int64_t lost = std::max<int64_t>(s.packets_lost, 0) - std::max<int64_t>(was.packets_lost, 0);
  to.packets_lost = lost > 0 ? static_cast<uint64_t>(lost) : 0;
  to.jitter_us = static_cast<uint32_t>(std::clamp(s.jitter_ms, 0.0, 60000.0) * 1000);
  to.mos_x100 = static_cast<uint32_t>(std::clamp(s.mos, 0.0, 5.0) * 100);
}

Pairing& CallFlow::open_pair(const Party& a, const Party& b) {
  Pairing& pair = call_.pairs.emplace_back();
  pair.number = call_.next_pair++;
  pair.a = a.id;
  pair.b = b.id;
  port::Cdr& cdr = pair.cdr;
  cdr.setup = turn_.now.wall;
  cdr.dialled = call_.callee;
  cdr.route = call_.rule;
  if (call_.setup) {
    cdr.setup = call_.setup->started;
    cdr.ring = call_.setup->rung;
    cdr.dialled = call_.setup->purpose == Setup::Purpose::call ? call_.callee : call_.setup->dialled;
    cdr.forwarded_by = call_.setup->forwarded_by;
    cdr.transferred_by = call_.setup->transferred_by;
  }
  cdr.direction = a.trunk.empty()
                      ? (b.trunk.empty() ? port::Cdr::Direction::internal : port::Cdr::Direction::outbound)
                      : (b.trunk.empty() ? port::Cdr::Direction::inbound : port::Cdr::Direction::transit);
  if (a.endpoint) pair.a_before = layer_.engine.statistics(a.endpoint);
  if (b.endpoint) pair.b_before = layer_.engine.statistics(b.endpoint);
  touch();
  return pair;
}

port::CommitId CallFlow::append(port::Cdr& cdr) {
  cdr.end = turn_.now.wall;
  layer_.counters.cdrs.add();
  return turn_.out.append(port::encode(cdr));
}

port::CommitId CallFlow::close_pair(Pairing& pair, const Cause& cause, port::Cdr::Side side) {
  if (!pair.open) return 0;
  pair.open = false;
  port::Cdr cdr = std::move(pair.cdr);
  cdr.key = {layer_.config.node, layer_.config.epoch, call_.id, pair.number};
  const Party* a = party(pair.a);
  const Party* b = party(pair.b);
  if (a) fill_leg(cdr.caller, *a, &pair.a_before);
  if (b && b != a) fill_leg(cdr.callee, *b, &pair.b_before);
  if (a == b) cdr.callee.party = {cdr.dialled, call_.domain, {}, {}};
  cdr.q850_cause = static_cast<uint8_t>(std::min<uint16_t>(cause.q850, 127));
  cdr.release_side = side;
  touch();
  return append(cdr);
}

/// The record of a call (or of a transfer's new call) that nobody answered.
port::CommitId CallFlow::record_unanswered(const Cause& cause, port::Cdr::Side side) {
  if (!call_.setup) return 0;
  const Setup& setup = *call_.setup;
  const Party* from = origin();
  if (!from) return 0;
  port::Cdr cdr;
  cdr.key = {layer_.config.node, layer_.config.epoch, call_.id, call_.next_pair++};
  cdr.setup = setup.started.ns ? setup.started : call_.started;
  cdr.ring = setup.rung;
  cdr.dialled = setup.purpose == Setup::Purpose::call ? call_.callee : setup.dialled;
  cdr.route = setup.rule;
  cdr.forwarded_by = setup.forwarded_by;
  cdr.transferred_by = setup.transferred_by;
  cdr.sip_status = cause.status;
  cdr.q850_cause = static_cast<uint8_t>(std::min<uint16_t>(cause.q850, 127));
  cdr.release_side = side;
  fill_leg(cdr.caller, *from, nullptr);
  const Party* called = nullptr;
  for (const auto& p : call_.parties)
    if (p->attempt == setup.number && p->id != from->id) called = p.get();
  if (called) fill_leg(cdr.callee, *called, nullptr);
  if (!called && !setup.branches.empty())
    cdr.callee.party = {setup.branches.front().aor.user, setup.branches.front().aor.domain, {}, {}};
  const bool inbound = !from->trunk.empty();
  const bool outbound = called && !called->trunk.empty();
  cdr.direction = inbound ? (outbound ? port::Cdr::Direction::transit : port::Cdr::Direction::inbound)
                          : (outbound ? port::Cdr::Direction::outbound : port::Cdr::Direction::internal);
  touch();
  return append(cdr);
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
    c.remote_uri = "sip:" + other->user + "@" + other->domain;
    c.remote_display = other->display;
    c.remote_aor = other->aor;
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
  c.remote_uri = "sip:" + p.user + "@" + p.domain;
  c.remote_display = p.display;
  c.remote_aor = p.aor;
  c.since = turn_.now.wall;
  turn_.out.lines.push_back(std::move(update));
  if (state == port::LineCall::State::terminated) call_.park_slot.clear();
}

}  // namespace tandem::call
