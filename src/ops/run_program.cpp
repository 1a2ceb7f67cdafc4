// A program, its standard input, and how it ended.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "ops/mailer.h"

namespace tandem::ops {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int look_ms = 20;  // from look to look whether it has ended

/// The descriptors of a pipe; those that are still there are closed.
struct Pipe {
  int read = -1, write = -1;
  ~Pipe() { close_read(), close_write(); }
  void close_read() {
    if (read >= 0) ::close(std::exchange(read, -1));
  }
  void close_write() {
    if (write >= 0) ::close(std::exchange(write, -1));
  }
};

/// Starts it in a process group of its own, with the pipe as input, none of our files and none of our signal
/// masks. What we know beside the path (tokens in the environment) is none of its business.
int spawn(const std::vector<std::string>& program, int input, pid_t& pid) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, input, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  sigset_t none, ignored;
  sigemptyset(&none);
  sigemptyset(&ignored);
  sigaddset(&ignored, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &ignored);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> words = program;
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
              locale = "LC_ALL=C.UTF-8";
  const char* home = std::getenv("HOME");
  std::string home_is = std::string("HOME=") + (home ? home : "/");
  char* environment[] = {path.data(), locale.data(), home_is.data(), nullptr};
  const int error = posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

/// Gives it more of its input, as long as it takes some.
void feed(Pipe& pipe, std::string_view& input) {
  while (pipe.write >= 0 && !input.empty()) {
    const ssize_t n = ::write(pipe.write, input.data(), input.size());
    if (n > 0)
      input.remove_prefix(static_cast<size_t>(n));
    else if (n < 0 && errno == EINTR)
      continue;
    else if (n < 0 && errno == EAGAIN)
      return;
    else
      pipe.close_write();  // it does not want to read on: how it ends says whether that is well
  }
  if (input.empty()) pipe.close_write();
}

std::string how(int status) {
  if (WIFSIGNALED(status)) return fmt::format("killed by signal {}", WTERMSIG(status));
  return fmt::format("exit status {}", WEXITSTATUS(status));
}

}  // namespace

Status<std::string> run_program(const std::vector<std::string>& program, std::string_view input,
                                Duration timeout, const std::function<bool()>& give_up) {
  Pipe pipe;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Failure{std::string("no pipe: ") + std::strerror(errno)};
  pipe.read = ends[0], pipe.write = ends[1];
  ::fcntl(pipe.write, F_SETFL, O_NONBLOCK);
  pid_t pid = 0;
  if (const int error = spawn(program, pipe.read, pid); error != 0)
    return Failure{fmt::format("{} cannot be started: {}", program.front(), std::strerror(error))};
  pipe.close_read();
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    feed(pipe, input);
    int status = 0;
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0) return Done{};
    if (ended == pid) return Failure{how(status)};
    const bool late = Clock::now() >= deadline;
    if (late || give_up()) {
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, &status, 0);
      return Failure{std::string(late ? "it took too long" : "the node stops")};
    }
    pollfd more{pipe.write, POLLOUT, 0};
    ::poll(&more, pipe.write >= 0 ? 1 : 0, look_ms);
  }
}

}  // namespace tandem::ops
