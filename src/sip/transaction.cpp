#include "sip/transaction.h"

#include "sip/transaction_impl.h"

namespace tandem::sip {

TransactionCounters::TransactionCounters(CounterSet& set)
    : server(set.gauge("sip_transactions", "Transactions alive now", "side=\"server\"")),
      client(set.gauge("sip_transactions", "Transactions alive now", "side=\"client\"")),
      resent_by_server(set.counter("sip_retransmissions_total", "Messages sent again by a transaction",
                                   "side=\"server\"")),
      resent_by_client(set.counter("sip_retransmissions_total", "Messages sent again by a transaction",
                                   "side=\"client\"")),
      absorbed_requests(set.counter("sip_absorbed_total", "Retransmissions received and not passed up",
                                    "kind=\"request\"")),
      absorbed_responses(set.counter("sip_absorbed_total", "Retransmissions received and not passed up",
                                     "kind=\"response\"")),
      timer_b(
          set.counter("sip_timeouts_total", "Transactions that ran into a timer of RFC 3261", "timer=\"B\"")),
      timer_c(
          set.counter("sip_timeouts_total", "Transactions that ran into a timer of RFC 3261", "timer=\"C\"")),
      timer_f(
          set.counter("sip_timeouts_total", "Transactions that ran into a timer of RFC 3261", "timer=\"F\"")),
      timer_h(
          set.counter("sip_timeouts_total", "Transactions that ran into a timer of RFC 3261", "timer=\"H\"")),
      timer_cancel(set.counter("sip_timeouts_total", "Transactions that ran into a timer of RFC 3261",
                               "timer=\"cancel\"")),
      stray_responses(set.counter("sip_stray_responses_total",
                                  "Responses that match no transaction, or carry more than our own Via")),
      server_full(set.counter("sip_refused_total", "Requests refused by the transaction layer",
                              "reason=\"server_table_full\"")),
      client_full(set.counter("sip_refused_total", "Requests refused by the transaction layer",
                              "reason=\"client_table_full\"")),
      bad_request(set.counter("sip_refused_total", "Requests refused by the transaction layer",
                              "reason=\"malformed_own_request\"")),
      late_responses(set.counter("sip_late_responses_total",
                                 "Responses given to a transaction that is gone or had its final response")) {
}

void TransactionLayer::Impl::end_after(Now now, TxTimers& t, Duration ahead, SlotId id, bool server) {
  t.end_at = now.mono + ahead;
  timers.push(now.mono, ahead, {id, server, true});
}

void TransactionLayer::Impl::retransmit_after(Now now, TxTimers& t, Duration ahead, SlotId id, bool server) {
  t.interval = ahead;
  t.retransmit_at = now.mono + ahead;
  if (t.retransmit_at >= t.end_at) {
    t.retransmit_at = Instant::never();
    return;
  }
  timers.push(now.mono, ahead, {id, server, false});
}

void TransactionLayer::Impl::on_timeout(Now now, port::Outbox& out, Events& events) {
  Instant deadline;
  TimerKey due;
  while (timers.pop_due(now.mono, deadline, due)) {
    if (due.server) {
      const ServerTxId id{due.id};
      ServerTransaction* tx = servers.find(id);
      if (!tx) continue;
      if (due.end && tx->timers.end_at == deadline) on_server_end(*tx, id, events);
      if (!due.end && tx->timers.retransmit_at == deadline) on_server_retransmit(now, *tx, id, out);
    } else {
      const ClientTxId id{due.id};
      ClientTransaction* tx = clients.find(id);
      if (!tx) continue;
      if (due.end && tx->timers.end_at == deadline) on_client_end(now, *tx, id, out, events);
      if (!due.end && tx->timers.retransmit_at == deadline) on_client_retransmit(now, *tx, id, out);
    }
  }
}

TransactionLayer::TransactionLayer(const Timers& timers, TransactionLimits limits, TokenMint& mint,
                                   const SentBy& sent_by, CounterSet& counters, TransactionPolicy policy)
    : impl_(std::make_unique<Impl>(timers, limits, mint, sent_by, counters, policy)) {}

TransactionLayer::~TransactionLayer() = default;

void TransactionLayer::on_message(Now now, Message message, const port::Path& path, port::Outbox& out,
                                  std::vector<TuEvent>& events) {
  if (message.is_response()) return impl_->on_response(now, std::move(message), path, out, events);
  switch (message.method()) {
    case Method::ack:
      return impl_->on_ack(now, std::move(message), path, events);
    case Method::cancel:
      return impl_->on_cancel(std::move(message), path, out, events);
    default:
      return impl_->on_request(now, std::move(message), path, out, events);
  }
}

void TransactionLayer::on_send_failed(Now now, port::SendId send, port::Outbox& out,
                                      std::vector<TuEvent>& events) {
  if (send & server_send_bit) {
    impl_->on_server_send_failed({SlotId::unpack(send & ~server_send_bit)}, out, events);
  } else {
    impl_->on_client_send_failed(now, {SlotId::unpack(send)}, out, events);
  }
}

void TransactionLayer::on_timeout(Now now, port::Outbox& out, std::vector<TuEvent>& events) {
  impl_->on_timeout(now, out, events);
}
Instant TransactionLayer::next_timeout() const { return impl_->timers.next(); }

ClientTxId TransactionLayer::request(Now now, OutgoingRequest request, port::Outbox& out) {
  return impl_->request(now, request, out);
}
void TransactionLayer::cancel(Now now, ClientTxId invite, port::Outbox& out, std::string_view reason_header) {
  impl_->cancel(now, invite, reason_header, out);
}
void TransactionLayer::send_stateless(Now, OutgoingRequest request, port::Outbox& out) {
  impl_->send_stateless(request, out);
}
void TransactionLayer::respond(Now now, ServerTxId id, Buffer response, port::Outbox& out,
                               port::CommitId after) {
  impl_->respond(now, id, std::move(response), after, out);
}

void TransactionLayer::respond_repeatable(Now now, ServerTxId id, Buffer response, port::Outbox& out) {
  impl_->respond_repeatable(now, id, std::move(response), out);
}
std::string TransactionLayer::repeatable_tag(ServerTxId id) const {
  const ServerTransaction* tx = impl_->servers.find(id);
  return tx ? stateless_tag(tx->hash) : std::string();
}

const Message* TransactionLayer::request_of(ServerTxId id) const {
  const ServerTransaction* tx = impl_->servers.find(id);
  return tx && tx->request ? &*tx->request : nullptr;
}
const port::Path* TransactionLayer::path_of(ServerTxId id) const {
  const ServerTransaction* tx = impl_->servers.find(id);
  return tx ? &tx->path : nullptr;
}
void TransactionLayer::set_user(ServerTxId id, TuRef user) {
  if (ServerTransaction* tx = impl_->servers.find(id)) tx->user = user;
}

std::string_view TransactionLayer::branch_of(ClientTxId id) const {
  const ClientTransaction* tx = impl_->clients.find(id);
  if (!tx) return {};
  const std::string_view identity = tx->identity.text();  // branch, LF, CSeq method
  return identity.substr(0, identity.find('\n'));
}

size_t TransactionLayer::server_count() const { return impl_->servers.size(); }
size_t TransactionLayer::client_count() const { return impl_->clients.size(); }

}  // namespace tandem::sip
