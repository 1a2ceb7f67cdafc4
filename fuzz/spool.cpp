// rooms: base port
// sources: src/store/spool_record.cpp src/store/crc32c.cpp
// What a disk gives back after a crash: a segment with anything in it, and call records with anything in
// them.
#include <cstdlib>
#include <string>

#include "port/cdr.h"
#include "store/spool_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)port::decode(text);

  // Whatever lies between and behind them, records that are whole come back, once each and in order.
  const std::string damage(text.substr(0, size / 2)), tail(text.substr(size / 2));
  std::string segment;
  store::append_frame(segment, 7, "first");
  segment += damage;
  store::append_frame(segment, 8, "second");
  segment += tail;
  store::SpoolScanner scanner(segment, true);
  store::SpoolScanner::Record record;
  bool first = false, second = false;
  size_t end = 0;
  while (scanner.next(record)) {
    const auto at = static_cast<size_t>(record.payload.data() - segment.data());
    if (at < end || at + record.payload.size() > segment.size()) std::abort();
    end = at + record.payload.size();
    first = first || (record.sequence == 7 && record.payload == "first");
    second = second || (record.sequence == 8 && record.payload == "second");
  }
  // A frame of the damage may rightly contain the second record; without a gap or a foreign frame it is
  // found.
  if (!first || scanner.consumed() > segment.size()) std::abort();
  if (!second && damage.size() < store::spool_header_bytes) std::abort();
  return 0;
}
