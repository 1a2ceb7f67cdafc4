// Voice messages: /mailboxes/{domain}/{user}/messages and what is in it.
#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

port::AddressOfRecord mailbox_of(const Exchange& x) { return {x.path[1], x.path[0]}; }

void list(ApiImpl& api, const Exchange& x) {
  const port::AddressOfRecord mailbox = mailbox_of(x);
  const auto rows = api.directory.plan_rows();
  if (!rows.ok()) return x.store_error(rows.reason());
  const bool there = std::any_of(rows->mailboxes.begin(), rows->mailboxes.end(), [&](const auto& row) {
    return row.user == mailbox.user && row.domain == mailbox.domain;
  });
  if (!there) return x.error(404, "not_found", "there is no such mailbox");
  const auto messages = api.directory.voicemails(mailbox);
  if (!messages.ok()) return x.store_error(messages.reason());
  json::array items;
  for (const port::Voicemail& m : *messages) items.emplace_back(to_json(m));
  x.json(200, {{"items", std::move(items)}});
}

void show(ApiImpl& api, const Exchange& x) {
  if (const auto message = find_message(api, x, mailbox_of(x), x.path[2])) x.json(200, to_json(*message));
}

void sound(ApiImpl& api, const Exchange& x) {
  if (const auto message = find_message(api, x, mailbox_of(x), x.path[2]))
    answer_sound(api, x, {port::SoundPlace::voicemail, message->file});
}

void mark(ApiImpl& api, const Exchange& x) {
  // A body that is wrong is told so whether or not the message is there.
  port::Voicemail any;
  if (const auto read = from_json(x.body, any); !read.ok())
    return x.bad_body(read.reason().path, read.reason().text);
  auto message = find_message(api, x, mailbox_of(x), x.path[2]);
  if (!message) return;
  static_cast<void>(from_json(x.body, *message));
  const auto done = api.directory.mark_voicemail(message->mailbox, message->id, message->heard);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.mailbox_changed(message->mailbox);
  x.json(200, to_json(*message));
}

void remove(ApiImpl& api, const Exchange& x) {
  const auto message = find_message(api, x, mailbox_of(x), x.path[2]);
  if (!message) return;
  const auto done = api.directory.remove_voicemail(message->mailbox, message->id);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.remove_file({port::SoundPlace::voicemail, message->file});
  api.node.mailbox_changed(message->mailbox);
  x.none();
}

}  // namespace

std::optional<port::Voicemail> find_message(ApiImpl& api, const Exchange& x,
                                            const port::AddressOfRecord& mailbox, std::string_view name) {
  auto messages = api.directory.voicemails(mailbox);
  if (!messages.ok()) return x.store_error(messages.reason()), std::nullopt;
  const auto id = parse_u64(name);
  for (port::Voicemail& m : *messages)
    if (id && m.id == *id) return std::move(m);
  x.error(404, "not_found", "there is no such voice message");
  return std::nullopt;
}

void add_mailbox_operations(std::vector<Operation>& table) {
  constexpr const char* messages = "/mailboxes/{domain}/{user}/messages";
  constexpr const char* item = "/mailboxes/{domain}/{user}/messages/{id}";
  table.push_back(
      {"GET", messages, Scope::read, "Voice messages, oldest first", nullptr, "[Voicemail]", {}, list});
  table.push_back({"GET", item, Scope::read, "Show a voice message", nullptr, "Voicemail", {}, show});
  table.push_back(
      {"PUT", item, Scope::admin, "Change whether it was heard", "Voicemail", "Voicemail", {}, mark});
  table.push_back({"DELETE", item, Scope::admin, "Remove a voice message", nullptr, nullptr, {}, remove});
  // What people said to each other is not for a token that only watches the node.
  table.push_back({"GET",
                   "/mailboxes/{domain}/{user}/messages/{id}/sound",
                   Scope::admin,
                   "The sound of a voice message",
                   nullptr,
                   "audio/wav",
                   {},
                   sound});
}

}  // namespace tandem::ops
