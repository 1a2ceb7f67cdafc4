// The durable side of a simulated node: spool, shipping, questions to the directory; and what invariants look
// at.
#include <fmt/format.h>

#include "node/mail.h"
#include "node/ownership.h"
#include "sim/sim_node.h"

namespace tandem::sim {
namespace {

constexpr Duration ship_interval = milliseconds(100);
constexpr size_t lost_per_call = 8192;
constexpr uint64_t below_zero = uint64_t{1} << 62;
constexpr std::string_view impatient = "held_sends_released_undurable_total";

}  // namespace

// ---- spool -----------------------------------------------------------------------------------------------

void SimNode::append(uint16_t worker, port::Append a) {
  const auto early = [&](port::CommitId upto) {
    later(microseconds(10), worker, [this, upto](Slot& s) { s.worker->on_committed(now(), upto); });
  };
  boot_->appended[worker] = a.commit;
  if (sabotage_.always(Fault::lost_memory)) {
    const OnAccount account(Account::node);
    boot_->forgotten.emplace_back(lost_per_call, 'x');
  }
  if (sabotage_.once(Fault::lost_cdr)) return early(a.commit);
  if (sabotage_.once(Fault::lost_append)) return;
  auto cdr = port::decode(a.bytes);
  if (!cdr) return judge_.violation("a record can be read", "it cannot");
  if (sabotage_.once(Fault::double_cdr)) {
    port::Cdr twin = *cdr;
    twin.key.pair += 1000;
    boot_->spool.append(now().mono, worker, a.commit, port::encode(twin));
  }
  if (sabotage_.once(Fault::invented_cdr)) {
    port::Cdr ghost = *cdr;
    ghost.key.call ^= 1;
    ghost.caller.call_id = "nobody@nowhere";
    boot_->spool.append(now().mono, worker, a.commit, port::encode(ghost));
  }
  if (sabotage_.always(Fault::early_commit)) {
    early(a.commit);
    // It is written some time later.
    schedule_.after(seconds(3), [this, boot = boot_number_, worker, bytes = std::move(a.bytes)]() mutable {
      if (boot != boot_number_) return;
      boot_->spool.append(now().mono, worker, boot_->appended[worker], std::move(bytes));
      arm_spool();
    });
    return;
  }
  if (!boot_->spool.append(now().mono, worker, a.commit, std::move(a.bytes)))
    judge_.violation("the spool takes records", "refused");
  arm_spool();
}

void SimNode::arm_spool() {
  const Instant next = boot_->spool.next_flush();
  if (next.is_never()) return;
  const Instant when = std::max(schedule_time(next), schedule_.now());
  if (boot_->spool_wake <= when) return;
  boot_->spool_wake = when;
  schedule_.at(when, [this, when, boot = boot_number_] {
    if (boot != boot_number_ || boot_->spool_wake != when) return;
    boot_->spool_wake = Instant::never();
    std::vector<store::SpoolCommitted> committed;
    if (boot_->spool.next_flush() <= now().mono) boot_->spool.flush(now().mono, committed);
    report(committed);
    arm_spool();
  });
}

void SimNode::report(std::vector<store::SpoolCommitted>& committed) {
  for (const store::SpoolCommitted& c : committed) {
    if (sabotage_.always(Fault::lost_commit)) continue;
    // One thread reports them, so they keep their order.
    boot_->last_commit = std::max(
        boot_->last_commit, schedule_.now() + microseconds(50 + static_cast<int64_t>(rng_.below(3000))));
    ++boot_->mails;
    schedule_.at(boot_->last_commit, [this, c, boot = boot_number_] {
      if (boot != boot_number_) return;
      --boot_->mails;
      run(c.worker, [&](Slot& s) { s.worker->on_committed(now(), c.upto); });
    });
  }
}

void SimNode::ship() {
  if (boot_ && store_ != Store::slow && !shipping_paused_) {
    const OnAccount account(Account::other);
    boot_->shipper.step(1000);
    if (rng_.below(20) == 0) boot_->shipper.save_position();
  }
  schedule_.after(ship_interval, [this] { ship(); });
}

void SimNode::ship_all() {
  if (!boot_) return;
  while (boot_->shipper.step(1000) == store::SpoolShipper::Step::shipped) {
  }
}

// ---- questions -------------------------------------------------------------------------------------------

void SimNode::ask(uint16_t worker, port::Asked asked) {
  if (std::holds_alternative<port::AskSubscriber>(asked.question) && sabotage_.once(Fault::forgotten_ask))
    return;
  Duration delay = network_.between(microseconds(100), milliseconds(3));
  if (store_ == Store::slow) delay = network_.between(milliseconds(50), seconds(2));
  schedule_.after(delay, [this, worker, boot = boot_number_, a = std::move(asked)]() mutable {
    if (boot != boot_number_) return;
    std::vector<store::StoreDesk::Answered> answers;
    if (std::holds_alternative<port::AskDns>(a.question)) {
      // Every name is known by no record: the simulated world has addresses only.
      answers.push_back({worker, a.id, port::DnsAnswer{}});
    } else if (std::holds_alternative<port::SaveMessage>(a.question) &&
               sabotage_.always(Fault::lost_message)) {
      answers.push_back({worker, a.id, port::Stored{1}});
    } else if (const auto* leave = std::get_if<port::LeaveVoicemail>(&a.question);
               leave && leave->recording.discard) {
      answers.push_back({worker, a.id, port::Stored{}});
    } else if (leave) {
      // The simulated world has no sound: every recording is whole, and of one second.
      auto closed = *leave;
      closed.message.file = "message.wav";
      closed.message.length = seconds(1);
      a.question = std::move(closed);
      boot_->desk.ask(now().mono, worker, std::move(a), answers);
    } else if (const auto* close = std::get_if<port::CloseRecording>(&a.question)) {
      port::RecordingAnswer recorded;
      recorded.end = close->discard ? port::RecordingEnd::discarded : port::RecordingEnd::whole;
      answers.push_back({worker, a.id, std::move(recorded)});
    } else if (std::holds_alternative<port::AskSound>(a.question)) {
      answers.push_back({worker, a.id, port::SoundResult(Failure{port::SoundFailure::not_found})});
    } else if (std::holds_alternative<port::RemoveRecording>(a.question)) {
      answers.push_back({worker, a.id, port::NotFound{}});
    } else {
      boot_->desk.ask(now().mono, worker, std::move(a), answers);
    }
    answer(answers);
    arm_desk();
  });
}

void SimNode::arm_desk() {
  const Instant next = boot_->desk.next_timeout();
  if (next.is_never()) return;
  const Instant when = std::max(schedule_time(next), schedule_.now());
  if (boot_->desk_wake <= when) return;
  boot_->desk_wake = when;
  schedule_.at(when, [this, when, boot = boot_number_] {
    if (boot != boot_number_ || boot_->desk_wake != when) return;
    boot_->desk_wake = Instant::never();
    std::vector<store::StoreDesk::Answered> answers;
    if (boot_->desk.next_timeout() <= now().mono) boot_->desk.on_timeout(now().mono, answers);
    answer(answers);
    arm_desk();
  });
}

void SimNode::answer(std::vector<store::StoreDesk::Answered>& answers) {
  for (store::StoreDesk::Answered& a : answers)
    later(network_.between(microseconds(10), microseconds(300)), a.worker,
          [this, id = a.id, reply = std::move(a.answer)](Slot& s) mutable {
            s.worker->on_answer(now(), id, std::move(reply));
          });
}

void SimNode::mailbox_changed(const port::AddressOfRecord& mailbox) {
  later(network_.between(microseconds(10), microseconds(300)),
        sip::worker_of_shard(node::shard_of(mailbox), workers()),
        [this, mailbox](Slot& s) { s.worker->on_mail(now(), std::make_unique<node::MailboxMail>(mailbox)); });
}

void SimNode::mailbox_plan_changed() {
  const auto rows = directory_.plan_rows();
  if (!rows.ok()) return;
  const auto plan = route::Plan::compile(*rows);
  for (uint16_t w = 0; w < workers(); ++w)
    later(network_.between(microseconds(10), microseconds(300)), w,
          [this, plan](Slot& s) { s.worker->set_plan(now(), plan); });
}

// ---- invariants ------------------------------------------------------------------------------------------

node::Worker::Load SimNode::load() const {
  node::Worker::Load sum;
  if (!boot_) return sum;
  for (const Slot& slot : boot_->slots) {
    const node::Worker::Load l = slot.worker->load();
    sum.calls += l.calls;
    sum.legs += l.legs;
    sum.dialogs += l.dialogs;
    sum.server_transactions += l.server_transactions;
    sum.client_transactions += l.client_transactions;
    sum.asks += l.asks;
    sum.held_sends += l.held_sends;
    sum.waiting += l.waiting;
    sum.forwarded_names += l.forwarded_names;
    sum.lines += l.lines;
    sum.seats += l.seats;
    sum.endpoints += l.endpoints;
    sum.subscriptions += l.subscriptions;
    sum.contacts += l.contacts;
    sum.messages += l.messages;
  }
  return sum;
}

std::string SimNode::load_text() const {
  const node::Worker::Load l = load();
  return fmt::format(
      "calls {} legs {} dialogs {} server_tx {} client_tx {} asks {} held {} waiting {} forwarded {} lines "
      "{} seats {} endpoints {} "
      "subscriptions {} contacts {} messages {} ports {}",
      l.calls, l.legs, l.dialogs, l.server_transactions, l.client_transactions, l.asks, l.held_sends,
      l.waiting, l.forwarded_names, l.lines, l.seats, l.endpoints, l.subscriptions, l.contacts, l.messages,
      open_ports());
}

void SimNode::check_counters() {
  if (!boot_) return;
  if (const uint64_t n = counter(impatient); n != 0)
    judge_.violation("no answer leaves before its record is safe", fmt::format("{} ran out of patience", n));
  const auto check = [&](const CounterSet& set) {
    for (const CounterSet::Entry& e : set.entries())
      if (e.counter.value() > below_zero)
        judge_.violation("no counter falls below zero", e.name + "{" + e.labels + "}");
  };
  for (const Slot& slot : boot_->slots) check(slot.worker->counters());
  check(boot_->store_counters);
}

void SimNode::check_ports() {
  if (!boot_) return;
  size_t open = 0;
  for (const Slot& slot : boot_->slots) {
    open += slot.ports->open();
    if (slot.ports->wrong_closes() != 0)
      judge_.violation("a port is closed once", fmt::format("{} times wrong", slot.ports->wrong_closes()));
  }
  if (open != ports_.tenants.size())
    judge_.violation("each port has one owner",
                     fmt::format("{} bound, {} owned", ports_.tenants.size(), open));
}

uint64_t SimNode::counter(std::string_view name) const {
  uint64_t sum = 0;
  if (boot_)
    for (const Slot& slot : boot_->slots) sum += slot.worker->counters().total(name);
  return sum;
}

}  // namespace tandem::sim
