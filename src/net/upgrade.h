#pragma once
// Which HTTP requests become WebSockets (RFC 6455 section 4.2), and what of them goes to a worker.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/rng.h"
#include "net/sockets.h"
#include "net/ssl_pointer.h"
#include "port/http.h"
#include "port/websocket.h"

namespace tandem::net {

/// Who has come, or the answer that is no.
using Admission = std::variant<std::shared_ptr<const port::ChannelGuest>, port::HttpResponse>;

/// A path of the HTTP listeners that is a WebSocket, and the subprotocol its clients must offer.
struct WebSocketPath {
  std::string path;         // "/sip"
  std::string subprotocol;  // "sip" (RFC 7118 section 4.1); empty: none is agreed on
  /// Asked last, on the server's thread; null: everybody may come, and signs in afterwards.
  std::function<Admission(const port::HttpRequest&)> admit = {};
};

struct WebSocketPolicy {
  std::vector<WebSocketPath> paths;
  port::RealmId realm = 0;  // whose policy and addresses hold for these connections
  /// Origins of web pages that may connect, as "https://phone.example.com"; "*": any. Empty: pages that came
  /// from the host they connect to.
  std::vector<std::string> origins;
  /// Programs that are no browsers send no Origin. They cannot be misled by a page, so there is nothing to
  /// protect.
  bool without_origin = true;
};

/// Why a request was refused; each is a label of http_websocket_refused_total.
enum class UpgradeRefusal : uint8_t {
  not_upgrade,  // 426: an ordinary request to a WebSocket's path
  version,      // 426
  malformed,    // 400: method, version of HTTP, Sec-WebSocket-Key, a body
  subprotocol,  // 400
  origin,       // 403
  per_source,   // 503, and the two below
  full,
  busy,
  denied,  // what the path's own door answered
  count_,
};
const char* to_string(UpgradeRefusal refusal);

/// 101 with its headers, and what is known of the WebSocket from now on.
struct UpgradeAnswer {
  std::string response;
  std::shared_ptr<const port::WebSocketRequest> request;
};

/// The path of `policy` the target names, without its query; null: none, the request is an ordinary one.
const WebSocketPath* websocket_path(const WebSocketPolicy& policy, std::string_view target);
std::variant<UpgradeAnswer, UpgradeRefusal, port::HttpResponse> answer_upgrade(
    const WebSocketPolicy& policy, const WebSocketPath& path, const port::HttpRequest& request,
    bool http_1_0);
/// May a page of `origin` (RFC 6454) talk to `host`, the request's Host? The default ports are no difference.
bool origin_allowed(const WebSocketPolicy& policy, std::string_view origin, std::string_view host,
                    bool secure);

/// What a client asks with, and what the answer has to say (section 4.1).
struct UpgradeQuestion {
  std::string request;
  std::string accept;  // of Sec-WebSocket-Accept
  std::string subprotocol;
  std::string answer;  // as much as has come
};
UpgradeQuestion ask_upgrade(const std::string& host, const std::string& path, const std::string& subprotocol,
                            Rng& rng);
struct UpgradeVerdict {
  bool agreed = false;
  std::string status_line;
  std::string behind;  // what the server sent next
};
/// More of the answer has come; nothing: it is not whole.
std::optional<UpgradeVerdict> read_answer(UpgradeQuestion& question, Bytes more);

/// A connection whose request was granted, on its way to a worker.
struct Upgraded {
  Fd fd;
  SslPointer ssl;   // null: ws
  port::Path path;  // no flow yet
  std::shared_ptr<const port::WebSocketRequest> request;
  std::string response;  // to be written first
  std::string input;     // what the client sent behind its request
};

}  // namespace tandem::net
