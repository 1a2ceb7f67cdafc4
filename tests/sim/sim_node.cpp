#include "sim/sim_node.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "node/mail.h"

namespace tandem::sim {
namespace {

constexpr int64_t wall_origin = 1'800'000'000'000'000'000;
constexpr uint32_t udp_slot = 0x8000'0000;
constexpr std::string_view spool_directory = "spool";

node::NodeKeys keys_for(uint16_t node) {
  node::NodeKeys keys;
  for (size_t i = 0; i < keys.tokens.size(); ++i) keys.tokens[i] = static_cast<uint8_t>(17 * node + i);
  for (size_t i = 0; i < keys.nonces.size(); ++i) keys.nonces[i] = static_cast<uint8_t>(31 * node + i);
  for (size_t i = 0; i < keys.gruus.size(); ++i) keys.gruus[i] = static_cast<uint8_t>(47 * node + i);
  return keys;
}

node::NodeConfig node_config(const SimNodeConfig& from) {
  node::NodeConfig config;
  config.node = from.node;
  node::RealmSettings realm;
  for (const char* transport : {"udp", "tcp"}) {
    node::ListenerSettings listener;
    listener.transport = transport;
    listener.bind = {from.ip, 5060};
    realm.listeners.push_back(listener);
  }
  realm.first_port = PortTable::first;
  realm.last_port = PortTable::first + 2 * PortTable::pairs - 1;
  config.realms.push_back(std::move(realm));
  return config;
}

/// sync() of a file that does nothing.
class LyingFile final : public port::DiskFile {
 public:
  LyingFile(std::unique_ptr<port::DiskFile> file, Sabotage& sabotage)
      : file_(std::move(file)), sabotage_(sabotage) {}
  Status<port::DiskError> append(std::string_view bytes) override { return file_->append(bytes); }
  Status<port::DiskError> sync() override {
    if (sabotage_.always(Fault::lying_disk)) return Done{};
    return file_->sync();
  }

