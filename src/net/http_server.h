#pragma once
// HTTP/1.1 for REST, metrics and the console, on a control thread of its own: nothing here touches a worker.
// Requests for a WebSocket are checked here; the connection then goes to a worker as it is (net/upgrade.h).
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "net/config.h"
#include "net/http_message.h"
#include "net/http_reader.h"
#include "net/upgrade.h"

namespace tandem::net {

struct HttpConfig {
  struct Listener {
    SocketAddress bind;
    TlsFiles tls;  // without a certificate: plain HTTP
  };
  std::vector<Listener> listeners;
  HttpLimits requests;
  // Until it becomes a WebSocket. When all are taken, the one that has kept silent longest before its first
  // request makes room: connections that only stand there must not keep others out.
  size_t connections = 512;
  size_t connections_per_source = 128;       // of one address
  Duration handshake_timeout = seconds(10);  // from accept to the end of the TLS handshake
  Duration read_timeout = seconds(30);       // a whole request; silence between requests
  Duration handler_timeout = seconds(30);    // then the client gets 504
  WebSocketPolicy websockets;
};

class HttpServer {
 public:
  /// Call once, from any thread, at any time, also after the server is gone. Dropped unanswered, the client
  /// gets 500.
  using Reply = std::function<void(HttpResponse)>;
  /// Called on the server's thread; must not block it: long work goes elsewhere and replies from there.
  using Handler = std::function<void(const HttpRequest&, Reply)>;

  /// Takes a granted WebSocket, on the server's thread, or says why not and leaves it as it was.
  using Adopt = std::function<std::optional<UpgradeRefusal>(Upgraded&)>;

  /// `adopt` may be null when no path is a WebSocket.
  HttpServer(HttpConfig config, Handler handler, Adopt adopt = {});
  ~HttpServer();
  /// "cannot listen on https 0.0.0.0:8443: address already in use"
  Status<std::string> start();
  void stop();
  Status<std::string> reload_certificates();
  /// Runs `task` on the server's thread, where handlers run. Any thread; dropped once the server is stopped.
  void post(std::function<void()> task);
  /// Runs `task` on the server's thread again and again. Before start().
  void every(Duration period, std::function<void()> task);
  const std::vector<SocketAddress>& bound() const;
  const CounterSet& counters() const;

  struct Impl;  // named by the sessions

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::net
