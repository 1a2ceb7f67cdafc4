#include "tandem/program.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/text.h"
#include "crypto/hash.h"
#include "net/clock.h"
#include "net/tls.h"
#include "node/ownership.h"
#include "ops/hep.h"
#include "ops/redact.h"
#include "tandem/program_impl.h"

namespace tandem::app {
namespace {

constexpr const char* version = "0.1.0";

port::Transport transport_from(const std::string& name) {
  if (name == "tcp") return port::Transport::tcp;
  return name == "tls" ? port::Transport::tls : port::Transport::udp;
}

/// Call-ID of a message without parsing all of it: what ties a capture together.
std::string_view call_id_of(std::string_view message) {
  size_t at = 0;
  while (at < message.size()) {
    const size_t end = std::min(message.find('\n', at), message.size());
    const std::string_view line = message.substr(at, end - at);
    for (const std::string_view name : {std::string_view("Call-ID:"), std::string_view("i:")})
      if (istarts_with(line, name)) return trim(line.substr(name.size()));
    if (line.size() <= 1) break;
    at = end + 1;
  }
  return {};
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
  const auto keys = data.keys(rng);
  if (!keys.ok()) return Failure{keys.reason()};
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
  if (auto s = start_workers(*epoch, *keys); !s.ok()) return s;
  if (auto s = start_web(); !s.ok()) return s;
  started = true;
  say(port::Level::notice, "node.started",
      {{"version", version},
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
  shipper = std::make_unique<store::SpoolShipper>(disk, folder, catalog, *cdr_sink, store_counters, sink);
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

std::unique_ptr<port::Worker> Program::Impl::make_worker(uint16_t index, port::MediaPorts& ports,
                                                         uint64_t epoch, const node::NodeKeys& keys) {
  rngs.push_back(std::make_unique<net::SystemRng>());
  // One certificate a node, shown by each worker for itself.
  if (!certificate) certificate = dtls::Certificate::make(net::now().wall, *rngs.back());
  dtls_endpoints.push_back(std::make_unique<dtls::OpensslEndpoint>(*certificate));
  auto worker =
      std::make_unique<node::Worker>(node::make_settings(config, keys, epoch, index, workers, realms), plan(),
                                     ports, *rngs.back(), *dtls_endpoints.back(), net::now());
  worker->use(prompts, *recorder);
  worker->outbox().trace_sip = config.log.trace_sip || hep != nullptr;
  worker->outbox().event_level = log.level();
  worker_counters.push_back(&worker->counters());
  return worker;
}

Status<std::string> Program::Impl::start_workers(uint64_t epoch, const node::NodeKeys& keys) {
  net::RuntimeConfig rc;
  rc.epoch = epoch;
  rc.node = config.node;
  rc.workers = workers;
  rc.limits.connections = config.limits.connections;
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
    rc.tls.push_back({id, r.tls_ca, r.tls_verify});
    const edge::MediaRange& m = realms->realm(id).media;
    rc.media.push_back({id, m.v4, m.v6, m.advertised_v4, m.advertised_v6, m.first_port, m.last_port});
  }
  runtime = std::make_unique<net::Runtime>(
      std::move(rc),
      [this, epoch, keys](uint16_t index, port::MediaPorts& ports) {
        return make_worker(index, ports, epoch, keys);
      },
      *this, *this, *this);
  if (auto s = runtime->start(); !s.ok()) {
    runtime.reset();
    return s;
  }
  store->start();
  spool->start();
  sounds->start();
  recorder->start();
  return Done{};
}

Status<std::string> Program::Impl::start_web() {
  api = std::make_unique<ops::Api>(
      ops::ApiConfig{.version = version,
                     .server_name = config.sip.user_agent,
                     .started = net::now().wall,
                     .guess_key = net::SystemRng().next()},
      *control_directory, *this, [] { return net::now().wall; }, control_counters);
  net::HttpConfig hc;
  hc.listeners.push_back({config.web.bind, {config.web.certificate, config.web.key, {}}});
  web = std::make_unique<net::HttpServer>(
      std::move(hc), [this](const net::HttpRequest& in, net::HttpServer::Reply reply) {
        const port::HttpRequest request{in.method, in.target, in.headers, in.body, in.peer, in.secure};
        api->handle(request, [reply = std::move(reply)](port::HttpResponse out) {
          reply({static_cast<unsigned>(out.status), std::move(out.content_type), std::move(out.headers),
                 std::move(out.body)});
        });
      });
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
  // Threads are joined: now what they used may go, the API before the workers it speaks of.
  web.reset();
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
}

void Program::Impl::traces(uint16_t, std::span<const port::SipTrace> list) {
  for (const port::SipTrace& t : list) {
    if (config.log.trace_sip) log.trace(t);
    if (!hep) continue;
    const std::string message = ops::redact_sip(t.bytes.text());
    ops::HepPacket p;
    p.source = t.outbound ? t.path.local : t.path.remote;
    p.destination = t.outbound ? t.path.remote : t.path.local;
    p.transport = t.path.transport;
    p.time = t.time;
    p.capture_id = static_cast<uint32_t>(config.hep.capture_id);
    p.password = config.hep.password;
    p.correlation_id = call_id_of(message);
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
    runtime->post_task(w, [](Now now, port::Worker& worker) {
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
