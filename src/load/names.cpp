#include "load/names.h"

namespace tandem::load {
namespace {

void put_hex(char*& out, uint64_t value, int digits) {
  constexpr char hex[] = "0123456789abcdef";
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) *out++ = hex[(value >> shift) & 15];
}

std::optional<uint64_t> take_hex(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    if (c >= '0' && c <= '9')
      value = value << 4 | static_cast<uint64_t>(c - '0');
    else if (c >= 'a' && c <= 'f')
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    else
      return std::nullopt;
  }
  return value;
}

}  // namespace

Name::Name(Owner owner, SlotId id, uint32_t run) {
  char* out = text_.data();
  *out++ = static_cast<char>(owner);
  put_hex(out, id.packed(), 16);
  put_hex(out, run, 8);
}

std::optional<Named> read_name(std::string_view text, uint32_t run) {
  constexpr std::string_view cookie = "z9hG4bK";
  if (text.substr(0, cookie.size()) == cookie) text.remove_prefix(cookie.size());
  if (text.size() < 25) return std::nullopt;
  const auto owner = static_cast<Owner>(text[0]);
  if (owner != Owner::caller && owner != Owner::callee && owner != Owner::registration) return std::nullopt;
  const auto slot = take_hex(text.substr(1, 16));
  if (!slot || take_hex(text.substr(17, 8)) != run) return std::nullopt;
  return Named{owner, SlotId::unpack(*slot)};
}

}  // namespace tandem::load
