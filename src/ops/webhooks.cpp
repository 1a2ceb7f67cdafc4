#include "ops/webhooks.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "ops/json_rows.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

constexpr std::string_view secret_prefix = "whsec_";
constexpr size_t secret_octets = 32;
constexpr size_t most_error_octets = 200;
constexpr Duration store_pause = seconds(1);
constexpr Duration clock_slack = minutes(1);  // a clock that is being slewed has not jumped

/// What of the node's events is told, and under which name.
struct Told {
  std::string_view event, type;
};
constexpr Told told[] = {{"call.started", "call.started"},
                         {"call.ordered", "call.started"},
                         {"call.answered", "call.answered"},
                         {"call.transfer", "call.transferred"},
                         {"call.replaced", "call.transferred"},
                         {"registration.added", "registration.added"},
                         {"registration.removed", "registration.removed"},
                         {"conference.entered", "conference.joined"},
                         {"conference.left", "conference.left"}};

void sign(std::string& out, std::string_view secret, std::string_view id, std::string_view time,
          std::string_view body) {
  if (!secret.starts_with(secret_prefix)) return;
  auto key = crypto::base64_decode(secret.substr(secret_prefix.size()));
  if (!key || key->empty()) return;
  const crypto::Digest digest = crypto::hmac(crypto::Hash::sha256, *key, {id, ".", time, ".", body});
  crypto::wipe(*key);
  out.append(out.empty() ? "v1," : " v1,").append(crypto::base64(digest.view()));
}

/// {"id": ..., "type": ..., "time": ..., "data": ...}
std::string body_of(const WebhookEvent& e) {
  return fmt::format(R"({{"id":{},"type":{},"time":{},"data":{}}})", json::serialize(json::string(e.id)),
                     json::serialize(json::string(e.type)), json::serialize(json::string(to_rfc3339(e.time))),
                     e.data);
}

/// It has read the event, and does not want it: trying for hours would only hold up what comes behind.
bool refuses(int status) {
  return status >= 400 && status < 500 && status != 408 && status != 409 && status != 425 && status != 429;
}

const char* const drops = "Webhook events that were lost, by where";

}  // namespace

std::optional<WebhookEvent> webhook_event(const port::Event& event, WallTime time) {
  const auto known =
      std::find_if(std::begin(told), std::end(told), [&](const Told& t) { return t.event == event.name; });
  if (known == std::end(told)) return std::nullopt;
  json::object data;
  if (event.trail != 0) data["call"] = std::to_string(event.trail);
  for (const auto& [name, value] : event.fields) data[name] = valid_utf8(value);
  return WebhookEvent{{}, std::string(known->type), time, json::serialize(data)};
}

std::vector<WebhookEvent> webhook_events(const port::Cdr& cdr) {
  const std::string key = fmt::format("{}_{}_{}_{}", cdr.key.node, cdr.key.epoch, cdr.key.call, cdr.key.pair);
  std::vector<WebhookEvent> all;
  all.push_back({"cdr_" + key, "call.ended", cdr.end, json::serialize(to_json(cdr))});
  for (size_t i = 0; i < cdr.recordings.size(); ++i)
    all.push_back(
        {fmt::format("rec_{}_{}", key, i), "recording.finished", cdr.end,
         json::serialize(json::object{{"call", std::to_string(cdr.key.call)}, {"file", cdr.recordings[i]}})});
  return all;
}

WebhookEvent webhook_event(const port::Voicemail& message) {
  json::object data = to_json(message);
  data["user"] = message.mailbox.user;
  data["domain"] = message.mailbox.domain;
  return {fmt::format("vm_{}_{}", message.file, message.received.ns), "message.received", message.received,
          json::serialize(data)};
}

std::string webhook_signature(const port::WebhookRow& row, std::string_view id, int64_t seconds,
                              std::string_view body) {
  const std::string time = std::to_string(seconds);
  std::string out;
  sign(out, row.secret, id, time, body);
  sign(out, row.old_secret, id, time, body);
  return out;
}

