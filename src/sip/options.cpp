#include "sip/options.h"

#include "base/text.h"

namespace tandem::sip {

std::string unsupported_options(const Message& request, std::string_view known) {
  std::string unsupported;
  request.for_each_value(HeaderId::require, [&](std::string_view option) {
    ListCursor list(known);
    std::string_view item;
    while (list.next(item))
      if (iequals(item, option)) return;
    unsupported.append(unsupported.empty() ? "" : ", ").append(option);
  });
  return unsupported;
}

}  // namespace tandem::sip
