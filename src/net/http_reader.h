#pragma once
// HTTP/1.x requests out of one connection's bytes (RFC 9112), without I/O. Beast reads a head, once it is
// there as a whole; how long things may be, where a request ends and what is no request are decided here, and
// not by where the bytes were cut.
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "net/chunked_body.h"
#include "net/http_message.h"

namespace tandem::net {

struct HttpLimits {
  size_t header_bytes = 16 << 10;  // from the request line to the empty line, that included
  size_t body_bytes = 1 << 20;
};

struct ReadRequest {
  HttpRequest request;  // peer and secure are the caller's to know
  bool keep_alive = true;
  bool http_1_0 = false;
};

class HttpReader {
 public:
  explicit HttpReader(const HttpLimits& limits) : limits_(limits) {}

  /// Bytes as they came, cut anywhere. Whoever gives more only when pop() had nothing left makes it hold no
  /// more than the limits and what he gave last. After a fault they are thrown away.
  void receive(std::string_view bytes);
  /// Requests, in order; one that is pipelined behind another is not looked at before it is asked for.
  std::optional<ReadRequest> pop();
  /// What comes is no request and never will be: answer_to() it, and close. After pop() had nothing.
  std::optional<BadRequest> bad() const { return bad_; }
  /// The client waits for 100 (RFC 9110 section 10.1.1) before it sends the body. Once a request.
  bool take_expectation() { return current_ && std::exchange(expects_, false); }
  /// What came behind the last request, for whom the connection belongs to from now on.
  std::string take_rest() { return std::exchange(input_, {}); }

 private:
  bool read_head();
  bool parse_head(std::string_view head);
  bool read_body();
  bool fail(BadRequest why);

  const HttpLimits limits_;
  std::string input_;  // behind what has been read
  size_t searched_ = 0;
  std::optional<ReadRequest> current_;  // its head has been read
  bool expects_ = false;
  size_t left_ = 0;                     // of a body with a length
  std::optional<ChunkedBody> chunked_;  // of one without
  std::optional<BadRequest> bad_;
};

}  // namespace tandem::net
