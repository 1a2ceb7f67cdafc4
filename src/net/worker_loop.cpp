#include "net/worker_loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <exception>
#include <utility>

#include "net/clock.h"

namespace tandem::net {
namespace {

constexpr size_t events_per_look = 256;
constexpr int looks_per_tick = 16;  // at most so many datagram batches before others get their turn
constexpr int udp_batches_per_look = 16;
constexpr int handlers_per_step = 256;
constexpr int flush_rounds = 8;
constexpr int quiet_ticks = 4;  // so many without a datagram, and it is waited for them again
constexpr Duration stall = milliseconds(100);
// TURN's own epoll descriptor among the datagrams: no media port has the slot, no UDP listener all bits.
constexpr uint64_t turn_tag_of_all = uint64_t{0x7FFF'FFFF};

}  // namespace

WorkerLoop::WorkerLoop(uint16_t index, World& world)
    : index_(index),
      world_(world),
      datagrams_(epoll_create1(EPOLL_CLOEXEC)),
      mailbox_(*world.mailboxes[index]),
      mailbox_wait_(io_, mailbox_.wake_fd()),
      datagrams_wait_(io_, datagrams_.get()),
      udp_(world.config.node, index, *this, counters_),
      connections_(io_, world.config.node, index, *this, world.config.limits, world.sources, counters_),
      media_(world.ranges, datagrams_.get(), world.config.media_receive_buffer, world.config.limits,
             counters_),
      turn_(world.turn_ports
                ? std::make_unique<TurnPlane>(world.config.turn, *world.turn_ports, world.turn_sources,
                                              static_cast<TurnSink&>(*this), counters_)
                : nullptr),
      wakes_(counters_.counter("net_loop_wakes_total", "Times the loop woke up")),
      exceptions_(counters_.counter("net_worker_exceptions_total", "Exceptions that escaped the worker")),
      shed_(counters_.counter("net_mailbox_shed_total", "Mails dropped because the mailbox was full")),
      stalls_(counters_.counter("net_loop_stalls_total", "Batches that took longer than 100 ms")),
      mails_(counters_.counter("net_mails_total", "Items taken from the mailbox")) {}

WorkerLoop::~WorkerLoop() {
  mailbox_wait_.release();  // both descriptors have owners
  datagrams_wait_.release();
}

void WorkerLoop::request_stop() {
  stop_requested_.store(true, std::memory_order_release);
  mailbox_.wake();
}

void WorkerLoop::run() {
  sigset_t all;
  sigfillset(&all);
  for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fatal);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);  // SIGPIPE from OpenSSL's writes among them
  watch_datagrams();
  wait_mailbox();
  wait_datagrams();
  flush();  // what the worker's constructor left
  while (!stopped()) step();
  connections_.say_goodbye();
}

bool WorkerLoop::stopped() {
  if (!stop_requested_.load(std::memory_order_acquire)) return false;
  const Instant t = now().mono;
  if (stop_by_.is_never()) {
    stop_by_ = t + world_.config.stop_grace;
    connections_.stop_listening();
    if (turn_) turn_->stop_listening();
  }
  if (t >= stop_by_) return true;
  return worker_->holding() == 0 && !connections_.writing() && !mailbox_.pending();
}

// ---- the one wait ----

void WorkerLoop::watch_datagrams() {
  for (const auto& [fd, tag] : udp_.watched()) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag}};
    epoll_ctl(datagrams_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  if (!turn_) return;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = turn_tag_of_all}};
  epoll_ctl(datagrams_.get(), EPOLL_CTL_ADD, turn_->epoll_fd(), &event);
}

void WorkerLoop::wait_mailbox() {
  mailbox_wait_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](auto error) {
    if (error) return;
    mailbox_.clear_wake();
    wait_mailbox();
  });
}

/// Asio would be woken by each datagram although nobody waits for one: while the loop ticks the descriptor is
/// not on its reactor. Coming back on it tells of what is there already.
void WorkerLoop::wait_datagrams() {
  boost::system::error_code refused;
  if (!datagrams_wait_.is_open()) datagrams_wait_.assign(datagrams_.get(), refused);
  if (refused) {  // out of memory, say: looking at each tick goes on, and this is tried again
    next_tick_ = batch_now().mono + world_.config.tick;
    return;
  }
  ticking_ = false;
  datagrams_wait_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](auto error) {
    if (!error) datagrams_ready_ = true;
  });
}

void WorkerLoop::step() {
  wait();
  wakes_.add();
  const Instant begun = batch_now().mono;
  read_mailbox();
  if (datagrams_ready_ || (ticking_ && next_tick_ <= begun)) read_datagrams();
  timeouts();
  flush();
  // One more reading of the clock per batch; a batch this long is an operator's business.
  if (now().mono - begun > stall) stalls_.add();
}

