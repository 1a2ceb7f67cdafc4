// rooms: codec rtp base
// Any payload in any decoder, chosen by the first octet: no length past what was promised, and the decoder
// goes on. Then the same octets as telephone events and as comfort noise.
#include <cstdlib>
#include <vector>

#include "codec/codec.h"
#include "codec/comfort_noise.h"
#include "codec/telephone_event.h"
#include "rtp/packet.h"

namespace {

using namespace tandem;
using namespace tandem::codec;

constexpr Format formats[] = {{"PCMU", 8000}, {"PCMA", 8000},     {"G722", 8000},
                              {"G729", 8000}, {"opus", 48000, 2}, {"opus", 48000, 2, "sprop-stereo=1"},
                              {"L16", 16000}, {"L16", 48000, 2}};
constexpr uint32_t rates[] = {8000, 16000, 24000, 48000};

/// Records of {length, payload}; a length of 0 is a loss, told the payload behind it.
void decode_all(Bytes data, Decoder& decoder) {
  std::vector<int16_t> out(samples_in(decoder.shape(), longest_payload_ms));
  for (size_t at = 0; at < data.size();) {
    const size_t length = std::min<size_t>(data[at], data.size() - at - 1);
    // A copy of its own, so that a read past the end is seen.
    const std::vector<uint8_t> payload(data.begin() + static_cast<ptrdiff_t>(at + 1),
                                       data.begin() + static_cast<ptrdiff_t>(at + 1 + length));
    at += 1 + length;
    if (length == 0) {
      const std::vector<uint8_t> next(data.begin() + static_cast<ptrdiff_t>(at), data.end());
      decoder.decode_lost(std::span(out).first(samples_in(decoder.shape(), 20)), next);
    } else if (const auto n = decoder.decode(payload, out); n && (*n == 0 || *n > out.size())) {
      std::abort();
    }
  }
}

void hear_events(Bytes data) {
  EventReceiver receiver;
  uint32_t timestamp = 0;
  for (; data.size() >= 6; data = data.subspan(6)) {
    timestamp += data[4] * 160U;
    const auto e = rtp::TelephoneEvent::parse(data.first(4));
    const EventNews news =
        receiver.on_packet({e->event, e->end, (data[5] & 1) != 0, e->volume, e->duration, timestamp});
    if (news.started && news.passed) std::abort();
    if (news.started && !receiver.active()) std::abort();
    if ((data[5] & 2) != 0 && receiver.on_silence(timestamp + 70000, 400) && receiver.active()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const Bytes rest{data + 1, size - 1};
  const auto decoder = make_decoder(formats[data[0] % std::size(formats)], {rates[data[0] >> 3 & 3]});
  if (decoder) decode_all(rest, **decoder);
  hear_events(rest);
  NoiseGenerator noise;
  std::vector<int16_t> out(160);
  if (noise.set(rest)) noise.render(out);
  return 0;
}
