#pragma once
// What the server itself answers, and why.
#include <cstdint>
#include <string>
#include <utility>

#include "port/http.h"

namespace tandem::net {

using port::HttpRequest;
using port::HttpResponse;

inline HttpResponse plain_answer(int status, std::string text) {
  return {.status = status, .content_type = "text/plain", .body = std::move(text), .headers = {}};
}

/// Why bytes were no request, or none for us; each is a label of http_bad_requests_total.
enum class BadRequest : uint8_t {
  malformed,       // 400
  head_too_large,  // 431: request line and header fields, or extensions and trailers of a chunked body
  body_too_large,  // 413
  coding,          // 501: a transfer coding other than chunked (RFC 9112 section 6.1)
  count_,
};
const char* to_string(BadRequest why);
HttpResponse answer_to(BadRequest why);

}  // namespace tandem::net
