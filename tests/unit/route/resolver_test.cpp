#include "route/resolver.h"

#include <gtest/gtest.h>

#include <map>

namespace tandem::route {
namespace {

using port::DnsRecord;
using port::Transport;

DnsRecord a(const char* ip) {
  DnsRecord r;
  r.address = *IpAddress::parse(ip);
  r.type = r.address.is_v6() ? 28 : 1;
  return r;
}
DnsRecord srv(uint16_t priority, uint16_t weight, uint16_t port, const char* target) {
  DnsRecord r;
  r.type = 33;
  r.priority = priority;
  r.weight = weight;
  r.port = port;
  r.target = target;
  return r;
}
DnsRecord naptr(uint16_t order, uint16_t preference, const char* service, const char* target) {
  DnsRecord r;
  r.type = 35;
  r.priority = order;
  r.weight = preference;
  r.flags = "s";
  r.service = service;
  r.target = target;
  return r;
}

/// A DNS of a few names, answered at once.
class ResolverTest : public ::testing::Test {
 protected:
  SeededRng rng{1};
  port::Outbox out;
  CounterSet counters;
  FailureCache failures{counters, 4, seconds(30)};
  Now now{{1'000'000'000}, {}};
  Resolver resolver;
  std::map<std::pair<std::string, uint16_t>, std::vector<DnsRecord>> zone;
  std::vector<std::string> asked;

  Resolver::Context context() { return {now, rng, out, failures, {port::Asker::Room::call, 5}}; }
  void add(const char* name, DnsRecord r) { zone[{name, r.type}].push_back(std::move(r)); }
  void answer_all() {
    for (int guard = 0; !out.asks.empty() && guard < 100; ++guard) {
      const port::Asked q = std::move(out.asks.front());
      out.asks.erase(out.asks.begin());
      const auto& dns = std::get<port::AskDns>(q.question);
      asked.push_back(dns.name + "/" + std::to_string(dns.type));
      EXPECT_TRUE(resolver.on_answer(context(), q.id, port::DnsAnswer{zone[{dns.name, dns.type}]}));
    }
  }
  std::string run(const char* uri, bool v6 = true) {
    const auto parsed = sip::Uri::parse(uri);
    auto target = parsed.ok() ? ResolveTarget::from(*parsed) : std::nullopt;
    if (!target) return "no target";
    target->v6 = v6;
    resolver.start(context(), *target);
    answer_all();
    return text();
  }
  std::string text() const {
    if (!resolver.done()) return "not done";
    if (resolver.hops().empty()) return to_string(resolver.error());
    std::string s;
    for (const Hop& h : resolver.hops()) {
      if (!s.empty()) s += ' ';
      s += std::string(port::to_string(h.transport)) + ":" + h.address.to_string();
      if (!h.server_name.empty()) s += "/" + h.server_name;
    }
    return s;
  }
};

TEST_F(ResolverTest, NumericHostsNeedNoQuestion) {
  EXPECT_EQ(run("sip:a@192.0.2.1"), "UDP:192.0.2.1:5060");
  EXPECT_EQ(run("sip:a@192.0.2.1:5070;transport=tcp"), "TCP:192.0.2.1:5070");
  EXPECT_EQ(run("sips:a@[2001:db8::1]"), "TLS:[2001:db8::1]:5061/[2001:db8::1]");
  EXPECT_EQ(run("sips:a@192.0.2.1;transport=tcp"), "TLS:192.0.2.1:5061/192.0.2.1");
  EXPECT_EQ(run("sip:a@example.com;maddr=192.0.2.9"), "UDP:192.0.2.9:5060");
  EXPECT_EQ(run("sip:a@[2001:db8::1]", false), "no_family");
  EXPECT_EQ(run("sip:a@192.0.2.1;transport=sctp"), "no target");
  EXPECT_EQ(run("tel:123"), "no target");
  EXPECT_TRUE(asked.empty());
}

TEST_F(ResolverTest, APortMeansAddressesOnly) {
  add("sip.example.com", a("192.0.2.1"));
  add("sip.example.com", a("2001:db8::1"));
  EXPECT_EQ(run("sip:a@SIP.example.com:5080"), "UDP:192.0.2.1:5080 UDP:[2001:db8::1]:5080");
  EXPECT_EQ(asked, (std::vector<std::string>{"sip.example.com/1", "sip.example.com/28"}));
}

TEST_F(ResolverTest, ATransportMeansSrv) {
  add("_sip._tcp.example.com", srv(2, 0, 5062, "b.example.com"));
  add("_sip._tcp.example.com", srv(1, 0, 5061, "a.example.com."));
  add("a.example.com", a("192.0.2.1"));
  add("b.example.com", a("192.0.2.2"));
  EXPECT_EQ(run("sip:a@example.com;transport=tcp", false), "TCP:192.0.2.1:5061 TCP:192.0.2.2:5062");
  add("other.example", a("192.0.2.3"));
  EXPECT_EQ(run("sip:a@other.example;transport=tls", false), "TLS:192.0.2.3:5061/other.example");
}

TEST_F(ResolverTest, NaptrChoosesTransports) {
  add("example.com", naptr(20, 0, "SIP+D2U", "_sip._udp.example.com"));
  add("example.com", naptr(10, 1, "SIP+D2T", "_sip._tcp.example.com"));
  add("example.com", naptr(10, 0, "SIPS+D2T", "_sips._tcp.example.com"));
  add("example.com", naptr(1, 0, "SIP+D2S", "_sip._sctp.example.com"));
  add("_sip._udp.example.com", srv(0, 0, 5060, "u.example.com"));
  add("_sip._tcp.example.com", srv(0, 0, 5060, "t.example.com"));
  add("_sips._tcp.example.com", srv(0, 0, 5061, "s.example.com"));
  add("u.example.com", a("192.0.2.1"));
  add("t.example.com", a("192.0.2.2"));
  add("s.example.com", a("192.0.2.3"));
  // The certificate must name the domain that was asked for, not the server DNS named.
  EXPECT_EQ(run("sip:a@example.com", false),
            "TLS:192.0.2.3:5061/example.com TCP:192.0.2.2:5060 UDP:192.0.2.1:5060");
  EXPECT_EQ(run("sips:a@example.com", false), "TLS:192.0.2.3:5061/example.com");
}

TEST_F(ResolverTest, WithoutNaptrAllServicesAndWithoutThoseAddresses) {
  add("example.com", a("192.0.2.9"));
  EXPECT_EQ(run("sip:a@example.com", false), "UDP:192.0.2.9:5060");
  EXPECT_EQ(asked, (std::vector<std::string>{"example.com/35", "_sip._udp.example.com/33",
                                             "_sip._tcp.example.com/33", "_sips._tcp.example.com/33",
                                             "example.com/1"}));
  asked.clear();
  EXPECT_EQ(run("sips:a@example.com", false), "TLS:192.0.2.9:5061/example.com");
  EXPECT_EQ(asked.size(), 3U);
  EXPECT_EQ(run("sip:a@nowhere.example"), "not_found");
  add("_sip._udp.closed.example", srv(0, 0, 0, "."));
  add("closed.example", a("192.0.2.1"));
  EXPECT_EQ(run("sip:a@closed.example;transport=udp"), "not_found");
}

TEST_F(ResolverTest, FamiliesByPreference) {
  add("example.com", a("192.0.2.1"));
  add("example.com", a("2001:db8::1"));
  ResolveTarget t;
  t.host = "example.com.";
  t.port = 5060;
  t.prefer_v6 = true;
  resolver.start(context(), t);
  answer_all();
  EXPECT_EQ(text(), "UDP:[2001:db8::1]:5060 UDP:192.0.2.1:5060");
  t.v6 = false;
  resolver.start(context(), t);
  answer_all();
  EXPECT_EQ(text(), "UDP:192.0.2.1:5060");
  t.host = "exa mple";
  EXPECT_TRUE(resolver.start(context(), t));
  EXPECT_EQ(text(), "bad_host");
}

TEST_F(ResolverTest, FailuresGoOnOrEnd) {
  ResolveTarget t;
  t.host = "example.com";
  t.v6 = false;
  resolver.start(context(), t);
  ASSERT_EQ(out.asks.size(), 1U);
  EXPECT_EQ(out.new_asks[0].asker.object, 5U);
  EXPECT_EQ(out.asks[0].deadline, now.mono + seconds(3));
  const auto fail_all = [&] {
    auto asks = std::move(out.asks);
    out.asks.clear();
    for (const auto& q : asks) resolver.on_answer(context(), q.id, port::AskFailure::timed_out);
  };
  now.mono = now.mono + seconds(4);
  fail_all();  // NAPTR: goes on with SRV, within the whole's patience
  ASSERT_EQ(out.asks.size(), 3U);
  EXPECT_EQ(out.asks[0].deadline, now.mono + seconds(2));
  fail_all();
  ASSERT_EQ(out.asks.size(), 1U);
  fail_all();
  EXPECT_EQ(text(), "timed_out");
}

TEST_F(ResolverTest, StrangersAndLateAnswersAreNotTaken) {
  ResolveTarget t;
  t.host = "example.com";
  t.port = 5060;
  resolver.start(context(), t);
  const auto first = out.asks[0].id;
  EXPECT_FALSE(resolver.on_answer(context(), 999, port::DnsAnswer{{a("192.0.2.66")}}));
  resolver.start(context(), t);
  EXPECT_FALSE(resolver.on_answer(context(), first, port::DnsAnswer{{a("192.0.2.66")}}));
  const auto second = out.asks[2].id;
  EXPECT_TRUE(resolver.on_answer(context(), second, port::DnsAnswer{{a("192.0.2.1")}}));
  EXPECT_FALSE(resolver.on_answer(context(), second, port::DnsAnswer{{a("192.0.2.2")}}));
  resolver.cancel();
  EXPECT_FALSE(resolver.on_answer(context(), out.asks[3].id, port::DnsAnswer{{a("192.0.2.2")}}));
}

TEST_F(ResolverTest, AnswersAreBounded) {
  for (int i = 0; i < 100; ++i) {
    const std::string name = "s" + std::to_string(i) + ".example.com";
    add("_sip._udp.example.com", srv(0, 1, 5060, name.c_str()));
    for (int j = 0; j < 100; ++j)
      add(name.c_str(), a(("10.0." + std::to_string(i) + "." + std::to_string(j)).c_str()));
  }
  run("sip:a@example.com;transport=udp");
  EXPECT_EQ(resolver.hops().size(), Resolver::max_hops);
  EXPECT_EQ(asked.size(), 1 + 2 * Resolver::max_servers);
}

TEST_F(ResolverTest, FailedServersComeLastForAWhile) {
  add("example.com", a("192.0.2.1"));
  add("example.com", a("192.0.2.2"));
  run("sip:a@example.com:5060", false);
  failures.note_failure(now.mono, resolver.hops()[0]);
  EXPECT_EQ(run("sip:a@example.com:5060", false), "UDP:192.0.2.2:5060 UDP:192.0.2.1:5060");
  now.mono = now.mono + seconds(31);
  EXPECT_EQ(run("sip:a@example.com:5060", false), "UDP:192.0.2.1:5060 UDP:192.0.2.2:5060");
  failures.note_failure(now.mono, resolver.hops()[0]);
  failures.note_success(resolver.hops()[0]);
  EXPECT_FALSE(failures.failed(now.mono, resolver.hops()[0]));
  for (uint8_t i = 0; i < 9; ++i)
    failures.note_failure(now.mono, {Transport::udp, {IpAddress::v4(10, 0, 0, i), 5060}, ""});
  EXPECT_EQ(failures.size(), 4U);
  EXPECT_EQ(counters.total("route_failure_cache_full_total"), 5U);
  now.mono = now.mono + seconds(31);
  failures.note_failure(now.mono, {Transport::udp, {IpAddress::v4(10, 0, 1, 1), 5060}, ""});
  EXPECT_EQ(failures.size(), 1U);
}

TEST(Srv, WeightsAreHonoured) {
  SeededRng rng(3);
  std::map<std::string, int> first;
  const int rounds = 20000;
  for (int i = 0; i < rounds; ++i) {
    std::vector<DnsRecord> records = {srv(10, 60, 1, "a"), srv(10, 20, 1, "b"), srv(10, 20, 1, "c"),
                                      srv(10, 0, 1, "zero"), srv(20, 100, 1, "backup")};
    Resolver::order_srv(records, rng);
    ASSERT_EQ(records.size(), 5U);
    ASSERT_EQ(records[4].target, "backup");
    ++first[records[0].target];
  }
  EXPECT_NEAR(first["a"], rounds * 0.6, rounds * 0.02);
  EXPECT_NEAR(first["b"], rounds * 0.2, rounds * 0.02);
  EXPECT_NEAR(first["c"], rounds * 0.2, rounds * 0.02);
  EXPECT_GT(first["zero"], 0);
  EXPECT_LT(first["zero"], rounds * 0.03);
}

TEST(Srv, RemainingOnesAreDrawnByWeightToo) {
  SeededRng rng(4);
  int b_second = 0, a_first = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<DnsRecord> records = {srv(1, 10, 1, "a"), srv(1, 30, 1, "b"), srv(1, 10, 1, "c")};
    Resolver::order_srv(records, rng);
    if (records[0].target != "a") continue;
    ++a_first;
    b_second += records[1].target == "b";
  }
  EXPECT_NEAR(static_cast<double>(b_second) / a_first, 0.75, 0.03);
}

}  // namespace
}  // namespace tandem::route
