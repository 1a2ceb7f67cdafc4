// A call comes in: who calls, what is offered, and where the dial plan sends it.
#include "base/text.h"
#include "call/flow.h"
#include "sip/headers.h"

namespace tandem::call {

using sip::HeaderId;

namespace {

/// Headers of the caller's INVITE that mean something to the callee (RFC 3261 sections 20.4, 20.26, 20.36;
/// RFC 7433).
/// The last two can make a phone answer by itself: from our own subscribers only.
constexpr std::string_view passed_headers[] = {"Subject", "Priority", "User-to-User", "Alert-Info",
                                               "Call-Info"};
constexpr size_t passed_from_trunks = 3;
constexpr size_t max_passed_bytes = 512;

std::string decoded(std::string_view user) { return sip::unescape(user).value_or(std::string(user)); }

}  // namespace

Party& CallFlow::add_party() {
  auto made = std::make_unique<Party>();
  made->id = call_.next_leg++;
  auto leg = std::make_unique<SipLeg>(layer_.sip, call_.id, made->id, call_.shard);
  made->sip = leg.get();
  made->leg = std::move(leg);
  call_.parties.push_back(std::move(made));
  ++layer_.legs;
  touch();
  return *call_.parties.back();
}

void CallFlow::know_dialog(Party& party) {
  if (party.sip && !party.sip->local_tag().empty())
    layer_.dialogs[party.sip->local_tag()] = {call_.id, party.id};
}

void CallFlow::refuse_caller(Party& caller, const Cause& cause,
                             const std::vector<std::pair<std::string, std::string>>& headers) {
  const port::CommitId commit = fail_attempt(cause, port::Cdr::Side::system);
  if (caller.sip && !headers.empty())
    caller.sip->refuse(turn_, cause, commit, headers);
  else
    caller.leg->release(turn_, cause, commit);
  gone(caller);
}

void CallFlow::start(sip::ServerTxId server, const port::Path& path, const Identity& identity) {
  const sip::Message* request = layer_.transactions.request_of(server);
  if (!request) return;
  Party& caller = add_party();
  caller.caller = true;
  caller.realm = call_.realm = path.realm;
  call_.started = turn_.now.wall;
  if (!caller.sip->take_invite(turn_, server, path)) {
    caller.state = Party::State::gone;
    return;
  }
  know_dialog(caller);
  call_.merge_key = merge_key(*request);
  layer_.merged.emplace(call_.merge_key, call_.id);
  call_.setup_until = turn_.now.mono + layer_.config.setup_timeout;
  layer_.counters.started.add();
  Setup& setup = call_.setup.emplace();
  setup.number = call_.next_attempt++;
  setup.origin = caller.id;
  setup.started = turn_.now.wall;
  if (!identify(caller, *request, identity)) return;
  const uint32_t hops = request->max_forwards().value_or(70);
  if (hops == 0) return refuse_caller(caller, Cause::from_status(483));
  call_.max_forwards = std::min<uint32_t>(hops, 70) - 1;
  if (!take_offer(caller, *request)) return;
  event(port::Level::info, "call.started", {{"from", call_.caller}, {"to", setup.dialled}});
  const bool replaces = request->has(HeaderId::replaces);
  if (identity.subscriber && !replaces)
    call_.feature_asks = identity.subscriber->max_calls;  // kept until the line has answered
  const bool seated = take_seats(caller, replaces);
  if (replaces) return start_replacing(caller, *request);
  if (seated) proceed();
}

/// The call has its seats.
void CallFlow::proceed() {
  Party* caller = origin();
  if (!caller) return;
  if (call_.setup->purpose == Setup::Purpose::first) return ring_first();
  line(*caller, port::LineCall::State::trying);
  if (call_.feature_asks > 0 && !dials_emergency())
    return ask(OpenAsk::What::caller_line, port::AskLine{caller->aor});
  call_.feature_asks = 0;
  route(false);
}

bool CallFlow::identify(Party& caller, const sip::Message& request, const Identity& identity) {
  Setup& setup = *call_.setup;
  const auto from = request.from();
  const auto uri = request.parsed_request_uri();
  if (!from.ok() || !uri.ok()) {
    refuse_caller(caller, Cause::from_status(400));
    return false;
  }
  const auto asserted_text = request.header(HeaderId::p_asserted_identity);
  const auto asserted = sip::NameAddr::parse(asserted_text.value_or(""));
  const auto privacy = request.header(HeaderId::privacy);
  call_.private_caller = privacy && privacy->find("id") != std::string_view::npos;
  caller.display = sip::unquote(std::string("\"").append(from->display).append("\""));
  setup.dialled = decoded(uri->user);
  call_.domain = identity.domain.empty() ? std::string(uri->host) : identity.domain;
  if (identity.kind == Identity::Kind::subscriber && identity.subscriber) {
    const port::Subscriber& row = *identity.subscriber;
    caller.aor = row.aor;
    caller.user = row.aor.user;
    caller.domain = row.aor.domain;
    if (!row.display_name.empty()) caller.display = row.display_name;
    caller.pickup_group = row.pickup_group;
    caller.codecs = row.codecs;
    caller.srtp = row.srtp;
    caller.recording = row.recording;
    caller.dtmf = row.dtmf;
    caller.source = route::FromSubscriber{row.aor, row.call_class, row.caller_number, row.pickup_group};
    call_.domain = row.aor.domain;
  } else if (identity.kind == Identity::Kind::trunk) {
    // A carrier's word on the caller is believed (RFC 3325).
    caller.trunk = identity.trunk;
    caller.user = decoded(asserted_text && asserted.ok() ? asserted->uri.user : from->uri.user);
    caller.domain = std::string(from->uri.host);
    caller.source = route::FromTrunk{identity.trunk, caller.user};
    if (const route::Trunk* trunk = layer_.plan->trunk(identity.trunk)) {
      call_.domain = trunk->row.domain;
      // ... but who is a party of our domains we know ourselves.
      if (layer_.plan->serves(caller.domain) || layer_.contacts.is_local(caller.domain))
        caller.domain = trunk->row.host;
      caller.realm = trunk->realm;
      caller.codecs = trunk->row.codecs;
      caller.srtp = trunk->row.srtp;
      caller.recording = trunk->row.recording;
      caller.dtmf = trunk->row.dtmf;
      caller.sip->use(trunk_credentials(trunk->row));
      // Called at the Contact we registered: the number is in the To.
      const auto to = request.to();
      if (to.ok() && setup.dialled == layer_.trunk_contacts.user_for(identity.trunk))
        setup.dialled = decoded(to->uri.user);
    }
  } else {
    refuse_caller(caller, Cause::from_status(403));
    return false;
  }
  const bool ours = layer_.plan->serves(uri->host) || layer_.contacts.is_local(uri->host);
  if (!ours || uri->user.empty() || !uri->is_sip()) setup.dialled = std::string(request.request_uri());
  if (const auto gruu = ours ? layer_.contacts.gruu(*uri) : std::nullopt) {
    setup.dialled = gruu->aor.user;
    setup.gruu = *gruu;
  }
  setup.domain = call_.domain;
  setup.source = caller.source;
  call_.caller = caller.user;
  call_.callee = setup.dialled;
  setup.seen.push_back(lower(setup.dialled));
  const size_t passed = caller.trunk.empty() ? std::size(passed_headers) : passed_from_trunks;
  for (size_t i = 0; i < passed; ++i)
    if (const auto value = request.header(passed_headers[i]); value && value->size() <= max_passed_bytes)
      call_.passed.emplace_back(passed_headers[i], *value);
  return true;
}

bool CallFlow::take_offer(Party& caller, const sip::Message& request) {
  const auto body = session_body(request);
  if (!body && !request.body().empty()) {
    refuse_caller(caller, Cause::from_status(415), {{"Accept", "application/sdp"}});
    return false;
  }
  if (!body) {
    if (open_media(caller, caller.sip->path())) return true;
    refuse_caller(caller, Cause::from_status(503, "No media port"));
    return false;
  }
  auto offer = layer_.counters.read(*body);
  if (!offer.ok()) {
    layer_.counters.bad_sdp.add();
    refuse_caller(caller, Cause::from_status(400, "Bad session description"),
                  {{"Warning", std::string("399 tandem \"SDP: ") + sdp::to_string(offer.reason()) + "\""}});
    return false;
  }
  caller.has_sdp = true;
  int status = open_media(caller, caller.sip->path()) ? 0 : 503;
  if (!status && !fit(caller, *offer)) {
    refuse_caller(caller, no_codec(caller));
    return false;
  }
  if (!status) {
    const auto set = layer_.engine.set_remote(turn_.now, caller.endpoint, *offer, media::SdpRole::offer);
    if (!set.ok()) status = status_of(set.reason());
  }
  bool live = false;
  for (size_t i = 0; i < offer->media_count(); ++i) live = live || offer->media(i).port != 0;
  if (!status && !live) status = 488;
  if (!status) return true;
  refuse_caller(caller, Cause::from_status(status));
  return false;
}

route::CallRequest CallFlow::request_of_setup(bool diverted) const {
  const Setup& setup = *call_.setup;
  route::CallRequest request;
  request.wall = turn_.now.wall;
  request.source = setup.source;
  request.dialled = setup.dialled;
  request.domain = setup.domain;
  request.realm = call_.realm;
  request.seed = call_.id;
  request.diverted = diverted;
  return request;
}

void CallFlow::route(bool diverted) { apply(layer_.plan->decide(request_of_setup(diverted))); }

void CallFlow::apply(const route::Decision& decision) {
  Setup& setup = *call_.setup;
  setup.rule = decision.rule;
  call_.rule = decision.rule;
  if (!decision.otherwise.empty()) setup.otherwise = decision.otherwise;
  touch();
  if (!decision.local_first) return act(decision.action);
  setup.fallback = decision;
  setup.fallback->local_first.reset();
  setup.mailbox = *decision.local_first;
  add_extension(*decision.local_first);
  advance();
}

void CallFlow::act(const route::Action& action) {
  Setup& setup = *call_.setup;
  const auto add_target = [&](const auto& target) -> Branch& {
    using T = std::decay_t<decltype(target)>;
    if constexpr (std::is_same_v<T, route::Extension>) {
      return add_extension(target.aor);
    } else if constexpr (std::is_same_v<T, route::TrunkCall>) {
      Branch& b = add_branch(Branch::Kind::trunk);
      b.hops = target.hops;
      setup.emergency = setup.emergency || target.emergency;
      return b;
    } else {
      Branch& b = add_branch(Branch::Kind::uri);
      b.uri = target.uri;
      return b;
    }
  };
  if (const auto* reject = std::get_if<route::Reject>(&action)) {
    Cause cause = Cause::from_status(reject->status, reject->text);
    if (reject->cause > 0 && reject->cause < 128) cause.q850 = static_cast<uint16_t>(reject->cause);
    return fail_setup(std::move(cause));
  }
  const bool rings =
      std::holds_alternative<route::Extension>(action) || std::holds_alternative<route::RingGroup>(action) ||
      std::holds_alternative<route::TrunkCall>(action) || std::holds_alternative<route::ExternalUri>(action);
  if (setup.purpose == Setup::Purpose::first && !rings)
    return fail_setup(Cause::from_status(403, "Nobody to ring"));
  if (const auto* f = std::get_if<route::FeatureCall>(&action)) return feature(*f);
  if (const auto* service = std::get_if<route::ServiceCall>(&action)) return serve(*service);
  if (const auto* redirect = std::get_if<route::Redirect>(&action)) {
    Party* caller = origin();
    if (!caller || caller->state == Party::State::up || setup.purpose != Setup::Purpose::call)
      return fail_setup(Cause::from_status(403));
    return refuse_caller(*caller, Cause::from_status(302), {{"Contact", "<" + redirect->uri + ">"}});
  }
  if (const auto* group = std::get_if<route::RingGroup>(&action)) {
    const Instant began = turn_.now.mono;
    setup.group_until = std::min(setup.group_until, began + group->timeout);
    for (const route::RingStep& step : group->steps) {
      Branch& b = std::visit(add_target, step.target);
      b.start = began + step.start;
      b.ring = step.ring;
      b.forwards = false;  // a group member's own forwarding would carry the whole group away
      b.skip_busy = group->skip_busy;
    }
  } else if (const auto* e = std::get_if<route::Extension>(&action)) {
    setup.mailbox = e->aor;
    add_target(*e);
  } else if (const auto* t = std::get_if<route::TrunkCall>(&action)) {
    add_target(*t);
  } else if (const auto* u = std::get_if<route::ExternalUri>(&action)) {
    add_target(*u);
  }
  advance();
}

/// Nobody is left to ring.
void CallFlow::fail_setup(Cause cause) {
  Setup& setup = *call_.setup;
  Party* from = origin();
  if (from && cause.status < 600 && follow_redirection()) return;
  if (!setup.otherwise.empty() && from && setup.forwards < layer_.config.max_forwards) {
    ++setup.forwards;
    setup.dialled = std::exchange(setup.otherwise, {});
    setup.gruu = {};
    setup.source = route::FromPlan{from->user};
    setup.group_until = Instant::never();
    return route(true);
  }
  if (cause.status < 300) cause.status = 480;
  if (take_message(cause)) return;
  event(port::Level::info, "call.failed", {{"status", std::to_string(cause.status)}, {"why", cause.text}});
  if (setup.purpose != Setup::Purpose::call) return transfer_done(&cause);
  if (!from) return end_setup();
  const port::CommitId commit = fail_attempt(cause, port::Cdr::Side::system);
  part_with(*from, cause, commit);
}

/// Nobody will answer: whoever rings is hung up. Each leg that was called has its record then; an attempt
/// that called nobody has one of its own.
port::CommitId CallFlow::fail_attempt(const Cause& cause, port::Cdr::Side side) {
  if (!call_.setup) return 0;
  for (auto& p : call_.parties) {
    if (!rings(*p)) continue;
    p->leg->release(turn_, {}, 0);
    gone(*p, cause, side);
  }
  const port::CommitId commit =
      call_.setup->records > 0 ? call_.setup->recorded : record_attempt(cause, side);
  end_setup();
  return commit;
}

/// It was called by the setup, and has neither answered nor gone.
bool CallFlow::rings(const Party& p) const {
  return call_.setup && p.attempt == call_.setup->number && p.branch >= 0 && p.state != Party::State::up &&
         p.state != Party::State::gone;
}

/// Forgets who was rung; whoever still rings is hung up.
void CallFlow::end_setup(const Cause& others) {
  if (!call_.setup) return;
  for (auto& p : call_.parties)
    if (rings(*p)) release(*p, others);
  call_.setup.reset();
  call_.setup_until = Instant::never();
  touch();
}

}  // namespace tandem::call
