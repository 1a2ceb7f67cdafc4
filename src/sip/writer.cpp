#include "sip/writer.h"

#include <charconv>

#include "base/text.h"
#include "sip/scan.h"

namespace tandem::sip {
namespace {

constexpr size_t usual_size = 2048;

struct Phrase {
  int status;
  std::string_view text;
};
constexpr Phrase phrases[] = {
    {100, "Trying"},
    {180, "Ringing"},
    {181, "Call Is Being Forwarded"},
    {182, "Queued"},
    {183, "Session Progress"},
    {199, "Early Dialog Terminated"},
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Notification"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Moved Temporarily"},
    {305, "Use Proxy"},
    {380, "Alternative Service"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {410, "Gone"},
    {412, "Conditional Request Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request-URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Unsupported URI Scheme"},
    {417, "Unknown Resource-Priority"},
    {420, "Bad Extension"},
    {421, "Extension Required"},
    {422, "Session Interval Too Small"},
    {423, "Interval Too Brief"},
    {424, "Bad Location Information"},
    {428, "Use Identity Header"},
    {429, "Provide Referrer Identity"},
    {430, "Flow Failed"},
    {433, "Anonymity Disallowed"},
    {436, "Bad Identity Info"},
    {437, "Unsupported Credential"},
    {438, "Invalid Identity Header"},
    {439, "First Hop Lacks Outbound Support"},
    {440, "Max-Breadth Exceeded"},
    {469, "Bad Info Package"},
    {470, "Consent Needed"},
    {480, "Temporarily Unavailable"},
    {481, "Call/Transaction Does Not Exist"},
    {482, "Loop Detected"},
    {483, "Too Many Hops"},
    {484, "Address Incomplete"},
    {485, "Ambiguous"},
    {486, "Busy Here"},
    {487, "Request Terminated"},
    {488, "Not Acceptable Here"},
    {489, "Bad Event"},
    {491, "Request Pending"},
    {493, "Undecipherable"},
    {494, "Security Agreement Required"},
    {500, "Server Internal Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Server Time-out"},
    {505, "Version Not Supported"},
    {513, "Message Too Large"},
    {555, "Push Notification Service Not Supported"},
    {580, "Precondition Failure"},
    {600, "Busy Everywhere"},
    {603, "Decline"},
    {604, "Does Not Exist Anywhere"},
    {606, "Not Acceptable"},
    {607, "Unwanted"},
    {608, "Rejected"},
};

/// A number as text, in place.
class Digits {
 public:
  explicit Digits(uint64_t value) { end_ = std::to_chars(chars_, chars_ + sizeof chars_, value).ptr; }
  std::string_view text() const { return {chars_, static_cast<size_t>(end_ - chars_)}; }

