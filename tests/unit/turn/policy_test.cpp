// Whom clients may not reach, in every form an address can be written.
#include "turn/policy.h"

#include <gtest/gtest.h>

#include <cstring>

namespace tandem::turn {
namespace {

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

/// IpAddress::parse turns IPv4-mapped text into IPv4; on the wire it stays IPv6.
IpAddress v6_around(std::initializer_list<uint8_t> before, const IpAddress& v4, size_t where,
                    uint8_t flip = 0) {
  IpAddress out;
  out.family = IpAddress::Family::v6;
  std::copy(before.begin(), before.end(), out.bytes.begin());
  for (size_t i = 0; i < 4; ++i) out.bytes[where + i] = v4.bytes[i] ^ flip;
  return out;
}

struct Sample {
  const char* address;
  Denied why;
};
const Sample denied_v4[] = {
    {"0.0.0.0", Denied::unspecified},
    {"0.1.2.3", Denied::unspecified},
    {"127.0.0.1", Denied::loopback},
    {"127.255.255.254", Denied::loopback},
    {"10.0.0.1", Denied::private_use},
    {"10.255.255.255", Denied::private_use},
    {"172.16.0.1", Denied::private_use},
    {"172.31.255.254", Denied::private_use},
    {"192.168.1.1", Denied::private_use},
    {"100.64.0.1", Denied::shared},
    {"100.127.255.254", Denied::shared},
    {"169.254.1.1", Denied::link_local},
    {"169.254.169.254", Denied::metadata},
    {"169.254.170.2", Denied::metadata},
    {"100.100.100.200", Denied::metadata},
    {"168.63.129.16", Denied::metadata},
    {"224.0.0.1", Denied::multicast},
    {"239.255.255.250", Denied::multicast},
    {"240.0.0.1", Denied::broadcast},
    {"255.255.255.255", Denied::broadcast},
    {"192.0.0.170", Denied::special},
    {"192.0.2.5", Denied::special},
    {"198.18.0.1", Denied::special},
    {"198.51.100.5", Denied::special},
    {"203.0.113.5", Denied::special},
    {"192.88.99.1", Denied::special},
    {"5.6.7.8", Denied::own},
};
const Sample denied_v6[] = {
    {"::", Denied::unspecified},           {"::1", Denied::loopback},
    {"fe80::1", Denied::link_local},       {"febf::1", Denied::link_local},
    {"fec0::1", Denied::link_local},       {"fc00::1", Denied::private_use},
    {"fd12:3456::1", Denied::private_use}, {"fd00:ec2::254", Denied::metadata},
    {"fd20:ce::254", Denied::metadata},    {"ff02::1", Denied::multicast},
    {"100::1", Denied::special},           {"2001:db8::1", Denied::special},
    {"2001:10::1", Denied::special},       {"64:ff9b:1::808:808", Denied::special},
    {"2606:4700::9", Denied::own},
};
const char* const open_addresses[] = {
    "8.8.8.8",      "1.1.1.1",         "100.63.255.255",   "100.128.0.1",    "172.15.0.1",
    "172.32.0.1",   "11.0.0.1",        "223.255.255.255",  "169.253.0.1",    "192.1.0.1",
    "2606:4700::1", "2a00:1450::200e", "64:ff9b::808:808", "2002:808:808::1"};

PolicyConfig base() {
  PolicyConfig c;
  c.own = {ip("5.6.7.8"), ip("2606:4700::9")};
  return c;
}

TEST(PeerPolicy, DeniesEverythingThatIsNotTheOpenInternet) {
  const PeerPolicy policy(base());
  for (const Sample& s : denied_v4) EXPECT_EQ(policy.judge(ip(s.address)), s.why) << s.address;
  for (const Sample& s : denied_v6) EXPECT_EQ(policy.judge(ip(s.address)), s.why) << s.address;
  for (const char* a : open_addresses) EXPECT_EQ(policy.judge(ip(a)), Denied::no) << a;
}

TEST(PeerPolicy, SeesThroughEveryFormOfAnIpv4AddressInIpv6) {
  const PeerPolicy policy(base());
  for (const Sample& s : denied_v4) {
    const IpAddress v4 = ip(s.address);
    const std::pair<const char*, IpAddress> forms[] = {
        {"mapped", v6_around({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, v4, 12)},
        {"translated", v6_around({0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, v4, 12)},
        {"NAT64", v6_around({0, 0x64, 0xff, 0x9b}, v4, 12)},
        {"6to4", v6_around({0x20, 0x02}, v4, 2)},
        {"Teredo", v6_around({0x20, 0x01, 0, 0}, v4, 12, 0xff)},
        {"ISATAP", v6_around({0x26, 0x06, 0x47, 0, 0, 0, 0, 0, 0, 0, 0x5e, 0xfe}, v4, 12)},
        {"ISATAP, global", v6_around({0x26, 0x06, 0x47, 0, 0, 0, 0, 0, 2, 0, 0x5e, 0xfe}, v4, 12)},
    };
    for (const auto& [form, address] : forms)
      EXPECT_EQ(policy.judge(address), s.why) << s.address << " as " << form;
    // ::/96: all but :: and ::1, which are themselves
    if (const IpAddress compatible = v6_around({}, v4, 12); !compatible.is_unspecified())
      EXPECT_EQ(policy.judge(compatible), s.why) << s.address << " as compatible";
  }
}

TEST(PeerPolicy, ListsOpenAndClose) {
  PolicyConfig c = base();
  c.allow = {*IpPrefix::parse("10.1.0.0/16"), *IpPrefix::parse("5.6.7.8")};
  c.deny = {*IpPrefix::parse("10.1.2.0/24"), *IpPrefix::parse("8.8.8.0/24")};
  const PeerPolicy policy(c);
  EXPECT_EQ(policy.judge(ip("10.1.1.1")), Denied::no);
  EXPECT_EQ(policy.judge(ip("10.2.1.1")), Denied::private_use);
  EXPECT_EQ(policy.judge(ip("10.1.2.1")), Denied::configured) << "deny wins";
  EXPECT_EQ(policy.judge(ip("8.8.8.8")), Denied::configured);
  EXPECT_EQ(policy.judge(v6_around({0, 0x64, 0xff, 0x9b}, ip("8.8.8.8"), 12)), Denied::configured);
  EXPECT_EQ(policy.judge(ip("5.6.7.8")), Denied::no);
}

TEST(PeerPolicy, OfOurRelayAddressOnlyRelayPortsAreOpen) {
  PolicyConfig c = base();
  c.relays = {ip("5.6.7.8"), ip("127.0.0.1")};
  c.own.push_back(ip("127.0.0.1"));
  c.first_port = 50000;
  c.last_port = 50009;
  const PeerPolicy policy(c);
  EXPECT_EQ(policy.judge(ip("5.6.7.8")), Denied::no) << "two clients that both relay";
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 50009}), Denied::no);
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 50010}), Denied::own);
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 5432}), Denied::own);
  EXPECT_EQ(policy.judge(SocketAddress{v6_around({0x20, 0x02}, ip("5.6.7.8"), 2), 22}), Denied::own);
  EXPECT_EQ(policy.judge(SocketAddress{ip("127.0.0.1"), 50001}), Denied::loopback)
      << "a relay on the loopback opens nothing";
}