 private:
  std::unique_ptr<port::DiskFile> file_;
  Sabotage& sabotage_;
};

}  // namespace

Result<std::unique_ptr<port::DiskFile>, port::DiskError> LyingDisk::wrap(
    Result<std::unique_ptr<port::DiskFile>, port::DiskError> file) {
  if (!file.ok()) return file;
  return std::unique_ptr<port::DiskFile>(std::make_unique<LyingFile>(std::move(*file), sabotage_));
}
Result<std::unique_ptr<port::DiskFile>, port::DiskError> LyingDisk::create(const std::string& path) {
  return wrap(disk_.create(path));
}
Result<std::unique_ptr<port::DiskFile>, port::DiskError> LyingDisk::open_append(const std::string& path) {
  return wrap(disk_.open_append(path));
}

SimNode::Boot::Boot(SimNode& n, uint16_t workers)
    : epoch(++n.epoch_),
      spool(n.lying_disk_, std::string(spool_directory), {}, catalog, store_counters),
      sink(n.directory_, n.disk_, "rejected", store_counters),
      shipper(n.disk_, std::string(spool_directory), catalog, sink, store_counters),
      desk(n.directory_, {}, store_counters, {}, &n),
      slots(workers),
      appended(workers, 0) {}

SimNode::SimNode(const SimNodeConfig& config, Schedule& schedule, Network& network, Judge& judge,
                 Sabotage& sabotage)
    : config_(config),
      schedule_(schedule),
      network_(network),
      judge_(judge),
      sabotage_(sabotage),
      rng_(config.seed),
      origin_(config.origin),
      lying_disk_(disk_, sabotage) {
  ports_.ip = config.ip;
  network.attach(config.ip, *this);
  if (!disk_.make_directory(std::string(spool_directory)).ok())
    judge_.violation("the disk works", "no directory");
}

SimNode::~SimNode() = default;

Now SimNode::now() const {
  return {{schedule_.now().ns + origin_.count()}, {wall_origin + schedule_.now().ns}};
}

uint16_t SimNode::workers() const { return boot_ ? static_cast<uint16_t>(boot_->slots.size()) : uint16_t{0}; }

// ---- life and death --------------------------------------------------------------------------------------

void SimNode::build(uint16_t workers) {
  ++boot_number_;
  const int64_t before = memory_of(Account::node).bytes;
  const OnAccount account(Account::node);
  boot_ = std::make_unique<Boot>(*this, workers);
  ports_.epoch = boot_->epoch;
  if (auto recovered = boot_->spool.recover(); !recovered.ok())
    judge_.violation("the spool recovers", "it does not");
  const node::NodeConfig config = node_config(config_);
  auto realms = node::make_realms(config);
  auto rows = directory_.plan_rows();
  if (!realms.ok() || !rows.ok())
    return judge_.violation("the node starts", realms.ok() ? "no plan" : realms.reason());
  const auto plan = route::Plan::compile(*rows, (*realms)->names());
  for (const route::RowError& e : plan->errors())
    judge_.violation("the plan compiles", e.table + " " + e.row + ": " + e.text);
  for (uint16_t i = 0; i < workers; ++i) {
    Slot& slot = boot_->slots[i];
    slot.last_mail.resize(workers);
    slot.rng = std::make_unique<SeededRng>(rng_.next());
    slot.ports = std::make_unique<SimPorts>(ports_, i, rng_.next(), schedule_, sabotage_);
    slot.key_rng = std::make_unique<SeededRng>(config_.node);  // the workers of a node show one certificate
    slot.keys = std::make_unique<dtls::TwinEndpoint>(*slot.key_rng);
    slot.worker = std::make_unique<node::Worker>(
        node::make_settings(config, keys_for(config_.node), boot_->epoch, i, workers, *realms), plan,
        *slot.ports, *slot.rng, *slot.keys, now());
  }
  for (uint16_t i = 0; i < workers; ++i) flush(i);
  fresh_bytes_ = memory_of(Account::node).bytes - before;
}

void SimNode::start(uint16_t workers) {
  build(workers);
  if (!shipping_) {
    shipping_ = true;
    ship();
  }
}

void SimNode::stop() {
  ++boot_number_;
  boot_.reset();
}

void SimNode::crash(Duration down, uint16_t workers) {
  if (!boot_) return;
  if (rng_.below(2) == 0) {
    // In the middle of a write.
    disk_.die_after(static_cast<uint32_t>(rng_.below(4)));
    std::vector<store::SpoolCommitted> never;
    boot_->spool.flush(now().mono, never);
  }
  ++boot_number_;
  drop_connections();
  boot_.reset();
  // Phones of the lost calls go on sending to ports of which nobody knows any more.
  ports_.tenants.clear();
  ports_.resting.clear();
  disk_.crash(rng_);
  judge_.crashed(config_.node);
  schedule_.after(down, [this, workers] { build(workers); });
}

void SimNode::drop_connections() {
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& c = connections_[i];
    if (!c.open) continue;
    c.open = false;
    schedule_.after(network_.delay(), [user = c.user, i] { user->disconnected(i + 1); });
  }
}

void SimNode::through_bytes(uint16_t workers, Duration new_origin) {
  if (!boot_ || frozen_) return;
  frozen_ = true;  // nothing new comes in; what workers say to each other still arrives
  freeze_done(workers, new_origin);
}

void SimNode::freeze_done(uint16_t workers, Duration new_origin) {
  std::vector<store::SpoolCommitted> committed;
  boot_->spool.flush(now().mono, committed);
  report(committed);
  if (boot_->mails > 0) {
    schedule_.after(microseconds(200), [this, workers, new_origin] { freeze_done(workers, new_origin); });
    return;
  }
  // Bytes and nothing else.
  std::vector<node::Worker::Part> parts;
  for (Slot& slot : boot_->slots)
    for (node::Worker::Part& part : slot.worker->snapshot(now())) {
      if (part.kind == node::Worker::Part::Kind::call && sabotage_.once(Fault::lost_part)) continue;
      if (part.kind == node::Worker::Part::Kind::subscription && sabotage_.always(Fault::lost_watch))
        continue;
      parts.push_back(std::move(part));
    }
  ++boot_number_;
  drop_connections();
  boot_.reset();
  if (!ports_.tenants.empty()) ports_.tenants.clear();  // the process is gone
  origin_ = new_origin;
  build(workers);
  std::vector<std::vector<node::Worker::Part>> dealt(workers);
  for (node::Worker::Part& part : parts)
    dealt[sip::worker_of_shard(part.shard, workers)].push_back(std::move(part));
  for (uint16_t i = 0; i < workers; ++i) {
    parts_moved_ += dealt[i].size();
    const OnAccount account(Account::node);
    for (const node::Worker::Part& part : boot_->slots[i].worker->restore(now(), std::move(dealt[i])))
      judge_.violation("a snapshot can be restored",
                       fmt::format("part of kind {}, {} bytes, for worker {} of {}",
                                   static_cast<int>(part.kind), part.bytes.size(), i, workers));
  }
  for (uint16_t i = 0; i < workers; ++i) flush(i);
  thaw();
}

