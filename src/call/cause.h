#pragma once
// Why a leg did not come up, or ended: one value for SIP (RFC 3261 section 21), Q.850 (the Reason header, RFC
// 3326) and call detail records.
#include <cstdint>
#include <string>
#include <string_view>

#include "sip/message.h"

namespace tandem::call {

struct Cause {
  uint16_t status = 0;  // SIP status to refuse with; 0: a normal release
  uint16_t q850 = 16;   // 1..127 (ITU-T Q.850); 16: normal call clearing
  std::string text;

  /// With the Q.850 cause that RFC 3398 section 8.2.6.1 gives the status.
  static Cause from_status(int status, std::string_view text = {});
  /// With the status that RFC 3398 section 7.2.4.1 gives the cause.
  static Cause from_q850(int cause, std::string_view text = {});
  /// An INVITE that we take back.
  static Cause cancelled(int cause, std::string_view text = {});
  /// Reason header of a BYE or CANCEL, else a normal release (16).
  static Cause from_message(const sip::Message& message);
  /// "Q.850;cause=16;text=\"Normal call clearing\""
  std::string reason_header() const;
  bool operator==(const Cause&) const = default;
};

}  // namespace tandem::call
