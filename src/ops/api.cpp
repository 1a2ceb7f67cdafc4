#include "ops/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"
#include "crypto/hash.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] == '%' && i + 2 < text.size()) {
      if (const auto byte = from_hex(text.substr(i + 1, 2))) {
        out += *byte;
        i += 2;
      } else {
        out.push_back('%');
      }
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// ---- Exchange --------------------------------------------------------------------------------------------

void Exchange::json(int status, const json::value& value,
                    std::vector<std::pair<std::string, std::string>> headers) const {
  port::HttpResponse r;
  r.status = status;
  r.headers = std::move(headers);
  if (!allow.empty()) r.headers.emplace_back("Allow", allow);
  r.body = json::serialize(value);
  r.body.push_back('\n');
  reply(std::move(r));
}

void Exchange::none() const {
  port::HttpResponse r;
  r.status = 204;
  r.content_type.clear();
  reply(std::move(r));
}

void Exchange::error(int status, std::string_view kind, std::string_view message) const {
  json(status, {{"error", json::object{{"kind", kind}, {"message", valid_utf8(message)}}}});
}

void Exchange::limited(uint32_t seconds, std::string_view message) const {
  json(429, {{"error", json::object{{"kind", "limit"}, {"message", message}}}},
       {{"Retry-After", std::to_string(seconds)}});
}

void Exchange::not_allowed(std::string_view target, std::string_view methods) {
  allow = methods;
  error(405, "method_not_allowed", fmt::format("{} takes {}", target, methods));
}

void Exchange::bad_body(std::string_view where, std::string_view what) const {
  const std::string message = where.empty() ? std::string(what) : fmt::format("{}: {}", where, what);
  json(400,
       {{"error",
         json::object{{"kind", "invalid"}, {"message", valid_utf8(message)}, {"path", valid_utf8(where)}}}});
}

void Exchange::store_error(const port::StoreError& e) const {
  using Kind = port::StoreError::Kind;
  int status = 500;
  switch (e.kind) {
    case Kind::not_found:
      status = 404;
      break;
    case Kind::conflict:
      status = 409;
      break;
    case Kind::invalid:
      status = 422;
      break;
    case Kind::limit:
      status = 429;
      break;
    case Kind::unavailable:
    case Kind::read_only:
    case Kind::corrupt:
    case Kind::newer:
      status = 503;
      break;
    case Kind::full:
      status = 507;
      break;
    case Kind::internal:
      break;
  }
  error(status, port::to_text(e.kind), e.text);
}

std::string Exchange::text(const std::string& name) const {
  const auto it = query.find(name);
  return it == query.end() ? std::string() : it->second;
}

std::optional<uint32_t> Exchange::number(const std::string& name, uint32_t otherwise) const {
  const auto it = query.find(name);
  return it == query.end() ? std::optional<uint32_t>(otherwise) : parse_u32(it->second);
}

// ---- dispatch --------------------------------------------------------------------------------------------

namespace {

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (!segment.empty()) segments.push_back(percent_decode(segment));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return segments;
}

std::unordered_map<std::string, std::string> split_query(std::string_view query) {
  std::unordered_map<std::string, std::string> out;
  while (!query.empty()) {
    const size_t amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    const size_t equals = pair.find('=');
    if (!pair.empty())
      out.insert_or_assign(percent_decode(pair.substr(0, equals)),
                           equals == std::string_view::npos ? "" : percent_decode(pair.substr(equals + 1)));
    query.remove_prefix(amp == std::string_view::npos ? query.size() : amp + 1);
  }
  return out;
}

void plain(const port::HttpReply& reply, int status, std::string body,
           const char* type = "text/plain; charset=utf-8") {
  port::HttpResponse r;
  r.status = status;
  r.content_type = type;
  r.body = std::move(body);
  reply(std::move(r));
}

/// A body deeper than this is refused: nobody nests a row.
constexpr size_t json_depth = 16;

}  // namespace

