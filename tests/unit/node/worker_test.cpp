// Several workers of one node: what one of them learns, the others must know.
#include "node/worker.h"

#include <gtest/gtest.h>

#include "auth/digest.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "dtls/twin_endpoint.h"
#include "node/mail.h"
#include "node/ownership.h"
#include <deque>

namespace tandem::node {
namespace {

constexpr uint16_t worker_count = 4;
constexpr std::string_view password = "secret";
constexpr std::string_view token_secret = "a secret of thirty-two octets and more";
constexpr int64_t wall_seconds = 1'700'000'000;

/// A token as somebody signs it.
std::string token(const std::string& subject, int64_t expires = wall_seconds + 60,
                  std::string_view secret = token_secret) {
  const std::string claims = R"({"sub":")" + subject + R"(","exp":)" + std::to_string(expires) + "}";
  const std::string text =
      crypto::base64url(as_bytes(R"({"alg":"HS256"})")) + "." + crypto::base64url(as_bytes(claims));
  return "Authorization: Bearer " + text + "." +
         crypto::base64url(crypto::hmac(crypto::Hash::sha256, secret, text).view()) + "\r\n";
}

class Ports final : public port::MediaPorts {
 public:
  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family) override {
    const uint16_t number = next_;
    next_ = static_cast<uint16_t>(next_ + 2);
    Pair pair;
    pair.rtp.id.slot = number;
    pair.rtp.local = {IpAddress::v4(192, 0, 2, 1), number};
    pair.rtcp.id.slot = number + 1U;
    pair.rtcp.local = {IpAddress::v4(192, 0, 2, 1), static_cast<uint16_t>(number + 1)};
    return pair;
  }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress) override { return std::nullopt; }
  void close(port::MediaPortId) override {}

 private:
  uint16_t next_ = 20'000;
};

/// Mails go to and fro until nobody has one; the directory is a row per user that asks find.
class Workers : public ::testing::Test {
 protected:
  Workers() {
    NodeConfig config;
    RealmSettings realm;
    ListenerSettings listener;
    listener.transport = "udp";
    listener.bind = {IpAddress::v4(192, 0, 2, 1), 5060};
    realm.listeners.push_back(listener);
    config.realms.push_back(realm);
    const auto realms = make_realms(config);
    EXPECT_TRUE(realms.ok());
    NodeKeys secrets;
    secrets.bearer.push_back(*auth::make_token_key("", "HS256", token_secret));
    port::PlanRows rows;
    port::DomainRow domain;
    domain.name = "example.com";
    rows.domains.push_back(domain);
    domain.name = "other.example";
    rows.domains.push_back(domain);
    const auto plan = route::Plan::compile(rows, (*realms)->names());
    for (uint16_t i = 0; i < worker_count; ++i)
      workers.push_back(
          std::make_unique<Worker>(make_settings(config, secrets, 1, i, worker_count, *realms), plan, ports,
                                   rng, *keys.emplace_back(std::make_unique<dtls::TwinEndpoint>(rng)), now));
    for (uint16_t i = 0; i < worker_count; ++i) work(i);
  }

  /// A user whose registration belongs to `worker`.
  static std::string user_of(uint16_t worker) {
    for (int i = 1000;; ++i) {
      const std::string user = std::to_string(i);
      if (sip::worker_of_shard(shard_of(port::AddressOfRecord{user, "example.com"}), worker_count) == worker)
        return user;
    }
  }

  void work(uint16_t index) {
    port::Outbox& out = workers[index]->outbox();
    std::vector<port::Asked> asks;
    asks.swap(out.asks);
    std::vector<port::Mail> mails;
    mails.swap(out.mails);
    for (port::Send& s : out.sends) {
      if (s.path.transport == port::Transport::wss) web[s.path.flow.slot].emplace_back(s.bytes.text());
      sent.emplace_back(as_text(s.bytes.bytes()));
    }
    out.sends.clear();
    for (const port::FlowId& f : out.closes) closed.push_back(f.slot);
    out.closes.clear();
    for (port::Append& a : out.appends) workers[index]->on_committed(now, a.commit);
    out.appends.clear();
    for (port::Mail& m : mails) {
      workers[m.to_worker]->on_mail(now, std::move(m.body));
      work(m.to_worker);
    }
    for (port::Asked& a : asks) answer(index, a);
  }

