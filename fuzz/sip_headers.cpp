// rooms: sip base
// Every structured header; the first byte says which.
#include <cstdlib>

#include "base/bytes.h"
#include "sip/headers.h"
#include "sip/multipart.h"

namespace {

using namespace tandem;
using namespace tandem::sip;

void require(bool holds) {
  if (!holds) std::abort();
}

size_t walk(const Params& params) {
  size_t n = 0;
  params.for_each([&n](const Param& p) { n += p.name.size() + p.value.size(); });
  return n;
}

void one(uint8_t which, std::string_view text) {
  switch (which % 16) {
    case 0:
      if (const auto v = NameAddr::parse(text)) walk(v->params), walk(v->uri.params), (void)v->tag();
      break;
    case 1:
      if (const auto v = Via::parse(text))
        walk(v->params), require(!v->host.empty() && !v->transport.empty());
      break;
    case 2:
      if (const auto v = CSeq::parse(text)) require(!v->method_text.empty());
      break;
    case 3:
      if (const auto v = RAck::parse(text)) require(!v->method_text.empty());
      break;
    case 4:
      if (const auto v = Replaces::parse(text)) require(!v->call_id.empty() && !v->to_tag.empty());
      break;
    case 5:
      (void)SessionExpires::parse(text);
      break;
    case 6:
      if (const auto v = EventType::parse(text)) require(!v->package.empty());
      break;
    case 7:
      (void)SubscriptionState::parse(text);
      break;
    case 8:
      if (const auto v = AuthValue::parse(text)) (void)v->get("nonce"), (void)v->get("realm");
      break;
    case 9:
      (void)ReasonValue::parse(text);
      break;
    case 10:
      if (const auto v = parse_date(text)) require(*v > -62200000000 && *v < 253402300801);
      break;
    case 11:
      (void)parse_delta_seconds(text);
      break;
    case 12: {
      const std::string quoted = quote(text);
      std::string printable;
      for (const char c : text)
        if (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f) printable.push_back(c);
      require(unquote(quoted) == printable);
      break;
    }
    case 13: {
      ListCursor list(text);
      std::string_view item;
      size_t total = 0;
      while (list.next(item)) total += item.size(), require(!item.empty());
      require(total <= text.size());
      break;
    }
    case 14:
      walk(Params(text)), walk(Params(text, ',')), walk(Params(text, '&'));
      break;
    default: {
      const size_t line = text.find('\n');
      if (line == std::string_view::npos) break;
      size_t parts = 0;
      (void)for_each_part(text.substr(0, line), as_bytes(text.substr(line + 1)),
                          [&](const BodyPart& p) { parts += p.body.size(); });
      require(parts <= text.size());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  one(data[0], as_text(Bytes(data + 1, size - 1)));
  return 0;
}
