#pragma once
// A node in the simulated world: several workers of the product behind the port::Worker contract, with
// mailboxes, a spool on a disk that crashes, a store that is slow or away, and media ports. What `net`,
// `store` and `apps` are to the product.
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "dtls/twin_endpoint.h"
#include "node/worker.h"
#include "sim/faults.h"
#include "sim/judge.h"
#include "sim/memory.h"
#include "sim/network.h"
#include "sim/ports.h"
#include "sim/schedule.h"
#include "store/cdr_sink.h"
#include "store/spool.h"
#include "store/store_desk.h"
#include "store_memory/memory_directory.h"
#include "store_memory/memory_disk.h"

namespace tandem::sim {

/// The phone's end of a connection.
class ConnectionUser {
 public:
  virtual ~ConnectionUser() = default;
  virtual void connected(uint64_t connection) = 0;
  virtual void message(Buffer bytes) = 0;
  virtual void disconnected(uint64_t connection) = 0;
};

/// sync() may lie (a planted fault); everything else is the disk's.
class LyingDisk final : public port::Disk {
 public:
  LyingDisk(store_memory::MemoryDisk& disk, Sabotage& sabotage) : disk_(disk), sabotage_(sabotage) {}
  Status<port::DiskError> make_directory(const std::string& path) override {
    return disk_.make_directory(path);
  }
  Result<std::vector<std::string>, port::DiskError> list(const std::string& d) override {
    return disk_.list(d);
  }
  Result<std::vector<std::string>, port::DiskError> folders(const std::string& d) override {
    return disk_.folders(d);
  }
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> create(const std::string& path) override;
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> open_append(const std::string& path) override;
  Result<std::string, port::DiskError> read(const std::string& p, uint64_t offset, size_t limit) override {
    return disk_.read(p, offset, limit);
  }
  Result<uint64_t, port::DiskError> size(const std::string& path) override { return disk_.size(path); }
  Status<port::DiskError> overwrite(const std::string& p, uint64_t offset, std::string_view bytes) override {
    return disk_.overwrite(p, offset, bytes);
  }
  Status<port::DiskError> truncate(const std::string& p, uint64_t size) override {
    return disk_.truncate(p, size);
  }
  Status<port::DiskError> rename(const std::string& from, const std::string& to) override {
    return disk_.rename(from, to);
  }
  Status<port::DiskError> remove(const std::string& path) override { return disk_.remove(path); }
  Status<port::DiskError> sync_directory(const std::string& d) override { return disk_.sync_directory(d); }

 private:
  Result<std::unique_ptr<port::DiskFile>, port::DiskError> wrap(
      Result<std::unique_ptr<port::DiskFile>, port::DiskError> file);
  store_memory::MemoryDisk& disk_;
  Sabotage& sabotage_;
};

struct SimNodeConfig {
  uint16_t node = 1;
  IpAddress ip;
  std::string domain;
  uint64_t seed = 1;
  Duration origin{};  // of the monotonic clock, against the schedule's
  bool verbose = false;
};

class SimNode final : public Host, private store::StoreListener {
 public:
  SimNode(const SimNodeConfig& config, Schedule& schedule, Network& network, Judge& judge,
          Sabotage& sabotage);
  ~SimNode() override;

  // ---- what operators do
  store_memory::MemoryDirectory& directory() { return directory_; }
  void start(uint16_t workers);
  /// The power goes: what the disk had not synced may be gone. `down` later it starts again.
  void crash(Duration down, uint16_t workers);
  /// At a random moment of this: all of it becomes bytes, is destroyed, and comes back with that many workers
  /// and another monotonic origin.
  void through_bytes(uint16_t workers, Duration new_origin);
  enum class Store { fine, slow, absent };
  void set_store(Store state);
  void fail_disk(uint32_t operations) { disk_.fail_next(operations); }
  void set_shipping(bool on) { shipping_paused_ = !on; }
  void ship_all();
  void stop();

  // ---- what phones do
  void datagram(const SocketAddress& from, const SocketAddress& to, Buffer bytes) override;
  /// 0: nobody listens.
  uint64_t connect(ConnectionUser& user, const SocketAddress& from, port::Transport transport);
  void stream(uint64_t connection, Buffer bytes);
  void disconnect(uint64_t connection);

  // ---- what the invariants look at
  bool up() const { return boot_ != nullptr && !frozen_; }
  uint16_t node() const { return config_.node; }
  const std::string& domain() const { return config_.domain; }
  SocketAddress address() const { return {config_.ip, 5060}; }
  uint16_t workers() const;
  node::Worker::Load load() const;
  std::string load_text() const;
  int64_t fresh_bytes() const { return fresh_bytes_; }  // on the heap right after the last start
  size_t open_ports() const { return ports_.tenants.size(); }
  /// Counters that only a mistake makes move, and gauges that fell below zero.
  void check_counters();
  void check_ports();
  uint64_t counter(std::string_view name) const;
  /// What went from one worker to another.
  struct Crossings {
    uint64_t calls = 0;  // moved for a transfer, a pick-up or a retrieved call
    uint64_t messages = 0, questions = 0, lines = 0;
  };
  const Crossings& crossings() const { return crossings_; }
  uint64_t parts_moved() const { return parts_moved_; }

