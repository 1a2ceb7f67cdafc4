// Call detail records: search and export.
#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

/// One CSV field: quoted when it must be, and never a formula to a spreadsheet that opens the file.
std::string csv_field(std::string_view text) {
  std::string out;
  const bool formula =
      !text.empty() && std::string_view("=+-@\t\r").find(text.front()) != std::string_view::npos;
  const bool number = !text.empty() && text.front() == '+' && parse_u64(text.substr(1));
  if (formula && !number) out = "'";
  out += text;
  if (out.find_first_of(",\"\r\n") == std::string::npos) return out;
  std::string quoted = "\"";
  for (const char c : out) {
    if (c == '"') quoted.push_back('"');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

/// f(name, value) for each member of a record, in the order of its JSON; a leg's are named behind "caller_"
/// or "callee_".
template <class F>
void each_column(const json::object& row, const std::string& prefix, F&& f) {
  for (const auto& [key, value] : row) {
    std::string name = prefix;
    name += key;
    if (const json::object* leg = value.if_object())
      each_column(*leg, name + "_", f);
    else
      f(name, value);
  }
}

/// Names, one behind the other.
std::string list(const json::array& names) {
  std::string all;
  for (const json::value& name : names) all.append(all.empty() ? "" : " ").append(name.get_string());
  return all;
}

std::string to_csv(const std::vector<port::Cdr>& rows) {
  std::string out;
  const auto cell = [&](std::string_view text) { out.append(text).append(","); };
  const auto end_line = [&] { out.replace(out.size() - 1, 1, "\r\n"); };
  each_column(to_json(port::Cdr{}), {}, [&](const std::string& name, const json::value&) { cell(name); });
  end_line();
  for (const port::Cdr& row : rows) {
    each_column(to_json(row), {}, [&](const std::string&, const json::value& value) {
      cell(value.is_string()  ? csv_field(value.get_string())
           : value.is_array() ? csv_field(list(value.get_array()))
                              : json::serialize(value));
    });
    end_line();
  }
  return out;
}

bool read_query(const Exchange& x, port::CdrQuery& q) {
  const auto limit = x.number("limit", 100), status = x.number("status", 0), cause = x.number("cause", 0);
  const auto from =
      x.text("from").empty() ? std::optional<WallTime>(WallTime{}) : from_rfc3339(x.text("from"));
  const auto to = x.text("to").empty() ? std::optional<WallTime>(WallTime{}) : from_rfc3339(x.text("to"));
  const auto fail = [&](const char* what) { return x.error(400, "invalid", what), false; };
  if (!limit || *limit == 0 || *limit > 1000) return fail("limit: expected 1 to 1000");
  if (!status || *status > 699) return fail("status: expected a SIP status");
  if (!cause || *cause > 127) return fail("cause: expected a Q.850 cause");
  if (!from || !to) return fail("from, to: expected a UTC time such as 2026-11-23T18:00:00Z");
  q.from = *from;
  q.to = *to;
  q.limit = *limit;
  if (*status) q.sip_status = static_cast<uint16_t>(*status);
  if (*cause) q.q850_cause = static_cast<uint8_t>(*cause);
  q.party = x.text("party");
  q.domain = x.text("domain");
  q.call_id = x.text("call_id");
  q.trunk = x.text("trunk");
  q.cursor = x.text("cursor");
  return true;
}

void search(ApiImpl& api, const Exchange& x) {
  port::CdrQuery query;
  if (!read_query(x, query)) return;
  const auto page = api.directory.search_cdrs(query);
  if (!page.ok()) return x.store_error(page.reason());
  if (x.csv) {
    port::HttpResponse r;
    r.content_type = "text/csv; charset=utf-8";
    r.body = to_csv(page->rows);
    if (!page->next.empty()) r.headers.emplace_back("X-Next-Cursor", page->next);
    return x.reply(std::move(r));
  }
  json::array items;
  for (const port::Cdr& row : page->rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}, {"next", page->next}});
}

}  // namespace

void add_record_operations(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/cdrs",
                   Scope::read,
                   "Search call detail records, latest first; format=csv for an export",
                   nullptr,
                   "[Cdr]",
                   {{"from", "set up at or after (UTC)"},
                    {"to", "set up before (UTC)"},
                    {"party", "user of either party, or the number dialled"},
                    {"domain", "of either party"},
                    {"call_id", "SIP Call-ID of either leg"},
                    {"trunk", "of either leg"},
                    {"status", "SIP status"},
                    {"cause", "Q.850 cause"},
                    {"cursor", "`next` of the page before"},
                    {"limit", "records a page, at most 1000"}},
                   search});
}

}  // namespace tandem::ops
