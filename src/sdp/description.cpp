#include "sdp/description.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace tandem::sdp {
namespace {

/// The next field up to a space; `rest` moves behind it. Empty when there is none.
std::string_view next_field(std::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const size_t end = std::min(rest.find(' '), rest.size());
  const std::string_view field = rest.substr(0, end);
  rest.remove_prefix(end);
  return field;
}

std::optional<uint16_t> parse_port(std::string_view s) {
  const auto n = parse_u32(s);
  if (!n || *n > 65535) return std::nullopt;
  return static_cast<uint16_t>(*n);
}

struct Connection {
  std::string_view address;  // without /ttl/count
};

std::optional<Connection> parse_connection(std::string_view value) {
  if (next_field(value) != "IN") return std::nullopt;
  const std::string_view type = next_field(value);
  if (type != "IP4" && type != "IP6") return std::nullopt;
  const std::string_view address = next_field(value);
  if (address.empty()) return std::nullopt;
  return Connection{address.substr(0, address.find('/'))};
}

bool parse_origin(std::string_view value, Origin& out) {
  out.username = next_field(value);
  out.session_id = next_field(value);
  out.version = next_field(value);
  const std::string_view net = next_field(value);
  out.address_type = next_field(value);
  out.address = next_field(value);
  return !out.address.empty() && net == "IN" && trim(value).empty();
}

std::optional<MediaLine> parse_media_line(std::string_view value) {
  MediaLine m;
  m.kind = next_field(value);
  std::string_view port = next_field(value);
  const size_t slash = port.find('/');
  if (slash != std::string_view::npos) {
    const auto count = parse_port(port.substr(slash + 1));
    if (!count || *count == 0) return std::nullopt;
    m.port_count = *count;
    port = port.substr(0, slash);
  }
  const auto number = parse_port(port);
  m.proto = next_field(value);
  m.formats = trim(value);
  if (!number || m.kind.empty() || m.proto.empty() || m.formats.empty()) return std::nullopt;
  m.port = *number;
  return m;
}

std::string_view attribute_name(std::string_view value) { return value.substr(0, value.find(':')); }
std::string_view attribute_value(std::string_view value) {
  const size_t colon = value.find(':');
  return colon == std::string_view::npos ? std::string_view{} : value.substr(colon + 1);
}

std::string connection_value(const IpAddress& a) {
  return (a.is_v6() ? "IN IP6 " : "IN IP4 ") + a.to_string();
}

/// RFC 3551 section 6: the static payload types still met.
Format static_format(uint8_t payload_type) {
  switch (payload_type) {
    case 0:
      return {0, "PCMU", 8000, 1, {}};
    case 3:
      return {3, "GSM", 8000, 1, {}};
    case 4:
      return {4, "G723", 8000, 1, {}};
    case 8:
      return {8, "PCMA", 8000, 1, {}};
    case 9:
      return {9,
              "G722",
              8000,
              1,
              {}};  // its clock rate is 8000 by RFC 3551 section 4.5.2, though it samples at 16000
    case 10:
      return {10, "L16", 44100, 2, {}};
    case 11:
      return {11, "L16", 44100, 1, {}};
    case 13:
      return {13, "CN", 8000, 1, {}};
    case 15:
      return {15, "G728", 8000, 1, {}};
    case 18:
      return {18, "G729", 8000, 1, {}};
    case 26:
      return {26, "JPEG", 90000, 1, {}};
    case 31:
      return {31, "H261", 90000, 1, {}};
    case 34:
      return {34, "H263", 90000, 1, {}};
    default:
      return {payload_type, {}, 8000, 1, {}};
  }
}

/// "PT NAME/CLOCK[/CHANNELS]" of a=rtpmap, when it is about `f`.
void apply_rtpmap(std::string_view value, Format& f) {
  const auto pt = parse_u32(next_field(value));
  if (!pt || *pt != f.payload_type) return;
  const std::string_view map = next_field(value);
  const size_t slash = map.find('/');
  if (slash == std::string_view::npos) return;
  f.encoding = map.substr(0, slash);
  std::string_view rate = map.substr(slash + 1);
  std::string_view channels;
  if (const size_t second = rate.find('/'); second != std::string_view::npos) {
    channels = rate.substr(second + 1);
    rate = rate.substr(0, second);
  }
  if (const auto n = parse_u32(rate); n && *n > 0 && *n <= 1'000'000) f.clock_rate = *n;
  if (const auto n = parse_u32(channels); n && *n > 0 && *n <= 255) f.channels = static_cast<uint8_t>(*n);
}

constexpr std::array<std::string_view, 4> direction_names = {"sendrecv", "sendonly", "recvonly", "inactive"};

}  // namespace