std::string new_webhook_secret(Rng& rng) {
  std::array<uint8_t, secret_octets> octets{};
  rng.fill(octets);
  std::string secret = std::string(secret_prefix) + crypto::base64(octets);
  crypto::wipe(octets);
  return secret;
}

// ---- where a webhook may go ------------------------------------------------------------------------------

namespace {

IpPrefix prefix(std::string_view text) { return IpPrefix::parse(text).value_or(IpPrefix{}); }

const std::vector<IpPrefix>& private_addresses() {
  static const std::vector<IpPrefix> all = [] {
    std::vector<IpPrefix> list;
    // RFC 6890 and what IANA's registries of special addresses have added.
    for (const char* text :
         {"0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
          "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
          "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
          "::/127",        "64:ff9b:1::/48",  "100::/64",       "2001::/23",      "2001:db8::/32",
          "3fff::/20",     "5f00::/16",       "fc00::/7",       "fe80::/10",      "fec0::/10",
          "ff00::/8"})
      list.push_back(prefix(text));
    return list;
  }();
  return all;
}

/// The IPv4 address that an IPv6 one wraps: mapped (RFC 4291), compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
std::optional<IpAddress> wrapped(const IpAddress& ip) {
  if (ip.is_v4()) return std::nullopt;
  const auto at = [&](size_t i) {
    return IpAddress::v4(ip.bytes[i], ip.bytes[i + 1], ip.bytes[i + 2], ip.bytes[i + 3]);
  };
  static const IpPrefix mapped = prefix("::ffff:0:0/96"), compatible = prefix("::/96"),
                        nat64 = prefix("64:ff9b::/96"), six_to_four = prefix("2002::/16");
  if (mapped.contains(ip) || nat64.contains(ip) || compatible.contains(ip)) return at(12);
  if (six_to_four.contains(ip)) return at(2);
  return std::nullopt;
}

}  // namespace

bool webhook_may_reach(const IpAddress& ip, std::span<const IpPrefix> allowed) {
  const auto in = [&](std::span<const IpPrefix> list) {
    return std::any_of(list.begin(), list.end(), [&](const IpPrefix& p) { return p.contains(ip); });
  };
  if (in(allowed)) return true;
  if (in(private_addresses())) return false;
  const auto inner = wrapped(ip);
  return !inner || webhook_may_reach(*inner, allowed);
}

bool webhook_may_speak_plain(std::string_view url, bool anywhere) {
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme) || anywhere) return true;
  url.remove_prefix(scheme.size());
  std::string_view host = url.substr(0, url.find_first_of("/?"));
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  const auto ip = IpAddress::parse(host);
  static const IpPrefix v4 = prefix("127.0.0.0/8"), v6 = prefix("::1/128");
  return ip && (v4.contains(*ip) || v6.contains(*ip));
}

// ---- the sender ------------------------------------------------------------------------------------------

WebhookSender::WebhookSender(WebhookOptions options, port::WebhookDirectory& directory, Rng& rng,
                             CounterSet& c, EventSink events)
    : options_(options),
      directory_(directory),
      rng_(rng),
      events_(std::move(events)),
      queued_(c.counter("webhook_queued_total", "Webhook deliveries that were stored to be made")),
      delivered_(c.counter("webhook_delivered_total", "Webhook deliveries an endpoint took")),
      failed_(c.counter("webhook_attempts_failed_total", "Attempts of webhook deliveries that failed")),
      given_up_(c.counter("webhook_given_up_total", "Webhook deliveries that were given up")),
      dropped_queue_(c.counter("webhook_dropped_total", drops, "where=\"queue\"")),
      dropped_memory_(c.counter("webhook_dropped_total", drops, "where=\"memory\"")),
      dropped_dead_(c.counter("webhook_dropped_total", drops, "where=\"given_up\"")),
      store_failures_(c.counter("webhook_store_failures_total",
                                "Times the database did not take or give webhook deliveries")) {}

void WebhookSender::event(port::Level level, std::string_view name,
                          std::vector<std::pair<std::string_view, std::string>> fields) const {
  if (events_) events_({level, name, 0, std::move(fields)});
}

