#pragma once
// `tandem load`: calls and registrations in numbers, against a server on this machine.
#include <CLI/App.hpp>

namespace tandem::app {

/// Adds the subcommand. `exit_code`: 0 when everything that was started came to its intended end, 1 when
/// something failed, 2 when it could not begin.
void add_load(CLI::App& root, int& exit_code);

}  // namespace tandem::app
