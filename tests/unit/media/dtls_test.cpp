// DTLS-SRTP that ends at a leg: who gets keys, who hears what, and what a stranger gets. With the twin, and
// with OpenSSL between the engine and its phones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dtls/openssl_endpoint.h"
#include "srtp/context.h"
#include "srtp/sdes.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const SocketAddress at_a = at("198.51.100.1:4000"), at_b = at("198.51.100.2:5000");
constexpr WallTime made_at{1'700'000'000'000'000'000};

enum class Maker : bool { openssl, twin };

std::unique_ptr<dtls::Endpoint> make_endpoint(Maker maker, Rng& rng) {
  if (maker == Maker::twin) return std::make_unique<dtls::TwinEndpoint>(rng);
  return std::make_unique<dtls::OpensslEndpoint>(dtls::Certificate::make(made_at, rng));
}

std::vector<uint8_t> sound(uint8_t value) { return std::vector<uint8_t>(160, value); }

/// What one port of a telephone does.
struct Side {
  std::unique_ptr<dtls::Association> association;
  std::optional<srtp::Receiver> in;
  std::optional<srtp::Sender> out;
};

/// A telephone that speaks DTLS.
struct Phone {
  Phone(Maker maker, uint64_t seed, SocketAddress where)
      : rng(seed),
        endpoint(make_endpoint(maker, rng)),
        at(where),
        voice{where, 0xA0000000 + uint32_t(seed)} {}

  std::string sdp(const std::string& setup, const std::string& more = "a=rtcp-mux\r\n",
                  const std::string& profile = "UDP/TLS/RTP/SAVP",
                  const std::string& formats = "0 101") const {
    const auto f = shown ? *shown : endpoint->fingerprint(dtls::FingerprintHash::sha_256);
    std::string text = phone_sdp(said.value_or(at).to_string(), formats,
                                 "a=fingerprint:" + f.to_string() + "\r\na=setup:" + setup + "\r\n" + more);
    return text.replace(text.find("RTP/AVP"), 7, profile);
  }
  /// Begins an association with who is described in `told`.
  void open(const std::string& told, dtls::Role role, Now now, dtls::Datagrams& out, bool rtcp = false) {
    const auto d = parsed(told);
    dtls::Options o;
    o.role = role;
    o.peer = {dtls::Fingerprint::parse(d.attribute(0, "fingerprint").value_or("")).value()};
    Side& side = rtcp ? reports : media;
    side.association = endpoint->open(o);
    side.association->start(now, out);
  }
  void receive(Now now, Bytes datagram, dtls::Datagrams& out, bool rtcp = false) {
    Side& side = rtcp ? reports : media;
    if (!side.association) return;
    side.association->on_datagram(now, datagram, dtls::Source::validated, out);
    const dtls::Keys* k = side.association->keys();
    if (!k || (side.in && side.in->key() == k->theirs)) return;
    side.in.emplace(k->theirs, refusals);
    side.out.emplace(k->ours, refusals);
  }
  std::vector<uint8_t> packet(uint8_t what = 0xD5, size_t octets = 160) {
    std::vector<uint8_t> bytes = voice.packet(octets);
    std::fill(bytes.begin() + 12, bytes.end(), what);
    const size_t size = bytes.size();
    bytes.resize(size + srtp::tail_room);
    bytes.resize(media.out->protect_rtp(bytes, size).value());
    return bytes;
  }
  std::optional<std::vector<uint8_t>> hear(const Sent& s) {
    std::vector<uint8_t> bytes = s.bytes;
    const auto size = media.in->unprotect_rtp(bytes, bytes.size());
    if (!size.ok()) return std::nullopt;
    return std::vector<uint8_t>(bytes.begin() + 12, bytes.begin() + static_cast<ptrdiff_t>(*size));
  }

  SeededRng rng;
  std::unique_ptr<dtls::Endpoint> endpoint;
  SocketAddress at;                        // where it is
  std::optional<SocketAddress> said;       // where it says it is, when that is not the same
  std::optional<dtls::Fingerprint> shown;  // a fingerprint that is not its own
  Voice voice;
  Side media, reports;
  srtp::Refusals refusals;
};

bool is_handshake(const Sent& s) { return !s.bytes.empty() && s.bytes[0] >= 20 && s.bytes[0] <= 63; }

