#pragma once
// The messages of a signalling channel, as JSON (docs/channels.md). What is signalled passes unread.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "channel/config.h"

namespace tandem::channel {

enum class Action : uint8_t { offer, answer, candidate };

/// What a client says.
struct Message {
  Action action = Action::offer;
  std::string recipient;    // a viewer, of a master's message
  std::string payload;      // base 64
  std::string correlation;  // what a status is to name; empty: none is wanted
};

/// Why a message goes nowhere.
enum class Fault : uint8_t {
  malformed,  // no JSON, members missing or of the wrong type
  action,     // none we know
  too_big,    // the payload
  recipient,  // none, of a master's message; or none that can be a client
  too_fast,   // more of its kind than a connection may send
  full,       // too many wait for who is not there
  count_,
};
const char* to_string(Fault fault);

struct Refused {
  Fault fault = Fault::malformed;
  std::string correlation;  // as far as it could be read
};
Result<Message, Refused> parse(std::string_view text, const SwitchboardConfig& limits);

/// {"messageType": "SDP_OFFER", "messagePayload": "...", "senderClientId": "..."}; `sender` empty: the
/// master's.
std::string write_message(Action action, std::string_view payload, std::string_view sender);
/// {"messageType": "STATUS_RESPONSE", "messagePayload": "", "statusResponse": {...}}
std::string write_status(const Refused& refused);
/// For a viewer that finds no place, before its connection ends.
std::string write_full();
/// {"messageType": "GO_AWAY", "messagePayload": ""}, or RECONNECT_ICE_SERVER
std::string write_notice(std::string_view type);

}  // namespace tandem::channel
