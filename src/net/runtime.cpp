#include "net/runtime.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <thread>

#include "net/system_rng.h"
#include "net/turn_dtls.h"
#include "net/turn_steering.h"
#include "net/worker_loop.h"

namespace tandem::net {
namespace {

constexpr int listen_backlog = 4096;

const char* name_of(port::Transport t) {
  switch (t) {
    case port::Transport::udp:
      return "udp";
    case port::Transport::tcp:
      return "tcp";
    case port::Transport::tls:
      return "tls";
    case port::Transport::ws:
      return "ws";
    case port::Transport::wss:
      return "wss";
  }
  return "?";
}

std::string cannot_listen(const ListenerConfig& l, const SocketAddress& at, const std::string& why) {
  return fmt::format("cannot listen on {} {}: {}", name_of(l.transport), at.to_string(), why);
}

Result<Fd, int> open_socket(const ListenerConfig& l, const SocketAddress& at, bool shared,
                            int receive_buffer) {
  SocketOptions options{.reuse_port = shared, .dscp = Dscp::signalling};
  if (l.transport != port::Transport::udp) return listen_tcp(at, options, listen_backlog);
  options.receive_buffer = receive_buffer;
  options.send_buffer = receive_buffer;
  return bind_udp(at, options);
}

}  // namespace

struct Runtime::Impl final : DnsService::Sink {
  Impl(RuntimeConfig c, WorkerFactory f, AskHandler& asks, SpoolHandler& spool, EventHandler& events)
      : config(std::move(c)),
        factory(std::move(f)),
        ranges(config),
        sources(config.limits.connections_per_source),
        turn_sources(config.turn.connections_per_source),
        turn_ports(config.turn.listeners.empty()
                       ? nullptr
                       : std::make_unique<TurnPortPool>(config.turn.first_port, config.turn.last_port, rng)),
        dns(config.dns, *this),
        world{config, asks, spool, events, dns, ranges, sources, turn_ports.get(), turn_sources, mailboxes} {}

  void dns_answer(uint16_t worker, port::AskId id, port::Answer answer) override {
    mailboxes[worker]->push_always(AnswerItem{id, std::move(answer)});
  }

  RealmOutgoing outgoing_of(port::RealmId realm) const;
  Status<std::string> load_tls();
  Status<std::string> open_listeners();
  Status<std::string> open_listener(const ListenerConfig& l, uint16_t index);
  Status<std::string> open_hubs();
  Status<std::string> open_turn();
  Status<std::string> open_turn_listener(const TurnListenerConfig& l, uint16_t index,
                                         TurnDtls::Identity identity);
  void stop();

