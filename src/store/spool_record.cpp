#include "store/spool_record.h"

#include "store/crc32c.h"

namespace tandem::store {
namespace {

constexpr uint32_t magic = 0x31505354;  // "TSP1"

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

template <class T>
T get(std::string_view bytes, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= T{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

bool header_is_good(std::string_view bytes, size_t at) {
  return get<uint32_t>(bytes, at) == magic && get<uint32_t>(bytes, at + 4) <= max_spool_record &&
         crc32c(bytes.substr(at, 20)) == get<uint32_t>(bytes, at + 20);
}

}  // namespace

void append_frame(std::string& out, uint64_t sequence, std::string_view payload) {
  const size_t start = out.size();
  put(out, magic);
  put(out, static_cast<uint32_t>(payload.size()));
  put(out, sequence);
  put(out, crc32c(payload));
  put(out, crc32c(std::string_view(out).substr(start, 20)));
  out.append(payload);
}

bool SpoolScanner::next(Record& out) {
  size_t at = consumed_;
  while (bytes_.size() - at >= spool_header_bytes) {
    if (!header_is_good(bytes_, at)) {
      ++at;
      continue;
    }
    const size_t length = get<uint32_t>(bytes_, at + 4);
    if (length > bytes_.size() - at - spool_header_bytes) {
      // Cut off: more of it is in the next piece, or was never written.
      if (!at_end_) {
        gaps_ += at != consumed_;
        consumed_ = at;
      }
      return false;
    }
    const std::string_view payload = bytes_.substr(at + spool_header_bytes, length);
    if (crc32c(payload) == get<uint32_t>(bytes_, at + 16)) {
      out = {get<uint64_t>(bytes_, at + 8), payload};
      gaps_ += at != consumed_;
      consumed_ = at + spool_header_bytes + length;
      return true;
    }
    at += spool_header_bytes + length;
  }
  return false;
}

}  // namespace tandem::store
