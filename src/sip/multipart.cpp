#include "sip/multipart.h"

#include "base/text.h"
#include "sip/scan.h"

namespace tandem::sip {
namespace {

using scan::npos;
using Found = Result<std::optional<Bytes>, Reason>;

Failure<Reason> fail(Reason r) { return Failure<Reason>{r}; }

constexpr size_t longest_boundary = 70;  // RFC 2046 section 5.1.1

std::string_view type_of(std::string_view value) { return trim(value.substr(0, value.find(';'))); }

/// Headers of a part, up to the empty line; false when they cannot be read.
bool read_headers(std::string_view text, BodyPart& part, size_t& body_at) {
  const char* p = text.data();
  scan::Field f;
  for (;;) {
    switch (scan::next_field(p, text.data() + text.size(), f)) {
      case scan::FieldResult::field:
        break;
      case scan::FieldResult::end_of_headers:
        body_at = static_cast<size_t>(p - text.data());
        return true;
      default:
        return false;
    }
    if (iequals(f.name, "Content-Type"))
      part.content_type_value = f.value;
    else if (iequals(f.name, "Content-Disposition"))
      part.content_disposition = f.value;
    else if (iequals(f.name, "Content-ID"))
      part.content_id = f.value;
  }
}

Found find_part(std::string_view content_type, Bytes body, std::string_view type, int depth) {
  if (depth == 0) return fail(Reason::nested_too_deep);
  auto parts = Multipart::open(content_type, body);
  if (!parts) return fail(parts.reason());
  for (;;) {
    const auto part = parts->next();
    if (!part) return fail(part.reason());
    if (!*part) return std::optional<Bytes>{};
    if (iequals((*part)->content_type, type)) return std::optional((*part)->body);
    if (!istarts_with((*part)->content_type, "multipart/")) continue;
    Found inner = find_part((*part)->content_type_value, (*part)->body, type, depth - 1);
    if (!inner || *inner) return inner;
  }
}

}  // namespace

Result<Multipart, Reason> Multipart::open(std::string_view content_type, Bytes body) {
  const size_t semi = scan::find(content_type, ';');
  if (semi == npos) return fail(Reason::bad_multipart);
  std::string_view boundary =
      Params(content_type.substr(semi + 1)).get("boundary").value_or(std::string_view{});
  if (boundary.size() >= 2 && boundary.front() == '"' && boundary.back() == '"')
    boundary = boundary.substr(1, boundary.size() - 2);
  if (boundary.empty() || boundary.size() > longest_boundary) return fail(Reason::bad_multipart);
  Multipart m;
  m.boundary_ = boundary;
  m.body_ = as_text(body);
  const size_t first = m.find_delimiter(0);
  if (first == npos) return fail(Reason::bad_multipart);
  m.at_ = first + 2 + boundary.size();
  return m;
}

/// "--boundary" at the start of a line, from `from` on.
size_t Multipart::find_delimiter(size_t from) const {
  for (size_t at = body_.find(boundary_, from); at != npos; at = body_.find(boundary_, at + 1)) {
    if (at < from + 2 || body_.substr(at - 2, 2) != "--") continue;
    const size_t dashes = at - 2;
    if (dashes == 0 || (dashes >= 2 && body_.substr(dashes - 2, 2) == "\r\n")) return dashes;
  }
  return npos;
}

Result<std::optional<BodyPart>, Reason> Multipart::next() {
  if (body_.substr(at_, 2) == "--") return std::optional<BodyPart>{};
  while (at_ < body_.size() && (body_[at_] == ' ' || body_[at_] == '\t')) ++at_;  // transport padding
  if (body_.substr(at_, 2) != "\r\n") return fail(Reason::bad_multipart);
  // The line end in front of a delimiter belongs to it; a part may consist of nothing but that.
  const size_t delimiter = find_delimiter(at_);
  if (delimiter == npos) return fail(Reason::bad_multipart);
  const size_t start = at_ + 2;
  const size_t stop = delimiter - 2 < start ? start : delimiter - 2;
  // Headers may run into the delimiter when the part is empty, so its line end is given to them.
  BodyPart part;
  size_t body_at = 0;
  if (!read_headers(body_.substr(start, delimiter - start), part, body_at))
    return fail(Reason::bad_multipart);
  const size_t from = start + body_at;
  part.body = as_bytes(from < stop ? body_.substr(from, stop - from) : std::string_view{});
  part.content_type =
      part.content_type_value.empty() ? std::string_view("text/plain") : type_of(part.content_type_value);
  at_ = delimiter + 2 + boundary_.size();
  return std::optional(part);
}

Result<std::optional<Bytes>, Reason> find_body(const Message& message, std::string_view type,
                                               const Limits& limits) {
  const std::string_view own = message.content_type();
  if (iequals(own, type)) return std::optional(message.body());
  if (!istarts_with(own, "multipart/")) return std::optional<Bytes>{};
  return find_part(*message.header(HeaderId::content_type), message.body(), type, limits.nesting);
}

}  // namespace tandem::sip
