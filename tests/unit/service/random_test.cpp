// Callers who press anything at any time, at every machine: the rules of machine.h hold, every call ends, and
// a machine restored before every step orders what the other one orders.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "session.h"

namespace tandem::service {
namespace {

port::MailboxRow mailbox() {
  port::MailboxRow row;
  row.domain = "example.com";
  row.user = "101";
  row.pin = "1234";
  row.max_seconds = 60;
  return row;
}

std::unique_ptr<Machine> machine(size_t which) {
  port::MenuRow menu;
  menu.otherwise = which % 2 ? "100" : "";
  menu.extensions = which == 0;
  port::ConferenceRow conference;
  conference.domain = "example.com";
  conference.name = "3000";
  conference.moderator_pin = "1234";
  conference.pin = which == 7 ? "12345" : "";
  port::MailboxRow open = mailbox();
  open.pin.clear();
  using Choices = std::vector<port::MenuChoiceRow>;
  const Choices choices = {
      {"", "", 0, "1", "", "200"}, {"", "", 1, "12#", "", "201"}, {"", "", 2, "*", "", ""}};
  switch (which) {
    case 0:
    case 1:
      return attendant(menu, choices);
    case 2:
      return attendant(menu, {});
    case 3:
      return leave_message(mailbox(), {}, false, "t");
    case 4:
      return read_messages(mailbox(), false, hours(1));
    case 5:
      return read_messages(open, true, hours(1));
    case 6:
      return conference_door(conference);
    case 7:
      return conference_door(conference);
    default:
      return nullptr;
  }
}
constexpr size_t machines = 8;

/// Whoever carries the orders out: what is under way, by the rules of machine.h.
struct Executor {
  bool speaking = false, asking = false, dialling = false, recording = false, stopping = false,
       entered = false;
  int dials = 0;
  port::Question question;

  void take(const Orders& orders) {
    for (const Order& order : orders) {
      if (std::holds_alternative<Say>(order)) {
        EXPECT_FALSE(std::get<Say>(order).words.empty());
        EXPECT_LT(std::get<Say>(order).words.size(), 64U);
        speaking = true;
      }
      if (std::holds_alternative<Silence>(order)) speaking = false;
      if (const auto* ask = std::get_if<Ask>(&order)) {
        EXPECT_FALSE(asking);
        asking = true;
        question = ask->question;
      }
      if (std::holds_alternative<Record>(order)) {
        EXPECT_FALSE(recording);
        recording = true, stopping = false;
      }
      if (std::holds_alternative<StopRecord>(order)) {
        EXPECT_TRUE(recording && !stopping);
        stopping = true;
      }
      if (std::holds_alternative<Dial>(order)) {
        EXPECT_FALSE(dialling);
        dialling = true;
        EXPECT_LE(++dials, 10);
      }
      if (std::holds_alternative<Enter>(order)) {
        EXPECT_FALSE(entered);
        entered = true;
      }
      const bool inside = std::holds_alternative<Mute>(order) || std::holds_alternative<Lecture>(order) ||
                          std::holds_alternative<Lock>(order);
      EXPECT_TRUE(entered || !inside);
    }
  }

