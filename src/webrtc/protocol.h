#pragma once
// The words of the JSON signalling API (docs/rtc.md): what a client asks, and what it is told. Text in,
// values out; values in, text out.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "webrtc/config.h"
#include "webrtc/presence.h"

namespace tandem::webrtc {

constexpr int protocol_version = 1;

enum class Op : uint8_t {
  hello,
  bye,
  register_,
  call,
  answer,
  reject,
  hangup,
  offer,
  candidates,
  dtmf,
  transfer,
  message,
  watch,
  presence,
  ice_servers,
  ping,
  count_,
};
const char* to_string(Op op);  // "register", as on the wire

/// Why a request was not carried out; `code` of an answer.
enum class Code : uint8_t {
  bad_json,             // no JSON object, or deeper or longer than allowed
  bad_request,          // a member is missing or of the wrong type
  unknown_op,           // nothing of this version
  unsupported_version,  // none of those offered is ours
  not_signed_in,        // before hello
  unauthorized,         // wrong user, password, token or resume token: which, nobody is told
  unavailable,          // the directory is away
  unknown_call,         // no call of that name
  wrong_state,          // the call, or the session, is not where that can be done
  too_many,             // a limit
  failed,               // the telephone side refused: `status`
  count_,
};
const char* to_string(Code code);

struct Fault {
  Code code = Code::bad_request;
  std::string text;  // for people
  int status = 0;    // of SIP, with Code::failed
};

/// One a=candidate without its "a=" (RFC 8839 section 5.1), as browsers give it; `mid` is its m-line's.
struct Candidate {
  std::string candidate, mid, ufrag;
};

/// What a client asks. Members that an operation has no use for are passed over.
struct Request {
  int64_t id = 0;  // the client's; its answer carries it
  Op op = Op::ping;
  std::vector<int64_t> versions;                        // hello
  std::string user, password, token, resume, instance;  // hello
  bool on = true;                                       // register, watch
  std::string call;                                     // all that are about one
  std::string to, with;                                 // call, transfer, message, watch
  std::string sdp;                                      // call, answer, offer
  std::vector<Candidate> candidates;                    // candidates
  bool end = false;                                     // candidates: these are all
  std::string digits;                                   // dtmf: 0-9 * # A-D
  int64_t duration_ms = 160;                            // dtmf, of each
  int64_t status = 486;                                 // reject
  std::string text;                                     // message
  Standing standing;                                    // presence
};

/// The id is given even when the rest is refused, as far as it could be read (0: not), so that the client
/// learns which request it was.
struct Refused {
  int64_t id = 0;
  Fault fault;
};
Result<Request, Refused> parse(std::string_view text, const TextLimits& limits);

struct Field;
using Fields = std::vector<Field>;
struct Field {
  template <class Value>
  Field(std::string_view n, Value v) : name(n), value(std::move(v)) {}

  std::string_view name;
  std::variant<std::string, int64_t, bool, std::vector<Fields>> value;
};

/// {"id":7,"ok":true, ...}
std::string write_answer(int64_t id, const Fields& fields = {});
/// {"id":7,"ok":false,"error":{"code":"unknown_call","text":"..."}}
std::string write_error(int64_t id, const Fault& fault);
/// {"event":"incoming", ...}
std::string write_event(std::string_view name, const Fields& fields);

}  // namespace tandem::webrtc
