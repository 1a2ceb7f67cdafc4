// rooms: base port crypto auth channel
// libs: Boost::json fmt::fmt OpenSSL::Crypto
// What strangers send to signalling channels: the first line is a URL or an Authorization header, the rest
// are messages of a master ('m') and a viewer. Names that were read are written as the same; what is passed
// on is what was sent.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "auth/sigv4.h"
#include "channel/arn.h"
#include "channel/switchboard.h"

using namespace tandem;

namespace {

void check_signature(std::string_view line) {
  port::HttpRequest request;
  request.method = "GET";
  request.headers = {{"Host", "h"}, {"X-Amz-Date", "20150830T123600Z"}};
  request.target = std::string(line);
  auth::SigV4Config config;
  config.region = "us-east-1";
  config.service = "kinesisvideo";
  const WallTime now{1'440'938'160'000'000'000};
  for (int round = 0; round < 2; ++round) {
    if (const auto claims = auth::sigv4_claims(request); claims.ok()) {
      if (claims->access_key.empty() || claims->signature.size() != 64) std::abort();
      // Nobody here knows the secret.
      if (auth::sigv4_check(now, config, request, *claims, "a secret nobody has").ok()) std::abort();
    }
    request.target = "/";
    request.headers.emplace_back("Authorization", std::string(line));
  }
  if (const auto arn = channel::parse_arn(line)) {
    if (channel::parse_arn(channel::to_string(*arn)) != arn) std::abort();
  }
}

port::Path web(uint32_t slot) {
  port::Path p;
  p.flow = {1, 0, slot, 1};
  return p;
}

channel::Guest guest(bool master) {
  auto g = std::make_shared<port::ChannelGuest>();
  g->channel = "c";
  g->master = master;
  g->client = master ? "" : "v";
  return g;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view first = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), first.size() + 1));
  check_signature(first);
  CounterSet counters;
  const channel::SwitchboardConfig limits;
  channel::Switchboard board(limits, counters);
  channel::Outcome out;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  board.on_opened(now, web(1), guest(true), out);
  board.on_opened(now, web(2), guest(false), out);
  for (int lines = 0; !rest.empty() && lines < 64; ++lines) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const bool master = line.starts_with('m');
    const std::string_view text = master ? line.substr(1) : line;
    out.texts.clear();
    board.on_text(now, web(master ? 1 : 2).flow, text, out);
    if (out.texts.size() > 1) std::abort();
    if (const auto sent = channel::parse(text, limits); sent.ok() && !out.texts.empty() && !master)
      if (out.texts[0].text.find(sent->payload) == std::string::npos && out.texts[0].web.flow.slot == 1)
        std::abort();
    now.mono = now.mono + milliseconds(300);
    board.on_timeout(now, out);
  }
  board.end_channel("c", out);
  if (board.connections() != 0 || board.channels() != 0 || board.waiting_octets() != 0) std::abort();
  return 0;
}
