#include <CLI/CLI.hpp>

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
  CLI11_PARSE(app, argc, argv);
  return exit_code;
}
