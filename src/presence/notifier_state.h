#pragma once
// What the notifier's own source files share.
#include <string>
#include <vector>

#include "presence/notifier.h"

namespace tandem::presence {

struct Notifier::Publication {
  std::string etag;  // RFC 3903 section 4.1
  std::string body;
  Instant expires;
};

/// An AOR that is watched, or says something about itself.
struct Notifier::Resource {
  port::AddressOfRecord aor;
  std::vector<SlotId> subscriptions;
  std::vector<Publication> publications;  // oldest first; the last one stands
  std::vector<port::LineCall> calls;
  MessageCounts messages;
  uint32_t contacts = 0;
  Instant armed = Instant::never();  // for the publications
};

struct Notifier::Subscription {
  Package package = Package::dialog;
  std::string event_id;
  Watcher watcher;
  SlotId resource;
  sip::Dialog dialog;
  Instant expires;
  Instant armed = Instant::never();
  Instant retry_at = Instant::never();  // a watcher asked us to wait (Retry-After)
  uint32_t version = 0;
  port::AskId asking = 0;            // the state to tell first is on its way
  bool ask_again = false;            // what it is asking for changed meanwhile
  bool notifying = false;            // a NOTIFY has no answer yet: one at a time
  bool owed = false;                 // the state changed since the last one
  std::string_view end_reason = {};  // a literal; not empty: terminated

  Instant deadline() const { return std::min(expires, retry_at); }
};

inline constexpr std::string_view allow_events = "dialog, message-summary, presence";

}  // namespace tandem::presence
