#include "net/dns_service.h"

#include <ares.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/text.h"
#include "net/clock.h"
#include "net/dns_answer.h"
#include "net/dns_cache.h"
#include "net/hosts_file.h"
#include "net/sockets.h"

namespace tandem::net {
namespace {

// With a stale answer at hand nobody waits longer than this for a fresh one (RFC 8767 section 5).
constexpr Duration stale_wait = milliseconds(500);
constexpr Duration retry_pause = seconds(5);

std::string key_of(const std::string& name, uint16_t type) { return fmt::format("{}/{}", name, type); }

}  // namespace

struct DnsService::Impl {
  struct Waiter {
    uint16_t worker;
    port::AskId id;
  };
  struct Request {
    Waiter from;
    port::AskDns question;
  };
  struct Query {
    Impl* service;
    std::string name;
    uint16_t type;
    std::vector<Waiter> waiters;
    Instant stale_by = Instant::never();  // answer from the stale entry then
  };

  Impl(DnsConfig c, Sink& s)
      : config(std::move(c)), sink(s), hosts(config.hosts_file), cache(config.cache_entries) {}

  void run();
  void take_requests();
  void resolve(Request request);
  bool answer_local(const Waiter& from, const port::AskDns& question);
  void begin(Request request, Instant stale_by);
  void finished(Query& query, int status, Bytes response);
  void remember(const Query& query, const DnsResponse& response, bool negative);
  void answer_stale(Instant t);
  void poll_once();
  void reply(const Waiter& to, const std::vector<port::DnsRecord>& records, Instant expires);
  void fail(const Waiter& to, port::AskFailure why) { sink.dns_answer(to.worker, to.id, why); }

