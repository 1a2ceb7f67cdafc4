#pragma once
// A caller at a machine, and whoever carries its orders out: each step gives the orders as one line of text.
// A session that is `restored` makes a new machine of the old one's bytes before every step, and on another
// boot.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "service/machine.h"

namespace tandem::service {

std::string text_of(const Orders& orders);

class Session {
 public:
  /// 2026-11-25, a Wednesday, at 14:05 UTC.
  static constexpr WallTime began{1'795'615'500 * 1'000'000'000LL};

  explicit Session(std::unique_ptr<Machine> machine, bool restored = false)
      : restored_(restored), machine_(std::move(machine)) {}

  std::string start();
  std::string key(char key);
  std::string keys(std::string_view keys);  // one after the other, at once
  std::string said();
  std::string recorded(Recorded how);
  std::string answer(const port::Answer& answer);
  std::string not_taken(int status);
  std::string room(RoomEvent event, uint32_t count = 0);
  /// Time passes; timeouts on the way are told.
  std::string pass(Duration time);
  /// Until the next timeout.
  std::string timeout();

  Machine& machine() { return *machine_; }
  Now now() const { return now_; }
  bool over() const { return over_; }
  const Orders& last() const { return last_; }
  std::string snapshot() const { return machine_->snapshot(now_); }

 private:
  template <class Step>
  std::string step(Step&& step);

  bool restored_;
  std::unique_ptr<Machine> machine_;
  Now now_{Instant{1'000'000'000'000}, began};
  Orders last_;
  bool over_ = false;
};

}  // namespace tandem::service
