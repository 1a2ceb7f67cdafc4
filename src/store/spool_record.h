#pragma once
// How a record lies in a spool segment.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tandem::store {

/// All numbers little-endian:
///
///   | magic 4 | length 4 | sequence 8 | CRC-32C of the payload 4 | CRC-32C of the 20 bytes before 4 |
///   payload |
///
/// The header has a checksum of its own, so that a damaged payload is stepped over by its length and nothing
/// inside it is ever taken for a record.
constexpr size_t spool_header_bytes = 24;
constexpr size_t max_spool_record = 1 << 20;

void append_frame(std::string& out, uint64_t sequence, std::string_view payload);

/// Walks the records of a segment, or of a piece that starts at a record.
class SpoolScanner {
 public:
  /// `at_end`: nothing follows these bytes; else a record that is cut off is left for the next piece.
  SpoolScanner(std::string_view bytes, bool at_end) : bytes_(bytes), at_end_(at_end) {}

  struct Record {
    uint64_t sequence = 0;
    std::string_view payload;
  };
  /// The next whole record; bad bytes on the way are stepped over.
  bool next(Record& out);
  /// After the last record next() gave, or where the cut-off one starts.
  size_t consumed() const { return consumed_; }
  /// Places where bytes had to be stepped over to reach a later record.
  uint32_t gaps() const { return gaps_; }
  /// Bytes left over after the last record: a torn tail when the piece is the segment's end.
  size_t rest() const { return bytes_.size() - consumed_; }

 private:
  std::string_view bytes_;
  bool at_end_;
  size_t consumed_ = 0;
  uint32_t gaps_ = 0;
};

}  // namespace tandem::store
