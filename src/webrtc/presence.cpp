#include "webrtc/presence.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/xml.h"
#include "sip/uri.h"

namespace tandem::webrtc {
namespace {

constexpr size_t longest_note = 256;

/// Activities of RFC 4480 section 3.2 that keep somebody from a call; with any other he is away from it.
constexpr std::array<std::string_view, 7> busy_activities = {
    "busy", "on-the-phone", "appointment", "meeting", "presentation", "performance", "working"};

/// At most so many octets, and no part of a character.
std::string cut(std::string text) {
  size_t end = 0;
  for (std::string_view rest = text; !rest.empty() && end + utf8_length(rest) <= longest_note;) {
    const size_t n = utf8_length(rest);
    if (n == 0) break;
    end += n;
    rest.remove_prefix(n);
  }
  text.resize(end);
  return text;
}

}  // namespace

const char* to_string(Availability a) {
  switch (a) {
    case Availability::offline:
      return "offline";
    case Availability::available:
      return "available";
    case Availability::away:
      return "away";
    case Availability::busy:
      return "busy";
  }
  return "offline";
}

const char* to_string(LineState s) {
  switch (s) {
    case LineState::idle:
      return "idle";
    case LineState::ringing:
      return "ringing";
    case LineState::busy:
      return "busy";
  }
  return "idle";
}

std::string write_pidf(const port::AddressOfRecord& of, const Standing& standing) {
  const bool open = standing.availability != Availability::offline;
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
      "xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" "
      "entity=\"pres:";
  out += xml_escape(sip::escape_user(of.user) + "@" + of.domain);
  out += "\">\n<tuple id=\"client\"><status><basic>";
  out += open ? "open" : "closed";
  out += "</basic></status></tuple>\n";
  if (!standing.note.empty()) out += "<note>" + xml_escape(standing.note) + "</note>\n";
  if (standing.availability == Availability::away || standing.availability == Availability::busy)
    out += std::string("<dm:person id=\"person\"><rpid:activities><rpid:") +
           to_string(standing.availability) + "/></rpid:activities></dm:person>\n";
  return out + "</presence>\n";
}

Standing read_pidf(std::string_view document) {
  Standing found;
  bool open = false, away = false, busy = false;
  for (XmlElements e(document); e.next();) {
    if (e.name() == "basic" && e.parent() == "status") {
      open = open || trim(e.text()) == "open";
    } else if (e.name() == "note" && found.note.empty()) {
      found.note = cut(xml_unescape(trim(e.text())));
    } else if (e.parent() == "activities" && e.name() != "note" && e.name() != "unknown") {
      const bool occupied =
          std::find(busy_activities.begin(), busy_activities.end(), e.name()) != busy_activities.end();
      (occupied ? busy : away) = true;
    }
  }
  if (open)
    found.availability = busy ? Availability::busy : away ? Availability::away : Availability::available;
  return found;
}

LineState read_dialog_info(std::string_view document) {
  LineState most = LineState::idle;
  for (XmlElements e(document); e.next();) {
    if (e.name() != "state" || e.parent() != "dialog") continue;
    const std::string_view state = trim(e.text());
    if (state == "confirmed") return LineState::busy;
    if (state == "trying" || state == "proceeding" || state == "early") most = LineState::ringing;
  }
  return most;
}

}  // namespace tandem::webrtc
