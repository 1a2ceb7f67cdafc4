#pragma once
// What the machines have in common: something is said, then a key is waited for; each wait has an end, what
// is under way for the machine has one, and so has the whole talk. A machine is what it says and does
// between.
#include <string>
#include <string_view>
#include <vector>

#include "prompt/phrase.h"
#include "service/machine.h"

namespace tandem::proto {
class ServicePart;
class ServiceTalkPart;
class ReadMessagesPart;
}  // namespace tandem::proto

namespace tandem::service {

/// What is to be said, put together.
class Words {
 public:
  Words& say(std::string_view prompt);
  Words& all(const prompt::Phrase& phrase);
  Words& file(port::SoundFile file);
  Words& beep();
  Words& add(const Words& more);
  bool empty() const { return list_.empty(); }
  std::vector<Utterance> take() && { return std::move(list_); }

 private:
  std::vector<Utterance> list_;
};

class Talk : public Machine {
 public:
  static constexpr uint32_t most_dials = 10;     // of one caller, one after the other
  static constexpr size_t most_keys_ahead = 16;  // typed while an answer is awaited

  ~Talk() override;
  void start(Now now, Orders& out) final;
  void on_key(Now now, char key, Orders& out) final;
  void on_said(Now now, Orders& out) final;
  void on_recorded(Now now, Recorded how, Orders& out) final;
  void on_answer(Now now, const port::Answer& answer, Orders& out) final;
  void on_not_taken(Now now, int status, Orders& out) final;
  void on_room(Now now, RoomEvent event, uint32_t count, Orders& out) final;
  void on_timeout(Now now, Orders& out) final;
  Instant next_timeout() const final;
  bool awaits_pin() const final { return stage_ == Stage::talking && is_at_door(); }
  std::string snapshot(Now now) const final;

  /// The part's fields of every machine; false when they are none.
  bool read_talk(Now now, const proto::ServiceTalkPart& part);

 protected:
  explicit Talk(Duration longest) : longest_(longest) {}

  // What a machine is: called while it has not parted.
  virtual void begin(Now now, Orders& out) = 0;
  virtual void key(Now now, char key, Orders& out) = 0;
  virtual void said(Now now, Orders& out) = 0;
  virtual void due(Now now, Orders& out) = 0;  // what wait() was given has passed
  virtual void recorded(Now, Recorded, Orders&) {}
  virtual void answered(Now, const port::Answer&, Orders&) {}
  virtual void not_taken(Now, int /*status*/, Orders&) {}
  virtual void room(Now, RoomEvent, uint32_t /*count*/, Orders&) {}
  virtual bool is_at_door() const { return false; }  // asks for the PIN that lets the caller in
  virtual void write(proto::ServicePart& part) const = 0;

  // What it does with.
  void say(Words words, Orders& out);
  /// What is being said stops, if anything is.
  void hush(Orders& out);
  void wait(Now now, Duration time) { due_ = now.mono + time; }
  void wait_no_more() { due_ = Instant::never(); }
  void ask(Now now, port::Question question, Orders& out);
  void record(Now now, Record order, Orders& out);
  /// Once; another one is none.
  void stop_record(Now now, Orders& out);
  void dial(Now now, std::string number, bool as_caller, Orders& out);
  bool may_dial() const { return dials_ < most_dials; }
  /// The last words; then the call ends.
  void part(Now now, Words words, int status, Orders& out);
  void hang_up(int status, Orders& out);

 private:
  enum class Stage : uint8_t { talking, parting, over };
  enum class UnderWay : uint8_t { nothing, ask, dial, record, save };
  void end_under_way() { under_way_ = UnderWay::nothing, wait_no_more(); }
  void play_keys_ahead(Now now, Orders& out);

  // given
  Duration longest_;
  // state
  Stage stage_ = Stage::talking;
  UnderWay under_way_ = UnderWay::nothing;
  bool speaking_ = false;
  int status_ = 200;  // once it parts
  uint32_t dials_ = 0;
  Instant until_ = Instant::never();
  Instant due_ = Instant::never();
  std::string ahead_;  // keys; may be a PIN's
};

/// What the caller hears of a call nobody took.
std::string_view why_not_taken(int status);

}  // namespace tandem::service
