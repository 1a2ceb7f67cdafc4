#pragma once
// Presence as the JSON API has it, written as and read from the documents SIP has for it: PIDF (RFC 3863)
// with activities (RFC 4480), and dialog-info (RFC 4235).
#include <string>
#include <string_view>

#include "port/records.h"

namespace tandem::webrtc {

enum class Availability : uint8_t { offline, available, away, busy };
const char* to_string(Availability a);  // as on the wire

/// What somebody says of himself, or a registrar of him.
struct Standing {
  Availability availability = Availability::offline;
  std::string note;
  bool operator==(const Standing&) const = default;
};
std::string write_pidf(const port::AddressOfRecord& of, const Standing& standing);
/// What of it can be understood; a note of 256 octets at most.
Standing read_pidf(std::string_view document);

enum class LineState : uint8_t { idle, ringing, busy };
const char* to_string(LineState s);
/// The most of what its dialogs are.
LineState read_dialog_info(std::string_view document);

}  // namespace tandem::webrtc