EndpointConfig policy(Srtp srtp, SrtpKeying keying = SrtpKeying::sdes) {
  EndpointConfig c;
  c.srtp = srtp;
  c.srtp_keying = keying;
  return c;
}

class Dtls : public ::testing::TestWithParam<Maker> {
 protected:
  SeededRng own_rng{99};
  World w{1000, {}, make_endpoint(GetParam(), own_rng)};
  Phone a{GetParam(), 1, at_a}, b{GetParam(), 2, at_b};
  EndpointId leg_a, leg_b;
  std::string told_a, told_b;
  uint16_t port_a = 0, port_b = 0;
  Voice plain_b{at_b, 0xB1B1B1B1, 30'000};
  std::vector<Sent> media;  // what was sent besides handshakes
  bool deaf = false;        // no handshake of ours reaches anybody
  size_t handshakes = 0;    // datagrams of ours

  void open(const EndpointConfig& of_a, const EndpointConfig& of_b) {
    leg_a = w.engine->open(of_a).value();
    leg_b = w.engine->open(of_b).value();
  }
  void offer(const std::string& text) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(text), SdpRole::offer).ok());
    const auto told = w.engine->present(w.now, leg_b, parsed(text), SdpRole::offer, leg_a);
    ASSERT_TRUE(told.ok());
    told_b = *told;
    port_b = w.port_of(told_b);
  }
  void answer(const std::string& text) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(text), SdpRole::answer).ok());
    const auto told = w.engine->present(w.now, leg_a, parsed(text), SdpRole::answer, leg_b);
    ASSERT_TRUE(told.ok());
    told_a = *told;
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
    port_a = w.port_of(told_a);
  }
  void dtls_and_plain(const std::string& setup = "actpass") {
    open(policy(Srtp::accepted), policy(Srtp::refused));
    offer(a.sdp(setup));
    answer(phone_sdp("198.51.100.2:5000", "0 101"));
  }

  /// Carries handshakes to and fro until there are none; other packets are put by.
  void carry() {
    for (int round = 0; round < 40; ++round) {
      w.pass(milliseconds(1));
      std::vector<Sent> sent = w.take_sent();
      bool any = false;
      for (const Sent& s : sent) {
        if (!is_handshake(s)) {
          media.push_back(s);
          continue;
        }
        any = true;
        ++handshakes;
        if (deaf) continue;
        for (Phone* p : {&a, &b}) {
          const bool rtcp = s.to.port == p->at.port + 1;
          if (s.to != p->at && !(rtcp && s.to.ip == p->at.ip)) continue;
          dtls::Datagrams back;
          p->receive(w.now, s.bytes, back, rtcp);
          from(*p, back, rtcp);
        }
      }
      if (!any) return;
    }
  }
  void from(const Phone& p, const dtls::Datagrams& datagrams, bool rtcp = false) {
    SocketAddress source = p.at;
    if (rtcp) ++source.port;
    const uint16_t to = &p == &a ? port_a : port_b;
    for (const auto& d : datagrams) w.receive(source, static_cast<uint16_t>(to + rtcp), d);
  }
  /// The phone does its part after it was told.
  void shake(Phone& p, dtls::Role role, bool rtcp = false) {
    dtls::Datagrams out;
    p.open(&p == &a ? told_a : told_b, role, w.now, out, rtcp);
    from(p, out, rtcp);
    carry();
  }
  std::vector<Sent> receive(const SocketAddress& source, uint16_t to, std::vector<uint8_t> bytes) {
    w.receive(source, to, std::move(bytes));
    carry();
    return std::exchange(media, {});
  }
  /// A speaks encrypted, B in the clear, and both are heard.
  void talk_with_plain(int packets = 5) {
    ASSERT_TRUE(a.media.out);
    for (int i = 0; i < packets; ++i) {
      const auto value = static_cast<uint8_t>(i);
      const auto to_b = receive(a.at, port_a, a.packet(value));
      ASSERT_EQ(to_b.size(), 1u);
      EXPECT_EQ(to_b[0].to, at_b);
      EXPECT_EQ(std::vector<uint8_t>(to_b[0].bytes.begin() + 12, to_b[0].bytes.end()), sound(value));
      const auto to_a = receive(at_b, port_b, plain_b.packet());
      ASSERT_EQ(to_a.size(), 1u);
      EXPECT_EQ(to_a[0].to, a.at);
      EXPECT_EQ(a.hear(to_a[0]), sound(0xD5));
    }
  }
  uint64_t fate(const char* what) {
    return w.counters
        .counter("media_packets_total", "RTP and RTCP packets by fate", std::string("fate=\"") + what + "\"")
        .value();
  }
  uint64_t trouble(dtls::Reason r) {
    return w.counters
        .counter("media_dtls_troubles_total", "", std::string("reason=\"").append(to_string(r)).append("\""))
        .value();
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, Dtls, testing::Values(Maker::openssl, Maker::twin),
                         [](const auto& p) { return p.param == Maker::twin ? "twin" : "openssl"; });

