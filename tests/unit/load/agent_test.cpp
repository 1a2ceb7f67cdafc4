#include "load/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <set>

#include "dtls/twin_endpoint.h"

using namespace tandem;
using testing::HasSubstr;

namespace {

const SocketAddress caller_at{IpAddress::v4(127, 0, 0, 1), 5090};
const SocketAddress callee_at{IpAddress::v4(127, 0, 0, 1), 5070};

class Ports final : public port::MediaPorts {
 public:
  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family) override {
    if (open_ + 2 > limit) return std::nullopt;
    open_ += 2;
    return Pair{one(), one()};
  }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress) override { return std::nullopt; }
  void close(port::MediaPortId) override { --open_; }
  int open() const { return open_; }
  int limit = 1000;

 private:
  port::MediaPort one() {
    const IpAddress ip = IpAddress::v4(127, 0, 0, 1);
    const uint32_t slot = next_++;
    return {{slot, 1}, {ip, static_cast<uint16_t>(40000 + slot)}, ip};
  }
  uint32_t next_ = 0;
  int open_ = 0;
};

load::Settings both() {
  load::Settings s;
  s.caller.emplace();
  s.caller->target = callee_at;
  s.caller->from = "sip:caller@127.0.0.1";
  s.caller->to = "sip:callee@127.0.0.1";
  s.caller->pace = {10, 1, false};
  s.callee.emplace();
  return s;
}

/// A generator whose messages come back to itself; each may be looked at, or lost.
class Loop {
 public:
  explicit Loop(const load::Settings& settings) : agent(settings, ports, rng_, &dtls_) {
    agent.start(now, caller_at, callee_at);
  }

  /// Delivers what is on its way, until nothing moves. Media goes to the port of the same number.
  void settle() {
    collect();
    while (!wire.empty()) {
      port::Send s = std::move(wire.front());
      wire.pop_front();
      if (on_send) on_send(s);
      seen.emplace_back(s.bytes.text());
      if (lose && lose(seen.back())) continue;
      port::Received r;
      r.path = s.path;
      r.path.local = s.path.remote;
      r.path.remote = s.path.local;
      r.bytes = std::move(s.bytes);
      agent.on_received(now, std::move(r));
      collect();
    }
  }
  void advance(Duration by) {
    const Instant end = now.mono + by;
    for (settle(); agent.next_timeout() <= end; settle()) {
      const Instant next = std::max(agent.next_timeout(), now.mono);
      now.wall = now.wall + (next - now.mono);
      now.mono = next;
      agent.on_timeout(now);
    }
    now.wall = now.wall + (end - now.mono);
    now.mono = end;
  }
  int count(std::string_view start) const {
    int n = 0;
    for (const std::string& m : seen) n += m.rfind(start, 0) == 0;
    return n;
  }
  void deliver(std::string text) {
    port::Received r;
    r.path.local = caller_at;
    r.path.remote = callee_at;
    r.bytes = Buffer::copy_of(text);
    agent.on_received(now, std::move(r));
  }
  /// A response to the last request that starts with `start`.
  void respond(std::string_view start, int status, std::string_view extra = {}) {
    for (auto m = seen.rbegin(); m != seen.rend(); ++m) {
      if (m->rfind(start, 0) != 0) continue;
      const auto request = sip::Message::parse(Buffer::copy_of(*m));
      ASSERT_TRUE(request.ok());
      auto w = sip::response_to(*request, caller_at, status, "far");
      if (!extra.empty()) w.header(sip::HeaderId::www_authenticate, extra);
      return deliver(std::string(std::move(w).finish().text()));
    }
    FAIL() << "no request " << start;
  }

  Ports ports;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  std::vector<std::string> seen;
  std::deque<port::Send> wire;
  std::function<bool(const std::string&)> lose;
  std::function<void(const port::Send&)> on_send;
  bool lose_media = false;

 private:
  SeededRng rng_{7};
  dtls::TwinEndpoint dtls_{rng_};

