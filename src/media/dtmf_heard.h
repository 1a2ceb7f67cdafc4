#pragma once
// What a leg presses, by whatever way it tells: telephone events (RFC 4733), INFO, tones in its sound. One
// press is one, however often it is told. Inside the room, as state.h.
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/time.h"
#include "codec/dtmf.h"
#include "codec/telephone_event.h"

namespace tandem::media {

enum class DtmfWay : uint8_t { event, info, tone };
inline constexpr size_t dtmf_way_count = 3;

/// 0 to 15 (RFC 4733 section 3.2) as '0'..'9', '*', '#', 'A'..'D' and back. 0, nothing: no such digit.
char digit_of_event(uint8_t event);
std::optional<uint8_t> event_of_digit(char digit);

/// What is new about a press.
struct PressNews {
  char digit = 0;
  DtmfWay way = DtmfWay::event;  // it was told by first; the others tell nothing new
  bool begins = false;
  bool ends = false;    // `lasted` is its duration; both at once when it is told as a whole
  uint8_t volume = 10;  // of it, in -dBm0
  Duration lasted{};
};

class DtmfHeard {
 public:
  /// A way that tells later than that after the end tells of another press.
  static constexpr Duration same_press = milliseconds(500);
  /// An event, or a tone, that has been silent for so long is over.
  static constexpr Duration patience = milliseconds(200);

  /// What each of them tells is in news() until the next call.
  void event(Instant now, uint32_t ssrc, const codec::EventPacket& packet, uint32_t clock_rate);
  void info(Instant now, char digit, Duration lasted);
  void tone(Instant now, const codec::DtmfChange& change);
  /// There was sound, with the tone still in it.
  void tone_lasts(Instant now) { tone_at_ = now; }
  void on_silence(Instant now);
  std::span<const PressNews> news() const { return {news_.data(), news_count_}; }
  /// When on_silence() is due; never while nothing is pressed.
  Instant next_timeout() const;
  bool pressed() const { return next_timeout() != Instant::never(); }
  /// The event that runs, or ran last, is what told of its press first.
  bool event_leads() const { return event_leads_; }

  struct Press {
    char digit = 0;
    DtmfWay way = DtmfWay::event;
    uint8_t told = 0;  // bit per DtmfWay
    bool running = false;
    Instant at;  // it began, or was over
  };
  /// For a snapshot. A tone's beginning is not in it: what is heard of it afterwards is its duration.
  struct State {
    codec::EventReceiver::State events;
    uint32_t ssrc = 0, clock_rate = 8000;
    Instant event_at;
    bool event_leads = false;
    std::array<Press, 8> last;  // presses of late, the newest first
  };
  State state() const;
  void go_on(const State& state);

 private:
  bool begin(Instant now, char digit, DtmfWay way, uint8_t volume);
  void end(Instant now, DtmfWay way, Duration lasted);
  void end_event(Instant now, const codec::HeardEvent& event);
  void add(const PressNews& news);

  codec::EventReceiver events_;
  uint32_t ssrc_ = 0, clock_rate_ = 8000;
  Instant event_at_;  // its last packet
  bool event_leads_ = false;
  Instant tone_at_;              // of its last sound
  uint32_t tone_begins_ms_ = 0;  // on the detector's clock
  Instant tone_began_;
  std::array<Press, 8> last_;
  std::array<PressNews, 4> news_;
  size_t news_count_ = 0;
};

}  // namespace tandem::media