/// What the restored workers tell each other arrives before anything from outside does.
void SimNode::thaw() {
  if (boot_->mails > 0) return schedule_.after(microseconds(200), [this] { thaw(); });
  frozen_ = false;
  auto held = std::exchange(held_, {});
  for (auto& [from, to, bytes] : held) datagram(from, to, std::move(bytes));
}

void SimNode::set_store(Store state) {
  store_ = state;
  directory_.fail_with(state == Store::absent ? std::optional(port::StoreError::Kind::unavailable)
                                              : std::nullopt);
}

// ---- in and out of a worker ------------------------------------------------------------------------------

void SimNode::flush(uint16_t worker) {
  Slot& slot = boot_->slots[worker];
  port::Outbox& out = slot.worker->outbox();
  for (port::Append& a : std::exchange(out.appends, {})) append(worker, std::move(a));
  media_out(slot);
  for (port::Send& s : std::exchange(out.sends, {})) dispatch(worker, std::move(s));
  for (const port::FlowId& flow : std::exchange(out.closes, {}))
    if (!(flow.slot & udp_slot) && flow.slot < connections_.size() &&
        connections_[flow.slot].generation == flow.generation)
      disconnect(flow.slot + 1);
  for (port::Asked& a : std::exchange(out.asks, {})) ask(worker, std::move(a));
  for (port::Mail& m : std::exchange(out.mails, {})) mail(worker, std::move(m));
  for (const port::Event& e : std::exchange(out.events, {})) {
    if (e.level < port::Level::error && !config_.verbose) continue;
    std::string text(e.name);
    for (const auto& [key, value] : e.fields) text += fmt::format(" {}={}", key, value);
    if (e.level >= port::Level::error) judge_.violation("nothing is reported as an error", text);
    if (config_.verbose)
      fmt::print("{:10.3f} node {} worker {} {:x} {}\n", static_cast<double>(schedule_.now().ns) / 1e9,
                 config_.node, worker, e.trail, text);
  }
  out.traces.clear();
  out.new_asks.clear();
  arm(worker);
}

void SimNode::arm(uint16_t worker) {
  Slot& slot = boot_->slots[worker];
  const Instant next = slot.worker->next_timeout();
  if (next.is_never() || slot.deaf) return;
  const Instant when = std::max(schedule_time(next), schedule_.now());
  if (slot.wake <= when) return;
  slot.wake = when;
  schedule_.at(when, [this, worker, when, boot = boot_number_] {
    if (boot != boot_number_ || boot_->slots[worker].wake != when) return;
    Slot& s = boot_->slots[worker];
    s.wake = Instant::never();
    if (frozen_) {  // time goes on after the restore; should there be none, look again
      s.wake = schedule_.now() + milliseconds(1);
      schedule_.at(s.wake, [this, worker, w = s.wake, boot] {
        if (boot == boot_number_ && boot_->slots[worker].wake == w) {
          boot_->slots[worker].wake = Instant::never();
          arm(worker);
        }
      });
      return;
    }
    if (s.worker->next_timeout() <= now().mono) {
      if (s.worker->calls().call_count() > 3 && sabotage_.once(Fault::lost_timer)) s.deaf = true;
      return run(worker, [this](Slot& at) { at.worker->on_timeout(now()); });
    }
    arm(worker);
  });
}

void SimNode::mail(uint16_t from, port::Mail m) {
  if (m.to_worker >= boot_->slots.size())
    return judge_.violation("mails have a receiver", std::to_string(m.to_worker));
  port::MailBody* body = m.body.get();
  crossings_.calls += dynamic_cast<node::MoveMail*>(body) != nullptr;
  crossings_.messages += dynamic_cast<node::MessageMail*>(body) != nullptr;
  crossings_.questions += dynamic_cast<node::AskMail*>(body) != nullptr;
  crossings_.lines += dynamic_cast<node::LineMail*>(body) != nullptr;
  if (sabotage_.planted()) {
    const auto* line = dynamic_cast<node::LineMail*>(body);
    if (line && line->update.call.state == port::LineCall::State::terminated &&
        sabotage_.once(Fault::lost_line))
      return;
    if (dynamic_cast<node::ForgetMail*>(body) && sabotage_.once(Fault::lost_forget)) return;
    if (dynamic_cast<node::MoveMail*>(body) && sabotage_.once(Fault::lost_move)) return;
    if (dynamic_cast<node::AnswerMail*>(body) && sabotage_.once(Fault::lost_answer)) return;
  }
  Instant& last = boot_->slots[m.to_worker].last_mail[from];
  last = std::max(last, schedule_.now() + microseconds(5 + static_cast<int64_t>(rng_.below(400))));
  ++boot_->mails;
  schedule_.at(last, [this, to = m.to_worker, boot = boot_number_, b = std::move(m.body)]() mutable {
    if (boot != boot_number_) return;
    --boot_->mails;
    run(to, [&](Slot& s) { s.worker->on_mail(now(), std::move(b)); });
  });
}

