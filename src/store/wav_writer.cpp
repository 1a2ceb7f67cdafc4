// WAV as RIFF has it: 16-bit PCM, or mu-law with its fact chunk.
#include <algorithm>
#include <cstdlib>

#include "store/sound_writer.h"

namespace tandem::store {
namespace {

constexpr uint16_t pcm = 1, mu_law = 7;

void put(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}
std::string word(uint64_t value) {
  std::string out;
  put(out, static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)), 4);
  return out;
}
uint32_t get(std::string_view in, size_t at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i)
    value |= uint32_t{static_cast<uint8_t>(in[at + static_cast<size_t>(i)])} << (8 * i);
  return value;
}

/// ITU-T G.711, table 2a: a sign, the number of the segment and four bits within it.
uint8_t to_mu_law(int16_t sample) {
  constexpr int bias = 33, clip = 8158;
  const int sign = sample < 0 ? 0x80 : 0;
  const int magnitude = std::min(std::abs(int{sample}) >> 2, clip) + bias;
  int segment = 7;
  while (segment > 0 && magnitude < (1 << (segment + 5))) --segment;
  const int step = magnitude >> (segment + 1) & 0x0f;
  return static_cast<uint8_t>(~(sign | segment << 4 | step));
}

class WavWriter final : public SoundWriter {
 public:
  WavWriter(const port::RecordingOrder& order, RecordingBytes& bytes)
      : mu_law_(order.format == port::RecordingFormat::wav_mu_law),
        frame_bytes_(order.sides * (mu_law_ ? 1U : 2U)),
        bytes_(bytes) {
    std::string h = "RIFF";
    put(h, 0, 4);
    h += "WAVEfmt ";
    put(h, mu_law_ ? 18 : 16, 4);
    put(h, mu_law_ ? mu_law : pcm, 2);
    put(h, order.sides, 2);
    put(h, order.rate, 4);
    put(h, order.rate * frame_bytes_, 4);
    put(h, frame_bytes_, 2);
    put(h, mu_law_ ? 8 : 16, 2);
    if (mu_law_) {
      put(h, 0, 2);
      h += "fact";
      put(h, 4, 4);
      put(h, 0, 4);
    }
    h += "data";
    put(h, 0, 4);
    header_ = h.size();
    bytes_.append(h);
  }
  bool write(std::span<const int16_t> frames) override {
    std::string out(frames.size() * (mu_law_ ? 1 : 2), '\0');
    char* to = out.data();
    for (const int16_t s : frames) {
      const auto bits = static_cast<uint16_t>(s);
      *to++ = static_cast<char>(mu_law_ ? to_mu_law(s) : bits & 0xff);
      if (!mu_law_) *to++ = static_cast<char>(bits >> 8);
    }
    bytes_.append(out);
    return true;
  }
  bool settle() override {
    const uint64_t data = bytes_.size() - header_;
    bytes_.patch(4, word(header_ - 8 + data));
    if (mu_law_) bytes_.patch(header_ - 12, word(data / frame_bytes_));
    bytes_.patch(header_ - 4, word(data));
    return true;
  }
  bool finish() override {
    // A chunk has an even length.
    const uint64_t data = bytes_.size() - header_;
    settle();
    if (data % 2 != 0) {
      bytes_.append(std::string_view("\0", 1));
      bytes_.patch(4, word(header_ - 8 + data + 1));
    }
    return true;
  }

 private:
  const bool mu_law_;
  const uint32_t frame_bytes_;
  RecordingBytes& bytes_;
  uint64_t header_ = 0;
};

}  // namespace

std::unique_ptr<SoundWriter> make_wav_writer(const port::RecordingOrder& order, RecordingBytes& bytes) {
  return std::make_unique<WavWriter>(order, bytes);
}

std::unique_ptr<SoundWriter> make_sound_writer(const port::RecordingOrder& order, RecordingBytes& bytes) {
  return order.format == port::RecordingFormat::opus ? make_opus_writer(order, bytes)
                                                     : make_wav_writer(order, bytes);
}

Result<Mended, port::DiskError> mend_wav(port::Disk& disk, const std::string& path) {
  constexpr size_t longest_header = 64;
  const auto size = disk.size(path);
  if (!size.ok()) return Failure{size.reason()};
  const auto head = disk.read(path, 0, longest_header);
  if (!head.ok()) return Failure{head.reason()};
  const size_t data_at = head->find("data", 36);
  if (!head->starts_with("RIFF") || data_at == std::string::npos || data_at + 8 > head->size())
    return Mended{};
  const uint64_t header = data_at + 8;
  const uint32_t rate = get(*head, 24, 4), frame = get(*head, 32, 2);
  if (rate == 0 || frame == 0) return Mended{};
  const uint64_t frames = (*size - header) / frame, data = frames * frame;
  if (frames == 0) return Mended{};
  if (*size != header + data)
    if (auto cut = disk.truncate(path, header + data); !cut.ok()) return Failure{cut.reason()};
  const auto set = [&](uint64_t at, uint64_t value) { return disk.overwrite(path, at, word(value)); };
  if (auto done = set(4, header - 8 + data); !done.ok()) return Failure{done.reason()};
  if (get(*head, 20, 2) == mu_law)
    if (auto done = set(header - 12, frames); !done.ok()) return Failure{done.reason()};
  if (auto done = set(header - 4, data); !done.ok()) return Failure{done.reason()};
  return Mended{header + data, Duration(static_cast<int64_t>(frames * 1'000'000'000 / rate))};
}

}  // namespace tandem::store
