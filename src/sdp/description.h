#pragma once
// SDP (RFC 8866) as a value that a B2BUA edits: what is not understood survives, in order, byte for byte.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace tandem::sdp {

/// Why a description was not understood. One counter per reason (sdp_parse_errors_total{reason=...}).
enum class Reason : uint8_t {
  empty,
  too_large,            // over Limits::bytes
  too_many_lines,       // over Limits::lines
  too_many_media,       // over Limits::media
  too_many_attributes,  // over Limits::attributes in one section
  too_many_formats,     // over Limits::formats in one m-line
  bad_line,             // not "x=value", or a control character in it
  bad_version,          // the first line is not v=0
  bad_origin,           // o= absent, twice, or without its six fields (section 5.2)
  bad_connection,       // c= without its three fields (section 5.7)
  bad_media,            // m= without media, port, proto, and format (section 5.14)
  count_,
};
const char* to_string(Reason r);

struct Limits {
  uint32_t bytes = 32768;
  uint16_t lines = 1024;
  uint16_t media = 32;
  uint16_t attributes = 256;  // per section
  uint16_t formats = 64;      // per m-line
};

/// RFC 8866 section 6.7, RFC 3264 section 5.1; seen from who wrote the description.
enum class Direction : uint8_t { sendrecv, sendonly, recvonly, inactive };
const char* to_string(Direction d);
/// What the other side would say: sendonly <-> recvonly (RFC 3264 section 6.1).
Direction inverted(Direction d);
constexpr bool sends(Direction d) { return d == Direction::sendrecv || d == Direction::sendonly; }
constexpr bool receives(Direction d) { return d == Direction::sendrecv || d == Direction::recvonly; }
/// Direction from the two halves.
constexpr Direction direction_of(bool sends, bool receives) {
  return sends ? (receives ? Direction::sendrecv : Direction::sendonly)
               : (receives ? Direction::recvonly : Direction::inactive);
}

/// o= (RFC 8866 section 5.2). Views into the Description; good until it is edited.
struct Origin {
  std::string_view username = "-";
  std::string_view session_id;  // digits; may be longer than 64 bits
  std::string_view version;     // digits
  std::string_view address_type = "IP4";
  std::string_view address;
};

/// m= (RFC 8866 section 5.14).
struct MediaLine {
  std::string_view kind;  // audio, video, image, ...
  uint16_t port = 0;      // 0: the stream is rejected or unused (RFC 3264 section 5.1)
  uint16_t port_count = 1;
  std::string_view proto;    // RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF, udptl, TCP/MSRP, ...
  std::string_view formats;  // the rest of the line, one space between formats
};

/// One RTP payload type of an m-line: a=rtpmap and a=fmtp, or the static table (RFC 3551 section 6).
struct Format {
  uint8_t payload_type = 0;
  std::string_view encoding;  // empty: dynamic without an rtpmap
  uint32_t clock_rate = 8000;
  uint8_t channels = 1;
  std::string_view parameters;  // of a=fmtp
};

/// A session description that owns its text. Lines keep their order; editing replaces single lines.
class Description {
 public:
  /// Section of the session-level lines; m-lines are sections 0..media_count()-1.
  static constexpr size_t session = SIZE_MAX;

  Description() = default;
  static Result<Description, Reason> parse(std::string_view text, const Limits& limits = {});
  /// v=0, o=, s=-, t=0 0: the start of a description of our own.
  static Description make(const Origin& origin);
  std::string to_string() const;

  size_t media_count() const { return media_.size(); }
  MediaLine media(size_t i) const;
  /// Payload types of an RTP m-line, in the order of preference. Formats that are no number are left out.
  std::vector<Format> formats(size_t i) const;

  Origin origin() const;
  void set_origin(const Origin& origin);

