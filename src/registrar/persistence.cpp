// Bindings to the store and back. The store is written behind and may be away for as long as it likes: calls
// are served from memory, and what could not be written is tried again.
#include <algorithm>

#include "registrar.pb.h"
#include "registrar/state.h"
#include "sip/token.h"

namespace tandem::registrar {
namespace {

constexpr size_t restored_at_once = 500;  // bindings read in before other work gets its turn

}  // namespace

void Registrar::mark_dirty(Now now, SlotId id, Aor& aor) {
  if (aor.dirty) return;
  aor.dirty = true;
  dirty_.push_back(id);
  flush_at_ = std::min(flush_at_, now.mono + config_.save_delay);
}

void Registrar::flush(Now now, port::Outbox& out) {
  flush_at_ = Instant::never();
  if (loading_) return;  // a write replaces all of an AOR: it would wipe out what is still to be read
  const size_t n = std::min(dirty_.size(), config_.saves_per_flush);
  std::vector<SlotId> waiting;
  for (size_t i = 0; i < n; ++i) {
    Aor* aor = aors_.find(dirty_[i]);
    if (!aor) continue;
    if (aor->saving != 0)
      waiting.push_back(dirty_[i]);  // writes of one AOR stay in order
    else
      save(now, dirty_[i], *aor, out);
  }
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(n));
  const bool more = !dirty_.empty();
  dirty_.insert(dirty_.end(), waiting.begin(), waiting.end());
  if (more)
    flush_at_ = now.mono + milliseconds(1);
  else if (!dirty_.empty())
    flush_at_ = now.mono + config_.save_delay;
}

void Registrar::save_all(Now now, port::Outbox& out) {
  if (loading_) return;
  // Also what is being written: the store takes questions in order, so the later one stays.
  for (const SlotId id : dirty_)
    if (Aor* aor = aors_.find(id)) save(now, id, *aor, out);
  dirty_.clear();
  flush_at_ = Instant::never();
}

void Registrar::save(Now now, SlotId id, Aor& aor, port::Outbox& out) {
  port::SaveBindings question;
  question.aor = aor.aor();
  Instant until = Instant::never();
  proto::BindingPart part;
  for (const Binding& b : aor.bindings) {
    part.Clear();
    write_part(now, config_.boot, b, part);
    port::StoredBinding row;
    row.aor = question.aor;
    row.key = b.key();
    row.contact = b.uri();
    row.user_agent = b.texts.get(Texts::user_agent);
    row.expires = now.wall + (b.expires - now.mono);
    row.part = part.SerializeAsString();
    question.bindings.push_back(std::move(row));
    until = std::min(until, b.expires);
  }
  aor.dirty = false;
  aor.saved_until = until;
  aor.saving = out.ask(std::move(question), now.mono + config_.save_timeout,
                       {port::Asker::Room::registrar, id.packed()});
  saves_.add();
}

void Registrar::start(Now now, port::Outbox& out) {
  start_again_at_ = Instant::never();
  loading_ = true;
  out.ask(port::AskStoredBindings{}, now.mono + seconds(30), {port::Asker::Room::registrar, 0});
}

void Registrar::on_answer(Now now, port::AskId id, uint64_t object, const port::Answer& answer,
                          port::Outbox& out, BindingChanges& changes) {
  if (object == 0) {
    if (std::holds_alternative<port::AskFailure>(answer)) {
      start_again_at_ = now.mono + config_.save_retry;
      out.event(port::Level::warning, "registrar.store_away", 0, {{"doing", "reading stored bindings"}});
      return;
    }
    if (const auto* bindings = std::get_if<port::StoredBindingsAnswer>(&answer)) stored_ = bindings->bindings;
    stored_at_ = 0;
    if (stored_)
      restore_some(now, changes);
    else
      loaded(now);
    return;
  }
  const SlotId slot = SlotId::unpack(object);
  Aor* aor = aors_.find(slot);
  if (!aor || aor->saving != id) return;
  aor->saving = 0;
  if (std::holds_alternative<port::AskFailure>(answer)) {
    save_failures_.add();
    aor->saved_until = {};
    if (!aor->dirty) {
      aor->dirty = true;
      dirty_.push_back(slot);
    }
    flush_at_ = std::min(flush_at_, now.mono + config_.save_retry);
    return;
  }
  drop_if_empty(slot);
}

