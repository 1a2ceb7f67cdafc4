#pragma once
// Feature codes: what a phone dials to talk to the exchange itself. The defaults are what users of Asterisk
// distributions and FreeSWITCH know; docs/dialplan.md has the table.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "port/directory.h"
#include "route/decision.h"

namespace tandem::route {

/// Does the code want a number after it?
bool takes_argument(port::Feature f);
/// Can a caller from outside (a trunk) be given it by a route? Only what changes nothing.
bool harmless(port::Feature f);

/// The codes of one domain: defaults, then rows of every domain, then the domain's own.
class FeatureCodes {
 public:
  static FeatureCodes defaults();
  /// A disabled row removes the code.
  void put(const port::FeatureCodeRow& row);

  /// The longest code that fits `number`. A code that wants a number and has none gives an empty argument.
  std::optional<FeatureCall> find(std::string_view number) const;

 private:
  std::map<std::string, port::Feature, std::less<>> codes_;
};

}  // namespace tandem::route
