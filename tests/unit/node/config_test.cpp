// What no single key can show to be wrong, and settings made of configuration.
#include <gtest/gtest.h>

#include <algorithm>

#include "node/settings.h"

namespace tandem::node {
namespace {

NodeConfig good() {
  NodeConfig c;
  RealmSettings realm;
  realm.listeners = {{"udp", *SocketAddress::parse("192.0.2.1:5060"), {}, "", false},
                     {"tcp", *SocketAddress::parse("192.0.2.1:5060"), {}, "", false}};
  c.realms.push_back(realm);
  return c;
}

bool says(const std::vector<Problem>& problems, std::string_view part) {
  return std::any_of(problems.begin(), problems.end(), [&](const Problem& p) {
    return (p.path + ": " + p.text).find(part) != std::string::npos;
  });
}

TEST(NodeConfig, AGoodOneHasNoProblems) { EXPECT_TRUE(problems_with(good()).empty()); }

TEST(NodeConfig, CodecsAndMusicAreChecked) {
  NodeConfig c = good();
  c.media.codecs = {"PCMA", "opus", "AMR"};
  EXPECT_TRUE(says(problems_with(c), "media.codecs[2]: 'AMR' is no codec of ours"));
  c.media.codecs = {"PCMA", "L16/16000"};
  EXPECT_TRUE(problems_with(c).empty());
  c.sounds.hold_music = "harp.mp3";
  EXPECT_TRUE(says(problems_with(c), "music needs the folder it lies in"));
  c.sounds.folder = "/srv/sounds";
  EXPECT_TRUE(problems_with(c).empty());
  c.sounds.hold_music = "../harp.mp3";
  EXPECT_TRUE(says(problems_with(c), "'../harp.mp3' is no name of a file"));
}

TEST(NodeConfig, NamesWhatDoesNotFitTogether) {
  NodeConfig c = good();
  c.realms.clear();
  EXPECT_TRUE(says(problems_with(c), "at least one realm"));

  c = good();
  c.realms[0].listeners.clear();
  EXPECT_TRUE(says(problems_with(c), "no listeners"));

  c = good();
  c.realms[0].listeners[0].bind = {};
  EXPECT_TRUE(says(problems_with(c), "no bind address"));

  c = good();
  c.realms.push_back(c.realms[0]);
  EXPECT_TRUE(says(problems_with(c), "stands twice"));
  EXPECT_TRUE(says(problems_with(c), "already listened on"));

  c = good();
  c.realms[0].listeners.push_back({"tls", *SocketAddress::parse("192.0.2.1:5060"), {}, "", false});
  EXPECT_TRUE(says(problems_with(c), "tcp 192.0.2.1:5060 is already listened on"));

  c = good();
  c.realms[0].listeners[1].certificates = {{"a.pem", "a.key"}, {"b.pem", ""}};
  EXPECT_TRUE(says(problems_with(c), "certificates[1] of 192.0.2.1:5060 needs a chain and a key"));

  c = good();
  c.realms[0].listeners[1].client_ca = "ca.pem";
  EXPECT_TRUE(says(problems_with(c), "without request_client_certificate"));

  c = good();
  c.sip.digest = {"MD5", "SHA-1"};
  EXPECT_TRUE(says(problems_with(c), "'SHA-1'"));
  c.sip.digest.clear();
  EXPECT_TRUE(says(problems_with(c), "at least one algorithm"));

  c = good();
  c.sip.min_expires = 9000;
  EXPECT_TRUE(says(problems_with(c), "min_expires"));

  c = good();
  c.voicemail.mail_program = {"sendmail", "-t"};
  c.voicemail.mail_from = "voicemail@example.com";
  EXPECT_TRUE(says(problems_with(c), "voicemail.mail_program[0]: 'sendmail' is no absolute path"));
  c.voicemail.mail_program[0] = "/usr/sbin/sendmail";
  EXPECT_TRUE(problems_with(c).empty());
  c.voicemail.mail_from = "Voicemail <voicemail@example.com>";
  EXPECT_TRUE(says(problems_with(c), "voicemail.mail_from: e-mails need the address"));

  c = good();
  c.web.key = "k.pem";
  EXPECT_TRUE(says(problems_with(c), "web.key: certificate and key"));

  c = good();
  c.web.websocket.origins = {"https://phone.example.com:8443", "*"};
  EXPECT_TRUE(problems_with(c).empty());
  for (const char* wrong :
       {"phone.example.com", "https://", "https://a.example/", "https://*.example", "ftp://a"}) {
    c.web.websocket.origins = {"https://a.example", wrong};
    EXPECT_TRUE(says(problems_with(c), "web.websocket.origins[1]: '" + std::string(wrong) + "' is no origin"))
        << wrong;
  }
  c = good();
  c.web.websocket.realm = "nowhere";
  EXPECT_TRUE(says(problems_with(c), "web.websocket.realm: there is no realm 'nowhere'"));

  c = good();
  c.sip.tokens.keys = {{"a", "ES256", "a.pem"}, {"a", "RS256", "b.pem"}};
  EXPECT_TRUE(says(problems_with(c), "sip.tokens.keys[1].id: two keys have the id 'a'"));
  c.sip.tokens.keys = {{"a", "ES256", ""}};
  EXPECT_TRUE(says(problems_with(c), "sip.tokens.keys[0].file: a key needs its file"));

  c = good();
  c.sip.session_expires = 100;
  c.sip.min_se = 200;
  EXPECT_TRUE(says(problems_with(c), "sip.session_expires: it is less than sip.min_se"));
  c.sip.session_expires = 0;  // not asked for
  EXPECT_TRUE(problems_with(c).empty());

  c = good();
  c.sip.timers.t1 = seconds(5);
  c.sip.timers.t2 = seconds(4);
  EXPECT_TRUE(says(problems_with(c), "sip.t2: it is less than sip.t1"));

  c = good();
  c.dns_servers = {"192.0.2.53", "[2001:db8::53]:53", "2001:db8::53", "nonsense"};
  ASSERT_EQ(problems_with(c).size(), 1U);
  EXPECT_TRUE(says(problems_with(c), "dns_servers[3]: 'nonsense' is not an address"));
}

TEST(NodeConfig, MediaNeedsAddressesOfHostsOfTheRightFamily) {
  const auto with = [](IpAddress RealmSettings::*member, const char* address) {
    NodeConfig c = good();
    c.realms[0].*member = *IpAddress::parse(address);
    return problems_with(c);
  };
  using R = RealmSettings;
  EXPECT_TRUE(says(with(&R::media_v4, "::1"), "realms[0].media.bind_v4: '::1' is no IPv4 address"));
  EXPECT_TRUE(says(with(&R::media_v6, "192.0.2.1"), "realms[0].media.bind_v6: '192.0.2.1' is no IPv6"));
  EXPECT_TRUE(says(with(&R::media_v4, "239.1.2.3"), "bind_v4: '239.1.2.3' is the address of no single host"));
  EXPECT_TRUE(says(with(&R::media_v4, "255.255.255.255"), "of no single host"));
  EXPECT_TRUE(says(with(&R::media_v6, "ff02::1"), "of no single host"));
  EXPECT_TRUE(says(with(&R::media_advertise_v4, "224.0.0.1"), "advertise_v4: '224.0.0.1' is the address of"));
  EXPECT_TRUE(says(with(&R::media_advertise_v6, "::"), "advertise_v6: '::' tells peers nothing"));
  EXPECT_TRUE(says(with(&R::media_advertise_v4, "0.0.0.0"), "tells peers nothing"));
  EXPECT_TRUE(with(&R::media_v4, "223.255.255.1").empty());
  EXPECT_TRUE(with(&R::media_v6, "fe80::1").empty());
  EXPECT_TRUE(with(&R::media_v4, "0.0.0.0").empty());  // every address: make_realms() asks for one to tell
}

TEST(NodeConfig, TurnIsChecked) {
  NodeConfig c = good();
  c.turn.listeners = {{"udp", *SocketAddress::parse("192.0.2.1:3478"), {}, {}},
                      {"tcp", *SocketAddress::parse("192.0.2.1:3478"), {}, {}}};
  EXPECT_TRUE(says(problems_with(c), "turn.realm: a TURN server needs"));
  c.turn.realm = "example.org";
  c.turn.allow_peers = {"10.1.0.0/16", "fd00::/8"};
  EXPECT_TRUE(problems_with(c).empty());
  c.turn.deny_peers = {"10.1.0.0/33"};
  EXPECT_TRUE(says(problems_with(c), "turn.peers.deny[0]: '10.1.0.0/33' is no address block"));
  c.turn.deny_peers.clear();
  c.turn.secrets = {{"short"}};
  EXPECT_TRUE(says(problems_with(c), "turn.secrets[0].secret: it is shorter than 16 characters"));
  EXPECT_FALSE(says(problems_with(c), "'short'")) << "it is a secret";
  c.turn.secrets.clear();
  c.turn.listeners[1].transport = "dtls";
  EXPECT_TRUE(says(problems_with(c), "turn.listeners[1].bind: 192.0.2.1:3478 stands twice"));
  c.turn.listeners[1] = {"tls", *SocketAddress::parse("0.0.0.0:5349"), "/chain", {}};
  EXPECT_TRUE(says(problems_with(c), "turn.listeners[1].bind: a TURN listener needs one address"));
  EXPECT_TRUE(says(problems_with(c), "turn.listeners[1].chain: chain and key go together"));
  c.turn.listeners.pop_back();
  c.turn.relay_v4 = *IpAddress::parse("0.0.0.0");
  EXPECT_TRUE(says(problems_with(c), "turn.relay.bind_v4: expected one address"));
}

TEST(Settings, TurnKnowsItsOwnAddressesAndSecrets) {
  NodeConfig c = good();
  c.turn.listeners = {{"udp", *SocketAddress::parse("192.0.2.7:3478"), {}, {}}};
  c.turn.realm = "example.org";
  c.turn.advertise_v4 = *IpAddress::parse("192.0.2.99");
  c.turn.total_bytes_per_second = 1000;
  NodeKeys keys;
  keys.tokens[0] = 1;
  const auto realms = make_realms(c);
  const WorkerSettings s = make_settings(c, keys, 1, 2, 4, *realms);
  EXPECT_TRUE(s.turn.enabled);
  EXPECT_EQ(s.turn.worker, 2);
  EXPECT_EQ(s.turn.total_bytes_per_second, 250u);
  ASSERT_EQ(s.turn.secrets.size(), 1u);
  EXPECT_EQ(s.turn.secrets[0], own_turn_secret(keys));
  EXPECT_NE(own_turn_secret(keys), own_turn_secret({}));
  const auto holds = [](const std::vector<IpAddress>& all, const char* ip) {
    return std::find(all.begin(), all.end(), *IpAddress::parse(ip)) != all.end();
  };
  for (const char* ip : {"192.0.2.1", "192.0.2.7", "192.0.2.99", "127.0.0.1"})
    EXPECT_TRUE(holds(s.turn.policy.own, ip)) << ip;
  EXPECT_TRUE(holds(s.turn.policy.relays, "192.0.2.7"));
  EXPECT_TRUE(holds(s.turn.policy.relays, "192.0.2.99"));
  EXPECT_FALSE(holds(s.turn.policy.relays, "192.0.2.1"));
  c.turn.secrets = {{"the configured one, long"}};
  EXPECT_EQ(make_settings(c, keys, 1, 0, 1, *realms).turn.secrets[0], "the configured one, long");
  c.turn.listeners.clear();
  EXPECT_FALSE(make_settings(c, keys, 1, 0, 1, *realms).turn.enabled);
}

TEST(Realms, MediaIsBoundWhereSipIs) {
  const auto realms = make_realms(good());
  ASSERT_TRUE(realms.ok());
  EXPECT_EQ((*realms)->realm(0).media.v4, IpAddress::v4(192, 0, 2, 1));
}

TEST(Realms, ListeningEverywhereNeedsAnAdvertisedAddress) {
  NodeConfig c = good();
  for (auto& l : c.realms[0].listeners) l.bind = *SocketAddress::parse("0.0.0.0:5060");
  EXPECT_FALSE(make_realms(c).ok());
  c.realms[0].advertise = "203.0.113.9";
  const auto realms = make_realms(c);
  ASSERT_TRUE(realms.ok());
  EXPECT_EQ((*realms)->realm(0).media.advertised_v4, IpAddress::v4(203, 0, 113, 9));
}

TEST(Settings, EachWorkerGetsItsOwnNumberAndTheSameSecrets) {
  NodeConfig c = good();
  c.node = 9;
  c.limits.calls = 123;
  c.sip.digest = {"SHA-256"};
  NodeKeys keys;
  keys.tokens[0] = 1;
  keys.gruus[3] = 7;
  const auto realms = make_realms(c);
  ASSERT_TRUE(realms.ok());
  const WorkerSettings a = make_settings(c, keys, 4, 0, 2, *realms),
                       b = make_settings(c, keys, 4, 1, 2, *realms);
  EXPECT_EQ(a.node, 9);
  EXPECT_EQ(a.index, 0);
  EXPECT_EQ(b.index, 1);
  EXPECT_EQ(a.keys.tokens, b.keys.tokens);
  EXPECT_EQ(a.registrar.gruu_key, keys.gruus);
  EXPECT_EQ(a.calls.max_calls, 123U);
  ASSERT_EQ(a.auth.algorithms.size(), 1U);
  EXPECT_EQ(a.auth.algorithms[0], auth::Algorithm::sha256);
  EXPECT_NE(make_settings(c, keys, 5, 0, 2, *realms).gate.hash_key,
            a.gate.hash_key);  // every boot hashes anew
}

}  // namespace
}  // namespace tandem::node