TEST_P(Dtls, OneLegIsEncryptedTheOtherIsNot) {
  dtls_and_plain();
  EXPECT_THAT(told_b, HasSubstr("RTP/AVP 0 101"));
  EXPECT_THAT(told_b, Not(HasSubstr("fingerprint")));
  EXPECT_THAT(told_b, Not(HasSubstr("setup")));
  EXPECT_THAT(told_a, HasSubstr("UDP/TLS/RTP/SAVP 0 101"));
  EXPECT_THAT(told_a, HasSubstr("a=setup:active"));
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-mux"));
  EXPECT_THAT(told_a, HasSubstr(w.keys->fingerprint(dtls::FingerprintHash::sha_256).to_string()));
  shake(a, dtls::Role::server);
  talk_with_plain();
  EXPECT_EQ(w.counters.total("media_dtls_established_total"), 1u);
}

TEST_P(Dtls, ThePhoneMayBeTheClient) {
  dtls_and_plain("active");
  EXPECT_THAT(told_a, HasSubstr("a=setup:passive"));
  shake(a, dtls::Role::client);
  talk_with_plain();
}

TEST_P(Dtls, NothingFlowsBeforeTheKeysAndNothingInTheClear) {
  dtls_and_plain();
  w.pass(milliseconds(1));
  const std::vector<Sent> hello = w.take_sent();
  EXPECT_TRUE(receive(at_b, port_b, plain_b.packet()).empty());
  EXPECT_TRUE(receive(at_a, port_a, a.voice.packet()).empty());
  EXPECT_EQ(fate("no_keys"), 2u);
  EXPECT_EQ(w.engine->statistics(leg_a).packets_received, 0u);
  ASSERT_TRUE(w.engine->play(w.now, leg_a, codec::ToneSequence::music()).ok());
  w.pass(milliseconds(100));
  for (const Sent& s : w.take_sent()) EXPECT_TRUE(is_handshake(s));
  EXPECT_GT(fate("no_keys"), 5u);
  w.engine->stop(w.now, leg_a);
  w.sent = hello;  // the network was slow
  shake(a, dtls::Role::server);
  talk_with_plain();
}

/// A telephone refuses RTP/AVPF; who asked with an F is answered with it.
TEST_P(Dtls, FeedbackNobodyNamedStaysWithTheLeg) {
  open(policy(Srtp::accepted), policy(Srtp::refused));
  offer(a.sdp("actpass", "a=rtcp-mux\r\n", "UDP/TLS/RTP/SAVPF"));
  EXPECT_THAT(told_b, HasSubstr("RTP/AVP 0 101"));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_a, HasSubstr("UDP/TLS/RTP/SAVPF 0 101"));
  shake(a, dtls::Role::server);
  talk_with_plain();
}

/// WebRTC has no profile without feedback, telephones with cameras know no RTP/AVPF: they go by the lines.
TEST_P(Dtls, FeedbackThatIsNamedIsToldWithoutItsProfile) {
  open(policy(Srtp::accepted), policy(Srtp::refused));
  offer(a.sdp("actpass", "a=rtcp-mux\r\na=rtcp-fb:0 nack pli\r\n", "UDP/TLS/RTP/SAVPF"));
  EXPECT_THAT(told_b, HasSubstr("RTP/AVP 0 101"));
  EXPECT_THAT(told_b, HasSubstr("a=rtcp-fb:0 nack pli"));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_a, HasSubstr("UDP/TLS/RTP/SAVPF 0 101"));
}

