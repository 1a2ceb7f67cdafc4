#include "tandem/load.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <set>

#include "base/text.h"
#include "dtls/certificate.h"
#include "dtls/openssl_endpoint.h"
#include "load/agent.h"
#include "net/clock.h"
#include "net/runtime.h"
#include "net/system_rng.h"
#include "net/tls.h"

namespace tandem::app {
namespace {

struct LoadOptions {
  std::string target, bind = "127.0.0.1:5090", callee_bind = "127.0.0.1:5070", transport = "udp";
  std::string from = "sip:caller@127.0.0.1", to = "sip:callee@127.0.0.1";
  std::string user, password, domain, users, register_at;
  std::string hold = "0s", ring = "0s", patience = "60s", duration = "0s";
  std::string media_ports = "40000-59999", caller_codec, callee_codec, certificate, key, server_name, ca,
              output;
  double rate = 10;
  uint64_t count = 0;
  uint32_t expires = 3600;
  size_t limit = 100'000;
  uint32_t connections = 1;
  std::string webrtc, path = "/sip";
  bool poisson = false, rtp = false, allow_remote = false, quiet = false, insecure = false;
};

const std::map<std::string, port::Transport> transports = {{"udp", port::Transport::udp},
                                                           {"tcp", port::Transport::tcp},
                                                           {"tls", port::Transport::tls},
                                                           {"ws", port::Transport::ws},
                                                           {"wss", port::Transport::wss}};

enum class Mode : uint8_t { uac, uas, call, register_ };

/// "5s", "250ms", "2m"; a bare number is seconds.
std::optional<Duration> parse_duration(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !(value >= 0) || value > 1e6) return std::nullopt;
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const double scale = unit == "ms"                  ? 1e6
                       : unit.empty() || unit == "s" ? 1e9
                       : unit == "m"                 ? 60e9
                       : unit == "h"                 ? 3600e9
                                                     : 0;
  if (scale == 0) return std::nullopt;
  return Duration(static_cast<int64_t>(value * scale));
}

/// "u1-u500" or "1001-1009": what stands before the digits is the prefix.
bool parse_users(std::string_view text, load::RegistrarSettings& out) {
  const auto split = [](std::string_view s, std::string_view& prefix) {
    size_t digits = s.size();
    while (digits > 0 && is_digit(s[digits - 1])) --digits;
    prefix = s.substr(0, digits);
    return parse_u32(s.substr(digits));
  };
  const size_t dash = text.find('-');
  std::string_view prefix, last_prefix;
  const auto first = split(text.substr(0, dash), prefix);
  const auto last = dash == std::string_view::npos ? first : split(text.substr(dash + 1), last_prefix);
  if (!first || !last || (!last_prefix.empty() && last_prefix != prefix)) return false;
  out.prefix = prefix;
  out.first = *first;
  out.last = *last;
  return true;
}

/// A sentence about the first thing that is wrong, or the settings.
class Reader {
 public:
  explicit Reader(const LoadOptions& o) : o_(o) {}

  Result<load::Settings, std::string> read(Mode mode) {
    load::Settings s;
    s.transport = transports.at(o_.transport);
    s.connections = o_.connections;
    s.allow_remote = o_.allow_remote;
    s.server_name = o_.server_name;
    if (mode == Mode::uac || mode == Mode::call) s.caller = caller();
    if (mode == Mode::uas || mode == Mode::call) {
      s.callee.emplace();
      s.callee->ring = duration("--ring", o_.ring);
      s.callee->rtp = o_.rtp;
      s.callee->codec = o_.callee_codec;
      s.callee->webrtc = o_.webrtc == "callee" || o_.webrtc == "both";
      s.callee->limit = o_.limit;
    }
    if (mode == Mode::register_ || !o_.register_at.empty()) s.registrations = registrations(mode);
    if (!problem_.empty()) return Failure{problem_};
    if (auto p = load::problem_with(s)) return Failure{*p};
    return s;
  }

