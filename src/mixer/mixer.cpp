#include "mixer/mixer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "mixer/playing.h"

namespace tandem::mixer {
namespace {

constexpr float most_gain = 4;

float sane_gain(float gain) { return std::isfinite(gain) ? std::clamp(gain, 0.0F, most_gain) : 1.0F; }

bool encodable(const playout::Format& f, uint32_t ptime_ms) {
  return playout::Speaker::make({f, audio_rate, ptime_ms, 0}).ok();
}

}  // namespace

std::string_view to_string(Refusal refusal) {
  constexpr std::array<std::string_view, refusal_count> names = {
      "the conference is full", "no codec for what the member wants to be sent", "no such member",
      "no sound, or a rate that cannot be played", "too many sounds at the same time"};
  return names[static_cast<size_t>(refusal)];
}

Mixer::Mixer(const MixerConfig& config) : config_(config), members_(config.members) {}
Mixer::~Mixer() = default;

Failure<Refusal> Mixer::refuse(Refusal refusal) {
  ++counts_.refused[static_cast<size_t>(refusal)];
  return Failure{refusal};
}

// ---- members

bool Mixer::has_floor(const Member& m) const {
  return !lecture_.on || m.config.lecturer || m.config.has_floor;
}

BusId Mixer::bus_for(const Member& m) const {
  if (m.config.deafened) return BusId::nobody;
  return lecture_.on && lecture_.lecturers_hear_all && m.config.lecturer ? BusId::everybody : BusId::floor;
}

Result<MemberId, Refusal> Mixer::admit(const MemberConfig& config) {
  if (members_.full()) return refuse(Refusal::full);
  const MemberId id = members_.emplace(config);
  Member& m = *members_.find(id);
  m.config.gain = sane_gain(config.gain);
  m.bus = m.fades_from = BusId::nobody;  // the first frame fades in
  if (const auto listening = listen(m); !listening) {
    members_.erase(id);
    return refuse(listening.reason());
  }
  return id;
}

Result<MemberId, Refusal> Mixer::join(const MemberConfig& member) {
  auto id = admit(member);
  if (id && config_.entry) (void)start(config_.entry, std::nullopt, 1, 1, true);
  return id;
}

Status<Refusal> Mixer::leave(MemberId id) {
  Member* m = members_.find(id);
  if (!m) return refuse(Refusal::no_member);
  stop_listening(*m);
  if (m->source.mixed()) departing_.push_back(std::move(m->source));
  members_.erase(id);
  if (config_.exit) (void)start(config_.exit, std::nullopt, 1, 1, true);
  return Done{};
}

/// The stream of a bus in that format, begun when there is none.
Result<SharedStream*, Refusal> Mixer::shared_stream(BusId id, const StreamFormat& format,
                                                    Stream::Decoder decoder) {
  Bus& b = bus(id);
  if (SharedStream* s = b.find(format)) return s;
  auto stream = Stream::make(format, config_.complexity, position_, b.history, decoder);
  if (!stream) return Failure{Refusal::no_codec};
  return &b.share(std::move(*stream));
}

/// A decoder that has heard nothing yet fits an encoder that has said nothing yet, so the member begins with
/// a stream of its own and comes to that of its bus later.
Status<Refusal> Mixer::listen(Member& m) {
  if (!m.config.said) return Done{};
  const StreamFormat format = stream_format(*m.config.said, m.config.ptime_ms);
  if (passages_ < config_.passages) {
    auto stream =
        Stream::make(format, config_.complexity, position_, bus(m.bus).history, Stream::Decoder::fresh);
    if (!stream) return Failure{Refusal::no_codec};
    m.own = std::make_unique<OwnStream>();
    m.own->stream = std::move(*stream);
    m.own->limiter = bus(m.bus).limiter;
    m.needs_own = false;
    ++passages_;
  } else {
    m.bus = m.fades_from = bus_for(m);
    const auto s = shared_stream(m.bus, format, Stream::Decoder::fresh);
    if (!s) return Failure{s.reason()};
    m.shared = *s;
    counts_.abrupt += m.shared->listeners > 0;
    ++m.shared->listeners;
  }
  ++bus(m.bus).members;
  m.quiet = true;
  return Done{};
}

void Mixer::stop_listening(Member& m) {
  if (!m.config.said) return;
  if (m.shared) bus(m.bus).leave(*m.shared);
  m.shared = nullptr;
  m.own.reset();
  --bus(m.bus).members;
}

Status<Refusal> Mixer::reformat(MemberId id, const std::vector<playout::Format>& heard,
                                const std::optional<playout::Format>& said, uint32_t ptime_ms) {
  Member* m = members_.find(id);
  if (!m) return refuse(Refusal::no_member);
  const bool another =
      m->config.said.has_value() != said.has_value() ||
      (said && !(stream_format(*said, ptime_ms) == stream_format(*m->config.said, m->config.ptime_ms)));
  if (another && said && !encodable(*said, ptime_ms)) return refuse(Refusal::no_codec);
  if (another) stop_listening(*m);
  m->config.said = said;
  m->config.ptime_ms = ptime_ms;
  if (another) (void)listen(*m);
  if (m->config.heard != heard) m->source.reformat(heard);
  m->config.heard = heard;
  return Done{};
}

// ---- controls

template <class F>
Status<Refusal> Mixer::with(MemberId id, F&& change) {
  Member* m = members_.find(id);
  if (!m) return refuse(Refusal::no_member);
  change(m->config);
  return Done{};
}

Status<Refusal> Mixer::mute(MemberId id, bool on) {
  return with(id, [on](MemberConfig& c) { c.muted = on; });
}
Status<Refusal> Mixer::learn(MemberId id, Duration wanted) {
  Member* m = members_.find(id);
  if (!m) return Failure{Refusal::no_member};
  if (wanted > Duration::zero()) m->source.learn(wanted);
  return Done{};
}
Status<Refusal> Mixer::deafen(MemberId id, bool on) {
  return with(id, [on](MemberConfig& c) { c.deafened = on; });
}
Status<Refusal> Mixer::set_gain(MemberId id, float gain) {
  return with(id, [gain](MemberConfig& c) { c.gain = sane_gain(gain); });
}
Status<Refusal> Mixer::set_lecturer(MemberId id, bool on) {
  return with(id, [on](MemberConfig& c) { c.lecturer = on; });
}
Status<Refusal> Mixer::give_floor(MemberId id, bool on) {
  return with(id, [on](MemberConfig& c) { c.has_floor = on; });
}

void Mixer::set_complexity(uint8_t complexity) {
  if (config_.complexity == complexity) return;
  config_.complexity = complexity;
  for (const Bus& b : buses_)
    for (const auto& s : b.streams) s->stream->set_complexity(complexity);
  members_.for_each([&](MemberId, Member& m) {
    if (m.own) m.own->stream->set_complexity(complexity);
  });
}

Result<SoundId, Refusal> Mixer::start(std::shared_ptr<const Sound> sound, std::optional<MemberId> to,
                                      float gain, uint32_t repeats, bool ours) {
  if (to && !members_.find(*to)) return refuse(Refusal::no_member);
  size_t alike = 0;
  for (const auto& p : sounds_) {
    if (to && p->to == to) return refuse(Refusal::too_many_sounds);
    alike += p->to.has_value() == to.has_value();
  }
  if (alike >= (to ? config_.private_sounds : config_.sounds)) return refuse(Refusal::too_many_sounds);
  auto playback = Playback::make(std::move(sound), repeats);
  if (!playback) return refuse(Refusal::bad_sound);
  auto p = std::make_unique<Playing>();
  p->id = next_sound_++;
  p->to = to;
  p->playback = std::move(playback);
  p->gain = sane_gain(gain);
  p->ours = ours;
  sounds_.push_back(std::move(p));
  return sounds_.back()->id;
}

Result<SoundId, Refusal> Mixer::play(std::shared_ptr<const Sound> sound, std::optional<MemberId> to,
                                     float gain, uint32_t repeats) {
  return start(std::move(sound), to, gain, repeats, false);
}

bool Mixer::stop(SoundId id) {
  const auto p = std::find_if(sounds_.begin(), sounds_.end(), [id](const auto& x) { return x->id == id; });
  if (p == sounds_.end() || (*p)->stopping) return false;
  (*p)->stopping = true;
  return true;
}

void Mixer::packet(Instant now, MemberId id, uint16_t sequence, uint32_t timestamp, uint8_t payload_type,
                   Bytes payload) {
  Member* m = members_.find(id);
  if (!m || !m->source.packet(now, sequence, timestamp, payload_type, payload)) ++counts_.unknown_packets;
}

void Mixer::restart(MemberId id) {
  if (Member* m = members_.find(id)) m->source.restart();
}

// ---- what is known

std::vector<RosterEntry> Mixer::roster() const {
  std::vector<RosterEntry> all;
  all.reserve(members_.size());
  members_.for_each([&](MemberId id, const Member& m) {
    const MemberConfig& c = m.config;
    const Activity& a = m.source.activity();
    all.push_back(
        {id, level_of(a.dbov()), a.talks(), m.source.mixed(), c.muted, c.deafened, c.lecturer, c.has_floor});
  });
  return all;
}

std::optional<MemberId> Mixer::dominant() const {
  if (!dominant_) return std::nullopt;
  return dominant_;
}

std::optional<MemberCounts> Mixer::counts(Instant now, MemberId id) const {
  const Member* m = members_.find(id);
  if (!m) return std::nullopt;
  const Source& s = m->source;
  return MemberCounts{s.counts(), s.jitter_counts(), s.delay(now), s.learnt(), m->sent, m->own_encodes};
}

std::optional<MemberConfig> Mixer::member(MemberId id) const {
  const Member* m = members_.find(id);
  if (!m) return std::nullopt;
  return m->config;
}

MixerState Mixer::snapshot() const {
  MixerState state;
  state.position = position_;
  state.lecture = lecture_;
  members_.for_each([&](MemberId, const Member& m) {
    state.members.push_back({m.config, m.source.learnt()});
  });
  return state;
}

Result<std::vector<MemberId>, Refusal> Mixer::restore(const MixerState& state) {
  if (members_.size() == 0) {
    position_ = state.position / frame_samples * frame_samples;
    lecture_ = state.lecture;
  }
  std::vector<MemberId> ids;
  for (const MixerState::Member& m : state.members) {
    const auto id = admit(m.config);
    if (!id) {
      for (const MemberId added : ids) {
        stop_listening(*members_.find(added));
        members_.erase(added);
      }
      return Failure{id.reason()};
    }
    if (m.learnt > Duration::zero()) members_.find(*id)->source.learn(m.learnt);
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace tandem::mixer
