#pragma once
// Multipart bodies (RFC 2046 section 5.1, as RFC 5621 uses them): SDP beside something else.
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "sip/message.h"

namespace tandem::sip {

struct BodyPart {
  std::string_view content_type;  // parameters cut off; "text/plain" when the part names none
  std::string_view content_type_value;
  std::string_view content_disposition;
  std::string_view content_id;
  Bytes body;
};

/// Walks the parts of one multipart body in place.
class Multipart {
 public:
  /// `content_type`: the whole value with its boundary parameter. bad_multipart without a usable boundary.
  static Result<Multipart, Reason> open(std::string_view content_type, Bytes body);
  /// The next part; nothing at the closing delimiter; bad_multipart when the body ends without one.
  Result<std::optional<BodyPart>, Reason> next();

 private:
  size_t find_delimiter(size_t from) const;
  std::string_view boundary_;
  std::string_view body_;
  size_t at_ = 0;  // behind the delimiter of the part to come
};

/// f(const BodyPart&) for every part.
template <class F>
Status<Reason> for_each_part(std::string_view content_type, Bytes body, F&& f) {
  auto parts = Multipart::open(content_type, body);
  if (!parts) return Failure<Reason>{parts.reason()};
  for (;;) {
    auto part = parts->next();
    if (!part) return Failure<Reason>{part.reason()};
    if (!*part) return Done{};
    f(**part);
  }
}

/// The body of that type: the message's own, or the first such part of a multipart (parts within parts down
/// to Limits::nesting). Empty optional when there is none.
Result<std::optional<Bytes>, Reason> find_body(const Message& message, std::string_view type,
                                               const Limits& limits = {});

}  // namespace tandem::sip
