#include "dtls/datagram_bio.h"

#include <algorithm>
#include <cstring>

namespace tandem::dtls {
namespace {

int link_write(BIO* bio, const char* data, int size) {
  const DatagramLink& link = link_of(bio);
  const auto* octets = reinterpret_cast<const uint8_t*>(data);
  if (link.out) link.out->emplace_back(octets, octets + size);
  return size;
}

int link_read(BIO* bio, char* data, int size) {
  DatagramLink& link = link_of(bio);
  BIO_clear_retry_flags(bio);
  if (link.in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(link.in.size(), static_cast<size_t>(size));
  std::memcpy(data, link.in.data(), n);
  if (!link.peek) link.in = {};
  return static_cast<int>(n);
}

long link_control(BIO* bio, int command, long number, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_DGRAM_SET_PEEK_MODE:
      link_of(bio).peek = number != 0;
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return link_of(bio).mtu;
    default:
      return 0;
  }
}

int link_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

}  // namespace

DatagramLink& link_of(BIO* bio) { return *static_cast<DatagramLink*>(BIO_get_data(bio)); }

BIO* new_datagram_bio(DatagramLink& link) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
    BIO_meth_set_create(m, link_create);
    BIO_meth_set_write(m, link_write);
    BIO_meth_set_read(m, link_read);
    BIO_meth_set_ctrl(m, link_control);
    return m;
  }();
  BIO* bio = BIO_new(method);
  if (bio) BIO_set_data(bio, &link);
  return bio;
}

}  // namespace tandem::dtls