ApiImpl::ApiImpl(ApiConfig c, port::Directory& d, NodeControl& n, std::function<WallTime()> w,
                 CounterSet& counters, ApiParts p)
    : config(std::move(c)),
      directory(d),
      node(n),
      wall(std::move(w)),
      parts(std::move(p)),
      sessions(config.sessions, counters),
      guesses(config.guesses, config.guess_sources, config.guess_key),
      account_guesses(config.account_guesses, config.guess_sources, config.guess_key),
      requests(counters.counter("api_requests_total", "REST requests handled")),
      refused(counters.counter("api_unauthorized_total",
                               "REST requests without a token or session that allows them")),
      limited(counters.counter("api_guesses_limited_total",
                               "REST requests refused because their source, or all sources for that account, "
                               "had tried too many wrong tokens or passwords")),
      bad(counters.counter("api_bad_requests_total", "REST requests that could not be understood")),
      forged(counters.counter("api_forged_total",
                              "REST requests with a session's cookie and without its token (CSRF)")),
      signed_in(counters.counter("console_sign_ins_total", "Sign-ins, by result", "result=\"ok\"")),
      sign_in_failed(counters.counter("console_sign_ins_total", "Sign-ins, by result", "result=\"refused\"")),
      too_slow(counters.counter("console_sign_ins_total", "Sign-ins, by result", "result=\"busy\"")),
      tickets_given(counters.counter("console_tickets_total",
                                     "tickets for the JSON API given to subscribers who are signed in")) {
  add_subscriber_operations(operations);
  add_plan_operations(operations);
  add_mailbox_operations(operations);
  add_recording_operations(operations);
  add_explain_operation(operations);
  add_live_operations(operations);
  add_turn_operations(operations);
  add_order_operations(operations);
  add_webhook_operations(operations);
  add_record_operations(operations);
  add_session_operations(operations);
  add_admin_operations(operations);
  add_own_operations(operations);
  add_channel_operations(operations);
}

bool Caller::may(Scope wanted) const {
  switch (wanted) {
    case Scope::open:
      return true;
    case Scope::session:
      return session.has_value();
    case Scope::own:
      return session && session->subscriber;
    default:
      return wanted != Scope::none && scope >= wanted;
  }
}

void ApiImpl::event(port::Level level, std::string_view name,
                    std::vector<std::pair<std::string_view, std::string>> fields) const {
  if (parts.events) parts.events({level, name, 0, std::move(fields)});
}

Caller ApiImpl::token_caller(std::string_view header, WallTime now) const {
  Caller caller{Scope::none, "token", {}};
  if (!istarts_with(header, "Bearer ")) return caller;
  const std::string digest =
      std::string(crypto::hash_hex(crypto::Hash::sha256, {trim(header.substr(7))}).view());
  for (const port::ApiTokenRow& row :
       tokens)  // all of them, so that the time tells nothing about which matched
    if (crypto::constant_time_equal(row.sha256, digest) && row.enabled &&
        (row.expires.ns == 0 || now < row.expires))
      caller = {row.scopes == "admin" ? Scope::admin : Scope::read, "token " + row.name, {}};
  return caller;
}

const Operation* ApiImpl::match(const std::string& method, const std::vector<std::string>& segments,
                                std::vector<std::string>& path, std::string& allowed) const {
  for (const Operation& op : operations) {
    const std::vector<std::string> wanted = split_path(op.path);
    if (wanted.size() != segments.size()) continue;
    std::vector<std::string> values;
    bool same = true;
    for (size_t i = 0; i < wanted.size() && same; ++i) {
      if (wanted[i].front() == '{')
        values.push_back(segments[i]);
      else
        same = wanted[i] == segments[i];
    }
    if (!same) continue;
    if (method == op.method) {
      path = std::move(values);
      return &op;
    }
    allowed += allowed.empty() ? "" : ", ";
    allowed += std::string_view(op.method) == "GET" ? "GET, HEAD" : op.method;
  }
  return nullptr;
}

