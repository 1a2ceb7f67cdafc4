// Plays with more to them than a call: glare, a watcher, messages.
#include <fmt/format.h>

#include "sim/group.h"
#include "sim/world.h"

namespace tandem::sim {
namespace {

constexpr int64_t look_again_ms = 300, until_seen_ms = 40'000, until_away_ms = 20'000;

}  // namespace

// ---- glare -----------------------------------------------------------------------------------------------

/// Each adds another codec, which the other side has to be asked about: the two meet (RFC 3261 section
/// 14.1), and each goes through in the end.
void Group::offer_both() {
  Session *a = a_.get(), *b = b_.get();
  if (pressed_ || !a || !b || a->state != Session::State::up) return;
  if (b->state == Session::State::answered)  // its ACK is late
    return later(look_again_ms, look_again_ms, [this] { offer_both(); });
  if (b->state != Session::State::up) return;
  a_.phone->offer(*a, "sendrecv", "9");
  b_.phone->offer(*b, "sendrecv", "18");
}

// ---- a watcher -------------------------------------------------------------------------------------------

void Group::notified(Phone&, uint32_t, std::string_view body, bool active) {
  if (body.find(">confirmed<") != std::string_view::npos)
    seen_busy_ = true;
  else if (seen_busy_ && body.find(">early<") == std::string_view::npos && active)
    seen_idle_ = true;
  look();
}

void Group::talk_until_seen(int64_t waited_ms) {
  if (pressed_) return;
  if (seen_busy_ || waited_ms > until_seen_ms) return finish_talk(a_, b_);
  later(look_again_ms, look_again_ms, [this, waited_ms] { talk_until_seen(waited_ms + look_again_ms); });
}

void Group::stop_watching() {
  if (unwatched_) return;
  unwatched_ = true;
  c().stop_watching(errand_);
}

void Group::told(Phone&, uint32_t errand, int status) {
  if (errand != errand_) return;
  if (kind_ != Kind::watch) {
    told_ = status;
    return look();
  }
  if (unwatched_) {
    watching_ = false;
    return look();
  }
  if (status / 100 != 2) {
    fail(fmt::format("SUBSCRIBE is answered with {}", status));
    watching_ = false;
  }
  if (pressed_) return stop_watching();
  if (!a_) begin_call();
}

// ---- messages --------------------------------------------------------------------------------------------

std::string Group::text_message() const { return fmt::format("a word of group {}", id_); }

void Group::send_text() { errand_ = a().send_message(*this, id_, b().number, text_message()); }

void Group::write_when_away(int64_t waited_ms) {
  if (pressed_) return;
  if (!b().phones.front()->registered() || waited_ms > until_away_ms) return send_text();
  later(look_again_ms, look_again_ms, [this, waited_ms] { write_when_away(waited_ms + look_again_ms); });
}

void Group::message(Phone& phone, std::string_view text) {
  if (text != text_message() || !of(b(), phone)) return;  // a copy of an earlier one may still come
  ++messages_;
  look();
}

/// A message that nobody could take is stored, and comes when its receiver registers.
void Group::look_at_message() {
  if (done_ || (told_ == 0 && !pressed_)) return;
  Phone& receiver = *b().phones.front();
  if (told_ / 100 != 2 || messages_ > 0 || disturbed() || pressed_) {
    if (kind_ == Kind::mail) receiver.start_registering();
    return end();
  }
  if (fetched_) return;
  fetched_ = true;
  receiver.unregister();
  later(2000, 3000, [&receiver] { receiver.start_registering(); });
}

}  // namespace tandem::sim
