#include "channel/protocol.h"

#include <array>
#include <boost/json.hpp>

#include "crypto/base64.h"
#include "port/channels.h"

namespace tandem::channel {
namespace json = boost::json;
namespace {

constexpr std::array<const char*, 3> action_names = {"SDP_OFFER", "SDP_ANSWER", "ICE_CANDIDATE"};
constexpr size_t depth = 4;

/// What clients are told: the name and status of the service's own errors, and a sentence.
struct Status {
  const char* name;
  const char* type;
  const char* code;
  const char* text;
};
constexpr std::array<Status, static_cast<size_t>(Fault::count_)> statuses = {
    Status{"malformed", "InvalidArgumentException", "400",
           "expected a JSON object with action and messagePayload"},
    {"action", "InvalidArgumentException", "400", "action has to be SDP_OFFER, SDP_ANSWER or ICE_CANDIDATE"},
    {"too_big", "InvalidArgumentException", "400", "messagePayload is too long"},
    {"recipient", "InvalidArgumentException", "400",
     "recipientClientId has to name a viewer: 1 to 256 of A-Z, a-z, 0-9, _ . -"},
    {"too_fast", "ClientLimitExceededException", "400", "too many messages of this kind within a second"},
    {"full", "ClientLimitExceededException", "400", "too many messages wait for who is not connected"}};

std::string text_from(const json::object& object) { return json::serialize(object); }

/// Empty when it is absent; nothing when it is no text.
const json::string* text_of(const json::object& from, const char* name, bool& well) {
  const json::value* v = from.if_contains(name);
  if (!v || v->is_null()) return nullptr;
  if (!v->is_string()) well = false;
  return v->if_string();
}

}  // namespace

const char* to_string(Fault fault) { return statuses[static_cast<size_t>(fault)].name; }

Result<Message, Refused> parse(std::string_view text, const SwitchboardConfig& limits) {
  const auto refuse = [](Fault fault, std::string correlation = {}) {
    return Failure{Refused{fault, std::move(correlation)}};
  };
  if (text.size() > limits.message) return refuse(Fault::too_big);
  json::parse_options options;
  options.max_depth = depth;
  boost::system::error_code error;
  const json::value value = json::parse(text, error, {}, options);
  const json::object* object = error ? nullptr : value.if_object();
  if (!object) return refuse(Fault::malformed);
  bool well = true;
  const json::string* correlation = text_of(*object, "correlationId", well);
  const json::string* action = text_of(*object, "action", well);
  const json::string* payload = text_of(*object, "messagePayload", well);
  const json::string* recipient = text_of(*object, "recipientClientId", well);
  Message out;
  if (correlation) out.correlation = std::string_view(*correlation);
  if (!out.correlation.empty() && !port::is_channel_word(out.correlation)) return refuse(Fault::malformed);
  if (!well || !action || !payload || payload->empty()) return refuse(Fault::malformed, out.correlation);
  size_t kind = 0;
  while (kind < action_names.size() && *action != action_names[kind]) ++kind;
  if (kind == action_names.size()) return refuse(Fault::action, out.correlation);
  out.action = static_cast<Action>(kind);
  if (payload->size() > limits.payload) return refuse(Fault::too_big, out.correlation);
  out.payload = std::string_view(*payload);
  if (!crypto::base64_decode(out.payload)) return refuse(Fault::malformed, out.correlation);
  if (recipient) out.recipient = std::string_view(*recipient);
  if (!out.recipient.empty() && !port::is_channel_word(out.recipient))
    return refuse(Fault::recipient, out.correlation);
  return out;
}

std::string write_message(Action action, std::string_view payload, std::string_view sender) {
  json::object out{{"messageType", action_names[static_cast<size_t>(action)]}, {"messagePayload", payload}};
  if (!sender.empty()) out["senderClientId"] = sender;
  return text_from(out);
}

std::string write_status(const Refused& refused) {
  const Status& s = statuses[static_cast<size_t>(refused.fault)];
  json::object status{{"correlationId", refused.correlation},
                      {"errorType", s.type},
                      {"statusCode", s.code},
                      {"description", s.text}};
  return text_from({{"messageType", "STATUS_RESPONSE"}, {"messagePayload", ""}, {"statusResponse", status}});
}

std::string write_full() {
  const json::object status{{"errorType", "ClientLimitExceededException"},
                            {"statusCode", "400"},
                            {"description", "the channel has as many viewers as it may"}};
  return text_from({{"messageType", "STATUS_RESPONSE"}, {"messagePayload", ""}, {"statusResponse", status}});
}

std::string write_notice(std::string_view type) {
  return text_from({{"messageType", type}, {"messagePayload", ""}});
}

}  // namespace tandem::channel
