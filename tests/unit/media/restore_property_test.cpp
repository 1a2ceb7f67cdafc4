// Calls that are taken down and restored at random moments, seeded: a packet index never serves twice, what
// is protected stays readable for a phone that knows of nothing, and the sound has a seam and no hole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <tuple>

#include "unit/media/phones.h"

namespace tandem::media {
namespace {

enum class Kind { relay, transcode, conference, music };
const char* const kinds[] = {"relay", "transcode", "conference", "music"};

constexpr srtp::Suite any_suite[] = {
    srtp::Suite::aes_cm_128_hmac_sha1_80, srtp::Suite::aes_cm_128_hmac_sha1_32,
    srtp::Suite::aes_256_cm_hmac_sha1_80, srtp::Suite::aes_256_cm_hmac_sha1_32,
    srtp::Suite::aead_aes_128_gcm,        srtp::Suite::aead_aes_256_gcm};
/// What a leg is offered, by tag.
constexpr srtp::Suite offered_suite[] = {srtp::Suite::aes_cm_128_hmac_sha1_80, srtp::Suite::aead_aes_256_gcm};

/// A buzz: a pulse every few milliseconds, so that silence shows at once. It wavers as a voice does: of a
/// sound that is the same for ever, G.729 makes louder and louder ones.
int16_t buzz(uint32_t hz, size_t i, uint32_t rate) {
  const double t = static_cast<double>(i) / rate, turn = 2 * std::numbers::pi;
  double sum = 0;
  for (uint32_t n = 1; n * hz < 3200; ++n) sum += std::cos(turn * n * (hz * t + std::sin(turn * 3 * t)));
  return static_cast<int16_t>(800 * sum);
}

/// A second of it in a codec, to be said over and over.
const std::vector<Payload>& buzz_in(const Codec& c, uint32_t hz) {
  static std::map<std::pair<uint8_t, uint32_t>, std::vector<Payload>> made;
  auto& all = made[{c.type, hz}];
  if (!all.empty()) return all;
  Samples s(c.sound_rate * 2);
  for (size_t i = 0; i < s.size(); ++i) s[i] = buzz(hz, i, c.sound_rate);
  all = encoded(c, s);
  all.erase(all.begin(), all.begin() + 50);  // the coder has settled
  return all;
}

/// Streams of ours begin where two restores (srtp::restore_jump each) take them to the end of the sequence
/// numbers.
struct NearTheEnd final : Rng {
  explicit NearTheEnd(uint64_t seed) : inner(seed), low(0x7FFF - 500 - inner.below(400)) {}
  uint64_t next() override { return (inner.next() & ~uint64_t{0x7FFF}) | low; }
  SeededRng inner;
  uint64_t low;
};

/// Every index we ever protected something with, as the far end sees it.
struct Ledger {
  void write(const Phone& p, const Sent& s) {
    const uint32_t stream = s.ssrc();
    const auto [it, first] = highest.try_emplace({&p, stream}, s.sequence());
    const auto index =
        static_cast<uint64_t>(first ? s.sequence() : srtp::estimate_index(it->second, s.sequence()));
    it->second = std::max(it->second, index);
    put({&p, stream, index, false}, s);
  }
  void write_report(const Phone& p, const Sent& s) {
    const bool aead = srtp::traits(*p.suite).aead;
    const size_t behind = aead ? 4 : 4 + srtp::traits(*p.suite).rtcp_tag_octets;
    const uint32_t word = rtp::load32(&s.bytes[s.bytes.size() - behind]);
    put({&p, rtp::load32(&s.bytes[4]), word & 0x7FFFFFFF, true}, s);
  }
  using Key = std::tuple<const Phone*, uint32_t, uint64_t, bool>;
  void put(const Key& key, const Sent& s) {
    EXPECT_TRUE(used.emplace(key, s.bytes).second) << "index " << std::get<2>(key) << " twice";
  }
  std::map<std::pair<const Phone*, uint32_t>, uint64_t> highest;
  std::map<Key, std::vector<uint8_t>> used;
};

struct Scenario {
  explicit Scenario(uint64_t seed)
      : chance(seed * 7919 + 1), streams(seed + 1000), kind(static_cast<Kind>(seed % 4)) {
    begin_engine();
    about = kinds[static_cast<size_t>(kind)];
    const Codec& x = any_codec();
    const Codec* y = kind == Kind::relay ? &x : &any_codec();
    while (kind == Kind::transcode && *y == x) y = &any_codec();
    const auto tag = static_cast<uint32_t>(chance.below(std::size(offered_suite)));
    add(x, any_suite[chance.below(std::size(any_suite))]);
    add(*y, some(offered_suite[tag]));
    phones[1]->tag = tag + 1;
    connect(w, *phones[0], *phones[1]);
    if (kind == Kind::conference) seat_all();
    if (kind == Kind::music) hold();
  }
  void begin_engine() {
    w.engine = std::make_unique<Engine>(w.config, w.ports, streams, w.counters, *w.keys);
    auto prompts = std::make_shared<port::PromptLibrary>();
    auto sound = std::make_shared<port::Sound>();
    for (size_t i = 0; i < port::sound_rate; ++i) sound->samples.push_back(buzz(200, i, port::sound_rate));
    prompts->add("en", "hold", sound);
    w.engine->use(prompts);
  }
  const Codec& any_codec() {
    for (;;)
      if (const Codec& c = all_codecs[chance.below(all_codecs.size())]; is_built(c)) return c;
  }
  std::optional<srtp::Suite> some(srtp::Suite suite) {
    return chance.below(2) == 0 ? std::optional(suite) : std::nullopt;
  }
  void add(const Codec& c, std::optional<srtp::Suite> suite) {
    const auto n = static_cast<uint32_t>(phones.size());
    phones.push_back(
        std::make_unique<Phone>(c, "198.51.100." + std::to_string(n + 1) + ":4000", 0xA0A0A0A1 + n, suite));
    // The end of the numbers comes among the restores; what is said before takes 600.
    phones[n]->sequence = static_cast<uint16_t>(65535 - 500 - chance.below(400));
    phase.push_back(chance.below(20 / step) * step);
    said.push_back(0);
    about += std::string(", ") + c.name + (suite ? " " + std::string(srtp::traits(*suite).name) : "");
  }
  void hold() {
    const bool tones = chance.below(2) == 0;
    ASSERT_TRUE(tones ? w.engine->play(w.now, phones[0]->leg, codec::ToneSequence::steady(440, -10))
                      : w.engine->play(w.now, phones[0]->leg, Programme{{{"en", "hold", {}, nullptr}}, 0}));
  }
  void seat_all() {
    add(any_codec(), some(any_suite[chance.below(std::size(any_suite))]));
    Phone& third = *phones[2];
    third.leg = w.engine->open(phone_config(third)).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, third.leg, parsed(third.sdp()), SdpRole::offer).ok());
    third.told(w.engine->answer(w.now, third.leg).value());
    for (auto& p : phones)
      ASSERT_TRUE(w.engine->enter(w.now, p->leg, w.engine->room({"1000", 10, 8}).value()).ok());
  }

