#pragma once
// Leaving a message: is there room, the mailbox's greeting, the tone, what the caller says.
#include "service/talk.h"

namespace tandem::service {

class MessageTaker final : public Talk {
 public:
  static constexpr Duration shortest = seconds(2);  // of a message: who hangs up at the tone leaves none

  MessageTaker(port::MailboxRow mailbox, Caller caller, bool busy, std::string tail);
  std::string_view kind() const override { return "voicemail"; }
  std::string_view language() const override { return mailbox_.language; }
  /// nullptr when the part is of no such machine.
  static std::unique_ptr<MessageTaker> read(const proto::ServicePart& part);

 private:
  enum class State : uint8_t {
    counting,  // asked for the messages there are
    looking,   // asked for the greeting
    greeting,  // the tone is its end
    message,
  };
  void begin(Now now, Orders& out) override;
  void key(Now now, char key, Orders& out) override;
  void said(Now now, Orders& out) override;
  void due(Now, Orders&) override {}
  void recorded(Now now, Recorded how, Orders& out) override;
  void answered(Now now, const port::Answer& answer, Orders& out) override;
  void write(proto::ServicePart& part) const override;

  port::AddressOfRecord aor() const { return {mailbox_.user, mailbox_.domain}; }

  // given
  port::MailboxRow mailbox_;
  Caller caller_;
  bool busy_;
  std::string tail_;
  // state
  State state_ = State::counting;
  bool tried_ = false;  // a message was too short
};

/// The file that greeting_of() becomes.
port::SoundFile greeting_file(const port::AddressOfRecord& mailbox);
/// What callers hear of a mailbox without a greeting of its own.
Words standard_greeting(const port::MailboxRow& mailbox, bool busy);

}  // namespace tandem::service
