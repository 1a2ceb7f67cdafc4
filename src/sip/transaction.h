#pragma once
// Transactions (RFC 3261 section 17, RFC 6026): one TransactionLayer per worker holds all its client and
// server transactions. Messages and time go in, events for the transaction user come out; what must be sent
// goes to the Outbox.
//
//            request in                     +-----------------+  TuEvent::request (new)
//   path --> on_message() ----------------> | match by branch | ---------------------------> transaction user
//            response in                    | RFC 3261 17.2.3 |  TuEvent::response
//                                           +-----------------+
//   transaction user --> respond() / request() / cancel() --> Outbox.send
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "base/slot_map.h"
#include "base/time.h"
#include "port/outbox.h"
#include "sip/message.h"
#include "sip/timers.h"

namespace tandem::sip {

struct ServerTxId : SlotId {};
struct ClientTxId : SlotId {};

/// Which room of the worker a client transaction's answers go to, and the object there.
struct TuRef {
  port::Asker::Room room = port::Asker::Room::none;
  uint64_t object = 0;
  uint32_t detail = 0;  // the user's own: which leg, which purpose
};

struct TuEvent {
  enum class Kind : uint8_t {
    request,  // new request: server transaction made; the message stays with it: request_of(server)
    ack,  // ACK for a 2xx: goes to the dialog (`server` set only while the INVITE's transaction matched it)
    cancel,    // CANCEL of `server` (the INVITE's); the layer has already answered the CANCEL itself with 200
    response,  // to a client transaction; 1xx (100 not passed up), 2xx (each retransmission of a 2xx too),
               // 3xx-6xx
    timeout,   // client: Timer B or F fired, or no final answer came after a CANCEL: treat as 408; the id is
               // dead
    transport_failed,  // client: treat as 503, the id is dead; server: the response could not be delivered
    ack_missing,       // server INVITE: Timer H fired for a non-2xx final response
    stray_response,  // matched nothing (a 2xx retransmission after the transaction ended goes to its dialog)
    done,            // server transaction ended; its id is dead after this event
  };
  Kind kind;
  ServerTxId server;
  ClientTxId client;
  TuRef user;  // who made the client transaction, or who set_user() named for the server one
  std::optional<Message> message;  // ack, cancel (the CANCEL), response, stray_response
  port::Path path;                 // the message's way in
};

/// Writes Via and nothing else: the layer puts its own Via (branch minted, sent-by of the realm) on top of
/// each request it sends. The transaction user builds the rest.
struct OutgoingRequest {
  Method method = Method::other;
  std::string method_text;  // only for Method::other
  Buffer rest;              // message text without its Via line: start line + CRLF + headers ... + body
  port::Path path;          // where to (flow, or transport + remote)
  std::string server_name;  // for TLS verification
  TuRef user;
  uint16_t shard = 0;  // of the owner: minted into the branch, so that responses find this worker
  bool keep_transport =
      false;             // never switch to TCP for size (a URI with transport=udp, a far-end NAT contact)
  bool timer_c = false;  // INVITE: Timer C (section 16.6 item 11) is run by the layer: it cancels by itself
};

/// Where the realm's address for Via and Contact comes from.
struct SentBy {
  virtual ~SentBy() = default;
  /// "host:port" (advertised) to stand in Via for a message leaving on this path.
  virtual std::string_view sent_by(const port::Path& path) const = 0;
};

/// The last sixteenth of each table is kept for what belongs to running calls: requests with a To tag, and of
/// our own all but INVITE.
struct TransactionLimits {
  size_t server = 200'000;
  size_t client = 200'000;
};

struct TransactionPolicy {
  bool tcp_for_large = true;  // section 18.1.1: over UDP, larger requests try TCP first, UDP when that fails
  size_t large_request_bytes = 1300;
  bool trying_at_once = true;  // 100 to each new INVITE before the transaction user sees it
  bool always_rport = false;   // UDP responses go to the source port even if Via does not ask (RFC 3581)
  uint32_t retry_after_seconds = 5;  // in the 503 of a full table
};

/// Mints the unguessable, owner-carrying names (branch, tag, Call-ID); see sip/token.h.
class TokenMint;

class TransactionLayer {
 public:
  TransactionLayer(const Timers& timers, TransactionLimits limits, TokenMint& mint, const SentBy& sent_by,
                   CounterSet& counters, TransactionPolicy policy = {});
  ~TransactionLayer();

