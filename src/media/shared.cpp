#include "media/shared.h"

#include <algorithm>

namespace tandem::media {

const SharedPorts::Leg* SharedPorts::find(port::MediaPortId leg) const {
  const auto it = legs_.find(leg.slot);
  return it != legs_.end() && it->second.id == leg ? &it->second : nullptr;
}

void SharedPorts::add(port::MediaPortId leg, port::MediaPortId hub) { legs_[leg.slot] = {leg, hub, {}, {}}; }

std::vector<SharedPorts::From> SharedPorts::remove(port::MediaPortId leg) {
  if (!find(leg)) return {};
  set_fragments(leg, {});
  std::vector<From> connections;
  for (const From& from : legs_[leg.slot].remotes) {
    const auto claim = claims_.find(from);
    if (claim == claims_.end() || claim->second.leg != leg) continue;
    claims_.erase(claim);
    if (from.connection) connections.push_back(from);
  }
  legs_.erase(leg.slot);
  return connections;
}

port::MediaPortId SharedPorts::hub_of(port::MediaPortId leg) const {
  const Leg* l = find(leg);
  return l ? l->hub : port::MediaPortId{};
}

void SharedPorts::set_fragments(port::MediaPortId leg, std::vector<std::string> fragments) {
  if (!find(leg)) return;
  Leg& l = legs_[leg.slot];
  if (l.fragments == fragments) return;
  for (const std::string& old : l.fragments)
    if (const auto it = fragments_.find(old); it != fragments_.end() && it->second == leg.slot)
      fragments_.erase(it);
  for (const std::string& each : fragments) fragments_[each] = leg.slot;
  l.fragments = std::move(fragments);
}

port::MediaPortId SharedPorts::by_fragment(uint32_t hub, std::string_view fragment) const {
  const auto it = fragments_.find(fragment);
  if (it == fragments_.end()) return {};
  const Leg& l = legs_.at(it->second);
  return l.hub.slot == hub ? l.id : port::MediaPortId{};
}

port::MediaPortId SharedPorts::by_mark(uint32_t hub, uint32_t mark) const {
  const auto it = legs_.find((mark ^ secret_) - 1);
  return it != legs_.end() && it->second.hub.slot == hub ? it->second.id : port::MediaPortId{};
}

port::MediaPortId SharedPorts::by_remote(const From& from) const {
  const auto it = claims_.find(from);
  return it == claims_.end() ? port::MediaPortId{} : it->second.leg;
}

void SharedPorts::heard(Now now, const From& from) {
  if (const auto it = claims_.find(from); it != claims_.end()) it->second.heard = now.mono;
}

bool SharedPorts::is_taken(Now now, const From& from, port::MediaPortId leg) const {
  const auto it = claims_.find(from);
  return it != claims_.end() && it->second.leg != leg && it->second.before != leg &&
         now.mono - it->second.heard < claim_rest;
}

void SharedPorts::claim(Now now, const From& from, port::MediaPortId leg) {
  if (!find(leg)) return;
  port::MediaPortId before;
  if (const auto it = claims_.find(from); it != claims_.end()) {
    // Who has it back keeps it: the other one waits like anybody.
    before = it->second.leg == leg      ? it->second.before
             : it->second.before == leg ? port::MediaPortId{}
                                        : it->second.leg;
    if (it->second.leg != leg) release(from);
  }
  claims_[from] = {leg, now.mono, before};
  auto& remotes = legs_[leg.slot].remotes;
  if (std::find(remotes.begin(), remotes.end(), from) != remotes.end()) return;
  if (remotes.size() >= most_remotes) release(From(remotes.front()));
  remotes.push_back(from);
}

void SharedPorts::release(const From& from) {
  const auto it = claims_.find(from);
  if (it == claims_.end()) return;
  if (const auto leg = legs_.find(it->second.leg.slot); leg != legs_.end())
    std::erase(leg->second.remotes, from);
  claims_.erase(it);
}

bool SharedPorts::by_connection(port::MediaPortId leg, const SocketAddress& remote) const {
  const Leg* l = find(leg);
  if (!l) return false;
  const auto claimed = [&](bool connection) {
    return std::find(l->remotes.begin(), l->remotes.end(), From{l->hub.slot, remote, connection}) !=
           l->remotes.end();
  };
  return claimed(true) && !claimed(false);
}

}  // namespace tandem::media