  void run(uint64_t ms) {
    for (const uint64_t end = at_ms + ms; at_ms < end; at_ms += step) {
      for (size_t n = 0; n < phones.size(); ++n)
        if (at_ms % 20 == phase[n]) {
          const auto& sound = buzz_in(phones[n]->codec, static_cast<uint32_t>(250 + 50 * n));
          phones[n]->say(w, sound[said[n]++ % sound.size()]);
        }
      w.pass(milliseconds(step));
      listen(w.take_sent());
    }
  }
  void listen(const std::vector<Sent>& sent) {
    for (auto& p : phones) {
      p->hear(w, sent);
      if (!p->key) continue;
      for (const Sent& s : sent) {
        if (s.to == p->address) ledger.write(*p, s);
        if (s.to.ip != p->address.ip || s.to.port != p->address.port + 1) continue;
        ledger.write_report(*p, s);
        std::vector<uint8_t> bytes = s.bytes;
        if (!p->in->unprotect_rtcp(bytes, bytes.size()).ok()) ++p->refused;
      }
    }
  }
  /// Each leg of a conference is a call of its own; two that are joined are one.
  std::vector<std::string> snapshot() {
    std::vector<std::string> parts;
    for (auto& p : phones) known.push_back(p->key ? p->last_said : std::vector<uint8_t>{});
    if (kind != Kind::conference)
      return {w.engine->snapshot(w.now, std::vector{phones[0]->leg, phones[1]->leg})};
    for (auto& p : phones) parts.push_back(w.engine->snapshot(w.now, std::vector{p->leg}));
    return parts;
  }
  void restore(const std::vector<std::string>& parts) {
    w.engine.reset();
    ASSERT_EQ(w.ports.open(), 0u);
    begin_engine();
    w.now.mono = {5'000'000 + static_cast<int64_t>(chance.below(1'000'000'000))};
    size_t n = 0;
    for (const std::string& part : parts) {
      const auto ids = w.engine->restore(w.now, part);
      ASSERT_TRUE(ids.ok()) << to_string(ids.reason());
      for (const EndpointId id : *ids) phones[n++]->leg = id;
    }
    for (auto& p : phones) seams[p.get()].push_back(p->heard.size());
    replay();
  }
  /// What each phone had said last when the snapshot was taken, once more.
  void replay() {
    for (size_t n = 0; n < phones.size(); ++n) {
      if (known[n].empty()) continue;
      w.receive(phones[n]->address, phones[n]->port, known[n]);
      ++replayed;
    }
    known.clear();
    EXPECT_TRUE(w.take_sent().empty()) << "a replay got through";
  }
  /// Packets of the phones that were not believed; of the replayed ones all.
  uint64_t not_authentic() {
    return w.counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"not_authentic\"")
        .value();
  }

  static constexpr uint64_t step = 4;  // ms
  World w;
  SeededRng chance;
  NearTheEnd streams;
  Kind kind;
  std::vector<std::unique_ptr<Phone>> phones;
  std::vector<uint64_t> phase;  // of each phone's packets, ms
  std::vector<size_t> said;
  uint64_t at_ms = 0;
  Ledger ledger;
  std::map<const Phone*, std::vector<size_t>> seams;  // how many packets it had heard before each restore
  std::vector<std::vector<uint8_t>> known;            // by phone, its last packet; empty: in the clear
  uint64_t replayed = 0;
  std::string about;
};

/// What a phone notices of a restore.
struct Seam {
  int quiet_ms = 0;    // of the sound of its packets, in pieces of 5 ms
  int skipped_ms = 0;  // of the stream's clock, that no packet has
  int late = 0;        // packets with times that have been
  int waited_ms = 0;   // from the last packet before to the first after
  int numbers = 0;     // from the sequence number of the last before to that of the first after
  bool same_stream = true;
};

/// The loudness of every 5 ms.
std::vector<double> loudness_of(const Codec& c, const std::vector<Payload>& payloads) {
  const Samples sound = decoded(c, payloads, 8000);
  std::vector<double> all;
  for (size_t at = 0; at + 40 <= sound.size(); at += 40) {
    double sum = 0;
    for (size_t i = at; i < at + 40; ++i) sum += static_cast<double>(sound[i]) * sound[i];
    all.push_back(std::sqrt(sum / 40));
  }
  return all;
}

double usual(std::vector<double> loudness) {
  std::sort(loudness.begin(), loudness.end());
  return loudness[loudness.size() / 2];
}

/// How long a decoder of that codec is quiet, at worst, that has to begin in the middle of a stream.
int memory_ms(const Codec& c) {
  static std::map<uint8_t, int> known;
  if (const auto it = known.find(c.type); it != known.end()) return it->second;
  int worst = 0;
  for (const uint32_t hz : {250, 300, 350}) {
    const auto& all = buzz_in(c, hz);
    const double bar = usual(loudness_of(c, all)) / 4;
    for (size_t start = 0; start < 30; ++start) {
      const std::vector<Payload> rest(all.begin() + static_cast<ptrdiff_t>(start),
                                      all.begin() + static_cast<ptrdiff_t>(start + 15));
      const auto loudness = loudness_of(c, rest);
      const auto quiet = std::count_if(loudness.begin(), loudness.end(), [&](double l) { return l < bar; });
      worst = std::max(worst, static_cast<int>(quiet) * 5);
    }
  }
  return known[c.type] = worst;
}

Seam seam_of(const Phone& p, const std::vector<double>& loudness, double bar, size_t at) {
  Seam s;
  const Sent &last = p.heard[at - 1].plain, &first = p.heard[at].plain;
  s.same_stream = last.ssrc() == first.ssrc();
  s.numbers = static_cast<uint16_t>(first.sequence() - last.sequence());
  s.waited_ms = static_cast<int>(p.heard[at].wall_ms - p.heard[at - 1].wall_ms);
  for (size_t i = at; i < p.heard.size(); ++i) {
    const auto step = static_cast<int32_t>(p.heard[i].plain.timestamp() - last.timestamp());
    if (step > 0) {
      s.skipped_ms =
          (step - static_cast<int32_t>(p.codec.ticks())) / static_cast<int32_t>(p.codec.clock_rate / 1000);
      break;
    }
    ++s.late;
  }
  for (size_t i = 4 * (at - 2); i < std::min(loudness.size(), 4 * (at + 20)); ++i)
    if (loudness[i] < bar) s.quiet_ms += 5;
  return s;
}

/// How long the sound may be away. Where we only pass on, or go on with a sound of ours: not at all, but for
/// what a phone's decoder makes of an encoder that begins anew. Where a sound is made anew: a frame, as long
/// as the jitter buffer of a calm path, and then until a decoder without its memory has found the level. In a
/// conference the mixer's frame comes on top.
int most_quiet_ms(const Scenario& s, size_t listener) {
  if (s.kind == Kind::conference)
    return std::any_of(s.phones.begin(), s.phones.end(),
                       [](const auto& p) { return std::string_view(p->codec.name) == "G729"; })
               ? 70
               : 45;
  const Codec &from = s.phones[1 - listener]->codec, &to = s.phones[listener]->codec;
  constexpr int edge = 15;  // pieces at either end
  const bool passed_on = s.kind == Kind::relay || from == to;
  if (passed_on || (s.kind == Kind::music && listener == 0)) return edge;
  return 20 + edge + memory_ms(from) + (std::string_view(to.name) == "G729" ? edge : 0);
}

void expect_seams(const Scenario& s, size_t listener) {
  const Phone& p = *s.phones[listener];
  EXPECT_EQ(p.refused, 0u) << "to the phone not authentic, or a replay";
  std::vector<Payload> payloads;
  for (const Heard& h : p.heard) payloads.push_back(h.payload());
  const auto loudness = loudness_of(p.codec, payloads);
  const double bar = usual(loudness) / 4;
  for (const size_t at : s.seams.at(&p)) {
    ASSERT_LT(at, p.heard.size()) << "nothing came any more";
    const Seam m = seam_of(p, loudness, bar, at);
    EXPECT_TRUE(m.same_stream);
    EXPECT_LE(m.quiet_ms, most_quiet_ms(s, listener)) << p.codec.name;
    EXPECT_LE(m.skipped_ms, 20);
    EXPECT_EQ(m.late, 0) << "packets a phone has no use for";
    EXPECT_LE(m.waited_ms, 40);
    // An encrypted stream jumps, by less than a receiver's guess of the rollover counter follows.
    EXPECT_GT(m.numbers, 0);
    EXPECT_LT(m.numbers, p.key ? 0x8000 : 3);
  }
}

struct Restore : ::testing::TestWithParam<uint64_t> {};

TEST_P(Restore, InMidCall) {
  Scenario s(GetParam());
  SCOPED_TRACE(s.about);
  ASSERT_FALSE(HasFailure());
  s.run(12'000);  // what a jitter buffer begins with is forgotten
  for (int n = 0; n < 3; ++n) {
    s.run(s.chance.below(800));
    const auto parts = s.snapshot();
    // Half of them at once, the others as after a crash: nobody knows what has been said since.
    if (s.chance.below(2) == 0) s.run(s.chance.below(800));
    s.restore(parts);
    ASSERT_FALSE(HasFatalFailure());
    s.run(800);
  }
  for (size_t n = 0; n < s.phones.size(); ++n) expect_seams(s, n);
  for (const auto& [stream, index] : s.ledger.highest)
    EXPECT_GT(index, 0xFFFFu) << "the rollover counter was not to stay 0";
  EXPECT_FALSE(s.ledger.highest.empty());
  EXPECT_EQ(s.not_authentic(), s.replayed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Restore, ::testing::Range<uint64_t>(0, 60));

}  // namespace
}  // namespace tandem::media
