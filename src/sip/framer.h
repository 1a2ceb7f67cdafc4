#pragma once
// Cuts a byte stream into SIP messages by Content-Length (RFC 3261 section 18.3) and finds RFC 5626
// keep-alives.
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "sip/reason.h"

namespace tandem::sip {

/// Feed bytes as they come; take whole messages out. What waits is at most one message
/// (Limits::message_bytes) and what was pushed since the last pop().
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
  /// Fails for good when the stream cannot be framed (no Content-Length, a bad one, too large): close the
  /// connection. Whole messages from before the fault can still be taken out.
  Status<Reason> push(Bytes bytes);
  std::optional<Item> pop();
  /// True while part of a message waits for the rest (a slow sender; `net` puts a deadline on it).
  bool partial() const { return framed_ < pending_.size(); }

 private:
  struct Cut {
    Item::Kind kind = Item::Kind::message;
    size_t length = 0;  // 0: not all there yet
  };
  Result<Cut, Reason> cut(std::string_view text, size_t scanned) const;
  Result<size_t, Reason> message_length(std::string_view text) const;
  void drop_taken();

  Limits limits_;
  Buffer pending_;
  size_t pos_ = 0;          // taken out up to here
  size_t framed_ = 0;       // whole items up to here
  size_t scanned_ = 0;      // of the unfinished item after framed_: searched for the end of its headers
  size_t needed_ = 0;       // its length, once known
  bool lone_crlf_ = false;  // the last item was a CRLF with nothing after it: another one makes a ping of it
  std::optional<Reason> failed_;
};

}  // namespace tandem::sip
