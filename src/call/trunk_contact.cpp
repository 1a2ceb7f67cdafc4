#include "call/trunk_contact.h"

#include "crypto/hash.h"

namespace tandem::call {

std::string TrunkContacts::user_for(std::string_view trunk) const {
  const std::string_view key(reinterpret_cast<const char*>(key_.data()), key_.size());
  const crypto::HexDigest digest =
      crypto::hex(crypto::hmac(crypto::Hash::sha256, key, {"trunk contact", trunk}));
  return "t" + std::string(digest.view().substr(0, 32));
}

void TrunkContacts::set_plan(const route::Plan& plan) {
  trunks_.clear();
  for (const route::Trunk* t : plan.trunks())
    if (t->row.kind == port::TrunkRow::Kind::registration)
      trunks_.emplace(user_for(t->row.name), t->row.name);
}

const std::string* TrunkContacts::trunk_at(std::string_view user) const {
  const auto it = trunks_.find(user);
  return it == trunks_.end() ? nullptr : &it->second;
}

}  // namespace tandem::call
