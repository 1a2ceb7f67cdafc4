// `tandem demo`: everything embedded, nothing to configure. At first start it makes subscribers 1001 to 1009.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "auth/digest.h"
#include "net/clock.h"
#include "net/system_rng.h"
#include "net/tls.h"
#include "store/sql_directory.h"
#include "crypto/hash.h"
#include "crypto/password.h"
#include "tandem/commands.h"
#include "tandem/demo_account.h"
#include "tandem/program.h"

namespace tandem::app {
namespace {

struct DemoOptions {
  std::string data = "./data";
  std::string bind = "127.0.0.1";
  uint16_t sip_port = 5060, tls_port = 5061, web_port = 8443;
  uint16_t turn_port = 3478, turn_tls_port = 5349;  // 0: off
  uint16_t webrtc_port = 8444;                      // of the first worker; 0: off
  uint16_t workers = 0;
  std::string media_ports = "16384-32767";
  std::string log_level = "info";
  std::string hep;
  bool trace = false, json = false;
  uint32_t drain_seconds = 30;
};

Result<node::NodeConfig, std::string> config_for(const DemoOptions& o, const DataDir& data) {
  const auto ip = IpAddress::parse(o.bind);
  if (!ip || ip->is_unspecified())
    return Failure{fmt::format("--bind: '{}' is not one address of this machine", o.bind)};
  node::NodeConfig c;
  c.data = o.data;
  c.workers = o.workers;
  c.web.certificate = data.file("web.crt");
  c.web.key = data.file("web.key");
  c.web.bind = {*ip, o.web_port};
  c.log.level = o.log_level;
  c.log.format = o.json ? "json" : "text";
  c.log.trace_sip = o.trace;
  c.drain = seconds(o.drain_seconds);
  node::RealmSettings realm;
  realm.listeners = {{"udp", {*ip, o.sip_port}, {}, "", false},
                     {"tcp", {*ip, o.sip_port}, {}, "", false},
                     {"tls", {*ip, o.tls_port}, {}, "", false}};
  unsigned first = 0, last = 0;
  if (std::sscanf(o.media_ports.c_str(), "%u-%u", &first, &last) != 2 || first < 1024 || last > 65535 ||
      last < first + 3)
    return Failure{
        fmt::format("--media-ports: '{}' is no range of ports such as 16384-32767", o.media_ports)};
  realm.first_port = static_cast<uint16_t>(first);
  realm.last_port = static_cast<uint16_t>(last);
  realm.webrtc_port = o.webrtc_port;
  c.realms.push_back(std::move(realm));
  // Peers are the open internet only, as everywhere: the demo opens neither this machine nor its network.
  if (o.turn_port != 0)
    for (const char* transport : {"udp", "tcp"})
      c.turn.listeners.push_back({transport, {*ip, o.turn_port}, {}, {}});
  if (o.turn_port != 0 && o.turn_tls_port != 0)
    for (const char* transport : {"tls", "dtls"})
      c.turn.listeners.push_back({transport, {*ip, o.turn_tls_port}, {}, {}});
  const auto domain = data.demo_domain();
  c.turn.realm = domain.ok() ? *domain : o.bind;
  if (!o.hep.empty()) {
    const auto collector = SocketAddress::parse(o.hep);
    if (!collector) return Failure{fmt::format("--hep: '{}' is no address and port", o.hep)};
    c.hep.collector = *collector;
  }
  return c;
}

/// Names that mean the demo's domain, whichever of them a phone was told.
std::vector<std::string> aliases_of(const std::string& domain) {
  std::vector<std::string> names{"localhost", "tandem.localhost"};
  if (domain != "127.0.0.1") names.emplace_back("127.0.0.1");
  return names;
}

Status<std::string> make_domain(port::Directory& directory, const std::string& domain) {
  port::DomainRow row;
  row.name = domain;
  row.aliases = aliases_of(domain);
  row.digest_realm = domain;
  const auto done = directory.put_plan_row(row, port::Directory::Put::either);
  if (!done.ok()) return Failure{done.reason().text};
  return Done{};
}

/// Who signs in to the console.
Status<std::string> make_admin(port::AdminDirectory& directory, Rng& rng, Credentials::User& admin) {
  admin = {"admin", rng.token(20)};
  crypto::PasswordSalt salt{};
  rng.fill(salt);
  port::AdminRow row;
  row.name = admin.user;
  row.password = crypto::password_hash(admin.password, salt);
  row.role = port::AdminRow::Role::admin;
  const auto done = directory.put_admin(row, port::Directory::Put::either);
  if (!done.ok()) return Failure{done.reason().text};
  return Done{};
}

/// First start: subscribers, the API token, an administrator and the file that tells of them.
Status<std::string> make_subscribers(const DataDir& data, const std::string& domain,
                                     Credentials& credentials) {
  net::SystemRng rng;
  const char* common = std::getenv("TANDEM_DEMO_PASSWORD");
  if (common && *common)
    if (auto good = check_demo_password(common); !good.ok())
      return Failure{"TANDEM_DEMO_PASSWORD: " + good.reason()};
  store::SqlDirectory directory(data.file("tandem.db"));
  if (auto made = make_domain(directory, domain); !made.ok()) return made;
  credentials.domain = domain;
  for (int extension = 1001; extension <= 1009; ++extension) {
    const std::string user = std::to_string(extension);
    const std::string password = common && *common ? std::string(common) : rng.token(16);
    port::Subscriber row;
    row.aor = {user, domain};
    row.ha1 = auth::make_ha1(user, domain, password);
    row.display_name = "Extension " + user;
    row.pickup_group = "demo";
    if (const auto done = directory.put_subscriber(row, port::Directory::Put::either); !done.ok())
      return Failure{done.reason().text};
    credentials.users.push_back({user, password});
  }
  credentials.api_token = rng.token(40);
  port::ApiTokenRow token;
  token.name = "demo";
  token.sha256 = std::string(crypto::hash_hex(crypto::Hash::sha256, {credentials.api_token}).view());
  token.scopes = "admin";
  if (const auto done = directory.put_api_token(token); !done.ok()) return Failure{done.reason().text};
  if (auto made = make_admin(directory, rng, credentials.admin); !made.ok()) return made;
  return data.write_credentials(credentials);
}

/// Data of an earlier start at another address: phones are told this one as their domain now.
Status<std::string> add_alias(const DataDir& data, const std::string& address) {
  const auto domain = data.demo_domain();
  if (!domain.ok()) return Failure{domain.reason()};
  store::SqlDirectory directory(data.file("tandem.db"));
  const auto plan = directory.plan_rows();
  if (!plan.ok()) return Failure{plan.reason().text};
  for (const port::DomainRow& row : plan->domains) {
    const bool known = row.name == address ||
                       std::find(row.aliases.begin(), row.aliases.end(), address) != row.aliases.end();
    if (known) return Done{};
  }
  for (port::DomainRow row : plan->domains) {
    if (row.name != *domain) continue;
    row.aliases.push_back(address);
    const auto done = directory.put_plan_row(row, port::Directory::Put::either);
    if (!done.ok()) return Failure{done.reason().text};
  }
  return Done{};  // a domain that was removed stays removed
}

/// The web certificate of this data and address. One of our own that lacks the address is made anew, with the
/// names it had; any other file is its owner's.
Status<std::string> make_certificate(const DataDir& data, const std::string& address) {
  std::vector<std::string> names{"localhost", address};
  if (data.has("web.crt")) {
    const auto has = net::self_signed_names(data.file("web.crt"));
    const auto holds = [&](const std::string& n) {
      return std::find(has.begin(), has.end(), n) != has.end();
    };
    if (!holds("localhost") || holds(address)) return Done{};
    std::copy_if(has.begin(), has.end(), std::back_inserter(names),
                 [](const std::string& n) { return n != "localhost"; });
    // Before its key changes: a certificate without its key would stop every start after a crash in between.
    ::unlink(data.file("web.crt").c_str());
  }
  return net::make_self_signed(data.file("web.crt"), data.file("web.key"), names);
}

void print_welcome(const DemoOptions& o, const DataDir& data, const Credentials& fresh,
                   const std::string& web) {
  if (!fresh.users.empty()) {
    fmt::print("Subscribers of {} (kept in {}):\n\n", fresh.domain, data.file("credentials.json"));
    for (const auto& u : fresh.users)
      fmt::print("  {}\n", baresip_account(u.user, o.bind, o.sip_port, u.password));
    fmt::print("\nEach line is a baresip account; other phones take the same user, password and server.\n");
  } else {
    fmt::print("Subscribers and passwords are in {}.\n", data.file("credentials.json"));
  }
  if (!fresh.admin.user.empty())
    fmt::print("Console: {}/ as {} with the password {}\n", web, fresh.admin.user, fresh.admin.password);
  if (o.turn_port != 0)
    fmt::print("STUN and TURN {}:{} (UDP, TCP), realm and users as for SIP.\n", o.bind, o.turn_port);
  fmt::print(
      "SIP {}:{} (UDP, TCP), {} (TLS) and wss{}/sip (browsers). Console, REST and metrics: {}\n"
      "Call another extension, or *43 for the echo test. Listening on {} only; `--bind ADDRESS` for other "
      "machines.\n",
      o.bind, o.sip_port, o.tls_port, web.substr(web.find(':')), web, o.bind);
  std::fflush(stdout);
}

int run_demo(const DemoOptions& o) {
  const auto fail = [](const std::string& why) {
    fmt::print(stderr, "tandem demo: {}\n", why);
    return 1;
  };
  const auto data = DataDir::open(o.data);
  if (!data.ok()) return fail(data.reason());
  const auto config = config_for(o, *data);
  if (!config.ok()) return fail(config.reason());
  const std::string address = config->web.bind.ip.to_string();
  if (auto made = make_certificate(*data, address); !made.ok()) return fail(made.reason());
  Credentials fresh;
  if (!data->has("credentials.json")) {
    if (auto made = make_subscribers(*data, o.bind, fresh); !made.ok()) return fail(made.reason());
  } else if (auto added = add_alias(*data, address); !added.ok()) {
    return fail(added.reason());
  }
  Program program(*config, *data, [o, d = *data] { return config_for(o, d); });
  if (auto started = program.start(); !started.ok()) return fail(started.reason());
  print_welcome(o, *data, fresh, program.web_url());
  return program.run();
}

}  // namespace

void add_demo(CLI::App& root, int& exit_code) {
  auto o = std::make_shared<DemoOptions>();
  CLI::App* demo = root.add_subcommand("demo", "run with embedded defaults and ready-made subscribers");
  demo->add_option("--data", o->data, "data directory")->capture_default_str();
  demo->add_option("--bind", o->bind, "address to listen on")->capture_default_str();
  demo->add_option("--sip-port", o->sip_port, "SIP over UDP and TCP")->capture_default_str();
  demo->add_option("--tls-port", o->tls_port, "SIP over TLS")->capture_default_str();
  demo->add_option("--web-port", o->web_port, "HTTPS")->capture_default_str();
  demo->add_option("--turn-port", o->turn_port, "STUN and TURN over UDP and TCP; 0: off")
      ->capture_default_str();
  demo->add_option("--turn-tls-port", o->turn_tls_port, "TURN over TLS and DTLS; 0: off")
      ->capture_default_str();
  demo->add_option("--media-ports", o->media_ports, "RTP and RTCP")->capture_default_str();
  demo->add_option(
          "--webrtc-port", o->webrtc_port,
          "media of browsers over UDP and TCP, of the first worker; each other has the next one; 0: off")
      ->capture_default_str();
  demo->add_option("--workers", o->workers, "worker threads; 0: one per core")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  demo->add_option("--log-level", o->log_level, "least level that is written")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "notice", "warning", "error"}));
  demo->add_option("--drain", o->drain_seconds, "seconds SIGTERM waits for calls to end")
      ->capture_default_str();
  demo->add_option("--hep", o->hep, "address:port of a Homer collector");
  demo->add_flag("--trace-sip", o->trace, "write every SIP message, credentials removed");
  demo->add_flag("--log-json", o->json, "log as JSON");
  demo->callback([o, &exit_code] { exit_code = run_demo(*o); });
}

}  // namespace tandem::app
