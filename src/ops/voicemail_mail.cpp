#include "ops/voicemail_mail.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "crypto/base64.h"
#include "ops/json_rows.h"

namespace tandem::ops {
namespace {

constexpr size_t most_name = 64;  // octets of a caller's name or number that are shown

Bytes bytes_of(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

/// Without control characters; cut between characters.
std::string one_line(std::string_view text, size_t most) {
  std::string out;
  for (const char c : valid_utf8(text))
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out.push_back(c);
  if (out.size() <= most) return out;
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0) == 0x80) --end;
  out.resize(end);
  return out;
}

/// RFC 2045 section 6.8: lines of at most 76 characters.
void append_base64(std::string& out, std::string_view data) {
  constexpr size_t line = 57;  // octets: 76 characters
  for (size_t at = 0; at < data.size(); at += line)
    out.append(crypto::base64(bytes_of(data.substr(at, line)))).push_back('\n');
}

/// RFC 5322 section 3.3: "Fri, 27 Nov 2026 10:15:00 +0900".
std::string date_of(WallTime time, int32_t offset) {
  static constexpr const char* days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const WallTime local = time + seconds(offset);
  // "2026-11-27T10:15:00.000Z"; a message of 1970 has no date but 1970's.
  const std::string text = to_rfc3339(local.ns > 0 ? local : WallTime{1});
  const int64_t day = std::max<int64_t>(local.ns, 0) / 86'400'000'000'000;
  const uint32_t month = parse_u32(std::string_view(text).substr(5, 2)).value_or(1);
  const int32_t minutes = std::abs(offset) / 60;
  return fmt::format("{}, {} {} {} {} {}{:02}{:02}", days[day % 7], text.substr(8, 2),
                     months[(month - 1) % 12], text.substr(0, 4), text.substr(11, 8), offset < 0 ? '-' : '+',
                     minutes / 60, minutes % 60);
}

std::string length_of(const port::Voicemail& m) {
  const int64_t all = std::max<int64_t>(0, m.length.count()) / 1'000'000'000;
  return fmt::format("{}:{:02}", all / 60, all % 60);
}

std::string caller_of(const port::Voicemail& m) {
  const std::string number = one_line(m.from, most_name), name = one_line(m.from_display, most_name);
  if (number.empty()) return name.empty() ? "a withheld number" : name;
  return name.empty() || name == number ? number : fmt::format("{} ({})", name, number);
}

std::string body_of(const VoicemailMail& mail) {
  const port::Voicemail& m = mail.message;
  return fmt::format("A voice message for {} from {}, {} long, left on {}.\n{}", m.mailbox.to_string(),
                     caller_of(m), length_of(m), date_of(m.received, mail.offset),
                     mail.sound ? "It is attached.\n" : "");
}

void append_part(std::string& out, std::string_view boundary, std::string_view type,
                 std::string_view disposition, std::string_view data) {
  out += fmt::format("--{}\nContent-Type: {}\nContent-Transfer-Encoding: base64\n", boundary, type);
  if (!disposition.empty()) out += fmt::format("Content-Disposition: {}\n", disposition);
  out.push_back('\n');
  append_base64(out, data);
}

}  // namespace

std::string header_text(std::string_view text) {
  const std::string line = one_line(text, SIZE_MAX);
  const bool plain = std::all_of(line.begin(), line.end(), [](char c) { return c >= 0x20 && c < 0x7f; }) &&
                     line.find("=?") == std::string::npos && line.size() < 200;
  if (plain) return line;
  // Of each encoded word, 75 characters at most, 45 octets stand between the marks; none parts a character.
  constexpr size_t most = 45;
  std::string out;
  for (size_t at = 0; at < line.size();) {
    const std::string piece = one_line(std::string_view(line).substr(at), most);
    out += fmt::format("{}=?UTF-8?B?{}?=", out.empty() ? "" : "\n ", crypto::base64(bytes_of(piece)));
    at += piece.size();
  }
  return out;
}

std::string to_mime(const VoicemailMail& mail) {
  const std::string boundary = "=_" + mail.token;
  const std::string host = mail.from.substr(mail.from.find('@') + 1);
  std::string out;
  out += fmt::format("From: <{}>\nTo: <{}>\n", mail.from, mail.to);
  out += fmt::format("Date: {}\nMessage-ID: <{}@{}>\n", date_of(mail.message.received, mail.offset),
                     mail.token, host);
  out += fmt::format("Subject: {}\n",
                     header_text(fmt::format("Voice message from {} ({})", caller_of(mail.message),
                                             length_of(mail.message))));
  // RFC 3834: nobody's holiday notice answers it.
  out += "Auto-Submitted: auto-generated\nMIME-Version: 1.0\n";
  out += fmt::format("Content-Type: multipart/mixed; boundary=\"{}\"\n\n", boundary);
  append_part(out, boundary, "text/plain; charset=utf-8", "", body_of(mail));
  if (mail.sound)
    append_part(out, boundary, "audio/wav", "attachment; filename=\"message.wav\"", *mail.sound);
  return out + fmt::format("--{}--\n", boundary);
}

}  // namespace tandem::ops
