#pragma once
// NAME.json beside a recording: a JSON object a line, written as things happen.
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "port/recording.h"
#include "store/recording_bytes.h"

namespace tandem::store {

using NoteFields = std::vector<std::pair<std::string, std::string>>;

/// {"event":"opened","time":"2026-11-25T14:22:33Z",...}\n; values are text except those that are whole
/// numbers and stand under a name that ends in _ms, or are called rate, sides or bytes.
std::string note_line(std::string_view event, WallTime time, const NoteFields& fields);
/// What stands in such a line, event and time too; a line that was not written to its end has none.
std::optional<NoteFields> note_fields(std::string_view line);

}  // namespace tandem::store
