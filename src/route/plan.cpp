#include "route/plan.h"

#include <algorithm>

#include "base/text.h"
#include "route/tables.h"

namespace tandem::route {

const char* to_string(RowError::Kind k) {
  switch (k) {
    case RowError::Kind::bad_pattern:
      return "bad_pattern";
    case RowError::Kind::bad_number:
      return "bad_number";
    case RowError::Kind::bad_time:
      return "bad_time";
    case RowError::Kind::bad_address:
      return "bad_address";
    case RowError::Kind::unknown_target:
      return "unknown_target";
    case RowError::Kind::duplicate:
      return "duplicate";
    case RowError::Kind::loop:
      return "loop";
    case RowError::Kind::too_deep:
      return "too_deep";
    case RowError::Kind::too_many:
      return "too_many";
    case RowError::Kind::missing:
      return "missing";
  }
  return "";
}

Plan::Plan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Plan::~Plan() = default;

std::shared_ptr<const Plan> Plan::empty() { return compile(port::PlanRows{}); }

uint64_t Plan::version() const { return impl_->version; }
const std::vector<RowError>& Plan::errors() const { return impl_->errors; }

const Domain* Plan::Impl::find_domain(std::string_view name_or_alias) const {
  const std::string key = lower(name_or_alias);
  if (const auto it = domains.find(key); it != domains.end()) return it->second.get();
  if (const auto it = aliases.find(key); it != aliases.end()) {
    const auto d = domains.find(it->second);
    return d == domains.end() ? nullptr : d->second.get();
  }
  return any_domain ? &fallback : nullptr;
}

bool Plan::serves(std::string_view domain) const { return impl_->find_domain(domain) != nullptr; }

std::string Plan::domain_of(std::string_view name_or_alias) const {
  const Domain* d = impl_->find_domain(name_or_alias);
  if (d == nullptr) return {};
  return d->row.name.empty() ? lower(name_or_alias) : d->row.name;
}

const port::DomainRow* Plan::domain(std::string_view name_or_alias) const {
  const Domain* d = impl_->find_domain(name_or_alias);
  return d != nullptr && d->has_row ? &d->row : nullptr;
}

std::vector<const port::DomainRow*> Plan::domains() const {
  std::vector<const port::DomainRow*> out;
  for (const auto& [name, d] : impl_->domains)
    if (d->has_row) out.push_back(&d->row);
  std::sort(out.begin(), out.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return out;
}

const port::ParkRow* Plan::park(std::string_view domain) const {
  const Domain* d = impl_->find_domain(domain);
  return d != nullptr && d->park.enabled ? &d->park : nullptr;
}

Plan::Menu Plan::menu(std::string_view domain, std::string_view name, WallTime at) const {
  Menu out;
  const Domain* d = impl_->find_domain(domain);
  if (d == nullptr) return out;
  const auto it = d->menus.find(name);
  if (it == d->menus.end()) return out;
  out.row = &it->second.row;
  for (const MenuTable::Choice& choice : it->second.choices) {
    const bool taken =
        std::any_of(out.choices.begin(), out.choices.end(),
                    [&](const port::MenuChoiceRow* other) { return other->keys == choice.row.keys; });
    if (!taken && impl_->holds(choice.when, at)) out.choices.push_back(&choice.row);
  }
  return out;
}

const port::MailboxRow* Plan::mailbox(std::string_view domain, std::string_view user) const {
  const Domain* d = impl_->find_domain(domain);
  if (d == nullptr) return nullptr;
  const auto it = d->mailboxes.find(user);
  return it == d->mailboxes.end() ? nullptr : &it->second;
}

const port::ConferenceRow* Plan::conference(std::string_view domain, std::string_view name) const {
  const Domain* d = impl_->find_domain(domain);
  if (d == nullptr) return nullptr;
  const auto it = d->conferences.find(name);
  return it == d->conferences.end() ? nullptr : &it->second;
}

const Trunk* Plan::trunk(std::string_view name) const {
  const auto it = impl_->trunk_names.find(name);
  return it == impl_->trunk_names.end() ? nullptr : &impl_->trunks[it->second];
}

std::vector<const Trunk*> Plan::trunks() const {
  std::vector<const Trunk*> out;
  for (const Trunk& t : impl_->trunks) out.push_back(&t);
  return out;
}

std::vector<IpPrefix> Plan::trunk_sources() const {
  std::vector<IpPrefix> out;
  for (const Impl::Source& s : impl_->sources) out.push_back(s.prefix);
  return out;
}

const Trunk* Plan::trunk_by_source(const IpAddress& remote, port::Transport transport,
                                   port::RealmId realm) const {
  for (const Impl::Source& s : impl_->sources) {
    if (!s.prefix.contains(remote)) continue;
    const Trunk& t = impl_->trunks[s.trunk];
    if (t.realm != realm || !t.row.tls_name.empty()) continue;
    if (port::is_secure(t.row.transport) && !port::is_secure(transport)) continue;
    return &t;
  }
  return nullptr;
}

const Trunk* Plan::trunk_by_certificate(std::span<const std::string> names, const IpAddress& remote,
                                        port::RealmId realm) const {
  if (impl_->trunk_certificates.empty()) return nullptr;
  for (const std::string& name : names) {
    const auto it = impl_->trunk_certificates.find(name);
    if (it == impl_->trunk_certificates.end()) continue;
    for (const uint32_t index : it->second) {
      const Trunk& t = impl_->trunks[index];
      const bool from_there = std::any_of(t.sources.begin(), t.sources.end(),
                                          [&](const IpPrefix& p) { return p.contains(remote); });
      if (t.realm == realm && (t.row.sources.empty() || from_there)) return &t;
    }
  }
  return nullptr;
}

}  // namespace tandem::route
