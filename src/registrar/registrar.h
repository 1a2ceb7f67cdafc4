#pragma once
// The registrar (RFC 3261 section 10.3): who can be reached where. One per worker, for the
// addresses-of-record of its shards.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/slot_map.h"
#include "base/time.h"
#include "base/timers.h"
#include "port/outbox.h"
#include "registrar/binding.h"
#include "registrar/gruu.h"
#include "sip/message.h"
#include "sip/writer.h"

namespace tandem::registrar {

/// A domain we serve, and the other names (addresses of ours, say) phones may call it by.
struct Domain {
  std::string name;
  std::vector<std::string> aliases;
};

struct Config {
  std::vector<Domain> domains;  // none: every host is a domain of its own
  uint32_t min_expires = 60;    // seconds; a shorter wish is answered 423
  uint32_t max_expires = 7200;
  uint32_t default_expires = 3600;
  uint32_t flow_timer =
      120;  // RFC 5626 section 3.3: seconds between keep-alives we wait for; 0: says nothing

  size_t aors = 200'000;           // per worker
  uint32_t contacts_per_aor = 32;  // and what the subscriber's row allows, when that is less
  size_t contact_bytes = 512;      // a Contact URI
  size_t instance_bytes = 128;
  size_t call_id_bytes = 255;
  size_t path_bytes = 1024;      // a whole Path set
  size_t user_agent_bytes = 64;  // kept of it

  Duration save_delay = milliseconds(200);  // bindings are written behind, many changes of an AOR as one
  Duration save_timeout = seconds(10);
  Duration save_retry = seconds(5);
  size_t saves_per_flush = 500;

  std::array<uint8_t, 32>
      gruu_key{};  // the same on all nodes that may see each other's GRUUs, and over restarts
  Boot boot;
  uint16_t worker = 0, workers = 1;  // which shards are ours (sip/token.h)
};

/// Bindings of an AOR changed.
struct BindingChange {
  enum class Kind : uint8_t {
    added,  // a contact that was not there, or had to be reached another way
    refreshed,
    removed,  // by its owner, by time, by an operator, or with its connection
  } kind = Kind::added;
  port::AddressOfRecord aor;
  uint32_t contacts = 0;  // left after the change
};
using BindingChanges = std::vector<BindingChange>;

/// A contact as operators see it.
struct BindingView {
  port::AddressOfRecord aor;
  port::Contact contact;
  std::string user_agent;
  uint32_t expires = 0;  // seconds left
  bool reachable = true;
};

class Registrar {
 public:
  Registrar(Config config, Rng& rng, CounterSet& counters);
  ~Registrar();

  /// Reload: running bindings stay.
  void set_domains(const std::vector<Domain>& domains);
  /// Asks the store for what was bound before. Calls are served meanwhile; what registers first wins over
  /// what was stored.
  void start(Now now, port::Outbox& out);
  /// The stored bindings are not all in yet.
  bool loading() const { return loading_; }

  struct Reply {
    int status = 0;
    Buffer response;
  };
  /// A REGISTER whose sender proved to be `authenticated`.
  Reply on_register(Now now, const sip::Message& request, const port::Path& path,
                    const port::Subscriber& authenticated, port::Outbox& out, BindingChanges& changes);

  /// Contacts that can be called now, best q first and the youngest first among equals; of the flows of one
  /// instance (RFC 5626 section 6) only the youngest.
  port::BindingsAnswer lookup(Now now, const port::AskBindings& question) const;
  port::BindingsAnswer lookup(Now now, const port::AddressOfRecord& aor) const {
    return lookup(now, {aor, {}});
  }
  bool registered(Now now, const port::AddressOfRecord& aor) const;

  /// The question to ask for a URI in one of our domains, GRUUs understood; nothing when the domain is not
  /// ours. Needs no bindings: any worker can tell whom to ask.
  std::optional<port::AskBindings> question_for(const sip::Uri& uri) const;
  /// The name of the domain that `host` is, or is an alias of.
  std::optional<std::string> domain_of(std::string_view host) const;
  static uint16_t shard_of(const port::AddressOfRecord& aor);

  /// A connection opened or closed: RFC 5626 section 5.3, bindings that only it reached go with it.
  void on_flow(Now now, const port::FlowEvent& event, port::Outbox& out, BindingChanges& changes);
  /// `object` is the one the question was asked with (port::Asker).
  void on_answer(Now now, port::AskId id, uint64_t object, const port::Answer& answer, port::Outbox& out,
                 BindingChanges& changes);
  void on_timeout(Now now, port::Outbox& out, BindingChanges& changes);
  Instant next_timeout() const;
  /// Everything the store does not know yet is asked to be written now: the node is about to stop.
  void save_all(Now now, port::Outbox& out);

