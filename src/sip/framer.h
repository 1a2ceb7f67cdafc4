#pragma once
// Cuts a byte stream into SIP messages by Content-Length (RFC 3261 section 18.3) and finds RFC 5626 keep-alives.
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "sip/reason.h"

namespace tandem::sip {

/// Feed bytes as they come; take whole messages out. Memory is bounded by Limits::message_bytes.
class Framer {
 public:
  explicit Framer(Limits limits = {}) : limits_(limits) {}

  struct Item {
    enum class Kind : uint8_t {
      message,
      ping,  // double CRLF: answer with one CRLF (RFC 5626 section 3.5.1)
      pong,  // single CRLF: the answer to our ping
    } kind;
    Buffer bytes;  // of a message
  };
  /// Fails for good when the stream cannot be framed (no Content-Length, a bad one, too large): close the connection.
  Status<Reason> push(Bytes bytes);
  std::optional<Item> pop();
  /// True while part of a message waits for the rest (a slow sender; `net` puts a deadline on it).
  bool partial() const;

 private:
  Limits limits_;
  Buffer pending_;
  size_t scanned_ = 0;
  size_t pos_ = 0;
};

}  // namespace tandem::sip
