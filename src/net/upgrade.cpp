#include "net/upgrade.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <optional>

#include "base/text.h"
#include "net/http_message.h"

namespace tandem::net {
namespace {

constexpr size_t key_chars = 24;  // 16 bytes in base64
constexpr size_t token_limit = 8192;
constexpr size_t answer_limit = 8192;

/// Some header of that name has `wanted` in its comma-separated list.
bool lists(const HttpRequest& request, std::string_view name, std::string_view wanted, bool exact_case) {
  for (const auto& [key, value] : request.headers) {
    if (!iequals(key, name)) continue;
    for (std::string_view rest = value; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view item = trim(rest.substr(0, comma));
      if (exact_case ? item == wanted : iequals(item, wanted)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

size_t how_many(const HttpRequest& request, std::string_view name) {
  return static_cast<size_t>(std::count_if(request.headers.begin(), request.headers.end(),
                                           [&](const auto& h) { return iequals(h.first, name); }));
}

bool is_key(std::string_view key) {
  const auto base64 = [](char c) {
    const char l = to_lower(c);
    return (l >= 'a' && l <= 'z') || is_digit(c) || c == '+' || c == '/';
  };
  return key.size() == key_chars && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, base64);
}

std::string base64(Bytes bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the terminator OpenSSL writes
  out.resize(static_cast<size_t>(
      EVP_EncodeBlock(reinterpret_cast<uint8_t*>(out.data()), bytes.data(), static_cast<int>(bytes.size()))));
  return out;
}

/// Section 4.2.2, item 5.4.
std::string accept_value(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64({digest.data(), size});
}

std::optional<int> hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char l = to_lower(c);
  if (l >= 'a' && l <= 'f') return l - 'a' + 10;
  return std::nullopt;
}

/// Percent-decoded (RFC 3986 section 2.1); what is no escape stays.
std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    out.push_back(low ? static_cast<char>(*high * 16 + *low) : text[i]);
    if (low) i += 2;
  }
  return out;
}

/// RFC 6750 section 2.1, or 2.3: a page cannot set the header of a WebSocket.
std::string bearer_token(const HttpRequest& request) {
  const std::string_view header = request.header("Authorization");
  if (istarts_with(header, "Bearer ")) return std::string(trim(header.substr(7)).substr(0, token_limit));
  const size_t query = request.target.find('?');
  if (query == std::string::npos) return {};
  for (std::string_view rest = std::string_view(request.target).substr(query + 1); !rest.empty();) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view part = rest.substr(0, end);
    if (part.starts_with("access_token=")) return decoded(part.substr(13, token_limit));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

/// "host:port" in lower case with the scheme's port when there is none.
std::string with_port(std::string_view authority, std::string_view default_port) {
  const size_t colon = authority.rfind(':');
  const bool has = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
  std::string out = lower(authority);
  if (!has) (out += ':') += default_port;
  return out;
}

/// Scheme and authority of an Origin header; nothing for "null" and what is none.
std::optional<std::pair<std::string, std::string>> parse_origin(std::string_view origin) {
  const size_t colon = origin.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string scheme = lower(origin.substr(0, colon));
  const std::string_view authority = origin.substr(colon + 3);
  if (authority.empty() || authority.find_first_of("/?#@ ,") != std::string_view::npos) return std::nullopt;
  std::string whole = with_port(authority, scheme == "http" ? "80" : "443");
  return std::pair{std::move(scheme), std::move(whole)};
}

}  // namespace

const char* to_string(UpgradeRefusal refusal) {
  static constexpr std::array names = {"not_upgrade", "version", "malformed", "subprotocol", "origin",
                                       "per_source",  "full",    "busy",      "denied"};
  static_assert(names.size() == static_cast<size_t>(UpgradeRefusal::count_));
  return names[static_cast<size_t>(refusal)];
}

const WebSocketPath* websocket_path(const WebSocketPolicy& policy, std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  for (const WebSocketPath& p : policy.paths)
    if (p.path == path) return &p;
  return nullptr;
}

bool origin_allowed(const WebSocketPolicy& policy, std::string_view origin, std::string_view host,
                    bool secure) {
  if (origin.empty()) return policy.without_origin;
  const auto given = parse_origin(origin);
  if (!policy.origins.empty())
    return std::any_of(policy.origins.begin(), policy.origins.end(), [&](const std::string& allowed) {
      return allowed == "*" || (given ? parse_origin(allowed) == given : allowed == origin);
    });
  return given && !host.empty() && given->first == (secure ? "https" : "http") &&
         given->second == with_port(host, secure ? "443" : "80");
}

std::variant<UpgradeAnswer, UpgradeRefusal, port::HttpResponse> answer_upgrade(const WebSocketPolicy& policy,
                                                                               const WebSocketPath& path,
                                                                               const HttpRequest& request,
                                                                               bool http_1_0) {
  if (!lists(request, "Connection", "upgrade", false) || !lists(request, "Upgrade", "websocket", false))
    return UpgradeRefusal::not_upgrade;
  if (request.method != "GET" || http_1_0 || !request.body.empty()) return UpgradeRefusal::malformed;
  if (request.header("Sec-WebSocket-Version") != "13") return UpgradeRefusal::version;
  // A field that stands twice could be read by others in another way than by us.
  for (const std::string_view once : {"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Host"})
    if (how_many(request, once) != 1) return UpgradeRefusal::malformed;
  if (how_many(request, "Origin") > 1) return UpgradeRefusal::malformed;
  const std::string_view key = request.header("Sec-WebSocket-Key");
  if (!is_key(key)) return UpgradeRefusal::malformed;
  if (!origin_allowed(policy, request.header("Origin"), request.header("Host"), request.secure))
    return UpgradeRefusal::origin;
  if (!path.subprotocol.empty() && !lists(request, "Sec-WebSocket-Protocol", path.subprotocol, true))
    return UpgradeRefusal::subprotocol;

  port::WebSocketRequest web;
  web.path = path.path;
  web.subprotocol = path.subprotocol;
  web.host = request.header("Host");
  web.origin = request.header("Origin");
  web.token = bearer_token(request);
  if (path.admit) {
    Admission admission = path.admit(request);
    if (auto* no = std::get_if<port::HttpResponse>(&admission)) return std::move(*no);
    web.guest = std::get<std::shared_ptr<const port::ChannelGuest>>(std::move(admission));
  }
  const std::string agreed =
      path.subprotocol.empty() ? std::string() : "Sec-WebSocket-Protocol: " + path.subprotocol + "\r\n";
  return UpgradeAnswer{
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
          accept_value(key) + "\r\n" + agreed + "\r\n",
      std::make_shared<const port::WebSocketRequest>(std::move(web))};
}

UpgradeQuestion ask_upgrade(const std::string& host, const std::string& path, const std::string& subprotocol,
                            Rng& rng) {
  std::array<uint8_t, 16> nonce{};
  rng.fill(nonce);
  const std::string key = base64(nonce);
  return {"GET " + path + " HTTP/1.1\r\nHost: " + host +
              "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + key +
              "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: " + subprotocol + "\r\n\r\n",
          accept_value(key),
          subprotocol,
          {}};
}

std::optional<UpgradeVerdict> read_answer(UpgradeQuestion& question, Bytes more) {
  namespace http = boost::beast::http;
  std::string& answer = question.answer;
  answer.append(as_text(more));
  const size_t head = answer.find("\r\n\r\n");
  const size_t known = head == std::string::npos ? answer.size() : head + 4;
  if (known > answer_limit) return UpgradeVerdict{};
  if (head == std::string::npos) return std::nullopt;
  UpgradeVerdict out{false, answer.substr(0, std::min(answer.find('\r'), size_t{200})),
                     answer.substr(head + 4)};
  http::response_parser<http::empty_body> parser;
  parser.header_limit(answer_limit);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(answer.data(), head + 4), error);
  if (error || !parser.is_header_done()) return out;
  const auto& said = parser.get();
  out.agreed = said.result_int() == 101 && iequals(std::string_view(said["Upgrade"]), "websocket") &&
               http::token_list(said["Connection"]).exists("upgrade") &&
               said["Sec-WebSocket-Accept"] == question.accept &&
               said["Sec-WebSocket-Protocol"] == question.subprotocol &&
               said["Sec-WebSocket-Extensions"].empty();
  return out;
}

}  // namespace tandem::net
