#include "tandem/ctl_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>

namespace tandem::app {
namespace {

namespace json = boost::json;

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F: the other control characters
      out += fmt::format("\\x{:02x}", next);
      ++i;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

/// Characters, not octets.
size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool is_table(const json::value& v) {
  const auto* rows = v.if_array();
  return rows && !rows->empty() &&
         std::all_of(rows->begin(), rows->end(), [](const json::value& row) { return row.is_object(); });
}

std::string indented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = text.find('\n') + 1;
    out.append("  ").append(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

void add_lines(const json::object& object, const std::string& prefix, std::string& out) {
  for (const auto& entry : object) {
    const std::string name = prefix + std::string(entry.key());
    if (const auto* inner = entry.value().if_object()) {
      add_lines(*inner, name + ".", out);
    } else if (is_table(entry.value())) {
      std::vector<std::string_view> columns;
      for (const auto& member : entry.value().get_array().front().get_object())
        columns.push_back(member.key());
      out += name + ":\n" + indented(table(entry.value().get_array(), columns));
    } else {
      out += fmt::format("{} = {}\n", name, cell(entry.value()));
    }
  }
}

}  // namespace

std::string cell(const json::value& v) {
  if (v.is_string()) return printable(v.get_string());
  const auto* list = v.if_array();
  if (!list || is_table(v)) return json::serialize(v);
  std::string out;
  for (const json::value& item : *list) out += (out.empty() ? "" : ", ") + cell(item);
  return out;
}

std::string table(const json::array& rows, const std::vector<std::string_view>& columns) {
  std::vector<std::vector<std::string>> all;
  all.emplace_back(columns.begin(), columns.end());
  for (const json::value& row : rows) {
    auto& line = all.emplace_back();
    const auto* members = row.if_object();
    for (const std::string_view column : columns) {
      const auto* v = members ? members->if_contains(column) : nullptr;
      line.push_back(v ? cell(*v) : "");
    }
  }
  std::vector<size_t> widths(columns.size());
  for (const auto& line : all)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  std::string out;
  for (const auto& line : all) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) text.append(line[i]).append(widths[i] - width(line[i]) + 2, ' ');
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  }
  return out;
}

std::string lines(const json::object& object) {
  std::string out;
  add_lines(object, "", out);
  return out;
}

}  // namespace tandem::app
