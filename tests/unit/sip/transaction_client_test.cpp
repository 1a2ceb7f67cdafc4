// Client transactions against RFC 3261 figures 5 and 6 and RFC 6026.
#include "transaction_harness.h"

namespace tandem::sip {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Times = std::vector<int64_t>;

TEST(ClientInvite, timer_a_doubles_until_timer_b) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0, 500, 1500, 3500, 7500, 15500, 31500}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::timeout));
  EXPECT_EQ(h.last_events[0].user.object, 77u);
  EXPECT_EQ(h.layer.client_count(), 0u);
  EXPECT_EQ(h.counted("sip_timeouts_total", "timer=\"B\""), 1u);
  EXPECT_EQ(h.counted("sip_retransmissions_total", "side=\"client\""), 6u);
  EXPECT_TRUE(h.layer.next_timeout().is_never());
}

TEST(ClientInvite, over_tcp_is_sent_once) {
  Harness h;
  h.ask(own_request(Method::invite, tcp_path()));
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::timeout));
}

TEST(ClientInvite, request_has_our_via_on_top_and_the_owners_shard_in_the_branch) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  const Message m = parse_ok(h.last_text());
  EXPECT_EQ(m.headers().front().id, HeaderId::via);
  EXPECT_EQ(m.top_via().transport, "UDP");
  EXPECT_EQ(m.top_via().host, "192.0.2.10");
  EXPECT_TRUE(m.top_via().wants_rport());
  EXPECT_EQ(h.mint.owner(m.top_via().branch), (Owner{3, 9, 321}));
  h.ask(own_request(Method::invite, tcp_path()));
  const Message t = parse_ok(h.last_text());
  EXPECT_EQ(t.top_via().transport, "TCP");
  EXPECT_FALSE(t.top_via().wants_rport());
}

TEST(ClientInvite, provisional_stops_timers_and_goes_up_but_100_does_not) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 100, ""), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.sent();
  h.run(seconds(100));
  EXPECT_THAT(h.sent(), IsEmpty());
  h.in(answer(h.texts[0], 180), udp_path());
  h.in(answer(h.texts[0], 183), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::response));
  EXPECT_EQ(h.last_events[1].message->status(), 183);
  EXPECT_EQ(h.layer.client_count(), 1u);
  EXPECT_TRUE(h.layer.next_timeout().is_never());
}

TEST(ClientInvite, failure_is_acknowledged_and_each_repetition_again_until_timer_d) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.in(answer(invite, 486), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response));
  const Message ack = parse_ok(h.last_text());
  const Message sent = parse_ok(invite);
  EXPECT_EQ(ack.method(), Method::ack);
  EXPECT_EQ(ack.request_uri(), "sip:bob@198.51.100.7:5070");
  EXPECT_EQ(ack.top_via().text, sent.top_via().text);
  EXPECT_EQ(ack.to_tag(), "bob");
  EXPECT_EQ(ack.from_tag(), "us");
  EXPECT_EQ(ack.cseq().number, 1u);
  EXPECT_EQ(ack.header(HeaderId::route), sent.header(HeaderId::route));
  h.sent();
  h.in(answer(invite, 486), udp_path());
  h.run(seconds(31));
  h.in(answer(invite, 486), udp_path());
  EXPECT_THAT(h.sent(),
              ElementsAre(std::pair<int64_t, std::string>{0, "ACK sip:bob@198.51.100.7:5070 SIP/2.0"},
                          std::pair<int64_t, std::string>{31000, "ACK sip:bob@198.51.100.7:5070 SIP/2.0"}));
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.in(answer(invite, 180), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.run(milliseconds(1000));
  EXPECT_EQ(h.layer.client_count(), 0u);
  h.in(answer(invite, 486), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::stray_response));
  EXPECT_EQ(h.counted("sip_stray_responses_total"), 1u);
}

TEST(ClientInvite, failure_over_tcp_ends_at_once) {
  Harness h;
  h.ask(own_request(Method::invite, tcp_path()));
  h.in(answer(h.texts[0], 180), tcp_path());
  h.in(answer(h.texts[0], 603), tcp_path());
  EXPECT_THAT(h.last_text(), StartsWith("ACK "));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientInvite, every_2xx_goes_up_until_timer_m) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.sent();
  h.in(answer(invite, 200, "one"), udp_path());
  h.in(answer(invite, 200, "one"), udp_path());
  h.run(seconds(31));
  h.in(answer(invite, 200, "two"), udp_path());
  h.in(answer(invite, 180, "two"), udp_path());
  h.in(answer(invite, 486, "three"), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::response, Kind::response));
  EXPECT_EQ(h.last_events[2].message->to_tag(), "two");
  EXPECT_THAT(h.sent(), IsEmpty());  // the ACK of a 2xx is the dialog's
  EXPECT_EQ(h.layer.client_count(), 1u);
  h.run(seconds(1));
  EXPECT_EQ(h.layer.client_count(), 0u);
  h.in(answer(invite, 200, "one"), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::stray_response));
}

