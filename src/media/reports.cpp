// What is reported about streams: RTCP of ours and of the peers (RFC 3550 section 6, RFC 3611), and how a leg
// sounds.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "media/state.h"
#include "rtp/packet.h"

namespace tandem::media {
namespace {

std::string cname_of(const Endpoint& e) { return std::to_string(e.session_id); }

uint32_t ntp_delay(Duration d) {  // in 1/65536 s
  return static_cast<uint32_t>(d.count() / 1000 * 65536 / 1'000'000);
}

uint8_t in_256(double share) { return static_cast<uint8_t>(std::clamp(share * 256, 0.0, 255.0)); }
uint16_t in_ms(double ms) { return static_cast<uint16_t>(std::clamp(ms, 0.0, 65535.0)); }

double loss_of(const rtp::ReceiverStatistics& r) {
  const uint64_t expected = r.expected();
  return expected == 0 ? 0
                       : static_cast<double>(std::max<int64_t>(0, r.lost())) / static_cast<double>(expected);
}

std::string_view codec_name(const Stream& s, const Flow& f) {
  const auto of = [](const std::vector<PayloadFormat>& formats, uint8_t pt) -> const PayloadFormat* {
    for (const PayloadFormat& p : formats)
      if (p.payload_type == pt) return &p;
    return nullptr;
  };
  const PayloadFormat* format = nullptr;
  if (f.received.packets > 0) {
    format = of(s.local_formats, f.last_payload_type);
    if (!format) format = of(s.remote_formats, f.last_payload_type);
  } else if (!s.remote_formats.empty()) {
    format = &s.remote_formats.front();
  }
  return format ? std::string_view(format->encoding) : std::string_view{};
}

/// G.109, table 1. A wideband rating counts on the narrowband scale.
Grade grade_of(const Rating& rating) {
  const double r = rating.wideband ? rating.r / 1.29 : rating.r;
  const auto below = static_cast<int>((100 - std::clamp(r, 0.0, 99.0)) / 10);  // tens under 100
  return static_cast<Grade>(std::min(below, static_cast<int>(Grade::bad)));
}

}  // namespace

void SentReports::add(uint32_t ntp, Instant at) {
  if (ntp == 0 || last[0].ntp == ntp) return;
  std::copy_backward(last.begin(), last.end() - 1, last.end());
  last[0] = {ntp, at};
}

std::optional<double> SentReports::round_trip(uint32_t ntp, uint32_t delay, Instant now) const {
  constexpr double longest_ms = 10'000;
  if (ntp == 0) return std::nullopt;
  const auto found = std::find_if(last.begin(), last.end(), [&](const One& o) { return o.ntp == ntp; });
  if (found == last.end()) return std::nullopt;
  const double ms = static_cast<double>((now - found->at).count()) / 1e6 - delay * 1000.0 / 65536;
  // The delay is a whole number of 15 us, so that a round trip of nothing may come out as less.
  if (ms < -1 || ms > longest_ms) return std::nullopt;
  return std::max(ms, 0.0);
}

Stream* EngineState::stream_of(const Destination& to) {
  const Flow* exit = to.on ? flow_of(to.port) : nullptr;
  Endpoint* e = exit ? endpoints.find(exit->endpoint) : nullptr;
  return e && exit->stream < e->streams.size() ? &e->streams[exit->stream] : nullptr;
}

/// Up at once and down by halves: who has lost packets will soon lose more, and a report is about five
/// seconds. `fraction_lost` in 1/256; the least there is counts as one percent.
void EngineState::expect_loss(OwnStream& own, uint8_t fraction_lost) {
  const auto percent = static_cast<uint8_t>((fraction_lost * 100 + 255) / 256);
  own.expected_loss = std::max(percent, static_cast<uint8_t>(own.expected_loss.value_or(0) / 2));
}

/// Whether a report is about what the leg hears on that line: by the port of a bundle comes what is about
/// all.
bool EngineState::is_about(const Endpoint& e, size_t line, uint32_t ssrc) const {
  return !e.bundle || is_heard_as(e, line, ssrc);
}

void EngineState::read_report(Now now, Endpoint& e, size_t line, Stream* reader, const rtp::Report& report) {
  Stream& s = e.streams[line];
  if (report.sender) {
    const uint32_t ntp = rtp::ntp_middle(report.sender->ntp);
    s.own.peer_report_ntp = ntp;
    s.own.peer_report_at = now.mono;
    if (reader) reader->sent_reports.add(ntp, now.mono);
  }
  for (size_t i = 0; i < report.block_count; ++i) {
    const rtp::ReportBlock& block = report.blocks[i];
    if (!is_about(e, line, block.ssrc)) continue;
    s.has_report = true;
    s.report = block;
    if (s.own.ssrc != 0 && block.ssrc == s.own.ssrc) expect_loss(s.own, block.fraction_lost);
    if (const auto ms = s.sent_reports.round_trip(block.last_sr, block.delay_since_last_sr, now.mono))
      s.round_trip_ms = *ms;
  }
}

Status<rtp::RtcpReason> EngineState::read_extended(Now now, Endpoint& e, size_t line, Stream* reader,
                                                   const rtp::RtcpPacket& packet) {
  Stream& s = e.streams[line];
  auto blocks = rtp::XrReader::open(packet);
  if (!blocks) return Failure{blocks.reason()};
  while (const auto block = blocks->next()) {
    switch (static_cast<rtp::XrType>(block->type)) {
      case rtp::XrType::receiver_reference_time: {
        const auto time = rtp::read_reference_time(*block);
        if (!time) return Failure{time.reason()};
        s.reference = {blocks->ssrc(), rtp::ntp_middle(*time), now.mono};
        if (reader) reader->sent_reports.add(rtp::ntp_middle(*time), now.mono);
        break;
      }
      case rtp::XrType::dlrr: {
        const auto count = rtp::count_dlrr(*block);
        if (!count) return Failure{count.reason()};
        for (size_t i = 0; i < *count; ++i) {
          const rtp::Dlrr d = rtp::read_dlrr(*block, i);
          if (const auto ms = s.sent_reports.round_trip(d.last_rr, d.delay_since_last_rr, now.mono))
            s.round_trip_ms = *ms;
        }
        break;
      }
      case rtp::XrType::voip_metrics: {
        const auto metrics = rtp::VoipMetrics::parse(*block);
        if (!metrics) return Failure{metrics.reason()};
        if (is_about(e, line, metrics->ssrc)) s.metrics = *metrics;
        break;
      }
      default:
        break;
    }
  }
  return Done{};
}

/// What is not whole goes no further: the partner shall not have to be more careful than we are.
Status<rtp::RtcpReason> EngineState::read_reports(Now now, const Flow& f, rtp::RtcpReader reader) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || f.stream >= e->streams.size()) return Done{};
  Stream* partner = stream_of(f.rtcp_to);
  while (const auto packet = reader.next()) {
    switch (static_cast<rtp::RtcpType>(packet->type)) {
      case rtp::RtcpType::sr:
      case rtp::RtcpType::rr: {
        const auto report = rtp::Report::parse(*packet);
        if (!report) return Failure{report.reason()};
        read_report(now, *e, f.stream, partner, *report);
        break;
      }
      case rtp::RtcpType::xr:
        if (const auto read = read_extended(now, *e, f.stream, partner, *packet); !read) return read;
        break;
      default:
        break;
    }
  }
  return Done{};
}

