// rooms: base
// sources: src/net/websocket_framer.cpp
// libs: wslay OpenSSL::Crypto
// Frames of a stranger, cut anywhere: the same messages, nothing over the limits, nothing after the end. When
// a fault is seen, and what is written by then, may differ: more of a frame may have been looked at.
#include <cstdlib>
#include <string>
#include <vector>

#include "net/websocket_framer.h"

namespace {

using namespace tandem;

std::vector<std::string> feed(Bytes stream, size_t piece) {
  const net::WebSocketLimits limits{
      .message_bytes = 500, .fragments = 4, .messages_per_second = 20, .control_per_second = 5};
  net::WebSocketFramer framer(limits);
  std::vector<std::string> messages;
  for (size_t at = 0; at < stream.size(); at += piece) {
    framer.receive(Instant{1}, stream.subspan(at, std::min(piece, stream.size() - at)));
    while (auto message = framer.pop()) {
      if (message->size() > limits.message_bytes) std::abort();
      messages.emplace_back(message->text());
    }
    framer.take_output();
  }
  if (messages.size() > 2 * limits.messages_per_second) std::abort();
  const bool over = framer.ended() != net::WebSocketFramer::End::none;
  if (over && (framer.send(as_bytes("late")) || framer.partial())) std::abort();
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Bytes stream(data + 1, size - 1);
  if (feed(stream, stream.size()) != feed(stream, 1 + data[0] % 64)) std::abort();
  return 0;
}