  port::Answer answer(Rng& rng) const {
    if (rng.below(8) == 0) return port::AskFailure::unavailable;
    if (rng.below(8) == 0) return port::NotFound{};
    if (std::holds_alternative<port::AskWaiting>(question)) return port::WaitingAnswer{0, 3, 4};
    if (std::holds_alternative<port::AskSound>(question))
      return port::SoundResult(std::make_shared<port::Sound>());
    if (!std::holds_alternative<port::AskVoicemails>(question)) return port::Stored{};
    port::VoicemailsAnswer list;
    for (uint64_t id = rng.below(6); id > 0; --id)
      list.messages.push_back({id,
                               {},
                               rng.below(3) ? "201" : "",
                               "",
                               Session::began,
                               seconds(5),
                               std::to_string(id) + ".wav",
                               rng.below(2) == 0});
    return list;
  }
};

/// Times out under way are the machine's word that it is over.
void forget_timed_out(Executor& e) { e.asking = e.dialling = e.recording = e.stopping = false; }

std::string step(Session& s, Executor& e, Rng& rng) {
  // What comes at a wrong time is passed over.
  const bool wrong = rng.below(20) == 0;
  switch (rng.below(9)) {
    case 0:
      if (!std::exchange(e.speaking, false) && !wrong) break;
      return s.said();
    case 1:
      if (!std::exchange(e.asking, false) && !wrong) break;
      return s.answer(e.answer(rng));
    case 2:
      if (!std::exchange(e.dialling, false) && !wrong) break;
      return s.not_taken(400 + static_cast<int>(rng.below(300)));
    case 3:
      if (!std::exchange(e.recording, false) && !wrong) break;
      return s.recorded(static_cast<Recorded>(rng.below(4)));
    case 4:
      if (!e.entered && !wrong) break;
      return s.room(static_cast<RoomEvent>(rng.below(rng.below(4) ? 2 : 10)),
                    static_cast<uint32_t>(rng.below(300)));
    case 5:
      if (rng.below(6)) break;
      forget_timed_out(e);
      return s.timeout();
    case 6:
      return s.key("0123456789*#ABCD"[rng.below(16)]);
    case 7:
      return s.keys("1234#");
    default:
      return s.key("1234567#"[rng.below(8)]);
  }
  return {};
}

TEST(AnyMachine, EndsWhateverTheCallerDoes) {
  for (size_t which = 0; which < machines; ++which)
    for (uint64_t seed = 1; seed <= 60; ++seed) {
      SCOPED_TRACE("machine " + std::to_string(which) + " seed " + std::to_string(seed));
      SeededRng rng(seed), same(seed);
      Session s(machine(which)), restored(machine(which), true);
      Executor e, other;
      ASSERT_EQ(s.start(), restored.start());
      e.take(s.last()), other.take(restored.last());
      for (int i = 0; i < 300 && !s.over(); ++i) {
        const std::string ordered = step(s, e, rng);
        ASSERT_EQ(ordered, step(restored, other, same)) << "step " << i;
        if (ordered.empty()) continue;
        e.take(s.last()), other.take(restored.last());
      }
      int timeouts = 0;
      while (!s.over() && ++timeouts < 100) ASSERT_EQ(s.timeout(), restored.timeout());
      ASSERT_TRUE(s.over());
      EXPECT_TRUE(s.machine().next_timeout().is_never());
    }
}

TEST(AnyMachine, EndsWhenNobodyDoesAnything) {
  for (size_t which = 0; which < machines; ++which)
    for (const bool heard : {true, false}) {  // whether even what is said comes to its end
      SCOPED_TRACE("machine " + std::to_string(which));
      SeededRng rng(1);
      Session s(machine(which));
      Executor e;
      s.start();
      int steps = 0;
      for (; !s.over() && steps < 60; ++steps) {
        e.take(s.last());
        if (heard && std::exchange(e.speaking, false))
          s.said();
        else
          forget_timed_out(e), s.timeout();
      }
      EXPECT_TRUE(s.over());
      EXPECT_LT(s.now().wall - Session::began, hours(25));
    }
}

TEST(AnyMachine, WakesAtItsTimeAndNotBefore) {
  for (size_t which = 0; which < machines; ++which) {
    Session s(machine(which));
    s.start();
    Orders orders;
    s.machine().on_timeout(s.now(), orders);
    EXPECT_TRUE(orders.empty());
    EXPECT_GT(s.machine().next_timeout(), s.now().mono);
  }
}

TEST(Restore, RefusesWhatIsNoPart) {
  const Now now{Instant{1}, Session::began};
  EXPECT_EQ(restore(now, "\xff\xff").reason(), BadPart::unreadable);
  EXPECT_EQ(restore(now, "").reason(), BadPart::unknown_kind);
}

/// Octets changed, left out, put in: refused, or a machine that ends.
TEST(Restore, OfDamagedPartsGivesMachinesThatEnd) {
  size_t made = 0;
  for (size_t which = 0; which < machines; ++which)
    for (uint64_t seed = 1; seed <= 300; ++seed) {
      SCOPED_TRACE("machine " + std::to_string(which) + " seed " + std::to_string(seed));
      SeededRng rng(seed);
      Session s(machine(which));
      Executor e;
      s.start();
      e.take(s.last());
      for (uint64_t i = rng.below(20); i > 0 && !s.over(); --i)
        if (!step(s, e, rng).empty()) e.take(s.last());
      if (s.over()) continue;
      std::string part = s.snapshot();
      for (uint64_t i = 0; i <= rng.below(4); ++i)
        part[rng.below(part.size())] = static_cast<char>(rng.below(256));
      auto other = restore(s.now(), part);
      if (!other) continue;
      ++made;
      Now now = s.now();
      Orders orders;
      for (int i = 0; i < 50; ++i) {
        now.mono = now.mono + seconds(1), now.wall = now.wall + seconds(1);
        (*other)->on_key(now, "0123456789*#"[rng.below(12)], orders);
        (*other)->on_said(now, orders);
        (*other)->on_answer(now, e.answer(rng), orders);
        (*other)->on_recorded(now, Recorded::too_short, orders);
        (*other)->on_not_taken(now, 486, orders);
        (*other)->on_timeout(now, orders);
        EXPECT_FALSE((*other)->kind().empty());
      }
      EXPECT_FALSE((*other)->snapshot(now).empty());
    }
  EXPECT_GT(made, 100U);
}

}  // namespace
}  // namespace tandem::service