TEST(ClientInvite, accepted_state_lasts_over_tcp_too) {
  Harness h;
  h.ask(own_request(Method::invite, tcp_path()));
  h.in(answer(h.texts[0], 200), tcp_path());
  h.run(milliseconds(31999));
  EXPECT_EQ(h.layer.client_count(), 1u);
  h.run(milliseconds(1));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientInvite, a_2xx_after_the_failure_is_not_lost) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 486), udp_path());
  h.kinds();
  h.in(answer(h.texts[0], 200, "late"), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::stray_response));
}

TEST(ClientInvite, transport_error_in_calling_and_completed) {
  Harness h;
  h.ask(own_request(Method::invite, tcp_path()));
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::transport_failed));
  EXPECT_EQ(h.layer.client_count(), 0u);
  h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.last_text(), 500), udp_path());
  h.fail(h.sends.back().notify);  // the ACK
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::transport_failed));
  EXPECT_EQ(h.layer.client_count(), 0u);
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), IsEmpty());
}

TEST(ClientInvite, transport_error_in_proceeding_and_accepted_changes_nothing) {
  Harness h;
  h.ask(own_request(Method::invite, tcp_path()));
  h.in(answer(h.texts[0], 180), tcp_path());
  h.fail(h.sends[0].notify);
  EXPECT_EQ(h.layer.client_count(), 1u);
  h.in(answer(h.texts[0], 200), tcp_path());
  h.fail(h.sends[0].notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::response));
}

TEST(ClientInvite, timer_c_cancels_and_then_gives_up) {
  Harness h;
  OutgoingRequest r = own_request(Method::invite, udp_path());
  r.timer_c = true;
  h.ask(std::move(r));
  h.in(answer(h.texts[0], 180), udp_path());
  h.run(seconds(100));
  h.in(answer(h.texts[0], 183), udp_path());  // starts it anew
  h.sent();
  h.run(seconds(179));
  EXPECT_THAT(h.sent(), IsEmpty());
  h.run(seconds(1));
  EXPECT_THAT(h.last_text(), StartsWith("CANCEL "));
  EXPECT_EQ(h.counted("sip_timeouts_total", "timer=\"C\""), 1u);
  h.in(answer(h.last_text(), 200), udp_path());
  h.kinds();
  h.run(seconds(32));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::timeout));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

// ---- CANCEL
// ------------------------------------------------------------------------------------------------

TEST(ClientCancel, waits_for_a_provisional) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  const std::string invite = h.texts[0];
  h.cancel(id, "SIP;cause=200;text=\"Call completed elsewhere\"");
  h.run(milliseconds(600));
  EXPECT_EQ(h.sent_at(), (Times{0, 500}));
  h.in(answer(invite, 100, ""), udp_path());
  const Message cancel = parse_ok(h.last_text());
  const Message sent = parse_ok(invite);
  EXPECT_EQ(cancel.method(), Method::cancel);
  EXPECT_EQ(cancel.request_uri(), sent.request_uri());
  EXPECT_EQ(cancel.top_via().text, sent.top_via().text);
  EXPECT_EQ(cancel.to_tag(), "");
  EXPECT_EQ(cancel.cseq().number, 1u);
  EXPECT_EQ(cancel.cseq().method, Method::cancel);
  EXPECT_EQ(cancel.header(HeaderId::route), sent.header(HeaderId::route));
  EXPECT_EQ(cancel.header(HeaderId::reason), "SIP;cause=200;text=\"Call completed elsewhere\"");
  h.in(answer(h.last_text(), 200), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());  // the answer to the CANCEL is the layer's own
  h.sent();
  h.in(answer(invite, 487), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response));
  EXPECT_THAT(h.last_text(), StartsWith("ACK "));
  h.run(seconds(40));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientCancel, is_repeated_as_timer_e_would_and_ends_after_64_t1) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 180), udp_path());
  h.sent();
  h.cancel(id);
  h.cancel(id);  // once is enough
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::timeout));
  EXPECT_EQ(h.counted("sip_timeouts_total", "timer=\"cancel\""), 1u);
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientCancel, answered_cancel_is_not_repeated_and_still_times_out) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 180), udp_path());
  h.cancel(id);
  h.in(answer(h.last_text(), 481), udp_path());
  h.sent();
  h.run(milliseconds(31999));
  EXPECT_THAT(h.sent(), IsEmpty());
  EXPECT_EQ(h.layer.client_count(), 1u);
  h.run(milliseconds(1));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::timeout));
}

