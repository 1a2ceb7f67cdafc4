#pragma once
// The SIP messages of recent calls, in memory, for their ladder diagrams. Workers hand over what passes; the
// control thread takes credentials and keys out, and sorts by Call-ID.
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/hash.h"
#include "port/outbox.h"

namespace tandem::ops {

/// Call-ID of a message without parsing all of it; empty when there is none.
std::string_view call_id_of(std::string_view message);

/// A message as it is kept: redacted, and without the body of an INFO, whose digits may be somebody's PIN.
struct KeptMessage {
  WallTime time;
  uint64_t number = 0;  // grows with each message; what one batch brought and sent has one time
  bool outbound = false;
  port::Transport transport = port::Transport::udp;
  SocketAddress local, remote;
  std::string text;
};

struct MessageRingOptions {
  size_t messages = 20'000;  // kept; 0: none, and nothing costs anything
  size_t average = 2048;     // octets: `messages` times as many are kept at most
  size_t waiting = 8192;     // handed over and not yet taken in; past it they are dropped, counted
  // Of busier nodes the messages of a share of the calls are kept, of those all.
  uint64_t per_second = 2000;
};

class MessageRing {
 public:
  MessageRing(MessageRingOptions options, CounterSet& counters);

  /// Any thread. Only messages of calls are taken: requests that have nothing to do with one (REGISTER,
  /// OPTIONS, SUBSCRIBE, PUBLISH, MESSAGE) and their responses are not.
  void put(const port::SipTrace& trace);
  /// Control thread: takes in what was handed over. Called again and again, and before of().
  void take();
  /// Control thread: what is kept of that Call-ID, in the order of time.
  std::vector<KeptMessage> of(std::string_view call_id) const;

 private:
  struct Kept {
    std::string call_id;
    KeptMessage message;
  };
  bool is_in_share(std::string_view call_id, WallTime now);
  void keep(Kept kept);
  void drop_oldest();

  // given
  const MessageRingOptions options_;
  Counter& kept_count_;
  Counter& dropped_;
  Counter& passed_over_;
  // shared
  std::mutex mutex_;
  std::vector<Kept> waiting_;
  uint64_t dropped_waiting_ = 0, passed_over_waiting_ = 0;
  int64_t second_ = 0;
  uint64_t in_second_ = 0;
  uint32_t share_ = 1024;  // of 1024
  // control thread
  std::deque<Kept> ring_;
  uint64_t first_ = 0;  // number of ring_.front()
  size_t bytes_ = 0;
  std::unordered_map<std::string, std::deque<uint64_t>, TextHash, std::equal_to<>> by_call_;
};

}  // namespace tandem::ops
