#pragma once
// Phones of one codec each, with keys (SDES) or without, for tests that listen to what a call sounds like. A
// phone has no jitter buffer: what it was sent is decoded in the order it came.
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "codec/resampler.h"
#include "srtp/context.h"
#include "srtp/sdes.h"
#include "unit/media/world.h"

namespace tandem::media {

using Samples = std::vector<int16_t>;
using Payload = std::vector<uint8_t>;

struct Codec {
  const char* name;
  const char* formats;
  const char* attributes;
  uint32_t clock_rate;
  uint8_t channels;  // as in the rtpmap
  uint8_t type;
  uint32_t sound_rate;  // Hz of the widest sound it carries
  const char* fmtp = "";
  codec::Format format() const { return {name, clock_rate, channels, fmtp}; }
  uint32_t ticks() const { return clock_rate / 50; }
  bool operator==(const Codec& o) const { return type == o.type; }
};

inline constexpr std::array<Codec, 6> all_codecs = {{
    {"PCMU", "0 101", "", 8000, 1, 0, 8000},
    {"PCMA", "8 101", "", 8000, 1, 8, 8000},
    {"G722", "9 101", "", 8000, 1, 9, 16000},
    // Without Annex B: a steady tone is a background to its voice detector.
    {"G729", "18 101", "a=fmtp:18 annexb=no\r\n", 8000, 1, 18, 8000, "annexb=no"},
    {"opus", "96 101", "a=rtpmap:96 opus/48000/2\r\n", 48000, 2, 96, 48000},
    {"L16", "97 101", "a=rtpmap:97 L16/16000\r\n", 16000, 1, 97, 16000},
}};

inline bool is_built(const Codec& c) { return codec::has_codec(c.format()); }

inline Samples resampled(const Samples& in, uint32_t from, uint32_t to) {
  const auto r = codec::Resampler::make(from, to);
  Samples out(r->room_for(in.size()));
  out.resize(r->process(in, out));
  return out;
}

/// Packets of 20 ms of sound at the widest rate of the codec, or at `rate`.
inline std::vector<Payload> encoded(const Codec& c, const Samples& sound, uint32_t rate = 0) {
  const auto encoder = std::move(codec::make_encoder(c.format(), {rate ? rate : c.sound_rate, 5})).value();
  const size_t frame = codec::samples_in(encoder->shape(), 20);
  const size_t mono = frame / encoder->shape().channels;
  std::vector<Payload> all;
  for (size_t at = 0; at + mono <= sound.size(); at += mono) {
    Samples stereo(sound.begin() + static_cast<ptrdiff_t>(at),
                   sound.begin() + static_cast<ptrdiff_t>(at + mono));
    if (frame != mono) {
      Samples both(frame);
      codec::to_stereo(stereo, both);
      stereo = std::move(both);
    }
    Payload p(codec::largest_payload);
    p.resize(encoder->encode(stereo, p)->octets);
    all.push_back(std::move(p));
  }
  return all;
}

/// The sound of the payloads, one channel at `rate`; an empty payload is one that did not come.
inline Samples decoded(const Codec& c, const std::vector<Payload>& payloads, uint32_t rate) {
  const auto decoder = std::move(codec::make_decoder(c.format(), {rate, 5})).value();
  const codec::Shape& shape = decoder->shape();
  Samples all, frame(codec::samples_in(shape, codec::longest_payload_ms));
  for (const Payload& p : payloads) {
    size_t n = codec::samples_in(shape, 20);
    if (p.empty()) {
      decoder->decode_lost(std::span(frame).first(n));
    } else {
      const auto made = decoder->decode(p, frame);
      EXPECT_TRUE(made.ok()) << c.name;
      n = made.ok() ? *made : 0;
    }
    if (shape.channels == 2) codec::to_mono(std::span(frame).first(n), std::span(frame).first(n / 2));
    all.insert(all.end(), frame.begin(), frame.begin() + static_cast<ptrdiff_t>(n / shape.channels));
  }
  return shape.audio_rate == rate ? all : resampled(all, shape.audio_rate, rate);
}

/// A packet as the phone understood it.
struct Heard {
  Sent wire;            // as it was sent
  Sent plain;           // decrypted
  int64_t wall_ms = 0;  // when
  Payload payload() const { return {plain.bytes.begin() + 12, plain.bytes.end()}; }
};

struct Phone {
  Phone(const Codec& c, const std::string& host_port, uint32_t stream, std::optional<srtp::Suite> with = {})
      : codec(c), address(at(host_port)), ssrc(stream), suite(with), rng(stream) {
    if (suite) key.emplace(srtp::MasterKey::generate(*suite, rng));
  }

