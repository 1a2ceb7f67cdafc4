#pragma once
// A switch of one worker on simulated time, with phones around it: each phone sends and receives SIP text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "call/call_layer.h"
#include "port/cdr.h"
#include "sip/headers.h"
#include "sip/message.h"
#include "sip/writer.h"
#include "unit/media/world.h"

namespace tandem::call::test {

inline const std::string domain = "example.org";

struct TestSentBy final : sip::SentBy {
  std::string_view sent_by(const port::Path&) const override { return "192.0.2.1:5060"; }
};
struct TestContacts final : ContactProvider {
  std::string contact_for(const port::Path&, std::string_view user) const override {
    return "<sip:" + (user.empty() ? "" : std::string(user) + "@") + "192.0.2.1:5060>";
  }
  bool is_local(std::string_view host) const override { return host == "192.0.2.1" || host == domain; }
  std::optional<port::AskBindings> gruu(const sip::Uri& uri) const override {
    const auto instance = uri.params.get("gr");
    if (!instance) return std::nullopt;
    return port::AskBindings{{std::string(uri.user), domain}, std::string(*instance)};
  }
};

inline std::string sdp(const std::string& address, const std::string& formats = "0 8 101",
                       const std::string& attributes = "") {
  return media::phone_sdp(address, formats, attributes);
}

/// Lines (BLF) as the shard of each address-of-record would keep them; shared by the workers of a test.
struct Lines {
  std::map<std::string, std::vector<port::LineCall>> at;
  void update(const port::LineUpdate& u) {
    auto& calls = at[u.aor.to_string()];
    std::erase_if(calls, [&](const port::LineCall& c) {
      return c.call_id == u.call.call_id && c.local_tag == u.call.local_tag;
    });
    if (u.call.state != port::LineCall::State::terminated) calls.push_back(u.call);
    if (calls.empty()) at.erase(u.aor.to_string());
  }
};

/// Seats as the owner of each trunk and domain would keep them; shared by the workers of a test.
struct Seats {
  std::map<port::SeatPool, std::set<uint64_t>> at;
  std::map<port::SeatPool, size_t> limits;
  bool silent = false;  // grants, but its answers are lost
  size_t taken() const {
    size_t n = 0;
    for (const auto& [pool, seats] : at) n += seats.size();
    return n;
  }
  size_t taken(const std::string& trunk) const {
    const auto it = at.find({port::SeatPool::Kind::trunk, trunk});
    return it == at.end() ? 0 : it->second.size();
  }
  port::Answer ask(const port::AskSeat& q) {
    auto& seats = at[q.pool];
    const auto limit = limits.find(q.pool);
    const bool full = limit != limits.end() && !seats.contains(q.seat) && seats.size() >= limit->second;
    if (!full) seats.insert(q.seat);
    if (silent) return port::AskFailure::timed_out;
    return port::SeatAnswer{full ? port::SeatAnswer::Verdict::full : port::SeatAnswer::Verdict::granted};
  }
  void update(const port::SeatUpdate& u) {
    for (const uint64_t seat : u.seats) u.held ? void(at[u.pool].insert(seat)) : void(at[u.pool].erase(seat));
  }
};

struct Switch {
  explicit Switch(CallConfig c = {}, port::PlanRows rows = {}, std::shared_ptr<Lines> shared = {},
                  uint64_t seed = 11, std::shared_ptr<media::FakePorts> shared_ports = {})
      : config(c),
        rng(seed),
        mint({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, c.node, c.epoch, rng),
        ports(shared_ports ? shared_ports : std::make_shared<media::FakePorts>()),
        lines(shared ? shared : std::make_shared<Lines>()) {
    set_rows(rows);
    for (const auto& e : plan->errors()) ADD_FAILURE() << e.table << " " << e.row << ": " << e.text;
    build();
  }
  void set_rows(const port::PlanRows& rows) {
    plan = route::Plan::compile(rows);
    seats->limits.clear();
    for (const auto& t : rows.trunks)
      if (t.max_calls) seats->limits[{port::SeatPool::Kind::trunk, t.name}] = t.max_calls;
    for (const auto& d : rows.domains)
      if (d.max_calls) seats->limits[{port::SeatPool::Kind::domain, d.name}] = d.max_calls;
  }
  void build() {
    engine = std::make_unique<media::Engine>(media::EngineConfig{}, *ports, rng, counters, media_keys);
    tx = std::make_unique<sip::TransactionLayer>(config.timers, sip::TransactionLimits{}, mint, sent_by,
                                                 counters);
    calls = std::make_unique<CallLayer>(CallLayer::Parts{*tx, mint, *engine, rng, counters, contacts}, config,
                                        plan);
    if (on_build) on_build();
  }

  /// Everything into bytes, everything destroyed, another monotonic origin, everything back.
  void reboot() {
    std::vector<std::string> parts, transactions;
    calls->snapshot(now, parts);
    tx->snapshot(now, transactions);
    out = port::Outbox{};
    calls.reset();
    tx.reset();
    engine.reset();
    *ports = media::FakePorts();
    askers.clear();
    seats->at.clear();  // the owner went down with everything else
    now.mono = {now.mono.ns / 3 + 777};
    build();
    for (const std::string& part : parts) ASSERT_TRUE(calls->restore(now, part, "", out));
    for (const std::string& part : transactions) {
      const auto restored = tx->restore(now, part);
      ASSERT_TRUE(restored.has_value());
      calls->adopt(*restored);
    }
    calls->resume(now, out);
    pump();
  }

  // ---- subscribers
  port::Subscriber& subscriber(const std::string& user) {
    auto& row = directory[user];
    row.aor = {user, domain};
    return row;
  }
  void bind(const std::string& user, const std::string& address) {
    port::Contact contact;
    contact.uri = "sip:" + user + "@" + address;
    contact.path.remote = *SocketAddress::parse(address);
    contact.path.local = *SocketAddress::parse("192.0.2.1:5060");
    contact.fixed = true;
    bindings[user].push_back(contact);
  }

  // ---- the wire
  port::Path path_from(const SocketAddress& remote) const {
    port::Path p;
    p.local = *SocketAddress::parse("192.0.2.1:5060");
    p.remote = remote;
    p.flow = {0, 0, 1, 1};
    if (const auto it = connections.find(remote); it != connections.end()) {
      p.transport = connection_transport;
      p.flow = it->second;
    }
    return p;
  }
  void inject(const SocketAddress& from, const std::string& text) {
    auto message = sip::Message::parse(Buffer::copy_of(text));
    ASSERT_TRUE(message.ok()) << sip::to_string(message.reason()) << "\n" << text;
    std::vector<sip::TuEvent> events;
    tx->on_message(now, std::move(*message), path_from(from), out, events);
    feed(events, from);
    pump();
  }
  /// What was sent under that id did not leave: its connection is gone.
  void fail(port::SendId send) {
    std::vector<sip::TuEvent> events;
    tx->on_send_failed(now, send, out, events);
    feed(events, {});
    pump();
  }
  void feed(std::vector<sip::TuEvent>& events, const SocketAddress& from) {
    for (sip::TuEvent& e : events) {
      Identity identity;
      if (e.kind == sip::TuEvent::Kind::request) {
        const auto user = users.find(from);
        if (user != users.end() && directory.count(user->second)) {
          identity.kind = Identity::Kind::subscriber;
          identity.subscriber = std::make_shared<const port::Subscriber>(directory[user->second]);
          identity.domain = domain;
        } else if (trunks.count(from)) {
          identity.kind = Identity::Kind::trunk;
          identity.trunk = trunks[from];
          identity.domain = domain;
        }
      }
      calls->on_sip(now, std::move(e), identity, out);
    }
  }
  void pump() {
    for (bool again = true; again;) {
      again = false;
      for (const auto& a : std::exchange(out.new_asks, {})) askers[a.id] = a.asker.object;
      if (!hold_asks) {
        auto asked = std::exchange(out.asks, {});
        for (auto& a : asked) {
          again = true;
          answer(a);
        }
      }
      for (auto& s : std::exchange(out.sends, {})) {
        if (lose && lose(s)) continue;
        sent[s.path.remote].push_back(std::string(s.bytes.text()));
        last_after = s.after;
      }
      for (auto& a : std::exchange(out.appends, {})) {
        auto cdr = port::decode(a.bytes);
        ASSERT_TRUE(cdr.has_value());
        cdrs.push_back(*cdr);
        last_commit = a.commit;
      }
      for (auto& u : std::exchange(out.lines, {})) lines->update(u);
      for (auto& u : std::exchange(out.seats, {})) seats->update(u);
      for (auto& n : std::exchange(out.trunk_news, {})) calls->on_trunk_news(n);
      for (auto& m : std::exchange(out.moves, {})) moves.push_back(std::move(m));
      for (const auto& e : std::exchange(out.events, {})) events_seen[std::string(e.name)]++;
      for (const auto& m : out.media.sends) ++media_sent[m.remote];
      out.media.clear();
      std::vector<media::MediaEvent> events;
      engine->take_events(events);
      for (const auto& e : events) {
        again = true;
        calls->on_media(now, e, out);
      }
    }
  }
  void answer(const port::Asked& a) {
    asked_questions.push_back(a.question);
    port::Answer reply = port::AskFailure::unavailable;
    if (const auto* s = std::get_if<port::AskSubscriber>(&a.question)) {
      if (fail_directory)
        reply = port::AskFailure::timed_out;
      else if (directory.count(s->aor.user))
        reply = std::make_shared<const port::Subscriber>(directory[s->aor.user]);
      else
        reply = port::NotFound{};
    } else if (const auto* b = std::get_if<port::AskBindings>(&a.question)) {
      port::BindingsAnswer found{bindings[b->aor.user]};
      if (!b->gruu.empty())
        std::erase_if(found.contacts, [&](const port::Contact& c) { return c.instance != b->gruu; });
      reply = found;
    } else if (const auto* l = std::get_if<port::AskLine>(&a.question)) {
      const auto it = lines->at.find(l->aor.to_string());
      reply = port::LineAnswer{it == lines->at.end() ? std::vector<port::LineCall>{} : it->second};
    } else if (const auto* q = std::get_if<port::AskSeat>(&a.question)) {
      reply = seats->ask(*q);
    } else if (const auto* d = std::get_if<port::AskDns>(&a.question)) {
      port::DnsAnswer dns;
      if (d->type == 1 && names.count(d->name))
        for (const auto& ip : names[d->name]) {
          port::DnsRecord r;
          r.type = 1;
          r.address = *IpAddress::parse(ip);
          r.ttl = 300;
          dns.records.push_back(r);
        }
      reply = dns;
    } else if (const auto* f = std::get_if<port::AskSound>(&a.question)) {
      const auto it = sounds.find(f->file.name);
      reply = it == sounds.end() ? port::SoundResult(Failure{port::SoundFailure::not_found})
                                 : port::SoundResult(it->second);
    } else if (std::holds_alternative<port::SetFeature>(a.question)) {
      reply = fail_directory ? port::Answer(port::AskFailure::unavailable) : port::Answer(port::Stored{1});
    } else if (others) {
      if (auto found = others(a.question)) reply = std::move(*found);
    }
    calls->on_answer(now, askers.at(a.id), a.id, reply, out);
  }

  void advance(Duration d) {
    const Instant end = now.mono + d;
    for (;;) {
      const Instant next = std::min({tx->next_timeout(), calls->next_timeout(), engine->next_timeout()});
      if (next > end) break;
      step_to(std::max(next, now.mono));
      std::vector<sip::TuEvent> events;
      tx->on_timeout(now, out, events);
      feed(events, {});
      calls->on_timeout(now, out);
      engine->on_timeout(now, out.media);
      pump();
    }
    step_to(end);
  }
  /// Until something is sent to that address, at most `limit`.
  void advance_until_sent(const SocketAddress& to, Duration limit) {
    const Instant end = now.mono + limit;
    while (sent[to].empty() && now.mono < end) {
      const Instant next = std::min({tx->next_timeout(), calls->next_timeout(), engine->next_timeout(), end});
      advance(std::max(next, now.mono) - now.mono);
    }
  }
  void step_to(Instant t) {
    now.wall = now.wall + (t - now.mono);
    now.mono = t;
  }

  uint64_t refused_replaces() const { return counters.total("call_replaces_refused_total"); }

  /// Time for everything that was left open (transactions, retransmissions) to end, then nothing may be left.
  void expect_empty() {
    advance(seconds(200));
    EXPECT_EQ(calls->call_count(), 0u);
    EXPECT_EQ(calls->leg_count(), 0u);
    EXPECT_EQ(calls->dialog_count(), 0u);
    EXPECT_EQ(calls->open_asks(), 0u);
    EXPECT_EQ(engine->size(), 0u);
    EXPECT_EQ(ports->open(), 0u);
    EXPECT_EQ(ports->wrong_closes, 0u);
    EXPECT_EQ(tx->server_count(), 0u);
    EXPECT_EQ(tx->client_count(), 0u);
    EXPECT_TRUE(lines->at.empty());
    EXPECT_EQ(seats->taken(), 0u);
    std::set<std::pair<uint64_t, uint32_t>> records;
    for (const auto& c : cdrs)
      EXPECT_TRUE(records.insert({c.key.call, c.key.pair}).second) << "a record twice";
  }

  CallConfig config;
  SeededRng rng;
  sip::TokenMint mint;
  CounterSet counters;
  TestSentBy sent_by;
  TestContacts contacts;
  std::shared_ptr<media::FakePorts> ports;
  std::shared_ptr<const route::Plan> plan;
  SeededRng key_rng{17};
  dtls::TwinEndpoint media_keys{key_rng};
  std::unique_ptr<media::Engine> engine;
  std::unique_ptr<sip::TransactionLayer> tx;
  std::unique_ptr<CallLayer> calls;
  port::Outbox out;
  Now now{{1'000'000'000'000}, {1'700'000'000'000'000'000}};

  std::map<std::string, port::Subscriber> directory;
  std::map<std::string, std::vector<port::Contact>> bindings;
  std::map<SocketAddress, std::string> users;
  std::map<SocketAddress, std::string> trunks;
  std::map<SocketAddress, port::FlowId> connections;  // everybody else speaks UDP
  port::Transport connection_transport = port::Transport::wss;
  std::map<std::string, std::vector<std::string>> names;
  std::map<std::string, port::SoundPtr> sounds;  // by the name of their file
  std::shared_ptr<Lines> lines;
  std::shared_ptr<Seats> seats = std::make_shared<Seats>();
  std::map<std::string, int> events_seen;
  std::map<SocketAddress, std::deque<std::string>> sent;
  std::vector<port::Cdr> cdrs;
  std::vector<port::CallMove> moves;
  std::vector<port::Question> asked_questions;
  std::map<port::AskId, uint64_t> askers;
  port::CommitId last_commit = 0, last_after = 0;
  std::function<bool(const port::Send&)> lose;
  std::function<void()> on_build;  // the engine is new
  std::function<std::optional<port::Answer>(const port::Question&)> others;
  std::map<SocketAddress, int> media_sent;  // packets of our own making (tones)
  bool hold_asks = false;
  bool fail_directory = false;
};

/// One dialog of a phone. Several may share a user; each has its own port.
struct Phone {
  Phone(Switch& the_switch, std::string the_user, const std::string& address, bool registered = true)
      : sw(&the_switch), user(std::move(the_user)), addr(*SocketAddress::parse(address)) {
    static int next = 1;
    serial = next++;
    if (!user.empty() && user.find("trunk:") != 0) {
      sw->subscriber(user);
      sw->users[addr] = user;
      if (registered) sw->bind(user, address);
    } else if (!user.empty()) {
      sw->trunks[addr] = user.substr(6);
    }
    tag = "tag" + std::to_string(serial);
    call_id = "call" + std::to_string(serial) + "@phone";
    media = addr.ip.to_string() + ":" + std::to_string(10000 + 2 * serial);
  }

