#include "ops/json_rows.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <concepts>
#include <optional>
#include <set>
#include <type_traits>

#include "base/text.h"
#include "port/enum_text.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

template <class T>
concept Enumerated = std::is_enum_v<T> && requires {
  port::EnumText<T>::names;
};

template <class T>
std::string enum_list() {
  return fmt::format("one of {}", fmt::join(port::EnumText<T>::names, ", "));
}

// ---- one list of members a type: `v.member("name", reference, "help")` -----------------------------------

template <class V>
void members(V& v, port::Forwarding& f) {
  v.member("always", f.always, "number or SIP URI; empty: off");
  v.member("busy", f.busy, "number or SIP URI; empty: off");
  v.member("no_answer", f.no_answer, "number or SIP URI; empty: off");
  v.member("unreachable", f.unreachable, "number or SIP URI; empty: off");
  v.member("no_answer_seconds", f.no_answer_seconds, "how long the phone rings before no_answer applies");
}

template <class V>
void members(V& v, port::Subscriber& s) {
  v.member("user", s.aor.user, "user part of the address-of-record");
  v.member("domain", s.aor.domain, "domain of the address-of-record");
  v.member("enabled", s.enabled, "false: may neither register nor call");
  v.member("display_name", s.display_name, "name shown to callees");
  v.member("caller_number", s.caller_number, "number shown on trunks; empty: the user part");
  v.member("call_class", s.call_class, "most the subscriber may dial");
  v.member("do_not_disturb", s.do_not_disturb, "callers hear busy");
  v.object("forwarding", s.forwarding, "call forwarding");
  v.member("max_contacts", s.max_contacts, "phones registered at a time");
  v.member("max_calls", s.max_calls, "calls at a time; 0: no limit");
  v.member("pickup_group", s.pickup_group, "whose calls *8 picks up");
  v.member("codecs", s.codecs,
           "such as opus/48000/2 or PCMA, in order of preference; empty: what media.codecs says");
  v.member("srtp", s.srtp, "encryption of its media; default: what media.srtp says");
  v.member("recording", s.recording, "of its calls; default: what recordings.policy says");
  v.member("dtmf", s.dtmf, "how it is sent key presses; default: what media.dtmf says");
  v.read_only("revision", s.revision, "grows with each change");
}

template <class V>
void members(V& v, port::DomainRow& r) {
  v.member("name", r.name, "the domain");
  v.member("enabled", r.enabled, "false: not served");
  v.member("digest_realm", r.digest_realm,
           "realm of challenges; empty: the name. Changing it makes stored secrets useless");
  v.member("aliases", r.aliases, "other names and addresses that mean this domain");
  v.member("emergency_numbers", r.emergency_numbers, "never refused for load or class");
  v.member("country_code", r.country_code, "such as 49; of numbers, and of how ringing sounds");
  v.member("national_prefix", r.national_prefix, "such as 0");
  v.member("international_prefix", r.international_prefix, "such as 00");
  v.member("max_calls", r.max_calls, "0: no limit");
}

template <class V>
void members(V& v, port::TrunkRow& r) {
  v.member("name", r.name, "the trunk");
  v.member("domain", r.domain, "whose dial plan its incoming calls use");
  v.member("kind", r.kind, "known by its address, or one we register with");
  v.member("enabled", r.enabled, "false: not used");
  v.member("host", r.host, "name or address; RFC 3263 applies when port is 0");
  v.member("port", r.port, "0: by DNS");
  v.member("transport", r.transport, "transport protocol");
  v.member("realm", r.realm, "listener realm it is reached through; empty: the default one");
  v.member("user", r.user, "user part of our address-of-record there");
  v.member("from_domain", r.from_domain, "domain of our address-of-record there; empty: host");
  v.member("auth_user", r.auth_user, "user for their challenges; empty: user");
  v.member("auth_realm", r.auth_realm, "realm their challenges name, when it is known");
  v.write_only("password", r.password, "for their challenges; never shown");
  v.member("sources", r.sources, "addresses and prefixes whose requests are this trunk's");
  v.member("tls_name", r.tls_name,
           "tls: the name its certificate must carry, both ways; empty: the host's, and sources");
  v.member("expires_seconds", r.expires_seconds, "asked for at registration");
  v.member("max_calls", r.max_calls, "at a time; 0: no limit");
  v.member("max_calls_per_second", r.max_calls_per_second, "0: no limit");
  v.member("inbound_class", r.inbound_class, "most an incoming call may reach");
  v.member("codecs", r.codecs,
           "such as PCMA or opus/48000/2, in order of preference; empty: whatever is offered");
  v.member("srtp", r.srtp, "encryption of its media; default: what media.srtp says");
  v.member("recording", r.recording, "of its calls; default: what recordings.policy says");
  v.member("dtmf", r.dtmf, "how it is sent key presses; default: what media.dtmf says");
  v.member("send_e164", r.send_e164, "numbers as +49..., not as dialled");
  v.member("options_seconds", r.options_seconds, "probe by OPTIONS; 0: never");
}

