// Server transactions against RFC 3261 figures 7 and 8 and RFC 6026.
#include "transaction_harness.h"

namespace tandem::sip {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Times = std::vector<int64_t>;

struct Server : Harness {
  using Harness::Harness;
  /// Puts the request in and gives the transaction it made.
  ServerTxId begin(const std::string& text, const port::Path& path) {
    in(text, path);
    EXPECT_FALSE(events.empty());
    const ServerTxId id = events.empty() ? ServerTxId{} : events.back().server;
    EXPECT_EQ(kinds(), std::vector<Kind>{Kind::request});
    return id;
  }
};

const std::string udp_invite = peer_request("INVITE", udp_via());
const std::string tcp_invite = peer_request("INVITE", tcp_via());
const std::string udp_ack = peer_request("ACK", udp_via(), "us");

TEST(ServerInvite, trying_goes_out_at_once_and_repetitions_get_the_last_answer) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  EXPECT_THAT(h.sent(), ElementsAre(std::pair<int64_t, std::string>{0, "SIP/2.0 100 Trying"}));
  h.in(udp_invite, udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 100"));
  h.respond(id, 180);
  h.in(udp_invite, udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 180"));
  EXPECT_EQ(h.sent().size(), 3u);
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.counted("sip_absorbed_total", "kind=\"request\""), 2u);
  EXPECT_EQ(h.counted("sip_retransmissions_total", "side=\"server\""), 2u);
}

TEST(ServerInvite, trying_can_be_left_to_the_user) {
  TransactionPolicy policy;
  policy.trying_at_once = false;
  Server h({}, policy);
  h.begin(udp_invite, udp_path());
  h.in(udp_invite, udp_path());
  EXPECT_THAT(h.sent(), IsEmpty());
}

TEST(ServerInvite, failure_is_repeated_by_timer_g_until_timer_h) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  h.layer.set_user(id, {port::Asker::Room::call, 4, 2});
  h.sent();
  h.respond(id, 486);
  EXPECT_EQ(h.layer.request_of(id), nullptr);
  h.run(seconds(40));
  EXPECT_EQ(h.sent_at(), (Times{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack_missing, Kind::done));
  EXPECT_EQ(h.last_events[0].user.object, 4u);
  EXPECT_EQ(h.counted("sip_timeouts_total", "timer=\"H\""), 1u);
  EXPECT_EQ(h.layer.server_count(), 0u);
  EXPECT_TRUE(h.layer.next_timeout().is_never());
}

TEST(ServerInvite, ack_stops_timer_g_and_timer_i_absorbs_more) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  h.respond(id, 486);
  h.run(milliseconds(700));
  h.sent();
  h.in(udp_invite, udp_path());  // still completed: answered
  EXPECT_EQ(h.sent().size(), 1u);
  h.in(udp_ack, udp_path());
  h.in(udp_ack, udp_path());
  h.in(udp_invite, udp_path());  // confirmed: silence
  h.run(milliseconds(4999));
  EXPECT_THAT(h.sent(), IsEmpty());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 1u);
  h.run(milliseconds(1));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
  EXPECT_EQ(h.layer.server_count(), 0u);
}

TEST(ServerInvite, over_tcp_nothing_is_repeated_and_the_ack_ends_it) {
  Server h;
  const ServerTxId id = h.begin(tcp_invite, tcp_path());
  h.sent();
  h.respond(id, 404);
  h.run(seconds(31));
  EXPECT_EQ(h.sent_at(), (Times{0}));
  h.in(peer_request("ACK", tcp_via(), "us"), tcp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
  EXPECT_EQ(h.layer.server_count(), 0u);
}

TEST(ServerInvite, lost_ack_over_tcp_ends_with_timer_h) {
  Server h;
  h.respond(h.begin(tcp_invite, tcp_path()), 404);
  h.run(seconds(32));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack_missing, Kind::done));
}

