#include "presence/notifier.h"

#include <utility>

#include <algorithm>

#include "base/text.h"
#include "presence/notifier_state.h"
#include "sip/headers.h"

namespace tandem::presence {
namespace {

using Kind = sip::TuEvent::Kind;

constexpr std::string_view package_names[] = {"dialog", "message-summary", "presence"};
constexpr uint32_t longest_wait = 60;  // seconds, of a watcher's Retry-After

std::string_view transport_parameter(port::Transport t) {
  switch (t) {
    case port::Transport::udp:
      return "";
    case port::Transport::tcp:
      return ";transport=tcp";
    case port::Transport::tls:
      return ";transport=tls";
    case port::Transport::ws:
    case port::Transport::wss:
      return ";transport=ws";
  }
  return "";
}

}  // namespace

Notifier::Notifier(NotifierConfig config, sip::TransactionLayer& transactions, sip::TokenMint& mint,
                   const sip::SentBy& sent_by, CounterSet& counters)
    : config_(config),
      transactions_(transactions),
      mint_(mint),
      sent_by_(sent_by),
      resources_(config.subscriptions + config.publications),
      subscriptions_(config.subscriptions),
      subscribed_(counters.counter("presence_subscriptions_total", "Subscriptions made")),
      refused_(counters.counter("presence_refused_total", "SUBSCRIBE and PUBLISH requests refused")),
      notified_(counters.counter("presence_notifies_total", "NOTIFY requests sent")),
      notify_failures_(counters.counter("presence_notify_failures_total",
                                        "Subscriptions that ended because their NOTIFY failed")),
      published_(counters.counter("presence_publications_total", "PUBLISH requests accepted")),
      limit_total_(
          counters.counter("presence_limits_total", "Requests over a limit", R"(limit="subscriptions")")),
      limit_aor_(counters.counter("presence_limits_total", "Requests over a limit",
                                  R"(limit="subscriptions_per_aor")")),
      limit_publications_(
          counters.counter("presence_limits_total", "Requests over a limit", R"(limit="publications")")),
      bad_documents_(counters.counter("presence_bad_documents_total",
                                      "Published documents that were too large or not well-formed")),
      foreign_documents_(counters.counter("presence_foreign_documents_total",
                                          "Published documents about somebody else (403)")),
      unreadable_(counters.counter("presence_unreadable_parts_total", "Parts that could not be read back")),
      subscriptions_gauge_(counters.gauge("presence_subscriptions", "Subscriptions that live here")) {}

Notifier::~Notifier() = default;

void Notifier::on_request(Now now, sip::TuEvent&& event, const port::SubscriberAnswer& who,
                          port::Outbox& out) {
  const sip::Message* request = transactions_.request_of(event.server);
  if (!request) return;
  if (!who) return respond(now, event.server, *request, event.path, 403, out);
  if (request->method() == sip::Method::publish)
    on_publish(now, event.server, *request, event.path, *who, out);
  else
    on_subscribe(now, event.server, *request, event.path, *who, out);
}

void Notifier::on_sip(Now now, sip::TuEvent&& event, port::Outbox& out) {
  switch (event.kind) {
    case Kind::request: {
      const sip::Message* request = transactions_.request_of(event.server);
      if (!request) return;
      if (request->method() == sip::Method::subscribe)
        on_refresh(now, event.server, *request, event.path, out);
      else
        respond(now, event.server, *request, event.path, 405, out, sip::HeaderId::allow, "SUBSCRIBE, NOTIFY");
      return;
    }
    case Kind::response:
    case Kind::timeout:
    case Kind::transport_failed:
      if (event.client) on_notify_result(now, SlotId::unpack(event.user.object), event, out);
      return;
    case Kind::ack:
    case Kind::cancel:
    case Kind::ack_missing:
    case Kind::stray_response:
    case Kind::done:
      return;
  }
}

// ---- what changes

void Notifier::on_line(Now now, const port::AddressOfRecord& aor, const port::LineAnswer& line,
                       port::Outbox& out) {
  Resource* r = resources_.find(find_resource(aor));
  if (!r) return;
  r->calls = line.calls;
  changed(now, *r, Package::dialog, out);
}

void Notifier::on_registration(Now now, const port::AddressOfRecord& aor, uint32_t contacts,
                               port::Outbox& out) {
  Resource* r = resources_.find(find_resource(aor));
  if (!r) return;
  const bool told = (r->contacts > 0) != (contacts > 0) && r->publications.empty();
  r->contacts = contacts;
  if (told) changed(now, *r, Package::presence, out);
}

void Notifier::on_mailbox(Now now, const port::AddressOfRecord& aor, port::Outbox& out) {
  const Resource* r = resources_.find(find_resource(aor));
  if (!r) return;
  for (const SlotId id : r->subscriptions) {
    Subscription* s = subscriptions_.find(id);
    if (!s || s->package != Package::message_summary || !s->end_reason.empty()) continue;
    if (s->asking != 0)
      s->ask_again = true;
    else
      ask_state(now, id, *s, *r, out);
  }
}

/// Owed at once to all watchers of that package. One that has not answered the last NOTIFY gets the newest
/// state after it did: a slow one costs one request, however fast the state changes.
void Notifier::changed(Now now, Resource& r, Package package, port::Outbox& out) {
  for (SlotId id : std::vector<SlotId>(r.subscriptions)) {
    Subscription* s = subscriptions_.find(id);
    if (!s || s->package != package) continue;
    s->owed = true;
    notify(now, id, *s, out);
  }
}

// ---- NOTIFY

void Notifier::notify(Now now, SlotId id, Subscription& s, port::Outbox& out) {
  const Resource* r = resources_.find(s.resource);
  if (!r || !s.owed || s.notifying || s.asking != 0 || !s.retry_at.is_never()) return;
  std::string body;
  std::string_view type;
  switch (s.package) {
    case Package::dialog:
      body = dialog_info(r->aor, r->calls, s.watcher, s.version), type = dialog_info_type;
      break;
    case Package::message_summary:
      body = message_summary(r->aor, r->messages), type = message_summary_type;
      break;
    case Package::presence:
      body = r->publications.empty() ? pidf(r->aor, r->contacts > 0) : r->publications.back().body;
      type = pidf_type;
      break;
  }
  sip::Writer w = s.dialog.request(sip::Method::notify);
  const std::string_view name = package_names[static_cast<size_t>(s.package)];
  if (s.event_id.empty())
    w.header(sip::HeaderId::event, name);
  else
    w.header(sip::HeaderId::event, {name, ";id=", s.event_id});
  if (s.end_reason.empty()) {
    const auto left = std::max<int64_t>((s.expires - now.mono) / seconds(1), 0);
    w.header(sip::HeaderId::subscription_state, {"active;expires=", std::to_string(left)});
  } else {
    w.header(sip::HeaderId::subscription_state, {"terminated;reason=", s.end_reason});
  }
  sip::OutgoingRequest request;
  request.method = sip::Method::notify;
  request.rest = std::move(w).body(type, as_bytes(body));
  request.path = s.dialog.path;
  request.user = {port::Asker::Room::presence, id.packed(), 0};
  request.shard = sip::shard_of(r->aor.to_string());
  request.keep_transport = true;  // the way it subscribed is the way it can be reached
  ++s.version;
  s.owed = false;
  s.notifying = true;
  notified_.add();
  const sip::ClientTxId sent = transactions_.request(now, std::move(request), out);
  if (sent) return;
  notify_failures_.add();
  forget(id);
}

void Notifier::end(Now now, SlotId id, Subscription& s, std::string_view reason, port::Outbox& out) {
  s.end_reason = reason;
  s.owed = true;
  s.asking = 0;
  s.retry_at = Instant::never();
  notify(now, id, s, out);
}

void Notifier::on_notify_result(Now now, SlotId id, const sip::TuEvent& event, port::Outbox& out) {
  Subscription* s = subscriptions_.find(id);
  if (!s) return;
  const int status = event.kind == Kind::response && event.message ? event.message->status() : 408;
  if (status < 200) return;
  s->notifying = false;
  if (status < 300) {
    if (s->owed) return notify(now, id, *s, out);
    if (!s->end_reason.empty()) forget(id);
    return;
  }
  // RFC 6665 section 4.2.2: a failure ends the subscription unless the watcher says when to come back.
  std::optional<uint32_t> wait;
  if (event.message)
    if (const auto value = event.message->header(sip::HeaderId::retry_after))
      if (const auto number = sip::parse_delta_seconds(*value)) wait = std::min(*number, longest_wait);
  if (wait && s->end_reason.empty()) {
    s->owed = true;
    s->retry_at = now.mono + seconds(std::max<uint32_t>(*wait, 1));
    arm(id, *s, s->deadline());
    return;
  }
  notify_failures_.add();
  forget(id);
}

void Notifier::forget(SlotId id) {
  Subscription* s = subscriptions_.find(id);
  if (!s) return;
  const SlotId resource = s->resource;
  if (Resource* r = resources_.find(resource)) std::erase(r->subscriptions, id);
  by_tag_.erase(std::string_view(s->dialog.local_tag));
  subscriptions_.erase(id);
  subscriptions_gauge_.set(subscriptions_.size());
  drop_if_idle(resource);
}

// ---- answers and time

void Notifier::on_answer(Now now, uint64_t object, port::AskId id, port::Answer answer, port::Outbox& out) {
  const SlotId slot = SlotId::unpack(object);
  Subscription* s = subscriptions_.find(slot);
  if (!s || s->asking != id) return;
  s->asking = 0;
  Resource* r = resources_.find(s->resource);
  if (r) {
    if (auto* line = std::get_if<port::LineAnswer>(&answer)) r->calls = std::move(line->calls);
    if (const auto* bindings = std::get_if<port::BindingsAnswer>(&answer))
      r->contacts = static_cast<uint32_t>(bindings->contacts.size());
    if (const auto* waiting = std::get_if<port::WaitingAnswer>(&answer)) {
      const MessageCounts counts{waiting->messages, waiting->voice_new, waiting->voice_old};
      const bool news = !(r->messages == counts);
      r->messages = counts;
      if (news) changed(now, *r, Package::message_summary, out);
      s = subscriptions_.find(slot);
      if (!s) return;
    }
  }
  notify(now, slot, *s, out);
  s = subscriptions_.find(slot);
  if (s && std::exchange(s->ask_again, false) && s->asking == 0)
    if (Resource* again = resources_.find(s->resource)) ask_state(now, slot, *s, *again, out);
}

void Notifier::arm(SlotId id, Subscription& s, Instant deadline) {
  if (deadline >= s.armed) return;
  s.armed = deadline;
  timers_.push(deadline, {id, false});
}

void Notifier::on_timeout(Now now, port::Outbox& out) {
  TimerQueue<Timer>::Due due;
  while (timers_.pop_due(now.mono, due)) {
    if (due.key.publication) {
      expire_publications(now, due.key.id, due.deadline, out);
      continue;
    }
    Subscription* s = subscriptions_.find(due.key.id);
    if (!s || s->armed != due.deadline) continue;
    s->armed = Instant::never();
    if (s->retry_at <= now.mono) {
      s->retry_at = Instant::never();
      if (s->asking == 0 && std::exchange(s->ask_again, false))
        if (const Resource* r = resources_.find(s->resource)) ask_state(now, due.key.id, *s, *r, out);
      notify(now, due.key.id, *s, out);
      s = subscriptions_.find(due.key.id);
      if (!s) continue;
    }
    if (s->expires > now.mono) {
      arm(due.key.id, *s, s->deadline());
    } else if (s->end_reason.empty()) {
      end(now, due.key.id, *s, "timeout", out);
    }
  }
}

// ---- resources

SlotId Notifier::find_resource(const port::AddressOfRecord& aor) const {
  const auto it = by_aor_.find(aor.to_string());
  return it == by_aor_.end() ? SlotId{} : it->second;
}

SlotId Notifier::make_resource(const port::AddressOfRecord& aor) {
  const SlotId id = resources_.emplace();
  if (Resource* r = resources_.find(id)) {
    r->aor = aor;
    by_aor_.emplace(aor.to_string(), id);
  }
  return id;
}

void Notifier::drop_if_idle(SlotId id) {
  const Resource* r = resources_.find(id);
  if (!r || !r->subscriptions.empty() || !r->publications.empty()) return;
  by_aor_.erase(r->aor.to_string());
  resources_.erase(id);
}

void Notifier::respond(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                       int status, port::Outbox& out, sip::HeaderId header, std::string_view value) {
  refused_.add();
  sip::Writer w =
      sip::response_to(request, path.remote, status, mint_.mint(sip::shard_of(request.call_id())));
  if (header != sip::HeaderId::other) w.header(header, value);
  transactions_.respond(now, server, std::move(w).finish(), out);
}

std::string Notifier::contact_of(const port::Path& path) const {
  return "<sip:" + std::string(sent_by_.sent_by(path)) + std::string(transport_parameter(path.transport)) +
         ">";
}

}  // namespace tandem::presence