 private:
  load::Pace pace() const { return {o_.rate, o_.count, o_.poisson}; }
  Duration duration(const char* option, const std::string& text) {
    const auto d = parse_duration(text);
    if (!d) problem_ = fmt::format("{}: '{}' is no time such as 5s or 250ms", option, text);
    return d.value_or(Duration{});
  }
  SocketAddress address(const char* option, const std::string& text) {
    const auto a = SocketAddress::parse(text);
    if (!a) problem_ = fmt::format("{}: '{}' is no address and port such as 127.0.0.1:5060", option, text);
    return a.value_or(SocketAddress{});
  }
  load::CallerSettings caller() {
    load::CallerSettings c;
    c.target = address("--target", o_.target);
    c.from = o_.from;
    c.to = o_.to;
    c.pace = pace();
    c.hold = duration("--hold", o_.hold);
    c.patience = duration("--patience", o_.patience);
    c.user = o_.user;
    c.password = o_.password;
    c.rtp = o_.rtp;
    c.codec = o_.caller_codec;
    c.webrtc = o_.webrtc == "caller" || o_.webrtc == "both";
    c.limit = o_.limit;
    return c;
  }
  load::RegistrarSettings registrations(Mode mode) {
    load::RegistrarSettings r;
    const bool refresh = mode != Mode::register_;
    r.target = refresh ? address("--register-at", o_.register_at) : address("--target", o_.target);
    r.domain = o_.domain;
    r.password = o_.password;
    r.expires = o_.expires;
    r.limit = o_.limit;
    r.refresh = refresh;
    if (!parse_users(o_.users, r))
      problem_ = fmt::format("--users: '{}' is no range such as 1001-1009 or u1-u500", o_.users);
    r.pace = pace();
    if (refresh || r.pace.count == 0) r.pace.count = uint64_t{r.last} - r.first + 1;
    return r;
  }

  const LoadOptions& o_;
  std::string problem_;
};

/// Nobody here answers questions or keeps records: the generator asks for neither. Why no connection comes to
/// be is told, once.
struct NoHandlers final : net::AskHandler, net::SpoolHandler, net::EventHandler {
  void ask(uint16_t, port::Asked) override {}
  void append(uint16_t, std::vector<port::Append>) override {}
  void events(uint16_t, std::vector<port::Event> list) override {
    for (const port::Event& e : list) {
      if (e.level < port::Level::warning || !told_.emplace(e.name).second) continue;
      std::string text(e.name);
      for (const auto& [field, value] : e.fields) text += fmt::format(" {}='{}'", field, value);
      fmt::print(stderr, "tandem load: {}\n", text);
    }
  }

 private:
  std::set<std::string> told_;  // of one worker
};

/// A certificate for the time of the run, where TLS is spoken and none was given.
struct TemporaryCertificate {
  std::string folder;
  ~TemporaryCertificate() {
    if (folder.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  Result<net::TlsFiles, std::string> make() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tandem-load-XXXXXX").string();
    if (!mkdtemp(pattern.data())) return Failure{std::string("cannot make a temporary folder")};
    folder = pattern;
    net::TlsFiles files{folder + "/load.crt", folder + "/load.key", {}};
    if (auto made = net::make_self_signed(files.certificate, files.key, {"localhost", "127.0.0.1"});
        !made.ok())
      return Failure{made.reason()};
    return files;
  }
};

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

class Run {
 public:
  Run(const LoadOptions& o, load::Settings settings) : o_(o), settings_(std::move(settings)) {}

  int go() {
    auto config = configuration();
    if (!config.ok()) return cannot(config.reason());
    const auto length = parse_duration(o_.duration);
    if (!length) return cannot(fmt::format("--duration: '{}' is no time such as 60s", o_.duration));
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    runtime_ = std::make_unique<net::Runtime>(
        std::move(*config),
        [this](uint16_t, port::MediaPorts& ports) {
          return std::make_unique<load::Agent>(settings_, ports, rng_, &dtls_);
        },
        handlers_, handlers_, handlers_);
    if (auto s = runtime_->start(); !s.ok()) return cannot(s.reason());
    begin();
    watch(*length);
    post([](Now, load::Agent& agent) { agent.finish(); });
    const load::Statistics last = look().statistics;
    runtime_->stop();
    return report(last);
  }

 private:
  struct View {
    load::Statistics statistics;
    bool done = false;
  };

  static int cannot(const std::string& why) {
    fmt::print(stderr, "tandem load: {}\n", why);
    return 2;
  }

