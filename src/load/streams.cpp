#include "load/streams.h"

#include <algorithm>
#include <cstring>

#include "rtp/packet.h"

namespace tandem::load {
namespace {

constexpr char magic[4] = {'T', 'L', 'D', '1'};
constexpr size_t stream_limit = 200'000;

}  // namespace

void Mark::write(uint8_t* out) const {
  std::memcpy(out, magic, sizeof magic);
  rtp::store32(out + 4, sequence);
  rtp::store32(out + 8, static_cast<uint32_t>(static_cast<uint64_t>(sent_ns) >> 32));
  rtp::store32(out + 12, static_cast<uint32_t>(sent_ns));
}

std::optional<Mark> Mark::read(Bytes payload) {
  if (payload.size() < bytes || std::memcmp(payload.data(), magic, sizeof magic) != 0) return std::nullopt;
  const uint8_t* p = payload.data();
  return Mark{rtp::load32(p + 4),
              static_cast<int64_t>(uint64_t{rtp::load32(p + 8)} << 32 | rtp::load32(p + 12))};
}

Streams::Streams(port::MediaPorts& ports, Rng& rng, Statistics& statistics, dtls::Endpoint* dtls)
    : ports_(ports),
      rng_(rng),
      statistics_(statistics),
      webrtc_(dtls ? std::make_unique<WebrtcWorld>(*dtls, rng) : nullptr),
      streams_(stream_limit) {}

SlotId Streams::open(Now now, std::shared_ptr<const Sound> sound, Wire wire) {
  auto pair = ports_.open_pair(0, IpAddress::Family::v4);
  if (!pair) return {};
  const SlotId id = streams_.emplace();
  Stream* s = streams_.find(id);
  if (!s) {
    ports_.close(pair->rtp.id);
    ports_.close(pair->rtcp.id);
    return {};
  }
  const size_t slot = pair->rtp.id.slot;
  if (slot >= by_port_.size()) by_port_.resize(slot + 1);
  by_port_[slot] = id;
  s->ports = *pair;
  s->ssrc = static_cast<uint32_t>(rng_.next());
  if (sound) s->payload_type = sound->payload_type;
  s->sound = std::move(sound);
  if (wire != Wire::plain && webrtc_)
    s->peer = std::make_unique<WebrtcPeer>(*webrtc_, wire == Wire::webrtc_offering, pair->rtp, now);
  return id;
}

const WebrtcPeer* Streams::peer_of(SlotId id) const {
  const Stream* s = streams_.find(id);
  return s ? s->peer.get() : nullptr;
}

const Sound* Streams::sound_of(SlotId id) const {
  const Stream* s = streams_.find(id);
  return s ? s->sound.get() : nullptr;
}
uint8_t Streams::payload_type(SlotId id) const {
  const Stream* s = streams_.find(id);
  return s ? s->payload_type : 0;
}
void Streams::set_payload_type(SlotId id, uint8_t payload_type) {
  if (Stream* s = streams_.find(id)) s->payload_type = payload_type;
}

uint16_t Streams::port_of(SlotId id) const {
  const Stream* s = streams_.find(id);
  return s ? s->ports.rtp.local.port : 0;
}

void Streams::start(Now now, SlotId id, SocketAddress remote) {
  Stream* s = streams_.find(id);
  if (!s || !remote) return;
  s->remote = remote;
  begin(now, id, *s);
}

bool Streams::connect(Now now, SlotId id, const sdp::Description& remote, port::MediaOut& out) {
  Stream* s = streams_.find(id);
  if (!s || !s->peer || !s->peer->on_description(now, remote)) return false;
  s->peer->take_sends(out);
  begin(now, id, *s);
  return true;
}

void Streams::begin(Now now, SlotId id, Stream& s) {
  if (s.sending) return;
  s.sending = s.expected = true;
  if (sending_++ == 0) next_tick_ = now.mono + tick;
  wheel_[next_phase_].push_back(id);
  next_phase_ = (next_phase_ + 1) % phases;
}

void Streams::stop_sending(SlotId id) {
  Stream* s = streams_.find(id);
  if (!s || !s->sending) return;
  s->sending = false;
  --sending_;
}

void Streams::close(SlotId id) {
  stop_sending(id);
  Stream* s = streams_.find(id);
  if (!s) return;
  if (s->expected || s->received > 0) {
    ++statistics_.streams;
    if (s->received == 0) ++statistics_.streams_silent;
    // A mark that came twice was counted as disordered, so what is missing is missing.
    const uint32_t due = s->next_sequence - s->first_sequence;
    uint32_t lost = due - std::min(due, s->received);
    if (s->sound) {
      lost = static_cast<uint32_t>(std::max<int64_t>(0, s->heard.lost()));
      s->next_sequence = static_cast<uint32_t>(s->heard.expected());
    }
    statistics_.packets_lost += lost;
    if (s->next_sequence > 0) statistics_.loss.add(uint64_t{lost} * 1'000'000 / s->next_sequence);
  }
  ports_.close(s->ports.rtp.id);
  ports_.close(s->ports.rtcp.id);
  streams_.erase(id);
}

void Streams::on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out) {
  for (const port::MediaPacket& p : packets) {
    if (p.port.slot >= by_port_.size()) continue;
    Stream* s = streams_.find(by_port_[p.port.slot]);
    if (!s || s->ports.rtp.id != p.port) continue;  // its RTCP port has another id
    if (!s->peer) {
      received(now, *s, p.bytes);
      continue;
    }
    const Bytes media = s->peer->on_datagram(now, p.remote, p.bytes);
    s->peer->take_sends(out);
    if (const auto took = s->peer->take_connect_time())
      statistics_.connect_delay.add(static_cast<uint64_t>(took->count()) / 1000);
    if (!media.empty()) received(now, *s, media);
  }
}

