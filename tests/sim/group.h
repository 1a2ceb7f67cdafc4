#pragma once
// A small play: one call (or message) and what is done with it, by two or three lines that do nothing else
// meanwhile.
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/phone.h"
#include "sim/schedule.h"

namespace tandem::sim {

class World;

/// A number and the phones registered under it.
struct Line {
  std::string number;
  std::vector<Phone*> phones;
  bool busy = false;
  // What the plan has for it; such lines are in no other play that would meet it by accident.
  std::string ring_group;      // number of the group whose first member it is
  bool sequential = false;     // that group
  Line* partner = nullptr;     // the group's second member, or where its calls are forwarded to
  bool forwards_busy = false;  // else when it does not answer
  bool forwards() const { return partner && ring_group.empty(); }
  SimNode& node() const { return phones.front()->node(); }
  bool registered() const;
  bool connections() const;  // by a connection that a restart breaks
};

class Group final : public PhoneUser {
 public:
  enum class Kind : uint8_t {
    basic,
    cross,
    cancel,
    refuse,
    hold,
    blind,
    attended,
    pickup,
    park,
    echo,
    nobody,
    ring,      // a ring group: one member stays silent, the other answers
    forward,   // the called line is busy or does not answer, and has its calls forwarded
    glare,     // both offer other codecs at the same moment
    reliable,  // provisional answers with PRACK on both sides
    watch,     // a third line watches the called one
    message,   // an instant message
    mail,      // one to somebody who is away
    count_
  };

  Group(World& world, uint64_t id, Kind kind, std::vector<Line*> lines, uint64_t seed);
  void start();
  /// Something happened that a call may fail of: it has to end all the same, but not as planned.
  void disturb(std::string_view why);
  Kind kind() const { return kind_; }
  static std::string_view text_of(Kind kind);
  bool done() const { return done_; }
  /// Of its calls, so far.
  size_t sides(const std::function<bool(const Session&)>& which) const;
  bool disturbed() const { return !disturbed_.empty(); }
  bool touches(const SimNode& node) const;
  bool uses_connections() const;
  static bool wants_third(Kind kind) {
    return kind == Kind::blind || kind == Kind::attended || kind == Kind::pickup || kind == Kind::park ||
           kind == Kind::watch;
  }
  std::string text() const;

  void incoming(Phone& phone, Session& session) override;
  void up(Phone& phone, Session& session) override;
  void over(Phone& phone, Session& session) override;
  void transferred(Phone& phone, Session& session, int status) override;
  void offered(Phone& phone, Session& session, int status) override;
  void told(Phone& phone, uint32_t errand, int status) override;
  void message(Phone& phone, std::string_view text) override;
  void notified(Phone& phone, uint32_t errand, std::string_view body, bool active) override;

 private:
  struct Ref {
    Phone* phone = nullptr;
    uint32_t session = 0;
    explicit operator bool() const { return phone != nullptr; }
    Session* get() const { return phone ? phone->session(session) : nullptr; }
  };
  Phone& a() { return *lines_[0]->phones.front(); }
  Line& b() { return *lines_[1]; }
  Phone& c() { return *lines_[2]->phones.front(); }
  bool of(const Line& line, const Phone& phone) const;
  void later(int64_t least_ms, int64_t most_ms, Task task);
  void begin_call();
  bool stays_silent(const Phone& phone) const;
  void while_ringing();
  void connected_first();
  template <class F>
  void when_up(Ref ref, F f);
  void ask_transfer(const std::string& number, Ref consultation);
  void hold(Ref who, std::string_view direction);
  void hang_up_one(Ref one, Ref other);
  void finish_talk(Ref one, Ref other);
  // plays.cpp
  void offer_both();
  void talk_until_seen(int64_t waited_ms);
  void stop_watching();
  void send_text();
  void write_when_away(int64_t waited_ms);
  void look_at_message();
  std::string text_message() const;

  void watchdog();
  void look();
  void end();
  void judge();
  void fail(std::string_view what);
  void expect(SimNode& node, Ref caller, Ref callee, bool answered, size_t records = 1);
  void expect_in_vain();
  void check_pitches() const;
  void check_voice(Ref at, Ref from);
  std::string slot() const;

  World& world_;
  const uint64_t id_;
  const Kind kind_;
  std::vector<Line*> lines_;
  SeededRng rng_;
  std::string disturbed_;
  Ref a_, b_, c_, consult_;  // B's second call in an attended transfer is consult_
  std::vector<Ref> all_;
  int transfer_status_ = 0;
  int offers_ = 0;
  uint32_t errand_ = 0;     // the subscription, or the message
  int told_ = 0;            // its final answer
  size_t messages_ = 0;     // copies that came
  bool seen_busy_ = false;  // by the watcher
  bool seen_idle_ = false;  // after that
  bool watching_ = false;
  bool unwatched_ = false;  // it said it will watch no more
  bool fetched_ = false;    // the receiver registered again for what is stored
  int64_t talk_ms_ = 0;
  bool done_ = false, pressed_ = false, transfer_asked_ = false, planned_end_ = false, late_ = false;
};

}  // namespace tandem::sim
