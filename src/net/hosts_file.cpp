#include "net/hosts_file.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "base/text.h"

namespace tandem::net {
namespace {
constexpr Duration look_interval = seconds(5);
}

const std::vector<IpAddress>* HostsFile::find(const std::string& name, Instant now) {
  if (now >= look_at_) {
    look_at_ = now + look_interval;
    struct stat s {};
    const int64_t modified =
        stat(path_.c_str(), &s) == 0 ? int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec : 0;
    if (modified != modified_ns_) read();
    modified_ns_ = modified;
  }
  const auto it = names_.find(name);
  return it == names_.end() ? nullptr : &it->second;
}

void HostsFile::read() {
  names_.clear();
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    line.resize(std::min(line.size(), line.find('#')));
    std::istringstream words(line);
    std::string address, name;
    words >> address;
    const auto ip = IpAddress::parse(address);
    while (ip && words >> name) names_[lower(name)].push_back(*ip);
  }
}

}  // namespace tandem::net
