#pragma once
// Why a message, a header or a URI was not understood. One counter per reason
// (sip_parse_errors_total{reason=...}).
#include <cstdint>

namespace tandem::sip {

enum class Reason : uint8_t {
  empty,             // nothing, or only CRLFs (a keep-alive)
  too_large,         // over Limits::message_bytes
  too_many_headers,  // over Limits::headers
  header_too_long,   // over Limits::header_bytes
  too_many_values,   // over Limits::list_values in one comma list
  bad_start_line,
  bad_version,
  bad_method,
  bad_status,
  bad_line,  // a CR or LF alone, or a NUL, in the start line or a header
  bad_header_name,
  no_end_of_headers,
  missing_header,    // one of Via, From, To, Call-ID, CSeq
  duplicate_header,  // a header that may stand once stands twice with different values
  bad_via,
  bad_cseq,
  cseq_method_mismatch,
  bad_name_addr,
  bad_uri,
  bad_host,
  bad_port,
  bad_escape,
  bad_params,
  bad_quoted_string,
  bad_number,
  bad_content_length,
  body_too_short,  // Content-Length says more than there is
  bad_token,
  bad_date,
  bad_auth,
  nested_too_deep,  // over Limits::nesting (comments, multipart)
  bad_multipart,
  count_,
};
const char* to_string(Reason r);

struct Limits {
  uint32_t message_bytes = 65535;
  uint32_t header_bytes = 8192;
  uint16_t headers = 128;
  uint16_t list_values = 64;
  uint8_t nesting = 8;
};

}  // namespace tandem::sip