  void answer(uint16_t index, const port::Asked& asked) {
    if (const auto* q = std::get_if<port::AskSubscriber>(&asked.question)) {
      ++rows_asked[q->aor.user];
      auto row = std::make_shared<port::Subscriber>();
      row->aor = q->aor;
      row->ha1 = auth::make_ha1(q->aor.user, "example.com", password);
      workers[index]->on_answer(now, asked.id, port::SubscriberAnswer(std::move(row)));
    } else if (std::holds_alternative<port::SetFeature>(asked.question) ||
               std::holds_alternative<port::SaveMessage>(asked.question)) {
      workers[index]->on_answer(now, asked.id, port::Stored{});
    } else {
      workers[index]->on_answer(now, asked.id, port::NotFound{});
    }
    work(index);
  }

  /// The last thing sent in answer to `text` from `ip`, heard by worker `at`; empty: silence.
  std::string hear(uint16_t at, const std::string& text, const char* ip = "192.0.2.9") {
    sent.clear();
    port::Received in;
    in.path = path;
    in.path.local = {IpAddress::v4(192, 0, 2, 1), 5060};
    in.path.remote = {*IpAddress::parse(ip), 5060};
    in.bytes = Buffer::copy_of(text);
    workers[at]->on_received(now, std::move(in));
    work(at);
    return sent.empty() ? std::string{} : sent.back();
  }

