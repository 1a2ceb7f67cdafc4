#include "store/store_desk.h"

#include <algorithm>
#include <memory>

namespace tandem::store {

using port::AskFailure;
using Kind = port::StoreError::Kind;

namespace {

/// The asker of these has been told that it failed, or will ask again; the others must not be lost.
bool is_worth_doing_late(const port::Question& q) {
  return std::holds_alternative<port::SaveBindings>(q) || std::holds_alternative<port::DeleteMessages>(q) ||
         std::holds_alternative<port::LeaveVoicemail>(q) || std::holds_alternative<port::MarkVoicemail>(q) ||
         std::holds_alternative<port::RemoveVoicemail>(q);
}

}  // namespace

StoreDesk::StoreDesk(port::Directory& directory, StoreDeskOptions options, CounterSet& counters,
                     EventSink events, StoreListener* listener)
    : directory_(directory),
      options_(options),
      events_(std::move(events)),
      listener_(listener),
      asks_(counters.counter("store_asks_total", "questions worked on")),
      late_(counters.counter("store_asks_late_total", "questions dropped because their deadline had passed")),
      failures_(counters.counter("store_failures_total", "questions the directory could not answer")),
      dropped_(counters.counter("store_bindings_dropped_total",
                                "binding changes dropped while the directory was away")),
      replaced_(counters.counter("store_bindings_replaced_total",
                                 "binding changes overtaken before they were written")),
      left_(counters.counter("voicemails_left_total", "voice messages put into a mailbox")),
      refused_full_(counters.counter("voicemails_refused_total",
                                     "voice messages that came to no mailbox, their files removed",
                                     "reason=\"full\"")),
      refused_lost_(counters.counter("voicemails_refused_total",
                                     "voice messages that came to no mailbox, their files removed",
                                     "reason=\"store\"")) {}

void StoreDesk::ask(Instant now, uint16_t worker, port::Asked asked, std::vector<Answered>& out) {
  if (asked.deadline <= now && !is_worth_doing_late(asked.question)) {
    late_.add();
    out.push_back({worker, asked.id, AskFailure::timed_out});
    return;
  }
  asks_.add();
  if (auto* save = std::get_if<port::SaveBindings>(&asked.question)) {
    gather(now, {worker, asked.id}, std::move(*save), out);
    return;
  }
  // What is read is never older than what was asked to be written before.
  if (std::holds_alternative<port::AskStoredBindings>(asked.question)) write_bindings(now, out);
  out.push_back({worker, asked.id, answer(now, asked.question)});
}

void StoreDesk::gather(Instant now, Asker asker, port::SaveBindings save, std::vector<Answered>& out) {
  const auto found = unwritten_.find(save.aor);
  if (found == unwritten_.end() && unwritten_.size() >= options_.max_unwritten) {
    dropped_.add();
    out.push_back({asker.worker, asker.id, AskFailure::refused});
    return;
  }
  if (found != unwritten_.end()) {
    replaced_.add();
    found->second.save = std::move(save);
    found->second.askers.push_back(asker);
  } else {
    port::AddressOfRecord aor = save.aor;
    unwritten_.emplace(std::move(aor), Unwritten{std::move(save), {asker}});
  }
  if (write_at_.is_never()) write_at_ = now + options_.gather;
  if (!failing_ && unwritten_.size() >= options_.batch) write_bindings(now, out);
}

Instant StoreDesk::next_timeout() const { return std::min(write_at_, save_at_); }

void StoreDesk::on_timeout(Instant now, std::vector<Answered>& out) {
  if (now >= write_at_) write_bindings(now, out);
  if (now >= save_at_) save_waiting(now);
}

void StoreDesk::close(Instant now, std::vector<Answered>& out) {
  write_bindings(now, out);
  save_waiting(now);
}

void StoreDesk::write_bindings(Instant now, std::vector<Answered>& out) {
  write_at_ = Instant::never();
  while (!unwritten_.empty()) {
    std::vector<port::SaveBindings> batch;
    for (auto it = unwritten_.begin(); it != unwritten_.end() && batch.size() < options_.batch; ++it)
      batch.push_back(it->second.save);
    const auto saved = directory_.save_bindings(batch);
    const port::Answer result = saved ? port::Answer(port::Stored{}) : failure(saved.reason());
    for (const port::SaveBindings& save : batch) {
      const auto it = unwritten_.find(save.aor);
      for (const Asker& a : it->second.askers) out.push_back({a.worker, a.id, result});
      it->second.askers.clear();
      if (saved) unwritten_.erase(it);
    }
    if (!saved) {
      // Kept and tried again: a registration must not vanish from the next start because a backup held the
      // lock.
      for (auto& [aor, waiting] : unwritten_) {
        for (const Asker& a : waiting.askers) out.push_back({a.worker, a.id, result});
        waiting.askers.clear();
      }
      write_at_ = now + options_.retry;
      return;
    }
    worked();
  }
}

port::Answer StoreDesk::failure(const port::StoreError& error) {
  switch (error.kind) {
    case Kind::not_found:
      return port::NotFound{};
    case Kind::limit:
    case Kind::invalid:
    case Kind::conflict:
      return AskFailure::refused;
    default:
      break;
  }
  failures_.add();
  if (!failing_) {
    failing_ = true;
    if (events_)
      events_({port::Level::error,
               "store.failing",
               0,
               {{"kind", std::string(to_text(error.kind))},
                {"reason", error.text},
                {"effect", "what is remembered goes on serving"}}});
  }
  return AskFailure::unavailable;
}

void StoreDesk::worked() {
  if (!failing_) return;
  failing_ = false;
  if (events_) events_({port::Level::notice, "store.recovered", 0, {}});
}

port::Answer StoreDesk::answer(Instant now, const port::Question& question) {
  const auto result = [this]<class T>(port::StoreResult<T> r, auto to_answer) -> port::Answer {
    if (!r) return failure(r.reason());
    worked();
    return to_answer(std::move(*r));
  };
  const auto stored = [](auto) -> port::Answer { return port::Stored{}; };
  if (const auto* q = std::get_if<port::AskSubscriber>(&question))
    return result(directory_.subscriber(q->aor), [](port::Subscriber row) -> port::Answer {
      return std::make_shared<const port::Subscriber>(std::move(row));
    });
  if (std::holds_alternative<port::AskStoredBindings>(question))
    return result(directory_.bindings(), [](std::vector<port::StoredBinding> rows) -> port::Answer {
      return port::StoredBindingsAnswer{
          std::make_shared<const std::vector<port::StoredBinding>>(std::move(rows))};
    });
  if (const auto* q = std::get_if<port::SaveMessage>(&question))
    return result(directory_.save_message(q->message),
                  [](uint64_t id) -> port::Answer { return port::Stored{id}; });
  if (const auto* q = std::get_if<port::AskMessages>(&question))
    return result(directory_.messages(q->aor, q->limit),
                  [](std::vector<port::StoredMessage> rows) -> port::Answer {
                    return port::MessagesAnswer{std::move(rows)};
                  });
  if (const auto* q = std::get_if<port::AskWaiting>(&question))
    return result(directory_.waiting(q->aor), [&](uint32_t text) -> port::Answer {
      return result(directory_.count_voicemails(q->aor),
                    [text](port::Directory::VoicemailCount voice) -> port::Answer {
                      return port::WaitingAnswer{text, voice.fresh, voice.old};
                    });
    });
  if (const auto* q = std::get_if<port::DeleteMessages>(&question))
    return result(directory_.delete_messages(q->ids), stored);
  if (const auto* q = std::get_if<port::SetFeature>(&question))
    return result(directory_.set_feature(*q), stored);
  if (const auto* q = std::get_if<port::SetMailboxPin>(&question)) {
    const auto set = directory_.set_mailbox_pin(*q);
    if (set && listener_) listener_->mailbox_plan_changed();
    return result(set, stored);
  }
  if (auto answer = voicemail_answer(now, question)) return *std::move(answer);
  return AskFailure::refused;  // bindings in use and DNS are others' to answer
}

// ---- voice messages
// ----------------------------------------------------------------------------------------

std::optional<port::Answer> StoreDesk::voicemail_answer(Instant now, const port::Question& question) {
  if (const auto* q = std::get_if<port::AskVoicemails>(&question)) {
    auto messages = directory_.voicemails(q->mailbox);
    if (!messages) return failure(messages.reason());
    worked();
    return port::VoicemailsAnswer{std::move(*messages)};
  }
  if (const auto* q = std::get_if<port::LeaveVoicemail>(&question)) return leave(now, *q);
  if (const auto* q = std::get_if<port::RemoveVoicemail>(&question)) return remove(*q);
  if (const auto* q = std::get_if<port::MarkVoicemail>(&question)) {
    const auto marked = directory_.mark_voicemail(q->mailbox, q->id, q->heard);
    if (!marked) return failure(marked.reason());
    worked();
    if (listener_) listener_->mailbox_changed(q->mailbox);
    return port::Stored{q->id};
  }
  return std::nullopt;
}

bool StoreDesk::save(const port::LeaveVoicemail& question, port::Answer& answer) {
  port::Voicemail message = question.message;
  const auto saved = directory_.save_voicemail(message, question.most);
  if (saved) {
    worked();
    left_.add();
    message.id = *saved;
    answer = port::Stored{message.id};
    if (!listener_) return true;
    listener_->mailbox_changed(message.mailbox);
    listener_->message_left(message);
    return true;
  }
  answer = failure(saved.reason());
  if (const auto* why = std::get_if<AskFailure>(&answer); why && *why == AskFailure::unavailable)
    return false;
  refused_full_.add();
  if (listener_) listener_->remove_file({port::SoundPlace::voicemail, message.file});
  return true;
}

/// Who called has gone, and nobody could say it again: a message outlasts a database that is away for a
/// while.
port::Answer StoreDesk::leave(Instant now, const port::LeaveVoicemail& question) {
  port::Answer answer = AskFailure::unavailable;
  if (save(question, answer)) return answer;
  if (unsaved_.size() < options_.max_unsaved) {
    unsaved_.push_back(question);
    if (save_at_.is_never()) save_at_ = now + options_.retry;
    return answer;
  }
  refused_lost_.add();
  if (listener_) listener_->remove_file({port::SoundPlace::voicemail, question.message.file});
  return answer;
}

void StoreDesk::save_waiting(Instant now) {
  save_at_ = Instant::never();
  for (port::Answer answer; !unsaved_.empty(); unsaved_.pop_front())
    if (!save(unsaved_.front(), answer)) {
      save_at_ = now + options_.retry;
      return;
    }
}

port::Answer StoreDesk::remove(const port::RemoveVoicemail& question) {
  const auto messages = directory_.voicemails(question.mailbox);
  if (!messages) return failure(messages.reason());
  const auto found = std::find_if(messages->begin(), messages->end(),
                                  [&](const port::Voicemail& m) { return m.id == question.id; });
  if (found == messages->end()) return port::NotFound{};
  const auto removed = directory_.remove_voicemail(question.mailbox, question.id);
  if (!removed) return failure(removed.reason());
  worked();
  if (listener_) {
    listener_->remove_file({port::SoundPlace::voicemail, found->file});
    listener_->mailbox_changed(question.mailbox);
  }
  return port::Stored{question.id};
}

}  // namespace tandem::store