/// Whether what the leg hears on that stream is ours.
bool EngineState::speaks(const Endpoint& e, size_t index) const {
  switch (e.feed) {
    case Feed::voice:
    case Feed::room:
      return index == e.voice_stream;
    case Feed::echo:
      return true;
    case Feed::partner:
      return is_bridged_to(e, index);
  }
  return false;
}

/// Nobody else's reports reach the leg: it gets ours, whether we speak to it or only listen.
bool EngineState::reports_to(const Endpoint& e, size_t index) const {
  const Stream& s = e.streams[index];
  if (!s.live || s.wire != Wire::rtp) return false;
  if (speaks(e, index)) return true;
  const Flow* f = flow_of(s.rtp.id);
  return !e.partner && f && f->received.started;
}

/// RFC 3550 section 6.3.1 for the two of a session: between half and one and a half of what is configured, so
/// that reports of many legs do not fall together. Its e - 3/2 makes up for what members come and go in a
/// group.
Duration EngineState::report_interval() {
  const auto half = static_cast<uint64_t>(config.rtcp_interval.count() / 2);
  return Duration(static_cast<int64_t>(half + rng.below(2 * half + 1)));
}

/// The first comes after half the time (section 6.2), reports already under way go on as they are.
void EngineState::begin_reports(Now now, Endpoint& e) {
  if (e.report_at.is_never()) arm_report(e, now.mono + report_interval() / 2);
}

