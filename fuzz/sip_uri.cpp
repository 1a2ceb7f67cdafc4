// rooms: sip base
// URIs: what is taken stays inside the text, equals itself, and its escapes decode.
#include <cstdlib>

#include "base/bytes.h"
#include "sip/strict.h"
#include "sip/uri.h"

namespace {

using namespace tandem;

void require(bool holds) {
  if (!holds) std::abort();
}
void require_inside(std::string_view part, std::string_view whole) {
  if (!part.empty())
    require(part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = as_text(Bytes(data, size));
  const size_t half = text.find('\n');
  const std::string_view first = text.substr(0, half);
  const auto uri = sip::Uri::parse(first);
  (void)sip::strict_uri(first);
  (void)sip::escape_user(text);
  if (!uri) return 0;
  for (const std::string_view part : {uri->user, uri->password, uri->host, uri->params.text(), uri->headers})
    require_inside(part, first);
  require(sip::equivalent(*uri, *uri));
  require(sip::unescape(uri->user).has_value());
  uri->params.for_each([&](const sip::Param& p) {
    require_inside(p.name, first);
    require_inside(p.value, first);
  });
  if (half == std::string_view::npos) return 0;
  const auto other = sip::Uri::parse(text.substr(half + 1));
  if (other) require(sip::equivalent(*uri, *other) == sip::equivalent(*other, *uri));
  return 0;
}
