// rooms: net
// Relay cost: sessions of two paired ports each over loopback, 160-byte G.711 packets at a fixed rate, CPU
// seconds per million packets relayed, beside a plain recvmmsg/sendmmsg echo over as many sockets in the same
// run. The load generator runs on its own thread; only the CPU time of the thread under test counts.
//
//   bench_net_relay [--sessions N] [--pps N] [--seconds N]
#include <pthread.h>
#include <sys/epoll.h>
#include <time.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "net/clock.h"
#include "net/runtime.h"
#include "net/sockets.h"

using namespace tandem;

namespace {

constexpr size_t packet_bytes = 172;  // RTP header and 20 ms of G.711

struct Plan {
  int sessions = 500;
  int pps = 50'000;
  int seconds = 5;
};

double cpu_seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Sends from one socket per destination, evenly spread over each 20 ms, and counts what comes back.
class Load {
 public:
  Load(const Plan& plan, std::vector<SocketAddress> targets) : plan_(plan), targets_(std::move(targets)) {
    poll_ = Fd(epoll_create1(0));
    for (size_t i = 0; i < targets_.size(); ++i) {
      auto fd = net::bind_udp({IpAddress::v4(127, 0, 0, 1), 0}, {});
      if (!fd.ok()) std::exit(1);
      own_.push_back(net::local_address(fd->get()));
      epoll_event e{.events = EPOLLIN, .data = {.u64 = i}};
      epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd->get(), &e);
      fds_.push_back(std::move(fd).value());
    }
  }
  using Fd = net::Fd;
  const std::vector<SocketAddress>& own() const { return own_; }

  uint64_t run() {
    const int64_t start = net::now().mono.ns;
    const int64_t end = start + int64_t{plan_.seconds} * 1'000'000'000;
    uint8_t packet[packet_bytes] = {0x80};
    uint64_t sent = 0;
    size_t next = 0;
    for (int64_t t = start; t < end + 20'000'000; t = net::now().mono.ns) {
      const auto due =
          static_cast<uint64_t>(static_cast<double>(std::min(t, end) - start) * plan_.pps * 1e-9);
      for (; sent < due; ++sent) {
        const net::RawAddress to = net::to_raw(targets_[next]);
        sendto(fds_[next].get(), packet, sizeof packet, MSG_DONTWAIT, to.get(), to.length);
        next = (next + 1) % targets_.size();
      }
      drain();
      const timespec pause{0, 500'000};
      nanosleep(&pause, nullptr);
    }
    drain();
    return received_;
  }

 private:
  void drain() {
    epoll_event events[256];
    uint8_t in[2048];
    int n;
    while ((n = epoll_wait(poll_.get(), events, 256, 0)) > 0)
      for (int i = 0; i < n; ++i)
        while (recv(fds_[events[i].data.u64].get(), in, sizeof in, MSG_DONTWAIT) > 0) ++received_;
  }
  Plan plan_;
  std::vector<SocketAddress> targets_, own_;
  std::vector<Fd> fds_;
  Fd poll_;
  uint64_t received_ = 0;
};

void report(const char* name, double cpu, uint64_t relayed, const Plan& plan) {
  const auto asked = static_cast<double>(plan.pps) * plan.seconds;
  std::printf("%-34s %6.2f CPU s per million packets  (%llu of %.0f relayed)\n", name,
              cpu / static_cast<double>(relayed) * 1e6, static_cast<unsigned long long>(relayed), asked);
}

// ---- the floor ----

/// Answers from the socket the packet came in on. One look per millisecond.
void floor_of(const Plan& plan) {
  std::vector<net::Fd> fds;
  std::vector<SocketAddress> targets;
  const net::Fd poll(epoll_create1(0));
  for (int i = 0; i < plan.sessions * 2; ++i) {
    auto fd = net::bind_udp({IpAddress::v4(127, 0, 0, 1), 0}, {});
    if (!fd.ok()) std::exit(1);
    targets.push_back(net::local_address(fd->get()));
    epoll_event e{.events = EPOLLIN, .data = {.fd = fd->get()}};
    epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd->get(), &e);
    fds.push_back(std::move(fd).value());
  }
  std::atomic<bool> stop{false};
  double cpu = 0;
  std::thread echo([&] {
    mmsghdr m[8]{};
    iovec v[8];
    sockaddr_in names[8];
    static uint8_t area[8][2048];
    epoll_event events[512];
    const double before = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    while (!stop.load(std::memory_order_relaxed)) {
      const timespec tick{0, 1'000'000};
      nanosleep(&tick, nullptr);
      const int n = epoll_wait(poll.get(), events, 512, 0);
      for (int i = 0; i < n; ++i) {
        for (int k = 0; k < 8; ++k) {
          v[k] = {area[k], sizeof area[k]};
          m[k].msg_hdr = {&names[k], sizeof names[k], &v[k], 1, nullptr, 0, 0};
        }
        const int got = recvmmsg(events[i].data.fd, m, 8, MSG_DONTWAIT, nullptr);
        for (int k = 0; k < got; ++k) v[k].iov_len = m[k].msg_len;
        if (got > 0) sendmmsg(events[i].data.fd, m, static_cast<unsigned>(got), MSG_DONTWAIT);
      }
    }
    cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - before;
  });
  Load load(plan, targets);
  const uint64_t relayed = load.run();
  stop = true;
  echo.join();
  report("plain recvmmsg/sendmmsg echo", cpu, relayed, plan);
}

