#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "port/event.h"
#include "port/flow.h"
#include "port/websocket.h"

namespace tandem::net {

/// Where the transports of a worker leave what they got; the loop hands it to the port::Worker.
class FlowSink {
 public:
  virtual ~FlowSink() = default;
  virtual void received(port::Received message) = 0;
  virtual void flow_event(const port::FlowEvent& event) = 0;
  virtual void websocket(port::WebSocketEvent event) = 0;
  /// The time of the batch at hand, read once after each wait.
  virtual Now batch_now() = 0;
  /// Tells worker `from`, which sent it, that `send` will not arrive; nothing when nobody wants to know (0).
  virtual void send_failed(const port::Path& path, port::SendId send, uint16_t from) = 0;
  /// For people.
  virtual void event(port::Level level, std::string_view name,
                     std::vector<std::pair<std::string_view, std::string>> fields) = 0;
};

}  // namespace tandem::net