TEST_P(Dtls, WithSdesAtTheOtherLeg) {
  open(policy(Srtp::accepted), policy(Srtp::required));
  offer(a.sdp("actpass"));
  EXPECT_THAT(told_b, HasSubstr("RTP/SAVP 0 101"));
  SeededRng rng(5);
  const auto key = srtp::MasterKey::generate(srtp::Suite::aes_cm_128_hmac_sha1_80, rng);
  std::string text =
      phone_sdp("198.51.100.2:5000", "0 101", "a=crypto:" + srtp::write_crypto(1, key) + "\r\n");
  answer(text.replace(text.find("RTP/AVP"), 7, "RTP/SAVP"));
  EXPECT_THAT(told_a, Not(HasSubstr("crypto")));
  shake(a, dtls::Role::server);
  srtp::Refusals refusals;
  srtp::Receiver in(srtp::parse_crypto(parsed(told_b).attributes(0, "crypto").at(0))->key, refusals);
  srtp::Sender out(key, refusals);
  const auto to_b = receive(at_a, port_a, a.packet(7));
  ASSERT_EQ(to_b.size(), 1u);
  std::vector<uint8_t> bytes = to_b[0].bytes;
  const auto size = in.unprotect_rtp(bytes, bytes.size());
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin() + 12, bytes.begin() + 172), sound(7));
  std::vector<uint8_t> back = plain_b.packet();
  const size_t plain = back.size();
  back.resize(plain + srtp::tail_room);
  back.resize(out.protect_rtp(back, plain).value());
  const auto to_a = receive(at_b, port_b, back);
  ASSERT_EQ(to_a.size(), 1u);
  EXPECT_EQ(a.hear(to_a[0]), sound(0xD5));
}

TEST_P(Dtls, AtBothLegsAndTwoCodecs) {
  EndpointConfig of_a = policy(Srtp::accepted), of_b = policy(Srtp::required, SrtpKeying::dtls);
  for (EndpointConfig* c : {&of_a, &of_b}) c->transcode = true, c->codecs = {"PCMU", "PCMA"};
  open(of_a, of_b);
  offer(a.sdp("actpass"));
  EXPECT_THAT(told_b, HasSubstr("UDP/TLS/RTP/SAVP 0 101 8"));
  EXPECT_THAT(told_b, HasSubstr("a=setup:actpass"));
  answer(b.sdp("active", "a=rtcp-mux\r\n", "UDP/TLS/RTP/SAVP", "8 101"));
  dtls::Datagrams none;
  a.open(told_a, dtls::Role::server, w.now, none);
  shake(b, dtls::Role::client);
  ASSERT_TRUE(a.media.out && b.media.out);
  b.voice.payload_type = 8;
  size_t heard_a = 0, heard_b = 0;
  for (int i = 0; i < 50; ++i) {
    w.receive(at_a, port_a, a.packet(0xFF));  // silence in mu-law
    w.receive(at_b, port_b, b.packet(0xD5));  // and in A-law
    w.pass(milliseconds(20));
    for (const Sent& s : w.take_sent()) {
      if (s.to == at_a) {
        ASSERT_EQ(s.payload_type(), 0);
        heard_a += a.hear(s).has_value();
      } else if (s.to == at_b) {
        ASSERT_EQ(s.payload_type(), 8);
        heard_b += b.hear(s).has_value();
      }
    }
  }
  EXPECT_GT(heard_a, 35u);
  EXPECT_GT(heard_b, 35u);
}

TEST_P(Dtls, AChoiceMayBeLeft) {
  open(policy(Srtp::accepted), policy(Srtp::offered, SrtpKeying::dtls));
  offer(phone_sdp("198.51.100.1:4000", "0 101"));
  EXPECT_THAT(told_b, HasSubstr("RTP/AVP 0 101"));
  EXPECT_THAT(told_b, HasSubstr("a=fingerprint:sha-256 "));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_a, Not(HasSubstr("rtcp-mux")));
  Voice plain_a{at_a};
  EXPECT_EQ(receive(at_a, port_a, plain_a.packet()).size(), 1u);
}

