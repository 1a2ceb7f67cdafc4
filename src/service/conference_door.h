#pragma once
// The door of a conference: who may in, as what; the keys while in it, and what happens to the caller there.
//
// With a PIN of the row everybody types one: the moderators' makes a moderator. With only a moderators' PIN
// nothing typed is a participant.
#include "service/pin_entry.h"
#include "service/talk.h"

namespace tandem::service {

class ConferenceDoor final : public Talk {
 public:
  explicit ConferenceDoor(port::ConferenceRow row);
  std::string_view kind() const override { return "conference"; }
  std::string_view language() const override { return row_.language; }
  /// nullptr when the part is of no such machine.
  static std::unique_ptr<ConferenceDoor> read(const proto::ServicePart& part);

 private:
  enum class State : uint8_t {
    pin,
    entering,
    waiting,  // for a moderator
    inside,
  };
  void begin(Now now, Orders& out) override;
  void key(Now now, char key, Orders& out) override;
  void said(Now now, Orders& out) override;
  void due(Now now, Orders& out) override;
  void room(Now now, RoomEvent event, uint32_t count, Orders& out) override;
  bool is_at_door() const override { return state_ == State::pin; }
  void write(proto::ServicePart& part) const override;

  void ask_pin(Words before, Orders& out);
  void judge(Now now, Orders& out);
  void enter(Now now, bool moderator, Orders& out);
  void entered(uint32_t others, Orders& out);
  void command(char key, Orders& out);
  void set_muted(bool on, Orders& out);
  void set_lecture(bool on, Orders& out);

  // given
  port::ConferenceRow row_;
  // state
  State state_ = State::pin;
  PinEntry entry_;
  uint32_t tries_ = 0;
  bool moderator_ = false;
  bool muted_ = false;
  bool lecture_;
  bool locked_ = false;
  bool star_ = false;      // a command begins
  bool recorded_ = false;  // and to be told so on entering
};

}  // namespace tandem::service
