#include "store_memory/memory_directory.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace tandem::store_memory {

using Kind = port::StoreError::Kind;
using port::StoreError;
using port::StoreResult;
using port::StoreStatus;

namespace {

Failure<StoreError> fail(Kind kind, std::string text) { return Failure{StoreError{kind, std::move(text)}}; }

using Key = std::tuple<std::string, std::string, uint64_t>;
Key key_of(const port::DomainRow& r) { return {r.name, "", 0}; }
Key key_of(const port::TrunkRow& r) { return {r.name, "", 0}; }
Key key_of(const port::RouteRow& r) { return {"", "", r.id}; }
Key key_of(const port::RingGroupRow& r) { return {r.domain, r.name, 0}; }
Key key_of(const port::RingGroupMemberRow& r) { return {r.domain, r.group, r.position}; }
Key key_of(const port::FeatureCodeRow& r) { return {r.domain, r.code, 0}; }
Key key_of(const port::TimeRuleRow& r) { return {r.domain, r.name, r.position}; }
Key key_of(const port::ParkRow& r) { return {r.domain, "", 0}; }
Key key_of(const port::MenuRow& r) { return {r.domain, r.name, 0}; }
Key key_of(const port::MenuChoiceRow& r) { return {r.domain, r.menu, r.position}; }
Key key_of(const port::MailboxRow& r) { return {r.domain, r.user, 0}; }
Key key_of(const port::ConferenceRow& r) { return {r.domain, r.name, 0}; }

template <class Row>
StoreStatus put_limited(std::map<std::string, Row>& rows, const std::string& key, const Row& row,
                        port::Directory::Put mode, const std::string& what, size_t most) {
  using Put = port::Directory::Put;
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  const bool known = rows.count(key) != 0;
  if (mode == Put::create && known) return fail(Kind::conflict, what + " " + key + " exists already");
  if (mode == Put::replace && !known) return fail(Kind::not_found, "there is no " + what + " " + key);
  if (!known && rows.size() >= most)
    return fail(Kind::limit, "there are " + std::to_string(most) + " already");
  rows[key] = row;
  return Done{};
}

std::string domain_of(const port::DomainRow&) { return {}; }
template <class Row>
std::string domain_of(const Row& r) {
  return r.domain;
}

bool contains_nocase(std::string_view in, std::string_view what) {
  return lower(in).find(lower(what)) != std::string::npos;
}

template <class Map>
auto values(const Map& map) {
  std::vector<typename Map::mapped_type> rows;
  rows.reserve(map.size());
  for (const auto& [key, row] : map) rows.push_back(row);
  return rows;
}

}  // namespace

std::optional<StoreError> MemoryDirectory::away() const {
  if (!failure_) return std::nullopt;
  return StoreError{*failure_, "the directory is made to fail"};
}

#define TANDEM_AWAY                         \
  if (auto error = away()) return Failure { \
      std::move(*error)                     \
    }

// ---- subscribers
// -------------------------------------------------------------------------------------------

StoreResult<port::SubscriberPage> MemoryDirectory::list_subscribers(const port::SubscriberQuery& q) {
  TANDEM_AWAY;
  const std::string after = from_hex(q.cursor).value_or("");
  const size_t line = after.find('\n');
  const std::pair from{after.substr(0, line),
                       line == std::string::npos ? std::string() : after.substr(line + 1)};
  const uint32_t limit = std::clamp<uint32_t>(q.limit, 1, 1000);
  port::SubscriberPage page;
  for (auto it = subscribers_.upper_bound(from); it != subscribers_.end(); ++it) {
    const port::Subscriber& row = it->second;
    if (!q.domain.empty() && row.aor.domain != q.domain) continue;
    if (!contains_nocase(row.aor.user, q.search) && !contains_nocase(row.display_name, q.search)) continue;
    if (page.rows.size() == limit) {
      page.next = to_hex(page.rows.back().aor.domain + "\n" + page.rows.back().aor.user);
      break;
    }
    page.rows.push_back(row);
  }
  return page;
}

StoreResult<port::Subscriber> MemoryDirectory::subscriber(const port::AddressOfRecord& aor) {
  TANDEM_AWAY;
  const auto it = subscribers_.find({aor.domain, aor.user});
  if (it == subscribers_.end()) return fail(Kind::not_found, "there is no subscriber " + aor.to_string());
  return it->second;
}

