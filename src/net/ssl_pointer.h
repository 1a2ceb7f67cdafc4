#pragma once
#include <memory>

struct ssl_st;

namespace tandem::net {

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
/// One TLS connection; null: none.
using SslPointer = std::unique_ptr<ssl_st, SslFree>;

}  // namespace tandem::net