template <class V>
void members(V& v, port::RouteRow& r) {
  v.member("id", r.id, "0: a new one is given");
  v.member("domain", r.domain, "empty: every domain");
  v.member("priority", r.priority, "lower first");
  v.member("name", r.name, "for people and for the CDR");
  v.member("enabled", r.enabled, "false: skipped");
  v.member("pattern", r.pattern, "digits and X Z N [1-5] . !");
  v.member("caller_pattern", r.caller_pattern, "the same on the caller's number; empty: anybody");
  v.member("from_trunk", r.from_trunk, "empty: from subscribers; *: any trunk; else that trunk");
  v.member("call_class", r.call_class, "least a caller must be allowed");
  v.member("time_rule", r.time_rule, "empty: always; !name: when the rule does not hold");
  v.member("action", r.action, "what is done");
  v.member("target", r.target, "of the action");
  v.member("targets", r.targets, "trunks in order");
  v.member("strip", r.strip, "digits taken off the front");
  v.member("prefix", r.prefix, "put before the number then");
  v.member("caller_number", r.caller_number, "shown to the far end; empty: unchanged");
  v.member("status", r.status, "reject: SIP status");
  v.member("reason", r.reason, "reject: reason phrase");
  v.member("otherwise", r.otherwise, "number to go on with when the target fails; empty: end");
}

template <class V>
void members(V& v, port::RingGroupRow& r) {
  v.member("domain", r.domain, "its domain");
  v.member("name", r.name, "the group, and the number it is dialled by");
  v.member("enabled", r.enabled, "false: not there");
  v.member("strategy", r.strategy, "order of ringing");
  v.member("timeout_seconds", r.timeout_seconds, "the whole group");
  v.member("member_timeout_seconds", r.member_timeout_seconds, "one member at a time");
  v.member("otherwise", r.otherwise, "number when nobody answered; empty: the call ends");
  v.member("skip_busy", r.skip_busy, "members in a call are not rung");
}

template <class V>
void members(V& v, port::RingGroupMemberRow& r) {
  v.member("domain", r.domain, "domain of the group");
  v.member("group", r.group, "the group");
  v.member("position", r.position, "order of ringing");
  v.member("target", r.target, "user part, number or SIP URI");
  v.member("delay_seconds", r.delay_seconds, "parallel: starts ringing that much later");
  v.member("timeout_seconds", r.timeout_seconds, "0: the group's");
}

template <class V>
void members(V& v, port::FeatureCodeRow& r) {
  v.member("domain", r.domain, "empty: every domain without a row of its own");
  v.member("code", r.code, "such as *43");
  v.member("enabled", r.enabled, "false: the code does nothing");
  v.member("feature", r.feature, "what it does");
}

template <class V>
void members(V& v, port::TimeRuleRow& r) {
  v.member("domain", r.domain, "empty: every domain");
  v.member("name", r.name, "the rule");
  v.member("position", r.position, "row of the rule");
  v.member("time_zone", r.time_zone, "POSIX TZ text; empty: UTC");
  v.member("weekdays", r.weekdays, "bit 0 is Monday");
  v.member("from_minute", r.from_minute, "of the day");
  v.member("to_minute", r.to_minute, "of the day, exclusive");
  v.member("from_date", r.from_date, "2026-12-24, or 12-24 for every year; empty: unbounded");
  v.member("to_date", r.to_date, "inclusive");
  v.member("except", r.except, "when it holds, the rule does not");
}