  void collect() {
    port::Outbox& out = agent.outbox();
    for (auto& s : out.sends) wire.push_back(std::move(s));
    out.sends.clear();
    while (!out.media.own.empty()) {  // what comes in may be answered
      std::vector<Buffer> packets = std::move(out.media.own);
      std::vector<port::MediaPacket> batch;
      for (size_t i = 0; i < packets.size() && !lose_media; ++i) {
        const port::MediaSend& sent = out.media.sends[i];
        const SocketAddress from{caller_at.ip, static_cast<uint16_t>(40000 + sent.port.slot)};
        batch.push_back({{sent.remote.port - 40000u, 1}, from, {packets[i].data(), packets[i].size()}, 0});
      }
      out.media.clear();
      if (!batch.empty()) agent.on_media(now, batch);
    }
  }

 public:
  load::Agent agent;
};

/// What belongs together leaves by one connection; the work is dealt to all.
TEST(Lanes, OfCallsAndUsers) {
  load::Settings s = both();
  s.transport = port::Transport::ws;
  s.connections = 3;
  s.caller->pace = {1000, 6, false};
  Loop loop(s);
  std::map<std::string, std::set<uint32_t>> lanes;
  loop.on_send = [&](const port::Send& send) {
    if (send.path.realm != load::caller_realm) return;
    const auto message = sip::Message::parse(Buffer::copy_of(send.bytes.text()));
    if (message->is_request()) lanes[std::string(message->call_id())].insert(send.lane);
  };
  loop.advance(seconds(1));
  ASSERT_EQ(lanes.size(), 6u);
  std::set<uint32_t> used;
  for (const auto& [call, of_call] : lanes) {
    EXPECT_EQ(of_call.size(), 1u) << call;
    used.insert(*of_call.begin());
  }
  EXPECT_EQ(used, (std::set<uint32_t>{0, 1, 2}));
  EXPECT_THAT(loop.seen.front(), HasSubstr("Via: SIP/2.0/WS "));
  EXPECT_THAT(loop.seen.front(), HasSubstr(";transport=ws>"));
}

TEST(Caller, APlainCall) {
  Loop loop(both());
  loop.advance(seconds(1));
  std::vector<std::string> flow;
  for (const std::string& m : loop.seen) flow.push_back(m.substr(0, m.find('\r')));
  EXPECT_THAT(flow, testing::ElementsAre("INVITE sip:callee@127.0.0.1 SIP/2.0", "SIP/2.0 180 Ringing",
                                         "SIP/2.0 200 OK", "ACK sip:load@127.0.0.1:5070 SIP/2.0",
                                         "BYE sip:load@127.0.0.1:5070 SIP/2.0", "SIP/2.0 200 OK"));
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
  EXPECT_EQ(loop.agent.statistics().incoming_completed, 1u);
  EXPECT_TRUE(loop.agent.done(loop.now));
  EXPECT_TRUE(loop.agent.statistics().failures.empty());
}

TEST(Caller, HoldAndRingTakeTheirTime) {
  load::Settings s = both();
  s.callee->ring = seconds(2);
  s.caller->hold = seconds(3);
  Loop loop(s);
  loop.advance(milliseconds(1900));
  EXPECT_EQ(loop.agent.statistics().answered, 0u);
  loop.advance(milliseconds(200));
  EXPECT_EQ(loop.agent.statistics().answered, 1u);
  loop.advance(milliseconds(2800));
  EXPECT_EQ(loop.count("BYE"), 0);
  loop.advance(milliseconds(200));
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
}

TEST(Caller, RateAndCount) {
  load::Settings s = both();
  s.caller->pace = {100, 250, false};
  Loop loop(s);
  loop.advance(milliseconds(995));
  EXPECT_EQ(loop.agent.statistics().started, 100u);
  loop.advance(seconds(5));
  EXPECT_EQ(loop.agent.statistics().completed, 250u);
  EXPECT_NEAR(loop.agent.statistics().achieved_rate(), 100, 0.1);
}

