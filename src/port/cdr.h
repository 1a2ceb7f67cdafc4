#pragma once
// The call detail record: one per pair of legs that were offered to each other. `call` fills it, the spool
// keeps it, `store` files it, `ops` shows it.
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "port/enum_text.h"
#include "port/flow.h"

namespace tandem::port {

/// Idempotent key: writing the same record twice leaves one. `call` is unique within {node, epoch}; `pair`
/// counts the pairs of legs of that call from 0 (each fork branch, each target after a transfer).
struct CdrKey {
  uint16_t node = 0;
  uint64_t epoch = 0;
  uint64_t call = 0;
  uint32_t pair = 0;
  auto operator<=>(const CdrKey&) const = default;
};

struct CdrParty {
  std::string user;  // or the number
  std::string domain;
  std::string display;
  std::string unknown;  // fields of a newer version, kept as they came
  bool operator==(const CdrParty&) const = default;
};

/// One leg. `received` counts what came from this party, `sent` what went to it. Loss, jitter and MOS
/// describe the stream received from it.
struct CdrLeg {
  std::string call_id;
  CdrParty party;
  SocketAddress remote;  // signalling
  Transport transport = Transport::udp;
  std::string trunk;  // empty: a subscriber
  std::string codec;  // encoding name of the answer, e.g. "PCMA"
  std::string user_agent;
  uint64_t packets_received = 0;
  uint64_t octets_received = 0;
  uint64_t packets_sent = 0;
  uint64_t octets_sent = 0;
  uint64_t packets_lost = 0;
  uint32_t jitter_us = 0;
  uint32_t mos_x100 = 0;  // of what it sent us: 100..450; 0: not measured
  // What its own RTCP told of what it received; 0: nothing.
  uint64_t reported_lost = 0;
  uint32_t reported_jitter_us = 0;
  uint32_t reported_mos_x100 = 0;
  uint32_t round_trip_us = 0;  // between us and the party; 0: not measured
  std::string unknown;
  bool operator==(const CdrLeg&) const = default;
};

struct Cdr {
  enum class Direction : uint8_t { internal, inbound, outbound, transit };
  enum class Side : uint8_t { caller, callee, system };

  CdrKey key;
  Direction direction = Direction::internal;
  // Zero: it never happened.
  WallTime setup;
  WallTime ring;
  WallTime answer;
  WallTime end;
  CdrLeg caller;
  CdrLeg callee;
  std::string dialled;      // what the caller asked for, before the dial plan
  uint16_t sip_status = 0;  // final status, 200 for an answered call
  uint8_t q850_cause = 0;   // ITU-T Q.850; 16 is normal clearing
  Side release_side = Side::system;
  std::string transferred_by;           // address-of-record that transferred the call here
  std::string forwarded_by;             // address-of-record whose forwarding brought it here
  bool private_caller = false;          // who called wished not to be named to the called party
  std::string ordered_by;               // who placed the call over REST; empty: a telephone did
  std::string route;                    // name of the dial plan row
  std::vector<std::string> recordings;  // files of SoundPlace::recordings
  std::string unknown;
  bool operator==(const Cdr&) const = default;

  /// Zero for a call that was not answered.
  Duration talk_time() const { return answer.ns && end > answer ? end - answer : Duration(0); }
};

template <>
struct EnumText<Cdr::Direction> {
  static constexpr std::string_view names[] = {"internal", "inbound", "outbound", "transit"};
};
template <>
struct EnumText<Cdr::Side> {
  static constexpr std::string_view names[] = {"caller", "callee", "system"};
};

/// Bytes of proto/cdr.proto.
std::string encode(const Cdr& cdr);
/// Nothing when the bytes are not a record. Values out of range become the nearest that is in range.
std::optional<Cdr> decode(std::string_view bytes);

}  // namespace tandem::port
