#pragma once
// A gateway, its clients, and the node they telephone through, played by the test: SIP comes out as text, and
// what the test answers goes back in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "auth/digest.h"
#include "sip/writer.h"
#include "webrtc/gateway.h"

namespace tandem::webrtc {

inline const std::string offer_sdp =
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
    "a=ice-ufrag:abcd\r\na=ice-pwd:efghijklmnopqrstuvwxyz\r\na=mid:0\r\n";
inline const std::string answer_sdp =
    "v=0\r\no=- 2 2 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// As a JSON string.
inline std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else
      out += c;
  }
  return out + "\"";
}

struct World {
  SeededRng rng{5};
  sip::TokenMint mint{{1, 2, 3}, 1, 1, rng};
  CounterSet counters;
  GatewayConfig config;
  std::unique_ptr<Gateway> gateway;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  std::map<std::string, port::Subscriber> subscribers;
  bool directory_away = false;

  std::map<uint32_t, std::deque<std::string>> heard;  // JSON, by WebSocket
  std::deque<port::Received> sip;
  std::vector<uint32_t> hung_up;
  std::vector<port::FlowId> gone;
  size_t failures = 0;

  explicit World(GatewayConfig c = {}) : config(c) {
    gateway = std::make_unique<Gateway>(config, "one.test", mint, rng, counters);
    add("1001", "Ann");
    add("1002", "Bob \"the\" B");
  }
  void add(const std::string& user, const std::string& display) {
    port::Subscriber s;
    s.aor = {user, "one.test"};
    s.display_name = display;
    s.ha1 = auth::make_ha1(user, "one.test", "secret-" + user);
    subscribers[user] = s;
  }
  static port::Path web(uint32_t n) {
    port::Path p;
    p.transport = port::Transport::wss;
    p.flow = {1, 0, n, 7};
    p.remote = SocketAddress::parse("203.0.113.5:" + std::to_string(10'000 + n)).value();
    p.local = SocketAddress::parse("192.0.2.1:8443").value();
    return p;
  }
  void take(Outcome& out) {
    for (auto& t : out.texts) heard[t.web.flow.slot].push_back(t.text);
    for (auto& r : out.sip) sip.push_back(std::move(r));
    for (const auto& f : out.hang_ups) hung_up.push_back(f.slot);
    for (const auto& f : out.gone) gone.push_back(f);
    failures += out.failures.size();
    for (const auto& l : std::exchange(out.lookups, {})) {
      Outcome more;
      if (!l.token.empty()) {
        const bool good = l.token == "good-" + l.aor.user;
        gateway->on_token(now, l.object, good, more);
        take(more);
        if (!good) continue;
        more = {};
      }
      const auto it = subscribers.find(l.aor.user);
      if (directory_away)
        gateway->on_lookup_failed(now, l.object, more);
      else
        gateway->on_subscriber(now, l.object,
                               it == subscribers.end() || l.aor.domain != "one.test" ? nullptr : &it->second,
                               "one.test", more);
      take(more);
    }
  }
  void open(uint32_t n) {
    Outcome out;
    gateway->on_opened(now, web(n), out);
    take(out);
  }
  void close(uint32_t n) {
    Outcome out;
    gateway->on_closed(now, web(n).flow, out);
    take(out);
  }
  void say(uint32_t n, const std::string& text) {
    Outcome out;
    gateway->on_text(now, web(n).flow, text, out);
    take(out);
  }
  void pass(Duration d) {
    const Instant end = now.mono + d;
    while (gateway->next_timeout() <= end) {
      const Instant next = std::max(gateway->next_timeout(), now.mono);
      now.wall = now.wall + (next - now.mono);
      now.mono = next;
      Outcome out;
      gateway->on_timeout(now, out);
      take(out);
    }
    now.wall = now.wall + (end - now.mono);
    now.mono = end;
  }
  /// The next thing the client hears; empty: nothing.
  std::string next(uint32_t n) {
    auto& q = heard[n];
    if (q.empty()) return {};
    std::string text = std::move(q.front());
    q.pop_front();
    return text;
  }
  /// A member's text out of flat JSON.
  static std::string member(const std::string& text, const std::string& name) {
    const size_t at = text.find("\"" + name + "\":\"");
    if (at == std::string::npos) return {};
    const size_t begin = at + name.size() + 4;
    return text.substr(begin, text.find('"', begin) - begin);
  }
  /// The session token.
  std::string sign_in(uint32_t n, const std::string& user) {
    open(n);
    say(n,
        R"({"id":1,"op":"hello","versions":[1],"user":")" + user + R"(","password":"secret-)" + user + "\"}");
    const std::string welcome = next(n);
    EXPECT_THAT(welcome, testing::HasSubstr("\"ok\":true"));
    return member(welcome, "session");
  }

  /// Everything becomes bytes and another gateway, some time later. The clients' WebSockets are gone.
  void through_bytes(Duration away = seconds(2)) {
    std::vector<Gateway::Part> parts;
    gateway->snapshot(now, parts);
    gateway = std::make_unique<Gateway>(config, "one.test", mint, rng, counters);
    heard.clear();
    sip.clear();
    now = {{now.mono.ns / 2 + 5'000'000'000}, now.wall + away};
    for (const auto& p : parts) {
      Outcome out;
      EXPECT_TRUE(gateway->restore(now, p.bytes, out));
      take(out);
    }
  }
  std::string come_back(uint32_t n, const std::string& token) {
    open(n);
    say(n, R"({"id":1,"op":"hello","resume":")" + token + "\"}");
    return next(n);
  }

  // ---- the node's side
  struct Sent {
    sip::Message message;
    port::Path path;
    std::string text;
  };
  /// The next message a phone sent.
  Sent take_sip() {
    EXPECT_FALSE(sip.empty());
    port::Received r = std::move(sip.front());
    sip.pop_front();
    std::string text(r.bytes.text());
    return {std::move(sip::Message::parse(std::move(r.bytes)).value()), r.path, text};
  }
  void give(const port::Path& path, Buffer bytes) {
    Outcome out;
    gateway->on_sip(now, path.flow, std::move(bytes), out);
    take(out);
  }
  struct Header {
    std::string name, value;
  };
  void answer(const Sent& request, int status, const std::vector<Header>& headers = {},
              const std::string& sdp = {}) {
    sip::Writer w =
        sip::response_to(request.message, request.path.remote, status, status == 100 ? "" : "node-tag");
    if (request.message.method() == sip::Method::invite && status > 100 && status < 300)
      w.header(sip::HeaderId::contact, "<sip:192.0.2.1:5060>");
    for (const Header& h : headers) w.header(h.name, h.value);
    give(request.path,
         sdp.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(sdp)));
  }
  void challenge(const Sent& request, int status = 407) {
    answer(request, status,
           {{status == 407 ? "Proxy-Authenticate" : "WWW-Authenticate",
             R"(Digest realm="one.test", nonce="n1", algorithm=SHA-256, qop="auth")"}});
  }
  /// A request of the node to a phone. `tags`: of a dialog, the phone's and ours.
  void ask(const port::Path& path, const std::string& method, const std::string& call_id,
           const std::string& to_tag, uint32_t cseq, const std::string& type = {},
           const std::string& body = {}, const std::vector<Header>& headers = {}) {
    sip::Writer w = sip::Writer::request(method, "sip:1001@x.invalid");
    const std::string branch =
        "z9hG4bK" + call_id + std::to_string(cseq) + (method == "CANCEL" ? "INVITE" : method);
    w.header("Via", "SIP/2.0/WSS 192.0.2.1:5060;branch=" + branch)
        .header("Max-Forwards", "70")
        .header("From", "\"Bob\" <sip:1002@one.test>;tag=node-tag")
        .header("To", "<sip:1001@one.test>" + (to_tag.empty() ? std::string() : ";tag=" + to_tag))
        .header("Call-ID", call_id)
        .header("CSeq", std::to_string(cseq) + " " + method)
        .header("Contact", "<sip:192.0.2.1:5060>");
    for (const Header& h : headers) w.header(h.name, h.value);
    give(path, body.empty() ? std::move(w).finish() : std::move(w).body(type, as_bytes(body)));
  }
  /// A call from the client that is up; what was said meanwhile is taken. Returns its INVITE.
  Sent call_up(uint32_t n, const std::string& to = "1002") {
    say(n, R"({"id":9,"op":"call","to":")" + to + R"(","sdp":)" + quoted(offer_sdp) + "}");
    Sent invite = take_sip();
    answer(invite, 200, {}, answer_sdp);
    take_sip();  // ACK
    heard[n].clear();
    return invite;
  }
};

}  // namespace tandem::webrtc
