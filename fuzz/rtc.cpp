// rooms: base port proto crypto sip auth webrtc
// libs: Boost::json fmt::fmt OpenSSL::Crypto
// A client of the JSON API that has signed in says anything, line by line; a line that begins with '>' is SIP
// for its telephone, with '|' for CRLF. Fragments that were read are written and read again as the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "auth/digest.h"
#include "webrtc/gateway.h"
#include "webrtc/presence.h"
#include "webrtc/trickle.h"

using namespace tandem;

namespace {

port::Path web() {
  port::Path p;
  p.transport = port::Transport::wss;
  p.flow = {1, 0, 1, 1};
  return p;
}

void check_fragment(std::string_view body) {
  const webrtc::Fragment once = webrtc::read_fragment(body);
  const std::string written = webrtc::write_fragment({}, once.candidates, once.end);
  if (webrtc::read_fragment(written).candidates.size() != once.candidates.size()) std::abort();
}

void check_presence(std::string_view document) {
  const webrtc::Standing once = webrtc::read_pidf(document);
  const webrtc::Standing twice = webrtc::read_pidf(webrtc::write_pidf({"a", "one.test"}, once));
  // Control characters do not come back.
  if (twice.availability != once.availability || twice.note.size() > once.note.size()) std::abort();
  (void)webrtc::read_dialog_info(document);
}

std::string sip_of(std::string_view line) {
  std::string text;
  for (const char c : line) c == '|' ? text += "\r\n" : text += c;
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  check_fragment(rest);
  check_presence(rest);
  SeededRng rng(1);
  sip::TokenMint mint({}, 1, 1, rng);
  CounterSet counters;
  webrtc::Gateway gateway({}, "one.test", mint, rng, counters);
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  webrtc::Outcome out;
  gateway.on_opened(now, web(), out);
  gateway.on_text(now, web().flow, R"({"id":1,"op":"hello","user":"a","password":"b"})", out);
  port::Subscriber row;
  row.aor = {"a", "one.test"};
  row.ha1 = auth::make_ha1("a", "one.test", "b");
  gateway.on_subscriber(now, out.lookups.at(0).object, &row, "one.test", out);
  gateway.on_text(now, web().flow, R"({"id":2,"op":"call","to":"b","sdp":"v=0"})", out);
  if (gateway.sessions() != 1 || out.sip.empty()) std::abort();
  const port::FlowId inner = out.sip.front().path.flow;
  for (int lines = 0; !rest.empty() && lines < 64; ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with('>'))
      gateway.on_sip(now, inner, Buffer::copy_of(as_bytes(sip_of(line.substr(1)))), out);
    else
      gateway.on_text(now, web().flow, line, out);
    now.mono = now.mono + seconds(1);
    gateway.on_timeout(now, out);
  }
  return 0;
}
