#include "call/call_layer.h"

#include <algorithm>

#include "base/text.h"
#include "call/flow.h"
#include "sip/headers.h"
#include "sip/options.h"

namespace tandem::call {

CallCounters::CallCounters(CounterSet& c)
    : started(c.counter("call_started_total", "INVITEs and orders that became a call")),
      ordered(c.counter("call_ordered_total", "Calls placed over REST")),
      answered(c.counter("call_answered_total", "Calls and transfers that were answered")),
      ended(c.counter("call_ended_total", "Calls whose last leg is gone")),
      cdrs(c.counter("call_cdr_total", "Call detail records given to the spool")),
      active(c.gauge("call_active", "Calls now")),
      limit_calls(c.counter("call_refused_total", "Refused by a limit", "limit=\"calls\"")),
      limit_legs(c.counter("call_refused_total", "Refused by a limit", "limit=\"legs\"")),
      limit_forks(c.counter("call_refused_total", "Refused by a limit", "limit=\"forks\"")),
      limit_forwards(c.counter("call_refused_total", "Refused by a limit", "limit=\"forwards\"")),
      limit_subscriber(c.counter("call_refused_total", "Refused by a limit", "limit=\"subscriber\"")),
      limit_trunk(c.counter("call_refused_total", "Refused by a limit", "limit=\"trunk_calls\"")),
      limit_trunk_rate(c.counter("call_refused_total", "Refused by a limit", "limit=\"trunk_rate\"")),
      limit_domain(c.counter("call_refused_total", "Refused by a limit", "limit=\"domain_calls\"")),
      trunk_passed_over(
          c.counter("trunk_passed_over_total", "Trunks not tried because they are down and another is not")),
      trunk_redirections(c.counter("trunk_redirections_total",
                                   "3xx of trunks and outside addresses, which are not followed")),
      no_codec(c.counter("call_no_codec_total",
                         "Descriptions without a codec the row of the trunk or subscriber names")),
      draining(c.counter("call_refused_total", "Refused by a limit", "limit=\"drain\"")),
      bad_sdp(c.counter("call_bad_sdp_total", "Session descriptions that were refused")),
      merged(c.counter("call_merged_total", "INVITEs that came twice on different ways (482)")),
      no_dialog(c.counter("call_no_dialog_total", "Requests inside a dialog that is not here (481)")),
      late_answers(c.counter("call_late_answers_total", "Answers to questions nobody waits for any more")),
      media_timeouts(c.counter("call_media_timeouts_total", "Calls ended because their media stopped")),
      setup_timeouts(c.counter("call_setup_timeouts_total", "Calls that rang too long")),
      ask_failures(c.counter("call_ask_failures_total", "Questions of calls that failed")),
      moved(c.counter("call_moved_total", "Calls given to another worker")),
      phones_moved(c.counter("call_phones_moved_total",
                             "Legs whose phone registered over another connection during the call")),
      replaces_refused(c.counter("call_replaces_refused_total",
                                 "INVITE and REFER with Replaces from who may not take that dialog (403)")),
      bad_parts(c.counter("call_bad_parts_total", "Snapshots of calls that could not be restored")),
      recorded(c.counter("call_recordings_total", "Recordings of calls begun")),
      not_recorded(c.counter(
          "call_not_recorded_total",
          "Recordings of calls that could not begin: the recorder's limits, media past us, no codec")),
      played(c.counter("call_played_total", "Legs that were played sounds by order of REST")),
      limit_pins(c.counter("call_refused_total", "Refused by a limit", "limit=\"pins\"")) {
  for (size_t i = 0; i < sdp_errors.size(); ++i)
    sdp_errors[i] = &c.counter("sdp_parse_errors_total",
                               "Session descriptions not understood, by what was wrong with them",
                               std::string("reason=\"") + sdp::to_string(static_cast<sdp::Reason>(i)) + "\"");
}

Result<sdp::Description, sdp::Reason> CallCounters::read(std::string_view description) {
  auto parsed = sdp::Description::parse(description);
  if (!parsed.ok()) sdp_errors[static_cast<size_t>(parsed.reason())]->add();
  return parsed;
}

Layer::Layer(const CallLayer::Parts& p, const CallConfig& cfg, std::shared_ptr<const route::Plan> the_plan)
    : transactions(p.transactions),
      mint(p.mint),
      engine(p.engine),
      rng(p.rng),
      contacts(p.contacts),
      config(cfg),
      plan(the_plan ? std::move(the_plan) : route::Plan::empty()),
      counters(p.counters),
      leg_counters(p.counters),
      sip{p.transactions, p.mint, p.rng, p.contacts, config, leg_counters},
      failures(p.counters),
      trunk_contacts(cfg.contact_key) {
  trunk_contacts.set_plan(*plan);
}

std::string merge_key(const sip::Message& invite) {
  return std::string(invite.call_id())
      .append(" ")
      .append(invite.from_tag())
      .append(" ")
      .append(std::to_string(invite.cseq().number));
}

Call& Layer::make_call(uint16_t shard) {
  CallId id = 0;
  do id = rng.next() & ~TrunkRegistrations::trunk_object;
  while (id == 0 || calls.count(id));
  auto& slot = calls[id];
  slot = std::make_unique<Call>();
  slot->id = id;
  slot->shard = shard;
  counters.active.set(calls.size());
  return *slot;
}

void Layer::drain(CallFlow& flow, Turn& turn) {
  // Each event may cause more; a leg tells only what its peer or a timer made happen, so this ends.
  for (size_t i = 0; i < turn.events.size(); ++i) {
    const LegEvent e = std::move(turn.events[i]);
    flow.on_leg(e);
  }
  turn.events.clear();
}

void Layer::forget_leg(Call& call, Party& p) {
  if (p.sip) {
    const auto it = dialogs.find(p.sip->local_tag());
    if (it != dialogs.end() && it->second == Where{call.id, p.id}) dialogs.erase(it);
  }
  std::erase_if(aliases, [&](const auto& a) { return a.second == Where{call.id, p.id}; });
  --legs;
}

void Layer::settle(Call& call) {
  bool alive = false;
  for (size_t i = 0; i < call.parties.size();) {
    Party& p = *call.parties[i];
    if (p.state == Party::State::gone && p.leg->ended()) {
      forget_leg(call, p);
      call.parties.erase(call.parties.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      alive = alive || p.state != Party::State::gone;
      ++i;
    }
  }
  if (!alive) {
    call.state = Call::State::releasing;
    call.asks.clear();
    call.setup.reset();
    call.setup_until = call.park_until = call.feature_until = Instant::never();
    if (!call.merge_key.empty()) {
      const auto it = merged.find(call.merge_key);
      if (it != merged.end() && it->second == call.id) merged.erase(it);
      call.merge_key.clear();
    }
  }
  if (call.parties.empty()) {
    counters.ended.add();
    calls.erase(call.id);
    counters.active.set(calls.size());
    return;
  }
  const Instant next = next_timeout(call);
  if (next < call.armed) {
    call.armed = next;
    timers.push(next, call.id);
  }
}

struct CallLayer::Impl : Layer {
  Impl(const Parts& p, const CallConfig& cfg, std::shared_ptr<const route::Plan> the_plan)
      : Layer(p, cfg, std::move(the_plan)),
        trunks(p.transactions, p.mint, p.rng, p.counters, p.contacts, trunk_contacts, config),
        watch(p.transactions, p.mint, p.rng, p.counters, p.contacts, config) {}
  TrunkRegistrations trunks;
  TrunkWatch watch;
  std::multimap<IpAddress, std::string> by_address;  // what the names of trunks' hosts stand for
  std::vector<CallId> waiting;                       // restored, not resumed

  void on_new_invite(Now now, sip::TuEvent& event, const Identity& identity, port::Outbox& out);
  void on_request(Now now, sip::TuEvent& event, const Identity& identity, port::Outbox& out);
  Where where(const sip::TuRef& user) const;
  void index_addresses();
  void refuse(Now now, sip::ServerTxId server, int status, port::Outbox& out,
              std::initializer_list<std::pair<sip::HeaderId, std::string>> headers = {});
};

CallLayer::CallLayer(Parts parts, const CallConfig& config, std::shared_ptr<const route::Plan> plan)
    : impl_(std::make_unique<Impl>(parts, config, std::move(plan))) {}
CallLayer::~CallLayer() = default;

void CallLayer::Impl::refuse(Now now, sip::ServerTxId server, int status, port::Outbox& out,
                             std::initializer_list<std::pair<sip::HeaderId, std::string>> headers) {
  const sip::Message* request = transactions.request_of(server);
  const port::Path* path = transactions.path_of(server);
  if (!request || !path) return;
  sip::Writer w =
      sip::response_to(*request, path->remote, status, mint.mint(sip::shard_of(request->call_id())));
  for (const auto& [id, value] : headers) w.header(id, value);
  transactions.respond(now, server, std::move(w).finish(), out);
}

void CallLayer::Impl::on_new_invite(Now now, sip::TuEvent& event, const Identity& identity,
                                    port::Outbox& out) {
  const sip::Message& request = *transactions.request_of(event.server);
  if (refusing || calls.size() >= config.max_calls) {
    (refusing ? counters.draining : counters.limit_calls).add();
    return refuse(now, event.server, 503, out,
                  {{sip::HeaderId::retry_after, std::to_string(config.retry_after_seconds)}});
  }
  if (std::string unknown = sip::unsupported_options(request, supported_options(config)); !unknown.empty())
    return refuse(now, event.server, 420, out, {{sip::HeaderId::unsupported, std::move(unknown)}});
  if (merged.count(merge_key(request))) {  // RFC 3261 section 8.2.2.2
    counters.merged.add();
    return refuse(now, event.server, 482, out);
  }
  Call& call = make_call(sip::shard_of(request.call_id()));
  run(now, call, out, [&](CallFlow& flow) { flow.start(event.server, event.path, identity); });
}

void CallLayer::Impl::index_addresses() {
  by_address.clear();
  for (const auto& [name, news] : trunk_news)
    if (const route::Trunk* trunk = plan->trunk(name);
        trunk && trunk->sources_by_name && trunk->row.host == news.host)
      for (const IpAddress& ip : news.addresses) by_address.emplace(ip, name);
}

Layer::Where CallLayer::Impl::where(const sip::TuRef& user) const {
  Where w{user.object, leg_of(user.detail)};
  for (int hops = 0; hops < 8; ++hops) {
    const auto it = aliases.find(w);
    if (it == aliases.end()) break;
    w = it->second;
  }
  return w;
}

void CallLayer::Impl::on_request(Now now, sip::TuEvent& event, const Identity& identity, port::Outbox& out) {
  const sip::Message* request = transactions.request_of(event.server);
  if (!request) return;
  const std::string_view tag = request->to_tag();
  if (tag.empty()) {
    if (request->method() == sip::Method::invite) return on_new_invite(now, event, identity, out);
    return refuse(now, event.server, 481, out);
  }
  const auto found = dialogs.find(tag);
  Call* call = found == dialogs.end() ? nullptr : find(found->second.call);
  Party* p = call ? call->find(found->second.leg) : nullptr;
  const bool theirs = p && p->sip->call_id() == request->call_id() && p->sip->knows_peer(request->from_tag());
  if (!theirs) {
    counters.no_dialog.add();
    return refuse(now, event.server, 481, out);
  }
  run(now, *call, out, [&](CallFlow& flow) { p->sip->on_request(flow.turn(), event); });
}

void CallLayer::on_sip(Now now, sip::TuEvent&& event, const Identity& identity, port::Outbox& out) {
  Impl& im = *impl_;
  using Kind = sip::TuEvent::Kind;
  if (event.user.object == TrunkRegistrations::trunk_object) return im.trunks.on_sip(now, event, out);
  if (event.user.object == TrunkWatch::watch_object) return im.watch.on_sip(now, event, out);
  if (event.kind == Kind::request) return im.on_request(now, event, identity, out);
  Layer::Where where{};
  if (event.kind == Kind::ack || event.kind == Kind::stray_response) {
    if (!event.message) return;
    const std::string_view tag =
        event.kind == Kind::ack ? event.message->to_tag() : event.message->from_tag();
    const auto found = im.dialogs.find(tag);
    if (found == im.dialogs.end()) return;
    where = found->second;
  } else {
    where = im.where(event.user);
  }
  Call* call = im.find(where.call);
  Party* p = call ? call->find(where.leg) : nullptr;
  if (!p) return;
  im.run(now, *call, out, [&](CallFlow& flow) {
    switch (event.kind) {
      case Kind::ack:
        return p->sip->on_ack(flow.turn(), *event.message);
      case Kind::stray_response:
        return p->sip->on_stray(flow.turn(), *event.message, event.path);
      case Kind::response:
      case Kind::timeout:
        return p->sip->on_client(flow.turn(), event);
      case Kind::transport_failed:
        return event.client ? p->sip->on_client(flow.turn(), event) : p->sip->on_server(flow.turn(), event);
      default:
        return p->sip->on_server(flow.turn(), event);
    }
  });
}

void CallLayer::on_answer(Now now, uint64_t object, port::AskId id, port::Answer answer, port::Outbox& out) {
  Impl& im = *impl_;
  if (object == TrunkRegistrations::trunk_object) return im.trunks.on_answer(now, id, answer, out);
  if (object == TrunkWatch::watch_object) return im.watch.on_answer(now, id, answer, out);
  Call* call = im.find(object);
  if (!call) return im.counters.late_answers.add();
  const auto it =
      std::find_if(call->asks.begin(), call->asks.end(), [&](const OpenAsk& a) { return a.id == id; });
  if (it == call->asks.end()) {
    im.run(now, *call, out, [&](CallFlow& flow) {
      if (!flow.on_dns(id, answer)) im.counters.late_answers.add();
    });
    return;
  }
  const OpenAsk open = *it;
  call->asks.erase(it);
  im.run(now, *call, out, [&](CallFlow& flow) { flow.on_answer(open, answer); });
}

void CallLayer::on_media(Now now, const media::MediaEvent& event, port::Outbox& out) {
  // A leg that went into another call keeps the trail it was opened with.
  Call* call = impl_->find(event.trail);
  const auto has = [&](const Call& c) {
    return std::any_of(c.parties.begin(), c.parties.end(),
                       [&](const auto& p) { return p->endpoint == event.endpoint; });
  };
  if (!call || !has(*call)) {
    call = nullptr;
    for (const auto& [from, to] : impl_->aliases)
      if (Call* other = from.call == event.trail ? impl_->find(to.call) : nullptr; other && has(*other))
        call = other;
  }
  if (call) impl_->run(now, *call, out, [&](CallFlow& flow) { flow.on_media(event); });
}

void CallLayer::on_timeout(Now now, port::Outbox& out) {
  Impl& im = *impl_;
  TimerQueue<CallId>::Due due;
  while (im.timers.pop_due(now.mono, due)) {
    Call* call = im.find(due.key);
    if (!call || call->armed != due.deadline) continue;
    call->armed = Instant::never();
    im.run(now, *call, out, [](CallFlow& flow) { flow.on_timeout(); });
  }
  if (im.trunks.next_timeout() <= now.mono) im.trunks.on_timeout(now, out);
  if (im.watch.next_timeout() <= now.mono) im.watch.on_timeout(now, out);
  if (im.next_renewal <= now.mono) im.renew_seats(now, out);
}

Instant CallLayer::next_timeout() const {
  return std::min(
      {impl_->timers.next(), impl_->trunks.next_timeout(), impl_->watch.next_timeout(), impl_->next_renewal});
}

void CallLayer::set_plan(Now now, std::shared_ptr<const route::Plan> plan, port::Outbox& out) {
  if (!plan) return;
  impl_->plan = plan;
  impl_->trunk_contacts.set_plan(*plan);
  std::erase_if(impl_->trunk_news, [&](const auto& known) {
    const route::Trunk* trunk = plan->trunk(known.first);
    return !trunk || trunk->row.host != known.second.host;
  });
  impl_->index_addresses();
  impl_->trunks.set_plan(now, *plan, out);
  impl_->watch.set_plan(now, *plan, out);
  impl_->renew_seats(now, out);
}

void CallLayer::on_trunk_news(const port::TrunkNews& news) {
  // It may be about a row this worker has not heard of yet: the plan and the news come on different ways.
  port::TrunkNews& known = impl_->trunk_news[news.trunk];
  const bool moved = known.host != news.host || known.addresses != news.addresses;
  known = news;
  if (moved) impl_->index_addresses();
}

const route::Trunk* CallLayer::trunk_of(std::string_view request_user, const port::Path& path) const {
  const auto fits = [&](const route::Trunk* t) {
    // With a tls_name the certificate decides, and the node has looked at it.
    return t && t->realm == path.realm && t->row.tls_name.empty() &&
           (!port::is_secure(t->row.transport) || port::is_secure(path.transport));
  };
  if (const std::string* name = impl_->trunk_contacts.trunk_at(request_user))
    if (const route::Trunk* trunk = impl_->plan->trunk(*name); fits(trunk)) return trunk;
  const auto [first, last] = impl_->by_address.equal_range(path.remote.ip);
  for (auto it = first; it != last; ++it)
    if (const route::Trunk* trunk = impl_->plan->trunk(it->second); fits(trunk)) return trunk;
  return nullptr;
}

std::vector<IpPrefix> CallLayer::trunk_addresses() const {
  std::vector<IpPrefix> all;
  for (const auto& [ip, trunk] : impl_->by_address)
    all.push_back({ip, static_cast<uint8_t>(ip.is_v4() ? 32 : 128)});
  return all;
}

const route::Plan& CallLayer::plan() const { return *impl_->plan; }
bool CallLayer::owns_dialog(std::string_view tag) const {
  return impl_->dialogs.find(tag) != impl_->dialogs.end();
}
void CallLayer::refuse_new_calls(bool refuse) { impl_->refusing = refuse; }
size_t CallLayer::call_count() const { return impl_->calls.size(); }
size_t CallLayer::leg_count() const { return impl_->legs; }
size_t CallLayer::dialog_count() const { return impl_->dialogs.size(); }
size_t CallLayer::open_asks() const {
  size_t n = 0;
  for (const auto& [id, call] : impl_->calls) n += call->asks.size();
  return n;
}
std::vector<TrunkStatus> CallLayer::trunks() const {
  std::vector<TrunkStatus> all;
  for (const route::Trunk* t : impl_->plan->trunks()) {
    if (!owns_trunk(t->row.name, impl_->config)) continue;
    TrunkStatus& status = all.emplace_back();
    status.trunk = t->row.name;
    impl_->trunks.describe(status);
    impl_->watch.describe(status);
  }
  return all;
}
void CallLayer::unregister_trunks(Now now, port::Outbox& out) { impl_->trunks.unregister_all(now, out); }

uint64_t CallLayer::revision(CallId id) const {
  const Call* call = impl_->find(id);
  if (!call) return 0;
  uint64_t sum = call->revision;
  for (const auto& p : call->parties)
    sum += (p->sip ? p->sip->revision() : 0) + (p->endpoint ? impl_->engine.revision(p->endpoint) : 0);
  return sum;
}

void CallLayer::snapshot(Now now, std::vector<std::string>& parts) const {
  for (const auto& [id, call] : impl_->calls) parts.push_back(impl_->part_of(now, *call, false));
}

bool CallLayer::restore(Now now, std::string_view part, std::string_view then, port::Outbox& out) {
  Call* call = impl_->call_from(now, part);
  if (!call) {
    impl_->counters.bad_parts.add();
    return false;
  }
  if (then.empty()) {
    impl_->waiting.push_back(call->id);
    return true;
  }
  impl_->run(now, *call, out, [&](CallFlow& flow) {
    flow.tell_lines();
    flow.tell_seats();
    flow.ask_again();
    flow.record_again();
    flow.go_on(then);
  });
  return true;
}

void CallLayer::adopt(const sip::TransactionLayer::Restored& restored) { impl_->adopt(restored); }

void CallLayer::resume(Now now, port::Outbox& out) {
  for (const CallId id : std::exchange(impl_->waiting, {}))
    if (Call* call = impl_->find(id))
      impl_->run(now, *call, out, [](CallFlow& flow) {
        flow.tell_lines();
        flow.tell_seats();
        flow.ask_again();
        flow.record_again();
      });
}

std::vector<CallInfo> CallLayer::list(size_t limit) const {
  std::vector<CallInfo> all;
  for (const auto& [id, call] : impl_->calls) {
    if (all.size() >= limit) break;
    if (call->state != Call::State::releasing) all.push_back(impl_->info(*call));
  }
  return all;
}

std::optional<CallInfo> CallLayer::show(CallId id) const {
  const Call* call = impl_->find(id);
  // Over to everybody, as in list(), though a telephone that is away may still owe an answer.
  if (!call || call->state == Call::State::releasing) return std::nullopt;
  return impl_->info(*call);
}

Ordered CallLayer::order(Now now, const CallOrder& order, port::Outbox& out) {
  if (impl_->refusing) {
    impl_->counters.draining.add();
    return {Ordered::Outcome::draining, 0};
  }
  if (impl_->calls.size() >= impl_->config.max_calls) {
    impl_->counters.limit_calls.add();
    return {Ordered::Outcome::full, 0};
  }
  Call& call = impl_->make_call(order.shard);
  const CallId id = call.id;
  impl_->run(now, call, out, [&](CallFlow& flow) { flow.start(order); });
  return {Ordered::Outcome::placed, id};
}

bool CallLayer::hangup(Now now, CallId id, const Cause& cause, port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return false;
  impl_->run(now, *call, out, [&](CallFlow& flow) { flow.hangup(cause); });
  return true;
}

std::vector<ConferenceInfo> CallLayer::conferences() const { return impl_->conferences(); }

bool CallLayer::set_conference(Now now, std::string_view domain, std::string_view name,
                               std::optional<bool> locked, std::optional<bool> lecture, port::Outbox& out) {
  return impl_->set_conference(now, domain, name, locked, lecture, out);
}

bool CallLayer::mute_member(Now now, std::string_view domain, std::string_view name, CallId id, bool on,
                            port::Outbox& out) {
  Call* call = impl_->find(id);
  const auto members = impl_->members_of(domain, name);
  if (!call || std::find(members.begin(), members.end(), id) == members.end()) return false;
  impl_->run(now, *call, out, [&](CallFlow& flow) {
    flow.mute(on);
    flow.on_room(on ? service::RoomEvent::muted : service::RoomEvent::unmuted);
  });
  return true;
}

bool CallLayer::remove_member(Now now, std::string_view domain, std::string_view name, CallId id,
                              port::Outbox& out) {
  Call* call = impl_->find(id);
  const auto members = impl_->members_of(domain, name);
  if (!call || std::find(members.begin(), members.end(), id) == members.end()) return false;
  impl_->run(now, *call, out, [](CallFlow& flow) { flow.on_room(service::RoomEvent::removed); });
  return true;
}

RecordingDone CallLayer::record(Now now, CallId id, RecordingAction action, bool announce,
                                port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return RecordingDone::no_call;
  RecordingDone done = RecordingDone::failed;
  impl_->run(now, *call, out, [&](CallFlow& flow) { done = flow.record(action, announce); });
  return done;
}

PlayDone CallLayer::play(Now now, CallId id, const PlayOrder& order, port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return PlayDone::no_call;
  PlayDone done = PlayDone::failed;
  impl_->run(now, *call, out, [&](CallFlow& flow) { done = flow.play(order); });
  return done;
}

bool CallLayer::transfer(Now now, CallId id, uint16_t leg, std::string_view target, port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return false;
  bool done = false;
  impl_->run(now, *call, out, [&](CallFlow& flow) { done = flow.transfer(leg, target); });
  return done;
}

void CallLayer::phone_moved(Now now, CallId id, std::string_view local_tag, const port::Contact& contact,
                            port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return;
  impl_->run(now, *call, out, [&](CallFlow&) {
    for (const auto& p : call->parties)
      if (p->sip && p->sip->local_tag() == local_tag && p->sip->moved_to(contact))
        impl_->counters.phones_moved.add();
  });
}

bool CallLayer::restart_ice(Now now, CallId id, uint16_t leg, port::Outbox& out) {
  Call* call = impl_->find(id);
  if (!call) return false;
  bool done = false;
  impl_->run(now, *call, out, [&](CallFlow& flow) { done = flow.restart_ice(leg); });
  return done;
}

}  // namespace tandem::call
