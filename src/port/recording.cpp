#include "port/recording.h"

#include <fmt/format.h>

#include <chrono>

namespace tandem::port {

std::string dated_name(WallTime time, std::string_view tail) {
  const std::chrono::sys_seconds at{seconds(time.unix_seconds())};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{at - day};
  return fmt::format("{:04}-{:02}-{:02}/{:02}{:02}{:02}-{}", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()}, clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count(), tail);
}

}  // namespace tandem::port
