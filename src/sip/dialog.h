#pragma once
// Dialogs (RFC 3261 section 12): the peer-to-peer relationship a 1xx-with-tag or 2xx makes, as a value.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "port/flow.h"
#include "sip/message.h"
#include "sip/writer.h"

namespace tandem::sip {

struct Dialog {
  enum class State : uint8_t { early, confirmed, terminated } state = State::early;
  bool uac = false;  // we sent the request that made it
  bool secure = false;
  std::string call_id;
  std::string local_tag, remote_tag;
  std::string local_uri, remote_uri;   // From/To content without the tag, e.g. "\"A\" <sip:a@b>"
  std::string remote_target;           // Contact URI of the peer
  std::string local_target;            // our Contact, as "<sip:...>"
  std::vector<std::string> route_set;  // each "<sip:...;lr>", in the order to put into Route
  std::optional<uint32_t> local_cseq, remote_cseq;
  port::Path path;  // where the next in-dialog request goes when nothing says otherwise

  /// UAS side (12.1.1), from a dialog-making request.
  static Result<Dialog, Reason> from_request(const Message& request, const port::Path& path,
                                             std::string local_tag, std::string local_target);
  /// UAC side (12.1.2), from a response with To-tag. `sent`: what the INVITE was sent with (call_id,
  /// local_tag, local_uri, remote_uri, local_target, local_cseq, secure, and remote_target for answers
  /// without Contact).
  static Result<Dialog, Reason> from_response(const Message& response, const port::Path& path,
                                              const Dialog& sent);
  /// UAC side, the 2xx of an early dialog (13.2.2.4): confirmed, remote target and route set taken anew.
  void confirm(const Message& response);

  /// 12.2.2: false when the CSeq is lower than the last (answer 500).
  bool accept_cseq(uint32_t cseq);
  /// Target refresh (12.2.1.2): new remote Contact from a re-INVITE/UPDATE and their 2xx.
  void refresh_target(const Message& message);
  /// In-dialog request: request line (strict or loose routing, 12.2.1.1), Route, From, To, Call-ID, CSeq (the
  /// next, or for ACK and CANCEL `cseq`), Max-Forwards, Contact. No Via: the transaction layer adds it.
  Writer request(Method method, std::optional<uint32_t> cseq = {});
  /// Host and port the next request goes to: first Route, or the remote target.
  std::string_view next_hop_uri() const;
  bool matches(std::string_view call_id_in, std::string_view our_tag, std::string_view their_tag) const {
    return call_id == call_id_in && local_tag == our_tag && remote_tag == their_tag;
  }
};

/// A dialog as a snapshot part (proto/sip.proto) and back; nothing when the bytes are not one.
std::string to_part(const Dialog& dialog);
std::optional<Dialog> dialog_from_part(std::string_view part);

}  // namespace tandem::sip
