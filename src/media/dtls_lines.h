#pragma once
// DTLS-SRTP in descriptions (RFC 5763, RFC 8122, RFC 8842): what a line says, and what two agree on. Inside
// the room.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "dtls/fingerprint.h"
#include "dtls/setup.h"
#include "sdp/description.h"

namespace tandem::media {

/// An RTP line to be keyed by DTLS, in a way we can use or not: UDP/TLS/RTP/..., or any other profile with
/// a=fingerprint (RFC 8643).
bool asks_for_dtls(const sdp::Description& d, size_t i);

struct DtlsLine {
  std::vector<dtls::Fingerprint> fingerprints;  // by hash functions that hold; at least one
  std::optional<dtls::Setup> setup;             // nothing: it is not said
  bool held = false;                            // a=setup:holdconn: the association stays as it is
  std::string generation;                       // a=tls-id: with another a new one begins
};
/// Nothing when the line does not ask for DTLS, or in a way that cannot be used.
std::optional<DtlsLine> dtls_line(const sdp::Description& d, size_t i);

/// What follows for an association.
struct DtlsTerms {
  std::optional<dtls::Role> role;  // ours; nothing: as it was (holdconn)
  std::vector<dtls::Fingerprint> peer;
  std::string generation;  // the peer's, our fingerprint, and a=ice-ufrag where we leave ICE out
  SocketAddress place;     // the peer's in SDP; unset where it is nowhere

  /// Whether an association under these terms goes on under `next` (RFC 5763 section 6.6).
  bool goes_on_under(const DtlsTerms& next) const;
};
std::optional<DtlsTerms> agreed_dtls(const sdp::Description& remote, const sdp::Description& local, size_t i);

/// Moves what the session says of DTLS to its lines.
void own_dtls(sdp::Description& d);
void remove_dtls(sdp::Description& d, size_t i);
/// Our side of line `i`.
void add_dtls(sdp::Description& d, size_t i, const dtls::Fingerprint& ours, std::string_view setup);

}  // namespace tandem::media