void EngineState::send_reports(Now now, Endpoint& e, port::MediaOut& out) {
  const bool alone =
      !e.partner && std::any_of(e.streams.begin(), e.streams.end(), [](const Stream& s) { return s.live; });
  bool goes_on = e.feed != Feed::partner || alone;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    goes_on = goes_on || speaks(e, i);
    if (!reports_to(e, i)) continue;
    Stream& s = e.streams[i];
    Flow* f = flow_of(s.rtp.id);
    const Exits to = exits_to(s);
    if (f && to.rtcp.on) send_report(now, e, s, *f, to.rtcp, out);
  }
  if (goes_on)
    arm_report(e, now.mono + report_interval());
  else
    e.report_at = Instant::never();
}

/// SR while we speak to the leg, else RR (RFC 3550 section 6.4), with a block about what we hear; extended
/// reports as agreed.
void EngineState::send_report(Now now, const Endpoint& e, Stream& s, Flow& f, const Destination& to,
                              port::MediaOut& out) {
  s.own.name(f.received.clock_rate, rng);
  const uint32_t ssrc = s.own.ssrc;
  const uint64_t packets = s.own.packets;
  const uint64_t ntp = rtp::ntp_time(now.wall);
  std::optional<rtp::SenderInfo> info;
  if (packets != s.own.reported_before)  // since one of our last two reports
    info = rtp::SenderInfo{ntp, s.own.timestamp_at(now.mono), static_cast<uint32_t>(packets),
                           static_cast<uint32_t>(s.own.octets)};
  s.own.reported_before = std::exchange(s.own.reported, packets);
  std::optional<rtp::ReportBlock> block;
  if (f.received.started) {
    block = f.received.report();
    if (s.own.peer_report_ntp != 0) {
      block->last_sr = s.own.peer_report_ntp;
      block->delay_since_last_sr = ntp_delay(now.mono - s.own.peer_report_at);
    }
  }
  rtp::XrContents extended;
  if (s.xr.round_trip) {
    extended.reference_time = ntp;
    if (s.reference)
      extended.dlrr = rtp::Dlrr{s.reference->ssrc, s.reference->ntp, ntp_delay(now.mono - s.reference->at)};
  }
  if (s.xr.metrics && f.received.started) extended.metrics = metrics_of(now, s, f);
  if (info || extended.reference_time) s.sent_reports.add(rtp::ntp_middle(ntp), now.mono);

  constexpr size_t longest = 256;
  Buffer packet = Buffer::with_capacity(longest + srtp::tail_room);
  packet.resize(longest);
  const MutableBytes room = packet.writable().first(longest);
  size_t size = rtp::write_report(room, ssrc, info, block, cname_of(e));
  size += rtp::write_xr(room.subspan(size), ssrc, extended);
  packet.resize(size);
  send_rtcp(out, to, std::move(packet));
  counters_.originated.add();
}

