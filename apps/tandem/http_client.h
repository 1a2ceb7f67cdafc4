#pragma once
// One HTTPS request, waited for: what a command line needs.
#include <string>

#include "base/result.h"

namespace tandem::app {

struct HttpClientConfig {
  std::string url = "https://127.0.0.1:8443";
  std::string token;
  std::string certificate;  // PEM the server must present or be signed by; empty: the system's authorities
  bool insecure = false;
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::string content_type;
  std::string next_cursor;  // X-Next-Cursor
};

/// An error is one sentence: the server could not be reached, or its certificate is not trusted.
Result<HttpAnswer, std::string> http(const HttpClientConfig& config, const std::string& method,
                                     const std::string& path, const std::string& body = {});

std::string percent_encode(std::string_view text);

}  // namespace tandem::app