StoreResult<uint64_t> MemoryDirectory::put_subscriber(const port::Subscriber& row, Put mode) {
  TANDEM_AWAY;
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  if (!std::get<0>(plan_).contains({row.aor.domain, "", 0}))
    return fail(Kind::conflict, "there is no domain " + row.aor.domain);
  const std::pair key{row.aor.domain, row.aor.user};
  const auto it = subscribers_.find(key);
  if (it == subscribers_.end() && mode == Put::replace)
    return fail(Kind::not_found, "there is no subscriber " + row.aor.to_string());
  if (it != subscribers_.end() && mode == Put::create)
    return fail(Kind::conflict, "subscriber " + row.aor.to_string() + " exists already");
  port::Subscriber stored = row;
  if (it != subscribers_.end() && row.ha1.md5.empty() && row.ha1.sha256.empty() && row.ha1.sha512_256.empty())
    stored.ha1 = it->second.ha1;
  stored.revision = ++subscribers_version_;
  subscribers_[key] = stored;
  return stored.revision;
}

StoreStatus MemoryDirectory::remove_subscriber(const port::AddressOfRecord& aor) {
  TANDEM_AWAY;
  if (subscribers_.erase({aor.domain, aor.user}) == 0)
    return fail(Kind::not_found, "there is no subscriber " + aor.to_string());
  bindings_.erase({aor.domain, aor.user});
  std::erase_if(messages_, [&](const auto& m) { return m.second.to == aor; });
  ++subscribers_version_;
  return Done{};
}

StoreStatus MemoryDirectory::set_feature(const port::SetFeature& change) {
  TANDEM_AWAY;
  const auto it = subscribers_.find({change.aor.domain, change.aor.user});
  if (it == subscribers_.end())
    return fail(Kind::not_found, "there is no subscriber " + change.aor.to_string());
  port::Subscriber row = it->second;
  apply(change, row);
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  row.revision = ++subscribers_version_;
  it->second = std::move(row);
  return Done{};
}

StoreResult<uint64_t> MemoryDirectory::subscribers_version() {
  TANDEM_AWAY;
  return subscribers_version_;
}

// ---- the plan
// ----------------------------------------------------------------------------------------------

StoreResult<port::PlanRows> MemoryDirectory::plan_rows() {
  TANDEM_AWAY;
  port::PlanRows rows;
  rows.version = plan_version_;
  rows.domains = values(std::get<0>(plan_));
  rows.trunks = values(std::get<1>(plan_));
  rows.routes = values(std::get<2>(plan_));
  std::stable_sort(rows.routes.begin(), rows.routes.end(),
                   [](const auto& a, const auto& b) { return a.priority < b.priority; });
  rows.ring_groups = values(std::get<3>(plan_));
  rows.ring_group_members = values(std::get<4>(plan_));
  rows.feature_codes = values(std::get<5>(plan_));
  rows.time_rules = values(std::get<6>(plan_));
  rows.parks = values(std::get<7>(plan_));
  rows.menus = values(std::get<8>(plan_));
  rows.menu_choices = values(std::get<9>(plan_));
  rows.mailboxes = values(std::get<10>(plan_));
  rows.conferences = values(std::get<11>(plan_));
  return rows;
}

StoreResult<uint64_t> MemoryDirectory::plan_version() {
  TANDEM_AWAY;
  return plan_version_;
}

std::string MemoryDirectory::missing_parent(const port::PlanRow& row) const {
  const std::string domain = std::visit([](const auto& r) { return domain_of(r); }, row);
  if (!domain.empty() && !std::get<0>(plan_).contains({domain, "", 0})) return "there is no domain " + domain;
  if (const auto* member = std::get_if<port::RingGroupMemberRow>(&row))
    if (!std::get<3>(plan_).contains({member->domain, member->group, 0}))
      return "there is no ring group " + member->group;
  if (const auto* choice = std::get_if<port::MenuChoiceRow>(&row))
    if (!std::get<8>(plan_).contains({choice->domain, choice->menu, 0}))
      return "there is no menu " + choice->menu;
  return {};
}

