#include "prompt/civil.h"
#include "prompt/grammars.h"

namespace tandem::prompt {
namespace {

/// 0 to 99: up to 59 a prompt each, since those are said most (minutes, counts).
Phrase below_hundred(uint32_t n) {
  if (n < 60 || n % 10 == 0) return {"number-" + std::to_string(n)};
  return {"number-" + std::to_string(n / 10 * 10), "number-" + std::to_string(n % 10)};
}

Phrase below_thousand(uint32_t n) {
  if (n < 100) return below_hundred(n);
  Phrase phrase = {"number-" + std::to_string(n / 100), "hundred"};
  return n % 100 == 0 ? phrase : phrase + below_hundred(n % 100);
}

class English final : public Language {
 public:
  std::string_view code() const override { return "en"; }

  Phrase number(uint32_t n) const override {
    if (n > 999'999) return digits(std::to_string(n));
    if (n < 1000) return below_thousand(n);
    const Phrase phrase = below_thousand(n / 1000) + Phrase{"thousand"};
    return n % 1000 == 0 ? phrase : phrase + below_thousand(n % 1000);
  }

  /// "three PM", "three oh five PM", "twelve thirty AM".
  Phrase time(LocalTime at) const override {
    const Civil c = civil(at);
    Phrase phrase = number(clock_hour(c));
    if (c.minute > 0 && c.minute < 10) phrase.emplace_back("oh");
    if (c.minute > 0) phrase = phrase + number(c.minute);
    phrase.emplace_back(c.hour < 12 ? "am" : "pm");
    return phrase;
  }

  Phrase day(LocalTime at, LocalTime now) const override {
    const Civil c = civil(at);
    if (std::string near = near_day(c, civil(now)); !near.empty()) return {std::move(near)};
    return {"month-" + std::to_string(c.month), "day-" + std::to_string(c.day)};
  }

  Phrase messages(uint32_t fresh, uint32_t old) const override {
    if (fresh == 0 && old == 0) return {"no-messages"};
    Phrase phrase = {"you-have"};
    if (fresh > 0) phrase = phrase + number(fresh) + Phrase{fresh == 1 ? "new-message" : "new-messages"};
    if (fresh > 0 && old > 0) phrase.emplace_back("and");
    if (old > 0) phrase = phrase + number(old) + Phrase{old == 1 ? "old-message" : "old-messages"};
    return phrase;
  }

  Phrase envelope(uint32_t index, LocalTime received, LocalTime now, std::string_view from) const override {
    Phrase phrase = Phrase{"message"} + number(index) + Phrase{"received"} + day(received, now) +
                    Phrase{"at"} + time(received);
    const Phrase keys = digits(from);
    return keys.empty() ? phrase + Phrase{"unknown-caller"} : phrase + Phrase{"from"} + keys;
  }

  Phrase not_available(std::string_view extension, bool busy) const override {
    const Phrase keys = digits(extension);
    if (keys.empty()) return {busy ? "line-busy" : "not-available"};
    return Phrase{"extension"} + keys + Phrase{busy ? "is-busy" : "is-not-available"};
  }

  Phrase choice(std::string_view sentence, char key) const override {
    return {std::string(sentence), "press", key_name(key)};
  }

  Phrase participants(uint32_t n) const override {
    if (n <= 1) return {"conference-only"};
    return Phrase{"there-are"} + number(n) + Phrase{"participants"};
  }

  Phrase with_number(std::string_view sentence, std::string_view number) const override {
    return Phrase{std::string(sentence)} + digits(number);
  }
};

}  // namespace

const Language& english() {
  static const English grammar;
  return grammar;
}

}  // namespace tandem::prompt
