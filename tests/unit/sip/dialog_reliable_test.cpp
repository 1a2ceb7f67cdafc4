// The 2xx until its ACK (RFC 3261 section 13.3.1.4) and reliable provisional responses (RFC 3262).
#include "sip/reliable.h"

#include <gtest/gtest.h>

#include <vector>

namespace tandem::sip {
namespace {

const Timers timers;

Now at(int64_t ms) { return {{ms * 1'000'000}, {1'700'000'000'000'000'000 + ms * 1'000'000}}; }

/// The same moment on a clock that began elsewhere.
Now elsewhere(int64_t ms) {
  Now now = at(ms);
  now.mono.ns -= 777'000'000'000;
  return now;
}

template <class Machine>
std::vector<int64_t> resends(Machine& m, int64_t until, int64_t* gave_up = nullptr) {
  std::vector<int64_t> times;
  while (!m.next_timeout().is_never() && m.next_timeout() <= at(until).mono) {
    const int64_t ms = m.next_timeout().ns / 1'000'000;
    const ResendStep step = m.on_timeout(at(ms));
    if (step == ResendStep::resend) times.push_back(ms);
    if (step == ResendStep::give_up && gave_up) *gave_up = ms;
  }
  return times;
}

TEST(OkRetransmitter, doubles_to_t2_and_gives_up_after_64_t1) {
  OkRetransmitter r;
  EXPECT_FALSE(r.waiting());
  EXPECT_TRUE(r.next_timeout().is_never());
  r.start(at(0), timers, 7, as_bytes("SIP/2.0 200 OK"));
  EXPECT_TRUE(r.waiting());
  EXPECT_EQ(r.response().text(), "SIP/2.0 200 OK");
  EXPECT_EQ(r.on_timeout(at(499)), ResendStep::nothing);
  int64_t gave_up = 0;
  EXPECT_EQ(resends(r, 100'000, &gave_up),
            (std::vector<int64_t>{500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}));
  EXPECT_EQ(gave_up, 32000);
  EXPECT_FALSE(r.waiting());
}

TEST(OkRetransmitter, only_its_own_ack_stops_it_and_only_once) {
  OkRetransmitter r;
  EXPECT_FALSE(r.on_ack(7));
  r.start(at(0), timers, 7, as_bytes("x"));
  EXPECT_FALSE(r.on_ack(6));
  EXPECT_TRUE(r.waiting());
  EXPECT_TRUE(r.on_ack(7));
  EXPECT_FALSE(r.on_ack(7));
  EXPECT_TRUE(r.next_timeout().is_never());
  r.start(at(0), timers, 8, as_bytes("x"));
  r.stop();
  EXPECT_FALSE(r.waiting());
}

TEST(OkRetransmitter, through_bytes_onto_another_clock) {
  OkRetransmitter r;
  r.start(at(0), timers, 7, as_bytes("x"));
  resends(r, 600);
  auto back = OkRetransmitter::from_part(elsewhere(600), timers, r.to_part(at(600)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->next_timeout(), elsewhere(1500).mono);
  EXPECT_EQ(back->on_timeout(elsewhere(1500)), ResendStep::resend);
  EXPECT_EQ(back->next_timeout(), elsewhere(3500).mono);
  EXPECT_EQ(back->response().text(), "x");
  EXPECT_EQ(back->on_timeout(elsewhere(40'000)), ResendStep::give_up);
  back = OkRetransmitter::from_part(elsewhere(600), timers, r.to_part(at(600)));
  EXPECT_TRUE(back->on_ack(7));
  EXPECT_FALSE(OkRetransmitter::from_part(at(0), timers, ""));
  EXPECT_FALSE(OkRetransmitter::from_part(at(0), timers, "\xff\xff"));
}

TEST(ReliableProvisional, doubles_without_a_cap_and_gives_up_after_64_t1) {
  ReliableProvisional r(100);
  EXPECT_EQ(r.next_rseq(), 100u);
  r.start(at(0), timers, 3, as_bytes("SIP/2.0 183 X"));
  EXPECT_FALSE(r.idle());
  int64_t gave_up = 0;
  EXPECT_EQ(resends(r, 100'000, &gave_up), (std::vector<int64_t>{500, 1500, 3500, 7500, 15500, 31500}));
  EXPECT_EQ(gave_up, 32000);
  EXPECT_TRUE(r.idle());
  EXPECT_FALSE(r.on_prack({100, 3, "INVITE"}));
}

TEST(ReliableProvisional, only_the_matching_prack_is_accepted_and_only_once) {
  ReliableProvisional r(100);
  EXPECT_FALSE(r.on_prack({99, 3, "INVITE"}));
  r.start(at(0), timers, 3, as_bytes("x"));
  EXPECT_FALSE(r.on_prack({101, 3, "INVITE"}));
  EXPECT_FALSE(r.on_prack({100, 4, "INVITE"}));
  EXPECT_FALSE(r.on_prack({100, 3, "UPDATE"}));
  EXPECT_TRUE(r.on_prack({100, 3, "INVITE"}));
  EXPECT_FALSE(r.on_prack({100, 3, "INVITE"}));
  EXPECT_TRUE(r.idle());
  EXPECT_EQ(r.next_rseq(), 101u);
  r.start(at(10), timers, 3, as_bytes("y"));
  EXPECT_TRUE(r.on_prack({101, 3, "INVITE"}));
}

TEST(ReliableProvisional, final_answer_stops_it_but_a_late_prack_is_welcome) {
  ReliableProvisional r(1);
  r.start(at(0), timers, 3, as_bytes("x"));
  r.on_final();
  EXPECT_TRUE(r.next_timeout().is_never());
  EXPECT_TRUE(r.on_prack({1, 3, "INVITE"}));
}

TEST(ReliableProvisional, through_bytes_onto_another_clock) {
  ReliableProvisional r(55);
  r.start(at(0), timers, 3, as_bytes("x"));
  resends(r, 600);
  auto back = ReliableProvisional::from_part(elsewhere(600), r.to_part(at(600)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->next_timeout(), elsewhere(1500).mono);
  EXPECT_EQ(back->on_timeout(elsewhere(1500)), ResendStep::resend);
  EXPECT_EQ(back->next_timeout(), elsewhere(3500).mono);
  EXPECT_EQ(back->response().text(), "x");
  EXPECT_TRUE(back->on_prack({55, 3, "INVITE"}));
  EXPECT_EQ(back->next_rseq(), 56u);
  EXPECT_FALSE(ReliableProvisional::from_part(at(0), ""));
}

TEST(RSeqOrder, tells_next_from_repeated_and_missing) {
  RSeqOrder order;
  EXPECT_EQ(order.see(9), RSeqOrder::Verdict::next);
  EXPECT_EQ(order.see(9), RSeqOrder::Verdict::repeated);
  EXPECT_EQ(order.see(11), RSeqOrder::Verdict::gap);
  EXPECT_EQ(order.see(10), RSeqOrder::Verdict::next);
  EXPECT_EQ(order.see(11), RSeqOrder::Verdict::next);
  EXPECT_EQ(order.see(3), RSeqOrder::Verdict::repeated);
}

}  // namespace
}  // namespace tandem::sip
