// rooms: port base proto
// sources: src/ops/json_rows.cpp
// libs: Boost::json fmt::fmt
// A REST body of any kind of row: refused with its place, or read into a row that is written and read again
// as the same one, but for secrets: they are never written.
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string_view>

#include "base/text.h"
#include "ops/json_rows.h"

namespace json = boost::json;
using namespace tandem;

namespace {

json::object written(const ops::SubscriberInput& input) { return ops::to_json(input.row); }
template <class Row>
json::object written(const Row& row) {
  return ops::to_json(row);
}

// Without `has_pin` and its like: whether there is a secret.
json::object shown(json::object row) {
  for (auto it = row.begin(); it != row.end();)
    it = std::string_view(it->key()).starts_with("has_") ? row.erase(it) : it + 1;
  return row;
}

template <class Row>
void there_and_back(const json::value& body) {
  Row row;
  const json::object before = written(row);
  if (const auto read = ops::from_json(body, row); !read.ok()) {
    if (read.reason().text.empty() || !is_plain_text(valid_utf8(read.reason().text))) std::abort();
    if (written(row) != before) std::abort();  // a refused body changes nothing
    return;
  }
  const json::object first = written(row);
  Row again;
  const auto read = ops::from_json(json::parse(json::serialize(first)), again);
  if (!read.ok() || shown(written(again)) != shown(first)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  json::parse_options options;
  options.max_depth = 16;
  json::error_code error;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const json::value body = json::parse(text, error, {}, options);
  if (error) return 0;
  static constexpr void (*kinds[])(const json::value&) = {
      there_and_back<ops::SubscriberInput>, there_and_back<port::DomainRow>,
      there_and_back<port::TrunkRow>,       there_and_back<port::RouteRow>,
      there_and_back<port::RingGroupRow>,   there_and_back<port::RingGroupMemberRow>,
      there_and_back<port::FeatureCodeRow>, there_and_back<port::TimeRuleRow>,
      there_and_back<port::ParkRow>,        there_and_back<port::MenuRow>,
      there_and_back<port::MenuChoiceRow>,  there_and_back<port::MailboxRow>,
      there_and_back<port::ConferenceRow>,  there_and_back<port::Voicemail>,
  };
  kinds[data[0] % std::size(kinds)](body);
  (void)ops::from_rfc3339(text);
  return 0;
}
