#include "media/bridge.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "media/codecs.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration event_gap = milliseconds(100);  // between two packets of one key press, at most
constexpr Duration fax_delay = milliseconds(100);  // T.30 has no use for less, and jitter none for more
constexpr Duration hear_out = milliseconds(100);   // the rest of what a codec before said, and its fading
constexpr Duration idle_after = seconds(1);        // without a packet: the sender speaks otherwise, or not
constexpr Duration silence_ends = minutes(1);      // when it said before that it would be silent

bool is_event(const PayloadFormat& f) { return iequals(f.encoding, "telephone-event"); }
bool is_noise(const PayloadFormat& f) { return iequals(f.encoding, "CN"); }

const PayloadFormat* event_of(const std::vector<PayloadFormat>& formats, uint32_t like) {
  const PayloadFormat* found = nullptr;
  for (const PayloadFormat& f : formats)
    if (is_event(f) && (!found || f.clock_rate == like)) found = &f;
  return found;
}

uint32_t audio_rate_of(const BridgePlan& plan) {
  uint32_t widest = 8000;
  for (const playout::Format& f : plan.heard)
    if (!iequals(f.name, "CN")) widest = std::max(widest, traits_of(f.name, f.clock_rate).sound_rate);
  const playout::Format& s = plan.said;
  return std::min(widest, std::max<uint32_t>(8000, traits_of(s.name, s.clock_rate).sound_rate));
}

}  // namespace

playout::Format played(const PayloadFormat& f) {
  return {f.payload_type, f.encoding, f.clock_rate, f.channels, f.parameters};
}

bool can_code(const PayloadFormat& f) {
  if (is_event(f) || is_noise(f) || f.encoding.empty()) return false;
  return codec::has_codec({f.encoding, f.clock_rate, f.channels, f.parameters});
}

std::optional<BridgePlan> plan_bridge(const Stream& from, const Stream& to, bool in_order) {
  if (from.wire != Wire::rtp || to.wire != Wire::rtp || !iequals(from.kind, "audio")) return std::nullopt;
  const auto has = [](const std::vector<PayloadFormat>& in, const PayloadFormat& f) {
    return std::any_of(in.begin(), in.end(), [&](const PayloadFormat& t) { return f.same_codec(t); });
  };
  BridgePlan plan;
  const PayloadFormat* noise = nullptr;
  for (const PayloadFormat& f : from.local_formats) {
    if (is_noise(f)) noise = &f;
    // What the sender was told of and does not have it never sends; what the receiver takes goes as it is.
    if (!has(from.remote_formats, f) || !can_code(f)) continue;
    if (has(to.remote_formats, f) && !(from.too_long && to.maxptime_ms > 0)) continue;
    if (plan.heard.empty() || plan.heard.front().clock_rate == f.clock_rate) plan.heard.push_back(played(f));
  }
  const auto first = std::find_if(to.remote_formats.begin(), to.remote_formats.end(),
                                  [](const PayloadFormat& f) { return can_code(f); });
  if (plan.heard.empty() || first == to.remote_formats.end()) return std::nullopt;
  const playout::Format& h = plan.heard.front();
  const auto said = in_order ? first
                             : to.remote_formats.begin() +
                                   static_cast<ptrdiff_t>(best_made(
                                       to.remote_formats, traits_of(h.name, h.clock_rate).sound_rate));
  if (noise) plan.heard.push_back(played(*noise));
  plan.said = played(*said);
  plan.ptime_ms = to.ptime_ms;
  if (const PayloadFormat* event = event_of(to.remote_formats, said->clock_rate)) {
    plan.event_to = event->payload_type;
    plan.event_to_rate = event->clock_rate;
  }
  return plan;
}

bool BridgePlan::hears(uint8_t payload_type) const {
  return std::any_of(heard.begin(), heard.end(),
                     [&](const playout::Format& f) { return f.payload_type == payload_type; });
}

Bridge::Bridge(const BridgePlan& plan) : plan_(plan) {}

