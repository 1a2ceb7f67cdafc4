#include "node/packed_subscriber.h"

#include <cstring>
#include <string>
#include <type_traits>

#include "base/text.h"

namespace tandem::node {
namespace {

/// Each field of a row but its address, once for both ways.
template <class V, class Row>
void fields(V& v, Row& r) {
  v.flag(r.enabled), v.flag(r.do_not_disturb), v.number(r.call_class), v.number(r.max_contacts);
  v.number(r.max_calls), v.number(r.revision), v.number(r.forwarding.no_answer_seconds);
  v.secret(r.ha1.md5), v.secret(r.ha1.sha256), v.secret(r.ha1.sha512_256);
  v.text(r.display_name), v.text(r.caller_number), v.text(r.pickup_group);
  v.text(r.forwarding.always), v.text(r.forwarding.busy);
  v.text(r.forwarding.no_answer), v.text(r.forwarding.unreachable);
  v.number(r.srtp), v.number(r.recording), v.number(r.dtmf), v.texts(r.codecs);
}
// A member that is new there belongs into fields() above.
static_assert(sizeof(port::Subscriber) == 456 && sizeof(port::Forwarding) == 136 && sizeof(port::Ha1) == 96);

bool is_lower_hex(std::string_view s) {
  if (s.size() % 2 != 0) return false;
  for (const char c : s)
    if (!is_digit(c) && (c < 'a' || c > 'f')) return false;
  return true;
}

class Packer {
 public:
  explicit Packer(std::string& out) : out_(out) {}
  void flag(bool value) { out_.push_back(value ? 1 : 0); }
  template <class T>
  void number(T value) {
    varint(static_cast<uint64_t>(value));
  }
  void text(std::string_view s) {
    varint(s.size());
    out_.append(s);
  }
  void texts(const std::vector<std::string>& list) {
    varint(list.size());
    for (const std::string& s : list) text(s);
  }
  /// Hex as bytes, which is half; its size is told times two, plus one when it is not hex after all.
  void secret(std::string_view s) {
    const bool hex = is_lower_hex(s);
    varint(s.size() << 1 | (hex ? 0 : 1));
    out_.append(hex ? *from_hex(s) : std::string(s));
  }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
    out_.push_back(static_cast<char>(value));
  }
  std::string& out_;
};

/// Reads what Packer wrote in this process: nothing in it can be damaged.
class Unpacker {
 public:
  explicit Unpacker(const char* at) : at_(at) {}
  void flag(bool& value) { value = *at_++ != 0; }
  template <class T>
  void number(T& value) {
    value = static_cast<T>(varint());
  }
  void text(std::string& s) { s.assign(take(varint())); }
  void texts(std::vector<std::string>& list) {
    list.resize(varint());
    for (std::string& s : list) text(s);
  }
  void secret(std::string& s) {
    const uint64_t size = varint();
    if ((size & 1) != 0)
      s.assign(take(size >> 1));
    else
      s = to_hex(take(size >> 2));
  }

 private:
  std::string_view take(size_t size) {
    at_ += size;
    return {at_ - size, size};
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
  }
  const char* at_;
};

}  // namespace

PackedSubscriber::PackedSubscriber(const port::AddressOfRecord& absent) {
  const std::string key = absent.to_string();
  key_size_ = size_ = static_cast<uint32_t>(key.size());
  block_ = std::make_unique_for_overwrite<char[]>(size_);
  std::memcpy(block_.get(), key.data(), size_);
}

PackedSubscriber::PackedSubscriber(const port::Subscriber& row) {
  std::string text = row.aor.to_string();
  key_size_ = static_cast<uint32_t>(text.size());
  Packer packer(text);
  packer.number(row.aor.user.size());
  fields(packer, row);
  size_ = static_cast<uint32_t>(text.size());
  block_ = std::make_unique_for_overwrite<char[]>(size_);
  std::memcpy(block_.get(), text.data(), size_);
}

port::Subscriber PackedSubscriber::unpack() const {
  port::Subscriber row;
  Unpacker unpacker(block_.get() + key_size_);
  size_t user_size = 0;
  unpacker.number(user_size);
  row.aor = {std::string(key().substr(0, user_size)), std::string(key().substr(user_size + 1))};
  fields(unpacker, row);
  return row;
}

}  // namespace tandem::node