  /// Value of the first a=NAME in that section ("" for a flag), nothing when absent.
  std::optional<std::string_view> attribute(size_t section, std::string_view name) const;
  bool has_attribute(size_t section, std::string_view name) const {
    return attribute(section, name).has_value();
  }
  /// Every value of a=NAME.
  std::vector<std::string_view> attributes(size_t section, std::string_view name) const;
  /// Appends a=NAME or a=NAME:VALUE at the end of the section.
  void add_attribute(size_t section, std::string_view name, std::string_view value = {});
  /// Removes every a=NAME; how many there were.
  size_t remove_attribute(size_t section, std::string_view name);
  /// Removes the attributes `name` of that section whose value starts with `prefix`.
  size_t remove_attribute_with(size_t section, std::string_view name, std::string_view prefix);

  /// Address of the m-line's c=, or of the session's. Nothing when there is none, or when it is a name.
  std::optional<IpAddress> connection(size_t i) const;
  /// Where to send that stream's RTP. Nothing when port or address say "nowhere" (port 0 or 9, 0.0.0.0, ::).
  std::optional<SocketAddress> rtp_address(size_t i) const;
  /// a=rtcp (RFC 3605), or the next port; the RTP address itself with a=rtcp-mux (RFC 5761).
  std::optional<SocketAddress> rtcp_address(size_t i) const;
  /// Effective direction: the m-line's, else the session's, else sendrecv; a connection address of 0.0.0.0
  /// takes the receiving half away (RFC 3264 section 8.4), as does inactive.
  Direction direction(size_t i) const;
  /// Replaces (or adds) the m-line's direction attribute.
  void set_direction(size_t i, Direction d);

  /// Session-level c= (written before the first b=, t= or a= as section 5 orders), and the address of each
  /// a=rtcp.
  void set_connection(const IpAddress& address);
  /// Port of the m-line; its own c= goes, so that the session's holds. Adds or replaces a=rtcp when it is not
  /// the next port.
  void set_media_port(size_t i, uint16_t rtp, uint16_t rtcp);
  void set_proto(size_t i, std::string_view proto);
  /// The RTP formats of the m-line, in this order. Attributes of those left out (rtpmap, fmtp, rtcp-fb) go.
  void set_formats(size_t i, const std::vector<uint8_t>& payload_types);
  /// These formats and no others, with their rtpmap and fmtp. They may be views into any description.
  void replace_formats(size_t i, const std::vector<Format>& formats);
  /// Adds an RTP format at the end of the m-line, with its rtpmap and, when there are parameters, its fmtp.
  void add_format(size_t i, const Format& format);
  /// Port 0 and nothing but the m-line left: the stream is refused (RFC 3264 section 6).
  void reject_media(size_t i);
  /// Appends an m-line, without attributes; gives its index.
  size_t add_media(std::string_view kind, uint16_t port, std::string_view proto, std::string_view formats);
  /// Appends a refused copy of m-line `i` of `other`.
  void add_rejected_media(const Description& other, size_t i);
  /// Keeps the first `count` m-lines.
  void truncate_media(size_t count);

  /// Takes out what only makes sense end to end when the media is anchored: ICE (RFC 8839) and BUNDLE (RFC
  /// 9143).
  void remove_ice();

 private:
  struct Line {
    char type = 0;
    uint32_t begin = 0;
    uint32_t size = 0;
  };
  struct Media {
    std::vector<Line> lines;  // the first is the m= itself
  };
  std::string_view text_of(const Line& line) const {
    return std::string_view(text_).substr(line.begin, line.size);
  }
  Line store(char type, std::string_view value);
  Status<Reason> add_parsed_line(char type, uint32_t begin, uint32_t size, const Limits& limits);
  const std::vector<Line>& section_lines(size_t section) const;
  std::vector<Line>& section_lines(size_t section);
  const Line* find(size_t section, char type) const;

  std::string text_;  // all line values; edits append, the old value stays behind unused
  std::vector<Line> lines_;
  std::vector<Media> media_;
};

}  // namespace tandem::sdp