  // ---- out
  std::string via() { return "SIP/2.0/UDP " + addr.to_string() + ";rport;branch=z9hG4bK" + branch; }
  std::string head(const std::string& method, const std::string& uri, uint32_t n) {
    return method + " " + uri + " SIP/2.0\r\nVia: " + via() + "\r\nMax-Forwards: 70\r\nFrom: <sip:" + user +
           "@" + domain + ">;tag=" + tag + "\r\nTo: <" + remote_uri + ">" +
           (peer_tag.empty() ? "" : ";tag=" + peer_tag) + "\r\nCall-ID: " + call_id +
           "\r\nCSeq: " + std::to_string(n) + " " + method + "\r\nContact: <sip:" + user + "@" +
           addr.to_string() + ">\r\n";
  }
  static std::string with_body(std::string head, const std::string& body,
                               const std::string& type = "application/sdp") {
    if (!body.empty()) head += "Content-Type: " + type + "\r\n";
    return head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  void send(const std::string& text) { sw->inject(addr, text); }
  void new_branch() { branch = std::to_string(serial) + "x" + std::to_string(++branches); }

  void invite(const std::string& to, const std::string& body, const std::string& headers = "") {
    new_branch();
    remote_uri = to.find("sip:") == 0 ? to : "sip:" + to + "@" + domain;
    invite_text = with_body(head("INVITE", remote_uri, ++cseq) + headers, body);
    invite_branch = branch;
    invite_cseq = cseq;
    send(invite_text);
  }
  void call(const std::string& to) { invite(to, sdp(media)); }
  void cancel() {
    branch = invite_branch;
    send(with_body(head("CANCEL", remote_uri, invite_cseq), ""));
  }
  /// A request inside the dialog.
  void request(const std::string& method, const std::string& body = "", const std::string& headers = "",
               const std::string& type = "application/sdp") {
    new_branch();
    if (method == "INVITE") {
      invite_branch = branch;
      invite_cseq = cseq + 1;
    }
    asked = with_body(head(method, target, ++cseq) + headers, body, type);
    send(asked);
  }
  /// The last of them, byte by byte.
  void again() { send(asked); }
  void ack(const std::string& body = "") {
    new_branch();
    send(with_body(head("ACK", target, invite_cseq), body));
  }
  void ack_failure() {  // of a non-2xx: the INVITE's own branch
    branch = invite_branch;
    send(with_body(head("ACK", remote_uri, invite_cseq), ""));
  }

  // ---- in
  bool quiet() const { return sw->sent[addr].empty(); }
  std::string pop() {
    auto& queue = sw->sent[addr];
    if (queue.empty()) {
      ADD_FAILURE() << user << " got nothing";
      return {};
    }
    last = queue.front();
    queue.pop_front();
    return last;
  }
  sip::Message parse(const std::string& text) {
    auto m = sip::Message::parse(Buffer::copy_of(text));
    if (!m.ok()) {
      ADD_FAILURE() << sip::to_string(m.reason()) << "\n" << text;
      return std::move(*sip::Message::parse(
          Buffer::copy_of(std::string_view("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP "
                                           "a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>\r\n"
                                           "Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"))));
    }
    return std::move(*m);
  }
  /// The next message is a response of this status (100 is skipped unless it is wanted).
  sip::Message expect(int status) {
    std::string text = pop();
    while (status != 100 && text.find("SIP/2.0 100") == 0) text = pop();
    sip::Message m = parse(text);
    EXPECT_EQ(m.status(), status) << text;
    if (m.is_response() && !m.to_tag().empty()) peer_tag = m.to_tag();
    if (const auto c = m.contact(); c.ok()) target = c->uri_text;
    return m;
  }
  /// The next message is a request of this method.
  sip::Message expect(const std::string& method) {
    const std::string text = pop();
    sip::Message m = parse(text);
    EXPECT_TRUE(m.is_request() && m.method_text() == method) << "wanted " << method << ", got\n" << text;
    if (m.is_request()) request_text = text;
    if (m.is_request() && m.method() == sip::Method::invite && m.to_tag().empty()) {  // called
      call_id = m.call_id();
      peer_tag = m.from_tag();
      remote_uri = m.from().ok() ? std::string(m.from()->uri_text) : "";
      invite_text = text;
    }
    if (const auto c = m.contact(); c.ok()) target = c->uri_text;
    return m;
  }
  void reply(const std::string& request_message, int status, const std::string& body = "",
             const std::string& headers = "", const std::string& with_tag = "") {
    const sip::Message m = parse(request_message);
    std::string text =
        "SIP/2.0 " + std::to_string(status) + " " + std::string(sip::default_reason(status)) + "\r\n";
    for (const auto& h : m.headers())
      if (h.id == sip::HeaderId::via || h.id == sip::HeaderId::from || h.id == sip::HeaderId::call_id ||
          h.id == sip::HeaderId::cseq)
        text += std::string(h.name) + ": " + std::string(h.value) + "\r\n";
    text += "To: " + std::string(m.header(sip::HeaderId::to).value_or(""));
    if (m.to_tag().empty() && status > 100) text += ";tag=" + (with_tag.empty() ? tag : with_tag);
    text += "\r\nContact: <sip:" + user + "@" + addr.to_string() + ">\r\n" + headers;
    send(with_body(text, body));
  }
  void ring() { reply(invite_text, 180); }
  void answer(const std::string& body = "") { reply(invite_text, 200, body.empty() ? sdp(media) : body); }
  void ok() { reply(request_text, 200); }
  void bye() { request("BYE"); }

  Switch* sw;
  std::string user;
  SocketAddress addr;
  int serial = 0;
  int branches = 0;
  std::string media;
  std::string tag, peer_tag, call_id, remote_uri, target, branch, invite_branch, asked, invite_text,
      request_text, last;
  uint32_t cseq = 0, invite_cseq = 0;
};

/// An offer like the phone's own, with another direction and the next version.
inline std::string directed(const std::string& body, const std::string& direction) {
  std::string text = body;
  text.replace(text.find("o=phone 1 1"), 11, "o=phone 1 2");
  return text + "a=" + direction + "\r\n";
}

/// A calls B and B answers.
inline void connect(Phone& a, Phone& b) {
  a.call(b.user);
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
}
/// A hangs up.
inline void hang_up(Phone& a, Phone& b) {
  a.bye();
  a.expect(200);
  b.expect("BYE");
  b.ok();
}

}  // namespace tandem::call::test
