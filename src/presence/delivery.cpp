// Stored messages on their way: oldest first, one at a time, each forgotten by the store only after a contact
// took it.
#include <algorithm>

#include "presence/message_state.h"

namespace tandem::presence {

using Kind = sip::TuEvent::Kind;

void MessageCentre::on_registered(Now now, const port::AddressOfRecord& aor, port::Outbox& out) {
  deliver(now, aor, 0, out);
}

void MessageCentre::deliver(Now now, const port::AddressOfRecord& aor, uint32_t attempt, port::Outbox& out) {
  const std::string key = aor.to_string();
  if (const auto it = delivering_.find(key); it != delivering_.end()) {
    if (Delivery* d = deliveries_.find(it->second)) d->again = true;
    return;
  }
  const SlotId id = deliveries_.emplace();
  Delivery* d = deliveries_.find(id);
  if (!d) {
    limit_open_.add();
    return retry_later(now, aor, attempt);
  }
  d->aor = aor;
  d->attempt = attempt;
  delivering_.emplace(key, id);
  d->asking = out.ask(port::AskMessages{aor, config_.batch}, now.mono + config_.ask_timeout,
                      {port::Asker::Room::message, delivery_object(id)});
}

void MessageCentre::on_stored(Now now, SlotId id, Delivery& d, port::Answer& answer, port::Outbox& out) {
  if (auto* stored = std::get_if<port::MessagesAnswer>(&answer)) {
    d.messages = std::move(stored->messages);
    std::erase_if(d.messages, [&](const port::StoredMessage& m) { return taken_.contains(m.id); });
  } else if (std::holds_alternative<port::AskFailure>(answer)) {
    return give_up(now, id, d);
  }
  if (d.messages.empty()) return close(now, id, d, out);
  d.asking = out.ask(port::AskBindings{d.aor, {}}, now.mono + config_.ask_timeout,
                     {port::Asker::Room::message, delivery_object(id)});
}

void MessageCentre::on_ways(Now now, SlotId id, Delivery& d, port::Answer& answer, port::Outbox& out) {
  if (auto* bindings = std::get_if<port::BindingsAnswer>(&answer))
    d.contacts = std::move(bindings->contacts);
  else
    return give_up(now, id, d);
  if (d.contacts.empty()) return close(now, id, d, out);  // gone again; the next registration brings us back
  send_next(now, id, d, out);
}

void MessageCentre::send_next(Now now, SlotId id, Delivery& d, port::Outbox& out) {
  if (d.at >= d.messages.size()) {
    d.again = d.again || d.messages.size() >= config_.batch;  // there may be more
    return close(now, id, d, out);
  }
  d.taken = false;
  const uint16_t shard = sip::shard_of(d.aor.to_string());
  for (const port::Contact& contact : d.contacts)
    if (send(now, d.messages[d.at], contact, delivery_object(id), shard, true, out)) ++d.outstanding;
  if (d.outstanding == 0) give_up(now, id, d);
}

void MessageCentre::on_result(Now now, SlotId id, Delivery& d, const sip::TuEvent& event, port::Outbox& out) {
  const bool taken = event.kind == Kind::response && event.message && event.message->status() / 100 == 2;
  if (d.outstanding > 0) --d.outstanding;
  if (taken && !d.taken) {
    d.taken = true;
    delivered_.add();
    forget_stored(now, d.messages[d.at].id, d.aor, out);
  }
  // All contacts have the one before the next goes out: it arrives in order on each.
  if (d.outstanding > 0) return;
  if (!d.taken) return give_up(now, id, d);
  ++d.at;
  send_next(now, id, d, out);
}

/// Registered, but nobody took it: the messages stay where they are.
void MessageCentre::give_up(Now now, SlotId id, Delivery& d) {
  const port::AddressOfRecord aor = d.aor;
  const uint32_t attempt = d.at > 0 ? 0 : d.attempt;
  delivering_.erase(aor.to_string());
  deliveries_.erase(id);
  retry_later(now, aor, attempt + 1);
}

void MessageCentre::close(Now now, SlotId id, Delivery& d, port::Outbox& out) {
  const port::AddressOfRecord aor = d.aor;
  const bool again = d.again;
  delivering_.erase(aor.to_string());
  deliveries_.erase(id);
  if (again) deliver(now, aor, 0, out);
}

void MessageCentre::retry_later(Now now, const port::AddressOfRecord& aor, uint32_t attempt) {
  if (attempt >= config_.retries || retries_waiting_ >= config_.waiting_retries) {
    retries_dropped_.add();
    return;
  }
  ++retries_waiting_;
  timers_.push(now.mono + config_.first_retry * (int64_t{1} << attempt),
               {Timer::Kind::retry, {}, aor, attempt});
}

void MessageCentre::forget_stored(Now now, uint64_t stored_id, const port::AddressOfRecord& aor,
                                  port::Outbox& out) {
  taken_.emplace(stored_id, aor);
  if (deleting_ == 0) ask_deletions(now, out);
}

void MessageCentre::ask_deletions(Now now, port::Outbox& out) {
  if (deleting_ != 0 || taken_.empty()) return;
  deleting_ids_.clear();
  for (const auto& [id, aor] : taken_) deleting_ids_.push_back(id);
  std::sort(deleting_ids_.begin(), deleting_ids_.end());
  deleting_ = out.ask(port::DeleteMessages{deleting_ids_}, now.mono + config_.ask_timeout,
                      {port::Asker::Room::message, deletion_object});
}

}  // namespace tandem::presence
