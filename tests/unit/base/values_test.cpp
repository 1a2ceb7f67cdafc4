// Addresses, text, results, hashes, random numbers, counters.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/address.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/text.h"

namespace tandem {
namespace {

TEST(IpAddress, ReadsAndWritesBothFamilies) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::1", "fe80::1"}) {
    const auto ip = IpAddress::parse(text);
    ASSERT_TRUE(ip) << text;
    EXPECT_EQ(ip->to_string(), text);
  }
  EXPECT_EQ(IpAddress::parse("[2001:DB8:0:0::1]")->to_string(), "2001:db8::1");
}

TEST(IpAddress, AMappedAddressIsIpv4) {
  const auto ip = IpAddress::parse("::ffff:192.0.2.7");
  ASSERT_TRUE(ip);
  EXPECT_EQ(*ip, IpAddress::v4(192, 0, 2, 7));
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "example.com", "fe80::1%eth0", "[::1",
                           ":::", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, KnowsItsKind) {
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  EXPECT_TRUE(ip("127.3.2.1").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_TRUE(ip("0.0.0.0").is_unspecified());
  EXPECT_TRUE(ip("::").is_unspecified());
  EXPECT_FALSE(IpAddress{}.is_unspecified());
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                           "100.127.0.1", "169.254.1.1", "fc00::1", "fd12::1", "fe80::1", "febf::1"})
    EXPECT_TRUE(ip(text).is_private()) << text;
  for (const char* text : {"172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "192.169.0.1", "8.8.8.8",
                           "2001:db8::1", "fec0::1"})
    EXPECT_FALSE(ip(text).is_private()) << text;
}

TEST(SocketAddress, ReadsAndWrites) {
  for (const char* text : {"192.0.2.1:5060", "[2001:db8::1]:5061", "0.0.0.0:0", "[::]:65535"}) {
    const auto a = SocketAddress::parse(text);
    ASSERT_TRUE(a) << text;
    EXPECT_EQ(a->to_string(), text);
  }
  for (const char* text : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:80x",
                           "2001:db8::1:5060", "host:5060", ":5060", ""})
    EXPECT_FALSE(SocketAddress::parse(text)) << text;
}

TEST(SocketAddress, HashTellsPortsAndFamiliesApart) {
  const SocketAddressHash hash;
  const SocketAddress a{IpAddress::v4(192, 0, 2, 1), 5060};
  EXPECT_EQ(hash(a), hash(SocketAddress{a}));
  EXPECT_NE(hash(a), hash({a.ip, 5061}));
  EXPECT_NE(hash(a), hash({IpAddress::v4(192, 0, 2, 2), 5060}));
  IpAddress six;
  six.family = IpAddress::Family::v6;
  six.bytes = a.ip.bytes;
  EXPECT_NE(hash(a), hash({six, 5060}));
}

