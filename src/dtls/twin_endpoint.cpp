// Three messages, each one datagram that passes for a DTLS record (RFC 7983 tells it by its first octet):
//
//    | 22, 254, 253 | 8 octets | length (16) | kind | random (32) | certificate (32) | count | profiles (16
//    each) |
//
// hello (client), reply (server: one profile), done (client). A hello is repeated until the reply, a reply
// until done; a reply that comes again is answered with done again.
#include "dtls/twin_endpoint.h"

#include <algorithm>

#include "crypto/hash.h"

namespace tandem::dtls {
namespace {

constexpr size_t record_octets = 13;
constexpr size_t body_octets = 1 + 32 + 32 + 1;
using Octets32 = std::array<uint8_t, 32>;

enum class Kind : uint8_t { hello = 1, reply = 2, done = 3 };

struct Message {
  Kind kind = Kind::hello;
  Octets32 random{};
  Octets32 certificate{};
  std::vector<uint16_t> profiles;
};

std::vector<uint8_t> write(const Message& m) {
  std::vector<uint8_t> d = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  d.push_back(static_cast<uint8_t>(m.kind));
  d.insert(d.end(), m.random.begin(), m.random.end());
  d.insert(d.end(), m.certificate.begin(), m.certificate.end());
  d.push_back(static_cast<uint8_t>(m.profiles.size()));
  for (const uint16_t p : m.profiles) {
    d.push_back(static_cast<uint8_t>(p >> 8));
    d.push_back(static_cast<uint8_t>(p));
  }
  d[12] = static_cast<uint8_t>(d.size() - record_octets);
  return d;
}

std::optional<Message> read(Bytes d) {
  if (d.size() < record_octets + body_octets || d[0] != 22 || d[1] != 254) return std::nullopt;
  d = d.subspan(record_octets);
  if (d[0] < 1 || d[0] > 3 || d.size() != body_octets + 2u * d[65]) return std::nullopt;
  Message m;
  m.kind = static_cast<Kind>(d[0]);
  std::copy_n(d.begin() + 1, 32, m.random.begin());
  std::copy_n(d.begin() + 33, 32, m.certificate.begin());
  for (size_t i = 0; i < d[65]; ++i)
    m.profiles.push_back(static_cast<uint16_t>(d[body_octets + 2 * i] << 8 | d[body_octets + 2 * i + 1]));
  return m;
}

/// As long as the hash asks for, and different for each.
Fingerprint fingerprint_of(const Octets32& certificate, FingerprintHash hash) {
  Fingerprint f;
  f.hash = hash;
  const size_t octets = f.view().size();
  for (size_t at = 0; at < octets; at += 32) {
    const char salt[2] = {static_cast<char>(hash), static_cast<char>(at)};
    const auto digest = crypto::hash(crypto::Hash::sha256, {{salt, 2}, as_text(certificate)});
    std::copy_n(digest.bytes.begin(), std::min<size_t>(32, octets - at),
                f.octets.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return f;
}

srtp::MasterKey key_of(srtp::Suite suite, std::string_view side, const Octets32& a, const Octets32& b) {
  std::array<uint8_t, 64> octets{};
  for (size_t i = 0; i < 2; ++i) {
    const auto digest =
        crypto::hash(crypto::Hash::sha256, {side, i == 0 ? "0" : "1", as_text(a), as_text(b)});
    std::copy_n(digest.bytes.begin(), 32, octets.begin() + static_cast<std::ptrdiff_t>(32 * i));
  }
  const auto& t = srtp::traits(suite);
  return srtp::MasterKey::from(suite, Bytes(octets).first(size_t{t.key_octets} + t.salt_octets)).value();
}

class TwinAssociation final : public Association {
 public:
  TwinAssociation(Options options, const Octets32& certificate, Rng& rng, Troubles& troubles)
      : options_(std::move(options)), troubles_(&troubles) {
    mine_.certificate = certificate;
    rng.fill(mine_.random);
    mine_.kind = options_.role == Role::client ? Kind::hello : Kind::reply;
    for (const srtp::Suite s : options_.suites)
      if (srtp::traits(s).dtls_profile != 0) offered_.push_back(srtp::traits(s).dtls_profile);
  }

  void start(Now now, Datagrams& out) override {
    if (options_.role != Role::client || state_ != State::idle) return;
    mine_.profiles = offered_;
    begin(now);
    send(now, out);
  }

  void on_datagram(Now now, Bytes datagram, Source source, Datagrams& out) override {
    if (source != Source::validated) return troubles_->add(Reason::unvalidated_source);
    if (datagram.size() > max_datagram) return troubles_->add(Reason::too_large);
    const auto m = read(datagram);
    if (!m) return troubles_->add(Reason::not_dtls);
    if (state_ == State::failed) return;
    if (options_.role == Role::server)
      as_server(now, *m, out);
    else
      as_client(*m, out);
  }

  void on_timeout(Now now, Datagrams& out) override {
    if (state_ != State::handshaking) return;
    if (now.mono >= limit_) return fail(Reason::timed_out);
    if (now.mono < retransmit_) return;
    wait_ *= 2;
    send(now, out);
  }
  Instant next_timeout() const override { return std::min(retransmit_, limit_); }

  State state() const override { return state_; }
  std::optional<Reason> failure() const override { return failure_; }
  const Keys* keys() const override { return state_ == State::established ? &*keys_ : nullptr; }
  bool closed_by_peer() const override { return false; }

 private:
  void begin(Now now) {
    state_ = State::handshaking;
    limit_ = now.mono + options_.limit;
    wait_ = options_.first_retransmit;
  }
  void send(Now now, Datagrams& out) {
    out.push_back(write(mine_));
    retransmit_ = now.mono + wait_;
  }
  void fail(Reason reason) {
    troubles_->add(reason);
    failure_ = reason;
    state_ = State::failed;
    retransmit_ = limit_ = Instant::never();
  }
  void establish() {
    state_ = State::established;
    retransmit_ = limit_ = Instant::never();
  }

  bool expected(const Octets32& certificate) const {
    return std::any_of(options_.peer.begin(), options_.peer.end(),
                       [&](const Fingerprint& f) { return fingerprint_of(certificate, f.hash) == f; });
  }

  /// Our best that the peer has too.
  std::optional<uint16_t> choose(const std::vector<uint16_t>& theirs) const {
    for (const uint16_t p : offered_)
      if (std::find(theirs.begin(), theirs.end(), p) != theirs.end()) return p;
    return std::nullopt;
  }

  void agree(uint16_t profile, const Octets32& client, const Octets32& server) {
    const auto suite = srtp::suite_of_profile(profile).value();
    const auto c = key_of(suite, "client", client, server), s = key_of(suite, "server", client, server);
    keys_.emplace(options_.role == Role::client ? Keys{c, s} : Keys{s, c});
  }

  void as_server(Now now, const Message& m, Datagrams& out) {
    if (m.kind == Kind::hello && state_ != State::established) {
      if (!expected(m.certificate)) return fail(Reason::wrong_fingerprint);
      const auto profile = choose(m.profiles);
      if (!profile) {  // told by a reply without one
        mine_.profiles.clear();
        out.push_back(write(mine_));
        return fail(Reason::no_profile);
      }
      if (state_ == State::idle) begin(now);
      client_random_ = m.random;
      mine_.profiles = {*profile};
      agree(*profile, m.random, mine_.random);
      send(now, out);
    } else if (m.kind == Kind::done && state_ == State::handshaking && m.random == client_random_) {
      establish();
    }
  }

  void as_client(const Message& m, Datagrams& out) {
    if (m.kind != Kind::reply || state_ == State::idle) return;
    if (state_ == State::handshaking) {
      if (!expected(m.certificate)) return fail(Reason::wrong_fingerprint);
      const auto profile = choose(m.profiles);
      if (!profile) return fail(Reason::no_profile);
      agree(*profile, mine_.random, m.random);
      establish();
    }
    Message done = mine_;
    done.kind = Kind::done;
    out.push_back(write(done));
  }

  Options options_;
  Troubles* troubles_;
  Message mine_;
  std::vector<uint16_t> offered_;
  Octets32 client_random_{};
  State state_ = State::idle;
  std::optional<Reason> failure_;
  std::optional<Keys> keys_;
  Duration wait_{};
  Instant retransmit_ = Instant::never();
  Instant limit_ = Instant::never();
};

}  // namespace

TwinEndpoint::TwinEndpoint(Rng& rng) : rng_(rng) { rng_.fill(certificate_); }

Fingerprint TwinEndpoint::fingerprint(FingerprintHash hash) const {
  return fingerprint_of(certificate_, hash);
}

std::unique_ptr<Association> TwinEndpoint::open(const Options& options) {
  return std::make_unique<TwinAssociation>(options, certificate_, rng_, troubles_);
}

}  // namespace tandem::dtls
