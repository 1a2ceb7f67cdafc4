#include "ops/history.h"

#include <boost/json.hpp>

#include "ops/json_rows.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

template <class F>
void each(const Figures& f, F&& see) {
  see("calls", f.calls, "calls now");
  see("started", f.started, "INVITEs that became a call, since the start of the node");
  see("answered", f.answered, "calls and transfers answered, since the start");
  see("contacts", f.contacts, "contacts registered now");
  see("legs_good", f.legs_good, "legs that sound well now: MOS 3.6 and more");
  see("legs_poor", f.legs_poor, "legs that sound worse");
  see("packets", f.packets, "RTP and RTCP packets relayed, since the start");
  see("lost", f.lost, "RTP packets that did not come, since the start");
  see("sip_messages", f.sip_messages, "SIP messages received, since the start");
  see("trunks_down", f.trunks_down, "trunks that do not answer now");
  see("recordings", f.recordings, "recordings being written now");
}

}  // namespace

json::object to_json(WallTime time, const Figures& figures) {
  json::object out{{"time", to_rfc3339(time)}};
  each(figures, [&](const char* name, uint64_t value, const char*) { out[name] = value; });
  return out;
}

json::object figures_schema() {
  json::object properties{
      {"time", json::object{{"type", "string"}, {"format", "date-time"}, {"description", "of the sample"}}}};
  each({}, [&](const char* name, uint64_t, const char* help) {
    properties[name] = json::object{{"type", "integer"}, {"description", help}};
  });
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

void History::add(WallTime now, const Figures& figures) {
  if (kept_.size() >= samples) kept_.pop_front();
  kept_.push_back({now, figures});
}

json::object History::to_json(WallTime after) const {
  json::array items;
  for (const Sample& s : kept_)
    if (s.time > after) items.emplace_back(ops::to_json(s.time, s.figures));
  return {{"period", period / seconds(1)}, {"items", std::move(items)}};
}

}  // namespace tandem::ops
