#pragma once
// A worker's transaction layer with the presence room on top; telephones are texts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sip/message.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "sip/writer.h"

namespace tandem::presence {

inline Now at(Duration since_start) {
  return {Instant{1'000'000'000'000} + since_start, WallTime{1'800'000'000'000'000'000} + since_start};
}

inline sip::Message message(std::string_view text) {
  auto parsed = sip::Message::parse(Buffer::copy_of(text));
  if (!parsed) ADD_FAILURE() << sip::to_string(parsed.reason()) << ": " << text;
  return std::move(parsed).value();
}

struct FixedSentBy final : sip::SentBy {
  std::string_view sent_by(const port::Path&) const override { return "192.0.2.1:5060"; }
};

class SipFlow : public ::testing::Test {
 protected:
  SipFlow() : mint({1, 2, 3}, 1, 1, rng), transactions(timers, {}, mint, sent_by, counters) {
    path.local = *SocketAddress::parse("192.0.2.1:5060");
    path.remote = *SocketAddress::parse("10.0.0.2:5060");
    path.flow = {1, 0, 1, 1};
  }

  /// To the room under test.
  virtual void dispatch(sip::TuEvent&& event) = 0;
  virtual void room_timeout() = 0;
  virtual Instant room_deadline() const = 0;

  static std::string head(const std::string& method, const std::string& uri, const std::string& from,
                          const std::string& to, const std::string& call_id, uint32_t cseq,
                          const std::string& to_tag = {}) {
    static int branch = 0;
    return method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKt" +
           std::to_string(++branch) + ";rport\r\nMax-Forwards: 70\r\nFrom: <sip:" + from +
           ">;tag=theirs\r\nTo: <sip:" + to + ">" + (to_tag.empty() ? "" : ";tag=" + to_tag) +
           "\r\nCall-ID: " + call_id + "\r\nCSeq: " + std::to_string(cseq) + " " + method +
           "\r\nContact: <sip:" + from.substr(0, from.find('@')) + "@10.0.0.2:5060>\r\n";
  }
  static std::string with_body(const std::string& type, const std::string& body) {
    return (body.empty() ? "" : "Content-Type: " + type + "\r\n") +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  void in(const std::string& text) {
    transactions.on_message(at(now), message(text), path, out, events);
    settle();
  }
  void settle() {
    for (size_t i = 0; i < events.size(); ++i) {
      sip::TuEvent e = std::move(events[i]);
      dispatch(std::move(e));
    }
    events.clear();
    for (port::Send& s : out.sends) sent.push_back(std::string(s.bytes.text()));
    out.sends.clear();
  }
  /// The next message that left; fails when there is none.
  sip::Message pop() {
    if (sent.empty()) {
      ADD_FAILURE() << "nothing was sent";
      return message(
          "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK0\r\nFrom: <sip:x>;tag=1\r\nTo: "
          "<sip:x>\r\n"
          "Call-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n");
    }
    sip::Message m = message(sent.front());
    sent.erase(sent.begin());
    return m;
  }
  int status() { return pop().status(); }
  void answer(const sip::Message& request, int code, const std::string& header = {}) {
    sip::Writer w = sip::response_to(request, *SocketAddress::parse("192.0.2.1:5060"), code, "theirs");
    if (!header.empty()) w.header(header.substr(0, header.find(':')), header.substr(header.find(':') + 2));
    in(std::string(std::move(w).finish().text()));
  }
  void pass(Duration d) {
    const Duration end = now + d;
    for (;;) {
      const Instant next = std::min(transactions.next_timeout(), room_deadline());
      if (next > at(end).mono) break;
      now = std::max(now, next - at(Duration{}).mono);
      if (transactions.next_timeout() <= at(now).mono) transactions.on_timeout(at(now), out, events);
      if (room_deadline() <= at(now).mono) room_timeout();
      settle();
    }
    now = end;
  }
  template <class Question>
  std::vector<Question> asked() const {
    std::vector<Question> found;
    for (const port::Asked& a : out.asks)
      if (const auto* q = std::get_if<Question>(&a.question)) found.push_back(*q);
    return found;
  }
  static std::string header(const sip::Message& m, sip::HeaderId id) {
    return std::string(m.header(id).value_or("(none)"));
  }

  SeededRng rng{1};
  CounterSet counters;
  sip::Timers timers;
  FixedSentBy sent_by;
  sip::TokenMint mint;
  sip::TransactionLayer transactions;
  port::Outbox out;
  port::Path path;
  std::vector<sip::TuEvent> events;
  std::vector<std::string> sent;
  Duration now{};
};

}  // namespace tandem::presence
