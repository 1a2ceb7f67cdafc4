#include "tandem/program.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/text.h"
#include "crypto/hash.h"
#include "net/clock.h"
#include "net/sockets.h"
#include "net/tls.h"
#include "node/ownership.h"
#include "ops/hep.h"
#include "ops/redact.h"
#include "tandem/program_impl.h"
#include "tandem/token_keys.h"

namespace tandem::app {
namespace {

port::Transport transport_from(const std::string& name) {
  if (name == "tcp") return port::Transport::tcp;
  return name == "tls" ? port::Transport::tls : port::Transport::udp;
}

}  // namespace

Program::Impl::Impl(node::NodeConfig c, DataDir d, Reread r)
    : config(std::move(c)),
      data(std::move(d)),
      reread(std::move(r)),
      log(config.log.format == "json" ? ops::LogFormat::json : ops::LogFormat::text,
          ops::level_from(config.log.level), log_counters) {
  const unsigned cores = std::thread::hardware_concurrency();
  workers = config.workers ? config.workers : static_cast<uint16_t>(std::max(1U, cores));
}

Program::Impl::~Impl() { stop(); }

void Program::Impl::say(port::Level level, std::string_view name,
                        std::vector<std::pair<std::string_view, std::string>> fields) {
  log.event({level, name, 0, std::move(fields)}, net::now().wall, "node");
}

Status<std::string> Program::Impl::start() {
  if (auto built = node::make_realms(config); built.ok())
    realms = *built;
  else
    return Failure{built.reason()};
  net::SystemRng rng;
  auto keys = data.keys(rng);
  if (!keys.ok()) return Failure{keys.reason()};
  if (auto bearer = read_token_keys(config.sip.tokens); bearer.ok())
    keys->bearer = std::move(*bearer);
  else
    return Failure{bearer.reason().text};
  tickets = node::ticket_key(*keys);
  const auto epoch = data.next_epoch();
  if (!epoch.ok()) return Failure{epoch.reason()};
  if (config.hep.collector) {
    auto sender = UdpSender::open(config.hep.collector);
    if (!sender.ok()) return Failure{"hep: " + sender.reason()};
    hep = std::move(*sender);
  }
  if (auto s = start_store(); !s.ok()) return s;
  start_sounds();
  start_mailer();
  start_webhooks();
  if (config.web.sip_messages > 0) {
    ops::MessageRingOptions options;
    options.messages = config.web.sip_messages;
    messages = std::make_unique<ops::MessageRing>(options, control_counters);
  }
  if (auto s = start_workers(*epoch, *keys); !s.ok()) return s;
  if (auto s = start_web(); !s.ok()) return s;
  started = true;
  say(port::Level::notice, "node.started",
      {{"version", program_version},
       {"node", std::to_string(config.node)},
       {"epoch", std::to_string(*epoch)},
       {"workers", std::to_string(workers)}});
  return Done{};
}

Status<std::string> Program::Impl::start_store() {
  const std::string path = config.store.path.empty() ? data.file("tandem.db") : config.store.path;
  // What is made from here on is the node's alone; a database of an older day is made so (SQLite's other
  // files take their mode from it).
  ::umask(0077);
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0 && (found.st_mode & 0077) != 0 && ::chmod(path.c_str(), 0600) != 0)
    say(port::Level::warning, "store.readable_by_others", {{"path", path}});
  store_directory = std::make_unique<store::SqlDirectory>(path);
  control_directory = std::make_unique<store::SqlDirectory>(path);
  webhook_directory = std::make_unique<store::SqlDirectory>(path);
  if (const auto opened = store_directory->open(); !opened.ok()) return Failure{opened.reason().text};
  if (auto loaded = load_plan(*control_directory); !loaded.ok()) return loaded;
  if (auto made = first_token(); !made.ok()) return made;

  const auto sink = [this](const port::Event& e) { log.event(e, net::now().wall, "store"); };
  const std::string folder = data.file("spool");
  spool_core =
      std::make_unique<store::SpoolCore>(disk, folder, store::SpoolOptions{}, catalog, spool_counters, sink);
  if (const auto recovered = spool_core->recover(); !recovered.ok())
    say(port::Level::error, "spool.unavailable",
        {{"path", folder}, {"why", std::string(port::to_text(recovered.reason()))}});
  cdr_sink =
      std::make_unique<store::CdrSink>(*store_directory, disk, data.file("cdr-rejected"), store_counters);
  cdr_tap = make_cdr_tap();
  shipper = std::make_unique<store::SpoolShipper>(disk, folder, catalog, *cdr_tap, store_counters, sink);
  store = std::make_unique<store::StoreService>(
      *store_directory, shipper.get(), store::StoreServiceOptions{}, store_counters,
      [this](uint16_t worker, port::AskId id, port::Answer answer) {
        runtime->post_answer(worker, id, std::move(answer));
      },
      sink, this);
  spool = std::make_unique<store::SpoolThread>(
      *spool_core, store::SpoolOptions{}, spool_counters,
      [this](uint16_t worker, port::CommitId upto) { runtime->post_committed(worker, upto); });
  return Done{};
}