StoreResult<port::Directory::PutDone> MemoryDirectory::put_plan_row(const port::PlanRow& row, Put mode) {
  TANDEM_AWAY;
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  if (std::string missing = missing_parent(row); !missing.empty()) return fail(Kind::conflict, missing);
  return std::visit(
      [&]<class Row>(Row r) -> StoreResult<PutDone> {
        auto& rows = std::get<Rows<Row>>(plan_);
        PutDone done;
        if constexpr (std::is_same_v<Row, port::RouteRow>) {
          if (r.id == 0 && mode == Put::replace)
            return fail(Kind::not_found, "a route to be replaced needs its id");
          if (r.id == 0) r.id = last_route_ + 1;
        }
        const bool exists = rows.contains(key_of(r));
        if (!exists && mode == Put::replace) return fail(Kind::not_found, "there is no such row");
        if (exists && mode == Put::create) return fail(Kind::conflict, "the row exists already");
        if constexpr (std::is_same_v<Row, port::RouteRow>) {
          last_route_ = std::max(last_route_, r.id);
          done.id = r.id;
        }
        rows[key_of(r)] = r;
        done.version = ++plan_version_;
        return done;
      },
      row);
}

void MemoryDirectory::remove_domain_rows(const std::string& domain) {
  const auto of_domain = [&](const auto& entry) { return domain_of(entry.second) == domain; };
  std::erase_if(std::get<2>(plan_), of_domain);
  std::erase_if(std::get<3>(plan_), of_domain);
  std::erase_if(std::get<4>(plan_), of_domain);
  std::erase_if(std::get<5>(plan_), of_domain);
  std::erase_if(std::get<6>(plan_), of_domain);
  std::erase_if(std::get<7>(plan_), of_domain);
  std::erase_if(std::get<8>(plan_), of_domain);
  std::erase_if(std::get<9>(plan_), of_domain);
  std::erase_if(std::get<11>(plan_), of_domain);
}

StoreStatus MemoryDirectory::remove_plan_row(const port::PlanRow& row) {
  TANDEM_AWAY;
  return std::visit(
      [&]<class Row>(const Row& r) -> StoreStatus {
        auto& rows = std::get<Rows<Row>>(plan_);
        if (!rows.contains(key_of(r))) return fail(Kind::not_found, "there is no such row");
        if constexpr (std::is_same_v<Row, port::DomainRow>) {
          const auto uses = [&](const auto& entry) { return entry.second.domain == r.name; };
          const auto& trunks = std::get<1>(plan_);
          const auto first = subscribers_.lower_bound({r.name, ""});
          const auto& mailboxes = std::get<10>(plan_);
          if ((first != subscribers_.end() && first->first.first == r.name) ||
              std::any_of(trunks.begin(), trunks.end(), uses) ||
              std::any_of(mailboxes.begin(), mailboxes.end(), uses))
            return fail(Kind::conflict, "domain " + r.name + " still has subscribers, trunks or mailboxes");
          remove_domain_rows(r.name);
        }
        if constexpr (std::is_same_v<Row, port::RingGroupRow>)
          std::erase_if(std::get<4>(plan_), [&](const auto& entry) {
            return entry.second.domain == r.domain && entry.second.group == r.name;
          });
        if constexpr (std::is_same_v<Row, port::MailboxRow>)
          std::erase_if(voicemails_, [&](const auto& entry) {
            return entry.second.mailbox == port::AddressOfRecord{r.user, r.domain};
          });
        if constexpr (std::is_same_v<Row, port::MenuRow>)
          std::erase_if(std::get<9>(plan_), [&](const auto& entry) {
            return entry.second.domain == r.domain && entry.second.menu == r.name;
          });
        rows.erase(key_of(r));
        ++plan_version_;
        return Done{};
      },
      row);
}

// ---- messages and bindings
// ---------------------------------------------------------------------------------

StoreResult<uint64_t> MemoryDirectory::save_message(const port::StoredMessage& message) {
  TANDEM_AWAY;
  const auto waiting = std::count_if(messages_.begin(), messages_.end(),
                                     [&](const auto& m) { return m.second.to == message.to; });
  if (waiting >= port::max_stored_messages)
    return fail(Kind::limit,
                message.to.to_string() + " has " + std::to_string(waiting) + " messages waiting");
  port::StoredMessage stored = message;
  stored.id = ++last_message_;
  messages_[stored.id] = stored;
  return stored.id;
}