Instant WorkerLoop::next_wake() {
  // While datagrams flow the loop wakes at each tick anyhow and timers wait for it: under load there are as
  // many of them as messages, and a wake of its own costs more than most of them do. None is more than a tick
  // late.
  if (ticking_) return std::min(next_tick_, stop_by_);
  return std::min({worker_->next_timeout(), connections_.next_deadline(), media_.next_deadline(),
                   turn_ ? turn_->next_deadline() : Instant::never(), stop_by_});
}

void WorkerLoop::wait() {
  const Instant wake = mailbox_.pending() ? Instant{} : next_wake();
  now_read_ = false;
  if (wake.is_never()) {
    io_.run_one();
  } else if (const Duration left = wake - now().mono; left.count() > 0) {
    // Nothing but the time came: the reactor has just been looked at.
    if (io_.run_one_for(left) == 0) return;
  }
  for (int i = 0; i < handlers_per_step && io_.poll_one() > 0; ++i) {
  }
}

Now WorkerLoop::batch_now() {
  if (!now_read_) {
    now_ = now();
    now_read_ = true;
  }
  return now_;
}

// ---- inputs ----

/// A worker that throws loses that input; the loop and everybody else's calls go on.
template <class F>
void WorkerLoop::call(F&& f) {
  try {
    f();
    return;
  } catch (const std::exception& e) {
    worker_->outbox().event(port::Level::error, "worker.exception", 0, {{"what", e.what()}});
  } catch (...) {
    worker_->outbox().event(port::Level::error, "worker.exception", 0, {});
  }
  exceptions_.add();
}

void WorkerLoop::received(port::Received message) {
  call([&] { worker_->on_received(batch_now(), std::move(message)); });
}

void WorkerLoop::flow_event(const port::FlowEvent& event) {
  if (flushing_) {
    late_events_.push_back(event);
    return;
  }
  call([&] { worker_->on_flow(batch_now(), event); });
}

void WorkerLoop::websocket(port::WebSocketEvent event) {
  if (flushing_) return late_websockets_.push_back(std::move(event));
  call([&] { worker_->on_websocket(batch_now(), std::move(event)); });
}

void WorkerLoop::send_failed(const port::Path& path, port::SendId send, uint16_t from) {
  if (send == 0) return;
  const port::FlowEvent event{port::FlowEvent::Kind::send_failed, path.flow, path, send};
  if (from == index_)
    flow_event(event);
  else
    world_.mailboxes[from]->push_always(FlowEventItem{event});
}

void WorkerLoop::event(port::Level level, std::string_view name,
                       std::vector<std::pair<std::string_view, std::string>> fields) {
  worker_->outbox().event(level, name, 0, std::move(fields));
}

void WorkerLoop::read_mailbox() {
  if (!mailbox_.pending()) return;
  mailbox_.take(mail_);
  mails_.add(mail_.size());
  shed_.set(mailbox_.shed());
  for (MailItem& item : mail_) open_mail(item);
  mail_.clear();
}

void WorkerLoop::open_mail(MailItem& item) {
  const Now t = batch_now();
  if (auto* body = std::get_if<std::unique_ptr<port::MailBody>>(&item)) {
    call([&] { worker_->on_mail(t, std::move(*body)); });
  } else if (auto* answer = std::get_if<AnswerItem>(&item)) {
    call([&] { worker_->on_answer(t, answer->id, std::move(answer->answer)); });
  } else if (auto* commit = std::get_if<CommittedItem>(&item)) {
    committed(commit->upto);
  } else if (auto* send = std::get_if<SendItem>(&item)) {
    connections_.send(std::move(send->send), send->from);
  } else if (auto* failed = std::get_if<FlowEventItem>(&item)) {
    flow_event(failed->event);
  } else if (auto* close = std::get_if<CloseItem>(&item)) {
    connections_.close(close->flow);
  } else if (auto* adopt = std::get_if<AdoptItem>(&item)) {
    connections_.adopt(std::move(adopt->connection));
  } else if (auto* task = std::get_if<TaskItem>(&item)) {
    call([&] { task->task(t, *worker_); });
  }
}

void WorkerLoop::committed(port::CommitId upto) {
  call([&] { worker_->on_committed(batch_now(), upto); });
}

void WorkerLoop::read_datagrams() {
  size_t seen = 0;
  for (int look = 0; look < looks_per_tick; ++look) {
    const size_t n = read_ready();
    seen += n;
    if (n < events_per_look) break;
  }
  datagrams_ready_ = false;
  quiet_ = seen > 0 ? 0 : quiet_ + 1;
  if (quiet_ >= quiet_ticks) return wait_datagrams();
  if (!ticking_) datagrams_wait_.release();
  ticking_ = true;
  next_tick_ = batch_now().mono + world_.config.tick;
}