Status<std::string> Program::Impl::first_token() {
  const auto rows = store_directory->api_tokens();
  if (!rows.ok() || !rows->empty()) return Done{};
  net::SystemRng rng;
  const std::string token = rng.token(40);
  // The file first: a token nobody knows would be worse than a file without a token.
  if (auto written = write_file(data.file("api_token"), token + "\n", 0600); !written.ok()) return written;
  const auto digest = crypto::hash_hex(crypto::Hash::sha256, {token});
  port::ApiTokenRow row{"first", std::string(digest.view()), "admin", true, {}};
  if (const auto put = store_directory->put_api_token(row); !put.ok()) return Failure{put.reason().text};
  say(port::Level::notice, "node.token_made", {{"file", data.file("api_token")}});
  return Done{};
}

std::unique_ptr<port::Worker> Program::Impl::make_worker(uint16_t index,
                                                         const net::Runtime::Capabilities& world,
                                                         uint64_t epoch, const node::NodeKeys& keys) {
  rngs.push_back(std::make_unique<net::SystemRng>());
  // One certificate a node, shown by each worker for itself.
  if (!certificate) certificate = dtls::Certificate::make(net::now().wall, *rngs.back());
  dtls_endpoints.push_back(std::make_unique<dtls::OpensslEndpoint>(*certificate));
  const node::WorkerSettings settings = node::make_settings(config, keys, epoch, index, workers, realms);
  auto worker = std::make_unique<node::Worker>(settings, plan(), world.media, *rngs.back(),
                                               *dtls_endpoints.back(), net::now());
  worker->use(prompts, *recorder);
  if (world.relays) worker->use(*world.relays);
  worker->set_machine(machine);
  worker->outbox().trace_sip = config.log.trace_sip || hep != nullptr || messages != nullptr;
  worker->outbox().event_level = event_level();
  worker_counters.push_back(&worker->counters());
  return worker;
}

void Program::Impl::look_at_addresses() {
  std::vector<IpAddress> now = net::own_addresses();
  // No list is no news: better the old one than none.
  if (now.empty() || now == machine) return;
  machine = std::move(now);
  for (uint16_t w = 0; runtime && w < runtime->workers(); ++w)
    runtime->post_change(w, [all = machine](Now, port::Worker& worker) {
      static_cast<node::Worker&>(worker).set_machine(all);
    });
}

Status<std::string> Program::Impl::start_workers(uint64_t epoch, const node::NodeKeys& keys) {
  look_at_addresses();
  net::RuntimeConfig rc;
  rc.epoch = epoch;
  rc.node = config.node;
  rc.workers = workers;
  rc.limits.connections = config.limits.connections;
  rc.limits.websocket.message_bytes = config.web.websocket.message_bytes;
  rc.limits.websocket.messages_per_second = static_cast<uint32_t>(config.web.websocket.messages_per_second);
  rc.limits.websocket_ping = config.web.websocket.ping;
  rc.dns.servers = config.dns_servers;
  for (size_t i = 0; i < config.realms.size(); ++i) {
    const auto id = static_cast<port::RealmId>(i);
    const node::RealmSettings& r = config.realms[i];
    for (const node::ListenerSettings& l : r.listeners) {
      net::ListenerConfig lc;
      lc.transport = transport_from(l.transport);
      lc.bind = l.bind;
      lc.realm = id;
      lc.advertised_host = r.advertise;
      lc.tls = {config.web.certificate, config.web.key, l.client_ca};
      for (size_t c = 0; c < l.certificates.size(); ++c) {
        net::TlsFiles files{l.certificates[c].chain, l.certificates[c].key, l.client_ca};
        if (c == 0)
          lc.tls = std::move(files);
        else
          lc.more_certificates.push_back(std::move(files));
      }
      lc.request_client_certificate = l.request_client_certificate;
      rc.listeners.push_back(std::move(lc));
    }
    rc.outgoing.push_back({id, r.tls_ca, r.tls_verify});
    const edge::MediaRange& m = realms->realm(id).media;
    rc.media.push_back({id, m.v4, m.v6, m.advertised_v4, m.advertised_v6, m.first_port, m.last_port,
                        static_cast<uint16_t>(r.webrtc_port)});
  }
  rc.turn = turn_net();
  turn_secret =
      config.turn.secrets.empty() ? node::own_turn_secret(keys) : config.turn.secrets.front().secret;
  runtime = std::make_unique<net::Runtime>(
      std::move(rc),
      [this, epoch, keys](uint16_t index, const net::Runtime::Capabilities& world) {
        return make_worker(index, world, epoch, keys);
      },
      *this, *this, *this);
  if (auto s = runtime->start(); !s.ok()) {
    runtime.reset();
    return s;
  }
  name_turn_uris();
  store->start();
  spool->start();
  sounds->start();
  recorder->start();
  return Done{};
}