TEST(ServerInvite, accepted_absorbs_invites_passes_acks_and_repeats_what_the_user_gives) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  const Buffer ok = response_to(*h.layer.request_of(id), udp_path().remote, 200, "us").finish();
  h.layer.respond(h.now, id, ok.clone(), h.out);
  h.take_sends();
  h.sent();
  h.in(udp_invite, udp_path());
  EXPECT_THAT(h.sent(), IsEmpty());
  h.layer.respond(h.now, id, ok.clone(), h.out);
  h.take_sends();
  EXPECT_EQ(h.sent().size(), 1u);
  h.in(udp_ack, udp_path());  // a peer that keeps the branch for the ACK of a 2xx
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack));
  EXPECT_EQ(h.last_events[0].server, id);
  h.run(milliseconds(31999));
  EXPECT_EQ(h.layer.server_count(), 1u);
  h.run(milliseconds(1));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
  EXPECT_EQ(h.layer.server_count(), 0u);
}

TEST(ServerInvite, ack_of_a_2xx_matches_nothing_and_goes_up) {
  Server h;
  h.respond(h.begin(udp_invite, udp_path()), 200);
  h.in(peer_request("ACK", udp_via("z9hG4bKother"), "us"), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack));
  EXPECT_FALSE(h.last_events[0].server);
  EXPECT_EQ(h.last_events[0].message->method(), Method::ack);
}

TEST(ServerInvite, ack_before_any_final_is_absorbed) {
  Server h;
  h.begin(udp_invite, udp_path());
  h.in(udp_ack, udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 1u);
}

TEST(ServerInvite, answers_after_the_final_one_are_refused) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  const Buffer busy = response_to(*h.layer.request_of(id), udp_path().remote, 486, "us").finish();
  h.respond(id, 486);
  h.sent();
  h.layer.respond(h.now, id, busy.clone(), h.out);
  h.layer.respond(h.now, {}, busy.clone(), h.out);
  h.layer.respond(h.now, id, Buffer::copy_of("nonsense"), h.out);
  h.take_sends();
  EXPECT_THAT(h.sent(), IsEmpty());
  EXPECT_EQ(h.counted("sip_late_responses_total"), 3u);
}

TEST(ServerInvite, what_repeats_a_request_is_known_by_its_transaction) {
  Server h;
  const auto repeats = [&](const std::string& text) {
    return h.layer.repeats(*Message::parse(Buffer::copy_of(text)));
  };
  const std::string cancel = peer_request("CANCEL", udp_via());
  for (const std::string& text : {udp_invite, cancel, udp_ack}) EXPECT_FALSE(repeats(text)) << text;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  EXPECT_TRUE(repeats(udp_invite));
  EXPECT_TRUE(repeats(cancel));
  EXPECT_FALSE(repeats(peer_request("BYE", udp_via(), "us")));  // another method's own transaction
  h.respond(id, 200);
  EXPECT_FALSE(repeats(udp_ack));  // it is the dialog's
  EXPECT_TRUE(repeats(udp_invite));
}

TEST(ServerInvite, repetitions_wait_for_the_same_commit) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  h.respond(id, 486, "us", 17);
  h.in(udp_invite, udp_path());
  EXPECT_EQ(h.sends.back().after, 17u);
  h.run(milliseconds(500));
  EXPECT_EQ(h.sends.back().after, 17u);
  EXPECT_EQ(h.sends.front().after, 0u);
}

// ---- where answers go (RFC 3261 18.2.2, RFC 3581)
// ----------------------------------------------------------

TEST(ServerReply, with_rport_goes_to_the_source_and_says_so) {
  Server h;
  h.begin(peer_request("INVITE", "SIP/2.0/UDP 10.0.0.4:5062;branch=z9hG4bKa;rport"), udp_path());
  EXPECT_EQ(h.sends.back().path.remote.to_string(), "198.51.100.7:5070");
  EXPECT_THAT(h.last_text(), HasSubstr("received=198.51.100.7"));
  EXPECT_THAT(h.last_text(), HasSubstr("rport=5070"));
  EXPECT_EQ(h.sends.back().path.flow, udp_path().flow);
}

TEST(ServerReply, without_rport_goes_to_the_vias_port) {
  Server h;
  h.begin(peer_request("INVITE", "SIP/2.0/UDP 10.0.0.4:5062;branch=z9hG4bKa"), udp_path());
  EXPECT_EQ(h.sends.back().path.remote.to_string(), "198.51.100.7:5062");
  h.begin(peer_request("INVITE", "SIP/2.0/UDP 10.0.0.4;branch=z9hG4bKb;maddr=203.0.113.9"), udp_path());
  EXPECT_EQ(h.sends.back().path.remote.to_string(), "198.51.100.7:5060");
  TransactionPolicy policy;
  policy.always_rport = true;
  Server forced({}, policy);
  forced.begin(peer_request("INVITE", "SIP/2.0/UDP 10.0.0.4:5062;branch=z9hG4bKa"), udp_path());
  EXPECT_EQ(forced.sends.back().path.remote.to_string(), "198.51.100.7:5070");
}

