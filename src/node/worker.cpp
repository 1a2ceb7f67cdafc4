// What comes in: bytes, flows, answers, mails, media and time.
#include "node/worker.h"

#include <algorithm>

#include "base/text.h"
#include "node/worker_impl.h"
#include "turn/credentials.h"

namespace tandem::node {
namespace {

constexpr Duration sweep_interval = seconds(10);

webrtc::GatewayConfig rtc_config(const WorkerSettings& s) {
  webrtc::GatewayConfig c = s.rtc;
  c.node = s.node;
  c.timers = s.timers;
  return c;
}

}  // namespace

Worker::Impl::Impl(const WorkerSettings& s, std::shared_ptr<const route::Plan> p, port::MediaPorts& ports,
                   Rng& r, dtls::Endpoint& keys, Now now)
    : settings(s),
      plan(std::move(p)),
      rng(r),
      contacts(*settings.realms, plan, registrar),
      mint(s.keys.tokens, s.node, static_cast<uint16_t>(s.epoch), r),
      transactions(s.timers, s.transactions, mint, *s.realms, counters, s.transaction_policy),
      gate(s.gate, s.realms, counters),
      authenticator(s.auth, now, r, counters),
      tokens(s.bearer, counters),
      registrar(s.registrar, r, counters),
      notifier(s.notifier, transactions, mint, *s.realms, counters),
      messages(s.messages, transactions, mint, *s.realms, counters),
      engine(s.media, ports, r, counters, keys),
      calls({transactions, mint, engine, r, counters, contacts}, s.calls, plan),
      rtc(rtc_config(s), default_domain(), mint, r, counters),
      channels(s.channels, counters),
      subscribers(s.subscribers, counters),
      lines(s.calls_per_line, counters),
      seats(call::seat_lease, counters),
      asks(counters),
      held(s.held_send_patience, counters),
      forwarder(s.moved_names, counters),
      waiting(s.waiting_requests),
      messages_received(counters.counter("sip_messages_received_total",
                                         "SIP messages that came in, before anything was checked")),
      foreign_owner(
          counters.counter("sip_messages_passed_total", "Messages passed to the worker that owns them")),
      parse_failures(counters.counter("sip_parse_failures_total", "Messages that could not be understood")),
      unknown_dialog(
          counters.counter("sip_unknown_dialog_total", "Requests inside a dialog nobody knows (481)")),
      waiting_full(counters.counter("requests_refused_waiting_total",
                                    "Requests refused because too many wait for their sender's row")) {
  for (size_t i = 0; i < parse_errors.size(); ++i)
    parse_errors[i] = &counters.counter(
        "sip_parse_errors_total", "Messages that could not be understood, by what was wrong with them",
        std::string("reason=\"") + sip::to_string(static_cast<sip::Reason>(i)) + "\"");
  apply_plan(now);
  registrar.start(now, out);
  settle(now);
}

void Worker::Impl::apply_plan(Now now) {
  std::vector<registrar::Domain> domains;
  presence::Notifier::Aliases aliases;
  for (const port::DomainRow* row : plan->domains()) {
    domains.push_back({row->name, row->aliases});
    for (const std::string& alias : row->aliases) aliases.emplace(lower(alias), row->name);
  }
  registrar.set_domains(domains);
  notifier.set_aliases(std::move(aliases));
  rtc.set_domain(default_domain());
  calls.set_plan(now, plan, out);
  set_neighbours();
}

void Worker::Impl::received(Now now, port::Received in) {
  messages_received.add();
  traced = out.sends.size();
  if (out.trace_sip) out.traces.push_back({false, in.path, now.wall, in.bytes.clone()});
  if (!gate.admit_bytes(now, in.bytes.bytes(), in.path)) return;
  auto parsed = sip::Message::parse_from(in.bytes, settings.parser);
  if (!parsed.ok()) return unreadable(now, in, parsed.reason());
  sip::Message message = std::move(*parsed);
  if (message.is_request()) {
    const auto verdict = gate.admit(now, message, in.path, {calls.call_count(), draining});
    if (verdict.kind == edge::Verdict::Kind::drop) return;
    if (verdict.kind == edge::Verdict::Kind::refuse) {
      Buffer response = gate.refusal(message, in.path, verdict);
      out.send({in.path, std::move(response), 0, 0, {}});
      return settle(now);
    }
  }
  if (to_owner(message, in.path)) return;
  take(now, std::move(message), in.path);
}

void Worker::Impl::unreadable(Now now, port::Received& in, sip::Reason why) {
  if (why == sip::Reason::empty) return;  // a keep-alive
  parse_failures.add();
  parse_errors[static_cast<size_t>(why)]->add();
  gate.note_garbage(now, in.path);
  auto answer = gate.refuse_malformed(now, in.bytes.bytes(), why, in.path, {calls.call_count(), draining});
  if (!answer) return;
  out.send({in.path, std::move(*answer), 0, 0, {}});
  settle(now);
}

bool Worker::Impl::to_owner(sip::Message& message, const port::Path& path) {
  uint16_t owner = worker_of(shard_of(message, mint, *plan));
  if (owner == settings.index) owner = moved_to(message).value_or(owner);
  if (owner == settings.index) return false;
  foreign_owner.add();
  out.mail(owner, std::make_unique<MessageMail>(std::move(message), path));
  return true;
}

std::optional<uint16_t> Worker::Impl::moved_to(const sip::Message& message) {
  if (forwarder.size() == 0) return std::nullopt;
  const auto to = forwarder.find(
      message.is_request() && !message.to_tag().empty() ? message.to_tag() : message.top_via().branch);
  // Finished transactions stay behind when a call moves: what they have answered they answer again.
  if (to && message.is_request() && transactions.repeats(message)) return std::nullopt;
  return to;
}

void Worker::Impl::take(Now now, sip::Message message, const port::Path& path) {
  transactions.on_message(now, std::move(message), path, out, pending);
  settle(now);
}

void Worker::Impl::flow(Now now, const port::FlowEvent& e) {
  traced = out.sends.size();
  if (e.kind == port::FlowEvent::Kind::send_failed) {
    transactions.on_send_failed(now, e.send, out, pending);
  } else {
    flow_changed(now, e);
    if (e.kind == port::FlowEvent::Kind::closed)
      for (uint16_t w = 0; w < settings.workers; ++w)
        if (w != settings.index) out.mail(w, std::make_unique<FlowClosedMail>(e));
  }
  settle(now);
}

void Worker::Impl::flow_changed(Now now, const port::FlowEvent& e) {
  registrar::BindingChanges changes;
  registrar.on_flow(now, e, out, changes);
  binding_changes(now, changes);
}

void Worker::Impl::answer(Now now, port::AskId id, port::Answer answer) {
  const auto asked = subscriber_asks.find(id);
  if (asked != subscriber_asks.end()) {
    answer = subscribers.learn(now, asked->second, std::move(answer));
    subscriber_asks.erase(asked);
  }
  if (const auto asker = asks.take(id)) deliver_answer(now, id, *asker, std::move(answer));
}

void Worker::Impl::deliver_answer(Now now, port::AskId id, const port::Asker& asker, port::Answer answer) {
  // Before anybody is told that it is done; also when nobody knows whether it was.
  if (const auto changed = feature_asks.find(id); changed != feature_asks.end()) {
    subscriber_changed(changed->second);
    feature_asks.erase(changed);
  }
  using Room = port::Asker::Room;
  switch (asker.room) {
    case Room::auth:
      if (Waiting* w = waiting.find(SlotId::unpack(asker.object))) {
        const Waiting request = std::move(*w);
        waiting.erase(SlotId::unpack(asker.object));
        known(now, request, answer);
      }
      break;
    case Room::call:
      calls.on_answer(now, asker.object, id, std::move(answer), out);
      break;
    case Room::registrar: {
      registrar::BindingChanges changes;
      registrar.on_answer(now, id, asker.object, answer, out, changes);
      binding_changes(now, changes);
      break;
    }
    case Room::presence:
      notifier.on_answer(now, asker.object, id, std::move(answer), out);
      break;
    case Room::message:
      messages.on_answer(now, asker.object, id, std::move(answer), out);
      break;
    case Room::rtc:
      on_rtc_row(now, asker.object, answer);
      break;
    case Room::turn:
      if (turn) turn->on_answer(now, asker.object, answer, out);
      turn_failures(now);
      break;
    case Room::route:
    case Room::node:
    case Room::none:
      break;
  }
}

void Worker::Impl::media(Now now, std::span<port::MediaPacket> packets) {
  engine.on_media(now, packets, out.media);
  if (engine.has_events()) {
    media_events(now);
    settle(now);
  }
}

void Worker::Impl::media_events(Now now) {
  media_scratch.clear();
  engine.take_events(media_scratch);
  for (const media::MediaEvent& e : media_scratch) calls.on_media(now, e, out);
}

void Worker::Impl::timeout(Now now) {
  if (transactions.next_timeout() <= now.mono) transactions.on_timeout(now, out, pending);
  events(now);
  if (engine.next_timeout() <= now.mono) engine.on_timeout(now, out.media);
  if (engine.has_events()) media_events(now);
  if (calls.next_timeout() <= now.mono) calls.on_timeout(now, out);
  if (notifier.next_timeout() <= now.mono) notifier.on_timeout(now, out);
  if (messages.next_timeout() <= now.mono) messages.on_timeout(now, out);
  if (rtc.next_timeout() <= now.mono) {
    webrtc::Outcome outcome;
    rtc.on_timeout(now, outcome);
    carry_out(std::move(outcome));
  }
  if (channels.next_timeout() <= now.mono) {
    channel::Outcome outcome;
    channels.on_timeout(now, outcome);
    carry_out(std::move(outcome));
  }
  if (registrar.next_timeout() <= now.mono) {
    registrar::BindingChanges changes;
    registrar.on_timeout(now, out, changes);
    binding_changes(now, changes);
  }
  if (turn && turn->next_timeout() <= now.mono) turn->on_timeout(now, out);
  while (const auto expired = asks.pop_expired(now.mono)) {
    // A directory that does not answer is a directory that is away: the last good row serves.
    port::Answer answer = port::AskFailure::timed_out;
    if (const auto asked = subscriber_asks.find(expired->id); asked != subscriber_asks.end()) {
      answer = subscribers.learn(now, asked->second, std::move(answer));
      subscriber_asks.erase(asked);
    }
    deliver_answer(now, expired->id, expired->asker, std::move(answer));
  }
  seats.on_timeout(now.mono);
  held.on_timeout(now, out.sends);
  if (next_sweep <= now.mono) {
    sweep_moved(now);
    next_sweep = moved.empty() ? Instant::never() : now.mono + sweep_interval;
  }
  settle(now);
}

Instant Worker::Impl::next_timeout() const {
  return std::min({transactions.next_timeout(), engine.next_timeout(), calls.next_timeout(),
                   notifier.next_timeout(), messages.next_timeout(), registrar.next_timeout(),
                   rtc.next_timeout(), channels.next_timeout(), asks.next_timeout(), held.next_timeout(),
                   seats.next_timeout(), next_sweep, turn ? turn->next_timeout() : Instant::never()});
}

// ---- the contract, passed on -----------------------------------------------------------------------------

Worker::Worker(const WorkerSettings& settings, std::shared_ptr<const route::Plan> plan,
               port::MediaPorts& ports, Rng& rng, dtls::Endpoint& keys, Now now)
    : impl_(std::make_unique<Impl>(settings, std::move(plan), ports, rng, keys, now)) {}
Worker::~Worker() = default;

void Worker::on_received(Now now, port::Received received) { impl_->received(now, std::move(received)); }
void Worker::on_flow(Now now, const port::FlowEvent& event) { impl_->flow(now, event); }
void Worker::on_answer(Now now, port::AskId id, port::Answer answer) {
  impl_->traced = impl_->out.sends.size();
  impl_->answer(now, id, std::move(answer));
  impl_->settle(now);
}
void Worker::on_websocket(Now now, port::WebSocketEvent event) { impl_->websocket(now, std::move(event)); }
void Worker::on_committed(Now now, port::CommitId upto) {
  impl_->traced = impl_->out.sends.size();
  impl_->held.committed(upto, impl_->out.sends);
  if (impl_->divert(now)) impl_->settle(now);
}
void Worker::on_mail(Now now, std::unique_ptr<port::MailBody> body) {
  impl_->traced = impl_->out.sends.size();
  static_cast<Mail&>(*body).deliver(now, *this);
  impl_->settle(now);
}
void Worker::on_media(Now now, std::span<port::MediaPacket> packets) { impl_->media(now, packets); }
void Worker::on_relay(Now now, std::span<port::RelayPacket> packets) {
  Impl& w = *impl_;
  if (!w.turn) return;
  w.turn->on_packets(now, packets, w.out);
  w.turn_failures(now);
  // Packets that only pass leave nothing to settle.
  if (!w.out.new_asks.empty() || !w.out.seats.empty() || !w.out.relay_moves.empty() || !w.out.mails.empty())
    w.settle(now);
}
void Worker::on_relay_event(Now now, const port::RelayEvent& event) {
  if (!impl_->turn) return;
  impl_->turn->on_event(now, event, impl_->out);
  impl_->settle(now);
}
void Worker::on_timeout(Now now) {
  impl_->traced = impl_->out.sends.size();
  impl_->timeout(now);
}
Instant Worker::next_timeout() const { return impl_->next_timeout(); }
size_t Worker::holding() const { return impl_->held.size(); }
port::Outbox& Worker::outbox() { return impl_->out; }

// ---- control ---------------------------------------------------------------------------------------------

void Worker::set_tokens(const auth::TokenConfig& tokens) { impl_->tokens.set_config(tokens); }

void Worker::set_plan(Now now, std::shared_ptr<const route::Plan> plan) {
  impl_->plan = std::move(plan);
  impl_->apply_plan(now);
  impl_->settle(now);
}

void Worker::set_draining(Now now, bool draining) {
  impl_->draining = draining;
  impl_->calls.refuse_new_calls(draining);
  if (draining) {
    impl_->calls.unregister_trunks(now, impl_->out);
    impl_->registrar.save_all(now, impl_->out);
    channel::Outcome outcome;
    impl_->channels.say_goodbye(now, outcome);
    impl_->carry_out(std::move(outcome));
  }
  impl_->settle(now);
}

void Worker::forget_subscriber(const port::AddressOfRecord& aor) {
  if (aor.user.empty())
    impl_->subscribers.forget_all();
  else
    impl_->subscribers.forget(aor);
}

bool Worker::hangup(Now now, call::CallId id, const call::Cause& cause) {
  const bool found = impl_->calls.hangup(now, id, cause, impl_->out);
  impl_->settle(now);
  return found;
}

void Worker::end_calls(Now now, const call::Cause& cause) {
  for (const call::CallInfo& call : impl_->calls.list()) impl_->calls.hangup(now, call.id, cause, impl_->out);
  impl_->settle(now);
}

call::Ordered Worker::order(Now now, const call::CallOrder& order) {
  const call::Ordered done = impl_->calls.order(now, order, impl_->out);
  impl_->settle(now);
  return done;
}

bool Worker::transfer(Now now, call::CallId id, uint16_t leg, std::string_view target) {
  const bool found = impl_->calls.transfer(now, id, leg, target, impl_->out);
  impl_->settle(now);
  return found;
}

bool Worker::set_conference(Now now, std::string_view domain, std::string_view name,
                            std::optional<bool> locked, std::optional<bool> lecture) {
  const bool found = impl_->calls.set_conference(now, domain, name, locked, lecture, impl_->out);
  impl_->settle(now);
  return found;
}

bool Worker::mute_member(Now now, std::string_view domain, std::string_view name, call::CallId id, bool on) {
  const bool found = impl_->calls.mute_member(now, domain, name, id, on, impl_->out);
  impl_->settle(now);
  return found;
}

bool Worker::remove_member(Now now, std::string_view domain, std::string_view name, call::CallId id) {
  const bool found = impl_->calls.remove_member(now, domain, name, id, impl_->out);
  impl_->settle(now);
  return found;
}

call::RecordingDone Worker::record(Now now, call::CallId id, call::RecordingAction action, bool announce) {
  const auto done = impl_->calls.record(now, id, action, announce, impl_->out);
  impl_->settle(now);
  return done;
}

void Worker::offer_turn(std::vector<std::string> uris, std::string secret, Duration lifetime) {
  impl_->rtc.set_ice_servers(
      {std::move(uris), lifetime, [secret = std::move(secret)](std::string_view user, WallTime until) {
         std::string name = turn::timed_username(until, user);
         std::string password = turn::timed_password(secret, name);
         return std::pair(std::move(name), std::move(password));
       }});
}

call::PlayDone Worker::play(Now now, call::CallId id, const call::PlayOrder& order) {
  const auto unknown = [&](const call::PlayOrder::Sound& s) {
    return !s.prompt.empty() && !(impl_->prompts && impl_->prompts->find(s.language, s.prompt));
  };
  if (std::any_of(order.sounds.begin(), order.sounds.end(), unknown))
    return impl_->calls.show(id) ? call::PlayDone::no_prompt : call::PlayDone::no_call;
  const auto done = impl_->calls.play(now, id, order, impl_->out);
  impl_->settle(now);
  return done;
}

bool Worker::unregister(Now now, const port::AddressOfRecord& aor) {
  registrar::BindingChanges changes;
  const bool found = impl_->registrar.remove(now, aor, {}, changes);
  impl_->binding_changes(now, changes);
  impl_->settle(now);
  return found;
}

const CounterSet& Worker::counters() const { return impl_->counters; }
const call::CallLayer& Worker::calls() const { return impl_->calls; }
const registrar::Registrar& Worker::registrar() const { return impl_->registrar; }
const route::Plan& Worker::plan() const { return *impl_->plan; }
std::vector<call::TrunkStatus> Worker::trunks() const {
  std::vector<call::TrunkStatus> all = impl_->calls.trunks();
  for (call::TrunkStatus& t : all) t.calls = impl_->seats.size({port::SeatPool::Kind::trunk, t.trunk});
  return all;
}
uint16_t Worker::index() const { return impl_->settings.index; }

Worker::Load Worker::load() const {
  const Impl& i = *impl_;
  Load load;
  load.calls = i.calls.call_count();
  load.legs = i.calls.leg_count();
  load.dialogs = i.calls.dialog_count();
  load.server_transactions = i.transactions.server_count();
  load.client_transactions = i.transactions.client_count();
  load.asks = i.asks.size();
  load.held_sends = i.held.size();
  load.waiting = i.waiting.size();
  load.forwarded_names = i.forwarder.size();
  load.lines = i.lines.size();
  load.seats = i.seats.size();
  load.endpoints = i.engine.size();
  load.subscriptions = i.notifier.subscription_count();
  load.contacts = i.registrar.contact_count();
  load.messages = i.messages.open_count();
  load.web_sessions = i.rtc.sessions();
  load.relays = i.turn ? i.turn->size() + i.turn->waiting() + i.turn->ports() : 0;
  load.channel_clients = i.channels.connections();
  return load;
}

std::vector<turn::AllocationInfo> Worker::turn_allocations(Now now, size_t limit) const {
  return impl_->turn ? impl_->turn->list(now, limit) : std::vector<turn::AllocationInfo>{};
}

void Worker::use(port::RelayPorts& relays) {
  Impl& w = *impl_;
  if (!w.settings.turn.enabled) return;
  turn::Config config = w.settings.turn;
  config.banned = [&w](Now now, const IpAddress& source) { return w.gate.banned(now, source); };
  w.turn = std::make_unique<turn::Server>(config, relays, w.rng, w.counters);
}

void Worker::set_machine(std::vector<IpAddress> addresses) {
  if (impl_->turn) impl_->turn->set_machine(std::move(addresses));
}

void Worker::use(std::shared_ptr<const port::PromptLibrary> prompts, port::Recorder& recorder) {
  impl_->prompts = prompts;
  impl_->engine.use(std::move(prompts));
  impl_->engine.use(recorder);
}

}  // namespace tandem::node
