// `tandem serve` and `tandem check`: a node from a configuration file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "net/tls.h"
#include "node/config.h"
#include "node/settings.h"
#include "tandem/commands.h"
#include "tandem/program.h"
#include "tandem/token_keys.h"
#include "tandem/yaml_schema.h"

namespace tandem::app {
namespace {

/// Certificates are read as a start would read them: a node that cannot start after `check` said ok is down.
void check_certificates(const node::NodeConfig& config, std::vector<node::Problem>& wrong) {
  const auto check = [&](std::string path, const net::TlsFiles& files, bool ask_client) {
    if (files.certificate.empty() || files.key.empty()) return;  // said already, or made at the first start
    if (const auto read = net::load_server_context(files, ask_client); !read.ok())
      wrong.push_back({std::move(path), read.reason(), ""});
  };
  check("web.certificate", {config.web.certificate, config.web.key, {}}, false);
  for (size_t l = 0; l < config.turn.listeners.size(); ++l)
    if (const node::TurnListenerSettings& in = config.turn.listeners[l];
        in.transport == "tls" || in.transport == "dtls")
      check(fmt::format("turn.listeners[{}].chain", l), {in.chain, in.key, {}}, false);
  for (size_t r = 0; r < config.realms.size(); ++r)
    for (size_t l = 0; l < config.realms[r].listeners.size(); ++l) {
      const node::ListenerSettings& in = config.realms[r].listeners[l];
      for (size_t c = 0; c < in.certificates.size(); ++c)
        check(fmt::format("realms[{}].listeners[{}].certificates[{}]", r, l, c),
              {in.certificates[c].chain, in.certificates[c].key, in.client_ca},
              in.request_client_certificate);
    }
}

Result<node::NodeConfig, std::string> load(const std::string& path) {
  const auto text = read_file(path);
  if (!text.ok()) return Failure{text.reason() + "\n"};
  node::NodeConfig config;
  const auto across = [&] {
    std::vector<node::Problem> wrong = node::problems_with(config);
    check_certificates(config, wrong);
    if (const auto keys = read_token_keys(config.sip.tokens); !keys.ok()) wrong.push_back(keys.reason());
    const bool realms_fit = std::none_of(wrong.begin(), wrong.end(),
                                         [](const node::Problem& p) { return p.path.starts_with("realms"); });
    if (realms_fit)
      if (const auto realms = node::make_realms(config); !realms.ok())
        wrong.push_back({"realms", realms.reason(), ""});
    return wrong;
  };
  const auto problems = read_yaml(
      *text, [&](node::Schema& s) { node::describe(config, s); }, across);
  if (!problems.empty()) return Failure{to_text(path, problems)};
  return config;
}

}  // namespace

void add_serve(CLI::App& root, int& exit_code) {
  auto path = std::make_shared<std::string>();
  auto trace = std::make_shared<bool>(false);
  auto json = std::make_shared<bool>(false);
  CLI::App* serve = root.add_subcommand("serve", "run a node from a configuration file");
  serve->add_option("-c,--config", *path, "YAML file (see docs/configuration.md)")->required();
  serve->add_flag("--trace-sip", *trace, "write every SIP message, credentials removed");
  serve->add_flag("--log-json", *json, "log as JSON");
  serve->callback([path, trace, json, &exit_code] {
    const auto fail = [&](const std::string& why) {
      fmt::print(stderr, "{}{}", why, why.ends_with('\n') ? "" : "\n");
      exit_code = 1;
    };
    const auto configured = [=]() -> Result<node::NodeConfig, std::string> {
      auto config = load(*path);
      if (!config.ok()) return config;
      if (*trace) config->log.trace_sip = true;
      if (*json) config->log.format = "json";
      return config;
    };
    auto config = configured();
    if (!config.ok()) return fail(config.reason());
    auto data = DataDir::open(config->data);
    if (!data.ok()) return fail("tandem: " + data.reason());
    if (config->web.certificate.empty()) {
      config->web.certificate = data->file("web.crt");
      config->web.key = data->file("web.key");
      if (!data->has("web.crt"))
        if (auto made =
                net::make_self_signed(config->web.certificate, config->web.key, {"localhost", "127.0.0.1"});
            !made.ok())
          return fail("tandem: " + made.reason());
    }
    Program program(*config, *data, configured);
    if (auto started = program.start(); !started.ok()) return fail("tandem: " + started.reason());
    exit_code = program.run();
  });
}

void add_check(CLI::App& root, int& exit_code) {
  auto path = std::make_shared<std::string>();
  auto print = std::make_shared<bool>(false);
  CLI::App* check = root.add_subcommand("check", "check a configuration file");
  CLI::Option* file = check->add_option("-c,--config", *path, "YAML file");
  check->add_flag("--reference", *print, "print the configuration reference (Markdown)")->excludes(file);
  check->callback([path, print, &exit_code] {
    if (*print) {
      node::NodeConfig config;
      fmt::print("{}", reference([&](node::Schema& s) { node::describe(config, s); }));
      return;
    }
    if (path->empty()) {
      fmt::print(stderr, "tandem check: -c FILE is needed\n");
      exit_code = 2;
      return;
    }
    const auto config = load(*path);
    if (config.ok()) return fmt::print("{}: ok\n", *path);
    fmt::print(stderr, "{}", config.reason());
    exit_code = 1;
  });
}

}  // namespace tandem::app