  const RuntimeConfig config;
  WorkerFactory factory;
  PortRanges ranges;
  SourceCounts sources, turn_sources;
  SystemRng rng;
  std::unique_ptr<TurnPortPool> turn_ports;
  std::vector<std::unique_ptr<Mailbox>> mailboxes;
  DnsService dns;
  World world;
  std::vector<std::unique_ptr<TlsContext>> server_tls;              // by listener; null without TLS
  std::vector<std::unique_ptr<TlsContext>> turn_tls;                // likewise
  std::map<port::RealmId, std::unique_ptr<TlsContext>> client_tls;  // by realm
  std::vector<std::unique_ptr<WorkerLoop>> loops;
  std::vector<std::thread> threads;
  std::vector<SocketAddress> bound, turn_bound;
};

RealmOutgoing Runtime::Impl::outgoing_of(port::RealmId realm) const {
  for (const RealmOutgoing& o : config.outgoing)
    if (o.realm == realm) return o;
  return {.realm = realm};
}

Status<std::string> Runtime::Impl::load_tls() {
  for (const ListenerConfig& l : config.listeners) {
    server_tls.emplace_back();
    if (l.transport == port::Transport::tls) {
      server_tls.back() = std::make_unique<TlsContext>(TlsContext::Side::server, l.tls,
                                                       l.request_client_certificate, l.more_certificates);
      if (auto done = server_tls.back()->load(); !done.ok())
        return Failure{cannot_listen(l, l.bind, done.reason())};
    }
    if (client_tls.contains(l.realm) && l.transport != port::Transport::tls) continue;
    // Towards others a realm shows the certificate of its TLS listener, if it has one.
    TlsFiles identity{.ca = outgoing_of(l.realm).ca};
    if (l.transport == port::Transport::tls) {
      identity.certificate = l.tls.certificate;
      identity.key = l.tls.key;
    }
    client_tls[l.realm] = std::make_unique<TlsContext>(TlsContext::Side::client, identity);
    if (auto done = client_tls[l.realm]->load(); !done.ok())
      return Failure{fmt::format("cannot connect over TLS: {}", done.reason())};
  }
  return Done{};
}

Status<std::string> Runtime::Impl::open_listeners() {
  for (size_t i = 0; i < config.listeners.size(); ++i)
    if (auto done = open_listener(config.listeners[i], static_cast<uint16_t>(i)); !done.ok()) return done;
  return Done{};
}

Status<std::string> Runtime::Impl::open_listener(const ListenerConfig& l, uint16_t index) {
  const bool supported = l.transport == port::Transport::udp || l.transport == port::Transport::tcp ||
                         l.transport == port::Transport::tls;
  if (!supported) return Failure{cannot_listen(l, l.bind, "SIP over WebSocket has no listener of its own")};
  SocketAddress at = l.bind;
  {
    // Workers share the address; nobody else may. A socket that does not share finds out who else is there.
    auto probe = open_socket(l, at, false, 0);
    if (!probe.ok()) return Failure{cannot_listen(l, at, error_text(probe.reason()))};
    at.port = local_address(probe->get()).port;
  }
  for (auto& loop : loops) {
    auto fd = open_socket(l, at, true, config.sip_receive_buffer);
    if (!fd.ok()) return Failure{cannot_listen(l, at, error_text(fd.reason()))};
    if (l.transport == port::Transport::udp)
      loop->udp().add(index, std::move(fd).value(), l.realm);
    else
      loop->connections().add_listener(std::move(fd).value(), l.transport, l.realm, server_tls[index].get());
    loop->connections().set_outgoing(outgoing_of(l.realm), client_tls[l.realm].get(), l.bind.ip);
  }
  bound.push_back(at);
  return Done{};
}

/// Each worker has a port of its own: a datagram that comes to it is for a leg of that worker.
Status<std::string> Runtime::Impl::open_hubs() {
  for (const RealmMedia& m : config.media)
    for (uint16_t i = 0; m.webrtc_port != 0 && i < config.workers; ++i)
      if (auto done = loops[i]->media_ports().open_hub(m, static_cast<uint16_t>(m.webrtc_port + i),
                                                       config.webrtc_receive_buffer);
          !done.ok())
        return done;
  return Done{};
}

namespace {

std::string cannot_listen(const TurnListenerConfig& l, const std::string& why) {
  return fmt::format("cannot listen for TURN on {} {}: {}", port::to_text(l.transport), l.bind.to_string(),
                     why);
}

bool of_datagrams(port::RelayTransport t) {
  return t == port::RelayTransport::udp || t == port::RelayTransport::dtls;
}

Result<std::string, std::string> text_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  if (!in || text.empty()) return Failure{fmt::format("cannot read {}", path)};
  return text;
}

Result<TurnDtls::Identity, std::string> dtls_identity(const TlsFiles& files, Rng& rng) {
  auto chain = text_of(files.certificate), key = text_of(files.key);
  if (!chain.ok()) return Failure{chain.reason()};
  if (!key.ok()) return Failure{key.reason()};
  std::array<uint8_t, 32> cookie_key;
  rng.fill(cookie_key);
  auto made = dtls::ServerIdentity::make(*chain, *key, cookie_key);
  if (!made.ok()) return Failure{fmt::format("{}: {}", files.certificate, made.reason())};
  return *made;
}

}  // namespace

Status<std::string> Runtime::Impl::open_turn() {
  for (size_t i = 0; i < config.turn.listeners.size(); ++i) {
    const TurnListenerConfig& l = config.turn.listeners[i];
    turn_tls.emplace_back();
    TurnDtls::Identity identity;
    if (l.transport == port::RelayTransport::tls) {
      turn_tls.back() = std::make_unique<TlsContext>(TlsContext::Side::server, l.tls);
      if (auto done = turn_tls.back()->load(); !done.ok()) return Failure{cannot_listen(l, done.reason())};
    } else if (l.transport == port::RelayTransport::dtls) {
      auto made = dtls_identity(l.tls, rng);
      if (!made.ok()) return Failure{cannot_listen(l, made.reason())};
      identity = *made;
    }
    if (auto done = open_turn_listener(l, static_cast<uint16_t>(i), std::move(identity)); !done.ok())
      return done;
  }
  return Done{};
}

Status<std::string> Runtime::Impl::open_turn_listener(const TurnListenerConfig& l, uint16_t index,
                                                      TurnDtls::Identity identity) {
  const bool datagrams = of_datagrams(l.transport);
  SocketAddress at = l.bind;
  const auto open = [&](bool shared) {
    SocketOptions options{.reuse_port = shared};
    if (!datagrams) return listen_tcp(at, options, listen_backlog);
    if (shared) options.receive_buffer = options.send_buffer = config.turn.receive_buffer;
    return bind_udp(at, options);
  };
  {
    auto probe = open(false);  // as above: workers share the address, nobody else may
    if (!probe.ok()) return Failure{cannot_listen(l, error_text(probe.reason()))};
    at.port = local_address(probe->get()).port;
  }
  for (auto& loop : loops) {
    auto fd = open(true);
    if (!fd.ok()) return Failure{cannot_listen(l, error_text(fd.reason()))};
    // A filter for the whole group, which is complete with the last of them.
    if (loop == loops.back() && loops.size() > 1 &&
        !steer(fd->get(), at.ip.family, datagrams, static_cast<uint16_t>(loops.size())))
      return Failure{cannot_listen(l, "the kernel takes no socket filter: " + error_text(errno))};
    if (l.transport == port::RelayTransport::udp)
      loop->turn()->add_udp(index, std::move(fd).value());
    else if (l.transport == port::RelayTransport::dtls)
      loop->turn()->dtls().add_listener(index, std::move(fd).value(), identity);
    else
      loop->turn()->add_stream(index, std::move(fd).value(), l.transport, turn_tls[index].get());
  }
  turn_bound.push_back(at);
  return Done{};
}

