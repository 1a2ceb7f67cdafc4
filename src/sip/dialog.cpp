#include "sip/dialog.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"
#include "sip/transaction_parts.h"

namespace tandem::sip {
namespace {

// A folded header (section 7.3.1) as one line.
std::string unfolded(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c == '\r' || c == '\n') c = ' ';
  return out;
}

// A From or To value without its tag parameter; other parameters stay.
std::string without_tag(std::string_view value) {
  const auto parsed = NameAddr::parse(value);
  if (!parsed) return unfolded(value);
  const auto uri_end = static_cast<size_t>(parsed->uri_text.data() + parsed->uri_text.size() - value.data());
  // In an addr-spec every parameter is the header's (section 20.10): brackets keep them apart from the URI.
  std::string out = uri_end < value.size() && value[uri_end] == '>'
                        ? unfolded(value.substr(0, uri_end + 1))
                        : "<" + std::string(parsed->uri_text) + ">";
  parsed->params.for_each([&](const Param& p) {
    if (iequals(p.name, "tag")) return;
    out.append(";").append(p.name);
    if (p.has_value) out.append("=").append(p.value);
  });
  return out;
}

std::vector<std::string> record_route(const Message& message, bool reversed) {
  std::vector<std::string> routes;
  message.for_each_value(HeaderId::record_route,
                         [&](std::string_view value) { routes.push_back(unfolded(value)); });
  if (reversed) std::reverse(routes.begin(), routes.end());
  return routes;
}

bool is_secure_uri(std::string_view uri) { return istarts_with(uri, "sips:"); }

// What section 19.1.1 does not allow in a Request-URI: method parameter and headers.
std::string as_request_uri(std::string_view text) {
  const auto uri = Uri::parse(text);
  if (!uri) return std::string(text);
  std::string out(text.substr(0, text.find('?')));
  if (!uri->params.has("method")) return out;
  out.resize(out.find(';') == std::string::npos ? out.size() : out.find(';'));
  uri->params.for_each([&](const Param& p) {
    if (iequals(p.name, "method")) return;
    out.append(";").append(p.name);
    if (p.has_value) out.append("=").append(p.value);
  });
  return out;
}

// The URI inside a Route value, and whether its element routes loosely (section 16.12).
struct Hop {
  std::string_view uri;
  bool loose = false;
};
Hop hop_of(std::string_view route) {
  const auto parsed = NameAddr::parse(route);
  if (!parsed) return {};
  return {parsed->uri_text, parsed->uri.params.has("lr")};
}

// Section 12.1.1: Contact stands in requests and responses that may refresh the target, and may not stand in
// the others.
bool carries_contact(Method m) {
  return m == Method::invite || m == Method::update || m == Method::subscribe || m == Method::notify ||
         m == Method::refer;
}

}  // namespace

Result<Dialog, Reason> Dialog::from_request(const Message& request, const port::Path& path,
                                            std::string local_tag, std::string local_target) {
  const auto contact = request.contact();
  const auto from = request.header(HeaderId::from), to = request.header(HeaderId::to);
  if (!contact) return Failure{contact.reason()};
  if (!from || !to) return Failure{Reason::missing_header};
  Dialog d;
  d.state = State::early;
  d.secure = port::is_secure(path.transport) && is_secure_uri(request.request_uri());
  d.call_id = request.call_id();
  d.local_tag = std::move(local_tag);
  d.remote_tag = request.from_tag();
  d.local_uri = without_tag(*to);
  d.remote_uri = without_tag(*from);
  d.remote_target = contact->uri_text;
  d.local_target = std::move(local_target);
  d.route_set = record_route(request, false);
  d.remote_cseq = request.cseq().number;
  d.path = path;
  return d;
}

Result<Dialog, Reason> Dialog::from_response(const Message& response, const port::Path& path,
                                             const Dialog& sent) {
  Dialog d = sent;
  d.uac = true;
  d.state = State::early;
  d.path = path;
  d.remote_tag = response.to_tag();
  d.remote_cseq.reset();
  d.route_set = record_route(response, true);
  if (const auto contact = response.contact()) {
    d.remote_target = contact->uri_text;
  } else if (d.remote_target.empty()) {
    return Failure{contact.reason()};
  }
  if (response.status() / 100 == 2) d.state = State::confirmed;
  return d;
}