 private:
  struct Slot {
    std::unique_ptr<SeededRng> rng;
    std::unique_ptr<SimPorts> ports;
    std::unique_ptr<SeededRng> key_rng;
    std::unique_ptr<dtls::TwinEndpoint> keys;
    std::unique_ptr<node::Worker> worker;
    Instant wake = Instant::never();
    std::vector<Instant> last_mail;  // by sender: mails of one sender keep their order
    bool deaf = false;               // to time: a planted fault
  };
  struct Boot {
    Boot(SimNode& node, uint16_t workers);
    uint64_t epoch;
    CounterSet store_counters;
    store::SpoolCatalog catalog;
    store::SpoolCore spool;
    store::CdrSink sink;
    store::SpoolShipper shipper;
    store::StoreDesk desk;
    Instant spool_wake = Instant::never(), desk_wake = Instant::never();
    std::vector<Slot> slots;
    std::vector<port::CommitId> appended;  // by worker
    Instant last_commit;
    size_t mails = 0;                    // on their way between workers
    std::vector<std::string> forgotten;  // a planted fault
  };
  struct Connection {
    ConnectionUser* user = nullptr;
    SocketAddress remote;
    port::Transport transport = port::Transport::tcp;
    uint16_t worker = 0;
    uint32_t generation = 1;
    bool open = false;
    Instant last_in, last_out;
  };

  Now now() const;
  Instant schedule_time(Instant mono) const { return {mono.ns - origin_.count()}; }
  /// f(Slot&) on that worker after `delay`, in this boot; then what it left is sent.
  template <class F>
  void later(Duration delay, uint16_t worker, F f);
  template <class F>
  void run(uint16_t worker, F&& f);
  void build(uint16_t workers);
  void flush(uint16_t worker);
  void arm(uint16_t worker);
  void dispatch(uint16_t worker, port::Send send);
  bool gets_lost(std::string_view text);
  void send_stream(uint16_t worker, port::Send send);
  void send_failed(uint16_t worker, const port::Send& send);
  void append(uint16_t worker, port::Append append);
  void arm_spool();
  void report(std::vector<store::SpoolCommitted>& committed);
  void ask(uint16_t worker, port::Asked asked);
  void arm_desk();
  void mailbox_changed(const port::AddressOfRecord& mailbox) override;
  void message_left(const port::Voicemail&) override {}
  void remove_file(const port::SoundFile&) override {}
  void mailbox_plan_changed() override;
  void answer(std::vector<store::StoreDesk::Answered>& answers);
  void mail(uint16_t from, port::Mail mail);
  void ship();
  void media_out(Slot& slot);
  void send_media(const SocketAddress& from, const SocketAddress& to, Bytes bytes);
  void media_in(const SocketAddress& from, const SocketAddress& to, Buffer bytes);
  void tap_in(std::string_view text);
  void tap_out(std::string_view text);
  void drop_connections();
  void freeze_done(uint16_t workers, Duration new_origin);
  void thaw();
  port::Path listener_path(port::Transport transport, const SocketAddress& remote) const;
  uint16_t worker_for(const SocketAddress& from) const;

  // given
  SimNodeConfig config_;
  Schedule& schedule_;
  Network& network_;
  Judge& judge_;
  Sabotage& sabotage_;
  // what outlives a boot
  SeededRng rng_;
  Duration origin_;
  store_memory::MemoryDisk disk_;
  LyingDisk lying_disk_;
  store_memory::MemoryDirectory directory_;
  Store store_ = Store::fine;
  uint64_t epoch_ = 0;
  PortTable ports_;
  std::vector<Connection> connections_;
  std::unique_ptr<Boot> boot_;
  uint64_t boot_number_ = 0;
  bool frozen_ = false;
  std::deque<std::tuple<SocketAddress, SocketAddress, Buffer>> held_;
  uint64_t parts_moved_ = 0;
  Crossings crossings_;
  int64_t fresh_bytes_ = 0;
  bool shipping_ = false, shipping_paused_ = false;
};

template <class F>
void SimNode::run(uint16_t worker, F&& f) {
  {
    const OnAccount account(Account::node);
    f(boot_->slots[worker]);
  }
  flush(worker);
}

template <class F>
void SimNode::later(Duration delay, uint16_t worker, F f) {
  schedule_.after(delay, [this, worker, boot = boot_number_, task = std::move(f)]() mutable {
    if (boot == boot_number_) run(worker, task);
  });
}

}  // namespace tandem::sim
