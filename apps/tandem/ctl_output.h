#pragma once
// What `tandem ctl` prints of an answer: tables, objects and single values, for people. What strangers chose
// (display names, user agents) reaches the terminal without control characters.
#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::app {

/// A text as it is, without quotes; a list with ", " between its items; the rest as JSON. Control characters
/// are written as \x1b.
std::string cell(const boost::json::value& v);

/// A header and a line a row, in columns; a member that a row lacks is empty.
std::string table(const boost::json::array& rows, const std::vector<std::string_view>& columns);

/// "name = value" lines. Members of an object inside are "outer.inner"; a list of objects is a table of its
/// own under its name, indented.
std::string lines(const boost::json::object& object);

}  // namespace tandem::app