template <class V>
void members(V& v, port::ParkRow& r) {
  v.member("domain", r.domain, "the domain");
  v.member("enabled", r.enabled, "false: no parking");
  v.member("first_slot", r.first_slot, "lowest slot");
  v.member("last_slot", r.last_slot, "highest slot");
  v.member("timeout_seconds", r.timeout_seconds, "then the call goes back");
  v.member("otherwise", r.otherwise, "number to go to instead");
}

template <class V>
void members(V& v, port::MenuRow& r) {
  v.member("domain", r.domain, "its domain");
  v.member("name", r.name, "the menu, and the number it is dialled by");
  v.member("enabled", r.enabled, "false: not there");
  v.member("language", r.language, "of its prompts");
  v.member("greeting", r.greeting,
           "prompts and files of the sounds folder (names with a dot), in order; empty: welcome");
  v.member("wait_seconds", r.wait_seconds, "for the first key, after the greeting");
  v.member("between_seconds", r.between_seconds, "for one more key, when more could follow");
  v.member("tries", r.tries, "how often the greeting is heard");
  v.member("extensions", r.extensions, "true: a number of the domain may be dialled");
  v.member("otherwise", r.otherwise, "number dialled when nobody chose; empty: the call ends");
}

template <class V>
void members(V& v, port::MenuChoiceRow& r) {
  v.member("domain", r.domain, "domain of the menu");
  v.member("menu", r.menu, "the menu");
  v.member("position", r.position, "of rows with the same keys the first that holds counts");
  v.member("keys", r.keys, "1 to 8 of 0-9, * and #");
  v.member("time_rule", r.time_rule, "empty: always; !name: when the rule does not hold");
  v.member("target", r.target, "number dialled; empty: the greeting again");
}

template <class V>
void members(V& v, port::MailboxRow& r) {
  v.member("domain", r.domain, "its domain");
  v.member("user", r.user, "the subscriber, or nobody's: a mailbox of its own");
  v.member("enabled", r.enabled, "false: not there");
  v.write_only("pin", r.pin, "4 to 12 digits; empty: only the owner's telephones read it; never shown");
  v.set("has_pin", !r.pin.empty(), "whether there is one");
  v.member("language", r.language, "of its prompts");
  v.member("unanswered", r.unanswered, "calls that nobody answers leave a message here");
  v.member("max_messages", r.max_messages, "1 to 1000");
  v.member("max_seconds", r.max_seconds, "of one message, 5 to 3600");
  v.member("time_zone", r.time_zone, "POSIX TZ text; empty: UTC");
  v.member("email", r.email, "is written to with each message; empty: nobody");
  v.member("attach", r.attach, "the sound goes with the mail");
  v.member("remove_sent", r.remove_sent, "a message is removed once the mail was taken");
}

template <class V>
void members(V& v, port::ConferenceRow& r) {
  v.member("domain", r.domain, "its domain");
  v.member("name", r.name, "the conference, and the number it is dialled by");
  v.member("enabled", r.enabled, "false: not there");
  v.write_only("pin", r.pin, "4 to 12 digits; empty: nobody is asked; never shown");
  v.set("has_pin", !r.pin.empty(), "whether there is one");
  v.write_only("moderator_pin", r.moderator_pin,
               "4 to 12 digits; empty: there are no moderators; never shown");
  v.set("has_moderator_pin", !r.moderator_pin.empty(), "whether there is one");
  v.member("language", r.language, "of its prompts");
  v.member("members", r.members, "at most; 2 to 200");
  v.member("lecture", r.lecture, "only moderators are heard");
  v.member("muted", r.muted, "who comes is muted, and may unmute");
  v.member("wait", r.wait, "music until a moderator is there");
  v.member("ends", r.ends, "with its last moderator");
  v.member("announce", r.announce, "a tone for who comes and goes");
}

template <class V>
void members(V& v, port::WebhookRow& r) {
  v.member("name", r.name, "of the webhook");
  v.member("url", r.url, "where events are posted: https://, or http:// where the configuration allows it");
  v.write_only("secret", r.secret, "whsec_ and base 64 of 24 to 64 octets; never shown");
  v.write_only("old_secret", r.old_secret, "signs as well while receivers change over; empty: none");
  v.set("has_old_secret", !r.old_secret.empty(), "whether there is one");
  v.member("events", r.events, "what it is told; empty: everything");
  v.member("enabled", r.enabled, "false: it is told nothing; an endpoint that answers 410 is switched off");
  v.set("waiting", uint64_t{0}, "deliveries that wait");
  v.set("given_up", uint64_t{0}, "and those that were given up");
  v.set("new_secret", std::string{}, "the secret, where it was made here, in that answer alone");
}