bool Bridge::begin() {
  const uint32_t rate = audio_rate_of(plan_);
  if (!speaker_) {
    auto speaker = playout::Speaker::make({plan_.said, rate, plan_.ptime_ms, complexity_});
    if (!speaker.ok()) return false;
    speaker_.emplace(std::move(*speaker));
    if (expected_loss_) speaker_->set_expected_loss(*expected_loss_);
  }
  frame_.resize(speaker_->frame_samples());
  if (player_) return true;
  playout::PlayerConfig config;
  config.formats = plan_.heard;
  config.audio_rate = rate;
  player_.emplace(config);
  if (learnt_ > Duration::zero()) player_->learn(learnt_);
  if (keeps_time_) player_->hold(fax_delay);
  return true;
}

void Bridge::succeed(Bridge&& old) {
  learnt_ = old.learnt();
  complexity_ = old.complexity_;
  expected_loss_ = old.expected_loss_;
  keeps_time_ = old.keeps_time_;
  has_event_ = old.has_event_;
  event_source_ = old.event_source_;
  event_own_ = old.event_own_;
  event_until_ = old.event_until_;
  if (!old.active_ || audio_rate_of(plan_) != audio_rate_of(old.plan_)) return;
  last_heard_ = old.last_heard_;
  if (plan_.said == old.plan_.said && plan_.ptime_ms == old.plan_.ptime_ms)
    speaker_ = std::move(old.speaker_);
  if (plan_.heard == old.plan_.heard) {
    player_ = std::move(old.player_);
    ssrc_ = old.ssrc_;
  } else {
    before_ = std::move(old.player_);
    before_until_ = last_heard_ + hear_out;
  }
  active_ = begin();
}

void Bridge::set_complexity(uint8_t complexity) {
  if (std::exchange(complexity_, complexity) != complexity && speaker_) speaker_->set_complexity(complexity);
}

void Bridge::set_expected_loss(uint8_t percent) {
  if (std::exchange(expected_loss_, percent) != percent && speaker_) speaker_->set_expected_loss(percent);
}

void Bridge::keep_time() {
  if (std::exchange(keeps_time_, true)) return;
  if (player_) player_->hold(fax_delay);
}

bool Bridge::hear(Instant now, const rtp::Header& header, Bytes payload) {
  if (!player_ && !begin()) return false;
  if (ssrc_ && header.ssrc != *ssrc_) player_->restart();
  ssrc_ = header.ssrc;
  last_heard_ = now;
  active_ = true;
  player_->packet(now, header.sequence, header.timestamp, header.payload_type, payload);
  return true;
}

void Bridge::rest() {
  active_ = false;
  before_.reset();
  player_->restart();
}

void Bridge::passed_by() {
  if (active_ && player_->in_silence()) rest();
}

std::optional<playout::Speaker::Said> Bridge::say(Instant now, const DtmfSent* instead) {
  if (active_ && now - last_heard_ > (player_->in_silence() ? silence_ends : idle_after)) rest();
  if (!active_) return std::nullopt;
  const bool talks = player_->render(now, frame_);
  if (before_ && (talks || now > before_until_)) before_.reset();
  if (before_) before_->render(now, frame_);
  const auto rate = static_cast<uint32_t>(frame_.size() * 1000 / speaker_->frame_ms());
  fax_.hear(frame_, rate);
  if (instead) instead->render(frame_, rate);
  auto said = speaker_->say(frame_);
  if (has_event_ && now < event_until_) return std::nullopt;
  return said;
}

std::optional<Bridge::Event> Bridge::event(Instant now, const rtp::Header& header, uint32_t own_timestamp) {
  const bool begins = !has_event_ || static_cast<int32_t>(header.timestamp - event_source_) > 0;
  if (!begins && header.timestamp != event_source_) return std::nullopt;  // of a press before this one
  if (begins) {
    event_source_ = header.timestamp;
    event_own_ = own_timestamp;
    has_event_ = true;
  }
  event_until_ = now + event_gap;
  return Event{begins, event_own_};
}

}  // namespace tandem::media
