// REST and the console: the files into memory, and what the API needs of others.
#include <algorithm>
#include <filesystem>

#include "net/clock.h"
#include "tandem/program_impl.h"

namespace tandem::app {
namespace {

namespace fs = std::filesystem;

/// The console of the build: beside the program in a build directory, else where the package puts it.
fs::path built_console() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path beside = program.parent_path() / "web";
  if (fs::is_regular_file(beside / "index.html", error)) return beside;
  return program.parent_path().parent_path() / "share/tandem/web";
}

}  // namespace

void Program::Impl::load_console() {
  const fs::path folder = config.web.console.empty() ? built_console() : fs::path(config.web.console);
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->is_regular_file(error) || it->is_symlink(error)) continue;
    const std::string path = it->path().lexically_relative(folder).generic_string();
    const auto bytes = app::read_file(it->path().string());
    if (!bytes.ok() || !console.add(path, *bytes))
      say(port::Level::warning, "console.file_unusable", {{"file", path}});
  }
  if (console.empty())
    say(config.web.console.empty() ? port::Level::notice : port::Level::warning, "console.absent",
        {{"folder", folder.string()}});
}

void Program::Impl::make_api() {
  load_console();
  ops::ApiConfig settings{.version = program_version,
                          .server_name = config.sip.user_agent,
                          .started = net::now().wall,
                          .guess_key = control_rng.next(),
                          .tickets = tickets};
  settings.sessions.idle = config.web.session_idle;
  settings.sessions.longest = config.web.session_longest;
  ops::ApiParts parts{*control_directory, control_rng};
  parts.webhooks = control_directory.get();
  parts.channels = control_directory.get();
  parts.channels_changed = [this] {
    if (front_desk) front_desk->reload();
  };
  parts.files = &console;
  parts.messages = messages.get();
  parts.events = [this](const port::Event& e) { log.event(e, net::now().wall, "console"); };
  parts.slow = [this](std::function<void()> task) { return passwords.put(std::move(task)); };
  parts.post = [this](std::function<void()> task) { web->post(std::move(task)); };
  api = std::make_unique<ops::Api>(
      std::move(settings), *control_directory, *this, [] { return net::now().wall; }, control_counters,
      std::move(parts));
}

}  // namespace tandem::app
