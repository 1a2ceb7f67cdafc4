// A call as bytes and back (proto/call.proto). Credentials are never written: a restored leg finds its
// trunk's in the plan.
#include <algorithm>

#include "call/flow.h"
#include "call/part_codec.h"
#include "call/stand_in.h"

namespace tandem::call {
namespace {

constexpr uint32_t part_format = 1;

void write(const port::AddressOfRecord& aor, auto& to) {
  to.set_aor_user(aor.user);
  to.set_aor_domain(aor.domain);
}

void write(Now now, const Party& p, proto::CallParty& to) {
  to.set_id(p.id);
  if (p.sip) p.sip->save(now, *to.mutable_sip());
  to.set_has_endpoint(static_cast<bool>(p.endpoint));
  to.set_state(static_cast<uint32_t>(p.state));
  to.set_caller(p.caller);
  write(p.aor, to);
  to.set_user(p.user);
  to.set_domain(p.domain);
  to.set_display(p.display);
  to.set_pickup_group(p.pickup_group);
  to.set_trunk(p.trunk);
  call::write(p.source, *to.mutable_source());
  to.set_realm(p.realm);
  to.set_partner(p.partner);
  to.set_branch(p.branch);
  to.set_attempt(p.attempt);
  to.set_has_sdp(p.has_sdp);
  to.set_early_media(p.early_media);
  to.set_holds(p.holds);
  to.set_music(p.music);
  to.set_negotiation(static_cast<uint32_t>(p.negotiation));
  to.set_negotiation_until(deadline_to_wall(now, p.negotiation_until));
  to.set_farewell_until(deadline_to_wall(now, p.farewell_until));
  if (!p.farewell_until.is_never()) call::write(p.farewell, *to.mutable_farewell());
  to.set_line(static_cast<uint32_t>(p.line));
  to.set_line_told(p.line_told);
  to.set_early_body(p.early_body);
  to.set_dtmf_form(static_cast<uint32_t>(p.dtmf_form));
  to.set_seat(p.seat);
  to.set_rung_ns(p.rung.ns);
  to.set_recording(static_cast<uint32_t>(p.recording));
}

void read(Now now, const proto::CallParty& from, Party& p) {
  p.id = static_cast<LegId>(from.id());
  p.state = clamp_enum(from.state(), Party::State::gone);
  p.caller = from.caller();
  p.aor = {from.aor_user(), from.aor_domain()};
  p.user = from.user();
  p.domain = from.domain();
  p.display = from.display();
  p.pickup_group = from.pickup_group();
  p.trunk = from.trunk();
  p.source = call::read(from.source());
  p.realm = static_cast<port::RealmId>(from.realm());
  p.partner = static_cast<LegId>(from.partner());
  p.branch = from.branch();
  p.rung.ns = from.rung_ns();
  p.recording = clamp_enum(from.recording(), port::RecordPolicy::silent);
  p.attempt = from.attempt();
  p.has_sdp = from.has_sdp();
  p.early_media = from.early_media();
  p.holds = from.holds();
  p.music = from.music();
  p.negotiation = clamp_enum(from.negotiation(), Negotiation::own);
  p.negotiation_until = deadline_from_wall(now, from.negotiation_until());
  p.farewell_until = deadline_from_wall(now, from.farewell_until());
  p.farewell = call::read(from.farewell());
  p.line = clamp_enum(from.line(), port::LineCall::State::terminated);
  p.line_told = from.line_told();
  p.early_body = from.early_body();
  p.dtmf_form = clamp_enum(from.dtmf_form(), DtmfForm::plain);
  p.seat = from.seat();
}

void write(const media::LegStatistics& s, proto::CallCounts& to) {
  to.set_packets_received(s.packets_received);
  to.set_octets_received(s.octets_received);
  to.set_packets_sent(s.packets_sent);
  to.set_octets_sent(s.octets_sent);
  to.set_packets_lost(s.packets_lost);
}

media::LegStatistics read(const proto::CallCounts& from) {
  media::LegStatistics s;
  s.packets_received = from.packets_received();
  s.octets_received = from.octets_received();
  s.packets_sent = from.packets_sent();
  s.octets_sent = from.octets_sent();
  s.packets_lost = from.packets_lost();
  return s;
}

void write(Now now, const Branch& b, proto::CallBranch& to) {
  to.set_state(static_cast<uint32_t>(b.state));
  to.set_kind(static_cast<uint32_t>(b.kind));
  write(b.aor, to);
  to.set_gruu(b.gruu);
  for (const route::TrunkHop& h : b.hops) {
    auto* hop = to.add_hops();
    hop->set_trunk(h.trunk);
    hop->set_number(h.number);
    hop->set_caller_number(h.caller_number);
  }
  to.set_hop(static_cast<uint32_t>(b.hop));
  to.set_uri(b.uri);
  to.set_start(deadline_to_wall(now, b.start));
  to.set_ring(b.ring.count());
  to.set_stop(deadline_to_wall(now, b.stop));
  to.set_forwards(b.forwards);
  to.set_skip_busy(b.skip_busy);
  to.set_own(b.own);
  to.set_rang(b.rang);
  for (const NextHop& h : b.addresses) {
    call::write(h.path, *to.add_addresses());
    to.add_server_names(h.server_name);
  }
  to.set_address(static_cast<uint32_t>(b.address));
  call::write(b.cause, *to.mutable_cause());
  to.set_realm(b.realm);
  if (!b.profile) return;
  call::write(route::FromSubscriber{b.profile->aor, b.profile->call_class, b.profile->caller_number,
                                    b.profile->pickup_group},
              *to.mutable_profile());
  to.set_forward_busy(b.profile->forwarding.busy);
  to.set_forward_no_answer(b.profile->forwarding.no_answer);
  to.set_forward_unreachable(b.profile->forwarding.unreachable);
  for (const std::string& codec : b.profile->codecs) to.add_codecs(codec);
  to.set_srtp(static_cast<uint32_t>(b.profile->srtp));
  to.set_recording(static_cast<uint32_t>(b.profile->recording));
  to.set_dtmf(static_cast<uint32_t>(b.profile->dtmf));
}

void read(Now now, const proto::CallBranch& from, Branch& b) {
  b.state = clamp_enum(from.state(), Branch::State::done);
  b.kind = clamp_enum(from.kind(), Branch::Kind::uri);
  b.aor = {from.aor_user(), from.aor_domain()};
  b.gruu = from.gruu();
  for (const auto& h : from.hops()) b.hops.push_back({h.trunk(), h.number(), h.caller_number()});
  b.hop = from.hop();
  b.uri = from.uri();
  b.start = deadline_from_wall(now, from.start());
  b.ring = Duration(from.ring());
  b.stop = deadline_from_wall(now, from.stop());
  b.forwards = from.forwards();
  b.skip_busy = from.skip_busy();
  b.own = from.own();
  b.rang = from.rang();
  for (int i = 0; i < from.addresses_size() && i < from.server_names_size(); ++i)
    b.addresses.push_back({call::read(from.addresses(i)), from.server_names(i)});
  b.address = std::min<size_t>(from.address(), b.addresses.size());
  b.cause = call::read(from.cause());
  b.realm = static_cast<port::RealmId>(from.realm());
  if (!from.has_profile()) return;
  auto row = std::make_shared<port::Subscriber>();
  const route::CallSource source = call::read(from.profile());
  if (const auto* s = std::get_if<route::FromSubscriber>(&source)) {
    row->aor = s->aor;
    row->call_class = s->call_class;
    row->caller_number = s->caller_number;
    row->pickup_group = s->pickup_group;
  }
  row->forwarding.busy = from.forward_busy();
  row->forwarding.no_answer = from.forward_no_answer();
  row->forwarding.unreachable = from.forward_unreachable();
  row->codecs.assign(from.codecs().begin(), from.codecs().end());
  row->srtp = clamp_enum(from.srtp(), port::SrtpPolicy::required);
  row->recording = clamp_enum(from.recording(), port::RecordPolicy::silent);
  row->dtmf = clamp_enum(from.dtmf(), port::DtmfPolicy::inband);
  b.profile = std::move(row);
}

void write(Now now, const Setup& s, proto::CallSetup& to) {
  to.set_purpose(static_cast<uint32_t>(s.purpose));
  to.set_number(s.number);
  to.set_origin(s.origin);
  to.set_referrer(s.referrer);
  call::write(s.source, *to.mutable_source());
  to.set_dialled(s.dialled);
  to.set_domain(s.domain);
  to.set_rule(s.rule);
  to.set_otherwise(s.otherwise);
  for (const Diversion& d : s.diversions) {
    auto* one = to.add_diversions();
    one->set_uri(d.uri);
    one->set_reason(d.reason);
  }
  for (const std::string& t : s.seen) to.add_seen(t);
  to.set_forwards(s.forwards);
  for (const Branch& b : s.branches) write(now, b, *to.add_branches());
  to.set_group_until(deadline_to_wall(now, s.group_until));
  to.set_started_ns(s.started.ns);
  to.set_rung_ns(s.rung.ns);
  to.set_told_status(static_cast<uint32_t>(s.told_status));
  call::write(s.best, *to.mutable_best());
  to.set_forwarded_by(s.forwarded_by);
  to.set_transferred_by(s.transferred_by);
  to.set_emergency(s.emergency);
  to.set_records(s.records);
  for (const Redirection& r : s.redirections) {
    auto* one = to.add_redirections();
    one->set_branch(static_cast<uint32_t>(r.branch));
    one->set_target(r.target);
    one->set_diversions(static_cast<uint32_t>(r.diversions));
  }
  to.set_gruu_user(s.gruu.aor.user);
  to.set_gruu_domain(s.gruu.aor.domain);
  to.set_gruu(s.gruu.gruu);
  to.set_has_fallback(s.fallback.has_value() || s.reroute);
  to.set_mailbox_user(s.mailbox.user);
  to.set_mailbox_domain(s.mailbox.domain);
}

void read(Now now, const proto::CallSetup& from, Setup& s) {
  s.purpose = clamp_enum(from.purpose(), Setup::Purpose::first);
  s.number = from.number();
  s.origin = static_cast<LegId>(from.origin());
  s.referrer = static_cast<LegId>(from.referrer());
  s.source = call::read(from.source());
  s.dialled = from.dialled();
  s.domain = from.domain();
  s.rule = from.rule();
  s.otherwise = from.otherwise();
  for (const auto& d : from.diversions()) s.diversions.push_back({d.uri(), d.reason()});
  s.seen.assign(from.seen().begin(), from.seen().end());
  s.forwards = from.forwards();
  for (const auto& b : from.branches()) read(now, b, s.branches.emplace_back());
  s.group_until = deadline_from_wall(now, from.group_until());
  s.started.ns = from.started_ns();
  s.rung.ns = from.rung_ns();
  s.told_status = static_cast<int>(from.told_status());
  s.best = call::read(from.best());
  s.forwarded_by = from.forwarded_by();
  s.transferred_by = from.transferred_by();
  s.emergency = from.emergency();
  s.records = from.records();
  for (const auto& r : from.redirections())
    if (r.branch() < s.branches.size()) s.redirections.push_back({r.branch(), r.target(), r.diversions()});
  s.reroute = from.has_fallback();
  s.mailbox = {from.mailbox_user(), from.mailbox_domain()};
  s.gruu = {{from.gruu_user(), from.gruu_domain()}, from.gruu()};
}

void write(Now now, const Attendance& a, proto::CallAttendance& to) {
  to.set_leg(a.leg);
  to.set_number(a.number);
  to.set_machine(a.machine->snapshot(now));
  to.set_saying(a.saying);
  to.set_recording(a.recording.has_value());
  to.set_room(a.room);
  to.set_moderator(a.moderator);
  to.set_muted(a.muted);
  to.set_waits(a.waits);
  to.set_door(a.door);
  to.set_awaits_answer(a.awaits_answer);
}

/// False: the machine is none we know.
bool read(Now now, const proto::CallAttendance& from, Call& call) {
  auto machine = service::restore(now, from.machine());
  if (!machine.ok()) return false;
  call.attendance = std::make_unique<Attendance>();
  Attendance& a = *call.attendance;
  a.leg = static_cast<LegId>(from.leg());
  a.number = from.number();
  a.machine = std::move(*machine);
  a.saying = from.saying();
  if (from.recording()) a.recording.emplace();
  a.room = from.room();
  a.moderator = from.moderator();
  a.muted = from.muted();
  a.waits = from.waits();
  a.door = from.door();
  a.awaits_answer = from.awaits_answer();
  return true;
}

void write_call(Now now, const Call& call, proto::CallPart& to) {
  to.set_format(part_format);
  to.set_id(call.id);
  to.set_shard(call.shard);
  to.set_realm(call.realm);
  to.set_domain(call.domain);
  to.set_state(static_cast<uint32_t>(call.state));
  for (const auto& p : call.parties) write(now, *p, *to.add_parties());
  for (const Pairing& pair : call.pairs) {
    if (!pair.open) continue;
    auto* one = to.add_pairs();
    one->set_number(pair.number);
    one->set_a(pair.a);
    one->set_b(pair.b);
    one->set_cdr(port::encode(pair.cdr));
    one->set_recording(pair.recording);
    write(pair.a_before, *one->mutable_a_before());
    write(pair.b_before, *one->mutable_b_before());
  }
  if (call.setup) write(now, *call.setup, *to.mutable_setup());
  for (const OpenAsk& a : call.asks) {
    auto* one = to.add_asks();
    one->set_what(static_cast<uint32_t>(a.what));
    one->set_attempt(a.attempt);
    one->set_branch(a.branch);
    one->set_service(a.service);
  }
  for (const auto& [name, value] : call.passed) {
    auto* h = to.add_passed();
    h->set_name(name);
    h->set_value(value);
  }
  to.set_max_forwards(call.max_forwards);
  to.set_private_caller(call.private_caller);
  to.set_started_ns(call.started.ns);
  to.set_answered_ns(call.answered.ns);
  to.set_caller(call.caller);
  to.set_callee(call.callee);
  to.set_rule(call.rule);
  to.set_ordered_by(call.ordered_by);
  to.set_setup_until(deadline_to_wall(now, call.setup_until));
  to.set_park_until(deadline_to_wall(now, call.park_until));
  to.set_feature_until(deadline_to_wall(now, call.feature_until));
  to.set_park_slot(call.park_slot);
  to.set_parker(call.parker);
  to.set_park_probe(call.park_probe);
  to.set_park_any(call.park_any);
  if (call.feature) {
    to.set_has_feature(true);
    to.set_feature(static_cast<uint32_t>(call.feature->kind));
    to.set_feature_argument(call.feature->argument);
  }
  to.set_feature_leg(call.feature_leg);
  to.set_feature_asks(call.feature_asks);
  to.set_feature_failed(call.feature_failed);
  to.set_next_pair(call.next_pair);
  to.set_next_attempt(call.next_attempt);
  to.set_next_leg(call.next_leg);
  to.set_merge_key(call.merge_key);
  to.set_seat(call.seat);
  to.set_next_service(call.next_service);
  if (call.attendance) write(now, *call.attendance, *to.mutable_attendance());
  for (const Reservation& r : call.reservations) {
    auto* one = to.add_reservations();
    one->set_seat(r.seat);
    one->set_trunk(r.trunk);
    one->set_attempt(r.attempt);
    one->set_branch(r.branch);
    one->set_hop(static_cast<uint32_t>(r.hop));
  }
}

void read_call(Now now, const proto::CallPart& from, Call& call) {
  call.id = from.id();
  call.shard = static_cast<uint16_t>(from.shard() % sip::shard_count);
  call.realm = static_cast<port::RealmId>(from.realm());
  call.domain = from.domain();
  call.state = clamp_enum(from.state(), Call::State::releasing);
  for (const auto& p : from.pairs()) {
    Pairing& pair = call.pairs.emplace_back();
    pair.number = p.number();
    pair.a = static_cast<LegId>(p.a());
    pair.b = static_cast<LegId>(p.b());
    pair.cdr = port::decode(p.cdr()).value_or(port::Cdr{});
    pair.recording = static_cast<LegId>(p.recording());
    pair.a_before = read(p.a_before());
    pair.b_before = read(p.b_before());
  }
  if (from.has_setup()) read(now, from.setup(), call.setup.emplace());
  for (const auto& h : from.passed()) call.passed.emplace_back(h.name(), h.value());
  call.max_forwards = from.max_forwards();
  call.private_caller = from.private_caller();
  call.started.ns = from.started_ns();
  call.answered.ns = from.answered_ns();
  call.caller = from.caller();
  call.callee = from.callee();
  call.rule = from.rule();
  call.ordered_by = from.ordered_by();
  call.setup_until = deadline_from_wall(now, from.setup_until());
  call.park_until = deadline_from_wall(now, from.park_until());
  call.feature_until = deadline_from_wall(now, from.feature_until());
  call.park_slot = from.park_slot();
  call.parker = from.parker();
  call.park_probe = from.park_probe();
  call.park_any = from.park_any();
  if (from.has_feature())
    call.feature = route::FeatureCall{clamp_enum(from.feature(), port::Feature::voicemail_leave),
                                      from.feature_argument()};
  call.feature_leg = static_cast<LegId>(from.feature_leg());
  call.feature_asks = from.feature_asks();
  call.feature_failed = from.feature_failed();
  call.next_pair = from.next_pair();
  call.next_attempt = from.next_attempt();
  call.next_leg = static_cast<LegId>(from.next_leg());
  call.merge_key = from.merge_key();
  call.seat = from.seat();
  call.next_service = from.next_service();
  for (const auto& r : from.reservations())
    call.reservations.push_back({r.seat(), r.trunk(), r.attempt(), r.branch(), r.hop()});
}

}  // namespace

std::string Layer::part_of(Now now, Call& call, bool with_transactions) {
  proto::CallPart part;
  write_call(now, call, part);
  if (call.attendance)
    if (const auto it = meetings.find(call.attendance->room); it != meetings.end())
      part.mutable_attendance()->set_locked(it->second.locked);
  std::vector<media::EndpointId> endpoints;
  for (const auto& p : call.parties)
    if (p->endpoint) endpoints.push_back(p->endpoint);
  if (!endpoints.empty()) part.set_media(engine.snapshot(now, endpoints));
  if (with_transactions) {
    std::vector<std::string> transactions_taken;
    for (const auto& p : call.parties)
      if (p->sip) p->sip->take_transactions(now, transactions_taken);
    for (std::string& t : transactions_taken) part.add_transactions(std::move(t));
  }
  return part.SerializeAsString();
}

/// Null when the bytes are no call, or its ports are taken: nothing is left behind then.
Call* Layer::call_from(Now now, std::string_view bytes) {
  proto::CallPart part;
  const bool parsed =
      bytes.size() < 0x7fffffff && part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (!parsed || part.format() != part_format || part.id() == 0 || calls.count(part.id())) return nullptr;
  auto call = std::make_unique<Call>();
  read_call(now, part, *call);
  std::vector<media::EndpointId> endpoints;
  if (!part.media().empty()) {
    auto restored = engine.restore(now, part.media());
    if (!restored.ok()) return nullptr;
    endpoints = std::move(*restored);
  }
  size_t next_endpoint = 0;
  bool whole = true;
  for (const auto& from : part.parties()) {
    auto p = std::make_unique<Party>();
    read(now, from, *p);
    if (from.has_endpoint()) {
      if (next_endpoint < endpoints.size())
        p->endpoint = endpoints[next_endpoint++];
      else
        whole = false;
    }
    if (p->id == 0 || call->find(p->id)) whole = false;
    if (!from.has_sip() && whole) {
      p->leg = std::make_unique<StandIn>();
      call->parties.push_back(std::move(p));
      continue;
    }
    auto leg = SipLeg::load(now, sip, call->id, call->shard, from.sip());
    if (!leg) whole = false;
    if (!whole) break;
    if (const route::Trunk* trunk = p->trunk.empty() ? nullptr : plan->trunk(p->trunk))
      leg->use(trunk_credentials(trunk->row));
    p->sip = leg.get();
    p->leg = std::move(leg);
    call->parties.push_back(std::move(p));
  }
  if (part.has_attendance() && !read(now, part.attendance(), *call)) whole = false;
  if (!whole || call->parties.empty()) {
    for (const media::EndpointId id : endpoints) engine.close(now, id);
    return nullptr;
  }
  for (const auto& a : part.asks()) {
    OpenAsk& open = call->asks.emplace_back();
    open.what = clamp_enum(a.what(), OpenAsk::What::recorded);
    open.attempt = a.attempt();
    open.branch = a.branch();
    open.service = a.service();
  }
  Call& ref = *call;
  for (const auto& p : ref.parties)
    if (p->sip) dialogs[p->sip->local_tag()] = {ref.id, p->id};
  if (!ref.merge_key.empty()) merged[ref.merge_key] = ref.id;
  if (ref.attendance && !ref.attendance->room.empty()) {
    const Attendance& a = *ref.attendance;
    Meeting& meeting = meetings[a.room];
    meeting.members.push_back({ref.id, a.leg, a.moderator, a.muted, a.waits});
    meeting.locked = meeting.locked || part.attendance().locked();
  }
  legs += ref.parties.size();
  calls[ref.id] = std::move(call);
  counters.active.set(calls.size());
  for (const std::string& t : part.transactions())
    if (const auto restored = transactions.restore(now, t)) adopt(*restored);
  return &ref;
}

void Layer::adopt(const sip::TransactionLayer::Restored& restored) {
  if (restored.answered) return;
  Where w{restored.user.object, leg_of(restored.user.detail)};
  if (const auto it = aliases.find(w); it != aliases.end()) w = it->second;
  Call* call = find(w.call);
  if (Party* p = call ? call->find(w.leg) : nullptr; p && p->sip)
    p->sip->adopt(purpose_of(restored.user.detail), restored);
}

/// Questions put before the snapshot are put again; their answers may be the same or newer.
void CallFlow::ask_again() {
  const std::vector<OpenAsk> open = std::exchange(call_.asks, {});
  if (call_.attendance) serve_again(open);
  bool feature_asked = false;
  for (const OpenAsk& a : open) {
    const bool of_branch = a.branch >= 0;
    if (!call_.setup || a.attempt != call_.setup->number) continue;
    if (of_branch && static_cast<size_t>(a.branch) >= call_.setup->branches.size()) continue;
    Party* caller = origin();
    if (!caller) continue;
    switch (a.what) {
      case OpenAsk::What::profile:
      case OpenAsk::What::bindings:
      case OpenAsk::What::line:
      case OpenAsk::What::hop_seat:
        break;  // begun anew below: what was known already is asked again too
      case OpenAsk::What::caller_line:
        ask(a.what, port::AskLine{caller->aor});
        break;
      case OpenAsk::What::trunk_seat:
        ask(a.what, port::AskSeat{{port::SeatPool::Kind::trunk, caller->trunk}, caller->seat});
        break;
      case OpenAsk::What::domain_seat:
        ask(a.what, port::AskSeat{{port::SeatPool::Kind::domain, call_.domain}, call_.seat});
        break;
      case OpenAsk::What::park_probe:
        probe_slot();
        break;
      case OpenAsk::What::service:
      case OpenAsk::What::recorded:
        break;  // above
      case OpenAsk::What::sound:
        break;  // the media room says what its programmes miss
      case OpenAsk::What::feature:
      case OpenAsk::What::forward_target:
      case OpenAsk::What::pickup:
      case OpenAsk::What::retrieve:
        if (call_.feature && !std::exchange(feature_asked, true)) {
          const route::FeatureCall again = *call_.feature;
          feature(again);
        }
        break;
    }
  }
  if (!call_.setup) return;
  if (std::exchange(call_.setup->reroute, false)) {
    call_.setup->branches.clear();
    call_.setup->redirections.clear();
    return route(call_.setup->purpose != Setup::Purpose::call || call_.setup->forwards > 0);
  }
  const uint64_t number = call_.setup->number;
  for (size_t i = 0; call_.setup && call_.setup->number == number && i < call_.setup->branches.size(); ++i) {
    const Branch::State state = call_.setup->branches[i].state;
    if (state == Branch::State::asking || state == Branch::State::resolving) begin(i);
  }
}

/// Lines are told where the call lives now.
void CallFlow::tell_lines() {
  for (auto& p : call_.parties) {
    if (!p->line_told || p->state == Party::State::gone) continue;
    p->line_told = false;
    line(*p, p->line);
    if (call_.state == Call::State::parked && p->state == Party::State::up)
      park_line(*p, port::LineCall::State::parked);
  }
}

}  // namespace tandem::call
