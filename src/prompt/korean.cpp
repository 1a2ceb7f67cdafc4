#include "prompt/civil.h"
#include "prompt/grammars.h"

namespace tandem::prompt {
namespace {

/// Sino-Korean numbers go by ten thousands; a single hundred, thousand or ten thousand has no "one" before
/// it.
Phrase sino(uint32_t n) {
  if (n < 60) return {"number-" + std::to_string(n)};
  Phrase phrase;
  const auto rank = [&](uint32_t unit, const char* name) {
    const uint32_t times = n / unit;
    if (times > 1) phrase = phrase + sino(times);
    if (times > 0) phrase.emplace_back(name);
    n %= unit;
  };
  rank(10'000, "ten-thousand");
  rank(1000, "thousand");
  rank(100, "hundred");
  if (n >= 60) {
    phrase.push_back("number-" + std::to_string(n / 10 * 10));
    n %= 10;
  }
  if (n > 0) phrase.push_back("number-" + std::to_string(n));
  return phrase;
}

/// Things are counted with native numbers; past twenty the Sino-Korean ones are as usual.
Phrase count(uint32_t n) {
  if (n >= 1 && n <= 20) return {"count-" + std::to_string(n)};
  return sino(n) + Phrase{"items"};
}

class Korean final : public Language {
 public:
  std::string_view code() const override { return "ko"; }

  Phrase number(uint32_t n) const override { return n > 999'999 ? digits(std::to_string(n)) : sino(n); }

  /// The half of the day, the hour in native and the minute in Sino-Korean numbers.
  Phrase time(LocalTime at) const override {
    const Civil c = civil(at);
    const Phrase phrase = {c.hour < 12 ? "am" : "pm", "hour-" + std::to_string(clock_hour(c))};
    return c.minute == 0 ? phrase : phrase + sino(c.minute) + Phrase{"minute"};
  }

  Phrase day(LocalTime at, LocalTime now) const override {
    const Civil c = civil(at);
    if (std::string near = near_day(c, civil(now)); !near.empty()) return {std::move(near)};
    return {"month-" + std::to_string(c.month), "day-" + std::to_string(c.day)};
  }

  /// What there is comes first, that it is there at the end.
  Phrase messages(uint32_t fresh, uint32_t old) const override {
    if (fresh == 0 && old == 0) return {"no-messages"};
    Phrase phrase;
    if (fresh > 0) phrase = Phrase{"new-messages"} + count(fresh);
    if (old > 0) phrase = phrase + Phrase{"old-messages"} + count(old);
    return phrase + Phrase{"there-are"};
  }

  Phrase envelope(uint32_t index, LocalTime received, LocalTime now, std::string_view from) const override {
    const Phrase phrase =
        Phrase{"message"} + sino(index) + day(received, now) + time(received) + Phrase{"received"};
    const Phrase keys = digits(from);
    return keys.empty() ? phrase + Phrase{"unknown-caller"} : phrase + Phrase{"from"} + keys;
  }

  Phrase not_available(std::string_view extension, bool busy) const override {
    const Phrase keys = digits(extension);
    if (keys.empty()) return {busy ? "line-busy" : "not-available"};
    return Phrase{"extension"} + keys + Phrase{busy ? "is-busy" : "is-not-available"};
  }

  Phrase choice(std::string_view sentence, char key) const override {
    return {std::string(sentence), key_name(key), key >= '0' && key <= '9' ? "press" : "press-key"};
  }

  Phrase participants(uint32_t n) const override {
    if (n <= 1) return {"conference-only"};
    return Phrase{"participants"} + sino(n) + Phrase{"people"};
  }

  Phrase with_number(std::string_view sentence, std::string_view number) const override {
    return Phrase{std::string(sentence)} + digits(number) + Phrase{"is"};
  }
};

}  // namespace

const Language& korean() {
  static const Korean grammar;
  return grammar;
}

}  // namespace tandem::prompt
