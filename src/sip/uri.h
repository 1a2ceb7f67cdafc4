#pragma once
// SIP, SIPS and TEL URIs (RFC 3261 section 19, RFC 3966): views into text someone else owns.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sip/reason.h"

namespace tandem::sip {

enum class Scheme : uint8_t { sip, sips, tel, other };

/// "name=value" of a parameter list; value is empty for a flag. Quoted values keep their quotes.
struct Param {
  std::string_view name;
  std::string_view value;
  bool has_value = false;
};

/// ";a=b;c" walked in place; also header parameters. Names compare without case.
class Params {
 public:
  Params() = default;
  explicit Params(std::string_view text, char separator = ';') : text_(text), separator_(separator) {}
  /// The value of `name` (empty view for a flag), nothing when absent. Quotes are not removed.
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  std::string_view text() const { return text_; }
  template <class F>  // f(Param)
  void for_each(F&& f) const {
    std::string_view rest = text_;
    Param p;
    while (next(rest, p)) f(p);
  }

 private:
  bool next(std::string_view& rest, Param& out) const;
  std::string_view text_;
  char separator_ = ';';
};

struct Uri {
  Scheme scheme = Scheme::other;
  std::string_view user;  // escaped, as on the wire; the number for tel:
  std::string_view password;
  std::string_view host;     // IPv6 keeps its brackets
  uint16_t port = 0;         // 0: none given
  Params params;             // after the first ';'
  std::string_view headers;  // after '?', without it
  std::string_view text;     // all of it

  static Result<Uri, Reason> parse(std::string_view text);
  bool is_sip() const { return scheme == Scheme::sip || scheme == Scheme::sips; }
};

/// RFC 3261 section 19.1.4 comparison, escapes and order of parameters included.
bool equivalent(const Uri& a, const Uri& b);
/// %xx decoded. Nothing for a broken escape.
std::optional<std::string> unescape(std::string_view text);
/// Escapes what may not stand in a user part.
std::string escape_user(std::string_view text);

}  // namespace tandem::sip
