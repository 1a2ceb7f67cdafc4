#include "tandem/token_keys.h"

#include <fmt/format.h>

#include "tandem/data_dir.h"

namespace tandem::app {

Result<std::vector<auth::TokenKey>, node::Problem> read_token_keys(const node::TokenSettings& settings) {
  std::vector<auth::TokenKey> keys;
  for (size_t i = 0; i < settings.keys.size(); ++i) {
    const node::TokenKeySettings& k = settings.keys[i];
    const auto problem = [&](std::string text) {
      return Failure{node::Problem{fmt::format("sip.tokens.keys[{}].file", i), std::move(text), ""}};
    };
    const auto text = read_file(k.file);
    if (!text.ok()) return problem(text.reason());
    auto key = auth::make_token_key(k.id, k.algorithm, *text);
    if (!key.ok()) return problem(fmt::format("{} is {}", k.file, key.reason()));
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace tandem::app
