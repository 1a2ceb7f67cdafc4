#include "edge/realm.h"

#include <gtest/gtest.h>

namespace tandem::edge {
namespace {

using port::Transport;

SocketAddress at(const char* text) { return *SocketAddress::parse(text); }

Realm inside() {
  Realm r;
  r.name = "inside";
  r.listeners = {{Transport::udp, at("10.0.0.1:5060"), "", 0},
                 {Transport::tcp, at("10.0.0.1:5060"), "", 0},
                 {Transport::udp, at("[2001:db8::1]:5060"), "", 0}};
  return r;
}
Realm outside() {
  Realm r;
  r.name = "outside";
  r.advertised_host = "203.0.113.5";
  r.listeners = {{Transport::udp, at("0.0.0.0:5080"), "", 0},
                 {Transport::tls, at("10.0.1.1:5061"), "SBC.example.com", 15061},
                 {Transport::wss, at("10.0.1.1:8443"), "", 443}};
  return r;
}
std::shared_ptr<const RealmTable> table() {
  auto t = RealmTable::build({inside(), outside()});
  EXPECT_TRUE(t.ok()) << (t.ok() ? "" : t.reason());
  return *t;
}
port::Path path(Transport t, port::RealmId realm, const char* local, const char* remote) {
  port::Path p;
  p.transport = t;
  p.realm = realm;
  if (*local) p.local = at(local);
  if (*remote) p.remote = at(remote);
  return p;
}

TEST(RealmTable, SentByIsWhatPeersReach) {
  const auto t = table();
  EXPECT_EQ(t->sent_by(path(Transport::udp, 0, "10.0.0.1:5060", "10.0.0.9:5060")), "10.0.0.1:5060");
  EXPECT_EQ(t->sent_by(path(Transport::udp, 0, "", "[2001:db8::9]:5060")), "[2001:db8::1]:5060");
  EXPECT_EQ(t->sent_by(path(Transport::udp, 1, "", "192.0.2.1:5060")), "203.0.113.5:5080");
  EXPECT_EQ(t->sent_by(path(Transport::tls, 1, "10.0.1.1:49152", "192.0.2.1:5061")), "sbc.example.com:15061");
  EXPECT_EQ(t->sent_by(path(Transport::wss, 1, "", "192.0.2.1:50000")), "203.0.113.5:443");
  // No TLS listener there: one that exists, rather than nothing.
  EXPECT_EQ(t->sent_by(path(Transport::tls, 0, "", "10.0.0.9:5061")), "10.0.0.1:5060");
  EXPECT_EQ(t->sent_by(path(Transport::udp, 77, "", "10.0.0.9:5060")), "10.0.0.1:5060");
}

TEST(RealmTable, ContactNamesTransportAndEscapesTheUser) {
  const auto t = table();
  EXPECT_EQ(t->contact_for(path(Transport::udp, 0, "", "10.0.0.9:5060"), "1001"), "<sip:1001@10.0.0.1:5060>");
  EXPECT_EQ(t->contact_for(path(Transport::tcp, 0, "", "10.0.0.9:5060"), ""),
            "<sip:10.0.0.1:5060;transport=tcp>");
  EXPECT_EQ(t->contact_for(path(Transport::tls, 1, "", "192.0.2.1:1"), "a b>"),
            "<sip:a%20b%3E@sbc.example.com:15061;transport=tls>");
  EXPECT_EQ(t->contact_for(path(Transport::wss, 1, "", "192.0.2.1:1"), "x"),
            "<sip:x@203.0.113.5:443;transport=ws>");
}

TEST(RealmTable, KnowsItsOwnNames) {
  const auto t = table();
  for (const char* ours :
       {"10.0.0.1", "203.0.113.5", "sbc.EXAMPLE.com", "sbc.example.com.", "[2001:db8:0::1]", "2001:db8::1"})
    EXPECT_TRUE(t->is_local(ours)) << ours;
  for (const char* other : {"10.0.0.2", "example.com", "0.0.0.0", "", "::1"})
    EXPECT_FALSE(t->is_local(other)) << other;
}

TEST(RealmTable, FindsRealms) {
  const auto t = table();
  EXPECT_EQ(t->find("outside"), 1);
  EXPECT_FALSE(t->find("nowhere"));
  EXPECT_EQ(t->names(), (std::vector<std::string>{"inside", "outside"}));
  EXPECT_EQ(t->realm_of(Transport::udp, at("10.0.0.1:5060")), 0);
  EXPECT_EQ(t->realm_of(Transport::udp, at("192.168.1.1:5080")), 1);
  EXPECT_FALSE(t->realm_of(Transport::tls, at("10.0.0.1:5060")));
  EXPECT_TRUE(t->has_v6(0));
  EXPECT_FALSE(t->has_v6(1));
  EXPECT_TRUE(t->has_v4(1));
}

TEST(RealmTable, SaysWhatIsWrong) {
  const auto why = [](auto change) {
    std::vector<Realm> realms = {inside(), outside()};
    change(realms);
    const auto t = RealmTable::build(std::move(realms));
    EXPECT_FALSE(t.ok());
    return t.ok() ? std::string() : t.reason();
  };
  EXPECT_NE(why([](auto& r) { r.clear(); }).find("at least one realm"), std::string::npos);
  EXPECT_NE(why([](auto& r) { r[1].name = "inside"; }).find("two realms"), std::string::npos);
  EXPECT_NE(why([](auto& r) { r[0].listeners.clear(); }).find("no listener"), std::string::npos);
  EXPECT_NE(why([](auto& r) { r[1].advertised_host.clear(); }).find("which one to advertise"),
            std::string::npos);
  EXPECT_NE(why([](auto& r) { r[1].advertised_host = "a>b"; }).find("cannot advertise"), std::string::npos);
  EXPECT_NE(why([](auto& r) { r[0].media.first_port = 40000; }).find("backwards"), std::string::npos);
  EXPECT_NE(why([](auto& r) { r[0].listeners[0].bound.port = 0; }).find("expected an address"),
            std::string::npos);
}

}  // namespace
}  // namespace tandem::edge
