// RFC 3261 section 10.3, rule by rule.
#include "flow.h"

namespace tandem::registrar {
namespace {

TEST_F(RegistrarFlow, BindsListsAndUnbinds) {
  EXPECT_EQ(send("Contact: <sip:1001@10.0.0.1>;expires=600\r\n"), 200);
  EXPECT_EQ(contacts(), Strings{"<sip:1001@10.0.0.1>;expires=600"});
  EXPECT_EQ(changed(), Strings{"added 1001@example.com 1"});
  now = seconds(100);
  EXPECT_EQ(send(""), 200);  // a query
  EXPECT_EQ(contacts(), Strings{"<sip:1001@10.0.0.1>;expires=500"});
  EXPECT_TRUE(changed().empty());
  EXPECT_EQ(send("Contact: <sip:1001@10.0.0.1>;expires=0\r\n"), 200);
  EXPECT_TRUE(contacts().empty());
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 0"});
  EXPECT_TRUE(uris().empty());
  EXPECT_EQ(registrar->contact_count(), 0u);
}

TEST_F(RegistrarFlow, AnswersWithATagAndWhereItCameFrom) {
  path.remote = *SocketAddress::parse("203.0.113.5:40000");
  send("Contact: <sip:1001@10.0.0.1>\r\n");
  EXPECT_FALSE(response->to_tag().empty());
  EXPECT_EQ(response->top_via().params.get("received"), "203.0.113.5");
  EXPECT_EQ(response->top_via().params.get("rport"), "40000");
}

TEST_F(RegistrarFlow, ExpiresFromContactThenHeaderThenDefault) {
  send("Contact: <sip:a@10.0.0.1>;expires=300, <sip:b@10.0.0.1>\r\nExpires: 400\r\n");
  EXPECT_EQ(contacts(), (Strings{"<sip:a@10.0.0.1>;expires=300", "<sip:b@10.0.0.1>;expires=400"}));
  send("Contact: <sip:c@10.0.0.1>\r\n");
  EXPECT_EQ(contacts().back(), "<sip:c@10.0.0.1>;expires=3600");
  send("Contact: <sip:d@10.0.0.1>;expires=soon\r\n");  // malformed: as if it were not there
  EXPECT_EQ(contacts().back(), "<sip:d@10.0.0.1>;expires=3600");
  send("Contact: <sip:e@10.0.0.1>;expires=999999\r\n");
  EXPECT_EQ(contacts().back(), "<sip:e@10.0.0.1>;expires=7200");
}

TEST_F(RegistrarFlow, TooBriefIsRefusedWithTheLeast) {
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;expires=59\r\n"), 423);
  EXPECT_EQ(header(sip::HeaderId::min_expires), "60");
  EXPECT_TRUE(uris().empty());
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;expires=60\r\n"), 200);
}

TEST_F(RegistrarFlow, ContactsAreComparedAsUris) {
  send("Contact: <sip:1001@phone.example.com;transport=udp>\r\n");
  send("Contact: <sip:1001@PHONE.example.com;transport=UDP>;q=0.5\r\n");
  EXPECT_EQ(contacts(), Strings{"<sip:1001@PHONE.example.com;transport=UDP>;expires=3600;q=0.500"});
  EXPECT_EQ(changed(), Strings{"added 1001@example.com 1"});  // another text: to be called another way
  send("Contact: <sip:1001@PHONE.example.com;transport=UDP>;q=0.5\r\n");
  EXPECT_EQ(changed(), Strings{"refreshed 1001@example.com 1"});
}

TEST_F(RegistrarFlow, BestQFirstThenTheYoungest) {
  send(
      "Contact: <sip:a@10.0.0.1>;q=0.2, <sip:b@10.0.0.1>;q=0.85, <sip:c@10.0.0.1>, "
      "<sip:d@10.0.0.1>;q=0.85\r\n");
  EXPECT_EQ(uris(), (Strings{"sip:c@10.0.0.1", "sip:d@10.0.0.1", "sip:b@10.0.0.1", "sip:a@10.0.0.1"}));
  EXPECT_EQ(contacts()[1], "<sip:b@10.0.0.1>;expires=3600;q=0.850");
}

TEST_F(RegistrarFlow, WildcardRemovesEverything) {
  send("Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>\r\n");
  EXPECT_EQ(send("Contact: *\r\n"), 400);
  EXPECT_EQ(send("Contact: *\r\nExpires: 60\r\n"), 400);
  EXPECT_EQ(send("Contact: *, <sip:a@10.0.0.1>\r\nExpires: 0\r\n"), 400);
  EXPECT_EQ(uris().size(), 2u);
  EXPECT_EQ(send("Contact: *\r\nExpires: 0\r\n"), 200);
  EXPECT_TRUE(uris().empty());
  EXPECT_EQ(changed(), (Strings{"removed 1001@example.com 1", "removed 1001@example.com 0"}));
}

TEST_F(RegistrarFlow, ARequestThatWasOvertakenChangesNothing) {
  send("Contact: <sip:a@10.0.0.1>;q=0.5\r\n", {.cseq = 5});
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;q=0.9\r\n", {.cseq = 5}), 500);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;expires=0\r\n", {.cseq = 4}), 500);
  EXPECT_EQ(send("Contact: *\r\nExpires: 0\r\n", {.cseq = 4}), 500);
  EXPECT_EQ(only().q, 500);
  // All or nothing: the new contact of an overtaken request is not bound either.
  EXPECT_EQ(send("Contact: <sip:b@10.0.0.1>, <sip:a@10.0.0.1>\r\n", {.cseq = 5}), 500);
  EXPECT_EQ(uris().size(), 1u);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;q=0.7\r\n", {.call_id = "after-reboot", .cseq = 1}), 200);
  EXPECT_EQ(only().q, 700);
}

