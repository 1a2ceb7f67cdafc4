#pragma once
// Names of channels as clients write them: arn:aws:kinesisvideo:REGION:ACCOUNT:channel/NAME/CREATED, CREATED
// in milliseconds since 1970.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem::channel {

struct Arn {
  std::string region;
  std::string account;  // digits
  std::string name;     // a channel word (port/channels.h)
  int64_t created = 0;
  bool operator==(const Arn&) const = default;
};
/// Nothing for what is none, or is longer than 1024 characters.
std::optional<Arn> parse_arn(std::string_view text);
std::string to_string(const Arn& arn);

}  // namespace tandem::channel
