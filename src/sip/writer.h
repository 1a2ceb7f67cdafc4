#pragma once
// Writes a message into one pooled buffer, front to back. What callers pass in is checked for CR, LF and NUL:
// a value that would break the framing is cut at that point (and the writer says so), so that nothing a peer
// sent us can inject a header into what we send.
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "sip/header_id.h"
#include "sip/message.h"
#include "sip/method.h"

namespace tandem::sip {

class Writer {
 public:
  static Writer request(Method method, std::string_view uri);
  static Writer request(std::string_view method, std::string_view uri);
  static Writer response(int status, std::string_view reason = {});  // empty: the RFC's phrase for the status

  Writer& header(HeaderId id, std::string_view value);
  Writer& header(std::string_view name, std::string_view value);
  /// Value from pieces, without building a string first.
  Writer& header(HeaderId id, std::initializer_list<std::string_view> pieces);
  Writer& header_number(HeaderId id, uint64_t value);
  /// The top Via of a request as its receiver completes it with `source` (section 18.2.1, RFC 3581 section
  /// 4).
  Writer& received_via(const Via& via, const SocketAddress& source);
  /// Copies every header of that id as it stands, folded lines made one.
  Writer& copy(const Message& from, HeaderId id);
  /// Content-Type, Content-Length and the body; ends the message.
  Buffer body(std::string_view content_type, Bytes body) &&;
  /// Content-Length: 0; ends the message.
  Buffer finish() &&;
  bool damaged() const { return damaged_; }  // a value had to be cut

 private:
  Writer();
  void text(std::string_view s);
  void word(std::string_view s);
  Buffer out_;
  bool damaged_ = false;
};

/// The reason phrase of RFC 3261 section 21 (and later RFCs) for a status.
std::string_view default_reason(int status);

/// A response as section 8.2.6 builds it: Via (with received and rport in the top one, section 18.2.1 and RFC
/// 3581: `source` is where the request came from; what it claims there itself is dropped), From, To (plus
/// `to_tag` unless it has one or is a 100), Call-ID, CSeq copied; Record-Route copied when the response makes
/// a dialog (101-299 to INVITE, SUBSCRIBE, REFER, NOTIFY).
Writer response_to(const Message& request, const SocketAddress& source, int status, std::string_view to_tag,
                   std::string_view reason = {});

}  // namespace tandem::sip
