// Webhooks: from the node's events and records to the sender, and its thread.
#include <algorithm>

#include "net/clock.h"
#include "tandem/program_impl.h"

namespace tandem::app {

/// Records on their way into the database, and to whoever asked to be told of them, which is stored first: a
/// batch that either did not take comes again whole, and what the database has already has been told.
class Program::Impl::CdrTap final : public store::SpoolSink {
 public:
  CdrTap(store::SpoolSink& sink, Impl& program) : sink_(sink), program_(program) {}
  port::StoreStatus ship(std::span<const std::string_view> records) override {
    if (auto told = program_.tell_records(records); !told.ok()) return told;
    return sink_.ship(records);
  }

 private:
  store::SpoolSink& sink_;
  Impl& program_;
};

std::unique_ptr<store::SpoolSink> Program::Impl::make_cdr_tap() {
  return std::make_unique<CdrTap>(*cdr_sink, *this);
}

void Program::Impl::start_webhooks() {
  const node::WebhookSettings& c = config.webhooks;
  ops::WebhookOptions options;
  options.queue = static_cast<uint32_t>(c.queue);
  options.dead = static_cast<uint32_t>(c.given_up);
  options.attempts = static_cast<uint32_t>(c.attempts);
  options.first_pause = c.first_pause;
  options.longest_pause = c.longest_pause;
  webhook_sender = std::make_unique<ops::WebhookSender>(
      options, *webhook_directory, webhook_rng, webhook_counters,
      [this](const port::Event& e) { log.event(e, net::now().wall, "webhooks"); });
  WebhookThreadOptions thread;
  for (const std::string& text : c.allow)
    if (const auto prefix = IpPrefix::parse(text)) thread.allowed.push_back(*prefix);
  thread.plain_http = c.plain_http;
  thread.ca = c.ca;
  thread.timeout = c.timeout;
  webhook_thread = std::make_unique<WebhookThread>(std::move(thread), *webhook_sender);
  webhooks_changed();
  webhook_thread->start();
}

/// The level that workers make events of: what a webhook wants is made whatever the log shows.
port::Level Program::Impl::event_level() const {
  const port::Level level = log.level();
  return webhooks_on ? std::min(level, port::Level::info) : level;
}

void Program::Impl::set_event_level() {
  if (!runtime) return;
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(
        w, [level = event_level()](Now, port::Worker& worker) { worker.outbox().event_level = level; });
}

void Program::Impl::webhooks_changed() {
  auto rows = control_directory->webhooks();
  if (!rows.ok()) return say(port::Level::error, "webhook.not_loaded", {{"why", rows.reason().text}});
  webhooks_on = std::any_of(rows->begin(), rows->end(), [](const auto& row) { return row.enabled; });
  webhook_sender->set_endpoints(std::move(*rows));
  set_event_level();
}

void Program::Impl::tell_webhooks(std::span<const port::Event> events, WallTime wall) {
  if (!webhooks_on) return;
  for (const port::Event& e : events)
    if (auto told = ops::webhook_event(e, wall)) webhook_sender->accept(std::move(*told));
}

port::StoreStatus Program::Impl::tell_records(std::span<const std::string_view> records) {
  if (!webhook_sender->wanted("call.ended") && !webhook_sender->wanted("recording.finished")) return Done{};
  std::vector<ops::WebhookEvent> events;
  for (const std::string_view record : records) {
    const auto cdr = port::decode(record);
    if (!cdr) continue;
    // A spool that was not emptied before a crash is read again from its beginning.
    port::CdrQuery same;
    same.from = cdr->setup;
    same.to = {cdr->setup.ns + 1};
    same.limit = 1000;
    const auto known = store_directory->search_cdrs(same);
    if (!known.ok()) return Failure{known.reason()};
    if (std::any_of(known->rows.begin(), known->rows.end(),
                    [&](const port::Cdr& row) { return row.key == cdr->key; }))
      continue;
    for (ops::WebhookEvent& e : ops::webhook_events(*cdr)) events.push_back(std::move(e));
  }
  return webhook_sender->file(*store_directory, std::move(events));
}

}  // namespace tandem::app
