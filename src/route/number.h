#pragma once
// Telephone numbers: from what a phone sends (digits with separators, SIP and tel: URIs) to what patterns
// match, and from there to what a trunk wants (E.164, ITU-T).
#include <optional>
#include <string>
#include <string_view>

#include "port/records.h"

namespace tandem::route {

/// What was dialled, taken apart.
struct Dialled {
  enum class Kind : uint8_t {
    number,   // `user` in the domain `host` (empty: the caller's own)
    service,  // an emergency service, urn:service:sos and its kinds (RFC 5031)
    bad,      // nothing that can be routed
  } kind = Kind::bad;
  std::string user;  // separators removed, escapes decoded
  std::string host;  // lower case; empty for plain numbers and tel:
};
Dialled read_dialled(std::string_view text);

/// Removes '-', '.', blanks and round brackets (RFC 3966 visual separators) when nothing else but digits,
/// '+', '*' and '#' is there; a name stays as it is.
std::string strip_separators(std::string_view text);
/// Digits, '*', '#' and a leading '+', at least one digit, at most 32 characters.
bool is_dialable(std::string_view text);
/// A name, or at most seven digits: whether a subscriber has it is for the directory to say.
bool could_be_extension(std::string_view text);

/// How a country writes numbers.
struct Numbering {
  std::string country_code;          // "49"
  std::string national_prefix;       // "0"
  std::string international_prefix;  // "00"; empty: both "00" and "011" are taken for international

  /// national or international; never internal.
  port::CallClass classify(std::string_view number) const;
  /// "+49301234"; a number that cannot be brought into that form comes back as it is.
  std::string e164(std::string_view number) const;
  /// "+49301234" as it would be dialled here; nothing when the domain does not say how.
  std::optional<std::string> local(std::string_view plus_number) const;

 private:
  /// What follows the international prefix, if one is there.
  std::optional<std::string_view> after_international(std::string_view number) const;
};

}  // namespace tandem::route
