// DNS against a server of the test's own.
#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "net/dns_answer.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

std::string u16(unsigned v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
std::string u32(uint32_t v) { return u16(v >> 16) + u16(v & 0xffff); }
std::string wire_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const size_t dot = std::min(name.find('.'), name.size());
    out += static_cast<char>(dot);
    out += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return out + '\0';
}
std::string wire_string(const std::string& s) { return static_cast<char>(s.size()) + s; }
std::string record(uint16_t type, uint32_t ttl, const std::string& data) {
  return "\xc0\x0c" + u16(type) + u16(1) + u32(ttl) + u16(static_cast<unsigned>(data.size())) + data;
}

/// Answers from a table of {"name/type": answer section}; anything else does not exist.
class DnsServer {
 public:
  DnsServer() : thread_([this] { run(); }) {}
  ~DnsServer() {
    stop_ = true;
    UdpClient().send(socket_.address(), "stop");
    thread_.join();
  }
  std::string address() const { return socket_.address().to_string(); }
  void put(const std::string& key, std::vector<std::string> records) {
    const std::lock_guard lock(mutex_);
    answers_[key] = std::move(records);
  }
  void put_soa(const std::string& soa) { soa_ = soa; }
  std::atomic<bool> silent{false};
  std::atomic<int> queries{0};

 private:
  void run() {
    while (!stop_) {
      RawAddress from;
      char in[512];
      const ssize_t n = recvfrom(socket_.fd(), in, sizeof in, 0, from.get(), &from.length);
      if (n <= 0) {
        await_readable(socket_.fd());
        continue;
      }
      if (n < 17 || silent) continue;
      ++queries;
      const std::string query(in, static_cast<size_t>(n));
      const std::string reply = answer(query);
      sendto(socket_.fd(), reply.data(), reply.size(), 0, from.get(), from.length);
    }
  }
  std::string answer(const std::string& query) {
    std::string name;
    size_t at = 12;
    for (; query[at] != 0; at += static_cast<size_t>(query[at]) + 1)
      name += (name.empty() ? "" : ".") + query.substr(at + 1, static_cast<size_t>(query[at]));
    const std::string question = query.substr(12, at + 5 - 12);
    const std::string key = name + "/" + std::to_string(static_cast<uint8_t>(query[at + 2]));
    const std::lock_guard lock(mutex_);
    const auto found = answers_.find(key);
    std::string out = query.substr(0, 2) + (found == answers_.end() ? "\x81\x83" : "\x81\x80") + u16(1);
    const unsigned count = found == answers_.end() ? 0 : static_cast<unsigned>(found->second.size());
    out += u16(count) + u16(count == 0 && !soa_.empty() ? 1 : 0) + u16(0) + question;
    if (count > 0)
      for (const std::string& r : found->second) out += r;
    else
      out += soa_;
    return out;
  }
  UdpClient socket_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> answers_;
  std::string soa_;
  std::thread thread_;
};

class Dns : public testing::Test {
 protected:
  void begin() {
    world.config.dns.servers = {server.address()};
    world.config.dns.timeout = milliseconds(250);
    world.config.dns.tries = 1;
    world.start();
  }
  port::Answer ask(const std::string& name, uint16_t type) {
    world.on_worker(0, [&](Now now, TestWorker& w) {
      w.out.ask(port::AskDns{name, type}, now.mono + seconds(5), {});
    });
    return world.answers.take("DNS answer").answer;
  }
  std::vector<port::DnsRecord> records(const std::string& name, uint16_t type) {
    port::Answer answer = ask(name, type);
    auto* dns = std::get_if<port::DnsAnswer>(&answer);
    EXPECT_TRUE(dns) << name;
    return dns ? dns->records : std::vector<port::DnsRecord>{};
  }
  DnsServer server;
  World world;
};

TEST_F(Dns, ReadsEveryTypeWeAskFor) {
  server.put("sip.example/1", {record(1, 60, {192 - 256, 0, 2, 7})});
  server.put("sip.example/28",
             {record(28, 60, std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + '\x07')});
  server.put("_sip._udp.example/33", {record(33, 60, u16(10) + u16(20) + u16(5070) + wire_name("a.example")),
                                      record(33, 60, u16(20) + u16(0) + u16(5060) + wire_name("b.example"))});
  server.put("example/35", {record(35, 60,
                                   u16(1) + u16(2) + wire_string("s") + wire_string("SIP+D2T") +
                                       wire_string("") + wire_name("_sip._tcp.example"))});
  begin();
  EXPECT_EQ(records("SIP.example.", 1).at(0).address, IpAddress::v4(192, 0, 2, 7));
  EXPECT_EQ(records("sip.example", 28).at(0).address, *IpAddress::parse("2001:db8::7"));
  const auto srv = records("_sip._udp.example", 33);
  ASSERT_EQ(srv.size(), 2u);
  EXPECT_EQ(srv[0].priority, 10);
  EXPECT_EQ(srv[0].weight, 20);
  EXPECT_EQ(srv[0].port, 5070);
  EXPECT_EQ(srv[1].target, "b.example");
  const auto naptr = records("example", 35);
  ASSERT_EQ(naptr.size(), 1u);
  EXPECT_EQ(naptr[0].service, "SIP+D2T");
  EXPECT_EQ(naptr[0].flags, "s");
  EXPECT_EQ(naptr[0].target, "_sip._tcp.example");
}