template <class V>
void members(V& v, port::Voicemail& m) {
  v.read_only("id", m.id, "of the message");
  v.read_only("from", m.from, "the caller's number; empty: withheld");
  v.read_only("from_display", m.from_display, "the caller's name");
  v.time("received", m.received, "when it was left");
  v.set("length_ms", static_cast<uint64_t>(m.length.count() / 1'000'000), "how long it is");
  v.member("heard", m.heard, "to its end, or kept");
}

template <class V>
void members(V& v, RegistrationView& r) {
  v.member("user", r.aor.user, "user part of the address-of-record");
  v.member("domain", r.aor.domain, "domain of the address-of-record");
  v.member("contact", r.contact, "Contact URI");
  v.member("source", r.source, "address it registered from");
  v.member("transport", r.transport, "transport protocol");
  v.member("user_agent", r.user_agent, "as the phone calls itself");
  v.member("expires_in", r.expires_in, "seconds");
  v.member("q", r.q, "preference, 0 to 1");
  v.member("instance", r.instance, "+sip.instance (RFC 5626)");
}

template <class V>
void members(V& v, port::CdrLeg& l) {
  v.member("call_id", l.call_id, "SIP Call-ID");
  v.member("user", l.party.user, "user or number");
  v.member("domain", l.party.domain, "domain");
  v.member("display", l.party.display, "display name");
  v.address("remote", l.remote, "signalling address");
  v.member("transport", l.transport, "transport protocol");
  v.member("trunk", l.trunk, "empty: a subscriber");
  v.member("codec", l.codec, "encoding name");
  v.member("user_agent", l.user_agent, "as the phone calls itself");
  v.member("packets_received", l.packets_received, "RTP packets from this party");
  v.member("octets_received", l.octets_received, "RTP payload octets from this party");
  v.member("packets_sent", l.packets_sent, "RTP packets to this party");
  v.member("octets_sent", l.octets_sent, "RTP payload octets to this party");
  v.member("packets_lost", l.packets_lost, "lost on the way from this party");
  v.member("jitter_us", l.jitter_us, "interarrival jitter, microseconds");
  v.member("mos_x100", l.mos_x100,
           "mean opinion score of what came from this party, times 100; 0: not measured");
  v.member("reported_lost", l.reported_lost, "lost on the way to this party, as its RTCP says");
  v.member("reported_jitter_us", l.reported_jitter_us, "jitter it reports, microseconds");
  v.member("reported_mos_x100", l.reported_mos_x100,
           "mean opinion score of what it received, by its reports, times 100; 0: it sent none");
  v.member("round_trip_us", l.round_trip_us, "between this node and the party; 0: not measured");
}

template <class V>
void members(V& v, port::Cdr& c) {
  v.member("node", c.key.node, "node that carried the call");
  v.member("epoch", c.key.epoch, "its boot");
  v.text_number("call", c.key.call, "call on that node");
  v.member("pair", c.key.pair, "pair of legs of the call");
  v.member("direction", c.direction, "");
  v.time("setup", c.setup, "INVITE received");
  v.time("ring", c.ring, "first ringing");
  v.time("answer", c.answer, "answered; empty: never");
  v.time("end", c.end, "ended");
  v.object("caller", c.caller, "the calling leg");
  v.object("callee", c.callee, "the called leg");
  v.member("dialled", c.dialled, "what the caller asked for");
  v.member("sip_status", c.sip_status, "final status, 200 for an answered call");
  v.member("q850_cause", c.q850_cause, "ITU-T Q.850 cause");
  v.member("release_side", c.release_side, "who ended it");
  v.member("transferred_by", c.transferred_by, "who transferred the call here");
  v.member("forwarded_by", c.forwarded_by, "whose forwarding brought it here");
  v.member("ordered_by", c.ordered_by, "who placed it over REST; empty: a telephone did");
  v.member("private_caller", c.private_caller,
           "whether the caller wished not to be named to the called party");
  v.member("recordings", c.recordings, "files in recordings.folder");
  v.member("route", c.route, "the dial plan row that decided");
}

