// What sessions that share a port need: fragments, marks in transactions, a base that is moved.
#include <gtest/gtest.h>

#include <algorithm>

#include "ice/agent.h"
#include "ice/glimpse.h"
#include "stun/message.h"

namespace tandem::ice {
namespace {

SocketAddress at(const std::string& text) { return SocketAddress::parse(text).value(); }

struct Side {
  Side(Role role, const std::string& address, uint32_t mark, uint64_t seed) : rng(seed), here(at(address)) {
    Config c;
    c.role = role;
    agent = std::make_unique<Agent>(c, rng, troubles);
    stream = agent->add_stream(1).value();
    LocalBase b;
    b.stream = stream;
    b.address = here;
    b.mark = mark;
    base = agent->add_local(now, b, out).value();
    agent->end_of_local(now, out);
  }
  bool saw(Event::Kind kind) const {
    return std::any_of(out.events.begin(), out.events.end(), [&](const Event& e) { return e.kind == kind; });
  }
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  SeededRng rng;
  Troubles troubles;
  SocketAddress here;
  std::unique_ptr<Agent> agent;
  StreamId stream = 0;
  BaseId base = 0;
  Outbox out;
};

struct SharedPort : ::testing::Test {
  Side a{Role::controlling, "192.0.2.1:5000", 0xAABBCCDD, 1};
  Side b{Role::controlled, "192.0.2.2:6000", 0, 2};
  std::vector<std::vector<uint8_t>> from_a;

  void introduce() {
    ASSERT_TRUE(a.agent->set_remote(a.now, 0, b.agent->local_description(0), a.out).ok());
    ASSERT_TRUE(b.agent->set_remote(b.now, 0, a.agent->local_description(0), b.out).ok());
  }
  void run(Duration time) {
    for (Duration gone{}; gone < time; gone += milliseconds(10)) {
      for (Side* s : {&a, &b}) {
        s->now.mono = s->now.mono + milliseconds(10);
        s->agent->on_timeout(s->now, s->out);
      }
      for (int i = 0; i < 4; ++i)
        for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}})
          for (const Datagram& d : std::exchange(from->out.datagrams, {})) {
            if (from == &a) from_a.push_back(d.bytes);
            if (d.to == to->here) to->agent->on_datagram(to->now, to->base, from->here, d.bytes, to->out);
          }
    }
  }
};

TEST_F(SharedPort, RequestsTellTheFragmentAndAnswersTheMark) {
  introduce();
  run(seconds(10));
  EXPECT_EQ(a.agent->state(0), State::completed);
  size_t requests = 0;
  for (const auto& bytes : from_a) {
    const auto about = glimpse(bytes);
    ASSERT_TRUE(about);
    if (!about->request) continue;
    ++requests;
    EXPECT_EQ(about->fragment, b.agent->fragments(0).front());
    const auto m = stun::Message::parse(bytes).value();
    stun::Writer answer(stun::Class::success, stun::method::binding, m.transaction());
    const auto of_answer = glimpse(answer.octets());
    ASSERT_TRUE(of_answer);
    EXPECT_FALSE(of_answer->request);
    EXPECT_EQ(of_answer->mark, 0xAABBCCDD);
  }
  EXPECT_GE(requests, 3u);  // a check, a nomination, consent
}

TEST_F(SharedPort, NothingElseTellsAnything) {
  EXPECT_FALSE(glimpse({}));
  EXPECT_FALSE(glimpse(as_bytes("not stun at all, but long enough")));
  const stun::TransactionId id{};
  for (const std::string_view name : {"", "alone", ":theirs"}) {
    stun::Writer m(stun::Class::request, stun::method::binding, id);
    if (!name.empty()) m.add(stun::attribute::username, name);
    EXPECT_FALSE(glimpse(m.octets())) << name;
  }
  EXPECT_FALSE(glimpse(stun::Writer(stun::Class::indication, stun::method::binding, id).octets()));
  EXPECT_FALSE(glimpse(stun::Writer(stun::Class::request, stun::method::allocate, id).octets()));
}

TEST_F(SharedPort, FragmentsOfTwoGenerations) {
  introduce();
  run(seconds(2));
  const auto before = a.agent->fragments(0);
  ASSERT_EQ(before.size(), 1u);
  a.agent->restart(a.now, 0, a.out);
  const auto during = a.agent->fragments(0);
  ASSERT_EQ(during.size(), 2u);
  EXPECT_EQ(during[1], before[0]);
  ASSERT_TRUE(b.agent->set_remote(b.now, 0, a.agent->local_description(0), b.out).ok());
  ASSERT_TRUE(a.agent->set_remote(a.now, 0, b.agent->local_description(0), a.out).ok());
  run(seconds(2));
  EXPECT_EQ(a.agent->fragments(0).size(), 1u);
}

TEST_F(SharedPort, ABaseThatIsMovedLosesItsPath) {
  introduce();
  run(seconds(2));
  a.out.clear();
  a.agent->move_base(a.now, a.base, a.here, {}, 7, a.out);
  EXPECT_TRUE(a.agent->path(0, 1)) << "only the mark is another";
  a.agent->move_base(a.now, a.base, at("192.0.2.1:5002"), {}, 7, a.out);
  EXPECT_FALSE(a.agent->path(0, 1));
  EXPECT_TRUE(a.saw(Event::Kind::consent_lost));
  EXPECT_EQ(a.agent->state(0), State::disconnected);
  a.here = at("192.0.2.1:5002");
  a.agent->restart(a.now, 0, a.out);
  ASSERT_EQ(a.agent->local_description(0).candidates.size(), 1u);
  EXPECT_EQ(a.agent->local_description(0).candidates[0].address, a.here);
  ASSERT_TRUE(b.agent->set_remote(b.now, 0, a.agent->local_description(0), b.out).ok());
  ASSERT_TRUE(a.agent->set_remote(a.now, 0, b.agent->local_description(0), a.out).ok());
  run(seconds(2));
  ASSERT_TRUE(b.agent->path(0, 1));
  EXPECT_EQ(b.agent->path(0, 1)->remote, a.here);
}

TEST_F(SharedPort, ABaseIsMovedWhileItChecks) {
  introduce();
  a.here = at("192.0.2.1:5002");
  a.agent->move_base(a.now, a.base, a.here, {}, 7, a.out);
  a.out.datagrams.clear();
  run(seconds(4));
  EXPECT_EQ(a.agent->state(0), State::completed);
  EXPECT_EQ(b.agent->path(0, 1)->remote, a.here);
}

}  // namespace
}  // namespace tandem::ice
