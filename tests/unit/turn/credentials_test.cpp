// Who a client is: RFC 5769's sample of a long-term credential, challenges, nonces, time-limited credentials,
// rates.
#include "base/text.h"
#include "world.h"

namespace tandem::turn {
namespace {

Octets hex(std::string_view digits) {
  std::string packed;
  for (const char c : digits)
    if (c != ' ') packed.push_back(c);
  const std::string octets = from_hex(packed).value();
  return {octets.begin(), octets.end()};
}

// RFC 5769 section 2.4: user, realm and password as they are after preparation.
TEST(Rfc5769, Section24LongTermCredential) {
  const Octets d =
      hex("00010060 2112a442 78ad3433 c6ad72c0 29da412e 00060012 e3839ee3 8388e383 aae38383 e382af e382b9 "
          "0000 0015001c "
          "662f2f34 39396b39 35346436 4f4c3334 6f4c3946 53547679 3634734100140 00b 6578616d 706c652e "
          "6f726700 00080014 "
          "f67024656dd64a3e02b8e0712e85c9a28ca89666");
  const auto m = stun::Message::parse(d);
  ASSERT_TRUE(m) << stun::to_string(m.reason());
  const std::string user = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9";
  EXPECT_EQ(m->text(attribute::username), user);
  EXPECT_EQ(m->text(attribute::realm), "example.org");
  EXPECT_EQ(m->text(attribute::nonce), "f//499k954d6OL34oL9FSTvy64sA");
  Key key = key_of_password(Algorithm::md5, user, "example.org", "TheMatrIX");
  EXPECT_TRUE(fits(*m, key));
  EXPECT_FALSE(key.sha256_integrity);
  // The directory's HA1 is that very key.
  const auto row = key_of_row(auth::make_ha1(user, "example.org", "TheMatrIX"), Algorithm::md5, false);
  ASSERT_TRUE(row);
  EXPECT_TRUE(std::ranges::equal(row->view(), key.view()));
  Key wrong = key_of_password(Algorithm::md5, user, "example.org", "TheMatrIx");
  EXPECT_FALSE(fits(*m, wrong));
}

TEST(TimedCredentials, AreWhatApplicationsMake) {
  // echo -n "1700000000:alice" | openssl dgst -sha1 -hmac "north" -binary | base64
  EXPECT_EQ(timed_password("north", "1700000000:alice"), "Cd/49soE35ICqcJF/bCTn8Z4OyE=");
  EXPECT_EQ(timed_name("1700000000:alice")->expiry, 1'700'000'000u);
  EXPECT_EQ(timed_name("1700000000:a:b")->name, "a:b");
  EXPECT_EQ(timed_name("1700000000")->name, "");
  EXPECT_FALSE(timed_name("1001")) << "a subscriber's number";
  EXPECT_FALSE(timed_name("alice"));
  EXPECT_FALSE(timed_name("99999999999999999999999:x"));
  EXPECT_EQ(timed_username(WallTime{1'700'000'000'000'000'000}, "alice"), "1700000000:alice");
}

class Credentials : public World {};

TEST_F(Credentials, ChallengeThenAllocation) {
  timed();
  stun::Writer bare(stun::Class::request, method::allocate, next_transaction());
  udp(bare);
  const Got g = send_raw(client(), bare.octets());
  ASSERT_EQ(g.error(), 401);
  EXPECT_EQ(g.message().text(attribute::realm), "example.org");
  EXPECT_TRUE(g.message().text(attribute::nonce)->starts_with("obMatJos2gAAA"));
  EXPECT_TRUE(g.message().find(attribute::password_algorithms));
  EXPECT_FALSE(g.message().find(attribute::message_integrity));
  EXPECT_EQ(allocated(client()), at("192.0.2.1:50000"));
  EXPECT_EQ(server().size(), 1u);
  EXPECT_EQ(event_count("turn.allocated"), 1u);
}

TEST_F(Credentials, SubscribersUseTheirPassword) {
  subscriber("1001", "correct horse");
  user = "1001", password = "correct horse";
  EXPECT_EQ(allocate(client("203.0.113.7:1")).error(), 0);
  user = "1001@example.org";
  EXPECT_EQ(allocate(client("203.0.113.7:2")).error(), 0)
      << "the username with the domain has a hash of its own";
  password = "wrong";
  EXPECT_EQ(allocate(client("203.0.113.7:3")).error(), 401);
  user = "nobody";
  EXPECT_EQ(allocate(client("203.0.113.7:4")).error(), 401);
  EXPECT_EQ(asked_for.front(), "1001@example.org");
  auto row = std::make_shared<port::Subscriber>(*rows.begin()->second);
  row->enabled = false;
  rows.begin()->second = row;
  user = "1001", password = "correct horse";
  EXPECT_EQ(allocate(client("203.0.113.7:5")).error(), 401) << "a disabled one is as nobody";
  config.subscribers = false;
  restart();
  EXPECT_EQ(allocate(client("203.0.113.7:6")).error(), 401);
}

TEST_F(Credentials, Sha256WhereTheClientChoosesIt) {
  subscriber("1001", "correct horse");
  const auto attempt = [&](uint8_t algorithm, Bytes list, bool repeat) {
    stun::Writer w(stun::Class::request, method::allocate, next_transaction());
    udp(w);
    w.add(attribute::username, "1001").add(attribute::realm, "example.org").add(attribute::nonce, nonce);
    if (repeat) w.add(attribute::password_algorithms, list);
    w.add(attribute::password_algorithm, Bytes(std::array<uint8_t, 4>{0, algorithm, 0, 0}));
    w.add_integrity_sha256(as_bytes(stun::long_term_key_sha256("1001", "example.org", "correct horse")));
    return send_raw(client(), w.octets());
  };
  nonce = std::string(attempt(2, offered_algorithms(), true).message().text(attribute::nonce).value());
  EXPECT_EQ(attempt(2, offered_algorithms(), false).error(), 400) << "the list must come back";
  const Octets stripped = {0, 1, 0, 0};
  EXPECT_EQ(attempt(2, stripped, true).error(), 400) << "and as it was: who strips it is found out";
  EXPECT_EQ(attempt(9, offered_algorithms(), true).error(), 400);
  EXPECT_EQ(attempt(1, offered_algorithms(), true).error(), 401) << "signed with another key";
  const Got g = attempt(2, offered_algorithms(), true);
  ASSERT_EQ(g.error(), 0);
  EXPECT_EQ(g.message().check_integrity_sha256(
                as_bytes(stun::long_term_key_sha256("1001", "example.org", "correct horse"))),
            stun::Integrity::good);
}

TEST_F(Credentials, IncompleteOrDamagedRequests) {
  timed();
  allocate(client("203.0.113.7:1"));  // for the nonce
  stun::Writer w(stun::Class::request, method::allocate, next_transaction());
  udp(w);
  w.add(attribute::username, user).add_integrity(as_bytes("key"));
  EXPECT_EQ(send_raw(client(), w.octets()).error(), 400) << "integrity without realm and nonce";
  stun::Writer other(stun::Class::request, method::allocate, next_transaction());
  other.add(attribute::username, user).add(attribute::realm, "elsewhere").add(attribute::nonce, nonce);
  other.add_integrity(as_bytes("key"));
  EXPECT_EQ(send_raw(client(), other.octets()).error(), 401);
  stun::Writer control(stun::Class::request, method::allocate, next_transaction());
  control.add(attribute::username, "a\r\nb").add(attribute::realm, config.realm).add(attribute::nonce, nonce);
  control.add_integrity(as_bytes("key"));
  EXPECT_EQ(send_raw(client(), control.octets()).error(), 400);
  const Octets rtp(40, 0x80);
  EXPECT_TRUE(send_raw(client(), rtp).octets.empty());
  EXPECT_EQ(dropped("not_stun"), 1u);
  stun::Writer response(stun::Class::success, method::allocate, next_transaction());
  EXPECT_TRUE(send_raw(client(), response.octets()).octets.empty());
  EXPECT_EQ(dropped("bad_stun"), 1u);
  stun::Writer strange(stun::Class::request, 0x123, next_transaction());
  EXPECT_EQ(send_raw(client(), strange.octets()).error(), 400);
}

TEST_F(Credentials, ExpiredOrForeignTimedCredentials) {
  timed("alice", -seconds(1));
  EXPECT_EQ(allocate(client()).error(), 401);
  timed("alice", hours(1));
  password = timed_password("another secret of sixteen", user);
  EXPECT_EQ(allocate(client()).error(), 401);
  config.secrets = {"the new secret, sixteen",
                    "another secret of sixteen"};  // rotation: the old one still serves
  restart();
  EXPECT_EQ(allocate(client()).error(), 0);
}

TEST_F(Credentials, AllocationsOutliveTheirCredentials) {
  timed("alice", seconds(30));
  allocated(client());
  advance(seconds(60));
  EXPECT_EQ(refresh(client(), 600).error(), 0)
      << "a call is not cut off because a ticket at the door ran out";
  EXPECT_EQ(allocate(client("203.0.113.7:9")).error(), 401) << "but there is no new one";
}

TEST_F(Credentials, NoncesAreBoundToTimeAndAddress) {
  timed("alice", hours(24));
  allocated(client());
  const std::string first = nonce;
  EXPECT_EQ(permit(client(), "203.0.113.9:1").error(), 0);
  EXPECT_EQ(nonce, first) << "it may be used again and again";
  const Nonces nonces(config.nonce_key, config.nonce_lifetime);
  EXPECT_TRUE(nonces.good(now, at("203.0.113.7:1").ip, first));
  EXPECT_FALSE(nonces.good(now, at("203.0.113.8:1").ip, first)) << "overheard and used from elsewhere";
  for (size_t i = 0; i < first.size(); ++i) {
    std::string bent = first;
    bent[i] = bent[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(nonces.good(now, at("203.0.113.7:1").ip, bent)) << i;
  }
  EXPECT_FALSE(nonces.good(now, at("203.0.113.7:1").ip, ""));
  EXPECT_FALSE(Nonces({9}, config.nonce_lifetime).good(now, at("203.0.113.7:1").ip, first)) << "another key";

  advance(config.nonce_lifetime);
  stun::Writer w(stun::Class::request, method::refresh, next_transaction());
  w.add(attribute::username, user).add(attribute::realm, config.realm).add(attribute::nonce, first);
  w.add_integrity(as_bytes(stun::long_term_key_md5(user, config.realm, password)));
  // The allocation has lapsed; the nonce is judged before it is looked for.
  EXPECT_EQ(send_raw(client(), w.octets()).error(), 438);
}

TEST_F(Credentials, WrongCredentialsOnAnAllocation) {
  timed("alice");
  allocated(client());
  timed("bob");
  EXPECT_EQ(permit(client(), "203.0.113.9:1").error(), 441);
  timed("alice");
  password = "wrong";
  EXPECT_EQ(permit(client(), "203.0.113.9:1").error(), 401);
}

TEST_F(Credentials, AFloodOfRequestsCostsNoMemory) {
  config.challenges_per_second = 10;
  server();
  stun::Writer w(stun::Class::request, method::allocate, next_transaction());
  udp(w);
  size_t answered = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto from =
        client("203.0.113." + std::to_string(1 + i % 4) + ":" + std::to_string(1024 + i % 60000));
    if (!send_raw(from, w.octets()).octets.empty()) ++answered;
  }
  EXPECT_EQ(server().size(), 0u);
  EXPECT_EQ(server().waiting(), 0u);
  EXPECT_EQ(server().ports(), 0u);
  EXPECT_TRUE(asked_for.empty()) << "nobody is looked up before his nonce is good";
  EXPECT_EQ(answered, 4u * 40) << "a burst of four seconds' worth for each source";
  EXPECT_EQ(dropped("challenges"), 100'000u - 160);
  advance(seconds(1));
  EXPECT_FALSE(send_raw(client("203.0.113.1:1"), w.octets()).octets.empty());
}

TEST_F(Credentials, WhatWaitsForTheDirectoryIsBounded) {
  config.waiting = 3;
  subscriber("1001", "correct horse");
  user = "1001", password = "correct horse";
  allocate(client("203.0.113.7:1"));
  hold_asks = true;
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(allocate(client("203.0.113.7:" + std::to_string(10 + i))).octets.empty());
  EXPECT_EQ(server().waiting(), 3u);
  EXPECT_EQ(dropped("waiting"), 2u);
  advance(seconds(30));
  EXPECT_EQ(server().waiting(), 0u) << "who is never answered for is forgotten";
}

TEST_F(Credentials, WhoGuessesIsToldOfAndShutOut) {
  subscriber("1001", "correct horse");
  bool banned = false;
  config.banned = [&](Now, const IpAddress& ip) { return banned && ip == at("203.0.113.7:1").ip; };
  user = "1001", password = "wrong";
  allocate(client("203.0.113.7:1"));
  EXPECT_EQ(server().take_failures().size(), 1u) << "the first was without a nonce";
  EXPECT_TRUE(server().take_failures().empty());
  user = "nobody";
  allocate(client("203.0.113.7:1"));
  EXPECT_EQ(server().take_failures().size(), 2u) << "who is nobody is guessed like anybody";
  user = "1001", password = "correct horse";
  EXPECT_EQ(allocate(client("203.0.113.7:1")).error(), 0);
  EXPECT_TRUE(server().take_failures().empty());
  banned = true;
  EXPECT_TRUE(allocate(client("203.0.113.7:2")).octets.empty()) << "even the right one";
  EXPECT_EQ(dropped("banned"), 1u);
  EXPECT_EQ(refresh(client("203.0.113.7:1"), 600).error(), 0) << "what is there goes on";
}

TEST_F(Credentials, GuessesAtOnceAreNoMoreGuesses) {
  subscriber("1001", "correct horse");
  user = "1001", password = "wrong";
  size_t wrong = 0;
  config.banned = [&](Now, const IpAddress&) { return wrong >= 3; };
  allocate(client("203.0.113.7:1"));  // for the nonce
  hold_asks = true;
  for (int i = 0; i < 20; ++i) {
    if (i == 19) password = "correct horse";
    allocate(client("203.0.113.7:" + std::to_string(i + 2)));
  }
  wrong += server().take_failures().size();
  ASSERT_EQ(server().waiting(), 20u);
  const auto asked = std::exchange(out.new_asks, {});
  out.asks.clear();
  for (const auto& a : asked) {
    server().on_answer(now, a.asker.object, rows.begin()->second, out);
    wrong += server().take_failures().size();
  }
  EXPECT_EQ(wrong, 3u);
  EXPECT_EQ(server().size(), 0u) << "the right one came too late";
  EXPECT_EQ(dropped("banned"), 18u);
}

TEST_F(Credentials, WhoIsShutOutIsNotCountedOnAndOn) {
  timed();
  bool banned = false;
  config.banned = [&](Now, const IpAddress&) { return banned; };
  ASSERT_EQ(allocate(client()).error(), 0);
  banned = true;
  EXPECT_EQ(refresh(client(), 600).error(), 0);
  const std::string right = std::exchange(password, "wrong");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(refresh(client(), 600).octets.empty());
  EXPECT_TRUE(server().take_failures().empty());
  EXPECT_EQ(dropped("banned"), 5u);
  password = right;
  EXPECT_EQ(refresh(client(), 600).error(), 0);
}

TEST_F(Credentials, OneSourceAsksTheDirectorySoOften) {
  config.lookups_per_second = 5;
  subscriber("1001", "correct horse");
  user = "1001", password = "correct horse";
  allocate(client("203.0.113.8:1"));  // for the nonce
  size_t answered = 0;
  for (int i = 0; i < 100; ++i) {
    user = "u" + std::to_string(i);
    answered += !allocate(client("203.0.113.7:" + std::to_string(i + 1))).octets.empty();
  }
  EXPECT_LE(asked_for.size(), 21u) << "a burst of four seconds' worth, and the first";
  EXPECT_EQ(dropped("lookups"), 100 - answered);
  user = "1001";
  EXPECT_EQ(allocate(client("203.0.113.9:1")).error(), 0) << "others are not held up";
}

TEST_F(Credentials, AClientThatIsGoneByThenGetsNothing) {
  const auto tcp_client = client("203.0.113.7:1", port::RelayTransport::tcp, 1);
  subscriber("1001", "correct horse");
  user = "1001", password = "correct horse";
  allocate(client("203.0.113.8:1"));
  for (const bool at_the_seat : {false, true}) {
    hold_asks = true;
    allocate(tcp_client);
    ASSERT_EQ(out.asks.size(), 1u);
    if (at_the_seat) {  // the row is answered, then it goes
      const auto asked = std::move(out.asks.front());
      const auto asker = out.new_asks.front().asker;
      out.asks.clear(), out.new_asks.clear();
      server().on_answer(now, asker.object, rows.begin()->second, out);
      ASSERT_EQ(out.asks.size(), 1u);
    }
    port::RelayEvent gone;
    gone.client = tcp_client;
    server().on_event(now, gone, out);
    hold_asks = false;
    answer_asks();
    EXPECT_EQ(server().size(), 1u) << "that of the other one";
    EXPECT_EQ(seats["1001@example.org"].size(), 1u) << "and its seat is free again";
    advance(seconds(10));
  }
}

TEST_F(Credentials, WhoIsGoneIsForgottenWhileOthersWait) {
  const auto stream = client("203.0.113.7:1", port::RelayTransport::tcp, 1);
  subscriber("1001", "correct horse");
  user = "1001", password = "correct horse";
  allocate(client("203.0.113.8:1"));
  hold_asks = true;
  port::RelayEvent gone;
  gone.client = stream;
  for (int i = 0; i < 4; ++i) {  // somebody waits all the time
    allocate(client("203.0.113.8:" + std::to_string(i + 2)));
    if (i == 0) server().on_event(now, gone, out);
    advance(seconds(3));
    ASSERT_GT(server().waiting(), 0u);
  }
  hold_asks = false;
  out.asks.clear(), out.new_asks.clear();
  EXPECT_EQ(allocate(stream).error(), 0) << "the name of a connection, used again";
}

TEST_F(Credentials, BindingNeedsNone) {
  stun::Writer w(stun::Class::request, method::binding, next_transaction());
  w.add_fingerprint();
  const Got g = send_raw(client("203.0.113.7:4321"), w.octets());
  EXPECT_EQ(g.message().xor_address(attribute::xor_mapped_address), at("203.0.113.7:4321"));
  EXPECT_TRUE(g.message().has_fingerprint());
  stun::Writer odd(stun::Class::request, method::binding, next_transaction());
  odd.add_u32(0x7FFF, 1);
  EXPECT_EQ(send_raw(client(), odd.octets()).error(), 420);
}

}  // namespace
}  // namespace tandem::turn
