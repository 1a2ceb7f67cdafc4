#pragma once
// An HTTP exchange as its handler sees it: no sockets, no streaming; `net` enforces the limits on sizes and
// times.
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/text.h"

namespace tandem::port {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // path and query, as sent
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  SocketAddress peer;
  bool secure = false;

  /// First header of that name (any case); empty when there is none.
  std::string_view header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (iequals(key, name)) return value;
    return {};
  }
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// May be called from any thread, once.
using HttpReply = std::function<void(HttpResponse)>;
using HttpHandler = std::function<void(HttpRequest, HttpReply)>;

}  // namespace tandem::port
