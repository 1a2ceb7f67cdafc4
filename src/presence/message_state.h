#pragma once
// What the message centre's own source files share.
#include <string>
#include <vector>

#include "presence/message_centre.h"

namespace tandem::presence {

/// A MESSAGE that came in.
struct MessageCentre::Message {
  sip::ServerTxId server;
  port::StoredMessage content;
  std::string gruu;
  uint16_t shard = 0;              // it lives on: answers to what we send lead back to it
  std::vector<std::string> tried;  // contact keys
  uint32_t outstanding = 0;        // requests to contacts without a final answer
  int refusal = 0;                 // a contact said no for good
  bool target_known = false;       // a subscriber of ours
  bool delivered = false;
  bool answered = false;       // its sender knows
  bool looking_again = false;  // stored; did someone register meanwhile?
  port::AskId asking = 0;
  port::AskId saving = 0;
  uint64_t stored_id = 0;
  Instant give_up = Instant::never();  // then it is stored
};

/// What is stored for an AOR, on its way to it.
struct MessageCentre::Delivery {
  port::AddressOfRecord aor;
  uint32_t attempt = 0;
  bool again = false;  // it registered once more meanwhile
  port::AskId asking = 0;
  std::vector<port::StoredMessage> messages;  // oldest first
  std::vector<port::Contact> contacts;
  size_t at = 0;
  uint32_t outstanding = 0;
  bool taken = false;  // a contact took messages[at]
};

/// Which table an object name (of an ask, of a transaction) belongs to.
inline constexpr uint64_t delivery_bit = uint64_t{1} << 31;
inline uint64_t message_object(SlotId id) { return id.packed(); }
inline uint64_t delivery_object(SlotId id) { return id.packed() | delivery_bit; }
inline constexpr uint64_t deletion_object = delivery_bit;  // generation 0: no delivery has it

}  // namespace tandem::presence
