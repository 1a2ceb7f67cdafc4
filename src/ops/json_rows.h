#pragma once
// Rows of the directory, live calls and records as JSON: one list of fields a type serves to write it, to
// read it (unknown and ill-typed members are errors that name the member) and to describe it in the OpenAPI
// document.
#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "call/call_layer.h"
#include "port/cdr.h"
#include "port/directory.h"
#include "port/webhooks.h"

namespace tandem::ops {

/// What a PUT or POST of a subscriber may carry besides the row: a password to make HA1 values of. Never
/// written out.
struct SubscriberInput {
  port::Subscriber row;
  std::string password;
};

/// A live contact, for GET /registrations.
struct RegistrationView {
  port::AddressOfRecord aor;
  std::string contact;
  std::string source;  // address and port it registered from
  std::string transport;
  std::string user_agent;
  uint64_t expires_in = 0;  // seconds
  double q = 1.0;
  std::string instance;
};

/// A file of the recordings of a day.
struct RecordingView {
  std::string name;  // without the day
  uint64_t bytes = 0;
};

struct TrunkStatusView {
  std::string name;
  std::string state;
  int last_status = 0;
  std::string health;
  int probe_status = 0;
  uint64_t calls = 0;
};

boost::json::object to_json(const port::Subscriber& row);
boost::json::object to_json(const port::DomainRow& row);
boost::json::object to_json(const port::TrunkRow& row);
boost::json::object to_json(const port::RouteRow& row);
boost::json::object to_json(const port::RingGroupRow& row);
boost::json::object to_json(const port::RingGroupMemberRow& row);
boost::json::object to_json(const port::FeatureCodeRow& row);
boost::json::object to_json(const port::TimeRuleRow& row);
boost::json::object to_json(const port::ParkRow& row);
boost::json::object to_json(const port::MenuRow& row);
boost::json::object to_json(const port::MenuChoiceRow& row);
boost::json::object to_json(const port::MailboxRow& row);
boost::json::object to_json(const port::ConferenceRow& row);
boost::json::object to_json(const port::Voicemail& message);
boost::json::object to_json(const port::WebhookRow& row);
boost::json::object to_json(const port::Cdr& cdr);
boost::json::object to_json(const call::CallInfo& call);
boost::json::object to_json(const RegistrationView& registration);

/// What is wrong in a body: where ("forwarding.busy", "sources[1]"; empty: the whole) and what is expected.
struct BodyError {
  std::string path;
  std::string text;
};

/// Members present in `from` replace those of `into`; the first that is wrong is the error, and then `into`
/// stays as it was.
Status<BodyError> from_json(const boost::json::value& from, SubscriberInput& into);
Status<BodyError> from_json(const boost::json::value& from, port::DomainRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::TrunkRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::RouteRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::RingGroupRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::RingGroupMemberRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::FeatureCodeRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::TimeRuleRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::ParkRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::MenuRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::MenuChoiceRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::MailboxRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::ConferenceRow& into);
Status<BodyError> from_json(const boost::json::value& from, port::WebhookRow& into);
/// Only whether it was heard can be changed.
Status<BodyError> from_json(const boost::json::value& from, port::Voicemail& into);

/// JSON Schema objects of all of the above, by name, for components.schemas.
boost::json::object json_schemas();

/// "2026-11-23T18:14:47.123Z"; empty for zero.
std::string to_rfc3339(WallTime t);
std::optional<WallTime> from_rfc3339(std::string_view text);

}  // namespace tandem::ops
