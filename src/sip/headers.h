#pragma once
// Structured header values: each parses one element (no comma list) and keeps views into it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/result.h"
#include "port/flow.h"
#include "sip/method.h"
#include "sip/reason.h"
#include "sip/uri.h"

namespace tandem::sip {

/// Walks a comma list, minding quotes and angle brackets.
class ListCursor {
 public:
  explicit ListCursor(std::string_view value) : rest_(value) {}
  bool next(std::string_view& item);  // trimmed, never empty

 private:
  std::string_view rest_;
};

/// "Name" <sip:a@b;x=y>;tag=1   or   sip:a@b;tag=1 (then all parameters are the header's, section 20.10).
struct NameAddr {
  std::string_view display;  // without quotes, escapes kept
  std::string_view uri_text;
  Uri uri;
  Params params;      // header parameters
  bool star = false;  // Contact: *
  static Result<NameAddr, Reason> parse(std::string_view text);
  std::string_view tag() const { return params.get("tag").value_or(std::string_view{}); }
};

/// SIP/2.0/UDP host:port;branch=...   (section 20.42)
struct Via {
  std::string_view protocol;   // "SIP/2.0" as written
  std::string_view transport;  // "UDP"
  std::string_view host;       // IPv6 with brackets
  uint16_t port = 0;           // 0: none given
  std::string_view branch;
  Params params;
  std::string_view text;
  static Result<Via, Reason> parse(std::string_view text);
  bool rfc3261_branch() const { return branch.size() > 7 && branch.substr(0, 7) == "z9hG4bK"; }
  bool wants_rport() const { return params.has("rport"); }
};

struct CSeq {
  uint32_t number = 0;
  std::string_view method_text;
  Method method = Method::other;
  static Result<CSeq, Reason> parse(std::string_view text);
};

/// RAck: 776656 1 INVITE (RFC 3262 section 7.2)
struct RAck {
  uint32_t rseq = 0;
  uint32_t cseq = 0;
  std::string_view method_text;
  static Result<RAck, Reason> parse(std::string_view text);
};

/// Replaces: call-id;to-tag=..;from-tag=..;early-only (RFC 3891 section 6.1). Target-Dialog and Join read the
/// same.
struct Replaces {
  std::string_view call_id, to_tag, from_tag;
  bool early_only = false;
  static Result<Replaces, Reason> parse(std::string_view text);
};

/// Session-Expires: 1800;refresher=uas (RFC 4028 section 4), Min-SE likewise.
struct SessionExpires {
  uint32_t seconds = 0;
  enum class Refresher : uint8_t { unspecified, uac, uas } refresher = Refresher::unspecified;
  static Result<SessionExpires, Reason> parse(std::string_view text);
};

/// Event: dialog;id=7 (RFC 6665 section 8.2.1)
struct EventType {
  std::string_view package;
  std::string_view id;
  Params params;
  static Result<EventType, Reason> parse(std::string_view text);
};

/// Subscription-State: active;expires=600 (RFC 6665 section 8.2.3)
struct SubscriptionState {
  std::string_view state, reason;
  std::optional<uint32_t> expires, retry_after;
  static Result<SubscriptionState, Reason> parse(std::string_view text);
};

/// WWW-Authenticate, Proxy-Authenticate, Authorization, Proxy-Authorization (RFC 7616, RFC 8760): the scheme
/// and its comma-separated parameters.
struct AuthValue {
  std::string_view scheme;
  std::string_view params;
  static Result<AuthValue, Reason> parse(std::string_view text);
  /// Unquoted (escapes kept); nothing when absent.
  std::optional<std::string_view> get(std::string_view name) const;
};

/// Reason: Q.850;cause=16;text="..." (RFC 3326)
struct ReasonValue {
  std::string_view protocol;
  std::optional<uint32_t> cause;
  std::string_view text;
  static Result<ReasonValue, Reason> parse(std::string_view text);
};

/// Date: RFC 1123 only, GMT only (section 20.17). Seconds since 1970.
Result<int64_t, Reason> parse_date(std::string_view text);
/// delta-seconds with optional comment and parameters ignored (Retry-After, Expires).
Result<uint32_t, Reason> parse_delta_seconds(std::string_view text);
/// "\"a\\\"b\"" -> a"b
std::string unquote(std::string_view text);
/// a"b -> "\"a\\\"b\"", control characters removed.
std::string quote(std::string_view text);

}  // namespace tandem::sip