void WebhookSender::set_endpoints(std::vector<port::WebhookRow> rows) {
  {
    const std::lock_guard lock(mutex_);
    rows_.clear();
    for (port::WebhookRow& row : rows) rows_.emplace(row.name, std::move(row));
  }
  stir();
}

bool WebhookSender::wanted(std::string_view type) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(rows_.begin(), rows_.end(), [&](const auto& r) { return r.second.wants(type); });
}

bool WebhookSender::accept(WebhookEvent event) {
  if (!wanted(event.type)) return false;
  {
    const std::lock_guard lock(mutex_);
    if (accepted_.size() >= options_.accepted) {
      dropped_memory_.add();
      return false;
    }
    accepted_.push_back(std::move(event));
  }
  if (wake_) wake_();
  return true;
}

void WebhookSender::stir() {
  {
    const std::lock_guard lock(mutex_);
    stirred_ = true;
  }
  if (wake_) wake_();
}

std::vector<port::WebhookDelivery> WebhookSender::deliveries_of(std::span<WebhookEvent> events) {
  const std::lock_guard lock(mutex_);
  std::vector<port::WebhookDelivery> all;
  for (WebhookEvent& e : events) {
    if (e.id.empty()) e.id = "msg_" + rng_.token(24);
    std::string body;
    for (const auto& [name, row] : rows_) {
      if (!row.wants(e.type)) continue;
      if (body.empty()) body = body_of(e);
      port::WebhookDelivery& d = all.emplace_back();
      d.endpoint = name;
      d.id = e.id;
      d.type = e.type;
      d.time = e.time;
      d.body = body;
    }
  }
  return all;
}

void WebhookSender::count(const port::WebhookDirectory::Queued& queued) {
  queued_.add(queued.queued);
  dropped_queue_.add(queued.dropped);
}

port::StoreStatus WebhookSender::file(port::WebhookDirectory& directory, std::vector<WebhookEvent> events) {
  const auto deliveries = deliveries_of(events);
  if (deliveries.empty()) return Done{};
  const auto queued = directory.queue_deliveries(deliveries, options_.queue);
  if (!queued.ok()) {
    store_failures_.add();
    return Failure{queued.reason()};
  }
  count(*queued);
  stir();
  return Done{};
}

/// False: the database is away, and they stay in memory.
bool WebhookSender::store_accepted() {
  std::vector<WebhookEvent> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.assign(std::make_move_iterator(accepted_.begin()), std::make_move_iterator(accepted_.end()));
    accepted_.clear();
  }
  if (taken.empty()) return true;
  const auto queued = directory_.queue_deliveries(deliveries_of(taken), options_.queue);
  if (queued.ok()) {
    count(*queued);
    const std::lock_guard lock(mutex_);
    stirred_ = true;
    return true;
  }
  store_failures_.add();
  const std::lock_guard lock(mutex_);
  accepted_.insert(accepted_.begin(), std::make_move_iterator(taken.begin()),
                   std::make_move_iterator(taken.end()));
  return false;
}

std::vector<WebhookPost> WebhookSender::step(Now now) {
  std::vector<WebhookPost> posts;
  if (!store_accepted()) look_at_ = now.mono + store_pause;
  bool due = look_at_ <= now.mono;
  {
    const std::lock_guard lock(mutex_);
    due = std::exchange(stirred_, false) || due;
  }
  if (due) look(now, posts);
  return posts;
}

void WebhookSender::look(Now now, std::vector<WebhookPost>& posts) {
  look_at_ = Instant::never();
  auto first = directory_.next_deliveries();
  if (!first.ok()) {
    store_failures_.add();
    look_at_ = now.mono + store_pause;
    return;
  }
  for (port::WebhookDelivery& d : *first) {
    if (under_way_.count(d.endpoint) != 0) continue;
    // Further ahead than any pause there is: the wall clock has been set back since.
    const bool astray = d.next > now.wall + options_.longest_pause + clock_slack;
    if (d.next > now.wall && !astray) {
      look_at_ = std::min(look_at_, now.mono + (d.next - now.wall));
      continue;
    }
    auto post = post_of(now, std::move(d));
    if (!post) continue;
    under_way_.insert(post->endpoint);
    posts.push_back(std::move(*post));
  }
}

