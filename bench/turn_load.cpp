// rooms: turn stun crypto base
// The generator of tools/run_bench.py for TURN servers over UDP: clients with a channel each, their peers in
// the same process, packets both ways. `echo` is the floor: a server that only sends back what comes.
//   bench_turn_load echo ADDRESS
//   bench_turn_load load SERVER USER PASSWORD CLIENTS PACKETS_A_SECOND SECONDS   (PASSWORD "-": an echo, no
//   TURN)
//   bench_turn_load allocate SERVER USER PASSWORD COUNT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "stun/message.h"

namespace {

using namespace tandem;
namespace attribute = stun::attribute;
using Clock = std::chrono::steady_clock;

constexpr size_t payload = 172, peers = 16, batch = 64;
constexpr uint16_t channel = 0x4000;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_turn_load: %s\n", what);
  std::exit(1);
}

sockaddr_in raw(const SocketAddress& a) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(a.port);
  std::memcpy(&out.sin_addr, a.ip.bytes.data(), 4);
  return out;
}

int udp(const SocketAddress& at) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int size = 4 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  const sockaddr_in a = raw(at);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) fail("cannot bind");
  return fd;
}

/// Datagrams of one socket in batches; each comes back where it came from.
struct Batch {
  std::array<mmsghdr, batch> messages{};
  std::array<iovec, batch> parts{};
  std::array<sockaddr_in, batch> names{};
  std::array<std::array<uint8_t, 2048>, batch> area;
  Batch() {
    for (size_t i = 0; i < batch; ++i) {
      parts[i] = {area[i].data(), area[i].size()};
      messages[i].msg_hdr.msg_iov = &parts[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_name = &names[i];
    }
  }
  int receive(int fd, int flags) {
    for (size_t i = 0; i < batch; ++i) {
      parts[i].iov_len = area[i].size();
      messages[i].msg_hdr.msg_namelen = sizeof names[i];
    }
    return recvmmsg(fd, messages.data(), batch, flags, nullptr);
  }
  void send_back(int fd, int n) {
    for (int i = 0; i < n; ++i)
      parts[static_cast<size_t>(i)].iov_len = messages[static_cast<size_t>(i)].msg_len;
    for (int done = 0; done < n;) {
      const int sent = sendmmsg(fd, &messages[static_cast<size_t>(done)], static_cast<unsigned>(n - done), 0);
      done += sent > 0 ? sent : 1;
    }
  }
};

[[noreturn]] void echo(const SocketAddress& at) {
  const int fd = udp(at);
  auto b = std::make_unique<Batch>();
  for (;;) {
    // What has gathered in a millisecond, as the server under test takes it.
    pollfd p{fd, POLLIN, 0};
    poll(&p, 1, -1);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (int n = batch; n == batch;)
      if ((n = b->receive(fd, MSG_DONTWAIT)) > 0) b->send_back(fd, n);
  }
}

struct Login {
  SocketAddress server;
  std::string user, password, realm, nonce;
};

template <class Fill>
void put(int fd, const Login& login, uint16_t method, Fill&& fill) {
  stun::TransactionId id{};
  for (auto& b : id) b = static_cast<uint8_t>(std::rand());
  stun::Writer w(stun::Class::request, method, id);
  fill(w);
  if (!login.nonce.empty()) {
    w.add(attribute::username, login.user)
        .add(attribute::realm, login.realm)
        .add(attribute::nonce, login.nonce);
    w.add_integrity(as_bytes(stun::long_term_key_md5(login.user, login.realm, login.password)));
  }
  if (::send(fd, w.octets().data(), w.octets().size(), 0) < 0) fail("cannot send");
}

/// Nothing within two seconds: empty.
std::vector<uint8_t> take(int fd) {
  pollfd p{fd, POLLIN, 0};
  if (poll(&p, 1, 2000) != 1) return {};
  std::vector<uint8_t> answer(2048);
  const ssize_t n = recv(fd, answer.data(), answer.size(), 0);
  answer.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return answer;
}

/// One request over a connected socket, sent again once with what a 401 or 438 says. False: another error.
template <class Fill>
bool ask(int fd, Login& login, uint16_t method, Fill&& fill) {
  for (int round = 0; round < 3; ++round) {
    put(fd, login, method, fill);
    const std::vector<uint8_t> answer = take(fd);
    const auto m = stun::Message::parse(answer);
    if (!m) continue;
    if (m->message_class() == stun::Class::success) return true;
    if (!m->error() || (m->error()->code != 401 && m->error()->code != 438)) return false;
    login.realm = std::string(m->text(attribute::realm).value_or(login.realm));
    login.nonce = std::string(m->text(attribute::nonce).value_or(login.nonce));
  }
  fail("the server does not answer as it should");
}

int connected(const SocketAddress& server) {
  const int fd = udp({IpAddress::v4(127, 0, 0, 1), 0});
  const sockaddr_in a = raw(server);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) fail("cannot connect");
  return fd;
}

/// A socket with an allocation. A port that had one in another run may have it still (437): then another is
/// taken.
int allocate(Login& login) {
  for (int i = 0; i < 100; ++i) {
    const int fd = connected(login.server);
    if (ask(fd, login, stun::method::allocate,
            [](stun::Writer& w) { w.add_u32(attribute::requested_transport, 17u << 24); }))
      return fd;
    close(fd);
  }
  fail("no allocation");
}

