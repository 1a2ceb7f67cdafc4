#pragma once
// The thread that tells webhooks: gives ops::WebhookSender the time, and makes its posts with libcurl, those
// to different endpoints at once. What an endpoint's name leads to is looked at where the connection is made,
// so that no name service can point us into our own network.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "ops/webhooks.h"

namespace tandem::app {

struct WebhookThreadOptions {
  std::vector<IpPrefix> allowed;   // addresses reached although they are private
  bool plain_http = false;         // to other hosts than this one, too
  std::string ca;                  // PEM file of who is trusted; empty: the system's
  Duration timeout = seconds(15);  // of one post
};

class WebhookThread {
 public:
  /// `sender` outlives it; its on_stir() is taken.
  WebhookThread(WebhookThreadOptions options, ops::WebhookSender& sender);
  ~WebhookThread();
  WebhookThread(const WebhookThread&) = delete;
  WebhookThread& operator=(const WebhookThread&) = delete;
  void start();
  /// What was accepted is stored; posts under way are left, and made again after the next start.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::thread thread_;
};

}  // namespace tandem::app
