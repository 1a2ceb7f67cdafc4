#include "sip/message.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "base/text.h"
#include "sip/scan.h"
#include "sip/uri_parse.h"

namespace tandem::sip {

struct Message::Index {
  Via via;
  CSeq cseq;
  std::string_view method_text, request_uri, reason_phrase, call_id, from_tag, to_tag;
  Method method = Method::other;
  uint16_t status = 0;
  bool loose_start_line = false;
  uint32_t body_at = 0;
  uint32_t count = 0;
  std::array<uint8_t, static_cast<size_t>(HeaderId::other)> first{};  // place in fields() plus one; 0: absent

  HeaderField* fields() { return reinterpret_cast<HeaderField*>(this + 1); }
  const HeaderField* fields() const { return reinterpret_cast<const HeaderField*>(this + 1); }
  const HeaderField* find(HeaderId id) const {
    const uint8_t at = first[static_cast<size_t>(id)];
    return at ? fields() + (at - 1) : nullptr;
  }
};

namespace {

constexpr size_t fewest_fields =
    12;  // room a message is parsed in place with; else it moves to a larger block first
constexpr size_t usual_fields = 24;  // room it gets then
constexpr size_t many_fields = 96;   // and when that was too little: still an 8 KiB block for a datagram
constexpr size_t most_fields = 255;  // what Index::first can name

constexpr uint64_t bit(HeaderId id) { return uint64_t{1} << static_cast<unsigned>(id); }

// Standing twice with different values, these leave no way to say what the message means (RFC 4475
// section 3.3.8).
constexpr bool is_single(HeaderId id) {
  constexpr uint64_t set = bit(HeaderId::from) | bit(HeaderId::to) | bit(HeaderId::call_id) |
                           bit(HeaderId::cseq) | bit(HeaderId::max_forwards) | bit(HeaderId::content_length);
  return id <= HeaderId::content_length && (set & bit(id)) != 0;
}

bool is_list(HeaderId id) {
  switch (id) {
    case HeaderId::via:
    case HeaderId::contact:
    case HeaderId::route:
    case HeaderId::record_route:
    case HeaderId::path:
    case HeaderId::service_route:
    case HeaderId::allow:
    case HeaderId::allow_events:
    case HeaderId::supported:
    case HeaderId::require:
    case HeaderId::proxy_require:
    case HeaderId::unsupported:
    case HeaderId::accept:
    case HeaderId::accept_encoding:
    case HeaderId::accept_language:
    case HeaderId::alert_info:
    case HeaderId::call_info:
    case HeaderId::error_info:
    case HeaderId::history_info:
    case HeaderId::diversion:
    case HeaderId::in_reply_to:
    case HeaderId::p_asserted_identity:
    case HeaderId::p_preferred_identity:
    case HeaderId::p_associated_uri:
    case HeaderId::warning:
    case HeaderId::reason:
      return true;
    default:
      return false;
  }
}

bool too_many_values(std::string_view value, uint16_t limit) {
  if (value.size() < 2 * size_t{limit}) return false;
  ListCursor list(value);
  std::string_view item;
  for (size_t n = 0; list.next(item);)
    if (++n > limit) return true;
  return false;
}

bool is_text(const char* p, const char* end, std::string_view what) {
  return static_cast<size_t>(end - p) >= what.size() && iequals({p, what.size()}, what);
}

}  // namespace

/// One pass over one message. Views it makes point into `message.buffer_`.
struct Message::Parser {
  Message& message;
  const Limits& limits;
  size_t room = 0;  // header fields that fit
  Index* index = nullptr;
  const char* at = nullptr;
  const char* end = nullptr;