/// `count` of them, so many at a time as a server with much to do has before it: each asks, is challenged,
/// and asks again. Those that had one already in another run (437) count as refused.
void flood(const Login& login, size_t count) {
  constexpr size_t together = 200;
  const auto wanted = [](stun::Writer& w) { w.add_u32(attribute::requested_transport, 17u << 24); };
  size_t made = 0, refused = 0;
  const auto begin = Clock::now();
  while (made + refused < count) {
    std::vector<int> fds;
    for (size_t i = 0; i < together; ++i) fds.push_back(connected(login.server));
    for (const int fd : fds) put(fd, login, stun::method::allocate, wanted);
    for (const int fd : fds) {
      const std::vector<uint8_t> answer = take(fd);
      const auto m = stun::Message::parse(answer);
      if (!m) fail("no challenge");
      Login known = login;
      known.realm = std::string(m->text(attribute::realm).value_or(""));
      known.nonce = std::string(m->text(attribute::nonce).value_or(""));
      put(fd, known, stun::method::allocate, wanted);
    }
    for (const int fd : fds) {
      const std::vector<uint8_t> answer = take(fd);
      const auto m = stun::Message::parse(answer);
      if (!m) fail("no answer");  // dropped, or past a limit
      ++(m->message_class() == stun::Class::success ? made : refused);
    }
  }
  std::printf("%zu %.3f %zu\n", made, std::chrono::duration<double>(Clock::now() - begin).count(), refused);
}

void run(Login login, size_t clients, double rate, double seconds) {
  const bool plain = login.password == "-";
  const IpAddress host = IpAddress::v4(127, 0, 0, 1);
  const int events = epoll_create1(0);
  const auto watch = [&](int fd, uint64_t tag) {
    epoll_event e{.events = EPOLLIN, .data = {.u64 = tag}};
    epoll_ctl(events, EPOLL_CTL_ADD, fd, &e);
  };
  std::vector<int> far, near;
  std::vector<SocketAddress> far_at;
  for (size_t i = 0; i < peers && !plain; ++i) {
    far.push_back(udp({host, 0}));
    sockaddr_in a{};
    socklen_t size = sizeof a;
    getsockname(far.back(), reinterpret_cast<sockaddr*>(&a), &size);
    far_at.push_back({host, ntohs(a.sin_port)});
    watch(far.back(), 1u << 31 | i);
  }
  for (size_t i = 0; i < clients; ++i) {
    near.push_back(plain ? connected(login.server) : allocate(login));
    const bool bound = plain || ask(near[i], login, stun::method::channel_bind, [&](stun::Writer& w) {
                         w.add_u32(attribute::channel_number, uint32_t{channel} << 16);
                         w.add_xor_address(attribute::xor_peer_address, far_at[i % peers]);
                       });
    if (!bound) fail("no channel");
    watch(near[i], i);
  }
  std::array<uint8_t, payload + 4> packet{};
  packet[0] = channel >> 8;
  packet[3] = payload;
  auto b = std::make_unique<Batch>();
  // Of a TURN server a round trip is two packets, of an echo one.
  const double sends = plain ? rate : rate / 2;
  uint64_t sent = 0, received = 0;
  const auto begin = Clock::now();
  double told = 0;
  for (size_t next = 0;;) {
    const double t = std::chrono::duration<double>(Clock::now() - begin).count();
    if (t >= told) {
      std::printf("%.3f %llu %llu\n", t, static_cast<unsigned long long>(sent),
                  static_cast<unsigned long long>(received));
      std::fflush(stdout);
      told += 0.5;
    }
    if (t > seconds + 0.5) break;
    while (t < seconds && static_cast<double>(sent) < t * sends) {
      ::send(near[next], packet.data(), packet.size(), 0);
      next = (next + 1) % clients;
      ++sent;
    }
    std::array<epoll_event, 256> ready;
    const int n = epoll_wait(events, ready.data(), static_cast<int>(ready.size()), 1);
    for (int i = 0; i < n; ++i) {
      const uint64_t tag = ready[static_cast<size_t>(i)].data.u64;
      const bool is_far = (tag & 1u << 31) != 0;
      const int fd = is_far ? far[tag & 0xFFFF] : near[tag];
      const int got = b->receive(fd, MSG_DONTWAIT);
      if (got > 0 && is_far) b->send_back(fd, got);
      if (got > 0 && !is_far) received += static_cast<uint64_t>(got);
    }
  }
  std::printf("sent %llu received %llu\n", static_cast<unsigned long long>(sent),
              static_cast<unsigned long long>(received));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const auto address = argc > 2 ? SocketAddress::parse(argv[2]) : std::nullopt;
  if (!address) fail("echo|load|allocate ADDRESS ...");
  if (what == "echo") echo(*address);
  if (argc < 6) fail("too few arguments");
  Login login{*address, argv[3], argv[4], {}, {}};
  if (what == "load" && argc == 8) {
    run(login, static_cast<size_t>(std::atoi(argv[5])), std::atof(argv[6]), std::atof(argv[7]));
  } else if (what == "allocate") {
    const int count = std::atoi(argv[5]);
    // All of them stay open: a port that is used again has an allocation already.
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    flood(login, static_cast<size_t>(count));
  }
  return 0;
}
