#pragma once
// STUN messages (RFC 8489), as values: read from a datagram, written into one. No transactions, no addresses
// of servers.
//
//     0                   1                   2                   3
//    |0 0|     STUN Message Type     |         Message Length        |
//    |                         Magic Cookie                          |
//    |                     Transaction ID (96 bits)                  |
//    |                          attributes ...                       |
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"

namespace tandem::stun {

enum class Class : uint8_t { request, indication, success, error };

/// Methods by their number: RFC 8489 section 18.2, RFC 8656 section 17.
namespace method {
inline constexpr uint16_t binding = 0x001, allocate = 0x003, refresh = 0x004, send = 0x006, data = 0x007,
                          create_permission = 0x008, channel_bind = 0x009, connect = 0x00a,
                          connection_bind = 0x00b, connection_attempt = 0x00c;  // RFC 6062 section 6.1
}  // namespace method

/// Attributes by their number: RFC 8489 section 18.3, RFC 8445 section 16.1, RFC 8656 section 18, RFC 6062
/// section 6.2, RFC 8016 section 5. Below 0x8000 a receiver must understand them.
namespace attribute {
inline constexpr uint16_t mapped_address = 0x0001, username = 0x0006, message_integrity = 0x0008,
                          channel_number = 0x000C, lifetime = 0x000D, xor_peer_address = 0x0012,
                          data = 0x0013, xor_relayed_address = 0x0016, requested_address_family = 0x0017,
                          even_port = 0x0018, requested_transport = 0x0019, dont_fragment = 0x001A,
                          password_algorithm = 0x001D, reservation_token = 0x0022, connection_id = 0x002A,
                          additional_address_family = 0x8000, address_error_code = 0x8001,
                          password_algorithms = 0x8002, mobility_ticket = 0x8030, error_code = 0x0009,
                          unknown_attributes = 0x000A, realm = 0x0014, nonce = 0x0015,
                          message_integrity_sha256 = 0x001C, userhash = 0x001E, xor_mapped_address = 0x0020,
                          priority = 0x0024, use_candidate = 0x0025, software = 0x8022,
                          alternate_server = 0x8023, fingerprint = 0x8028, ice_controlled = 0x8029,
                          ice_controlling = 0x802A;
}  // namespace attribute

using TransactionId = std::array<uint8_t, 12>;
TransactionId new_transaction(Rng& rng);

/// Why a datagram is not read.
enum class Reason : uint8_t {
  not_stun,         // another protocol's first bits, no magic cookie, or shorter than a header
  bad_length,       // the length is no multiple of 4, or not what has come
  bad_attribute,    // an attribute that ends behind the message
  misplaced,        // anything behind FINGERPRINT, or one that is no 4 octets
  bad_fingerprint,  // FINGERPRINT does not fit: another protocol after all, or damage
};
inline constexpr size_t reason_count = 5;
std::string_view to_string(Reason reason);

struct Attribute {
  uint16_t type = 0;
  Bytes value;
};

struct ErrorCode {
  uint16_t code = 0;  // 300 to 699
  std::string_view phrase;
};

/// Which of both integrity attributes a message has, and whether it fits.
enum class Integrity : uint8_t { absent, good, bad };

/// A view of a datagram, which outlives it.
class Message {
 public:
  /// All lengths checked, and FINGERPRINT where there is one.
  static Result<Message, Reason> parse(Bytes datagram);

  Class message_class() const { return class_; }
  uint16_t method() const { return method_; }
  TransactionId transaction() const;
  bool has_fingerprint() const { return has_fingerprint_; }
  /// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256, whether it fits or not.
  bool has_integrity() const { return integrity_at_ != 0 || integrity256_at_ != 0; }

