#pragma once
// Inside the API: one exchange, the table of operations, and helpers the operations share.
#include <boost/json.hpp>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ops/api.h"
#include "ops/guess_limit.h"

namespace tandem::ops {

/// One request on its way through an operation. Copyable, so that an answer that comes later can hold it.
struct Exchange {
  port::HttpReply reply;
  std::string method;                                  // GET for a HEAD
  std::vector<std::string> path;                       // values of the {parameters}, in order
  std::unordered_map<std::string, std::string> query;  // decoded
  boost::json::value body;                             // parsed JSON; null without a body
  bool csv = false;                                    // Accept: text/csv or format=csv
  std::string allow;                                   // of a 405: the methods there are

  void json(int status, const boost::json::value& value) const;
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

enum class Scope : uint8_t { none, read, admin };

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
          CounterSet& counters);

  boost::json::object document() const;
  void dispatch(const port::HttpRequest& request, port::HttpReply reply);
  Scope scope_of(const port::HttpRequest& request, WallTime now) const;
  bool authorized(const port::HttpRequest& request, const Exchange& x, bool metrics, Scope& scope);
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
  GuessLimit guesses;
  Counter& requests;
  Counter& refused;
  Counter& limited;
  Counter& bad;
};

/// The bytes of a file of sound, or why there are none.
void answer_sound(ApiImpl& api, const Exchange& x, port::SoundFile file);

void add_subscriber_operations(std::vector<Operation>& table);
void add_recording_operations(std::vector<Operation>& table);
void add_plan_operations(std::vector<Operation>& table);
void add_mailbox_operations(std::vector<Operation>& table);
void add_explain_operation(std::vector<Operation>& table);
void add_live_operations(std::vector<Operation>& table);
void add_record_operations(std::vector<Operation>& table);

boost::json::object openapi_document(const std::vector<Operation>& table, boost::json::object info);

std::string percent_decode(std::string_view text);

}  // namespace tandem::ops
