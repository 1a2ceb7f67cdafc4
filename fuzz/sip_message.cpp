// rooms: sip base
// Whole messages: whatever parse() takes must answer every question, pass through the strict check, be
// answerable, and parse again to the same thing.
#include <cstdlib>

#include "sip/multipart.h"
#include "sip/refuse.h"
#include "sip/strict.h"
#include "sip/writer.h"

namespace {

using namespace tandem;

void require(bool holds) {
  if (!holds) std::abort();
}

size_t read_everything(const sip::Message& m) {
  size_t n = m.method_text().size() + m.reason_phrase().size() + m.content_type().size();
  for (const sip::HeaderField& f : m.headers()) {
    require(m.header(f.name).has_value());
    n += f.value.size();
    if (f.id == sip::HeaderId::other) continue;
    m.for_each_value(f.id, [&n](std::string_view item) {
      require(!item.empty());
      n += item.size();
    });
  }
  n += m.from().ok() + m.to().ok() + m.contact().ok() + m.parsed_request_uri().ok();
  n += m.expires().value_or(0) % 2 + m.max_forwards().value_or(0) % 2 +
       m.lists(sip::HeaderId::supported, "100rel");
  n += m.from_tag().size() + m.to_tag().size() + m.call_id().size() + m.top_via().branch.size();
  const auto sdp = sip::find_body(m, "application/sdp");
  if (sdp && *sdp) n += (*sdp)->size();
  return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Buffer bytes = Buffer::with_capacity(size);
  bytes.append(Bytes(data, size));
  const SocketAddress source{IpAddress::v4(192, 0, 2, 7), 5062};
  auto m = sip::Message::parse_from(bytes);
  if (!m) {
    if (const auto answer = sip::refuse_malformed(bytes.bytes(), m.reason(), source, "t"))
      require(answer->text().substr(0, 8) == "SIP/2.0 ");
    return 0;
  }
  read_everything(*m);
  (void)sip::strict_check(*m);
  auto again = sip::Message::parse(Buffer::copy_of(m->bytes()));
  require(again.ok() && again->headers().size() == m->headers().size() && again->to_tag() == m->to_tag());
  if (m->is_request()) {
    sip::Writer w = sip::response_to(*m, source, 200, "localtag");
    if (!w.damaged()) {
      const auto answer = sip::Message::parse(std::move(w).finish(), {1u << 20, 65535, 255, 65535, 8});
      require(answer.ok() && answer->status() == 200 && answer->call_id().size() <= m->call_id().size());
      require(!answer->to_tag().empty());
    }
  }
  return 0;
}