TEST_P(Dtls, AChoiceMayBeTaken) {
  open(policy(Srtp::refused), policy(Srtp::offered, SrtpKeying::dtls));
  offer(phone_sdp("198.51.100.1:4000", "0 101"));
  answer(b.sdp("passive", "a=rtcp-mux\r\n", "RTP/AVP"));
  EXPECT_THAT(told_a, Not(HasSubstr("rtcp-mux")));  // A has not offered it
  shake(b, dtls::Role::server);
  Voice plain_a{at_a};
  const auto to_b = receive(at_a, port_a, plain_a.packet());
  ASSERT_EQ(to_b.size(), 1u);
  EXPECT_EQ(b.hear(to_b[0]), sound(0xD5));
}

TEST_P(Dtls, WhatWasDemandedIsNotLeft) {
  open(policy(Srtp::accepted), policy(Srtp::required, SrtpKeying::dtls));
  offer(phone_sdp("198.51.100.1:4000", "0 101"));
  const std::string weak = "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";
  std::string sha1 = phone_sdp("198.51.100.2:5000", "0 101", weak + "\r\na=setup:active\r\n");
  sha1.replace(sha1.find("RTP/AVP"), 7, "UDP/TLS/RTP/SAVP");
  for (const std::string& text : {phone_sdp("198.51.100.2:5000", "0 101"), b.sdp("actpass"), sha1}) {
    const auto taken = w.engine->set_remote(w.now, leg_b, parsed(text), SdpRole::answer);
    ASSERT_FALSE(taken.ok()) << text;
    EXPECT_EQ(taken.reason(), Reason::not_protected);
  }
  EXPECT_EQ(w.counters.total("media_not_protected_total"), 3u);
}

TEST_P(Dtls, AnOfferThatCannotBeUsedIsRefused) {
  std::string weak = phone_sdp("198.51.100.1:4000", "0 101",
                               "a=setup:actpass\r\na=fingerprint:sha-1 "
                               "4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n");
  weak.replace(weak.find("RTP/AVP"), 7, "UDP/TLS/RTP/SAVP");
  open(policy(Srtp::accepted), policy(Srtp::accepted));
  EXPECT_FALSE(w.engine->set_remote(w.now, leg_a, parsed(weak), SdpRole::offer).ok());
  EXPECT_FALSE(w.engine->answer(w.now, leg_a).ok());

  open(policy(Srtp::refused), policy(Srtp::accepted));
  EXPECT_FALSE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("actpass")), SdpRole::offer).ok());
}

TEST_P(Dtls, WeAnswerOurselves) {
  leg_a = w.engine->open(policy(Srtp::accepted)).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("actpass")), SdpRole::offer).ok());
  told_a = w.engine->answer(w.now, leg_a).value();
  port_a = w.port_of(told_a);
  shake(a, dtls::Role::server);
  ASSERT_TRUE(w.engine->echo(w.now, leg_a).ok());
  const auto back = receive(at_a, port_a, a.packet(9));
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(a.hear(back[0]), sound(9));
}

TEST_P(Dtls, ReportsOnAPortOfTheirOwnHaveKeysOfTheirOwn) {
  open(policy(Srtp::accepted), policy(Srtp::refused));
  offer(a.sdp("actpass", ""));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_a, Not(HasSubstr("rtcp-mux")));
  dtls::Datagrams none;
  a.open(told_a, dtls::Role::server, w.now, none, true);
  shake(a, dtls::Role::server);
  ASSERT_TRUE(a.media.out && a.reports.out);
  EXPECT_FALSE(a.media.in->key() == a.reports.in->key());
  talk_with_plain(1);
  // A report of B's, in the clear, comes to A under the keys of that port.
  std::vector<uint8_t> report = {0x80, 201, 0, 1, 0xB1, 0xB1, 0xB1, 0xB1};
  w.receive(at("198.51.100.2:5001"), static_cast<uint16_t>(port_b + 1), report);
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, at("198.51.100.1:4001"));
  std::vector<uint8_t> bytes = sent[0].bytes;
  const auto size = a.reports.in->unprotect_rtcp(bytes, bytes.size());
  ASSERT_TRUE(size.ok());
  bytes.resize(*size);
  EXPECT_EQ(bytes, report);
}

// ---- strangers
// ---------------------------------------------------------------------------------------------