  /// The first of its type. What stands behind MESSAGE-INTEGRITY is not covered by it and is never given
  /// (section 14.5).
  std::optional<Bytes> find(uint16_t type) const;
  std::optional<std::string_view> text(uint16_t type) const;
  std::optional<uint32_t> u32(uint16_t type) const;
  std::optional<uint64_t> u64(uint16_t type) const;
  /// (XOR-)MAPPED-ADDRESS and their like; nothing when absent or malformed.
  std::optional<SocketAddress> address(uint16_t type) const;
  std::optional<SocketAddress> xor_address(uint16_t type) const;
  /// All of that type, in order; nothing when one of them is malformed.
  std::optional<std::vector<SocketAddress>> xor_addresses(uint16_t type) const;
  std::optional<ErrorCode> error() const;

  /// MESSAGE-INTEGRITY (HMAC-SHA1), compared in constant time.
  Integrity check_integrity(Bytes key) const;
  /// MESSAGE-INTEGRITY-SHA256, 16 to 32 octets of it (section 14.6).
  Integrity check_integrity_sha256(Bytes key) const;

  /// Attributes that must be understood and are not among `known`, for a 420; most_unknown of them at most.
  static constexpr size_t most_unknown = 32;
  std::vector<uint16_t> unknown_required(std::initializer_list<uint16_t> known) const;

 private:
  explicit Message(Bytes datagram) : datagram_(datagram) {}
  /// The attribute at `at`, and where the next begins; parse() has checked them all.
  Attribute attribute_at(size_t at, size_t& next) const;
  Integrity check(uint16_t type, size_t at, Bytes key) const;

  Bytes datagram_;
  Class class_ = Class::request;
  uint16_t method_ = 0;
  size_t covered_end_ = 0;   // the first integrity attribute begins here, or the message ends
  size_t integrity_at_ = 0;  // 0: none
  size_t integrity256_at_ = 0;
  bool has_fingerprint_ = false;
};

/// Writes one message. Attributes in the order given; add_integrity, add_integrity_sha256 and add_fingerprint
/// last, in that order (section 14).
class Writer {
 public:
  /// Longer would be cut on its way: the IPv6 minimum MTU less its headers.
  static constexpr size_t max_octets = 1232;

  Writer(Class message_class, uint16_t method, const TransactionId& transaction);

  Writer& add(uint16_t type, Bytes value);
  Writer& add(uint16_t type, std::string_view text) { return add(type, as_bytes(text)); }
  Writer& add_u32(uint16_t type, uint32_t value);
  Writer& add_u64(uint16_t type, uint64_t value);
  Writer& add_address(uint16_t type, const SocketAddress& address);
  Writer& add_xor_address(uint16_t type, const SocketAddress& address);
  /// `code` 300 to 699.
  Writer& add_error(uint16_t code, std::string_view phrase);
  Writer& add_unknown_attributes(const std::vector<uint16_t>& types);
  Writer& add_integrity(Bytes key);
  Writer& add_integrity_sha256(Bytes key);
  Writer& add_fingerprint();

  /// False when something did not fit: then it was left out, and the message must not be sent.
  bool ok() const { return ok_; }
  const std::vector<uint8_t>& octets() const { return octets_; }

 private:
  void set_length(size_t attributes_octets);

  std::vector<uint8_t> octets_;
  bool ok_ = true;
};

/// The head of a Data indication (RFC 8656 section 11.3) whose DATA value of `length` octets lies behind it:
/// header, XOR-PEER-ADDRESS, DATA's own header, 36 octets for an IPv4 peer and 48 for an IPv6 one. Padding is
/// the caller's.
void write_data_indication(uint8_t* head, const TransactionId& transaction, const SocketAddress& peer,
                           size_t length);

/// The key of a short-term credential is the password itself, of a long-term one this (section 18.5.1). Names
/// and passwords as they are: nothing is prepared by OpaqueString (RFC 8265).
std::string long_term_key_md5(std::string_view username, std::string_view realm, std::string_view password);
std::string long_term_key_sha256(std::string_view username, std::string_view realm,
                                 std::string_view password);

}  // namespace tandem::stun
