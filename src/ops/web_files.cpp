#include "ops/web_files.h"

#include <array>
#include <utility>

namespace tandem::ops {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> types{{
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".json", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".woff2", "font/woff2"},
    {".wav", "audio/wav"},
}};

std::string_view type_of(std::string_view path) {
  for (const auto& [ending, type] : types)
    if (path.ends_with(ending)) return type;
  return {};
}

constexpr std::string_view policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

/// "gzip" as an element of Accept-Encoding that is not refused with q=0 (RFC 9110 section 12.5.3).
bool takes_gzip(std::string_view accept) {
  const size_t at = accept.find("gzip");
  if (at == std::string_view::npos) return false;
  const std::string_view element = accept.substr(at, accept.find(',', at) - at);
  return element.find("q=0") == std::string_view::npos || element.find("q=0.") != std::string_view::npos;
}

}  // namespace

bool WebFiles::add(std::string path, std::string bytes) {
  const bool compressed = path.ends_with(".gz");
  if (compressed) path.resize(path.size() - 3);
  const std::string_view type = type_of(path);
  if (type.empty() || bytes_ + bytes.size() > max_bytes) return false;
  if (files_.size() >= max_files && !files_.contains(path)) return false;
  bytes_ += bytes.size();
  File& file = files_[std::move(path)];
  file.type = type;
  (compressed ? file.compressed : file.bytes) = std::move(bytes);
  return true;
}

port::HttpResponse WebFiles::answer(std::string_view path, std::string_view accept_encoding) const {
  port::HttpResponse r;
  path.remove_prefix(path.starts_with('/') ? 1 : 0);
  if (path.empty()) path = "index.html";
  const auto it = files_.find(path);
  if (it == files_.end()) {
    r.status = 404;
    r.content_type = "text/plain; charset=utf-8";
    r.body = files_.empty() && path == "index.html" ? "This build has no console. REST is under /api/v1.\n"
                                                    : "no such page\n";
    add_page_headers(r);
    return r;
  }
  const File& file = it->second;
  r.content_type = file.type;
  const bool kept = path.starts_with("assets/");
  r.headers.emplace_back("Cache-Control", kept                   ? "public, max-age=31536000, immutable"
                                          : path == "index.html" ? "no-store"
                                                                 : "no-cache");
  if (!file.compressed.empty()) r.headers.emplace_back("Vary", "Accept-Encoding");
  if (!file.compressed.empty() && takes_gzip(accept_encoding)) {
    r.headers.emplace_back("Content-Encoding", "gzip");
    r.body = file.compressed;
  } else {
    r.body = file.bytes;
  }
  add_page_headers(r);
  return r;
}

void add_page_headers(port::HttpResponse& r) {
  r.headers.emplace_back("Content-Security-Policy", policy);
  r.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  r.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  r.headers.emplace_back("Permissions-Policy",
                         "camera=(self), geolocation=(), microphone=(self), payment=()");
  r.headers.emplace_back("Referrer-Policy", "no-referrer");
  r.headers.emplace_back("X-Frame-Options", "DENY");
}

}  // namespace tandem::ops
