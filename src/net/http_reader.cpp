#include "net/http_reader.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace tandem::net {

namespace http = boost::beast::http;

namespace {

constexpr size_t method_chars = 32;  // the longest that is registered has 17
constexpr std::string_view token_chars =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// As far as it has come. Who speaks TLS or something else is told so at once, not when the time is over.
bool begins_as_request(std::string_view bytes) {
  bytes = bytes.substr(0, method_chars + 1);
  const size_t end = bytes.find_first_not_of(token_chars);
  if (end == std::string_view::npos) return bytes.size() <= method_chars;
  return bytes[end] == ' ' && end > 0;
}

using Parser = http::request_parser<http::empty_body>;

/// RFC 9112 section 6.1. Another coding, even under chunked, would be handed on undone, and one that is not
/// chunked leaves open where the body ends.
std::optional<BadRequest> judge_coding(const Parser& parser) {
  const auto& head = parser.get();
  if (head.version() < 11) return BadRequest::malformed;
  const bool chunked = head.count(http::field::transfer_encoding) == 1 &&
                       iequals(trim(std::string_view(head[http::field::transfer_encoding])), "chunked");
  if (!chunked) return BadRequest::coding;
  return std::nullopt;
}

}  // namespace

const char* to_string(BadRequest why) {
  static constexpr std::array names = {"malformed", "head_too_large", "body_too_large", "coding"};
  static_assert(names.size() == static_cast<size_t>(BadRequest::count_));
  return names[static_cast<size_t>(why)];
}

HttpResponse answer_to(BadRequest why) {
  switch (why) {
    case BadRequest::head_too_large:
      return plain_answer(431, "header fields too large\n");
    case BadRequest::body_too_large:
      return plain_answer(413, "body too large\n");
    case BadRequest::coding:
      return plain_answer(501, "no transfer coding but chunked\n");
    case BadRequest::malformed:
    case BadRequest::count_:
      break;
  }
  return plain_answer(400, "not an HTTP request\n");
}

void HttpReader::receive(std::string_view bytes) {
  if (!bad_) input_.append(bytes);
}

std::optional<ReadRequest> HttpReader::pop() {
  if (bad_ || (!current_ && !read_head()) || !read_body()) return std::nullopt;
  chunked_.reset();
  expects_ = false;
  return std::exchange(current_, std::nullopt);
}

bool HttpReader::read_head() {
  const std::string_view window = std::string_view(input_).substr(0, limits_.header_bytes);
  if (window.empty()) return false;
  if (!begins_as_request(window)) return fail(BadRequest::malformed);
  const size_t end = window.find("\r\n\r\n", searched_);
  if (end == std::string_view::npos) {
    if (window.size() == limits_.header_bytes) return fail(BadRequest::head_too_large);
    searched_ = window.size() - std::min<size_t>(window.size(), 3);
    return false;
  }
  searched_ = 0;
  if (!parse_head(window.substr(0, end + 4))) return false;
  input_.erase(0, end + 4);
  return true;
}

bool HttpReader::parse_head(std::string_view head) {
  Parser parser;
  parser.skip(true);  // the body is ours
  parser.header_limit(static_cast<uint32_t>(limits_.header_bytes));
  boost::system::error_code error;
  const size_t used = parser.put(boost::asio::buffer(head), error);
  if (error == http::error::header_limit) return fail(BadRequest::head_too_large);
  if (error || used != head.size() || !parser.is_done()) return fail(BadRequest::malformed);
  const auto& from = parser.get();
  left_ = 0;
  if (from.count(http::field::transfer_encoding) != 0) {
    if (const auto bad = judge_coding(parser)) return fail(*bad);
    chunked_.emplace(limits_.body_bytes, limits_.header_bytes);
  } else if (const auto length = parser.content_length()) {
    if (*length > limits_.body_bytes) return fail(BadRequest::body_too_large);
    left_ = static_cast<size_t>(*length);
  }
  ReadRequest& to = current_.emplace();
  to.http_1_0 = from.version() < 11;
  to.keep_alive = from.keep_alive();
  to.request.method = std::string(from.method_string());
  to.request.target = std::string(from.target());
  for (const auto& field : from) to.request.headers.emplace_back(field.name_string(), field.value());
  expects_ = !to.http_1_0 && iequals(std::string_view(from[http::field::expect]), "100-continue");
  return true;
}

bool HttpReader::read_body() {
  std::string& body = current_->request.body;
  std::string_view rest = input_;
  std::optional<BadRequest> bad;
  if (chunked_) {
    bad = chunked_->receive(rest, body);
  } else {
    const size_t n = std::min(left_, rest.size());
    body.append(rest.substr(0, n));
    rest.remove_prefix(n);
    left_ -= n;
  }
  input_.erase(0, input_.size() - rest.size());
  if (bad) return fail(*bad);
  return chunked_ ? chunked_->whole() : left_ == 0;
}

bool HttpReader::fail(BadRequest why) {
  bad_ = why;
  current_.reset();
  input_.clear();
  return false;
}

}  // namespace tandem::net