const char* to_string(Reason r) {
  switch (r) {
    case Reason::empty:
      return "empty";
    case Reason::too_large:
      return "too_large";
    case Reason::too_many_lines:
      return "too_many_lines";
    case Reason::too_many_media:
      return "too_many_media";
    case Reason::too_many_attributes:
      return "too_many_attributes";
    case Reason::too_many_formats:
      return "too_many_formats";
    case Reason::bad_line:
      return "bad_line";
    case Reason::bad_version:
      return "bad_version";
    case Reason::bad_origin:
      return "bad_origin";
    case Reason::bad_connection:
      return "bad_connection";
    case Reason::bad_media:
      return "bad_media";
    case Reason::count_:
      break;
  }
  return "unknown";
}

const char* to_string(Direction d) { return direction_names[static_cast<size_t>(d)].data(); }

Direction inverted(Direction d) { return direction_of(receives(d), sends(d)); }

Status<Reason> Description::add_parsed_line(char type, uint32_t begin, uint32_t size, const Limits& limits) {
  const Line line{type, begin, size};
  const std::string_view value = text_of(line);
  if (type == 'm') {
    if (media_.size() >= limits.media) return Failure{Reason::too_many_media};
    const auto media = parse_media_line(value);
    if (!media) return Failure{Reason::bad_media};
    if (std::count(media->formats.begin(), media->formats.end(), ' ') >= limits.formats)
      return Failure{Reason::too_many_formats};
    media_.emplace_back().lines.push_back(line);
    return Done{};
  }
  Origin origin;
  if (type == 'o' && (!media_.empty() || find(session, 'o') || !parse_origin(value, origin)))
    return Failure{Reason::bad_origin};
  if (type == 'c' && !parse_connection(value)) return Failure{Reason::bad_connection};
  auto& lines = media_.empty() ? lines_ : media_.back().lines;
  if (type == 'a') {
    const auto count = std::count_if(lines.begin(), lines.end(), [](const Line& l) { return l.type == 'a'; });
    if (count >= limits.attributes) return Failure{Reason::too_many_attributes};
  }
  lines.push_back(line);
  return Done{};
}

Result<Description, Reason> Description::parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes) return Failure{Reason::too_large};
  if (trim(text).empty()) return Failure{Reason::empty};
  Description d;
  d.text_ = text;
  size_t at = 0;
  size_t count = 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    size_t size = end - at;
    if (size > 0 && text[at + size - 1] == '\r') --size;
    const std::string_view line = text.substr(at, size);
    const size_t begin = at;
    at = end + 1;
    if (line.empty() && trim(text.substr(std::min(at, text.size()))).empty())
      break;  // blank lines at the end
    if (++count > limits.lines) return Failure{Reason::too_many_lines};
    if (size < 2 || line[1] != '=' || line[0] < 'a' || line[0] > 'z') return Failure{Reason::bad_line};
    if (line.find_first_of(std::string_view("\0\r", 2)) != std::string_view::npos)
      return Failure{Reason::bad_line};
    if (count == 1 && line != "v=0") return Failure{Reason::bad_version};
    const auto added =
        d.add_parsed_line(line[0], static_cast<uint32_t>(begin + 2), static_cast<uint32_t>(size - 2), limits);
    if (!added) return Failure{added.reason()};
  }
  if (!d.find(session, 'o')) return Failure{Reason::bad_origin};
  return d;
}

Description Description::make(const Origin& origin) {
  Description d;
  d.lines_.push_back(d.store('v', "0"));
  d.lines_.push_back(d.store('o', ""));
  d.set_origin(origin);
  d.lines_.push_back(d.store('s', "-"));
  d.lines_.push_back(d.store('t', "0 0"));
  return d;
}