TEST(Caller, PoissonKeepsTheMeanAndVaries) {
  load::Settings s = both();
  s.caller->pace = {1000, 5000, true};
  Loop loop(s);
  loop.advance(seconds(20));
  EXPECT_EQ(loop.agent.statistics().completed, 5000u);
  EXPECT_NEAR(loop.agent.statistics().achieved_rate(), 1000, 60);
}

TEST(Caller, LostMessagesAreSentAgainAndCounted) {
  Loop loop(both());
  int dropped = 0;
  loop.lose = [&](const std::string& m) { return m.rfind("INVITE", 0) == 0 && dropped++ < 2; };
  loop.advance(milliseconds(1400));  // timer A: 0.5 s, then 1 s more
  EXPECT_EQ(loop.agent.statistics().answered, 0u);
  loop.advance(milliseconds(200));
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
  EXPECT_EQ(loop.agent.statistics().retransmitted, 2u);
}

TEST(Caller, ALostAckBringsTheAnswerAgain) {
  load::Settings s = both();
  s.caller->hold = seconds(10);
  Loop loop(s);
  int dropped = 0;
  loop.lose = [&](const std::string& m) { return m.rfind("ACK", 0) == 0 && dropped++ < 1; };
  loop.advance(seconds(20));
  EXPECT_EQ(loop.count("ACK"), 2);
  EXPECT_EQ(loop.agent.statistics().retransmissions_seen, 1u);
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
}

TEST(Caller, ALostByeAnswerIsGivenAgainWithoutState) {
  Loop loop(both());
  int dropped = 0;
  loop.lose = [&](const std::string& m) {
    return m.rfind("SIP/2.0 200", 0) == 0 && m.find("CSeq: 2 BYE") != std::string::npos && dropped++ < 1;
  };
  loop.advance(seconds(2));
  EXPECT_EQ(loop.count("BYE"), 2);
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
}

TEST(Caller, SilenceEndsWithTimerB) {
  Loop loop(both());
  loop.lose = [](const std::string&) { return true; };
  loop.advance(seconds(31));
  EXPECT_EQ(loop.agent.statistics().failed, 0u);
  loop.advance(seconds(2));
  EXPECT_EQ(loop.agent.statistics().failures.at("no response to INVITE"), 1u);
  EXPECT_EQ(loop.count("INVITE"), 7);  // 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s
  EXPECT_TRUE(loop.agent.done(loop.now));
}

TEST(Caller, NoAnswerIsCancelled) {
  load::Settings s = both();
  s.callee->ring = minutes(5);
  s.caller->patience = seconds(10);
  Loop loop(s);
  loop.advance(seconds(11));
  EXPECT_EQ(loop.count("CANCEL"), 1);
  EXPECT_EQ(loop.count("SIP/2.0 487"), 1);
  EXPECT_EQ(loop.agent.statistics().failures.at("no answer"), 1u);
  EXPECT_EQ(loop.agent.statistics().incoming_up, 0u);
}

TEST(Caller, ARefusalIsAcknowledgedAndNamed) {
  load::Settings s = both();
  s.callee.reset();
  Loop loop(s);
  loop.lose = [](const std::string&) { return true; };
  loop.advance(milliseconds(1));
  loop.respond("INVITE", 486);
  loop.settle();
  EXPECT_EQ(loop.agent.statistics().failures.at("486 Busy Here"), 1u);
  ASSERT_EQ(loop.count("ACK"), 1);
  // RFC 3261 section 17.1.1.3: the branch of the INVITE, the tag of the response.
  const auto invite = sip::Message::parse(Buffer::copy_of(loop.seen.front()));
  const auto ack = sip::Message::parse(Buffer::copy_of(loop.seen.back()));
  EXPECT_EQ(ack->top_via().branch, invite->top_via().branch);
  EXPECT_EQ(ack->to_tag(), "far");
  loop.respond("INVITE", 486);  // the ACK was lost
  loop.settle();
  EXPECT_EQ(loop.count("ACK"), 2);
  EXPECT_EQ(loop.agent.statistics().failed, 1u);
}

