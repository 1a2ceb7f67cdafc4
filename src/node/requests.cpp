// What a message means: which room it is for, and who may ask for what. Every request outside a dialog is
// authenticated (by digest, by a token, or as a trunk by its source) before a room sees it.
#include <algorithm>

#include "base/text.h"
#include "node/worker_impl.h"
#include "sip/options.h"

namespace tandem::node {
namespace {

using Kind = sip::TuEvent::Kind;
using Room = port::Asker::Room;

constexpr std::string_view allowed_methods =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, UPDATE, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY, "
    "PUBLISH";
constexpr std::string_view supported_options = "replaces, timer, 100rel, path, outbound, gruu";

/// REGISTER is answered by the registrar itself (401); everything else passes through to somebody (407).
auth::Role role_for(sip::Method method) {
  return method == sip::Method::register_ ? auth::Role::user_agent : auth::Role::proxy;
}

}  // namespace

void Worker::Impl::events(Now now) {
  // Rooms may cause new events (a failed send); they are appended and handled in order.
  for (size_t i = 0; i < pending.size(); ++i) {
    sip::TuEvent e = std::move(pending[i]);
    event(now, std::move(e));
  }
  pending.clear();
}

void Worker::Impl::event(Now now, sip::TuEvent&& e) {
  if (e.kind == Kind::request) return request(now, std::move(e));
  switch (e.user.room) {
    case Room::call:
      return calls.on_sip(now, std::move(e), {}, out);
    case Room::presence:
      return notifier.on_sip(now, std::move(e), out);
    case Room::message:
      return messages.on_sip(now, std::move(e), out);
    case Room::auth:  // cancelled, or gone, before we knew who asks
      if (e.kind == Kind::cancel) respond(now, e.server, 487);
      if (e.kind == Kind::cancel || e.kind == Kind::done) waiting.erase(SlotId::unpack(e.user.object));
      return;
    case Room::registrar:
    case Room::route:
    case Room::node:
    case Room::rtc:
    case Room::turn:
    case Room::none:
      break;
  }
  // An ACK or a stray 2xx belongs to a dialog; nothing else without an owner is worth an answer.
  if (e.kind == Kind::ack || e.kind == Kind::stray_response) calls.on_sip(now, std::move(e), {}, out);
}

void Worker::Impl::request(Now now, sip::TuEvent&& e) {
  const sip::Message* m = transactions.request_of(e.server);
  if (!m) return;
  if (!m->to_tag().empty() && m->method() != sip::Method::register_) return in_dialog(now, std::move(e), *m);
  who(now, std::move(e), *m);
}

void Worker::Impl::in_dialog(Now now, sip::TuEvent&& e, const sip::Message& m) {
  const std::string_view tag = m.to_tag();
  if (notifier.owns_dialog(tag)) return notifier.on_sip(now, std::move(e), out);
  if (calls.owns_dialog(tag)) {
    trying(now, e.server);
    return calls.on_sip(now, std::move(e), {}, out);
  }
  // Anybody can make up a tag: nothing is kept of it.
  unknown_dialog.add();
  transactions.respond_repeatable(now, e.server, sip::response_to(m, e.path.remote, 481, {}).finish(), out);
}

/// An INVITE is told 100 when somebody takes it who may need time. A challenge comes without: it is kept
/// nowhere, so it must be asked for again when it is lost, and who has had a 100 does not ask again.
void Worker::Impl::trying(Now now, sip::ServerTxId server) {
  const sip::Message* m = transactions.request_of(server);
  const port::Path* path = transactions.path_of(server);
  if (!m || !path || m->method() != sip::Method::invite) return;
  transactions.respond(now, server, sip::response_to(*m, path->remote, 100, {}).finish(), out);
}

/// A certificate says more than an address.
const route::Trunk* Worker::Impl::trunk_of(const port::Path& path) const {
  if (path.peer)
    if (const auto* trunk = plan->trunk_by_certificate(*path.peer, path.remote.ip, path.realm)) return trunk;
  return plan->trunk_by_source(path.remote.ip, path.transport, path.realm);
}

void Worker::Impl::who(Now now, sip::TuEvent&& e, const sip::Message& m) {
  const port::Path& path = e.path;
  const auto uri = m.parsed_request_uri();
  if (!uri.ok())
    return respond(now, e.server,
                   uri.reason() == sip::Reason::bad_uri && m.request_uri().find(':') != std::string_view::npos
                       ? 416
                       : 400);
  const route::Trunk* trunk = trunk_of(path);
  if (!trunk) trunk = calls.trunk_of(uri->user, path);
  if (trunk && m.method() != sip::Method::register_) {
    call::Identity identity;
    identity.kind = call::Identity::Kind::trunk;
    identity.trunk = trunk->row.name;
    identity.domain = trunk->row.domain;
    trying(now, e.server);
    return accepted(now, e.server, path, identity);
  }
  if (m.method() == sip::Method::options && uri->is_sip() && uri->user.empty())
    return options(now, e.server, m, path);

  const auto speaker = m.method() == sip::Method::register_ ? m.to() : m.from();
  if (!speaker.ok() || !speaker->uri.is_sip()) return respond(now, e.server, 400, "Bad From or To");
  std::string domain = plan->domain_of(lower(speaker->uri.host));
  if (domain.empty() && m.method() != sip::Method::register_) domain = plan->domain_of(lower(uri->host));
  // A stranger to our domains gets the same challenge as a subscriber would: it learns nothing and cannot
  // answer.
  if (domain.empty()) domain = lower(uri->host);
  const std::string realm = challenge_realm(domain);
  if (const auto token = tokens.enabled() ? auth::bearer_token(m) : std::nullopt)
    return by_token(now, e, m, *token, {e.server, path, {}, realm, domain});
  const auto claimed = authenticator.claimed(m, realm, role_for(m.method()));
  if (!claimed) return challenge(now, e.server, m, path, realm, false);
  look_up(now, {e.server, path, {claimed->user, domain}, realm, domain});
}

/// The domain is the token's; a bare name in it is one of the default domain, not of whichever is asked.
void Worker::Impl::by_token(Now now, const sip::TuEvent& e, const sip::Message& m, std::string_view token,
                            Waiting w) {
  const auto claims = tokens.check(now, token);
  if (!claims.ok()) {
    // An old token is what every client has some day; one that nobody signed is a try. Whose, a datagram does
    // not tell: a token needs no answer of ours, so its source may be forged.
    if (port::is_reliable(e.path.transport) && claims.reason() != auth::TokenFault::expired &&
        claims.reason() != auth::TokenFault::too_early)
      auth_failed(now, e.path);
    return challenge(now, e.server, m, e.path, w.realm, false, true);
  }
  w.domain = claims->domain.empty() ? default_domain() : plan->domain_of(claims->domain);
  if (w.domain.empty()) w.domain = claims->domain;
  w.claimed = {claims->user, w.domain};
  w.by_token = true;
  look_up(now, std::move(w));
}

void Worker::Impl::look_up(Now now, Waiting w) {
  const sip::ServerTxId server = w.server;
  const port::AddressOfRecord claimed = w.claimed;
  const SlotId slot = waiting.emplace(std::move(w));
  if (!slot) {
    waiting_full.add();
    return respond(now, server, 503);
  }
  trying(now, server);
  transactions.set_user(server, {Room::auth, slot.packed(), 0});
  out.ask(port::AskSubscriber{claimed}, now.mono + settings.ask_timeout, {Room::auth, slot.packed()});
}

void Worker::Impl::known(Now now, const Waiting& w, const port::Answer& answer) {
  const sip::Message* m = transactions.request_of(w.server);
  if (!m) return;
  if (std::holds_alternative<port::AskFailure>(answer)) return respond(now, w.server, 503);
  port::SubscriberAnswer row;
  if (const auto* found = std::get_if<port::SubscriberAnswer>(&answer)) row = *found;
  if (row && !row->enabled) row = nullptr;
  if (w.by_token && !row) {
    if (port::is_reliable(w.path.transport)) auth_failed(now, w.path);
    return challenge(now, w.server, *m, w.path, w.realm, false, true);
  }
  if (!w.by_token && !password_is_right(now, w, *m, row.get())) return;
  if (m->method() != sip::Method::register_ && !may_speak_as(*m, *row))
    return respond(now, w.server, 403, "From is not yours");
  call::Identity identity;
  identity.kind = call::Identity::Kind::subscriber;
  identity.subscriber = row;
  identity.domain = w.domain;
  accepted(now, w.server, w.path, identity);
}

/// False: it has been challenged.
bool Worker::Impl::password_is_right(Now now, const Waiting& w, const sip::Message& m,
                                     const port::Subscriber* row) {
  const IpAddress* datagram_from = port::is_reliable(w.path.transport) ? nullptr : &w.path.remote.ip;
  switch (authenticator.check(now, m, w.realm, role_for(m.method()), row, datagram_from).outcome) {
    case auth::Check::Outcome::ok:
      return true;
    case auth::Check::Outcome::no_credentials:
      challenge(now, w.server, m, w.path, w.realm, false);
      break;
    case auth::Check::Outcome::stale:
      challenge(now, w.server, m, w.path, w.realm, true);
      break;
    case auth::Check::Outcome::bad:
      auth_failed(now, w.path);
      challenge(now, w.server, m, w.path, w.realm, false);
      break;
  }
  return false;
}

bool Worker::Impl::may_speak_as(const sip::Message& m, const port::Subscriber& subscriber) const {
  const auto from = m.from();
  if (!from.ok() || !from->uri.is_sip()) return false;
  const port::AddressOfRecord aor = aor_of(from->uri);
  return aor.user == subscriber.aor.user && plan->domain_of(aor.domain) == subscriber.aor.domain;
}

void Worker::Impl::accepted(Now now, sip::ServerTxId server, const port::Path& path,
                            const call::Identity& identity) {
  const sip::Message* m = transactions.request_of(server);
  if (!m) return;
  sip::TuEvent e;
  e.kind = Kind::request;
  e.server = server;
  e.path = path;
  switch (m->method()) {
    case sip::Method::invite:
      return calls.on_sip(now, std::move(e), identity, out);
    case sip::Method::register_:
      return on_register(now, server, *m, path, identity);
    case sip::Method::subscribe:
    case sip::Method::publish:
      return notifier.on_request(now, std::move(e), identity.subscriber, out);
    case sip::Method::message:
      return on_message(now, std::move(e), *m, identity);
    case sip::Method::options:
      return options(now, server, *m, path);
    case sip::Method::bye:
    case sip::Method::update:
    case sip::Method::prack:
    case sip::Method::info:
    case sip::Method::notify:
    case sip::Method::cancel:
      return respond(now, server, 481);
    case sip::Method::ack:
      return;
    case sip::Method::refer:
    case sip::Method::other:
      break;
  }
  sip::Writer w = sip::response_to(*m, path.remote, 405, mint.mint(shard_of(*m, mint, *plan)));
  w.header(sip::HeaderId::allow, allowed_methods);
  transactions.respond(now, server, std::move(w).finish(), out);
}

void Worker::Impl::on_message(Now now, sip::TuEvent&& e, const sip::Message& m,
                              const call::Identity& identity) {
  const auto uri = m.parsed_request_uri();
  const std::string host = uri.ok() ? lower(uri->host) : std::string();
  std::string domain = plan->domain_of(host);
  // An address of ours that is no domain's alias stands for the sender's domain.
  if (domain.empty() && IpAddress::parse(host)) domain = identity.domain;
  messages.on_request(now, std::move(e), identity.subscriber, domain, shard_of(m, mint, *plan), out);
}

void Worker::Impl::on_register(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path,
                               const call::Identity& identity) {
  if (!identity.subscriber) return respond(now, server, 403);
  // Who is bound stays bound while calls end; who is not goes to another node.
  if (draining && !registrar.registered(now, identity.subscriber->aor)) return respond(now, server, 503);
  registrar::BindingChanges changes;
  registrar::Registrar::Reply reply = registrar.on_register(now, m, path, *identity.subscriber, out, changes);
  transactions.respond(now, server, std::move(reply.response), out);
  binding_changes(now, changes);
  const bool moved_here = std::any_of(changes.begin(), changes.end(), [](const registrar::BindingChange& c) {
    return c.kind == registrar::BindingChange::Kind::added;
  });
  if (moved_here && port::is_reliable(path.transport)) phone_moved(now, identity.subscriber->aor, path);
}

void Worker::Impl::challenge(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path,
                             std::string_view realm, bool stale, bool token_refused) {
  const auth::Role role = role_for(m.method());
  // A request without credentials leaves nothing behind, neither here nor in `auth`: a flood of them fills no
  // table, and a registration costs one lingering transaction instead of two. With credentials a repetition
  // must be absorbed, since it would count against its sender once more.
  const bool repeatable = !m.has(sip::HeaderId::authorization) && !m.has(sip::HeaderId::proxy_authorization);
  sip::Writer w = sip::response_to(
      m, path.remote, auth::challenge_status(role),
      repeatable ? transactions.repeatable_tag(server) : mint.mint(shard_of(m, mint, *plan)));
  const std::string_view agent = m.header(sip::HeaderId::user_agent).value_or(std::string_view{});
  const bool bearer = tokens.enabled() && (token_refused || !authenticator.knows_one_challenge(agent));
  const auto ask_for_token = [&] {
    w.header(
        role == auth::Role::user_agent ? sip::HeaderId::www_authenticate : sip::HeaderId::proxy_authenticate,
        tokens.challenge(realm, token_refused));
  };
  // Of several challenges many telephones read the topmost alone, JsSIP and SIP.js the last: passwords have
  // it.
  const bool on_top = port::is_websocket(path.transport);
  if (bearer && on_top) ask_for_token();
  authenticator.challenge(now, realm, role, stale, port::is_secure(path.transport), w, agent, path.remote.ip);
  if (bearer && !on_top) ask_for_token();
  Buffer response = std::move(w).finish();
  if (repeatable)
    transactions.respond_repeatable(now, server, std::move(response), out);
  else
    transactions.respond(now, server, std::move(response), out);
}

void Worker::Impl::respond(Now now, sip::ServerTxId server, int status, std::string_view reason) {
  const sip::Message* m = transactions.request_of(server);
  const port::Path* path = transactions.path_of(server);
  if (!m || !path) return;
  sip::Writer w = sip::response_to(*m, path->remote, status, mint.mint(shard_of(*m, mint, *plan)), reason);
  if (status == 503) w.header_number(sip::HeaderId::retry_after, settings.retry_after_seconds);
  transactions.respond(now, server, std::move(w).finish(), out);
}

void Worker::Impl::options(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path) {
  const std::string unknown = sip::unsupported_options(m, supported_options);
  const int status = !unknown.empty() ? 420 : draining ? 503 : 200;
  sip::Writer w = sip::response_to(m, path.remote, status, mint.mint(shard_of(m, mint, *plan)));
  w.header(sip::HeaderId::allow, allowed_methods)
      .header(sip::HeaderId::accept, "application/sdp")
      .header(sip::HeaderId::supported, supported_options);
  if (!unknown.empty()) w.header(sip::HeaderId::unsupported, unknown);
  if (status == 503) w.header_number(sip::HeaderId::retry_after, settings.retry_after_seconds);
  transactions.respond(now, server, std::move(w).finish(), out);
}

std::string Worker::Impl::challenge_realm(const std::string& domain) const {
  const port::DomainRow* row = plan->domain(domain);
  return row && !row->digest_realm.empty() ? row->digest_realm : domain;
}

}  // namespace tandem::node
