// rooms: sip base
// A stream cut anywhere frames the same way: the first byte sets how large the pieces are.
#include <cstdlib>
#include <string>
#include <vector>

#include "sip/framer.h"

namespace {

using namespace tandem;

struct Seen {
  std::vector<std::string> messages;
  bool failed = false;
  bool operator==(const Seen&) const = default;
};

Seen frame(Bytes stream, size_t piece) {
  sip::Limits limits;
  limits.message_bytes = 2000;
  sip::Framer framer(limits);
  Seen seen;
  for (size_t at = 0; at < stream.size() && !seen.failed; at += piece) {
    seen.failed = !framer.push(stream.subspan(at, std::min(piece, stream.size() - at))).ok();
    while (auto item = framer.pop())
      if (item->kind == sip::Framer::Item::Kind::message) {
        seen.messages.emplace_back(item->bytes.text());
        if (item->bytes.size() > limits.message_bytes) std::abort();
      }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Bytes stream(data + 1, size - 1);
  const Seen whole = frame(stream, stream.size());
  const Seen pieces = frame(stream, 1 + data[0] % 64);
  if (!(whole == pieces)) std::abort();
  return 0;
}
