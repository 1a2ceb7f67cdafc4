// rooms: stun crypto base
// Any datagram: every length holds, and what is read can be asked for anything without leaving the message.
#include <cstdlib>

#include "stun/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  using namespace tandem::stun;
  const auto m = Message::parse({data, size});
  if (!m) return to_string(m.reason()).empty() ? 1 : 0;
  for (uint32_t type = 0; type < 0x80; ++type) {  // both halves: 0x00.., and 0x80..
    const auto id = static_cast<uint16_t>((type & 0x40) != 0 ? 0x8000 | (type & 0x3F) : type);
    const auto value = m->find(id);
    if (value && (value->data() < data || value->data() + value->size() > data + size)) std::abort();
    m->u32(id), m->u64(id), m->address(id), m->xor_address(id);
  }
  m->error();
  m->check_integrity(as_bytes("key"));
  m->check_integrity_sha256(as_bytes("key"));
  if (m->unknown_required({}).size() > size / 4) std::abort();

  // Written again with what was found, it reads the same.
  Writer w(m->message_class(), m->method(), m->transaction());
  if (const auto a = m->xor_address(attribute::xor_mapped_address))
    w.add_xor_address(attribute::xor_mapped_address, *a);
  w.add_integrity(as_bytes("key")).add_fingerprint();
  const auto again = Message::parse(w.octets());
  if (!again || again->check_integrity(as_bytes("key")) != Integrity::good ||
      again->method() != m->method() || again->message_class() != m->message_class() ||
      again->xor_address(attribute::xor_mapped_address) != m->xor_address(attribute::xor_mapped_address))
    std::abort();
  return 0;
}
