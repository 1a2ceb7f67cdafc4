#pragma once
// A registrar, the phones that talk to it and the time between them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "registrar/registrar.h"

namespace tandem::registrar {

inline Now at(Duration since_start) {
  return {Instant{1'000'000'000'000} + since_start, WallTime{1'800'000'000'000'000'000} + since_start};
}

inline sip::Message message(const std::string& text) {
  auto parsed = sip::Message::parse(Buffer::copy_of(text));
  if (!parsed) ADD_FAILURE() << sip::to_string(parsed.reason()) << ": " << text;
  return std::move(parsed).value();
}

class RegistrarFlow : public ::testing::Test {
 protected:
  RegistrarFlow() {
    config.domains = {{"example.com", {"192.0.2.1", "sip.example.com"}}, {"other.org", {}}};
    config.gruu_key[0] = 9;
    config.boot = {1, 7};
    alice.aor = {"1001", "example.com"};
    path.remote = *SocketAddress::parse("10.0.0.1:5060");
    path.local = *SocketAddress::parse("192.0.2.1:5060");
    path.flow = {1, 0, 3, 1};
    build();
  }
  void build() { registrar = std::make_unique<Registrar>(config, rng, counters); }

  struct Options {
    std::string uri = "sip:example.com";
    std::string to = "<sip:1001@example.com>";
    std::string call_id = "call-1";
    std::string via = "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1;rport";
    uint32_t cseq = 0;  // 0: the next
  };
  /// REGISTER with these further headers; gives the status.
  int send(const std::string& headers, const Options& o) {
    const uint32_t cseq = o.cseq ? o.cseq : ++last_cseq;
    const sip::Message request =
        message("REGISTER " + o.uri + " SIP/2.0\r\nVia: " + o.via +
                "\r\nFrom: <sip:1001@example.com>;tag=f\r\nTo: " + o.to + "\r\nCall-ID: " + o.call_id +
                "\r\nCSeq: " + std::to_string(cseq) + " REGISTER\r\nMax-Forwards: 70\r\n" + headers +
                "Content-Length: 0\r\n\r\n");
    changes.clear();
    Registrar::Reply reply = registrar->on_register(at(now), request, path, alice, out, changes);
    response = std::make_unique<sip::Message>(message(std::string(reply.response.text())));
    EXPECT_EQ(response->status(), reply.status);
    return reply.status;
  }
  int send(const std::string& headers) { return send(headers, Options{}); }

  /// The Contact values of the last response.
  std::vector<std::string> contacts() const {
    std::vector<std::string> found;
    response->for_each_value(sip::HeaderId::contact, [&](std::string_view v) { found.emplace_back(v); });
    return found;
  }
  std::string header(sip::HeaderId id) const { return std::string(response->header(id).value_or("(none)")); }
  std::vector<std::string> uris() {
    std::vector<std::string> found;
    for (const port::Contact& c : registrar->lookup(at(now), alice.aor).contacts) found.push_back(c.uri);
    return found;
  }
  port::Contact only() {
    const auto found = registrar->lookup(at(now), alice.aor).contacts;
    EXPECT_EQ(found.size(), 1u);
    return found.empty() ? port::Contact{} : found[0];
  }
  /// Lets time pass, timers included.
  void pass(Duration d) {
    changes.clear();
    const Duration end = now + d;
    for (Instant next; (next = registrar->next_timeout()) <= at(end).mono;) {
      now = std::max(now, next - at(Duration{}).mono);
      registrar->on_timeout(at(now), out, changes);
    }
    now = end;
  }
  std::vector<port::SaveBindings> take_saves() {
    std::vector<port::SaveBindings> saves;
    last_asked.clear();
    for (size_t i = 0; i < out.asks.size(); ++i) {
      last_asked.push_back({out.asks[i].id, out.new_asks[i].asker.object});
      if (auto* save = std::get_if<port::SaveBindings>(&out.asks[i].question))
        saves.push_back(std::move(*save));
    }
    out.asks.clear();
    out.new_asks.clear();
    return saves;
  }
  void answer_all(const port::Answer& answer) {
    for (const auto& [id, object] : last_asked)
      registrar->on_answer(at(now), id, object, answer, out, changes);
  }
  /// "added 1001@example.com 1"
  std::vector<std::string> changed() const {
    static const char* kinds[] = {"added", "refreshed", "removed"};
    std::vector<std::string> text;
    for (const BindingChange& c : changes)
      text.push_back(std::string(kinds[static_cast<size_t>(c.kind)]) + " " + c.aor.to_string() + " " +
                     std::to_string(c.contacts));
    return text;
  }

  using Strings = std::vector<std::string>;
  Config config;
  SeededRng rng{1};
  CounterSet counters;
  Duration now{};
  port::Path path;
  port::Subscriber alice;
  port::Outbox out;
  std::unique_ptr<Registrar> registrar;
  std::unique_ptr<sip::Message> response;
  BindingChanges changes;
  uint32_t last_cseq = 0;
  std::vector<std::pair<port::AskId, uint64_t>> last_asked;
};

}  // namespace tandem::registrar