TEST_P(Dtls, AStrangersClientHelloGetsNoAnswerAndSpoilsNothing) {
  dtls_and_plain("active");
  Phone stranger{GetParam(), 66, at("203.0.113.66:9000")};
  dtls::Datagrams hello;
  stranger.open(told_a, dtls::Role::client, w.now, hello);
  for (int i = 0; i < 10; ++i)
    for (const auto& d : hello) EXPECT_TRUE(receive(stranger.at, port_a, d).empty());
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(trouble(dtls::Reason::unvalidated_source), 10u);
  EXPECT_EQ(fate("foreign_source"), 10u);
  shake(a, dtls::Role::client);
  talk_with_plain();
  for (const auto& d : hello) receive(stranger.at, port_a, d);
  talk_with_plain();
}

/// A neighbour (another port of the phone's host, or of its NAT) gets a handshake of his own, and its end.
TEST_P(Dtls, ANeighboursHandshakeFailsAloneAndThePhonesOwnIsDone) {
  dtls_and_plain("active");
  Phone neighbour{GetParam(), 66, at("198.51.100.1:9000")};
  dtls::Datagrams hello;
  neighbour.open(told_a, dtls::Role::client, w.now, hello);
  for (const auto& d : hello) w.receive(neighbour.at, port_a, d);
  for (int round = 0; round < 10; ++round)
    for (const Sent& s : w.take_sent()) {
      ASSERT_EQ(s.to, neighbour.at);
      dtls::Datagrams back;
      neighbour.receive(w.now, s.bytes, back);
      for (const auto& d : back) w.receive(neighbour.at, port_a, d);
    }
  EXPECT_GE(trouble(dtls::Reason::wrong_fingerprint), 1u);
  EXPECT_FALSE(neighbour.media.out);
  shake(a, dtls::Role::client);
  talk_with_plain();
}

/// In the middle of the phone's handshake: its association is its own.
TEST_P(Dtls, ARaceIsWonByTheCertificate) {
  dtls_and_plain("active");
  dtls::Datagrams first;
  a.open(told_a, dtls::Role::client, w.now, first);
  from(a, first);  // our answer is on its way
  const std::vector<Sent> answer_to_a = w.take_sent();
  for (uint16_t n = 0; n < 100; ++n) {
    Phone neighbour{Maker::twin, 1000u + n, {at_a.ip, static_cast<uint16_t>(9000 + n)}};
    if (GetParam() == Maker::openssl) neighbour.endpoint = make_endpoint(Maker::openssl, neighbour.rng);
    dtls::Datagrams hello;
    neighbour.open(told_a, dtls::Role::client, w.now, hello);
    for (const auto& d : hello) w.receive(neighbour.at, port_a, d);
    if (GetParam() == Maker::openssl && n == 20) break;
  }
  w.take_sent();
  for (const Sent& s : answer_to_a) {
    dtls::Datagrams back;
    a.receive(w.now, s.bytes, back);
    from(a, back);
  }
  carry();
  ASSERT_TRUE(a.media.out);
  talk_with_plain();
}

TEST_P(Dtls, WithTheWrongCertificateThereAreNoKeysAndAnEvent) {
  a.shown = b.endpoint->fingerprint(dtls::FingerprintHash::sha_256);
  dtls_and_plain("active");
  shake(a, dtls::Role::client);
  EXPECT_GE(trouble(dtls::Reason::wrong_fingerprint), 1u);
  EXPECT_TRUE(receive(at_b, port_b, plain_b.packet()).empty());
  EXPECT_TRUE(receive(at_a, port_a, a.voice.packet()).empty());
  EXPECT_EQ(w.count(MediaEvent::Kind::unkeyed), 0u);
  w.pass(seconds(31));
  EXPECT_EQ(w.count(MediaEvent::Kind::unkeyed), 1u);
  EXPECT_EQ(w.counters.total("media_dtls_unkeyed_total"), 1u);
  for (const Sent& s : w.take_sent()) EXPECT_TRUE(is_handshake(s));
}

TEST_P(Dtls, ReplayedAndForgedPacketsGoNowhere) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  const auto good = a.packet(1);
  auto forged = a.packet(2);
  forged.back() ^= 1;
  EXPECT_EQ(receive(at_a, port_a, good).size(), 1u);
  EXPECT_TRUE(receive(at_a, port_a, good).empty());
  EXPECT_TRUE(receive(at_a, port_a, forged).empty());
  EXPECT_EQ(fate("not_authentic"), 2u);
}

// ---- ways there
// --------------------------------------------------------------------------------------------

