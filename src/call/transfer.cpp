// Transfers asked for with REFER (RFC 3515, RFC 5589): handled here, the other party's phone knows nothing of
// them.
#include "base/text.h"
#include "call/flow.h"
#include "sip/headers.h"

namespace tandem::call {

void CallFlow::on_transfer(Party& p, const std::string& target) {
  Party* other = party(p.partner);
  const auto uri = sip::Uri::parse(target);
  if (!other || other->state != Party::State::up || p.state != Party::State::up || call_.setup ||
      call_.state != Call::State::connected)
    return p.leg->answer_transfer(turn_, 491);
  if (!uri.ok() || (!uri->is_sip() && uri->scheme != sip::Scheme::tel))
    return p.leg->answer_transfer(turn_, 400);
  p.leg->answer_transfer(turn_, 202);
  p.leg->transfer_progress(turn_, 100);
  // Refer-To: <sip:bob@example.org?Replaces=...> (RFC 3891 section 4)
  const auto headers = sip::Params(uri->headers, '&');
  const auto replaces = headers.get("Replaces");
  if (replaces) return attended_transfer(p, *other, sip::unescape(*replaces).value_or(""));
  std::string dialled(uri->user);
  const bool ours = uri->is_sip() && (layer_.plan->serves(uri->host) || layer_.contacts.is_local(uri->host));
  if (ours && !uri->user.empty())
    dialled = sip::unescape(uri->user).value_or(dialled);
  else
    dialled = std::string(target.substr(0, target.find('?')));
  const auto gruu = ours ? layer_.contacts.gruu(*uri) : std::nullopt;
  if (gruu) return blind_transfer(p, *other, gruu->aor.user, *gruu);
  blind_transfer(p, *other, dialled);
}

bool CallFlow::transfer(LegId leg, std::string_view target) {
  Party* p = party(leg);
  Party* other = p ? party(p->partner) : nullptr;
  if (!other || other->state != Party::State::up || call_.setup || call_.state != Call::State::connected)
    return false;
  blind_transfer(*p, *other, target);
  return true;
}

void CallFlow::blind_transfer(Party& referrer, Party& from, std::string_view target, port::AskBindings gruu) {
  event(port::Level::info, "call.transfer", {{"by", referrer.user}, {"to", std::string(target)}});
  Setup& setup = call_.setup.emplace();
  setup.purpose = Setup::Purpose::transfer;
  setup.number = call_.next_attempt++;
  setup.origin = from.id;
  setup.referrer = referrer.id;
  // The referrer is the one who calls there: its permissions, its domain.
  setup.source = referrer.source;
  setup.dialled = target;
  setup.gruu = std::move(gruu);
  setup.domain = referrer.aor.domain.empty() ? call_.domain : referrer.aor.domain;
  setup.started = turn_.now.wall;
  setup.seen.push_back(lower(target));
  setup.transferred_by = referrer.aor.user.empty() ? referrer.user : referrer.aor.to_string();
  call_.setup_until = turn_.now.mono + layer_.config.setup_timeout;
  call_.state = Call::State::transferring;
  from.music = true;
  play(from, tones().ringback);
  route(true);
}

/// The end of a transfer (or of calling the parker back). `failure` null: answered, the setup is still there
/// and the caller of this goes on with it.
void CallFlow::transfer_done(const Cause* failure) {
  if (call_.setup && call_.setup->purpose == Setup::Purpose::service) return dial_done(failure);
  if (failure && call_.setup->purpose == Setup::Purpose::first) return first_failed(*failure);
  Party* from = origin();
  Party* referrer = call_.setup ? party(call_.setup->referrer) : nullptr;
  const bool waits = referrer && referrer->state == Party::State::up;
  if (!failure) {
    if (!waits) return;
    referrer->leg->transfer_progress(turn_, 200);
    port::CommitId commit = 0;
    if (Pairing* pair = pair_of(referrer->id)) commit = close_pair(*pair, Cause{}, port::Cdr::Side::system);
    referrer->partner = 0;
    return release(*referrer, Cause::from_q850(16, "Transferred"), commit);
  }
  const port::CommitId commit = fail_attempt(*failure, port::Cdr::Side::system);
  event(port::Level::info, "call.transfer_failed", {{"status", std::to_string(failure->status)}});
  if (waits) referrer->leg->transfer_progress(turn_, failure->status);
  if (!from || from->state != Party::State::up) return;
  if (!waits) return part_with(*from, *failure, commit);
  call_.state = Call::State::connected;
  // Back as it was: the two are still joined, and held if the referrer holds.
  from->music = false;
  layer_.engine.stop(turn_.now, from->endpoint);
  update_hold(*referrer);
}

void CallFlow::attended_transfer(Party& referrer, Party& from, std::string_view replaces_text) {
  const auto replaces = sip::Replaces::parse(replaces_text);
  if (!replaces.ok()) return referrer.leg->transfer_progress(turn_, 400);
  join_other(named(*replaces, from.id, referrer.id));
}

}  // namespace tandem::call
