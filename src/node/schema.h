#pragma once
// Configuration as each role describes it: one description serves to read a file, to refuse what is wrong in
// it with line and column, and to print the reference. No file format is known here.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/time.h"

namespace tandem::node {

/// A visitor over a configuration structure. Values keep what they held (the default) when the file does not
/// name them.
class Schema {
 public:
  virtual ~Schema() = default;

  virtual void text(std::string_view key, std::string& value, std::string_view help) = 0;
  /// Like text(), never printed back.
  virtual void secret(std::string_view key, std::string& value, std::string_view help) = 0;
  virtual void flag(std::string_view key, bool& value, std::string_view help) = 0;
  virtual void number(std::string_view key, uint64_t& value, uint64_t least, uint64_t most,
                      std::string_view help) = 0;
  /// "250ms", "30s", "5m", "24h".
  virtual void duration(std::string_view key, Duration& value, Duration least, Duration most,
                        std::string_view help) = 0;
  virtual void choice(std::string_view key, std::string& value, const std::vector<std::string_view>& allowed,
                      std::string_view help) = 0;
  virtual void address(std::string_view key, SocketAddress& value, std::string_view help) = 0;  // host:port
  virtual void ip(std::string_view key, IpAddress& value, std::string_view help) = 0;
  virtual void port_range(std::string_view key, uint16_t& first, uint16_t& last,
                          std::string_view help) = 0;  // "16384-32767"
  virtual void texts(std::string_view key, std::vector<std::string>& values, std::string_view help) = 0;

  virtual void section(std::string_view key, std::string_view help,
                       const std::function<void(Schema&)>& inside) = 0;
  /// A list of maps: `begin` is told how many there are, `item` describes one.
  virtual void list(std::string_view key, std::string_view help, const std::function<void(size_t)>& resize,
                    const std::function<void(size_t, Schema&)>& item) = 0;

  // Any integer type goes through number().
  template <class T>
  void integer(std::string_view key, T& value, uint64_t least, uint64_t most, std::string_view help) {
    auto wide = static_cast<uint64_t>(value);
    number(key, wide, least, most, help);
    value = static_cast<T>(wide);
  }
  template <class T>
  void items(std::string_view key, std::vector<T>& values, std::string_view help,
             const std::function<void(T&, Schema&)>& describe) {
    list(
        key, help, [&](size_t n) { values.resize(n); },
        [&](size_t i, Schema& s) {
          if (i >= values.size()) values.resize(i + 1);
          describe(values[i], s);
        });
  }
};

}  // namespace tandem::node
