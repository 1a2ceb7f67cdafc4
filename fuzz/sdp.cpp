// rooms: sdp base
// A description that parses must survive its own writer and every editing function.
#include <cstdlib>

#include "base/bytes.h"
#include "sdp/description.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  auto parsed = sdp::Description::parse(as_text({data, size}));
  if (!parsed) return 0;
  sdp::Description d = std::move(parsed).value();
  const std::string text = d.to_string();
  auto again = sdp::Description::parse(text);
  if (!again || again->to_string() != text) std::abort();
  for (size_t i = 0; i < d.media_count(); ++i) {
    d.formats(i);
    d.rtp_address(i);
    d.rtcp_address(i);
    d.set_direction(i, sdp::inverted(d.direction(i)));
    d.set_media_port(i, 4000, 4001);
  }
  d.set_origin(d.origin());
  d.set_connection(IpAddress::v4(192, 0, 2, 1));
  d.remove_ice();
  if (!sdp::Description::parse(d.to_string())) std::abort();
  return 0;
}
