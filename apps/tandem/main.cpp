#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tandem/commands.h"
#include "tandem/ctl.h"
#include "tandem/load.h"

int main(int argc, char** argv) {
  CLI::App app{"Tandem: softswitch, media relay and what stands around them, in one program"};
  app.set_version_flag("--version", "tandem 0.1.0");
  app.require_subcommand(1);
  int exit_code = 0;
  tandem::app::add_demo(app, exit_code);
  tandem::app::add_serve(app, exit_code);
  tandem::app::add_check(app, exit_code);
  tandem::app::add_ctl(app, exit_code);
  tandem::app::add_load(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 has an exit code of its own for each kind of mistake; a script needs to tell one thing.
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tandem: %s\n", e.what());
    return 1;
  }
  return exit_code;
}
