#pragma once
// A body in chunks (RFC 9112 section 7.1), taken apart octet by octet: where the bytes were cut makes no
// difference. Not Beast's: that bounds neither the line before a chunk nor the trailers, adds the trailers to
// the header fields, and asserts in a last chunk that comes in pieces.
#include <optional>
#include <string>
#include <string_view>

#include "net/http_message.h"

namespace tandem::net {

class ChunkedBody {
 public:
  /// Of all its chunks, and of all extensions and trailers, which are thrown away (RFC 9110 section 6.5.1).
  ChunkedBody(size_t body_bytes, size_t spare_bytes) : body_bytes_(body_bytes), spare_(spare_bytes) {}

  /// Takes from the front of `input` what belongs to the body and appends to `body` what was in the chunks.
  /// After a fault nothing may come any more.
  std::optional<BadRequest> receive(std::string_view& input, std::string& body);
  bool whole() const { return at_ == At::end; }

 private:
  enum class At : uint8_t {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    last_lf,
    end,
  };
  std::optional<BadRequest> step(char c, size_t body_size);
  std::optional<BadRequest> size(char c);
  std::optional<BadRequest> skip(char c, At after_cr);
  std::optional<BadRequest> begin_data(size_t body_size);
  std::optional<BadRequest> expect(bool fits, At next);

  const size_t body_bytes_;
  size_t spare_;
  At at_ = At::size;
  unsigned digits_ = 0;
  uint64_t left_ = 0;  // of the chunk
};

}  // namespace tandem::net
