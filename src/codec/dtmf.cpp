#include "codec/dtmf.h"

#include <spandsp.h>

#include <algorithm>

namespace tandem::codec {
namespace {
constexpr int forward_twist = 8;  // dB, Q.24 table A-1 as most administrations have it
constexpr int reverse_twist = 4;
constexpr int least_level = -34;  // dBm0 a tone
constexpr std::string_view digits = "123A456B789C*0#D";
constexpr std::array<uint16_t, 4> low_tones = {697, 770, 852, 941};
constexpr std::array<uint16_t, 4> high_tones = {1209, 1336, 1477, 1633};

struct Free {
  void operator()(dtmf_rx_state_t* s) const { dtmf_rx_free(s); }
};
}  // namespace

struct DtmfDetector::State {
  std::unique_ptr<dtmf_rx_state_t, Free> library;
  std::array<DtmfChange, most_changes> changes;
  size_t count = 0;
  char running = 0;
  uint64_t heard = 0;  // samples

  void add(char digit, bool on, int level) {
    if (count < changes.size())
      changes[count++] = {digit, on, static_cast<int8_t>(std::clamp(level, -99, 3)),
                          static_cast<uint32_t>(heard / 8)};
  }
  void on_report(int code, int level) {
    const char digit = static_cast<char>(code);
    if (digit == running) return;
    if (running != 0) add(running, false, 0);
    if (digit != 0) add(digit, true, level);
    running = digit;
  }
};

DtmfDetector::DtmfDetector() : state_(std::make_unique<State>()) { reset(); }
DtmfDetector::~DtmfDetector() = default;
DtmfDetector::DtmfDetector(DtmfDetector&&) noexcept = default;
DtmfDetector& DtmfDetector::operator=(DtmfDetector&&) noexcept = default;

void DtmfDetector::reset() {
  *state_ = State{};
  state_->library.reset(dtmf_rx_init(nullptr, nullptr, nullptr));
  dtmf_rx_parms(state_->library.get(), 1, forward_twist, reverse_twist, least_level);
  dtmf_rx_set_realtime_callback(
      state_->library.get(),
      [](void* user, int code, int level, int) { static_cast<State*>(user)->on_report(code, level); },
      state_.get());
}

std::span<const DtmfChange> DtmfDetector::process(std::span<const int16_t> samples) {
  State& s = *state_;
  s.count = 0;
  // In steps, so that a change knows its time.
  while (!samples.empty()) {
    const size_t n = std::min<size_t>(samples.size(), 80);
    s.heard += n;
    dtmf_rx(s.library.get(), samples.data(), static_cast<int>(n));
    samples = samples.subspan(n);
  }
  return {s.changes.data(), s.count};
}

std::optional<ToneSequence> dtmf_tones(char digit, uint16_t on_ms, uint16_t off_ms, int8_t level) {
  const size_t at = digits.find(digit);
  if (at == digits.npos) return std::nullopt;
  return ToneSequence{{{low_tones[at / 4], high_tones[at % 4], level, on_ms}, {0, 0, 0, off_ms}}, 1};
}

}  // namespace tandem::codec