/// How a leg sounds now.
template <class V>
void members(V& v, media::LegStatistics& s) {
  v.member("packets_received", s.packets_received, "RTP packets from this party");
  v.member("packets_sent", s.packets_sent, "RTP packets to this party");
  v.member("packets_lost", s.packets_lost, "lost on the way from this party; less than 0: duplicates");
  v.member("loss", s.loss, "share of the packets from this party that was lost, 0 to 1");
  v.member("burst_ratio", s.burst_ratio, "of the losses; 1: at random (ITU-T G.107)");
  v.member("jitter_ms", s.jitter_ms, "interarrival jitter now");
  v.member("max_jitter_ms", s.max_jitter_ms, "and at most");
  v.member("round_trip_ms", s.round_trip_ms, "between this node and the party; 0: not known");
  v.member("r_factor", s.r_factor, "ITU-T G.107, or G.107.1 when wideband; 0: nothing received");
  v.member("wideband", s.wideband, "whether the rating's scale ends at 129 instead of 93");
  v.member("mos", s.mos, "mean opinion score of what comes from this party; 0: nothing received");
  v.member("reported", s.has_report, "whether this party reports what it receives");
  v.member("reported_loss", s.report_loss, "share it lost since its report before");
  v.member("reported_lost", s.report_lost, "packets it lost, all told");
  v.member("reported_jitter_ms", s.report_jitter_ms, "the jitter it sees");
  v.member("reported_mos", s.report_mos, "mean opinion score of what it receives, by its reports");
}

template <class V>
void members(V& v, call::LegInfo& l) {
  v.member("id", l.id, "of the leg inside the call");
  v.member("party", l.party, "number or user@domain");
  v.member("display", l.display, "display name");
  v.member("call_id", l.call_id, "SIP Call-ID");
  v.member("state", l.state, "ringing, connected, held, ...");
  v.member("remote", l.remote, "signalling address");
  v.member("recording", l.recording, "running, paused, or empty: it is not recorded");
  v.member("codec", l.codec, "encoding name");
  v.object("media", l.media, "how it sounds");
}

template <class V>
void members(V& v, call::CallInfo& c) {
  v.text_number("id", c.id, "of the call");
  v.member("state", c.state, "setup, ringing, connected, ...");
  v.member("caller", c.caller, "");
  v.member("callee", c.callee, "");
  v.time("started", c.started, "INVITE received");
  v.time("answered", c.answered, "empty: not yet");
  v.member("route", c.route, "the dial plan row that decided");
  v.member("ordered_by", c.ordered_by, "who placed it over REST; empty: a telephone did");
  v.objects("legs", c.legs, "");
}

// ---- writing ---------------------------------------------------------------------------------------------

class JsonWriter {
 public:
  json::object out;

  void member(const char* name, const std::string& v, const char*) { out[name] = valid_utf8(v); }
  void member(const char* name, bool v, const char*) { out[name] = v; }
  void member(const char* name, double v, const char*) { out[name] = v; }
  template <std::integral T>
  requires(!std::same_as<T, bool>) void member(const char* name, T v, const char*) { out[name] = v; }
  template <Enumerated E>
  void member(const char* name, E v, const char*) {
    out[name] = port::to_text(v);
  }
  void member(const char* name, const std::vector<std::string>& v, const char*) {
    json::array list;
    for (const std::string& s : v) list.emplace_back(valid_utf8(s));
    out[name] = std::move(list);
  }
  template <class T>
  void read_only(const char* name, T& v, const char* help) {
    member(name, v, help);
  }
  void write_only(const char*, const std::string&, const char*) {}
  template <class T>
  void set(const char* name, const T& v, const char* help) {
    member(name, v, help);
  }
  // 64-bit identifiers do not fit a JSON number's 53 bits.
  void text_number(const char* name, uint64_t v, const char*) { out[name] = std::to_string(v); }
  void time(const char* name, WallTime t, const char*) { out[name] = to_rfc3339(t); }
  void address(const char* name, const SocketAddress& a, const char*) { out[name] = a ? a.to_string() : ""; }
  template <class T>
  void object(const char* name, T& v, const char*) {
    JsonWriter inner;
    members(inner, v);
    out[name] = std::move(inner.out);
  }
  template <class T>
  void objects(const char* name, std::vector<T>& v, const char*) {
    json::array list;
    for (T& item : v) {
      JsonWriter inner;
      members(inner, item);
      list.emplace_back(std::move(inner.out));
    }
    out[name] = std::move(list);
  }
};

