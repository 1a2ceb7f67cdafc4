#pragma once
// A small play: one call and what is done with it, by two or three lines that do nothing else meanwhile.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "sim/phone.h"

namespace tandem::sim {

class World;

/// A number and the phones registered under it.
struct Line {
  std::string number;
  std::vector<Phone*> phones;
  bool busy = false;
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
    count_
  };

  Group(World& world, uint64_t id, Kind kind, std::vector<Line*> lines, uint64_t seed);
  void start();
  /// Something happened that a call may fail of: it has to end all the same, but not as planned.
  void disturb(std::string_view why);
  bool done() const { return done_; }
  bool disturbed() const { return !disturbed_.empty(); }
  bool touches(const SimNode& node) const;
  bool uses_connections() const;
  static bool wants_third(Kind kind) {
    return kind == Kind::blind || kind == Kind::attended || kind == Kind::pickup || kind == Kind::park;
  }
  std::string text() const;

  void incoming(Phone& phone, Session& session) override;
  void up(Phone& phone, Session& session) override;
  void over(Phone& phone, Session& session) override;
  void transferred(Phone& phone, Session& session, int status) override;
  void offered(Phone& phone, Session& session, int status) override;

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
  template <class F>
  void later(int64_t least_ms, int64_t most_ms, F f);
  void while_ringing();
  void connected_first();
  template <class F>
  void when_up(Ref ref, F f);
  void ask_transfer(const std::string& number, Ref consultation);
  void hold(Ref who, std::string_view direction);
  void hang_up_one(Ref one, Ref other);
  void finish_talk(Ref one, Ref other);
  void watchdog();
  void look();
  void judge();
  void fail(std::string_view what);
  void expect(SimNode& node, Ref caller, Ref callee, bool answered);
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
  int64_t talk_ms_ = 0;
  bool done_ = false, pressed_ = false, transfer_asked_ = false, planned_end_ = false, late_ = false;
};

}  // namespace tandem::sim
