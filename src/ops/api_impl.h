#pragma once
// Inside the API: one exchange, the table of operations, and helpers the operations share.
#include <boost/json.hpp>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "crypto/password.h"
#include "ops/api.h"
#include "ops/guess_limit.h"

namespace tandem::ops {

/// Who asks.
struct Caller {
  Scope scope = Scope::none;
  std::string name;                // of the session's account; otherwise "token" and the token's
  std::optional<Session> session;  // by cookie

  bool may(Scope wanted) const;
};

/// One request on its way through an operation. Copyable, so that an answer that comes later can hold it.
struct Exchange {
  port::HttpReply reply;
  std::string method;                                  // GET for a HEAD
  std::vector<std::string> path;                       // values of the {parameters}, in order
  std::unordered_map<std::string, std::string> query;  // decoded
  boost::json::value body;                             // parsed JSON; null without a body
  bool csv = false;                                    // Accept: text/csv or format=csv
  std::string allow;                                   // of a 405: the methods there are
  Caller caller;
  IpAddress source;
  bool secure = false;  // by TLS
  std::string user_agent;
  std::string content_type;
  std::string range;  // of a GET (RFC 9110 section 14.2); empty: everything

  void json(int status, const boost::json::value& value,
            std::vector<std::pair<std::string, std::string>> headers = {}) const;
  /// 429 with Retry-After.
  void limited(uint32_t seconds, std::string_view message) const;
  void none() const;  // 204
  /// {"error": {"kind": ..., "message": ...}}
  void error(int status, std::string_view kind, std::string_view message) const;
  /// 405 with the methods there are, in Allow too (RFC 9110 section 15.5.6).
  void not_allowed(std::string_view target, std::string_view methods);
  /// 400, with the place in the body as a member of its own: {"error": {..., "path": "forwarding.busy"}}.
  void bad_body(std::string_view path, std::string_view what) const;
  void store_error(const port::StoreError& e) const;
  std::string text(const std::string& name) const;
  /// `otherwise` when absent; nothing when it is no number.
  std::optional<uint32_t> number(const std::string& name, uint32_t otherwise) const;
};

struct Operation {
  const char* method;
  const char* path;  // "/subscribers/{domain}/{user}"
  Scope scope;
  const char* summary;
  const char* request;   // schema name of the body, or null
  const char* response;  // schema name, "[Name]" for a list under "items", a media type, or null for 204
  std::vector<std::pair<const char*, const char*>> query;  // name, meaning
  std::function<void(ApiImpl&, const Exchange&)> run;
};

struct ApiImpl {
  ApiImpl(ApiConfig config, port::Directory& directory, NodeControl& node, std::function<WallTime()> wall,
          CounterSet& counters, ApiParts parts);

  boost::json::object document() const;
  void dispatch(const port::HttpRequest& request, port::HttpReply reply);
  Caller token_caller(std::string_view authorization, WallTime now) const;
  /// By token or cookie. False: it has been answered, 429.
  bool identify(const port::HttpRequest& request, Exchange& x);
  /// False: it has been answered, 401 or 403.
  bool allowed(const port::HttpRequest& request, const Exchange& x, Scope wanted);
  void answer_console(const port::HttpRequest& request, std::string_view path, Exchange& x);
  /// Does `work` where it may take its time, then `then` with its result here. Answers 503 when too many
  /// wait.
  template <class T>
  void slowly(const Exchange& x, std::function<T()> work, std::function<void(T)> then);
  /// After slowly(): whether the session that asked has ended meanwhile, perhaps with what its account may
  /// do. True: it has been answered, 401.
  bool ended_meanwhile(const Exchange& x);
  void event(port::Level level, std::string_view name,
             std::vector<std::pair<std::string_view, std::string>> fields) const;
  bool answer_page(const port::HttpRequest& request, std::string_view path, Exchange& x);
  bool read_query(std::string_view text, const Operation& op, Exchange& x);
  bool read_body(const std::string& text, const Operation& op, Exchange& x);
  const Operation* match(const std::string& method, const std::vector<std::string>& segments,
                         std::vector<std::string>& path, std::string& allowed) const;

  ApiConfig config;
  port::Directory& directory;
  NodeControl& node;
  std::function<WallTime()> wall;
  std::vector<Operation> operations;
  std::vector<port::ApiTokenRow> tokens;
  ApiParts parts;
  SessionTable sessions;
  History history;
  GuessLimit guesses, account_guesses;
  Counter& requests;
  Counter& refused;
  Counter& limited;
  Counter& bad;
  Counter& forged;
  Counter& signed_in;
  Counter& sign_in_failed;
  Counter& too_slow;
  Counter& tickets_given;
};

template <class T>
void ApiImpl::slowly(const Exchange& x, std::function<T()> work, std::function<void(T)> then) {
  auto task = [this, work = std::move(work), then = std::move(then)] {
    auto finish = [then, result = work()] { then(result); };
    if (parts.post)
      parts.post(std::move(finish));
    else
      finish();
  };
  if (!parts.slow) return task();
  if (parts.slow(std::move(task))) return;
  too_slow.add();
  x.error(503, "unavailable", "too many passwords are being checked; try again");
}

/// The bytes of a file of sound, or why there are none.
void answer_sound(ApiImpl& api, const Exchange& x, port::SoundFile file);
/// A voice message of the mailbox by its number in the path. Nothing: it has been answered.
std::optional<port::Voicemail> find_message(ApiImpl& api, const Exchange& x,
                                            const port::AddressOfRecord& mailbox, std::string_view name);

void add_subscriber_operations(std::vector<Operation>& table);
void add_recording_operations(std::vector<Operation>& table);
void add_plan_operations(std::vector<Operation>& table);
void add_mailbox_operations(std::vector<Operation>& table);
void add_explain_operation(std::vector<Operation>& table);
void add_live_operations(std::vector<Operation>& table);
void add_turn_operations(std::vector<Operation>& table);
void add_order_operations(std::vector<Operation>& table);
void add_webhook_operations(std::vector<Operation>& table);
void add_record_operations(std::vector<Operation>& table);
void add_session_operations(std::vector<Operation>& table);
void add_admin_operations(std::vector<Operation>& table);
void add_own_operations(std::vector<Operation>& table);
void add_channel_operations(std::vector<Operation>& table);

boost::json::object openapi_document(const std::vector<Operation>& table, boost::json::object info);

std::string percent_decode(std::string_view text);

// ---- administrators' passwords (api_admins.cpp)
const port::AdminRow* find_admin(const std::vector<port::AdminRow>& rows, std::string_view name);
/// A stored password that nothing matches.
std::string nobodys_password();
/// Null: it may be used.
const char* problem_with_password(std::string_view password);
crypto::PasswordSalt new_salt(Rng& rng);

/// Value of the session's cookie in a Cookie header (RFC 6265 section 4.2.1); empty when it is not there.
/// With TLS its name is "__Host-tandem": browsers take that from this very host alone, never from a
/// neighbour in its domain.
std::string_view session_cookie(std::string_view header, bool secure);

}  // namespace tandem::ops
