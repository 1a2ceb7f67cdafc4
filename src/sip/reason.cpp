#include "sip/reason.h"

namespace tandem::sip {

const char* to_string(Reason r) {
  switch (r) {
    case Reason::empty:
      return "empty";
    case Reason::too_large:
      return "too_large";
    case Reason::too_many_headers:
      return "too_many_headers";
    case Reason::header_too_long:
      return "header_too_long";
    case Reason::too_many_values:
      return "too_many_values";
    case Reason::bad_start_line:
      return "bad_start_line";
    case Reason::bad_version:
      return "bad_version";
    case Reason::bad_method:
      return "bad_method";
    case Reason::bad_status:
      return "bad_status";
    case Reason::bad_line:
      return "bad_line";
    case Reason::bad_header_name:
      return "bad_header_name";
    case Reason::no_end_of_headers:
      return "no_end_of_headers";
    case Reason::missing_header:
      return "missing_header";
    case Reason::duplicate_header:
      return "duplicate_header";
    case Reason::bad_via:
      return "bad_via";
    case Reason::bad_cseq:
      return "bad_cseq";
    case Reason::cseq_method_mismatch:
      return "cseq_method_mismatch";
    case Reason::bad_name_addr:
      return "bad_name_addr";
    case Reason::bad_uri:
      return "bad_uri";
    case Reason::bad_host:
      return "bad_host";
    case Reason::bad_port:
      return "bad_port";
    case Reason::bad_escape:
      return "bad_escape";
    case Reason::bad_params:
      return "bad_params";
    case Reason::bad_quoted_string:
      return "bad_quoted_string";
    case Reason::bad_number:
      return "bad_number";
    case Reason::bad_content_length:
      return "bad_content_length";
    case Reason::body_too_short:
      return "body_too_short";
    case Reason::bad_token:
      return "bad_token";
    case Reason::bad_date:
      return "bad_date";
    case Reason::bad_auth:
      return "bad_auth";
    case Reason::nested_too_deep:
      return "nested_too_deep";
    case Reason::bad_multipart:
      return "bad_multipart";
    case Reason::count_:
      break;
  }
  return "unknown";
}

}  // namespace tandem::sip