size_t WorkerLoop::read_ready() {
  std::array<epoll_event, events_per_look> events;
  const int n = epoll_wait(datagrams_.get(), events.data(), events_per_look, 0);
  for (int i = 0; i < n; ++i) {
    const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
    if (tag == turn_tag_of_all) {
      turn_->look();
    } else if (tag & udp_slot_bit) {
      for (int batch = 0; batch < udp_batches_per_look && udp_.receive(tag); ++batch) {
      }
    } else {
      if (media_.batch_full()) hand_media();
      media_.receive(tag, events[static_cast<size_t>(i)].events);
    }
  }
  hand_media();
  flush();
  return n > 0 ? static_cast<size_t>(n) : 0;
}

void WorkerLoop::hand_media() {
  if (media_.batch().empty()) return;
  call([&] { worker_->on_media(batch_now(), media_.batch()); });
  port::MediaOut& out = worker_->outbox().media;
  media_.send(out.sends);
  out.clear();
  media_.clear_batch();
}

void WorkerLoop::relay_packets(std::span<port::RelayPacket> packets) {
  call([&] { worker_->on_relay(batch_now(), packets); });
  // What the worker asks meanwhile is answered later; what it sends points into this batch.
  turn_->send(worker_->outbox().relay);
  worker_->outbox().relay.clear();
}

void WorkerLoop::relay_event(const port::RelayEvent& event) {
  call([&] { worker_->on_relay_event(batch_now(), event); });
  turn_->send(worker_->outbox().relay);
  worker_->outbox().relay.clear();
}

void WorkerLoop::timeouts() {
  const Now t = batch_now();
  if (turn_ && turn_->next_deadline() <= t.mono) turn_->on_deadlines();
  if (connections_.next_deadline() <= t.mono) connections_.on_deadlines();
  if (media_.next_deadline() <= t.mono) media_.on_deadlines();
  if (worker_->next_timeout() <= t.mono) call([&] { worker_->on_timeout(t); });
}

// ---- outputs ----

/// What fails while sending comes back as an event, which may make the worker send again: a few rounds, then
/// the rest waits for the next step.
void WorkerLoop::flush() {
  for (int round = 0; round < flush_rounds; ++round) {
    flushing_ = true;
    flush_once();
    flushing_ = false;
    if (late_events_.empty() && late_websockets_.empty()) return;
    for (const port::FlowEvent& e : std::exchange(late_events_, {})) flow_event(e);
    for (port::WebSocketEvent& e : std::exchange(late_websockets_, {})) websocket(std::move(e));
  }
  if (!late_events_.empty() || !late_websockets_.empty()) mailbox_.wake();
}

void WorkerLoop::flush_once() {
  port::Outbox& out = worker_->outbox();
  if (!out.appends.empty()) world_.spool.append(index_, std::move(out.appends));
  out.appends.clear();
  media_.send(out.media.sends);
  out.media.clear();
  if (turn_ && !out.relay.empty()) turn_->send(out.relay);
  out.relay.clear();
  for (port::Send& s : out.sends) dispatch(std::move(s));
  out.sends.clear();
  udp_.flush();
  connections_.flush();
  for (const port::FlowId& flow : out.closes) close_flow(flow);
  out.closes.clear();
  for (port::Asked& asked : out.asks) dispatch_ask(std::move(asked));
  out.asks.clear();
  out.new_asks.clear();
  for (port::Mail& mail : out.mails) {
    if (mail.to_worker >= world_.mailboxes.size()) continue;
    Mailbox& box = *world_.mailboxes[mail.to_worker];
    if (mail.body->may_be_lost())
      box.push(std::move(mail.body));
    else
      box.push_always(std::move(mail.body));
  }
  out.mails.clear();
  if (!out.events.empty()) world_.events.events(index_, std::move(out.events));
  out.events.clear();
  if (!out.traces.empty()) world_.events.traces(index_, out.traces);
  out.traces.clear();
}

void WorkerLoop::dispatch(port::Send send) {
  const port::FlowId flow = send.path.flow;
  const port::Transport transport = send.path.transport;
  if (flow && flow.node != world_.config.node) return send_failed(send.path, send.notify, index_);
  if (transport == port::Transport::udp) return udp_.send(std::move(send));
  if (!flow || flow.worker == index_) return connections_.send(std::move(send), index_);
  const port::Path path = send.path;
  const port::SendId notify = send.notify;
  if (flow.worker >= world_.mailboxes.size() ||
      !world_.mailboxes[flow.worker]->push(SendItem{index_, std::move(send)}))
    send_failed(path, notify, index_);
}

void WorkerLoop::close_flow(const port::FlowId& flow) {
  if (flow.node != world_.config.node || (flow.slot & udp_slot_bit) != 0) return;  // a listener stays
  if (flow.worker == index_)
    connections_.close(flow);
  else if (flow.worker < world_.mailboxes.size())
    world_.mailboxes[flow.worker]->push_always(CloseItem{flow});
}

void WorkerLoop::dispatch_ask(port::Asked asked) {
  if (auto* dns = std::get_if<port::AskDns>(&asked.question))
    world_.dns.ask(index_, asked.id, std::move(*dns));
  else
    world_.asks.ask(index_, std::move(asked));
}

}  // namespace tandem::net
