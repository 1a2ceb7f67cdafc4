#include "stun/message.h"

#include <algorithm>

#include "crypto/hash.h"

namespace tandem::stun {
namespace {

constexpr uint32_t magic_cookie = 0x2112A442;
constexpr uint32_t fingerprint_xor = 0x5354554E;
constexpr size_t header_octets = 20;
constexpr size_t attribute_header = 4;
constexpr size_t sha1_octets = 20;

uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
uint32_t load32(const uint8_t* p) { return uint32_t{load16(p)} << 16 | load16(p + 2); }
void store16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
void store32(uint8_t* p, uint32_t v) {
  store16(p, static_cast<uint16_t>(v >> 16));
  store16(p + 2, static_cast<uint16_t>(v));
}
constexpr size_t padded(size_t n) { return (n + 3) & ~size_t{3}; }

/// Class bits stand between those of the method (section 5): M11..M7 C1 M6..M4 C0 M3..M0.
constexpr uint16_t type_of(Class c, uint16_t method) {
  const auto bits = static_cast<uint16_t>(c);
  return static_cast<uint16_t>((method & 0x0F) | (method & 0x70) << 1 | (method & 0xF80) << 2 |
                               (bits & 1) << 4 | (bits & 2) << 7);
}
constexpr Class class_of(uint16_t type) { return static_cast<Class>((type >> 4 & 1) | (type >> 7 & 2)); }
constexpr uint16_t method_of(uint16_t type) {
  return static_cast<uint16_t>((type & 0x0F) | (type >> 1 & 0x70) | (type >> 2 & 0xF80));
}

/// CRC-32 of ITU V.42 (section 14.7).
constexpr std::array<uint32_t, 256> crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0xEDB88320 ^ c >> 1 : c >> 1;
    table[i] = c;
  }
  return table;
}();
uint32_t crc32(uint32_t crc, Bytes octets) {
  for (const uint8_t b : octets) crc = crc_table[(crc ^ b) & 255] ^ crc >> 8;
  return crc;
}

/// The header as it was when the attribute that ends at `end` was the last: only the length differs.
std::array<uint8_t, header_octets> header_until(Bytes message, size_t end) {
  std::array<uint8_t, header_octets> header;
  std::copy_n(message.begin(), header_octets, header.begin());
  store16(header.data() + 2, static_cast<uint16_t>(end - header_octets));
  return header;
}

uint32_t fingerprint_of(Bytes message, size_t at) {
  const auto header = header_until(message, at + attribute_header + 4);
  const uint32_t crc = crc32(crc32(0xFFFFFFFF, header), message.subspan(header_octets, at - header_octets));
  return ~crc ^ fingerprint_xor;
}

crypto::Digest integrity_of(crypto::Hash hash, Bytes message, size_t at, size_t value_octets, Bytes key) {
  const auto header = header_until(message, at + attribute_header + value_octets);
  return crypto::hmac(hash, as_text(key),
                      {as_text(header), as_text(message.subspan(header_octets, at - header_octets))});
}

std::optional<SocketAddress> read_address(Bytes v) {
  if (v.size() < 8) return std::nullopt;
  SocketAddress a;
  a.port = load16(v.data() + 2);
  if (v[1] == 1 && v.size() == 8)
    a.ip.family = IpAddress::Family::v4;
  else if (v[1] == 2 && v.size() == 20)
    a.ip.family = IpAddress::Family::v6;
  else
    return std::nullopt;
  std::copy(v.begin() + 4, v.end(), a.ip.bytes.begin());
  return a;
}

/// XORed with the cookie, and in IPv6 with the transaction behind it (section 14.2); its own inverse.
SocketAddress xored(SocketAddress a, const uint8_t* cookie_and_transaction) {
  a.port = static_cast<uint16_t>(a.port ^ load16(cookie_and_transaction));
  const size_t octets = a.ip.is_v4() ? 4 : 16;
  for (size_t i = 0; i < octets; ++i) a.ip.bytes[i] ^= cookie_and_transaction[i];
  return a;
}

}  // namespace

std::string_view to_string(Reason reason) {
  static constexpr std::array<std::string_view, reason_count> names = {
      "not_stun", "bad_length", "bad_attribute", "misplaced", "bad_fingerprint"};
  return names[static_cast<size_t>(reason)];
}

TransactionId new_transaction(Rng& rng) {
  TransactionId id;
  rng.fill(id);
  return id;
}

// ---- reading ---------------------------------------------------------------------------------------------

Attribute Message::attribute_at(size_t at, size_t& next) const {
  const size_t size = load16(datagram_.data() + at + 2);
  next = at + attribute_header + padded(size);
  return {load16(datagram_.data() + at), datagram_.subspan(at + attribute_header, size)};
}