StoreResult<std::vector<port::StoredMessage>> MemoryDirectory::messages(const port::AddressOfRecord& aor,
                                                                        uint32_t limit) {
  TANDEM_AWAY;
  std::vector<port::StoredMessage> rows;
  for (const auto& [id, m] : messages_)
    if (m.to == aor && rows.size() < limit) rows.push_back(m);
  return rows;
}

StoreResult<uint32_t> MemoryDirectory::waiting(const port::AddressOfRecord& aor) {
  TANDEM_AWAY;
  return static_cast<uint32_t>(
      std::count_if(messages_.begin(), messages_.end(), [&](const auto& m) { return m.second.to == aor; }));
}

StoreStatus MemoryDirectory::delete_messages(std::span<const uint64_t> ids) {
  TANDEM_AWAY;
  for (const uint64_t id : ids) messages_.erase(id);
  return Done{};
}

StoreResult<uint64_t> MemoryDirectory::save_voicemail(const port::Voicemail& message, uint32_t most) {
  TANDEM_AWAY;
  if (!std::get<Rows<port::MailboxRow>>(plan_).contains({message.mailbox.domain, message.mailbox.user, 0}))
    return fail(Kind::conflict, "there is no mailbox " + message.mailbox.to_string());
  const auto there = std::count_if(voicemails_.begin(), voicemails_.end(),
                                   [&](const auto& m) { return m.second.mailbox == message.mailbox; });
  if (there >= most) return fail(Kind::limit, "the mailbox " + message.mailbox.to_string() + " is full");
  port::Voicemail stored = message;
  stored.id = ++last_voicemail_;
  voicemails_[stored.id] = stored;
  return stored.id;
}

StoreResult<std::vector<port::Voicemail>> MemoryDirectory::voicemails(const port::AddressOfRecord& mailbox) {
  TANDEM_AWAY;
  std::vector<port::Voicemail> rows;
  for (const auto& [id, m] : voicemails_)
    if (m.mailbox == mailbox) rows.push_back(m);
  return rows;
}

StoreStatus MemoryDirectory::mark_voicemail(const port::AddressOfRecord& mailbox, uint64_t id, bool heard) {
  TANDEM_AWAY;
  const auto it = voicemails_.find(id);
  if (it == voicemails_.end() || it->second.mailbox != mailbox)
    return fail(Kind::not_found, "there is no such voice message");
  it->second.heard = heard;
  return Done{};
}

StoreStatus MemoryDirectory::remove_voicemail(const port::AddressOfRecord& mailbox, uint64_t id) {
  TANDEM_AWAY;
  const auto it = voicemails_.find(id);
  if (it == voicemails_.end() || it->second.mailbox != mailbox)
    return fail(Kind::not_found, "there is no such voice message");
  voicemails_.erase(it);
  return Done{};
}

StoreResult<port::Directory::VoicemailCount> MemoryDirectory::count_voicemails(
    const port::AddressOfRecord& mailbox) {
  TANDEM_AWAY;
  VoicemailCount count;
  for (const auto& [id, m] : voicemails_)
    if (m.mailbox == mailbox) ++(m.heard ? count.old : count.fresh);
  return count;
}

StoreStatus MemoryDirectory::set_mailbox_pin(const port::SetMailboxPin& change) {
  TANDEM_AWAY;
  auto& mailboxes = std::get<Rows<port::MailboxRow>>(plan_);
  const auto it = mailboxes.find({change.mailbox.domain, change.mailbox.user, 0});
  port::MailboxRow row = it == mailboxes.end() ? port::MailboxRow{} : it->second;
  row.domain = change.mailbox.domain;
  row.user = change.mailbox.user;
  row.pin = change.pin;
  if (std::string problem = problem_with(port::PlanRow(row)); !problem.empty())
    return fail(Kind::invalid, problem);
  if (it == mailboxes.end())
    return fail(Kind::not_found, "there is no mailbox " + change.mailbox.to_string());
  it->second = std::move(row);
  ++plan_version_;
  return Done{};
}

