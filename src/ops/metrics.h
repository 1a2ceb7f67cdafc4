#pragma once
// The Prometheus text format (version 0.0.4) over counters that their owners keep writing: a scrape takes no
// lock and asks no worker anything.
#include <string>
#include <vector>

#include "base/counters.h"

namespace tandem::ops {

struct CounterSource {
  std::string labels;  // put on every line of the set, e.g. worker="0"; may be empty
  const CounterSet* counters = nullptr;
};

/// All sets in one exposition, each metric once, names prefixed with "tandem_".
std::string prometheus_text(const std::vector<CounterSource>& sources);

}  // namespace tandem::ops