Result<Message, Reason> Message::parse(Bytes datagram) {
  if (datagram.size() < header_octets || datagram[0] >= 0x40 || load32(datagram.data() + 4) != magic_cookie)
    return Failure{Reason::not_stun};
  if (datagram.size() % 4 != 0 || load16(datagram.data() + 2) != datagram.size() - header_octets)
    return Failure{Reason::bad_length};
  Message m(datagram);
  const uint16_t type = load16(datagram.data());
  m.class_ = class_of(type);
  m.method_ = method_of(type);
  m.covered_end_ = datagram.size();
  for (size_t at = header_octets, next = at; at < datagram.size(); at = next) {
    // Both sizes are multiples of 4, so a header always fits.
    if (padded(load16(datagram.data() + at + 2)) > datagram.size() - at - attribute_header)
      return Failure{Reason::bad_attribute};
    const Attribute a = m.attribute_at(at, next);
    if (a.type == attribute::message_integrity && m.integrity_at_ == 0 && m.integrity256_at_ == 0)
      m.integrity_at_ = at;
    else if (a.type == attribute::message_integrity_sha256 && m.integrity256_at_ == 0)
      m.integrity256_at_ = at;
    else if (a.type == attribute::fingerprint) {
      if (a.value.size() != 4 || next != datagram.size()) return Failure{Reason::misplaced};
      if (load32(a.value.data()) != fingerprint_of(datagram, at)) return Failure{Reason::bad_fingerprint};
      m.has_fingerprint_ = true;
    } else {
      continue;
    }
    m.covered_end_ = std::min(m.covered_end_, at);
  }
  return m;
}

TransactionId Message::transaction() const {
  TransactionId id;
  std::copy_n(datagram_.begin() + 8, id.size(), id.begin());
  return id;
}

std::optional<Bytes> Message::find(uint16_t type) const {
  for (size_t at = header_octets, next = at; at < covered_end_; at = next)
    if (const Attribute a = attribute_at(at, next); a.type == type) return a.value;
  return std::nullopt;
}

std::optional<std::string_view> Message::text(uint16_t type) const {
  const auto v = find(type);
  return v ? std::optional(as_text(*v)) : std::nullopt;
}

std::optional<uint32_t> Message::u32(uint16_t type) const {
  const auto v = find(type);
  return v && v->size() == 4 ? std::optional(load32(v->data())) : std::nullopt;
}

std::optional<uint64_t> Message::u64(uint16_t type) const {
  const auto v = find(type);
  if (!v || v->size() != 8) return std::nullopt;
  return uint64_t{load32(v->data())} << 32 | load32(v->data() + 4);
}

std::optional<SocketAddress> Message::address(uint16_t type) const {
  const auto v = find(type);
  return v ? read_address(*v) : std::nullopt;
}

std::optional<SocketAddress> Message::xor_address(uint16_t type) const {
  const auto a = address(type);
  return a ? std::optional(xored(*a, datagram_.data() + 4)) : std::nullopt;
}

std::optional<std::vector<SocketAddress>> Message::xor_addresses(uint16_t type) const {
  std::vector<SocketAddress> all;
  for (size_t at = header_octets, next = at; at < covered_end_; at = next) {
    const Attribute a = attribute_at(at, next);
    if (a.type != type) continue;
    const auto address = read_address(a.value);
    if (!address) return std::nullopt;
    all.push_back(xored(*address, datagram_.data() + 4));
  }
  return all;
}

std::optional<ErrorCode> Message::error() const {
  const auto v = find(attribute::error_code);
  if (!v || v->size() < 4) return std::nullopt;
  const uint16_t hundreds = (*v)[2] & 7, number = (*v)[3];
  if (hundreds < 3 || hundreds > 6 || number > 99) return std::nullopt;
  return ErrorCode{static_cast<uint16_t>(hundreds * 100 + number), as_text(v->subspan(4))};
}

Integrity Message::check(uint16_t type, size_t at, Bytes key) const {
  if (at == 0) return Integrity::absent;
  size_t next = 0;
  const Bytes tag = attribute_at(at, next).value;
  const bool sha1 = type == attribute::message_integrity;
  const bool size_fits =
      sha1 ? tag.size() == sha1_octets : tag.size() >= 16 && tag.size() <= 32 && tag.size() % 4 == 0;
  if (!size_fits) return Integrity::bad;
  const auto digest =
      integrity_of(sha1 ? crypto::Hash::sha1 : crypto::Hash::sha256, datagram_, at, tag.size(), key);
  return crypto::constant_time_equal(digest.view().first(tag.size()), tag) ? Integrity::good : Integrity::bad;
}

Integrity Message::check_integrity(Bytes key) const {
  return check(attribute::message_integrity, integrity_at_, key);
}
Integrity Message::check_integrity_sha256(Bytes key) const {
  return check(attribute::message_integrity_sha256, integrity256_at_, key);
}

std::vector<uint16_t> Message::unknown_required(std::initializer_list<uint16_t> known) const {
  std::vector<uint16_t> unknown;
  for (size_t at = header_octets, next = at; at < covered_end_ && unknown.size() < most_unknown; at = next) {
    const uint16_t type = attribute_at(at, next).type;
    const bool required = type < 0x8000;
    if (required && std::find(known.begin(), known.end(), type) == known.end() &&
        std::find(unknown.begin(), unknown.end(), type) == unknown.end())
      unknown.push_back(type);
  }
  return unknown;
}

