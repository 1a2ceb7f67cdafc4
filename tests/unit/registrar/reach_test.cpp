// How a contact is reached: NAT, connections, Path (RFC 3327), Outbound (RFC 5626), GRUU (RFC 5627).
#include "flow.h"

namespace tandem::registrar {
namespace {

constexpr const char* instance = "<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>";
const std::string with_instance = std::string(";+sip.instance=\"") + instance + "\"";

class Reach : public RegistrarFlow {
 protected:
  void over(port::Transport transport, const char* remote, uint32_t generation = 1) {
    path.transport = transport;
    path.remote = *SocketAddress::parse(remote);
    path.flow = {1, 0, 9, generation};
  }
  void close_flow() {
    changes.clear();
    port::FlowEvent event{port::FlowEvent::Kind::closed, path.flow, path, 0};
    registrar->on_flow(at(now), event, out, changes);
  }
};

// ---- far-end NAT

TEST_F(Reach, APhoneThatIsWhereItSaysIsCalledThere) {
  send("Contact: <sip:1001@10.0.0.1>\r\n");
  EXPECT_FALSE(only().fixed);
}

TEST_F(Reach, APhoneBehindANatIsCalledWhereItWasSeen) {
  path.remote = *SocketAddress::parse("203.0.113.5:40000");
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n");
  EXPECT_TRUE(only().fixed);
  EXPECT_EQ(only().path.remote.to_string(), "203.0.113.5:40000");
  EXPECT_EQ(only().uri, "sip:1001@10.0.0.1:5060");  // the request line keeps what the phone knows as its own
}

TEST_F(Reach, ANatBetweenTwoPrivateNetworksIsSeenInTheVia) {
  path.remote = *SocketAddress::parse("192.168.1.1:40000");
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n");
  EXPECT_TRUE(only().fixed);
}

TEST_F(Reach, AMovedPortAloneIsANatToo) {
  path.remote = *SocketAddress::parse("10.0.0.1:1024");
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n");
  EXPECT_TRUE(only().fixed);
}

TEST_F(Reach, AGatewayThatRewroteTheViaOnly) {
  path.remote = *SocketAddress::parse("203.0.113.5:5060");
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n", {.via = "SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1"});
  EXPECT_TRUE(only().fixed);
}

TEST_F(Reach, APhoneThatLearntItsOuterAddressIsTakenAtItsWord) {
  path.remote = *SocketAddress::parse("203.0.113.5:40000");
  send("Contact: <sip:1001@203.0.113.5:40000>\r\n",
       {.via = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport"});
  EXPECT_FALSE(only().fixed);
}

TEST_F(Reach, NobodyRegistersAnotherHostThanHisOwn) {
  path.remote = *SocketAddress::parse("203.0.113.5:5060");
  const std::string own = "SIP/2.0/UDP 203.0.113.5:5060;branch=z9hG4bK1";
  for (const std::string& via : {own, own + "2, " + own})
    for (const char* host : {"198.51.100.9", "10.0.0.7", "[2001:db8::9]", "trunk.example.net"}) {
      SCOPED_TRACE(via + " " + host);
      EXPECT_EQ(send("Contact: <sip:0043900@" + std::string(host) + ">\r\n", {.via = via}), 200);
      EXPECT_TRUE(only().fixed);
      EXPECT_EQ(only().path.remote.to_string(), "203.0.113.5:5060");
      send("Contact: *\r\nExpires: 0\r\n");
    }
}

TEST_F(Reach, AnotherHostIsNotCalledWhenTheConnectionHasClosed) {
  const std::string own = "SIP/2.0/TCP 203.0.113.5:33000;branch=z9hG4bK1";
  uint32_t generation = 0;
  for (const std::string& via : {own, own + "2, " + own}) {
    SCOPED_TRACE(via);
    over(port::Transport::tcp, "203.0.113.5:33000", ++generation);
    EXPECT_EQ(send("Contact: <sip:0043900@198.51.100.9;transport=tcp>\r\n", {.via = via}), 200);
    EXPECT_TRUE(only().fixed);
    close_flow();
    EXPECT_TRUE(uris().empty());
  }
}

TEST_F(Reach, ANatThatChangedItsPortIsFollowed) {
  path.remote = *SocketAddress::parse("203.0.113.5:40000");
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n");
  path.remote.port = 40001;
  send("Contact: <sip:1001@10.0.0.1:5060>\r\n");
  EXPECT_EQ(only().path.remote.port, 40001);
  EXPECT_EQ(changed(), Strings{"added 1001@example.com 1"});
}

// ---- connections

TEST_F(Reach, AConnectionIsReusedAndItsEndLeavesTheUri) {
  over(port::Transport::tcp, "10.0.0.1:33000");
  send("Contact: <sip:1001@10.0.0.1:5060;transport=tcp>\r\n",
       {.via = "SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK1"});
  EXPECT_TRUE(only().fixed);
  EXPECT_EQ(only().path.flow, path.flow);
  close_flow();
  EXPECT_FALSE(only().fixed);
  EXPECT_FALSE(only().path.flow);
  EXPECT_TRUE(changed().empty());
}

TEST_F(Reach, ContactsWithoutTheirConnectionsMakeRoom) {
  alice.max_contacts = 2;
  const auto connects_from = [&](int port) {
    const std::string at = "10.0.0.1:" + std::to_string(port);
    over(port::Transport::tcp, at.c_str(), static_cast<uint32_t>(port));
    return send("Contact: <sip:1001@" + at + ";transport=tcp>\r\n",
                {.via = "SIP/2.0/TCP " + at + ";branch=z9hG4bK1"});
  };
  EXPECT_EQ(connects_from(33000), 200);
  close_flow();
  EXPECT_EQ(connects_from(33001), 200);
  close_flow();
  EXPECT_EQ(connects_from(33002), 200);  // 33000 goes, the older one
  EXPECT_EQ(uris(),
            (Strings{"sip:1001@10.0.0.1:33002;transport=tcp", "sip:1001@10.0.0.1:33001;transport=tcp"}));
  EXPECT_EQ(connects_from(33003), 200);
  EXPECT_EQ(counters.total("registrar_contacts_given_up_total"), 2u);
  EXPECT_EQ(connects_from(33004), 403);  // the other two have theirs
  EXPECT_EQ(uris(),
            (Strings{"sip:1001@10.0.0.1:33003;transport=tcp", "sip:1001@10.0.0.1:33002;transport=tcp"}));
}

TEST_F(Reach, BehindANatTheContactGoesWithItsConnection) {
  over(port::Transport::tls, "203.0.113.5:33000");
  send("Contact: <sip:1001@10.0.0.1:5061;transport=tls>\r\n",
       {.via = "SIP/2.0/TLS 10.0.0.1:5061;branch=z9hG4bK1"});
  EXPECT_TRUE(only().fixed);
  close_flow();
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 0"});
  EXPECT_EQ(counters.total("registrar_flows_lost_total"), 1u);
}

TEST_F(Reach, OverTlsTheConnectionIsTheOnlyWay) {
  over(port::Transport::tls, "10.0.0.1:33000");  // no NAT, and yet
  send("Contact: <sip:1001@10.0.0.1:5061;transport=tls>\r\n",
       {.via = "SIP/2.0/TLS 10.0.0.1:5061;branch=z9hG4bK1"});
  EXPECT_EQ(only().path.flow, path.flow);
  close_flow();
  EXPECT_EQ(changed(), Strings{"removed 1001@example.com 0"});
}

TEST_F(Reach, ABrowserIsOnlyReachedByItsWebSocket) {
  over(port::Transport::wss, "10.0.0.1:33000");
  send("Contact: <sip:1001@x7f3.invalid;transport=ws>\r\n",
       {.via = "SIP/2.0/WSS x7f3.invalid;branch=z9hG4bK1"});
  EXPECT_TRUE(only().fixed);
  close_flow();
  EXPECT_TRUE(uris().empty());
}

TEST_F(Reach, TheOldConnectionsEndDoesNotTouchTheNewOne) {
  over(port::Transport::wss, "10.0.0.1:33000", 1);
  send("Contact: <sip:1001@x7f3.invalid>\r\n");
  const port::Path first = path;
  over(port::Transport::wss, "10.0.0.1:33001", 2);
  send("Contact: <sip:1001@x7f3.invalid>\r\n");
  path = first;
  close_flow();
  EXPECT_EQ(uris().size(), 1u);
  EXPECT_TRUE(changed().empty());
}

TEST_F(Reach, OneConnectionMayCarryManyUsers) {
  over(port::Transport::wss, "10.0.0.1:33000");
  for (const char* user : {"1001", "1002", "1003"}) {
    alice.aor.user = user;
    send("Contact: <sip:" + alice.aor.user + "@a.invalid>, <sip:" + alice.aor.user + "@b.invalid>\r\n",
         {.to = "<sip:" + alice.aor.user + "@example.com>"});
  }
  EXPECT_EQ(registrar->contact_count(), 6u);
  close_flow();
  EXPECT_EQ(registrar->contact_count(), 0u);
  EXPECT_EQ(changes.size(), 6u);
}

// ---- Path

TEST_F(Reach, ThePathIsKeptInOrderAndGivenBack) {
  const Options through_proxy{
      .via = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK2, SIP/2.0/UDP 172.16.0.9;branch=z9hG4bK1"};
  EXPECT_EQ(send("Supported: path\r\nPath: <sip:p2.example.com;lr>,<sip:p1.example.com;lr>\r\n"
                 "Contact: <sip:1001@172.16.0.9>\r\n",
                 through_proxy),
            200);
  EXPECT_EQ(header(sip::HeaderId::path), "<sip:p2.example.com;lr>,<sip:p1.example.com;lr>");
  EXPECT_EQ(only().route, (Strings{"<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>"}));
  EXPECT_TRUE(only().fixed);
  send("Contact: <sip:1001@172.16.0.9>\r\nPath: <sip:p3.example.com;lr>\r\n", through_proxy);
  EXPECT_EQ(header(sip::HeaderId::path), "(none)");  // not asked for
  EXPECT_EQ(only().route, Strings{"<sip:p3.example.com;lr>"});
  EXPECT_EQ(send("Contact: <sip:1001@172.16.0.9>\r\nPath: <not a uri>\r\n"), 400);
}

// ---- Outbound

TEST_F(Reach, AnOutboundContactIsItsInstanceAndRegId) {
  over(port::Transport::tcp, "203.0.113.5:33000", 1);
  EXPECT_EQ(send("Supported: outbound, path\r\nContact: <sip:1001@10.0.0.1:33000;transport=tcp>;reg-id=1" +
                 with_instance + "\r\n"),
            200);
  EXPECT_EQ(header(sip::HeaderId::require), "outbound");
  EXPECT_EQ(response->header("Flow-Timer"), "120");
  EXPECT_EQ(only().reg_id, 1u);
  EXPECT_EQ(only().instance, instance);
  EXPECT_EQ(contacts()[0], "<sip:1001@10.0.0.1:33000;transport=tcp>;expires=3600;+sip.instance=\"" +
                               std::string(instance) + "\";reg-id=1");
  // After a change of network the address is another, the phone the same.
  over(port::Transport::tcp, "198.51.100.7:1234", 2);
  send("Supported: outbound\r\nContact: <sip:1001@192.168.7.7:5060;transport=tcp>;reg-id=1" + with_instance +
           "\r\n",
       {.call_id = "new"});
  EXPECT_EQ(uris(), Strings{"sip:1001@192.168.7.7:5060;transport=tcp"});
}

TEST_F(Reach, SeveralFlowsOfOneInstanceAreOneTarget) {
  over(port::Transport::tcp, "203.0.113.5:33000", 1);
  send("Supported: outbound\r\nContact: <sip:1001@10.0.0.1;transport=tcp>;reg-id=1" + with_instance + "\r\n");
  const port::Path first = path;
  over(port::Transport::tcp, "203.0.113.5:33001", 2);
  send("Supported: outbound\r\nContact: <sip:1001@10.0.0.1;transport=tcp>;reg-id=2" + with_instance + "\r\n");
  EXPECT_EQ(registrar->contact_count(), 2u);
  EXPECT_EQ(only().reg_id, 2u);
  close_flow();  // the second breaks: the first takes over
  EXPECT_EQ(only().reg_id, 1u);
  EXPECT_EQ(only().path, first);
}

TEST_F(Reach, WithoutTheOptionRegIdMeansNothing) {
  send("Contact: <sip:a@10.0.0.1>;reg-id=1" + with_instance + "\r\n");
  EXPECT_EQ(header(sip::HeaderId::require), "(none)");
  send("Contact: <sip:b@10.0.0.1>;reg-id=1" + with_instance + "\r\n");
  EXPECT_EQ(uris().size(), 2u);
}

TEST_F(Reach, AFirstHopThatDoesNotKnowOutbound) {
  const Options through_proxy{
      .via = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK2, SIP/2.0/UDP 172.16.0.9;branch=z9hG4bK1"};
  const std::string contact =
      "Supported: outbound, path\r\nContact: <sip:1001@172.16.0.9>;reg-id=1" + with_instance + "\r\n";
  EXPECT_EQ(send(contact, through_proxy), 439);
  EXPECT_EQ(send(contact + "Path: <sip:p1.example.com;lr>\r\n", through_proxy), 439);
  EXPECT_EQ(send(contact + "Path: <sip:p2.example.com;lr>, <sip:f1@p1.example.com;lr;ob>\r\n", through_proxy),
            200);
  EXPECT_EQ(header(sip::HeaderId::require), "outbound");
}

TEST_F(Reach, BadOutboundRequests) {
  EXPECT_EQ(send("Supported: outbound\r\nContact: <sip:a@10.0.0.1>;reg-id=0" + with_instance + "\r\n"), 400);
  EXPECT_EQ(
      send("Supported: outbound\r\nContact: <sip:a@10.0.0.1>;reg-id=4294967295" + with_instance + "\r\n"),
      400);
  EXPECT_EQ(send("Supported: outbound\r\nContact: <sip:a@10.0.0.1>;reg-id=1" + with_instance +
                 ", <sip:b@10.0.0.1>\r\n"),
            400);
  EXPECT_EQ(send("Supported: outbound\r\nContact: <sip:a@10.0.0.1>;reg-id=1\r\n"),
            200);  // no instance: ignored
  EXPECT_EQ(header(sip::HeaderId::require), "(none)");
}

// ---- GRUU

class Gruu : public Reach {
 protected:
  void register_phone(const char* call_id = "call-1") {
    send("Supported: gruu\r\nContact: <sip:1001@10.0.0.1>" + with_instance + "\r\n", {.call_id = call_id});
    const std::vector<std::string> all = contacts();
    ASSERT_EQ(all.size(), 1u);
    const auto value = sip::NameAddr::parse(all[0]);
    ASSERT_TRUE(value);
    public_gruu = sip::unquote(value->params.get("pub-gruu").value_or("\"\""));
    temporary_gruu = sip::unquote(value->params.get("temp-gruu").value_or("\"\""));
  }
  size_t reached(const std::string& gruu) {
    const auto uri = sip::Uri::parse(gruu);
    if (!uri) return 99;
    const auto question = registrar->question_for(*uri);
    return question ? registrar->lookup(at(now), *question).contacts.size() : 0;
  }
  std::string public_gruu, temporary_gruu;
};

TEST_F(Gruu, ArePublicAndTemporary) {
  register_phone();
  EXPECT_EQ(public_gruu, "sip:1001@example.com;gr=urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF");
  EXPECT_EQ(temporary_gruu.substr(0, 10), "sip:tgruu.");
  EXPECT_EQ(temporary_gruu.find("1001"), std::string::npos);
  EXPECT_EQ(only().gruu, public_gruu);
  send("Contact: <sip:1001@10.0.0.1>" + with_instance + "\r\n");
  EXPECT_EQ(contacts()[0].find("gruu"), std::string::npos);  // not asked for
}

TEST_F(Gruu, ReachTheirInstanceOnly) {
  register_phone();
  send("Contact: <sip:1001@10.0.0.2>;+sip.instance=\"<urn:uuid:1>\", <sip:1001@10.0.0.3>\r\n");
  EXPECT_EQ(uris().size(), 3u);
  EXPECT_EQ(reached(public_gruu), 1u);
  EXPECT_EQ(reached(temporary_gruu), 1u);
  EXPECT_EQ(reached("sip:1001@example.com;gr=urn:uuid:00000000-0000-1000-8000-aabbccddeeff"), 1u);
  EXPECT_EQ(reached("sip:1001@example.com"), 3u);
  EXPECT_EQ(reached("sip:1001@example.com;gr=urn:uuid:nobody"), 0u);
}

TEST_F(Gruu, EachTemporaryOneIsNewAndAllWorkUntilTheCallIdChanges) {
  register_phone();
  const std::string first = temporary_gruu;
  register_phone();
  EXPECT_NE(temporary_gruu, first);
  EXPECT_EQ(reached(first), 1u);
  register_phone("after-reboot");
  EXPECT_EQ(reached(first), 0u);
  EXPECT_EQ(reached(temporary_gruu), 1u);
  EXPECT_EQ(reached(public_gruu), 1u);
}

TEST_F(Gruu, CannotBeForgedOrMovedToAnotherDomain) {
  register_phone();
  for (size_t i : {size_t{11}, size_t{25}, size_t{40}}) {
    std::string forged = temporary_gruu;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(reached(forged), 0u) << i;
  }
  std::string moved = temporary_gruu;
  moved.replace(moved.find("example.com"), 11, "other.org");
  EXPECT_EQ(reached(moved), 0u);
  EXPECT_EQ(reached("sip:tgruu.@example.com;gr"), 0u);
  EXPECT_EQ(reached("sip:tgruu.AAAA@example.com;gr"), 0u);
  EXPECT_EQ(reached("sip:1001@stranger.net"), 0u);
}

TEST_F(Gruu, ADifferentKeyOpensNothing) {
  register_phone();
  const std::string old = temporary_gruu;
  config.gruu_key[0] = 10;
  build();
  register_phone();
  EXPECT_EQ(reached(old), 0u);
}

}  // namespace
}  // namespace tandem::registrar