TEST(PeerPolicy, AddressesOfTheMachineComeAndGo) {
  PeerPolicy policy(base());
  EXPECT_EQ(policy.judge(ip("9.9.9.9")), Denied::no);
  policy.set_machine({ip("9.9.9.9"), ip("2600::1")});
  EXPECT_EQ(policy.judge(ip("9.9.9.9")), Denied::own);
  EXPECT_EQ(policy.judge(ip("2600::1")), Denied::own);
  policy.set_machine({ip("9.9.9.10")});
  EXPECT_EQ(policy.judge(ip("9.9.9.9")), Denied::no);
  EXPECT_EQ(policy.judge(SocketAddress{ip("9.9.9.10"), 22}), Denied::own);
}

TEST(PeerPolicy, OfOurMediaAddressOnlyTheBrowsersPortsAreOpen) {
  PolicyConfig c;
  c.own = {ip("5.6.7.8"), ip("10.0.0.1")};
  c.media = {{ip("5.6.7.8"), 8444}, {ip("5.6.7.8"), 8445}, {ip("10.0.0.1"), 8444}};
  const PeerPolicy policy(c);
  EXPECT_EQ(policy.judge(ip("5.6.7.8")), Denied::no);
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 8445}), Denied::no);
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 8446}), Denied::own);
  EXPECT_EQ(policy.judge(SocketAddress{ip("5.6.7.8"), 50000}), Denied::own) << "no relay address";
  EXPECT_EQ(policy.judge(SocketAddress{v6_around({0x20, 0x02}, ip("5.6.7.8"), 2), 8443}), Denied::own);
  EXPECT_EQ(policy.judge(SocketAddress{ip("10.0.0.1"), 8444}), Denied::private_use);
  c.deny = {*IpPrefix::parse("5.6.0.0/16")};
  EXPECT_EQ(PeerPolicy(c).judge(SocketAddress{ip("5.6.7.8"), 8444}), Denied::configured);
}

}  // namespace
}  // namespace tandem::turn
