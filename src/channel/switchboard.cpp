#include "channel/switchboard.h"

#include <algorithm>

#include "channel/allowance.h"

namespace tandem::channel {
namespace {

std::pair<uint64_t, uint64_t> key_of(port::FlowId f) {
  return {uint64_t{f.node} << 16 | f.worker, uint64_t{f.generation} << 32 | f.slot};
}

}  // namespace

struct Switchboard::Client {
  port::Path web;
  Guest guest;
  Instant opened, heard;  // heard: its last message or ping
  bool told = false;      // GO_AWAY has been said
  Instant deadline = Instant::never();
  Allowance descriptions, candidates;
  uint32_t refusals = 0;
};

struct Switchboard::Waiting {
  bool to_master = false;
  std::string client;  // the viewer: who sent it, or whom it is for
  Action action = Action::offer;
  std::string payload;
  Instant until;
};

struct Switchboard::Channel {
  std::optional<Key> master;
  std::map<std::string, Key, std::less<>> viewers;
  std::deque<Waiting> waiting;  // in the order they came; all wait equally long
};

Switchboard::~Switchboard() = default;

Switchboard::Switchboard(const SwitchboardConfig& config, CounterSet& counters)
    : config_(config),
      open_(counters.gauge("channel_connections", "Clients of signalling channels that are connected")),
      opened_masters_(counters.counter("channel_connections_total",
                                       "Clients that came to a signalling channel", "role=\"master\"")),
      opened_viewers_(counters.counter("channel_connections_total",
                                       "Clients that came to a signalling channel", "role=\"viewer\"")),
      replaced_(counters.counter("channel_replaced_total",
                                 "Clients of signalling channels whose place another took")),
      full_(counters.counter("channel_viewers_full_total",
                             "Viewers refused because their channel had as many as it may")),
      no_place_(counters.counter("channel_connections_full_total",
                                 "Clients refused because the worker had as many as it may")),
      expired_(counters.counter("channel_expired_total",
                                "Connections to signalling channels that lasted as long as they may")),
      idle_(counters.counter("channel_idle_total", "Connections to signalling channels that kept silent")),
      revoked_(counters.counter("channel_revoked_total",
                                "Connections ended because their channel or access key is no more")),
      too_many_refusals_(counters.counter("channel_refused_out_total",
                                          "Connections ended for messages that had to be refused")),
      kept_(counters.counter("channel_waiting_total", "Messages kept for who was not connected")),
      dropped_(counters.counter("channel_dropped_total",
                                "Messages that waited for somebody who did not come in time")) {
  static constexpr std::array types = {"type=\"SDP_OFFER\"", "type=\"SDP_ANSWER\"", "type=\"ICE_CANDIDATE\""};
  for (size_t i = 0; i < types.size(); ++i)
    passed_[i] =
        &counters.counter("channel_messages_total", "Messages of signalling channels passed on", types[i]);
  for (size_t i = 0; i < refused_.size(); ++i)
    refused_[i] = &counters.counter("channel_messages_refused_total", "Messages refused, by why",
                                    std::string("reason=\"") + to_string(static_cast<Fault>(i)) + "\"");
}

// ---- who comes and goes
// ------------------------------------------------------------------------------------

void Switchboard::on_opened(Now now, const port::Path& web, Guest guest, Outcome& out) {
  const Key key = key_of(web.flow);
  if (clients_.size() >= config_.connections) {
    no_place_.add();
    return out.hang_ups.push_back(web.flow);
  }
  Channel& channel = channels_[guest->channel];
  std::optional<Key> before;
  if (guest->master) {
    before = channel.master;
  } else if (const auto it = channel.viewers.find(guest->client); it != channel.viewers.end()) {
    before = it->second;
  } else if (channel.viewers.size() >= guest->max_viewers) {
    full_.add();
    out.texts.push_back({web, write_full()});
    return out.hang_ups.push_back(web.flow);
  }
  if (before) {
    replaced_.add();
    out.hang_ups.push_back(clients_.at(*before).web.flow);
    clients_.erase(*before);
  }
  (guest->master ? opened_masters_ : opened_viewers_).add();
  if (guest->master)
    channel.master = key;
  else
    channel.viewers[guest->client] = key;
  Client& c = clients_
                  .emplace(key, Client{web, std::move(guest), now.mono, now.mono, false, Instant::never(),
                                       Allowance(config_.descriptions_per_second),
                                       Allowance(config_.candidates_per_second)})
                  .first->second;
  open_.set(clients_.size());
  arm(key, c);
  deliver_waiting(now, channel, c, out);
}

void Switchboard::on_closed(port::FlowId web) { forget(key_of(web)); }

void Switchboard::on_alive(Now now, port::FlowId web) {
  const auto it = clients_.find(key_of(web));
  if (it == clients_.end()) return;
  it->second.heard = now.mono;
  arm(it->first, it->second);
}

void Switchboard::forget(const Key& key) {
  const auto it = clients_.find(key);
  if (it == clients_.end()) return;
  const Guest guest = it->second.guest;
  clients_.erase(it);
  open_.set(clients_.size());
  Channel& channel = channels_.find(guest->channel)->second;
  if (guest->master)
    channel.master.reset();
  else
    channel.viewers.erase(guest->client);
  drop_if_empty(guest->channel);
}

void Switchboard::drop_if_empty(std::string_view name) {
  const auto it = channels_.find(name);
  if (it == channels_.end()) return;
  const Channel& c = it->second;
  if (!c.master && c.viewers.empty() && c.waiting.empty()) channels_.erase(it);
}

void Switchboard::hang_up(const Key& key, Outcome& out) {
  out.hang_ups.push_back(clients_.at(key).web.flow);
  forget(key);
}

void Switchboard::end_channel(std::string_view name, Outcome& out) {
  const auto it = channels_.find(name);
  if (it == channels_.end()) return;
  for (const Waiting& w : it->second.waiting) waiting_octets_ -= w.payload.size();
  it->second.waiting.clear();
  std::vector<Key> all;
  if (it->second.master) all.push_back(*it->second.master);
  for (const auto& [client, key] : it->second.viewers) all.push_back(key);
  revoked_.add(all.size());
  for (const Key& key : all) hang_up(key, out);
  drop_if_empty(name);
}

void Switchboard::end_access_key(std::string_view access_key, Outcome& out) {
  std::vector<Key> all;
  for (const auto& [key, c] : clients_)
    if (c.guest->access_key == access_key) all.push_back(key);
  revoked_.add(all.size());
  for (const Key& key : all) hang_up(key, out);
}

// ---- what they say
// -----------------------------------------------------------------------------------------

void Switchboard::on_text(Now now, port::FlowId web, std::string_view text, Outcome& out) {
  const auto it = clients_.find(key_of(web));
  if (it == clients_.end()) return;  // replaced, or ended: what was under way is nobody's
  it->second.heard = now.mono;
  arm(it->first, it->second);
  hear(now, it->first, it->second, text, out);
}

void Switchboard::hear(Now now, const Key& key, Client& c, std::string_view text, Outcome& out) {
  auto message = parse(text, config_);
  if (message.ok()) {
    Allowance& allowance = message->action == Action::candidate ? c.candidates : c.descriptions;
    if (!allowance.take(now.mono))
      message = Failure{Refused{Fault::too_fast, message->correlation}};
    else if (c.guest->master && message->recipient.empty())
      message = Failure{Refused{Fault::recipient, message->correlation}};
  }
  if (message.ok()) return pass(now, c, std::move(*message), out);
  refuse(c, message.reason(), out);
  if (++c.refusals <= config_.refusals) return;
  too_many_refusals_.add();
  hang_up(key, out);
}

/// Nobody is told who did not ask: that is what `correlationId` is for.
void Switchboard::refuse(const Client& c, const Refused& refused, Outcome& out) {
  refused_[static_cast<size_t>(refused.fault)]->add();
  if (!refused.correlation.empty()) out.texts.push_back({c.web, write_status(refused)});
}

void Switchboard::pass(Now now, Client& from, Message message, Outcome& out) {
  Channel& channel = channels_.find(from.guest->channel)->second;
  std::optional<Key> to;
  if (!from.guest->master) {
    to = channel.master;
  } else if (const auto it = channel.viewers.find(message.recipient); it != channel.viewers.end()) {
    to = it->second;
  }
  if (!to) return keep(now, channel, from, std::move(message), out);
  passed_[static_cast<size_t>(message.action)]->add();
  out.texts.push_back({clients_.at(*to).web, write_message(message.action, message.payload,
                                                           from.guest->master ? "" : from.guest->client)});
}

// ---- what waits for who is not there
// -----------------------------------------------------------------------

void Switchboard::keep(Now now, Channel& channel, const Client& from, Message message, Outcome& out) {
  drop_old(now, channel);
  Waiting w{!from.guest->master, from.guest->master ? message.recipient : from.guest->client, message.action,
            std::move(message.payload), now.mono + from.guest->message_ttl};
  // An offer that was not delivered yet is overwritten by the next one of the same client.
  const auto older = std::find_if(channel.waiting.begin(), channel.waiting.end(), [&](const Waiting& o) {
    return w.action == Action::offer && o.action == Action::offer && o.to_master == w.to_master &&
           o.client == w.client;
  });
  if (older != channel.waiting.end()) {
    waiting_octets_ -= older->payload.size();
    channel.waiting.erase(older);
  }
  if (channel.waiting.size() >= config_.waiting ||
      waiting_octets_ + w.payload.size() > config_.waiting_octets)
    return refuse(from, {Fault::full, message.correlation}, out);
  kept_.add();
  waiting_octets_ += w.payload.size();
  if (channel.waiting.empty()) timers_.push(w.until, {{}, from.guest->channel});
  channel.waiting.push_back(std::move(w));
}

void Switchboard::deliver_waiting(Now now, Channel& channel, const Client& to, Outcome& out) {
  drop_old(now, channel);
  std::deque<Waiting> others;
  for (Waiting& w : channel.waiting) {
    const bool due = to.guest->master ? w.to_master : !w.to_master && w.client == to.guest->client;
    if (!due) {
      others.push_back(std::move(w));
      continue;
    }
    waiting_octets_ -= w.payload.size();
    passed_[static_cast<size_t>(w.action)]->add();
    out.texts.push_back({to.web, write_message(w.action, w.payload, w.to_master ? w.client : "")});
  }
  channel.waiting = std::move(others);
}

void Switchboard::drop_old(Now now, Channel& channel) {
  std::erase_if(channel.waiting, [&](const Waiting& w) {
    if (w.until > now.mono) return false;
    waiting_octets_ -= w.payload.size();
    dropped_.add();
    return true;
  });
}

// ---- time
// --------------------------------------------------------------------------------------------------

/// GO_AWAY, the end of the connection, or its silence: whichever is next.
void Switchboard::arm(const Key& key, Client& c) {
  const Instant end = c.opened + config_.longest;
  const Instant next = std::min(c.told ? end : end - config_.grace, c.heard + config_.idle);
  // Later than before: the old alarm rings first, and is set again then.
  if (c.deadline <= next) return;
  c.deadline = next;
  timers_.push(next, {key, {}});
}

void Switchboard::say_goodbye(Now now, Outcome& out) {
  for (auto& [key, c] : clients_) {
    if (c.told) continue;
    c.told = true;
    c.opened = now.mono - config_.longest + config_.grace;
    out.texts.push_back({c.web, write_notice("RECONNECT_ICE_SERVER")});
    out.texts.push_back({c.web, write_notice("GO_AWAY")});
    arm(key, c);
  }
}

void Switchboard::on_timeout(Now now, Outcome& out) {
  for (TimerQueue<Alarm>::Due due; timers_.pop_due(now.mono, due);) {
    if (!due.key.channel.empty()) {
      const auto it = channels_.find(due.key.channel);
      if (it == channels_.end()) continue;
      drop_old(now, it->second);
      if (it->second.waiting.empty()) {
        drop_if_empty(due.key.channel);
        continue;
      }
      const auto oldest = std::min_element(it->second.waiting.begin(), it->second.waiting.end(),
                                           [](const auto& a, const auto& b) { return a.until < b.until; });
      timers_.push(oldest->until, {{}, due.key.channel});
      continue;
    }
    const auto it = clients_.find(due.key.key);
    if (it == clients_.end() || it->second.deadline != due.deadline) continue;
    Client& c = it->second;
    c.deadline = Instant::never();
    if (now.mono >= c.heard + config_.idle) {
      idle_.add();
      hang_up(due.key.key, out);
    } else if (now.mono >= c.opened + config_.longest) {
      expired_.add();
      hang_up(due.key.key, out);
    } else {
      if (!c.told && now.mono >= c.opened + config_.longest - config_.grace) {
        c.told = true;
        out.texts.push_back({c.web, write_notice("GO_AWAY")});
      }
      arm(due.key.key, c);
    }
  }
}

}  // namespace tandem::channel