TEST(Caller, AChallengeIsAnsweredOnce) {
  load::Settings s = both();
  s.callee.reset();
  s.caller->user = "1001";
  s.caller->password = "secret";
  Loop loop(s);
  loop.lose = [](const std::string&) { return true; };
  loop.advance(milliseconds(1));
  const char* challenge = "Digest realm=\"test\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"";
  loop.respond("INVITE", 401, challenge);
  loop.settle();
  ASSERT_EQ(loop.count("INVITE"), 2);
  EXPECT_THAT(loop.seen.back(), HasSubstr("Authorization: Digest username=\"1001\""));
  EXPECT_THAT(loop.seen.back(), HasSubstr("CSeq: 2 INVITE"));
  loop.respond("INVITE", 401, challenge);
  loop.settle();
  EXPECT_EQ(loop.count("INVITE"), 2);
  EXPECT_EQ(loop.agent.statistics().failures.at("401 Unauthorized"), 1u);
}

TEST(Caller, PastItsLimitCallsAreShed) {
  load::Settings s = both();
  s.caller->limit = 3;
  s.caller->hold = seconds(100);
  s.caller->pace = {10, 10, false};
  Loop loop(s);
  loop.advance(seconds(2));
  EXPECT_EQ(loop.agent.statistics().started, 3u);
  EXPECT_EQ(loop.agent.statistics().shed, 7u);
}

TEST(Callee, PastItsLimitItRefuses) {
  load::Settings s = both();
  s.callee->limit = 1;
  s.caller->hold = seconds(100);
  s.caller->pace = {10, 2, false};
  Loop loop(s);
  loop.advance(seconds(1));
  EXPECT_EQ(loop.agent.statistics().failures.at("503 Service Unavailable"), 1u);
  EXPECT_EQ(loop.agent.statistics().answered, 1u);
}

TEST(Callee, WithoutAnAckTheCallEnds) {
  load::Settings s = both();
  s.caller->hold = seconds(100);
  Loop loop(s);
  loop.lose = [](const std::string& m) { return m.rfind("ACK", 0) == 0; };
  loop.advance(seconds(40));
  EXPECT_EQ(loop.agent.statistics().failures.at("no ACK"), 1u);
  EXPECT_EQ(loop.agent.statistics().incoming_up, 0u);
}

TEST(Callee, AMissingByeDoesNotHoldTheRun) {
  Loop loop(both());
  loop.lose = [](const std::string& m) { return m.rfind("BYE", 0) == 0; };
  loop.advance(seconds(34));
  EXPECT_EQ(loop.agent.statistics().failures.at("no response to BYE"), 1u);
  EXPECT_FALSE(loop.agent.done(loop.now));
  loop.advance(seconds(6));
  EXPECT_TRUE(loop.agent.done(loop.now));
  loop.agent.finish();
  EXPECT_EQ(loop.agent.statistics().failures.at("no BYE"), 1u);
}

TEST(Callee, StrangersAndNoiseAreCounted) {
  Loop loop(both());
  loop.deliver("noise");
  loop.deliver(
      "BYE sip:load@127.0.0.1:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKx\r\nFrom: "
      "<sip:a@b>;tag=1\r\n"
      "To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n");
  loop.lose = [](const std::string&) { return true; };
  loop.settle();
  EXPECT_EQ(loop.count("SIP/2.0 481"), 1);
  EXPECT_EQ(loop.agent.statistics().malformed, 1u);
  EXPECT_EQ(loop.agent.statistics().unexpected, 1u);
}

TEST(Media, EachSideCountsWhatTheOtherSent) {
  load::Settings s = both();
  s.caller->rtp = s.callee->rtp = true;
  s.caller->hold = seconds(2);
  Loop loop(s);
  loop.advance(seconds(3));
  const load::Statistics& r = loop.agent.statistics();
  EXPECT_EQ(r.completed, 1u);
  EXPECT_NEAR(static_cast<double>(r.packets_sent), 200, 4);
  EXPECT_EQ(r.packets_lost, 0u);
  EXPECT_EQ(r.streams, 2u);
  EXPECT_EQ(r.streams_silent, 0u);
  EXPECT_EQ(loop.ports.open(), 0);
}

