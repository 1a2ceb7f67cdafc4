#include "crypto/hash.h"

#include <openssl/evp.h>

#include <cstdlib>
#include <cstring>

namespace tandem::crypto {
namespace {

constexpr size_t algorithm_count = 4;

/// The fetched algorithms. EVP_get_digestbyname() style handles are fetched again inside every init, which
/// costs more than hashing a short text does.
struct Algorithms {
  std::array<EVP_MD*, algorithm_count> md{};
  Algorithms() {
    constexpr std::array<const char*, algorithm_count> names = {"MD5", "SHA1", "SHA256", "SHA512-256"};
    for (size_t i = 0; i < names.size(); ++i) {
      md[i] = EVP_MD_fetch(nullptr, names[i], nullptr);
      if (!md[i]) std::abort();  // this OpenSSL cannot serve SIP at all; no peer can cause it
    }
  }
  ~Algorithms() {
    for (EVP_MD* m : md) EVP_MD_free(m);
  }
};

const Algorithms& algorithms() {
  static const Algorithms all;
  return all;
}

struct Contexts {
  std::array<EVP_MD_CTX*, algorithm_count> context{};
  Contexts() {
    for (EVP_MD_CTX*& c : context) c = EVP_MD_CTX_new();
  }
  ~Contexts() {
    for (EVP_MD_CTX* c : context) EVP_MD_CTX_free(c);
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
};

EVP_MD_CTX* begin(Hash algorithm) {
  thread_local const Contexts mine;
  const auto i = static_cast<size_t>(algorithm);
  EVP_MD_CTX* context = mine.context[i];
  if (EVP_DigestInit_ex(context, algorithms().md[i], nullptr) != 1) std::abort();
  return context;
}

void add(EVP_MD_CTX* context, std::string_view piece) {
  if (!piece.empty()) EVP_DigestUpdate(context, piece.data(), piece.size());
}

Digest end(EVP_MD_CTX* context) {
  Digest out;
  unsigned size = 0;
  EVP_DigestFinal_ex(context, out.bytes.data(), &size);
  out.size = static_cast<uint8_t>(size);
  return out;
}

std::string_view text(const Digest& d) { return as_text(d.view()); }

}  // namespace

Digest hash(Hash algorithm, std::initializer_list<std::string_view> pieces) {
  EVP_MD_CTX* context = begin(algorithm);
  for (std::string_view piece : pieces) add(context, piece);
  return end(context);
}

Digest hmac(Hash algorithm, std::string_view key, std::initializer_list<std::string_view> pieces) {
  const size_t block = block_size(algorithm);
  Digest short_key;
  if (key.size() > block) {
    short_key = hash(algorithm, {key});
    key = text(short_key);
  }
  std::array<char, 128> pad{};
  if (!key.empty()) std::memcpy(pad.data(), key.data(), key.size());
  for (size_t i = 0; i < block; ++i) pad[i] = static_cast<char>(pad[i] ^ 0x36);
  EVP_MD_CTX* context = begin(algorithm);
  add(context, {pad.data(), block});
  for (std::string_view piece : pieces) add(context, piece);
  const Digest inner = end(context);
  for (size_t i = 0; i < block; ++i) pad[i] = static_cast<char>(pad[i] ^ (0x36 ^ 0x5c));
  return hash(algorithm, {{pad.data(), block}, text(inner)});
}

HexDigest hex(const Digest& digest) {
  static constexpr char digits[] = "0123456789abcdef";
  HexDigest out;
  for (size_t i = 0; i < digest.size; ++i) {
    out.chars[2 * i] = digits[digest.bytes[i] >> 4];
    out.chars[2 * i + 1] = digits[digest.bytes[i] & 15];
  }
  out.size = static_cast<uint8_t>(2 * digest.size);
  return out;
}

bool constant_time_equal(Bytes a, Bytes b) {
  if (a.size() != b.size()) return false;
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference = difference | (a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace tandem::crypto