  Result<net::RuntimeConfig, std::string> configuration() {
    net::RuntimeConfig rc;
    rc.workers = 1;
    rc.sip_receive_buffer = 16 << 20;
    rc.limits.connections += 2 * size_t{settings_.connections};
    rc.limits.websocket.messages_per_second = 1'000'000;  // of a server we chose ourselves
    net::TlsFiles tls{o_.certificate, o_.key, {}};
    if (settings_.transport == port::Transport::tls && tls.certificate.empty()) {
      auto made = certificate_.make();
      if (!made.ok()) return Failure{made.reason()};
      tls = *made;
    }
    if (o_.path.empty() || o_.path[0] != '/' || o_.path.find_first_of("\r\n ") != std::string::npos)
      return Failure{fmt::format("--path: '{}' is no path such as /sip", o_.path)};
    // Nobody connects to a client of WebSockets: its listener holds an address and no more.
    const bool web = port::is_websocket(settings_.transport);
    const auto listen = [&](const std::string& text, port::RealmId realm) -> Status<std::string> {
      const auto bind = SocketAddress::parse(text);
      if (!bind) return Failure{fmt::format("'{}' is no address and port to bind", text)};
      net::ListenerConfig l;
      l.transport = web ? port::Transport::tcp : settings_.transport;
      l.bind = *bind;
      l.realm = realm;
      l.tls = tls;
      rc.listeners.push_back(std::move(l));
      return Done{};
    };
    if (settings_.caller || !settings_.callee)
      if (auto s = listen(o_.bind, load::caller_realm); !s.ok()) return Failure{s.reason()};
    if (settings_.callee)
      if (auto s = listen(o_.callee_bind, load::callee_realm); !s.ok()) return Failure{s.reason()};
    for (const port::RealmId realm : {load::caller_realm, load::callee_realm})
      rc.outgoing.push_back({realm, o_.ca, !o_.insecure, web ? o_.path : std::string()});
    unsigned first = 0, last = 0;
    if (std::sscanf(o_.media_ports.c_str(), "%u-%u", &first, &last) != 2 || first < 1024 || last > 65535 ||
        last < first + 3)
      return Failure{
          fmt::format("--media-ports: '{}' is no range of ports such as 40000-59999", o_.media_ports)};
    net::RealmMedia media;
    media.bind_v4 = rc.listeners.front().bind.ip;
    media.first_port = static_cast<uint16_t>(first);
    media.last_port = static_cast<uint16_t>(last);
    rc.media.push_back(media);
    rc.port_quarantine = milliseconds(100);
    return rc;
  }

  void begin() {
    const auto& bound = runtime_->bound();
    const SocketAddress caller = settings_.caller || !settings_.callee ? bound.front() : SocketAddress{};
    const SocketAddress callee = settings_.callee ? bound.back() : SocketAddress{};
    post([=](Now now, load::Agent& agent) { agent.start(now, caller, callee); });
  }

  template <class F>
  void post(F f) {
    runtime_->post_task(0, [f](Now now, port::Worker& worker) { f(now, static_cast<load::Agent&>(worker)); });
  }

  View look() {
    auto promise = std::make_shared<std::promise<View>>();
    auto view = promise->get_future();
    post([promise](Now now, load::Agent& agent) {
      promise->set_value({agent.statistics(), agent.done(now)});
    });
    return view.get();
  }

  /// Until the work is done, the time is up, or a signal: the first one lets calls end, a second one does not
  /// wait.
  void watch(Duration length) {
    const sigset_t set = stop_signals();
    const Instant begun = net::now().mono;
    const Instant end = length.count() > 0 ? begun + length : Instant::never();
    Instant deadline = Instant::never();
    load::Statistics before;
    int second = 0;
    for (bool winding_down = false;;) {
      const timespec step{0, 50'000'000};
      const bool signal = sigtimedwait(&set, nullptr, &step) > 0;
      const Instant now = net::now().mono;
      if (signal && winding_down) return;
      if ((signal || now >= end) && !winding_down) {
        winding_down = true;
        deadline = now + seconds(35);
        post([](Now, load::Agent& agent) { agent.wind_down(); });
      }
      const bool report_due = now >= begun + seconds(second + 1);
      const View view = look();
      if (report_due) {
        ++second;
        if (!o_.quiet) fmt::print(stderr, "{}\n", load::progress_line(view.statistics, before, second));
        before = view.statistics;
      }
      if (view.done || now >= deadline) return;
    }
  }

  int report(const load::Statistics& s) const {
    const std::string json = load::to_json(s) + "\n";
    if (o_.output.empty()) {
      fmt::print("{}", json);
    } else if (FILE* f = std::fopen(o_.output.c_str(), "w")) {
      std::fputs(json.c_str(), f);
      std::fclose(f);
    } else {
      return cannot(fmt::format("cannot write {}", o_.output));
    }
    return s.failures.empty() && s.shed == 0 ? 0 : 1;
  }