TEST_P(Dtls, AClientHelloMayOvertakeTheAnswer) {
  open(policy(Srtp::refused), policy(Srtp::required, SrtpKeying::dtls));
  offer(phone_sdp("198.51.100.1:4000", "0 101"));
  Phone stranger{GetParam(), 66, at("203.0.113.66:9000")};
  for (Phone* p : {&stranger, &b}) {
    dtls::Datagrams hello;
    p->open(told_b, dtls::Role::client, w.now, hello);
    for (const auto& d : hello) w.receive(p->at, port_b, d);
  }
  EXPECT_TRUE(w.take_sent().empty());
  answer(b.sdp("active"));
  carry();  // nobody has sent anything more
  ASSERT_TRUE(b.media.out);
  EXPECT_EQ(fate("foreign_source"), 0u);
  EXPECT_EQ(trouble(dtls::Reason::unvalidated_source), 1u);
  Voice plain_a{at_a};
  const auto to_b = receive(at_a, port_a, plain_a.packet());
  ASSERT_EQ(to_b.size(), 1u);
  EXPECT_EQ(b.hear(to_b[0]), sound(0xD5));
}

TEST_P(Dtls, WhoStandsBehindANatIsWaitedFor) {
  EndpointConfig c = policy(Srtp::accepted);
  c.signalling = IpAddress::v4(198, 51, 100, 1);
  open(c, policy(Srtp::refused));
  a.said = at("10.0.0.7:4000");
  a.at = at("198.51.100.1:61000");
  offer(a.sdp("actpass"));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  EXPECT_THAT(told_a, HasSubstr("a=setup:passive"));
  shake(a, dtls::Role::client);
  ASSERT_TRUE(a.media.out);
  EXPECT_EQ(w.count(MediaEvent::Kind::latched), 1u);
  talk_with_plain();
}

TEST_P(Dtls, WhatIsLostIsSentAgain) {
  dtls_and_plain();
  deaf = true;
  carry();  // our ClientHello is lost
  deaf = false;
  dtls::Datagrams none;
  a.open(told_a, dtls::Role::server, w.now, none);
  if (GetParam() == Maker::openssl) return;  // its timer runs on the system's clock
  w.pass(milliseconds(400));
  carry();
  talk_with_plain();
}

// ---- re-INVITEs
// --------------------------------------------------------------------------------------------

TEST_P(Dtls, AReInviteWithTheSameTermsKeepsKeysAndIndices) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  const auto old = a.packet();
  EXPECT_EQ(receive(at_a, port_a, old).size(), 1u);
  handshakes = 0;
  for (const char* setup : {"actpass", "passive", "holdconn", "actpass"}) {
    offer(a.sdp(setup));
    EXPECT_EQ(receive(at_a, port_a, a.packet()).size(), 1u) << setup;  // while it is open, too
    answer(phone_sdp("198.51.100.2:5000", "0 101"));
    EXPECT_THAT(told_a, HasSubstr(std::string("a=setup:") +
                                  (std::string(setup) == "holdconn" ? "holdconn" : "active")));
    carry();
    talk_with_plain();
    EXPECT_TRUE(receive(at_a, port_a, old).empty()) << setup;
  }
  EXPECT_EQ(handshakes, 0u);
  EXPECT_EQ(w.counters.total("media_dtls_established_total"), 1u);
}

TEST_P(Dtls, ANewFingerprintIsANewHandshakeAndTheOldKeysGoOnUntilThen) {
  dtls_and_plain("active");
  shake(a, dtls::Role::client);
  talk_with_plain();
  const uint32_t ssrc = a.voice.ssrc;
  Phone next{GetParam(), 3, at_a};
  offer(next.sdp("active"));
  answer(phone_sdp("198.51.100.2:5000", "0 101"));
  talk_with_plain();
  const auto late = a.packet(77);  // on its way while the keys change
  auto old_out = std::exchange(a.media, {});
  std::swap(a.endpoint, next.endpoint);
  shake(a, dtls::Role::client);
  ASSERT_TRUE(a.media.out);
  EXPECT_FALSE(a.media.out->key() == old_out.out->key());
  EXPECT_EQ(receive(at_a, port_a, late).size(), 1u);
  EXPECT_EQ(a.voice.ssrc, ssrc);
  talk_with_plain(120);
  EXPECT_EQ(w.counters.total("media_dtls_established_total"), 2u);
  EXPECT_TRUE(receive(at_a, port_a, late).empty());
}

