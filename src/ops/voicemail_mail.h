#pragma once
// A voice message as an e-mail: RFC 5322 header fields, RFC 2047 for what is not ASCII, RFC 2045 to 2049 for
// the body and the sound. Lines end with LF, as programs such as sendmail read them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "port/records.h"

namespace tandem::ops {

struct VoicemailMail {
  std::string from, to;              // one plain address each
  port::Voicemail message;           // the caller's name may be anything a stranger wrote
  int32_t offset = 0;                // of the mailbox's time zone when it came, seconds east of UTC
  std::string token;                 // letters and digits nobody can guess: boundary and Message-ID
  std::optional<std::string> sound;  // a WAV file to go with it
};

std::string to_mime(const VoicemailMail& mail);

/// One line of text as the value of a header field: as it is, or in encoded words (RFC 2047 section 2) when
/// it is not plain ASCII. Control characters, line ends among them, and broken UTF-8 are left out.
std::string header_text(std::string_view text);

}  // namespace tandem::ops