TEST(ServerReply, over_tcp_takes_the_connection_and_a_new_one_when_that_is_gone) {
  Server h;
  const ServerTxId id = h.begin(tcp_invite, tcp_path());
  EXPECT_EQ(h.sends.back().path, tcp_path());
  h.respond(id, 404);
  h.sent();
  h.fail(h.sends.back().notify);
  EXPECT_FALSE(h.sends.back().path.flow);
  EXPECT_EQ(h.sends.back().path.remote.to_string(), "198.51.100.7:5070");
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 404"));
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::transport_failed));
  EXPECT_EQ(h.layer.server_count(), 1u);  // RFC 6026: waits for the ACK or Timer H all the same
  h.run(seconds(32));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack_missing, Kind::done));
}

TEST(ServerReply, transport_error_ends_a_non_invite_transaction) {
  Server h;
  const ServerTxId id = h.begin(peer_request("OPTIONS", udp_via()), udp_path());
  h.respond(id, 200);
  h.fail(h.sends.back().notify);
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::transport_failed, Kind::done));
  EXPECT_EQ(h.layer.server_count(), 0u);
}

// ---- non-INVITE
// --------------------------------------------------------------------------------------------

TEST(ServerNonInvite, trying_is_silent_proceeding_and_completed_repeat) {
  Server h;
  const std::string options = peer_request("OPTIONS", udp_via());
  const ServerTxId id = h.begin(options, udp_path());
  h.in(options, udp_path());
  EXPECT_THAT(h.sent(), IsEmpty());
  h.respond(id, 183);
  h.in(options, udp_path());
  EXPECT_EQ(h.sent().size(), 2u);
  EXPECT_NE(h.layer.request_of(id), nullptr);
  h.respond(id, 200);
  EXPECT_EQ(h.layer.request_of(id), nullptr);
  EXPECT_NE(h.layer.path_of(id), nullptr);
  h.run(milliseconds(31999));
  h.in(options, udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_EQ(h.sent_at(), (Times{0, 31999}));
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.run(milliseconds(1));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
  EXPECT_EQ(h.layer.path_of(id), nullptr);
  h.begin(options, udp_path());  // forgotten: new again
}

TEST(ServerNonInvite, repeatable_answer_leaves_nothing_and_is_given_again_with_the_same_tag) {
  Server h;
  const std::string request = peer_request("REGISTER", udp_via());
  const auto answer = [&](ServerTxId id) {
    const std::string tag = h.layer.repeatable_tag(id);
    h.layer.respond_repeatable(
        h.now, id, response_to(*h.layer.request_of(id), udp_path().remote, 401, tag).finish(), h.out);
    h.take_sends();
    return tag;
  };
  const std::string tag = answer(h.begin(request, udp_path()));
  EXPECT_FALSE(tag.empty());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 401"));
  EXPECT_EQ(h.layer.server_count(), 0u);
  EXPECT_TRUE(h.layer.next_timeout().is_never());
  EXPECT_EQ(answer(h.begin(request, udp_path())), tag);
  EXPECT_NE(answer(h.begin(peer_request("REGISTER", udp_via("z9hG4bKother")), udp_path())), tag);
  h.fail(h.sends.back().notify);  // of an id that is dead already
  EXPECT_THAT(h.kinds(), IsEmpty());
}

TEST(ServerInvite, repeatable_answer_leaves_nothing_unless_a_100_went_before) {
  TransactionPolicy policy;
  policy.trying_at_once = false;
  Server h({}, policy);
  const auto answer = [&](ServerTxId id) {
    const std::string tag = h.layer.repeatable_tag(id);
    h.layer.respond_repeatable(
        h.now, id, response_to(*h.layer.request_of(id), udp_path().remote, 407, tag).finish(), h.out);
    h.take_sends();
    EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 407"));
    return tag;
  };
  const std::string tag = answer(h.begin(udp_invite, udp_path()));
  EXPECT_FALSE(tag.empty());
  EXPECT_EQ(h.layer.server_count(), 0u);
  EXPECT_TRUE(h.layer.next_timeout().is_never());
  EXPECT_EQ(answer(h.begin(udp_invite, udp_path())), tag);
  h.sent();
  h.in(peer_request("ACK", udp_via(), tag), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack));  // of no dialog
  EXPECT_THAT(h.sent(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 0u);
  const ServerTxId tried = h.begin(udp_invite, udp_path());
  h.respond(tried, 100);
  answer(tried);
  EXPECT_EQ(h.layer.server_count(), 1u);
}

TEST(ServerNonInvite, repeatable_answer_lingers_where_it_has_to) {
  Server h;
  const auto answer = [&](ServerTxId id, const port::Path& path) {
    h.layer.respond_repeatable(h.now, id,
                               response_to(*h.layer.request_of(id), path.remote, 407, "us").finish(), h.out);
    h.take_sends();
  };
  answer(h.begin(udp_invite, udp_path()), udp_path());  // until its ACK
  EXPECT_EQ(h.layer.server_count(), 1u);
  answer(h.begin(peer_request("REGISTER", tcp_via("z9hG4bKtcp")), tcp_path()), tcp_path());
  EXPECT_EQ(h.layer.server_count(), 2u);
  h.run(Duration::zero());
  EXPECT_EQ(h.layer.server_count(), 1u);
}

TEST(ServerNonInvite, over_tcp_timer_j_is_zero) {
  Server h;
  const ServerTxId id = h.begin(peer_request("OPTIONS", tcp_via()), tcp_path());
  h.respond(id, 200);
  EXPECT_EQ(h.layer.next_timeout(), h.now.mono);
  h.run(Duration::zero());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
  EXPECT_EQ(h.layer.server_count(), 0u);
}

// ---- matching (17.2.3)
// -------------------------------------------------------------------------------------

TEST(ServerMatch, branch_sent_by_and_method_all_count) {
  Server h;
  h.begin(peer_request("OPTIONS", "SIP/2.0/UDP Host.example:5070;branch=z9hG4bKa"), udp_path());
  h.in(peer_request("OPTIONS", "SIP/2.0/UDP host.EXAMPLE:5070;branch=z9hG4bKa"), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.begin(peer_request("OPTIONS", "SIP/2.0/UDP host.example:5071;branch=z9hG4bKa"), udp_path());
  h.begin(peer_request("OPTIONS", "SIP/2.0/UDP other.example:5070;branch=z9hG4bKa"), udp_path());
  h.begin(peer_request("OPTIONS", "SIP/2.0/UDP host.example:5070;branch=z9hG4bKb"), udp_path());
  h.begin(peer_request("MESSAGE", "SIP/2.0/UDP host.example:5070;branch=z9hG4bKa"), udp_path());
  EXPECT_EQ(h.layer.server_count(), 5u);
}

TEST(ServerMatch, a_very_long_branch_is_compared_whole) {
  Server h;
  const std::string branch = "z9hG4bK" + std::string(3000, 'b');
  h.begin(peer_request("OPTIONS", udp_via(branch + "1")), udp_path());
  h.begin(peer_request("OPTIONS", udp_via(branch + "2")), udp_path());
  h.in(peer_request("OPTIONS", udp_via(branch + "1")), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
}

TEST(ServerMatch, rfc2543_branch_is_matched_by_the_rest_of_the_message) {
  Server h;
  const std::string via = "SIP/2.0/UDP 198.51.100.7:5070;branch=1";
  const ServerTxId id = h.begin(peer_request("INVITE", via), udp_path());
  h.in(peer_request("INVITE", via), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.begin(peer_request("INVITE", via, "", 2), udp_path());            // another CSeq
  h.begin(peer_request("INVITE", via, "x", 1), udp_path());           // another To tag
  h.begin(peer_request("INVITE", via, "", 1, "call-2"), udp_path());  // another Call-ID
  h.respond(id, 486);
  h.in(peer_request("ACK", via, "not-ours"), udp_path());
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack));
  h.in(peer_request("ACK", via, "us"), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  h.run(seconds(5));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::done));
}

TEST(ServerMatch, rfc2543_without_a_branch) {
  Server h;
  const std::string via = "SIP/2.0/UDP 198.51.100.7:5070";
  h.begin(peer_request("OPTIONS", via), udp_path());
  h.in(peer_request("OPTIONS", via), udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 1u);
}

TEST(ServerMatch, rfc2543_without_any_tag) {
  Server h;
  std::string text = peer_request("OPTIONS", "SIP/2.0/UDP 198.51.100.7:5070");
  const size_t at = text.find(";tag=");
  ASSERT_NE(at, std::string::npos);
  text.erase(at, text.find("\r\n", at) - at);
  h.begin(text, udp_path());
  h.in(text, udp_path());
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 1u);
}