template <class T>
json::object write(const T& row) {
  JsonWriter w;
  members(w, const_cast<T&>(row));  // the writer only reads
  return std::move(w.out);
}

// ---- reading ---------------------------------------------------------------------------------------------

// Text of rows ends up in header lines of SIP and in lines of logs.
constexpr const char* no_controls = "text without control characters";

class JsonReader {
 public:
  JsonReader(const json::object& from, std::string where) : from_(from), where_(std::move(where)) {}

  void member(const char* name, std::string& v, const char*) {
    if (const json::value* j = take(name)) {
      if (const auto* s = j->if_string(); s && is_plain_text(*s))
        v.assign(s->begin(), s->end());
      else
        wrong(name, s ? no_controls : "a string");
    }
  }
  void member(const char* name, bool& v, const char*) {
    if (const json::value* j = take(name)) {
      if (const bool* b = j->if_bool())
        v = *b;
      else
        wrong(name, "true or false");
    }
  }
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) void member(const char* name, T& v, const char*) {
    if (const json::value* j = take(name)) {
      const auto* sign = j->if_int64();
      const auto* plain = j->if_uint64();
      const uint64_t number = plain ? *plain : sign && *sign >= 0 ? static_cast<uint64_t>(*sign) : 0;
      if ((plain || (sign && *sign >= 0)) && number <= std::numeric_limits<T>::max())
        v = static_cast<T>(number);
      else
        wrong(name, fmt::format("a whole number from 0 to {}", std::numeric_limits<T>::max()));
    }
  }
  template <Enumerated E>
  void member(const char* name, E& v, const char*) {
    if (const json::value* j = take(name)) {
      const auto* s = j->if_string();
      const auto parsed = s ? port::from_text<E>(std::string_view(s->data(), s->size())) : std::nullopt;
      if (parsed)
        v = *parsed;
      else
        wrong(name, enum_list<E>());
    }
  }
  void member(const char* name, std::vector<std::string>& v, const char*) {
    const json::value* j = take(name);
    if (!j) return;
    const auto* list = j->if_array();
    if (!list) return wrong(name, "a list of strings");
    std::vector<std::string> texts;
    for (const json::value& item : *list) {
      const auto* s = item.if_string();
      if (!s || !is_plain_text(*s))
        return wrong(fmt::format("{}[{}]", name, texts.size()), s ? no_controls : "a string");
      texts.emplace_back(s->data(), s->size());
    }
    v = std::move(texts);
  }
  template <class T>
  void read_only(const char* name, T&, const char*) {
    take(name);  // a row that was read may be sent back as it is
  }
  void write_only(const char* name, std::string& v, const char* help) { member(name, v, help); }
  /// What follows from other members, and times that are ours to set.
  template <class T>
  void set(const char* name, const T&, const char*) {
    take(name);
  }
  void time(const char* name, const WallTime&, const char*) { take(name); }
  template <class T>
  void object(const char* name, T& v, const char*) {
    const json::value* j = take(name);
    if (!j) return;
    const auto* inner = j->if_object();
    if (!inner) return wrong(name, "an object");
    JsonReader reader(*inner, path(name));
    members(reader, v);
    if (const auto status = reader.finish(); !status.ok() && error_.text.empty()) error_ = status.reason();
  }

  Status<BodyError> finish() {
    for (const auto& entry : from_)
      if (error_.text.empty() && !known_.contains(std::string(entry.key())))
        error_ = {path(std::string(entry.key())),
                  fmt::format("unknown member, expected one of {}", fmt::join(known_, ", "))};
    if (!error_.text.empty()) return Failure{error_};
    return Done{};
  }

 private:
  std::string path(const std::string& name) const { return where_.empty() ? name : where_ + "." + name; }
  const json::value* take(const char* name) {
    known_.insert(name);
    return from_.if_contains(name);
  }
  void wrong(const std::string& name, const std::string& expected) {
    if (error_.text.empty()) error_ = {path(name), "expected " + expected};
  }
  const json::object& from_;
  std::string where_;
  BodyError error_;
  std::set<std::string> known_;
};

