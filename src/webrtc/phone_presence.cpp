// Whom a phone watches (RFC 6665, RFC 3856, RFC 4235), and what it publishes of itself (RFC 3903).
#include <algorithm>

#include "base/text.h"
#include "webrtc/phone_parts.h"

namespace tandem::webrtc {
namespace {

constexpr size_t most_watches = 200;
constexpr uint32_t publication_seconds = 3600;
constexpr Duration retry = seconds(30);

/// Before what was granted is over.
Instant refresh_at(Now now, uint32_t granted) {
  return now.mono + seconds(std::max<int64_t>(int64_t{granted} * 8 / 10, 20));
}

/// What is so whenever it is asked again.
bool is_final(int status) { return status == 403 || status == 404 || status == 489; }

}  // namespace

Phone::Watch* Phone::find_watch(uint32_t number) {
  const auto it = watches_.find(number);
  return it == watches_.end() ? nullptr : it->second.get();
}

/// A NOTIFY may be here before the answer that makes the dialog (RFC 6665 section 4.4.1).
Phone::Watch* Phone::watch_of(const sip::Message& m) {
  for (auto& [number, w] : watches_)
    if (w->call_id == m.call_id() && w->tag == m.to_tag()) return w.get();
  return nullptr;
}

void Phone::make_watches(const std::string& peer) {
  for (const bool line : {false, true}) {
    const uint32_t number = next_watch_++;
    auto& w = watches_[number] = std::make_unique<Watch>();
    w->number = number;
    w->line = line;
    w->peer = peer;
    w->uri = "sip:" + peer;
  }
}

Status<Fault> Phone::watch(Now now, const Request& r) {
  const auto target = target_of(r.to);
  if (!target || !istarts_with(*target, "sip:"))
    return Failure{Fault{Code::bad_request, "\"to\" is no number, name or SIP URI", 0}};
  const std::string peer = target->substr(4);
  std::vector<Watch*> there;
  for (auto& [number, w] : watches_)
    if (w->peer == peer) there.push_back(w.get());
  if (there.empty() && r.on) {
    if (watches_.size() >= 2 * most_watches || errands_full())
      return Failure{Fault{Code::too_many, "so many are watched already", 0}};
    make_watches(peer);
    // The presence answers the client; who may not see that sees no line either.
    for (auto& [number, w] : watches_)
      if (w->peer == peer) subscribe(now, *w, w->line ? 0 : r.id, subscription_seconds);
    return Done{};
  }
  news_.push_back({{}, {}, r.id, {}});
  if (r.on) {
    tell_presence(peer);  // once more, for one that has forgotten
    return Done{};
  }
  for (Watch* w : there) {
    if (w->dialog) subscribe(now, *w, 0, 0);
    watches_.erase(w->number);
  }
  return Done{};
}

/// In its dialog, or to make one. `expires` 0 ends it.
void Phone::subscribe(Now now, Watch& w, int64_t id, uint32_t expires) {
  if (!w.dialog) {
    w.call_id = world_.mint.mint(0);
    w.tag = world_.mint.mint(0);
  }
  Errand& e = errand(sip::Method::subscribe, id);
  e.watch = w.number;
  e.uri = w.uri;
  e.call_id = w.call_id;
  e.tag = w.tag;
  e.event = w.line ? "dialog" : "presence";
  e.expires = expires;
  send_errand(now, e);
}

void Phone::subscription_answered(Now now, Errand& e, const sip::TuEvent& event, int status) {
  Watch* w = find_watch(e.watch);
  if (!w || e.expires == 0) return;  // not wanted any more
  answered(e.id, event, status, {});
  if (status >= 300) {
    if (e.id != 0 && is_final(status)) {
      const std::string peer = w->peer;
      std::erase_if(watches_, [&](const auto& each) { return each.second->peer == peer; });
      return;
    }
    w->dialog.reset();
    if (!is_final(status)) w->again = now.mono + retry;
    return;
  }
  if (!w->dialog) {
    sip::Dialog sent;
    sent.uac = true;
    sent.call_id = w->call_id;
    sent.local_tag = w->tag;
    sent.local_uri = "<sip:" + sip::escape_user(config_.aor.user) + "@" + config_.aor.domain + ">";
    sent.remote_uri = "<" + w->uri + ">";
    sent.remote_target = w->uri;
    sent.local_target = contact();
    sent.local_cseq = e.cseq;
    sent.path = config_.path;
    auto made = sip::Dialog::from_response(*event.message, config_.path, sent);
    if (!made.ok()) {
      w->again = now.mono + retry;
      return;
    }
    w->dialog = std::move(*made);
    w->dialog->state = sip::Dialog::State::confirmed;
    w->dialog->path = config_.path;
  }
  w->again = refresh_at(now, event.message->expires().value_or(subscription_seconds));
}

void Phone::on_state(Now now, Watch& w, const sip::Message& m) {
  if (istarts_with(trim(m.header(sip::HeaderId::subscription_state).value_or("")), "terminated")) {
    w.dialog.reset();
    w.again = now.mono + retry;
  }
  if (m.body().empty()) return;
  const Standing before = w.standing;
  const LineState line_before = w.state;
  const bool known = std::exchange(w.known, true);
  if (w.line)
    w.state = read_dialog_info(m.body_text());
  else
    w.standing = read_pidf(m.body_text());
  if (!known || !(w.standing == before) || w.state != line_before) tell_presence(w.peer);
}

/// All that is known; both halves of it come one after the other at first.
void Phone::tell_presence(const std::string& peer) {
  Fields f{{"peer", peer}};
  for (const auto& [number, w] : watches_) {
    if (w->peer != peer || !w->known) continue;
    if (w->line) {
      f.emplace_back("line", std::string(to_string(w->state)));
    } else {
      f.emplace_back("state", std::string(to_string(w->standing.availability)));
      f.emplace_back("note", w->standing.note);
    }
  }
  if (f.size() > 1) news_.push_back({"presence", std::move(f), 0, {}});
}

// ---- what we say of ourselves

Status<Fault> Phone::publish(Now now, const Request& r) {
  if (errands_full()) return Failure{Fault{Code::too_many, "too much is under way", 0}};
  standing_ = r.standing;
  send_publication(now, r.id);
  return Done{};
}

/// Once there is one it is changed, and what is said stays (RFC 3903 section 4.1); with nothing to say it is
/// taken away.
void Phone::send_publication(Now now, int64_t id) {
  if (!standing_ && etag_.empty()) return;
  Errand& e = errand(sip::Method::publish, id);
  e.uri = "sip:" + sip::escape_user(config_.aor.user) + "@" + config_.aor.domain;
  e.call_id = world_.mint.mint(0);
  e.tag = world_.mint.mint(0);
  e.event = "presence";
  e.etag = etag_;
  e.expires = standing_ ? publication_seconds : 0;
  if (standing_) {
    e.content_type = "application/pidf+xml";
    e.body = write_pidf(config_.aor, *standing_);
  }
  send_errand(now, e);
}

void Phone::publication_answered(Now now, Errand& e, const sip::TuEvent& event, int status) {
  if (status == 412 && !e.etag.empty()) {  // it has been forgotten: published anew
    if (e.etag == etag_) etag_.clear();
    return send_publication(now, e.id);
  }
  answered(e.id, event, status, {});
  if (!standing_) return;
  if (status >= 300) {
    if (!is_final(status)) publish_at_ = now.mono + retry;
    return;
  }
  etag_ = event.message->header(sip::HeaderId::sip_etag).value_or("");
  publish_at_ = refresh_at(now, event.message->expires().value_or(publication_seconds));
}

}  // namespace tandem::webrtc
