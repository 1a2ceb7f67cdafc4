#pragma once
// A mix as the payloads of one format. Frames of the same length begin at the same positions in every stream
// of a conference, so who listens can be moved from one to another between two frames.
#include <memory>
#include <string>
#include <vector>

#include "mixer/history.h"
#include "playout/speaker.h"

namespace tandem::mixer {

/// Members whose formats are equal can be sent the same payloads; the payload type is each member's own.
struct StreamFormat {
  std::string name;
  uint32_t clock_rate = 8000;
  uint8_t channels = 1;
  std::string fmtp;
  uint32_t ptime_ms = 20;
  bool operator==(const StreamFormat&) const = default;
};
StreamFormat stream_format(const playout::Format& format, uint32_t ptime_ms);

class Stream {
 public:
  /// What the stream was before, as the listener's decoder knows it.
  enum class Decoder : uint8_t { fresh, running };
  /// Begins in the frame that holds `position`; `history` has what came before. For a running decoder the
  /// encoder is fed with it first, so that its state is near what the decoder expects.
  static Result<std::unique_ptr<Stream>, codec::FormatReason> make(const StreamFormat& format,
                                                                   uint8_t complexity, uint64_t position,
                                                                   const History& history, Decoder decoder);
  /// Another that goes on as this one would; where the codec has no twin it is made from the history.
  Result<std::unique_ptr<Stream>, codec::FormatReason> twin(uint64_t position, const History& history) const;

  struct Piece {
    uint64_t begin = 0;             // position of its first sample
    uint32_t later = 0;             // ticks of the RTP clock its sound begins after it (DTX)
    size_t offset = 0, octets = 0;  // of its payload; 0 octets: not sent (DTX)
  };
  /// 20 ms more. The pieces of the tick before are gone.
  void feed(const Frame& frame);
  std::span<const Piece> pieces() const { return pieces_; }
  Bytes payload(const Piece& piece) const { return Bytes(octets_).subspan(piece.offset, piece.octets); }
  /// The last tick yielded the same payloads, and some.
  bool said_the_same(const Stream& other) const;
  uint32_t timestamp(const Piece& piece) const;
  const StreamFormat& format() const { return format_; }
  /// Frames encoded, all told.
  uint64_t encoded() const { return encoded_; }
  void set_complexity(uint8_t complexity);

 private:
  Stream(StreamFormat format, playout::Speaker speaker);
  void say();

  const StreamFormat format_;
  playout::Speaker speaker_;
  uint8_t complexity_ = 5;
  uint64_t begin_ = 0;  // position of waiting_'s first sample
  std::vector<int16_t> waiting_;
  size_t waits_ = 0;  // samples in waiting_
  std::vector<Piece> pieces_;
  std::vector<uint8_t> octets_;
  uint64_t encoded_ = 0;
};

}  // namespace tandem::mixer
