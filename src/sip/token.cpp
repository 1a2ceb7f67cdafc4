#include "sip/token.h"

#include <bit>

#include "base/hash.h"

namespace tandem::sip {
namespace {

struct Block {
  uint64_t high = 0;
  uint64_t low = 0;
};

// Speck128/128 (Beaulieu et al., "The Simon and Speck Families of Lightweight Block Ciphers", 2013): 64-bit
// words, 32 rounds, rotations 8 and 3.
void round_forward(uint64_t& x, uint64_t& y, uint64_t key) {
  x = (std::rotr(x, 8) + y) ^ key;
  y = std::rotl(y, 3) ^ x;
}
void round_back(uint64_t& x, uint64_t& y, uint64_t key) {
  y = std::rotr(y ^ x, 3);
  x = std::rotl((x ^ key) - y, 8);
}

// The block before enciphering:
//   high: node 16 | epoch 16 | check 32 (zero)
//   low:  shard 12 | unique 52
constexpr uint64_t unique_mask = (uint64_t{1} << 52) - 1;

constexpr size_t token_chars = 22;  // 128 bits in sixes, the last character holds two of them
constexpr std::string_view cookie = "z9hG4bK";
constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";

constexpr std::array<int8_t, 256> make_reverse() {
  std::array<int8_t, 256> table{};
  for (auto& cell : table) cell = -1;
  for (int i = 0; i < 64; ++i) table[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}
constexpr std::array<int8_t, 256> reverse = make_reverse();

void encode(Block block, char* out) {
  for (size_t i = 0; i < token_chars; ++i) {
    out[i] = alphabet[block.high >> 58];
    block.high = block.high << 6 | block.low >> 58;
    block.low <<= 6;
  }
}

bool decode(std::string_view text, Block& block) {
  for (size_t i = 0; i < 21; ++i) {
    const int8_t six = reverse[static_cast<uint8_t>(text[i])];
    if (six < 0) return false;
    block.high = block.high << 6 | block.low >> 58;
    block.low = block.low << 6 | static_cast<uint64_t>(six);
  }
  const int8_t last = reverse[static_cast<uint8_t>(text[21])];
  if (last < 0 || (last & 15) != 0) return false;
  block.high = block.high << 2 | block.low >> 62;
  block.low = block.low << 2 | static_cast<uint64_t>(last >> 4);
  return true;
}

}  // namespace

uint16_t shard_of(std::string_view key) { return static_cast<uint16_t>(hash64(key) % shard_count); }

TokenMint::TokenMint(std::array<uint8_t, 16> key, uint16_t node, uint16_t epoch, Rng& rng)
    : node_(node), epoch_(epoch), rng_(rng), counter_(rng.next()) {
  uint64_t k = 0, l = 0;
  for (size_t i = 0; i < 8; ++i) {
    k |= uint64_t{key[i]} << (8 * i);
    l |= uint64_t{key[i + 8]} << (8 * i);
  }
  for (uint64_t i = 0; i < schedule_.size(); ++i) {
    schedule_[i] = k;
    round_forward(l, k, i);
  }
}

std::string TokenMint::mint(uint16_t shard) {
  Block b;
  b.high = uint64_t{node_} << 48 | uint64_t{epoch_} << 32;
  b.low = uint64_t{shard} << 52 | (counter_++ & unique_mask);
  for (const uint64_t key : schedule_) round_forward(b.high, b.low, key);
  std::string out(token_chars, '\0');
  encode(b, out.data());
  return out;
}

std::optional<Owner> TokenMint::owner(std::string_view token) const {
  if (token.size() == cookie.size() + token_chars && token.substr(0, cookie.size()) == cookie)
    token.remove_prefix(cookie.size());
  Block b;
  if (token.size() != token_chars || !decode(token, b)) return std::nullopt;
  for (size_t i = schedule_.size(); i-- > 0;) round_back(b.high, b.low, schedule_[i]);
  if ((b.high & 0xffffffff) != 0) return std::nullopt;
  return Owner{static_cast<uint16_t>(b.high >> 48), static_cast<uint16_t>(b.high >> 32),
               static_cast<uint16_t>(b.low >> 52)};
}

}  // namespace tandem::sip
