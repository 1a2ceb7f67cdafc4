// Re-INVITEs in mid-call that change the codec, the address or the direction: neither side may notice more
// than 40 ms, also while the offer is on its way and nobody has agreed to anything.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "unit/media/phones.h"

namespace tandem::media {
namespace {

constexpr int most_gap_ms = 40;

const Codec& codec_named(std::string_view name) {
  return *std::find_if(all_codecs.begin(), all_codecs.end(), [&](const Codec& c) { return c.name == name; });
}

/// A second of a buzz: a pulse every 4 ms, so that silence shows at once.
const std::vector<Payload>& buzz_in(const Codec& c) {
  static std::map<uint8_t, std::vector<Payload>> made;
  auto& all = made[c.type];
  if (!all.empty()) return all;
  Samples s(c.sound_rate * 2);
  for (size_t i = 0; i < s.size(); ++i) {
    double sum = 0;
    for (int n = 1; n <= 12; ++n)
      sum += std::cos(2 * std::numbers::pi * 250 * n * static_cast<double>(i) / c.sound_rate);
    s[i] = static_cast<int16_t>(800 * sum);
  }
  all = encoded(c, s);
  all.erase(all.begin(), all.begin() + 50);  // the coder has settled
  return all;
}

/// What a phone plays of what it was sent: each codec's run by its own decoder, the loudness of every 5 ms.
std::vector<double> loudness_of(const std::vector<Heard>& heard) {
  std::vector<double> all;
  for (size_t at = 0; at < heard.size();) {
    const uint8_t type = heard[at].plain.payload_type();
    const auto codec =
        std::find_if(all_codecs.begin(), all_codecs.end(), [&](const Codec& c) { return c.type == type; });
    std::vector<Payload> run;
    for (; at < heard.size() && heard[at].plain.payload_type() == type; ++at)
      run.push_back(heard[at].payload());
    if (codec == all_codecs.end()) continue;
    const Samples sound = decoded(*codec, run, 8000);
    for (size_t i = 0; i + 40 <= sound.size(); i += 40) {
      double sum = 0;
      for (size_t n = i; n < i + 40; ++n) sum += static_cast<double>(sound[n]) * sound[n];
      all.push_back(std::sqrt(sum / 40));
    }
  }
  return all;
}

/// The longest hole in that, ms.
int longest_quiet_ms(const std::vector<double>& loudness) {
  std::vector<double> sorted = loudness;
  std::sort(sorted.begin(), sorted.end());
  const double bar = sorted[sorted.size() / 2] / 4;
  int longest = 0, now = 0;
  for (const double l : loudness) {
    now = l < bar ? now + 5 : 0;
    longest = std::max(longest, now);
  }
  return longest;
}

/// A has called B; A's next offer is answered after the time a message takes to B and back.
struct Talk {
  Talk(const char* a_codec, const char* b_codec)
      : a(std::make_unique<Phone>(codec_named(a_codec), "198.51.100.1:4000", 0xA0A0A0A1)),
        b(codec_named(b_codec), "198.51.100.2:4000", 0xB0B0B0B1) {
    connect(w, *a, b);
    run(3000);  // the jitter buffer has found its delay
    a_heard.clear();
    b.heard.clear();
  }

  void run(uint64_t ms) {
    for (const uint64_t end = at_ms + ms; at_ms < end; at_ms += 4) {
      if (at_ms % 20 == 4) say(*a);
      if (at_ms % 20 == 12) say(b);
      w.pass(milliseconds(4));
      const auto sent = w.take_sent();
      b.hear(w, sent);
      a->heard.clear();
      a->hear(w, sent);
      a_heard.insert(a_heard.end(), a->heard.begin(), a->heard.end());
    }
  }
  void say(Phone& p) {
    const auto& all = buzz_in(p.codec);
    p.say(w, all[p.sequence % all.size()]);
  }

  /// A offers what `next` is, which becomes A when B has answered. `change`: of its description.
  void reoffer(std::unique_ptr<Phone> next, const std::string& direction = {}) {
    next->sequence = a->sequence;
    next->timestamp = a->timestamp;
    next->leg = a->leg;
    const auto offer = parsed(next->sdp() + (direction.empty() ? "" : "a=" + direction + "\r\n"));
    ASSERT_TRUE(w.engine->set_remote(w.now, a->leg, offer, SdpRole::offer).ok());
    run(60);
    const auto invite = w.engine->present(w.now, b.leg, offer, SdpRole::offer, a->leg);
    ASSERT_TRUE(invite.ok()) << to_string(invite.reason());
    run(60);
    const auto answer = parsed(b.sdp() + (direction == "sendonly" ? "a=recvonly\r\n" : ""));
    ASSERT_TRUE(w.engine->set_remote(w.now, b.leg, answer, SdpRole::answer).ok()) << *invite;
    run(60);
    const auto ok = w.engine->present(w.now, a->leg, answer, SdpRole::answer, b.leg);
    ASSERT_TRUE(ok.ok()) << to_string(ok.reason());
    next->told(*ok);
    next->sequence = a->sequence;
    next->timestamp = a->timestamp;
    a = std::move(next);
    run(500);
  }
  std::unique_ptr<Phone> phone(const char* codec, const std::string& at = "198.51.100.1:4000") const {
    return std::make_unique<Phone>(codec_named(codec), at, 0xA0A0A0A1);
  }
  static void expect_no_gap(const std::vector<Heard>& heard, const char* who) {
    ASSERT_GT(heard.size(), 20u) << who;
    for (size_t i = 1; i < heard.size(); ++i)
      EXPECT_LE(heard[i].wall_ms - heard[i - 1].wall_ms, most_gap_ms) << who << " waits for packet " << i;
    EXPECT_LE(longest_quiet_ms(loudness_of(heard)), most_gap_ms) << who;
  }

