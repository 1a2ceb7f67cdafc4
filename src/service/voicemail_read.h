#pragma once
// Reading a mailbox. What is there is asked for once: what comes while somebody listens is new the next time.
//
//   PIN -> main menu -- 1, 2 --> messages   1 again, 2 keep, 3 or 7 delete, 4 previous, 6 next, 0 call back
//               |  \---- 3 ----> greeting   1 hear, 2 record, 3 standard
//               |   \--- 4 ----> new PIN, twice
//               # or * ends the call         # or * goes back
#include "service/pin_entry.h"
#include "service/talk.h"

namespace tandem::service {

class MailboxReader final : public Talk {
 public:
  static constexpr uint32_t most_messages = 1000;  // MailboxRow::max_messages is at most that

  MailboxReader(port::MailboxRow mailbox, bool own, Duration offset);
  ~MailboxReader() override;
  std::string_view kind() const override { return "voicemail"; }
  std::string_view language() const override { return mailbox_.language; }
  /// nullptr when the part is of no such machine.
  static std::unique_ptr<MailboxReader> read(const proto::ServicePart& part);

 private:
  enum class State : uint8_t {
    pin,
    listing,
    menu,
    message,
    greeting,
    greeting_order,  // how to record one is said; the tone is its end
    greeting_record,
    new_pin,
    new_pin_again,
  };
  /// What the question under way is for.
  enum class Job : uint8_t { none, mark_heard, keep, remove, hear_greeting, standard_greeting, set_pin };
  struct Item {
    uint64_t id = 0;
    std::string from;
    WallTime received;
    std::string file;
    bool heard = false;
    bool removed = false;
  };

  void begin(Now now, Orders& out) override;
  void key(Now now, char key, Orders& out) override;
  void said(Now now, Orders& out) override;
  void due(Now now, Orders& out) override;
  void recorded(Now now, Recorded how, Orders& out) override;
  void answered(Now now, const port::Answer& answer, Orders& out) override;
  void not_taken(Now now, int status, Orders& out) override;
  bool is_at_door() const override { return state_ == State::pin; }
  void write(proto::ServicePart& part) const override;

  static bool is_sound(const proto::ReadMessagesPart& part);

  // PINs
  void pin_key(Now now, char key, Orders& out);
  void judge(Now now, Orders& out);
  void judge_new(Now now, Orders& out);
  void judge_again(Now now, Orders& out);
  void ask_pin(Words before, State state, Orders& out);
  bool is_pin_state() const;

  // menus
  void list(Now now, Orders& out);
  void take(const port::VoicemailsAnswer& answer);
  void menu(Words before, Orders& out);
  void menu_key(Now now, char key, Orders& out);
  void greeting_menu(Words before, Orders& out);
  void greeting_key(Now now, char key, Orders& out);
  void order_greeting(Orders& out);
  void repeat(Now now, Words before, Orders& out);

  // messages
  void open(Now now, bool heard, Orders& out);
  void play(Now now, Words before, Orders& out);
  void choices(Words before, Orders& out);
  void message_key(Now now, char key, Orders& out);
  void next(Now now, Words before, Orders& out);
  void previous(Now now, Orders& out);
  void call_back(Now now, Orders& out);
  bool has_next() const;
  void job_done(Now now, bool done, Orders& out);

  void do_job(Now now, Job job, port::Question question, Orders& out);
  port::AddressOfRecord aor() const { return {mailbox_.user, mailbox_.domain}; }
  const prompt::Language& grammar() const { return prompt::language(mailbox_.language); }
  Item& item() { return items_[list_[at_]]; }
  const Item& item() const { return items_[list_[at_]]; }

  // given
  port::MailboxRow mailbox_;
  bool own_;
  Duration offset_;
  // state
  State state_ = State::pin;
  Job job_ = Job::none;
  std::vector<Item> items_;
  std::vector<uint32_t> list_;  // of items_: those the caller listens to
  uint32_t at_ = 0;             // of list_; within it in State::message
  bool playing_ = false;        // the message; else its choices
  uint32_t tries_ = 0;          // of a PIN
  uint32_t silent_ = 0;         // how often nothing was pressed
  PinEntry entry_;
  std::string new_pin_;
};

}  // namespace tandem::service
