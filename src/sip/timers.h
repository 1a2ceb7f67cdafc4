#pragma once
// Timer values by their RFC names (RFC 3261 table 4, RFC 6026, RFC 3262, RFC 4028).
#include "base/time.h"

namespace tandem::sip {

struct Timers {
  Duration t1 = milliseconds(500);  // round-trip estimate
  Duration t2 = seconds(4);  // most between retransmissions of non-INVITE requests and INVITE responses
  Duration t4 = seconds(5);  // longest a message stays in the network
  Duration timer_c = seconds(180);  // INVITE client: proceeding without a final response
  Duration timer_d = seconds(32);   // INVITE client: absorb response retransmissions (UDP)

  Duration timer_b() const { return 64 * t1; }  // INVITE client times out
  Duration timer_f() const { return 64 * t1; }  // non-INVITE client times out
  Duration timer_h() const { return 64 * t1; }  // INVITE server waits for ACK
  Duration timer_i() const { return t4; }       // INVITE server absorbs ACKs (UDP)
  Duration timer_j() const { return 64 * t1; }  // non-INVITE server absorbs retransmissions (UDP)
  Duration timer_k() const { return t4; }       // non-INVITE client absorbs responses (UDP)
  Duration timer_l() const { return 64 * t1; }  // INVITE server, accepted (RFC 6026)
  Duration timer_m() const { return 64 * t1; }  // INVITE client, accepted (RFC 6026)
};

}  // namespace tandem::sip
