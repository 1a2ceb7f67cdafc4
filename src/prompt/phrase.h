#pragma once
// What is said with numbers, times and names in it, as a list of prompt names in the order they are played.
// How a language builds it is data and functions of that language; the words are in sounds/LANGUAGE.txt.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace tandem::prompt {

/// Names for PromptLibrary::find, all of one language.
using Phrase = std::vector<std::string>;

/// A moment as people at the place see it: wall time moved by the place's offset from UTC.
struct LocalTime {
  WallTime utc;
  Duration offset = Duration{0};  // east of Greenwich is positive
};

/// A language's grammar. Stateless; lives as long as the program.
class Language {
 public:
  virtual ~Language() = default;
  virtual std::string_view code() const = 0;  // "en"

  /// A telephone number or an extension, key by key: 0 to 9, '+', '*', '#'; anything else is passed over.
  virtual Phrase digits(std::string_view number) const;
  /// A number as it is counted, up to 999,999; above that, key by key.
  virtual Phrase number(uint32_t n) const = 0;
  /// "Half past" is nobody's: hour and minute.
  virtual Phrase time(LocalTime at) const = 0;
  /// "today", "yesterday", a weekday within the last six days, else month and day.
  virtual Phrase day(LocalTime at, LocalTime now) const = 0;

  /// "You have three new messages and one old message."
  virtual Phrase messages(uint32_t fresh, uint32_t old) const = 0;
  /// "Message three", "received today at 3 oh 5 PM", "from" a number (empty: from an unknown one).
  virtual Phrase envelope(uint32_t index, LocalTime received, LocalTime now, std::string_view from) const = 0;
  /// "The person at extension 1 0 1 is not available", or is on another call.
  virtual Phrase not_available(std::string_view extension, bool busy) const = 0;
  /// A choice of a menu, "To delete it, press 3": a sentence of names.h and a key.
  virtual Phrase choice(std::string_view sentence, char key) const = 0;
  /// "There are 12 participants in the conference."
  virtual Phrase participants(uint32_t n) const = 0;
  /// A sentence that ends in a number read key by key: forward_on, parked_at.
  virtual Phrase with_number(std::string_view sentence, std::string_view number) const = 0;
};

/// By code ("ko") or by what begins with it ("ko-KR"); English for what has no grammar here.
const Language& language(std::string_view code);
/// All of them.
std::vector<const Language*> languages();

}  // namespace tandem::prompt
