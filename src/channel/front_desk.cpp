#include "channel/front_desk.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>

#include "base/text.h"

namespace tandem::channel {
namespace json = boost::json;
namespace {

constexpr size_t json_depth = 8;
constexpr std::string_view no_key = "The security token included in the request is invalid.";

Failure<Refusal> no(int status, std::string_view type, std::string text) {
  return Failure{Refusal{status, type, std::move(text)}};
}
Failure<Refusal> invalid(std::string text) { return no(400, "InvalidArgumentException", std::move(text)); }
Failure<Refusal> denied(std::string text) { return no(403, "AccessDeniedException", std::move(text)); }
Failure<Refusal> too_fast() {
  return no(400, "ClientLimitExceededException", "too many requests within a second");
}

Failure<Refusal> store_refused(const port::StoreError& e) {
  using Kind = port::StoreError::Kind;
  switch (e.kind) {
    case Kind::conflict:
      return no(400, "ResourceInUseException", e.text);
    case Kind::not_found:
      return no(404, "ResourceNotFoundException", e.text);
    case Kind::limit:
      return no(400, "AccountChannelLimitExceededException", e.text);
    case Kind::invalid:
      return invalid(e.text);
    default:
      return no(503, "ServiceUnavailableException", "the directory is away; try again");
  }
}

Refusal refusal_of(auth::SigV4Fault fault) {
  using Fault = auth::SigV4Fault;
  switch (fault) {
    case Fault::missing:
      return {403, "MissingAuthenticationTokenException", "the request is not signed"};
    case Fault::incomplete:
      return {400, "IncompleteSignatureException", "a part of the signature is missing or cannot be read"};
    case Fault::expired:
      return {403, "InvalidSignatureException", "Signature expired: it was made too long ago"};
    case Fault::too_early:
      return {403, "InvalidSignatureException", "Signature not yet current: it was made in the future"};
    case Fault::scope:
      return {403, "InvalidSignatureException",
              "Credential should be scoped to this region, service and day"};
    case Fault::body:
      return {403, "InvalidSignatureException", "x-amz-content-sha256 is not the hash of the body"};
    case Fault::signature:
    case Fault::count_:
      break;
  }
  return {403, "InvalidSignatureException",
          "The request signature we calculated does not match the signature you provided."};
}

std::string_view path_of(const port::HttpRequest& request) {
  return std::string_view(request.target).substr(0, request.target.find('?'));
}

/// RFC 9110 section 5.6.7. Clients set their clocks by it when a signature is refused.
std::string http_date(WallTime t) {
  static constexpr std::array days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_seconds since{seconds(t.unix_seconds())};
  const auto day = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(since - day);
  const auto two = [](auto n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  return std::string(days[std::chrono::weekday(day).c_encoding()]) + ", " + two(unsigned(date.day())) + ' ' +
         months[unsigned(date.month()) - 1] + ' ' + std::to_string(int(date.year())) + ' ' +
         two(time.hours().count()) + ':' + two(time.minutes().count()) + ':' + two(time.seconds().count()) +
         " GMT";
}

Counter& refusals(CounterSet& counters, const std::string& reason) {
  return counters.counter("channel_requests_refused_total",
                          "Requests of signalling clients that were refused, by why",
                          "reason=\"" + reason + "\"");
}

/// The parts of a row that decide what its key may do.
auto rights(const port::AccessKeyRow& k) {
  return std::tie(k.secret, k.enabled, k.master, k.viewer, k.channels);
}

std::string version_text(const port::ChannelRow& row) { return "v" + std::to_string(row.version); }

}  // namespace

struct FrontDesk::Call {
  const port::HttpRequest& request;
  const port::AccessKeyRow& key;
  json::object body;
  Now now;