/// True: it has been answered. Pages outside the table of operations; a token is asked for /metrics only.
bool ApiImpl::answer_page(const port::HttpRequest& request, std::string_view path, Exchange& x) {
  const bool metrics = path == "/metrics", document_page = path == "/api/v1/openapi.json";
  const bool health = path == "/healthz", ready = path == "/readyz";
  if (!metrics && !document_page && !health && !ready) return false;
  if (x.method != "GET") {
    x.not_allowed(path, "GET, HEAD");
  } else if (health) {
    plain(x.reply, 200, "ok\n");
  } else if (ready) {
    const auto why = node.not_ready();
    plain(x.reply, why ? 503 : 200, why ? *why + "\n" : "ready\n");
  } else if (document_page) {
    port::HttpResponse r;
    r.body = json::serialize(document());
    x.reply(std::move(r));
  } else if (x.source.is_loopback() || (identify(request, x) && allowed(request, x, Scope::read))) {
    // A scraper on the same host needs no token: the figures hold no names and no secrets.
    plain(x.reply, 200, node.metrics_text(), "text/plain; version=0.0.4; charset=utf-8");
  }
  return true;
}

/// False: it has been answered.
bool ApiImpl::read_query(std::string_view text, const Operation& op, Exchange& x) {
  x.query = split_query(text);
  for (const auto& pair : x.query) {
    const bool known =
        pair.first == "format" ||
        std::any_of(op.query.begin(), op.query.end(), [&](const auto& q) { return pair.first == q.first; });
    if (known) continue;
    bad.add();
    x.error(400, "invalid", fmt::format("unknown query parameter '{}'", pair.first));
    return false;
  }
  return true;
}

void ApiImpl::answer_console(const port::HttpRequest& request, std::string_view path, Exchange& x) {
  if (path.starts_with("/api/")) return x.error(404, "not_found", "no such page");
  if (x.method != "GET") return x.not_allowed(path, "GET, HEAD");
  static const WebFiles nothing;
  x.reply((parts.files ? *parts.files : nothing).answer(path, request.header("Accept-Encoding")));
}

void ApiImpl::dispatch(const port::HttpRequest& request, port::HttpReply reply) {
  requests.add();
  const std::string_view target = request.target;
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  static constexpr std::string_view prefix = "/api/v1/";
  Exchange x;
  x.reply = std::move(reply);
  // RFC 9110 section 9.3.2: HEAD is GET, and `net` sends no body.
  x.method = request.method == "HEAD" ? "GET" : request.method;
  x.source = request.peer.ip;
  x.secure = request.secure;
  x.user_agent = request.header("User-Agent").substr(0, 256);
  x.content_type = request.header("Content-Type");
  // RFC 9110 section 13.1.5: we give no validators, so what is asked for by one is another, and sent whole.
  if (request.method == "GET" && request.header("If-Range").empty())
    x.range = request.header("Range").substr(0, 64);
  if (answer_page(request, path, x)) return;
  if (!path.starts_with(prefix)) return answer_console(request, path, x);
  if (!identify(request, x)) return;
  const auto segments = split_path(path.substr(prefix.size()));
  std::string allowed_methods;
  const Operation* op = match(x.method, segments, x.path, allowed_methods);
  if (!allowed(request, x, op ? op->scope : Scope::none)) return;
  if (!std::all_of(segments.begin(), segments.end(), is_plain_text)) {
    bad.add();
    return x.error(400, "invalid", "the path holds control characters or no UTF-8");
  }
  if (!op && allowed_methods.empty()) return x.error(404, "not_found", fmt::format("no resource {}", path));
  if (!op) return x.not_allowed(path, allowed_methods);
  if (question != std::string_view::npos && !read_query(target.substr(question + 1), *op, x)) return;
  x.csv = x.text("format") == "csv" || request.header("Accept").find("text/csv") != std::string_view::npos;
  if (!read_body(request.body, *op, x)) return;
  if (x.method != "GET" && op->scope != Scope::open)
    event(port::Level::info, "api.changed",
          {{"who", x.caller.name}, {"what", fmt::format("{} {}", op->method, op->path)}});
  op->run(*this, x);
}

/// False: it has been answered.
bool ApiImpl::read_body(const std::string& text, const Operation& op, Exchange& x) {
  if (text.empty() && !op.request) return true;
  std::string problem = "a JSON body is needed";
  if (!text.empty()) {
    json::parse_options options;
    options.max_depth = json_depth;
    json::parser parser({}, options);
    boost::system::error_code error;
    const size_t read = parser.write(text.data(), text.size(), error);
    if (!error) {
      x.body = parser.release();
      return true;
    }
    problem = fmt::format("the body is not JSON: {} at byte {}", error.message(), read);
  }
  bad.add();
  x.bad_body("", problem);
  return false;
}

