#include "tandem/webhook_thread.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>

#include "net/clock.h"
#include "tandem/program.h"

namespace tandem::app {
namespace {

constexpr size_t most_answer_octets = 64 << 10;
constexpr int longest_wait_ms = 60'000;
constexpr long most_connections = 64;

std::optional<IpAddress> address_in(const curl_sockaddr& to) {
  IpAddress ip;
  if (to.family == AF_INET && to.addrlen >= sizeof(sockaddr_in)) {
    sockaddr_in v4{};
    std::memcpy(&v4, &to.addr, sizeof v4);
    uint8_t octets[4];
    std::memcpy(octets, &v4.sin_addr, sizeof octets);
    return IpAddress::v4(octets[0], octets[1], octets[2], octets[3]);
  }
  if (to.family != AF_INET6 || to.addrlen < sizeof(sockaddr_in6)) return std::nullopt;
  sockaddr_in6 v6{};
  std::memcpy(&v6, &to.addr, sizeof v6);
  ip.family = IpAddress::Family::v6;
  std::memcpy(ip.bytes.data(), &v6.sin6_addr, 16);
  return ip;
}

/// One post under way.
struct Post {
  const WebhookThreadOptions* options = nullptr;
  ops::WebhookPost post;
  CURL* curl = nullptr;
  curl_slist* headers = nullptr;
  size_t answered = 0;
  bool forbidden = false;
  char error[CURL_ERROR_SIZE] = {};
  ~Post() {
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
  }
};

/// The one place where it is known which address a name has led to.
curl_socket_t open_socket(void* of, curlsocktype, curl_sockaddr* to) {
  Post& p = *static_cast<Post*>(of);
  const auto ip = address_in(*to);
  if (ip && ops::webhook_may_reach(*ip, p.options->allowed))
    return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  p.forbidden = true;
  return CURL_SOCKET_BAD;
}

/// The body says nothing to us; an endless one is cut.
size_t skip_body(char*, size_t size, size_t count, void* of) {
  Post& p = *static_cast<Post*>(of);
  p.answered += size * count;
  return p.answered > most_answer_octets ? 0 : size * count;
}

}  // namespace

struct WebhookThread::Impl {
  Impl(WebhookThreadOptions o, ops::WebhookSender& s) : options(std::move(o)), sender(s) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, most_connections);
    // A connection that is kept has shown its address; one is enough for each endpoint.
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, most_connections);
  }
  ~Impl() {
    for (auto& [curl, post] : posts) curl_multi_remove_handle(multi, curl);
    posts.clear();
    curl_multi_cleanup(multi);
  }

  void run();
  void begin(ops::WebhookPost post);
  void finish(CURLMsg& message);

  const WebhookThreadOptions options;
  ops::WebhookSender& sender;
  CURLM* multi = nullptr;
  std::map<CURL*, std::unique_ptr<Post>> posts;
  std::atomic<bool> stopping = false;
};

WebhookThread::WebhookThread(WebhookThreadOptions options, ops::WebhookSender& sender)
    : impl_(std::make_unique<Impl>(std::move(options), sender)) {
  sender.on_stir([this] { curl_multi_wakeup(impl_->multi); });
}

WebhookThread::~WebhookThread() { stop(); }

void WebhookThread::start() {
  thread_ = std::thread([this] { impl_->run(); });
}

void WebhookThread::stop() {
  if (!thread_.joinable()) return;
  impl_->stopping = true;
  curl_multi_wakeup(impl_->multi);
  thread_.join();
  (void)impl_->sender.step(net::now());  // what came in until now is stored
}

void WebhookThread::Impl::begin(ops::WebhookPost wanted) {
  auto p = std::make_unique<Post>();
  p->options = &options;
  p->post = std::move(wanted);
  if (!ops::webhook_may_speak_plain(p->post.url, options.plain_http))
    return sender.done(net::now(), p->post, {0, "http:// is not allowed", 0});
  p->curl = curl_easy_init();
  CURL* c = p->curl;
  if (!c) return sender.done(net::now(), p->post, {0, "the HTTP client could not be set up", 0});
  for (const auto& [name, value] : p->post.headers)
    p->headers = curl_slist_append(p->headers, fmt::format("{}: {}", name, value).c_str());
  p->headers = curl_slist_append(p->headers, "Expect:");
  curl_easy_setopt(c, CURLOPT_URL, p->post.url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_POST, 1L);
  curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->post.body.data());
  curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(p->post.body.size()));
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, p->headers);
  curl_easy_setopt(c, CURLOPT_USERAGENT, fmt::format("Tandem/{}", program_version).c_str());
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(
      c, CURLOPT_TIMEOUT_MS,
      static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(options.timeout).count()));
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options.ca.empty()) {
    curl_easy_setopt(c, CURLOPT_CAINFO, options.ca.c_str());
    curl_easy_setopt(c, CURLOPT_CAPATH, nullptr);
  }
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, skip_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, p.get());
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, p.get());
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, p->error);
  curl_multi_add_handle(multi, c);
  posts.emplace(c, std::move(p));
}

void WebhookThread::Impl::finish(CURLMsg& message) {
  CURL* c = message.easy_handle;
  const auto it = posts.find(c);
  if (it == posts.end()) return;
  Post& p = *it->second;
  ops::WebhookOutcome outcome;
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_off_t wait = 0;
  curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &wait);
  // An answer whose body was cut is an answer.
  const bool cut = message.data.result == CURLE_WRITE_ERROR && p.answered > most_answer_octets;
  if (message.data.result == CURLE_OK || cut)
    outcome.status = static_cast<int>(status);
  else
    outcome.error = p.forbidden  ? "the address is private (webhooks.allow)"
                    : p.error[0] ? p.error
                                 : curl_easy_strerror(message.data.result);
  outcome.retry_after = static_cast<uint32_t>(std::clamp<curl_off_t>(wait, 0, 86'400));
  curl_multi_remove_handle(multi, c);
  const std::unique_ptr<Post> done = std::move(it->second);
  posts.erase(it);
  sender.done(net::now(), done->post, outcome);
}

void WebhookThread::Impl::run() {
  while (!stopping) {
    for (ops::WebhookPost& post : sender.step(net::now())) begin(std::move(post));
    int running = 0;
    curl_multi_perform(multi, &running);
    int left = 0;
    bool finished = false;
    while (CURLMsg* message = curl_multi_info_read(multi, &left))
      if (message->msg == CURLMSG_DONE) finish(*message), finished = true;
    if (finished) continue;
    const Now now = net::now();
    const Instant next = sender.next();
    const auto ahead =
        next.is_never() ? longest_wait_ms
                        : std::clamp<int64_t>((next - now.mono).count() / 1'000'000 + 1, 0, longest_wait_ms);
    curl_multi_poll(multi, nullptr, 0, next <= now.mono ? 0 : static_cast<int>(ahead), nullptr);
  }
}

}  // namespace tandem::app
