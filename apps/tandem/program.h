#pragma once
// A running node: workers, store, control plane, wired together. `serve` and `demo` differ only in the
// configuration they give.
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "node/config.h"
#include "tandem/data_dir.h"

namespace tandem::app {

inline constexpr const char* program_version = "0.1.0";

class Program {
 public:
  /// `reread`: the configuration again, for SIGHUP; an error is one text.
  using Reread = std::function<Result<node::NodeConfig, std::string>()>;
  Program(node::NodeConfig config, DataDir data, Reread reread);
  ~Program();

  /// Everything up, or one sentence that says what is in the way.
  Status<std::string> start();
  /// Until SIGTERM or SIGINT: drains, then stops. SIGHUP reloads. The exit code.
  int run();
  const std::string& web_url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::app
