#pragma once
// The Contact we register at a trunk. Its user part is a token: the trunk's calls come back to it (RFC 3261
// section 10), so whoever sends it knows it from the registrar we told it to.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "route/plan.h"

namespace tandem::call {

class TrunkContacts {
 public:
  /// `key`: the same on all workers and over restarts, so that a registration outlives them.
  explicit TrunkContacts(const std::array<uint8_t, 32>& key) : key_(key) {}

  /// 't' and 128 bits of a keyed hash of the name, in hex: says nothing of the name and cannot be guessed.
  std::string user_for(std::string_view trunk) const;
  void set_plan(const route::Plan& plan);
  /// Name of the registering trunk that was told this Contact; null for anything else.
  const std::string* trunk_at(std::string_view user) const;

 private:
  std::array<uint8_t, 32> key_;
  std::unordered_map<std::string, std::string, TextHash, std::equal_to<>> trunks_;  // by token
};

}  // namespace tandem::call