// ---- SIP -------------------------------------------------------------------------------------------------

uint16_t SimNode::worker_for(const SocketAddress& from) const {
  // As the kernel deals datagrams to sockets that share a port.
  return static_cast<uint16_t>(mix64(SocketAddressHash{}(from) ^ boot_number_) % boot_->slots.size());
}

port::Path SimNode::listener_path(port::Transport transport, const SocketAddress& remote) const {
  return {transport, 0, {}, address(), remote};
}

void SimNode::tap_in(std::string_view text) {
  if (!text.starts_with("SIP/2.0 ") || text[8] == '1') return;
  if (header_of(text, "CSeq:").ends_with("BYE")) judge_.ended(config_.node, header_of(text, "Call-ID:"));
}

void SimNode::tap_out(std::string_view text) {
  if (text.starts_with("SIP/2.0 200") && header_of(text, "CSeq:").ends_with("BYE"))
    judge_.ended(config_.node, header_of(text, "Call-ID:"));
}

void SimNode::datagram(const SocketAddress& from, const SocketAddress& to, Buffer bytes) {
  if (!boot_) return;
  if (frozen_) {
    held_.emplace_back(from, to, std::move(bytes));
    return;
  }
  if (to.port != 5060) return media_in(from, to, std::move(bytes));
  tap_in(bytes.text());
  const uint16_t worker = worker_for(from);
  port::Path path = listener_path(port::Transport::udp, from);
  path.flow = {config_.node, worker, udp_slot, 1};
  run(worker, [&](Slot& s) { s.worker->on_received(now(), {path, std::move(bytes)}); });
}

void SimNode::dispatch(uint16_t worker, port::Send send) {
  if (config_.verbose)
    fmt::print("{:10.3f} node {} worker {} -> {} {} {}\n", static_cast<double>(schedule_.now().ns) / 1e9,
               config_.node, worker, send.path.remote.to_string(),
               send.bytes.text().substr(0, send.bytes.text().find("\r\n")),
               header_of(send.bytes.text(), "Call-ID:"));
  if (sabotage_.planted() && gets_lost(send.bytes.text())) return;
  if (send.bytes.text().starts_with("INVITE ")) {
    judge_.invited(header_of(send.bytes.text(), "Call-ID:"));
    judge_.called(config_.node, header_of(send.bytes.text(), "Call-ID:"));
  }
  if (send.path.transport != port::Transport::udp) return send_stream(worker, std::move(send));
  tap_out(send.bytes.text());
  network_.send(address(), send.path.remote, std::move(send.bytes));
}

/// What a node forgot to send: a planted fault.
bool SimNode::gets_lost(std::string_view text) {
  return (text.starts_with("ACK ") && sabotage_.always(Fault::lost_ack)) ||
         (text.starts_with("PRACK ") && sabotage_.always(Fault::lost_prack)) ||
         (text.starts_with("NOTIFY ") && sabotage_.always(Fault::lost_notify));
}

void SimNode::send_stream(uint16_t worker, port::Send send) {
  size_t at = connections_.size();
  if (send.path.flow) {
    if (send.path.flow.slot < connections_.size() &&
        connections_[send.path.flow.slot].generation == send.path.flow.generation)
      at = send.path.flow.slot;
  } else {
    for (size_t i = 0; i < connections_.size(); ++i)
      if (connections_[i].open && connections_[i].remote == send.path.remote &&
          connections_[i].transport == send.path.transport)
        at = i;
  }
  if (at == connections_.size() || !connections_[at].open) return send_failed(worker, send);
  Connection& c = connections_[at];
  tap_out(send.bytes.text());
  network_.note(send.bytes.text());
  c.last_out = std::max(c.last_out, schedule_.now() + network_.delay());
  schedule_.at(c.last_out, [this, at, generation = c.generation, bytes = std::move(send.bytes)]() mutable {
    if (connections_[at].open && connections_[at].generation == generation)
      connections_[at].user->message(std::move(bytes));
  });
}

