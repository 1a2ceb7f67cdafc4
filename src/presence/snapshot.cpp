// Resources with their subscriptions and publications, as parts.
#include <algorithm>
#include <array>

#include "presence.pb.h"
#include "presence/notifier_state.h"

namespace tandem::presence {
namespace {

/// End reasons are literals; a part carries their text.
std::string_view as_literal(std::string_view reason) {
  constexpr std::array<std::string_view, 1> known = {"timeout"};
  for (std::string_view k : known)
    if (reason == k) return k;
  return {};
}

void write_call(const port::LineCall& call, proto::LineCallPart& part) {
  part.set_call(call.call);
  part.set_state(static_cast<uint32_t>(call.state));
  part.set_initiator(call.initiator);
  part.set_call_id(call.call_id);
  part.set_local_tag(call.local_tag);
  part.set_remote_tag(call.remote_tag);
  part.set_remote_uri(call.remote_uri);
  part.set_remote_display(call.remote_display);
  part.set_remote_user(call.remote_aor.user);
  part.set_remote_domain(call.remote_aor.domain);
  part.set_pickup_group(call.pickup_group);
}

port::LineCall read_call(const proto::LineCallPart& part) {
  port::LineCall call;
  call.call = part.call();
  call.state = static_cast<port::LineCall::State>(
      std::min<uint32_t>(part.state(), static_cast<uint32_t>(port::LineCall::State::terminated)));
  call.initiator = part.initiator();
  call.call_id = part.call_id();
  call.local_tag = part.local_tag();
  call.remote_tag = part.remote_tag();
  call.remote_uri = part.remote_uri();
  call.remote_display = part.remote_display();
  call.remote_aor = {part.remote_user(), part.remote_domain()};
  call.pickup_group = part.pickup_group();
  return call;
}

}  // namespace

void Notifier::snapshot(Now now, std::vector<Part>& parts) const {
  resources_.for_each([&](SlotId, const Resource& r) {
    proto::ResourcePart part;
    part.set_user(r.aor.user);
    part.set_domain(r.aor.domain);
    part.set_contacts(r.contacts);
    for (const port::LineCall& call : r.calls) write_call(call, *part.add_calls());
    for (const Publication& p : r.publications) {
      proto::PublicationPart& one = *part.add_publications();
      one.set_etag(p.etag);
      one.set_body(p.body);
      one.set_expires_wall_ns(deadline_to_wall(now, p.expires));
    }
    proto::MessageCountsPart& counts = *part.mutable_messages();
    counts.set_text(r.messages.text);
    counts.set_voice_new(r.messages.voice_new);
    counts.set_voice_old(r.messages.voice_old);
    for (SlotId id : r.subscriptions) {
      const Subscription* s = subscriptions_.find(id);
      if (!s) continue;
      proto::SubscriptionPart& one = *part.add_subscriptions();
      one.set_package(static_cast<uint32_t>(s->package));
      one.set_event_id(s->event_id);
      one.set_watcher(s->watcher.aor.to_string());
      one.set_pickup_group(s->watcher.pickup_group);
      one.set_dialog(sip::to_part(s->dialog));
      one.set_expires_wall_ns(deadline_to_wall(now, s->expires));
      one.set_version(s->version);
      one.set_owed(s->owed || s->notifying || s->asking != 0);
      one.set_end_reason(std::string(s->end_reason));
    }
    parts.push_back({sip::shard_of(r.aor.to_string()), part.SerializeAsString()});
  });
}

bool Notifier::restore(Now now, std::string_view bytes) {
  proto::ResourcePart part;
  if (bytes.size() > 0x7fffffff || !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      part.user().empty() || part.domain().empty()) {
    unreadable_.add();
    return false;
  }
  const port::AddressOfRecord aor{part.user(), part.domain()};
  SlotId id = find_resource(aor);
  if (!resources_.find(id)) id = make_resource(aor);
  Resource* r = resources_.find(id);
  if (!r) return false;
  r->contacts = part.contacts();
  r->calls.clear();
  for (const auto& call : part.calls()) r->calls.push_back(read_call(call));
  r->messages = {part.messages().text(), part.messages().voice_new(), part.messages().voice_old()};
  for (const auto& p : part.publications()) {
    r->publications.push_back({p.etag(), p.body(), deadline_from_wall(now, p.expires_wall_ns())});
    ++publications_;
  }
  arm_publications(id, *r);
  bool all = true;
  for (const auto& one : part.subscriptions()) {
    auto dialog = sip::dialog_from_part(one.dialog());
    const SlotId slot = dialog && one.package() <= 2 ? subscriptions_.emplace() : SlotId{};
    Subscription* s = subscriptions_.find(slot);
    if (!s) {
      unreadable_.add();
      all = false;
      continue;
    }
    s->package = static_cast<Package>(one.package());
    s->event_id = one.event_id();
    const size_t at = one.watcher().rfind('@');
    if (at != std::string::npos) s->watcher.aor = {one.watcher().substr(0, at), one.watcher().substr(at + 1)};
    s->watcher.pickup_group = one.pickup_group();
    s->resource = id;
    s->dialog = std::move(*dialog);
    s->expires = deadline_from_wall(now, one.expires_wall_ns());
    s->version = one.version();
    s->owed = one.owed();
    s->end_reason = as_literal(one.end_reason());
    // The store may have more or fewer by now: nobody told us meanwhile.
    s->ask_again = s->package == Package::message_summary && s->end_reason.empty();
    if (s->owed || s->ask_again) s->retry_at = now.mono;  // by the next on_timeout()
    by_tag_.emplace(s->dialog.local_tag, slot);
    r->subscriptions.push_back(slot);
    arm(slot, *s, s->deadline());
  }
  subscriptions_gauge_.set(subscriptions_.size());
  drop_if_idle(id);
  return all;
}

}  // namespace tandem::presence