std::string Description::to_string() const {
  std::string out;
  out.reserve(text_.size() + 64);
  const auto write = [&](const std::vector<Line>& lines) {
    for (const Line& line : lines) {
      out += line.type;
      out += '=';
      out += text_of(line);
      out += "\r\n";
    }
  };
  write(lines_);
  for (const Media& m : media_) write(m.lines);
  return out;
}

Description::Line Description::store(char type, std::string_view value) {
  const auto begin = static_cast<uint32_t>(text_.size());
  text_ += value;
  return {type, begin, static_cast<uint32_t>(value.size())};
}

const std::vector<Description::Line>& Description::section_lines(size_t section) const {
  return section == session ? lines_ : media_.at(section).lines;
}
std::vector<Description::Line>& Description::section_lines(size_t section) {
  return section == session ? lines_ : media_.at(section).lines;
}

const Description::Line* Description::find(size_t section, char type) const {
  for (const Line& line : section_lines(section))
    if (line.type == type) return &line;
  return nullptr;
}

MediaLine Description::media(size_t i) const {
  return parse_media_line(text_of(media_.at(i).lines.front())).value_or(MediaLine{});
}

std::vector<Format> Description::formats(size_t i) const {
  std::vector<Format> out;
  std::string_view rest = media(i).formats;
  for (std::string_view field = next_field(rest); !field.empty(); field = next_field(rest)) {
    const auto pt = parse_u32(field);
    if (!pt || *pt > 127) continue;
    Format f = static_format(static_cast<uint8_t>(*pt));
    for (const Line& line : section_lines(i)) {
      if (line.type != 'a') continue;
      std::string_view value = text_of(line);
      const std::string_view name = attribute_name(value);
      value = attribute_value(value);
      if (iequals(name, "rtpmap")) apply_rtpmap(value, f);
      if (iequals(name, "fmtp") && next_field(value) == field) f.parameters = trim(value);
    }
    out.push_back(f);
  }
  return out;
}

Origin Description::origin() const {
  Origin out;
  if (const Line* line = find(session, 'o')) parse_origin(text_of(*line), out);
  return out;
}

void Description::set_origin(const Origin& o) {
  std::string value;
  for (const std::string_view field :
       {o.username, o.session_id, o.version, std::string_view("IN"), o.address_type, o.address}) {
    if (!value.empty()) value += ' ';
    value += field;
  }
  for (Line& line : lines_)
    if (line.type == 'o') line = store('o', value);
}

std::optional<std::string_view> Description::attribute(size_t section, std::string_view name) const {
  for (const Line& line : section_lines(section)) {
    if (line.type != 'a') continue;
    const std::string_view value = text_of(line);
    if (iequals(attribute_name(value), name)) return attribute_value(value);
  }
  return std::nullopt;
}

std::vector<std::string_view> Description::attributes(size_t section, std::string_view name) const {
  std::vector<std::string_view> out;
  for (const Line& line : section_lines(section))
    if (line.type == 'a' && iequals(attribute_name(text_of(line)), name))
      out.push_back(attribute_value(text_of(line)));
  return out;
}

void Description::add_attribute(size_t section, std::string_view name, std::string_view value) {
  std::string text(name);
  if (!value.empty()) text.append(":").append(value);
  section_lines(section).push_back(store('a', text));
}

size_t Description::remove_attribute(size_t section, std::string_view name) {
  return std::erase_if(section_lines(section), [&](const Line& line) {
    return line.type == 'a' && iequals(attribute_name(text_of(line)), name);
  });
}

size_t Description::remove_attribute_with(size_t section, std::string_view name, std::string_view prefix) {
  return std::erase_if(section_lines(section), [&](const Line& line) {
    const std::string_view value = text_of(line);
    return line.type == 'a' && iequals(attribute_name(value), name) &&
           istarts_with(attribute_value(value), prefix);
  });
}

std::optional<IpAddress> Description::connection(size_t i) const {
  const Line* line = find(i, 'c');
  if (!line) line = find(session, 'c');
  if (!line) return std::nullopt;
  const auto c = parse_connection(text_of(*line));
  return c ? IpAddress::parse(c->address) : std::nullopt;
}