TEST(Media, BrowsersConnectAndHearEachOther) {
  load::Settings s = both();
  s.caller->hold = seconds(3);
  s.caller->rtp = s.callee->rtp = s.caller->webrtc = s.callee->webrtc = true;
  Loop loop(s);
  loop.advance(seconds(5));
  const auto& stats = loop.agent.statistics();
  EXPECT_THAT(stats.failures, testing::IsEmpty());
  EXPECT_EQ(stats.completed, 1u);
  EXPECT_EQ(stats.connect_delay.count(), 2u);
  EXPECT_EQ(stats.streams, 2u);
  EXPECT_EQ(stats.streams_silent, 0u);
  EXPECT_GT(stats.packets_received, 200u);
  EXPECT_EQ(stats.packets_lost, 0u);
  EXPECT_THAT(loop.seen[0], HasSubstr("UDP/TLS/RTP/SAVPF"));
  EXPECT_THAT(loop.seen[0], HasSubstr("a=setup:actpass"));
  EXPECT_EQ(loop.ports.open(), 0);
}

TEST(Media, ABrowserRefusesATelephonesDescription) {
  load::Settings s = both();
  s.caller->hold = seconds(1);
  s.caller->rtp = s.callee->rtp = s.caller->webrtc = true;
  Loop loop(s);
  loop.advance(seconds(3));
  EXPECT_EQ(loop.agent.statistics().failures.count("no WebRTC description"), 1u);
  EXPECT_EQ(loop.agent.statistics().packets_received, 0u) << "nothing goes out in the clear";
}

TEST(Media, ABrowserSendsNothingToOtherMachinesUnasked) {
  load::Settings s = both();
  s.caller->rtp = s.caller->webrtc = true;
  s.callee.reset();
  Loop loop(s);
  loop.lose = [](const std::string&) { return true; };  // the far side is the test
  loop.agent.on_timeout(loop.now);
  loop.settle();
  const auto invite = sip::Message::parse(Buffer::copy_of(loop.seen.at(0)));
  ASSERT_TRUE(invite.ok());
  std::string sdp(invite->body_text());
  sdp.replace(sdp.find("127.0.0.1 4"), 9, "192.0.2.7");
  auto w = sip::response_to(*invite, caller_at, 200, "far");
  w.header(sip::HeaderId::contact, "<sip:x@127.0.0.1>");
  loop.deliver(std::string(std::move(w).body("application/sdp", as_bytes(sdp)).text()));
  EXPECT_THAT(loop.agent.statistics().failures,
              testing::Contains(testing::Key("media address is not this machine")));
}

TEST(Media, SilenceIsSeen) {
  load::Settings s = both();
  s.caller->rtp = s.callee->rtp = true;
  s.caller->hold = seconds(2);
  Loop loop(s);
  loop.lose_media = true;
  loop.advance(seconds(3));
  EXPECT_EQ(loop.agent.statistics().streams_silent, 2u);
}

TEST(Media, NoPortLeftIsAFailureOfItsOwn) {
  load::Settings s = both();
  s.caller->rtp = true;
  Loop loop(s);
  loop.ports.limit = 0;
  loop.advance(seconds(1));
  EXPECT_EQ(loop.agent.statistics().failures.at("no media port left"), 1u);
  EXPECT_EQ(loop.agent.statistics().completed, 1u);
}

