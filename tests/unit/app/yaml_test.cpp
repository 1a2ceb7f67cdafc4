// The configuration file: what it says is taken over, what is wrong is named with line and column.
#include <gtest/gtest.h>

#include "node/config.h"
#include "tandem/yaml_schema.h"

namespace tandem::app {
namespace {

struct Read {
  node::NodeConfig config;
  std::vector<ConfigProblem> problems;
};

Read read(const std::string& text) {
  Read r;
  r.problems = read_yaml(text, [&](node::Schema& s) { node::describe(r.config, s); });
  return r;
}

/// "line:column: text" of the only problem.
std::string only(const std::string& text) {
  const Read r = read(text);
  if (r.problems.size() != 1)
    return "not one problem but " + std::to_string(r.problems.size()) + "\n" + to_text("f", r.problems);
  const ConfigProblem& p = r.problems[0];
  return std::to_string(p.line) + ":" + std::to_string(p.column) + ": " + p.text;
}

TEST(Yaml, AWholeFile) {
  const Read r = read(R"(
node: 7
workers: 2
data: /var/lib/tandem
realms:
  - name: inside
    listeners:
      - {transport: udp, bind: "192.0.2.1:5060"}
      - {transport: tls, bind: "[2001:db8::1]:5061", certificates: [{chain: a.pem, key: b.pem}], request_client_certificate: yes}
    advertise: sip.example.com
    media: {bind_v4: 192.0.2.1, advertise_v4: 203.0.113.9, ports: 20000-20999}
  - name: outside
sip: {t1: 250ms, digest: [MD5], tcp_for_large: off}
media: {timeout: 0s}
limits: {ban: 1h, calls: 10}
log: {level: debug, format: json}
hep: {collector: "192.0.2.7:9060", password: secret}
dns_servers: [192.0.2.53, "192.0.2.54:5353"]
drain: 2m
)");
  EXPECT_TRUE(r.problems.empty()) << to_text("f", r.problems);
  EXPECT_EQ(r.config.node, 7);
  ASSERT_EQ(r.config.realms.size(), 2U);
  const node::RealmSettings& inside = r.config.realms[0];
  ASSERT_EQ(inside.listeners.size(), 2U);
  EXPECT_EQ(inside.listeners[1].bind.to_string(), "[2001:db8::1]:5061");
  EXPECT_TRUE(inside.listeners[1].request_client_certificate);
  ASSERT_EQ(inside.listeners[1].certificates.size(), 1U);
  EXPECT_EQ(inside.listeners[1].certificates[0].key, "b.pem");
  EXPECT_EQ(inside.first_port, 20000);
  EXPECT_EQ(inside.last_port, 20999);
  EXPECT_EQ(inside.media_advertise_v4.to_string(), "203.0.113.9");
  EXPECT_EQ(r.config.realms[1].name, "outside");
  EXPECT_EQ(r.config.sip.timers.t1, Duration(milliseconds(250)));
  EXPECT_EQ(r.config.sip.digest, std::vector<std::string>{"MD5"});
  EXPECT_FALSE(r.config.sip.tcp_for_large);
  EXPECT_EQ(r.config.media.timeout, Duration(0));
  EXPECT_EQ(r.config.limits.ban, Duration(hours(1)));
  EXPECT_EQ(r.config.hep.password, "secret");
  EXPECT_EQ(r.config.dns_servers.size(), 2U);
  EXPECT_EQ(r.config.drain, Duration(minutes(2)));
}

TEST(Yaml, WhatIsNotNamedKeepsItsDefault) {
  const node::NodeConfig untouched;
  for (const char* text : {"", "# nothing but a comment\n", "sip:\n", "{}"}) {
    const Read r = read(text);
    EXPECT_TRUE(r.problems.empty()) << text;
    EXPECT_EQ(r.config.drain, untouched.drain);
    EXPECT_EQ(r.config.sip.digest, untouched.sip.digest);
  }
}

TEST(Yaml, UnknownKeysAreErrors) {
  EXPECT_TRUE(only("node: 1\nworker: 2\n").starts_with("2:1: worker: unknown key, expected one of "))
      << only("node: 1\nworker: 2\n");
  EXPECT_TRUE(only("sip:\n  t3: 1s\n").starts_with("2:3: sip.t3: unknown key"));
  EXPECT_TRUE(only("realms:\n  - name: a\n    listeners:\n      - {transprot: udp}\n")
                  .starts_with("4:10: realms[0].listeners[0].transprot: unknown key"));
}

TEST(Yaml, AKeyMayStandOnce) {
  EXPECT_EQ(only("node: 1\nnode: 2\n"), "2:1: node: the key stands twice, expected it once");
}

TEST(Yaml, BadValuesSayWhatIsExpected) {
  EXPECT_EQ(only("node: 0"), "1:7: node: '0' is not valid, expected a number from 1 to 65535");
  EXPECT_EQ(only("node: 65536"), "1:7: node: '65536' is not valid, expected a number from 1 to 65535");
  EXPECT_EQ(only("node: -1"), "1:7: node: '-1' is not valid, expected a number from 1 to 65535");
  EXPECT_EQ(only("node: [1]"), "1:7: node: expected a number from 1 to 65535");
  EXPECT_EQ(only("log:\n  level: loud"),
            "2:10: log.level: 'loud' is not valid, expected one of debug, info, notice, warning, error");
  EXPECT_EQ(only("log: {trace_sip: maybe}"),
            "1:18: log.trace_sip: 'maybe' is not valid, expected true or false");
  EXPECT_EQ(only("drain: 5"),
            "1:8: drain: '5' is not valid, expected a duration from 0s to 1d, such as 250ms, 30s, 5m, 24h");
  EXPECT_EQ(only("drain: 25h"),
            "1:8: drain: '25h' is not valid, expected a duration from 0s to 1d, such as 250ms, 30s, 5m, 24h");
  EXPECT_TRUE(only("web: {bind: \"localhost:1\"}")
                  .starts_with("1:13: web.bind: 'localhost:1' is not valid, expected an address and port"));
  EXPECT_TRUE(only("sip: 5").starts_with("1:6: sip: expected a map"));
  EXPECT_TRUE(only("sip: {digest: MD5}").starts_with("1:15: sip.digest: expected a list of texts"));
  EXPECT_TRUE(only("realms: {name: a}").starts_with("1:9: realms: expected a list"));
  EXPECT_TRUE(only("- a\n- b\n").starts_with("1:1: the file: expected a map"));
}

TEST(Yaml, PortRanges) {
  for (const char* ports : {"20000", "20000-", "-20000", "20000-20002", "1023-2000", "20000-65536",
                            "30000-20000", "a-b", "20000-20100-20200"})
    EXPECT_NE(
        only("realms:\n  - media: {ports: \"" + std::string(ports) + "\"}").find("expected a range of ports"),
        std::string::npos)
        << ports;
  EXPECT_TRUE(read("realms:\n  - media: {ports: 20000-20003}").problems.empty());
}

TEST(Yaml, AllProblemsInOneGoInTheOrderOfTheFile) {
  const Read r = read("drain: x\nnode: 0\ncolour: red\nlog: {level: loud, size: 1}\n");
  ASSERT_EQ(r.problems.size(), 5U) << to_text("f", r.problems);
  for (size_t i = 1; i < r.problems.size(); ++i) EXPECT_LE(r.problems[i - 1].line, r.problems[i].line);
  const std::string text = to_text("tandem.yaml", r.problems);
  EXPECT_TRUE(text.starts_with("tandem.yaml:1:8: drain:")) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
}

TEST(Yaml, WhatIsNoYamlIsSaidWithItsPlace) {
  for (const char* text : {"node: [1", "\t- x", "a: b: c", "\"unterminated", "a: *nowhere", "{"}) {
    const Read r = read(text);
    ASSERT_FALSE(r.problems.empty()) << text;
    EXPECT_GE(r.problems[0].line, 1) << text;
    EXPECT_GE(r.problems[0].column, 1) << text;
  }
}

TEST(Yaml, HostileFilesEndInAProblem) {
  EXPECT_FALSE(read(std::string(2000, '[')).problems.empty());
  EXPECT_FALSE(read(std::string("node: \0 1", 9)).problems.empty());
}

TEST(Reference, NamesEveryKeyWithItsDefault) {
  node::NodeConfig config;
  const std::string text = reference([&](node::Schema& s) { node::describe(config, s); });
  for (const char* row : {"| `node` | 1 to 65535 | `1` |", "| `sip.t1` | 50ms to 5s | `500ms` |",
                          "| `realms[].listeners[].bind` | address:port |  |",
                          "| `log.level` | debug, info, notice, warning, error | `info` |",
                          "| `realms[].media.ports` | first-last | `16384-32767` |"})
    EXPECT_NE(text.find(row), std::string::npos) << row;
  EXPECT_NE(text.find("| `hep.password` | text (secret) |  |"), std::string::npos);
}

TEST(Yaml, TextsHaveNoControlCharacters) {
  EXPECT_EQ(only("sip: {user_agent: \"x\\r\\nEvil: 1\"}"),
            "1:19: sip.user_agent: expected UTF-8 text without line breaks and control characters");
  EXPECT_EQ(only("dns_servers: [\"a\\0b\"]"),
            "1:15: dns_servers: expected UTF-8 text without line breaks and control characters");
}

TEST(Yaml, ASecondDocumentIsAProblem) {
  EXPECT_EQ(only("workers: 1\n---\nworkers: 2\n"), "3:1: a second YAML document, expected one in a file");
}

/// All problems of a file with one that no single key shows.
std::string with_across(const std::string& text, const std::vector<node::Problem>& across) {
  node::NodeConfig config;
  return to_text("f", read_yaml(
                          text, [&](node::Schema& s) { node::describe(config, s); }, [&] { return across; }));
}

TEST(Yaml, ProblemsArePlacedWhereTheirKeyStands) {
  const std::string text =
      "sip:\n  t2: 1s\nrealms:\n  - name: a\n    listeners: [{transport: udp}, {bind: \"[::1]:1\"}]\n";
  const auto placed = [&](const std::string& path) { return with_across(text, {{path, "why", ""}}); };
  EXPECT_EQ(placed("sip.t2"), "f:2:7: sip.t2: why\n");
  EXPECT_EQ(placed("realms[0].listeners[1].bind"), "f:5:42: realms[0].listeners[1].bind: why\n");
  EXPECT_EQ(placed("realms[0].listeners[7].bind"), "f:5:16: realms[0].listeners[7].bind: why\n");
  EXPECT_EQ(placed("sip.digest"), "f:2:3: sip.digest: why\n");
  EXPECT_EQ(placed("web.key"), "f:1:1: web.key: why\n");
  EXPECT_EQ(with_across("", {{"realms", "why", ""}}), "f:1:1: realms: why\n");
}

TEST(Yaml, WhatDoesNotFitTogetherIsToldWithTheRest) {
  node::NodeConfig config;
  const std::string text =
      "node: 0\n"
      "sip: {digest: [SHA-1], min_expires: 600, max_expires: 60, t1: 1s, t2: 500ms, session_expires: 90, "
      "min_se: 120}\n"
      "web: {key: k.pem}\n"
      "realms:\n"
      "  - name: a\n"
      "    colour: red\n"
      "    listeners: [{bind: \"127.0.0.1:5060\"}, {bind: \"127.0.0.1:5060\"}, {transport: tcp}]\n"
      "  - name: a\n"
      "---\n"
      "node: 2\n";
  const auto problems = read_yaml(
      text, [&](node::Schema& s) { node::describe(config, s); }, [&] { return node::problems_with(config); });
  std::string places;
  for (const ConfigProblem& p : problems)
    places += std::to_string(p.line) + ":" + std::to_string(p.column) + " " +
              p.text.substr(0, p.text.find(": ")) + "\n";
  EXPECT_EQ(places,
            "1:7 node\n"
            "2:16 sip.digest[0]\n"
            "2:37 sip.min_expires\n"
            "2:71 sip.t2\n"
            "2:95 sip.session_expires\n"
            "3:12 web.key\n"
            "6:5 realms[0].colour\n"
            "7:50 realms[0].listeners[1].bind\n"
            "7:69 realms[0].listeners[2].bind\n"
            "8:5 realms[1].listeners\n"
            "8:11 realms[1].name\n"
            "10:1 a second YAML document, expected one in a file\n");
}

TEST(Yaml, WhatRestsOnALostValueIsNotTold) {
  const auto told = [](const std::string& text, const node::Problem& p) {
    const std::string all = with_across(text, {p});
    return all.find("why") != std::string::npos;
  };
  EXPECT_FALSE(told("sip: {min_expires: x}", {"sip.min_expires", "why", "sip.max_expires"}));
  EXPECT_FALSE(told("sip: {max_expires: x}", {"sip.min_expires", "why", "sip.max_expires"}));
  EXPECT_TRUE(told("sip: {t1: x}", {"sip.min_expires", "why", "sip.max_expires"}));
  EXPECT_FALSE(told("realms: 5", {"realms", "why", ""}));
  EXPECT_FALSE(told("realms: [{name: [a]}]", {"realms", "why", ""}));
  EXPECT_FALSE(told("realms: [5]", {"realms[0].name", "why", ""}));
  EXPECT_TRUE(told("realm: 5", {"realms", "why", ""}));
  EXPECT_FALSE(told("- a", {"realms", "why", ""}));
  EXPECT_FALSE(told("node: [", {"realms", "why", ""}));
}

TEST(Yaml, WhatIsNoYamlIsToldWhatIsExpected) {
  const std::pair<const char*, const char*> cases[] = {
      {"node: [1",
       "1:1: not YAML: end of sequence flow not found, expected ',' or ']' after an item of [...]"},
      {"sip: {t1: 1s",
       "1:1: not YAML: end of map flow not found, expected ',' or '}' after a member of {...}"},
      {"a: b: c",
       "1:5: not YAML: illegal map value, expected one 'key: value' a line; quote a text that holds ': '"},
      {"\"open", "1:6: not YAML: illegal EOF in scalar, expected the closing quotation mark of a text"},
      {"node: 1\n\tworkers: 2",
       "2:1: not YAML: illegal tab when looking for indentation, expected blanks, no tabs, before the first "
       "character of a line"},
      {"data: @home",
       "1:7: not YAML: unknown token, expected quotation marks around a text that begins with this "
       "character"},
      {"data: *home",
       "1:7: not YAML: the referenced anchor is not defined, expected an &anchor before the *alias; quote a "
       "text that begins with '*'"},
      {"data: \"\\q\"",
       "1:10: not YAML: unknown escape character: q, expected one of \\n \\t \\\" \\\\ \\xXX \\uXXXX; '...' "
       "takes backslashes as they are"},
      {"sip:\n  t1: 1s\n t2: 4s\n",
       "3:2: not YAML: end of map not found, expected 'key: value' in the column of the keys before it"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(only(text), expected) << text;
}

}  // namespace
}  // namespace tandem::app
