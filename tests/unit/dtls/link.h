#pragma once
// Two associations and the network between them. Retransmission timers run on the system's clock (they are
// OpenSSL's), so a lossy run waits for events, with a deadline; nothing depends on how long it takes.
#include <gtest/gtest.h>
#include <time.h>

#include <deque>
#include <functional>

#include "base/rng.h"
#include "dtls/openssl_endpoint.h"
#include "dtls/twin_endpoint.h"

namespace tandem::dtls::test {

inline Now real_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return {{int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec}, {1'700'000'000'000'000'000}};
}

using Octets = std::vector<uint8_t>;

/// Either implementation, by parameter.
enum class Maker : bool { openssl, twin };
inline std::unique_ptr<Endpoint> endpoint(Maker maker, uint64_t seed) {
  struct Owner {
    explicit Owner(uint64_t s) : rng(s) {}
    SeededRng rng;
  };
  static std::deque<Owner> owners;  // a twin's random source outlives it
  owners.emplace_back(seed);
  if (maker == Maker::twin) return std::make_unique<TwinEndpoint>(owners.back().rng);
  return std::make_unique<OpensslEndpoint>(Certificate::make(real_now().wall, owners.back().rng));
}

inline Options options_for(Role role, const Endpoint& peer, FingerprintHash hash = FingerprintHash::sha_256) {
  Options o;
  o.role = role;
  o.peer = {peer.fingerprint(hash)};
  o.first_retransmit = milliseconds(2);
  return o;
}

/// What happens to a datagram on its way; it may be changed. False: it is lost.
using Fate = std::function<bool(bool from_client, Octets& datagram)>;

class Wire {
 public:
  Wire(Association& client, Association& server) : client_(client), server_(server) {}

  Fate fate = [](bool, Octets&) { return true; };
  size_t largest = 0;
  size_t carried = 0;

  void start() {
    Datagrams out;
    client_.start(real_now(), out);
    take(true, out);
  }

  /// Carries everything there is, and fires what is due, until both are done or nothing more can come of it.
  void run() {
    const Instant give_up = real_now().mono + seconds(20);
    while (real_now().mono < give_up) {
      deliver();
      if (over(client_) && over(server_)) return;
      const Now now = real_now();
      bool waiting = false;
      for (const bool is_client : {true, false}) {
        Association& a = is_client ? client_ : server_;
        waiting |= !a.next_timeout().is_never();
        if (now.mono < a.next_timeout()) continue;
        Datagrams out;
        a.on_timeout(now, out);
        take(is_client, out);
      }
      if (!waiting && queue_.empty()) return;
    }
    ADD_FAILURE() << "nothing came of it in 20 s";
  }

  void deliver() {
    while (!queue_.empty()) {
      auto [from_client, datagram] = std::move(queue_.front());
      queue_.pop_front();
      Datagrams out;
      (from_client ? server_ : client_).on_datagram(real_now(), datagram, Source::validated, out);
      take(!from_client, out);
    }
  }

  void take(bool from_client, Datagrams& out) {
    for (Octets& d : out) {
      largest = std::max(largest, d.size());
      if (!fate(from_client, d)) continue;
      ++carried;
      queue_.emplace_back(from_client, std::move(d));
    }
  }

 private:
  static bool over(const Association& a) {
    return a.state() == Association::State::established || a.state() == Association::State::failed;
  }
  Association& client_;
  Association& server_;
  std::deque<std::pair<bool, Octets>> queue_;
};

}  // namespace tandem::dtls::test