TEST(ClientCancel, crossing_a_200_lets_the_200_win) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  h.in(answer(h.texts[0], 180), udp_path());
  h.cancel(id);
  h.in(answer(h.texts[0], 200), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::response));
  h.sent();
  h.run(seconds(33));
  EXPECT_THAT(h.sent(), IsEmpty());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientCancel, before_a_final_without_provisional_is_never_sent) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, udp_path()));
  h.cancel(id);
  h.in(answer(h.texts[0], 200), udp_path());
  h.cancel(id);
  for (const std::string& text : h.texts) EXPECT_THAT(text, Not(StartsWith("CANCEL")));
}

TEST(ClientCancel, over_tcp_is_sent_once_and_again_when_its_connection_is_gone) {
  Harness h;
  const ClientTxId id = h.ask(own_request(Method::invite, tcp_path()));
  h.in(answer(h.texts[0], 180), tcp_path());
  h.sent();
  h.cancel(id);
  EXPECT_TRUE(h.sends.back().path.flow);
  h.fail(h.sends.back().notify);
  EXPECT_FALSE(h.sends.back().path.flow);
  EXPECT_THAT(h.last_text(), StartsWith("CANCEL"));
  h.fail(h.sends.back().notify);
  EXPECT_EQ(h.sent().size(), 2u);
  h.run(seconds(32));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

// ---- non-INVITE
// --------------------------------------------------------------------------------------------

TEST(ClientNonInvite, timer_e_doubles_to_t2_until_timer_f) {
  Harness h;
  h.ask(own_request(Method::bye, udp_path()));
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::timeout));
  EXPECT_EQ(h.counted("sip_timeouts_total", "timer=\"F\""), 1u);
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientNonInvite, provisional_slows_retransmission_to_t2_and_timer_f_still_runs) {
  Harness h;
  h.ask(own_request(Method::bye, udp_path()));
  h.run(milliseconds(600));
  h.in(answer(h.texts[0], 100, ""), udp_path());
  h.in(answer(h.texts[0], 183), udp_path());
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0, 500, 1500, 5500, 9500, 13500, 17500, 21500, 25500, 29500}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::timeout));
}

TEST(ClientNonInvite, absorbs_repeated_answers_until_timer_k) {
  Harness h;
  h.ask(own_request(Method::bye, udp_path()));
  h.in(answer(h.texts[0], 200), udp_path());
  h.in(answer(h.texts[0], 200), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response));
  h.run(milliseconds(4999));
  EXPECT_EQ(h.layer.client_count(), 1u);
  h.run(milliseconds(1));
  EXPECT_EQ(h.layer.client_count(), 0u);
  EXPECT_EQ(h.sent_at(), (Times{0}));
  EXPECT_EQ(h.counted("sip_absorbed_total", "kind=\"response\""), 1u);
}

TEST(ClientNonInvite, over_tcp_ends_with_the_answer) {
  Harness h;
  h.ask(own_request(Method::options, tcp_path()));
  h.run(seconds(20));
  h.in(answer(h.texts[0], 404), tcp_path());
  EXPECT_EQ(h.sent_at(), (Times{0}));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientNonInvite, transport_error) {
  Harness h;
  h.ask(own_request(Method::options, udp_path()));
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::transport_failed));
  h.ask(own_request(Method::options, udp_path()));
  h.in(answer(h.last_text(), 200), udp_path());
  h.kinds();
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), IsEmpty());
}

TEST(ClientNonInvite, extension_method_is_matched_by_its_own_name) {
  Harness h;
  OutgoingRequest r = own_request(Method::options, udp_path());
  std::string text(r.rest.text());
  for (size_t at; (at = text.find("OPTIONS")) != std::string::npos;) text.replace(at, 7, "FROB");
  r.rest = Buffer::copy_of(text);
  r.method = Method::other;
  r.method_text = "FROB";
  h.ask(std::move(r));
  std::string wrong = answer(h.texts[0], 200);
  wrong.replace(wrong.find("1 FROB"), 6, "1 FRAB");
  h.in(wrong, udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::stray_response));
  h.in(answer(h.texts[0], 200), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response));
}