 private:
  char chars_[20];
  char* end_;
};

bool makes_dialog(Method m) {
  return m == Method::invite || m == Method::subscribe || m == Method::refer || m == Method::notify;
}

}  // namespace

std::string_view default_reason(int status) {
  for (const Phrase& p : phrases)
    if (p.status == status) return p.text;
  switch (status / 100) {
    case 1:
      return "Session Progress";
    case 2:
      return "OK";
    case 3:
      return "Redirected";
    case 4:
      return "Bad Request";
    case 5:
      return "Server Internal Error";
    default:
      return "Declined";
  }
}

Writer::Writer() : out_(Buffer::with_capacity(usual_size)) {}

Writer Writer::request(Method method, std::string_view uri) { return request(to_string(method), uri); }

Writer Writer::request(std::string_view method, std::string_view uri) {
  Writer w;
  w.word(method);
  w.out_.push_back(' ');
  w.word(uri);
  w.out_.append(" SIP/2.0\r\n");
  return w;
}

Writer Writer::response(int status, std::string_view reason) {
  Writer w;
  if (status < 100 || status > 699) {
    w.damaged_ = true;
    status = 500;
  }
  w.out_.append("SIP/2.0 ");
  w.out_.append(Digits(static_cast<uint64_t>(status)).text());
  w.out_.push_back(' ');
  w.text(reason.empty() ? default_reason(status) : reason);
  w.out_.append("\r\n");
  return w;
}

/// A value: what would end the line is not written. A fold (line end and white space) is one space, as
/// section 7.3.1 reads it.
void Writer::text(std::string_view s) {
  const char* p = s.data();
  const char* end = p + s.size();
  for (;;) {
    const char* stop = scan::find_line_special(p, end);
    out_.append(std::string_view(p, static_cast<size_t>(stop - p)));
    if (stop == end) return;
    if (stop[0] == '\0' && stop != s.data() && stop[-1] == '\\') {  // a quoted-pair, which may hold it
      out_.push_back('\0');
      p = stop + 1;
      continue;
    }
    if (end - stop < 3 || stop[0] != '\r' || stop[1] != '\n' || (stop[2] != ' ' && stop[2] != '\t')) {
      damaged_ = true;
      return;
    }
    p = stop + 2;
    while (p != end && (*p == ' ' || *p == '\t')) ++p;
    out_.push_back(' ');
  }
}

/// Part of the start line, or a header's name: white space would shift what follows.
void Writer::word(std::string_view s) {
  size_t n = 0;
  while (n < s.size() && static_cast<uint8_t>(s[n]) > 0x20 && s[n] != 0x7f) ++n;
  if (n != s.size() || n == 0) damaged_ = true;
  out_.append(s.substr(0, n));
}

Writer& Writer::header(HeaderId id, std::string_view value) { return header(to_string(id), value); }

Writer& Writer::header(std::string_view name, std::string_view value) {
  if (!scan::is_token(name)) {
    damaged_ = true;
    return *this;
  }
  out_.append(name);
  out_.append(": ");
  text(value);
  out_.append("\r\n");
  return *this;
}

Writer& Writer::header(HeaderId id, std::initializer_list<std::string_view> pieces) {
  out_.append(to_string(id));
  out_.append(": ");
  for (const std::string_view piece : pieces) text(piece);
  out_.append("\r\n");
  return *this;
}

Writer& Writer::header_number(HeaderId id, uint64_t value) { return header(id, Digits(value).text()); }

Writer& Writer::copy(const Message& from, HeaderId id) {
  for (const HeaderField& f : from.headers())
    if (f.id == id) header(id, f.value);
  return *this;
}

Buffer Writer::body(std::string_view content_type, Bytes body) && {
  if (body.empty()) return std::move(*this).finish();
  header(HeaderId::content_type, content_type);
  header_number(HeaderId::content_length, body.size());
  out_.append("\r\n");
  out_.append(body);
  return std::move(out_);
}

Buffer Writer::finish() && {
  out_.append("Content-Length: 0\r\n\r\n");
  return std::move(out_);
}

/// The top Via as its receiver completes it: `received` when the sender's idea of its address differs from
/// what we saw (a name always does), and both `received` and `rport` when it asked for rport.
Writer& Writer::received_via(const Via& via, const SocketAddress& source) {
  out_.append("Via: ");
  text(via.protocol);
  out_.push_back('/');
  text(via.transport);
  out_.push_back(' ');
  text(via.host);
  if (via.port) {
    out_.push_back(':');
    out_.append(Digits(via.port).text());
  }
  via.params.for_each([this](const Param& p) {
    if (iequals(p.name, "received") || iequals(p.name, "rport")) return;
    out_.push_back(';');
    text(p.name);
    if (!p.has_value) return;
    out_.push_back('=');
    text(p.value);
  });
  const bool rport = via.wants_rport();
  const auto sent_by = IpAddress::parse(via.host);
  if (rport || !sent_by || *sent_by != source.ip) {
    out_.append(";received=");
    out_.append(source.ip.to_string());
  }
  if (rport) {
    out_.append(";rport=");
    out_.append(Digits(source.port).text());
  }
  out_.append("\r\n");
  return *this;
}

Writer response_to(const Message& request, const SocketAddress& source, int status, std::string_view to_tag,
                   std::string_view reason) {
  Writer w = Writer::response(status, reason);
  bool top = static_cast<bool>(source);
  request.for_each_value(HeaderId::via, [&](std::string_view item) {
    if (top)
      w.received_via(request.top_via(), source);
    else
      w.header(HeaderId::via, item);
    top = false;
  });
  if (status > 100 && status < 300 && makes_dialog(request.method())) w.copy(request, HeaderId::record_route);
  w.header(HeaderId::from, request.header(HeaderId::from).value_or(std::string_view{}));
  const std::string_view to = request.header(HeaderId::to).value_or(std::string_view{});
  if (status == 100 || to_tag.empty() || !request.to_tag().empty())
    w.header(HeaderId::to, to);
  else
    w.header(HeaderId::to, {to, ";tag=", to_tag});
  w.header(HeaderId::call_id, request.call_id());
  w.header(HeaderId::cseq, request.header(HeaderId::cseq).value_or(std::string_view{}));
  // Section 8.2.6.1: a 100 repeats the Timestamp.
  if (status == 100) w.copy(request, HeaderId::timestamp);
  return w;
}

}  // namespace tandem::sip
