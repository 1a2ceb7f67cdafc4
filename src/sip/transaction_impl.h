#pragma once
// What transaction.cpp, client_transaction.cpp, server_transaction.cpp and transaction_snapshot.cpp share;
// private to them.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "sip/transaction_index.h"
#include "sip/transaction_timers.h"
#include "sip/writer.h"

namespace tandem::sip {

enum class TxState : uint8_t {
  calling = 1,  // INVITE client
  trying,       // non-INVITE
  proceeding,
  completed,
  confirmed,  // INVITE server
  accepted,   // INVITE, RFC 6026
};

struct TxTimers {
  Instant retransmit_at = Instant::never();  // Timer A, E or G
  Duration interval{};                       // between retransmissions now
  Instant end_at = Instant::never();         // the timer that ends the state: B, C, D, F, H, I, J, K, L or M
};

/// RFC 3261 section 17.1. The CANCEL of an INVITE lives inside the INVITE's transaction: it shares branch,
/// path and fate, and so a snapshot of the INVITE has it too.
struct ClientTransaction {
  enum class Cancel : uint8_t { none, wanted, sent, answered };

  Method method = Method::other;
  TxState state = TxState::trying;
  Cancel cancel_step = Cancel::none;
  bool udp_after_tcp = false;  // sent over TCP for its size only: UDP is still to be tried (section 18.1.1)
  bool timer_c = false;
  TuRef user;
  TxTimers timers;
  uint64_t hash = 0;
  uint32_t via_begin = 0, via_end = 0;  // our Via line inside `request`
  Octets request;                       // while it may be sent again, cancelled or acknowledged
  Octets ack;                           // completed INVITE
  Octets cancel;
  port::Path path;
  std::string server_name;
  std::string cancel_reason;
  Identity identity;
};

/// RFC 3261 section 17.2.
struct ServerTransaction {
  Method method = Method::other;
  TxState state = TxState::trying;
  bool cancelled = false;      // a CANCEL was reported
  bool retargeted = false;     // its connection is gone; responses go to the Via's address (section 18.2.2)
  bool within_dialog = false;  // the request had a To tag
  bool rfc2543 = false;        // branch without the magic cookie: To tags are compared too (section 17.2.3)
  uint16_t sent_by_port = 0;
  TuRef user;
  TxTimers timers;
  uint64_t hash = 0;
  port::CommitId after = 0;  // of the last response: a retransmission must not overtake the commit either
  SocketAddress reply_to;
  port::Path path;  // as the request came
  std::optional<Message> request;
  Octets response;
  std::string request_to_tag;  // RFC 2543 only
  Identity identity;
};

struct TransactionCounters {
  explicit TransactionCounters(CounterSet& set);
  Counter& server;
  Counter& client;
  Counter& resent_by_server;
  Counter& resent_by_client;
  Counter& absorbed_requests;
  Counter& absorbed_responses;
  Counter& timer_b;
  Counter& timer_c;
  Counter& timer_f;
  Counter& timer_h;
  Counter& timer_cancel;
  Counter& stray_responses;
  Counter& server_full;
  Counter& client_full;
  Counter& bad_request;
  Counter& late_responses;
};

using Events = std::vector<TuEvent>;

struct TransactionLayer::Impl {
  Impl(const Timers& t, TransactionLimits limits, TokenMint& m, const SentBy& s, CounterSet& set,
       TransactionPolicy p)
      : times(t),
        policy(p),
        mint(m),
        sent_by(s),
        count(set),
        key(m.rng().next()),
        timers(t),
        servers(limits.server),
        clients(limits.client) {}

  // ---- transaction.cpp
  void on_timeout(Now now, port::Outbox& out, Events& events);
  Instant next_timeout() const;
  void end_after(Now now, TxTimers& t, Duration ahead, SlotId id, bool server);
  void retransmit_after(Now now, TxTimers& t, Duration ahead, SlotId id, bool server);