TEST(ClientResponse, with_a_second_via_is_dropped) {
  Harness h;
  h.ask(own_request(Method::options, udp_path()));
  std::string text = answer(h.texts[0], 200);
  text.insert(text.find("From:"), "Via: SIP/2.0/UDP other;branch=z9hG4bKx\r\n");
  h.in(text, udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.counted("sip_stray_responses_total"), 1u);
  EXPECT_EQ(h.layer.client_count(), 1u);
}

// ---- size, limits, stateless
// -------------------------------------------------------------------------------

port::Path udp_without_flow() {
  port::Path p = udp_path();
  p.flow = {};
  return p;
}

TEST(LargeRequest, goes_by_tcp_and_by_udp_when_tcp_fails) {
  Harness h;
  h.ask(own_request(Method::invite, udp_without_flow(), 1300));
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::tcp);
  const std::string branch(parse_ok(h.last_text()).top_via().branch);
  h.run(seconds(3));
  EXPECT_EQ(h.sent_at(), (Times{0}));
  h.fail(h.sends.back().notify);
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  const Message again = parse_ok(h.last_text());
  EXPECT_EQ(again.top_via().transport, "UDP");
  EXPECT_EQ(again.top_via().branch, branch);
  EXPECT_TRUE(again.top_via().wants_rport());
  EXPECT_EQ(again.body().size(), 1300u);
  h.run(seconds(1));
  EXPECT_EQ(h.sent_at(), (Times{3000, 3500}));
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.in(answer(h.last_text(), 486), udp_path());
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::response, Kind::transport_failed));
}

TEST(LargeRequest, non_invite_falls_back_too_and_udp_failing_is_final) {
  Harness h;
  h.ask(own_request(Method::message, udp_without_flow(), 1300));
  h.fail(h.sends.back().notify);
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::transport_failed));
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(LargeRequest, stays_on_udp_when_told_so_or_small_or_switched_off) {
  Harness h;
  h.ask(own_request(Method::invite, udp_path(), 1300));  // a flow is kept
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  OutgoingRequest kept = own_request(Method::invite, udp_without_flow(), 1300);
  kept.keep_transport = true;
  h.ask(std::move(kept));
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  h.ask(own_request(Method::invite, udp_without_flow(), 500));
  EXPECT_EQ(h.sends.back().path.transport, port::Transport::udp);
  TransactionPolicy off;
  off.tcp_for_large = false;
  Harness never({}, off);
  never.ask(own_request(Method::invite, udp_without_flow(), 1300));
  EXPECT_EQ(never.sends.back().path.transport, port::Transport::udp);
}

TEST(ClientTable, full_gives_a_null_id_and_counts) {
  Harness h({4, 2});
  EXPECT_TRUE(h.ask(own_request(Method::options, udp_path())));
  const ClientTxId second = h.ask(own_request(Method::options, udp_path()));
  EXPECT_TRUE(second);
  EXPECT_FALSE(h.ask(own_request(Method::options, udp_path())));
  EXPECT_EQ(h.counted("sip_refused_total", "reason=\"client_table_full\""), 1u);
  EXPECT_EQ(h.counted("sip_transactions", "side=\"client\""), 2u);
  EXPECT_EQ(h.sends.size(), 2u);
  h.run(seconds(32));
  EXPECT_EQ(h.counted("sip_transactions", "side=\"client\""), 0u);
  EXPECT_TRUE(h.ask(own_request(Method::options, udp_path())));
}

TEST(Stateless, ack_gets_a_via_and_leaves_nothing) {
  Harness h;
  h.layer.send_stateless(h.now, own_request(Method::ack, udp_path()), h.out);
  h.take_sends();
  EXPECT_EQ(h.mint.owner(parse_ok(h.last_text()).top_via().branch), (Owner{3, 9, 321}));
  EXPECT_EQ(h.sends.back().notify, 0u);
  EXPECT_EQ(h.layer.client_count(), 0u);
}

TEST(ClientRequest, text_without_a_line_is_refused) {
  Harness h;
  OutgoingRequest r = own_request(Method::options, udp_path());
  r.rest = Buffer::copy_of("OPTIONS");
  EXPECT_FALSE(h.ask(std::move(r)));
  EXPECT_EQ(h.counted("sip_refused_total", "reason=\"malformed_own_request\""), 1u);
}

}  // namespace
}  // namespace tandem::sip
