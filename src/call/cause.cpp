#include "call/cause.h"

#include <array>

#include "base/text.h"
#include "sip/headers.h"
#include "sip/writer.h"

namespace tandem::call {
namespace {

struct Pair {
  uint16_t status;
  uint16_t q850;
};
// RFC 3398 section 8.2.6.1 (SIP to Q.850).
constexpr Pair to_q850[] = {{400, 41},  {401, 21},  {402, 21},  {403, 21},  {404, 1},   {405, 63}, {406, 79},
                            {407, 21},  {408, 102}, {410, 22},  {413, 127}, {414, 127}, {415, 79}, {416, 127},
                            {420, 127}, {421, 127}, {423, 127}, {480, 18},  {481, 41},  {482, 25}, {483, 25},
                            {484, 28},  {485, 1},   {486, 17},  {487, 31},  {488, 65},  {500, 41}, {501, 79},
                            {502, 38},  {503, 41},  {504, 102}, {505, 127}, {513, 127}, {600, 17}, {603, 21},
                            {604, 1},   {606, 65}};
// RFC 3398 section 7.2.4.1 (Q.850 to SIP).
constexpr Pair to_status[] = {{404, 1},  {404, 2},   {404, 3},   {486, 17}, {480, 18}, {480, 19}, {480, 20},
                              {403, 21}, {410, 22},  {410, 23},  {483, 25}, {404, 26}, {502, 27}, {484, 28},
                              {501, 29}, {480, 31},  {503, 34},  {503, 38}, {503, 41}, {503, 42}, {503, 47},
                              {403, 55}, {403, 57},  {501, 58},  {488, 65}, {488, 70}, {501, 79}, {403, 87},
                              {503, 88}, {504, 102}, {500, 111}, {500, 127}};

}  // namespace

Cause Cause::from_status(int status, std::string_view text) {
  Cause c;
  c.status = static_cast<uint16_t>(status);
  c.q850 = status < 300 ? 16 : status < 400 ? 23 : 127;
  for (const Pair& p : to_q850)
    if (p.status == status) c.q850 = p.q850;
  c.text = text.empty() ? sip::default_reason(status) : text.substr(0, 128);
  return c;
}

Cause Cause::from_q850(int cause, std::string_view text) {
  Cause c;
  c.q850 = static_cast<uint16_t>(cause);
  c.status = 480;
  for (const Pair& p : to_status)
    if (p.q850 == cause) c.status = p.status;
  c.text = text.substr(0, 128);
  return c;
}

Cause Cause::cancelled(int cause, std::string_view text) {
  Cause c = from_q850(cause, text);
  c.status = 487;
  return c;
}

Cause Cause::from_message(const sip::Message& message) {
  Cause c;
  message.for_each_value(sip::HeaderId::reason, [&](std::string_view value) {
    const auto parsed = sip::ReasonValue::parse(value);
    if (!parsed.ok() || !parsed->cause) return true;
    if (iequals(parsed->protocol, "Q.850") && *parsed->cause > 0 && *parsed->cause < 128) {
      c.q850 = static_cast<uint16_t>(*parsed->cause);
      c.text = parsed->text.substr(0, 128);
      return false;
    }
    if (iequals(parsed->protocol, "SIP") && *parsed->cause == 200) c.q850 = 26;
    return true;
  });
  return c;
}

std::string Cause::reason_header() const {
  std::string out = "Q.850;cause=" + std::to_string(q850);
  if (!text.empty()) out += ";text=" + sip::quote(text);
  return out;
}

}  // namespace tandem::call
