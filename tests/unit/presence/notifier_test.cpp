// Subscriptions and publications, as call flows.
#include "presence/notifier.h"

#include <gmock/gmock.h>

#include "flow.h"

namespace tandem::presence {
namespace {

class NotifierFlow : public SipFlow {
 protected:
  NotifierFlow() {
    port::Subscriber s;
    s.aor = {"1002", "example.com"};
    bob = std::make_shared<const port::Subscriber>(s);
    build();
  }
  void build() { notifier = std::make_unique<Notifier>(config, transactions, mint, sent_by, counters); }
  void dispatch(sip::TuEvent&& event) override {
    const sip::Message* request =
        event.kind == sip::TuEvent::Kind::request ? transactions.request_of(event.server) : nullptr;
    if (request && request->to_tag().empty())
      return notifier->on_request(at(now), std::move(event), bob, out);
    if (request && !notifier->owns_dialog(request->to_tag())) {
      unowned = true;
      return;
    }
    notifier->on_sip(at(now), std::move(event), out);
  }
  void room_timeout() override { notifier->on_timeout(at(now), out); }
  Instant room_deadline() const override { return notifier->next_timeout(); }

  /// Answers to the questions of new subscriptions.
  void tell(const port::Answer& answer) {
    for (const auto& ask : std::vector<port::Outbox::NewAsk>(std::exchange(out.new_asks, {})))
      notifier->on_answer(at(now), ask.asker.object, ask.id, answer, out);
    out.asks.clear();
    settle();
  }
  void subscribe(const std::string& headers, const std::string& target = "1001@example.com",
                 const std::string& call_id = "s1") {
    in(head("SUBSCRIBE", "sip:" + target, "1002@example.com", target, call_id, 1) + headers +
       with_body("", ""));
  }
  /// A running dialog subscription; our tag.
  std::string watch(const std::string& event = "dialog", const std::string& call_id = "s1") {
    subscribe("Event: " + event + "\r\nExpires: 600\r\n",
              event == "message-summary" ? "1002@example.com" : "1001@example.com", call_id);
    const sip::Message ok = pop();
    EXPECT_EQ(ok.status(), 200);
    const std::string tag(ok.to_tag());
    if (event == "dialog") tell(port::LineAnswer{});
    if (event == "presence") tell(port::BindingsAnswer{});
    if (event == "message-summary") tell(port::WaitingAnswer{});
    answer(pop(), 200);
    EXPECT_TRUE(sent.empty());
    return tag;
  }
  void resubscribe(const std::string& tag, const std::string& headers, uint32_t cseq = 2,
                   const std::string& call_id = "s1") {
    in(head("SUBSCRIBE", "sip:192.0.2.1:5060", "1002@example.com", "1001@example.com", call_id, cseq, tag) +
       headers + with_body("", ""));
  }
  static port::LineCall ringing() {
    port::LineCall c;
    c.call = 77;
    c.state = port::LineCall::State::early;
    c.call_id = "abc@here";
    c.local_tag = "l1";
    c.remote_tag = "r1";
    c.remote_uri = "sip:0301234@trunk.example.com";
    c.remote_display = "\"R&D\" <boss>";
    return c;
  }
  void line(std::vector<port::LineCall> calls) {
    notifier->on_line(at(now), alice, {std::move(calls)}, out);
    settle();
  }
  void publish(const std::string& headers, const std::string& body,
               const std::string& target = "1002@example.com") {
    in(head("PUBLISH", "sip:" + target, "1002@example.com", target, "p1", ++publish_cseq) + headers +
       with_body("application/pidf+xml", body));
  }

