// rooms: base port
// sources: src/net/http_reader.cpp src/net/chunked_body.cpp src/net/upgrade.cpp
// libs: OpenSSL::SSL OpenSSL::Crypto
// What a stranger sends to the web listener, cut anywhere: the same requests, the same fault, the same bytes
// left behind a request that was granted a WebSocket, nothing over the limits. The same bytes are what a
// server answers us with when we ask for a WebSocket. First octet: where it is cut; second: the policy.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "net/http_reader.h"
#include "net/upgrade.h"

namespace {

using namespace tandem;

constexpr net::HttpLimits limits{.header_bytes = 400, .body_bytes = 60};
// A request takes at most a head, as much again between its chunks, and a chunk for each octet: 16 digits,
// two line ends, the octet; then the last one.
constexpr size_t longest = 2 * limits.header_bytes + (limits.body_bytes + 1) * (16 + 2 + 2 + 1);
constexpr uint8_t at_once = 0, octet_by_octet = 8;

void must(bool holds) {
  if (!holds) std::abort();
}

/// Pieces of a stream whose sizes follow from `seed`.
class Pieces {
 public:
  Pieces(std::string_view stream, uint8_t seed) : rest_(stream), seed_(seed), rng_(seed) {}
  bool over() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  std::string_view next() {
    const size_t n = seed_ == at_once ? rest_.size() : 1 + rng_.below(uint64_t{1} << (seed_ % 8));
    const std::string_view piece = rest_.substr(0, n);
    rest_.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view rest_;
  const uint8_t seed_;
  SeededRng rng_;
};

struct Seen {
  std::vector<std::string> requests;
  std::vector<std::string> answers;
  std::optional<net::BadRequest> bad;
  std::string behind;  // a WebSocket's
  bool operator==(const Seen&) const = default;
};

net::WebSocketPolicy policy_of(uint8_t bits) {
  net::WebSocketPolicy policy;
  policy.without_origin = (bits & 1) != 0;
  if ((bits & 2) != 0) policy.origins = {(bits & 4) != 0 ? "*" : "https://phone.example.com"};
  const auto admit = [](const port::HttpRequest& request) -> net::Admission {
    if (request.target.size() % 2 == 0) return std::make_shared<const port::ChannelGuest>();
    return port::HttpResponse{.status = 403};
  };
  policy.paths = {{"/sip", "sip"}, {"/", "", admit}, {"/rtc", "tandem.rtc"}};
  return policy;
}

/// Within the limits, and nothing in it that could be taken for more than it is.
std::string text_of(const net::ReadRequest& read) {
  size_t head = read.request.method.size() + read.request.target.size();
  std::string text = read.request.method + " " + read.request.target + (read.http_1_0 ? " 1.0" : " 1.1") +
                     (read.keep_alive ? " keep" : " close");
  for (const auto& [name, value] : read.request.headers) {
    head += name.size() + value.size();
    must(!name.empty());
    for (const std::string& part : {name, value})
      must(part.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    text += "\n" + name + ": " + value;
  }
  must(head < limits.header_bytes && read.request.body.size() <= limits.body_bytes);
  must(read.request.target.find_first_of(" \r\n") == std::string::npos);
  return text + "\n\n" + read.request.body;
}

/// True: it became a WebSocket.
bool upgrade(const net::WebSocketPolicy& policy, const net::ReadRequest& read, Seen& seen) {
  const net::WebSocketPath* path = net::websocket_path(policy, read.request.target);
  if (!path) return false;
  const auto answer = net::answer_upgrade(policy, *path, read.request, read.http_1_0);
  if (const auto* no = std::get_if<net::UpgradeRefusal>(&answer)) {
    seen.answers.emplace_back(net::to_string(*no));
    return false;
  }
  const auto* yes = std::get_if<net::UpgradeAnswer>(&answer);
  if (!yes) return false;
  must(read.request.method == "GET" && !read.http_1_0 && read.request.body.empty());
  must(yes->response.starts_with("HTTP/1.1 101 "));
  must(yes->response.find("\r\n\r\n") == yes->response.size() - 4);
  must(yes->request->subprotocol == path->subprotocol && yes->request->path == path->path);
  seen.answers.push_back(yes->response + yes->request->token);
  return true;
}

Seen serve(std::string_view stream, uint8_t seed, uint8_t bits) {
  const net::WebSocketPolicy policy = policy_of(bits);
  net::HttpReader reader(limits);
  Seen seen;
  size_t taken = 0;  // since the last request
  for (Pieces pieces(stream, seed); !pieces.over();) {
    const std::string_view piece = pieces.next();
    reader.receive(piece);
    taken += piece.size();
    while (auto read = reader.pop()) {
      taken = 0;
      read->request.secure = (bits & 8) != 0;
      seen.requests.push_back(text_of(*read));
      if (!upgrade(policy, *read, seen)) continue;
      seen.behind = reader.take_rest() + std::string(pieces.rest());
      return seen;
    }
    if (reader.bad()) must(net::answer_to(*reader.bad()).status >= 400);
    must(seed != octet_by_octet || reader.bad() || taken <= longest);
    if (reader.take_expectation()) must(!reader.bad() && !reader.take_expectation());
  }
  seen.bad = reader.bad();
  return seen;
}

struct Verdict {
  bool whole = false, agreed = false;
  std::string status_line, behind;
  bool operator==(const Verdict&) const = default;
};

Verdict ask(std::string_view stream, uint8_t seed) {
  SeededRng rng(1);
  net::UpgradeQuestion question = net::ask_upgrade("example.com", "/sip", "sip", rng);
  for (Pieces pieces(stream, seed); !pieces.over();) {
    const auto verdict = net::read_answer(question, as_bytes(pieces.next()));
    if (!verdict) continue;
    must(verdict->status_line.size() <= 200);
    // What comes behind is kept for the framer only when they agreed; otherwise nobody reads it.
    return {true, verdict->agreed, verdict->status_line,
            verdict->agreed ? verdict->behind + std::string(pieces.rest()) : ""};
  }
  must(question.answer.size() <= 8192);
  return {};
}

/// As it comes, and behind a head that is in order so far, short or near the limit.
void ask_all(std::string_view stream, uint8_t seed, uint8_t bits) {
  SeededRng rng(1);
  const net::UpgradeQuestion question = net::ask_upgrade("example.com", "/sip", "sip", rng);
  const std::string head =
      "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " +
      question.accept + "\r\nSec-WebSocket-Protocol: sip\r\n";
  const std::string filler = (bits & 16) != 0 ? "X: " + std::string(7900 + bits, 'x') + "\r\n" : "";
  for (const std::string& answer : {std::string(stream), head + filler + std::string(stream)})
    must(ask(answer, at_once) == ask(answer, seed));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view stream = as_text({data + 2, size - 2});
  const Seen whole = serve(stream, at_once, data[1]);
  must(whole == serve(stream, data[0], data[1]));
  must(whole == serve(stream, octet_by_octet, data[1]));
  ask_all(stream, data[0], data[1]);
  return 0;
}