void Registrar::restore_some(Now now, BindingChanges& changes) {
  const size_t end = std::min(stored_->size(), stored_at_ + restored_at_once);
  proto::BindingPart part;
  for (; stored_at_ < end; ++stored_at_) {
    const port::StoredBinding& row = (*stored_)[stored_at_];
    if (sip::worker_of_shard(shard_of(row.aor), config_.workers) != config_.worker) continue;
    Binding binding;
    if (!part.ParseFromString(row.part) || !read_part(now, config_.boot, part, binding)) {
      unreadable_.add();
      continue;
    }
    const Aor* aor = find(row.aor);
    if (aor && aor->complete) continue;
    if (restore_binding(now, row.aor, std::move(binding)))
      change(BindingChange::Kind::refreshed, *find(row.aor), changes);
  }
  if (stored_at_ < stored_->size()) return;
  stored_.reset();
  loaded(now);
}

void Registrar::loaded(Now now) {
  loading_ = false;
  if (!dirty_.empty()) flush_at_ = now.mono;
}

/// What is bound already is younger than what was kept, and stays.
bool Registrar::restore_binding(Now now, const port::AddressOfRecord& name, Binding binding) {
  if (binding.expires <= now.mono) return false;
  SlotId id = find_id(name.to_string());
  if (!aors_.find(id)) id = make_aor(name);
  Aor* aor = aors_.find(id);
  if (!aor || aor->bindings.size() >= config_.contacts_per_aor) {
    limit_aors_.add();
    return false;
  }
  const std::string key = binding.key();
  for (const Binding& b : aor->bindings)
    if (b.key() == key) return false;
  binding.serial = ++serial_;
  index_flow(binding, id);
  aor->bindings.push_back(std::move(binding));
  arm(id, *aor);
  ++contacts_;
  contacts_gauge_.set(contacts_);
  restored_.add();
  return true;
}

void Registrar::snapshot(Now now, std::vector<Part>& parts) const {
  aors_.for_each([&](SlotId, const Aor& aor) {
    proto::AorPart part;
    part.set_user(std::string(aor.user()));
    part.set_domain(std::string(aor.domain()));
    std::vector<const Binding*> by_age;
    for (const Binding& b : aor.bindings) by_age.push_back(&b);
    std::sort(by_age.begin(), by_age.end(),
              [](const Binding* a, const Binding* b) { return a->serial < b->serial; });
    for (const Binding* b : by_age) write_part(now, config_.boot, *b, *part.add_bindings());
    parts.push_back({sip::shard_of(aor.key), part.SerializeAsString()});
  });
}

bool Registrar::restore(Now now, std::string_view bytes) {
  proto::AorPart part;
  if (!part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || part.user().empty() ||
      part.domain().empty() || part.user().size() > 0xffff) {
    unreadable_.add();
    return false;
  }
  const port::AddressOfRecord name{part.user(), part.domain()};
  if (!find(name)) make_aor(name);  // also when it is empty: that it is may not have been written yet
  bool all = true;
  for (const proto::BindingPart& one : part.bindings()) {
    Binding binding;
    if (read_part(now, config_.boot, one, binding)) {
      restore_binding(now, name, std::move(binding));
    } else {
      unreadable_.add();
      all = false;
    }
  }
  const SlotId id = find_id(name.to_string());
  if (Aor* aor = aors_.find(id)) {
    aor->complete = true;
    mark_dirty(now, id, *aor);
  }
  return all;
}

}  // namespace tandem::registrar