StoreStatus MemoryDirectory::save_bindings(std::span<const port::SaveBindings> batch) {
  TANDEM_AWAY;
  for (const port::SaveBindings& save : batch) {
    const std::pair key{save.aor.domain, save.aor.user};
    if (save.bindings.empty())
      bindings_.erase(key);
    else
      bindings_[key] = save.bindings;
  }
  return Done{};
}

StoreResult<std::vector<port::StoredBinding>> MemoryDirectory::bindings() {
  TANDEM_AWAY;
  std::vector<port::StoredBinding> rows;
  for (const auto& [key, list] : bindings_) {
    const size_t first = rows.size();
    rows.insert(rows.end(), list.begin(), list.end());
    std::sort(rows.begin() + static_cast<ptrdiff_t>(first), rows.end(),
              [](const auto& a, const auto& b) { return a.key < b.key; });
  }
  return rows;
}

StoreStatus MemoryDirectory::remove_expired_bindings(WallTime now) {
  TANDEM_AWAY;
  for (auto& [key, list] : bindings_) std::erase_if(list, [&](const auto& b) { return b.expires <= now; });
  std::erase_if(bindings_, [](const auto& entry) { return entry.second.empty(); });
  return Done{};
}

// ---- call detail records
// -----------------------------------------------------------------------------------

