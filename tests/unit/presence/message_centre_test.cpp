// Instant messages: taken at once, kept, delivered later, and never lost in between.
#include "presence/message_centre.h"

#include <map>

#include "flow.h"

namespace tandem::presence {
namespace {

class MessageFlow : public SipFlow {
 protected:
  MessageFlow() {
    port::Subscriber s;
    s.aor = {"1002", "example.com"};
    s.display_name = "Bob";
    bob = std::make_shared<const port::Subscriber>(s);
    build();
  }
  void build() { centre = std::make_unique<MessageCentre>(config, transactions, mint, sent_by, counters); }
  void dispatch(sip::TuEvent&& event) override {
    if (event.kind == sip::TuEvent::Kind::request)
      return centre->on_request(at(now), std::move(event), bob, "example.com",
                                sip::shard_of("1002@example.com"), out);
    if (event.user.room == port::Asker::Room::message) centre->on_sip(at(now), std::move(event), out);
  }
  void room_timeout() override { centre->on_timeout(at(now), out); }
  Instant room_deadline() const override { return centre->next_timeout(); }

  void send(const std::string& text = "hello", const std::string& to = "1001@example.com",
            const std::string& call_id = "m1") {
    in(head("MESSAGE", "sip:" + to, "1002@example.com", to, call_id, 1) + with_body("text/plain", text));
  }
  static port::Contact contact(const std::string& host) {
    port::Contact c;
    c.uri = c.key = "sip:1001@" + host;
    c.path.local = *SocketAddress::parse("192.0.2.1:5060");
    c.path.remote = *SocketAddress::parse(host + ":5060");
    c.path.flow = {1, 0, 1, 1};
    return c;
  }

