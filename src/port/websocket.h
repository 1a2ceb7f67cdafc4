#pragma once
// WebSockets (RFC 6455) of which somebody else than SIP is in charge. Those of subprotocol `sip` are
// connections like any other (RFC 7118): they come in through on_received() and on_flow().
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "port/channels.h"
#include "port/flow.h"

namespace tandem::port {

/// How a WebSocket was opened (section 4.1): what the HTTP request said. Written once, then only read, by any
/// worker.
struct WebSocketRequest {
  std::string path;         // "/rtc", without the query
  std::string subprotocol;  // the one agreed on: whose messages these are; empty where none is asked for
  std::string host;         // Host, as sent
  std::string origin;       // as sent and found acceptable; empty: none, as from a program that is no browser
  std::string token;        // the bearer token that came along (RFC 6750), not looked at yet; for no log
  std::shared_ptr<const ChannelGuest> guest;  // of a signalling channel; null: the path is none of those
};

/// What happens on one, in this order: opened, then any of the middle ones, then closed. What is to be sent
/// goes into Outbox::send with `path` (one message a Send; text when it is UTF-8), to end it
/// Outbox::close_flow.
struct WebSocketEvent {
  enum class Kind : uint8_t {
    opened,     // the peer has been told 101
    message,    // a whole one: `bytes`
    alive,      // a ping of the peer has come, and been answered
    congested,  // the peer reads too slowly: its queue passed its high-water mark
    drained,    // and is below its low-water mark again
    closed,     // gone, whoever ended it: `code`
  };
  Kind kind = Kind::opened;
  Path path;  // its flow names the WebSocket; any worker of the node may send to it
  std::shared_ptr<const WebSocketRequest> request;
  Buffer bytes;       // text has been found to be UTF-8
  uint16_t code = 0;  // what the peer closed it with (section 7.4), 1006 when it did not say
};

}  // namespace tandem::port
