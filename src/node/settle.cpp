// What goes out: questions find their answerer, lines and moves their worker, sends their commit. Runs after
// every input, until nothing is left that this worker can do for itself.
#include <algorithm>

#include "node/worker_impl.h"

namespace tandem::node {
namespace {

/// The shard whose worker answers; nothing: that is somebody else's to answer.
std::optional<uint16_t> asked_of_shard(const port::Question& question) {
  if (const auto* b = std::get_if<port::AskBindings>(&question)) return shard_of(b->aor);
  if (const auto* l = std::get_if<port::AskLine>(&question)) return shard_of(l->aor);
  if (const auto* s = std::get_if<port::AskSeat>(&question)) return sip::shard_of(s->pool.name);
  return std::nullopt;
}

}  // namespace

void Worker::Impl::settle(Now now) {
  do {
    settle_rooms(now);
    held.hold(now, out.sends);
  } while (settle_rtc(now));
  if (out.trace_sip) trace_sends(now);
}

void Worker::Impl::settle_rooms(Now now) {
  for (;;) {
    events(now);
    if (engine.has_events()) media_events(now);
    settle_asks(now);
    settle_lines(now);
    settle_mailboxes(now);
    settle_moves(now);
    settle_seats(now);
    settle_news();
    settle_relay_moves();
    if (local_answers.empty()) {
      if (pending.empty() && out.new_asks.empty() && out.lines.empty() && out.moves.empty() &&
          out.seats.empty() && out.trunk_news.empty() && out.mailboxes.empty())
        break;
      continue;
    }
    LocalAnswer local = std::move(local_answers.front());
    local_answers.pop_front();
    deliver_answer(now, local.id, local.asker, std::move(local.answer));
  }
}

void Worker::Impl::trace_sends(Now now) {
  for (; traced < out.sends.size(); ++traced)
    out.traces.push_back({true, out.sends[traced].path, now.wall, out.sends[traced].bytes.clone()});
}

/// The new questions are the last of out.asks; those before them wait for the driver already.
void Worker::Impl::settle_asks(Now now) {
  if (out.new_asks.empty()) return;
  const size_t first = out.asks.size() - out.new_asks.size();
  size_t kept = first;
  for (size_t i = 0; i < out.new_asks.size(); ++i) {
    port::Asked& asked = out.asks[first + i];
    const port::Outbox::NewAsk& ask = out.new_asks[i];
    // What is answered here and now cannot be late: it needs no line in the table and no timer.
    if (auto answer = own_answer(now, asked.question)) {
      local_answers.push_back({ask.id, ask.asker, std::move(*answer)});
      continue;
    }
    asks.add(ask);
    if (const auto shard = asked_of_shard(asked.question)) {
      const uint16_t owner = worker_of(*shard);
      out.mail(owner, std::make_unique<AskMail>(settings.index, asked.id, std::move(asked.question)));
      continue;
    }
    if (const auto* q = std::get_if<port::AskSubscriber>(&asked.question))
      subscriber_asks.emplace(asked.id, q->aor);
    if (const auto* q = std::get_if<port::SetFeature>(&asked.question))
      feature_asks.emplace(asked.id, q->aor);
    if (kept != first + i) out.asks[kept] = std::move(asked);
    ++kept;
  }
  out.asks.erase(out.asks.begin() + static_cast<std::ptrdiff_t>(kept), out.asks.end());
  out.new_asks.clear();
}

std::optional<port::Answer> Worker::Impl::own_answer(Now now, const port::Question& question) {
  if (const auto* q = std::get_if<port::AskSubscriber>(&question)) return subscribers.fresh(now, q->aor);
  const auto shard = asked_of_shard(question);
  if (!shard || worker_of(*shard) != settings.index) return std::nullopt;
  return answer_to(now, question);
}

/// To what is asked of this worker's shards.
port::Answer Worker::Impl::answer_to(Now now, const port::Question& question) {
  if (const auto* b = std::get_if<port::AskBindings>(&question)) return registrar.lookup(now, *b);
  if (const auto* l = std::get_if<port::AskLine>(&question)) return lines.calls(l->aor);
  if (const auto* s = std::get_if<port::AskSeat>(&question))
    return seats.ask(now.mono, *s, limits_of(s->pool));
  return port::AskFailure::refused;
}

void Worker::Impl::settle_lines(Now now) {
  while (!out.lines.empty()) {
    std::vector<port::LineUpdate> updates;
    updates.swap(out.lines);
    for (port::LineUpdate& u : updates) {
      const uint16_t owner = worker_of(shard_of(u.aor));
      if (owner == settings.index)
        line(now, u);
      else
        out.mail(owner, std::make_unique<LineMail>(std::move(u)));
    }
  }
}

void Worker::Impl::settle_mailboxes(Now now) {
  for (port::AddressOfRecord& aor : std::exchange(out.mailboxes, {})) {
    const uint16_t owner = worker_of(shard_of(aor));
    if (owner == settings.index)
      notifier.on_mailbox(now, aor, out);
    else
      out.mail(owner, std::make_unique<MailboxMail>(std::move(aor)));
  }
}

/// One mail for each other worker and wrong password; the ban that follows bounds them.
void Worker::Impl::auth_failed(Now now, const port::Path& path) {
  gate.note_auth_failure(now, path);
  for (uint16_t w = 0; w < settings.workers; ++w)
    if (w != settings.index) out.mail(w, std::make_unique<AuthFailureMail>(path));
}

/// Passwords are the same for SIP and TURN, and so is what becomes of who guesses them.
void Worker::Impl::turn_failures(Now now) {
  if (!turn) return;
  for (const SocketAddress& source : turn->take_failures()) {
    port::Path path;
    path.transport = port::Transport::udp;
    path.remote = source;
    auth_failed(now, path);
  }
}

void Worker::Impl::subscriber_changed(const port::AddressOfRecord& aor) {
  subscribers.forget(aor);
  for (uint16_t w = 0; w < settings.workers; ++w)
    if (w != settings.index) out.mail(w, std::make_unique<SubscriberChangedMail>(aor));
}

SeatDirectory::Limits Worker::Impl::limits_of(const port::SeatPool& pool) const {
  if (pool.kind == port::SeatPool::Kind::relay) return {settings.turn.allocations_per_user, 0};
  if (pool.kind == port::SeatPool::Kind::trunk) {
    const route::Trunk* trunk = plan->trunk(pool.name);
    return trunk ? SeatDirectory::Limits{trunk->row.max_calls, trunk->row.max_calls_per_second}
                 : SeatDirectory::Limits{};
  }
  const port::DomainRow* domain = plan->domain(pool.name);
  return domain ? SeatDirectory::Limits{domain->max_calls, 0} : SeatDirectory::Limits{};
}

void Worker::Impl::settle_seats(Now now) {
  for (port::SeatUpdate& u : std::exchange(out.seats, {})) {
    const uint16_t owner = worker_of(sip::shard_of(u.pool.name));
    if (owner == settings.index)
      seats.update(now.mono, u);
    else
      out.mail(owner, std::make_unique<SeatMail>(std::move(u)));
  }
}

void Worker::Impl::settle_news() {
  for (const port::TrunkNews& news : std::exchange(out.trunk_news, {})) {
    for (uint16_t w = 0; w < settings.workers; ++w)
      if (w != settings.index) out.mail(w, std::make_unique<TrunkMail>(news));
    trunk_news(news);
  }
}

void Worker::Impl::settle_relay_moves() {
  for (port::RelayMove& move : std::exchange(out.relay_moves, {})) {
    const uint16_t to = move.to_worker;
    if (to < settings.workers) out.mail(to, std::make_unique<RelayMail>(std::move(move)));
  }
}

void Worker::Impl::trunk_news(const port::TrunkNews& news) {
  calls.on_trunk_news(news);
  set_neighbours();
}

/// Trunks are no strangers to the flood filter.
void Worker::Impl::set_neighbours() {
  std::vector<IpPrefix> sources = plan->trunk_sources();
  const std::vector<IpPrefix> named = calls.trunk_addresses();
  sources.insert(sources.end(), named.begin(), named.end());
  gate.set_neighbours(std::move(sources));
}

void Worker::Impl::line(Now now, const port::LineUpdate& update) {
  lines.update(update);
  notifier.on_line(now, update.aor, lines.calls(update.aor), out);
}

void Worker::Impl::settle_moves(Now now) {
  while (!out.moves.empty()) {
    std::vector<port::CallMove> moves;
    moves.swap(out.moves);
    for (port::CallMove& move : moves) {
      if (move.to_worker == settings.index) {
        moved_here(now, settings.index, std::move(move));
        continue;
      }
      for (const std::string& name : move.local_tags) forwarder.add(name, move.to_worker);
      for (const std::string& name : move.branches) forwarder.add(name, move.to_worker);
      const uint16_t to = move.to_worker;
      out.mail(to, std::make_unique<MoveMail>(settings.index, std::move(move)));
    }
  }
}

void Worker::Impl::moved_here(Now now, uint16_t from, port::CallMove move) {
  // It may be coming back: what we forwarded for it is ours again.
  for (const std::string& name : move.local_tags) forwarder.remove(name);
  for (const std::string& name : move.branches) forwarder.remove(name);
  const bool restored = calls.restore(now, move.part, move.then, out);
  if (!restored)
    out.event(port::Level::error, "call.move_failed", 0, {{"from_worker", std::to_string(from)}});
  if (from == settings.index) return;
  MovedHere entry{from, move.local_tags, std::move(move.local_tags)};
  entry.names.insert(entry.names.end(), move.branches.begin(), move.branches.end());
  moved.push_back(std::move(entry));
  if (next_sweep.is_never()) next_sweep = now.mono + seconds(10);
}

void Worker::Impl::sweep_moved(Now) {
  // A call that moved here and ended: its first worker need not forward any more.
  std::erase_if(moved, [&](MovedHere& m) {
    const bool alive = std::any_of(m.tags.begin(), m.tags.end(), [&](const std::string& tag) {
      return calls.owns_dialog(tag) || forwarder.contains(tag);
    });
    if (!alive) out.mail(m.from, std::make_unique<ForgetMail>(std::move(m.names)));
    return !alive;
  });
}

void Worker::Impl::binding_changes(Now now, const registrar::BindingChanges& changes) {
  for (const registrar::BindingChange& change : changes) {
    notifier.on_registration(now, change.aor, change.contacts, out);
    if (change.kind == registrar::BindingChange::Kind::added) messages.on_registered(now, change.aor, out);
  }
}

/// Its calls are where its line says; whose contact a leg was is for each of them to see.
void Worker::Impl::phone_moved(Now now, const port::AddressOfRecord& aor, const port::Path& path) {
  const port::LineAnswer line = lines.calls(aor);
  if (line.calls.empty()) return;
  for (const port::Contact& contact : registrar.lookup(now, aor).contacts) {
    if (contact.path.flow != path.flow) continue;
    for (const port::LineCall& c : line.calls) {
      if (c.worker == settings.index)
        calls.phone_moved(now, c.call, c.local_tag, contact, out);
      else
        out.mail(c.worker, std::make_unique<PhoneMovedMail>(c.call, c.local_tag, contact));
    }
  }
}

// ---- mail ------------------------------------------------------------------------------------------------

void MessageMail::deliver(Now now, Worker& worker) {
  Worker::Impl& impl = *worker.impl_;
  // What was under way when its source was banned is too late.
  if (message.is_request() && impl.gate.refuses(now, path)) return;
  // It may have moved on since it was sent here. Its shard no longer says where it is: a call that moved here
  // is taken, not sent back to the worker that passed it on.
  if (const auto to = impl.moved_to(message))
    impl.out.mail(*to, std::make_unique<MessageMail>(std::move(message), path));
  else
    impl.take(now, std::move(message), path);
}

void AskMail::deliver(Now now, Worker& worker) {
  Worker::Impl& impl = *worker.impl_;
  impl.out.mail(from, std::make_unique<AnswerMail>(id, impl.answer_to(now, question)));
}

void FlowClosedMail::deliver(Now now, Worker& worker) { worker.impl_->flow_changed(now, event); }
void PhoneMovedMail::deliver(Now now, Worker& worker) {
  worker.impl_->calls.phone_moved(now, call, local_tag, contact, worker.impl_->out);
}
void AuthFailureMail::deliver(Now now, Worker& worker) { worker.impl_->gate.note_auth_failure(now, path); }
void SubscriberChangedMail::deliver(Now, Worker& worker) { worker.impl_->subscribers.forget(aor); }
void AnswerMail::deliver(Now now, Worker& worker) { worker.impl_->answer(now, id, std::move(answer)); }
void LineMail::deliver(Now now, Worker& worker) { worker.impl_->line(now, update); }
void MailboxMail::deliver(Now now, Worker& worker) {
  worker.impl_->notifier.on_mailbox(now, aor, worker.impl_->out);
}
void SeatMail::deliver(Now now, Worker& worker) { worker.impl_->seats.update(now.mono, update); }
void TrunkMail::deliver(Now, Worker& worker) { worker.impl_->trunk_news(news); }
void MoveMail::deliver(Now now, Worker& worker) { worker.impl_->moved_here(now, from, std::move(move)); }
void RelayMail::deliver(Now now, Worker& worker) {
  if (worker.impl_->turn) worker.impl_->turn->on_move(now, std::move(move), worker.impl_->out);
}
void ForwardMail::deliver(Now, Worker& worker) {
  for (std::string& name : names) worker.impl_->forwarder.add(std::move(name), to);
}
void ForgetMail::deliver(Now, Worker& worker) {
  for (const std::string& name : names) worker.impl_->forwarder.remove(name);
}

}  // namespace tandem::node
