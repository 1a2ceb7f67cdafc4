#pragma once
// Rows with every member set to something that shows when it gets lost.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "port/directory.h"

namespace tandem::store_test {

/// A directory under /tmp that goes with the test.
class Scratch {
 public:
  Scratch() {
    char pattern[] = "/tmp/tandem-store-XXXXXX";
    path_ = mkdtemp(pattern);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline port::DomainRow domain(const std::string& name) {
  port::DomainRow d;
  d.name = name;
  d.digest_realm = "realm of " + name;
  d.aliases = {"10.0.0.1", "pbx." + name};
  d.emergency_numbers = {"112", "110"};
  d.country_code = "49";
  d.national_prefix = "0";
  d.international_prefix = "00";
  d.max_calls = 7;
  return d;
}

inline port::Subscriber subscriber(const std::string& user, const std::string& domain_name) {
  port::Subscriber s;
  s.aor = {user, domain_name};
  s.ha1 = {std::string(32, 'a'), std::string(64, 'b'), std::string(64, 'c')};
  s.display_name = "Subscriber " + user;
  s.caller_number = "+49301234" + user;
  s.call_class = port::CallClass::national;
  s.forwarding = {"1", "2", "3", "4", 33};
  s.max_contacts = 3;
  s.max_calls = 2;
  s.pickup_group = "sales";
  return s;
}

inline port::Cdr cdr(uint64_t call, int64_t setup_ns = 1'000'000'000) {
  port::Cdr c;
  c.key = {3, 0x8000000000000005, call, 0};
  c.direction = port::Cdr::Direction::outbound;
  c.setup.ns = setup_ns;
  c.ring.ns = setup_ns + 1;
  c.answer.ns = setup_ns + 2;
  c.end.ns = setup_ns + 5'000'000'000;
  c.caller.call_id = "a" + std::to_string(call);
  c.caller.party = {"1001", "example.org", "Ann", {}};
  c.caller.remote = *SocketAddress::parse("192.0.2.1:5062");
  c.caller.transport = port::Transport::tls;
  c.caller.codec = "PCMA";
  c.caller.user_agent = "phone/1";
  c.caller.packets_received = 250;
  c.caller.octets_received = 43000;
  c.caller.packets_sent = 249;
  c.caller.octets_sent = 42828;
  c.caller.packets_lost = 3;
  c.caller.jitter_us = 1500;
  c.caller.mos_x100 = 431;
  c.caller.reported_lost = 2;
  c.caller.reported_jitter_us = 900;
  c.caller.reported_mos_x100 = 418;
  c.caller.round_trip_us = 20000;
  c.callee = c.caller;
  c.callee.call_id = "b" + std::to_string(call);
  c.callee.party = {"1002", "example.net", "Bob", {}};
  c.callee.trunk = "carrier";
  c.callee.remote = *SocketAddress::parse("[2001:db8::1]:5060");
  c.dialled = "0049301234";
  c.sip_status = 200;
  c.q850_cause = 16;
  c.release_side = port::Cdr::Side::callee;
  c.transferred_by = "1003@example.org";
  c.ordered_by = "token crm";
  c.private_caller = true;
  c.forwarded_by = "1004@example.org";
  c.route = "outbound";
  return c;
}

}  // namespace tandem::store_test
