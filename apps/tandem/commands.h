#pragma once
// The subcommands that run a node or look at its configuration.
#include <CLI/App.hpp>

namespace tandem::app {

void add_demo(CLI::App& root, int& exit_code);
void add_serve(CLI::App& root, int& exit_code);
void add_check(CLI::App& root, int& exit_code);

}  // namespace tandem::app