rtp::VoipMetrics EngineState::metrics_of(Now now, const Stream& s, const Flow& f) const {
  const rtp::ReceiverStatistics& r = f.received;
  const Rating rating = rate(conditions(s, f));
  const auto runs = r.losses.summary(r.extended_highest());
  rtp::VoipMetrics m;
  m.ssrc = r.ssrc;
  m.loss_rate = in_256(loss_of(r));
  m.burst_density = in_256(runs.burst_density);
  m.gap_density = in_256(runs.gap_density);
  m.burst_duration_ms = in_ms(runs.burst_packets * s.ptime_ms);
  m.gap_duration_ms = in_ms(runs.gap_packets * s.ptime_ms);
  m.round_trip_ms = in_ms(s.round_trip_ms);
  m.r_factor = static_cast<uint8_t>(std::clamp(rating.wideband ? rating.r / 1.29 : rating.r, 0.0, 100.0));
  m.mos_lq = static_cast<uint8_t>(rating.listening * 10);
  m.mos_cq = static_cast<uint8_t>(rating.mos * 10);
  if (!s.bridge || !s.bridge->active()) return m;
  const playout::JitterCounts played = s.bridge->jitter_counts();
  m.discard_rate =
      in_256(static_cast<double>(played.late) / static_cast<double>(std::max<uint64_t>(1, r.expected())));
  const auto delay = static_cast<double>(s.bridge->delay(now.mono).count()) / 1e6;
  m.end_system_delay_ms = in_ms(delay + s.bridge->frame_ms());
  m.receiver_config = rtp::standard_concealment | rtp::adaptive_jitter_buffer;
  m.jitter_buffer_ms = in_ms(static_cast<double>(s.bridge->learnt().count()) / 1e6);
  m.jitter_buffer_max_ms = m.jitter_buffer_abs_max_ms =
      in_ms(static_cast<double>(playout::JitterConfig{}.most.count()) / 1e6);
  return m;
}

Conditions EngineState::conditions(const Stream& s, const Flow& f) const {
  const double loss = loss_of(f.received);
  return {codec_name(s, f), loss, f.received.losses.burst_ratio(loss), f.received.jitter_ms(),
          s.round_trip_ms};
}

void EngineState::grade(Flow& f) {
  const Endpoint* e = endpoints.find(f.endpoint);
  if (!e || f.stream >= e->streams.size()) return;
  const Stream& s = e->streams[f.stream];
  if (f.wire != Wire::rtp || !iequals(s.kind, "audio")) return;
  const uint64_t expected = f.received.expected() - f.graded_expected;
  const int64_t lost = std::max<int64_t>(0, f.received.lost() - f.graded_lost);
  f.graded_expected = f.received.expected();
  f.graded_lost = f.received.lost();
  counters_.lost.add(static_cast<uint64_t>(lost));
  Conditions c = conditions(s, f);
  c.loss = expected == 0 ? 0 : static_cast<double>(lost) / static_cast<double>(expected);
  forget_grade(f);
  f.grade = grade_of(rate(c));
  counters_.legs[static_cast<size_t>(*f.grade)]->add();
}

void EngineState::forget_grade(Flow& f) {
  if (f.grade) counters_.legs[static_cast<size_t>(*f.grade)]->sub();
  f.grade.reset();
}

void EngineState::audio_statistics(const Stream& s, const Flow& f, LegStatistics& out) const {
  out.jitter_ms = f.received.jitter_ms();
  out.max_jitter_ms = f.received.max_jitter_ms();
  out.round_trip_ms = s.round_trip_ms;
  out.local = s.rtp.local;
  out.remote = f.latch.destination();
  Conditions c = conditions(s, f);
  out.codec = c.codec;
  out.loss = c.loss;
  out.burst_ratio = c.burst_ratio;
  if (f.received.packets > 0 && f.received.expected() > 0) {
    const Rating rating = rate(c);
    out.mos = rating.mos;
    out.r_factor = rating.r;
    out.wideband = rating.wideband;
  }
  out.metrics = s.metrics;
  out.has_report = s.has_report;
  if (!s.has_report) return;
  out.report_loss = s.report.fraction_lost / 256.0;
  out.report_lost = s.report.cumulative_lost;
  const uint32_t clock = s.remote_formats.empty() ? 8000 : s.remote_formats.front().clock_rate;
  out.report_jitter_ms = s.report.jitter * 1000.0 / std::max<uint32_t>(1, clock);
  c.codec = s.remote_formats.empty() ? c.codec : std::string_view(s.remote_formats.front().encoding);
  c.loss = out.report_loss;
  c.burst_ratio = 1;
  c.jitter_ms = out.report_jitter_ms;
  out.report_mos = rate(c).mos;
}

}  // namespace tandem::media