  /// A store and a registrar that answer everything asked so far, and what that leads to.
  void serve() {
    while (!out.asks.empty()) {
      const auto asks = std::exchange(out.asks, {});
      const auto askers = std::exchange(out.new_asks, {});
      for (size_t i = 0; i < asks.size(); ++i)
        centre->on_answer(at(now), askers[i].asker.object, asks[i].id, reply(asks[i].question), out);
      settle();
    }
  }
  port::Answer reply(const port::Question& q) {
    if (const auto* who = std::get_if<port::AskSubscriber>(&q)) {
      if (!directory_up) return port::AskFailure::unavailable;
      if (who->aor.user != "1001") return port::NotFound{};
      return port::SubscriberAnswer(std::make_shared<const port::Subscriber>());
    }
    if (std::holds_alternative<port::AskBindings>(q)) return port::BindingsAnswer{contacts};
    if (!store_up) return port::AskFailure::unavailable;
    if (const auto* save = std::get_if<port::SaveMessage>(&q)) {
      ++last_id;
      stored[last_id] = save->message;
      stored[last_id].id = last_id;
      return port::Stored{last_id};
    }
    if (const auto* ask = std::get_if<port::AskMessages>(&q)) {
      port::MessagesAnswer answer;
      for (const auto& [id, m] : stored)
        if (m.to == ask->aor && answer.messages.size() < ask->limit) answer.messages.push_back(m);
      return answer;
    }
    if (const auto* gone = std::get_if<port::DeleteMessages>(&q))
      for (uint64_t id : gone->ids) stored.erase(id);
    return port::Stored{};
  }
  void register_alice() {
    centre->on_registered(at(now), {"1001", "example.com"}, out);
    serve();
  }
  void keep(const std::string& text) {
    port::StoredMessage m;
    m.id = ++last_id;
    m.to = {"1001", "example.com"};
    m.from = "sip:1002@example.com";
    m.content_type = "text/plain";
    m.body = text;
    m.received = {784'887'151'000'000'000};
    stored.emplace(m.id, m);
  }

  MessageCentreConfig config;
  std::shared_ptr<const port::Subscriber> bob;
  std::unique_ptr<MessageCentre> centre;
  std::vector<port::Contact> contacts;
  std::map<uint64_t, port::StoredMessage> stored;
  uint64_t last_id = 0;
  bool directory_up = true;
  bool store_up = true;
};

TEST_F(MessageFlow, ToAContactAtOnce) {
  contacts = {contact("10.0.0.1")};
  send();
  serve();
  sip::Message m = pop();
  EXPECT_EQ(m.method(), sip::Method::message);
  EXPECT_EQ(m.request_uri(), "sip:1001@10.0.0.1");
  EXPECT_EQ(m.body_text(), "hello");
  EXPECT_EQ(m.content_type(), "text/plain");
  EXPECT_EQ(header(m, sip::HeaderId::from).substr(0, 29), "\"Bob\" <sip:1002@example.com>;");
  EXPECT_TRUE(sent.empty());  // the sender hears when it arrived
  answer(m, 200);
  EXPECT_EQ(status(), 200);
  EXPECT_EQ(centre->open_count(), 0u);
  EXPECT_TRUE(stored.empty());
}

TEST_F(MessageFlow, TheFirstContactThatTakesItIsEnough) {
  contacts = {contact("10.0.0.1"), contact("10.0.0.3")};
  send();
  serve();
  sip::Message a = pop();
  sip::Message b = pop();
  answer(a, 480);
  EXPECT_TRUE(sent.empty());
  answer(b, 202);
  EXPECT_EQ(status(), 200);
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, KeptWhenNobodyIsThere) {
  send();
  serve();
  EXPECT_EQ(status(), 202);
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(stored.begin()->second.body, "hello");
  EXPECT_EQ(stored.begin()->second.from, "sip:1002@example.com");
  EXPECT_EQ(stored.begin()->second.received, at(now).wall);
  EXPECT_EQ(out.mailboxes, (std::vector<port::AddressOfRecord>{{"1001", "example.com"}}));
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, KeptWhenAllAreUnreachable) {
  for (int code : {408, 480, 503}) {
    contacts = {contact("10.0.0.1")};
    send("hello", "1001@example.com", "m" + std::to_string(code));
    serve();
    answer(pop(), code);
    serve();
    EXPECT_EQ(status(), 202) << code;
  }
  EXPECT_EQ(stored.size(), 3u);
}

TEST_F(MessageFlow, ARefusalIsToldNotKept) {
  contacts = {contact("10.0.0.1")};
  send();
  serve();
  answer(pop(), 415);
  EXPECT_EQ(status(), 415);
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, ASlowContactDoesNotLetTheSenderTimeOut) {
  contacts = {contact("10.0.0.1")};
  send();
  serve();
  sip::Message m = pop();
  pass(config.patience);
  sent.clear();  // retransmissions
  serve();
  EXPECT_EQ(status(), 202);
  EXPECT_EQ(stored.size(), 1u);
  answer(m, 200);  // it took it after all: no second copy
  serve();
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(counters.total("messages_late_total"), 1u);
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, TakenWhileTheStoreIsWriting) {
  contacts = {contact("10.0.0.1")};
  send();
  serve();
  sip::Message m = pop();
  pass(config.patience);
  sent.clear();
  answer(m, 200);
  EXPECT_EQ(status(), 200);
  serve();  // the write, then its removal
  EXPECT_TRUE(stored.empty());
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, AnAwayStoreIsToldToTheSender) {
  store_up = false;
  send();
  serve();
  const sip::Message m = pop();
  EXPECT_EQ(m.status(), 503);
  EXPECT_NE(header(m, sip::HeaderId::retry_after), "(none)");
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, WhoRegisteredWhileTheStoreWasWritingGetsItToo) {
  send();
  // The registration finds an empty store; only then is the message written.
  while (asked<port::SaveMessage>().empty()) {
    const auto asks = std::exchange(out.asks, {});
    const auto askers = std::exchange(out.new_asks, {});
    for (size_t i = 0; i < asks.size(); ++i)
      centre->on_answer(at(now), askers[i].asker.object, asks[i].id, reply(asks[i].question), out);
  }
  contacts = {contact("10.0.0.1")};
  serve();
  EXPECT_EQ(status(), 202);
  sip::Message m = pop();
  EXPECT_EQ(m.body_text(), "hello");
  answer(m, 200);
  serve();
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, WhatIsRefusedAtOnce) {
  send("hello", "nobody@example.com", "a");
  serve();
  EXPECT_EQ(status(), 404);
  send("", "1001@example.com", "b");
  EXPECT_EQ(status(), 400);
  send(std::string(config.body_bytes + 1, 'x'), "1001@example.com", "c");
  EXPECT_EQ(status(), 413);
  EXPECT_EQ(counters.total("messages_limits_total"), 1u);
  directory_up = false;
  send("hello", "1001@example.com", "d");
  serve();
  EXPECT_EQ(status(), 503);
  bob = nullptr;
  send("hello", "1001@example.com", "e");
  EXPECT_EQ(status(), 403);
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, OpenMessagesAreBounded) {
  config.open = 1;
  build();
  send("hello", "1001@example.com", "a");
  send("hello", "1001@example.com", "b");
  EXPECT_EQ(status(), 503);
  EXPECT_EQ(counters.total("messages_limits_total"), 1u);
}

// ---- what was stored

TEST_F(MessageFlow, StoredMessagesAreDeliveredInOrderAndThenForgotten) {
  keep("one");
  keep("two");
  keep("three");
  contacts = {contact("10.0.0.1")};
  register_alice();
  for (const char* text : {"one", "two", "three"}) {
    sip::Message m = pop();
    EXPECT_EQ(m.body_text(), text);
    EXPECT_EQ(header(m, sip::HeaderId::date), "Tue, 15 Nov 1994 08:12:31 GMT");
    EXPECT_TRUE(sent.empty());                     // one at a time
    EXPECT_EQ(stored.begin()->second.body, text);  // kept until taken
    answer(m, 200);
    serve();
  }
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(out.mailboxes, (std::vector<port::AddressOfRecord>{{"1001", "example.com"}}));
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, ADeliveryThatFailsKeepsTheRestAndIsTriedAgain) {
  keep("one");
  keep("two");
  contacts = {contact("10.0.0.1")};
  register_alice();
  answer(pop(), 200);
  serve();
  answer(pop(), 480);
  serve();
  EXPECT_EQ(stored.size(), 1u);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(centre->open_count(), 0u);
  pass(2 * config.first_retry);
  serve();
  sip::Message m = pop();
  EXPECT_EQ(m.body_text(), "two");
  answer(m, 200);
  serve();
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(counters.total("messages_retries_total"), 1u);
}

TEST_F(MessageFlow, RetriesEndAndARegistrationStartsThemAnew) {
  keep("one");
  contacts = {contact("10.0.0.1")};
  register_alice();
  answer(pop(), 480);
  for (int i = 0; i < 20; ++i) {
    pass(hours(5));
    serve();
    while (!sent.empty()) answer(pop(), 480);
  }
  EXPECT_EQ(counters.total("messages_retries_dropped_total"), 1u);
  EXPECT_EQ(stored.size(), 1u);
  register_alice();
  answer(pop(), 200);
  serve();
  EXPECT_TRUE(stored.empty());
}

TEST_F(MessageFlow, ASecondRegistrationDuringADeliveryDoesNotDoubleIt) {
  keep("one");
  contacts = {contact("10.0.0.1")};
  register_alice();
  register_alice();
  register_alice();
  answer(pop(), 200);
  serve();
  EXPECT_TRUE(sent.empty());
  EXPECT_TRUE(stored.empty());
}

TEST_F(MessageFlow, ADeletionThatFailsIsTriedAgainAndNothingIsDeliveredTwice) {
  keep("one");
  contacts = {contact("10.0.0.1")};
  register_alice();
  store_up = false;
  answer(pop(), 200);
  serve();
  EXPECT_EQ(stored.size(), 1u);
  store_up = true;
  register_alice();
  EXPECT_TRUE(sent.empty());
  pass(config.ask_timeout);
  serve();
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(counters.total("messages_deletions_failed_total"), 1u);
}

TEST_F(MessageFlow, MoreThanABatchIsFetchedInTurns) {
  config.batch = 2;
  build();
  for (int i = 0; i < 5; ++i) keep(std::to_string(i));
  contacts = {contact("10.0.0.1")};
  register_alice();
  for (int i = 0; i < 5; ++i) {
    sip::Message m = pop();
    EXPECT_EQ(m.body_text(), std::to_string(i));
    answer(m, 200);
    serve();
  }
  EXPECT_TRUE(stored.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

TEST_F(MessageFlow, NothingStoredCostsNothing) {
  contacts = {contact("10.0.0.1")};
  register_alice();
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(centre->open_count(), 0u);
}

// ---- snapshot

TEST_F(MessageFlow, AnOpenMessageSurvivesInTheStoreAndItsSenderHears) {
  contacts = {contact("10.0.0.1")};
  send();
  serve();
  sent.clear();
  std::vector<MessageCentre::Part> parts;
  centre->snapshot(at(now), parts);
  ASSERT_EQ(parts.size(), 1u);
  std::vector<std::string> transaction_parts;
  transactions.snapshot(at(now), transaction_parts);

  build();
  sip::TransactionLayer later(timers, {}, mint, sent_by, counters);
  MessageCentre restored(config, later, mint, sent_by, counters);
  EXPECT_TRUE(restored.restore(at(now), parts[0].bytes));
  for (const std::string& part : transaction_parts)
    if (const auto r = later.restore(at(now), part)) restored.adopt(*r);
  restored.on_timeout(at(now), out);
  const auto saves = asked<port::SaveMessage>();
  ASSERT_EQ(saves.size(), 1u);
  EXPECT_EQ(saves[0].message.body, "hello");
  restored.on_answer(at(now), out.new_asks.back().asker.object, out.asks.back().id, port::Stored{5}, out);
  ASSERT_EQ(out.sends.size(), 1u);
  EXPECT_EQ(message(out.sends[0].bytes.text()).status(), 202);
  EXPECT_FALSE(restored.restore(at(now), "\xff"));
}

}  // namespace
}  // namespace tandem::presence
