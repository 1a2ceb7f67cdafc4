#pragma once
// What workers of one node say to each other. One-way: a worker never waits for another; an answer is a mail
// of its own.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "port/outbox.h"
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
  sip::Message message;
  port::Path path;
};

/// A question to the owner of an AOR, and the answer on its way back.
struct AskMail final : Mail {
  AskMail(uint16_t f, port::AskId i, port::Question q) : from(f), id(i), question(std::move(q)) {}
  void deliver(Now now, Worker& worker) override;
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
  port::Path path;
};

/// The row of a subscriber has changed: what is cached of it is old.
struct SubscriberChangedMail final : Mail {
  explicit SubscriberChangedMail(port::AddressOfRecord a) : aor(std::move(a)) {}
  void deliver(Now now, Worker& worker) override;
  port::AddressOfRecord aor;
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

}  // namespace tandem::node