  const DnsConfig config;
  Sink& sink;
  Fd wake{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  std::thread thread;
  std::mutex mutex;
  std::vector<Request> requests;  // under mutex
  uint64_t overflowed = 0;        // under mutex: refused before they got here
  bool stopping = false;          // under mutex

  // The thread's own.
  ares_channel channel = nullptr;
  HostsFile hosts;
  DnsCache cache;
  std::unordered_map<std::string, std::unique_ptr<Query>> queries;
  bool done = false;
  CounterSet counters;
  Counter& asked = counters.counter("net_dns_questions_total", "DNS questions of the workers");
  Counter& hits = counters.counter("net_dns_cache_hits_total", "DNS questions answered from the cache");
  Counter& sent = counters.counter("net_dns_queries_total", "DNS questions put to a server");
  Counter& stale = counters.counter("net_dns_stale_total", "DNS answers served past their TTL");
  Counter& failed = counters.counter("net_dns_failures_total", "DNS questions no server answered");
  Counter& refused = counters.counter("net_dns_refused_total", "DNS questions refused: too many in flight");
};

DnsService::DnsService(DnsConfig config, Sink& sink)
    : impl_(std::make_unique<Impl>(std::move(config), sink)) {}

DnsService::~DnsService() {
  stop();
  if (impl_->channel) ares_destroy(impl_->channel);
}

const CounterSet& DnsService::counters() const { return impl_->counters; }

Status<std::string> DnsService::start() {
  static const int library = ares_library_init(ARES_LIB_INIT_ALL);
  if (library != ARES_SUCCESS) return Failure{fmt::format("cannot start DNS: {}", ares_strerror(library))};
  ares_options options{};
  options.timeout = static_cast<int>(std::chrono::duration_cast<milliseconds>(impl_->config.timeout).count());
  options.tries = impl_->config.tries;
  if (const int r = ares_init_options(&impl_->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES); r != 0)
    return Failure{fmt::format("cannot start DNS: {}", ares_strerror(r))};
  if (!impl_->config.servers.empty()) {
    const std::string servers = fmt::format("{}", fmt::join(impl_->config.servers, ","));
    if (ares_set_servers_ports_csv(impl_->channel, servers.c_str()) != ARES_SUCCESS)
      return Failure{
          fmt::format("bad DNS server list \"{}\", expected addresses like 192.0.2.53:53", servers)};
  }
  impl_->thread = std::thread([this] { impl_->run(); });
  pthread_setname_np(impl_->thread.native_handle(), "dns");
  return Done{};
}

void DnsService::stop() {
  if (!impl_->thread.joinable()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(impl_->wake.get(), &one, sizeof one);
  impl_->thread.join();
}

void DnsService::ask(uint16_t worker, port::AskId id, port::AskDns question) {
  bool first, full;
  {
    const std::lock_guard lock(impl_->mutex);
    first = impl_->requests.empty();
    full = impl_->requests.size() >= impl_->config.max_outstanding;
    if (full)
      ++impl_->overflowed;
    else
      impl_->requests.push_back({{worker, id}, std::move(question)});
  }
  if (full) return impl_->fail({worker, id}, port::AskFailure::refused);
  const uint64_t one = 1;
  if (first) [[maybe_unused]]
    const ssize_t n = write(impl_->wake.get(), &one, sizeof one);
}

// ---- the thread ----

void DnsService::Impl::run() {
  sigset_t all;
  sigfillset(&all);
  for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fatal);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (!done) poll_once();
}

void DnsService::Impl::poll_once() {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const int bits = ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM);
  std::vector<pollfd> fds{{wake.get(), POLLIN, 0}};
  for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    short events = 0;
    if (ARES_GETSOCK_READABLE(bits, i)) events |= POLLIN;
    if (ARES_GETSOCK_WRITABLE(bits, i)) events |= POLLOUT;
    if (events) fds.push_back({sockets[static_cast<size_t>(i)], events, 0});
  }
  timeval longest{60, 0}, until{};
  if (std::any_of(queries.begin(), queries.end(), [](auto& q) { return !q.second->stale_by.is_never(); }))
    longest = {0, 50'000};
  const timeval* wait = ares_timeout(channel, &longest, &until);
  poll(fds.data(), fds.size(), static_cast<int>(wait->tv_sec * 1000 + wait->tv_usec / 1000 + 1));
  for (size_t i = 1; i < fds.size(); ++i) {
    const bool readable = fds[i].revents & (POLLIN | POLLERR | POLLHUP);
    const bool writable = fds[i].revents & POLLOUT;
    if (readable || writable)
      ares_process_fd(channel, readable ? fds[i].fd : ARES_SOCKET_BAD,
                      writable ? fds[i].fd : ARES_SOCKET_BAD);
  }
  ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // time-outs
  answer_stale(now().mono);
  if (fds[0].revents) take_requests();
}

void DnsService::Impl::take_requests() {
  uint64_t count;
  [[maybe_unused]] const ssize_t n = read(wake.get(), &count, sizeof count);
  std::vector<Request> taken;
  {
    const std::lock_guard lock(mutex);
    taken.swap(requests);
    refused.add(std::exchange(overflowed, 0));
    done = stopping;
  }
  for (Request& r : taken) resolve(std::move(r));
}

void DnsService::Impl::reply(const Waiter& to, const std::vector<port::DnsRecord>& records, Instant expires) {
  port::DnsAnswer answer{records};
  const auto left = std::max<int64_t>(0, (expires - now().mono).count() / 1'000'000'000);
  for (port::DnsRecord& r : answer.records) r.ttl = static_cast<uint32_t>(std::min<int64_t>(r.ttl, left));
  sink.dns_answer(to.worker, to.id, std::move(answer));
}

bool DnsService::Impl::answer_local(const Waiter& from, const port::AskDns& question) {
  if (question.type != dns_type::a && question.type != dns_type::aaaa) return false;
  const auto family = question.type == dns_type::a ? IpAddress::Family::v4 : IpAddress::Family::v6;
  const Instant t = now().mono;
  std::vector<IpAddress> addresses;
  if (const auto literal = IpAddress::parse(question.name))
    addresses.push_back(*literal);
  else if (const auto* found = hosts.find(question.name, t))
    addresses = *found;
  else
    return false;
  std::vector<port::DnsRecord> records;
  for (const IpAddress& ip : addresses)
    if (ip.family == family) records.push_back({.type = question.type, .ttl = 60, .address = ip});
  reply(from, records, t + seconds(61));
  return true;
}

void DnsService::Impl::resolve(Request request) {
  asked.add();
  request.question.name = lower(request.question.name);
  if (request.question.name.ends_with('.')) request.question.name.pop_back();
  if (answer_local(request.from, request.question)) return;
  const std::string key = key_of(request.question.name, request.question.type);
  const Instant t = now().mono;
  Instant stale_by = Instant::never();
  if (const DnsCache::Entry* e = cache.find(key, t)) {
    if (e->expires > t || e->retry_at > t) {
      (e->expires > t ? hits : stale).add();
      return reply(request.from, e->records, e->expires);
    }
    stale_by = t + stale_wait;
  }
  if (const auto it = queries.find(key); it != queries.end()) {
    it->second->waiters.push_back(request.from);
    return;
  }
  if (queries.size() >= config.max_outstanding) {
    refused.add();
    return fail(request.from, port::AskFailure::refused);
  }
  begin(std::move(request), stale_by);
}

void DnsService::Impl::begin(Request request, Instant stale_by) {
  const std::string key = key_of(request.question.name, request.question.type);
  auto& query = queries[key];
  query = std::make_unique<Query>(
      Query{this, request.question.name, request.question.type, {request.from}, stale_by});
  sent.add();
  const auto answered = [](void* arg, int status, int, unsigned char* data, int length) {
    auto* q = static_cast<Query*>(arg);
    q->service->finished(*q, status, data ? Bytes(data, static_cast<size_t>(length)) : Bytes{});
  };
  // The callback may run before the call returns (a bad name): `query` may be gone after it. Search domains
  // are for host names without a dot alone: names in SIP messages are absolute.
  Query* q = query.get();
  const bool address = q->type == dns_type::a || q->type == dns_type::aaaa;
  if (address && q->name.find('.') == std::string::npos)
    ares_search(channel, q->name.c_str(), ns_c_in, q->type, answered, q);
  else
    ares_query(channel, q->name.c_str(), ns_c_in, q->type, answered, q);
}

void DnsService::Impl::finished(Query& query, int status, Bytes response) {
  const std::string key = key_of(query.name, query.type);
  const auto node = queries.extract(key);  // keeps the query alive to the end of this function
  if (status == ARES_EDESTRUCTION) return;
  DnsResponse parsed;
  const bool readable = response.empty() || read_dns_response(response, query.type, parsed);
  // A name that cannot exist (ARES_EBADNAME) is answered as one that does not.
  const bool negative = status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_EBADNAME;
  if ((status == ARES_SUCCESS && readable) || negative) {
    if (negative) parsed.records.clear();
    remember(query, parsed, parsed.records.empty());
    const DnsCache::Entry* e = cache.find(key, now().mono);
    for (const Waiter& w : query.waiters)
      reply(w, e ? e->records : parsed.records, e ? e->expires : now().mono);
    return;
  }
  failed.add();
  const Instant t = now().mono;
  DnsCache::Entry* e = cache.find(key, t);
  if (e) e->retry_at = t + retry_pause;
  for (const Waiter& w : query.waiters) {
    if (e) {
      stale.add();
      reply(w, e->records, e->expires);
    } else {
      fail(w, port::AskFailure::unavailable);
    }
  }
}

void DnsService::Impl::remember(const Query& query, const DnsResponse& response, bool negative) {
  Duration ttl = negative ? config.negative_ttl : Duration(seconds(response.ttl));
  if (negative && response.negative_ttl_known) ttl = std::min<Duration>(ttl, seconds(response.negative_ttl));
  ttl = std::clamp(ttl, config.min_ttl, config.max_ttl);
  const Instant t = now().mono;
  cache.put({key_of(query.name, query.type), response.records, t + ttl,
             t + ttl + (negative ? Duration{} : config.stale), Instant{}});
}

/// Those who have waited long enough get what we last knew; the query goes on for the next ones.
void DnsService::Impl::answer_stale(Instant t) {
  for (auto& [key, query] : queries) {
    if (query->stale_by > t) continue;
    query->stale_by = Instant::never();
    DnsCache::Entry* e = cache.find(key, t);
    if (!e) continue;
    e->retry_at = t + retry_pause;
    for (const Waiter& w : query->waiters) {
      stale.add();
      reply(w, e->records, e->expires);
    }
    query->waiters.clear();
  }
}

}  // namespace tandem::net