std::optional<WebhookPost> WebhookSender::post_of(Now now, port::WebhookDelivery d) const {
  const std::lock_guard lock(mutex_);
  const auto row = rows_.find(d.endpoint);
  if (row == rows_.end() || !row->second.enabled) return std::nullopt;
  const int64_t seconds = now.wall.unix_seconds();
  WebhookPost post;
  post.number = d.number;
  post.attempts = d.attempts;
  post.endpoint = d.endpoint;
  post.url = row->second.url;
  post.headers = {{"Content-Type", "application/json"},
                  {"webhook-id", d.id},
                  {"webhook-timestamp", std::to_string(seconds)},
                  {"webhook-signature", webhook_signature(row->second, d.id, seconds, d.body)}};
  post.body = std::move(d.body);
  return post;
}

Duration WebhookSender::pause_after(uint32_t attempts, uint32_t retry_after) {
  Duration pause = options_.first_pause;
  for (uint32_t i = 1; i < attempts && pause < options_.longest_pause; ++i) pause *= 4;
  pause = std::min(pause, options_.longest_pause);
  const std::lock_guard lock(mutex_);
  pause = pause * static_cast<int64_t>(80 + rng_.below(41)) / 100;
  return std::min(std::max<Duration>(pause, seconds(retry_after)), options_.longest_pause);
}

void WebhookSender::done(Now now, const WebhookPost& post, const WebhookOutcome& outcome) {
  under_way_.erase(post.endpoint);
  const bool taken = outcome.status >= 200 && outcome.status < 300;
  port::StoreStatus kept = Done{};
  if (taken) {
    delivered_.add();
    kept = directory_.delivered(post.number);
  } else if (outcome.status == 410) {
    failed_.add();
    gone(post);
  } else {
    failed_.add();
    const uint32_t attempts = post.attempts + 1;
    std::string why = outcome.status ? fmt::format("status {}", outcome.status) : outcome.error;
    why.resize(std::min(why.size(), most_error_octets));
    if (attempts >= (refuses(outcome.status) ? options_.refused_attempts : options_.attempts)) {
      kept = give_up(post, attempts, why);
    } else {
      const Duration pause = pause_after(attempts, outcome.retry_after);
      if (attempts == 1)
        event(port::Level::warning, "webhook.failing", {{"webhook", post.endpoint}, {"why", why}});
      kept = directory_.postpone_delivery(post.number, attempts, now.wall + pause, why);
    }
  }
  // The database is away: what it does not know will be done again, which receivers see by the id.
  if (!kept.ok()) {
    store_failures_.add();
    look_at_ = std::min(look_at_, now.mono + store_pause);
    return;
  }
  const std::lock_guard lock(mutex_);
  stirred_ = true;
}

/// What the database does not take is no given up delivery yet: it is tried again.
port::StoreStatus WebhookSender::give_up(const WebhookPost& post, uint32_t attempts, const std::string& why) {
  const auto removed = directory_.bury_delivery(post.number, attempts, why, options_.dead);
  if (!removed.ok()) return Failure{removed.reason()};
  given_up_.add();
  dropped_dead_.add(*removed);
  event(port::Level::error, "webhook.given_up",
        {{"webhook", post.endpoint}, {"why", why}, {"attempts", std::to_string(attempts)}});
  return Done{};
}

/// 410: nobody is there any more. What waits for it goes on waiting until somebody switches it on again.
void WebhookSender::gone(const WebhookPost& post) {
  port::WebhookRow row;
  {
    const std::lock_guard lock(mutex_);
    const auto it = rows_.find(post.endpoint);
    if (it == rows_.end()) return;
    it->second.enabled = false;
    row = it->second;
  }
  event(port::Level::error, "webhook.gone", {{"webhook", post.endpoint}});
  if (!directory_.put_webhook(row, port::Directory::Put::replace).ok()) store_failures_.add();
}

Instant WebhookSender::next() const {
  const std::lock_guard lock(mutex_);
  if (stirred_ || (!accepted_.empty() && look_at_.is_never())) return Instant{};
  return look_at_;
}

}  // namespace tandem::ops