std::optional<SocketAddress> Description::rtp_address(size_t i) const {
  const auto ip = connection(i);
  const uint16_t port = media(i).port;
  if (!ip || ip->is_unspecified() || port == 0 || port == 9) return std::nullopt;
  return SocketAddress{*ip, port};
}

std::optional<SocketAddress> Description::rtcp_address(size_t i) const {
  auto address = rtp_address(i);
  if (!address || has_attribute(i, "rtcp-mux")) return address;
  if (auto value = attribute(i, "rtcp")) {
    std::string_view rest = *value;
    const auto port = parse_port(next_field(rest));
    if (port && *port != 0 && *port != 9) {
      address->port = *port;
      if (const auto c = parse_connection(trim(rest)))
        if (const auto ip = IpAddress::parse(c->address); ip && !ip->is_unspecified()) address->ip = *ip;
      return address;
    }
  }
  if (address->port == 65535) return std::nullopt;
  ++address->port;
  return address;
}

Direction Description::direction(size_t i) const {
  Direction d = Direction::sendrecv;
  for (const size_t section : {session, i})
    for (const Line& line : section_lines(section)) {
      if (line.type != 'a') continue;
      for (size_t n = 0; n < direction_names.size(); ++n)
        if (iequals(text_of(line), direction_names[n])) d = static_cast<Direction>(n);
    }
  // RFC 3264 section 8.4: how phones of RFC 2543 hold. An ICE agent that trickles means by it that it has no
  // candidate yet (RFC 8840 section 4.1.1), and then says port 9.
  const auto ip = connection(i);
  const bool trickles =
      media(i).port == 9 && (has_attribute(i, "ice-ufrag") || has_attribute(session, "ice-ufrag"));
  if (ip && ip->is_unspecified() && !trickles) d = direction_of(sends(d), false);
  return d;
}

void Description::set_direction(size_t i, Direction d) {
  for (const std::string_view name : direction_names) remove_attribute(i, name);
  add_attribute(i, sdp::to_string(d));
}

void Description::set_connection(const IpAddress& address) {
  const std::string value = connection_value(address);
  for (size_t i = 0; i < media_count(); ++i)
    if (const auto rtcp = attribute(i, "rtcp")) {
      const std::string whole = std::string(rtcp->substr(0, rtcp->find(' '))) + " " + value;
      remove_attribute(i, "rtcp");
      add_attribute(i, "rtcp", whole);
    }
  for (Line& line : lines_)
    if (line.type == 'c') {
      line = store('c', value);
      return;
    }
  const auto behind = std::find_if(lines_.begin(), lines_.end(), [](const Line& line) {
    return std::string_view("btrzka").find(line.type) != std::string_view::npos;
  });
  lines_.insert(behind, store('c', value));
}

void Description::set_media_port(size_t i, uint16_t rtp, uint16_t rtcp) {
  const MediaLine m = media(i);
  std::string value(m.kind);
  value.append(" ").append(std::to_string(rtp)).append(" ").append(m.proto).append(" ").append(m.formats);
  auto& lines = media_.at(i).lines;
  lines.front() = store('m', value);
  std::erase_if(lines, [](const Line& line) { return line.type == 'c'; });
  remove_attribute(i, "rtcp");
  if (rtp == 0 || rtcp == 0 || rtcp == rtp + 1) return;
  // With the address, which RFC 3605 leaves out where it is that of c=: there are readers that want it.
  const auto address = connection(session);
  add_attribute(i, "rtcp",
                std::to_string(rtcp) + (address ? " " + connection_value(*address) : std::string()));
}

void Description::set_proto(size_t i, std::string_view proto) {
  const MediaLine m = media(i);
  std::string value(m.kind);
  value.append(" ").append(std::to_string(m.port));
  if (m.port_count > 1) value.append("/").append(std::to_string(m.port_count));
  value.append(" ").append(proto).append(" ").append(m.formats);
  media_.at(i).lines.front() = store('m', value);
}

