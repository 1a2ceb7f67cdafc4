// Several workers of one node: what one of them learns, the others must know.
#include "node/worker.h"

#include <gtest/gtest.h>

#include "auth/digest.h"
#include "base/text.h"
#include "dtls/twin_endpoint.h"
#include "node/mail.h"
#include "node/ownership.h"

namespace tandem::node {
namespace {

constexpr uint16_t worker_count = 4;
constexpr std::string_view password = "secret";

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
    port::PlanRows rows;
    port::DomainRow domain;
    domain.name = "example.com";
    rows.domains.push_back(domain);
    const auto plan = route::Plan::compile(rows, (*realms)->names());
    for (uint16_t i = 0; i < worker_count; ++i)
      workers.push_back(
          std::make_unique<Worker>(make_settings(config, {}, 1, i, worker_count, *realms), plan, ports, rng,
                                   *keys.emplace_back(std::make_unique<dtls::TwinEndpoint>(rng)), now));
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
    for (port::Send& s : out.sends) sent.emplace_back(as_text(s.bytes.bytes()));
    out.sends.clear();
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
    } else if (std::holds_alternative<port::SetFeature>(asked.question)) {
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

  Now now{{5'000'000'000}, {1'700'000'000'000'000'000}};
  Ports ports;
  SeededRng rng{7};
  std::vector<std::unique_ptr<dtls::TwinEndpoint>> keys;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::string> sent;
  std::map<std::string, int> rows_asked;
  int sequence = 0;
};

std::string status(const std::string& response) { return response.substr(0, 11); }

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