  World w;
  std::unique_ptr<Phone> a;
  Phone b;
  std::vector<Heard> a_heard;
  uint64_t at_ms = 0;
};

struct Change {
  const char *a, *b, *to;
};

struct CodecChange : ::testing::TestWithParam<Change> {};

TEST_P(CodecChange, NobodyNoticesMoreThanTwoPackets) {
  const Change& c = GetParam();
  Talk t(c.a, c.b);
  ASSERT_FALSE(HasFailure());
  t.reoffer(t.phone(c.to));
  ASSERT_FALSE(HasFailure());
  t.expect_no_gap(t.b.heard, "B");
  t.expect_no_gap(t.a_heard, "A");
  for (const Heard& h : t.b.heard)
    EXPECT_EQ(h.plain.payload_type(), t.b.codec.type) << "B never agreed to it";
  // A's old codec until it was answered, the new one from then on.
  std::vector<uint8_t> types;
  for (const Heard& h : t.a_heard)
    if (types.empty() || types.back() != h.plain.payload_type()) types.push_back(h.plain.payload_type());
  EXPECT_EQ(types, (std::vector<uint8_t>{codec_named(c.a).type, codec_named(c.to).type}));
}

INSTANTIATE_TEST_SUITE_P(All, CodecChange,
                         ::testing::Values(Change{"PCMU", "PCMA", "G722"},  // made anew before and after
                                           Change{"PCMU", "PCMA", "opus"},  // and on another clock
                                           Change{"opus", "PCMA", "PCMU"},
                                           Change{"PCMA", "PCMA", "PCMU"},   // passed on before
                                           Change{"PCMU", "PCMA", "PCMA"}),  // passed on afterwards
                         [](const auto& i) {
                           return std::string(i.param.a) + "To" + i.param.to + "Beside" + i.param.b;
                         });

TEST(ReInvite, ANewAddress) {
  for (const char* b : {"PCMU", "PCMA"}) {
    SCOPED_TRACE(b);
    Talk t("PCMU", b);
    t.reoffer(t.phone("PCMU", "198.51.100.77:6000"));
    ASSERT_FALSE(HasFailure());
    t.expect_no_gap(t.b.heard, "B");
    EXPECT_EQ(t.a_heard.back().wire.to, at("198.51.100.77:6000"));
  }
}

TEST(ReInvite, TheDirectionThereAndBack) {
  for (const char* b : {"PCMU", "PCMA"}) {
    SCOPED_TRACE(b);
    Talk t("PCMU", b);
    t.reoffer(t.phone("PCMU"), "sendonly");
    ASSERT_FALSE(HasFailure());
    t.a_heard.clear();
    t.run(200);
    EXPECT_TRUE(t.a_heard.empty()) << "it does not want to hear";
    t.reoffer(t.phone("PCMU"));
    t.expect_no_gap(t.b.heard, "B");
    t.expect_no_gap(t.a_heard, "A");
  }
}

/// A phone that has changed its network speaks from there before anybody has answered.
TEST(ReInvite, ANewAddressAtOnce) {
  for (const char* b : {"PCMU", "PCMA"}) {
    SCOPED_TRACE(b);
    Talk t("PCMU", b);
    const SocketAddress before = std::exchange(t.a->address, at("198.51.100.77:6000"));
    const auto offer = parsed(t.a->sdp());
    ASSERT_TRUE(t.w.engine->set_remote(t.w.now, t.a->leg, offer, SdpRole::offer).ok());
    t.run(600);
    t.expect_no_gap(t.b.heard, "B");
    EXPECT_EQ(t.a_heard.back().wire.to, t.a->address);
    t.w.receive(before, t.a->port, t.a->last_said);  // whoever has the address now
    EXPECT_TRUE(t.w.take_sent().empty());
  }
}

/// Nobody else may: not another host, and not before an offer says so.
TEST(ReInvite, AStrangerWinsNothingByAnOffer) {
  Talk t("PCMU", "PCMU");
  const auto offer = parsed(t.phone("PCMU", "198.51.100.77:6000")->sdp());
  ASSERT_TRUE(t.w.engine->set_remote(t.w.now, t.a->leg, offer, SdpRole::offer).ok());
  Phone stranger(codec_named("PCMU"), "203.0.113.9:7000", 0xBAD);
  stranger.port = t.a->port;
  for (int i = 0; i < 200; ++i) {
    t.say(stranger);
    for (const Sent& s : t.w.take_sent()) EXPECT_NE(s.ssrc(), 0xBADu);
    t.run(20);
  }
  t.expect_no_gap(t.b.heard, "B");
}

/// Refused, nothing has changed.
TEST(ReInvite, ARefusedCodecLeavesNoTrace) {
  Talk t("PCMU", "PCMA");
  const auto offer = parsed(t.phone("G722")->sdp());
  ASSERT_TRUE(t.w.engine->set_remote(t.w.now, t.a->leg, offer, SdpRole::offer).ok());
  t.run(100);
  t.w.engine->rollback(t.w.now, t.a->leg);
  t.run(500);
  t.expect_no_gap(t.b.heard, "B");
  t.expect_no_gap(t.a_heard, "A");
  for (const Heard& h : t.a_heard) EXPECT_EQ(h.plain.payload_type(), 0);
}

}  // namespace
}  // namespace tandem::media