net::TurnNetConfig Program::Impl::turn_net() const {
  const node::TurnSettings& t = config.turn;
  net::TurnNetConfig net;
  for (const node::TurnListenerSettings& l : t.listeners) {
    net::TurnListenerConfig& out = net.listeners.emplace_back();
    out.transport = port::from_text<port::RelayTransport>(l.transport).value_or(port::RelayTransport::udp);
    out.bind = l.bind;
    out.tls = l.chain.empty() ? net::TlsFiles{config.web.certificate, config.web.key, {}}
                              : net::TlsFiles{l.chain, l.key, {}};
  }
  net.relay_v4 = node::relay_address(t, IpAddress::Family::v4);
  net.relay_v6 = node::relay_address(t, IpAddress::Family::v6);
  net.advertised_v4 = t.advertise_v4;
  net.advertised_v6 = t.advertise_v6;
  net.first_port = t.first_port;
  net.last_port = t.last_port;
  net.connections = t.connections;
  return net;
}

/// RFC 7065, one a listener.
void Program::Impl::name_turn_uris() {
  for (size_t i = 0; i < config.turn.listeners.size(); ++i) {
    const std::string& transport = config.turn.listeners[i].transport;
    const SocketAddress& at = runtime->turn_bound()[i];
    const bool secure = transport == "tls" || transport == "dtls";
    const bool stream = transport == "tcp" || transport == "tls";
    std::string host = config.turn.host;
    if (host.empty()) host = at.ip.is_v6() ? "[" + at.ip.to_string() + "]" : at.ip.to_string();
    turn_uris.push_back(fmt::format("{}:{}:{}?transport={}", secure ? "turns" : "turn", host, at.port,
                                    stream ? "tcp" : "udp"));
  }
  // What pages may be told; no browser speaks TURN over DTLS.
  std::vector<std::string> of_pages;
  std::copy_if(turn_uris.begin(), turn_uris.end(), std::back_inserter(of_pages),
               [](const std::string& uri) { return !uri.starts_with("turns:") || uri.ends_with("=tcp"); });
  if (of_pages.empty()) return;
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(
        w, [of_pages, secret = turn_secret, ttl = config.turn.credentials_ttl](Now, port::Worker& worker) {
          static_cast<node::Worker&>(worker).offer_turn(of_pages, secret, ttl);
        });
}

Status<std::string> Program::Impl::start_web() {
  make_api();
  make_front_desk();
  net::HttpConfig hc;
  hc.listeners.push_back({config.web.bind, {config.web.certificate, config.web.key, {}}});
  hc.websockets.paths = {{"/sip", "sip"}, {"/rtc", "tandem.rtc.v1"}};
  if (front_desk)
    hc.websockets.paths.push_back({std::string(channel::websocket_path), "",
                                   [this](const port::HttpRequest& r) { return front_desk->admit(r); }});
  hc.websockets.realm = node::websocket_realm(config);
  hc.websockets.origins = config.web.websocket.origins;
  hc.websockets.without_origin = !config.web.websocket.require_origin;
  web = std::make_unique<net::HttpServer>(
      std::move(hc),
      [this](const port::HttpRequest& request, net::HttpServer::Reply reply) {
        if (front_desk && channel::FrontDesk::handles(request)) return reply(front_desk->answer(request));
        api->handle(request, std::move(reply));
      },
      [this](net::Upgraded& connection) { return runtime->adopt(connection); });
  web->every(ops::History::period, [this] { api->sample(); });
  if (!config.turn.listeners.empty()) web->every(seconds(10), [this] { look_at_addresses(); });
  if (front_desk) web->every(seconds(5), [this] { front_desk->retry(); });
  if (messages) web->every(milliseconds(200), [this] { messages->take(); });
  passwords.start();
  if (auto s = web->start(); !s.ok()) return s;
  web_url = "https://" + web->bound().front().to_string();
  return Done{};
}

