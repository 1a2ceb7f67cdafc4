#pragma once
// Flows that no socket belongs to: each ends at the telephone of a client of the JSON API, inside the node.
#include "port/flow.h"

namespace tandem::port {

/// In the slot of such a flow; no socket's has it.
constexpr uint32_t inner_slot_bit = 0x4000'0000;
constexpr bool is_inner(FlowId flow) { return (flow.slot & inner_slot_bit) != 0 && flow.slot >> 31 == 0; }

}  // namespace tandem::port
