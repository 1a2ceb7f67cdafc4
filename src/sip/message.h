#pragma once
// A SIP message (RFC 3261 section 7): one buffer and views into it. Parsing finds the start line and the
// headers; what is inside a header is parsed when someone asks. Nothing is allocated on the heap while
// parsing (the header index lives behind the bytes in the same buffer, or in the object).
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "sip/header_id.h"
#include "sip/headers.h"
#include "sip/method.h"
#include "sip/reason.h"
#include "sip/uri.h"

namespace tandem::sip {

struct HeaderField {
  HeaderId id;             // HeaderId::other for names not in the table
  std::string_view name;   // as on the wire (may be the compact form)
  std::string_view value;  // trimmed; a folded value still has its CRLF and white space inside
};

class Message {
 public:
  /// Checks what must hold before anything may be done with a message: start line, header syntax, limits, the
  /// five headers of section 8.1.1 (Max-Forwards aside), Content-Length against the size. Typed accessors
  /// check the rest.
  static Result<Message, Reason> parse(Buffer bytes, const Limits& limits = {});
  /// The same; takes the buffer only when it succeeds, so that a refusal can still be written from it
  /// (sip/refuse.h).
  static Result<Message, Reason> parse_from(Buffer& bytes, const Limits& limits = {});

  Message(Message&&) noexcept;
  Message& operator=(Message&&) noexcept;
  ~Message();

  bool is_request() const;
  bool is_response() const { return !is_request(); }
  Method method() const;                 // of a response: the CSeq's
  std::string_view method_text() const;  // likewise
  std::string_view request_uri() const;  // requests; empty otherwise
  Result<Uri, Reason> parsed_request_uri() const;
  int status() const;  // 100..699; 0 for requests
  /// Start line with more white space than the RFC allows: read all the same, refused by strict_check().
  bool loose_start_line() const;
  std::string_view reason_phrase() const;

  // ---- headers, raw
  std::span<const HeaderField> headers() const;
  /// Value of the first header of that id; nothing when absent.
  std::optional<std::string_view> header(HeaderId id) const;
  std::optional<std::string_view> header(std::string_view name) const;  // extension headers, without case
  bool has(HeaderId id) const { return header(id).has_value(); }
  /// f(std::string_view) for every comma-separated element of every header of that id, in order. Commas
  /// inside quotes and angle brackets do not separate. f may return false to stop.
  template <class F>
  void for_each_value(HeaderId id, F&& f) const {
    for (const HeaderField& h : headers())
      if (h.id == id) {
        ListCursor list(h.value);
        std::string_view item;
        while (list.next(item)) {
          if constexpr (std::is_same_v<decltype(f(item)), bool>) {
            if (!f(item)) return;
          } else {
            f(item);
          }
        }
      }
  }
  /// Does a comma list of tokens (Supported, Require, Allow ...) name this option?
  bool lists(HeaderId id, std::string_view token) const;

  // ---- headers, typed (each view lives as long as the message)
  std::string_view call_id() const;
  CSeq cseq() const;           // checked by parse()
  const Via& top_via() const;  // checked by parse()
  Result<NameAddr, Reason> from() const;
  Result<NameAddr, Reason> to() const;
  std::string_view from_tag() const;  // empty when absent
  std::string_view to_tag() const;
  /// First Contact; Reason::missing_header when there is none, bad_name_addr also for "*".
  Result<NameAddr, Reason> contact() const;
  std::optional<uint32_t> expires() const;  // nothing when absent or malformed
  std::optional<uint32_t> max_forwards() const;
  std::string_view content_type() const;  // "application/sdp", parameters cut off
  Bytes body() const;
  std::string_view body_text() const { return as_text(body()); }

  Bytes bytes() const;
  Buffer take() &&;  // the buffer back; the message is empty afterwards

 private:
  struct Index;  // views and the header table; lives behind the bytes, in the buffer's spare room
  struct Parser;
  Message() = default;
  Buffer buffer_;
  Index* index_ = nullptr;
};

}  // namespace tandem::sip
