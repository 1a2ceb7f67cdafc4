#include "sip/dialog.h"

#include "transaction_harness.h"

namespace tandem::sip {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const std::string routed_invite =
    "INVITE sip:1001@pbx.example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKa;rport\r\n"
    "Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n"
    "Record-Route: <sip:p0.example.com;lr>\r\n"
    "From: \"Al, \\\"the\\\" <Al>\" <sip:al@example.com;x=y>;tag=al-1;other=2\r\n"
    "To: sip:1001@pbx.example.com\r\n"
    "Call-ID: c-1@peer\r\nCSeq: 314 INVITE\r\n"
    "Contact: \"Al\" <sip:al@198.51.100.7:5070;transport=tcp>;expires=5\r\nContent-Length: 0\r\n\r\n";

Dialog as_uas() {
  auto d = Dialog::from_request(parse_ok(routed_invite), udp_path(), "us-1", "<sip:1001@192.0.2.10>");
  EXPECT_TRUE(d);
  return *d;
}

Dialog sent_template() {
  Dialog d;
  d.call_id = "out-1";
  d.local_tag = "us";
  d.local_uri = "<sip:us@example.com>";
  d.remote_uri = "<sip:bob@example.com>";
  d.local_target = "<sip:us@192.0.2.10>";
  d.remote_target = "sip:bob@example.com";
  d.local_cseq = 7;
  return d;
}

std::string response_text(int status, const std::string& more) {
  return "SIP/2.0 " + std::to_string(status) +
         " X\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKo\r\nFrom: <sip:us@example.com>;tag=us\r\n"
         "To: <sip:bob@example.com>;tag=bob\r\nCall-ID: out-1\r\nCSeq: 7 INVITE\r\n" +
         more + "Content-Length: 0\r\n\r\n";
}

// What the transaction layer makes of it: a request that parses once it has a Via.
Message wire(Writer w) {
  Buffer rest = std::move(w).finish();
  std::string text(rest.text());
  text.insert(text.find("\r\n") + 2, "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKo\r\n");
  return parse_ok(text);
}

std::vector<std::string> values(const Message& m, HeaderId id) {
  std::vector<std::string> all;
  m.for_each_value(id, [&](std::string_view v) { all.emplace_back(v); });
  return all;
}

TEST(DialogUas, takes_everything_from_the_request) {
  const Dialog d = as_uas();
  EXPECT_EQ(d.state, Dialog::State::early);
  EXPECT_FALSE(d.uac);
  EXPECT_EQ(d.call_id, "c-1@peer");
  EXPECT_EQ(d.local_tag, "us-1");
  EXPECT_EQ(d.remote_tag, "al-1");
  EXPECT_EQ(d.remote_uri, "\"Al, \\\"the\\\" <Al>\" <sip:al@example.com;x=y>;other=2");
  EXPECT_EQ(d.local_uri, "<sip:1001@pbx.example.com>");
  EXPECT_EQ(d.remote_target, "sip:al@198.51.100.7:5070;transport=tcp");
  EXPECT_THAT(d.route_set,
              ElementsAre("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:p0.example.com;lr>"));
  EXPECT_EQ(d.remote_cseq, 314u);
  EXPECT_FALSE(d.local_cseq);
  EXPECT_TRUE(d.matches("c-1@peer", "us-1", "al-1"));
  EXPECT_FALSE(d.matches("c-1@peer", "us-1", "al-2"));
}

TEST(DialogUas, without_contact_there_is_no_dialog) {
  std::string text = routed_invite;
  const size_t at = text.find("Contact:");
  text.erase(at, text.find("\r\n", at) + 2 - at);
  const auto d = Dialog::from_request(parse_ok(text), udp_path(), "t", "<sip:x@y>");
  ASSERT_FALSE(d);
  EXPECT_EQ(d.reason(), Reason::missing_header);
}

TEST(DialogUas, sips_over_tls_is_secure) {
  std::string text = routed_invite;
  text.replace(text.find("sip:1001@pbx"), 4, "sips:");
  port::Path path = udp_path();
  EXPECT_FALSE(Dialog::from_request(parse_ok(text), path, "t", "<sip:x@y>")->secure);
  path.transport = port::Transport::tls;
  EXPECT_TRUE(Dialog::from_request(parse_ok(text), path, "t", "<sip:x@y>")->secure);
  EXPECT_FALSE(Dialog::from_request(parse_ok(routed_invite), path, "t", "<sip:x@y>")->secure);
}

TEST(DialogUas, folded_headers_do_not_damage_what_we_send) {
  std::string text = routed_invite;
  text.replace(text.find("\" <sip:al@example.com"), 2, "\"\r\n  ");
  Dialog d = *Dialog::from_request(parse_ok(text), udp_path(), "us-1", "<sip:x@y>");
  Writer w = d.request(Method::bye);
  EXPECT_FALSE(w.damaged());
  EXPECT_EQ(wire(std::move(w)).to_tag(), "al-1");
}

TEST(DialogUac, early_then_confirmed_with_the_final_route_set) {
  const Dialog early = *Dialog::from_response(
      parse_ok(
          response_text(180, "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nContact: <sip:bob@203.0.113.4>\r\n")),
      udp_path(), sent_template());
  EXPECT_EQ(early.state, Dialog::State::early);
  EXPECT_TRUE(early.uac);
  EXPECT_EQ(early.remote_tag, "bob");
  EXPECT_EQ(early.local_cseq, 7u);
  EXPECT_FALSE(early.remote_cseq);
  EXPECT_THAT(early.route_set, ElementsAre("<sip:p2;lr>", "<sip:p1;lr>"));
  EXPECT_EQ(early.remote_target, "sip:bob@203.0.113.4");
  Dialog d = early;
  d.confirm(parse_ok(response_text(200, "Record-Route: <sip:p3;lr>\r\nContact: <sip:bob@203.0.113.5>\r\n")));
  EXPECT_EQ(d.state, Dialog::State::confirmed);
  EXPECT_THAT(d.route_set, ElementsAre("<sip:p3;lr>"));
  EXPECT_EQ(d.remote_target, "sip:bob@203.0.113.5");
  const auto direct = Dialog::from_response(parse_ok(response_text(200, "Contact: <sip:b@c>\r\n")),
                                            udp_path(), sent_template());
  EXPECT_EQ(direct->state, Dialog::State::confirmed);
}

TEST(DialogUac, answer_without_contact_keeps_the_request_uri) {
  const auto d = Dialog::from_response(parse_ok(response_text(180, "")), udp_path(), sent_template());
  ASSERT_TRUE(d);
  EXPECT_EQ(d->remote_target, "sip:bob@example.com");
  Dialog nowhere = sent_template();
  nowhere.remote_target.clear();
  EXPECT_FALSE(Dialog::from_response(parse_ok(response_text(180, "")), udp_path(), nowhere));
}

TEST(DialogRequest, loose_routing) {
  Dialog d = as_uas();
  EXPECT_EQ(d.next_hop_uri(), "sip:p2.example.com;lr");
  const Message m = wire(d.request(Method::bye));
  EXPECT_EQ(m.request_uri(), "sip:al@198.51.100.7:5070;transport=tcp");
  EXPECT_THAT(values(m, HeaderId::route),
              ElementsAre("<sip:p2.example.com;lr>", "<sip:p1.example.com;lr>", "<sip:p0.example.com;lr>"));
  EXPECT_EQ(m.from_tag(), "us-1");
  EXPECT_EQ(m.to_tag(), "al-1");
  EXPECT_EQ(m.call_id(), "c-1@peer");
  EXPECT_EQ(m.cseq().number, 1u);
  EXPECT_EQ(m.cseq().method, Method::bye);
  EXPECT_EQ(m.max_forwards(), 70u);
  EXPECT_FALSE(m.has(HeaderId::contact));
}

TEST(DialogRequest, strict_routing) {
  Dialog d = as_uas();
  d.route_set = {"<sip:old.example.com;method=INVITE;x=1?a=b>", "<sip:p1.example.com;lr>"};
  const Message m = wire(d.request(Method::invite));
  EXPECT_EQ(m.request_uri(), "sip:old.example.com;x=1");
  EXPECT_THAT(values(m, HeaderId::route),
              ElementsAre("<sip:p1.example.com;lr>", "<sip:al@198.51.100.7:5070;transport=tcp>"));
  EXPECT_EQ(m.header(HeaderId::contact), "<sip:1001@192.0.2.10>");
}

TEST(DialogRequest, without_routes_goes_to_the_target) {
  Dialog d = as_uas();
  d.route_set.clear();
  EXPECT_EQ(d.next_hop_uri(), "sip:al@198.51.100.7:5070;transport=tcp");
  EXPECT_FALSE(wire(d.request(Method::info)).has(HeaderId::route));
}

TEST(DialogRequest, cseq_counts_by_one_and_the_ack_repeats_its_invite) {
  Dialog d = *Dialog::from_response(parse_ok(response_text(200, "Contact: <sip:b@c>\r\n")), udp_path(),
                                    sent_template());
  EXPECT_EQ(wire(d.request(Method::ack, 7)).cseq().number, 7u);
  EXPECT_EQ(wire(d.request(Method::invite)).cseq().number, 8u);
  EXPECT_EQ(wire(d.request(Method::info)).cseq().number, 9u);
  const Message ack = wire(d.request(Method::ack, 8));
  EXPECT_EQ(ack.cseq().number, 8u);
  EXPECT_EQ(ack.method(), Method::ack);
  EXPECT_EQ(d.local_cseq, 9u);
}

TEST(DialogRequest, to_a_peer_without_tags) {
  Dialog d = as_uas();
  d.remote_tag.clear();
  EXPECT_THAT(std::string(*wire(d.request(Method::bye)).header(HeaderId::to)), Not(HasSubstr("tag=")));
}

TEST(DialogRemote, cseq_must_not_fall) {
  Dialog d = as_uas();
  EXPECT_FALSE(d.accept_cseq(313));
  EXPECT_TRUE(d.accept_cseq(314));
  EXPECT_TRUE(d.accept_cseq(400));
  EXPECT_FALSE(d.accept_cseq(399));
  Dialog fresh = sent_template();
  EXPECT_TRUE(fresh.accept_cseq(5));
  EXPECT_FALSE(fresh.accept_cseq(4));
}

TEST(DialogRemote, target_refresh) {
  Dialog d = as_uas();
  d.refresh_target(parse_ok(peer_request("UPDATE", udp_via())));
  EXPECT_EQ(d.remote_target, "sip:al@198.51.100.7:5070");
  d.refresh_target(parse_ok(response_text(200, "")));
  EXPECT_EQ(d.remote_target, "sip:al@198.51.100.7:5070");
  d.refresh_target(parse_ok(response_text(200, "Contact: *\r\n")));
  EXPECT_EQ(d.remote_target, "sip:al@198.51.100.7:5070");
}

TEST(DialogPart, through_bytes) {
  Dialog d = as_uas();
  d.state = Dialog::State::confirmed;
  d.request(Method::info);
  d.path.remote = *SocketAddress::parse("[2001:db8::5]:5061");
  d.path.transport = port::Transport::tls;
  auto back = dialog_from_part(to_part(d));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->state, d.state);
  EXPECT_EQ(back->call_id, d.call_id);
  EXPECT_EQ(back->local_tag, d.local_tag);
  EXPECT_EQ(back->remote_tag, d.remote_tag);
  EXPECT_EQ(back->local_uri, d.local_uri);
  EXPECT_EQ(back->remote_uri, d.remote_uri);
  EXPECT_EQ(back->remote_target, d.remote_target);
  EXPECT_EQ(back->local_target, d.local_target);
  EXPECT_EQ(back->route_set, d.route_set);
  EXPECT_EQ(back->local_cseq, 1u);
  EXPECT_EQ(back->remote_cseq, 314u);
  EXPECT_EQ(back->path, d.path);
  EXPECT_EQ(as_text(wire(back->request(Method::bye)).bytes()), as_text(wire(d.request(Method::bye)).bytes()));
}

TEST(DialogPart, unset_cseqs_stay_unset_and_nonsense_is_refused) {
  Dialog d = sent_template();
  d.local_cseq.reset();
  const auto back = dialog_from_part(to_part(d));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->local_cseq);
  EXPECT_FALSE(back->remote_cseq);
  EXPECT_FALSE(dialog_from_part(""));
  EXPECT_FALSE(dialog_from_part("\xff\xff\xff"));
}

}  // namespace
}  // namespace tandem::sip