  // ---- operators
  /// Up to `limit` contacts whose AOR, URI or user agent contain `search`, from `cursor` on (0 at first).
  /// Gives the cursor to go on with, 0 at the end.
  uint64_t list(Now now, std::string_view search, uint64_t cursor, size_t limit,
                std::vector<BindingView>& found) const;
  /// Removes one contact (by port::Contact::key) or all of them (empty key).
  bool remove(Now now, const port::AddressOfRecord& aor, std::string_view key, BindingChanges& changes);
  size_t aor_count() const { return aors_.size(); }
  size_t contact_count() const { return contacts_; }

  // ---- snapshot: one part per AOR (proto/registrar.proto)
  struct Part {
    uint16_t shard = 0;
    std::string bytes;
  };
  void snapshot(Now now, std::vector<Part>& parts) const;
  /// False: not understood; the caller keeps it.
  bool restore(Now now, std::string_view bytes);

 private:
  struct Aor;
  struct Request;  // a REGISTER, read and found fit
  struct Wanted;   // one of its contacts
  struct Refusal {
    int status = 400;
    std::string_view reason = {};
    std::string unsupported = {};
  };
  struct FlowHash {
    size_t operator()(const port::FlowId& f) const noexcept {
      return mix64(uint64_t{f.generation} << 32 ^ f.slot ^ uint64_t{f.worker} << 20 ^ uint64_t{f.node} << 44);
    }
  };

  // reading and judging (register_request.cpp)
  Status<Refusal> read(const sip::Message& request, const port::Subscriber& who, Request& out) const;
  Status<Refusal> read_target(const sip::Message& request, const port::Subscriber& who, Request& out) const;
  Status<Refusal> read_contacts(const sip::Message& request, Request& out) const;
  Status<Refusal> read_contact(const sip::Message& request, std::string_view item, Request& out) const;
  Status<Refusal> read_path(const sip::Message& request, Request& out) const;
  Status<Refusal> judge(const Request& request, const Aor* aor) const;
  void place(const sip::Message& request, const port::Path& path, const Request& read, const Wanted& wanted,
             Binding& binding) const;
  Reply refuse(const sip::Message& request, const port::Path& path, const Refusal& refusal);

  // changing and telling (registrar.cpp)
  void apply(Now now, const sip::Message& request, const port::Path& path, const Request& read, SlotId id,
             Aor& aor, BindingChanges& changes);
  void give_up_gone(size_t max_contacts, SlotId id, Aor& aor, BindingChanges& changes);
  void bind(Now now, const sip::Message& request, const port::Path& path, const Request& read,
            const Wanted& wanted, SlotId id, Aor& aor, BindingChanges& changes);
  Reply accept(Now now, const sip::Message& request, const port::Path& path, const Request& read,
               const Aor* aor);
  void write_contact(Now now, const Binding& binding, const Aor& aor, bool with_gruu, std::string& out);
  void erase_binding(SlotId id, Aor& aor, size_t index, BindingChanges& changes);
  void change(BindingChange::Kind kind, const Aor& aor, BindingChanges& changes) const;
  void tell(const BindingChanges& changes, size_t from, std::string_view why, port::Outbox& out) const;
  SlotId find_id(std::string_view key) const;
  const Aor* find(const port::AddressOfRecord& aor) const;
  SlotId make_aor(const port::AddressOfRecord& aor);
  void drop_if_empty(SlotId id);
  void arm(SlotId id, Aor& aor);
  void index_flow(const Binding& binding, SlotId id);
  void unindex_flow(const Binding& binding, SlotId id);

  // the store (persistence.cpp)
  void mark_dirty(Now now, SlotId id, Aor& aor);
  void flush(Now now, port::Outbox& out);
  void save(Now now, SlotId id, Aor& aor, port::Outbox& out);
  void restore_some(Now now, BindingChanges& changes);
  void loaded(Now now);
  bool restore_binding(Now now, const port::AddressOfRecord& aor, Binding binding);

  Config config_;
  Rng& rng_;
  GruuMint gruu_;
  std::unordered_map<std::string, std::string, TextHash, std::equal_to<>>
      domains_;  // any of its names -> its name

  SlotMap<Aor> aors_;
  std::unordered_map<std::string_view, SlotId, TextHash> by_key_;  // views into the Aor
  std::unordered_map<port::FlowId, std::vector<SlotId>, FlowHash> by_flow_;
  TimerQueue<SlotId> timers_;  // one live entry per AOR: its earliest expiry
  size_t contacts_ = 0;
  uint32_t serial_ = 0;

  std::vector<SlotId> dirty_;
  Instant flush_at_ = Instant::never();
  bool loading_ = false;  // the stored bindings are on their way: nothing is written before they are in
  Instant start_again_at_ = Instant::never();
  std::shared_ptr<const std::vector<port::StoredBinding>> stored_;  // being read in
  size_t stored_at_ = 0;

  Counter &accepted_, &refused_, &expired_, &flows_lost_, &given_up_, &limit_contacts_, &limit_aors_,
      &limit_bytes_, &saves_, &save_failures_, &restored_, &unreadable_, &contacts_gauge_, &aors_gauge_;
};

}  // namespace tandem::registrar
