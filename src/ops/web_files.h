#pragma once
// The console's files, in memory: a request reads no disk, and a path outside of them does not exist.
#include <map>
#include <string>
#include <string_view>

#include "port/http.h"

namespace tandem::ops {

class WebFiles {
 public:
  static constexpr size_t max_files = 500;
  static constexpr size_t max_bytes = 32 << 20;

  /// `path` as in a URL, without a leading slash: "index.html", "assets/index-4f2a.js". "X.gz" is X,
  /// compressed. False: past a limit, or of a type the console has none of.
  bool add(std::string path, std::string bytes);
  bool empty() const { return files_.empty(); }
  size_t size() const { return files_.size(); }

  /// The answer to GET or HEAD of `path` ("/" is index.html); 404 when there is no such file. Files below
  /// assets/ carry their hash in their name and may be kept for ever; index.html is never kept.
  port::HttpResponse answer(std::string_view path, std::string_view accept_encoding) const;

 private:
  struct File {
    std::string_view type;
    std::string bytes, compressed;  // `compressed` empty: there is none
  };
  std::map<std::string, File, std::less<>> files_;
  size_t bytes_ = 0;
};

/// What every page of the console is told: scripts, styles and connections of this origin alone, in nobody's
/// frame.
void add_page_headers(port::HttpResponse& response);

}  // namespace tandem::ops
