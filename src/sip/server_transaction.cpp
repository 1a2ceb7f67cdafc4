// Server transactions: RFC 3261 section 17.2 (figures 7 and 8) with the accepted state of RFC 6026.
#include <array>

#include "base/text.h"
#include "sip/transaction_impl.h"

namespace tandem::sip {
namespace {

std::string_view decimal(uint32_t value, std::array<char, 12>& room) {
  size_t at = room.size();
  do room[--at] = static_cast<char>('0' + value % 10);
  while (value /= 10);
  return {room.data() + at, room.size() - at};
}

// The To tag of a response text; empty when it has none.
std::string to_tag_of(const Octets& response) {
  const auto message = Message::parse(response.copy());
  return message ? std::string(message->to_tag()) : std::string();
}

}  // namespace

int status_of(std::string_view response) {
  constexpr std::string_view version = "SIP/2.0 ";
  if (!istarts_with(response, version) || response.size() < version.size() + 3) return 0;
  const auto status = parse_u32(response.substr(version.size(), 3));
  return status && *status >= 100 && *status <= 699 ? static_cast<int>(*status) : 0;
}

std::string stateless_tag(uint64_t hash) { return to_hex(std::to_string(hash)); }

Identity server_identity(const Message& request, std::string_view method) {
  const Via& via = request.top_via();
  std::array<char, 12> number;
  if (via.rfc3261_branch()) {
    Identity id(via.branch);
    id.append("\n")
        .append_lower(via.host)
        .append(":")
        .append(decimal(via.port, number))
        .append("\n")
        .append(method);
    return id;
  }
  // RFC 2543 peers: Request-URI, From tag, Call-ID, CSeq number and the whole Via; To tags are compared
  // apart, as the ACK carries the one of the response.
  Identity id("\n");
  id.append(request.request_uri())
      .append("\n")
      .append(request.from_tag())
      .append("\n")
      .append(request.call_id());
  id.append("\n")
      .append(decimal(request.cseq().number, number))
      .append("\n")
      .append(via.text)
      .append("\n")
      .append(method);
  return id;
}

void TransactionLayer::Impl::index_server(ServerTransaction& tx, ServerTxId id) {
  tx.hash = hash64(tx.identity.text(), key);
  server_index.insert(tx.hash, id);
  count.server.set(servers.size());
}

void TransactionLayer::Impl::end_server(ServerTransaction& tx, ServerTxId id, Events& events) {
  server_event(TuEvent::Kind::done, tx, id, events);
  server_index.erase(tx.hash, id);
  servers.erase(id);
  count.server.set(servers.size());
}

void TransactionLayer::Impl::server_event(TuEvent::Kind kind, const ServerTransaction& tx, ServerTxId id,
                                          Events& events, std::optional<Message> message) {
  events.push_back({kind, id, {}, tx.user, std::move(message), tx.path});
}

ServerTxId TransactionLayer::Impl::find_server(const Identity& identity, const Message& message) const {
  return {server_index.find(hash64(identity.text(), key), [&](SlotId id) {
    const ServerTransaction& tx = *servers.find(id);
    if (tx.identity.text() != identity.text()) return false;
    if (!tx.rfc2543) return true;
    // 17.2.3: a repeated request has the To tag of the first one, the ACK has that of our response.
    return message.method() == Method::ack ? to_tag_of(tx.response) == message.to_tag()
                                           : tx.request_to_tag == message.to_tag();
  })};
}

/// Section 18.2.2 and RFC 3581. A maddr parameter is deliberately ignored: it would let anyone aim our
/// answers.
SocketAddress TransactionLayer::Impl::reply_address(const Message& request, const port::Path& path) const {
  const Via& via = request.top_via();
  if (port::is_reliable(path.transport) || policy.always_rport || via.wants_rport()) return path.remote;
  return {path.remote.ip, via.port ? via.port : uint16_t{5060}};
}

void TransactionLayer::Impl::send_response(const ServerTransaction& tx, ServerTxId id, Buffer bytes,
                                           port::Outbox& out) {
  port::Send send{tx.path, std::move(bytes), tx.after, send_id(id), {}};
  send.path.remote = tx.reply_to;
  if (tx.retargeted) send.path.flow = {};
  out.send(std::move(send));
}

void TransactionLayer::Impl::reply_stateless(const Message& request, const port::Path& path, int status,
                                             std::string_view to_tag, port::Outbox& out) {
  port::Send send{path, {}, 0, 0, {}};
  send.path.remote = reply_address(request, path);
  Writer w = response_to(request, path.remote, status, to_tag);
  if (status == 503) w.header_number(HeaderId::retry_after, policy.retry_after_seconds);
  send.bytes = std::move(w).finish();
  out.send(std::move(send));
}

bool TransactionLayer::repeats(const Message& request) const {
  const bool ack = request.method() == Method::ack;
  const bool of_invite = ack || request.method() == Method::cancel;
  const auto identity =
      server_identity(request, of_invite ? to_string(Method::invite) : request.method_text());
  const ServerTxId id = impl_->find_server(identity, request);
  // An ACK for a 2xx is the dialog's, even when it has the INVITE's branch.
  return id && !(ack && impl_->servers.find(id)->state == TxState::accepted);
}

void TransactionLayer::Impl::on_request(Now now, Message message, const port::Path& path, port::Outbox& out,
                                        Events& events) {
  Identity identity = server_identity(message, message.method_text());
  if (const ServerTxId id = find_server(identity, message))
    return on_repeated_request(*servers.find(id), id, out);
  if (!has_room(servers, message.to_tag().empty())) {
    count.server_full.add();
    // Section 8.2.7: without state the tag must still be the same for each retransmission.
    return reply_stateless(message, path, 503, stateless_tag(hash64(identity.text(), key)), out);
  }
  on_new_request(now, std::move(message), path, std::move(identity), out, events);
}

void TransactionLayer::Impl::on_new_request(Now, Message message, const port::Path& path, Identity identity,
                                            port::Outbox& out, Events& events) {
  const ServerTxId id{servers.emplace()};
  ServerTransaction& tx = *servers.find(id);
  tx.method = message.method();
  tx.state = tx.method == Method::invite ? TxState::proceeding : TxState::trying;
  tx.identity = std::move(identity);
  tx.path = path;
  tx.reply_to = reply_address(message, path);
  tx.sent_by_port = message.top_via().port;
  tx.rfc2543 = !message.top_via().rfc3261_branch();
  tx.within_dialog = !message.to_tag().empty();
  if (tx.rfc2543) tx.request_to_tag = message.to_tag();
  tx.request = std::move(message);
  index_server(tx, id);
  if (tx.method == Method::invite && policy.trying_at_once) {
    Buffer trying = response_to(*tx.request, path.remote, 100, {}).finish();
    tx.response.assign(trying.bytes());
    send_response(tx, id, std::move(trying), out);
  }
  server_event(TuEvent::Kind::request, tx, id, events);
}

void TransactionLayer::Impl::on_repeated_request(ServerTransaction& tx, ServerTxId id, port::Outbox& out) {
  count.absorbed_requests.add();
  const bool answers = tx.state == TxState::proceeding || tx.state == TxState::completed;
  if (!answers || tx.response.empty()) return;
  count.resent_by_server.add();
  send_response(tx, id, tx.response.copy(), out);
}

void TransactionLayer::Impl::on_ack(Now now, Message message, const port::Path& path, Events& events) {
  const ServerTxId id = find_server(server_identity(message, to_string(Method::invite)), message);
  if (!id) {
    events.push_back({TuEvent::Kind::ack, {}, {}, {}, std::move(message), path});
    return;
  }
  ServerTransaction& tx = *servers.find(id);
  if (tx.state == TxState::accepted) {
    server_event(TuEvent::Kind::ack, tx, id, events, std::move(message));
    return;
  }
  if (tx.state != TxState::completed) {
    count.absorbed_requests.add();
    return;
  }
  if (port::is_reliable(tx.path.transport)) return end_server(tx, id, events);  // Timer I is zero
  tx.state = TxState::confirmed;
  tx.timers = {};
  tx.response.clear();
  end_after(now, tx.timers, times.timer_i(), id, true);
}

/// Section 9.2. Answered without state: while the INVITE's transaction lives each repetition gets the same
/// answer.
void TransactionLayer::Impl::on_cancel(Message message, const port::Path& path, port::Outbox& out,
                                       Events& events) {
  const Identity identity = server_identity(message, to_string(Method::invite));
  const ServerTxId id = find_server(identity, message);
  std::string tag;
  ServerTransaction* tx = id ? servers.find(id) : nullptr;
  if (tx && !tx->response.empty()) tag = to_tag_of(tx->response);
  if (tag.empty()) tag = stateless_tag(hash64(identity.text(), key));
  reply_stateless(message, path, tx ? 200 : 481, tag, out);
  if (!tx || tx->state != TxState::proceeding || tx->cancelled) return;
  tx->cancelled = true;
  server_event(TuEvent::Kind::cancel, *tx, id, events, std::move(message));
}

void TransactionLayer::Impl::respond(Now now, ServerTxId id, Buffer response, port::CommitId after,
                                     port::Outbox& out) {
  ServerTransaction* tx = servers.find(id);
  const int status = status_of(response.text());
  if (!tx || status == 0) {
    count.late_responses.add();
    return;
  }
  const bool open = tx->state == TxState::trying || tx->state == TxState::proceeding;
  if (!open && !(tx->state == TxState::accepted && status / 100 == 2)) {
    count.late_responses.add();
    return;
  }
  if (after) tx->after = after;
  if (tx->method == Method::invite)
    respond_invite(now, *tx, id, status, std::move(response), out);
  else
    respond_non_invite(now, *tx, id, status, std::move(response), out);
}

void TransactionLayer::Impl::respond_repeatable(Now now, ServerTxId id, Buffer response, port::Outbox& out) {
  const ServerTransaction* tx = servers.find(id);
  const int status = status_of(response.text());
  // A client that has had a provisional answer to its INVITE repeats it no more: a lost final one would be
  // lost for good.
  const bool invite = tx && tx->method == Method::invite;
  const bool unheard = tx && (invite ? tx->state == TxState::proceeding && tx->response.empty()
                                     : tx->state == TxState::trying);
  if (!unheard || port::is_reliable(tx->path.transport) || status < (invite ? 300 : 200))
    return respond(now, id, std::move(response), 0, out);
  send_response(*tx, id, std::move(response), out);
  server_index.erase(tx->hash, id);
  servers.erase(id);
  count.server.set(servers.size());
}

void TransactionLayer::Impl::respond_invite(Now now, ServerTransaction& tx, ServerTxId id, int status,
                                            Buffer response, port::Outbox& out) {
  if (status < 200) {
    tx.response.assign(response.bytes());
  } else if (status < 300) {
    if (tx.state == TxState::accepted) {
      count.resent_by_server.add();
    } else {
      tx.state = TxState::accepted;
      tx.response.clear();
      tx.request.reset();
      end_after(now, tx.timers, times.timer_l(), id, true);
    }
  } else {
    tx.state = TxState::completed;
    tx.response.assign(response.bytes());
    tx.request.reset();
    end_after(now, tx.timers, times.timer_h(), id, true);
    if (!port::is_reliable(tx.path.transport))
      retransmit_after(now, tx.timers, times.t1, id, true);  // Timer G
  }
  send_response(tx, id, std::move(response), out);
}

void TransactionLayer::Impl::respond_non_invite(Now now, ServerTransaction& tx, ServerTxId id, int status,
                                                Buffer response, port::Outbox& out) {
  const bool reliable = port::is_reliable(tx.path.transport);
  if (status < 200 || !reliable) tx.response.assign(response.bytes());
  tx.state = status < 200 ? TxState::proceeding : TxState::completed;
  if (status >= 200) {
    tx.request.reset();
    end_after(now, tx.timers, reliable ? Duration::zero() : times.timer_j(), id, true);
  }
  send_response(tx, id, std::move(response), out);
}

void TransactionLayer::Impl::on_server_retransmit(Now now, ServerTransaction& tx, ServerTxId id,
                                                  port::Outbox& out) {
  count.resent_by_server.add();
  send_response(tx, id, tx.response.copy(), out);
  retransmit_after(now, tx.timers, std::min(2 * tx.timers.interval, times.t2), id, true);
}

void TransactionLayer::Impl::on_server_end(ServerTransaction& tx, ServerTxId id, Events& events) {
  if (tx.method == Method::invite && tx.state == TxState::completed) {
    count.timer_h.add();
    server_event(TuEvent::Kind::ack_missing, tx, id, events);
  }
  end_server(tx, id, events);
}

void TransactionLayer::Impl::on_server_send_failed(ServerTxId id, port::Outbox& out, Events& events) {
  ServerTransaction* tx = servers.find(id);
  if (!tx) return;
  if (port::is_reliable(tx->path.transport) && !tx->retargeted) {
    // 18.2.2: the connection of the request is gone; one to the address in its Via may be had.
    tx->retargeted = true;
    const uint16_t usual = port::is_secure(tx->path.transport) ? 5061 : 5060;
    tx->reply_to = {tx->path.remote.ip, tx->sent_by_port ? tx->sent_by_port : usual};
    if (!tx->response.empty()) send_response(*tx, id, tx->response.copy(), out);
    return;
  }
  server_event(TuEvent::Kind::transport_failed, *tx, id, events);
  // RFC 6026 section 7.1: an INVITE transaction stays, its peer may come back; figure 8 ends the others.
  if (tx->method != Method::invite) end_server(*tx, id, events);
}

}  // namespace tandem::sip