template <class V>
void members(V& v, SubscriberInput& s) {
  members(v, s.row);
  v.write_only("password", s.password, "kept only as digest secrets, never shown");
}

template <class T>
Status<BodyError> read(const json::value& from, T& into) {
  const auto* object = from.if_object();
  if (!object) return Failure{BodyError{"", "expected a JSON object"}};
  T copy = into;
  JsonReader reader(*object, "");
  members(reader, copy);
  auto status = reader.finish();
  if (status.ok()) into = std::move(copy);
  return status;
}

// ---- describing ------------------------------------------------------------------------------------------

class SchemaWriter {
 public:
  json::object properties;

  void member(const char* name, const std::string&, const char* help) {
    add(name, {{"type", "string"}}, help);
  }
  void member(const char* name, bool, const char* help) { add(name, {{"type", "boolean"}}, help); }
  void member(const char* name, double, const char* help) { add(name, {{"type", "number"}}, help); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) void member(const char* name, T, const char* help) {
    add(name, {{"type", "integer"}}, help);
  }
  template <Enumerated E>
  void member(const char* name, E, const char* help) {
    json::array values;
    for (const std::string_view text : port::EnumText<E>::names) values.emplace_back(text);
    add(name, {{"type", "string"}, {"enum", std::move(values)}}, help);
  }
  void member(const char* name, const std::vector<std::string>&, const char* help) {
    add(name, {{"type", "array"}, {"items", json::object{{"type", "string"}}}}, help);
  }
  template <class T>
  void read_only(const char* name, const T& v, const char* help) {
    member(name, v, help);
    properties[name].as_object()["readOnly"] = true;
  }
  template <class T>
  void set(const char* name, const T& v, const char* help) {
    read_only(name, v, help);
  }
  void write_only(const char* name, const std::string&, const char* help) {
    add(name, {{"type", "string"}, {"writeOnly", true}}, help);
  }
  void text_number(const char* name, uint64_t, const char* help) { add(name, {{"type", "string"}}, help); }
  void time(const char* name, WallTime, const char* help) { add(name, {{"type", "string"}}, help); }
  void address(const char* name, const SocketAddress&, const char* help) {
    add(name, {{"type", "string"}}, help);
  }
  template <class T>
  void object(const char* name, T& v, const char* help) {
    SchemaWriter inner;
    members(inner, v);
    add(name, {{"type", "object"}, {"properties", std::move(inner.properties)}}, help);
  }
  template <class T>
  void objects(const char* name, std::vector<T>&, const char* help) {
    T one{};
    SchemaWriter inner;
    members(inner, one);
    add(name,
        {{"type", "array"},
         {"items", json::object{{"type", "object"}, {"properties", std::move(inner.properties)}}}},
        help);
  }

 private:
  void add(const char* name, json::object schema, const char* help) {
    if (*help) schema["description"] = help;
    properties[name] = std::move(schema);
  }
};

template <class T>
json::object schema_of() {
  T one{};
  SchemaWriter w;
  members(w, one);
  return {{"type", "object"}, {"properties", std::move(w.properties)}, {"additionalProperties", false}};
}

// Days since 1970-01-01 of a proleptic Gregorian date, and back (the arithmetic of the civil calendar: an era
// is 400 years).
int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

}  // namespace

json::object to_json(const port::Subscriber& row) { return write(row); }
json::object to_json(const port::DomainRow& row) { return write(row); }
json::object to_json(const port::TrunkRow& row) { return write(row); }
json::object to_json(const port::RouteRow& row) { return write(row); }
json::object to_json(const port::RingGroupRow& row) { return write(row); }
json::object to_json(const port::RingGroupMemberRow& row) { return write(row); }
json::object to_json(const port::FeatureCodeRow& row) { return write(row); }
json::object to_json(const port::TimeRuleRow& row) { return write(row); }
json::object to_json(const port::ParkRow& row) { return write(row); }
json::object to_json(const port::MenuRow& row) { return write(row); }
json::object to_json(const port::MenuChoiceRow& row) { return write(row); }
json::object to_json(const port::MailboxRow& row) { return write(row); }
json::object to_json(const port::ConferenceRow& row) { return write(row); }
json::object to_json(const port::Voicemail& message) { return write(message); }
json::object to_json(const port::WebhookRow& row) { return write(row); }
json::object to_json(const port::Cdr& cdr) { return write(cdr); }
json::object to_json(const call::CallInfo& call) { return write(call); }
json::object to_json(const RegistrationView& registration) { return write(registration); }

