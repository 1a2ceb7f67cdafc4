#include "auth/nonce.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "crypto/base64.h"
#include "crypto/hash.h"

namespace tandem::auth {
namespace {

constexpr size_t head_size = 20;
constexpr size_t seal_size = 16;

void put(uint8_t* at, uint64_t value, int bytes) {
  for (int i = bytes; i-- > 0; value >>= 8) at[i] = static_cast<uint8_t>(value);
}
uint64_t get(const uint8_t* at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | at[i];
  return value;
}

std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace

uint32_t NonceMint::place_of(const Nonce& nonce, const IpAddress& receiver) const {
  std::array<uint8_t, 17 + 16> raw{};
  raw[0] = static_cast<uint8_t>(receiver.family);
  std::copy(receiver.bytes.begin(), receiver.bytes.end(), raw.begin() + 1);
  put(raw.data() + 17, static_cast<uint64_t>(nonce.minted_ms), 8);
  put(raw.data() + 25, nonce.unique, 8);
  const crypto::Digest mac = crypto::hmac(crypto::Hash::sha256, text_of(key_.data(), key_.size()),
                                          {"nonce place", text_of(raw.data(), raw.size())});
  return static_cast<uint32_t>(get(mac.bytes.data(), 4));
}

NonceMint::Text NonceMint::mint(Now now, std::string_view realm, const IpAddress& receiver) {
  const Nonce nonce{now.wall.unix_millis(), rng_.next()};
  std::array<uint8_t, head_size + seal_size> raw{};
  put(raw.data(), static_cast<uint64_t>(nonce.minted_ms), 6);
  put(raw.data() + 6, scope_, 2);
  put(raw.data() + 8, nonce.unique, 8);
  put(raw.data() + 16, place_of(nonce, receiver), 4);
  const crypto::Digest seal = crypto::hmac(crypto::Hash::sha256, text_of(key_.data(), key_.size()),
                                           {text_of(raw.data(), head_size), realm});
  std::memcpy(raw.data() + head_size, seal.bytes.data(), seal_size);
  const std::string encoded = crypto::base64url(raw);
  Text out;
  std::copy_n(encoded.begin(), out.size(), out.begin());
  return out;
}

std::optional<Nonce> NonceMint::open(std::string_view text, std::string_view realm) const {
  if (text.size() != text_size) return std::nullopt;
  const std::optional<std::string> raw = crypto::base64url_decode(text);
  if (!raw || raw->size() != head_size + seal_size) return std::nullopt;
  const Bytes bytes = as_bytes(*raw);
  const crypto::Digest seal = crypto::hmac(crypto::Hash::sha256, text_of(key_.data(), key_.size()),
                                           {text_of(bytes.data(), head_size), realm});
  if (!crypto::constant_time_equal(bytes.subspan(head_size), seal.view().first(seal_size)))
    return std::nullopt;
  if (get(bytes.data() + 6, 2) != scope_) return std::nullopt;
  return Nonce{static_cast<int64_t>(get(bytes.data(), 6)), get(bytes.data() + 8, 8),
               static_cast<uint32_t>(get(bytes.data() + 16, 4))};
}

NonceTable::NonceTable(size_t limit, WallTime started, Counter& evictions)
    : limit_(std::max<size_t>(limit, 1)),
      // What an earlier life of this worker accepted, it forgot.
      forgotten_up_to_ms_(started.unix_millis() - 1),
      evictions_(evictions),
      buckets_(64, none) {}

NonceTable::Use NonceTable::use(const Nonce& nonce, uint32_t nc) {
  uint32_t i = find(nonce.unique);
  if (i == none) {
    if (nonce.minted_ms <= forgotten_up_to_ms_) return Use::forgotten;
    i = take_line();
    Line& line = lines_[i];
    line = {};
    line.unique = nonce.unique;
    line.minted_ms = nonce.minted_ms;
    line.highest = nc;
    line.window = 1;
    uint32_t& head = bucket(nonce.unique);
    line.chain = head;
    head = i;
    link_newest(i);
    return Use::fresh;
  }
  unlink(i);
  link_newest(i);
  Line& line = lines_[i];
  if (nc > line.highest) {
    const uint32_t step = nc - line.highest;
    line.window = step >= 64 ? 1 : line.window << step | 1;
    line.highest = nc;
    return Use::fresh;
  }
  const uint32_t back = line.highest - nc;
  if (back >= 64) return Use::replayed;  // too far behind to tell
  const uint64_t bit = uint64_t{1} << back;
  if (line.window & bit) return Use::replayed;
  line.window |= bit;
  return Use::fresh;
}

uint32_t NonceTable::find(uint64_t unique) const {
  uint32_t i = buckets_[unique & (buckets_.size() - 1)];
  while (i != none && lines_[i].unique != unique) i = lines_[i].chain;
  return i;
}

uint32_t NonceTable::take_line() {
  if (used_ >= limit_) {
    const uint32_t victim = oldest_;
    forget_oldest();
    ++used_;
    return victim;
  }
  if (used_ >= buckets_.size()) grow_buckets();
  lines_.emplace_back();
  return static_cast<uint32_t>(used_++);
}

void NonceTable::forget_oldest() {
  const uint32_t victim = oldest_;
  Line& line = lines_[victim];
  forgotten_up_to_ms_ = std::max(forgotten_up_to_ms_, line.minted_ms);
  evictions_.add();
  uint32_t* at = &bucket(line.unique);
  while (*at != victim) at = &lines_[*at].chain;
  *at = line.chain;
  unlink(victim);
  --used_;
}

void NonceTable::grow_buckets() {
  buckets_.assign(buckets_.size() * 2, none);
  for (uint32_t i = 0; i < lines_.size(); ++i) {
    uint32_t& head = bucket(lines_[i].unique);
    lines_[i].chain = head;
    head = i;
  }
}

void NonceTable::unlink(uint32_t i) {
  Line& line = lines_[i];
  (line.newer == none ? newest_ : lines_[line.newer].older) = line.older;
  (line.older == none ? oldest_ : lines_[line.older].newer) = line.newer;
  line.newer = line.older = none;
}

void NonceTable::link_newest(uint32_t i) {
  lines_[i].older = newest_;
  lines_[i].newer = none;
  (newest_ == none ? oldest_ : lines_[newest_].newer) = i;
  newest_ = i;
}

}  // namespace tandem::auth