// ---- writing ---------------------------------------------------------------------------------------------

Writer::Writer(Class message_class, uint16_t method, const TransactionId& transaction) {
  octets_.reserve(256);
  octets_.resize(header_octets);
  store16(octets_.data(), type_of(message_class, method));
  store32(octets_.data() + 4, magic_cookie);
  std::copy(transaction.begin(), transaction.end(), octets_.begin() + 8);
}

void Writer::set_length(size_t attributes_octets) {
  store16(octets_.data() + 2, static_cast<uint16_t>(attributes_octets));
}

Writer& Writer::add(uint16_t type, Bytes value) {
  const size_t at = octets_.size();
  if (value.size() > max_octets || at + attribute_header + padded(value.size()) > max_octets) {
    ok_ = false;
    return *this;
  }
  octets_.resize(at + attribute_header + padded(value.size()));
  store16(octets_.data() + at, type);
  store16(octets_.data() + at + 2, static_cast<uint16_t>(value.size()));
  std::copy(value.begin(), value.end(), octets_.begin() + static_cast<std::ptrdiff_t>(at + attribute_header));
  set_length(octets_.size() - header_octets);
  return *this;
}

Writer& Writer::add_u32(uint16_t type, uint32_t value) {
  std::array<uint8_t, 4> octets;
  store32(octets.data(), value);
  return add(type, octets);
}

Writer& Writer::add_u64(uint16_t type, uint64_t value) {
  std::array<uint8_t, 8> octets;
  store32(octets.data(), static_cast<uint32_t>(value >> 32));
  store32(octets.data() + 4, static_cast<uint32_t>(value));
  return add(type, octets);
}

Writer& Writer::add_address(uint16_t type, const SocketAddress& address) {
  std::array<uint8_t, 20> octets{};
  octets[1] = address.ip.is_v4() ? 1 : 2;
  store16(octets.data() + 2, address.port);
  const size_t ip_octets = address.ip.is_v4() ? 4 : 16;
  std::copy_n(address.ip.bytes.begin(), ip_octets, octets.begin() + 4);
  return add(type, Bytes(octets).first(4 + ip_octets));
}

Writer& Writer::add_xor_address(uint16_t type, const SocketAddress& address) {
  return add_address(type, xored(address, octets_.data() + 4));
}

Writer& Writer::add_error(uint16_t code, std::string_view phrase) {
  std::string value = {0, 0, static_cast<char>(code / 100), static_cast<char>(code % 100)};
  return add(attribute::error_code, value.append(phrase));
}

Writer& Writer::add_unknown_attributes(const std::vector<uint16_t>& types) {
  std::vector<uint8_t> value(2 * types.size());
  for (size_t i = 0; i < types.size(); ++i) store16(value.data() + 2 * i, types[i]);
  return add(attribute::unknown_attributes, value);
}

Writer& Writer::add_integrity(Bytes key) {
  const auto digest = integrity_of(crypto::Hash::sha1, octets_, octets_.size(), sha1_octets, key);
  return add(attribute::message_integrity, digest.view());
}

Writer& Writer::add_integrity_sha256(Bytes key) {
  const auto digest = integrity_of(crypto::Hash::sha256, octets_, octets_.size(), 32, key);
  return add(attribute::message_integrity_sha256, digest.view());
}

Writer& Writer::add_fingerprint() {
  return add_u32(attribute::fingerprint, fingerprint_of(octets_, octets_.size()));
}

void write_data_indication(uint8_t* head, const TransactionId& transaction, const SocketAddress& peer,
                           size_t length) {
  const size_t ip_octets = peer.ip.is_v4() ? 4 : 16;
  const size_t address = attribute_header + 4 + ip_octets;
  store16(head, type_of(Class::indication, method::data));
  store16(head + 2, static_cast<uint16_t>(address + attribute_header + padded(length)));
  store32(head + 4, magic_cookie);
  std::copy(transaction.begin(), transaction.end(), head + 8);
  uint8_t* at = head + header_octets;
  store16(at, attribute::xor_peer_address);
  store16(at + 2, static_cast<uint16_t>(4 + ip_octets));
  at[4] = 0;
  at[5] = peer.ip.is_v4() ? 1 : 2;
  const SocketAddress x = xored(peer, head + 4);
  store16(at + 6, x.port);
  std::copy_n(x.ip.bytes.begin(), ip_octets, at + 8);
  store16(at + address, attribute::data);
  store16(at + address + 2, static_cast<uint16_t>(length));
}

// ---- keys ------------------------------------------------------------------------------------------------

std::string long_term_key_md5(std::string_view username, std::string_view realm, std::string_view password) {
  return std::string(as_text(crypto::hash(crypto::Hash::md5, {username, ":", realm, ":", password}).view()));
}

std::string long_term_key_sha256(std::string_view username, std::string_view realm,
                                 std::string_view password) {
  return std::string(
      as_text(crypto::hash(crypto::Hash::sha256, {username, ":", realm, ":", password}).view()));
}

}  // namespace tandem::stun
