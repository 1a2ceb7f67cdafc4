#include "base/hash.h"
#include "base/text.h"
#include "port/records.h"

namespace tandem::port {
namespace {

/// So long that a day, a time and an extension find room after two of them in a sound's name.
constexpr size_t longest_part = 96;

bool is_plain(char c) {
  return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '/' && c != '\\' && c != '%';
}

/// What is too long is cut, and its hash put behind it.
std::string folder_part(std::string_view text) {
  std::string part;
  for (const char c : text)
    if (is_plain(c) && !(part.empty() && c == '.'))
      part += c;
    else
      part += "%" + to_hex({&c, 1});
  if (part.empty()) return "%";
  if (part.size() <= longest_part) return part;
  const uint64_t hash = hash64(text);
  std::string tail = "%";
  for (int shift = 56; shift >= 0; shift -= 8) {
    const char octet = static_cast<char>(hash >> shift);
    tail += to_hex({&octet, 1});
  }
  return part.substr(0, longest_part - tail.size()) + tail;
}

}  // namespace

std::string mailbox_folder(const AddressOfRecord& mailbox) {
  return folder_part(mailbox.domain) + "/" + folder_part(mailbox.user);
}

}  // namespace tandem::port
