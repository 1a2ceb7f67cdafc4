#include "webrtc/protocol.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "base/text.h"

namespace tandem::webrtc {
namespace json = boost::json;
namespace {

constexpr std::array<const char*, static_cast<size_t>(Op::count_)> op_names = {
    "hello",      "bye",  "register", "call",    "answer", "reject",   "hangup",      "offer",
    "candidates", "dtmf", "transfer", "message", "watch",  "presence", "ice_servers", "ping"};
constexpr std::array<const char*, static_cast<size_t>(Code::count_)> code_names = {
    "bad_json",      "bad_request",  "unknown_op",  "unsupported_version",
    "not_signed_in", "unauthorized", "unavailable", "unknown_call",
    "wrong_state",   "too_many",     "failed"};

constexpr size_t most_candidates = 64, longest_line = 1024, most_digits = 32, longest_note = 256;

/// Reads members of one object; the first that is wrong is the one complained about.
class Reader {
 public:
  explicit Reader(const json::object& from) : from_(from) {}

  void text(const char* name, std::string& to, bool needed = false, size_t longest = 65'536) {
    const json::value* v = find(name, needed);
    if (!v) return;
    if (!v->is_string() || v->get_string().size() > longest) return wrong(name, "text");
    to.assign(v->get_string().data(), v->get_string().size());
    if (needed && to.empty()) wrong(name, "text that is not empty");
  }
  void number(const char* name, int64_t& to, int64_t least, int64_t most) {
    const json::value* v = find(name, false);
    if (!v) return;
    if (!v->is_int64() || v->get_int64() < least || v->get_int64() > most)
      return wrong(name, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    to = v->get_int64();
  }
  void flag(const char* name, bool& to) {
    const json::value* v = find(name, false);
    if (!v) return;
    if (!v->is_bool()) return wrong(name, "true or false");
    to = v->get_bool();
  }
  const json::array* list(const char* name, size_t most) {
    const json::value* v = find(name, false);
    if (!v) return nullptr;
    if (!v->is_array() || v->get_array().size() > most) {
      wrong(name, "a list of " + std::to_string(most) + " at most");
      return nullptr;
    }
    return &v->get_array();
  }
  void wrong(std::string_view name, std::string_view wanted) {
    if (problem.empty()) problem = "\"" + std::string(name) + "\" has to be " + std::string(wanted);
  }

  std::string problem;

 private:
  const json::value* find(const char* name, bool needed) {
    const auto it = from_.find(name);
    if (it != from_.end() && !it->value().is_null()) return &it->value();
    if (needed && problem.empty()) problem = "\"" + std::string(name) + "\" is missing";
    return nullptr;
  }
  const json::object& from_;
};

void read_candidates(Reader& r, Request& out) {
  const json::array* list = r.list("candidates", most_candidates);
  if (!list) return;
  for (const json::value& v : *list) {
    if (!v.is_object()) return r.wrong("candidates", "a list of objects");
    Reader one(v.get_object());
    Candidate& c = out.candidates.emplace_back();
    one.text("candidate", c.candidate, true, longest_line);
    one.text("mid", c.mid, false, 64);
    one.text("ufrag", c.ufrag, false, 256);
    if (!is_plain_text(c.candidate) || !is_plain_text(c.mid) || !is_plain_text(c.ufrag))
      one.wrong("candidate", "one line");
    if (!one.problem.empty()) return r.wrong("candidates", one.problem);
  }
}

void read_dtmf(Reader& r, Request& out) {
  r.text("digits", out.digits, true, most_digits);
  r.number("duration", out.duration_ms, 40, 8000);
  if (out.digits.find_first_not_of("0123456789*#ABCD") != std::string::npos)
    r.wrong("digits", "some of 0-9, *, #, A-D");
}

void read_presence(Reader& r, Request& out) {
  std::string state;
  r.text("state", state, true, 16);
  r.text("note", out.standing.note, false, longest_note);
  for (const Availability a :
       {Availability::offline, Availability::available, Availability::away, Availability::busy})
    if (state == to_string(a)) {
      out.standing.availability = a;
      return;
    }
  r.wrong("state", "available, away, busy or offline");
}

void read_members(Reader& r, Request& out) {
  switch (out.op) {
    case Op::hello:
      if (const json::array* list = r.list("versions", 16))
        for (const json::value& v : *list) out.versions.push_back(v.is_int64() ? v.get_int64() : 0);
      r.text("user", out.user, false, 256);
      r.text("password", out.password, false, 256);
      r.text("token", out.token, false, 8192);
      r.text("resume", out.resume, false, 256);
      r.text("instance", out.instance, false, 64);
      break;
    case Op::register_:
      r.flag("on", out.on);
      break;
    case Op::call:
      r.text("to", out.to, true, 256);
      r.text("sdp", out.sdp, true);
      break;
    case Op::answer:
    case Op::offer:
      r.text("call", out.call, true, 32);
      r.text("sdp", out.sdp, true);
      break;
    case Op::reject:
      r.text("call", out.call, true, 32);
      r.number("status", out.status, 400, 699);
      break;
    case Op::hangup:
      r.text("call", out.call, true, 32);
      break;
    case Op::candidates:
      r.text("call", out.call, true, 32);
      r.flag("end", out.end);
      read_candidates(r, out);
      break;
    case Op::dtmf:
      r.text("call", out.call, true, 32);
      read_dtmf(r, out);
      break;
    case Op::transfer:
      r.text("call", out.call, true, 32);
      r.text("to", out.to, false, 256);
      r.text("with", out.with, false, 32);
      if (out.to.empty() == out.with.empty()) r.wrong("to", "there, or else \"with\"");
      break;
    case Op::message:
      r.text("to", out.to, true, 256);
      r.text("text", out.text, true);
      break;
    case Op::watch:
      r.text("to", out.to, true, 256);
      r.flag("on", out.on);
      break;
    case Op::presence:
      read_presence(r, out);
      break;
    case Op::ice_servers:
    case Op::bye:
    case Op::ping:
    case Op::count_:
      break;
  }
}

json::value value_of(const Fields& fields);

json::value value_of(const Field& f) {
  if (const auto* s = std::get_if<std::string>(&f.value)) return json::value(json::string(valid_utf8(*s)));
  if (const auto* n = std::get_if<int64_t>(&f.value)) return json::value(*n);
  if (const auto* b = std::get_if<bool>(&f.value)) return json::value(*b);
  json::array all;
  for (const Fields& one : std::get<std::vector<Fields>>(f.value)) all.push_back(value_of(one));
  return all;
}

void add(json::object& to, const Fields& fields) {
  for (const Field& f : fields) to[f.name] = value_of(f);
}

json::value value_of(const Fields& fields) {
  json::object o;
  add(o, fields);
  return o;
}

}  // namespace

const char* to_string(Op op) { return op < Op::count_ ? op_names[static_cast<size_t>(op)] : "unknown"; }
const char* to_string(Code code) {
  return code < Code::count_ ? code_names[static_cast<size_t>(code)] : "unknown";
}

Result<Request, Refused> parse(std::string_view text, const TextLimits& limits) {
  if (text.size() > limits.octets) return Failure{Refused{0, {Code::bad_json, "the message is too long", 0}}};
  json::parse_options options;
  options.max_depth = limits.depth;
  json::error_code error;
  const json::value all = json::parse(text, error, {}, options);
  if (error || !all.is_object()) return Failure{Refused{0, {Code::bad_json, "that is no JSON object", 0}}};
  Reader r(all.get_object());
  Request out;
  r.number("id", out.id, 0, int64_t{1} << 53);
  std::string op;
  r.text("op", op, true, 32);
  if (!r.problem.empty()) return Failure{Refused{out.id, {Code::bad_request, r.problem, 0}}};
  const auto known = std::find(op_names.begin(), op_names.end(), op);
  if (known == op_names.end())
    return Failure{Refused{out.id, {Code::unknown_op, "there is no such operation", 0}}};
  out.op = static_cast<Op>(known - op_names.begin());
  read_members(r, out);
  if (!r.problem.empty()) return Failure{Refused{out.id, {Code::bad_request, r.problem, 0}}};
  return out;
}

std::string write_answer(int64_t id, const Fields& fields) {
  json::object o{{"id", id}, {"ok", true}};
  add(o, fields);
  return json::serialize(o);
}

std::string write_error(int64_t id, const Fault& fault) {
  json::object error{{"code", to_string(fault.code)}, {"text", valid_utf8(fault.text)}};
  if (fault.status != 0) error["status"] = fault.status;
  return json::serialize(json::object{{"id", id}, {"ok", false}, {"error", std::move(error)}});
}

std::string write_event(std::string_view name, const Fields& fields) {
  json::object o{{"event", name}};
  add(o, fields);
  return json::serialize(o);
}

}  // namespace tandem::webrtc
