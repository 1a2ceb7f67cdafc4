#include "sip/framer.h"

#include <algorithm>

#include "base/text.h"
#include "sip/header_id.h"
#include "sip/scan.h"

namespace tandem::sip {
namespace {

constexpr std::string_view end_of_headers = "\r\n\r\n";
// Room behind the text for the message's header table, so that parsing need not move it.
constexpr size_t table_room = 1536;

Failure<Reason> fail(Reason r) { return Failure<Reason>{r}; }

}  // namespace

/// `text` starts with a start line and holds all headers.
Result<size_t, Reason> Framer::message_length(std::string_view text) const {
  const char* p = text.data();
  const char* const end = p + text.size();
  p = scan::find_line_special(p, end);
  if (end - p < 2 || p[0] != '\r' || p[1] != '\n') return fail(Reason::bad_line);
  p += 2;
  std::optional<uint64_t> length;
  scan::Field f;
  for (;;) {
    switch (scan::next_field(p, end, f)) {
      case scan::FieldResult::bad_line:
        return fail(Reason::bad_line);
      case scan::FieldResult::bad_name:
        return fail(Reason::bad_header_name);
      case scan::FieldResult::need_more:
        return fail(Reason::no_end_of_headers);
      case scan::FieldResult::end_of_headers: {
        if (!length) return fail(Reason::bad_content_length);
        const size_t headers = static_cast<size_t>(p - text.data());
        if (headers > limits_.message_bytes || *length > limits_.message_bytes - headers)
          return fail(Reason::too_large);
        return headers + static_cast<size_t>(*length);
      }
      case scan::FieldResult::field:
        break;
    }
    if (header_id(f.name) != HeaderId::content_length) continue;
    const auto n = parse_u64(f.value);
    if (!n) return fail(Reason::bad_content_length);
    if (length && *length != *n) return fail(Reason::duplicate_header);
    length = n;
  }
}

Result<Framer::Cut, Reason> Framer::cut(std::string_view text, size_t scanned) const {
  if (text[0] == '\r' || text[0] == '\n') {
    if (text[0] == '\n') return fail(Reason::bad_line);
    if (text.size() < 2) return Cut{};
    if (text[1] != '\n') return fail(Reason::bad_line);
    if (text.size() == 3 && text[2] == '\r') return Cut{};
    if (text.substr(2, 2) == "\r\n") return Cut{Item::Kind::ping, 4};
    return Cut{Item::Kind::pong, 2};
  }
  // The end may lie across the seam of two pushes.
  const size_t from = scanned < end_of_headers.size() ? 0 : scanned - (end_of_headers.size() - 1);
  const size_t at = text.find(end_of_headers, from);
  if (at == std::string_view::npos)
    return text.size() > limits_.message_bytes ? Result<Cut, Reason>(fail(Reason::too_large)) : Cut{};
  const auto length = message_length(text.substr(0, at + end_of_headers.size()));
  if (!length) return fail(length.reason());
  return Cut{Item::Kind::message, *length};
}

void Framer::drop_taken() {
  if (pos_ == 0) return;
  const size_t left = pending_.size() - pos_;
  if (left == 0) {
    pending_ = Buffer();  // an idle connection holds no block
  } else {
    std::memmove(pending_.data(), pending_.data() + pos_, left);
    pending_.resize(left);
  }
  framed_ -= pos_;
  pos_ = 0;
}

Status<Reason> Framer::push(Bytes bytes) {
  if (failed_) return fail(*failed_);
  drop_taken();
  pending_.append(bytes);
  while (framed_ < pending_.size()) {
    const std::string_view text = pending_.text().substr(framed_);
    if (needed_ == 0) {
      const auto next = cut(text, scanned_);
      if (!next) {
        failed_ = next.reason();
        return fail(*failed_);
      }
      needed_ = next->length;
      scanned_ = text.size();
    }
    if (needed_ == 0 || needed_ > text.size()) break;
    framed_ += needed_;
    needed_ = scanned_ = 0;
  }
  return Done{};
}

std::optional<Framer::Item> Framer::pop() {
  if (pos_ == framed_) return std::nullopt;
  const std::string_view text = pending_.text().substr(pos_, framed_ - pos_);
  Item item{Item::Kind::message, {}};
  const auto next = cut(text, 0);  // framed once already: cannot fail
  size_t length = next ? next->length : text.size();
  if (length == 0) length = std::min<size_t>(text.size(), 2);
  if (text[0] == '\r') {
    item.kind = next ? next->kind : Item::Kind::pong;
    if (item.kind == Item::Kind::pong && lone_crlf_) item.kind = Item::Kind::ping;
    lone_crlf_ = item.kind == Item::Kind::pong && pos_ + length == pending_.size();
  } else {
    lone_crlf_ = false;
    item.bytes = Buffer::with_capacity(length + table_room);
    item.bytes.append(text.substr(0, length));
  }
  pos_ += length;
  if (pos_ == pending_.size()) drop_taken();
  return item;
}

}  // namespace tandem::sip