  // ---- client_transaction.cpp
  ClientTxId request(Now now, OutgoingRequest& request, port::Outbox& out);
  void send_stateless(OutgoingRequest& request, port::Outbox& out);
  void on_response(Now now, Message message, const port::Path& path, port::Outbox& out, Events& events);
  void on_invite_response(Now now, ClientTransaction& tx, ClientTxId id, Message message,
                          const port::Path& path, port::Outbox& out, Events& events);
  void on_non_invite_response(Now now, ClientTransaction& tx, ClientTxId id, Message message,
                              const port::Path& path, Events& events);
  void cancel(Now now, ClientTxId id, std::string_view reason, port::Outbox& out);
  void send_cancel(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out);
  void on_client_end(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out, Events& events);
  void on_client_retransmit(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out);
  void on_client_send_failed(Now now, ClientTxId id, port::Outbox& out, Events& events);
  bool fall_back_to_udp(Now now, ClientTransaction& tx, ClientTxId id, port::Outbox& out);
  void send_client(const ClientTransaction& tx, ClientTxId id, Buffer bytes, port::Outbox& out);
  void index_client(ClientTransaction& tx, ClientTxId id);
  void end_client(ClientTransaction& tx, ClientTxId id);
  ClientTxId find_client(const Identity& identity) const;
  void client_event(TuEvent::Kind kind, const ClientTransaction& tx, ClientTxId id, Events& events,
                    std::optional<Message> message = {}, const port::Path* path = nullptr);

  // ---- server_transaction.cpp
  void on_request(Now now, Message message, const port::Path& path, port::Outbox& out, Events& events);
  void on_new_request(Now now, Message message, const port::Path& path, Identity identity, port::Outbox& out,
                      Events& events);
  void on_repeated_request(ServerTransaction& tx, ServerTxId id, port::Outbox& out);
  void on_ack(Now now, Message message, const port::Path& path, Events& events);
  void on_cancel(Message message, const port::Path& path, port::Outbox& out, Events& events);
  void respond(Now now, ServerTxId id, Buffer response, port::CommitId after, port::Outbox& out);
  void respond_repeatable(Now now, ServerTxId id, Buffer response, port::Outbox& out);
  void respond_invite(Now now, ServerTransaction& tx, ServerTxId id, int status, Buffer response,
                      port::Outbox& out);
  void respond_non_invite(Now now, ServerTransaction& tx, ServerTxId id, int status, Buffer response,
                          port::Outbox& out);
  void on_server_end(ServerTransaction& tx, ServerTxId id, Events& events);
  void on_server_retransmit(Now now, ServerTransaction& tx, ServerTxId id, port::Outbox& out);
  void on_server_send_failed(ServerTxId id, port::Outbox& out, Events& events);
  void send_response(const ServerTransaction& tx, ServerTxId id, Buffer bytes, port::Outbox& out);
  void reply_stateless(const Message& request, const port::Path& path, int status, std::string_view to_tag,
                       port::Outbox& out);
  SocketAddress reply_address(const Message& request, const port::Path& path) const;
  void index_server(ServerTransaction& tx, ServerTxId id);
  void end_server(ServerTransaction& tx, ServerTxId id, Events& events);
  ServerTxId find_server(const Identity& identity, const Message& message) const;
  void server_event(TuEvent::Kind kind, const ServerTransaction& tx, ServerTxId id, Events& events,
                    std::optional<Message> message = {});

  // ---- transaction_snapshot.cpp
  std::string part_of(Now now, const ServerTransaction& tx) const;
  std::string part_of(Now now, const ClientTransaction& tx) const;
  std::optional<Restored> restore(Now now, std::string_view part);

  const Timers times;
  const TransactionPolicy policy;
  TokenMint& mint;
  const SentBy& sent_by;
  TransactionCounters count;
  const uint64_t key;  // of the hash tables: peers choose branches
  TransactionTimers timers;
  SlotMap<ServerTransaction> servers;
  SlotMap<ClientTransaction> clients;
  TransactionIndex server_index;
  TransactionIndex client_index;
};

/// Order of mercy: what keeps running calls going may fill the table, what begins something new leaves it a
/// sixteenth.
template <class Table>
bool has_room(const Table& table, bool begins_something) {
  return table.size() < table.limit() - (begins_something ? table.limit() / 16 : 0);
}

/// Send::notify of a transaction: its packed SlotId, the slot's top bit telling server from client.
inline constexpr uint64_t server_send_bit = uint64_t{1} << 31;
inline port::SendId send_id(ServerTxId id) { return id.packed() | server_send_bit; }
inline port::SendId send_id(ClientTxId id) { return id.packed(); }

/// 17.1.3: branch and CSeq method, since a CANCEL shares the branch of what it cancels.
Identity client_identity(std::string_view branch, std::string_view method);
/// 17.2.3; `method` is INVITE for the ACK and the CANCEL of an INVITE.
Identity server_identity(const Message& request, std::string_view method);
/// The To tag of an answer that is given without state, from the keyed hash of what the request is known by.
std::string stateless_tag(uint64_t hash);
/// Status of a response text; 0 when it is none.
int status_of(std::string_view response);

}  // namespace tandem::sip
