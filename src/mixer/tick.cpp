// What happens in 20 ms of a conference.
#include <algorithm>
#include <cmath>
#include <utility>

#include "mixer/mixer.h"
#include "mixer/playing.h"

namespace tandem::mixer {
namespace {

constexpr size_t onset =
    audio_rate / 200;                // 5 ms: long enough for no click, short enough for no lost syllable
constexpr float closing = 0.25F;     // of the gain a frame, when somebody has finished: 80 ms
constexpr float staying = 4;         // dB by which another must be louder to take a talker's place
constexpr uint32_t seen_after = 25;  // ticks of being the loudest
// A stream of its own and its bus's code the same sound from different pasts. After 240 ms what a change
// costs has come down to the noise of the codecs; it waits for a pause, but not for ever.
constexpr uint32_t settled = 12, settled_anyway = 150;  // ticks
constexpr uint32_t same_twice = 2;
constexpr float pause_dbov = -50;

/// From where the gain is to where it shall be.
Ramp ramp_to(float from, float target, bool finished_talking, float full) {
  if (target > from) return {from, target, from == 0 ? onset : frame_samples};
  if (target == 0 && from > 0 && finished_talking) {
    const float to = from - std::max(from, full) * closing;
    return {from, to < 0.01F ? 0.0F : to, frame_samples};
  }
  return {from, target, frame_samples};
}

}  // namespace

std::span<const Outgoing> Mixer::tick(Instant now) {
  outgoing_.clear();
  finished_.clear();
  settle();
  render(now);
  choose();
  follow_dominant();
  render_sounds();
  assign_streams();
  fill_sums();
  process_buses();
  members_.for_each([this](MemberId id, Member& m) {
    if (m.own) speak(m);
    if (m.config.said) collect(id, m);
  });
  end_sounds();
  departing_.clear();
  position_ += frame_samples;
  ++counts_.ticks;
  return outgoing_;
}

/// Streams of their own that are needed no longer give way to the bus's.
void Mixer::settle() {
  members_.for_each([this](MemberId, Member& m) {
    if (!m.own || m.own->alike == 0) return;
    OwnStream& own = *m.own;
    Bus& b = bus(m.bus);
    SharedStream* s = b.find(own.stream->format());
    if (!s) {
      s = &b.share(std::move(own.stream));  // nobody else has one: it becomes the bus's
    } else {
      if (!own.stream->pieces().empty()) own.same = own.stream->said_the_same(*s->stream) ? own.same + 1 : 0;
      const bool pause = own.alike >= settled && dbov_of(own.out) < pause_dbov;
      if (own.same < same_twice && !pause && own.alike < settled_anyway) return;
    }
    ++s->listeners;
    m.shared = s;
    m.own.reset();
  });
}

void Mixer::render(Instant now) {
  members_.for_each([&](MemberId, Member& m) { counts_.rendered += m.source.render(now); });
  for (Source& s : departing_) s.render(now);
}

void Mixer::choose_loudest(std::vector<Candidate>& candidates) {
  const auto louder = [](const Candidate& a, const Candidate& b) { return a.loudness > b.loudness; };
  if (candidates.size() > config_.talkers) {
    std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(config_.talkers),
                     candidates.end(), louder);
    counts_.left_out += candidates.size() - config_.talkers;
    candidates.resize(config_.talkers);
  }
  for (const Candidate& c : candidates) {
    c.member->chosen = true;
    const Activity& a = c.member->source.activity();
    talkers_.push_back({c.id, level_of(a.loudness())});
  }
}