  const LoadOptions& o_;
  load::Settings settings_;
  net::SystemRng rng_;
  dtls::OpensslEndpoint dtls_{dtls::Certificate::make(net::now().wall, rng_)};
  NoHandlers handlers_;
  TemporaryCertificate certificate_;
  std::unique_ptr<net::Runtime> runtime_;
};

void add_common(CLI::App* c, LoadOptions& o) {
  c->add_option("--transport", o.transport, "udp, tcp, tls, ws or wss")
      ->check(CLI::IsMember(transports))
      ->capture_default_str();
  c->add_option("--path", o.path, "ws, wss: of the server's WebSocket for SIP")->capture_default_str();
  c->add_option("--connections", o.connections,
                "that each side opens, where the transport has any; users and calls are dealt to them")
      ->capture_default_str();
  c->add_option("--server-name", o.server_name,
                "TLS: name the target's certificate must carry (default: its address)");
  c->add_option("--ca", o.ca, "TLS: PEM authorities that vouch for the target (default: the system's)");
  c->add_flag("--insecure", o.insecure, "TLS: do not verify the target");
  c->add_option("--certificate", o.certificate, "TLS: own certificate (default: one for the run)");
  c->add_option("--key", o.key, "TLS: its key");
  c->add_option("--limit", o.limit, "calls or registrations at once")->capture_default_str();
  c->add_option("--duration", o.duration, "stop after this time (0: when the work is done)")
      ->capture_default_str();
  c->add_option("--json", o.output, "write the result to this file instead of the standard output");
  c->add_flag("--quiet", o.quiet, "no line per second");
  c->add_flag("--allow-remote", o.allow_remote,
              "load a machine that is not this one; its owner must have agreed");
}

void add_pace(CLI::App* c, LoadOptions& o, const char* count_names) {
  c->add_option("--rate", o.rate, "a second")->capture_default_str();
  c->add_option(count_names, o.count, "how many in all")->capture_default_str();
  c->add_flag("--poisson", o.poisson, "random gaps instead of even ones");
}

void add_media(CLI::App* c, LoadOptions& o) {
  c->add_flag("--rtp", o.rtp, "send and measure G.711, 50 packets a second and call");
  c->add_option("--media-ports", o.media_ports, "range for --rtp")->capture_default_str();
  c->add_option(
      "--caller-codec", o.caller_codec,
      "callers speak PCMU, PCMA, G722, G729 or opus and nothing else: a sound, counted by RTP sequence");
  c->add_option("--callee-codec", o.callee_codec, "the same of callees");
  c->add_option("--webrtc", o.webrtc,
                "whose media is a browser's (ICE, DTLS-SRTP), with --rtp: caller, callee or both")
      ->check(CLI::IsMember({"caller", "callee", "both"}));
}

void add_caller(CLI::App* c, LoadOptions& o) {
  c->add_option("--target", o.target, "address:port of the server under test")->required();
  c->add_option("--from", o.from, "caller's URI")->capture_default_str();
  c->add_option("--to", o.to, "called URI")->capture_default_str();
  c->add_option("--hold", o.hold, "from the answer to the BYE")->capture_default_str();
  c->add_option("--patience", o.patience, "cancel after this time without an answer")->capture_default_str();
  c->add_option("--user", o.user, "for digest");
  add_pace(c, o, "--calls,--count");
}

void add_callee(CLI::App* c, LoadOptions& o) {
  c->add_option("--ring", o.ring, "from the INVITE to the answer")->capture_default_str();
  c->add_option("--register-at", o.register_at, "address:port of a registrar to register --users at");
}

void add_users(CLI::App* c, LoadOptions& o) {
  c->add_option("--domain", o.domain, "of the users");
  c->add_option("--users", o.users, "first-last, such as 1001-1009 or u1-u500");
  c->add_option("--password", o.password, "of all users");
  c->add_option("--expires", o.expires, "seconds asked for")->capture_default_str();
}

}  // namespace

void add_load(CLI::App& root, int& exit_code) {
  auto o = std::make_shared<LoadOptions>();
  CLI::App* load = root.add_subcommand("load", "generate calls and registrations");
  load->require_subcommand(1);
  const auto add = [&](const char* name, const char* text, Mode mode) {
    CLI::App* c = load->add_subcommand(name, text);
    add_common(c, *o);
    if (mode == Mode::uac || mode == Mode::call) add_caller(c, *o);
    if (mode == Mode::uas || mode == Mode::call) add_callee(c, *o);
    if (mode == Mode::register_) {
      c->add_option("--target", o->target, "address:port of the registrar")->required();
      add_pace(c, *o, "--count");
    }
    if (mode == Mode::uas) c->add_option("--rate", o->rate, "registrations a second")->capture_default_str();
    if (mode != Mode::register_) add_media(c, *o);
    add_users(c, *o);
    const bool callee_only = mode == Mode::uas;
    c->add_option("--bind", callee_only ? o->callee_bind : o->bind, "address:port to speak from")
        ->capture_default_str();
    if (mode == Mode::call)
      c->add_option("--callee-bind", o->callee_bind, "address:port of the answering side")
          ->capture_default_str();
    c->callback([o, mode, &exit_code] {
      auto settings = Reader(*o).read(mode);
      if (!settings.ok()) {
        fmt::print(stderr, "tandem load: {}\n", settings.reason());
        exit_code = 2;
        return;
      }
      exit_code = Run(*o, std::move(*settings)).go();
    });
  };
  add("uac", "place calls", Mode::uac);
  add("uas", "answer calls", Mode::uas);
  add("call", "place calls and answer them, through a server in between", Mode::call);
  add("register", "register users with digest", Mode::register_);
}

}  // namespace tandem::app
