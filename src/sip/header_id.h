#pragma once
// Headers we know by name. Compact forms (RFC 3261 section 7.3.3 and later RFCs) map to the same id.
#include <cstdint>
#include <string_view>

namespace tandem::sip {

enum class HeaderId : uint8_t {
  via, from, to, call_id, cseq, max_forwards, contact, route, record_route, content_length, content_type,
  content_disposition, content_encoding, content_language, accept, accept_encoding, accept_language, alert_info, allow,
  allow_events, authentication_info, authorization, call_info, date, error_info, event, expires, history_info, diversion,
  identity, in_reply_to, join, mime_version, min_expires, min_se, organization, p_asserted_identity,
  p_preferred_identity, p_associated_uri, path, priority, privacy, proxy_authenticate, proxy_authorization,
  proxy_require, rack, reason, refer_sub, refer_to, referred_by, remote_party_id, replaces, reply_to, request_disposition,
  require, retry_after, rseq, server, service_route, session_expires, sip_etag, sip_if_match, subject,
  subscription_state, supported, target_dialog, timestamp, unsupported, user_agent, warning, www_authenticate,
  other,
};
/// Without case, long or compact; HeaderId::other when unknown.
HeaderId header_id(std::string_view name);
std::string_view to_string(HeaderId id);  // the long form, e.g. "Call-ID"

}  // namespace tandem::sip
