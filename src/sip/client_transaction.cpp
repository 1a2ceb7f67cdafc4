// Client transactions: RFC 3261 section 17.1 (figures 5 and 6) with the accepted state of RFC 6026.
#include <array>

#include "base/text.h"
#include "sip/transaction_impl.h"

namespace tandem::sip {
namespace {

std::string_view method_text_of(const OutgoingRequest& r) {
  return r.method == Method::other ? std::string_view(r.method_text) : to_string(r.method);
}

struct Framed {
  Buffer bytes;
  uint32_t via_begin = 0, via_end = 0;
};

// Our Via goes right after the start line; `rest` has everything else.
Framed with_via(std::string_view rest, const port::Path& path, std::string_view sent_by,
                std::string_view branch) {
  Framed out;
  const size_t line = rest.find("\r\n");
  if (line == std::string_view::npos) return out;
  out.bytes = Buffer::with_capacity(rest.size() + branch.size() + sent_by.size() + 48);
  out.bytes.append(rest.substr(0, line + 2));
  out.via_begin = static_cast<uint32_t>(out.bytes.size());
  out.bytes.append("Via: SIP/2.0/");
  out.bytes.append(std::string_view(port::to_string(path.transport)));
  out.bytes.append(" ");
  out.bytes.append(sent_by);
  out.bytes.append(";branch=");
  out.bytes.append(branch);
  // RFC 3581: behind a NAT the answer only finds us when it goes to the port we seem to send from.
  out.bytes.append(port::is_reliable(path.transport) ? std::string_view("\r\n")
                                                     : std::string_view(";rport\r\n"));
  out.via_end = static_cast<uint32_t>(out.bytes.size());
  out.bytes.append(rest.substr(line + 2));
  return out;
}

// ACK for a non-2xx (section 17.1.1.3) and CANCEL (section 9.1): both repeat the INVITE's request line, top
// Via, From, Call-ID, CSeq number and Route; the ACK takes its To from the response.
Buffer like_invite(Method method, const Message& invite, std::string_view to, std::string_view reason) {
  std::array<char, 12> number{};
  size_t at = number.size();
  for (uint32_t n = invite.cseq().number; at == number.size() || n; n /= 10)
    number[--at] = static_cast<char>('0' + n % 10);
  Writer w = Writer::request(method, invite.request_uri());
  w.header(HeaderId::via, invite.top_via().text);
  w.copy(invite, HeaderId::route);
  w.header(HeaderId::max_forwards, "70");
  w.copy(invite, HeaderId::from);
  w.header(HeaderId::to, to);
  w.copy(invite, HeaderId::call_id);
  w.header(HeaderId::cseq,
           {std::string_view(number.data() + at, number.size() - at), " ", to_string(method)});
  if (!reason.empty()) w.header(HeaderId::reason, reason);
  return std::move(w).finish();
}

bool one_via(const Message& message) {
  int vias = 0;
  message.for_each_value(HeaderId::via, [&](std::string_view) { return ++vias < 2; });
  return vias == 1;
}

}  // namespace

Identity client_identity(std::string_view branch, std::string_view method) {
  Identity id(branch);
  id.append("\n").append(method);
  return id;
}

void TransactionLayer::Impl::index_client(ClientTransaction& tx, ClientTxId id) {
  tx.hash = hash64(tx.identity.text(), key);
  client_index.insert(tx.hash, id);
  count.client.set(clients.size());
}

void TransactionLayer::Impl::end_client(ClientTransaction& tx, ClientTxId id) {
  client_index.erase(tx.hash, id);
  clients.erase(id);
  count.client.set(clients.size());
}

ClientTxId TransactionLayer::Impl::find_client(const Identity& identity) const {
  return {client_index.find(hash64(identity.text(), key),
                            [&](SlotId id) { return clients.find(id)->identity.text() == identity.text(); })};
}

void TransactionLayer::Impl::client_event(TuEvent::Kind kind, const ClientTransaction& tx, ClientTxId id,
                                          Events& events, std::optional<Message> message,
                                          const port::Path* path) {
  events.push_back({kind, {}, id, tx.user, std::move(message), path ? *path : tx.path});
}

void TransactionLayer::Impl::send_client(const ClientTransaction& tx, ClientTxId id, Buffer bytes,
                                         port::Outbox& out) {
  out.send({tx.path, std::move(bytes), 0, send_id(id), tx.server_name});
}

ClientTxId TransactionLayer::Impl::request(Now now, OutgoingRequest& r, port::Outbox& out) {
  if (!has_room(clients, r.method == Method::invite)) {
    count.client_full.add();
    return {};
  }
  // 18.1.1: what may not fit a datagram goes over a congestion controlled transport.
  const bool large = policy.tcp_for_large && !r.keep_transport && !r.path.flow &&
                     r.path.transport == port::Transport::udp &&
                     r.rest.size() + 100 > policy.large_request_bytes;
  if (large) r.path.transport = port::Transport::tcp;
  const std::string branch = mint.branch(r.shard);
  Framed framed = with_via(r.rest.text(), r.path, sent_by.sent_by(r.path), branch);
  if (framed.bytes.empty()) {
    count.bad_request.add();
    return {};
  }
  const bool invite = r.method == Method::invite;
  const ClientTxId id{clients.emplace()};
  ClientTransaction& tx = *clients.find(id);
  tx.method = r.method;
  tx.state = invite ? TxState::calling : TxState::trying;
  tx.user = r.user;
  tx.udp_after_tcp = large;
  tx.timer_c = r.timer_c && invite;
  tx.identity = client_identity(branch, method_text_of(r));
  tx.path = r.path;
  tx.server_name = std::move(r.server_name);
  const bool reliable = port::is_reliable(tx.path.transport);
  if (invite || !reliable || large) {
    tx.request.assign(framed.bytes.bytes());
    tx.via_begin = framed.via_begin;
    tx.via_end = framed.via_end;
  }
  index_client(tx, id);
  end_after(now, tx.timers, invite ? times.timer_b() : times.timer_f(), id, false);
  if (!reliable) retransmit_after(now, tx.timers, times.t1, id, false);
  send_client(tx, id, std::move(framed.bytes), out);
  return id;
}

void TransactionLayer::Impl::send_stateless(OutgoingRequest& r, port::Outbox& out) {
  Framed framed = with_via(r.rest.text(), r.path, sent_by.sent_by(r.path), mint.branch(r.shard));
  if (framed.bytes.empty()) {
    count.bad_request.add();
    return;
  }
  out.send({r.path, std::move(framed.bytes), 0, 0, std::move(r.server_name)});
}

void TransactionLayer::Impl::on_response(Now now, Message message, const port::Path& path, port::Outbox& out,
                                         Events& events) {
  const CSeq cseq = message.cseq();
  const bool of_cancel = cseq.method == Method::cancel;
  const Identity identity =
      client_identity(message.top_via().branch, of_cancel ? to_string(Method::invite) : cseq.method_text);
  const ClientTxId id = find_client(identity);
  if (!one_via(message)) {  // section 8.1.3.3
    count.stray_responses.add();
    return;
  }
  if (!id) {
    count.stray_responses.add();
    if (!of_cancel) events.push_back({TuEvent::Kind::stray_response, {}, {}, {}, std::move(message), path});
    return;
  }
  ClientTransaction& tx = *clients.find(id);
  if (of_cancel) {
    if (message.status() >= 200 && tx.cancel_step == ClientTransaction::Cancel::sent) {
      tx.cancel_step = ClientTransaction::Cancel::answered;
      tx.timers.retransmit_at = Instant::never();
    }
    return;
  }
  if (tx.method == Method::invite)
    on_invite_response(now, tx, id, std::move(message), path, out, events);
  else
    on_non_invite_response(now, tx, id, std::move(message), path, events);
}

void TransactionLayer::Impl::on_invite_response(Now now, ClientTransaction& tx, ClientTxId id,
                                                Message message, const port::Path& path, port::Outbox& out,
                                                Events& events) {
  const int status = message.status();
  const bool waiting = tx.state == TxState::calling || tx.state == TxState::proceeding;
  if (!waiting) {
    if (tx.state == TxState::completed && status >= 300) {
      count.resent_by_client.add();
      send_client(tx, id, tx.ack.copy(), out);
    } else if (tx.state == TxState::accepted && status / 100 == 2) {
      client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
    } else if (status / 100 == 2) {
      // Another branch of a fork answered after the failure came: its dialog must be ended by somebody.
      client_event(TuEvent::Kind::stray_response, tx, id, events, std::move(message), &path);
    } else {
      count.absorbed_responses.add();
    }
    return;
  }
  tx.udp_after_tcp = false;
  if (status < 200) {
    if (tx.state == TxState::calling) {
      tx.state = TxState::proceeding;
      tx.timers = {};
      if (tx.timer_c) end_after(now, tx.timers, times.timer_c, id, false);
      if (tx.cancel_step == ClientTransaction::Cancel::wanted) send_cancel(now, tx, id, out);
    } else if (status > 100 && tx.timer_c && tx.cancel_step == ClientTransaction::Cancel::none) {
      end_after(now, tx.timers, times.timer_c, id, false);
    }
    if (status > 100) client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
    return;
  }
  tx.timers = {};
  tx.cancel.clear();
  if (status < 300) {
    tx.state = TxState::accepted;
    tx.request.clear();
    end_after(now, tx.timers, times.timer_m(), id, false);
    client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
    return;
  }
  auto invite = Message::parse(tx.request.copy());
  if (invite) {
    tx.ack.assign(like_invite(Method::ack, *invite, message.header(HeaderId::to).value_or(""), {}).bytes());
    send_client(tx, id, tx.ack.copy(), out);
  } else {
    count.bad_request.add();
  }
  client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
  if (port::is_reliable(tx.path.transport) || !invite) return end_client(tx, id);  // Timer D is zero
  tx.state = TxState::completed;
  tx.request.clear();
  end_after(now, tx.timers, times.timer_d, id, false);
}

void TransactionLayer::Impl::on_non_invite_response(Now now, ClientTransaction& tx, ClientTxId id,
                                                    Message message, const port::Path& path, Events& events) {
  const int status = message.status();
  if (tx.state == TxState::completed) {
    count.absorbed_responses.add();
    return;
  }
  tx.udp_after_tcp = false;
  if (status < 200) {
    tx.state = TxState::proceeding;
    tx.timers.interval = times.t2;
    if (status > 100) client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
    return;
  }
  client_event(TuEvent::Kind::response, tx, id, events, std::move(message), &path);
  if (port::is_reliable(tx.path.transport)) return end_client(tx, id);  // Timer K is zero
  tx.state = TxState::completed;
  tx.request.clear();
  tx.timers = {};
  end_after(now, tx.timers, times.timer_k(), id, false);
}

void TransactionLayer::Impl::cancel(Now now, ClientTxId id, std::string_view reason, port::Outbox& out) {
  ClientTransaction* tx = clients.find(id);
  if (!tx || tx->method != Method::invite || tx->cancel_step != ClientTransaction::Cancel::none) return;
  if (tx->state != TxState::calling && tx->state != TxState::proceeding) return;
  tx->cancel_step = ClientTransaction::Cancel::wanted;
  tx->cancel_reason = reason;
  if (tx->state == TxState::proceeding) send_cancel(now, *tx, id, out);
}

void TransactionLayer::Impl::send_cancel(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out) {
  tx.cancel_step = ClientTransaction::Cancel::sent;
  end_after(now, tx.timers, 64 * times.t1, id, false);
  const auto invite = Message::parse(tx.request.copy());
  if (!invite) {
    count.bad_request.add();
    return;
  }
  tx.cancel.assign(
      like_invite(Method::cancel, *invite, invite->header(HeaderId::to).value_or(""), tx.cancel_reason)
          .bytes());
  send_client(tx, id, tx.cancel.copy(), out);
  if (!port::is_reliable(tx.path.transport)) retransmit_after(now, tx.timers, times.t1, id, false);
}

void TransactionLayer::Impl::on_client_retransmit(Now now, ClientTransaction& tx, ClientTxId id,
                                                  port::Outbox& out) {
  count.resent_by_client.add();
  const bool cancelling = tx.cancel_step == ClientTransaction::Cancel::sent;
  send_client(tx, id, cancelling ? tx.cancel.copy() : tx.request.copy(), out);
  Duration next = 2 * tx.timers.interval;
  // Timer A doubles for ever; Timer E stops at T2, and is T2 at once when the request is known to have
  // arrived.
  if (tx.method != Method::invite || cancelling) next = std::min(next, times.t2);
  retransmit_after(now, tx.timers, next, id, false);
}

void TransactionLayer::Impl::on_client_end(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out,
                                           Events& events) {
  if (tx.state == TxState::completed || tx.state == TxState::accepted) return end_client(tx, id);  // D, K, M
  const bool cancelled = tx.cancel_step == ClientTransaction::Cancel::sent ||
                         tx.cancel_step == ClientTransaction::Cancel::answered;
  if (tx.state == TxState::proceeding && tx.method == Method::invite && !cancelled) {
    count.timer_c.add();
    tx.timers.end_at = Instant::never();
    return cancel(now, id, {}, out);
  }
  (tx.method != Method::invite ? count.timer_f : cancelled ? count.timer_cancel : count.timer_b).add();
  client_event(TuEvent::Kind::timeout, tx, id, events);
  end_client(tx, id);
}

bool TransactionLayer::Impl::fall_back_to_udp(Now now, ClientTransaction& tx, ClientTxId id,
                                              port::Outbox& out) {
  tx.udp_after_tcp = false;
  tx.path.transport = port::Transport::udp;
  const std::string_view text = tx.request.text();
  std::string rest(text.substr(0, tx.via_begin));
  rest += text.substr(tx.via_end);
  const std::string_view identity = tx.identity.text();
  Framed framed = with_via(rest, tx.path, sent_by.sent_by(tx.path), identity.substr(0, identity.find('\n')));
  if (framed.bytes.empty()) return false;
  tx.request.assign(framed.bytes.bytes());
  tx.via_begin = framed.via_begin;
  tx.via_end = framed.via_end;
  end_after(now, tx.timers, tx.method == Method::invite ? times.timer_b() : times.timer_f(), id, false);
  retransmit_after(now, tx.timers, times.t1, id, false);
  send_client(tx, id, std::move(framed.bytes), out);
  return true;
}

void TransactionLayer::Impl::on_client_send_failed(Now now, ClientTxId id, port::Outbox& out,
                                                   Events& events) {
  ClientTransaction* tx = clients.find(id);
  if (!tx || tx->state == TxState::accepted) return;
  const bool invite = tx->method == Method::invite;
  if (!invite && tx->state == TxState::completed) return;
  if (tx->udp_after_tcp && fall_back_to_udp(now, *tx, id, out)) return;
  if (invite && tx->state == TxState::proceeding) {
    // The INVITE has arrived, only its connection is gone: the CANCEL may still find a new one.
    if (tx->cancel_step == ClientTransaction::Cancel::sent && tx->path.flow &&
        port::is_reliable(tx->path.transport)) {
      tx->path.flow = {};
      send_client(*tx, id, tx->cancel.copy(), out);
    }
    return;
  }
  client_event(TuEvent::Kind::transport_failed, *tx, id, events);
  end_client(*tx, id);
}

}  // namespace tandem::sip