  std::optional<Reason> drop_leading_line_ends();
  void make_room(size_t fields);
  std::optional<Reason> start_line();
  std::optional<Reason> request_line(std::string_view line);
  std::optional<Reason> status_line(std::string_view line);
  std::optional<Reason> fields(bool& full);
  std::optional<Reason> add_field(const scan::Field& f);
  std::optional<Reason> mandatory();
  std::optional<Reason> tag_of(HeaderId id, std::string_view& tag) const;
  std::optional<Reason> body();
  std::optional<Reason> run();
};

/// Section 7.5: line ends in front of the start line are no part of the message.
std::optional<Reason> Message::Parser::drop_leading_line_ends() {
  Buffer& b = message.buffer_;
  const std::string_view text = b.text();
  size_t n = 0;
  while (n < text.size() && (text[n] == '\r' || text[n] == '\n')) ++n;
  if (n == text.size()) return Reason::empty;
  if (n == 0) return std::nullopt;
  std::memmove(b.data(), b.data() + n, b.size() - n);
  b.resize(b.size() - n);
  return std::nullopt;
}

void Message::Parser::make_room(size_t wanted) {
  Buffer& b = message.buffer_;
  constexpr size_t align = alignof(Index);
  const auto start = [&b] { return (b.size() + align - 1) & ~(align - 1); };
  const auto fits = [&] {
    const size_t used = start() + sizeof(Index);
    return b.capacity() < used ? size_t{0} : (b.capacity() - used) / sizeof(HeaderField);
  };
  if (fits() < wanted) {
    const size_t target = std::max(wanted, usual_fields);
    Buffer larger = Buffer::with_capacity(start() + sizeof(Index) + target * sizeof(HeaderField));
    larger.append(b.bytes());
    b = std::move(larger);
  }
  room = fits();
  message.index_ = index = new (b.data() + start()) Index;
  at = b.text().data();
  end = at + b.size();
}

std::optional<Reason> Message::Parser::start_line() {
  const char* stop = scan::find_line_special(at, end);
  if (end - stop < 2) return Reason::no_end_of_headers;
  if (stop[0] != '\r' || stop[1] != '\n') return Reason::bad_line;
  const std::string_view line(at, static_cast<size_t>(stop - at));
  if (line.size() > limits.header_bytes) return Reason::header_too_long;
  at = stop + 2;
  return is_text(line.data(), stop, "SIP/") ? status_line(line) : request_line(line);
}

std::optional<Reason> Message::Parser::request_line(std::string_view line) {
  Index& x = *index;
  const size_t space = scan::find(line, ' ');
  x.method_text = line.substr(0, space);
  if (!scan::is_token(x.method_text)) return Reason::bad_method;
  if (space == scan::npos) return Reason::bad_start_line;
  std::string_view rest = line.substr(space + 1);
  if (!rest.empty() && scan::is_lws(rest.back())) {
    x.loose_start_line = true;
    rest = trim(rest);
  }
  const size_t last = rest.rfind(' ');
  if (last == scan::npos) return Reason::bad_start_line;
  const std::string_view version = rest.substr(last + 1);
  x.request_uri = trim(rest.substr(0, last));
  if (x.request_uri.empty()) return Reason::bad_start_line;
  if (x.request_uri.size() != last) x.loose_start_line = true;
  if (!istarts_with(version, "SIP/")) return Reason::bad_start_line;
  if (!iequals(version, "SIP/2.0")) return Reason::bad_version;
  x.method = method_from(x.method_text);
  return std::nullopt;
}

std::optional<Reason> Message::Parser::status_line(std::string_view line) {
  Index& x = *index;
  const size_t space = scan::find(line, ' ');
  if (!iequals(line.substr(0, space), "SIP/2.0")) return Reason::bad_version;
  if (space == scan::npos) return Reason::bad_status;
  const std::string_view rest = line.substr(space + 1);
  const std::string_view code = rest.substr(0, 3);
  const auto status = parse_u32(code);
  if (code.size() != 3 || !status || *status < 100 || *status > 699) return Reason::bad_status;
  if (rest.size() > 3 && rest[3] != ' ') return Reason::bad_status;
  // The space before an empty phrase is not optional, but its absence harms nobody.
  x.loose_start_line = rest.size() == 3;
  x.status = static_cast<uint16_t>(*status);
  x.reason_phrase = rest.size() > 4 ? rest.substr(4) : std::string_view{};
  return std::nullopt;
}

std::optional<Reason> Message::Parser::add_field(const scan::Field& f) {
  Index& x = *index;
  const HeaderId id = header_id(f.name);
  new (x.fields() + x.count) HeaderField{id, f.name, f.value};
  ++x.count;
  if (id == HeaderId::other)
    return scan::is_token(f.name) ? std::nullopt : std::optional(Reason::bad_header_name);
  uint8_t& first = x.first[static_cast<size_t>(id)];
  if (first == 0)
    first = static_cast<uint8_t>(x.count);
  else if (is_single(id) && x.fields()[first - 1].value != f.value)
    return Reason::duplicate_header;
  if (f.value.size() >= 2 * size_t{limits.list_values} && is_list(id) &&
      too_many_values(f.value, limits.list_values))
    return Reason::too_many_values;
  return std::nullopt;
}

std::optional<Reason> Message::Parser::fields(bool& full) {
  const size_t most = std::min<size_t>(limits.headers, most_fields);
  scan::Field f;
  for (;;) {
    const char* from = at;
    switch (scan::next_field(at, end, f)) {
      case scan::FieldResult::end_of_headers:
        return std::nullopt;
      case scan::FieldResult::need_more:
        return Reason::no_end_of_headers;
      case scan::FieldResult::bad_line:
        return Reason::bad_line;
      case scan::FieldResult::bad_name:
        return Reason::bad_header_name;
      case scan::FieldResult::field:
        break;
    }
    if (static_cast<size_t>(at - from) > limits.header_bytes) return Reason::header_too_long;
    if (index->count == most) return Reason::too_many_headers;
    if (index->count == room) {
      full = true;
      return std::nullopt;
    }
    if (const auto r = add_field(f)) return r;
  }
}

std::optional<Reason> Message::Parser::tag_of(HeaderId id, std::string_view& tag) const {
  NameAddr name;
  if (const auto r = split_name_addr(index->find(id)->value, name)) return r;
  if (name.star) return Reason::bad_name_addr;
  // An open quote would swallow the tag our answer appends, an empty tag would hide it.
  const std::string_view params = name.params.text();
  for (size_t quote = scan::find(params, '"'); quote != scan::npos;) {
    const size_t closed = scan::skip_quoted(params, quote);
    if (closed == scan::npos) return Reason::bad_quoted_string;
    quote = scan::find(params, '"', closed);
  }
  const auto value = name.params.get("tag");
  if (value && value->empty()) return Reason::bad_params;
  tag = value.value_or(std::string_view{});
  return std::nullopt;
}

std::optional<Reason> Message::Parser::mandatory() {
  Index& x = *index;
  for (const HeaderId id : {HeaderId::via, HeaderId::from, HeaderId::to, HeaderId::call_id, HeaderId::cseq})
    if (!x.find(id) || x.find(id)->value.empty()) return Reason::missing_header;
  x.call_id = x.find(HeaderId::call_id)->value;
  ListCursor vias(x.find(HeaderId::via)->value);
  std::string_view top;
  if (!vias.next(top) || parse_via(top, x.via)) return Reason::bad_via;
  if (const auto r = parse_cseq(x.find(HeaderId::cseq)->value, x.cseq)) return r;
  if (x.status) {
    x.method = x.cseq.method;
    x.method_text = x.cseq.method_text;
  } else if (x.cseq.method_text != x.method_text) {
    return Reason::cseq_method_mismatch;
  }
  if (const auto r = tag_of(HeaderId::from, x.from_tag)) return r;
  return tag_of(HeaderId::to, x.to_tag);
}

/// Section 18.3: a datagram longer than its Content-Length is cut, a shorter one refused; none given: to the
/// end.
std::optional<Reason> Message::Parser::body() {
  const char* start = message.buffer_.text().data();
  index->body_at = static_cast<uint32_t>(at - start);
  const HeaderField* length = index->find(HeaderId::content_length);
  if (!length) return std::nullopt;
  const auto n = parse_u64(length->value);
  if (!n) return Reason::bad_content_length;
  if (*n > static_cast<uint64_t>(end - at)) return Reason::body_too_short;
  message.buffer_.resize(index->body_at + static_cast<size_t>(*n));
  return std::nullopt;
}

std::optional<Reason> Message::Parser::run() {
  if (message.buffer_.size() > limits.message_bytes) return Reason::too_large;
  if (message.buffer_.empty()) return Reason::empty;
  const uint8_t lead = message.buffer_.data()[0];
  if (lead == '\r' || lead == '\n')
    if (const auto r = drop_leading_line_ends()) return r;
  make_room(fewest_fields);
  for (;;) {
    bool full = false;
    if (const auto r = start_line()) return r;
    if (const auto r = fields(full)) return r;
    if (!full) break;
    make_room(room < many_fields ? many_fields : most_fields);  // once again, with more room
  }
  if (const auto r = mandatory()) return r;
  return body();
}

Result<Message, Reason> Message::parse(Buffer bytes, const Limits& limits) {
  return parse_from(bytes, limits);
}

Result<Message, Reason> Message::parse_from(Buffer& bytes, const Limits& limits) {
  static_assert(std::is_trivially_destructible_v<Index> && std::is_trivially_destructible_v<HeaderField>);
  static_assert(sizeof(Index) % alignof(HeaderField) == 0);
  Message message;
  message.buffer_ = std::move(bytes);
  Parser parser{message, limits};
  if (const auto r = parser.run()) {
    bytes = std::move(message.buffer_);
    return Failure<Reason>{*r};
  }
  return message;
}

Message::Message(Message&& other) noexcept
    : buffer_(std::move(other.buffer_)), index_(std::exchange(other.index_, nullptr)) {}

Message& Message::operator=(Message&& other) noexcept {
  if (this != &other) {
    buffer_ = std::move(other.buffer_);
    index_ = std::exchange(other.index_, nullptr);
  }
  return *this;
}

Message::~Message() = default;

bool Message::is_request() const { return index_->status == 0; }
Method Message::method() const { return index_->method; }
std::string_view Message::method_text() const { return index_->method_text; }
std::string_view Message::request_uri() const { return index_->request_uri; }
int Message::status() const { return index_->status; }
std::string_view Message::reason_phrase() const { return index_->reason_phrase; }
bool Message::loose_start_line() const { return index_->loose_start_line; }

Result<Uri, Reason> Message::parsed_request_uri() const { return Uri::parse(index_->request_uri); }

std::span<const HeaderField> Message::headers() const { return {index_->fields(), index_->count}; }

std::optional<std::string_view> Message::header(HeaderId id) const {
  if (id >= HeaderId::other) return std::nullopt;
  const HeaderField* f = index_->find(id);
  return f ? std::optional(f->value) : std::nullopt;
}

std::optional<std::string_view> Message::header(std::string_view name) const {
  if (const HeaderId id = header_id(name); id != HeaderId::other) return header(id);
  for (const HeaderField& f : headers())
    if (f.id == HeaderId::other && iequals(f.name, name)) return f.value;
  return std::nullopt;
}

bool Message::lists(HeaderId id, std::string_view token) const {
  bool found = false;
  for_each_value(id, [&](std::string_view item) {
    found = iequals(trim(item.substr(0, item.find(';'))), token);
    return !found;
  });
  return found;
}

std::string_view Message::call_id() const { return index_->call_id; }
CSeq Message::cseq() const { return index_->cseq; }
const Via& Message::top_via() const { return index_->via; }
Result<NameAddr, Reason> Message::from() const {
  return NameAddr::parse(index_->find(HeaderId::from)->value);
}
Result<NameAddr, Reason> Message::to() const { return NameAddr::parse(index_->find(HeaderId::to)->value); }
std::string_view Message::from_tag() const { return index_->from_tag; }
std::string_view Message::to_tag() const { return index_->to_tag; }

Result<NameAddr, Reason> Message::contact() const {
  const HeaderField* f = index_->find(HeaderId::contact);
  std::string_view item;
  if (!f || !ListCursor(f->value).next(item)) return Failure<Reason>{Reason::missing_header};
  auto contact = NameAddr::parse(item);
  // Section 10.2.2: "*" is every binding of a REGISTER. Nobody can be reached there.
  if (contact && contact->star) return Failure<Reason>{Reason::bad_name_addr};
  return contact;
}

std::optional<uint32_t> Message::expires() const {
  const HeaderField* f = index_->find(HeaderId::expires);
  if (!f) return std::nullopt;
  const auto seconds = parse_delta_seconds(f->value);
  return seconds ? std::optional(*seconds) : std::nullopt;
}

std::optional<uint32_t> Message::max_forwards() const {
  const HeaderField* f = index_->find(HeaderId::max_forwards);
  return f ? parse_u32(f->value) : std::nullopt;
}

std::string_view Message::content_type() const {
  const HeaderField* f = index_->find(HeaderId::content_type);
  return f ? trim(f->value.substr(0, f->value.find(';'))) : std::string_view{};
}

Bytes Message::body() const { return buffer_.bytes().subspan(index_->body_at); }
Bytes Message::bytes() const { return buffer_.bytes(); }

Buffer Message::take() && {
  index_ = nullptr;
  return std::move(buffer_);
}

}  // namespace tandem::sip
