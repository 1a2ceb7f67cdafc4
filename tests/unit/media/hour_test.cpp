// An hour of a bridged call over a bad path, through the whole engine: nothing grows, nothing drifts, and no
// more is made up than was lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "base/rng.h"
#include "codec/g711.h"
#include "rtp/xr.h"
#include "unit/media/phones.h"

namespace tandem::media {
namespace {

constexpr uint32_t rate = 8000;
constexpr size_t frame = 160;
constexpr double hum_hz = 400, mark_hz = 2200;
constexpr size_t round_packets = 500;               // what a phone says, over and over: ten seconds
constexpr size_t mark_at = 250, mark_packets = 10;  // in the middle of each
constexpr double loss = 0.05;
constexpr Duration most_jitter = milliseconds(30);
constexpr size_t few_marks = 30;  // of five minutes

/// A hum all the time, and a whistle over it, the mark, once a round.
Samples one_round(uint32_t at_rate) {
  const size_t each = at_rate / 50;
  Samples s(round_packets * each);
  for (size_t i = 0; i < s.size(); ++i) {
    const double turn = 2 * std::numbers::pi * static_cast<double>(i) / at_rate;
    const bool marked = i / each >= mark_at && i / each < mark_at + mark_packets;
    s[i] =
        static_cast<int16_t>(6000 * std::sin(hum_hz * turn) + (marked ? 6000 * std::sin(mark_hz * turn) : 0));
  }
  return s;
}

/// Its packets, as a coder makes them that has said the round before: no seam.
std::vector<Payload> over_and_over(const Codec& c) {
  Samples twice = one_round(c.sound_rate);
  const size_t once = twice.size();
  twice.resize(2 * once);
  std::copy_n(twice.begin(), once, twice.begin() + static_cast<ptrdiff_t>(once));
  auto packets = encoded(c, twice);
  packets.erase(packets.begin(), packets.begin() + round_packets);
  return packets;
}

/// A phone whose clock runs fast by `ppm`, behind a path that loses, delays and overtakes.
class FarPhone {
 public:
  FarPhone(const Codec& c, const std::string& address, uint32_t ssrc, double ppm)
      : phone(c, address, ssrc), said_(over_and_over(c)), ppm_(ppm), rng_(ssrc) {}

