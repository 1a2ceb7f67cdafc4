// A node is a value: everything of a worker worth keeping, as parts that know their shard.
#include <algorithm>
#include <unordered_map>

#include "call.pb.h"
#include "node/worker_impl.h"
#include "sip.pb.h"

namespace tandem::node {
namespace {

using Part = Worker::Part;
using Room = port::Asker::Room;

/// Who a transaction part belongs to: its room and the object there.
std::optional<sip::TuRef> user_of(std::string_view part) {
  proto::SipTransaction tx;
  if (!tx.ParseFromArray(part.data(), static_cast<int>(part.size()))) return std::nullopt;
  const proto::SipTuRef& user = tx.has_server() ? tx.server().user() : tx.client().user();
  return sip::TuRef{static_cast<Room>(user.room()), user.object(), user.detail()};
}

}  // namespace

std::vector<Part> Worker::snapshot(Now now) const {
  const Impl& w = *impl_;
  std::vector<Part> parts;
  std::unordered_map<uint64_t, uint16_t> shard_of_call;
  std::vector<std::string> bytes;
  w.calls.snapshot(now, bytes);
  for (std::string& b : bytes) {
    proto::CallPart head;
    if (!head.ParseFromString(b)) continue;
    const auto shard = static_cast<uint16_t>(head.shard() % sip::shard_count);
    shard_of_call.emplace(head.id(), shard);
    parts.push_back({Part::Kind::call, shard, std::move(b)});
  }
  std::vector<registrar::Registrar::Part> bindings;
  w.registrar.snapshot(now, bindings);
  for (auto& p : bindings) parts.push_back({Part::Kind::bindings, p.shard, std::move(p.bytes)});
  std::vector<presence::Notifier::Part> watched;
  w.notifier.snapshot(now, watched);
  for (auto& p : watched) parts.push_back({Part::Kind::subscription, p.shard, std::move(p.bytes)});
  std::vector<presence::MessageCentre::Part> open;
  w.messages.snapshot(now, open);
  for (auto& p : open) parts.push_back({Part::Kind::message, p.shard, std::move(p.bytes)});

  // A transaction goes where its call goes. One without a call (a request whose sender is being looked up, a NOTIFY on its way)
  // is not kept: the sender's retransmission starts it afresh, and the notifier sends what it owes.
  bytes.clear();
  w.transactions.snapshot(now, bytes);
  for (std::string& b : bytes) {
    const auto user = user_of(b);
    if (!user) continue;
    const auto call = shard_of_call.find(user->object);
    if (user->room == Room::call && call != shard_of_call.end())
      parts.push_back({Part::Kind::transaction, call->second, std::move(b)});
  }
  return parts;
}

std::vector<Part> Worker::restore(Now now, std::vector<Part> parts) {
  Impl& w = *impl_;
  std::vector<Part> kept;
  // Calls before their transactions, whatever order the parts come in.
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.kind < b.kind; });
  for (Part& p : parts) {
    bool understood = false;
    switch (p.kind) {
      case Part::Kind::call: understood = w.calls.restore(now, p.bytes, {}, w.out); break;
      case Part::Kind::bindings: understood = w.registrar.restore(now, p.bytes); break;
      case Part::Kind::subscription: understood = w.notifier.restore(now, p.bytes); break;
      case Part::Kind::message: understood = w.messages.restore(now, p.bytes); break;
      case Part::Kind::transaction:
        if (const auto restored = w.transactions.restore(now, p.bytes)) {
          w.calls.adopt(*restored);
          understood = true;
        }
        break;
    }
    if (!understood) kept.push_back(std::move(p));
  }
  w.calls.resume(now, w.out);
  w.settle(now);
  return kept;
}

}  // namespace tandem::node