  /// Empty when it is absent.
  std::string text(std::string_view name) const { return text_of(body, name); }
  static std::string text_of(const json::object& from, std::string_view name) {
    const json::value* v = from.if_contains(name);
    return v && v->is_string() ? std::string(std::string_view(v->get_string())) : std::string();
  }
  const json::object* object(std::string_view name) const {
    const json::value* v = body.if_contains(name);
    return v ? v->if_object() : nullptr;
  }
  /// Of SingleMasterConfiguration; `otherwise` when it is absent, nothing when it is none.
  std::optional<uint32_t> message_ttl(uint32_t otherwise) const {
    const json::object* single = object("SingleMasterConfiguration");
    const json::value* ttl = single ? single->if_contains("MessageTtlSeconds") : nullptr;
    if (!ttl || ttl->is_null()) return otherwise;
    if (!ttl->is_int64() || ttl->get_int64() < 5 || ttl->get_int64() > 120) return std::nullopt;
    return static_cast<uint32_t>(ttl->get_int64());
  }
};

struct FrontDesk::Operation {
  std::string_view path;
  Answer (FrontDesk::*run)(const Call& call);
};

struct FrontDesk::Rates {
  explicit Rates(const FrontDeskConfig& c)
      : masters(c.connections_per_second),
        viewers(c.connections_per_second),
        ice(c.ice_per_second),
        describe(c.describe_per_second) {}
  Allowance masters, viewers, ice, describe;
};

const std::vector<FrontDesk::Operation>& FrontDesk::operations() {
  static const std::vector<Operation> all = {
      {"/createSignalingChannel", &FrontDesk::create},
      {"/deleteSignalingChannel", &FrontDesk::remove},
      {"/describeSignalingChannel", &FrontDesk::describe},
      {"/listSignalingChannels", &FrontDesk::list},
      {"/updateSignalingChannel", &FrontDesk::update},
      {"/getSignalingChannelEndpoint", &FrontDesk::endpoint},
      {"/v1/get-ice-server-config", &FrontDesk::ice},
  };
  return all;
}

FrontDesk::FrontDesk(FrontDeskConfig config, port::ChannelDirectory& directory, std::function<Now()> now,
                     CounterSet& counters, FrontDeskParts parts)
    : config_(std::move(config)),
      directory_(directory),
      now_(std::move(now)),
      parts_(std::move(parts)),
      requests_(counters.counter("channel_requests_total",
                                 "Operations on signalling channels that were asked for")),
      admitted_(counters.counter("channel_admitted_total", "WebSockets let in to signalling channels")),
      forgotten_urls_(counters.counter("channel_urls_forgotten_total",
                                       "Used URLs forgotten before their time, for want of room")),
      unknown_key_(refusals(counters, "unknown_key")),
      replayed_(refusals(counters, "replayed")),
      denied_(refusals(counters, "denied")),
      not_found_(refusals(counters, "not_found")),
      limited_(refusals(counters, "limited")),
      invalid_(refusals(counters, "invalid")) {
  for (size_t i = 0; i < faults_.size(); ++i)
    faults_[i] = &refusals(counters, auth::to_string(static_cast<auth::SigV4Fault>(i)));
  reload();
}
FrontDesk::~FrontDesk() = default;

// ---- rows
// --------------------------------------------------------------------------------------------------

void FrontDesk::reload() {
  auto channels = directory_.channels();
  auto keys = directory_.access_keys();
  stale_ = !channels.ok() || !keys.ok();
  if (stale_) return;
  decltype(channels_) new_channels;
  for (port::ChannelRow& row : *channels) new_channels.emplace(row.name, std::move(row));
  decltype(keys_) new_keys;
  for (port::AccessKeyRow& row : *keys) new_keys.emplace(row.id, std::move(row));
  const auto old_channels = std::exchange(channels_, std::move(new_channels));
  const auto old_keys = std::exchange(keys_, std::move(new_keys));
  std::erase_if(rates_, [&](const auto& r) { return channels_.count(r.first) == 0; });
  std::erase_if(of_keys_, [&](const auto& r) { return keys_.count(r.first) == 0; });
  if (!parts_.ended) return;
  for (const auto& [name, row] : old_channels) {
    const auto it = channels_.find(name);
    if (it == channels_.end() || it->second.created != row.created) parts_.ended(name, {});
  }
  for (const auto& [id, row] : old_keys) {
    const auto it = keys_.find(id);
    if (it == keys_.end() || rights(it->second) != rights(row)) parts_.ended({}, id);
  }
}

void FrontDesk::retry() {
  if (stale_) reload();
}

std::string FrontDesk::arn_of(const port::ChannelRow& row) const {
  return to_string(Arn{config_.signature.region, config_.account, row.name, row.created.unix_millis()});
}

/// What is not the key's is not told to be there or not.
Result<const port::ChannelRow*, Refusal> FrontDesk::channel_named(const port::AccessKeyRow& key,
                                                                  std::string_view name) const {
  if (!port::is_channel_word(name)) return invalid("ChannelName has to be 1 to 256 of A-Z, a-z, 0-9, _ . -");
  if (!port::covers(key, name)) return denied("the access key is not for that channel");
  const auto it = channels_.find(name);
  if (it == channels_.end())
    return no(404, "ResourceNotFoundException", "there is no channel " + std::string(name));
  return &it->second;
}

Result<const port::ChannelRow*, Refusal> FrontDesk::channel_of(const port::AccessKeyRow& key,
                                                               std::string_view text) const {
  const auto arn = parse_arn(text);
  if (!arn) return invalid("ChannelARN has to be arn:aws:kinesisvideo:REGION:ACCOUNT:channel/NAME/CREATED");
  auto row = channel_named(key, arn->name);
  if (row.ok() && arn_of(**row) != text)
    return no(404, "ResourceNotFoundException", "there is no channel " + std::string(text));
  return row;
}

FrontDesk::Rates& FrontDesk::rates(const std::string& channel) {
  return rates_.try_emplace(channel, config_).first->second;
}

void FrontDesk::changed(const Call& call, const std::string& channel) {
  if (parts_.events)
    parts_.events(
        {port::Level::info,
         "channel.changed",
         0,
         {{"who", call.key.id}, {"what", std::string(path_of(call.request))}, {"channel", channel}}});
  reload();
}

// ---- who asks
// ----------------------------------------------------------------------------------------------

Result<const port::AccessKeyRow*, Refusal> FrontDesk::caller(Now now, const port::HttpRequest& request,
                                                             bool by_url) {
  const auto fault = [&](auth::SigV4Fault f) {
    faults_[static_cast<size_t>(f)]->add();
    return Failure{refusal_of(f)};
  };
  const auto claims = auth::sigv4_claims(request);
  if (!claims.ok()) return fault(claims.reason());
  if (by_url != (claims->expires > Duration{0})) return fault(auth::SigV4Fault::incomplete);
  const auto it = keys_.find(claims->access_key);
  if (it == keys_.end() || !it->second.enabled) {
    unknown_key_.add();
    return no(403, "UnrecognizedClientException", std::string(no_key));
  }
  const port::AccessKeyRow& key = it->second;
  if (const auto good = auth::sigv4_check(now.wall, config_.signature, request, *claims, key.secret);
      !good.ok())
    return fault(good.reason());
  if (!of_keys_.try_emplace(key.id, config_.operations_per_second).first->second.take(now.mono))
    return too_fast();
  if (by_url)
    if (auto fresh = used_once(now, claims->signature); !fresh.ok()) return Failure{fresh.reason()};
  return &key;
}

Status<Refusal> FrontDesk::used_once(Now now, const std::string& signature) {
  while (!used_until_.empty() && (used_until_.front().first <= now.mono || used_.size() >= config_.urls)) {
    if (used_until_.front().first > now.mono) forgotten_urls_.add();
    used_.erase(used_until_.front().second);
    used_until_.pop_front();
  }
  if (!used_.insert(signature).second) {
    replayed_.add();
    return no(403, "InvalidSignatureException", "this URL has been used: sign another");
  }
  // A URL made by a clock that is ahead of ours is good for longer.
  used_until_.emplace_back(now.mono + config_.signature.longest + config_.signature.skew, signature);
  return Done{};
}

std::variant<std::shared_ptr<const port::ChannelGuest>, port::HttpResponse> FrontDesk::admit(
    const port::HttpRequest& request) {
  const Now now = now_();
  const auto answer = [&]() -> Result<std::shared_ptr<const port::ChannelGuest>, Refusal> {
    const auto key = caller(now, request, true);
    if (!key.ok()) return Failure{key.reason()};
    const auto arn = auth::query_member(request.target, "X-Amz-ChannelARN"),
               client = auth::query_member(request.target, "X-Amz-ClientId");
    const auto row = channel_of(**key, arn.value_or(""));
    if (!row.ok()) return Failure{row.reason()};
    auto guest = std::make_shared<port::ChannelGuest>();
    guest->channel = (*row)->name;
    guest->client = client.value_or("");
    guest->master = !client;  // clients tell their role by whether they have a name
    guest->access_key = (*key)->id;
    guest->message_ttl = seconds((*row)->message_ttl_seconds);
    guest->max_viewers = (*row)->max_viewers;
    if (!guest->master && !port::is_channel_word(guest->client))
      return invalid("X-Amz-ClientId has to be 1 to 256 of A-Z, a-z, 0-9, _ . -");
    if (!(guest->master ? (*key)->master : (*key)->viewer))
      return denied(guest->master ? "the access key may not connect as master"
                                  : "the access key may not connect as viewer");
    Rates& rate = rates(guest->channel);
    if (!(guest->master ? rate.masters : rate.viewers).take(now.mono)) return too_fast();
    admitted_.add();
    return std::shared_ptr<const port::ChannelGuest>(std::move(guest));
  }();
  if (answer.ok()) return *answer;
  return refuse(request, answer.reason());
}

// ---- answers
// -----------------------------------------------------------------------------------------------

bool FrontDesk::handles(const port::HttpRequest& request) {
  const auto& all = operations();
  return std::any_of(all.begin(), all.end(), [&](const auto& op) { return op.path == path_of(request); });
}

void FrontDesk::add_cors(const port::HttpRequest& request, port::HttpResponse& response) const {
  response.headers.emplace_back("Vary", "Origin");
  const std::string_view origin = request.header("Origin");
  if (origin.empty() || !parts_.origin_allowed || !parts_.origin_allowed(request)) return;
  response.headers.emplace_back("Access-Control-Allow-Origin", origin);
  response.headers.emplace_back("Access-Control-Expose-Headers", "x-amzn-ErrorType, Date");
}

port::HttpResponse FrontDesk::respond(const port::HttpRequest& request, int status, std::string body) const {
  port::HttpResponse r;
  r.status = status;
  r.body = std::move(body);
  r.headers = {
      {"Date", http_date(now_().wall)}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}};
  add_cors(request, r);
  return r;
}

port::HttpResponse FrontDesk::refuse(const port::HttpRequest& request, const Refusal& refusal) {
  if (refusal.type == "AccessDeniedException") denied_.add();
  if (refusal.type == "ResourceNotFoundException") not_found_.add();
  if (refusal.type == "ClientLimitExceededException") limited_.add();
  if (refusal.type == "InvalidArgumentException") invalid_.add();
  auto r = respond(request, refusal.status, json::serialize(json::object{{"message", refusal.text}}));
  r.headers.emplace_back("x-amzn-ErrorType", std::string(refusal.type));
  return r;
}

port::HttpResponse FrontDesk::answer(const port::HttpRequest& request) {
  if (request.method ==
      "OPTIONS") {  // what a browser asks before a page's request (the Fetch standard, CORS)
    auto r = respond(request, 204, {});
    r.content_type.clear();
    r.headers.emplace_back("Access-Control-Allow-Methods", "POST");
    r.headers.emplace_back("Access-Control-Allow-Headers",
                           "authorization, content-type, x-amz-content-sha256, x-amz-date, "
                           "x-amz-security-token, x-amz-user-agent, amz-sdk-invocation-id, amz-sdk-request");
    r.headers.emplace_back("Access-Control-Max-Age", "600");
    return r;
  }
  requests_.add();
  auto answer = serve(request);
  return answer.ok() ? respond(request, 200, std::move(*answer)) : refuse(request, answer.reason());
}

FrontDesk::Answer FrontDesk::serve(const port::HttpRequest& request) {
  if (request.method != "POST")
    return no(405, "InvalidArgumentException", "operations are asked for by POST");
  const Now now = now_();
  const auto key = caller(now, request, false);
  if (!key.ok()) return Failure{key.reason()};
  json::parse_options options;
  options.max_depth = json_depth;
  boost::system::error_code error;
  json::value body =
      request.body.empty() ? json::value(json::object{}) : json::parse(request.body, error, {}, options);
  if (error || !body.is_object()) return invalid("the body has to be a JSON object");
  const Call call{request, **key, std::move(body.as_object()), now};
  const auto& all = operations();
  const auto op =
      std::find_if(all.begin(), all.end(), [&](const auto& o) { return o.path == path_of(request); });
  return (this->*op->run)(call);
}

// ---- operations
// --------------------------------------------------------------------------------------------

std::string FrontDesk::info(const port::ChannelRow& row) const {
  return json::serialize(json::object{
      {"ChannelARN", arn_of(row)},
      {"ChannelName", row.name},
      {"ChannelStatus", "ACTIVE"},
      {"ChannelType", "SINGLE_MASTER"},
      {"CreationTime", static_cast<double>(row.created.unix_millis()) / 1000},
      {"SingleMasterConfiguration", json::object{{"MessageTtlSeconds", row.message_ttl_seconds}}},
      {"Version", version_text(row)}});
}

FrontDesk::Answer FrontDesk::create(const Call& call) {
  port::ChannelRow row;
  row.name = call.text("ChannelName");
  row.created = call.now.wall;
  if (!port::is_channel_word(row.name))
    return invalid("ChannelName has to be 1 to 256 of A-Z, a-z, 0-9, _ . -");
  if (!call.key.admin || !port::covers(call.key, row.name))
    return denied("the access key may not make that channel");
  if (const std::string type = call.text("ChannelType"); !type.empty() && type != "SINGLE_MASTER")
    return invalid("ChannelType has to be SINGLE_MASTER");
  if (const json::value* tags = call.body.if_contains("Tags");
      tags && tags->is_array() && !tags->get_array().empty())
    return invalid("channels have no tags here");
  const auto ttl = call.message_ttl(row.message_ttl_seconds);
  if (!ttl) return invalid("MessageTtlSeconds has to be 5 to 120");
  row.message_ttl_seconds = *ttl;
  if (const auto done = directory_.put_channel(row, port::Directory::Put::create); !done.ok())
    return store_refused(done.reason());
  changed(call, row.name);
  return json::serialize(json::object{{"ChannelARN", arn_of(row)}});
}

FrontDesk::Answer FrontDesk::remove(const Call& call) {
  const auto row = channel_of(call.key, call.text("ChannelARN"));
  if (!row.ok()) return Failure{row.reason()};
  if (!call.key.admin) return denied("the access key may not delete channels");
  const std::string version = call.text("CurrentVersion"), name = (*row)->name;
  if (!version.empty() && version != version_text(**row))
    return no(400, "VersionMismatchException", "the channel has another version: " + version_text(**row));
  if (const auto done = directory_.remove_channel(name); !done.ok()) return store_refused(done.reason());
  changed(call, name);
  return std::string("{}");
}

FrontDesk::Answer FrontDesk::describe(const Call& call) {
  const std::string arn = call.text("ChannelARN"), name = call.text("ChannelName");
  if (arn.empty() == name.empty()) return invalid("one of ChannelName and ChannelARN is needed");
  const auto row = arn.empty() ? channel_named(call.key, name) : channel_of(call.key, arn);
  if (!row.ok()) return Failure{row.reason()};
  if (!rates((*row)->name).describe.take(call.now.mono)) return too_fast();
  return "{\"ChannelInfo\":" + info(**row) + "}";
}

FrontDesk::Answer FrontDesk::list(const Call& call) {
  size_t most = 1000;
  if (const json::value* max = call.body.if_contains("MaxResults"); max && !max->is_null()) {
    if (!max->is_int64() || max->get_int64() < 1 || max->get_int64() > 10'000)
      return invalid("MaxResults has to be 1 to 10000");
    most = static_cast<size_t>(max->get_int64());
  }
  std::string prefix;
  if (const json::object* condition = call.object("ChannelNameCondition")) {
    if (Call::text_of(*condition, "ComparisonOperator") != "BEGINS_WITH")
      return invalid("ComparisonOperator has to be BEGINS_WITH");
    prefix = Call::text_of(*condition, "ComparisonValue");
  }
  const std::string after = call.text("NextToken");  // the last name of the page before
  std::string items, next;
  size_t count = 0;
  for (auto it = after.empty() ? channels_.lower_bound(prefix) : channels_.upper_bound(after);
       it != channels_.end() && next.empty(); ++it) {
    if (!it->first.starts_with(prefix) || !port::covers(call.key, it->first)) continue;
    items += (count == 0 ? "" : ",") + info(it->second);
    if (++count == most) next = it->first;
  }
  std::string out = "{\"ChannelInfoList\":[" + items + "]";
  if (!next.empty()) out += ",\"NextToken\":\"" + next + "\"";
  return out + "}";
}

FrontDesk::Answer FrontDesk::update(const Call& call) {
  const auto known = channel_of(call.key, call.text("ChannelARN"));
  if (!known.ok()) return Failure{known.reason()};
  if (!call.key.admin) return denied("the access key may not change channels");
  port::ChannelRow row = **known;
  if (call.text("CurrentVersion") != version_text(row))
    return no(400, "VersionMismatchException", "the channel has another version: " + version_text(row));
  const auto ttl = call.message_ttl(row.message_ttl_seconds);
  if (!ttl) return invalid("MessageTtlSeconds has to be 5 to 120");
  row.message_ttl_seconds = *ttl;
  ++row.version;
  if (const auto done = directory_.put_channel(row, port::Directory::Put::replace); !done.ok())
    return store_refused(done.reason());
  changed(call, row.name);
  return std::string("{}");
}

FrontDesk::Answer FrontDesk::endpoint(const Call& call) {
  const auto row = channel_of(call.key, call.text("ChannelARN"));
  if (!row.ok()) return Failure{row.reason()};
  const json::object* wanted = call.object("SingleMasterChannelEndpointConfiguration");
  const std::string role = wanted ? Call::text_of(*wanted, "Role") : std::string();
  const bool master = role == "MASTER";
  if (!role.empty() && !master && role != "VIEWER") return invalid("Role has to be MASTER or VIEWER");
  if (!(master ? call.key.master : call.key.viewer))
    return denied(master ? "the access key may not connect as master"
                         : "the access key may not connect as viewer");
  const std::string host =
      config_.endpoint.empty() ? std::string(call.request.header("Host")) : config_.endpoint;
  json::array endpoints;
  const json::value* protocols = wanted ? wanted->if_contains("Protocols") : nullptr;
  const json::array none;
  for (const json::value& p : protocols && protocols->is_array() ? protocols->get_array() : none) {
    const std::string_view name = p.is_string() ? std::string_view(p.get_string()) : std::string_view();
    if (name != "WSS" && name != "HTTPS") return invalid("Protocols have to be WSS or HTTPS");
    endpoints.push_back(
        json::object{{"Protocol", name},
                     {"ResourceEndpoint",
                      name == "WSS" ? "wss://" + host + std::string(websocket_path) : "https://" + host}});
    if (endpoints.size() > 2) return invalid("Protocols are at most two");
  }
  if (endpoints.empty()) return invalid("Protocols have to be WSS or HTTPS");
  return json::serialize(json::object{{"ResourceEndpointList", std::move(endpoints)}});
}

FrontDesk::Answer FrontDesk::ice(const Call& call) {
  const auto row = channel_of(call.key, call.text("ChannelARN"));
  if (!row.ok()) return Failure{row.reason()};
  if (!call.key.master && !call.key.viewer) return denied("the access key connects to no channel");
  const std::string client = call.text("ClientId"), service = call.text("Service");
  if (!client.empty() && !port::is_channel_word(client))
    return invalid("ClientId has to be 1 to 256 of A-Z, a-z, 0-9, _ . -");
  if (!service.empty() && service != "TURN") return invalid("Service has to be TURN");
  if (!rates((*row)->name).ice.take(call.now.mono)) return too_fast();
  json::array servers;
  // The channel tells an operator who looks at allocations more than what a client calls itself.
  for (const IceServer& s : parts_.ice ? parts_.ice((*row)->name) : std::vector<IceServer>{}) {
    json::array uris;
    for (const std::string& uri : s.uris) uris.emplace_back(uri);
    servers.push_back(json::object{
        {"Uris", std::move(uris)}, {"Username", s.username}, {"Password", s.password}, {"Ttl", s.ttl}});
  }
  return json::serialize(json::object{{"IceServerList", std::move(servers)}});
}

}  // namespace tandem::channel
