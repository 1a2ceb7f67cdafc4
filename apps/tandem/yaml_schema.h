#pragma once
// Reads a YAML file against a Schema description: each problem with its line and column, what is wrong and
// what is expected.
#include <functional>
#include <string>
#include <vector>

#include "node/config.h"
#include "node/schema.h"

namespace tandem::app {

struct ConfigProblem {
  int line = 0;    // from 1
  int column = 0;  // from 1
  std::string text;
};

using Describe = std::function<void(node::Schema&)>;

/// Fills what `describe` names from the file's text. Every problem is found in one go, in the order of the
/// file; the values are only to be used when there is none. Unknown keys are problems.
std::vector<ConfigProblem> read_yaml(const std::string& text, const Describe& describe);

/// The problem with its place in the file's text, which read_yaml() has read without any: that of the key, or
/// of the closest one around it when the key does not stand there.
ConfigProblem place(const std::string& text, const node::Problem& problem);

/// The configuration reference, as Markdown, made from the same description.
std::string reference(const Describe& describe);

/// "file:line:column: text", a line each.
std::string to_text(const std::string& file, const std::vector<ConfigProblem>& problems);

}  // namespace tandem::app