// ---- the relay ----

/// Forwards between paired ports, as a call's relay does after its lookups.
class RelayWorker final : public port::Worker {
 public:
  explicit RelayWorker(port::MediaPorts& ports) : ports_(ports) {}
  void open(int sessions, std::vector<SocketAddress>& targets) {
    for (int i = 0; i < sessions; ++i) {
      const auto a = ports_.open_pair(0, IpAddress::Family::v4),
                 b = ports_.open_pair(0, IpAddress::Family::v4);
      if (!a || !b) std::exit(1);
      targets.push_back(a->rtp.local);
      targets.push_back(b->rtp.local);
      const uint32_t top = std::max(a->rtcp.id.slot, b->rtcp.id.slot);
      if (flows_.size() <= top) flows_.resize(top + 1);
      flows_[a->rtp.id.slot] = {b->rtp.id, {}};
      flows_[b->rtp.id.slot] = {a->rtp.id, {}};
      order_.push_back(a->rtp.id.slot);
      order_.push_back(b->rtp.id.slot);
    }
  }
  void set_peers(const std::vector<SocketAddress>& peers) {
    for (size_t i = 0; i < order_.size(); ++i) flows_[order_[i]].to = peers[i ^ 1];
  }
  void on_media(Now, std::span<port::MediaPacket> packets) override {
    for (port::MediaPacket& p : packets) {
      const Flow& flow = flows_[p.port.slot];
      out_.media.sends.push_back({flow.out, flow.to, p.bytes});
    }
  }
  void on_received(Now, port::Received) override {}
  void on_flow(Now, const port::FlowEvent&) override {}
  void on_answer(Now, port::AskId, port::Answer) override {}
  void on_committed(Now, port::CommitId) override {}
  void on_mail(Now, std::unique_ptr<port::MailBody>) override {}
  void on_timeout(Now) override {}
  Instant next_timeout() const override { return Instant::never(); }
  port::Outbox& outbox() override { return out_; }

 private:
  struct Flow {
    port::MediaPortId out;
    SocketAddress to;
  };
  port::MediaPorts& ports_;
  port::Outbox out_;
  std::vector<Flow> flows_;
  std::vector<uint32_t> order_;
};

struct Nobody final : net::AskHandler, net::SpoolHandler, net::EventHandler {
  void ask(uint16_t, port::Asked) override {}
  void append(uint16_t, std::vector<port::Append>) override {}
  void events(uint16_t, std::vector<port::Event>) override {}
};

void relay(const Plan& plan) {
  Nobody nobody;
  net::RuntimeConfig config;
  config.media.push_back({.bind_v4 = IpAddress::v4(127, 0, 0, 1), .first_port = 20000, .last_port = 60000});
  RelayWorker* worker = nullptr;
  std::vector<SocketAddress> targets;
  net::Runtime runtime(
      config,
      [&](uint16_t, port::MediaPorts& ports) {
        auto made = std::make_unique<RelayWorker>(ports);
        made->open(plan.sessions, targets);
        worker = made.get();
        return made;
      },
      nobody, nobody, nobody);
  if (auto started = runtime.start(); !started.ok()) {
    std::fprintf(stderr, "%s\n", started.reason().c_str());
    std::exit(1);
  }
  Load load(plan, targets);
  std::atomic<double> before{-1}, after{-1};
  const auto read_cpu = [&](std::atomic<double>& into) {
    runtime.post_task(0, [&](Now, port::Worker&) { into = cpu_seconds(CLOCK_THREAD_CPUTIME_ID); });
    while (into < 0) std::this_thread::yield();
  };
  runtime.post_task(0, [&](Now, port::Worker&) { worker->set_peers(load.own()); });
  read_cpu(before);
  const uint64_t relayed = load.run();
  read_cpu(after);
  runtime.stop();
  report("net relay", after - before, relayed, plan);
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--sessions")) plan.sessions = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--pps")) plan.pps = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--seconds")) plan.seconds = std::atoi(argv[i + 1]);
  }
  std::printf("%d sessions, %d packets per second, %d s\n", plan.sessions, plan.pps, plan.seconds);
  floor_of(plan);
  relay(plan);
}