TEST_F(Dns, CachesForTheTtlAndRemembersThatThereIsNothing) {
  server.put("a.example/1", {record(1, 300, "abcd")});
  begin();
  EXPECT_LE(records("a.example", 1).at(0).ttl, 300u);
  records("a.example", 1);
  EXPECT_EQ(server.queries, 1);
  EXPECT_TRUE(records("b.example", 1).empty());
  EXPECT_TRUE(records("b.example", 1).empty());
  EXPECT_EQ(server.queries, 2);
  EXPECT_EQ(world.runtime->dns_counters().total("net_dns_cache_hits_total"), 2u);
}

TEST_F(Dns, AZeroTtlIsAskedAgain) {
  server.put("a.example/1", {record(1, 0, "abcd")});
  world.config.dns.min_ttl = Duration{};
  begin();
  records("a.example", 1);
  records("a.example", 1);
  EXPECT_EQ(server.queries, 2);
}

TEST_F(Dns, FailsStaticWithTheLastAnswer) {
  server.put("a.example/1", {record(1, 0, "abcd")});
  world.config.dns.min_ttl = Duration{};
  begin();
  records("a.example", 1);
  server.silent = true;
  EXPECT_EQ(records("a.example", 1).size(), 1u);
  EXPECT_EQ(records("a.example", 1).size(), 1u);  // at once: the servers are known to be away
  EXPECT_EQ(world.runtime->dns_counters().total("net_dns_stale_total"), 2u);
  const port::Answer unknown = ask("never-seen.example", 1);
  EXPECT_EQ(std::get<port::AskFailure>(unknown), port::AskFailure::unavailable);
}

TEST_F(Dns, EqualQuestionsInFlightAreAskedOnce) {
  server.put("a.example/1", {record(1, 60, "abcd")});
  begin();
  world.on_worker(0, [&](Now now, TestWorker& w) {
    for (int i = 0; i < 10; ++i) w.out.ask(port::AskDns{"a.example", 1}, now.mono + seconds(5), {});
  });
  for (int i = 0; i < 10; ++i) world.answers.take("DNS answer");
  EXPECT_EQ(server.queries, 1);
}

TEST_F(Dns, TooManyQuestionsAreRefused) {
  server.silent = true;
  world.config.dns.max_outstanding = 2;
  begin();
  world.on_worker(0, [&](Now now, TestWorker& w) {
    for (int i = 0; i < 3; ++i)
      w.out.ask(port::AskDns{std::to_string(i) + ".example", 1}, now.mono + seconds(5), {});
  });
  const Answered first = world.answers.take("refusal");
  EXPECT_EQ(std::get<port::AskFailure>(first.answer), port::AskFailure::refused);
  // The answer comes from the thread that asked, the count from the DNS thread.
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto counted = [&] { return world.runtime->dns_counters().total("net_dns_refused_total"); };
  while (counted() == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(counted(), 1u);
}

TEST_F(Dns, TheHostsFileComesFirst) {
  TempDir dir;
  world.config.dns.hosts_file = dir.file("hosts");
  std::ofstream(world.config.dns.hosts_file) << "192.0.2.33 PBX.example pbx # the box\n2001:db8::5 pbx\n";
  begin();
  EXPECT_EQ(records("pbx.example", 1).at(0).address, IpAddress::v4(192, 0, 2, 33));
  EXPECT_EQ(records("pbx", 28).at(0).address, *IpAddress::parse("2001:db8::5"));
  EXPECT_TRUE(records("pbx.example", 28).empty());
  EXPECT_EQ(records("192.0.2.1", 1).at(0).address, IpAddress::v4(192, 0, 2, 1));
  EXPECT_EQ(server.queries, 0);
}

TEST(DnsAnswer, EveryTruncationIsSafe) {
  const std::string full =
      std::string("\x12\x34\x81\x80", 4) + u16(1) + u16(2) + u16(0) + u16(0) + wire_name("a.example") +
      u16(35) + u16(1) +
      record(35, 60,
             u16(1) + u16(2) + wire_string("s") + wire_string("SIP+D2T") + wire_string("") +
                 wire_name("_sip._tcp.example")) +
      record(35, 30,
             u16(1) + u16(2) + wire_string("s") + wire_string("x") + wire_string("") + wire_name("b"));
  DnsResponse whole;
  ASSERT_TRUE(read_dns_response(as_bytes(full), 35, whole));
  EXPECT_EQ(whole.records.size(), 2u);
  EXPECT_EQ(whole.ttl, 30u);
  for (size_t n = 0; n < full.size(); ++n) {
    const std::vector<uint8_t> cut(full.begin(),
                                   full.begin() + static_cast<long>(n));  // its own block: ASan sees
    DnsResponse out;
    EXPECT_FALSE(read_dns_response(cut, 35, out)) << n;
  }
}

}  // namespace
}  // namespace tandem::net::test
