#include "tandem/data_dir.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/text.h"

namespace tandem::app {
namespace {

namespace fs = std::filesystem;

std::string system_error(const std::string& what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Status<std::string> sync_directory(const std::string& path) {
  const Descriptor dir{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (dir.fd < 0 || ::fsync(dir.fd) != 0) return Failure{system_error("sync", path)};
  return Done{};
}

}  // namespace

Status<std::string> write_file(const std::string& path, const std::string& bytes, unsigned mode) {
  const std::string temporary = path + ".new";
  {
    const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)};
    if (file.fd < 0) return Failure{system_error("write", path)};
    if (::fchmod(file.fd, mode) != 0)
      return Failure{system_error("set the mode of", path)};  // whatever the umask says
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t n = ::write(file.fd, bytes.data() + at, bytes.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Failure{system_error("write", path)};
      at += static_cast<size_t>(n);
    }
    if (::fsync(file.fd) != 0) return Failure{system_error("sync", path)};
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return Failure{system_error("rename", path)};
  return sync_directory(fs::path(path).parent_path().string());
}

Result<std::string, std::string> read_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return Failure{system_error("read", path)};
  std::string out;
  char block[16384];
  for (;;) {
    const ssize_t n = ::read(file.fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure{system_error("read", path)};
    if (n == 0) return out;
    out.append(block, static_cast<size_t>(n));
  }
}

Result<DataDir, std::string> DataDir::open(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    fs::create_directories(path, error);
    if (error) return Failure{fmt::format("cannot make the data directory {}: {}", path, error.message())};
    fs::permissions(path, fs::perms::owner_all, error);
  }
  if (!fs::is_directory(path, error)) return Failure{fmt::format("{} is not a directory", path)};
  const std::string absolute = fs::absolute(path, error).string();
  const std::string name = absolute + "/lock";
  auto lock = std::make_shared<Descriptor>();
  lock->fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock->fd < 0) return Failure{system_error("write", name)};
  if (::flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return Failure{fmt::format("the data directory {} is in use by another running node", absolute)};
    return Failure{system_error("lock", name)};
  }
  return DataDir(absolute, std::move(lock));
}

bool DataDir::has(const std::string& name) const {
  std::error_code error;
  return fs::exists(file(name), error);
}

Result<node::NodeKeys, std::string> DataDir::keys(Rng& rng) const {
  node::NodeKeys keys;
  const size_t size = keys.tokens.size() + keys.nonces.size() + keys.gruus.size();
  const std::string path = file("keys");
  if (!has("keys")) {
    std::string bytes(size, '\0');
    rng.fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    if (auto done = write_file(path, to_hex(bytes) + "\n", 0600); !done.ok()) return Failure{done.reason()};
  }
  const auto text = read_file(path);
  if (!text.ok()) return Failure{text.reason()};
  const auto bytes = from_hex(trim(*text));
  if (!bytes || bytes->size() != size)
    return Failure{fmt::format("{}: expected {} hexadecimal digits", path, 2 * size)};
  const char* at = bytes->data();
  const auto take = [&](auto& key) {
    std::memcpy(key.data(), at, key.size());
    at += key.size();
  };
  take(keys.tokens);
  take(keys.nonces);
  take(keys.gruus);
  return keys;
}

Result<uint64_t, std::string> DataDir::next_epoch() const {
  uint64_t epoch = 0;
  if (has("epoch")) {
    const auto text = read_file(file("epoch"));
    if (!text.ok()) return Failure{text.reason()};
    const auto last = parse_u64(trim(*text));
    if (!last) return Failure{fmt::format("{}: expected the number of the last boot", file("epoch"))};
    epoch = *last;
  }
  if (auto done = write_file(file("epoch"), std::to_string(epoch + 1) + "\n", 0600); !done.ok())
    return Failure{done.reason()};
  return epoch + 1;
}

Status<std::string> DataDir::write_credentials(const Credentials& credentials) const {
  namespace json = boost::json;
  json::array users;
  for (const auto& u : credentials.users)
    users.emplace_back(json::object{{"user", u.user}, {"password", u.password}});
  const json::object all{
      {"domain", credentials.domain},
      {"users", std::move(users)},
      {"api_token", credentials.api_token},
      {"admin", json::object{{"user", credentials.admin.user}, {"password", credentials.admin.password}}}};
  return write_file(file("credentials.json"), json::serialize(all) + "\n", 0600);
}

Result<std::string, std::string> DataDir::demo_domain() const {
  namespace json = boost::json;
  const std::string path = file("credentials.json");
  const auto text = read_file(path);
  if (!text.ok()) return Failure{text.reason()};
  boost::system::error_code error;
  const json::value all = json::parse(*text, error);
  const json::object* members = error ? nullptr : all.if_object();
  const json::value* domain = members ? members->if_contains("domain") : nullptr;
  if (!domain || !domain->is_string()) return Failure{fmt::format("{}: expected JSON with a domain", path)};
  return std::string(domain->get_string());
}

}  // namespace tandem::app