TEST_F(RegistrarFlow, OneBadContactRefusesAll) {
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>;expires=5\r\n"), 423);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>, <tel:123>\r\n"), 400);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1?Route=%3Csip:evil%3E>\r\n"), 400);
  EXPECT_TRUE(uris().empty());
  EXPECT_EQ(counters.total("registrar_contacts"), 0u);
}

TEST_F(RegistrarFlow, OnlyOwnDomainsAndOwnBindings) {
  const std::string contact = "Contact: <sip:a@10.0.0.1>\r\n";
  EXPECT_EQ(send(contact, {.uri = "sip:stranger.net"}), 404);
  EXPECT_EQ(send(contact, {.to = "<sip:1001@stranger.net>"}), 404);
  EXPECT_EQ(send(contact, {.to = "<sip:1002@example.com>"}), 403);
  EXPECT_EQ(send(contact, {.to = "<sip:1001@other.org>"}), 403);  // the same extension in another domain
  EXPECT_EQ(send(contact, {.to = "<sip:example.com>"}), 404);
  EXPECT_EQ(send(contact, {.uri = "tel:123"}), 416);
  EXPECT_EQ(registrar->aor_count(), 0u);
  EXPECT_EQ(send(contact, {.uri = "sip:192.0.2.1", .to = "<sip:%31001@SIP.Example.com>"}), 200);
  EXPECT_EQ(uris().size(), 1u);
}

TEST_F(RegistrarFlow, UnknownExtensionsAreNamed) {
  EXPECT_EQ(send("Require: path, teleport, outbound, warp\r\nContact: <sip:a@10.0.0.1>\r\n"), 420);
  EXPECT_EQ(header(sip::HeaderId::unsupported), "teleport, warp");
  EXPECT_EQ(send("Require: path\r\nContact: <sip:a@10.0.0.1>\r\n"), 200);
}

