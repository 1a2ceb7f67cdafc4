#pragma once
// Who may come to a signalling channel, and what clients ask before they do: the operations of Kinesis Video
// Streams that its signalling clients use, as HTTP (docs/channels.md). Runs on a control thread, beside REST.
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "auth/sigv4.h"
#include "base/counters.h"
#include "channel/allowance.h"
#include "channel/arn.h"
#include "port/channels.h"
#include "port/event.h"
#include "port/http.h"

namespace tandem::channel {

/// Where clients' WebSockets are.
inline constexpr std::string_view websocket_path = "/channels";

struct FrontDeskConfig {
  auth::SigV4Config signature;
  std::string account = "000000000000";  // in ARNs
  std::string endpoint;                  // "host:port" clients are sent to; empty: the host they asked
  uint32_t operations_per_second = 50;   // of one access key; twice as many at once, and of the next three
  uint32_t connections_per_second = 3;   // of one channel and role
  uint32_t ice_per_second = 5;           // of one channel
  uint32_t describe_per_second = 5;      // of one channel
  size_t urls = 65'536;  // that have been used and would still be good; past it the oldest is forgotten
};

struct IceServer {
  std::vector<std::string> uris;
  std::string username, password;
  int64_t ttl = 0;  // seconds
};

/// What the desk is built on besides the directory; all may be left out (tests).
struct FrontDeskParts {
  /// The TURN servers there are for that client, with credentials of its own.
  std::function<std::vector<IceServer>(const std::string& client)> ice = {};
  /// May a page of the request's Origin use this? Never asked when it has none.
  std::function<bool(const port::HttpRequest&)> origin_allowed = {};
  /// A channel, or whoever came with an access key, has to leave (the other of the two is empty).
  std::function<void(const std::string& channel, const std::string& access_key)> ended = {};
  std::function<void(const port::Event&)> events = {};
};

/// A row changed, or could not be: the name of the exception clients know, and a sentence.
struct Refusal {
  int status = 400;
  std::string_view type;  // "ResourceNotFoundException"
  std::string text;
};

class FrontDesk {
 public:
  /// `directory` is used on the thread that calls this only. `now` gives the time of a request.
  FrontDesk(FrontDeskConfig config, port::ChannelDirectory& directory, std::function<Now()> now,
            CounterSet& counters, FrontDeskParts parts);
  ~FrontDesk();

  /// Whether the request is for one of the operations.
  static bool handles(const port::HttpRequest& request);
  port::HttpResponse answer(const port::HttpRequest& request);
  /// A WebSocket's request, whose URL was signed beforehand: who comes, or the answer that is no.
  std::variant<std::shared_ptr<const port::ChannelGuest>, port::HttpResponse> admit(
      const port::HttpRequest& request);

  /// The rows changed (and once at start). When the directory is away what was known stays good until
  /// retry() finds it back.
  void reload();
  void retry();

 private:
  struct Call;  // one request of an access key
  struct Operation;
  struct Rates;
  using Answer = Result<std::string, Refusal>;  // JSON
  static const std::vector<Operation>& operations();

  Answer serve(const port::HttpRequest& request);
  Result<const port::AccessKeyRow*, Refusal> caller(Now now, const port::HttpRequest& request, bool by_url);
  Result<const port::ChannelRow*, Refusal> channel_of(const port::AccessKeyRow& key,
                                                      std::string_view arn) const;
  Result<const port::ChannelRow*, Refusal> channel_named(const port::AccessKeyRow& key,
                                                         std::string_view name) const;
  Status<Refusal> used_once(Now now, const std::string& signature);
  std::string arn_of(const port::ChannelRow& row) const;
  std::string info(const port::ChannelRow& row) const;
  Rates& rates(const std::string& channel);
  void changed(const Call& call, const std::string& channel);
  port::HttpResponse respond(const port::HttpRequest& request, int status, std::string body) const;
  port::HttpResponse refuse(const port::HttpRequest& request, const Refusal& refusal);
  void add_cors(const port::HttpRequest& request, port::HttpResponse& response) const;

  Answer create(const Call& call);
  Answer remove(const Call& call);
  Answer describe(const Call& call);
  Answer list(const Call& call);
  Answer update(const Call& call);
  Answer endpoint(const Call& call);
  Answer ice(const Call& call);

  const FrontDeskConfig config_;
  port::ChannelDirectory& directory_;
  std::function<Now()> now_;
  FrontDeskParts parts_;
  std::map<std::string, port::ChannelRow, std::less<>> channels_;
  std::unordered_map<std::string, port::AccessKeyRow> keys_;
  bool stale_ = true;
  std::map<std::string, Rates> rates_;                      // by channel
  std::unordered_map<std::string, Allowance> of_keys_;      // by access key
  std::unordered_set<std::string> used_;                    // signatures of URLs
  std::deque<std::pair<Instant, std::string>> used_until_;  // the same, in the order they are forgotten

  Counter &requests_, &admitted_, &forgotten_urls_;
  std::array<Counter*, static_cast<size_t>(auth::SigV4Fault::count_)> faults_{};
  Counter &unknown_key_, &replayed_, &denied_, &not_found_, &limited_, &invalid_;
};

}  // namespace tandem::channel
