// The control plane's view of the workers: questions go to each as a task in its mailbox, answers are
// gathered.
#include <fmt/format.h>

#include <utility>

#include "net/clock.h"
#include "node/ownership.h"
#include "ops/metrics.h"
#include "tandem/program_impl.h"
#include "tandem/token_keys.h"
#include "turn/credentials.h"

namespace tandem::app {
namespace {

/// Collects one value from every worker and hands the whole on when the last has come.
template <class T>
class Gather {
 public:
  Gather(size_t expected, std::function<void(std::vector<T>)> then)
      : left_(expected), then_(std::move(then)) {}
  void add(std::vector<T> some) {
    std::unique_lock lock(mutex_);
    for (T& item : some) all_.push_back(std::move(item));
    if (--left_ > 0) return;
    lock.unlock();
    then_(std::exchange(all_, {}));
  }

 private:
  std::mutex mutex_;
  size_t left_;
  std::vector<T> all_;
  std::function<void(std::vector<T>)> then_;
};

/// f(Now, node::Worker&) -> vector<T> on each worker. A worker whose mailbox is full gives nothing.
template <class T, class F>
void each_worker(net::Runtime& runtime, std::function<void(std::vector<T>)> then, F f) {
  auto gather = std::make_shared<Gather<T>>(runtime.workers(), std::move(then));
  for (uint16_t w = 0; w < runtime.workers(); ++w) {
    const bool posted = runtime.post_task(w, [gather, f](Now now, port::Worker& worker) {
      gather->add(f(now, static_cast<node::Worker&>(worker)));
    });
    if (!posted) gather->add({});
  }
}

/// True when any of the workers said so.
/// What came of it where the call is.
template <class Done>
std::function<void(std::vector<Done>)> who_has_it(std::function<void(Done)> then) {
  return [then = std::move(then)](const std::vector<Done>& found) {
    for (const Done done : found)
      if (done != Done::no_call) return then(done);
    then(Done::no_call);
  };
}

std::function<void(std::vector<char>)> any(std::function<void(bool)> then) {
  return [then = std::move(then)](std::vector<char> found) {
    then(std::any_of(found.begin(), found.end(), [](char c) { return c != 0; }));
  };
}

}  // namespace

void Program::Impl::calls(size_t limit, std::function<void(std::vector<call::CallInfo>)> then) {
  each_worker<call::CallInfo>(*runtime, std::move(then),
                              [limit](Now, node::Worker& w) { return w.calls().list(limit); });
}

void Program::Impl::call(call::CallId id, std::function<void(std::optional<call::CallInfo>)> then) {
  const auto first = [then = std::move(then)](std::vector<call::CallInfo> found) {
    then(found.empty() ? std::nullopt : std::optional<call::CallInfo>(std::move(found.front())));
  };
  each_worker<call::CallInfo>(*runtime, first, [id](Now, node::Worker& w) {
    auto info = w.calls().show(id);
    return info ? std::vector<call::CallInfo>{std::move(*info)} : std::vector<call::CallInfo>{};
  });
}

void Program::Impl::hangup(call::CallId id, std::function<void(bool)> then) {
  each_worker<char>(*runtime, any(std::move(then)), [id](Now now, node::Worker& w) {
    return std::vector<char>{w.hangup(now, id, call::Cause{})};
  });
}

/// On each worker in turn.
void Program::Impl::order(call::CallOrder order, std::function<void(call::Ordered)> then) {
  order.shard = static_cast<uint16_t>(next_order++ % sip::shard_count);
  const uint16_t owner = sip::worker_of_shard(order.shard, runtime->workers());
  auto answer = std::make_shared<std::function<void(call::Ordered)>>(std::move(then));
  const bool posted =
      runtime->post_task(owner, [order = std::move(order), answer](Now now, port::Worker& worker) {
        (*answer)(static_cast<node::Worker&>(worker).order(now, order));
      });
  if (!posted) (*answer)({call::Ordered::Outcome::full, 0});
}

void Program::Impl::transfer(call::CallId id, uint16_t leg, std::string target,
                             std::function<void(bool)> then) {
  each_worker<char>(*runtime, any(std::move(then)), [id, leg, target](Now now, node::Worker& w) {
    return std::vector<char>{w.transfer(now, id, leg, target)};
  });
}

std::vector<ops::RecordingView> Program::Impl::recordings(const std::string& day) {
  std::vector<ops::RecordingView> found;
  const std::string& set = config.recordings.folder;
  const std::string folder = (set.empty() ? data.file("recordings") : set) + "/" + day;
  const auto names = disk.list(folder);
  if (!names.ok()) return found;
  for (const std::string& name : *names)
    if (const auto size = disk.size(folder + "/" + name); size.ok()) found.push_back({name, *size});
  return found;
}

void Program::Impl::conferences(std::function<void(std::vector<call::ConferenceInfo>)> then) {
  each_worker<call::ConferenceInfo>(*runtime, std::move(then),
                                    [](Now, node::Worker& w) { return w.calls().conferences(); });
}

void Program::Impl::change_conference(ConferenceChange change, std::function<void(bool)> then) {
  each_worker<char>(*runtime, any(std::move(then)), [change](Now now, node::Worker& w) {
    bool found = false;
    if (change.remove)
      found = w.remove_member(now, change.domain, change.name, change.call);
    else if (change.muted)
      found = w.mute_member(now, change.domain, change.name, change.call, *change.muted);
    else
      found = w.set_conference(now, change.domain, change.name, change.locked, change.lecture);
    return std::vector<char>{found};
  });
}

void Program::Impl::record(call::CallId id, call::RecordingAction action, bool announce,
                           std::function<void(call::RecordingDone)> then) {
  each_worker<call::RecordingDone>(
      *runtime, who_has_it(std::move(then)), [id, action, announce](Now now, node::Worker& w) {
        return std::vector<call::RecordingDone>{w.record(now, id, action, announce)};
      });
}

void Program::Impl::play(call::CallId id, call::PlayOrder order, std::function<void(call::PlayDone)> then) {
  each_worker<call::PlayDone>(*runtime, who_has_it(std::move(then)),
                              [id, order = std::move(order)](Now now, node::Worker& w) {
                                return std::vector<call::PlayDone>{w.play(now, id, order)};
                              });
}

void Program::Impl::registrations(std::string domain, std::string search, size_t limit,
                                  std::function<void(std::vector<ops::RegistrationView>)> then) {
  each_worker<ops::RegistrationView>(
      *runtime, std::move(then), [domain, search, limit](Now now, node::Worker& w) {
        std::vector<registrar::BindingView> found;
        w.registrar().list(now, search, 0, limit, found);
        std::vector<ops::RegistrationView> out;
        for (const registrar::BindingView& b : found) {
          if (!domain.empty() && b.aor.domain != domain) continue;
          out.push_back({b.aor, b.contact.uri, b.contact.path.remote.to_string(),
                         std::string(port::to_text(b.contact.path.transport)), b.user_agent, b.expires,
                         b.contact.q / 1000.0, b.contact.instance});
        }
        return out;
      });
}

void Program::Impl::contacts(std::vector<port::AddressOfRecord> aors,
                             std::function<void(std::vector<size_t>)> then) {
  // Every worker is asked for all: only the one that owns an address knows contacts of it.
  const auto sum = [n = aors.size(), then = std::move(then)](const std::vector<std::vector<size_t>>& all) {
    std::vector<size_t> counts(n);
    for (const std::vector<size_t>& some : all)
      for (size_t i = 0; i < some.size(); ++i) counts[i] += some[i];
    then(std::move(counts));
  };
  each_worker<std::vector<size_t>>(*runtime, sum, [aors = std::move(aors)](Now now, node::Worker& w) {
    std::vector<size_t> counts;
    for (const port::AddressOfRecord& aor : aors)
      counts.push_back(w.registrar().lookup(now, aor).contacts.size());
    return std::vector<std::vector<size_t>>{std::move(counts)};
  });
}

void Program::Impl::unregister(port::AddressOfRecord aor, std::function<void(bool)> then) {
  const uint16_t owner = sip::worker_of_shard(node::shard_of(aor), runtime->workers());
  auto answer = std::make_shared<std::function<void(bool)>>(std::move(then));
  const bool posted = runtime->post_task(owner, [aor, answer](Now now, port::Worker& worker) {
    (*answer)(static_cast<node::Worker&>(worker).unregister(now, aor));
  });
  if (!posted) (*answer)(false);
}

void Program::Impl::trunk_status(std::function<void(std::vector<ops::TrunkStatusView>)> then) {
  each_worker<ops::TrunkStatusView>(*runtime, std::move(then), [](Now, node::Worker& w) {
    std::vector<ops::TrunkStatusView> out;
    for (const call::TrunkStatus& t : w.trunks())
      out.push_back({t.trunk, std::string(call::to_string(t.state)), t.last_status,
                     std::string(call::to_string(t.health)), t.probe_status, t.calls});
    return out;
  });
}

std::optional<ops::NodeControl::TurnCredentials> Program::Impl::turn_credentials(const std::string& user,
                                                                                 std::optional<int64_t> ttl) {
  if (config.turn.listeners.empty()) return std::nullopt;
  TurnCredentials out;
  out.ttl = ttl.value_or(std::chrono::duration_cast<seconds>(config.turn.credentials_ttl).count());
  out.username = turn::timed_username(net::now().wall + seconds(out.ttl), user);
  out.password = turn::timed_password(turn_secret, out.username);
  out.uris = turn_uris;
  return out;
}

void Program::Impl::turn_allocations(size_t limit,
                                     std::function<void(std::vector<turn::AllocationInfo>)> then) {
  each_worker<turn::AllocationInfo>(*runtime, std::move(then), [limit](Now now, node::Worker& w) {
    return w.turn_allocations(now, limit);
  });
}

route::Decision Program::Impl::explain(const route::CallRequest& request) { return plan()->explain(request); }

std::shared_ptr<const route::Plan> Program::Impl::plan() const {
  const std::lock_guard lock(plan_mutex);
  return plan_now;
}

Status<std::string> Program::Impl::load_plan(port::Directory& directory) {
  const auto rows = directory.plan_rows();
  if (!rows.ok()) return Failure{rows.reason().text};
  const std::vector<std::string> names = realms->names();
  auto compiled = route::Plan::compile(*rows, names);
  for (const route::RowError& e : compiled->errors())
    say(port::Level::warning, "plan.row_refused", {{"table", e.table}, {"row", e.row}, {"why", e.text}});
  const std::lock_guard lock(plan_mutex);
  plan_now = std::move(compiled);
  return Done{};
}

void Program::Impl::plan_changed() { change_plan(*control_directory); }

void Program::Impl::change_plan(port::Directory& directory) {
  const std::lock_guard lock(plan_change_mutex);
  if (const auto loaded = load_plan(directory); !loaded.ok())
    return say(port::Level::error, "plan.not_loaded", {{"why", loaded.reason()}});
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(w, [plan = plan()](Now now, port::Worker& worker) {
      static_cast<node::Worker&>(worker).set_plan(now, plan);
    });
}

void Program::Impl::subscriber_changed(const port::AddressOfRecord& aor) {
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(
        w, [aor](Now, port::Worker& worker) { static_cast<node::Worker&>(worker).forget_subscriber(aor); });
}

Status<std::string> Program::Impl::reload() {
  if (auto s = runtime->reload_certificates(); !s.ok()) return s;
  if (auto s = web->reload_certificates(); !s.ok()) return s;
  const auto fresh = reread();
  if (!fresh.ok()) return Failure{fresh.reason()};
  auto keys = read_token_keys(fresh->sip.tokens);
  if (!keys.ok()) return Failure{keys.reason().text};
  const auth::TokenConfig tokens = node::token_config(fresh->sip.tokens, std::move(*keys));
  config.log.level = fresh->log.level;
  config.drain = fresh->drain;
  log.set_level(ops::level_from(fresh->log.level));
  set_event_level();
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(
        w, [tokens](Now, port::Worker& worker) { static_cast<node::Worker&>(worker).set_tokens(tokens); });
  api->reload_tokens();
  subscriber_changed({});
  plan_changed();
  return Done{};
}

void Program::Impl::drain(bool on) {
  draining_ = on;
  for (uint16_t w = 0; w < runtime->workers(); ++w)
    runtime->post_change(
        w, [on](Now now, port::Worker& worker) { static_cast<node::Worker&>(worker).set_draining(now, on); });
}

std::optional<std::string> Program::Impl::not_ready() const {
  if (!started) return "starting";
  if (draining_) return "draining";
  return std::nullopt;
}

std::string Program::Impl::metrics_text() {
  std::vector<ops::CounterSource> sources;
  for (size_t w = 0; w < worker_counters.size(); ++w) {
    const std::string label = fmt::format("worker=\"{}\"", w);
    sources.push_back({label, worker_counters[w]});
    sources.push_back({label, &runtime->counters(static_cast<uint16_t>(w))});
  }
  sources.push_back({"", &runtime->dns_counters()});
  sources.push_back({"", &store_counters});
  sources.push_back({"", &spool_counters});
  sources.push_back({"", &control_counters});
  sources.push_back({"", &log_counters});
  sources.push_back({"", &sound_counters});
  sources.push_back({"", &recorder_counters});
  sources.push_back({"", &mail_counters});
  sources.push_back({"", &webhook_counters});
  sources.push_back({"", &web->counters()});
  return ops::prometheus_text(sources);
}

ops::Figures Program::Impl::figures() {
  ops::Figures f;
  for (size_t w = 0; w < worker_counters.size(); ++w) {
    const CounterSet& c = *worker_counters[w];
    f.calls += c.total("call_active");
    f.started += c.total("call_started_total");
    f.answered += c.total("call_answered_total");
    f.contacts += c.total("registrar_contacts");
    f.lost += c.total("media_rtp_lost_total");
    f.sip_messages += c.total("sip_messages_received_total");
    f.trunks_down += c.total("trunk_down");
    f.packets += runtime->counters(static_cast<uint16_t>(w)).total("net_media_packets_received_total");
    for (const CounterSet::Entry& e : c.entries()) {
      if (e.name != "media_legs") continue;
      const bool good = e.labels.find("best") != std::string::npos ||
                        e.labels.find("high") != std::string::npos ||
                        e.labels.find("medium") != std::string::npos;
      (good ? f.legs_good : f.legs_poor) += e.counter.value();
    }
  }
  f.recordings = recorder_counters.total("recordings_open");
  return f;
}

std::string Program::Impl::domain_of(const std::string& name_or_alias) {
  return plan()->domain_of(name_or_alias);
}

std::string Program::Impl::digest_realm(const std::string& domain) {
  const auto now = plan();
  const port::DomainRow* row = now->domain(domain);
  return row && !row->digest_realm.empty() ? row->digest_realm : domain;
}

size_t Program::Impl::calls_in_progress() const {
  uint64_t calls = 0;
  for (const CounterSet* c : worker_counters) calls += c->total("call_active");
  return calls;
}

}  // namespace tandem::app