void Streams::received(Now now, Stream& s, Bytes packet) {
  const auto header = rtp::Header::parse(packet);
  if (!header) return;
  if (s.sound) {
    s.heard.on_packet(now.mono, header->ssrc, header->sequence, header->timestamp, 0, s.sound->clock_rate,
                      true);
    ++s.received;
    ++statistics_.packets_received;
    return;
  }
  const auto mark = Mark::read(packet.subspan(header->payload_offset));
  if (!mark) return;
  ++statistics_.packets_received;
  statistics_.packet_delay.add(static_cast<uint64_t>(std::max<int64_t>(0, now.wall.ns - mark->sent_ns)) /
                               1000);
  // What was sent before a browser was connected could not reach it.
  if (s.peer && s.received == 0) s.first_sequence = mark->sequence;
  ++s.received;
  if (mark->sequence < s.next_sequence)
    ++statistics_.packets_disordered;
  else
    s.next_sequence = mark->sequence + 1;
}

/// One that is not connected yet sends nothing, and loses nothing.
void Streams::send_packet(Stream& s, Buffer packet, port::MediaOut& out) {
  SocketAddress to = s.remote;
  if (s.peer) {
    const size_t size = packet.size();
    packet.resize(size + srtp::tail_room);
    const auto sealed = s.peer->protect({packet.data(), packet.size()}, size);
    if (!sealed) return;
    packet.resize(*sealed);
    to = s.peer->remote();
  }
  out.send_own(s.ports.rtp.id, to, std::move(packet));
  ++s.sent;
  ++statistics_.packets_sent;
}

void Streams::send(Now now, Stream& s, port::MediaOut& out) {
  if (s.peer) {
    s.peer->poll(now);
    s.peer->take_sends(out);
    if (!s.peer->connected()) return;
  }
  if (s.sound) return send_sound(s, out);
  Buffer packet = Buffer::with_capacity(packet_bytes + srtp::tail_room);
  packet.resize(packet_bytes);
  rtp::Header h;
  h.marker = s.sent == 0;
  h.sequence = static_cast<uint16_t>(s.sent);
  h.timestamp = s.sent * 160;
  h.ssrc = s.ssrc;
  h.write(packet.data());
  std::memset(packet.data() + rtp::Header::fixed_bytes, 0xff, packet_bytes - rtp::Header::fixed_bytes);
  Mark{s.sent, now.wall.ns}.write(packet.data() + rtp::Header::fixed_bytes);
  send_packet(s, std::move(packet), out);
}

void Streams::send_sound(Stream& s, port::MediaOut& out) {
  const std::vector<uint8_t>& payload = s.sound->payloads[(s.sent + s.ssrc) % s.sound->payloads.size()];
  Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + payload.size() + srtp::tail_room);
  packet.resize(rtp::Header::fixed_bytes + payload.size());
  rtp::Header h;
  h.marker = s.sent == 0;
  h.payload_type = s.payload_type;
  h.sequence = static_cast<uint16_t>(s.sent);
  h.timestamp = s.sent * s.sound->ticks;
  h.ssrc = s.ssrc;
  h.write(packet.data());
  std::memcpy(packet.data() + rtp::Header::fixed_bytes, payload.data(), payload.size());
  send_packet(s, std::move(packet), out);
}

void Streams::on_timeout(Now now, port::MediaOut& out) {
  if (sending_ == 0) return;
  if (now.mono - next_tick_ > packet_time) ++statistics_.late_ticks;
  while (next_tick_ <= now.mono) {
    auto& due = wheel_[phase_];
    size_t kept = 0;
    for (const SlotId id : due) {
      Stream* s = streams_.find(id);
      if (!s || !s->sending) continue;
      send(now, *s, out);
      due[kept++] = id;
    }
    due.resize(kept);
    phase_ = (phase_ + 1) % phases;
    next_tick_ = next_tick_ + tick;
  }
}

}  // namespace tandem::load
