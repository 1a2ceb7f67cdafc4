#include "node/ownership.h"

#include "base/text.h"

namespace tandem::node {

uint16_t shard_of(const port::AddressOfRecord& aor) { return sip::shard_of(aor.to_string()); }

port::AddressOfRecord aor_of(const sip::Uri& uri) {
  return {sip::unescape(uri.user).value_or(std::string(uri.user)), lower(uri.host)};
}

namespace {

uint16_t shard_of_uri(const sip::Uri& uri, const route::Plan& plan) {
  port::AddressOfRecord aor = aor_of(uri);
  if (std::string domain = plan.domain_of(aor.domain); !domain.empty()) aor.domain = std::move(domain);
  return shard_of(aor);
}

}  // namespace

uint16_t shard_of(const sip::Message& message, const sip::TokenMint& mint, const route::Plan& plan) {
  if (message.is_response()) {
    if (const auto owner = mint.owner(message.top_via().branch)) return owner->shard;
  } else if (message.method() == sip::Method::register_) {
    // Before the tag: a REGISTER makes no dialog, and one with a tag must not bind on another worker.
    if (const auto to = message.to(); to.ok() && to->uri.is_sip()) return shard_of_uri(to->uri, plan);
  } else if (!message.to_tag().empty()) {
    if (const auto owner = mint.owner(message.to_tag())) return owner->shard;
  } else if (message.method() == sip::Method::subscribe || message.method() == sip::Method::publish ||
             message.method() == sip::Method::message) {
    if (const auto uri = message.parsed_request_uri(); uri.ok() && uri->is_sip())
      return shard_of_uri(*uri, plan);
  }
  return sip::shard_of(message.call_id());
}

}  // namespace tandem::node
