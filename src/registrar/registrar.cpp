#include "registrar/registrar.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "registrar/state.h"
#include "sip/token.h"

namespace tandem::registrar {
namespace {

uint32_t seconds_left(Now now, Instant deadline) {
  const int64_t left = (deadline - now.mono + milliseconds(999)) / seconds(1);
  return static_cast<uint32_t>(std::max<int64_t>(left, 0));
}

void append_number(std::string& out, uint64_t n) {
  char text[20];
  const auto end = std::to_chars(text, text + sizeof text, n).ptr;
  out.append(text, end);
}

}  // namespace

Registrar::Registrar(Config config, Rng& rng, CounterSet& counters)
    : config_(std::move(config)),
      rng_(rng),
      gruu_(config_.gruu_key),
      aors_(config_.aors),
      accepted_(
          counters.counter("registrar_requests_total", "REGISTER requests answered", R"(result="accepted")")),
      refused_(
          counters.counter("registrar_requests_total", "REGISTER requests answered", R"(result="refused")")),
      expired_(counters.counter("registrar_expired_total", "Contacts that ran out of time")),
      flows_lost_(counters.counter("registrar_flows_lost_total", "Contacts that went with their connection")),
      given_up_(counters.counter("registrar_contacts_given_up_total",
                                 "Contacts without a connection that made room for new ones")),
      limit_contacts_(counters.counter("registrar_limits_total", "REGISTER requests over a limit",
                                       R"(limit="contacts")")),
      limit_aors_(
          counters.counter("registrar_limits_total", "REGISTER requests over a limit", R"(limit="aors")")),
      limit_bytes_(
          counters.counter("registrar_limits_total", "REGISTER requests over a limit", R"(limit="bytes")")),
      saves_(counters.counter("registrar_saves_total", "Writes of an address-of-record to the store")),
      save_failures_(counters.counter("registrar_save_failures_total", "Writes that will be tried again")),
      restored_(counters.counter("registrar_restored_total", "Contacts read back from a store or a part")),
      unreadable_(counters.counter("registrar_unreadable_parts_total", "Parts that could not be read back")),
      contacts_gauge_(counters.gauge("registrar_contacts", "Contacts bound")),
      aors_gauge_(counters.gauge("registrar_aors", "Addresses-of-record with contacts")) {
  set_domains(config_.domains);
}

Registrar::~Registrar() = default;

void Registrar::set_domains(const std::vector<Domain>& domains) {
  domains_.clear();
  for (const Domain& d : domains) {
    const std::string name = lower(d.name);
    domains_[name] = name;
    for (const std::string& alias : d.aliases) domains_[lower(alias)] = name;
  }
}

std::optional<std::string> Registrar::domain_of(std::string_view host) const {
  std::string name = lower(host);
  if (domains_.empty()) return name;
  const auto it = domains_.find(name);
  if (it == domains_.end()) return std::nullopt;
  return it->second;
}

uint16_t Registrar::shard_of(const port::AddressOfRecord& aor) { return sip::shard_of(aor.to_string()); }

Registrar::Reply Registrar::on_register(Now now, const sip::Message& request, const port::Path& path,
                                        const port::Subscriber& authenticated, port::Outbox& out,
                                        BindingChanges& changes) {
  Request wanted;
  if (const auto r = read(request, authenticated, wanted); !r) return refuse(request, path, r.reason());
  SlotId id = find_id(wanted.aor.to_string());
  Aor* aor = aors_.find(id);
  if (const auto r = judge(wanted, aor); !r) return refuse(request, path, r.reason());

  // Section 10.3 steps 6 and 7: a request that was overtaken by a later one of the same call changes nothing.
  const uint32_t cseq = request.cseq().number;
  const auto overtaken = [&](const Binding& b) {
    return b.texts.get(Texts::call_id) == request.call_id() && b.cseq >= cseq;
  };
  bool late = false;
  if (aor && wanted.star)
    late = std::any_of(aor->bindings.begin(), aor->bindings.end(), overtaken);
  else if (aor)
    for (const Wanted& w : wanted.contacts) {
      const auto it = match(aor->bindings, w, wanted.outbound);
      late = late || (it != aor->bindings.end() && overtaken(*it));
    }
  if (late) return refuse(request, path, {500, "CSeq Out Of Order"});

  if (!aor && !wanted.contacts.empty()) {
    id = make_aor(wanted.aor);
    aor = aors_.find(id);
  }
  const size_t before = changes.size();
  if (aor) apply(now, request, path, wanted, id, *aor, changes);
  tell(changes, before, "request", out);
  Reply reply = accept(now, request, path, wanted, aor);
  drop_if_empty(id);
  return reply;
}

void Registrar::apply(Now now, const sip::Message& request, const port::Path& path, const Request& wanted,
                      SlotId id, Aor& aor, BindingChanges& changes) {
  if (wanted.star) {
    aor.complete = true;
    if (!aor.bindings.empty()) mark_dirty(now, id, aor);
    while (!aor.bindings.empty()) erase_binding(id, aor, aor.bindings.size() - 1, changes);
  }
  for (const Wanted& w : wanted.contacts) {
    if (w.expires != 0) {
      bind(now, request, path, wanted, w, id, aor, changes);
      continue;
    }
    const auto it = match(aor.bindings, w, wanted.outbound);
    if (it == aor.bindings.end()) continue;
    mark_dirty(now, id, aor);
    erase_binding(id, aor, static_cast<size_t>(it - aor.bindings.begin()), changes);
  }
  give_up_gone(wanted.max_contacts, id, aor, changes);
  arm(id, aor);
}

/// Over the limit the contacts whose connections have closed go, the oldest first: a phone that connects
/// anew each time would else lock itself out with its own past.
void Registrar::give_up_gone(size_t max_contacts, SlotId id, Aor& aor, BindingChanges& changes) {
  while (aor.bindings.size() > max_contacts) {
    size_t oldest = aor.bindings.size();
    for (size_t i = 0; i < aor.bindings.size(); ++i) {
      const Binding& b = aor.bindings[i];
      if (b.connection_gone() && (oldest == aor.bindings.size() || b.serial < aor.bindings[oldest].serial))
        oldest = i;
    }
    if (oldest == aor.bindings.size()) return;
    given_up_.add();
    erase_binding(id, aor, oldest, changes);
  }
}

void Registrar::bind(Now now, const sip::Message& request, const port::Path& path, const Request& wanted,
                     const Wanted& w, SlotId id, Aor& aor, BindingChanges& changes) {
  Binding fresh;
  place(request, path, wanted, w, fresh);
  fresh.texts =
      Texts({w.uri, request.call_id(), w.instance,
             request.header(sip::HeaderId::user_agent).value_or("").substr(0, config_.user_agent_bytes),
             wanted.routes});
  fresh.expires = now.mono + seconds(w.expires);
  fresh.cseq = request.cseq().number;
  fresh.reg_id = w.reg_id;
  fresh.q = w.q;
  fresh.serial = ++serial_;

  const auto it = match(aor.bindings, w, wanted.outbound);
  if (it == aor.bindings.end()) {
    index_flow(fresh, id);
    aor.bindings.push_back(std::move(fresh));
    ++contacts_;
    contacts_gauge_.set(contacts_);
    mark_dirty(now, id, aor);
    change(BindingChange::Kind::added, aor, changes);
    return;
  }
  const bool moved = it->uri() != fresh.uri() || it->path != fresh.path || it->flow_lost ||
                     it->texts.get(Texts::routes) != fresh.texts.get(Texts::routes);
  // A new Call-ID alone changes nothing that a restart would need, but for the temporary GRUUs it voids.
  const bool other =
      moved || it->q != fresh.q ||
      (!w.instance.empty() && it->texts.get(Texts::call_id) != fresh.texts.get(Texts::call_id));
  // Devices that re-register every few seconds to keep a NAT open do not write to the store each time.
  const bool store_would_lapse = aor.saved_until - now.mono < seconds(w.expires) / 2;
  if (it->path.flow != fresh.path.flow) {
    unindex_flow(*it, id);
    index_flow(fresh, id);
  }
  *it = std::move(fresh);
  if (other || store_would_lapse) mark_dirty(now, id, aor);
  change(moved ? BindingChange::Kind::added : BindingChange::Kind::refreshed, aor, changes);
}

Registrar::Reply Registrar::accept(Now now, const sip::Message& request, const port::Path& path,
                                   const Request& wanted, const Aor* aor) {
  accepted_.add();
  sip::Writer w = sip::response_to(request, path.remote, 200, rng_.token(10));
  std::string value;
  if (aor)
    for (const Binding& b : aor->bindings) {
      write_contact(now, b, *aor, wanted.wants_gruu, value);
      w.header(sip::HeaderId::contact, value);
    }
  if (!wanted.routes.empty() && request.lists(sip::HeaderId::supported, "path"))
    w.copy(request, sip::HeaderId::path);
  if (wanted.outbound) {
    w.header(sip::HeaderId::require, "outbound");  // RFC 5626 section 6
    if (config_.flow_timer != 0) {
      value.clear();
      append_number(value, config_.flow_timer);
      w.header("Flow-Timer", value);
    }
  }
  w.header(sip::HeaderId::supported, "path, outbound, gruu");
  return {200, std::move(w).finish()};
}

void Registrar::write_contact(Now now, const Binding& b, const Aor& aor, bool with_gruu, std::string& out) {
  const Texts::Views texts = b.texts.views();
  const std::string_view instance = texts[Texts::instance];
  out.assign("<").append(texts[Texts::uri]).append(">;expires=");
  append_number(out, seconds_left(now, b.expires));
  if (b.q != 1000) {
    const char digits[] = {static_cast<char>('0' + b.q / 100), static_cast<char>('0' + b.q / 10 % 10),
                           static_cast<char>('0' + b.q % 10)};
    out.append(";q=0.").append(digits, sizeof digits);
  }
  if (instance.empty()) return;
  out.append(";+sip.instance=\"").append(instance).append("\"");
  if (b.reg_id != 0) {
    out.append(";reg-id=");
    append_number(out, b.reg_id);
  }
  if (!with_gruu) return;
  out.append(";pub-gruu=\"").append(GruuMint::public_gruu(aor.user(), aor.domain(), instance));
  out.append("\";temp-gruu=\"")
      .append(gruu_.temporary_gruu(aor.user(), aor.domain(), instance, texts[Texts::call_id], rng_.next()))
      .append("\"");
}

void Registrar::erase_binding(SlotId id, Aor& aor, size_t index, BindingChanges& changes) {
  unindex_flow(aor.bindings[index], id);
  aor.bindings.erase(aor.bindings.begin() + static_cast<std::ptrdiff_t>(index));
  --contacts_;
  contacts_gauge_.set(contacts_);
  change(BindingChange::Kind::removed, aor, changes);
}

void Registrar::change(BindingChange::Kind kind, const Aor& aor, BindingChanges& changes) const {
  changes.push_back({kind, aor.aor(), static_cast<uint32_t>(aor.bindings.size())});
}

/// Events of what changed; refreshes are not news.
void Registrar::tell(const BindingChanges& changes, size_t from, std::string_view why,
                     port::Outbox& out) const {
  for (size_t i = from; i < changes.size(); ++i) {
    const BindingChange& c = changes[i];
    if (c.kind == BindingChange::Kind::refreshed) continue;
    const bool added = c.kind == BindingChange::Kind::added;
    out.event(
        port::Level::info, added ? "registration.added" : "registration.removed", 0,
        {{"aor", c.aor.to_string()}, {"contacts", std::to_string(c.contacts)}, {"why", std::string(why)}});
  }
}

SlotId Registrar::find_id(std::string_view key) const {
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? SlotId{} : it->second;
}

const Registrar::Aor* Registrar::find(const port::AddressOfRecord& aor) const {
  return aors_.find(find_id(aor.to_string()));
}

SlotId Registrar::make_aor(const port::AddressOfRecord& aor) {
  const SlotId id = aors_.emplace();
  Aor* made = aors_.find(id);
  if (!made) return id;
  made->key = aor.to_string();
  made->user_size = static_cast<uint16_t>(aor.user.size());
  by_key_.emplace(made->key, id);
  aors_gauge_.set(aors_.size());
  return id;
}

/// An AOR without contacts stays until the store knows, so that a lost write cannot bring a contact back.
void Registrar::drop_if_empty(SlotId id) {
  const Aor* aor = aors_.find(id);
  if (!aor || !aor->bindings.empty() || aor->dirty || aor->saving != 0) return;
  by_key_.erase(std::string_view(aor->key));
  aors_.erase(id);
  aors_gauge_.set(aors_.size());
}

void Registrar::arm(SlotId id, Aor& aor) {
  Instant first = Instant::never();
  for (const Binding& b : aor.bindings) first = std::min(first, b.expires);
  if (first >= aor.armed) return;  // the timer that runs comes first and arms the next one
  aor.armed = first;
  timers_.push(first, id);
}

void Registrar::index_flow(const Binding& binding, SlotId id) {
  if (!binding.path.flow || !port::is_reliable(binding.path.transport)) return;
  std::vector<SlotId>& users = by_flow_[binding.path.flow];
  users.push_back(id);
}

void Registrar::unindex_flow(const Binding& binding, SlotId id) {
  const auto it = by_flow_.find(binding.path.flow);
  if (it == by_flow_.end()) return;
  const auto user = std::find(it->second.begin(), it->second.end(), id);
  if (user != it->second.end()) it->second.erase(user);
  if (it->second.empty()) by_flow_.erase(it);
}

port::BindingsAnswer Registrar::lookup(Now now, const port::AskBindings& question) const {
  port::BindingsAnswer answer;
  const Aor* aor = find(question.aor);
  if (!aor) return answer;
  std::optional<GruuMint::Temporary> temporary;
  if (!question.gruu.empty()) {
    const auto uri = sip::Uri::parse(question.gruu);
    if (!uri) return answer;
    if (GruuMint::looks_temporary(uri->user)) {
      temporary = gruu_.open(uri->user, question.aor.domain);
      if (!temporary) return answer;
    }
  }
  std::vector<const Binding*> chosen;
  for (const Binding& b : aor->bindings) {
    if (b.expires <= now.mono || !b.reachable()) continue;
    if (temporary && (gruu_.fingerprint(b.instance()) != temporary->instance ||
                      gruu_.fingerprint(b.texts.get(Texts::call_id)) != temporary->call_id))
      continue;
    if (!question.gruu.empty() && !temporary && !GruuMint::names(question.gruu, b.instance())) continue;
    const auto same_instance = [&](const Binding* other) {
      return b.outbound && other->outbound && other->instance() == b.instance();
    };
    const auto it = std::find_if(chosen.begin(), chosen.end(), same_instance);
    if (it == chosen.end())
      chosen.push_back(&b);
    else if ((*it)->serial < b.serial)
      *it = &b;
  }
  std::sort(chosen.begin(), chosen.end(), [](const Binding* a, const Binding* b) {
    return a->q != b->q ? a->q > b->q : a->serial > b->serial;
  });
  for (const Binding* b : chosen) {
    answer.contacts.push_back(to_contact(*b));
    if (!b->instance().empty())
      answer.contacts.back().gruu = GruuMint::public_gruu(aor->user(), aor->domain(), b->instance());
  }
  return answer;
}

bool Registrar::registered(Now now, const port::AddressOfRecord& aor) const {
  const Aor* found = find(aor);
  return found && std::any_of(found->bindings.begin(), found->bindings.end(),
                              [&](const Binding& b) { return b.expires > now.mono && b.reachable(); });
}

std::optional<port::AskBindings> Registrar::question_for(const sip::Uri& uri) const {
  const auto domain = uri.is_sip() ? domain_of(uri.host) : std::nullopt;
  if (!domain) return std::nullopt;
  port::AskBindings question;
  question.aor.domain = *domain;
  const auto instance = uri.params.get("gr");
  if (GruuMint::looks_temporary(uri.user)) {
    auto temporary = gruu_.open(uri.user, *domain);
    if (!temporary) return std::nullopt;
    question.aor.user = std::move(temporary->user);
    question.gruu = "sip:" + std::string(uri.user) + "@" + *domain + ";gr";
    return question;
  }
  auto user = sip::unescape(uri.user);
  if (!user) return std::nullopt;
  question.aor.user = std::move(*user);
  if (instance && !instance->empty())
    question.gruu =
        "sip:" + sip::escape_user(question.aor.user) + "@" + *domain + ";gr=" + std::string(*instance);
  return question;
}

void Registrar::on_flow(Now now, const port::FlowEvent& event, port::Outbox& out, BindingChanges& changes) {
  if (event.kind != port::FlowEvent::Kind::closed) return;
  const auto it = by_flow_.find(event.flow);
  if (it == by_flow_.end()) return;
  const std::vector<SlotId> users = std::move(it->second);
  by_flow_.erase(it);
  const size_t before = changes.size();
  for (SlotId id : users) {
    Aor* aor = aors_.find(id);
    if (!aor) continue;
    for (size_t i = aor->bindings.size(); i-- > 0;) {
      Binding& b = aor->bindings[i];
      if (b.path.flow != event.flow) continue;
      b.path.flow = {};
      if (b.outbound || b.flow_only) {
        flows_lost_.add();
        erase_binding(id, *aor, i, changes);
      } else {
        b.fixed = !b.texts.get(Texts::routes).empty();  // its URI says where it listens
      }
      mark_dirty(now, id, *aor);
    }
    drop_if_empty(id);
  }
  tell(changes, before, "connection lost", out);
}

void Registrar::on_timeout(Now now, port::Outbox& out, BindingChanges& changes) {
  TimerQueue<SlotId>::Due due;
  const size_t before = changes.size();
  while (timers_.pop_due(now.mono, due)) {
    Aor* aor = aors_.find(due.key);
    if (!aor || aor->armed != due.deadline) continue;
    aor->armed = Instant::never();
    for (size_t i = aor->bindings.size(); i-- > 0;) {
      if (aor->bindings[i].expires > now.mono) continue;
      expired_.add();
      mark_dirty(now, due.key, *aor);
      erase_binding(due.key, *aor, i, changes);
    }
    arm(due.key, *aor);
  }
  tell(changes, before, "expired", out);
  if (start_again_at_ <= now.mono) start(now, out);
  if (stored_) restore_some(now, changes);
  if (flush_at_ <= now.mono) flush(now, out);
}

Instant Registrar::next_timeout() const {
  if (stored_) return Instant{};
  return std::min({timers_.next(), flush_at_, start_again_at_});
}

uint64_t Registrar::list(Now now, std::string_view search, uint64_t cursor, size_t limit,
                         std::vector<BindingView>& found) const {
  const std::string needle = lower(search);
  const auto contains = [&](std::string_view text) { return lower(text).find(needle) != std::string::npos; };
  uint64_t next = 0;
  aors_.for_each([&](SlotId id, const Aor& aor) {
    if (id.slot < cursor || next != 0) return;
    if (found.size() >= limit) {
      next = id.slot;
      return;
    }
    for (const Binding& b : aor.bindings) {
      const std::string_view agent = b.texts.get(Texts::user_agent);
      if (!needle.empty() && !contains(aor.key) && !contains(b.uri()) && !contains(agent)) continue;
      found.push_back(
          {aor.aor(), to_contact(b), std::string(agent), seconds_left(now, b.expires), b.reachable()});
    }
  });
  return next;
}

bool Registrar::remove(Now now, const port::AddressOfRecord& name, std::string_view key,
                       BindingChanges& changes) {
  const SlotId id = find_id(name.to_string());
  Aor* aor = aors_.find(id);
  if (!aor) return false;
  bool any = false;
  for (size_t i = aor->bindings.size(); i-- > 0;) {
    if (!key.empty() && aor->bindings[i].key() != key) continue;
    any = true;
    erase_binding(id, *aor, i, changes);
  }
  if (any) mark_dirty(now, id, *aor);
  return any;
}

}  // namespace tandem::registrar
