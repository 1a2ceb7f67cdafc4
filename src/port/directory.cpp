#include "port/directory.h"

#include <algorithm>

#include "base/address.h"
#include "base/text.h"
#include "port/sound.h"

namespace tandem::port {
namespace {

/// IANA, RTP Payload Format media types, audio; without those that only go with another (CN,
/// telephone-event).
constexpr std::string_view audio_encodings[] = {
    "PCMU",    "PCMA",       "G722",  "G729",  "G723",         "G728",      "G726-16", "G726-24",
    "G726-32", "G726-40",    "G719",  "G7221", "G7291",        "GSM",       "GSM-EFR", "GSM-HR-08",
    "iLBC",    "opus",       "speex", "AMR",   "AMR-WB",       "AMR-WB+",   "EVS",     "BV16",
    "BV32",    "L8",         "L16",   "L20",   "L24",          "LPC",       "DVI4",    "QCELP",
    "EVRC",    "EVRC0",      "EVRC1", "EVRCB", "EVRCB0",       "EVRCB1",    "EVRCWB",  "EVRCNW",
    "SMV",     "VMR-WB",     "MPA",   "AC3",   "eac3",         "MP4A-LATM", "UEMCLIP", "VDVI",
    "vorbis",  "ip-mr_v2.5", "SILK",  "iSAC",  "mpeg4-generic"};

bool has_control(std::string_view s) {
  return std::any_of(s.begin(), s.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

/// A name that goes into URIs, SQL keys and logs.
std::string check_name(std::string_view what, std::string_view s) {
  if (s.empty()) return std::string(what) + " is missing";
  if (s.size() > 255) return std::string(what) + " is longer than 255 characters";
  if (has_control(s) || s.find_first_of(" @<>\"") != std::string_view::npos)
    return std::string(what) + " holds a space, control character or one of @ < > \"";
  return {};
}

std::string check_domain(std::string_view what, std::string_view s) {
  if (std::string p = check_name(what, s); !p.empty()) return p;
  return lower(s) == s ? std::string() : std::string(what) + " must be in lower case";
}

std::string check_text(std::string_view what, std::string_view s) {
  if (s.size() > 1024) return std::string(what) + " is longer than 1024 characters";
  return has_control(s) ? std::string(what) + " holds a control character" : std::string();
}

std::string check_ha1(const Ha1& h) {
  // One secret, or the two of "user" and "user@domain".
  const auto hex = [](std::string_view s, size_t chars) {
    return s.empty() || ((s.size() == chars || s.size() == 2 * chars) && from_hex(s) && lower(s) == s);
  };
  if (!hex(h.md5, 32)) return "the MD5 HA1 must be 32 lower-case hex digits, or twice as many";
  if (!hex(h.sha256, 64)) return "the SHA-256 HA1 must be 64 lower-case hex digits, or twice as many";
  if (!hex(h.sha512_256, 64)) return "the SHA-512-256 HA1 must be 64 lower-case hex digits, or twice as many";
  return {};
}

/// Lists are kept as comma-separated text.
std::string check_list(std::string_view what, const std::vector<std::string>& list) {
  for (const std::string& s : list)
    if (s.empty() || s.size() > 255 || has_control(s) || s.find(',') != std::string::npos)
      return std::string(what) + " holds an entry that is empty, too long, or has a comma";
  return {};
}

std::string check_codecs(const std::vector<std::string>& codecs) {
  for (const std::string& c : codecs)
    if (!CodecName::parse(c))
      return "codec '" + c + "' is unknown: expected names such as PCMA, G722/8000 or opus/48000/2";
  return {};
}

std::string check_range(std::string_view what, uint32_t value, uint32_t least, uint32_t most) {
  if (value >= least && value <= most) return {};
  return std::string(what) + " must be " + std::to_string(least) + " to " + std::to_string(most);
}

template <class... Checks>
std::string first_of(Checks&&... checks) {
  std::string problem;
  static_cast<void>((... || !(problem = std::forward<Checks>(checks)).empty()));
  return problem;
}

}  // namespace

bool is_mail_address(std::string_view s) {
  constexpr std::string_view special = "<>()[],;:\\\"";
  const size_t at = s.find('@');
  return s.size() <= 254 && at != std::string_view::npos && at > 0 && at + 1 < s.size() &&
         s.find('@', at + 1) == std::string_view::npos && s.front() != '-' &&
         std::all_of(s.begin(), s.end(), [&](char c) {
           return c > 0x20 && c < 0x7f && special.find(c) == std::string_view::npos;
         });
}

std::optional<CodecName> CodecName::parse(std::string_view text) {
  CodecName codec;
  codec.encoding = text.substr(0, text.find('/'));
  const bool known = std::any_of(std::begin(audio_encodings), std::end(audio_encodings),
                                 [&](std::string_view e) { return iequals(e, codec.encoding); });
  if (!known) return std::nullopt;
  if (codec.encoding.size() == text.size()) return codec;
  text.remove_prefix(codec.encoding.size() + 1);
  const size_t slash = text.find('/');
  const auto rate = parse_u32(text.substr(0, slash));
  if (!rate || *rate == 0) return std::nullopt;
  codec.clock_rate = *rate;
  if (slash == std::string_view::npos) return codec;
  const auto channels = parse_u32(text.substr(slash + 1));
  if (!channels || *channels == 0 || *channels > 255) return std::nullopt;
  codec.channels = static_cast<uint8_t>(*channels);
  return codec;
}

namespace {

std::string problem(const DomainRow& r) {
  return first_of(check_domain("domain name", r.name), check_text("digest realm", r.digest_realm),
                  check_list("aliases", r.aliases), check_list("emergency numbers", r.emergency_numbers));
}

std::string problem(const TrunkRow& r) {
  std::string p =
      first_of(check_name("trunk name", r.name), check_domain("domain", r.domain), check_name("host", r.host),
               check_text("user", r.user), check_text("realm", r.auth_realm), check_ha1(r.ha1),
               check_list("codecs", r.codecs), check_codecs(r.codecs));
  if (!p.empty()) return p;
  for (const std::string& s : r.sources)
    if (!IpPrefix::parse(s)) return "source '" + s + "' is not an address or a prefix such as 192.0.2.0/28";
  const bool has_ha1 = !r.ha1.md5.empty() || !r.ha1.sha256.empty() || !r.ha1.sha512_256.empty();
  if (has_ha1 && r.auth_realm.empty()) return "HA1 values need the realm they were computed for";
  if (r.kind == TrunkRow::Kind::registration && r.user.empty()) return "a trunk that registers needs a user";
  if (r.expires_seconds < 30 || r.expires_seconds > 86400) return "expiry must be 30 to 86400 seconds";
  return {};
}

std::string check_pattern(std::string_view what, std::string_view s) {
  if (std::string p = check_text(what, s); !p.empty()) return p;
  if (s.starts_with('=')) return {};
  for (size_t i = 0; i < s.size(); ++i) {
    if ((s[i] == '.' || s[i] == '!') && i + 1 != s.size())
      return std::string(what) + ": '.' and '!' stand only at the end";
    if (s[i] == ']') return std::string(what) + ": ']' without '['";
    if (s[i] == '[') {
      const size_t end = s.find(']', i);
      if (end == std::string_view::npos || end == i + 1)
        return std::string(what) + ": '[' needs characters and ']'";
      i = end;
    }
  }
  return {};
}

std::string problem(const RouteRow& r) {
  std::string p = first_of(
      r.domain.empty() ? std::string() : check_domain("domain", r.domain), check_text("name", r.name),
      r.pattern.empty() ? std::string("pattern is missing") : check_pattern("pattern", r.pattern),
      check_pattern("caller pattern", r.caller_pattern), check_text("target", r.target),
      check_list("targets", r.targets), check_text("reason", r.reason), check_text("otherwise", r.otherwise));
  if (!p.empty()) return p;
  switch (r.action) {
    case RouteRow::Action::trunk:
      if (r.targets.empty()) return "a route to trunks needs at least one in targets";
      break;
    case RouteRow::Action::reject:
      if (r.status < 400 || r.status > 699) return "a rejecting route needs a status of 400 to 699";
      break;
    case RouteRow::Action::feature:
      if (!from_text<Feature>(r.target)) return "target must be the name of a feature";
      break;
    case RouteRow::Action::ring_group:
    case RouteRow::Action::redirect:
    case RouteRow::Action::number:
      if (r.target.empty()) return "target is missing";
      break;
    case RouteRow::Action::extension:
    case RouteRow::Action::park:
    case RouteRow::Action::menu:
    case RouteRow::Action::voicemail:
    case RouteRow::Action::conference:
      break;
  }
  return {};
}

std::string problem(const RingGroupRow& r) {
  if (r.timeout_seconds == 0 || r.timeout_seconds > 3600) return "time-out must be 1 to 3600 seconds";
  if (r.member_timeout_seconds == 0 || r.member_timeout_seconds > 3600)
    return "member time-out must be 1 to 3600 seconds";
  return first_of(check_domain("domain", r.domain), check_name("group name", r.name),
                  check_text("otherwise", r.otherwise));
}

std::string problem(const RingGroupMemberRow& r) {
  return first_of(check_domain("domain", r.domain), check_name("group name", r.group),
                  r.target.empty() ? std::string("target is missing") : check_text("target", r.target));
}

std::string problem(const FeatureCodeRow& r) {
  return first_of(r.domain.empty() ? std::string() : check_domain("domain", r.domain),
                  check_name("code", r.code));
}

/// "MM-DD" or "YYYY-MM-DD".
bool is_date(std::string_view s) {
  if (s.size() == 10) {
    if (!parse_u32(s.substr(0, 4)) || s[4] != '-') return false;
    s.remove_prefix(5);
  }
  if (s.size() != 5 || s[2] != '-') return false;
  const auto month = parse_u32(s.substr(0, 2)), day = parse_u32(s.substr(3));
  return month && day && *month >= 1 && *month <= 12 && *day >= 1 && *day <= 31;
}

std::string problem(const TimeRuleRow& r) {
  if (r.weekdays == 0 || r.weekdays > 0x7f) return "weekdays must name at least one day";
  if (r.from_minute > 1440 || r.to_minute > 1440) return "minutes of a day run from 0 to 1440";
  if (!r.from_date.empty() && !is_date(r.from_date)) return "from_date must be YYYY-MM-DD or MM-DD";
  if (!r.to_date.empty() && !is_date(r.to_date)) return "to_date must be YYYY-MM-DD or MM-DD";
  return first_of(r.domain.empty() ? std::string() : check_domain("domain", r.domain),
                  check_name("name", r.name), check_text("time zone", r.time_zone));
}

std::string problem(const ParkRow& r) {
  if (r.first_slot > r.last_slot || r.last_slot - r.first_slot >= 1000)
    return "slots must be a range of at most 1000";
  return first_of(check_domain("domain", r.domain), check_text("otherwise", r.otherwise));
}

constexpr size_t max_greeting = 16;  // prompts and files, one after the other

std::string problem(const MenuRow& r) {
  std::string p = first_of(check_domain("domain", r.domain), check_name("menu name", r.name),
                           check_name("language", r.language), check_list("greeting", r.greeting),
                           check_range("wait_seconds", r.wait_seconds, 1, 60),
                           check_range("between_seconds", r.between_seconds, 1, 60),
                           check_range("tries", r.tries, 1, 10), check_text("otherwise", r.otherwise));
  if (!p.empty()) return p;
  if (r.greeting.size() > max_greeting) return "greeting has more than 16 entries";
  for (const std::string& s : r.greeting)
    if (!is_sound_name(s)) return "greeting '" + s + "' is no prompt's name and no file's";
  return {};
}

std::string problem(const MenuChoiceRow& r) {
  const bool keys =
      !r.keys.empty() && r.keys.size() <= 8 && r.keys.find_first_not_of("0123456789*#") == std::string::npos;
  if (!keys) return "keys must be 1 to 8 of 0-9, * and #";
  return first_of(check_domain("domain", r.domain), check_name("menu name", r.menu),
                  check_text("time rule", r.time_rule), check_text("target", r.target));
}

/// A PIN is keyed in on a telephone.
std::string check_pin(std::string_view what, std::string_view s) {
  const bool good =
      s.empty() || (s.size() >= 4 && s.size() <= 12 && std::all_of(s.begin(), s.end(), is_digit));
  return good ? std::string() : std::string(what) + " must be 4 to 12 digits";
}

std::string check_email(std::string_view s) {
  if (s.empty() || is_mail_address(s)) return {};
  return "email must be one plain address, such as ann@example.com";
}

std::string problem(const MailboxRow& r) {
  if (r.remove_sent && !r.attach) return "remove_sent needs attach, or nobody would ever hear the message";
  return first_of(check_domain("domain", r.domain), check_name("user", r.user), check_pin("pin", r.pin),
                  check_name("language", r.language), check_range("max_messages", r.max_messages, 1, 1000),
                  check_range("max_seconds", r.max_seconds, 5, 3600), check_text("time zone", r.time_zone),
                  check_email(r.email));
}

std::string problem(const ConferenceRow& r) {
  std::string p = first_of(check_domain("domain", r.domain), check_name("conference name", r.name),
                           check_pin("pin", r.pin), check_pin("moderator_pin", r.moderator_pin),
                           check_name("language", r.language), check_range("members", r.members, 2, 200));
  if (!p.empty()) return p;
  if (!r.pin.empty() && r.pin == r.moderator_pin) return "pin and moderator_pin must differ";
  if (r.moderator_pin.empty() && (r.lecture || r.wait || r.ends))
    return "lecture, wait and ends need a moderator_pin, or there is never a moderator";
  return {};
}

}  // namespace

void apply(const SetFeature& change, Subscriber& row) {
  switch (change.kind) {
    case SetFeature::Kind::dnd:
      row.do_not_disturb = change.value == "1";
      break;
    case SetFeature::Kind::forward_always:
      row.forwarding.always = change.value;
      break;
    case SetFeature::Kind::forward_busy:
      row.forwarding.busy = change.value;
      break;
    case SetFeature::Kind::forward_no_answer:
      row.forwarding.no_answer = change.value;
      break;
    case SetFeature::Kind::forward_unreachable:
      row.forwarding.unreachable = change.value;
      break;
  }
}

std::string problem_with(const PlanRow& row) {
  return std::visit([](const auto& r) { return problem(r); }, row);
}

std::string problem_with(const Subscriber& r) {
  if (r.max_contacts == 0 || r.max_contacts > 100) return "max_contacts must be 1 to 100";
  if (r.forwarding.no_answer_seconds == 0 || r.forwarding.no_answer_seconds > 600)
    return "no_answer_seconds must be 1 to 600";
  return first_of(check_name("user", r.aor.user), check_domain("domain", r.aor.domain), check_ha1(r.ha1),
                  check_text("display name", r.display_name), check_text("caller number", r.caller_number),
                  check_text("pick-up group", r.pickup_group), check_text("forwarding", r.forwarding.always),
                  check_text("forwarding", r.forwarding.busy),
                  check_text("forwarding", r.forwarding.no_answer),
                  check_text("forwarding", r.forwarding.unreachable), check_list("codecs", r.codecs),
                  check_codecs(r.codecs));
}

std::string problem_with(const ApiTokenRow& r) {
  if (r.sha256.size() != 64 || !from_hex(r.sha256)) return "sha256 must be 64 hex digits";
  if (r.scopes != "admin" && r.scopes != "read") return "scopes must be 'admin' or 'read'";
  return check_name("token name", r.name);
}

}  // namespace tandem::port
