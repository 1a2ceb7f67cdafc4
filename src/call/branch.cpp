// Targets that ring: contacts of subscribers, in parallel or in turn, with their time-outs, forwarding and
// do-not-disturb.
#include <algorithm>
#include <set>

#include "base/text.h"
#include "call/flow.h"
#include "route/number.h"
#include "sip/headers.h"
#include "sip/writer.h"

namespace tandem::call {

namespace {

/// Which of two refusals says more to the caller (RFC 3261 section 16.7 item 6, with busy and declined before
/// the rest).
int weight(const Cause& c) {
  if (c.status == 0) return 0;
  if (c.status == 603 || c.status == 600) return 9;
  if (c.status == 486) return 8;
  if (c.status >= 600) return 7;
  if (c.status == 480) return 6;
  if (c.status == 487) return 1;
  if (c.status == 408) return 3;
  if (c.status >= 500) return 2;
  return c.status == 404 ? 4 : 5;
}

bool is_busy(const Cause& c) { return c.status == 486 || c.status == 600; }

bool is_redirection(const Cause& c) { return c.status >= 300 && c.status < 400; }

/// What the caller hears of a trunk's refusal. A challenge was for us, and where a call goes is for the dial
/// plan to say.
Cause told_for(const Cause& refusal) {
  if (is_redirection(refusal)) return Cause::from_status(480, "Redirected by the trunk");
  if (refusal.status == 401 || refusal.status == 407)
    return Cause::from_status(502, "Trunk refuses our credentials");
  return refusal;
}

/// What a phone of ours answers to us is not what the caller should hear: no challenges, no transport
/// troubles.
Cause told_for_phone(const Cause& refusal) {
  Cause told = refusal;
  if (told.status == 401 || told.status == 407 || told.status == 408 ||
      (told.status == 503 && told.q850 != 47) || is_redirection(told)) {
    told.status = 480;
    told.q850 = 20;
  }
  return told;
}

std::string sip_uri(std::string_view user, std::string_view domain) {
  std::string uri = "sip:";
  if (!user.empty()) uri.append(sip::escape_user(user)).append("@");
  return uri.append(domain);
}

std::string name_addr(std::string_view display, std::string_view uri) {
  std::string out;
  if (!display.empty()) out = sip::quote(display) + " ";
  return out.append("<").append(uri).append(">");
}

}  // namespace

Branch& CallFlow::add_branch(Branch::Kind kind) {
  Setup& setup = *call_.setup;
  Branch& b = setup.branches.emplace_back();
  b.kind = kind;
  b.start = turn_.now.mono;
  touch();
  return b;
}

Branch& CallFlow::add_extension(const port::AddressOfRecord& aor) {
  Branch& b = add_branch(Branch::Kind::extension);
  b.aor = aor;
  if (call_.setup->gruu.aor == aor) b.gruu = call_.setup->gruu.gruu;
  return b;
}

bool CallFlow::branch_alive(size_t branch) const {
  if (!call_.setup) return false;
  for (const auto& p : call_.parties)
    if (p->branch == static_cast<int>(branch) && p->attempt == call_.setup->number &&
        p->state != Party::State::gone)
      return true;
  return false;
}

/// Starts what is due; when nothing rings any more, what comes next does not wait for its time; when nothing
/// is left, the setup has failed.
void CallFlow::advance() {
  for (int round = 0; round < 256 && call_.setup; ++round) {
    Setup& setup = *call_.setup;
    const uint64_t number = setup.number;
    bool active = false;
    int due = -1;
    Instant first = Instant::never();
    for (size_t i = 0; i < setup.branches.size(); ++i) {
      Branch& b = setup.branches[i];
      if (b.state == Branch::State::waiting) {
        first = std::min(first, b.start);
        if (due < 0 && b.start <= turn_.now.mono) due = static_cast<int>(i);
      } else if (b.state != Branch::State::failed && b.state != Branch::State::done) {
        active = true;
      }
    }
    if (due >= 0) {
      begin(static_cast<size_t>(due));
      if (!call_.setup || call_.setup->number != number) return;
      continue;
    }
    if (active) return;
    if (first.is_never()) {
      Cause best = setup.best;
      return fail_setup(best.status ? best : Cause::from_status(480));
    }
    const Duration ahead = first - turn_.now.mono;
    for (Branch& b : setup.branches)
      if (b.state == Branch::State::waiting) b.start = b.start - ahead;
    if (!setup.group_until.is_never()) setup.group_until = setup.group_until - ahead;
  }
}

void CallFlow::begin(size_t branch) {
  Branch& b = call_.setup->branches[branch];
  touch();
  if (b.kind == Branch::Kind::trunk) return next_hop(branch);
  if (b.kind == Branch::Kind::uri) {
    const auto uri = sip::Uri::parse(b.uri);
    if (!uri.ok() || !uri->is_sip()) return fail_branch(branch, Cause::from_status(404));
    const auto target = route::ResolveTarget::from(*uri);
    if (!target) return fail_branch(branch, Cause::from_status(404));
    return resolve(branch, target->host, target->port, target->transport, target->secure, call_.realm);
  }
  b.state = Branch::State::asking;
  b.profile_known = b.contacts_known = false;
  b.line_known = !b.skip_busy;
  const port::AddressOfRecord aor = b.aor;
  const std::string gruu = b.gruu;
  const bool skip_busy = b.skip_busy;
  ask(OpenAsk::What::profile, port::AskSubscriber{aor}, static_cast<int>(branch));
  ask(OpenAsk::What::bindings, port::AskBindings{aor, gruu}, static_cast<int>(branch));
  if (skip_busy) ask(OpenAsk::What::line, port::AskLine{aor}, static_cast<int>(branch));
}

void CallFlow::on_profile(size_t branch, const port::Answer& answer) {
  Setup& setup = *call_.setup;
  Branch& b = setup.branches[branch];
  if (b.state != Branch::State::asking) return;
  if (const auto* row = std::get_if<port::SubscriberAnswer>(&answer); row && *row) {
    b.profile = *row;
    b.profile_known = true;
    setup.fallback.reset();  // the address exists: the catch-all route is not taken
  } else if (std::holds_alternative<port::AskFailure>(answer)) {
    layer_.counters.ask_failures.add();
    return fail_branch(branch, Cause::from_status(503, "Directory unavailable"));
  } else {
    if (setup.fallback) {
      const route::Decision next = *std::exchange(setup.fallback, std::nullopt);
      b.state = Branch::State::done;
      return act(next.action);
    }
    return fail_branch(branch, Cause::from_status(404));
  }
  if (!b.profile->enabled) return fail_branch(branch, Cause::from_status(404));
  const port::Forwarding& forwarding = b.profile->forwarding;
  if (b.forwards && !forwarding.always.empty() && divert(branch, forwarding.always, "unconditional")) return;
  if (b.profile->do_not_disturb && !b.own) {
    if (b.forwards && !forwarding.busy.empty() && divert(branch, forwarding.busy, "do-not-disturb")) return;
    return fail_branch(branch, Cause::from_status(layer_.config.busy_status, "Do not disturb"));
  }
  if (b.profile->max_calls > 0 && !b.skip_busy) {  // whoever must have no call at all has been asked for
    b.line_known = false;
    return ask(OpenAsk::What::line, port::AskLine{b.aor}, static_cast<int>(branch));
  }
  if (b.contacts_known && b.line_known) ring(branch);
}

void CallFlow::on_bindings(size_t branch, const port::Answer& answer) {
  Branch& b = call_.setup->branches[branch];
  if (b.state != Branch::State::asking) return;
  if (const auto* found = std::get_if<port::BindingsAnswer>(&answer)) {
    b.contacts = found->contacts;
  } else if (std::holds_alternative<port::AskFailure>(answer)) {
    layer_.counters.ask_failures.add();
    return fail_branch(branch, Cause::from_status(503, "Registrar unavailable"));
  }
  b.contacts_known = true;
  if (b.profile_known && b.line_known) ring(branch);
}

/// Calls a subscriber has besides this one, in either direction; several of his phones ring for one call.
size_t CallFlow::other_calls(const port::Answer& answer) const {
  const auto* line_answer = std::get_if<port::LineAnswer>(&answer);
  std::set<uint64_t> calls;
  if (line_answer)
    for (const port::LineCall& c : line_answer->calls) calls.insert(c.call);
  calls.erase(call_.id);
  return calls.size();
}

/// A ring group passes over who has a call; everybody else is busy when the limit of his row is reached.
void CallFlow::on_called_line(size_t branch, const port::Answer& answer) {
  Branch& b = call_.setup->branches[branch];
  if (b.state != Branch::State::asking) return;
  const auto* line_answer = std::get_if<port::LineAnswer>(&answer);
  if (b.skip_busy && line_answer && !line_answer->calls.empty())
    return fail_branch(branch, Cause::from_status(486));
  if (b.profile && b.profile->max_calls > 0 && other_calls(answer) >= b.profile->max_calls) {
    layer_.counters.limit_subscriber.add();
    b.cause = Cause::from_status(486, "Too many calls");
    return on_branch_over(branch);
  }
  b.line_known = true;
  if (b.profile_known && b.contacts_known) ring(branch);
}

void CallFlow::ring(size_t branch) {
  const uint64_t number = call_.setup->number;
  std::vector<port::Contact> contacts = std::move(call_.setup->branches[branch].contacts);
  {
    Branch& b = call_.setup->branches[branch];
    b.contacts.clear();
    b.state = Branch::State::ringing;
    Duration ring = b.ring.count() ? b.ring : layer_.config.ring_timeout;
    const port::Forwarding& f = b.profile->forwarding;
    if (b.forwards && !f.no_answer.empty()) ring = std::min<Duration>(ring, seconds(f.no_answer_seconds));
    b.stop = turn_.now.mono + ring;
    if (contacts.empty()) {
      b.cause = Cause::from_status(480, "Not registered");
      b.cause.q850 = 20;
      return on_branch_over(branch);
    }
  }
  if (contacts.size() > layer_.config.max_forks) {
    layer_.counters.limit_forks.add(contacts.size() - layer_.config.max_forks);
    contacts.resize(layer_.config.max_forks);
  }
  for (const port::Contact& contact : contacts) {
    if (!call_.setup || call_.setup->number != number) return;
    ring_contact(branch, contact);
  }
  if (call_.setup && call_.setup->number == number && !branch_alive(branch)) on_branch_over(branch);
}

std::string CallFlow::from_header(const Party& from, std::string_view user, std::string_view domain) const {
  if (call_.private_caller && user == from.user) return "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
  return name_addr(from.display, sip_uri(user, domain));
}

void CallFlow::diversion_headers(Invitation& invitation) const {
  const auto& diversions = call_.setup->diversions;
  for (auto d = diversions.rbegin(); d != diversions.rend(); ++d)  // the latest first (RFC 5806 section 4)
    invitation.headers.emplace_back("Diversion", "<" + d->uri + ">;reason=" + d->reason);
  if (diversions.empty()) return;
  size_t index = 1;
  std::string history;
  for (const Diversion& d : diversions) {
    if (!history.empty()) history += ", ";
    history += "<" + d.uri + ">;index=1";
    for (size_t i = 1; i < index; ++i) history += ".1";
    ++index;
  }
  invitation.headers.emplace_back("History-Info", history);
}

void CallFlow::ring_contact(size_t branch, const port::Contact& contact) {
  const Branch& b = call_.setup->branches[branch];
  const Party* from = origin();
  if (!from) return;
  Invitation invitation;
  invitation.request_uri = contact.uri;
  invitation.path = contact.path;
  invitation.route = contact.route;
  invitation.keep_transport = true;
  const auto uri = sip::Uri::parse(contact.uri);
  if (!contact.fixed && uri.ok()) {
    if (const auto ip = IpAddress::parse(uri->host)) {
      const auto port = uri->port
                            ? uri->port
                            : static_cast<uint16_t>(port::is_secure(contact.path.transport) ? 5061 : 5060);
      invitation.path.remote = {*ip, port};
    }
  }
  // A number from outside is shown in the callee's domain, so that it can be called back. What could be one
  // of our extensions is not: nobody outside is our 1001.
  const bool in_domain =
      from->domain.empty() || (!from->trunk.empty() && !route::could_be_extension(from->user));
  invitation.from = from_header(*from, from->user, in_domain ? b.aor.domain : from->domain);
  invitation.to = "<" + sip_uri(b.aor.user, b.aor.domain) + ">";
  if (!call_.private_caller) invitation.contact_user = from->user;
  diversion_headers(invitation);
  Party* called = call_leg(branch, std::move(invitation));
  if (!called) return;
  // The branch may have moved in memory: nothing of it is kept over call_leg().
  const Branch& now = call_.setup->branches[branch];
  called->aor = now.aor;
  called->user = now.aor.user;
  called->domain = now.aor.domain;
  called->display = now.profile ? now.profile->display_name : std::string{};
  if (now.profile) {
    called->pickup_group = now.profile->pickup_group;
    called->source = route::FromSubscriber{now.profile->aor, now.profile->call_class,
                                           now.profile->caller_number, now.profile->pickup_group};
  }
  line(*called, port::LineCall::State::trying);
}

/// A new leg of this branch, its INVITE sent. Nothing when a limit or the media room says no; the branch has
/// the cause then.
Party* CallFlow::call_leg(size_t branch, Invitation invitation) {
  Party* from = origin();
  if (!from) return nullptr;
  size_t alive = 0;
  for (const auto& p : call_.parties) alive += p->state != Party::State::gone;
  const auto blame = [&](Cause cause) {
    if (cause.status == 503) cause.q850 = 47;  // ours, not the callee's: told to the caller as it is
    Branch& b = call_.setup->branches[branch];
    if (weight(cause) >= weight(b.cause)) b.cause = std::move(cause);
    return nullptr;
  };
  if (alive >= layer_.config.max_legs) {
    layer_.counters.limit_legs.add();
    return blame(Cause::from_status(503, "Too many legs"));
  }
  Party& called = add_party();
  called.branch = static_cast<int>(branch);
  called.attempt = call_.setup->number;
  called.realm = invitation.path.realm;
  const Branch& target = call_.setup->branches[branch];
  if (target.kind == Branch::Kind::trunk) {
    called.trunk = target.hops[target.hop].trunk;
    if (const route::Trunk* trunk = layer_.plan->trunk(called.trunk)) {
      called.codecs = trunk->row.codecs;
      called.srtp = trunk->row.srtp;
      called.recording = trunk->row.recording;
      called.dtmf = trunk->row.dtmf;
    }
  } else if (target.profile) {
    called.codecs = target.profile->codecs;
    called.srtp = target.profile->srtp;
    called.recording = target.profile->recording;
    called.dtmf = target.profile->dtmf;
  }
  Cause why;
  const std::string body =
      open_media(called, invitation.path) ? offer_for(called, *from, why) : std::string{};
  if (!called.endpoint) why = Cause::from_status(503, "No media port");
  if (why.status) {
    called.leg->release(turn_, why, 0);
    gone(called);
    return blame(std::move(why));
  }
  invitation.max_forwards = call_.max_forwards;
  for (const auto& [name, value] : call_.passed) invitation.headers.emplace_back(name, value);
  called.sip->invite(turn_, std::move(invitation), body);
  know_dialog(called);
  Branch& b = call_.setup->branches[branch];
  b.state = Branch::State::ringing;
  return &called;
}

/// A phone that takes encrypted media only refuses every other offer (488). Where we may, it is asked once
/// more. What a trunk takes stands in its row.
bool CallFlow::offer_encrypted(Party& called, const LegEvent& event) {
  Party* from = origin();
  if (!event.by_peer || event.cause.status != 488 || !from || !called.sip || !called.trunk.empty())
    return false;
  if (call_.setup->branches[static_cast<size_t>(called.branch)].state != Branch::State::ringing) return false;
  if (!layer_.engine.demand_srtp(called.endpoint)) return false;
  Cause why;
  const std::string body = offer_for(called, *from, why);
  if (body.empty()) return false;
  touch();
  this->event(port::Level::info, "call.offered_encrypted", {{"party", called.user}});
  called.sip->invite_again(turn_, body);
  return true;
}

void CallFlow::on_refused(Party& called, const LegEvent& event) {
  const int branch = called.branch;
  const std::string called_trunk = called.trunk;
  const bool ours = call_.setup && called.attempt == call_.setup->number && branch >= 0;
  if (!ours) return gone(called);
  if (offer_encrypted(called, event)) return;
  const auto index = static_cast<size_t>(branch);
  Branch& b = call_.setup->branches[index];
  // Trunks are asked one after the other, and the word of the last one decides.
  const bool outside = b.kind != Branch::Kind::extension;
  // Where a redirection leads is the next record's; this one says that there was one.
  const bool redirected = is_redirection(event.cause);
  gone(called,
       redirected ? event.cause
       : outside  ? told_for(event.cause)
                  : told_for_phone(event.cause),
       event.by_peer ? port::Cdr::Side::callee : port::Cdr::Side::system);
  if (outside || weight(event.cause) >= weight(b.cause)) b.cause = event.cause;
  touch();
  if (b.state != Branch::State::ringing) return;
  const int status = event.cause.status;
  if (is_redirection(event.cause)) {
    if (outside) {
      layer_.counters.trunk_redirections.add();
      this->event(port::Level::notice, "trunk.redirected",
                  {{"trunk", called_trunk}, {"status", std::to_string(status)}});
    } else if (layer_.config.follow_redirects && !event.targets.empty()) {
      if (redirect(index, event.targets)) return;
      call_.setup->branches[index].cause = Cause::from_status(480, "Redirected in circles");
    }
  }
  if (status >= 600) release_branch(index, Cause::cancelled(26));  // RFC 3261 section 16.7 item 5
  if (!branch_alive(index)) on_branch_over(index);
}

/// No leg of the branch is left, and nobody answered.
void CallFlow::on_branch_over(size_t branch) {
  Branch& b = call_.setup->branches[branch];
  if (b.kind == Branch::Kind::trunk || b.kind == Branch::Kind::uri) {
    if (trunk_failover(b.cause)) {
      if ((b.cause.status == 408 || b.cause.status == 503) && !b.rang && b.address < b.addresses.size()) {
        const NextHop& dead = b.addresses[b.address];
        layer_.failures.note_failure(turn_.now.mono,
                                     {dead.path.transport, dead.path.remote, dead.server_name});
      }
      if (++b.address < b.addresses.size()) return ring_address(branch);
      if (b.kind == Branch::Kind::trunk && ++b.hop < b.hops.size()) return next_hop(branch);
    }
    return fail_branch(branch, b.cause);
  }
  if (b.forwards && b.profile) {
    const port::Forwarding& f = b.profile->forwarding;
    if (is_busy(b.cause) && !f.busy.empty() && divert(branch, f.busy, "user-busy")) return;
    const bool unreachable = !b.rang && !is_busy(b.cause) && b.cause.status < 600;
    if (unreachable && !f.unreachable.empty() && divert(branch, f.unreachable, "unavailable")) return;
  }
  fail_branch(branch, told_for_phone(b.cause));
}

void CallFlow::fail_branch(size_t branch, const Cause& refusal) {
  Setup& setup = *call_.setup;
  Branch& b = setup.branches[branch];
  const Cause cause = b.kind == Branch::Kind::extension ? refusal : told_for(refusal);
  b.state = Branch::State::failed;
  b.cause = cause;
  if (weight(cause) >= weight(setup.best)) setup.best = cause;
  touch();
  advance();
}

void CallFlow::release_branch(size_t branch, const Cause& cause) {
  if (!call_.setup) return;
  const uint64_t attempt = call_.setup->number;
  for (auto& p : call_.parties)
    if (p->branch == static_cast<int>(branch) && p->attempt == attempt && p->state != Party::State::gone)
      release(*p, cause);
}

void CallFlow::on_ring_timeout(size_t branch) {
  Branch& b = call_.setup->branches[branch];
  b.stop = Instant::never();
  const bool rang = b.rang;
  Cause cause = Cause::from_status(480, rang ? "No answer" : "Unreachable");
  cause.q850 = rang ? 19 : 18;
  if (!rang && (b.kind == Branch::Kind::trunk)) cause.status = 408;
  b.cause = cause;
  release_branch(branch, cause);
  if (!call_.setup) return;
  Branch& again = call_.setup->branches[branch];
  if (again.kind == Branch::Kind::extension && again.forwards && again.profile) {
    const port::Forwarding& f = again.profile->forwarding;
    // A 180 may have got lost, and who is not reached does not answer either: without a target for the
    // unreachable the one for no answer serves.
    const bool no_answer = rang || f.unreachable.empty();
    const std::string& target = no_answer ? f.no_answer : f.unreachable;
    if (!target.empty() && divert(branch, target, no_answer ? "no-answer" : "unavailable")) return;
  }
  fail_branch(branch, cause);
}

/// A phone answered 3xx: its contacts are tried one after the other, each when nothing rings any more for the
/// one before (RFC 3261 section 8.1.3.4). False: to none of them.
bool CallFlow::redirect(size_t branch, const std::vector<std::string>& targets) {
  Setup& setup = *call_.setup;
  std::vector<Redirection> next;
  next.reserve(targets.size());
  for (const std::string& target : targets) next.push_back({branch, target, setup.diversions.size()});
  setup.redirections.insert(setup.redirections.begin(), next.begin(), next.end());
  return follow_redirection();
}

bool CallFlow::follow_redirection() {
  Setup& setup = *call_.setup;
  while (!setup.redirections.empty()) {
    const Redirection next = std::move(setup.redirections.front());
    setup.redirections.erase(setup.redirections.begin());
    // What the target before this one did with the call is not how it came to this one.
    setup.diversions.resize(std::min(setup.diversions.size(), next.diversions));
    if (divert(next.branch, next.target, "deflection")) return true;
  }
  return false;
}

/// The target goes to somebody else (RFC 5806, RFC 7044). False: it cannot (in circles, too often).
bool CallFlow::divert(size_t branch, std::string_view target_text, std::string_view reason) {
  Setup& setup = *call_.setup;
  std::string target(target_text);
  const std::string key = lower(target);
  const bool circle = std::find(setup.seen.begin(), setup.seen.end(), key) != setup.seen.end();
  if (circle || setup.forwards >= layer_.config.max_forwards) {
    layer_.counters.limit_forwards.add();
    return false;
  }
  ++setup.forwards;
  setup.seen.push_back(key);
  Branch& b = setup.branches[branch];
  b.state = Branch::State::done;
  b.stop = Instant::never();
  release_branch(branch, Cause::cancelled(16));
  if (setup.seen.size() < 2) setup.seen.push_back(lower(b.aor.user));
  setup.diversions.push_back({sip_uri(b.aor.user, b.aor.domain), std::string(reason)});
  setup.forwarded_by = b.aor.to_string();
  setup.gruu = {};
  route::CallRequest request;
  request.wall = turn_.now.wall;
  // The forwarder pays and must be allowed to call there.
  if (b.profile)
    request.source = route::FromSubscriber{b.profile->aor, b.profile->call_class, b.profile->caller_number,
                                           b.profile->pickup_group};
  else
    request.source = route::FromPlan{};
  request.domain = b.aor.domain;
  request.realm = call_.realm;
  request.seed = call_.id;
  request.diverted = true;
  const auto uri = sip::Uri::parse(target);
  const bool is_uri = uri.ok() && (uri->is_sip() || uri->scheme == sip::Scheme::tel);
  const bool ours =
      is_uri && uri->is_sip() && (layer_.plan->serves(uri->host) || layer_.contacts.is_local(uri->host));
  request.dialled = ours ? sip::unescape(uri->user).value_or(std::string(uri->user)) : target;
  event(port::Level::info, "call.diverted", {{"by", setup.forwarded_by}, {"reason", std::string(reason)}});
  apply(layer_.plan->decide(request));
  return true;
}

}  // namespace tandem::call
