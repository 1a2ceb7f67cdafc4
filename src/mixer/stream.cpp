#include "mixer/stream.h"

#include <algorithm>
#include <utility>

namespace tandem::mixer {

StreamFormat stream_format(const playout::Format& format, uint32_t ptime_ms) {
  return {format.name, format.clock_rate, format.channels, format.fmtp, ptime_ms};
}

Stream::Stream(StreamFormat format, playout::Speaker speaker)
    : format_(std::move(format)), speaker_(std::move(speaker)) {
  waiting_.resize(speaker_.frame_samples() + frame_samples);
  pieces_.reserve(frame_samples / speaker_.frame_samples() + 1);
  octets_.reserve(codec::largest_payload);
}

Result<std::unique_ptr<Stream>, codec::FormatReason> Stream::make(const StreamFormat& format,
                                                                  uint8_t complexity, uint64_t position,
                                                                  const History& history, Decoder decoder) {
  const playout::Format f{0, format.name, format.clock_rate, format.channels, format.fmtp};
  auto speaker = playout::Speaker::make({f, audio_rate, format.ptime_ms, complexity});
  if (!speaker.ok()) return Failure{speaker.reason()};
  std::unique_ptr<Stream> s(new Stream(format, std::move(*speaker)));
  s->complexity_ = complexity;
  const uint64_t each = s->speaker_.frame_samples();
  s->begin_ = position / each * each;
  if (decoder == Decoder::running) {
    const uint64_t warm = History::samples / each * each;
    for (s->begin_ -= std::min(s->begin_, warm); s->begin_ + each <= position;) {
      s->waits_ = each;
      history.copy(s->begin_, std::span(s->waiting_).first(each));
      s->say();
    }
    s->pieces_.clear();
    s->octets_.clear();
    s->encoded_ = 0;
  }
  s->waits_ = static_cast<size_t>(position - s->begin_);
  history.copy(s->begin_, std::span(s->waiting_).first(s->waits_));
  return s;
}

Result<std::unique_ptr<Stream>, codec::FormatReason> Stream::twin(uint64_t position,
                                                                  const History& history) const {
  auto speaker = speaker_.twin();
  if (!speaker) return make(format_, complexity_, position, history, Decoder::running);
  std::unique_ptr<Stream> s(new Stream(format_, std::move(*speaker)));
  s->complexity_ = complexity_;
  s->begin_ = begin_;
  s->waits_ = waits_;
  s->waiting_ = waiting_;
  return s;
}

void Stream::feed(const Frame& frame) {
  pieces_.clear();
  octets_.clear();
  std::copy(frame.begin(), frame.end(), waiting_.begin() + static_cast<std::ptrdiff_t>(waits_));
  waits_ += frame_samples;
  while (waits_ >= speaker_.frame_samples()) say();
}

void Stream::set_complexity(uint8_t complexity) {
  complexity_ = complexity;
  speaker_.set_complexity(complexity);
}

/// One frame of the codec.
void Stream::say() {
  const size_t each = speaker_.frame_samples();
  Piece piece{begin_, 0, octets_.size(), 0};
  if (const auto said = speaker_.say(std::span(waiting_).first(each))) {
    piece.later = said->later;
    piece.octets = said->payload.size();
    octets_.insert(octets_.end(), said->payload.begin(), said->payload.end());
  }
  pieces_.push_back(piece);
  ++encoded_;
  const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(waits_);
  std::copy(waiting_.begin() + static_cast<std::ptrdiff_t>(each), end, waiting_.begin());
  waits_ -= each;
  begin_ += each;
}

bool Stream::said_the_same(const Stream& other) const {
  return !pieces_.empty() &&
         std::equal(pieces_.begin(), pieces_.end(), other.pieces_.begin(), other.pieces_.end(),
                    [](const Piece& a, const Piece& b) {
                      return a.begin == b.begin && a.later == b.later && a.octets == b.octets;
                    }) &&
         octets_ == other.octets_;
}

uint32_t Stream::timestamp(const Piece& piece) const {
  return static_cast<uint32_t>(piece.begin * format_.clock_rate / audio_rate) + piece.later;
}

}  // namespace tandem::mixer
