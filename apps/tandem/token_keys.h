#pragma once
// The keys of those who sign tokens for subscribers, read from their files.
#include <vector>

#include "auth/bearer.h"
#include "base/result.h"
#include "node/config.h"

namespace tandem::app {

/// In the order of the configuration; the failure names the first key that cannot be used.
Result<std::vector<auth::TokenKey>, node::Problem> read_token_keys(const node::TokenSettings& settings);

}  // namespace tandem::app
