#include "media/dtmf_part.h"

#include <algorithm>

#include "media.pb.h"
#include "media/state.h"

namespace tandem::media {
namespace {

void write(const DtmfHeard::State& h, Now now, proto::MediaDtmf& out) {
  proto::MediaEventReceived& e = *out.mutable_events();
  e.set_running(h.events.running);
  e.set_any(h.events.any);
  e.set_event(h.events.event.event);
  e.set_volume(h.events.event.volume);
  e.set_duration(h.events.event.duration);
  e.set_timestamp(h.events.timestamp);
  e.set_segment(h.events.segment);
  e.set_before(h.events.before);
  e.set_ssrc(h.ssrc);
  e.set_clock_rate(h.clock_rate);
  e.set_at(deadline_to_wall(now, h.event_at));
  e.set_leads(h.event_leads);
  for (const DtmfHeard::Press& p : h.last) {
    if (p.digit == 0) break;
    proto::MediaPress& press = *out.add_last();
    press.set_digit(static_cast<uint8_t>(p.digit));
    press.set_way(static_cast<uint32_t>(p.way));
    press.set_told(p.told);
    press.set_running(p.running);
    press.set_at(deadline_to_wall(now, p.at));
  }
}

DtmfHeard::State read_heard(const proto::MediaDtmf& in, Now now) {
  DtmfHeard::State h;
  const proto::MediaEventReceived& e = in.events();
  h.events = {e.running(),
              e.any(),
              {static_cast<uint8_t>(e.event()), static_cast<uint8_t>(e.volume()), e.duration()},
              e.timestamp(),
              static_cast<uint16_t>(e.segment()),
              e.before()};
  h.ssrc = e.ssrc();
  h.clock_rate = e.clock_rate();
  h.event_at = deadline_from_wall(now, e.at());
  h.event_leads = e.leads();
  for (int i = 0; i < in.last_size() && i < static_cast<int>(h.last.size()); ++i) {
    const proto::MediaPress& p = in.last(i);
    if (p.way() >= dtmf_way_count) continue;
    h.last[static_cast<size_t>(i)] = {static_cast<char>(p.digit()), static_cast<DtmfWay>(p.way()),
                                      static_cast<uint8_t>(p.told()), p.running(),
                                      deadline_from_wall(now, p.at())};
  }
  return h;
}

void write(const DtmfSent::State& s, Now now, proto::MediaDtmf& out) {
  for (const DtmfSent::Press& p : s.waiting) {
    proto::MediaPressSent& press = *out.add_waiting();
    press.set_digit(static_cast<uint8_t>(p.digit));
    press.set_volume(p.volume);
    press.set_due(deadline_to_wall(now, p.due));
    press.set_duration_ms(p.duration_ms.value_or(0));
  }
  out.set_sent_ms(s.sent_ms);
  out.set_started(s.started);
  out.set_pause_left(s.pause_left);
  out.set_began(s.began);
  proto::MediaEventSent& e = *out.mutable_event();
  e.set_event(s.event.now.event);
  e.set_marker(s.event.now.marker);
  e.set_volume(s.event.now.volume);
  e.set_duration(s.event.now.duration);
  e.set_timestamp(s.event.now.timestamp);
  e.set_played(s.event.played);
  e.set_left(s.event.left);
  e.set_ends_left(s.event.ends_left);
  out.set_as_events(s.terms.events);
  out.set_clock_rate(s.terms.clock_rate);
  out.set_event_rate(s.terms.event_rate);
  out.set_frame_ms(s.terms.frame_ms);
}

DtmfSent::State read_sent(const proto::MediaDtmf& in, Now now) {
  DtmfSent::State s;
  for (int i = 0; i < in.waiting_size() && i < static_cast<int>(DtmfSent::most_waiting); ++i) {
    const proto::MediaPressSent& p = in.waiting(i);
    DtmfSent::Press press{static_cast<char>(p.digit()), static_cast<uint8_t>(p.volume()),
                          deadline_from_wall(now, p.due()), std::nullopt};
    if (p.duration_ms() != 0) press.duration_ms = p.duration_ms();
    s.waiting.push_back(press);
  }
  s.sent_ms = in.sent_ms();
  s.started = in.started();
  s.pause_left = in.pause_left();
  s.began = in.began();
  const proto::MediaEventSent& e = in.event();
  s.event.now = {
      static_cast<uint8_t>(e.event()),     false,        e.marker(), static_cast<uint8_t>(e.volume()),
      static_cast<uint16_t>(e.duration()), e.timestamp()};
  s.event.played = e.played();
  s.event.left = e.left();
  s.event.ends_left = static_cast<uint8_t>(std::min<uint32_t>(e.ends_left(), 3));
  s.terms = {in.as_events(), std::max<uint32_t>(8000, in.clock_rate()),
             std::max<uint32_t>(8000, in.event_rate()), std::clamp<uint32_t>(in.frame_ms(), 10, 60)};
  return s;
}

}  // namespace

void write_dtmf(const LegDtmf& d, Now now, proto::MediaDtmf& out) {
  out.set_stream(static_cast<uint32_t>(d.stream));
  write(d.heard.state(), now, out);
  out.set_relayed(d.relayed);
  write(d.sent.state(), now, out);
  out.set_frame_at(deadline_to_wall(now, d.frame_at));
  const DtmfLine::State line = d.line.state();
  out.set_open(line.open);
  out.set_ssrc(line.ssrc);
  out.set_last_in(line.last_in);
  out.set_last_out(line.last_out);
  out.set_offset(line.offset);
  out.set_timestamp(line.timestamp);
  out.set_line_clock_rate(line.clock_rate);
}

void read_dtmf(const proto::MediaDtmf& in, Now now, LegDtmf& d) {
  d.stream = in.stream();
  d.heard.go_on(read_heard(in, now));
  d.relayed = in.relayed();
  d.sent.go_on(read_sent(in, now));
  d.frame_at = deadline_from_wall(now, in.frame_at());
  d.line.go_on({in.open(), in.ssrc(), static_cast<uint16_t>(in.last_in()),
                static_cast<uint16_t>(in.last_out()), static_cast<uint16_t>(in.offset()), in.timestamp(),
                in.line_clock_rate()});
  d.line_at = now.mono;
}

}  // namespace tandem::media