void Program::Impl::stop() {
  if (web) web->stop();
  if (runtime) runtime->stop();
  if (recorder) recorder->stop();
  if (sounds) sounds->stop();
  if (spool) spool->stop();
  if (store) store->stop();
  if (mailer) mailer->stop();
  if (webhook_thread) webhook_thread->stop();
  passwords.stop();
  // Threads are joined: now what they used may go, the API before the workers it speaks of.
  web.reset();
  front_desk.reset();
  api.reset();
}

// ---- from the workers ------------------------------------------------------------------------------------

void Program::Impl::ask(uint16_t worker, port::Asked asked) {
  if (auto* sound = std::get_if<port::AskSound>(&asked.question))
    return sounds->ask(worker, asked.id, std::move(*sound), asked.deadline);
  if (auto* close = std::get_if<port::CloseRecording>(&asked.question))
    return recorder->ask(worker, asked.id, std::move(*close));
  if (auto* remove = std::get_if<port::RemoveRecording>(&asked.question))
    return recorder->ask(worker, asked.id, std::move(*remove));
  if (std::holds_alternative<port::LeaveVoicemail>(asked.question)) {
    const port::AskId id = asked.id;
    return recorder->ask(worker, id, voicemail_drop->begin(worker, std::move(asked)));
  }
  std::vector<port::Asked> one;
  one.push_back(std::move(asked));
  store->ask(worker, one);
}

void Program::Impl::append(uint16_t worker, std::vector<port::Append> records) {
  spool->append(worker, records);
}

void Program::Impl::events(uint16_t worker, std::vector<port::Event> list) {
  const WallTime wall = net::now().wall;
  const std::string source = fmt::format("worker-{}", worker);
  for (const port::Event& e : list) log.event(e, wall, source);
  tell_webhooks(list, wall);
}

void Program::Impl::traces(uint16_t, std::span<const port::SipTrace> list) {
  for (const port::SipTrace& t : list) {
    if (config.log.trace_sip) log.trace(t);
    if (messages) messages->put(t);
    if (!hep) continue;
    const std::string message = ops::redact_sip(t.bytes.text());
    ops::HepPacket p;
    p.source = t.outbound ? t.path.local : t.path.remote;
    p.destination = t.outbound ? t.path.remote : t.path.local;
    p.transport = t.path.transport;
    p.time = t.time;
    p.capture_id = static_cast<uint32_t>(config.hep.capture_id);
    p.password = config.hep.password;
    p.correlation_id = ops::call_id_of(message);
    p.payload = message;
    hep->send(ops::encode_hep3(p));
  }
}

// ---- signals ---------------------------------------------------------------------------------------------

namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

}  // namespace

bool Program::Impl::drain_until_idle(Instant deadline) {
  const sigset_t set = handled_signals();
  while (calls_in_progress() > 0) {
    if (net::now().mono >= deadline) return false;
    const timespec step{0, 50'000'000};
    const int s = sigtimedwait(&set, nullptr, &step);
    if (s == SIGTERM || s == SIGINT) return false;
  }
  return true;
}

void Program::Impl::end_calls() {
  // Q.850 41, temporary failure: what a phone may show as "network trouble" and a carrier bills to the end.
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(w, [](Now now, port::Worker& worker) {
      static_cast<node::Worker&>(worker).end_calls(now, call::Cause::from_q850(41, "Node is stopping"));
    });
  // Long enough for one retransmission of each BYE; records are on their way to the disk already.
  drain_until_idle(net::now().mono + seconds(2));
}

int Program::Impl::run() {
  const sigset_t set = handled_signals();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (signal == SIGHUP) {
      const auto done = reload();
      say(done.ok() ? port::Level::notice : port::Level::error, "node.reloaded",
          {{"result", done.ok() ? "ok" : done.reason()}});
      continue;
    }
    drain(true);
    say(port::Level::notice, "node.draining", {{"calls", std::to_string(calls_in_progress())}});
    const bool idle = drain_until_idle(net::now().mono + config.drain);
    say(port::Level::notice, "node.stopping", {{"calls", std::to_string(calls_in_progress())}});
    if (!idle) end_calls();
    stop();
    log.flush();
    return 0;
  }
}

Program::Program(node::NodeConfig config, DataDir data, Reread reread) {
  // Before any thread starts: signals are taken by run() alone.
  const sigset_t set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  impl_ = std::make_unique<Impl>(std::move(config), std::move(data), std::move(reread));
}
Program::~Program() = default;
Status<std::string> Program::start() { return impl_->start(); }
int Program::run() { return impl_->run(); }
const std::string& Program::web_url() const { return impl_->web_url; }

}  // namespace tandem::app
