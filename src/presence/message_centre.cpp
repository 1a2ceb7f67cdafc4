#include "presence/message_centre.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "presence.pb.h"
#include "presence/message_state.h"
#include "sip/headers.h"
#include "sip/writer.h"

namespace tandem::presence {
namespace {

using Kind = sip::TuEvent::Kind;

/// A contact's answer that another try will not change (RFC 3261 section 21.4, 21.6).
bool is_refusal(int status) {
  constexpr std::array<int, 11> for_good = {403, 405, 406, 413, 415, 420, 488, 493, 600, 603, 606};
  return std::find(for_good.begin(), for_good.end(), status) != for_good.end();
}

/// Where to send: back the way it registered, or where its URI says it listens.
port::Path way_to(const port::Contact& contact) {
  port::Path path = contact.path;
  const auto uri = contact.fixed ? sip::Uri::parse("") : sip::Uri::parse(contact.uri);
  const auto ip = uri ? IpAddress::parse(uri->host) : std::nullopt;
  if (!ip) return path;
  const auto named = uri->params.get("transport");
  port::Transport transport = uri->scheme == sip::Scheme::sips ? port::Transport::tls : port::Transport::udp;
  if (named && iequals(*named, "tcp")) transport = port::Transport::tcp;
  if (named && iequals(*named, "tls")) transport = port::Transport::tls;
  if (transport != path.transport) path.flow = {};
  path.transport = transport;
  path.remote = {*ip, uri->port};
  if (uri->port == 0) path.remote.port = port::is_secure(transport) ? 5061 : 5060;
  return path;
}

/// RFC 1123 date (RFC 3261 section 20.17), days by the civil calendar.
std::string rfc1123(WallTime t) {
  static constexpr const char* day_names[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static constexpr const char* month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const int64_t total = std::max<int64_t>(t.unix_seconds(), 0);
  const int64_t days = total / 86400;
  const int64_t in_day = total % 86400;
  const int64_t shifted = days + 719468;  // from 0000-03-01
  const int64_t era = shifted / 146097;
  const int64_t of_era = shifted % 146097;
  const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t march_month = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  const auto two = [](int64_t n) { return std::string(n < 10 ? "0" : "") + std::to_string(n); };
  return std::string(day_names[days % 7]) + ", " + two(day) + " " + month_names[month - 1] + " " +
         std::to_string(year) + " " + two(in_day / 3600) + ":" + two(in_day / 60 % 60) + ":" +
         two(in_day % 60) + " GMT";
}

}  // namespace

MessageCentre::MessageCentre(MessageCentreConfig config, sip::TransactionLayer& transactions,
                             sip::TokenMint& mint, const sip::SentBy& sent_by, CounterSet& counters)
    : config_(config),
      transactions_(transactions),
      mint_(mint),
      sent_by_(sent_by),
      messages_(config.open),
      deliveries_(config.open),
      received_(counters.counter("messages_received_total", "MESSAGE requests accepted for delivery")),
      delivered_(counters.counter("messages_delivered_total", "Messages a contact took")),
      stored_count_(counters.counter("messages_stored_total", "Messages kept for someone who is away")),
      refused_(counters.counter("messages_refused_total", "MESSAGE requests refused")),
      late_(counters.counter("messages_late_total", "Messages that were stored and then taken after all")),
      limit_open_(
          counters.counter("messages_limits_total", "MESSAGE requests over a limit", R"(limit="open")")),
      limit_bytes_(
          counters.counter("messages_limits_total", "MESSAGE requests over a limit", R"(limit="bytes")")),
      deletions_failed_(
          counters.counter("messages_deletions_failed_total", "Deletions that will be tried again")),
      retries_(counters.counter("messages_retries_total", "Deliveries tried again")),
      retries_dropped_(counters.counter("messages_retries_dropped_total",
                                        "Retries given up; a registration starts them anew")) {}

MessageCentre::~MessageCentre() = default;

void MessageCentre::on_request(Now now, sip::TuEvent&& event, const port::SubscriberAnswer& who,
                               std::string_view domain, uint16_t shard, port::Outbox& out) {
  const sip::Message* request = transactions_.request_of(event.server);
  if (!request) return;
  Message fresh;
  fresh.server = event.server;
  fresh.shard = shard;
  const auto refuse = [&](int status) {
    refused_.add();
    answer_sender(now, fresh, status, out);
  };
  if (!who) return refuse(403);
  if (request->max_forwards() == 0u) return refuse(483);
  const auto uri = request->parsed_request_uri();
  if (!uri || !uri->is_sip()) return refuse(416);
  auto user = sip::unescape(uri->user);
  if (!user || user->empty()) return refuse(404);
  if (request->body().empty() || request->content_type().empty()) return refuse(400);
  if (request->body().size() > config_.body_bytes) {
    limit_bytes_.add();
    return refuse(413);
  }
  if (messages_.full()) {
    limit_open_.add();
    return refuse(503);
  }
  std::string host = lower(uri->host);
  if (!domain.empty()) host = domain;
  fresh.content.to = {std::move(*user), std::move(host)};
  if (uri->params.has("gr")) fresh.gruu = request->request_uri();
  fresh.content.from = "sip:" + sip::escape_user(who->aor.user) + "@" + who->aor.domain;
  const auto from = request->from();
  fresh.content.from_display =
      who->display_name.empty() && from ? std::string(from->display.substr(0, 64)) : who->display_name;
  fresh.content.content_type = request->header(sip::HeaderId::content_type).value_or("text/plain");
  fresh.content.body = request->body_text();
  fresh.content.received = now.wall;
  received_.add();
  const SlotId id = messages_.emplace(std::move(fresh));
  Message& m = *messages_.find(id);
  transactions_.set_user(m.server, {port::Asker::Room::message, message_object(id), 0});
  m.give_up = now.mono + config_.patience;
  timers_.push(m.give_up, {Timer::Kind::message, id, {}, 0});
  m.asking = out.ask(port::AskSubscriber{m.content.to}, now.mono + config_.ask_timeout,
                     {port::Asker::Room::message, message_object(id)});
}

void MessageCentre::on_sip(Now now, sip::TuEvent&& event, port::Outbox& out) {
  if (event.kind == Kind::request) {
    // A MESSAGE inside a dialog belongs to whoever owns the dialog.
    if (const sip::Message* request = transactions_.request_of(event.server)) {
      sip::Writer w =
          sip::response_to(*request, event.path.remote, 481, mint_.mint(sip::shard_of(request->call_id())));
      transactions_.respond(now, event.server, std::move(w).finish(), out);
    }
    return;
  }
  if (!event.client ||
      (event.kind != Kind::response && event.kind != Kind::timeout && event.kind != Kind::transport_failed))
    return;
  if (event.kind == Kind::response && event.message && event.message->status() < 200) return;
  const uint64_t object = event.user.object;
  const SlotId id = SlotId::unpack(object & ~delivery_bit);
  if (object & delivery_bit) {
    if (Delivery* d = deliveries_.find(id)) on_result(now, id, *d, event, out);
  } else if (Message* m = messages_.find(id)) {
    on_result(now, id, *m, event, out);
  }
}

void MessageCentre::on_answer(Now now, uint64_t object, port::AskId ask, port::Answer answer,
                              port::Outbox& out) {
  if (object == deletion_object) {
    if (ask != deleting_) return;
    deleting_ = 0;
    if (std::holds_alternative<port::AskFailure>(answer)) {
      deletions_failed_.add();
      timers_.push(now.mono + config_.ask_timeout, {Timer::Kind::deletion, {}, {}, 0});
    } else {
      for (uint64_t id : deleting_ids_) {
        auto taken = taken_.extract(id);
        if (!taken) continue;
        if (std::find(out.mailboxes.begin(), out.mailboxes.end(), taken.mapped()) == out.mailboxes.end())
          out.mailboxes.push_back(std::move(taken.mapped()));
      }
      deleting_ids_.clear();
      ask_deletions(now, out);
    }
    return;
  }
  const SlotId id = SlotId::unpack(object & ~delivery_bit);
  if (object & delivery_bit) {
    Delivery* d = deliveries_.find(id);
    if (!d || d->asking != ask) return;
    d->asking = 0;
    if (d->messages.empty()) return on_stored(now, id, *d, answer, out);
    return on_ways(now, id, *d, answer, out);
  }
  Message* m = messages_.find(id);
  if (!m) return;
  if (m->saving == ask) {
    m->saving = 0;
    return on_saved(now, id, *m, answer, out);
  }
  if (m->asking != ask) return;
  m->asking = 0;
  if (m->target_known) return on_contacts(now, id, *m, answer, out);
  on_target(now, id, *m, answer, out);
}

// ---- a message on its way

void MessageCentre::on_target(Now now, SlotId id, Message& m, const port::Answer& answer, port::Outbox& out) {
  if (!std::holds_alternative<port::SubscriberAnswer>(answer)) {
    const bool nobody = std::holds_alternative<port::NotFound>(answer);
    answer_sender(now, m, nobody ? 404 : 503, out);
    return finish_if_done(id, m);
  }
  m.target_known = true;
  m.asking = out.ask(port::AskBindings{m.content.to, m.gruu}, now.mono + config_.ask_timeout,
                     {port::Asker::Room::message, message_object(id)});
}

void MessageCentre::on_contacts(Now now, SlotId id, Message& m, const port::Answer& answer,
                                port::Outbox& out) {
  const auto* bindings = std::get_if<port::BindingsAnswer>(&answer);
  if (m.looking_again) {
    m.looking_again = false;
    // Whoever registered between our first look and the store having it found nothing there.
    const bool newcomer =
        bindings && std::any_of(bindings->contacts.begin(), bindings->contacts.end(), [&](const auto& c) {
          return std::find(m.tried.begin(), m.tried.end(), c.key) == m.tried.end();
        });
    const port::AddressOfRecord to = m.content.to;
    const bool tried = !m.tried.empty();
    finish_if_done(id, m);
    if (newcomer)
      deliver(now, to, 0, out);
    else if (tried || !bindings)
      retry_later(now, to, 0);
    return;
  }
  if (bindings)
    for (const port::Contact& contact : bindings->contacts) {
      m.tried.push_back(contact.key);
      if (send(now, m.content, contact, message_object(id), m.shard, false, out)) ++m.outstanding;
    }
  if (m.outstanding == 0) save(now, id, m, out);
}

void MessageCentre::on_result(Now now, SlotId id, Message& m, const sip::TuEvent& event, port::Outbox& out) {
  const int status = event.kind == Kind::response && event.message ? event.message->status() : 408;
  if (m.outstanding > 0) --m.outstanding;
  if (status / 100 == 2) {
    if (!m.delivered) delivered_.add();
    m.delivered = true;
    if (m.answered || m.saving != 0) late_.add();
    if (m.stored_id != 0) forget_stored(now, m.stored_id, m.content.to, out), m.stored_id = 0;
    answer_sender(now, m, 200, out);
  } else if (is_refusal(status)) {
    m.refusal = std::max(m.refusal, status);
  }
  if (m.outstanding == 0 && !m.delivered && !m.answered && m.saving == 0) {
    if (m.refusal != 0)
      answer_sender(now, m, m.refusal, out);
    else
      save(now, id, m, out);
  }
  finish_if_done(id, m);
}

void MessageCentre::save(Now now, SlotId id, Message& m, port::Outbox& out) {
  if (m.saving != 0 || m.answered) return;
  m.saving = out.ask(port::SaveMessage{m.content}, now.mono + config_.ask_timeout,
                     {port::Asker::Room::message, message_object(id)});
}

void MessageCentre::on_saved(Now now, SlotId id, Message& m, const port::Answer& answer, port::Outbox& out) {
  const auto* stored = std::get_if<port::Stored>(&answer);
  if (!stored) {
    if (m.outstanding == 0) answer_sender(now, m, 503, out);  // the sender knows that it has to try again
    return finish_if_done(id, m);
  }
  if (m.delivered) {  // a contact took it while the store was writing
    forget_stored(now, stored->id, m.content.to, out);
    return finish_if_done(id, m);
  }
  stored_count_.add();
  out.mailboxes.push_back(m.content.to);
  m.stored_id = stored->id;
  answer_sender(now, m, 202, out);
  m.looking_again = true;
  m.asking = out.ask(port::AskBindings{m.content.to, {}}, now.mono + config_.ask_timeout,
                     {port::Asker::Room::message, message_object(id)});
}

void MessageCentre::answer_sender(Now now, Message& m, int status, port::Outbox& out) {
  if (m.answered) return;
  m.answered = true;
  const sip::Message* request = transactions_.request_of(m.server);
  const port::Path* path = transactions_.path_of(m.server);
  if (!request || !path) return;
  sip::Writer w =
      sip::response_to(*request, path->remote, status, mint_.mint(sip::shard_of(request->call_id())));
  if (status == 503) w.header(sip::HeaderId::retry_after, "30");
  transactions_.respond(now, m.server, std::move(w).finish(), out);
}

void MessageCentre::finish_if_done(SlotId id, Message& m) {
  if (m.answered && m.outstanding == 0 && m.asking == 0 && m.saving == 0) messages_.erase(id);
}

// ---- sending, time, snapshot

sip::ClientTxId MessageCentre::send(Now now, const port::StoredMessage& message, const port::Contact& contact,
                                    uint64_t object, uint16_t shard, bool delayed, port::Outbox& out) {
  sip::Writer w = sip::Writer::request(sip::Method::message, contact.uri);
  w.header(sip::HeaderId::max_forwards, "70");
  for (const std::string& route : contact.route) w.header(sip::HeaderId::route, route);
  const std::string tag = mint_.mint(shard);
  if (message.from_display.empty())
    w.header(sip::HeaderId::from, {"<", message.from, ">;tag=", tag});
  else
    w.header(sip::HeaderId::from, {sip::quote(message.from_display), " <", message.from, ">;tag=", tag});
  w.header(sip::HeaderId::to, {"<sip:", sip::escape_user(message.to.user), "@", message.to.domain, ">"});
  w.header(sip::HeaderId::call_id, mint_.mint(shard));
  w.header(sip::HeaderId::cseq, "1 MESSAGE");
  if (delayed) w.header(sip::HeaderId::date, rfc1123(message.received));
  sip::OutgoingRequest request;
  request.method = sip::Method::message;
  request.rest = std::move(w).body(message.content_type, as_bytes(message.body));
  request.path = way_to(contact);
  request.user = {port::Asker::Room::message, object, 0};
  request.shard = shard;
  request.keep_transport = contact.fixed;
  return transactions_.request(now, std::move(request), out);
}

void MessageCentre::on_timeout(Now now, port::Outbox& out) {
  TimerQueue<Timer>::Due due;
  while (timers_.pop_due(now.mono, due)) {
    const Timer& timer = due.key;
    switch (timer.kind) {
      case Timer::Kind::message:
        if (Message* m = messages_.find(timer.id); m && m->give_up == due.deadline && !m->delivered)
          if (m->asking == 0 || m->target_known) save(now, timer.id, *m, out);
        break;
      case Timer::Kind::retry:
        --retries_waiting_;
        retries_.add();
        deliver(now, timer.aor, timer.attempt, out);
        break;
      case Timer::Kind::deletion:
        ask_deletions(now, out);
        break;
    }
  }
}

void MessageCentre::snapshot(Now, std::vector<Part>& parts) const {
  messages_.for_each([&](SlotId id, const Message& m) {
    if (m.answered || m.delivered) return;
    proto::OpenMessagePart part;
    part.set_object(message_object(id));
    part.set_user(m.content.to.user);
    part.set_domain(m.content.to.domain);
    part.set_from(m.content.from);
    part.set_from_display(m.content.from_display);
    part.set_content_type(m.content.content_type);
    part.set_body(m.content.body);
    part.set_received_wall_ns(m.content.received.ns);
    parts.push_back({sip::shard_of(m.content.to.to_string()), part.SerializeAsString()});
  });
}

bool MessageCentre::restore(Now now, std::string_view bytes) {
  proto::OpenMessagePart part;
  if (bytes.size() > 0x7fffffff || !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      part.user().empty())
    return false;
  const SlotId id = messages_.emplace();
  Message* m = messages_.find(id);
  if (!m) return false;
  m->content = {
      0,           {part.user(), part.domain()}, part.from(), part.from_display(), part.content_type(),
      part.body(), {part.received_wall_ns()}};
  m->target_known = true;
  m->tried.push_back({});  // somebody may have been tried
  m->give_up = now.mono;   // stored by the next on_timeout()
  timers_.push(m->give_up, {Timer::Kind::message, id, {}, 0});
  restored_.emplace(part.object(), id);
  return true;
}

void MessageCentre::adopt(const sip::TransactionLayer::Restored& restored) {
  const auto it = restored_.find(restored.user.object);
  if (it == restored_.end() || !restored.server) return;
  if (Message* m = messages_.find(it->second)) {
    m->server = restored.server;
    transactions_.set_user(m->server, {port::Asker::Room::message, message_object(it->second), 0});
  }
  restored_.erase(it);
}

}  // namespace tandem::presence