namespace {

/// The order of a CDR search; the 64-bit numbers compare as SQL's signed ones.
using CdrOrder = std::array<int64_t, 5>;
CdrOrder order_of(const port::Cdr& c) {
  return {c.setup.ns, c.key.node, static_cast<int64_t>(c.key.epoch), static_cast<int64_t>(c.key.call),
          c.key.pair};
}

std::optional<CdrOrder> parse_cursor(std::string_view text) {
  CdrOrder cursor{};
  for (int64_t& number : cursor) {
    const size_t end = text.find('_');
    const std::string_view part = text.substr(0, end);
    const auto [at, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc() || at != part.data() + part.size()) return std::nullopt;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return text.empty() ? std::optional(cursor) : std::nullopt;
}

bool matches(const port::Cdr& c, const port::CdrQuery& q) {
  const auto any = [](const std::string& wanted, std::initializer_list<const std::string*> of) {
    return wanted.empty() ||
           std::any_of(of.begin(), of.end(), [&](const std::string* s) { return *s == wanted; });
  };
  return (q.from.ns == 0 || c.setup >= q.from) && (q.to.ns == 0 || c.setup < q.to) &&
         any(q.party, {&c.caller.party.user, &c.callee.party.user, &c.dialled}) &&
         any(q.domain, {&c.caller.party.domain, &c.callee.party.domain}) &&
         any(q.call_id, {&c.caller.call_id, &c.callee.call_id}) &&
         any(q.trunk, {&c.caller.trunk, &c.callee.trunk}) &&
         (!q.sip_status || *q.sip_status == c.sip_status) && (!q.q850_cause || *q.q850_cause == c.q850_cause);
}

}  // namespace

StoreResult<size_t> MemoryDirectory::insert_cdrs(std::span<const port::Cdr> batch) {
  TANDEM_AWAY;
  size_t fresh = 0;
  for (const port::Cdr& cdr : batch) fresh += cdrs_.try_emplace(cdr.key, cdr).second;
  return fresh;
}

StoreResult<port::CdrPage> MemoryDirectory::search_cdrs(const port::CdrQuery& q) {
  TANDEM_AWAY;
  const auto cursor = q.cursor.empty() ? std::nullopt : parse_cursor(q.cursor);
  if (!q.cursor.empty() && !cursor) return fail(Kind::invalid, "the cursor is not one of ours");
  port::CdrPage page;
  for (const auto& [key, cdr] : cdrs_)
    if (matches(cdr, q) && (!cursor || order_of(cdr) < *cursor)) page.rows.push_back(cdr);
  std::sort(page.rows.begin(), page.rows.end(),
            [](const auto& a, const auto& b) { return order_of(a) > order_of(b); });
  const uint32_t limit = std::clamp<uint32_t>(q.limit, 1, 1000);
  if (page.rows.size() > limit) {
    page.rows.resize(limit);
    for (const int64_t number : order_of(page.rows.back()))
      page.next.append(page.next.empty() ? "" : "_").append(std::to_string(number));
  }
  return page;
}

StoreResult<uint64_t> MemoryDirectory::count_cdrs() {
  TANDEM_AWAY;
  return uint64_t{cdrs_.size()};
}

StoreResult<size_t> MemoryDirectory::remove_cdrs(WallTime before, uint32_t limit) {
  TANDEM_AWAY;
  std::vector<std::pair<WallTime, port::CdrKey>> old;
  for (const auto& [key, cdr] : cdrs_)
    if (cdr.setup < before) old.emplace_back(cdr.setup, key);
  std::sort(old.begin(), old.end());
  if (old.size() > limit) old.resize(limit);
  for (const auto& [setup, key] : old) cdrs_.erase(key);
  return old.size();
}

// ---- settings, tokens, administrators
// --------------------------------------------------------------------------------------

StoreResult<std::optional<std::string>> MemoryDirectory::setting(const std::string& key) {
  TANDEM_AWAY;
  const auto it = settings_.find(key);
  return it == settings_.end() ? std::nullopt : std::optional(it->second);
}

StoreStatus MemoryDirectory::put_setting(const std::string& key, const std::string& value) {
  TANDEM_AWAY;
  settings_[key] = value;
  return Done{};
}

StoreResult<std::vector<port::ApiTokenRow>> MemoryDirectory::api_tokens() {
  TANDEM_AWAY;
  return values(tokens_);
}

StoreStatus MemoryDirectory::put_api_token(const port::ApiTokenRow& row) {
  TANDEM_AWAY;
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  tokens_[row.name] = row;
  return Done{};
}

StoreStatus MemoryDirectory::remove_api_token(const std::string& name) {
  TANDEM_AWAY;
  if (tokens_.erase(name) == 0) return fail(Kind::not_found, "there is no token " + name);
  return Done{};
}

StoreResult<std::vector<port::AdminRow>> MemoryDirectory::admins() {
  TANDEM_AWAY;
  return values(admins_);
}

StoreStatus MemoryDirectory::put_admin(const port::AdminRow& row, Put mode) {
  TANDEM_AWAY;
  if (std::string problem = problem_with(row); !problem.empty()) return fail(Kind::invalid, problem);
  const bool known = admins_.count(row.name) != 0;
  if (mode == Put::create && known)
    return fail(Kind::conflict, "administrator " + row.name + " exists already");
  if (mode == Put::replace && !known) return fail(Kind::not_found, "there is no administrator " + row.name);
  admins_[row.name] = row;
  return Done{};
}

StoreStatus MemoryDirectory::remove_admin(const std::string& name) {
  TANDEM_AWAY;
  if (admins_.erase(name) == 0) return fail(Kind::not_found, "there is no administrator " + name);
  return Done{};
}

// ---- signalling channels

StoreResult<std::vector<port::ChannelRow>> MemoryDirectory::channels() {
  TANDEM_AWAY;
  return values(channels_);
}

StoreStatus MemoryDirectory::put_channel(const port::ChannelRow& row, Put mode) {
  TANDEM_AWAY;
  return put_limited(channels_, row.name, row, mode, "channel", port::most_channels);
}

StoreStatus MemoryDirectory::remove_channel(const std::string& name) {
  TANDEM_AWAY;
  if (channels_.erase(name) == 0) return fail(Kind::not_found, "there is no channel " + name);
  return Done{};
}

StoreResult<std::vector<port::AccessKeyRow>> MemoryDirectory::access_keys() {
  TANDEM_AWAY;
  return values(access_keys_);
}

StoreStatus MemoryDirectory::put_access_key(const port::AccessKeyRow& row, Put mode) {
  TANDEM_AWAY;
  return put_limited(access_keys_, row.id, row, mode, "access key", port::most_access_keys);
}

StoreStatus MemoryDirectory::remove_access_key(const std::string& id) {
  TANDEM_AWAY;
  if (access_keys_.erase(id) == 0) return fail(Kind::not_found, "there is no access key " + id);
  return Done{};
}

#undef TANDEM_AWAY

}  // namespace tandem::store_memory
