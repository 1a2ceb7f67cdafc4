#include "base/counters.h"

namespace tandem {

Counter& CounterSet::counter(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(name, help, labels, Kind::counter);
}

Counter& CounterSet::gauge(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(name, help, labels, Kind::gauge);
}

uint64_t CounterSet::total(std::string_view name) const {
  uint64_t sum = 0;
  for (const Entry& e : entries_)
    if (e.name == name) sum += e.counter.value();
  return sum;
}

Counter& CounterSet::find_or_add(std::string_view name, std::string_view help, std::string_view labels,
                                 Kind kind) {
  for (Entry& e : entries_)
    if (e.name == name && e.labels == labels) return e.counter;
  Entry& e = entries_.emplace_back();
  e.name = name;
  e.labels = labels;
  e.help = help;
  e.kind = kind;
  return e.counter;
}

}  // namespace tandem
