#pragma once
// The DTLS of one port (RFC 5764): from agreed terms to keys. A client goes to the peer's address. A server
// holds an association of its own with each plausible source, so that a stranger's ClientHello spoils his
// own only; the first that shows the agreed certificate has the call, and the others are forgotten. Inside
// the room.
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "dtls/association.h"

namespace tandem::media {

class Handshake {
 public:
  struct Datagram {
    SocketAddress to;
    std::vector<uint8_t> bytes;
  };
  using Out = std::vector<Datagram>;

  /// From the agreed terms (or the answer to the call) to the keys.
  static constexpr Duration limit = seconds(30);
  /// Sources a server deals with at once, and new ones in all; past both they are strangers.
  static constexpr size_t most_sources = 8;
  static constexpr size_t most_attempts = 64;
  /// Times a client begins anew with a peer whose certificate was another's, or that had nothing in common.
  static constexpr int most_restarts = 4;

  /// The endpoint outlives it. A client begins with the first on_timeout().
  Handshake(dtls::Endpoint& endpoint, dtls::Role role, std::vector<dtls::Fingerprint> peer, Instant now);
  /// The keys are there already, from an earlier life.
  void settle();

  /// A datagram from where the peer may be; the caller has looked. True: now there are keys. `said`: this is
  /// the address the peer has named, whose place nobody else takes.
  bool on_datagram(Now now, const SocketAddress& from, bool said, Bytes bytes, Out& out);
  /// `peer`: where it is now; unset when that is not known.
  void on_timeout(Now now, const SocketAddress& peer, Out& out);
  Instant next_timeout() const;
  /// The count of `limit` begins anew.
  void wait_on(Instant now);

  dtls::Role role() const { return role_; }
  bool settled() const { return settled_; }
  /// No keys within the limit. A server listens on.
  bool overdue() const { return !settled_ && limit_.is_never(); }
  /// When settled, unless that was in an earlier life.
  const dtls::Keys* keys() const;
  /// Who has shown the certificate; unset before.
  const SocketAddress& peer() const { return peer_; }

 private:
  struct Try {
    SocketAddress with;
    bool said = false;
    std::unique_ptr<dtls::Association> association;
  };
  Try* find(const SocketAddress& from);
  Try* begin(const SocketAddress& with, bool said);
  bool make_room(bool said);
  bool after(Now now, Try& t, dtls::Datagrams& made, Out& out);

  // given
  dtls::Endpoint* endpoint_;
  dtls::Role role_;
  std::vector<dtls::Fingerprint> expected_;
  // state
  std::vector<Try> tries_;  // when settled, the one that was
  SocketAddress peer_;
  bool settled_ = false;
  size_t attempts_ = 0;
  int restarts_ = 0;
  Instant start_;  // a client begins (anew)
  Instant limit_;
};

}  // namespace tandem::media
