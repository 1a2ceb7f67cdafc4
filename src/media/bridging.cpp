// Bridges in the engine: when there is one, its ticks, and the packets it sends.
#include <algorithm>

#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration most_catch_up = milliseconds(200);

}  // namespace

bool EngineState::connect_bridge(Stream& s, const Endpoint& partner, const Stream& p) {
  const auto plan = plan_bridge(s, p, partner.config.only_codecs);
  if (!plan) return false;
  if (!s.bridge || s.bridge->plan() != *plan) {
    auto bridge = std::make_unique<Bridge>(*plan);
    bridge->learn(s.learnt);
    if (s.was_fax) bridge->keep_time();
    if (s.bridge) bridge->succeed(std::move(*s.bridge));
    s.bridge = std::move(bridge);
    s.was_fax = false;
    s.learnt = {};
  }
  s.bridge_to = static_cast<size_t>(&p - partner.streams.data());
  return true;
}

bool EngineState::is_bridged_to(const Endpoint& e, size_t index) const {
  const Endpoint* partner = endpoints.find(e.partner);
  return partner && std::any_of(partner->streams.begin(), partner->streams.end(),
                                [&](const Stream& s) { return s.bridge && s.bridge_to == index; });
}

void EngineState::play_bridge(Now now, Endpoint& e, Stream& s, Endpoint& partner, port::MediaOut& out) {
  Stream& p = partner.streams[s.bridge_to];
  const BridgePlan& plan = s.bridge->plan();
  DtmfSent* press = pressed_by(e, s, partner);
  DtmfSent::Frame frame;
  if (press) {
    speak(now, p.own, plan.said.clock_rate);
    frame = press->next(
        now.mono,
        {dtmf_way(partner, p) == DtmfWay::event, p.own.clock_rate, plan.event_to_rate, s.bridge->frame_ms()},
        p.own.timestamp);
  }
  s.bridge->set_complexity(effort.complexity());
  if (p.own.expected_loss) s.bridge->set_expected_loss(*p.own.expected_loss);
  auto said = s.bridge->say(now.mono, press);
  if (press && !frame.sound) said.reset();
  if (s.bridge->hears_fax()) {  // tones are heard from one side at a time, modems from both
    s.bridge->keep_time();
    if (p.bridge) p.bridge->keep_time();
  }
  if (partner.feed != Feed::partner) return;  // it hears something else meanwhile, by the same stream
  const Exits to = exits_to(p);
  if (frame.event) send_press(now, *e.dtmf, p, *frame.event, plan.event_to, out);
  if (said && to.rtp.on) {
    speak(now, p.own, plan.said.clock_rate);
    send_said(now, out, p, *said, plan.said.payload_type, to.rtp);
  }
  // While a packet that the partner takes goes past, the stream is the sender's.
  if (!p.own.relayed && p.own.clock_rate == plan.said.clock_rate) p.own.timestamp += s.bridge->frame_ticks();
}

/// A frame for everybody the endpoint is heard by.
void EngineState::play_bridges(Now now, Endpoint& e, port::MediaOut& out) {
  const auto active = [&] {
    return std::any_of(e.streams.begin(), e.streams.end(),
                       [](const Stream& s) { return s.bridge && s.bridge->active(); });
  };
  Endpoint* partner = endpoints.find(e.partner);
  if (!partner || !active()) {
    e.bridge_at = Instant::never();
    return reroute(e);  // its reports go through again
  }
  Instant next = Instant::never();
  for (Stream& s : e.streams) {
    if (!s.bridge || !s.bridge->active() || s.bridge_to >= partner->streams.size()) continue;
    if (s.bridge_at <= now.mono) {
      effort.frame(s.bridge_at, now.mono);
      play_bridge(now, e, s, *partner, out);
      // Just begun, or we slept: a gap, not a burst.
      if (now.mono - s.bridge_at > most_catch_up) s.bridge_at = now.mono;
      s.bridge_at = s.bridge_at + milliseconds(s.bridge->frame_ms());
    }
    next = std::min(next, s.bridge_at);
  }
  arm_bridge(e, next);
  begin_reports(now, *partner);
  begin_reports(now, e);  // even if the partner never says a word: who speaks is told how it arrives
}

}  // namespace tandem::media
