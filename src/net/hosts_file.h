#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"

namespace tandem::net {

/// The addresses of /etc/hosts (hosts(5)); read again when the file has changed, looked at every few seconds.
class HostsFile {
 public:
  explicit HostsFile(std::string path) : path_(std::move(path)) {}
  /// Nothing when the name is not in the file. `name` in lower case.
  const std::vector<IpAddress>* find(const std::string& name, Instant now);

 private:
  void read();
  const std::string path_;
  Instant look_at_{};
  int64_t modified_ns_ = -1;
  std::map<std::string, std::vector<IpAddress>> names_;
};

}  // namespace tandem::net