TEST(IpPrefix, Contains) {
  const auto in = [](const char* prefix, const char* ip) {
    return IpPrefix::parse(prefix)->contains(*IpAddress::parse(ip));
  };
  EXPECT_TRUE(in("10.0.0.0/8", "10.255.1.2"));
  EXPECT_FALSE(in("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(in("192.0.2.0/28", "192.0.2.15"));
  EXPECT_FALSE(in("192.0.2.0/28", "192.0.2.16"));
  EXPECT_TRUE(in("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(in("0.0.0.0/0", "::1"));
  EXPECT_TRUE(in("192.0.2.1", "192.0.2.1"));
  EXPECT_FALSE(in("192.0.2.1", "192.0.2.2"));
  EXPECT_TRUE(in("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_EQ(IpPrefix::parse("192.0.2.1")->to_string(), "192.0.2.1/32");
  for (const char* text : {"192.0.2.0/33", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/x", "/8", ""})
    EXPECT_FALSE(IpPrefix::parse(text)) << text;
}

TEST(Text, ComparesWithoutCaseOrLocale) {
  EXPECT_TRUE(iequals("Call-ID", "cALL-id"));
  EXPECT_FALSE(iequals("Call-ID", "Call-I"));
  EXPECT_FALSE(iequals("\xc4", "\xe4"));  // only ASCII has case here
  EXPECT_TRUE(istarts_with("Digest realm", "digest "));
  EXPECT_FALSE(istarts_with("Dig", "digest"));
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \r\n"), "");
  EXPECT_EQ(lower("AbC-9\xc4"), "abc-9\xc4");
}

TEST(Text, NumbersAreWholeAndFit) {
  EXPECT_EQ(parse_u32("0"), 0U);
  EXPECT_EQ(parse_u32("4294967295"), 4294967295U);
  EXPECT_EQ(parse_u64("18446744073709551615"), 18446744073709551615ULL);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1x", "4294967296", "99999999999999999999"})
    EXPECT_FALSE(parse_u32(text)) << text;
  EXPECT_FALSE(parse_u64("18446744073709551616"));
}

TEST(Text, Hex) {
  EXPECT_EQ(to_hex(std::string_view("\x00\xff\x1e", 3)), "00ff1e");
  EXPECT_EQ(from_hex("00FF1e"), std::string("\x00\xff\x1e", 3));
  EXPECT_EQ(from_hex(""), "");
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
}

TEST(Hash, IsStableForEver) {
  // The shard of a Call-ID follows from these on every node of a cluster: a change here is a migration.
  EXPECT_EQ(hash64(""), hash64("", 0));
  EXPECT_NE(hash64("a"), hash64("b"));
  EXPECT_NE(hash64("a", 1), hash64("a", 2));
  EXPECT_NE(hash64(std::string_view("\0", 1)), hash64(std::string_view("\0\0", 2)));
  std::set<uint64_t> seen;
  const std::string text(40, 'x');
  for (size_t n = 0; n <= text.size(); ++n) seen.insert(hash64(std::string_view(text).substr(0, n)));
  EXPECT_EQ(seen.size(), text.size() + 1);
}

TEST(Rng, SameSeedSameNumbers) {
  SeededRng a(7), b(7), c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t x = a.next();
    EXPECT_EQ(x, b.next());
    differs = differs || x != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Rng, BelowStaysBelowAndReachesAll) {
  SeededRng rng(1);
  std::array<int, 7> seen{};
  for (int i = 0; i < 7000; ++i) {
    const uint64_t n = rng.below(7);
    ASSERT_LT(n, 7U);
    ++seen[n];
  }
  for (int count : seen) EXPECT_NEAR(count, 1000, 200);
  EXPECT_EQ(rng.below(1), 0U);
}

TEST(Rng, TokensAreOfTheAlphabet) {
  SeededRng rng(3);
  const std::string token = rng.token(500);
  EXPECT_EQ(token.size(), 500U);
  EXPECT_EQ(token.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"), std::string::npos);
  EXPECT_NE(token.substr(0, 20), rng.token(20));
}

TEST(Rng, FillsOddLengths) {
  for (size_t n = 0; n < 20; ++n) {
    SeededRng rng(5);
    std::array<uint8_t, 24> bytes{};
    rng.fill(MutableBytes(bytes.data(), n));
    EXPECT_TRUE(std::all_of(bytes.begin() + static_cast<ptrdiff_t>(n), bytes.end(), [](uint8_t b) {
      return b == 0;
    })) << n;
  }
}

enum class Why { one, two };

TEST(Result, HoldsAValueOrAReason) {
  Result<int, Why> good(5);
  Result<int, Why> bad(Failure{Why::two});
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(*good, 5);
  EXPECT_EQ(good.value_or(9), 5);
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.reason(), Why::two);
  EXPECT_EQ(bad.value_or(9), 9);
  Status<Why> done = Done{};
  EXPECT_TRUE(done.ok());
}

TEST(ResultDeathTest, TheWrongSideIsAProgrammingError) {
  Result<int, Why> good(5);
  Result<int, Why> bad(Failure{Why::one});
  EXPECT_DEATH((void)good.reason(), "");
  EXPECT_DEATH((void)bad.value(), "");
}

TEST(Text, BrokenUtf8IsReplacedByteByByte) {
  EXPECT_EQ(valid_utf8("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e"),
            "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x93\x9e");
  EXPECT_EQ(valid_utf8("a\xff"
                       "b\xc3"),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
  EXPECT_EQ(valid_utf8("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");  // overlong
  EXPECT_EQ(valid_utf8("\xed\xa0\x80").size(), 9U);               // a surrogate
  EXPECT_EQ(valid_utf8("\xf4\x90\x80\x80").size(), 12U);          // past U+10FFFF
  EXPECT_EQ(valid_utf8(""), "");
}

TEST(Hash, AnEmptyViewNeedsNoText) { EXPECT_EQ(hash64(std::string_view()), hash64("")); }

TEST(Text, PlainTextHasNoControls) {
  EXPECT_TRUE(is_plain_text("M\xc3\xbcller, +49 30"));
  EXPECT_TRUE(is_plain_text(""));
  for (const std::string_view bad : {"a\r\nb", "\t", "\x7f", "\xc2\x85", "\xff", "\xc3("})
    EXPECT_FALSE(is_plain_text(bad)) << bad;
  EXPECT_FALSE(is_plain_text(std::string_view("a\0b", 3)));
}

TEST(Counters, OneByNameAndLabels) {
  CounterSet set;
  Counter& a = set.counter("x_total", "help", "reason=\"a\"");
  Counter& b = set.counter("x_total", "help", "reason=\"b\"");
  EXPECT_EQ(&a, &set.counter("x_total", "help", "reason=\"a\""));
  a.add();
  b.add(4);
  EXPECT_EQ(set.total("x_total"), 5U);
  EXPECT_EQ(set.total("y_total"), 0U);
  Counter& gauge = set.gauge("open", "help");
  gauge.set(10);
  gauge.sub(3);
  EXPECT_EQ(gauge.value(), 7U);
  EXPECT_EQ(set.entries().size(), 3U);
  for (int i = 0; i < 1000; ++i)
    set.counter("n" + std::to_string(i), "");  // references stay good while the set grows
  a.add();
  EXPECT_EQ(set.total("x_total"), 6U);
}

}  // namespace
}  // namespace tandem
