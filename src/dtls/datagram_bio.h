#pragma once
// Private to this room: a BIO that is the datagram at hand, and the list of those to send.
#include <openssl/bio.h>

#include "base/bytes.h"
#include "dtls/association.h"

namespace tandem::dtls {

/// What OpenSSL reads and where it writes, set around each of its calls.
struct DatagramLink {
  Bytes in;                  // emptied by the read that takes it, unless it only peeks
  Datagrams* out = nullptr;  // null: what is written is lost
  bool peek = false;
  long mtu = 0;  // told when OpenSSL asks; 0: it was told otherwise
};

/// `link` outlives it. Null: OpenSSL has no memory left.
BIO* new_datagram_bio(DatagramLink& link);
DatagramLink& link_of(BIO* bio);

}  // namespace tandem::dtls