  Instant next_said() const { return time_of(number_ + 1); }
  /// When packet `n` is complete; its sound began 20 ms of its clock earlier.
  Instant time_of(uint64_t n) const {
    return begun + Duration(static_cast<int64_t>(static_cast<double>(n) * 20e6 / (1 + ppm_ * 1e-6)));
  }
  void say(bool aloud) {
    const Instant now = next_said();
    std::vector<uint8_t> bytes(12);
    rtp::Header h;
    h.payload_type = phone.codec.type;
    h.sequence = static_cast<uint16_t>(60'000 + number_);
    h.timestamp = static_cast<uint32_t>(0xFFFF'0000 + number_ * phone.codec.ticks());
    h.ssrc = phone.ssrc;
    h.write(bytes.data());
    const Payload& p = said_[number_ % said_.size()];
    bytes.insert(bytes.end(), p.begin(), p.end());
    const bool gone = !aloud || static_cast<double>(rng_.below(1'000'000)) < loss * 1e6;
    const Instant arrives = now + Duration(static_cast<int64_t>(rng_.below(most_jitter.count())));
    if (number_ % round_packets == mark_at) marks.push_back({now, gone});
    if (!gone) {
      overtaking += arrives < latest_;
      latest_ = std::max(latest_, arrives);
      on_the_way_.emplace(arrives.ns, std::move(bytes));
    }
    lost += gone;
    ++number_;
  }
  Instant next_arrival() const {
    return on_the_way_.empty() ? Instant::never() : Instant{on_the_way_.begin()->first};
  }
  std::vector<uint8_t> arrive() {
    auto bytes = std::move(on_the_way_.begin()->second);
    on_the_way_.erase(on_the_way_.begin());
    return bytes;
  }

  struct Mark {
    Instant leaves;  // the phone: its first packet
    bool lost = false;
  };
  Phone phone;
  Instant begun;
  std::vector<Mark> marks;
  uint64_t lost = 0, overtaking = 0;
  uint64_t said() const { return number_; }

 private:
  std::vector<Payload> said_;
  double ppm_;
  SeededRng rng_;
  uint64_t number_ = 0;
  Instant latest_;
  std::multimap<int64_t, std::vector<uint8_t>> on_the_way_;
};

/// What a G.711 phone is sent: counted, measured, and listened to for marks.
class Listener {
 public:
  explicit Listener(const Codec& c)
      : law_(c.type == 8 ? codec::G711::a_law : codec::G711::mu_law),
        understands_(c.type == 8 || c.type == 0) {}
  bool understands() const { return understands_; }

  void hear(const Sent& s) {
    if (packets > 0) {
      wrong_numbers +=
          s.sequence() != static_cast<uint16_t>(last_.sequence() + 1) || s.ssrc() != last_.ssrc();
      wrong_times += s.timestamp() != last_.timestamp() + frame || s.when - last_.when != milliseconds(20) ||
                     s.bytes.size() != 12 + frame;
    } else {
      first = s.when;
    }
    ++packets;
    last_ = s;
    std::array<int16_t, frame> sound;
    codec::decode(law_, Bytes(s.bytes).subspan(12), sound);
    double energy = 0;
    for (size_t i = 0; i < frame; ++i) energy += static_cast<double>(sound[i]) * sound[i];
    quiet += std::sqrt(energy / frame) < 6000 / std::numbers::sqrt2 / 2;  // half the hum
    for (const int16_t x : sound) whistle(s.when, x);
  }

  uint64_t packets = 0, wrong_numbers = 0, wrong_times = 0, quiet = 0;
  Instant first;
  std::vector<Instant> whistles;  // that began
  Instant last() const { return last_.when; }

 private:
  /// The hum's period of 20 samples ago is taken away: of the hum nothing is left, of the whistle twice as
  /// much.
  void whistle(Instant packet, int16_t x) {
    const size_t i = heard_++;
    const double d = x - past_[i % past_.size()];
    past_[i % past_.size()] = x;
    level_ += (std::abs(d) - level_) / 16;
    const bool now = level_ > 3000;
    if (now && i - loud_ > rate)
      whistles.push_back(packet + microseconds(125 * static_cast<int64_t>(i % frame)));
    if (now) loud_ = i;
  }
  codec::G711 law_;
  bool understands_;
  Sent last_;
  size_t heard_ = rate, loud_ = 0;
  std::array<int16_t, 20> past_{};
  double level_ = 0;
};

/// A talks to B for an hour or so, and B to A where both speak G.711; what A is told about its stream on the
/// way.
struct Hour {
  Duration length;
  World w;
  FarPhone a, b;
  Listener at_a, at_b;
  bool both_talk;
  std::optional<rtp::VoipMetrics> told;

  Hour(const Codec& from, const Codec& to, Duration how_long)
      : length(how_long),
        a(from, "198.51.100.1:4000", 0xA1A1A1A1, 200),
        b(to, "198.51.100.2:5000", 0xB1B1B1B1, -200),
        at_a(from),
        at_b(to),
        both_talk(at_a.understands()) {
    connect(w, a.phone, b.phone);
    a.begun = w.now.mono;
    b.begun = w.now.mono + milliseconds(7);
  }
  void run() {
    for (const Instant end = w.now.mono + length; w.now.mono < end;) {
      w.pass(std::min({a.next_said(), b.next_said(), a.next_arrival(), b.next_arrival()}) - w.now.mono);
      for (FarPhone* p : {&a, &b}) {
        while (p->next_said() <= w.now.mono) p->say(both_talk || p == &a);
        while (p->next_arrival() <= w.now.mono) w.receive(p->phone.address, p->phone.port, p->arrive());
      }
      for (const Sent& s : w.take_sent()) {
        if (rtp::kind_of(s.bytes) == rtp::Kind::rtcp) {
          if (s.to.ip == a.phone.address.ip) read(s);
        } else {
          (s.to == b.phone.address ? at_b : at_a).hear(s);
        }
      }
    }
  }
  void read(const Sent& s) {
    auto reader = rtp::RtcpReader::open(s.bytes).value();
    while (const auto p = reader.next()) {
      if (p->type != static_cast<uint8_t>(rtp::RtcpType::xr)) continue;
      auto blocks = rtp::XrReader::open(*p).value();
      while (const auto block = blocks.next())
        if (block->type == static_cast<uint8_t>(rtp::XrType::voip_metrics))
          told = rtp::VoipMetrics::parse(*block).value();
    }
  }
};

double in_ms(Duration d) { return static_cast<double>(d.count()) / 1e6; }

/// The path was as bad as this test is for.
void expect_a_bad_path(const FarPhone& from) {
  const auto said = static_cast<double>(from.said());
  EXPECT_NEAR(static_cast<double>(from.lost) / said, loss, 0.003);
  EXPECT_GT(static_cast<double>(from.overtaking) / said, 0.03);
}

/// One packet every 20 ms of the listener's clock, whatever the speaker's does.
void expect_an_even_stream(const Listener& to, Duration length) {
  EXPECT_NEAR(static_cast<double>(to.packets), static_cast<double>(length / milliseconds(20)), 5);
  EXPECT_EQ(to.wrong_numbers, 0u);
  EXPECT_EQ(to.wrong_times, 0u);
}

/// From the moment a packet leaves the one phone to its sound's place in one to the other: what path, jitter
/// buffer and two clocks' frames take. Marks whose first packet was lost begin later.
void expect_no_growth(const FarPhone& from, const Listener& to) {
  ASSERT_EQ(to.whistles.size(), from.marks.size());
  double longest = 0, first = 0, last = 0;
  size_t firsts = 0, lasts = 0;
  for (size_t i = 0; i < from.marks.size(); ++i) {
    if (from.marks[i].lost) continue;
    const double delay = in_ms(to.whistles[i] - from.marks[i].leaves);
    ASSERT_GT(delay, 0) << i;
    longest = std::max(longest, delay);
    if (i < few_marks) first += delay, ++firsts;
    if (i + few_marks >= from.marks.size()) last += delay, ++lasts;
  }
  first /= static_cast<double>(firsts);
  last /= static_cast<double>(lasts);
  EXPECT_LT(longest, 80);
  EXPECT_NEAR(last, first, 10);
}

/// No more than 1.3 times as much is made up as was lost: of what came less than 1.6 % came too late (4 of
/// 256, as it is told). `faded`: the share of packets whose sound may be down to half.
void expect_little_made_up(const Hour& hour, double faded) {
  ASSERT_TRUE(hour.told);
  EXPECT_NEAR(hour.told->loss_rate, loss * 256, 1);
  EXPECT_LE(hour.told->discard_rate, 4);
  EXPECT_LT(static_cast<double>(hour.at_b.quiet) / static_cast<double>(hour.at_b.packets), faded);
}

constexpr Codec pcma{"PCMA", "8 101", "a=rtcp-xr:voip-metrics\r\n", 8000, 1, 8, 8000};
constexpr Codec opus{
    "opus", "96 101",        "a=rtpmap:96 opus/48000/2\r\na=rtcp-xr:voip-metrics\r\n", 48000, 2, 96,
    48000,  "useinbandfec=1"};  // as it is asked to

TEST(AnHour, BetweenTwoLaws) {
  Hour hour(pcma, all_codecs[0], minutes(60));
  hour.run();
  for (const FarPhone* p : {&hour.a, &hour.b}) expect_a_bad_path(*p);
  for (const Listener* l : {&hour.at_a, &hour.at_b}) expect_an_even_stream(*l, hour.length);
  expect_no_growth(hour.a, hour.at_b);
  expect_no_growth(hour.b, hour.at_a);
  expect_little_made_up(hour, 0.001);  // measured: 0.0002
}

TEST(AnHour, AThirdOfItFromOpus) {
  Hour hour(opus, all_codecs[0], minutes(20));  // as long as is affordable
  hour.run();
  expect_a_bad_path(hour.a);
  expect_an_even_stream(hour.at_b, hour.length);
  expect_no_growth(hour.a, hour.at_b);
  expect_little_made_up(hour, 1.5 * loss);  // libopus fades a hum at once; measured: 0.066
}

}  // namespace
}  // namespace tandem::media
