#pragma once
// The signalling channels of one worker: who is on them, and what they say to each other. All clients of a
// channel meet on the worker of its name's shard.
//
//   viewer a ──SDP_OFFER──> ┌─────────┐ ──SDP_OFFER, senderClientId a──> master
//   viewer b                │ channel │ <──SDP_ANSWER, recipientClientId a── master
//                           └─────────┘
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counters.h"
#include "base/timers.h"
#include "channel/config.h"
#include "channel/protocol.h"
#include "port/channels.h"
#include "port/flow.h"

namespace tandem::channel {

/// What is to be done about an input, in this order.
struct Outcome {
  struct Text {
    port::Path web;
    std::string text;
  };
  std::vector<Text> texts;
  std::vector<port::FlowId> hang_ups;  // WebSockets to be closed, after their texts
};

using Guest = std::shared_ptr<const port::ChannelGuest>;

class Switchboard {
 public:
  Switchboard(const SwitchboardConfig& config, CounterSet& counters);
  ~Switchboard();

  // ---- WebSockets, by their flow
  /// A second master, and a second viewer of the same name, take the first one's place.
  void on_opened(Now now, const port::Path& web, Guest guest, Outcome& out);
  void on_text(Now now, port::FlowId web, std::string_view text, Outcome& out);
  /// A ping: whoever sends them is not idle.
  void on_alive(Now now, port::FlowId web);
  void on_closed(port::FlowId web);

  void on_timeout(Now now, Outcome& out);
  Instant next_timeout() const { return timers_.next(); }

  /// The channel is no more: its connections end, what waits is dropped.
  void end_channel(std::string_view channel, Outcome& out);
  /// The key may no longer do what it did: connections it let in end.
  void end_access_key(std::string_view key, Outcome& out);
  /// The node is going to stop: clients are told to connect anew, elsewhere.
  void say_goodbye(Now now, Outcome& out);

  size_t connections() const { return clients_.size(); }
  size_t channels() const { return channels_.size(); }
  size_t waiting_octets() const { return waiting_octets_; }

 private:
  using Key = std::pair<uint64_t, uint64_t>;  // of a WebSocket's flow
  struct Client;
  struct Waiting;
  struct Channel;

  void hear(Now now, const Key& key, Client& c, std::string_view text, Outcome& out);
  void pass(Now now, Client& from, Message message, Outcome& out);
  void keep(Now now, Channel& channel, const Client& from, Message message, Outcome& out);
  void deliver_waiting(Now now, Channel& channel, const Client& to, Outcome& out);
  void refuse(const Client& c, const Refused& refused, Outcome& out);
  void hang_up(const Key& key, Outcome& out);
  void forget(const Key& key);
  void drop_if_empty(std::string_view channel);
  void drop_old(Now now, Channel& channel);
  void arm(const Key& key, Client& c);

  const SwitchboardConfig config_;
  std::map<Key, Client> clients_;
  std::map<std::string, Channel, std::less<>> channels_;
  /// Of a connection; or, with the name of a channel, of the oldest message that waits there.
  struct Alarm {
    Key key;
    std::string channel;
  };
  TimerQueue<Alarm> timers_;
  size_t waiting_octets_ = 0;

  Counter &open_, &opened_masters_, &opened_viewers_, &replaced_, &full_, &no_place_, &expired_, &idle_,
      &revoked_, &too_many_refusals_, &kept_, &dropped_;
  std::array<Counter*, 3> passed_{};
  std::array<Counter*, static_cast<size_t>(Fault::count_)> refused_{};
};

}  // namespace tandem::channel
