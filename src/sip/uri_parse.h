#pragma once
// The parsers behind the public ones, filling an object in place: what the message parser runs for every
// packet.
#include <cstdint>
#include <optional>
#include <string_view>

#include "sip/headers.h"

namespace tandem::sip {

/// "host", "host:port" or "[v6]:port", white space around the colon allowed. port 0: none given.
std::optional<Reason> parse_host_port(std::string_view text, std::string_view& host, uint16_t& port);
std::optional<Reason> parse_uri(std::string_view text, Uri& out);
std::optional<Reason> parse_via(std::string_view text, Via& out);
std::optional<Reason> parse_cseq(std::string_view text, CSeq& out);
/// Display name, URI text and header parameters apart; the URI itself is not looked into.
std::optional<Reason> split_name_addr(std::string_view text, NameAddr& out);

}  // namespace tandem::sip