void Dialog::confirm(const Message& response) {
  state = State::confirmed;
  route_set = record_route(response, true);
  refresh_target(response);
}

bool Dialog::accept_cseq(uint32_t cseq) {
  if (remote_cseq && cseq < *remote_cseq) return false;
  remote_cseq = cseq;
  return true;
}

void Dialog::refresh_target(const Message& message) {
  if (const auto contact = message.contact(); contact) remote_target = contact->uri_text;
}

std::string_view Dialog::next_hop_uri() const {
  if (!route_set.empty())
    if (const Hop hop = hop_of(route_set.front()); !hop.uri.empty()) return hop.uri;
  return remote_target;
}

Writer Dialog::request(Method method, std::optional<uint32_t> cseq) {
  uint32_t number = cseq.value_or(0);
  if (!cseq) {
    number = local_cseq.value_or(0) + 1;
    local_cseq = number;
  }
  const bool strict = !route_set.empty() && !hop_of(route_set.front()).loose;
  Writer w = Writer::request(
      method, strict ? as_request_uri(hop_of(route_set.front()).uri) : as_request_uri(remote_target));
  for (size_t i = strict ? 1 : 0; i < route_set.size(); ++i) w.header(HeaderId::route, route_set[i]);
  if (strict) w.header(HeaderId::route, {"<", remote_target, ">"});
  w.header(HeaderId::max_forwards, "70");
  const auto party = [&w](HeaderId id, const std::string& uri, const std::string& tag) {
    if (tag.empty())  // a peer from before RFC 3261 (section 12.2.1.1)
      w.header(id, uri);
    else
      w.header(id, {uri, ";tag=", tag});
  };
  party(HeaderId::from, local_uri, local_tag);
  party(HeaderId::to, remote_uri, remote_tag);
  w.header(HeaderId::call_id, call_id);
  std::array<char, 12> digits;
  const char* end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  w.header(HeaderId::cseq, {std::string_view(digits.data(), static_cast<size_t>(end - digits.data())), " ",
                            to_string(method)});
  if (carries_contact(method) && !local_target.empty()) w.header(HeaderId::contact, local_target);
  return w;
}

std::string to_part(const Dialog& d) {
  proto::SipDialog p;
  p.set_state(static_cast<uint32_t>(d.state));
  p.set_uac(d.uac);
  p.set_secure(d.secure);
  p.set_call_id(d.call_id);
  p.set_local_tag(d.local_tag);
  p.set_remote_tag(d.remote_tag);
  p.set_local_uri(d.local_uri);
  p.set_remote_uri(d.remote_uri);
  p.set_remote_target(d.remote_target);
  p.set_local_target(d.local_target);
  for (const std::string& route : d.route_set) p.add_route_set(route);
  if (d.local_cseq) p.set_local_cseq(*d.local_cseq);
  if (d.remote_cseq) p.set_remote_cseq(*d.remote_cseq);
  write_path(d.path, *p.mutable_path());
  return p.SerializeAsString();
}

std::optional<Dialog> dialog_from_part(std::string_view part) {
  proto::SipDialog p;
  if (!p.ParseFromArray(part.data(), static_cast<int>(part.size()))) return std::nullopt;
  Dialog d;
  if (p.state() > static_cast<uint32_t>(Dialog::State::terminated) || p.call_id().empty() ||
      !read_path(p.path(), d.path))
    return std::nullopt;
  d.state = static_cast<Dialog::State>(p.state());
  d.uac = p.uac();
  d.secure = p.secure();
  d.call_id = p.call_id();
  d.local_tag = p.local_tag();
  d.remote_tag = p.remote_tag();
  d.local_uri = p.local_uri();
  d.remote_uri = p.remote_uri();
  d.remote_target = p.remote_target();
  d.local_target = p.local_target();
  d.route_set.assign(p.route_set().begin(), p.route_set().end());
  if (p.has_local_cseq()) d.local_cseq = p.local_cseq();
  if (p.has_remote_cseq()) d.remote_cseq = p.remote_cseq();
  return d;
}

}  // namespace tandem::sip
