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
  std::string path;  // of the key whose value is not to be believed; empty: of the whole file
};

using Describe = std::function<void(node::Schema&)>;

/// What no single key can show to be wrong, told once the values were read.
using Across = std::function<std::vector<node::Problem>()>;

/// Fills what `describe` names from the file's text. Every problem is found in one go, those of `across` too,
/// in the order of the file; the values are only to be used when there is none. Unknown keys are problems. A
/// problem of `across` stands at its key, or at the closest one around it when the key is not in the file; it
/// is left out when it rests on a value that could not be taken.
std::vector<ConfigProblem> read_yaml(const std::string& text, const Describe& describe,
                                     const Across& across = {});

/// The configuration reference, as Markdown, made from the same description.
std::string reference(const Describe& describe);

/// "file:line:column: text", a line each.
std::string to_text(const std::string& file, const std::vector<ConfigProblem>& problems);

}  // namespace tandem::app
