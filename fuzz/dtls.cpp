// rooms: dtls srtp crypto rtp base
// Any datagrams into a waiting server, a client in its handshake and an established pair: nobody crashes,
// nobody has keys who has not seen the right certificate, and what is established stays so with the same
// keys. And any a=fingerprint.
#include <algorithm>
#include <cstdlib>

#include "dtls/openssl_endpoint.h"

namespace {

using namespace tandem;
using namespace tandem::dtls;

struct World {
  SeededRng rng{1};
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  OpensslEndpoint a{Certificate::make(now.wall, rng)}, b{Certificate::make(now.wall, rng)};

  std::unique_ptr<Association> open(OpensslEndpoint& own, const OpensslEndpoint& peer, Role role) {
    Options o;
    o.role = role;
    o.peer = {peer.fingerprint(FingerprintHash::sha_256)};
    return own.open(o);
  }
};

World& world() {
  static World w;
  return w;
}

/// A pair that has done its handshake. Made once: what comes afterwards must not change it.
struct Established {
  std::unique_ptr<Association> client, server;
  Established() {
    World& w = world();
    client = w.open(w.a, w.b, Role::client);
    server = w.open(w.b, w.a, Role::server);
    Datagrams to_server, to_client;
    client->start(w.now, to_server);
    while (!to_server.empty() || !to_client.empty()) {
      Datagrams next_client, next_server;
      for (const auto& d : to_server) server->on_datagram(w.now, d, Source::validated, next_client);
      for (const auto& d : to_client) client->on_datagram(w.now, d, Source::validated, next_server);
      to_server = std::move(next_server);
      to_client = std::move(next_client);
    }
    if (!client->keys() || !server->keys()) std::abort();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  World& w = world();
  static const Established pair;
  static const srtp::MasterKey before = pair.server->keys()->ours;
  if (const auto f = Fingerprint::parse(as_text({data, size})))
    if (!(*Fingerprint::parse(f->to_string()) == *f)) std::abort();

  const auto server = w.open(w.b, w.a, Role::server), client = w.open(w.a, w.b, Role::client);
  Datagrams out;
  client->start(w.now, out);
  // Records of {length (16), octets}.
  for (size_t at = 0; at + 2 <= size;) {
    const size_t length = std::min<size_t>(size_t{data[at]} << 8 | data[at + 1], size - at - 2);
    const Bytes datagram(data + at + 2, length);
    at += 2 + length;
    for (Association* a : {server.get(), client.get(), pair.server.get(), pair.client.get()}) {
      out.clear();
      a->on_datagram(w.now, datagram, Source::validated, out);
      for (const auto& d : out)
        if (d.empty() || d.size() > 1200) std::abort();
    }
  }
  if (server->keys() || client->keys()) std::abort();
  if (!pair.client->keys() || !(pair.server->keys()->ours == before)) std::abort();
  return 0;
}
