// SUBSCRIBE (RFC 6665 section 4.2.1): new subscriptions, refreshes, fetches and goodbyes.
#include <algorithm>

#include "base/text.h"
#include "presence/notifier_state.h"
#include "sip/headers.h"
#include "sip/options.h"

namespace tandem::presence {
namespace {

struct PackageName {
  std::string_view name;
  Package package;
  std::string_view type;
};
constexpr PackageName packages[] = {{"dialog", Package::dialog, dialog_info_type},
                                    {"message-summary", Package::message_summary, message_summary_type},
                                    {"presence", Package::presence, pidf_type}};

/// May the body be of that type (section 20.1 of RFC 3261)? No Accept: the package's default, which is ours.
bool accepts(const sip::Message& request, std::string_view type) {
  if (!request.has(sip::HeaderId::accept)) return true;
  bool found = false;
  const std::string_view family = type.substr(0, type.find('/'));
  request.for_each_value(sip::HeaderId::accept, [&](std::string_view item) {
    const std::string_view range = trim(item.substr(0, item.find(';')));
    found = found || iequals(range, type) || range == "*/*" ||
            (range.size() == family.size() + 2 && istarts_with(range, family) &&
             range.substr(family.size()) == "/*");
  });
  return found;
}

}  // namespace

struct Notifier::Wish {
  Package package = Package::dialog;
  std::string event_id;
  uint32_t expires = 0;  // seconds
};

/// False: answered already.
bool Notifier::read_wish(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                         Wish& wish, port::Outbox& out) {
  const auto refuse = [&](int status, sip::HeaderId header = sip::HeaderId::other,
                          std::string_view value = {}) {
    respond(now, server, request, path, status, out, header, value);
    return false;
  };
  const auto event = sip::EventType::parse(request.header(sip::HeaderId::event).value_or(""));
  const auto* known = event ? std::find_if(std::begin(packages), std::end(packages),
                                           [&](const PackageName& p) { return p.name == event->package; })
                            : std::end(packages);
  if (known == std::end(packages)) return refuse(489, sip::HeaderId::allow_events, allow_events);
  const std::string unsupported = sip::unsupported_options(request, {});
  if (!unsupported.empty()) return refuse(420, sip::HeaderId::unsupported, unsupported);
  if (!accepts(request, known->type)) return refuse(406, sip::HeaderId::accept, known->type);
  wish.package = known->package;
  wish.event_id = event->id.substr(0, 64);
  wish.expires = std::min(request.expires().value_or(config_.default_expires), config_.max_expires);
  if (wish.expires != 0 && wish.expires < config_.min_expires)
    return refuse(423, sip::HeaderId::min_expires, std::to_string(config_.min_expires));
  return true;
}

/// The AOR a request is about. False: not in the sender's domain.
std::optional<port::AddressOfRecord> Notifier::address_of(const sip::Uri& uri) const {
  auto user = sip::unescape(uri.user);
  if (!uri.is_sip() || !user || user->empty()) return std::nullopt;
  std::string host = lower(uri.host);
  if (const auto it = aliases_.find(host); it != aliases_.end()) host = it->second;
  return port::AddressOfRecord{std::move(*user), std::move(host)};
}

bool Notifier::target_of(const sip::Message& request, const port::Subscriber& who,
                         port::AddressOfRecord& aor) const {
  const auto uri = request.parsed_request_uri();
  auto address = uri ? address_of(*uri) : std::nullopt;
  if (!address || address->domain != who.aor.domain) return false;
  aor = std::move(*address);
  return true;
}

bool Notifier::room_for(const port::AddressOfRecord& aor) const {
  if (subscriptions_.full()) {
    limit_total_.add();
    return false;
  }
  const Resource* r = resources_.find(find_resource(aor));
  if ((r && r->subscriptions.size() >= config_.subscriptions_per_aor) || (!r && resources_.full())) {
    limit_aor_.add();
    return false;
  }
  return true;
}

void Notifier::on_subscribe(Now now, sip::ServerTxId server, const sip::Message& request,
                            const port::Path& path, const port::Subscriber& who, port::Outbox& out) {
  Wish wish;
  if (!read_wish(now, server, request, path, wish, out)) return;
  port::AddressOfRecord aor;
  if (!target_of(request, who, aor)) return respond(now, server, request, path, 403, out);
  // A mailbox is its owner's business only.
  if (wish.package == Package::message_summary && aor != who.aor)
    return respond(now, server, request, path, 403, out);
  if (!room_for(aor)) return respond(now, server, request, path, 503, out, sip::HeaderId::retry_after, "60");
  auto dialog =
      sip::Dialog::from_request(request, path, mint_.mint(sip::shard_of(aor.to_string())), contact_of(path));
  if (!dialog) return respond(now, server, request, path, 400, out);

  SlotId resource = find_resource(aor);
  if (!resources_.find(resource)) resource = make_resource(aor);
  const SlotId id = subscriptions_.emplace();
  Subscription& s = *subscriptions_.find(id);
  s.package = wish.package;
  s.event_id = std::move(wish.event_id);
  s.watcher = {who.aor, who.pickup_group};
  s.resource = resource;
  s.dialog = std::move(*dialog);
  s.dialog.state = sip::Dialog::State::confirmed;
  s.expires = now.mono + seconds(wish.expires);
  by_tag_.emplace(s.dialog.local_tag, id);
  Resource& r = *resources_.find(resource);
  r.subscriptions.push_back(id);
  subscribed_.add();
  subscriptions_gauge_.set(subscriptions_.size());

  sip::Writer w = sip::response_to(request, path.remote, 200, s.dialog.local_tag);
  w.header(sip::HeaderId::contact, s.dialog.local_target).header_number(sip::HeaderId::expires, wish.expires);
  transactions_.respond(now, server, std::move(w).finish(), out);
  s.owed = true;
  // Expires: 0 asks for the state once (section 4.4.3).
  if (wish.expires == 0)
    s.end_reason = "timeout";
  else
    arm(id, s, s.deadline());
  ask_state(now, id, s, r, out);
  notify(now, id, s, out);
}

/// What the first NOTIFY says is known elsewhere on this worker, unless someone watches already.
void Notifier::ask_state(Now now, SlotId id, Subscription& s, const Resource& r, port::Outbox& out) {
  const Instant deadline = now.mono + config_.ask_timeout;
  const port::Asker asker{port::Asker::Room::presence, id.packed()};
  if (s.package == Package::dialog)
    s.asking = out.ask(port::AskLine{r.aor}, deadline, asker);
  else if (s.package == Package::presence && r.publications.empty())
    s.asking = out.ask(port::AskBindings{r.aor, {}}, deadline, asker);
  else if (s.package == Package::message_summary)
    s.asking = out.ask(port::AskWaiting{r.aor}, deadline, asker);
}

void Notifier::on_refresh(Now now, sip::ServerTxId server, const sip::Message& request,
                          const port::Path& path, port::Outbox& out) {
  const auto it = by_tag_.find(request.to_tag());
  const SlotId id = it == by_tag_.end() ? SlotId{} : it->second;
  Subscription* s = subscriptions_.find(id);
  if (!s || !s->dialog.matches(request.call_id(), request.to_tag(), request.from_tag()) ||
      !s->end_reason.empty())
    return respond(now, server, request, path, 481, out);
  Wish wish;
  if (!read_wish(now, server, request, path, wish, out)) return;
  if (wish.package != s->package || wish.event_id != s->event_id)
    return respond(now, server, request, path, 481, out);
  if (!s->dialog.accept_cseq(request.cseq().number)) return respond(now, server, request, path, 500, out);
  s->dialog.refresh_target(request);
  s->dialog.path = path;

  sip::Writer w = sip::response_to(request, path.remote, 200, s->dialog.local_tag);
  w.header(sip::HeaderId::contact, s->dialog.local_target)
      .header_number(sip::HeaderId::expires, wish.expires);
  transactions_.respond(now, server, std::move(w).finish(), out);
  s->expires = now.mono + seconds(wish.expires);
  if (wish.expires == 0) return end(now, id, *s, "timeout", out);
  arm(id, *s, s->deadline());
  s->owed = true;
  notify(now, id, *s, out);
}

}  // namespace tandem::presence