TEST_F(RegistrarFlow, ContactsExpire) {
  send("Contact: <sip:a@10.0.0.1>;expires=60, <sip:b@10.0.0.1>;expires=120\r\n");
  pass(milliseconds(59'999));
  EXPECT_EQ(uris().size(), 2u);
  pass(milliseconds(1));
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 1"});
  EXPECT_EQ(uris(), Strings{"sip:b@10.0.0.1"});
  pass(seconds(60));
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 0"});
  EXPECT_EQ(counters.total("registrar_expired_total"), 2u);
}

TEST_F(RegistrarFlow, ARefreshMovesTheExpiry) {
  send("Contact: <sip:a@10.0.0.1>;expires=60\r\n");
  pass(seconds(50));
  send("Contact: <sip:a@10.0.0.1>;expires=60\r\n");
  pass(seconds(59));
  EXPECT_EQ(uris().size(), 1u);
  pass(seconds(1));
  EXPECT_TRUE(uris().empty());
}

TEST_F(RegistrarFlow, RefreshesDoNotPileUpTimers) {
  for (int i = 0; i < 1000; ++i) {
    send("Contact: <sip:a@10.0.0.1>;expires=3600\r\n");
    pass(seconds(10));
  }
  EXPECT_EQ(uris().size(), 1u);
  pass(seconds(3600));
  EXPECT_TRUE(uris().empty());
}

// ---- limits

TEST_F(RegistrarFlow, ContactsPerAorAreBounded) {
  alice.max_contacts = 2;
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>\r\n"), 200);
  EXPECT_EQ(send("Contact: <sip:c@10.0.0.1>\r\n"), 403);
  EXPECT_EQ(counters.total("registrar_limits_total"), 1u);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>\r\n"), 200);  // a refresh is always served
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;expires=0, <sip:c@10.0.0.1>\r\n"), 200);
  EXPECT_EQ(uris(), (Strings{"sip:c@10.0.0.1", "sip:b@10.0.0.1"}));
}

TEST_F(RegistrarFlow, AContactStandsOnceInARequest) {
  alice.max_contacts = 2;
  const std::string a = "<sip:a@10.0.0.1>", gone = ";expires=0, ";
  EXPECT_EQ(send("Contact: " + a + ", <sip:b@10.0.0.1>\r\n"), 200);
  EXPECT_EQ(send("Contact: " + a + gone + a + gone + "<sip:c@10.0.0.1>, <sip:d@10.0.0.1>\r\n"), 400);
  // Another spelling of it, and two that are not each other but both the bound one.
  EXPECT_EQ(send("Contact: " + a + gone + "<sip:%61@10.0.0.1>;expires=0, <sip:c@10.0.0.1>\r\n"), 400);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1;x=1>, <sip:a@10.0.0.1;x=2>, <sip:a@10.0.0.1;x=3>\r\n"), 400);
  EXPECT_EQ(uris(), (Strings{"sip:b@10.0.0.1", "sip:a@10.0.0.1"}));
}

TEST_F(RegistrarFlow, ContactsOfARequestAreBounded) {
  alice.max_contacts = 2;
  const std::string three =
      "Contact: <sip:a@10.0.0.1>;expires=0, <sip:b@10.0.0.1>;expires=0, <sip:c@10.0.0.1>";
  EXPECT_EQ(send(three + ", <sip:d@10.0.0.1>;expires=0, <sip:e@10.0.0.1>;expires=0\r\n"), 403);
  EXPECT_EQ(counters.total("registrar_limits_total"), 1u);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>, <sip:b@10.0.0.1>\r\n"), 200);
  EXPECT_EQ(send(three + ", <sip:d@10.0.0.1>\r\n"), 200);  // all that is bound goes, all that may be comes
  EXPECT_EQ(uris(), (Strings{"sip:d@10.0.0.1", "sip:c@10.0.0.1"}));
}

TEST_F(RegistrarFlow, WhoHasMovedMayGiveUpAContactThatIsForgotten) {
  alice.max_contacts = 1;
  EXPECT_EQ(send("Contact: <sip:new@10.0.0.1>, <sip:old@10.0.0.9>;expires=0\r\n"), 200);
  EXPECT_EQ(uris(), (Strings{"sip:new@10.0.0.1"}));
}

TEST_F(RegistrarFlow, AorsPerWorkerAreBounded) {
  config.aors = 1;
  build();
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>\r\n"), 200);
  alice.aor.user = "1002";
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>\r\n", {.to = "<sip:1002@example.com>"}), 503);
  EXPECT_NE(header(sip::HeaderId::retry_after), "(none)");
  EXPECT_EQ(send("", {.to = "<sip:1002@example.com>"}), 200);  // asking costs nothing
  EXPECT_EQ(counters.total("registrar_limits_total"), 1u);
}

TEST_F(RegistrarFlow, LengthsAreBounded) {
  const std::string huge(600, 'x');
  EXPECT_EQ(send("Contact: <sip:" + huge + "@10.0.0.1>\r\n"), 400);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>;+sip.instance=\"<" + huge + ">\"\r\n"), 400);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>\r\n", {.call_id = huge}), 400);
  EXPECT_EQ(send("Contact: <sip:a@10.0.0.1>\r\nPath: <sip:" + huge + "@p>, <sip:" + huge + "@q>\r\n"), 400);
  EXPECT_EQ(counters.total("registrar_limits_total"), 4u);
  EXPECT_EQ(send("User-Agent: " + huge + "\r\nContact: <sip:a@10.0.0.1>\r\n"), 200);
  std::vector<BindingView> found;
  registrar->list(at(now), "", 0, 10, found);
  EXPECT_EQ(found.at(0).user_agent.size(), config.user_agent_bytes);
}

// ---- operators

TEST_F(RegistrarFlow, OperatorsSearchPageAndRemove) {
  for (int i = 1; i <= 5; ++i) {
    alice.aor.user = "100" + std::to_string(i);
    send("User-Agent: Phone/" + std::to_string(i) + "\r\nContact: <sip:" + alice.aor.user + "@10.0.0.1>\r\n",
         {.to = "<sip:" + alice.aor.user + "@example.com>"});
  }
  std::vector<BindingView> found;
  uint64_t cursor = registrar->list(at(now), "", 0, 2, found);
  EXPECT_EQ(found.size(), 2u);
  EXPECT_NE(cursor, 0u);
  while (cursor != 0) {
    const size_t before = found.size();
    cursor = registrar->list(at(now), "", cursor, before + 2, found);
  }
  EXPECT_EQ(found.size(), 5u);
  found.clear();
  registrar->list(at(now), "pHONE/3", 0, 10, found);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].aor.user, "1003");
  EXPECT_EQ(found[0].expires, 3600u);

  changes.clear();
  EXPECT_FALSE(registrar->remove(at(now), {"1003", "example.com"}, "sip:nobody", changes));
  EXPECT_TRUE(registrar->remove(at(now), {"1003", "example.com"}, "sip:1003@10.0.0.1", changes));
  EXPECT_EQ(changed(), Strings{"removed 1003@example.com 0"});
  EXPECT_FALSE(registrar->registered(at(now), {"1003", "example.com"}));
  EXPECT_TRUE(registrar->registered(at(now), {"1004", "example.com"}));
}

}  // namespace
}  // namespace tandem::registrar
