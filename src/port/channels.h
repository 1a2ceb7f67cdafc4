#pragma once
// Signalling channels: named places where one master and its viewers find each other, and the access keys of
// those who may. A part of the directory that no worker and no plan needs, so it is an interface of its own.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "port/directory.h"

namespace tandem::port {

struct ChannelRow {
  std::string name;      // key; 1 to 256 of [A-Za-z0-9_.-]
  WallTime created;      // part of the channel's ARN: one made anew under the same name is another channel
  uint64_t version = 1;  // grows with each change
  uint32_t message_ttl_seconds = 60;  // how long a message waits for who is not there; 5 to 120
  uint32_t max_viewers = 10;          // at a time; 1 to 1000
};

/// Who signs requests (auth/sigv4.h). The secret is kept as it is, since a signature can be checked with
/// nothing less; it is shown once, when it is made.
struct AccessKeyRow {
  std::string id;      // key; 16 to 128 of [A-Za-z0-9]
  std::string secret;  // 16 to 128 printable characters without spaces; never shown again
  std::string note;    // whose it is
  bool enabled = true;
  bool master = false;                // connects as master
  bool viewer = false;                // connects as viewer
  bool admin = false;                 // creates, changes and deletes channels
  std::vector<std::string> channels;  // names, or beginnings of names with a '*' behind; none: no channel
  WallTime created;
};

/// Whether the key is for that channel, whatever it may do there.
bool covers(const AccessKeyRow& key, std::string_view channel);

/// Channels that may be made in all, and keys.
inline constexpr size_t most_channels = 10'000, most_access_keys = 10'000;

/// The twins of the directory implement it; what is said of Directory holds. `limit` past the numbers above.
class ChannelDirectory {
 public:
  virtual ~ChannelDirectory() = default;
  /// By name, by id.
  virtual StoreResult<std::vector<ChannelRow>> channels() = 0;
  virtual StoreStatus put_channel(const ChannelRow& row, Directory::Put mode) = 0;
  virtual StoreStatus remove_channel(const std::string& name) = 0;
  virtual StoreResult<std::vector<AccessKeyRow>> access_keys() = 0;
  virtual StoreStatus put_access_key(const AccessKeyRow& row, Directory::Put mode) = 0;
  virtual StoreStatus remove_access_key(const std::string& id) = 0;
};

/// As port::problem_with() of other rows.
std::string problem_with(const ChannelRow& row);
std::string problem_with(const AccessKeyRow& row);

/// 1 to 256 of [A-Za-z0-9_.-]: names of channels and clients, and what names a message.
bool is_channel_word(std::string_view text);

/// Who has come to a channel over a WebSocket, and what of the rows matters while he stays. Written once,
/// then only read, by any worker.
struct ChannelGuest {
  std::string channel;  // its name
  bool master = false;
  std::string client;      // of a viewer
  std::string access_key;  // whose signature let him in
  Duration message_ttl = seconds(60);
  uint32_t max_viewers = 10;
};

}  // namespace tandem::port
