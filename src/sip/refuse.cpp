#include "sip/refuse.h"

#include <array>

#include "base/text.h"
#include "sip/scan.h"
#include "sip/uri_parse.h"
#include "sip/writer.h"

namespace tandem::sip {
namespace {

constexpr std::array wanted{HeaderId::via, HeaderId::from, HeaderId::to, HeaderId::call_id, HeaderId::cseq};
using Found = std::array<std::string_view, wanted.size()>;

int status_for(Reason why) {
  if (why == Reason::bad_version) return 505;
  return why == Reason::too_large ? 513 : 400;
}

/// The first of each; false when the headers end too early for that.
bool collect(const char* p, const char* end, Found& found) {
  scan::Field f;
  for (;;) {
    const auto result = scan::next_field(p, end, f);
    if (result != scan::FieldResult::field) break;
    const HeaderId id = header_id(f.name);
    for (size_t i = 0; i < wanted.size(); ++i)
      if (id == wanted[i] && found[i].empty()) found[i] = f.value;
  }
  for (const std::string_view value : found)
    if (value.empty()) return false;
  return true;
}

bool lacks_tag(std::string_view to) {
  const auto parsed = NameAddr::parse(to);
  return parsed.ok() && parsed->tag().empty();
}

}  // namespace

std::optional<Buffer> refuse_malformed(Bytes message, Reason why, const SocketAddress& source,
                                       std::string_view to_tag) {
  const std::string_view text = scan::ltrim(as_text(message));
  const size_t line_end = text.find("\r\n");
  if (line_end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, line_end);
  const std::string_view method = line.substr(0, line.find(' '));
  if (!scan::is_token(method) || method == "ACK" || istarts_with(line, "SIP/")) return std::nullopt;
  Found found;
  if (!collect(text.data() + line_end + 2, text.data() + text.size(), found)) return std::nullopt;
  std::string_view top;
  Via via;
  if (!ListCursor(found[0]).next(top) || parse_via(top, via)) return std::nullopt;
  const int status = status_for(why);
  Writer w = Writer::response(status, status == 400 ? to_string(why) : std::string_view{});
  w.received_via(via, source);
  for (size_t i = 1; i < wanted.size(); ++i) {
    if (wanted[i] == HeaderId::to && lacks_tag(found[i]))
      w.header(HeaderId::to, {found[i], ";tag=", to_tag});
    else
      w.header(wanted[i], found[i]);
  }
  if (w.damaged()) return std::nullopt;
  return std::move(w).finish();
}

}  // namespace tandem::sip
