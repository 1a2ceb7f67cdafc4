#include "net/runtime.h"

#include <fmt/format.h>
#include <pthread.h>

#include <cerrno>
#include <thread>

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
        dns(config.dns, *this),
        world{config, asks, spool, events, dns, ranges, sources, mailboxes} {}

  void dns_answer(uint16_t worker, port::AskId id, port::Answer answer) override {
    mailboxes[worker]->push_always(AnswerItem{id, std::move(answer)});
  }

  RealmTls tls_of(port::RealmId realm) const;
  Status<std::string> load_tls();
  Status<std::string> open_listeners();
  Status<std::string> open_listener(const ListenerConfig& l, uint16_t index);
  void stop();

  const RuntimeConfig config;
  WorkerFactory factory;
  PortRanges ranges;
  SourceCounts sources;
  std::vector<std::unique_ptr<Mailbox>> mailboxes;
  DnsService dns;
  World world;
  std::vector<std::unique_ptr<TlsContext>> server_tls;              // by listener; null without TLS
  std::map<port::RealmId, std::unique_ptr<TlsContext>> client_tls;  // by realm
  std::vector<std::unique_ptr<WorkerLoop>> loops;
  std::vector<std::thread> threads;
  std::vector<SocketAddress> bound;
};

RealmTls Runtime::Impl::tls_of(port::RealmId realm) const {
  for (const RealmTls& t : config.tls)
    if (t.realm == realm) return t;
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
    TlsFiles identity{.ca = tls_of(l.realm).ca};
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
    loop->connections().set_outgoing(l.realm, client_tls[l.realm].get(), tls_of(l.realm).verify,
                                     l.bind.ip.is_v4() ? l.bind.ip : IpAddress{},
                                     l.bind.ip.is_v6() ? l.bind.ip : IpAddress{});
  }
  bound.push_back(at);
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
  if (auto done = m.dns.start(); !done.ok()) return failed(done.reason());
  for (uint16_t i = 0; i < m.config.workers; ++i)
    m.loops[i]->set_worker(m.factory(i, m.loops[i]->media_ports()));
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
  return impl_->mailboxes[worker]->push(std::move(body));
}
bool Runtime::post_task(uint16_t worker, Task task) {
  return impl_->mailboxes[worker]->push(TaskItem{std::move(task)});
}

Status<std::string> Runtime::reload_certificates() {
  std::string failures;
  const auto load = [&](TlsContext* context) {
    if (!context) return;
    if (auto done = context->load(); !done.ok()) failures += (failures.empty() ? "" : "; ") + done.reason();
  };
  for (auto& context : impl_->server_tls) load(context.get());
  for (auto& [realm, context] : impl_->client_tls) load(context.get());
  if (failures.empty()) return Done{};
  return Failure{std::move(failures)};
}

const std::vector<SocketAddress>& Runtime::bound() const { return impl_->bound; }
uint16_t Runtime::workers() const { return impl_->config.workers; }
const CounterSet& Runtime::counters(uint16_t worker) const { return impl_->loops[worker]->counters(); }
const CounterSet& Runtime::dns_counters() const { return impl_->dns.counters(); }

}  // namespace tandem::net
