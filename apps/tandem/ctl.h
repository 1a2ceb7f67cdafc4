#pragma once
// `tandem ctl`: a client of the REST API.
#include <CLI/App.hpp>

namespace tandem::app {

/// Adds the subcommand and everything below it. `exit_code` is set when it ran: 0 done, 1 refused, 2 not
/// reachable.
void add_ctl(CLI::App& root, int& exit_code);

}  // namespace tandem::app
