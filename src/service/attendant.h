#pragma once
// An attendant: a greeting, keys, and the numbers they lead to.
//
// The longest sequence of keys counts: one that is complete and cannot become longer acts at once, any other
// after a pause, or '#' where that is no key of a choice. Then it is the choice of just these keys, else a
// number if numbers may be dialled, else wrong.
#include "service/talk.h"

namespace tandem::service {

class Attendant final : public Talk {
 public:
  static constexpr size_t most_keys = 32;  // of a number; the next one is not waited for

  Attendant(port::MenuRow menu, std::vector<port::MenuChoiceRow> choices);
  std::string_view kind() const override { return "menu"; }
  std::string_view language() const override { return menu_.language; }
  /// nullptr when the part is of no attendant.
  static std::unique_ptr<Attendant> read(const proto::ServicePart& part);

 private:
  void begin(Now now, Orders& out) override;
  void key(Now now, char key, Orders& out) override;
  void said(Now now, Orders& out) override;
  void due(Now now, Orders& out) override;
  void not_taken(Now now, int status, Orders& out) override;
  void write(proto::ServicePart& part) const override;

  bool is_announcement() const { return choices_.empty() && !menu_.extensions; }
  void greet(Words before, Orders& out);
  /// The greeting again, unless it was heard as often as it may be.
  void again(Now now, std::string_view why, Orders& out);
  void otherwise(Now now, Words before, Orders& out);
  const port::MenuChoiceRow* chosen() const;
  bool more_could_follow() const;
  bool is_number() const;
  void act(Now now, Orders& out);
  void connect(Now now, std::string number, bool as_caller, Orders& out);

  // given
  port::MenuRow menu_;
  std::vector<port::MenuChoiceRow> choices_;
  // state
  std::string typed_;
  uint32_t heard_ = 0;  // how often the greeting was said because nothing right was chosen
  bool last_ = false;   // `otherwise` is under way, or what is said before it
};

}  // namespace tandem::service