  std::string sdp() const {
    std::string attributes = codec.attributes;
    if (key) attributes += "a=crypto:" + srtp::write_crypto(tag, *key) + "\r\n";
    std::string text = phone_sdp(address.to_string(), codec.formats, attributes);
    return key ? text.replace(text.find("RTP/AVP"), 7, "RTP/SAVP") : text;
  }
  /// What the call tells it: where to send, and with which key it is going to be spoken to.
  void told(const std::string& text) {
    const auto d = parsed(text);
    port = d.media(0).port;
    if (!key) return;
    for (const std::string_view value : d.attributes(0, "crypto"))
      if (auto c = srtp::parse_crypto(value); c.ok() && c->tag == tag) in.emplace(c->key, refusals);
    out.emplace(*key, refusals);
    ASSERT_TRUE(in) << text;
  }
  void say(World& w, const Payload& payload) {
    std::vector<uint8_t> bytes(12 + payload.size());
    rtp::Header h;
    h.payload_type = codec.type;
    h.sequence = sequence++;
    h.timestamp = timestamp;
    h.ssrc = ssrc;
    h.write(bytes.data());
    std::copy(payload.begin(), payload.end(), bytes.begin() + 12);
    timestamp += codec.ticks();
    if (out) {
      const size_t size = bytes.size();
      bytes.resize(size + srtp::tail_room);
      bytes.resize(out->protect_rtp(bytes, size).value());
    }
    last_said = bytes;
    w.receive(address, port, std::move(bytes));
  }
  /// Says nothing for as long as a packet.
  void skip() {
    ++sequence;
    timestamp += codec.ticks();
  }
  void hear(const World& w, const std::vector<Sent>& all) {
    for (const Sent& s : all) {
      if (s.to != address) continue;
      Heard h{s, s, w.now.wall.ns / 1'000'000};
      if (in) {
        const auto size = in->unprotect_rtp(h.plain.bytes, h.plain.bytes.size());
        if (!size.ok()) {
          ++refused;
          continue;
        }
        h.plain.bytes.resize(*size);
      }
      heard.push_back(std::move(h));
    }
  }
  /// What it decodes: an empty one for each number that did not come.
  std::vector<Payload> payloads() const {
    std::vector<Payload> all;
    std::optional<uint16_t> last;
    for (const Heard& h : heard) {
      if (h.plain.payload_type() != codec.type) continue;
      const uint16_t number = h.plain.sequence();
      for (uint16_t lost = last ? static_cast<uint16_t>(*last + 1) : number; lost != number; ++lost)
        all.emplace_back();
      last = number;
      all.push_back(h.payload());
    }
    return all;
  }

  const Codec& codec;
  SocketAddress address;
  uint32_t ssrc;
  std::optional<srtp::Suite> suite;
  SeededRng rng;
  std::optional<srtp::MasterKey> key;
  uint32_t tag = 1;  // of its a=crypto; in an answer, that of what it was offered
  srtp::Refusals refusals;
  std::optional<srtp::Receiver> in;
  std::optional<srtp::Sender> out;
  EndpointId leg;
  uint16_t port = 0;  // ours, where it sends to
  uint16_t sequence = 1000;
  uint32_t timestamp = 5000;
  std::vector<uint8_t> last_said;  // packet
  std::vector<Heard> heard;
  size_t refused = 0;  // not authentic, or replayed
};

inline EndpointConfig phone_config(const Phone& p) {
  EndpointConfig c;
  c.transcode = true;
  c.codecs = {"PCMU", "PCMA", "G722", "G729", "opus", "L16/16000"};
  c.srtp = p.suite ? Srtp::required : Srtp::accepted;
  return c;
}

/// A offers, B answers.
inline void connect(World& w, Phone& a, Phone& b) {
  a.leg = w.engine->open(phone_config(a)).value();
  b.leg = w.engine->open(phone_config(b)).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, a.leg, parsed(a.sdp()), SdpRole::offer).ok());
  const auto invite = w.engine->present(w.now, b.leg, parsed(a.sdp()), SdpRole::offer, a.leg);
  ASSERT_TRUE(invite.ok()) << to_string(invite.reason());
  const auto took = w.engine->set_remote(w.now, b.leg, parsed(b.sdp()), SdpRole::answer);
  ASSERT_TRUE(took.ok()) << to_string(took.reason()) << *invite;
  const auto ok = w.engine->present(w.now, a.leg, parsed(b.sdp()), SdpRole::answer, b.leg);
  ASSERT_TRUE(ok.ok()) << to_string(ok.reason());
  ASSERT_TRUE(w.engine->join(w.now, a.leg, b.leg).ok());
  a.told(*ok);
  b.told(*invite);
}

}  // namespace tandem::media
