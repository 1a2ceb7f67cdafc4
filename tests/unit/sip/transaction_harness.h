#pragma once
// A transaction layer on simulated time: texts go in, texts and event names come out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "sip/message.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "sip/writer.h"

namespace tandem::sip {

using Kind = TuEvent::Kind;

struct FixedSentBy final : SentBy {
  std::string_view sent_by(const port::Path& path) const override {
    return path.transport == port::Transport::tls ? "pbx.example.com:5061" : "192.0.2.10:5060";
  }
};

inline port::Path udp_path() {
  return {port::Transport::udp,
          0,
          {0, 0, 1, 1},
          *SocketAddress::parse("192.0.2.10:5060"),
          *SocketAddress::parse("198.51.100.7:5070")};
}
inline port::Path tcp_path() {
  return {port::Transport::tcp,
          0,
          {0, 0, 9, 3},
          *SocketAddress::parse("192.0.2.10:5060"),
          *SocketAddress::parse("198.51.100.7:40000")};
}

inline std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find("\r\n")));
}

inline Message parse_ok(std::string_view text) {
  auto m = Message::parse(Buffer::copy_of(text));
  EXPECT_TRUE(m.ok()) << to_string(m.reason()) << "\n" << text;
  return std::move(*m);
}

/// Request text of a peer. `via` is the whole Via value.
inline std::string peer_request(const std::string& method, const std::string& via,
                                const std::string& to_tag = "", uint32_t cseq = 1,
                                const std::string& call_id = "call-1@peer") {
  const std::string cseq_method = method;
  return method + " sip:1001@example.com SIP/2.0\r\nVia: " + via +
         "\r\nMax-Forwards: 70\r\nFrom: \"Al\" <sip:al@example.com>;tag=al\r\nTo: <sip:1001@example.com>" +
         (to_tag.empty() ? "" : ";tag=" + to_tag) + "\r\nCall-ID: " + call_id +
         "\r\nCSeq: " + std::to_string(cseq) + " " + cseq_method +
         "\r\nContact: <sip:al@198.51.100.7:5070>\r\nContent-Length: 0\r\n\r\n";
}
inline std::string udp_via(const std::string& branch = "z9hG4bKpeer1", const std::string& more = ";rport") {
  return "SIP/2.0/UDP 198.51.100.7:5070;branch=" + branch + more;
}
inline std::string tcp_via(const std::string& branch = "z9hG4bKpeer1") {
  return "SIP/2.0/TCP 198.51.100.7:5070;branch=" + branch;
}

/// What a transaction user gives: no Via.
inline OutgoingRequest own_request(Method method, const port::Path& path, size_t body = 0,
                                   uint32_t cseq = 1) {
  OutgoingRequest r;
  r.method = method;
  std::string text =
      std::string(to_string(method)) +
      " sip:bob@198.51.100.7:5070 SIP/2.0\r\nRoute: <sip:edge.example.com;lr>\r\nMax-Forwards: 70\r\n"
      "From: <sip:us@example.com>;tag=us\r\nTo: <sip:bob@example.com>\r\nCall-ID: out-1\r\nCSeq: " +
      std::to_string(cseq) + " " + std::string(to_string(method)) +
      "\r\nContact: <sip:us@192.0.2.10>\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n" +
      std::string(body, 'x');
  r.rest = Buffer::copy_of(text);
  r.path = path;
  r.user = {port::Asker::Room::call, 77, 5};
  r.shard = 321;
  return r;
}

/// The answer of a peer to a request text of ours.
inline std::string answer(const std::string& request, int status, const std::string& tag = "bob") {
  return std::string(
      response_to(parse_ok(request), *SocketAddress::parse("192.0.2.10:5060"), status, tag).finish().text());
}

struct Harness {
  explicit Harness(TransactionLimits limits = {}, TransactionPolicy policy = {},
                   int64_t origin_ms = 1'000'000, uint64_t seed = 7)
      : rng(seed), mint(test_key(), 3, 9, rng), layer(timers, limits, mint, sent_by, counters, policy) {
    now = {{origin_ms * 1'000'000}, {1'700'000'000'000'000'000}};
    start = now.mono;
  }
  static std::array<uint8_t, 16> test_key() {
    return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  }

  void in(std::string_view text, const port::Path& path) {
    layer.on_message(now, parse_ok(text), path, out, events);
    take_sends();
  }
  ClientTxId ask(OutgoingRequest r) {
    const ClientTxId id = layer.request(now, std::move(r), out);
    take_sends();
    return id;
  }
  void cancel(ClientTxId id, std::string_view reason = {}) {
    layer.cancel(now, id, out, reason);
    take_sends();
  }
  void respond(ServerTxId id, int status, const std::string& tag = "us", port::CommitId after = 0) {
    const Message* request = layer.request_of(id);
    ASSERT_NE(request, nullptr);
    layer.respond(now, id, response_to(*request, layer.path_of(id)->remote, status, tag).finish(), out,
                  after);
    take_sends();
  }
  void fail(port::SendId id) {
    layer.on_send_failed(now, id, out, events);
    take_sends();
  }
  /// Fires every timer at its own moment up to `later` from now.
  void run(Duration later) {
    const Instant end = now.mono + later;
    while (layer.next_timeout() <= end) {
      move_to(std::max(layer.next_timeout(), now.mono));
      layer.on_timeout(now, out, events);
      take_sends();
    }
    move_to(end);
  }
  void move_to(Instant t) {
    now.wall = now.wall + (t - now.mono);
    now.mono = t;
  }
  int64_t ms() const { return (now.mono - start).count() / 1'000'000; }

  void take_sends() {
    for (port::Send& s : out.sends) {
      log.emplace_back(ms(), first_line(s.bytes.text()));
      texts.emplace_back(s.bytes.text());
      sends.push_back(std::move(s));
    }
    out.sends.clear();
  }
  /// {ms, first line} of everything sent since the last call.
  std::vector<std::pair<int64_t, std::string>> sent() { return std::exchange(log, {}); }
  std::vector<int64_t> sent_at() {
    std::vector<int64_t> times;
    for (auto& [at, line] : sent()) times.push_back(at);
    return times;
  }
  std::vector<Kind> kinds() {
    std::vector<Kind> all;
    for (TuEvent& e : events) all.push_back(e.kind);
    last_events = std::exchange(events, {});
    return all;
  }
  const std::string& last_text() const { return texts.back(); }
  uint64_t counted(std::string_view name, std::string_view labels = "") const {
    for (const auto& e : counters.entries())
      if (e.name == name && (labels.empty() || e.labels == labels)) return e.counter.value();
    ADD_FAILURE() << "no counter " << name << " " << labels;
    return 0;
  }

  Timers timers;
  SeededRng rng;
  TokenMint mint;
  FixedSentBy sent_by;
  CounterSet counters;
  TransactionLayer layer;
  port::Outbox out;
  std::vector<TuEvent> events, last_events;
  Now now;
  Instant start;
  std::vector<std::pair<int64_t, std::string>> log;
  std::vector<std::string> texts;
  std::vector<port::Send> sends;
};

}  // namespace tandem::sip
