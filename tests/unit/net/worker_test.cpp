// The loop itself: mail, asks, commits, timers, exceptions, stopping.
#include <stdexcept>

#include "net/clock.h"
#include "net/mailbox.h"
#include "net/system_rng.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;
using port::Transport;

struct Note final : port::MailBody {
  explicit Note(int n) : number(n) {}
  int number;
};
struct Shout final : port::MailBody {
  explicit Shout(int n) : number(n) {}
  bool may_be_lost() const override { return true; }
  int number;
};

TEST(Mailboxes, MailReachesTheOtherWorkerInOrder) {
  World world;
  world.config.workers = 2;
  Record<std::pair<int, int>> got;
  world.on_mail = [&](TestWorker& w, Now, port::MailBody& body) {
    got.push({w.index(), static_cast<Note&>(body).number});
  };
  world.start();
  world.on_worker(0, [](Now, TestWorker& w) {
    for (int i = 0; i < 100; ++i) w.out.mail(1, std::make_unique<Note>(i));
    w.out.mail(9, std::make_unique<Note>(0));  // nobody
  });
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got.take("mail"), (std::pair{1, i}));
}

TEST(Mailboxes, AFullOneShedsAndCounts) {
  World world;
  world.config.limits.mailbox = 10;
  Record<int> got;
  world.on_mail = [&](TestWorker&, Now, port::MailBody& body) { got.push(static_cast<Shout&>(body).number); };
  world.start();
  int taken = 0;
  world.on_worker(0, [&](Now, TestWorker&) {  // the worker is busy while the mail comes
    for (int i = 0; i < 50; ++i) taken += world.runtime->post_mail(0, std::make_unique<Shout>(i));
    world.runtime->post_answer(0, 77, port::NotFound{});  // an answer it waits for is never shed
  });
  EXPECT_EQ(taken, 10);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(got.take("mail"), i);
  EXPECT_EQ(world.answers.take("answer").id, 77u);
  world.await_counter("net_mailbox_shed_total", 40);
}

TEST(Mailboxes, AFullOneTakesWhatMustNotBeLost) {
  World world;
  world.config.limits.mailbox = 10;
  Record<bool> got;
  world.on_mail = [&](TestWorker&, Now, port::MailBody& body) { got.push(body.may_be_lost()); };
  world.start();
  world.on_worker(0, [](Now, TestWorker& w) {
    for (int i = 0; i < 30; ++i) w.out.mail(0, std::make_unique<Shout>(i));
    for (int i = 0; i < 30; ++i) w.out.mail(0, std::make_unique<Note>(i));
  });
  for (int i = 0; i < 40; ++i) EXPECT_EQ(got.take("mail"), i < 10) << i;
  world.await_counter("net_mailbox_shed_total", 20);
}

TEST(Mailboxes, AFullOneTakesWhatTheProgramChanges) {
  World world;
  world.config.limits.mailbox = 10;
  Record<std::string> got;
  world.on_mail = [&](TestWorker&, Now, port::MailBody& body) {
    got.push(body.may_be_lost() ? "a shout" : "a lamp");
  };
  world.start();
  world.on_worker(0, [&](Now, TestWorker&) {
    for (int i = 0; i < 30; ++i) world.runtime->post_mail(0, std::make_unique<Shout>(i));
    EXPECT_FALSE(world.runtime->post_task(0, [&](Now, port::Worker&) { got.push("a question"); }));
    world.runtime->post_change(0, [&](Now, port::Worker&) { got.push("a change"); });
    EXPECT_TRUE(world.runtime->post_mail(0, std::make_unique<Note>(0)));
  });
  for (int i = 0; i < 10; ++i) EXPECT_EQ(got.take("mail"), "a shout");
  EXPECT_EQ(got.take("change"), "a change");
  EXPECT_EQ(got.take("mail"), "a lamp");
}

TEST(Asks, GoOutAndTheAnswerComesBack) {
  World world;
  world.start();
  world.on_worker(0, [](Now now, TestWorker& w) {
    w.out.ask(port::AskSubscriber{{"1001", "example.com"}}, now.mono + seconds(1), {});
  });
  const Answered asked = world.asks.take("question");
  world.runtime->post_answer(asked.worker, asked.id, port::AskFailure::unavailable);
  const Answered answer = world.answers.take("answer");
  EXPECT_EQ(answer.id, asked.id);
  EXPECT_EQ(std::get<port::AskFailure>(answer.answer), port::AskFailure::unavailable);
}

TEST(Commits, RecordsReachTheSpoolAndComeBack) {
  World world;
  world.start();
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.out.append("one");
    w.out.append("two");
  });
  EXPECT_EQ(world.appends.take("record").bytes, "one");
  const port::Append second = world.appends.take("record");
  EXPECT_EQ(second.bytes, "two");
  world.runtime->post_committed(0, second.commit);
  EXPECT_EQ(world.commits.take("commit"), second.commit);
}

TEST(Timers, FireAtTheirTime) {
  World world;
  world.start();
  Instant asked;
  world.on_worker(0, [&](Now now, TestWorker& w) { asked = w.timeout = now.mono + milliseconds(30); });
  EXPECT_EQ(world.timeouts.take("time-out"), asked);
  EXPECT_GE(now().mono, asked);
}

TEST(Exceptions, StayInsideTheirInput) {
  World world;
  world.listen(Transport::udp);
  world.on_message = [](TestWorker& w, Now t, port::Received& m) {
    if (m.bytes.text().find("bad") != std::string_view::npos) throw std::runtime_error("planted");
    echo(w, t, m);
  };
  world.start();
  UdpClient client;
  client.send(world.runtime->bound()[0], message("bad"));
  client.send(world.runtime->bound()[0], message("good"));
  EXPECT_EQ(client.receive(), message("good"));
  EXPECT_EQ(world.event_log.take("event"), "worker.exception");
  EXPECT_EQ(world.count("net_worker_exceptions_total"), 1u);
}

TEST(Stopping, WaitsForWhatTheWorkerHoldsAndIsIdempotent) {
  World world;
  world.listen(Transport::udp).start();
  UdpClient client;
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.out.append("record");
    w.held.push_back({{Transport::udp, 0, {}, {}, client.address()},
                      Buffer::copy_of(std::string_view("last words")),
                      0,
                      0,
                      {}});
  });
  std::thread spool([&] { world.runtime->post_committed(0, world.appends.take("record").commit); });
  world.runtime->stop();
  spool.join();
  EXPECT_EQ(client.receive(), "last words");
  world.runtime->stop();
}

TEST(Randomness, DoesNotRepeat) {
  SystemRng rng;
  std::vector<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.push_back(rng.next());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(Clock, IsTheSteadyClock) {
  const auto before = std::chrono::steady_clock::now().time_since_epoch();
  const Now t = now();
  const auto after = std::chrono::steady_clock::now().time_since_epoch();
  EXPECT_LE(before.count(), t.mono.ns);
  EXPECT_GE(after.count(), t.mono.ns);
  EXPECT_GT(t.wall.unix_seconds(), 1'600'000'000);
}

}  // namespace
}  // namespace tandem::net::test
