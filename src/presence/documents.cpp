#include "presence/documents.h"

#include <array>

#include "base/text.h"
#include "base/xml.h"
#include "sip/uri.h"

namespace tandem::presence {
namespace {

std::string entity(const port::AddressOfRecord& aor) {
  return "sip:" + sip::escape_user(aor.user) + "@" + aor.domain;
}

std::string_view state_name(port::LineCall::State state) {
  switch (state) {
    case port::LineCall::State::trying:
      return "trying";
    case port::LineCall::State::proceeding:
      return "proceeding";
    case port::LineCall::State::early:
      return "early";
    case port::LineCall::State::confirmed:
    case port::LineCall::State::parked:
      return "confirmed";
    case port::LineCall::State::terminated:
      return "terminated";
  }
  return "terminated";
}

void attribute(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  out.append(" ").append(name).append("=\"").append(xml_escape(value)).append("\"");
}

/// A walk over a document that only looks at what makes it well-formed.
class XmlWalk {
 public:
  XmlWalk(std::string_view text, size_t max_depth) : rest_(text), max_depth_(max_depth) {}

  bool run() {
    if (rest_.substr(0, 3) == "\xef\xbb\xbf") rest_.remove_prefix(3);
    while (!rest_.empty()) {
      if (rest_.front() == '<' ? !markup() : !text()) return false;
    }
    return open_.empty() && roots_ == 1;
  }
  /// Name of the root element and, as written, the value of its attribute `entity`.
  std::string_view root() const { return root_; }
  std::string_view entity() const { return entity_; }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':' || c == '-' || c == '.' || static_cast<uint8_t>(c) >= 0x80;
  }
  bool skip_past(std::string_view end) {
    const size_t at = rest_.find(end);
    if (at == std::string_view::npos) return false;
    rest_.remove_prefix(at + end.size());
    return true;
  }
  void skip_space() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  }
  std::string_view name() {
    size_t n = 0;
    while (n < rest_.size() && is_name(rest_[n])) ++n;
    const std::string_view found = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return found;
  }
  /// &amp; and the like, or a character reference.
  bool reference() {
    const size_t end = rest_.find(';');
    if (end > 10) return false;  // npos included
    const std::string_view what = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    constexpr std::array<std::string_view, 5> known = {"amp", "lt", "gt", "quot", "apos"};
    for (std::string_view k : known)
      if (what == k) return true;
    return what.size() > 1 && what[0] == '#';
  }
  bool character() {
    if (rest_.front() == '&') return reference();
    const size_t n = utf8_length(rest_);
    if (n == 0 || (static_cast<uint8_t>(rest_.front()) < 0x20 && !is_space(rest_.front()))) return false;
    rest_.remove_prefix(n);
    return true;
  }
  bool text() {
    if (open_.empty() && !is_space(rest_.front())) return false;
    return character();
  }
  bool markup() {
    if (rest_.substr(0, 4) == "<!--") return skip_past("-->");
    if (rest_.substr(0, 9) == "<![CDATA[") return !open_.empty() && skip_past("]]>");
    if (rest_.substr(0, 2) == "<?") return skip_past("?>");
    if (rest_.substr(0, 2) == "<!") return false;  // a document type: entities that grow, files that are read
    if (rest_.substr(0, 2) == "</") return closing();
    return opening();
  }
  bool closing() {
    rest_.remove_prefix(2);
    const std::string_view n = name();
    if (open_.empty() || open_.back() != n) return false;
    open_.pop_back();
    skip_space();
    return eat('>');
  }
  bool opening() {
    rest_.remove_prefix(1);
    const std::string_view n = name();
    if (n.empty() || open_.size() >= max_depth_) return false;
    const bool is_root = open_.empty();
    if (is_root && ++roots_ > 1) return false;
    if (is_root) root_ = n;
    for (;;) {
      skip_space();
      if (rest_.empty()) return false;
      if (eat('>')) {
        open_.push_back(n);
        return true;
      }
      if (eat('/')) return eat('>');
      if (!attribute_pair(is_root)) return false;
    }
  }
  bool attribute_pair(bool of_root) {
    const std::string_view n = name();
    if (n.empty()) return false;
    skip_space();
    if (!eat('=')) return false;
    skip_space();
    if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\'')) return false;
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    const std::string_view value = rest_;
    while (!rest_.empty() && rest_.front() != quote)
      if (rest_.front() == '<' || !character()) return false;
    if (of_root && n == "entity") entity_ = value.substr(0, value.size() - rest_.size());
    return eat(quote);
  }
  bool eat(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
  size_t max_depth_;
  size_t roots_ = 0;
  std::vector<std::string_view> open_;
  std::string_view root_, entity_;
};

}  // namespace