TEST_P(Dtls, ARefusedReInviteChangesNothing) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  Phone next{GetParam(), 3, at_a};
  offer(next.sdp("active"));
  w.engine->rollback(w.now, leg_a);
  w.engine->rollback(w.now, leg_b);
  carry();
  talk_with_plain();
  EXPECT_EQ(w.counters.total("media_dtls_established_total"), 1u);
}

TEST_P(Dtls, OurReInviteKeepsTheRole) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  const auto plain = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
  told_a = w.engine->present(w.now, leg_a, plain, SdpRole::offer, leg_b).value();
  EXPECT_THAT(told_a, HasSubstr("a=setup:active"));
  EXPECT_THAT(told_a, HasSubstr("fingerprint"));
  EXPECT_THAT(told_a, HasSubstr("UDP/TLS/RTP/SAVP"));  // A is encrypted and stays so
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("passive")), SdpRole::answer).ok());
  carry();
  talk_with_plain();
  EXPECT_EQ(w.counters.total("media_dtls_established_total"), 1u);
}

// ---- a call is a value
// -------------------------------------------------------------------------------------

TEST_P(Dtls, ARestoredLegGoesOnAndUsesNoIndexTwice) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  a.voice.sequence = plain_b.sequence = 65'520;  // the rollover counters are 1 when it is taken
  talk_with_plain(50);
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  talk_with_plain(200);  // of which the snapshot knows nothing
  w.engine->close(w.now, leg_a);
  w.engine->close(w.now, leg_b);
  const auto restored = w.engine->restore(w.now, part);
  ASSERT_TRUE(restored.ok());
  leg_a = (*restored)[0];
  leg_b = (*restored)[1];
  w.pass(seconds(40));
  for (const Sent& s : w.take_sent()) EXPECT_FALSE(is_handshake(s));
  talk_with_plain(50);
  EXPECT_EQ(w.count(MediaEvent::Kind::unkeyed), 0u);
  const EndpointId again[] = {leg_a, leg_b};
  EXPECT_FALSE(w.engine->snapshot(w.now, again).empty());
}

TEST_P(Dtls, WhatARestoredLegPlaysUsesNoIndexTwice) {
  dtls_and_plain();
  shake(a, dtls::Role::server);
  ASSERT_TRUE(w.engine->play(w.now, leg_a, codec::ToneSequence::music()).ok());
  const auto heard_in_a_second = [&] {
    w.pass(seconds(1));
    size_t heard = 0;
    for (const Sent& s : w.take_sent()) {
      if (s.to != a.at || (s.bytes[1] >= 192 && s.bytes[1] <= 223)) continue;  // RTCP is on that port too
      EXPECT_TRUE(a.hear(s));  // its replay window has seen all that went before
      ++heard;
    }
    return heard;
  };
  EXPECT_GE(heard_in_a_second(), 49u);
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  EXPECT_GE(heard_in_a_second(), 49u);  // of which the snapshot knows nothing
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  ASSERT_TRUE(w.engine->restore(w.now, part).ok());
  EXPECT_GE(heard_in_a_second(), 49u);
}

TEST_P(Dtls, AHandshakeInFlightIsBegunAnew) {
  for (const char* setup : {"passive", "active"}) {
    dtls_and_plain(setup);
    const bool phone_is_client = std::string(setup) == "active";
    if (phone_is_client) {
      dtls::Datagrams hello;
      a.open(told_a, dtls::Role::client, w.now, hello);
      from(a, hello);
    }
    w.pass(milliseconds(1));
    w.take_sent();  // never arrives
    const EndpointId ids[] = {leg_a, leg_b};
    const std::string part = w.engine->snapshot(w.now, ids);
    for (const EndpointId id : ids) w.engine->close(w.now, id);
    const auto restored = w.engine->restore(w.now, part);
    ASSERT_TRUE(restored.ok());
    leg_a = (*restored)[0];
    leg_b = (*restored)[1];
    a.media = {};
    shake(a, phone_is_client ? dtls::Role::client : dtls::Role::server);
    ASSERT_TRUE(a.media.out) << setup;
    talk_with_plain();
    for (const EndpointId id : {leg_a, leg_b}) w.engine->close(w.now, id);
    a.media = {};
  }
}

}  // namespace
}  // namespace tandem::media
