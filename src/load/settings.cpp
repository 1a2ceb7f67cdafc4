#include "load/settings.h"

#include "load/sound.h"

namespace tandem::load {
namespace {

std::optional<std::string> problem_with_target(const SocketAddress& target, bool allow_remote) {
  if (!target || target.port == 0) return "the target is not an address and port such as 127.0.0.1:5060";
  if (!allow_remote && !target.ip.is_loopback())
    return target.to_string() +
           " is not this machine: load on somebody else's server is an attack, unless they agreed "
           "(--allow-remote)";
  return std::nullopt;
}

std::optional<std::string> problem_with_pace(const Pace& pace) {
  if (!(pace.rate > 0) || pace.rate > 1e6) return "the rate must be over 0 and at most 1,000,000 a second";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> problem_with(const Settings& s) {
  if (s.caller) {
    if (auto p = problem_with_target(s.caller->target, s.allow_remote)) return p;
    if (auto p = problem_with_pace(s.caller->pace)) return p;
    for (const std::string& uri : {s.caller->from, s.caller->to})
      if (uri.find_first_of("<>\r\n ") != std::string::npos || uri.compare(0, 3, "sip") != 0)
        return "'" + uri + "' is not a SIP URI such as sip:1001@example.org";
  }
  for (const std::string& codec : {s.caller ? s.caller->codec : "", s.callee ? s.callee->codec : ""})
    if (!codec.empty() && !make_sound(codec))
      return "'" + codec + "' is none of PCMU, PCMA, G722, G729, opus";
  if ((s.caller && s.caller->webrtc && !s.caller->rtp) || (s.callee && s.callee->webrtc && !s.callee->rtp))
    return "--webrtc is about media: it needs --rtp";
  if (s.connections == 0 || s.connections > 65'536) return "connections are 1 to 65536";
  if (s.registrations) {
    if (auto p = problem_with_target(s.registrations->target, s.allow_remote)) return p;
    if (auto p = problem_with_pace(s.registrations->pace)) return p;
    if (s.registrations->last < s.registrations->first) return "the last user stands before the first";
    if (s.registrations->domain.empty()) return "registrations need a domain";
  }
  return std::nullopt;
}

}  // namespace tandem::load
