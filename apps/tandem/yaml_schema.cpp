#include "tandem/yaml_schema.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"

namespace tandem::app {
namespace {

constexpr std::array<std::pair<std::string_view, int64_t>, 5> duration_units{{{"ms", 1'000'000},
                                                                              {"s", 1'000'000'000},
                                                                              {"m", 60'000'000'000},
                                                                              {"h", 3'600'000'000'000},
                                                                              {"d", 86'400'000'000'000}}};

std::optional<Duration> parse_duration(std::string_view text) {
  const size_t unit_at = text.find_first_not_of("0123456789");
  if (unit_at == std::string_view::npos)
    return text == "0" ? std::optional<Duration>(Duration(0)) : std::nullopt;
  const auto amount = parse_u32(text.substr(0, unit_at));
  for (const auto& [unit, ns] : duration_units)
    if (amount && text.substr(unit_at) == unit) return Duration(int64_t{*amount} * ns);
  return std::nullopt;
}

std::string print_duration(Duration d) {
  for (auto unit = duration_units.rbegin(); unit != duration_units.rend(); ++unit)
    if (d.count() && d.count() % unit->second == 0)
      return fmt::format("{}{}", d.count() / unit->second, unit->first);
  return "0s";
}

class YamlReader final : public node::Schema {
 public:
  YamlReader(const YAML::Node& map, std::string where, std::vector<ConfigProblem>& problems)
      : map_(map), where_(std::move(where)), problems_(problems) {
    if (map_ && !map_.IsNull() && !map_.IsMap()) problem(map_, where_, "expected a map of keys");
  }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;
  ~YamlReader() override { report_unknown(); }

  void text(std::string_view key, std::string& value, std::string_view) override {
    scalar(key, "text", value);
  }
  void secret(std::string_view key, std::string& value, std::string_view) override {
    scalar(key, "text", value);
  }

  void flag(std::string_view key, bool& value, std::string_view) override {
    const auto n = take_scalar(key, "true or false");
    if (!n) return;
    if (*n == "true" || *n == "yes" || *n == "on")
      value = true;
    else if (*n == "false" || *n == "no" || *n == "off")
      value = false;
    else
      bad(key, *n, "true or false");
  }

  void number(std::string_view key, uint64_t& value, uint64_t least, uint64_t most,
              std::string_view) override {
    const std::string expected = fmt::format("a number from {} to {}", least, most);
    const auto n = take_scalar(key, expected);
    if (!n) return;
    const auto parsed = parse_u64(*n);
    if (!parsed || *parsed < least || *parsed > most) return bad(key, *n, expected);
    value = *parsed;
  }

  void duration(std::string_view key, Duration& value, Duration least, Duration most,
                std::string_view) override {
    const std::string expected = fmt::format("a duration from {} to {}, such as 250ms, 30s, 5m, 24h",
                                             print_duration(least), print_duration(most));
    const auto n = take_scalar(key, expected);
    if (!n) return;
    const auto parsed = parse_duration(*n);
    if (!parsed || *parsed < least || *parsed > most) return bad(key, *n, expected);
    value = *parsed;
  }

  void choice(std::string_view key, std::string& value, const std::vector<std::string_view>& allowed,
              std::string_view) override {
    const std::string expected = fmt::format("one of {}", fmt::join(allowed, ", "));
    const auto n = take_scalar(key, expected);
    if (!n) return;
    if (std::find(allowed.begin(), allowed.end(), *n) == allowed.end()) return bad(key, *n, expected);
    value = *n;
  }

  void address(std::string_view key, SocketAddress& value, std::string_view) override {
    const std::string expected = "an address and port, such as 0.0.0.0:5060 or [::]:5060";
    const auto n = take_scalar(key, expected);
    if (!n) return;
    const auto parsed = SocketAddress::parse(*n);
    if (!parsed) return bad(key, *n, expected);
    value = *parsed;
  }

  void ip(std::string_view key, IpAddress& value, std::string_view) override {
    const std::string expected = "an IP address, such as 192.0.2.10 or 2001:db8::10";
    const auto n = take_scalar(key, expected);
    if (!n) return;
    const auto parsed = IpAddress::parse(*n);
    if (!parsed) return bad(key, *n, expected);
    value = *parsed;
  }

  void port_range(std::string_view key, uint16_t& first, uint16_t& last, std::string_view) override {
    const std::string expected = "a range of ports from 1024 to 65535, such as 16384-32767, at least 4 wide";
    const auto n = take_scalar(key, expected);
    if (!n) return;
    const size_t dash = n->find('-');
    const auto low = parse_u32(std::string_view(*n).substr(0, dash));
    const auto high =
        dash == std::string::npos ? std::nullopt : parse_u32(std::string_view(*n).substr(dash + 1));
    if (!low || !high || *low < 1024 || *high > 65535 || *high < *low + 3) return bad(key, *n, expected);
    first = static_cast<uint16_t>(*low);
    last = static_cast<uint16_t>(*high);
  }

  void texts(std::string_view key, std::vector<std::string>& values, std::string_view) override {
    const YAML::Node n = take(key);
    if (!n) return;
    if (!n.IsSequence()) return problem(n, path(key), "expected a list of texts");
    values.clear();
    for (const YAML::Node& item : n) {
      if (!item.IsScalar())
        problem(item, path(key), "expected a text");
      else if (!is_plain_text(item.Scalar()))
        unprintable(item, key);
      else
        values.push_back(item.Scalar());
    }
  }

  void section(std::string_view key, std::string_view, const std::function<void(Schema&)>& inside) override {
    YamlReader reader(take(key), path(key), problems_);
    inside(reader);
  }

  void list(std::string_view key, std::string_view, const std::function<void(size_t)>& resize,
            const std::function<void(size_t, Schema&)>& item) override {
    const YAML::Node n = take(key);
    if (!n) return;
    if (!n.IsSequence()) return problem(n, path(key), "expected a list");
    resize(0);
    resize(n.size());
    for (size_t i = 0; i < n.size(); ++i) {
      YamlReader reader(n[i], fmt::format("{}[{}]", path(key), i), problems_);
      item(i, reader);
    }
  }

 private:
  std::string path(std::string_view key) const {
    return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
  }
  void problem(const YAML::Node& at, const std::string& of, std::string_view text) {
    problems_.push_back({at.Mark().line + 1, at.Mark().column + 1,
                         fmt::format("{}: {}", of.empty() ? "the file" : of, text), of});
  }
  void bad(std::string_view key, std::string_view found, std::string_view expected) {
    problem(map_[std::string(key)], path(key),
            fmt::format("'{}' is not valid, expected {}", found, expected));
  }
  /// Not shown: what a terminal makes of it is anybody's guess.
  void unprintable(const YAML::Node& at, std::string_view key) {
    problem(at, path(key), "expected UTF-8 text without line breaks and control characters");
  }
  YAML::Node take(std::string_view key) {
    known_.insert(std::string(key));
    if (!map_ || !map_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node& reading = map_;  // the const lookup: the other one would create the key
    return reading[std::string(key)];
  }
  std::optional<std::string> take_scalar(std::string_view key, std::string_view expected) {
    const YAML::Node n = take(key);
    if (!n.IsDefined()) return std::nullopt;
    if (n.IsScalar()) return n.Scalar();
    problem(n, path(key), fmt::format("expected {}", expected));
    return std::nullopt;
  }
  void scalar(std::string_view key, std::string_view expected, std::string& value) {
    auto n = take_scalar(key, expected);
    if (!n) return;
    if (!is_plain_text(*n)) return unprintable(map_[std::string(key)], key);
    value = std::move(*n);
  }
  void report_unknown() {
    if (!map_ || !map_.IsMap()) return;
    std::set<std::string> seen;
    for (const auto& entry : map_) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (!known_.contains(key))
        problem(entry.first, path(key),
                fmt::format("unknown key, expected one of {}", fmt::join(known_, ", ")));
      else if (!seen.insert(key).second)
        problem(entry.first, path(key), "the key stands twice, expected it once");
    }
  }

  YAML::Node map_;
  std::string where_;
  std::vector<ConfigProblem>& problems_;
  std::set<std::string> known_;
};

class ReferenceWriter final : public node::Schema {
 public:
  ReferenceWriter(std::string where, std::string& out) : where_(std::move(where)), out_(out) {}

  void text(std::string_view k, std::string& v, std::string_view h) override { row(k, "text", v, h); }
  void secret(std::string_view k, std::string&, std::string_view h) override {
    row(k, "text (secret)", "", h);
  }
  void flag(std::string_view k, bool& v, std::string_view h) override {
    row(k, "true, false", v ? "true" : "false", h);
  }
  void number(std::string_view k, uint64_t& v, uint64_t least, uint64_t most, std::string_view h) override {
    row(k, fmt::format("{} to {}", least, most), std::to_string(v), h);
  }
  void duration(std::string_view k, Duration& v, Duration least, Duration most, std::string_view h) override {
    row(k, fmt::format("{} to {}", print_duration(least), print_duration(most)), print_duration(v), h);
  }
  void choice(std::string_view k, std::string& v, const std::vector<std::string_view>& allowed,
              std::string_view h) override {
    row(k, fmt::format("{}", fmt::join(allowed, ", ")), v, h);
  }
  void address(std::string_view k, SocketAddress& v, std::string_view h) override {
    row(k, "address:port", v ? v.to_string() : "", h);
  }
  void ip(std::string_view k, IpAddress& v, std::string_view h) override {
    row(k, "IP address", v ? v.to_string() : "", h);
  }
  void port_range(std::string_view k, uint16_t& first, uint16_t& last, std::string_view h) override {
    row(k, "first-last", fmt::format("{}-{}", first, last), h);
  }
  void texts(std::string_view k, std::vector<std::string>& v, std::string_view h) override {
    row(k, "list of texts", fmt::format("{}", fmt::join(v, ", ")), h);
  }
  void section(std::string_view k, std::string_view h, const std::function<void(Schema&)>& inside) override {
    row(k, "section", "", h);
    ReferenceWriter writer(path(k), out_);
    inside(writer);
  }
  void list(std::string_view k, std::string_view h, const std::function<void(size_t)>& resize,
            const std::function<void(size_t, Schema&)>& item) override {
    row(k, "list", "", h);
    resize(1);
    ReferenceWriter writer(path(k) + "[]", out_);
    item(0, writer);
  }

 private:
  std::string path(std::string_view key) const {
    return where_.empty() ? std::string(key) : fmt::format("{}.{}", where_, key);
  }
  void row(std::string_view key, std::string_view form, std::string_view value, std::string_view help) {
    out_ += fmt::format("| `{}` | {} | {} | {} |\n", path(key), form,
                        value.empty() ? "" : fmt::format("`{}`", value), help);
  }
  std::string where_;
  std::string& out_;
};

/// Where the key stands, or the closest one around it.
YAML::Mark mark_of(const YAML::Node& root, std::string_view path) {
  YAML::Node at = root;
  YAML::Mark mark = at.Mark();
  while (!path.empty()) {
    const bool in_list = path.front() == '[';
    if (!in_list && path.front() == '.') path.remove_prefix(1);
    const size_t end = in_list ? path.find(']') : std::min(path.find_first_of(".["), path.size());
    const std::string step(path.substr(in_list, end - in_list));
    path.remove_prefix(end + in_list);
    if (in_list ? !at.IsSequence() : !at.IsMap()) break;
    const YAML::Node& reading = at;  // the const lookup: the other one would create the key
    const YAML::Node next = in_list ? reading[parse_u32(step).value_or(0)] : reading[step];
    if (!next.IsDefined()) break;
    at.reset(next);
    mark = at.Mark();
  }
  return mark;
}

/// One is the other, or inside of it.
bool overlap(std::string_view a, std::string_view b) {
  const std::string_view outer = a.size() < b.size() ? a : b, inner = a.size() < b.size() ? b : a;
  if (!inner.starts_with(outer)) return false;
  return outer.empty() || inner.size() == outer.size() || inner[outer.size()] == '.' ||
         inner[outer.size()] == '[';
}

/// Whether a value it speaks of was not read: what it says would be about a default.
bool rests_on(const node::Problem& p, const std::vector<ConfigProblem>& not_read) {
  return std::any_of(not_read.begin(), not_read.end(), [&](const ConfigProblem& lost) {
    return overlap(p.path, lost.path) || (!p.with.empty() && overlap(p.with, lost.path));
  });
}

/// What was expected where the parser gave up; it tells only what it found.
std::string_view expected_instead(std::string_view found) {
  static const std::pair<std::string_view, std::string_view> known[] = {
      {YAML::ErrorMsg::END_OF_MAP_FLOW, "',' or '}' after a member of {...}"},
      {YAML::ErrorMsg::END_OF_SEQ_FLOW, "',' or ']' after an item of [...]"},
      {YAML::ErrorMsg::END_OF_MAP, "'key: value' in the column of the keys before it"},
      {YAML::ErrorMsg::END_OF_SEQ, "'- item' in the column of the items before it"},
      {YAML::ErrorMsg::MAP_VALUE, "one 'key: value' a line; quote a text that holds ': '"},
      {YAML::ErrorMsg::MAP_KEY, "a key at the beginning of a line"},
      {YAML::ErrorMsg::BLOCK_ENTRY, "'- item' at the beginning of a line"},
      {YAML::ErrorMsg::FLOW_END, "a '{' or '[' before its end"},
      {YAML::ErrorMsg::EOF_IN_SCALAR, "the closing quotation mark of a text"},
      {YAML::ErrorMsg::DOC_IN_SCALAR, "the closing quotation mark before '---' or '...'"},
      {YAML::ErrorMsg::TAB_IN_INDENTATION, "blanks, no tabs, before the first character of a line"},
      {YAML::ErrorMsg::UNKNOWN_TOKEN, "quotation marks around a text that begins with this character"},
      {YAML::ErrorMsg::INVALID_ESCAPE,
       "one of \\n \\t \\\" \\\\ \\xXX \\uXXXX; '...' takes backslashes as they are"},
      {YAML::ErrorMsg::INVALID_HEX, "hexadecimal digits"},
      {YAML::ErrorMsg::INVALID_UNICODE, "a Unicode character"},
      {YAML::ErrorMsg::UNKNOWN_ANCHOR, "an &anchor before the *alias; quote a text that begins with '*'"},
      {YAML::ErrorMsg::ALIAS_NOT_FOUND, "a name after '*'; quote a text that begins with '*'"},
      {YAML::ErrorMsg::ANCHOR_NOT_FOUND, "a name after '&'; quote a text that begins with '&'"},
  };
  for (const auto& [message, expected] : known)
    if (found.starts_with(message)) return expected;
  return "'key: value' lines, lists of '- item' and quoted texts";
}

}  // namespace

std::vector<ConfigProblem> read_yaml(const std::string& text, const Describe& describe,
                                     const Across& across) {
  std::vector<ConfigProblem> problems;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    const YAML::Node root = documents.empty() ? YAML::Node() : documents.front();
    {
      YamlReader reader(root, "", problems);  // tells of unknown keys when it ends
      describe(reader);
    }
    std::vector<ConfigProblem> more;
    for (const node::Problem& p : across ? across() : std::vector<node::Problem>()) {
      if (rests_on(p, problems)) continue;
      const YAML::Mark mark = mark_of(root, p.path);
      // An empty file has no place: its beginning.
      more.push_back({std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1,
                      fmt::format("{}: {}", p.path, p.text), p.path});
    }
    problems.insert(problems.end(), more.begin(), more.end());
    if (documents.size() > 1)
      problems.push_back({documents[1].Mark().line + 1, documents[1].Mark().column + 1,
                          "a second YAML document, expected one in a file", ""});
  } catch (const YAML::Exception& e) {
    problems.push_back({e.mark.line + 1, e.mark.column + 1,
                        fmt::format("not YAML: {}, expected {}", e.msg, expected_instead(e.msg)), ""});
  }
  std::stable_sort(problems.begin(), problems.end(), [](const ConfigProblem& a, const ConfigProblem& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  return problems;
}

std::string reference(const Describe& describe) {
  std::string out = "| key | form | default | meaning |\n| --- | --- | --- | --- |\n";
  ReferenceWriter writer("", out);
  describe(writer);
  return out;
}

std::string to_text(const std::string& file, const std::vector<ConfigProblem>& problems) {
  std::string out;
  for (const ConfigProblem& p : problems)
    out += fmt::format("{}:{}:{}: {}\n", file, p.line, p.column, p.text);
  return out;
}

}  // namespace tandem::app
