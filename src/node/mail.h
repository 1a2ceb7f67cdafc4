#pragma once
// What workers of one node say to each other. One-way: a worker never waits for another; an answer is a mail
// of its own.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "call/call_layer.h"
#include "port/outbox.h"
#include "port/websocket.h"
#include "sip/message.h"

namespace tandem::node {

class Worker;

/// Every mail of this room knows what to do on arrival.
struct Mail : port::MailBody {
  virtual void deliver(Now now, Worker& worker) = 0;
};

/// A SIP message that arrived at one worker and belongs to another.
struct MessageMail final : Mail {
  MessageMail(sip::Message m, port::Path p) : message(std::move(m)), path(std::move(p)) {}
  void deliver(Now now, Worker& worker) override;
  bool may_be_lost() const override { return true; }
  sip::Message message;
  port::Path path;
};

/// A question to the owner of an AOR, and the answer on its way back.
struct AskMail final : Mail {
  AskMail(uint16_t f, port::AskId i, port::Question q) : from(f), id(i), question(std::move(q)) {}
  void deliver(Now now, Worker& worker) override;
  bool may_be_lost() const override { return true; }
  uint16_t from;
  port::AskId id;
  port::Question question;
};
struct AnswerMail final : Mail {
  AnswerMail(port::AskId i, port::Answer a) : id(i), answer(std::move(a)) {}
  void deliver(Now now, Worker& worker) override;
  port::AskId id;
  port::Answer answer;
};

/// Wrong credentials came from there: whichever worker hears the source next must know.
struct AuthFailureMail final : Mail {
  explicit AuthFailureMail(port::Path p) : path(std::move(p)) {}
  void deliver(Now now, Worker& worker) override;
  bool may_be_lost() const override { return true; }
  port::Path path;
};

/// The row of a subscriber has changed: what is cached of it is old.
struct SubscriberChangedMail final : Mail {
  explicit SubscriberChangedMail(port::AddressOfRecord a) : aor(std::move(a)) {}
  void deliver(Now now, Worker& worker) override;
  port::AddressOfRecord aor;
};

/// A connection has gone; its worker alone heard of it, and whose contact it was is another's to know.
struct FlowClosedMail final : Mail {
  explicit FlowClosedMail(port::FlowEvent e) : event(std::move(e)) {}
  void deliver(Now now, Worker& worker) override;
  port::FlowEvent event;
};

/// A phone has registered over another connection than before: the leg of this call's with that tag of ours,
/// if it is that phone's, goes there from now on.
struct PhoneMovedMail final : Mail {
  PhoneMovedMail(call::CallId c, std::string t, port::Contact to)
      : call(c), local_tag(std::move(t)), contact(std::move(to)) {}
  void deliver(Now now, Worker& worker) override;
  call::CallId call;
  std::string local_tag;
  port::Contact contact;
};

struct LineMail final : Mail {
  explicit LineMail(port::LineUpdate u) : update(std::move(u)) {}
  void deliver(Now now, Worker& worker) override;
  port::LineUpdate update;
};

struct MailboxMail final : Mail {
  explicit MailboxMail(port::AddressOfRecord a) : aor(std::move(a)) {}
  void deliver(Now now, Worker& worker) override;
  port::AddressOfRecord aor;
};

struct SeatMail final : Mail {
  explicit SeatMail(port::SeatUpdate u) : update(std::move(u)) {}
  void deliver(Now now, Worker& worker) override;
  port::SeatUpdate update;
};
struct TrunkMail final : Mail {
  explicit TrunkMail(port::TrunkNews n) : news(std::move(n)) {}
  void deliver(Now now, Worker& worker) override;
  port::TrunkNews news;
};

/// A WebSocket of the JSON API opened, said something or closed, at another worker than its subscriber's.
struct WebMail final : Mail {
  enum class Kind : uint8_t { opened, text, closed };
  WebMail(Kind k, port::Path p, Buffer b) : kind(k), path(std::move(p)), bytes(std::move(b)) {}
  void deliver(Now now, Worker& worker) override;
  bool may_be_lost() const override { return kind == Kind::text; }
  Kind kind;
  port::Path path;
  Buffer bytes;
};
/// Something happened on a WebSocket of a signalling channel, at another worker than the channel's.
struct ChannelMail final : Mail {
  explicit ChannelMail(port::WebSocketEvent e) : event(std::move(e)) {}
  void deliver(Now now, Worker& worker) override;
  port::WebSocketEvent event;
};
/// As Worker::end_guests().
struct ChannelEndMail final : Mail {
  ChannelEndMail(std::string c, std::string k) : channel(std::move(c)), access_key(std::move(k)) {}
  void deliver(Now now, Worker& worker) override;
  std::string channel, access_key;
};

/// A message for an inner flow, whose telephone is at that worker; and what comes back when it is not.
struct InnerMail final : Mail {
  InnerMail(uint16_t f, port::Send s) : from(f), send(std::move(s)) {}
  void deliver(Now now, Worker& worker) override;
  uint16_t from;
  port::Send send;
};
struct InnerFailedMail final : Mail {
  explicit InnerFailedMail(port::SendId s) : send(s) {}
  void deliver(Now now, Worker& worker) override;
  port::SendId send;
};

/// A call moves here, and its old worker forwards what still arrives there until ForgetMail comes back.
struct MoveMail final : Mail {
  MoveMail(uint16_t f, port::CallMove m) : from(f), move(std::move(m)) {}
  void deliver(Now now, Worker& worker) override;
  uint16_t from;
  port::CallMove move;
};
/// After a restore: calls that live at `to` though their names say they live here.
struct ForwardMail final : Mail {
  ForwardMail(uint16_t t, std::vector<std::string> n) : to(t), names(std::move(n)) {}
  void deliver(Now now, Worker& worker) override;
  uint16_t to;
  std::vector<std::string> names;
};
struct ForgetMail final : Mail {
  explicit ForgetMail(std::vector<std::string> n) : names(std::move(n)) {}
  void deliver(Now now, Worker& worker) override;
  std::vector<std::string> names;
};

/// A TURN allocation on its way to where its client is now.
struct RelayMail final : Mail {
  explicit RelayMail(port::RelayMove m) : move(std::move(m)) {}
  void deliver(Now now, Worker& worker) override;
  port::RelayMove move;
};

}  // namespace tandem::node