// ---- CANCEL (9.2)
// ------------------------------------------------------------------------------------------

TEST(ServerCancel, is_answered_and_reported_once) {
  Server h;
  const ServerTxId id = h.begin(udp_invite, udp_path());
  h.layer.set_user(id, {port::Asker::Room::call, 11, 0});
  h.respond(id, 180, "ours");
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_EQ(parse_ok(h.last_text()).to_tag(), "ours");
  EXPECT_EQ(parse_ok(h.last_text()).cseq().method, Method::cancel);
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::cancel));
  EXPECT_EQ(h.last_events[0].server, id);
  EXPECT_EQ(h.last_events[0].user.object, 11u);
  h.respond(id, 487, "ours");
  h.in(udp_invite, udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 487"));
}

TEST(ServerCancel, tag_of_the_answer_is_the_same_each_time_without_a_tagged_response) {
  Server h;
  h.begin(udp_invite, udp_path());
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  const std::string first = h.last_text();
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_EQ(h.last_text(), first);
  EXPECT_NE(parse_ok(first).to_tag(), "");
}

TEST(ServerCancel, after_the_final_answer_changes_nothing) {
  Server h;
  h.respond(h.begin(udp_invite, udp_path()), 200);
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 200"));
  EXPECT_EQ(parse_ok(h.last_text()).cseq().method, Method::cancel);
  EXPECT_THAT(h.kinds(), IsEmpty());
}