  std::string request(const std::string& method, const std::string& uri, const std::string& user,
                      const std::string& call_id, const std::string& more = {},
                      const std::string& body = {}) {
    ++sequence;
    const std::string to = method == "REGISTER" ? "sip:" + user + "@example.com" : uri;
    return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK" +
           std::to_string(sequence) + "\r\nFrom: <sip:" + user + "@example.com>;tag=f" + "\r\nTo: <" + to +
           ">\r\nCall-ID: " + call_id + "\r\nCSeq: " + std::to_string(sequence) + " " + method +
           "\r\nMax-Forwards: 70\r\nContact: <sip:" + user + "@192.0.2.9>\r\n" + more +
           (body.empty() ? "" : "Content-Type: application/sdp\r\n") +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  /// The request after its challenge was answered with `secret`.
  std::string authenticated(uint16_t at, const std::string& method, const std::string& uri,
                            const std::string& user, const std::string& call_id,
                            std::string_view secret = password, const std::string& body = {}) {
    const std::string challenge = hear(at, request(method, uri, user, call_id, {}, body));
    const size_t nonce_at = challenge.find("nonce=\"");
    if (nonce_at == std::string::npos) return challenge;
    const std::string nonce =
        challenge.substr(nonce_at + 7, challenge.find('"', nonce_at + 7) - nonce_at - 7);
    auth::DigestInput in;
    in.qop = auth::Qop::auth;
    const std::string ha1 = auth::ha1_hex(auth::Algorithm::md5, user, "example.com", secret);
    in.ha1 = ha1;
    in.method = method;
    in.uri = uri;
    in.nonce = nonce;
    in.cnonce = "c";
    in.nc = "00000001";
    const auto response = auth::digest_response(in);
    const std::string header = std::string(method == "REGISTER" ? "Authorization" : "Proxy-Authorization") +
                               ": Digest username=\"" + user + "\", realm=\"example.com\", nonce=\"" + nonce +
                               "\", uri=\"" + uri +
                               "\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\", response=\"" +
                               std::string(response.view()) + "\"\r\n";
    return hear(at, request(method, uri, user, call_id, header, body));
  }

  // ---- clients of the JSON API: a WebSocket `n`, which worker n % worker_count has
  void on_web(uint32_t n, port::WebSocketEvent::Kind kind, const std::string& text = {}) {
    const auto at = static_cast<uint16_t>(n % worker_count);
    port::WebSocketEvent e;
    e.kind = kind;
    e.path.transport = port::Transport::wss;
    e.path.flow = {1, at, n, 1};
    e.path.remote = {IpAddress::v4(192, 0, 2, 77), static_cast<uint16_t>(30'000 + n)};
    e.path.local = {IpAddress::v4(192, 0, 2, 1), 8443};
    e.bytes = Buffer::copy_of(text);
    workers[at]->on_websocket(now, std::move(e));
    work(at);
  }
  void say(uint32_t n, const std::string& text) { on_web(n, port::WebSocketEvent::Kind::message, text); }
  /// The oldest thing it was told that has this in it; what came before is forgotten.
  std::string told(uint32_t n, const std::string& what) {
    auto& q = web[n];
    while (!q.empty()) {
      std::string text = q.front();
      q.pop_front();
      if (text.find(what) != std::string::npos) return text;
    }
    return {};
  }
  std::string sign_in(uint32_t n, const std::string& user) {
    on_web(n, port::WebSocketEvent::Kind::opened);
    say(n, R"({"id":1,"op":"hello","user":")" + user + R"(","password":"secret"})");
    const std::string welcome = told(n, "\"session\"");
    const size_t at = welcome.find("\"session\":\"") + 11;
    return welcome.substr(at, welcome.find('"', at) - at);
  }

  Now now{{5'000'000'000}, {1'700'000'000'000'000'000}};
  port::Path path;  // what the next message comes by
  Ports ports;
  SeededRng rng{7};
  std::map<uint32_t, std::deque<std::string>> web;  // what WebSockets were told
  std::vector<uint32_t> closed;
  std::vector<std::unique_ptr<dtls::TwinEndpoint>> keys;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::string> sent;
  std::map<std::string, int> rows_asked;
  int sequence = 0;
};

std::string status(const std::string& response) { return response.substr(0, 11); }

/// As a browser says it, as a JSON string.
std::string web_sdp(const char* setup) {
  std::string print = "AB";
  for (int i = 0; i < 31; ++i) print += ":CD";
  return "v=0\\r\\no=- 1 1 IN IP4 127.0.0.1\\r\\ns=-\\r\\nt=0 0\\r\\na=group:BUNDLE 0\\r\\nm=audio 9 "
         "UDP/TLS/RTP/SAVPF 0\\r\\n"
         "c=IN IP4 0.0.0.0\\r\\na=mid:0\\r\\na=ice-ufrag:abcd\\r\\na=ice-pwd:efghijklmnopqrstuvwxyz\\r\\n"
         "a=fingerprint:sha-256 " +
         print + "\\r\\na=setup:" + setup +
         "\\r\\na=rtcp-mux\\r\\na=sendrecv\\r\\n"
         "a=candidate:1 1 udp 2130706431 192.0.2.77 4000 typ host\\r\\n";
}
const std::string web_offer = web_sdp("actpass"), web_answer = web_sdp("active");

TEST_F(Workers, ClientsOfTheJsonApiCallEachOther) {
  for (uint16_t from = 0; from < worker_count; ++from)
    for (uint16_t to = 0; to < worker_count; ++to) {
      // Their WebSockets are anywhere, their subscribers elsewhere, the call on a third worker.
      const uint32_t a = 100 + 10U * from + to, b = 200 + 10U * to + from;
      const std::string caller = user_of(from);
      std::string callee = user_of(to);
      if (caller == callee) callee = std::to_string(std::stoi(callee) + 100'000);
      sign_in(a, caller);
      sign_in(b, callee);
      say(b, R"({"id":2,"op":"register"})");
      ASSERT_NE(told(b, "\"registered\":true"), "");
      say(a, R"({"id":3,"op":"call","to":")" + callee + R"(","sdp":")" + web_offer + "\"}");
      const std::string incoming = told(b, "\"incoming\"");
      ASSERT_NE(incoming.find("sip:" + caller + "@example.com"), std::string::npos) << incoming;
      ASSERT_NE(told(a, "\"ringing\""), "");
      say(b, R"({"id":4,"op":"answer","call":"c1","sdp":")" + web_answer + "\"}");
      ASSERT_NE(told(a, "\"answered\"").find("m=audio 2"), std::string::npos)
          << "through our ports, and in WebRTC's words";
      say(a, R"({"id":5,"op":"dtmf","call":"c1","digits":"5"})");
      EXPECT_NE(told(b, "\"dtmf\"").find("\"digit\":\"5\""), std::string::npos);
      say(a,
          R"({"id":9,"op":"candidates","call":"c1","candidates":[{"candidate":"candidate:7 1 udp 1 192.0.2.78 9 typ host","mid":"0"}]})");
      EXPECT_EQ(told(b, "192.0.2.78"), "") << "where a leg's media may be found is nobody else's business";
      say(b, R"({"id":6,"op":"message","to":")" + caller + R"(","text":"hi"})");
      say(a, R"({"id":7,"op":"hangup","call":"c1"})");
      EXPECT_NE(told(b, "\"ended\"").find("\"by\":\"peer\""), std::string::npos);
      say(a, R"({"id":8,"op":"bye"})");
      say(b, R"({"id":8,"op":"bye"})");
      on_web(a, port::WebSocketEvent::Kind::closed);
      on_web(b, port::WebSocketEvent::Kind::closed);
    }
  for (int i = 0; i < 100; ++i) {
    now.mono = now.mono + seconds(1);
    now.wall = now.wall + seconds(1);
    for (uint16_t w = 0; w < worker_count; ++w) {
      if (workers[w]->next_timeout() <= now.mono) workers[w]->on_timeout(now);
      work(w);
    }
  }
  size_t left = 0;
  for (const auto& w : workers) left += w->load().calls + w->load().web_sessions + w->load().contacts;
  EXPECT_EQ(left, 0U) << "who has left is bound no more";
}

TEST_F(Workers, AClientComesBackOverAnotherWorker) {
  const std::string user = user_of(2);
  const std::string token = sign_in(1, user);
  say(1, R"({"id":2,"op":"call","to":"*43","sdp":")" + web_offer + "\"}");
  ASSERT_NE(told(1, "\"answered\""), "");
  on_web(1, port::WebSocketEvent::Kind::closed);
  on_web(3, port::WebSocketEvent::Kind::opened);
  say(3, R"({"id":1,"op":"hello","resume":")" + token + "\"}");
  EXPECT_NE(told(3, R"("call":"c1","state":"up")"), "");
  say(3, R"({"id":2,"op":"hangup","call":"c1"})");
  EXPECT_NE(told(3, "\"ended\""), "");
}

TEST_F(Workers, APageSignsInWithItsTicketAndWithNobodyElses) {
  const std::string user = user_of(2), other = user_of(1);
  const auto ticket = [&](const std::string& of, Duration lifetime) {
    return auth::make_ticket(ticket_key({}), {of, "example.com"}, now.wall + lifetime);
  };
  const auto hello = [&](uint32_t n, const std::string& as, const std::string& token) {
    on_web(n, port::WebSocketEvent::Kind::opened);
    say(n, R"({"id":1,"op":"hello","user":")" + as + R"(","token":")" + token + "\"}");
    return told(n, "\"id\":1");
  };
  EXPECT_NE(hello(1, user + "@example.com", ticket(user, seconds(30))).find("\"session\""),
            std::string::npos);
  EXPECT_NE(hello(2, user, ticket(user, seconds(0))).find("unauthorized"), std::string::npos) << "too late";
  EXPECT_NE(hello(3, user, ticket(other, seconds(30))).find("unauthorized"), std::string::npos);
  EXPECT_NE(hello(4, user, "ticket.9999999999.x").find("unauthorized"), std::string::npos);
}

TEST_F(Workers, WrongPasswordsOfClientsCountAsThoseOfTelephones) {
  const std::string victim = user_of(2);
  for (uint32_t n = 1; n <= 20; ++n) {
    on_web(n, port::WebSocketEvent::Kind::opened);
    say(n, R"({"id":1,"op":"hello","user":")" + victim + R"(","password":"wrong"})");
    EXPECT_NE(told(n, "unauthorized"), "");
  }
  EXPECT_EQ(hear(0, request("REGISTER", "sip:example.com", user_of(0), "later"), "192.0.2.77"), "")
      << "banned";
}

TEST_F(Workers, TelephonesOfClientsSurviveAsParts) {
  const std::string user = user_of(2);
  const std::string token = sign_in(1, user);
  say(1, R"({"id":2,"op":"register"})");
  std::vector<Worker::Part> sessions;
  for (auto& w : workers)
    for (Worker::Part& p : w->snapshot(now))
      if (p.kind == Worker::Part::Kind::web_session) sessions.push_back(std::move(p));
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(sip::worker_of_shard(sessions[0].shard, worker_count), 2);
}

TEST_F(Workers, WrongPasswordsBanTheirSourceOnEveryWorker) {
  const std::string victim = user_of(2), owner = user_of(3);
  int answered = 0;
  for (int i = 0; i < 40; ++i) {
    // Right answers for an account of one's own in between are no excuse.
    if (i % 5 == 4 && i < 20) {
      EXPECT_EQ(status(authenticated(0, "REGISTER", "sip:example.com", owner, "own")), "SIP/2.0 200");
    }
    if (!authenticated(0, "REGISTER", "sip:example.com", victim, "guess", "wrong").empty()) ++answered;
  }
  EXPECT_EQ(answered, 20);
  for (uint16_t w = 0; w < worker_count; ++w) {
    EXPECT_EQ(hear(w, request("REGISTER", "sip:example.com", user_of(w), "later")), "") << w;
    EXPECT_EQ(hear(w, request("OPTIONS", "sip:example.com", user_of(w), "ping")), "") << w;
    EXPECT_EQ(status(hear(w, request("OPTIONS", "sip:example.com", victim, "ping"), "192.0.2.10")),
              "SIP/2.0 200")
        << w;
  }
}

TEST_F(Workers, ForgedDatagramsBanNobody) {
  const std::string victim = user_of(2), own = hear(0, request("REGISTER", "sip:example.com", victim, "own"));
  const size_t nonce_at = own.find("nonce=\"") + 7;
  const std::string received = own.substr(nonce_at, own.find('"', nonce_at) - nonce_at);
  ASSERT_FALSE(received.empty());
  // Invented, and received elsewhere.
  for (const std::string& nonce : {std::string("invented"), received})
    for (uint16_t i = 0; i < 40; ++i) {
      const std::string header =
          "Authorization: Digest username=\"" + victim + "\", realm=\"example.com\", nonce=\"" + nonce +
          "\", uri=\"sip:example.com\", algorithm=MD5, response=\"" + std::string(32, '0') + "\"\r\n";
      EXPECT_EQ(status(hear(static_cast<uint16_t>(i % worker_count),
                            request("REGISTER", "sip:example.com", victim, "forged", header), "192.0.2.66")),
                "SIP/2.0 401");
    }
  for (uint16_t w = 0; w < worker_count; ++w)
    EXPECT_EQ(status(hear(w, request("OPTIONS", "sip:example.com", victim, "ping"), "192.0.2.66")),
              "SIP/2.0 200")
        << w;
}

TEST_F(Workers, WhatDoesNotParseIsAnswered) {  // RFC 3261 sections 8.2 and 21.4.1
  std::string text = request("OPTIONS", "sip:example.com", "1001", "c1");
  text.replace(text.find("CSeq: ") + 6, 1, "-");
  EXPECT_EQ(status(hear(1, text)), "SIP/2.0 400");
  text.replace(text.find("SIP/2.0"), 7, "SIP/3.0");
  EXPECT_EQ(status(hear(1, text)), "SIP/2.0 505");
  EXPECT_EQ(hear(1, "OPTIONS sip:example.com SIP/2.0\r\n\r\n"), "");  // nothing to match an answer by
  text = "SIP/2.0 2000 OK" + text.substr(text.find("\r\n"));
  EXPECT_EQ(hear(1, text), "");  // a response is never answered
}

/// Who sends INVITEs and never answers a challenge costs no transaction: there is nothing that would be sent
/// again.
TEST_F(Workers, AnInviteThatIsChallengedLeavesNothing) {
  const auto to_tag = [](const std::string& response) {
    const size_t at = response.find(";tag=", response.find("\r\nTo: ")) + 5;
    return response.substr(at, response.find("\r\n", at) - at);
  };
  const auto expect_silence = [&] {
    sent.clear();
    for (int i = 0; i < 40; ++i) {
      now.mono = now.mono + seconds(1);
      now.wall = now.wall + seconds(1);
      for (uint16_t w = 0; w < worker_count; ++w) {
        workers[w]->on_timeout(now);
        work(w);
      }
    }
    for (const std::string& text : sent) EXPECT_NE(text.substr(0, 9), "SIP/2.0 4") << text;
  };
  const std::string invite = request("INVITE", "sip:1001@example.com", user_of(0), "stranger");
  const std::string challenge = hear(0, invite);
  EXPECT_EQ(status(challenge), "SIP/2.0 407");
  EXPECT_EQ(sent.size(), 1u);  // and no 100, which would end the repetitions
  expect_silence();
  const std::string again = hear(0, invite);
  EXPECT_EQ(status(again), "SIP/2.0 407");
  EXPECT_EQ(to_tag(again), to_tag(challenge));
  std::string ack = invite;
  ack.replace(0, 6, "ACK");
  ack.replace(ack.find(" INVITE\r\n"), 7, " ACK");
  ack.insert(ack.find("\r\nCall-ID"), ";tag=" + to_tag(challenge));
  EXPECT_EQ(hear(0, ack), "");

  std::string stray = request("INVITE", "sip:1001@example.com", user_of(0), "stray");
  stray.insert(stray.find("\r\nCall-ID"), ";tag=none");
  EXPECT_EQ(status(hear(0, stray)), "SIP/2.0 481");
  EXPECT_EQ(sent.size(), 1u);
  expect_silence();

  authenticated(0, "INVITE", "sip:1001@example.com", user_of(0), "known");
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(status(sent.front()), "SIP/2.0 100");
}

TEST_F(Workers, OptionsThatNeedsWhatNobodyKnows) {  // RFC 3261 section 8.2.2.3
  const std::string answer = hear(0, request("OPTIONS", "sip:example.com", user_of(0), "ping",
                                             "Require: teleport, path\r\nRequire: warp\r\n"));
  EXPECT_EQ(status(answer), "SIP/2.0 420");
  EXPECT_NE(answer.find("\r\nUnsupported: teleport, warp\r\n"), std::string::npos) << answer;
  EXPECT_EQ(status(hear(0, request("OPTIONS", "sip:example.com", user_of(0), "ping", "Require: path\r\n"))),
            "SIP/2.0 200");
}

TEST_F(Workers, GuessesSentBeforeTheBanAreNotLookedAtAfterIt) {
  const std::string victim = user_of(2);
  for (int i = 0; i < 19; ++i) authenticated(0, "REGISTER", "sip:example.com", victim, "guess", "wrong");
  // Heard by worker 0, on its way to its owner when the twentieth failure is told.
  port::Received in;
  in.path.remote = {*IpAddress::parse("192.0.2.9"), 5060};
  in.bytes = Buffer::copy_of(request("REGISTER", "sip:example.com", victim, "late"));
  workers[0]->on_received(now, std::move(in));
  std::vector<port::Mail> late;
  late.swap(workers[0]->outbox().mails);
  ASSERT_EQ(late.size(), 1U);
  authenticated(1, "REGISTER", "sip:example.com", user_of(1), "guess", "wrong");
  sent.clear();
  workers[late[0].to_worker]->on_mail(now, std::move(late[0].body));
  work(late[0].to_worker);
  EXPECT_TRUE(sent.empty()) << sent.back();
}

TEST_F(Workers, WhoIsBoundMayRefreshWhileCallsEnd) {
  const std::string bound = user_of(2), stranger = user_of(3);
  EXPECT_EQ(status(authenticated(0, "REGISTER", "sip:example.com", bound, "a")), "SIP/2.0 200");
  for (auto& w : workers) w->set_draining(now, true);
  EXPECT_EQ(status(authenticated(0, "REGISTER", "sip:example.com", bound, "a")), "SIP/2.0 200");
  const std::string refused = authenticated(0, "REGISTER", "sip:example.com", stranger, "b");
  EXPECT_EQ(status(refused), "SIP/2.0 503");
  EXPECT_NE(refused.find("Retry-After"), std::string::npos);
  for (auto& w : workers) w->set_draining(now, false);
  EXPECT_EQ(status(authenticated(0, "REGISTER", "sip:example.com", stranger, "b")), "SIP/2.0 200");
}

TEST_F(Workers, AConnectionThatClosesTakesItsContactsWithItWhereverTheyAreKept) {
  const std::string user = user_of(2);
  path.transport = port::Transport::wss;
  path.flow = {1, 0, 5, 1};
  EXPECT_EQ(status(authenticated(0, "REGISTER", "sip:example.com", user, "a")), "SIP/2.0 200");
  ASSERT_TRUE(workers[2]->registrar().registered(now, {user, "example.com"}));
  port::FlowEvent ended{port::FlowEvent::Kind::closed, path.flow, path, 0};
  workers[0]->on_flow(now, ended);  // the connection is worker 0's
  work(0);
  EXPECT_FALSE(workers[2]->registrar().registered(now, {user, "example.com"}));
}

TEST_F(Workers, ATokenStandsForAPassword) {  // RFC 8898
  const std::string user = user_of(1), other = user_of(2);
  const auto tried = [&](const std::string& method, const std::string& uri, const std::string& from,
                         const std::string& header) {
    return hear(0, request(method, uri, from, "t" + std::to_string(sequence), header));
  };
  EXPECT_EQ(status(tried("REGISTER", "sip:example.com", user, token(user))), "SIP/2.0 200");
  EXPECT_EQ(status(tried("REGISTER", "sip:example.com", user, token(user + "@example.com"))), "SIP/2.0 200");
  // A call's challenge would be the proxy's, but clients send what they have in Authorization.
  EXPECT_EQ(
      status(hear(0, request("MESSAGE", "sip:" + other + "@example.com", user, "m", token(user), "hello"))),
      "SIP/2.0 202");
  EXPECT_EQ(status(tried("MESSAGE", "sip:" + user + "@example.com", other, token(user))), "SIP/2.0 403");
  EXPECT_EQ(status(tried("REGISTER", "sip:example.com", other, token(user))), "SIP/2.0 403");
  const std::string old = tried("REGISTER", "sip:example.com", user, token(user, wall_seconds - 60));
  EXPECT_EQ(status(old), "SIP/2.0 401");
  EXPECT_NE(old.find("WWW-Authenticate: Bearer realm=\"example.com\", error=\"invalid_token\""),
            std::string::npos)
      << old;
  EXPECT_NE(old.find("WWW-Authenticate: Digest "), std::string::npos);
  const std::string none = tried("REGISTER", "sip:example.com", user, "");
  EXPECT_NE(none.find("WWW-Authenticate: Bearer realm=\"example.com\"\r\n"), std::string::npos) << none;
  const std::string choosy =
      tried("REGISTER", "sip:example.com", user, "User-Agent: baresip v1.0.0 (x86_64/linux)\r\n");
  EXPECT_LT(none.find("WWW-Authenticate: Digest "), none.find("Bearer")) << "telephones read the topmost";
  EXPECT_EQ(choosy.find("Bearer"), std::string::npos) << choosy;
  EXPECT_NE(choosy.find("WWW-Authenticate: Digest "), std::string::npos) << choosy;
  path.transport = port::Transport::wss;
  path.flow = {1, 0, 5, 1};
  const std::string page = tried("REGISTER", "sip:example.com", user, "");
  EXPECT_LT(page.find("Bearer"), page.find("WWW-Authenticate: Digest "))
      << "libraries for pages read the last";
}

TEST_F(Workers, ATokenWithoutADomainSpeaksForTheDefaultDomainAlone) {
  const std::string user = user_of(1);
  const auto tried = [&](const std::string& header) {
    std::string text = request("REGISTER", "sip:other.example", user, "t" + std::to_string(sequence), header);
    const std::string ours = "@example.com>";
    for (size_t at = 0; (at = text.find(ours)) != std::string::npos;)
      text.replace(at, ours.size(), "@other.example>");
    return status(hear(0, text));
  };
  EXPECT_EQ(tried(token(user)), "SIP/2.0 403");
  EXPECT_EQ(tried(token(user + "@other.example")), "SIP/2.0 200");
}

TEST_F(Workers, WhoGuessesTokensIsBannedAndWhoseTokensAreOldIsNot) {
  const std::string user = user_of(1);
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(
        status(hear(0, request("REGISTER", "sip:example.com", user, "old", token(user, wall_seconds - 60)))),
        "SIP/2.0 401");
  const auto answered = [&] {
    int n = 0;
    for (int i = 0; i < 30; ++i)
      n += !hear(0,
                 request("REGISTER", "sip:example.com", user, "guess",
                         token(user, wall_seconds + 60, "another secret of thirty-two octets")),
                 "192.0.2.66")
                .empty();
    return n;
  };
  EXPECT_EQ(answered(), 30) << "a datagram's source may be forged";
  path.transport = port::Transport::tcp;
  path.flow = {1, 0, 5, 1};
  EXPECT_EQ(answered(), 20);
}

TEST_F(Workers, AFeatureCodeIsInForceOnEveryWorker) {
  const std::string user = user_of(1);
  // Every worker knows the row: a call of this user has been to each of them.
  const auto call_id_of = [](uint16_t worker) {
    for (int i = 0;; ++i)
      if (const std::string id = "call" + std::to_string(i);
          sip::worker_of_shard(sip::shard_of(id), worker_count) == worker)
        return id;
  };
  for (uint16_t w = 0; w < worker_count; ++w)
    authenticated(w, "MESSAGE", "sip:" + user_of(w) + "@example.com", user, call_id_of(w));
  const int before = rows_asked[user];
  for (uint16_t w = 0; w < worker_count; ++w)
    authenticated(w, "MESSAGE", "sip:" + user_of(w) + "@example.com", user, call_id_of(w));
  ASSERT_EQ(rows_asked[user], before) << "the rows are not cached: this test shows nothing";
  const std::string offer =
      "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
  const std::string done =
      authenticated(0, "INVITE", "sip:*78@example.com", user, call_id_of(0), password, offer);
  ASSERT_EQ(status(done), "SIP/2.0 200") << done;
  const int at_once = rows_asked[user];
  for (uint16_t w = 0; w < worker_count; ++w)
    authenticated(w, "MESSAGE", "sip:" + user_of(w) + "@example.com", user, call_id_of(w));
  EXPECT_EQ(rows_asked[user], at_once + worker_count);
}

}  // namespace
}  // namespace tandem::node