void Runtime::Impl::stop() {
  for (auto& loop : loops) loop->request_stop();
  for (std::thread& t : threads) t.join();
  threads.clear();
  dns.stop();
}

Runtime::Runtime(RuntimeConfig config, WorkerFactory factory, AskHandler& asks, SpoolHandler& spool,
                 EventHandler& events)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(factory), asks, spool, events)) {}

Runtime::~Runtime() { stop(); }

Status<std::string> Runtime::start() {
  Impl& m = *impl_;
  const auto failed = [&](std::string why) -> Status<std::string> {
    m.loops.clear();
    return Failure{std::move(why)};
  };
  if (m.config.workers == 0) return Failure{std::string("at least one worker is needed")};
  if (auto done = m.load_tls(); !done.ok()) return done;
  for (uint16_t i = 0; i < m.config.workers; ++i)
    m.mailboxes.push_back(std::make_unique<Mailbox>(m.config.limits.mailbox));
  for (uint16_t i = 0; i < m.config.workers; ++i) m.loops.push_back(std::make_unique<WorkerLoop>(i, m.world));
  if (auto done = m.open_listeners(); !done.ok()) return failed(done.reason());
  if (auto done = m.open_hubs(); !done.ok()) return failed(done.reason());
  if (auto done = m.open_turn(); !done.ok()) return failed(done.reason());
  if (auto done = m.dns.start(); !done.ok()) return failed(done.reason());
  for (uint16_t i = 0; i < m.config.workers; ++i)
    m.loops[i]->set_worker(m.factory(i, {m.loops[i]->media_ports(), m.loops[i]->turn()}));
  for (uint16_t i = 0; i < m.config.workers; ++i) {
    m.threads.emplace_back([loop = m.loops[i].get()] { loop->run(); });
    pthread_setname_np(m.threads.back().native_handle(), fmt::format("worker-{}", i).c_str());
  }
  return Done{};
}

void Runtime::stop() { impl_->stop(); }

void Runtime::post_answer(uint16_t worker, port::AskId id, port::Answer answer) {
  impl_->dns_answer(worker, id, std::move(answer));
}
void Runtime::post_committed(uint16_t worker, port::CommitId upto) {
  impl_->mailboxes[worker]->push_always(CommittedItem{upto});
}
bool Runtime::post_mail(uint16_t worker, std::unique_ptr<port::MailBody> body) {
  Mailbox& box = *impl_->mailboxes[worker];
  if (body->may_be_lost()) return box.push(std::move(body));
  box.push_always(std::move(body));
  return true;
}
void Runtime::post_change(uint16_t worker, Task task) {
  impl_->mailboxes[worker]->push_always(TaskItem{std::move(task)});
}
bool Runtime::post_task(uint16_t worker, Task task) {
  return impl_->mailboxes[worker]->push(TaskItem{std::move(task)});
}

std::optional<UpgradeRefusal> Runtime::adopt(Upgraded& connection) {
  const auto fewer = [](const auto& a, const auto& b) {
    return a->connections().websockets() < b->connections().websockets();
  };
  const auto chosen = std::min_element(impl_->loops.begin(), impl_->loops.end(), fewer);
  if (chosen == impl_->loops.end() ||
      (*chosen)->connections().websockets() >= impl_->config.limits.connections)
    return UpgradeRefusal::full;
  Mailbox& mailbox = *impl_->mailboxes[static_cast<size_t>(chosen - impl_->loops.begin())];
  if (mailbox.full()) return UpgradeRefusal::busy;
  if (!impl_->sources.enter(connection.path.remote.ip)) return UpgradeRefusal::per_source;
  (*chosen)->connections().expect_websocket();
  mailbox.push_always(AdoptItem{std::move(connection)});
  return std::nullopt;
}

Status<std::string> Runtime::reload_certificates() {
  std::string failures;
  const auto load = [&](TlsContext* context) {
    if (!context) return;
    if (auto done = context->load(); !done.ok()) failures += (failures.empty() ? "" : "; ") + done.reason();
  };
  for (auto& context : impl_->server_tls) load(context.get());
  for (auto& context : impl_->turn_tls) load(context.get());
  for (auto& [realm, context] : impl_->client_tls) load(context.get());
  if (failures.empty()) return Done{};
  return Failure{std::move(failures)};
}

const std::vector<SocketAddress>& Runtime::bound() const { return impl_->bound; }
const std::vector<SocketAddress>& Runtime::turn_bound() const { return impl_->turn_bound; }
uint16_t Runtime::workers() const { return impl_->config.workers; }
const CounterSet& Runtime::counters(uint16_t worker) const { return impl_->loops[worker]->counters(); }
const CounterSet& Runtime::dns_counters() const { return impl_->dns.counters(); }

}  // namespace tandem::net