bool may_replace(const Watcher& watcher, const port::AddressOfRecord& aor, const port::LineCall& call) {
  using State = port::LineCall::State;
  if (watcher.aor.user.empty()) return false;
  if (watcher.aor == aor || watcher.aor == call.remote_aor) return true;
  const bool rings = !call.initiator && (call.state == State::trying || call.state == State::proceeding ||
                                         call.state == State::early);
  return rings && !call.pickup_group.empty() && call.pickup_group == watcher.pickup_group &&
         watcher.aor.domain == aor.domain;
}

std::string dialog_info(const port::AddressOfRecord& aor, const std::vector<port::LineCall>& calls,
                        const Watcher& watcher, uint32_t version) {
  std::string out =
      "<?xml version=\"1.0\"?>\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"" +
      std::to_string(version) + "\" state=\"full\"";
  attribute(out, "entity", entity(aor));
  out.append(">\n");
  bool any = false;
  for (const port::LineCall& call : calls) {
    if (call.state == port::LineCall::State::terminated) continue;
    any = true;
    out.append("<dialog");
    attribute(out, "id", std::to_string(call.call));
    if (may_replace(watcher, aor, call)) {
      attribute(out, "call-id", call.call_id);
      attribute(out, "local-tag", call.local_tag);
      attribute(out, "remote-tag", call.remote_tag);
    }
    attribute(out, "direction", call.initiator ? "initiator" : "recipient");
    out.append(">\n<state>").append(state_name(call.state)).append("</state>\n");
    out.append("<local><identity>").append(xml_escape(entity(aor))).append("</identity></local>\n");
    if (!call.remote_uri.empty()) {
      out.append("<remote><identity");
      attribute(out, "display", call.remote_display);
      out.append(">").append(xml_escape(call.remote_uri)).append("</identity><target");
      attribute(out, "uri", call.remote_uri);
      out.append("/></remote>\n");
    }
    out.append("</dialog>\n");
  }
  // Many telephones take an empty list for "no news" and leave the lamp on: say that it ended.
  if (!any) {
    out.append("<dialog");
    attribute(out, "id", aor.user);
    out.append("><state>terminated</state></dialog>\n");
  }
  return out.append("</dialog-info>\n");
}

std::string message_summary(const port::AddressOfRecord& aor, const MessageCounts& c) {
  return std::string("Messages-Waiting: ") + (c.text > 0 || c.voice_new > 0 ? "yes" : "no") +
         "\r\nMessage-Account: " + entity(aor) + "\r\nVoice-Message: " + std::to_string(c.voice_new) + "/" +
         std::to_string(c.voice_old) + " (0/0)\r\nText-Message: " + std::to_string(c.text) + "/0 (0/0)\r\n";
}

std::string pidf(const port::AddressOfRecord& aor, bool reachable) {
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\"";
  attribute(out, "entity", "pres:" + entity(aor).substr(4));
  out.append(">\n<tuple id=\"registrar\">\n<status><basic>").append(reachable ? "open" : "closed");
  out.append("</basic></status>\n<contact>").append(xml_escape(entity(aor)));
  return out.append("</contact>\n</tuple>\n</presence>\n");
}

bool well_formed_xml(std::string_view document, size_t max_depth) {
  return XmlWalk(document, max_depth).run();
}

std::optional<std::string> pidf_entity(std::string_view document, size_t max_depth) {
  XmlWalk walk(document, max_depth);
  if (!walk.run() || walk.entity().empty()) return std::nullopt;
  const std::string_view root = walk.root();
  if (root.substr(root.find(':') + 1) != "presence") return std::nullopt;
  // No address of record needs a reference in a URI; a name that has one is nobody's here.
  return std::string(walk.entity());
}

}  // namespace tandem::presence
