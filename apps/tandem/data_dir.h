#pragma once
// The data directory: what a node keeps between boots besides its database. Secrets are files of mode 0600.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "node/settings.h"

namespace tandem::app {

struct Credentials {
  std::string domain;
  struct User {
    std::string user, password;
  };
  std::vector<User> users;
  std::string api_token;
  User admin;  // of the console
};

class DataDir {
 public:
  /// Makes the directory (0700) when it is not there, and locks it: two nodes on one spool would take each
  /// other's records. The lock lives as long as the last copy of this value. The error is one sentence.
  static Result<DataDir, std::string> open(const std::string& path);

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// The cluster's secrets; made at first start.
  Result<node::NodeKeys, std::string> keys(Rng& rng) const;
  /// Boots of this node, this one included; durable before it returns, so that no two boots share an epoch.
  Result<uint64_t, std::string> next_epoch() const;
  bool has(const std::string& name) const;
  Status<std::string> write_credentials(const Credentials& credentials) const;
  /// The domain the demo made its subscribers in.
  Result<std::string, std::string> demo_domain() const;

 private:
  DataDir(std::string path, std::shared_ptr<void> lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::shared_ptr<void> lock_;
};

/// Writes through a temporary file, synced, then renamed: the file is whole or not there. `mode` as for
/// open(2).
Status<std::string> write_file(const std::string& path, const std::string& bytes, unsigned mode);
Result<std::string, std::string> read_file(const std::string& path);

}  // namespace tandem::app
