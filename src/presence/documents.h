#pragma once
// The bodies of notifications: dialog-info (RFC 4235), message summaries (RFC 3842) and presence (PIDF, RFC
// 3863).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "port/ask.h"

namespace tandem::presence {

/// Messages in a mailbox (RFC 3842 section 5.2).
struct MessageCounts {
  uint32_t text = 0;  // all of them unread: what was delivered is not kept
  uint32_t voice_new = 0, voice_old = 0;
  bool operator==(const MessageCounts&) const = default;
};

inline constexpr std::string_view dialog_info_type = "application/dialog-info+xml";
inline constexpr std::string_view message_summary_type = "application/simple-message-summary";
inline constexpr std::string_view pidf_type = "application/pidf+xml";

/// Who looks at a line.
struct Watcher {
  port::AddressOfRecord aor;
  std::string pickup_group;
};
/// Whether the watcher of `aor` could take that call with Replaces: a party, or one of the pick-up group
/// while it rings (the call room judges by the same rule, CallFlow::may_take).
bool may_replace(const Watcher& watcher, const port::AddressOfRecord& aor, const port::LineCall& call);

/// Full state, always: a watcher that missed one is right again with the next. The names of a dialog are told
/// to who may replace it and to nobody else (RFC 4235 section 6).
std::string dialog_info(const port::AddressOfRecord& aor, const std::vector<port::LineCall>& calls,
                        const Watcher& watcher, uint32_t version);
std::string message_summary(const port::AddressOfRecord& aor, const MessageCounts& counts);
/// What we can say of someone who publishes nothing.
std::string pidf(const port::AddressOfRecord& aor, bool reachable);

/// Elements nest and close, attributes are quoted, no document type and no entities but the five of XML 1.0.
/// Enough to pass a document on to others; it says nothing about a schema.
bool well_formed_xml(std::string_view document, size_t max_depth);
/// Whom a well-formed PIDF is about: `entity` of its root `presence` (RFC 3863 section 4.1.1), a pres: or
/// sip: URI. Nothing when the document has another root or none is named.
std::optional<std::string> pidf_entity(std::string_view document, size_t max_depth);

}  // namespace tandem::presence