  /// Any message for this worker. Retransmissions are absorbed and answered here. When the server table is
  /// full a new request is refused statelessly with 503 and Retry-After, and counted.
  void on_message(Now now, Message message, const port::Path& path, port::Outbox& out,
                  std::vector<TuEvent>& events);
  /// `send` is a Send::notify of this layer. Its ids are above 2^32: others of the worker may use those
  /// below, which are ignored here.
  void on_send_failed(Now now, port::SendId send, port::Outbox& out, std::vector<TuEvent>& events);
  void on_timeout(Now now, port::Outbox& out, std::vector<TuEvent>& events);
  Instant next_timeout() const;

  /// Sends a request in a new client transaction. Null id when the table is full (the caller treats it as
  /// 503).
  ClientTxId request(Now now, OutgoingRequest request, port::Outbox& out);
  /// CANCEL of a pending INVITE client transaction (section 9.1): waits for a provisional response by itself
  /// when none has come yet. The final answer of the INVITE still comes as an event, or timeout 64*T1 after
  /// the CANCEL. `reason_header`: value of a Reason header (RFC 3326), e.g. "SIP;cause=200;text=\"Call
  /// completed elsewhere\"".
  void cancel(Now now, ClientTxId invite, port::Outbox& out, std::string_view reason_header = {});
  /// ACK for a 2xx and other stateless sends: Via minted, no transaction.
  void send_stateless(Now now, OutgoingRequest request, port::Outbox& out);

  /// Sends a response through a server transaction: complete message text. `after`: held until that commit.
  /// A 2xx to INVITE is retransmitted by the transaction user's dialog (section 13.3.1.4), not here (RFC 6026
  /// accepted state absorbs INVITE retransmissions): give each retransmission to respond() again. Nothing
  /// happens for a dead id, or when the final response was given before.
  void respond(Now now, ServerTxId id, Buffer response, port::Outbox& out, port::CommitId after = 0);
  /// A final response that any repetition of the request may get again (a challenge): over UDP nothing is
  /// kept of it for Timer J, the id is dead at once and no `done` comes. Section 8.2.7 wants the same To tag
  /// each time: repeatable_tag(). Over connections, and to an INVITE that has had a provisional answer (100
  /// among them: its client repeats it no more), it is respond(). The ACK of such an answer matches nothing.
  void respond_repeatable(Now now, ServerTxId id, Buffer response, port::Outbox& out);
  std::string repeatable_tag(ServerTxId id) const;
  /// The request of a server transaction (for building responses): from its event until respond() was given
  /// the final response, null afterwards. The pointer is good until then.
  const Message* request_of(ServerTxId id) const;
  /// A server transaction here has taken it already: it is a retransmission, the CANCEL of an INVITE or the
  /// ACK of its refusal.
  bool repeats(const Message& request) const;
  /// As the request came in; null when the transaction is gone.
  const port::Path* path_of(ServerTxId id) const;
  /// Whoever owns the server transaction's INVITE, so that CANCEL and timer events come with their user.
  void set_user(ServerTxId id, TuRef user);

  /// The Via branch our request went out with, under which its responses come; empty when the id is dead.
  /// Good until the next call.
  std::string_view branch_of(ClientTxId id) const;

  size_t server_count() const;
  size_t client_count() const;

  /// INVITE transactions in any state and unanswered others as parts (proto/sip.proto). Of the answered
  /// others those are kept whose request came within a dialog. Deadlines are wall time.
  void snapshot(Now now, std::vector<std::string>& parts) const;
  /// One transaction as a part, removed here without an event (it goes to another worker). Empty, and nothing
  /// removed, when the id is dead or names what snapshot() would not keep. A response held for a commit must
  /// be durable before.
  std::string take(Now now, ServerTxId id);
  std::string take(Now now, ClientTxId id);
  struct Restored {
    ServerTxId server;  // one of the two
    ClientTxId client;
    TuRef user;             // as it was when the part was written
    bool answered = false;  // not an INVITE: it only repeats its answer, and its user has nothing to adopt
  };
  /// A part under a new id. Nothing when it cannot be understood or the table is full: the caller keeps the
  /// part.
  std::optional<Restored> restore(Now now, std::string_view part);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::sip