bool ApiImpl::identify(const port::HttpRequest& request, Exchange& x) {
  const WallTime now = wall();
  const std::string_view authorization = request.header("Authorization");
  if (authorization.empty()) {
    const auto cookie = session_cookie(request.header("Cookie"), x.secure);
    const bool background = !request.header("X-Background").empty();
    if (const Session* s = cookie.empty() ? nullptr : sessions.find(now, cookie, background))
      x.caller = {s->scope, s->account, *s};
    return true;
  }
  const uint64_t source = guesses.key_of(x.source);
  if (const uint32_t seconds = guesses.wait(now, source)) {
    limited.add();
    return x.limited(seconds, "too many wrong tokens or passwords from this address"), false;
  }
  x.caller = token_caller(authorization, now);
  if (x.caller.scope == Scope::none) guesses.note_wrong(now, source);
  return true;
}

bool ApiImpl::ended_meanwhile(const Exchange& x) {
  if (!x.caller.session || sessions.has(x.caller.session->id)) return false;
  refused.add();
  x.error(401, "unauthorized", "the session has ended");
  return true;
}

bool ApiImpl::allowed(const port::HttpRequest& request, const Exchange& x, Scope wanted) {
  if (wanted == Scope::open) return true;
  if (x.caller.scope == Scope::none) {
    refused.add();
    x.json(401,
           {{"error", json::object{{"kind", "unauthorized"},
                                   {"message", "a valid bearer token, or a session, is needed"}}}},
           {{"WWW-Authenticate", "Bearer"}});
    return false;
  }
  // RFC 6265 section 8.2: the cookie comes along whoever wrote the page; the token only our pages know.
  if (x.caller.session && x.method != "GET" &&
      !crypto::constant_time_equal(x.caller.session->csrf, request.header("X-CSRF-Token"))) {
    forged.add();
    x.error(403, "csrf", "a request that changes something needs the session's X-CSRF-Token");
    return false;
  }
  // What is not there is told to everybody who is known.
  if (wanted == Scope::none || x.caller.may(wanted)) return true;
  refused.add();
  x.error(403, "forbidden",
          wanted == Scope::session || wanted == Scope::own ? "only for who signed in with a cookie"
          : x.caller.session                               ? "your role does not allow this"
                                                           : "the token may only read");
  return false;
}

Api::Api(ApiConfig config, port::Directory& directory, NodeControl& node, std::function<WallTime()> wall,
         CounterSet& counters, ApiParts parts)
    : impl_(std::make_unique<ApiImpl>(std::move(config), directory, node, std::move(wall), counters,
                                      std::move(parts))) {
  reload_tokens();
}
Api::~Api() = default;

void Api::handle(const port::HttpRequest& request, port::HttpReply reply) {
  impl_->dispatch(request, [reply = std::move(reply)](port::HttpResponse r) {
    // Answers hold names and numbers: they are for nobody's cache, and no page.
    const auto has = [&](std::string_view name) {
      return std::any_of(r.headers.begin(), r.headers.end(), [&](const auto& h) { return h.first == name; });
    };
    if (!has("Cache-Control")) r.headers.emplace_back("Cache-Control", "no-store");
    if (!has("Content-Security-Policy"))
      r.headers.emplace_back("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    r.headers.emplace_back("X-Content-Type-Options", "nosniff");
    reply(std::move(r));
  });
}

void Api::sample() { impl_->history.add(impl_->wall(), impl_->node.figures()); }

json::object ApiImpl::document() const {
  return openapi_document(operations,
                          {{"title", config.server_name + " REST API"}, {"version", config.version}});
}

std::string Api::openapi() const { return json::serialize(impl_->document()); }

void Api::reload_tokens() {
  // When the database is away the tokens we know stay good (fail static).
  if (auto rows = impl_->directory.api_tokens(); rows.ok()) impl_->tokens = std::move(*rows);
}

}  // namespace tandem::ops
