// rooms: sip
// What the transaction layer costs a call: INVITE, 100, 180, 200, ACK, BYE, 200 between a client layer and a
// server layer over UDP, timers included (simulated time passes, so that every transaction also ends). Four
// transactions a round. The parser's share of the same messages is printed beside it.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "sip/message.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "sip/writer.h"

namespace {

using namespace tandem;
using namespace tandem::sip;

struct FixedSentBy final : SentBy {
  std::string_view sent_by(const port::Path&) const override { return "192.0.2.10:5060"; }
};

std::string own_text(std::string_view method, uint32_t call, uint32_t cseq, std::string_view body) {
  std::string text(method);
  text +=
      " sip:1001@198.51.100.7:5070 SIP/2.0\r\nMax-Forwards: 70\r\nFrom: \"Alice\" "
      "<sip:1002@example.com>;tag=a73kszlfl\r\n"
      "To: <sip:1001@example.com>\r\nCall-ID: ";
  text += std::to_string(call);
  text += "-f81d4fae7dec11d0@192.0.2.10\r\nCSeq: " + std::to_string(cseq) + " ";
  text += method;
  text +=
      "\r\nContact: <sip:1002@192.0.2.10:5060>\r\nUser-Agent: bench\r\nAllow: INVITE, ACK, CANCEL, BYE, "
      "OPTIONS\r\n"
      "Supported: replaces, timer\r\n";
  if (!body.empty()) text += "Content-Type: application/sdp\r\n";
  text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  text += body;
  return text;
}

const std::string sdp =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0 8 "
    "101\r\n"
    "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 "
    "0-16\r\n";

struct Side {
  Side() : rng(1), mint({1, 2, 3}, 1, 1, rng), layer(timers, {}, mint, sent_by, counters) {}
  Timers timers;
  SeededRng rng;
  TokenMint mint;
  FixedSentBy sent_by;
  CounterSet counters;
  TransactionLayer layer;
  port::Outbox out;
  std::vector<TuEvent> events;
};

struct Call {
  Call() {
    path.remote = *SocketAddress::parse("198.51.100.7:5070");
    path.flow = {0, 0, 1, 1};
  }
  /// Moves what `from` sent to `to`. Parsing is part of the round.
  void carry(Side& from, Side& to) {
    for (port::Send& s : from.out.sends) {
      ++messages;
      to.layer.on_message(now, std::move(*Message::parse(std::move(s.bytes))), path, to.out, to.events);
    }
    from.out.sends.clear();
  }
  void request(Method method, uint32_t cseq, std::string_view body) {
    OutgoingRequest r;
    r.method = method;
    r.rest = Buffer::copy_of(own_text(to_string(method), number, cseq, body));
    r.path = path;
    if (method == Method::ack)
      client.layer.send_stateless(now, std::move(r), client.out);
    else
      client.layer.request(now, std::move(r), client.out);
    carry(client, server);
  }
  void answer(int status) {
    const ServerTxId id = server.events.front().server;
    server.layer.respond(now, id,
                         response_to(*server.layer.request_of(id), path.remote, status, "b41ksd9").finish(),
                         server.out);
    carry(server, client);
  }
  void round() {
    ++number;
    request(Method::invite, 1, sdp);
    answer(180);
    answer(200);
    server.events.clear();
    request(Method::ack, 1, {});
    server.events.clear();
    request(Method::bye, 2, {});
    answer(200);
    server.events.clear();
    client.events.clear();
    pass(milliseconds(10));  // 100 calls a second: 3,200 calls linger at any moment
  }
  void pass(Duration d) {
    now.mono = now.mono + d;
    for (Side* side : {&client, &server}) {
      if (side->layer.next_timeout() <= now.mono) side->layer.on_timeout(now, side->out, side->events);
      side->events.clear();
    }
  }

  Side client, server;
  port::Path path;
  Now now;
  uint32_t number = 0;
  uint64_t messages = 0;
};

void call_round(benchmark::State& state) {
  Call call;
  for (int i = 0; i < 5000; ++i) call.round();
  call.messages = 0;
  for (auto _ : state) call.round();
  state.SetItemsProcessed(4 * state.iterations());  // transactions
  state.counters["messages/round"] =
      static_cast<double>(call.messages) / static_cast<double>(state.iterations());
  state.counters["alive"] =
      static_cast<double>(call.client.layer.client_count() + call.server.layer.server_count());
}
BENCHMARK(call_round)->Unit(benchmark::kMicrosecond);

void parse_only(benchmark::State& state) {
  std::string text = own_text("INVITE", 1, 1, sdp);
  text.insert(text.find("\r\n") + 2,
              "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKAbCdEfGhIjKlMnOpQrStUv;rport\r\n");
  for (auto _ : state) {
    auto m = Message::parse(Buffer::copy_of(text));
    benchmark::DoNotOptimize(m->method());
  }
}
BENCHMARK(parse_only)->Unit(benchmark::kMicrosecond);

void build_response(benchmark::State& state) {
  std::string text = own_text("INVITE", 1, 1, sdp);
  text.insert(text.find("\r\n") + 2,
              "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKAbCdEfGhIjKlMnOpQrStUv;rport\r\n");
  const auto m = Message::parse(Buffer::copy_of(text));
  const SocketAddress source = *SocketAddress::parse("198.51.100.7:5070");
  for (auto _ : state) {
    Buffer b = response_to(*m, source, 200, "b41ksd9").finish();
    benchmark::DoNotOptimize(b.data());
  }
}
BENCHMARK(build_response)->Unit(benchmark::kMicrosecond);

void own_request_text(benchmark::State& state) {
  for (auto _ : state) {
    Buffer b = Buffer::copy_of(own_text("INVITE", 1, 1, sdp));
    benchmark::DoNotOptimize(b.data());
  }
}
BENCHMARK(own_request_text)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
