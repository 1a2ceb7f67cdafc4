#include "media/network_tones.h"

#include <array>
#include <utility>

namespace tandem::media {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 10> countries = {{{"1", "US"},
                                                                                      {"33", "FR"},
                                                                                      {"34", "ES"},
                                                                                      {"39", "IT"},
                                                                                      {"44", "GB"},
                                                                                      {"49", "DE"},
                                                                                      {"61", "AU"},
                                                                                      {"81", "JP"},
                                                                                      {"82", "KR"},
                                                                                      {"86", "CN"}}};

}  // namespace

codec::CountryTones tones_of(std::string_view calling_code) {
  for (const auto& [code, country] : countries)
    if (code == calling_code)
      if (auto tones = codec::country_tones(country)) return std::move(*tones);
  using codec::ToneSequence;
  return {ToneSequence::steady(425), ToneSequence::ringback(), ToneSequence::busy(),
          ToneSequence::congestion()};
}

}  // namespace tandem::media