/// Who is mixed, and at which gain.
void Mixer::choose() {
  on_floor_.clear();
  in_audience_.clear();
  talkers_.clear();
  members_.for_each([this](MemberId id, Member& m) {
    const Activity& a = m.source.activity();
    const bool stays = std::exchange(m.chosen, false);
    if (!a.talks() || m.config.muted || m.config.gain == 0) return;
    const Candidate c{a.loudness() + (stays ? staying : 0), id, &m};
    if (has_floor(m)) {
      on_floor_.push_back(c);
    } else if (lecture_.lecturers_hear_all) {
      in_audience_.push_back(c);
    }
  });
  choose_loudest(on_floor_);
  choose_loudest(in_audience_);
  std::sort(talkers_.begin(), talkers_.end(),
            [](const Talker& a, const Talker& b) { return a.level < b.level; });
  members_.for_each([this](MemberId, Member& m) {
    Source& s = m.source;
    const float gain = m.chosen ? m.config.gain : 0;
    const bool finished = !s.activity().talks() && !m.config.muted;
    s.floor = ramp_to(s.floor.to, has_floor(m) ? gain : 0, finished, m.config.gain);
    s.everybody = ramp_to(s.everybody.to, gain, finished, m.config.gain);
  });
  for (Source& s : departing_) {
    s.floor = {s.floor.to, 0, frame_samples};
    s.everybody = {s.everybody.to, 0, frame_samples};
  }
}

void Mixer::follow_dominant() {
  if (dominant_ && !members_.find(dominant_)) dominant_ = {};
  const auto first =
      std::max_element(on_floor_.begin(), on_floor_.end(),
                       [](const Candidate& a, const Candidate& b) { return a.loudness < b.loudness; });
  const MemberId loudest = first == on_floor_.end() ? MemberId{} : first->id;
  if (!loudest || loudest == dominant_) {
    challenger_ = {};
    return;
  }
  challenged_ = loudest == challenger_ ? challenged_ + 1 : 1;
  challenger_ = loudest;
  if (!dominant_ || challenged_ >= seen_after) dominant_ = std::exchange(challenger_, {});
}

void Mixer::render_sounds() {
  members_.for_each([](MemberId, Member& m) { m.private_sound = nullptr; });
  for (const auto& p : sounds_) {
    p->playback->render(p->frame);
    p->ramp = {p->gain, p->stopping ? 0 : p->gain, frame_samples};
    Member* to = p->to ? members_.find(*p->to) : nullptr;
    if (!to) continue;
    to->private_sound = &p->frame;
    to->private_ramp = p->ramp;
  }
}

/// The member hears another sum from this frame on.
void Mixer::change_bus(Member& m, BusId to) {
  --bus(m.bus).members;
  ++bus(to).members;
  m.fades_from = std::exchange(m.bus, to);
  if (m.own || !m.shared || passages_ < config_.passages) return;  // a stream of its own fades over
  const StreamFormat format = m.shared->stream->format();
  bus(m.fades_from).leave(*m.shared);
  m.fades_from = to;
  const auto s = shared_stream(to, format, Stream::Decoder::running);
  m.shared = s.ok() ? *s : nullptr;
  if (m.shared) ++m.shared->listeners;
  ++counts_.abrupt;
}

void Mixer::begin_own(Member& m) {
  if (!m.shared) return;
  Bus& b = bus(m.fades_from);
  SharedStream& shared = *std::exchange(m.shared, nullptr);
  std::unique_ptr<Stream> stream;
  if (shared.listeners > 1) {
    if (auto twin = shared.stream->twin(position_, b.history); twin.ok()) stream = std::move(*twin);
  }
  if (auto last = b.leave(shared)) stream = std::move(last);
  if (!stream) return;
  m.own = std::make_unique<OwnStream>();
  m.own->stream = std::move(stream);
  m.own->limiter = b.limiter;
}

/// Which sum everybody hears, and who needs a stream of its own in this frame.
void Mixer::assign_streams() {
  const bool wanted = lecture_.on && lecture_.lecturers_hear_all;
  if (wanted && !everybody_in_use_) {  // until now it would have been the same
    bus(BusId::everybody).limiter = bus(BusId::floor).limiter;
    bus(BusId::everybody).history = bus(BusId::floor).history;
  }
  everybody_in_use_ = wanted;
  passages_ = 0;
  members_.for_each([this](MemberId, const Member& m) { passages_ += m.own && !m.needs_own; });
  members_.for_each([this](MemberId, Member& m) {
    m.fades_from = m.bus;
    if (!m.config.said) return;
    if (const BusId to = bus_for(m); to != m.bus) change_bus(m, to);
    everybody_in_use_ |= m.fades_from == BusId::everybody;
    m.needs_own = m.private_sound || !m.ramp(m.bus).silent() || !m.ramp(m.fades_from).silent();
    const bool fades = m.fades_from != m.bus;
    if (m.own || !(m.needs_own || fades)) return;
    begin_own(m);
    passages_ += !m.needs_own;
  });
}

