#pragma once
// Enumerations that operators see (SQL columns, JSON, the command line) by one name everywhere.
#include <cstddef>
#include <optional>
#include <string_view>

namespace tandem::port {

/// Specialise with `static constexpr std::string_view names[]`, in the order of the enumerators, which count
/// from 0.
template <class E>
struct EnumText;

template <class E>
constexpr std::string_view to_text(E value) {
  const auto i = static_cast<size_t>(value);
  return i < std::size(EnumText<E>::names) ? EnumText<E>::names[i] : std::string_view("unknown");
}

template <class E>
constexpr std::optional<E> from_text(std::string_view text) {
  for (size_t i = 0; i < std::size(EnumText<E>::names); ++i)
    if (EnumText<E>::names[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace tandem::port
