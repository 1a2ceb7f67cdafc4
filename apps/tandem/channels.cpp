// Signalling channels: the desk on the HTTP server's thread, and its way to the workers.
#include "net/clock.h"
#include "net/upgrade.h"
#include "tandem/program_impl.h"

namespace tandem::app {

void Program::Impl::make_front_desk() {
  if (!config.channels.enabled) return;
  channel::FrontDeskConfig settings;
  settings.signature.region = config.channels.region;
  settings.signature.service = "kinesisvideo";
  settings.endpoint = config.channels.endpoint;
  channel::FrontDeskParts parts;
  parts.origin_allowed = [policy = net::WebSocketPolicy{{}, 0, config.web.websocket.origins, false}](
                             const port::HttpRequest& r) {
    return net::origin_allowed(policy, r.header("Origin"), r.header("Host"), r.secure);
  };
  parts.ended = [this](const std::string& channel, const std::string& access_key) {
    end_guests(channel, access_key);
  };
  parts.ice = [this](const std::string& client) {
    std::vector<channel::IceServer> out;
    if (const auto made = turn_credentials(client, std::nullopt))
      out.push_back({made->uris, made->username, made->password, made->ttl});
    return out;
  };
  parts.events = [this](const port::Event& e) { log.event(e, net::now().wall, "channels"); };
  front_desk = std::make_unique<channel::FrontDesk>(
      std::move(settings), *control_directory, [] { return net::now(); }, control_counters, std::move(parts));
}

void Program::Impl::end_guests(const std::string& channel, const std::string& access_key) {
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(w, [channel, access_key](Now now, port::Worker& worker) {
      static_cast<node::Worker&>(worker).end_guests(now, channel, access_key);
    });
}

}  // namespace tandem::app
