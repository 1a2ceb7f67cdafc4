#include "net/chunked_body.h"

#include <algorithm>

namespace tandem::net {
namespace {

constexpr unsigned size_digits = 16;  // all that fits into 64 bits

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = to_lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

std::optional<BadRequest> ChunkedBody::receive(std::string_view& input, std::string& body) {
  while (!input.empty() && at_ != At::end) {
    if (at_ == At::data) {
      const auto n = static_cast<size_t>(std::min<uint64_t>(left_, input.size()));
      body.append(input.substr(0, n));
      input.remove_prefix(n);
      if ((left_ -= n) == 0) at_ = At::data_cr;
      continue;
    }
    const char c = input.front();
    input.remove_prefix(1);
    if (const auto bad = step(c, body.size())) return bad;
  }
  return std::nullopt;
}

std::optional<BadRequest> ChunkedBody::step(char c, size_t body_size) {
  switch (at_) {
    case At::size:
      return size(c);
    case At::extension:
      return skip(c, At::size_lf);
    case At::size_lf:
      return c == '\n' ? begin_data(body_size) : BadRequest::malformed;
    case At::data_cr:
      return expect(c == '\r', At::data_lf);
    case At::data_lf:
      digits_ = 0;
      return expect(c == '\n', At::size);
    case At::trailer_start:
      if (c == '\r') return expect(true, At::last_lf);
      at_ = At::trailer;
      return skip(c, At::trailer_lf);
    case At::trailer:
      return skip(c, At::trailer_lf);
    case At::trailer_lf:
      return expect(c == '\n', At::trailer_start);
    case At::last_lf:
      return expect(c == '\n', At::end);
    case At::data:
    case At::end:
      break;
  }
  return std::nullopt;
}

std::optional<BadRequest> ChunkedBody::size(char c) {
  if (const int value = hex_value(c); value >= 0) {
    if (++digits_ > size_digits) return BadRequest::malformed;
    left_ = left_ * 16 + static_cast<uint64_t>(value);
    return std::nullopt;
  }
  const bool over = c == '\r' || c == ';' || c == ' ' || c == '\t';
  if (digits_ == 0 || !over) return BadRequest::malformed;
  at_ = At::extension;
  return skip(c, At::size_lf);
}

/// One octet of what nobody reads.
std::optional<BadRequest> ChunkedBody::skip(char c, At after_cr) {
  if (c == '\r') return expect(true, after_cr);
  const auto octet = static_cast<uint8_t>(c);
  if ((octet < ' ' && c != '\t') || octet == 0x7F) return BadRequest::malformed;
  if (spare_ == 0) return BadRequest::head_too_large;
  --spare_;
  return std::nullopt;
}

std::optional<BadRequest> ChunkedBody::begin_data(size_t body_size) {
  if (left_ > body_bytes_ - body_size) return BadRequest::body_too_large;
  at_ = left_ == 0 ? At::trailer_start : At::data;
  return std::nullopt;
}

std::optional<BadRequest> ChunkedBody::expect(bool fits, At next) {
  if (!fits) return BadRequest::malformed;
  at_ = next;
  return std::nullopt;
}

}  // namespace tandem::net
