#pragma once
// Result<T, E>: a value or the reason there is none. No exceptions on packet paths.
#include <cstdlib>
#include <optional>
#include <utility>
#include <variant>

namespace tandem {

template <class E>
struct Failure {
  E reason;
};
template <class E>
Failure(E) -> Failure<E>;

template <class T, class E>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit by design
  Result(Failure<E> failure) : state_(std::in_place_index<1>, std::move(failure.reason)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return must_ok(), *std::get_if<0>(&state_); }
  const T& value() const& { return must_ok(), *std::get_if<0>(&state_); }
  T&& value() && { return must_ok(), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const E& reason() const {
    if (ok()) std::abort();  // a programming error, never a peer's doing
    return *std::get_if<1>(&state_);
  }
  T value_or(T other) const& { return ok() ? value() : std::move(other); }

 private:
  void must_ok() const {
    if (!ok()) std::abort();
  }
  std::variant<T, E> state_;
};

struct Done {};
/// A Result that carries no value.
template <class E>
using Status = Result<Done, E>;

}  // namespace tandem
