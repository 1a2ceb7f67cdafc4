// RFC 4028: negotiation from both sides, and the deadlines.
#include "sip/session_timer.h"

#include "transaction_harness.h"

namespace tandem::sip {
namespace {

using Step = SessionTimer::Step;

Now at(int64_t s) { return {{s * 1'000'000'000}, {(1'700'000'000 + s) * 1'000'000'000}}; }

Message with(std::string text, const std::string& headers) {
  text.insert(text.find("Content-Length"), headers);
  return parse_ok(text);
}
Message invite(const std::string& headers) { return with(peer_request("INVITE", udp_via()), headers); }
Message response(int status, const std::string& headers) {
  return with(answer(peer_request("INVITE", udp_via()), status), headers);
}

TEST(SessionTimerUac, offers_what_the_policy_says) {
  EXPECT_EQ(SessionTimer().offer().session_expires, "1800");
  EXPECT_EQ(SessionTimer().offer().min_se, "");
  EXPECT_EQ(SessionTimer({true, 600, 300}).offer().min_se, "300");
  EXPECT_EQ(SessionTimer({true, 10, 10}).offer().session_expires, "90");  // section 5
  EXPECT_EQ(SessionTimer({false, 600, 90}).offer().session_expires, "");
}

TEST(SessionTimerUac, we_refresh_at_half_and_again) {
  SessionTimer t;
  t.on_2xx(at(0), response(200, "Session-Expires: 1800;refresher=uac\r\nRequire: timer\r\n"));
  EXPECT_TRUE(t.we_refresh());
  EXPECT_EQ(t.next_timeout(), at(900).mono);
  EXPECT_EQ(t.on_timeout(at(899)), Step::nothing);
  EXPECT_EQ(t.on_timeout(at(900)), Step::refresh);
  EXPECT_EQ(t.offer().session_expires, "1800;refresher=uac");
  EXPECT_EQ(t.on_timeout(at(901)), Step::nothing);
  t.on_2xx(at(901), response(200, "Session-Expires: 1800;refresher=uac\r\n"));
  EXPECT_EQ(t.next_timeout(), at(1801).mono);
}

TEST(SessionTimerUac, refresh_without_answer_expires_before_the_interval_ends) {
  SessionTimer t;
  t.on_2xx(at(0), response(200, "Session-Expires: 1800;refresher=uac\r\n"));
  EXPECT_EQ(t.on_timeout(at(900)), Step::refresh);
  t.retry_refresh(at(901), seconds(2));
  EXPECT_EQ(t.on_timeout(at(903)), Step::refresh);
  EXPECT_EQ(t.next_timeout(), at(1768).mono);
  EXPECT_EQ(t.on_timeout(at(1768)), Step::expired);
  EXPECT_FALSE(t.running());
  EXPECT_TRUE(t.next_timeout().is_never());
}

TEST(SessionTimerUac, peer_refreshes_and_we_keep_the_roles_when_we_send) {
  SessionTimer t;
  t.on_2xx(at(0), response(200, "Session-Expires: 90;refresher=uas\r\n"));
  EXPECT_FALSE(t.we_refresh());
  EXPECT_EQ(t.offer().session_expires, "90;refresher=uas");
  EXPECT_EQ(t.next_timeout(), at(60).mono);  // a third before the end of a short session
  EXPECT_EQ(t.on_timeout(at(60)), Step::expired);
}

TEST(SessionTimerUac, a_peer_that_keeps_no_time_is_refreshed_by_us) {
  SessionTimer t({true, 600, 90});
  t.on_2xx(at(0), response(200, ""));
  EXPECT_TRUE(t.we_refresh());
  EXPECT_EQ(t.next_timeout(), at(300).mono);
  EXPECT_EQ(t.offer().session_expires, "600;refresher=uac");
}

TEST(SessionTimerUac, answer_without_session_expires_means_no_timer_where_none_is_wanted) {
  SessionTimer t({false, 1800, 90});
  t.on_2xx(at(0), response(200, "Session-Expires: 90;refresher=uas\r\n"));
  t.on_2xx(at(1), response(200, ""));
  EXPECT_FALSE(t.running());
  EXPECT_EQ(SessionTimer().next_timeout(), Instant::never());
}

TEST(SessionTimerUac, a_tiny_interval_from_the_peer_is_bounded) {
  SessionTimer t;
  t.on_2xx(at(0), response(200, "Session-Expires: 1;refresher=uac\r\n"));
  EXPECT_EQ(t.next_timeout(), at(10).mono);
}

TEST(SessionTimerUac, asks_again_after_422_with_more) {
  SessionTimer t({true, 600, 90});
  EXPECT_TRUE(t.on_422(response(422, "Min-SE: 3600\r\n")));
  EXPECT_EQ(t.offer().session_expires, "3600");
  EXPECT_EQ(t.offer().min_se, "3600");
  EXPECT_FALSE(t.on_422(response(422, "Min-SE: 3600\r\n")));  // it had that already
  EXPECT_FALSE(t.on_422(response(422, "")));
  EXPECT_FALSE(t.on_422(response(422, "Min-SE: 4000000\r\n")));
  EXPECT_TRUE(t.on_422(response(422, "Min-SE: 3601\r\n")));
  EXPECT_TRUE(t.on_422(response(422, "Min-SE: 3602\r\n")));
  EXPECT_FALSE(t.on_422(response(422, "Min-SE: 3603\r\n")));  // not for ever
  t.on_2xx(at(0), response(200, "Session-Expires: 3602;refresher=uac\r\n"));
  EXPECT_TRUE(t.on_422(response(422, "Min-SE: 3603\r\n")));
}

TEST(SessionTimerUas, table_2_of_section_9) {
  const SessionTimer t;
  const auto reply = [&](const std::string& headers) { return t.on_request(invite(headers)); };
  auto r = reply("Session-Expires: 1000\r\n");  // the peer cannot
  EXPECT_EQ(r.session_expires, "1000;refresher=uas");
  EXPECT_TRUE(r.we_refresh);
  EXPECT_FALSE(r.require_timer);
  r = reply("Supported: timer\r\nSession-Expires: 1000\r\n");
  EXPECT_EQ(r.session_expires, "1000;refresher=uac");
  EXPECT_FALSE(r.we_refresh);
  EXPECT_TRUE(r.require_timer);
  r = reply("Supported: timer\r\nSession-Expires: 1000;refresher=uac\r\n");
  EXPECT_EQ(r.session_expires, "1000;refresher=uac");
  r = reply("Supported: 100rel, timer\r\nSession-Expires: 1000;refresher=uas\r\n");
  EXPECT_EQ(r.session_expires, "1000;refresher=uas");
  EXPECT_FALSE(r.require_timer);
}

TEST(SessionTimerUas, too_small_gets_422_only_when_the_peer_understands_it) {
  const SessionTimer t({true, 1800, 300});
  auto r = t.on_request(invite("Supported: timer\r\nSession-Expires: 299\r\n"));
  EXPECT_TRUE(r.too_small);
  EXPECT_EQ(r.min_se, 300u);
  r = t.on_request(invite("Session-Expires: 299\r\n"));
  EXPECT_FALSE(r.too_small);
  EXPECT_EQ(r.session_expires, "300;refresher=uas");
}

TEST(SessionTimerUas, shortens_but_not_below_the_peers_min_se) {
  const SessionTimer t({true, 600, 90});
  EXPECT_EQ(t.on_request(invite("Supported: timer\r\nSession-Expires: 7200\r\n")).seconds, 600u);
  EXPECT_EQ(t.on_request(invite("Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 1200\r\n")).seconds,
            1200u);
}

TEST(SessionTimerUas, request_without_session_expires) {
  EXPECT_EQ(SessionTimer().on_request(invite("")).session_expires, "1800;refresher=uas");
  EXPECT_EQ(SessionTimer().on_request(invite("Supported: timer\r\n")).session_expires, "1800;refresher=uas");
  EXPECT_EQ(SessionTimer({false, 1800, 90}).on_request(invite("Supported: timer\r\n")).session_expires, "");
}

TEST(SessionTimerUas, runs_from_the_2xx_and_the_peers_refresh_starts_it_anew) {
  SessionTimer t;
  const Message request = invite("Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n");
  t.on_2xx_sent(at(5), t.on_request(request));
  EXPECT_FALSE(t.we_refresh());
  EXPECT_EQ(t.interval(), 1800u);
  EXPECT_EQ(t.next_timeout(), at(5 + 1768).mono);
  t.on_2xx_sent(at(900), t.on_request(request));
  EXPECT_EQ(t.next_timeout(), at(900 + 1768).mono);
  t.on_2xx_sent(at(901), SessionTimer({false, 1800, 90}).on_request(invite("")));
  EXPECT_FALSE(t.running());
}

TEST(SessionTimerPart, through_bytes_onto_another_clock) {
  SessionTimer t;
  t.on_422(response(422, "Min-SE: 3600\r\n"));
  t.on_2xx(at(0), response(200, "Session-Expires: 3600;refresher=uac\r\n"));
  Now there = at(100);
  there.mono.ns -= 50'000'000'000;
  auto back = SessionTimer::from_part(there, {}, t.to_part(at(100)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->next_timeout(), at(1750).mono);
  EXPECT_TRUE(back->running());
  EXPECT_TRUE(back->we_refresh());
  EXPECT_EQ(back->offer().session_expires, "3600;refresher=uac");
  EXPECT_EQ(back->offer().min_se, "3600");
  EXPECT_FALSE(SessionTimer::from_part(there, {}, "\xff\xff"));
}

}  // namespace
}  // namespace tandem::sip