TEST(ServerCancel, of_nothing_gets_481) {
  Server h;
  h.in(peer_request("CANCEL", udp_via()), udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 481"));
  h.begin(udp_invite, udp_path());
  h.in(peer_request("CANCEL", udp_via("z9hG4bKx")), udp_path());
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 481"));
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.layer.server_count(), 1u);
}

// ---- full table
// --------------------------------------------------------------------------------------------

TEST(ServerTable, full_refuses_without_state) {
  Server h({1, 1});
  h.begin(udp_invite, udp_path());
  const std::string more = peer_request("INVITE", udp_via("z9hG4bKmore"));
  h.in(more, udp_path());
  const std::string refusal = h.last_text();
  EXPECT_THAT(refusal, StartsWith("SIP/2.0 503"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 5\r\n"));
  h.in(more, udp_path());
  EXPECT_EQ(h.last_text(), refusal);  // 8.2.7: the same tag each time
  EXPECT_THAT(h.kinds(), IsEmpty());
  EXPECT_EQ(h.counted("sip_refused_total", "reason=\"server_table_full\""), 2u);
  EXPECT_EQ(h.counted("sip_transactions", "side=\"server\""), 1u);
  h.in(udp_invite, udp_path());  // what is in the table goes on
  EXPECT_THAT(h.last_text(), StartsWith("SIP/2.0 100"));
  h.in(peer_request("ACK", udp_via("z9hG4bKmore"), "t"), udp_path());  // never answered
  EXPECT_THAT(h.kinds(), ElementsAre(Kind::ack));
}

TEST(ServerTable, keeps_its_last_sixteenth_for_running_calls) {
  Server h({32, 32});
  for (int i = 0; i < 40; ++i)
    h.in(peer_request("OPTIONS", udp_via("z9hG4bKo" + std::to_string(i))), udp_path());
  EXPECT_EQ(h.layer.server_count(), 30u);
  for (int i = 0; i < 40; ++i)
    h.in(peer_request("BYE", udp_via("z9hG4bKb" + std::to_string(i)), "us"), udp_path());
  EXPECT_EQ(h.layer.server_count(), 32u);
  for (int i = 0; i < 40; ++i) h.ask(own_request(Method::invite, udp_path()));
  EXPECT_EQ(h.layer.client_count(), 30u);
  for (int i = 0; i < 40; ++i) h.ask(own_request(Method::bye, udp_path()));
  EXPECT_EQ(h.layer.client_count(), 32u);
}

}  // namespace
}  // namespace tandem::sip
