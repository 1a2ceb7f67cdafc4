// Transactions as parts (proto/sip.proto) and back.
#include "sip/transaction_impl.h"
#include "sip/transaction_parts.h"

namespace tandem::sip {

void write_address(const SocketAddress& from, proto::SipAddress& to) {
  if (from.ip) to.set_ip(from.ip.bytes.data(), from.ip.is_v4() ? 4 : 16);
  to.set_port(from.port);
}

bool read_address(const proto::SipAddress& from, SocketAddress& to) {
  const std::string& ip = from.ip();
  if ((ip.size() != 0 && ip.size() != 4 && ip.size() != 16) || from.port() > 65535) return false;
  to = {};
  to.port = static_cast<uint16_t>(from.port());
  if (ip.empty()) return true;
  to.ip.family = ip.size() == 4 ? IpAddress::Family::v4 : IpAddress::Family::v6;
  std::memcpy(to.ip.bytes.data(), ip.data(), ip.size());
  return true;
}

void write_path(const port::Path& from, proto::SipPath& to) {
  to.set_transport(static_cast<uint32_t>(from.transport));
  to.set_realm(from.realm);
  to.set_flow_node(from.flow.node);
  to.set_flow_worker(from.flow.worker);
  to.set_flow_slot(from.flow.slot);
  to.set_flow_generation(from.flow.generation);
  write_address(from.local, *to.mutable_local());
  write_address(from.remote, *to.mutable_remote());
}

bool read_path(const proto::SipPath& from, port::Path& to) {
  if (from.transport() > static_cast<uint32_t>(port::Transport::wss) || from.realm() > 65535 ||
      from.flow_node() > 65535 || from.flow_worker() > 65535)
    return false;
  to.transport = static_cast<port::Transport>(from.transport());
  to.realm = static_cast<port::RealmId>(from.realm());
  to.flow = {static_cast<uint16_t>(from.flow_node()), static_cast<uint16_t>(from.flow_worker()),
             from.flow_slot(), from.flow_generation()};
  return read_address(from.local(), to.local) && read_address(from.remote(), to.remote);
}

namespace {

// The proto's numbers are the enumeration's, shifted by nothing: SIP_TX_CALLING is 1 as TxState::calling is.
static_assert(static_cast<int>(TxState::calling) == proto::SIP_TX_CALLING);
static_assert(static_cast<int>(TxState::accepted) == proto::SIP_TX_ACCEPTED);

void write_user(const TuRef& from, proto::SipTuRef& to) {
  to.set_room(static_cast<uint32_t>(from.room));
  to.set_object(from.object);
  to.set_detail(from.detail);
}

TuRef read_user(const proto::SipTuRef& from) {
  return {static_cast<port::Asker::Room>(from.room()), from.object(), from.detail()};
}

void write_timers(Now now, const TxTimers& from, proto::SipTxTimers& to) {
  to.set_retransmit_at(deadline_to_wall(now, from.retransmit_at));
  to.set_interval(from.interval.count());
  to.set_end_at(deadline_to_wall(now, from.end_at));
}

bool read_timers(Now now, const proto::SipTxTimers& from, TxTimers& to) {
  if (from.interval() < 0) return false;
  to.retransmit_at = deadline_from_wall(now, from.retransmit_at());
  to.interval = Duration(from.interval());
  to.end_at = deadline_from_wall(now, from.end_at());
  return true;
}

bool known_method(uint32_t method) { return method <= static_cast<uint32_t>(Method::other); }

bool read_client(Now now, const proto::SipClientTransaction& p, ClientTransaction& tx) {
  const bool invite = p.method() == static_cast<uint32_t>(Method::invite);
  const bool fits = invite ? p.state() == proto::SIP_TX_CALLING || p.state() == proto::SIP_TX_PROCEEDING ||
                                 p.state() == proto::SIP_TX_COMPLETED || p.state() == proto::SIP_TX_ACCEPTED
                           : p.state() == proto::SIP_TX_TRYING || p.state() == proto::SIP_TX_PROCEEDING;
  if (!fits || !known_method(p.method()) || p.identity().find('\n') == std::string::npos ||
      p.cancel_step() > 3 || p.via_begin() > p.via_end() || p.via_end() > p.request().size())
    return false;
  const bool unanswered = p.state() != proto::SIP_TX_COMPLETED && p.state() != proto::SIP_TX_ACCEPTED;
  const bool needs_request = invite || p.path().transport() == static_cast<uint32_t>(port::Transport::udp);
  if (unanswered && needs_request && p.request().empty()) return false;
  tx.method = static_cast<Method>(p.method());
  tx.state = static_cast<TxState>(p.state());
  tx.cancel_step = static_cast<ClientTransaction::Cancel>(p.cancel_step());
  tx.udp_after_tcp = p.udp_after_tcp();
  tx.timer_c = p.timer_c();
  tx.user = read_user(p.user());
  tx.via_begin = p.via_begin();
  tx.via_end = p.via_end();
  tx.request.assign(as_bytes(p.request()));
  tx.ack.assign(as_bytes(p.ack()));
  tx.cancel.assign(as_bytes(p.cancel()));
  tx.server_name = p.server_name();
  tx.cancel_reason = p.cancel_reason();
  tx.identity = Identity(p.identity());
  return read_timers(now, p.timers(), tx.timers) && read_path(p.path(), tx.path);
}

bool read_server(Now now, const proto::SipServerTransaction& p, ServerTransaction& tx) {
  const bool invite = p.method() == static_cast<uint32_t>(Method::invite);
  const bool fits = invite ? p.state() >= proto::SIP_TX_PROCEEDING && p.state() <= proto::SIP_TX_ACCEPTED
                           : p.state() == proto::SIP_TX_TRYING || p.state() == proto::SIP_TX_PROCEEDING ||
                                 (p.state() == proto::SIP_TX_COMPLETED && p.within_dialog());
  if (!fits || !known_method(p.method()) || p.identity().empty() || p.sent_by_port() > 65535) return false;
  if (!p.request().empty()) {
    auto request = Message::parse(Buffer::copy_of(p.request()));
    if (!request || !request->is_request()) return false;
    tx.request = std::move(*request);
  }
  tx.method = static_cast<Method>(p.method());
  tx.state = static_cast<TxState>(p.state());
  if ((tx.state == TxState::trying || tx.state == TxState::proceeding) && !tx.request) return false;
  tx.cancelled = p.cancelled();
  tx.retargeted = p.retargeted();
  tx.within_dialog = p.within_dialog();
  tx.rfc2543 = p.rfc2543();
  tx.sent_by_port = static_cast<uint16_t>(p.sent_by_port());
  tx.user = read_user(p.user());
  tx.response.assign(as_bytes(p.response()));
  tx.request_to_tag = p.request_to_tag();
  tx.identity = Identity(p.identity());
  return read_timers(now, p.timers(), tx.timers) && read_address(p.reply_to(), tx.reply_to) &&
         read_path(p.path(), tx.path);
}

bool worth_keeping(const ClientTransaction& tx) {
  return tx.method == Method::invite || tx.state != TxState::completed;
}

/// What was answered within a dialog must not be carried out twice, nor refused by a dialog that has moved on
/// (a repeated PRACK would get a 481, which ends calls).
bool worth_keeping(const ServerTransaction& tx) {
  return tx.method == Method::invite || tx.state != TxState::completed || tx.within_dialog;
}

}  // namespace

std::string TransactionLayer::Impl::part_of(Now now, const ClientTransaction& tx) const {
  proto::SipTransaction part;
  proto::SipClientTransaction& p = *part.mutable_client();
  p.set_identity(std::string(tx.identity.text()));
  p.set_method(static_cast<uint32_t>(tx.method));
  p.set_state(static_cast<proto::SipTxState>(tx.state));
  write_path(tx.path, *p.mutable_path());
  p.set_server_name(tx.server_name);
  p.set_request(std::string(tx.request.text()));
  if (!tx.request.empty()) {
    p.set_via_begin(tx.via_begin);
    p.set_via_end(tx.via_end);
  }
  p.set_ack(std::string(tx.ack.text()));
  p.set_cancel(std::string(tx.cancel.text()));
  p.set_cancel_step(static_cast<uint32_t>(tx.cancel_step));
  p.set_cancel_reason(tx.cancel_reason);
  p.set_udp_after_tcp(tx.udp_after_tcp);
  p.set_timer_c(tx.timer_c);
  write_user(tx.user, *p.mutable_user());
  write_timers(now, tx.timers, *p.mutable_timers());
  return part.SerializeAsString();
}

std::string TransactionLayer::Impl::part_of(Now now, const ServerTransaction& tx) const {
  proto::SipTransaction part;
  proto::SipServerTransaction& p = *part.mutable_server();
  p.set_identity(std::string(tx.identity.text()));
  p.set_method(static_cast<uint32_t>(tx.method));
  p.set_state(static_cast<proto::SipTxState>(tx.state));
  write_path(tx.path, *p.mutable_path());
  write_address(tx.reply_to, *p.mutable_reply_to());
  p.set_sent_by_port(tx.sent_by_port);
  if (tx.request) p.set_request(std::string(as_text(tx.request->bytes())));
  p.set_response(std::string(tx.response.text()));
  p.set_cancelled(tx.cancelled);
  p.set_retargeted(tx.retargeted);
  p.set_within_dialog(tx.within_dialog);
  p.set_rfc2543(tx.rfc2543);
  p.set_request_to_tag(tx.request_to_tag);
  write_user(tx.user, *p.mutable_user());
  write_timers(now, tx.timers, *p.mutable_timers());
  return part.SerializeAsString();
}

std::optional<TransactionLayer::Restored> TransactionLayer::Impl::restore(Now now, std::string_view bytes) {
  proto::SipTransaction part;
  if (!part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  const auto arm = [&](const TxTimers& t, SlotId id, bool server) {
    timers.push_at(t.retransmit_at, {id, server, false});
    timers.push_at(t.end_at, {id, server, true});
  };
  if (part.has_client()) {
    const ClientTxId id{clients.emplace()};
    if (!id) return std::nullopt;
    ClientTransaction& tx = *clients.find(id);
    if (!read_client(now, part.client(), tx)) {
      clients.erase(id);
      return std::nullopt;
    }
    index_client(tx, id);
    arm(tx.timers, id, false);
    return Restored{{}, id, tx.user};
  }
  if (!part.has_server()) return std::nullopt;
  const ServerTxId id{servers.emplace()};
  if (!id) return std::nullopt;
  ServerTransaction& tx = *servers.find(id);
  if (!read_server(now, part.server(), tx)) {
    servers.erase(id);
    return std::nullopt;
  }
  index_server(tx, id);
  arm(tx.timers, id, true);
  return Restored{id, {}, tx.user, tx.method != Method::invite && tx.state == TxState::completed};
}

void TransactionLayer::snapshot(Now now, std::vector<std::string>& parts) const {
  impl_->servers.for_each([&](SlotId, const ServerTransaction& tx) {
    if (worth_keeping(tx)) parts.push_back(impl_->part_of(now, tx));
  });
  impl_->clients.for_each([&](SlotId, const ClientTransaction& tx) {
    if (worth_keeping(tx)) parts.push_back(impl_->part_of(now, tx));
  });
}

std::string TransactionLayer::take(Now now, ServerTxId id) {
  ServerTransaction* tx = impl_->servers.find(id);
  if (!tx || !worth_keeping(*tx)) return {};
  std::string part = impl_->part_of(now, *tx);
  impl_->server_index.erase(tx->hash, id);
  impl_->servers.erase(id);
  impl_->count.server.set(impl_->servers.size());
  return part;
}

std::string TransactionLayer::take(Now now, ClientTxId id) {
  ClientTransaction* tx = impl_->clients.find(id);
  if (!tx || !worth_keeping(*tx)) return {};
  std::string part = impl_->part_of(now, *tx);
  impl_->end_client(*tx, id);
  return part;
}

std::optional<TransactionLayer::Restored> TransactionLayer::restore(Now now, std::string_view part) {
  return impl_->restore(now, part);
}

}  // namespace tandem::sip
