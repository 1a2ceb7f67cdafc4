#include "ice/candidate.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::ice {
namespace {

constexpr size_t longest_line = 1024;
constexpr size_t most_extensions = 16;

constexpr std::array<std::string_view, 4> type_names = {"host", "srflx", "prflx", "relay"};
constexpr std::array<std::string_view, 4> tcp_names = {"", "active", "passive", "so"};

template <class E>
std::optional<E> named(const std::array<std::string_view, 4>& names, std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (!names[i].empty() && iequals(names[i], name)) return static_cast<E>(i);
  return std::nullopt;
}

bool is_ice_char(char c) {
  return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z') || c == '+' || c == '/';
}

/// Words with single or more spaces between them.
class Words {
 public:
  explicit Words(std::string_view text) : rest_(trim(text)) {}
  std::string_view next() {
    const size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_ = trim(rest_.substr(end));
    return word;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

std::optional<uint16_t> parse_port(std::string_view text) {
  const auto n = parse_u32(text);
  return n && *n <= 65535 ? std::optional(static_cast<uint16_t>(*n)) : std::nullopt;
}

/// raddr and rport where both are there and make an address; otherwise they stay extensions.
void take_related(Candidate& c) {
  if (c.extensions.size() < 2 || c.extensions[0].first != "raddr" || c.extensions[1].first != "rport") return;
  const auto ip = IpAddress::parse(c.extensions[0].second);
  const auto port = parse_port(c.extensions[1].second);
  if (!ip || !port) return;
  c.related = {*ip, *port};
  c.extensions.erase(c.extensions.begin(), c.extensions.begin() + 2);
}

/// The tcptype of a TCP candidate; one without is a host of RFC 4145's times and of no use.
bool take_tcp_type(Candidate& c) {
  if (c.transport == Transport::udp) return true;
  const auto at = std::find_if(c.extensions.begin(), c.extensions.end(),
                               [](const auto& e) { return e.first == "tcptype"; });
  if (at == c.extensions.end()) return false;
  const auto type = named<TcpType>(tcp_names, at->second);
  if (!type) return false;
  c.tcp_type = *type;
  c.extensions.erase(at);
  return true;
}

}  // namespace

std::string_view to_string(CandidateType type) { return type_names[static_cast<size_t>(type)]; }
std::string_view to_string(TcpType type) { return tcp_names[static_cast<size_t>(type)]; }

bool is_ice_text(std::string_view text, size_t least, size_t most) {
  return text.size() >= least && text.size() <= most && std::all_of(text.begin(), text.end(), is_ice_char);
}

Result<Candidate, Reason> Candidate::parse(std::string_view value) {
  const auto is_control = [](char ch) { return static_cast<uint8_t>(ch) < 0x20 || ch == 0x7F; };
  if (value.size() > longest_line || std::any_of(value.begin(), value.end(), is_control))
    return Failure{Reason::malformed};  // what is kept is written again: no line may hide in it
  if (istarts_with(value, "candidate:")) value.remove_prefix(10);
  Words words(value);
  Candidate c;
  c.foundation = words.next();
  const auto component = parse_u32(words.next());
  const std::string_view transport = words.next();
  const auto priority = parse_u32(words.next());
  const std::string_view address = words.next();
  const auto port = parse_port(words.next());
  if (!is_ice_text(c.foundation, 1, 32) || !component || !priority || *priority == 0 || address.empty() ||
      !port || words.next() != "typ")
    return Failure{Reason::malformed};
  if (*component < 1 || *component > 256) return Failure{Reason::bad_component};
  c.component = static_cast<uint16_t>(*component);
  c.priority = *priority;
  const auto type = named<CandidateType>(type_names, words.next());
  if (!type) return Failure{Reason::unknown_type};
  c.type = *type;
  if (iequals(transport, "tcp"))
    c.transport = Transport::tcp;
  else if (!iequals(transport, "udp"))
    return Failure{Reason::unknown_transport};
  if (const auto ip = IpAddress::parse(address))
    c.address = {*ip, *port};
  else if (address.find_first_of(":[]") == std::string_view::npos)
    c.name = address, c.address.port = *port;
  else
    return Failure{Reason::bad_address};
  while (!words.done()) {
    const std::string_view name = words.next();
    if (words.done() || c.extensions.size() == most_extensions) return Failure{Reason::malformed};
    c.extensions.emplace_back(name, words.next());
  }
  if (!take_tcp_type(c)) return Failure{Reason::malformed};
  take_related(c);
  return c;
}

std::string Candidate::to_string() const {
  std::string text =
      foundation + " " + std::to_string(component) + (transport == Transport::udp ? " UDP " : " TCP ");
  text += std::to_string(priority) + " " + (name.empty() ? address.ip.to_string() : name) + " ";
  text.append(std::to_string(address.port)).append(" typ ").append(ice::to_string(type));
  if (related) text += " raddr " + related.ip.to_string() + " rport " + std::to_string(related.port);
  if (transport == Transport::tcp) text.append(" tcptype ").append(ice::to_string(tcp_type));
  for (const auto& [key, value] : extensions) text.append(" ").append(key).append(" ").append(value);
  return text;
}

std::string_view Candidate::extension(std::string_view wanted) const {
  for (const auto& [key, value] : extensions)
    if (key == wanted) return value;
  return {};
}

uint32_t candidate_priority(CandidateType type, Transport transport, TcpType tcp_type, uint16_t preference,
                            uint16_t component) {
  static constexpr std::array<uint32_t, 4> udp = {126, 100, 110, 0};
  static constexpr std::array<uint32_t, 4> tcp = {60, 40, 50, 0};
  // A NAT lets in what answers a connection of ours; where there is none, being active is surest.
  static constexpr std::array<uint32_t, 4> open = {0, 6, 4, 2};
  static constexpr std::array<uint32_t, 4> behind_nat = {0, 4, 2, 6};
  const auto t = static_cast<size_t>(type);
  uint32_t local = preference;
  if (transport == Transport::tcp) {
    const bool reflexive = type == CandidateType::server_reflexive || type == CandidateType::peer_reflexive;
    const uint32_t direction = (reflexive ? behind_nat : open)[static_cast<size_t>(tcp_type)];
    local = direction << 13 | preference >> 3;
  }
  return (transport == Transport::udp ? udp : tcp)[t] << 24 | local << 8 | (256u - component);
}

uint64_t pair_priority(uint32_t controlling, uint32_t controlled) {
  const uint64_t least = std::min(controlling, controlled), most = std::max(controlling, controlled);
  return (least << 32) + 2 * most + (controlling > controlled ? 1 : 0);
}

}  // namespace tandem::ice