void Mixer::make_noise() {
  if (config_.noise_dbov >= 127) return;
  const float peak = 32768 * std::pow(10.0F, -static_cast<float>(config_.noise_dbov) / 20) * std::sqrt(3.0F);
  const float unit = peak / 2147483648.0F;
  for (int16_t& s : noise_) {
    random_ = random_ * 1664525U + 1013904223U;
    s = static_cast<int16_t>(static_cast<float>(static_cast<int32_t>(random_)) * unit);
  }
}

void Mixer::fill_sums() {
  make_noise();
  for (Bus& b : buses_) std::copy(noise_.begin(), noise_.end(), b.sum.begin());
  Sum& floor = bus(BusId::floor).sum;
  Sum& everybody = bus(BusId::everybody).sum;
  const auto add_source = [&](Source& s) {
    if (!s.mixed()) return;
    s.ready();
    ++counts_.mixed;
    add(floor, s.sound(), s.floor);
    if (everybody_in_use_) add(everybody, s.sound(), s.everybody);
  };
  members_.for_each([&](MemberId, Member& m) { add_source(m.source); });
  for (Source& s : departing_) add_source(s);
  for (const auto& p : sounds_) {
    if (p->to) continue;
    add(floor, p->frame, p->ramp);
    if (everybody_in_use_) add(everybody, p->frame, p->ramp);
  }
}

void Mixer::process_buses() {
  for (const BusId id : {BusId::nobody, BusId::floor, BusId::everybody}) {
    Bus& b = bus(id);
    if (id != BusId::floor && b.members == 0) continue;
    b.process(position_);
    counts_.shared_encodes += b.encode();
  }
  counts_.limited += bus(BusId::floor).limiter.gain() < 1;
}

/// All but itself, and what is played to it alone.
void Mixer::speak(Member& m) {
  OwnStream& own = *m.own;
  const Bus& b = bus(m.bus);
  const auto without = [&m](Sum& sum, BusId id) {
    if (const Ramp r = m.ramp(id); !r.silent()) subtract(sum, m.source.sound(), r);
  };
  Sum sum = b.sum;
  without(sum, m.bus);
  if (m.fades_from != m.bus) {
    Sum before = bus(m.fades_from).sum;
    without(before, m.fades_from);
    cross_fade(before, sum);
    sum = before;
  }
  if (m.private_sound) add(sum, *m.private_sound, m.private_ramp);
  own.limiter.process(sum, own.out);
  const uint64_t encoded = own.stream->encoded();
  own.stream->feed(own.out);
  counts_.own_encodes += own.stream->encoded() - encoded;
  m.own_encodes += own.stream->encoded() - encoded;
  const bool alike = !m.needs_own && own.out == b.out && own.limiter.gain() == b.limiter.gain();
  own.alike = alike ? own.alike + 1 : 0;
  if (!alike) own.same = 0;
}

void Mixer::collect(MemberId id, Member& m) {
  const Stream* s = m.own ? m.own->stream.get() : m.shared ? m.shared->stream.get() : nullptr;
  if (!s) return;
  for (const Stream::Piece& piece : s->pieces()) {
    const bool after_silence = std::exchange(m.quiet, piece.octets == 0);
    if (piece.octets == 0) continue;
    outgoing_.push_back(
        {id, m.config.said->payload_type, after_silence, s->timestamp(piece), s->payload(piece)});
    ++m.sent;
  }
}

void Mixer::end_sounds() {
  const auto over = [this](const std::unique_ptr<Playing>& p) {
    const bool ended = p->stopping || p->playback->finished() || (p->to && !members_.find(*p->to));
    if (ended && !p->ours) finished_.push_back(p->id);
    return ended;
  };
  sounds_.erase(std::remove_if(sounds_.begin(), sounds_.end(), over), sounds_.end());
}

}  // namespace tandem::mixer
