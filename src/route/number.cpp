#include "route/number.h"

#include "base/text.h"
#include "sip/uri.h"

namespace tandem::route {
namespace {

bool separator(char c) { return c == '-' || c == '.' || c == ' ' || c == '(' || c == ')'; }
bool dial_char(char c) { return is_digit(c) || c == '*' || c == '#'; }

/// The user part without the parameters a telephone-subscriber may carry there (RFC 3261 section 19.1.6).
std::string_view without_params(std::string_view user) { return user.substr(0, user.find(';')); }

Dialled from_tel(const sip::Uri& uri, std::string_view text) {
  Dialled out;
  const auto decoded = sip::unescape(without_params(uri.user));
  if (!decoded) return out;
  out.user = strip_separators(*decoded);
  // A local number's context says where it is valid: "+49" is put in front, a domain name is not (RFC 3966
  // section 5.1.5).
  const size_t at = text.find(";phone-context=");
  if (at != std::string_view::npos && !out.user.starts_with('+')) {
    std::string_view context = text.substr(at + 15);
    context = context.substr(0, context.find(';'));
    if (context.starts_with('+')) out.user = strip_separators(context) + out.user;
  }
  out.kind = out.user.empty() ? Dialled::Kind::bad : Dialled::Kind::number;
  return out;
}

}  // namespace

std::string strip_separators(std::string_view text) {
  text = trim(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (separator(c)) continue;
    if (!dial_char(c) && !(c == '+' && out.empty())) return std::string(text);
    out += c;
  }
  return out;
}

bool is_dialable(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  if (text.front() == '+') text.remove_prefix(1);
  bool digit = false;
  for (char c : text) {
    if (!dial_char(c)) return false;
    digit |= is_digit(c);
  }
  return digit;
}

bool could_be_extension(std::string_view text) {
  constexpr size_t most_digits = 7;
  if (!is_dialable(text)) return text.find_first_of("*#+") == std::string_view::npos;
  return text.size() <= most_digits && is_digit(text.front());
}

Dialled read_dialled(std::string_view text) {
  Dialled out;
  text = trim(text);
  if (istarts_with(text, "urn:service:sos")) {
    out.kind = Dialled::Kind::service;
    return out;
  }
  const bool sip_uri = istarts_with(text, "sip:") || istarts_with(text, "sips:");
  if (!sip_uri && !istarts_with(text, "tel:")) {
    out.user = strip_separators(text);
    out.kind = out.user.empty() ? Dialled::Kind::bad : Dialled::Kind::number;
    return out;
  }
  const auto uri = sip::Uri::parse(text);
  if (!uri.ok()) return out;
  if (uri->scheme == sip::Scheme::tel) return from_tel(*uri, text);
  const auto decoded = sip::unescape(without_params(uri->user));
  if (!decoded || decoded->empty()) return out;
  out.user = strip_separators(*decoded);
  out.host = lower(uri->host);
  out.kind = out.user.empty() ? Dialled::Kind::bad : Dialled::Kind::number;
  return out;
}

std::optional<std::string_view> Numbering::after_international(std::string_view number) const {
  if (number.starts_with('+')) return number.substr(1);
  if (!international_prefix.empty()) {
    if (number.starts_with(international_prefix)) return number.substr(international_prefix.size());
    return std::nullopt;
  }
  for (std::string_view common : {"00", "011"})
    if (number.starts_with(common)) return number.substr(common.size());
  return std::nullopt;
}

port::CallClass Numbering::classify(std::string_view number) const {
  const auto abroad = after_international(number);
  if (!abroad) return port::CallClass::national;
  return !country_code.empty() && abroad->starts_with(country_code) ? port::CallClass::national
                                                                    : port::CallClass::international;
}

std::string Numbering::e164(std::string_view number) const {
  if (number.starts_with('+') || !is_dialable(number)) return std::string(number);
  if (!international_prefix.empty() && number.starts_with(international_prefix))
    return "+" + std::string(number.substr(international_prefix.size()));
  if (country_code.empty()) return std::string(number);
  if (national_prefix.empty()) return "+" + country_code + std::string(number);
  if (number.starts_with(national_prefix))
    return "+" + country_code + std::string(number.substr(national_prefix.size()));
  return std::string(number);  // a local number: the area code is not known here
}

std::optional<std::string> Numbering::local(std::string_view number) const {
  if (!number.starts_with('+')) return std::nullopt;
  const std::string_view rest = number.substr(1);
  if (!country_code.empty() && rest.starts_with(country_code))
    return national_prefix + std::string(rest.substr(country_code.size()));
  if (international_prefix.empty()) return std::nullopt;
  return international_prefix + std::string(rest);
}

}  // namespace tandem::route
