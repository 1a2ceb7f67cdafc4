#include "rtp/arrivals.h"

#include <algorithm>
#include <array>
#include <span>

#include "rtp/packet.h"
#include "rtp/rtcp.h"

namespace tandem::rtp {
namespace {

constexpr int64_t tick_ns = 250'000;          // of the differences between arrivals
constexpr int64_t reference_ns = 64'000'000;  // of the time of the first
constexpr int64_t most_gap = 0x2000;          // a larger jump is another sender
constexpr uint8_t feedback_format = 15;
constexpr size_t head_octets = 20;

/// Section 3.1.1.
enum Symbol : uint8_t { missing = 0, small_delta = 1, large_delta = 2 };

/// Section 3.1.3 and 3.1.4: runs where seven or more are alike, else seven in a chunk.
size_t write_chunks(std::span<const uint8_t> symbols, uint8_t* out) {
  constexpr size_t vector_symbols = 7, longest_run = 0x1FFF;
  size_t size = 0;
  for (size_t i = 0; i < symbols.size();) {
    size_t run = 1;
    while (i + run < symbols.size() && run < longest_run && symbols[i + run] == symbols[i]) ++run;
    uint16_t chunk = 0;
    if (run >= vector_symbols || i + run == symbols.size()) {
      chunk = static_cast<uint16_t>(symbols[i] << 13 | run);
      i += run;
    } else {
      chunk = 0xC000;
      for (size_t n = 0; n < vector_symbols && i < symbols.size(); ++n, ++i)
        chunk = static_cast<uint16_t>(chunk | symbols[i] << (2 * (vector_symbols - 1 - n)));
    }
    store16(out + size, chunk);
    size += 2;
  }
  return size;
}

}  // namespace

void Arrivals::on_packet(Instant now, uint16_t number) {
  int64_t whole = number;
  if (latest_) {
    const auto step = static_cast<int16_t>(number - static_cast<uint16_t>(*latest_));
    whole = *latest_ + step;
    if (step > most_gap || step < -most_gap) {  // it has begun anew
      arrived_.clear();
      told_.reset();
      latest_.reset();
      whole = number;
    }
  }
  if (told_ && whole <= *told_) return;
  latest_ = std::max(latest_.value_or(whole), whole);
  const auto at = std::lower_bound(arrived_.begin(), arrived_.end(), whole,
                                   [](const Arrival& a, int64_t n) { return a.number < n; });
  if (at != arrived_.end() && at->number == whole) return;
  arrived_.insert(at, {whole, now});
}

size_t Arrivals::write(MutableBytes out, uint32_t sender, uint32_t media) {
  if (arrived_.empty() || out.size() < longest_feedback) return 0;
  // What is missing between two feedbacks is told by the second.
  const int64_t first = arrived_.front().number;
  const int64_t base = told_ && first - *told_ <= static_cast<int64_t>(most_packets) ? *told_ + 1 : first;
  const int64_t reference = arrived_.front().at.ns / reference_ns;
  std::array<uint8_t, most_packets> symbols{};
  std::array<uint8_t, 2 * most_packets> deltas{};
  size_t count = 0, delta_octets = 0, taken = 0;
  int64_t before = reference * reference_ns;  // as the reader reckons it, without the rounding
  for (const Arrival& a : arrived_) {
    const auto at = static_cast<size_t>(a.number - base);
    if (at >= most_packets) break;
    const int64_t ticks = (a.at.ns - before) / tick_ns;
    if (ticks < INT16_MIN || ticks > INT16_MAX) break;
    const bool fits = ticks >= 0 && ticks <= UINT8_MAX;
    symbols[at] = fits ? small_delta : large_delta;
    if (fits) {
      deltas[delta_octets++] = static_cast<uint8_t>(ticks);
    } else {
      store16(deltas.data() + delta_octets, static_cast<uint16_t>(ticks));
      delta_octets += 2;
    }
    before += ticks * tick_ns;
    count = at + 1;
    ++taken;
  }
  uint8_t* p = out.data();
  size_t size = head_octets + write_chunks({symbols.data(), count}, p + head_octets);
  std::copy_n(deltas.begin(), delta_octets, p + size);
  size += delta_octets;
  const size_t padding = (4 - size % 4) % 4;
  for (size_t i = 0; i < padding; ++i) p[size + i] = i + 1 == padding ? static_cast<uint8_t>(padding) : 0;
  size += padding;
  p[0] = static_cast<uint8_t>(0x80 | (padding > 0 ? 0x20 : 0) | feedback_format);
  p[1] = static_cast<uint8_t>(RtcpType::rtpfb);
  store16(p + 2, static_cast<uint16_t>(size / 4 - 1));
  store32(p + 4, sender);
  store32(p + 8, media);
  store16(p + 12, static_cast<uint16_t>(base));
  store16(p + 14, static_cast<uint16_t>(count));
  store32(p + 16, static_cast<uint32_t>(reference << 8) | feedbacks_++);
  told_ = base + static_cast<int64_t>(count) - 1;
  arrived_.erase(arrived_.begin(), arrived_.begin() + static_cast<std::ptrdiff_t>(taken));
  return size;
}

std::optional<size_t> find_extension16(Bytes p, uint8_t id) {
  if (p.size() < Header::fixed_bytes || (p[0] & 0x10) == 0) return std::nullopt;
  size_t at = Header::fixed_bytes + size_t{4} * (p[0] & 0x0F);
  if (p.size() < at + 4) return std::nullopt;
  const uint16_t profile = load16(&p[at]);
  const size_t end = at + 4 + size_t{4} * load16(&p[at + 2]);
  if (p.size() < end) return std::nullopt;
  const bool one_byte = profile == 0xBEDE, two_bytes = (profile & 0xFFF0) == 0x1000;
  if (!one_byte && !two_bytes) return std::nullopt;
  for (at += 4; at < end;) {
    if (p[at] == 0) {  // padding
      ++at;
      continue;
    }
    const uint8_t element = one_byte ? p[at] >> 4 : p[at];
    if (one_byte && element == 15) return std::nullopt;  // section 4.2: nothing behind it counts
    if (two_bytes && at + 1 >= end) return std::nullopt;
    const size_t octets = one_byte ? size_t{p[at] & 0x0Fu} + 1 : p[at + 1];
    at += one_byte ? 1 : 2;
    if (at + octets > end) return std::nullopt;
    if (element == id) return octets == 2 ? std::optional(at) : std::nullopt;
    at += octets;
  }
  return std::nullopt;
}

}  // namespace tandem::rtp
