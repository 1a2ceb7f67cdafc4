#pragma once
// Names that find their object without a table: the slot is in the tag, the Call-ID and the branch. The run
// number keeps messages of an earlier run of the same generator out.
#include <array>
#include <optional>
#include <string_view>

#include "base/slot_map.h"

namespace tandem::load {

/// What a name belongs to; the first character of its text.
enum class Owner : char { caller = 'c', callee = 's', registration = 'r' };

/// Text on the stack: owner, 16 hex digits of the slot, 8 of the run.
class Name {
 public:
  Name(Owner owner, SlotId id, uint32_t run);
  std::string_view text() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 25> text_;
};

struct Named {
  Owner owner;
  SlotId id;
};

/// Reads a tag, Call-ID or branch (z9hG4bK in front and what follows are allowed). Nothing for a stranger's
/// text and for another run's.
std::optional<Named> read_name(std::string_view text, uint32_t run);

}  // namespace tandem::load
