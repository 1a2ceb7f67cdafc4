#include "ops/metrics.h"

#include <fmt/format.h>

#include <iterator>
#include <map>

namespace tandem::ops {
namespace {

std::string escape_help(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

struct Family {
  const CounterSet::Entry* first = nullptr;
  std::string lines;
};

}  // namespace

std::string prometheus_text(const std::vector<CounterSource>& sources) {
  std::map<std::string, Family> families;
  for (const CounterSource& source : sources) {
    for (const CounterSet::Entry& e : source.counters->entries()) {
      Family& family = families[e.name];
      if (!family.first) family.first = &e;
      const char* comma = source.labels.empty() || e.labels.empty() ? "" : ",";
      const std::string labels = source.labels + comma + e.labels;
      fmt::format_to(std::back_inserter(family.lines), "tandem_{}{}{}{} {}\n", e.name,
                     labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", e.counter.value());
    }
  }
  std::string out;
  for (const auto& [name, family] : families) {
    const bool gauge = family.first->kind == CounterSet::Kind::gauge;
    fmt::format_to(std::back_inserter(out), "# HELP tandem_{} {}\n# TYPE tandem_{} {}\n", name,
                   escape_help(family.first->help), name, gauge ? "gauge" : "counter");
    out += family.lines;
  }
  return out;
}

}  // namespace tandem::ops