void Description::set_formats(size_t i, const std::vector<uint8_t>& payload_types) {
  const MediaLine m = media(i);
  std::string value(m.kind);
  value.append(" ").append(std::to_string(m.port));
  if (m.port_count > 1) value.append("/").append(std::to_string(m.port_count));
  value.append(" ").append(m.proto);
  for (const uint8_t type : payload_types) value.append(" ").append(std::to_string(type));
  auto& lines = media_.at(i).lines;
  lines.front() = store('m', value);
  std::erase_if(lines, [&](const Line& line) {
    if (line.type != 'a') return false;
    const std::string_view text = text_of(line);
    const std::string_view name = attribute_name(text);
    if (!iequals(name, "rtpmap") && !iequals(name, "fmtp") && !iequals(name, "rtcp-fb")) return false;
    std::string_view rest = attribute_value(text);
    const std::string_view type = next_field(rest);
    return type != "*" && std::none_of(payload_types.begin(), payload_types.end(),
                                       [&](uint8_t kept) { return std::to_string(kept) == type; });
  });
}

namespace {

struct Described {
  std::string map, parameters;  // values of a=rtpmap and a=fmtp
};

Described describe(const Format& f) {
  const std::string type = std::to_string(f.payload_type);
  Described d;
  d.map = type + " " + std::string(f.encoding) + "/" + std::to_string(f.clock_rate);
  if (f.channels > 1) d.map += "/" + std::to_string(f.channels);
  if (!f.parameters.empty()) d.parameters = type + " " + std::string(f.parameters);
  return d;
}

}  // namespace

void Description::replace_formats(size_t i, const std::vector<Format>& formats) {
  std::vector<uint8_t> types;
  std::vector<Described> described;  // first of all: `formats` may be views into what is edited here
  for (const Format& f : formats) {
    types.push_back(f.payload_type);
    described.push_back(describe(f));
  }
  auto& lines = media_.at(i).lines;
  std::erase_if(lines, [&](const Line& line) {
    const std::string_view name = line.type == 'a' ? attribute_name(text_of(line)) : std::string_view{};
    return iequals(name, "rtpmap") || iequals(name, "fmtp") || iequals(name, "rtcp-fb");
  });
  set_formats(i, types);
  for (const Described& d : described) {
    add_attribute(i, "rtpmap", d.map);
    if (!d.parameters.empty()) add_attribute(i, "fmtp", d.parameters);
  }
}

void Description::add_format(size_t i, const Format& f) {
  const MediaLine m = media(i);
  std::string value(m.kind);
  value.append(" ").append(std::to_string(m.port));
  if (m.port_count > 1) value.append("/").append(std::to_string(m.port_count));
  value.append(" ").append(m.proto).append(" ").append(m.formats).append(" ");
  value.append(std::to_string(f.payload_type));
  const Described d = describe(f);
  media_.at(i).lines.front() = store('m', value);
  add_attribute(i, "rtpmap", d.map);
  if (!d.parameters.empty()) add_attribute(i, "fmtp", d.parameters);
}

void Description::reject_media(size_t i) {
  set_media_port(i, 0, 0);
  media_.at(i).lines.resize(1);
}

size_t Description::add_media(std::string_view kind, uint16_t port, std::string_view proto,
                              std::string_view formats) {
  std::string value(kind);
  value.append(" ").append(std::to_string(port)).append(" ").append(proto).append(" ").append(formats);
  const Line line = store('m', value);
  media_.emplace_back().lines.push_back(line);
  return media_.size() - 1;
}

void Description::add_rejected_media(const Description& other, size_t i) {
  const MediaLine m = other.media(i);
  add_media(m.kind, 0, m.proto, m.formats);
}

void Description::truncate_media(size_t count) {
  if (count < media_.size()) media_.resize(count);
}

void Description::remove_ice() {
  constexpr std::array<std::string_view, 10> names = {
      "candidate",   "remote-candidates", "end-of-candidates", "ice-ufrag",  "ice-pwd",
      "ice-options", "ice-lite",          "ice-mismatch",      "ice-pacing", "bundle-only"};
  for (const std::string_view name : names) {
    remove_attribute(session, name);
    for (size_t i = 0; i < media_.size(); ++i) remove_attribute(i, name);
  }
  remove_attribute_with(session, "group", "BUNDLE");
}

}  // namespace tandem::sdp