TEST(Streams, LossAndOrder) {
  Ports ports;
  SeededRng rng(1);
  load::Statistics statistics;
  load::Streams streams(ports, rng, statistics);
  const Now now{{5}, {1'000'000'000}};
  const SlotId id = streams.open(now);
  for (const uint32_t sequence : {0u, 1u, 3u, 2u, 7u}) {  // 4, 5, 6 are missing
    std::vector<uint8_t> packet(172, 0xff);
    packet[0] = 0x80;
    packet[1] = 0;
    load::Mark{sequence, now.wall.ns - 5'000'000}.write(packet.data() + 12);
    port::MediaPacket p{{0, 1}, callee_at, packet, 0};
    port::MediaOut out;
    streams.on_media(now, {&p, 1}, out);
  }
  streams.close(id);
  EXPECT_EQ(statistics.packets_received, 5u);
  EXPECT_EQ(statistics.packets_lost, 3u);
  EXPECT_EQ(statistics.packets_disordered, 1u);
  EXPECT_NEAR(static_cast<double>(statistics.packet_delay.percentile(0.5)), 5000, 100);
  EXPECT_NEAR(static_cast<double>(statistics.loss.percentile(0.5)), 375'000, 6000);
}

TEST(Streams, ASoundIsCountedByItsSequence) {
  for (const char* codec : {"PCMU", "pcma", "G722", "G729", "opus"}) {
    const auto sound = load::make_sound(codec);
    if (!sound) {
      EXPECT_STREQ(codec, "G729");  // it may be left out of a build
      continue;
    }
    EXPECT_GT(sound->payloads.size(), 150u) << codec;
    Ports ports;
    SeededRng rng(1);
    load::Statistics statistics;
    load::Streams streams(ports, rng, statistics);
    const SlotId id = streams.open({{5}, {1}}, sound);
    for (const uint16_t sequence : {65534, 65535, 0, 2, 1, 6}) {  // 3, 4, 5 are missing
      std::vector<uint8_t> packet(172, 0xff);
      packet[0] = 0x80;
      packet[1] = sound->payload_type;
      packet[2] = static_cast<uint8_t>(sequence >> 8);
      packet[3] = static_cast<uint8_t>(sequence);
      port::MediaPacket p{{0, 1}, callee_at, packet, 0};
      port::MediaOut out;
      streams.on_media({{5}, {1'000'000'000}}, {&p, 1}, out);
    }
    streams.close(id);
    EXPECT_EQ(statistics.packets_received, 6u) << codec;
    EXPECT_EQ(statistics.packets_lost, 3u) << codec;
  }
  EXPECT_EQ(load::make_sound("G711"), nullptr);
}

TEST(Media, EachSideSpeaksItsCodec) {
  load::Settings s = both();
  s.caller->rtp = s.callee->rtp = true;
  s.caller->codec = s.callee->codec = "opus";
  s.caller->hold = seconds(2);
  Loop loop(s);
  loop.advance(seconds(3));
  EXPECT_NEAR(static_cast<double>(loop.agent.statistics().packets_received), 200, 4);
  EXPECT_EQ(loop.agent.statistics().streams_silent, 0u);
  s.callee->codec = "G722";  // nobody in between: nothing in common
  Loop apart(s);
  apart.advance(seconds(3));
  EXPECT_EQ(apart.agent.statistics().failures.at("no codec in common"), 2u);
  s.callee->codec = "speex";
  EXPECT_THAT(load::problem_with(s).value_or(""), HasSubstr("'speex' is none of"));
}

load::Settings registering(uint64_t count) {
  load::Settings s;
  s.registrations.emplace();
  s.registrations->target = callee_at;
  s.registrations->domain = "example.org";
  s.registrations->prefix = "u";
  s.registrations->first = 1;
  s.registrations->last = 2;
  s.registrations->password = "secret";
  s.registrations->pace = {1000, count, false};
  return s;
}

TEST(Registration, ChallengeThenSuccessRoundTheUsers) {
  Loop loop(registering(3));
  loop.lose = [](const std::string&) { return true; };
  const char* challenge = "Digest realm=\"test\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"";
  std::vector<std::string> users;
  for (int i = 0; i < 3; ++i) {
    loop.advance(milliseconds(i == 0 ? 0 : 1));
    users.push_back(loop.seen.back().substr(loop.seen.back().find("<sip:") + 5, 2));
    loop.respond("REGISTER", 401, challenge);
    loop.settle();
    EXPECT_THAT(loop.seen.back(), HasSubstr("CSeq: 2 REGISTER"));
    loop.respond("REGISTER", 200);
  }
  EXPECT_THAT(users, testing::ElementsAre("u1", "u2", "u1"));
  EXPECT_EQ(loop.agent.statistics().registered, 3u);
  EXPECT_TRUE(loop.agent.done(loop.now));
}

TEST(Registration, ARefusalAndASilenceAreFailures) {
  Loop loop(registering(2));
  loop.lose = [](const std::string&) { return true; };
  loop.advance(milliseconds(0));
  loop.respond("REGISTER", 403);
  loop.advance(seconds(33));
  EXPECT_EQ(loop.agent.statistics().failures.at("REGISTER: 403 Forbidden"), 1u);
  EXPECT_EQ(loop.agent.statistics().failures.at("no response to REGISTER"), 1u);
}

TEST(Registration, RefreshesAtHalfTheTimeGranted) {
  load::Settings s = registering(1);
  s.registrations->refresh = true;
  s.registrations->expires = 100;
  s.callee.emplace();
  Loop loop(s);
  loop.lose = [](const std::string&) { return true; };
  loop.advance(milliseconds(1));
  EXPECT_THAT(loop.seen.back(), HasSubstr("Contact: <sip:u1@127.0.0.1:5070>"));
  loop.respond("REGISTER", 200);
  loop.advance(seconds(49));
  EXPECT_EQ(loop.count("REGISTER"), 1);
  loop.advance(seconds(2));
  EXPECT_GE(loop.count("REGISTER"), 2);
}

TEST(Registration, CallsWaitForTheirCallee) {
  load::Settings s = both();
  s.registrations = registering(1).registrations;
  s.registrations->refresh = true;
  s.caller->pace.count = 5;
  Loop loop(s);
  loop.lose = [](const std::string&) { return true; };
  loop.advance(milliseconds(300));
  EXPECT_GE(loop.count("REGISTER"), 1);
  EXPECT_EQ(loop.count("INVITE"), 0);
  loop.respond("REGISTER", 200);
  loop.advance(milliseconds(1));
  EXPECT_EQ(loop.count("INVITE"), 1);  // one: the time waited is not made up for
}

TEST(Settings, OnlyLoopbackUnlessAskedFor) {
  load::Settings s = both();
  EXPECT_FALSE(load::problem_with(s));
  s.caller->target = *SocketAddress::parse("192.0.2.1:5060");
  ASSERT_TRUE(load::problem_with(s));
  EXPECT_THAT(*load::problem_with(s), HasSubstr("--allow-remote"));
  s.allow_remote = true;
  EXPECT_FALSE(load::problem_with(s));
  s.caller->pace.rate = 0;
  EXPECT_TRUE(load::problem_with(s));
}

TEST(Settings, AHeaderCannotBeSmuggledIntoAUri) {
  load::Settings s = both();
  s.caller->to = "sip:a@b>\r\nX: y";
  EXPECT_TRUE(load::problem_with(s));
}

TEST(Names, ComeBackAndStayInTheirRun) {
  const SlotId id{7, 3};
  const load::Name name(load::Owner::callee, id, 42);
  const auto back = load::read_name("z9hG4bK" + std::string(name.text()) + "i2", 42);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id, id);
  EXPECT_EQ(back->owner, load::Owner::callee);
  EXPECT_FALSE(load::read_name(name.text(), 43));
  EXPECT_FALSE(load::read_name("c12", 42));
  EXPECT_FALSE(load::read_name("x" + std::string(name.text().substr(1)), 42));
}

TEST(Histogram, PercentilesWithinTwoPercent) {
  load::Histogram h;
  for (uint64_t i = 1; i <= 100'000; ++i) h.add(i);
  EXPECT_NEAR(static_cast<double>(h.percentile(0.5)), 50'000, 1000);
  EXPECT_NEAR(static_cast<double>(h.percentile(0.99)), 99'000, 2000);
  EXPECT_EQ(h.percentile(1), 100'000u);
  EXPECT_EQ(load::Histogram{}.percentile(0.5), 0u);
}

TEST(Statistics, JsonEscapesCauses) {
  load::Statistics s;
  s.fail("say \"no\"\n");
  EXPECT_THAT(load::to_json(s), HasSubstr("\"say \\\"no\\\"\": 1"));
}

}  // namespace