  NotifierConfig config;
  std::shared_ptr<const port::Subscriber> bob;
  const port::AddressOfRecord alice{"1001", "example.com"};
  std::unique_ptr<Notifier> notifier;
  uint32_t publish_cseq = 0;
  bool unowned = false;
};

// ---- SUBSCRIBE

TEST_F(NotifierFlow, ABusyLampFieldFromSubscribeToGoodbye) {
  subscribe("Event: dialog\r\nAccept: application/dialog-info+xml\r\nExpires: 600\r\n");
  const sip::Message ok = pop();
  EXPECT_EQ(ok.status(), 200);
  EXPECT_EQ(header(ok, sip::HeaderId::expires), "600");
  EXPECT_EQ(header(ok, sip::HeaderId::contact), "<sip:192.0.2.1:5060>");
  const std::string tag(ok.to_tag());
  EXPECT_TRUE(notifier->owns_dialog(tag));
  EXPECT_TRUE(sent.empty());  // the first NOTIFY waits for what the line says
  ASSERT_EQ(asked<port::AskLine>().size(), 1u);
  EXPECT_EQ(asked<port::AskLine>()[0].aor, alice);
  tell(port::LineAnswer{{ringing()}});

  sip::Message first = pop();
  EXPECT_EQ(first.method(), sip::Method::notify);
  EXPECT_EQ(first.request_uri(), "sip:1002@10.0.0.2:5060");
  EXPECT_EQ(first.from_tag(), tag);
  EXPECT_EQ(first.to_tag(), "theirs");
  EXPECT_EQ(first.call_id(), "s1");
  EXPECT_EQ(header(first, sip::HeaderId::event), "dialog");
  EXPECT_EQ(header(first, sip::HeaderId::subscription_state), "active;expires=600");
  EXPECT_EQ(first.content_type(), dialog_info_type);
  EXPECT_NE(first.body_text().find("version=\"0\" state=\"full\""), std::string::npos);
  EXPECT_NE(first.body_text().find("<state>early</state>"), std::string::npos);
  answer(first, 200);

  line({});
  sip::Message second = pop();
  EXPECT_NE(second.body_text().find("version=\"1\""), std::string::npos);
  EXPECT_NE(second.body_text().find("<state>terminated</state>"), std::string::npos);
  EXPECT_EQ(second.cseq().number, first.cseq().number + 1);
  answer(second, 200);

  resubscribe(tag, "Event: dialog\r\nExpires: 0\r\n");
  EXPECT_EQ(status(), 200);
  sip::Message last = pop();
  EXPECT_EQ(header(last, sip::HeaderId::subscription_state), "terminated;reason=timeout");
  EXPECT_EQ(notifier->subscription_count(), 1u);
  answer(last, 200);
  EXPECT_EQ(notifier->subscription_count(), 0u);
  EXPECT_FALSE(notifier->owns_dialog(tag));
}

TEST_F(NotifierFlow, UnknownPackagesAreRefusedWithTheKnownOnes) {
  subscribe("Event: conference\r\n");
  const sip::Message m = pop();
  EXPECT_EQ(m.status(), 489);
  EXPECT_EQ(header(m, sip::HeaderId::allow_events), "dialog, message-summary, presence");
  subscribe("", "1001@example.com", "s2");
  EXPECT_EQ(status(), 489);
  EXPECT_EQ(notifier->subscription_count(), 0u);
}

TEST_F(NotifierFlow, WhatCannotBeGivenIsRefused) {
  subscribe("Event: dialog\r\nAccept: application/xml\r\n", "1001@example.com", "a");
  const sip::Message m = pop();
  EXPECT_EQ(m.status(), 406);
  EXPECT_EQ(header(m, sip::HeaderId::accept), dialog_info_type);
  subscribe("Event: dialog\r\nExpires: 5\r\n", "1001@example.com", "b");
  const sip::Message brief = pop();
  EXPECT_EQ(brief.status(), 423);
  EXPECT_EQ(header(brief, sip::HeaderId::min_expires), "60");
  subscribe("Event: dialog\r\nRequire: eventlist\r\n", "1001@example.com", "c");
  EXPECT_EQ(status(), 420);
  subscribe("Event: dialog\r\nAccept: text/plain, application/*\r\n", "1001@example.com", "d");
  EXPECT_EQ(status(), 200);
}

TEST_F(NotifierFlow, OnlyInTheOwnDomainAndOnlyOnesOwnMailbox) {
  subscribe("Event: dialog\r\n", "1001@other.org", "a");
  EXPECT_EQ(status(), 403);
  subscribe("Event: message-summary\r\n", "1001@example.com", "b");
  EXPECT_EQ(status(), 403);
  notifier->set_aliases({{"192.0.2.1", "example.com"}});
  subscribe("Event: dialog\r\n", "1001@192.0.2.1", "c");
  EXPECT_EQ(status(), 200);
  EXPECT_EQ(asked<port::AskLine>().at(0).aor, alice);
  bob = nullptr;  // a trunk, say
  subscribe("Event: dialog\r\n", "1001@example.com", "d");
  EXPECT_EQ(status(), 403);
}

TEST_F(NotifierFlow, AFetchIsOneNotify) {
  subscribe("Event: presence\r\nExpires: 0\r\n");
  EXPECT_EQ(status(), 200);
  tell(port::BindingsAnswer{{port::Contact{}}});
  sip::Message m = pop();
  EXPECT_EQ(header(m, sip::HeaderId::subscription_state), "terminated;reason=timeout");
  EXPECT_NE(m.body_text().find("<basic>open</basic>"), std::string::npos);
  answer(m, 200);
  EXPECT_EQ(notifier->subscription_count(), 0u);
}

TEST_F(NotifierFlow, SubscriptionsRunOut) {
  watch();
  pass(milliseconds(599'999));
  EXPECT_TRUE(sent.empty());
  pass(milliseconds(1));
  sip::Message m = pop();
  EXPECT_EQ(header(m, sip::HeaderId::subscription_state), "terminated;reason=timeout");
  answer(m, 200);
  EXPECT_EQ(notifier->subscription_count(), 0u);
}

TEST_F(NotifierFlow, ARefreshExtendsAndTellsTheState) {
  const std::string tag = watch();
  pass(seconds(500));
  resubscribe(tag, "Event: dialog\r\nExpires: 600\r\n");
  EXPECT_EQ(status(), 200);
  sip::Message m = pop();
  EXPECT_EQ(header(m, sip::HeaderId::subscription_state), "active;expires=600");
  answer(m, 200);
  pass(seconds(599));
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(notifier->subscription_count(), 1u);
}

TEST_F(NotifierFlow, RefreshesMustBelongToTheDialog) {
  const std::string tag = watch();
  resubscribe(tag, "Event: dialog\r\n", 2, "another-call");
  EXPECT_EQ(status(), 481);
  resubscribe(tag, "Event: presence\r\n", 3);
  EXPECT_EQ(status(), 481);
  resubscribe(tag, "Event: dialog;id=7\r\n", 4);
  EXPECT_EQ(status(), 481);
  resubscribe(tag, "Event: dialog\r\n", 0);  // lower than the first
  EXPECT_EQ(status(), 500);
  in(head("INFO", "sip:192.0.2.1", "1002@example.com", "1001@example.com", "s1", 9, tag) + with_body("", ""));
  EXPECT_EQ(status(), 405);
  resubscribe("stranger", "Event: dialog\r\n", 10);
  EXPECT_TRUE(unowned);
}

TEST_F(NotifierFlow, EventIdsComeBack) {
  subscribe("Event: dialog;id=blf7\r\n");
  pop();
  tell(port::LineAnswer{});
  EXPECT_EQ(header(pop(), sip::HeaderId::event), "dialog;id=blf7");
}

// ---- NOTIFY

TEST_F(NotifierFlow, AFailedNotifyEndsTheSubscription) {
  for (int code : {481, 404, 489, 603}) {
    watch("dialog", "s" + std::to_string(code));
    line({ringing()});
    answer(pop(), code);
    EXPECT_EQ(notifier->subscription_count(), 0u) << code;
  }
  EXPECT_EQ(counters.total("presence_notify_failures_total"), 4u);
}

TEST_F(NotifierFlow, AWatcherThatIsGoneIsForgotten) {
  watch();
  line({ringing()});
  pass(timers.timer_f());
  EXPECT_EQ(notifier->subscription_count(), 0u);
  EXPECT_EQ(transactions.client_count(), 0u);
}

TEST_F(NotifierFlow, ASlowWatcherCostsOneRequestAndGetsTheNewestState) {
  watch();
  line({ringing()});
  sip::Message first = pop();
  for (int i = 0; i < 50; ++i) line({ringing(), ringing()});
  line({});
  EXPECT_TRUE(sent.empty());
  answer(first, 200);
  sip::Message second = pop();
  EXPECT_NE(second.body_text().find("<state>terminated</state>"), std::string::npos);
  answer(second, 200);
  EXPECT_TRUE(sent.empty());
}

TEST_F(NotifierFlow, RetryAfterIsHeeded) {
  watch();
  line({ringing()});
  answer(pop(), 503, "Retry-After: 10");
  EXPECT_EQ(notifier->subscription_count(), 1u);
  line({ringing()});
  EXPECT_TRUE(sent.empty());
  pass(milliseconds(9'999));
  EXPECT_TRUE(sent.empty());
  pass(milliseconds(1));
  EXPECT_EQ(pop().method(), sip::Method::notify);
}

TEST_F(NotifierFlow, WithoutAnAnswerAboutTheLineTheWatcherHearsThatItIsIdle) {
  subscribe("Event: dialog\r\n");
  pop();
  tell(port::AskFailure::timed_out);
  EXPECT_NE(pop().body_text().find("<state>terminated</state>"), std::string::npos);
}

TEST_F(NotifierFlow, LinesNobodyWatchesCostNothing) {
  line({ringing()});
  std::vector<Notifier::Part> parts;
  notifier->snapshot(at(now), parts);
  EXPECT_TRUE(parts.empty());
}

TEST_F(NotifierFlow, MessageWaiting) {
  watch("message-summary");
  notifier->on_mailbox(at(now), {"1002", "example.com"}, out);
  ASSERT_EQ(asked<port::AskWaiting>().size(), 1u);
  EXPECT_EQ(asked<port::AskWaiting>()[0].aor.user, "1002");
  tell(port::WaitingAnswer{2});
  sip::Message m = pop();
  EXPECT_EQ(m.content_type(), message_summary_type);
  EXPECT_EQ(m.body_text(),
            "Messages-Waiting: yes\r\nMessage-Account: sip:1002@example.com\r\nVoice-Message: 0/0 (0/0)\r\n"
            "Text-Message: 2/0 (0/0)\r\n");
  answer(m, 200);
  notifier->on_mailbox(at(now), {"1002", "example.com"}, out);
  tell(port::WaitingAnswer{2});
  EXPECT_TRUE(sent.empty());  // the same
  notifier->on_mailbox(at(now), {"1002", "example.com"}, out);
  notifier->on_mailbox(at(now), {"1002", "example.com"}, out);  // while the store is being asked
  EXPECT_EQ(asked<port::AskWaiting>().size(), 1u);
  tell(port::WaitingAnswer{1});
  answer(pop(), 200);
  ASSERT_EQ(out.new_asks.size(), 1u);  // that answer may have been older than the second change
  tell(port::WaitingAnswer{0});
  EXPECT_NE(pop().body_text().find("Messages-Waiting: no"), std::string::npos);
}

TEST_F(NotifierFlow, VoiceMessagesLightTheLampUntilTheyAreHeard) {
  watch("message-summary");
  const auto told = [&](port::WaitingAnswer counts) {
    notifier->on_mailbox(at(now), {"1002", "example.com"}, out);
    tell(counts);
    sip::Message m = pop();
    answer(m, 200);
    return std::string(m.body_text());
  };
  EXPECT_EQ(told({0, 2, 1}),
            "Messages-Waiting: yes\r\nMessage-Account: sip:1002@example.com\r\nVoice-Message: 2/1 (0/0)\r\n"
            "Text-Message: 0/0 (0/0)\r\n");
  EXPECT_THAT(told({0, 0, 3}), ::testing::HasSubstr("Messages-Waiting: no"));
  EXPECT_THAT(told({1, 0, 3}), ::testing::HasSubstr("Messages-Waiting: yes"));
  EXPECT_THAT(told({0, 0, 0}), ::testing::HasSubstr("Voice-Message: 0/0"));
}

TEST_F(NotifierFlow, MessagesThatWaitAlreadyAreToldFirst) {
  subscribe("Event: message-summary\r\n", "1002@example.com");
  EXPECT_EQ(status(), 200);
  EXPECT_TRUE(sent.empty());
  tell(port::WaitingAnswer{1});
  EXPECT_NE(pop().body_text().find("Text-Message: 1/0"), std::string::npos);
}

TEST_F(NotifierFlow, WithoutTheStoreTheWatcherHearsWhatWasKnown) {
  subscribe("Event: message-summary\r\n", "1002@example.com");
  EXPECT_EQ(status(), 200);
  tell(port::AskFailure::unavailable);
  EXPECT_NE(pop().body_text().find("Messages-Waiting: no"), std::string::npos);
}

TEST_F(NotifierFlow, MailboxesNobodyWatchesAreNotAskedFor) {
  notifier->on_mailbox(at(now), {"1002", "example.com"}, out);
  EXPECT_TRUE(out.new_asks.empty());
}

TEST_F(NotifierFlow, WaitingMessagesAreCountedAgainAfterARestore) {
  watch("message-summary");
  std::vector<Notifier::Part> parts;
  notifier->snapshot(at(now), parts);
  build();
  EXPECT_TRUE(notifier->restore(at(now), parts.at(0).bytes));
  pass(Duration{});
  EXPECT_TRUE(sent.empty());
  tell(port::WaitingAnswer{3});
  EXPECT_NE(pop().body_text().find("Text-Message: 3/0"), std::string::npos);
}

TEST_F(NotifierFlow, RegistrationOpensAndCloses) {
  watch("presence");
  notifier->on_registration(at(now), alice, 1, out);
  settle();
  sip::Message m = pop();
  EXPECT_EQ(m.content_type(), pidf_type);
  EXPECT_NE(m.body_text().find("<basic>open</basic>"), std::string::npos);
  answer(m, 200);
  notifier->on_registration(at(now), alice, 2, out);
  settle();
  EXPECT_TRUE(sent.empty());  // as reachable as before
  notifier->on_registration(at(now), alice, 0, out);
  settle();
  EXPECT_NE(pop().body_text().find("<basic>closed</basic>"), std::string::npos);
}

// ---- PUBLISH

constexpr const char* at_lunch =
    "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:1002@example.com\"><tuple "
    "id=\"a\"><status>"
    "<basic>open</basic></status><note>lunch</note></tuple></presence>";
constexpr const char* in_meeting =
    "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
    "entity=\"pres:1002@example.com\"><note>meeting</note></presence>";

TEST_F(NotifierFlow, NobodySpeaksForAnother) {
  const auto about = [](const std::string& entity) {
    return "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" " + entity + "><note>x</note></presence>";
  };
  uint64_t refused = 0;
  for (const std::string& document :
       {about("entity=\"pres:1001@example.com\""), about("entity='sip:1002@example.org'"),
        about("entity=\"tel:1002\""), about("entity=\"1002@example.com\""), about("entity=\"\""), about(""),
        about("x:entity=\"pres:1002@example.com\""),
        std::string(
            "<a entity=\"pres:1002@example.com\"><presence entity=\"pres:1001@example.com\"/></a>")}) {
    publish("Event: presence\r\n", document);
    const sip::Message answer = pop();
    EXPECT_EQ(answer.status(), 403) << document;
    EXPECT_NE(header(answer, sip::HeaderId::warning).find("entity"), std::string::npos);
    EXPECT_EQ(counters.total("presence_foreign_documents_total"), ++refused);
  }
  for (const std::string& document :
       {about("entity=\"sip:1002@EXAMPLE.com;user=phone\""), about("entity='SIPS:%31002@example.com:5061'"),
        std::string(
            "<p:presence xmlns:p=\"urn:ietf:params:xml:ns:pidf\" entity=\"pres:1002@example.com\"/>")}) {
    publish("Event: presence\r\n", document);
    EXPECT_EQ(pop().status(), 200) << document;
  }
}

TEST_F(NotifierFlow, PublicationsReachWatchersAsTheyAre) {
  subscribe("Event: presence\r\n", "1002@example.com");
  pop();
  tell(port::BindingsAnswer{});
  answer(pop(), 200);

  publish("Event: presence\r\nExpires: 600\r\n", at_lunch);
  const sip::Message ok = pop();
  EXPECT_EQ(ok.status(), 200);
  const std::string etag = header(ok, sip::HeaderId::sip_etag);
  EXPECT_EQ(header(ok, sip::HeaderId::expires), "600");
  sip::Message told = pop();
  EXPECT_EQ(told.body_text(), at_lunch);
  answer(told, 200);

  publish("Event: presence\r\nSIP-If-Match: " + etag + "\r\n", in_meeting);  // a change
  const sip::Message changed = pop();
  const std::string second = header(changed, sip::HeaderId::sip_etag);
  EXPECT_NE(second, etag);
  told = pop();
  EXPECT_EQ(told.body_text(), in_meeting);
  answer(told, 200);

  publish("Event: presence\r\nSIP-If-Match: " + etag + "\r\n", "");  // the old one is no more
  EXPECT_EQ(status(), 412);
  publish("Event: presence\r\nSIP-If-Match: " + second + "\r\nExpires: 600\r\n", "");  // a refresh
  const sip::Message refreshed = pop();
  EXPECT_EQ(refreshed.status(), 200);
  EXPECT_TRUE(sent.empty());
  const std::string third = header(refreshed, sip::HeaderId::sip_etag);

  publish("Event: presence\r\nSIP-If-Match: " + third + "\r\nExpires: 0\r\n", "");  // goodbye
  EXPECT_EQ(status(), 200);
  EXPECT_NE(pop().body_text().find("<basic>closed</basic>"), std::string::npos);
}

TEST_F(NotifierFlow, PublicationsRunOut) {
  subscribe("Event: presence\r\n", "1002@example.com");
  pop();
  tell(port::BindingsAnswer{});
  answer(pop(), 200);
  publish("Event: presence\r\nExpires: 60\r\n", at_lunch);
  pop();
  answer(pop(), 200);
  pass(seconds(59));
  EXPECT_TRUE(sent.empty());
  pass(seconds(1));
  EXPECT_NE(pop().body_text().find("<basic>closed</basic>"), std::string::npos);
}

TEST_F(NotifierFlow, BadPublications) {
  publish("Event: dialog\r\n", at_lunch);
  EXPECT_EQ(status(), 489);
  publish("Event: presence\r\n", at_lunch, "1001@example.com");  // about someone else
  EXPECT_EQ(status(), 403);
  publish("Event: presence\r\nExpires: 5\r\n", at_lunch);
  EXPECT_EQ(status(), 423);
  publish("Event: presence\r\n", "");
  EXPECT_EQ(status(), 400);
  publish("Event: presence\r\n", "<presence>");
  EXPECT_EQ(status(), 400);
  publish("Event: presence\r\n", "<a>" + std::string(config.body_bytes, 'x') + "</a>");
  EXPECT_EQ(status(), 413);
  publish("Event: presence\r\nSIP-If-Match: nothing\r\n", at_lunch);
  EXPECT_EQ(status(), 412);
  in(head("PUBLISH", "sip:1002@example.com", "1002@example.com", "1002@example.com", "p2", 1) +
     "Event: presence\r\n" + with_body("text/plain", "hello"));
  const sip::Message m = pop();
  EXPECT_EQ(m.status(), 415);
  EXPECT_EQ(header(m, sip::HeaderId::accept), pidf_type);
  EXPECT_EQ(counters.total("presence_bad_documents_total"), 2u);
}

// ---- limits

TEST_F(NotifierFlow, SubscriptionsAreBounded) {
  config.subscriptions = 3;
  config.subscriptions_per_aor = 2;
  build();
  for (const char* id : {"a", "b"}) {
    subscribe("Event: dialog\r\n", "1001@example.com", id);
    EXPECT_EQ(status(), 200);
  }
  subscribe("Event: dialog\r\n", "1001@example.com", "c");
  const sip::Message m = pop();
  EXPECT_EQ(m.status(), 503);
  EXPECT_EQ(header(m, sip::HeaderId::retry_after), "60");
  subscribe("Event: dialog\r\n", "1003@example.com", "d");
  EXPECT_EQ(status(), 200);
  subscribe("Event: dialog\r\n", "1004@example.com", "e");
  EXPECT_EQ(status(), 503);
  EXPECT_EQ(counters.total("presence_limits_total"), 2u);
}

TEST_F(NotifierFlow, PublicationsAreBounded) {
  config.publications_per_aor = 2;
  build();
  for (int i = 0; i < 2; ++i) {
    publish("Event: presence\r\n", at_lunch);
    EXPECT_EQ(status(), 200);
  }
  publish("Event: presence\r\n", at_lunch);
  EXPECT_EQ(status(), 503);
  EXPECT_EQ(counters.total("presence_limits_total"), 1u);
}

// ---- snapshot

TEST_F(NotifierFlow, ASnapshotGoesOnAsBefore) {
  const std::string tag = watch();
  line({ringing()});
  answer(pop(), 200);
  publish("Event: presence\r\nExpires: 600\r\n", at_lunch);
  const std::string etag = header(pop(), sip::HeaderId::sip_etag);
  std::vector<Notifier::Part> parts;
  notifier->snapshot(at(now), parts);
  ASSERT_EQ(parts.size(), 2u);

  build();
  for (const auto& part : parts) EXPECT_TRUE(notifier->restore(at(now), part.bytes));
  EXPECT_EQ(notifier->subscription_count(), 1u);
  pass(seconds(1));
  EXPECT_TRUE(sent.empty());  // nothing was owed
  line({});
  sip::Message m = pop();
  EXPECT_EQ(m.from_tag(), tag);
  EXPECT_NE(m.body_text().find("version=\"2\""), std::string::npos);
  EXPECT_EQ(header(m, sip::HeaderId::subscription_state), "active;expires=599");
  answer(m, 200);
  resubscribe(tag, "Event: dialog\r\nExpires: 60\r\n", 5);
  EXPECT_EQ(status(), 200);
  answer(pop(), 200);
  publish("Event: presence\r\nSIP-If-Match: " + etag + "\r\n", "");
  EXPECT_EQ(status(), 200);
  EXPECT_FALSE(notifier->restore(at(now), "\xff\xff"));
}

TEST_F(NotifierFlow, WhatWasOwedIsSentAfterARestore) {
  watch();
  line({ringing()});
  pop();  // no answer yet
  std::vector<Notifier::Part> parts;
  notifier->snapshot(at(now), parts);
  build();
  EXPECT_TRUE(notifier->restore(at(now), parts.at(0).bytes));
  pass(Duration{});
  sip::Message m = pop();
  EXPECT_NE(m.body_text().find("<state>early</state>"), std::string::npos);
}

}  // namespace
}  // namespace tandem::presence