Status<BodyError> from_json(const json::value& from, SubscriberInput& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::DomainRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::TrunkRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::RouteRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::RingGroupRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::RingGroupMemberRow& into) {
  return read(from, into);
}
Status<BodyError> from_json(const json::value& from, port::FeatureCodeRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::TimeRuleRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::ParkRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::MenuRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::MenuChoiceRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::MailboxRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::ConferenceRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::WebhookRow& into) { return read(from, into); }
Status<BodyError> from_json(const json::value& from, port::Voicemail& into) { return read(from, into); }

json::object json_schemas() {
  return {{"Subscriber", schema_of<SubscriberInput>()},
          {"Domain", schema_of<port::DomainRow>()},
          {"Trunk", schema_of<port::TrunkRow>()},
          {"Route", schema_of<port::RouteRow>()},
          {"RingGroup", schema_of<port::RingGroupRow>()},
          {"RingGroupMember", schema_of<port::RingGroupMemberRow>()},
          {"FeatureCode", schema_of<port::FeatureCodeRow>()},
          {"TimeRule", schema_of<port::TimeRuleRow>()},
          {"Park", schema_of<port::ParkRow>()},
          {"Menu", schema_of<port::MenuRow>()},
          {"MenuChoice", schema_of<port::MenuChoiceRow>()},
          {"Mailbox", schema_of<port::MailboxRow>()},
          {"Conference", schema_of<port::ConferenceRow>()},
          {"Voicemail", schema_of<port::Voicemail>()},
          {"Webhook", schema_of<port::WebhookRow>()},
          {"Registration", schema_of<RegistrationView>()},
          {"Call", schema_of<call::CallInfo>()},
          {"Cdr", schema_of<port::Cdr>()}};
}

std::string to_rfc3339(WallTime t) {
  if (t.ns == 0) return {};
  int64_t days = t.unix_seconds() / 86400, rest = t.unix_seconds() % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  const int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
  const int64_t d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9,
                y = yoe + era * 400 + (m <= 2);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", y, m, d, rest / 3600, rest / 60 % 60,
                     rest % 60, t.unix_millis() % 1000);
}

std::optional<WallTime> from_rfc3339(std::string_view s) {
  // YYYY-MM-DD, optionally Thh:mm:ss, optionally .fff, then Z or nothing: UTC only.
  const auto number = [&](size_t at, size_t n) -> std::optional<int64_t> {
    if (at + n > s.size()) return std::nullopt;
    const auto v = parse_u32(s.substr(at, n));
    return v ? std::optional<int64_t>(*v) : std::nullopt;
  };
  const auto y = number(0, 4), m = number(5, 2), d = number(8, 2);
  if (!y || !m || !d || s[4] != '-' || s[7] != '-' || *m < 1 || *m > 12 || *d < 1 || *d > 31)
    return std::nullopt;
  if (*y < 1970 || *y > 2261) return std::nullopt;  // 64 bits of nanoseconds end in 2262
  int64_t ns = days_from_civil(*y, *m, *d) * 86'400'000'000'000;
  if (s.size() == 10) return WallTime{ns};
  const auto h = number(11, 2), mi = number(14, 2), se = number(17, 2);
  if (!h || !mi || !se || s[10] != 'T' || s[13] != ':' || s[16] != ':' || *h > 23 || *mi > 59 || *se > 60)
    return std::nullopt;
  ns += ((*h * 60 + *mi) * 60 + *se) * 1'000'000'000;
  std::string_view rest = s.substr(19);
  if (!rest.empty() && rest.front() == '.') {
    int64_t unit = 100'000'000;
    for (rest.remove_prefix(1); !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), unit /= 10)
      ns += (rest.front() - '0') * unit;
  }
  if (!rest.empty() && rest != "Z") return std::nullopt;
  return WallTime{ns};
}

}  // namespace tandem::ops