void SimNode::send_failed(uint16_t worker, const port::Send& send) {
  if (send.notify == 0) return;
  const port::FlowEvent event{port::FlowEvent::Kind::send_failed, send.path.flow, send.path, send.notify};
  later(microseconds(50), worker, [this, event](Slot& s) { s.worker->on_flow(now(), event); });
}

uint64_t SimNode::connect(ConnectionUser& user, const SocketAddress& from, port::Transport transport) {
  if (!up()) return 0;
  Connection& c = connections_.emplace_back();
  const size_t at = connections_.size() - 1;
  c.user = &user;
  c.remote = from;
  c.transport = transport;
  c.worker = static_cast<uint16_t>(rng_.below(boot_->slots.size()));
  c.open = true;
  schedule_.after(network_.delay() + network_.delay(), [this, at] {
    Connection& opened = connections_[at];
    if (!opened.open) return;
    opened.user->connected(at + 1);
    port::Path path = listener_path(opened.transport, opened.remote);
    path.flow = {config_.node, opened.worker, static_cast<uint32_t>(at), opened.generation};
    run(opened.worker, [&](Slot& s) {
      s.worker->on_flow(now(), {port::FlowEvent::Kind::opened, path.flow, path, 0});
    });
  });
  return at + 1;
}

void SimNode::stream(uint64_t connection, Buffer bytes) {
  Connection& c = connections_[connection - 1];
  if (!c.open) return;
  network_.note(bytes.text());
  c.last_in = std::max(c.last_in, schedule_.now() + network_.delay());
  schedule_.at(c.last_in, [this, at = connection - 1, boot = boot_number_, b = std::move(bytes)]() mutable {
    const Connection& from = connections_[at];
    if (boot != boot_number_ || !from.open || frozen_) return;
    tap_in(b.text());
    port::Path path = listener_path(from.transport, from.remote);
    path.flow = {config_.node, from.worker, static_cast<uint32_t>(at), from.generation};
    run(from.worker, [&](Slot& s) { s.worker->on_received(now(), {path, std::move(b)}); });
  });
}

void SimNode::disconnect(uint64_t connection) {
  Connection& c = connections_[connection - 1];
  if (!c.open) return;
  c.open = false;
  schedule_.after(network_.delay(), [user = c.user, connection] { user->disconnected(connection); });
  port::Path path = listener_path(c.transport, c.remote);
  path.flow = {config_.node, c.worker, static_cast<uint32_t>(connection - 1), c.generation};
  later(network_.delay(), c.worker, [this, path](Slot& s) {
    s.worker->on_flow(now(), {port::FlowEvent::Kind::closed, path.flow, path, 0});
  });
}

// ---- media -----------------------------------------------------------------------------------------------

void SimNode::media_in(const SocketAddress& from, const SocketAddress& to, Buffer bytes) {
  auto tenant = ports_.tenants.find(to.port);
  if (tenant != ports_.tenants.end() && sabotage_.always(Fault::crossed_media))
    tenant = ports_.tenants.begin();
  if (tenant == ports_.tenants.end()) return;
  const size_t size = bytes.size();
  const auto room = static_cast<uint32_t>(bytes.capacity() - size);
  run(tenant->second.worker, [&](Slot& s) {
    port::MediaPacket packet{tenant->second.id, from, {bytes.data(), size}, room};
    s.worker->on_media(now(), {&packet, 1});
    media_out(s);  // before the packet's buffer goes
  });
}

void SimNode::send_media(const SocketAddress& from, const SocketAddress& to, Bytes bytes) {
  Buffer packet = Buffer::copy_of(bytes), other = Buffer::copy_of(bytes);
  other.data()[other.size() - 1] ^= 1;
  if (sabotage_.always(Fault::wrong_key)) return network_.send(from, to, std::move(other));
  network_.send(from, to, std::move(packet));
  if (sabotage_.always(Fault::reused_index)) network_.send(from, to, std::move(other));
}

void SimNode::media_out(Slot& slot) {
  port::MediaOut& out = slot.worker->outbox().media;
  if (out.sends.empty() && out.own.empty()) return;
  for (const port::MediaSend& send : out.sends) {
    const uint16_t number = slot.ports->number_of(send.port);
    if (number == 0)
      judge_.violation("media leaves by open ports", "a packet for " + send.remote.to_string());
    else
      send_media({config_.ip, number}, send.remote, send.bytes);
  }
  out.clear();
}

}  // namespace tandem::sim
