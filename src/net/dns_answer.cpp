#include "net/dns_answer.h"

#include <ares.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace tandem::net {
namespace {

/// Reads forward through a response; every read is checked against its end.
class Reader {
 public:
  explicit Reader(Bytes all) : all_(all) {}
  size_t at() const { return at_; }
  bool ok() const { return ok_; }
  bool need(size_t n) {
    if (ok_ && all_.size() - at_ < n) ok_ = false;
    return ok_;
  }
  void skip(size_t n) {
    if (need(n)) at_ += n;
  }
  void seek(size_t at) { at <= all_.size() ? (void)(at_ = at) : (void)(ok_ = false); }
  uint16_t u16() {
    if (!need(2)) return 0;
    const auto v = static_cast<uint16_t>(all_[at_] << 8 | all_[at_ + 1]);
    at_ += 2;
    return v;
  }
  uint32_t u32() {
    const uint32_t high = u16();
    return high << 16 | u16();
  }
  void bytes(void* out, size_t n) {
    if (!need(n)) return;
    std::memcpy(out, all_.data() + at_, n);
    at_ += n;
  }
  /// Domain name; c-ares follows the compression pointers.
  std::string name() {
    char* text = nullptr;
    long used = 0;
    if (!need(1) || ares_expand_name(all_.data() + at_, all_.data(), static_cast<int>(all_.size()), &text,
                                     &used) != ARES_SUCCESS) {
      ok_ = false;
      return {};
    }
    std::string out = text;
    ares_free_string(text);
    skip(static_cast<size_t>(used));
    return out;
  }
  /// <character-string> of RFC 1035 section 3.3.
  std::string string() {
    if (!need(1)) return {};
    const size_t n = all_[at_++];
    if (!need(n)) return {};
    std::string out(reinterpret_cast<const char*>(all_.data() + at_), n);
    at_ += n;
    return out;
  }

 private:
  Bytes all_;
  size_t at_ = 0;
  bool ok_ = true;
};

void read_data(Reader& r, port::DnsRecord& record) {
  switch (record.type) {
    case dns_type::a:
      record.address.family = IpAddress::Family::v4;
      r.bytes(record.address.bytes.data(), 4);
      break;
    case dns_type::aaaa:
      record.address.family = IpAddress::Family::v6;
      r.bytes(record.address.bytes.data(), 16);
      break;
    case dns_type::srv:
      record.priority = r.u16();
      record.weight = r.u16();
      record.port = r.u16();
      record.target = r.name();
      break;
    case dns_type::naptr:
      record.priority = r.u16();
      record.weight = r.u16();
      record.flags = r.string();
      record.service = r.string();
      r.string();  // regexp: RFC 3263 uses none
      record.target = r.name();
      break;
    case dns_type::cname:
      record.target = r.name();
      break;
    default:
      break;
  }
}

void read_soa(Reader& r, uint32_t ttl, DnsResponse& out) {
  r.name();
  r.name();
  r.skip(16);  // serial, refresh, retry, expire
  out.negative_ttl = std::min(ttl, r.u32());
  out.negative_ttl_known = r.ok();
}

}  // namespace

bool read_dns_response(Bytes response, uint16_t type, DnsResponse& out) {
  Reader r(response);
  r.skip(4);
  const uint16_t questions = r.u16(), answers = r.u16(), authorities = r.u16();
  r.skip(2);
  for (uint16_t i = 0; i < questions && r.ok(); ++i) {
    r.name();
    r.skip(4);
  }
  uint32_t ttl = std::numeric_limits<uint32_t>::max();
  for (uint32_t i = 0; i < uint32_t{answers} + authorities && r.ok(); ++i) {
    r.name();
    port::DnsRecord record;
    record.type = r.u16();
    r.skip(2);  // class
    record.ttl = r.u32();
    const uint16_t length = r.u16();
    const size_t end = r.at() + length;
    if (!r.need(length)) break;
    if (i >= answers) {
      if (record.type == dns_type::soa) read_soa(r, record.ttl, out);
    } else {
      ttl = std::min(ttl, record.ttl);  // an alias in between counts too
      if (record.type == type) {
        read_data(r, record);
        if (!r.ok() || r.at() > end) return false;
        out.records.push_back(std::move(record));
      }
    }
    r.seek(end);
  }
  out.ttl = out.records.empty() ? 0 : ttl;
  return r.ok();
}

}  // namespace tandem::net
