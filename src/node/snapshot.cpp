// A node is a value: everything of a worker worth keeping, as parts that know their shard.
#include <algorithm>
#include <unordered_map>

#include "call.pb.h"
#include "node/worker_impl.h"
#include "sip/dialog.h"
#include "sip.pb.h"

namespace tandem::node {
namespace {

using Part = Worker::Part;
using Room = port::Asker::Room;

/// The tags of a call's dialogs. After it took in legs of other calls they name other shards than its own.
void tags_of(const proto::CallPart& call, std::vector<std::string>& tags) {
  const auto add = [&](const std::string& dialog) {
    if (const auto d = sip::dialog_from_part(dialog); d && !d->local_tag.empty())
      tags.push_back(d->local_tag);
  };
  for (const proto::CallParty& party : call.parties()) {
    add(party.sip().dialog());
    for (const std::string& early : party.sip().early()) add(early);
  }
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

  std::vector<webrtc::Gateway::Part> sessions;
  w.rtc.snapshot(now, sessions);
  for (auto& p : sessions) parts.push_back({Part::Kind::web_session, p.shard, std::move(p.bytes)});

  // A transaction goes where its call goes, or where its messages arrive. Requests other than INVITE that
  // have neither call nor dialog are not kept: they are sent again, and the notifier sends what it owes. An
  // INVITE had its 100, so nobody will send it again.
  bytes.clear();
  w.transactions.snapshot(now, bytes);
  for (std::string& b : bytes) {
    proto::SipTransaction tx;
    if (!tx.ParseFromString(b)) continue;
    const proto::SipTuRef& user = tx.has_server() ? tx.server().user() : tx.client().user();
    const auto call = shard_of_call.find(user.object());
    std::optional<uint16_t> shard;
    if (static_cast<Room>(user.room()) == Room::call && call != shard_of_call.end())
      shard = call->second;
    else
      shard = w.shard_of_transaction(tx);
    if (shard) parts.push_back({Part::Kind::transaction, *shard, std::move(b)});
  }
  if (w.turn) {
    std::vector<turn::Server::Part> relays;
    w.turn->snapshot(now, relays);
    for (auto& p : relays) parts.push_back({Part::Kind::relay, p.shard, std::move(p.bytes)});
  }
  return parts;
}

std::vector<Part> Worker::restore(Now now, std::vector<Part> parts) {
  Impl& w = *impl_;
  std::vector<Part> kept;
  Impl::Strays strays;
  // Calls before their transactions, whatever order the parts come in.
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.kind < b.kind; });
  for (Part& p : parts) {
    bool understood = false;
    switch (p.kind) {
      case Part::Kind::call:
        understood = w.calls.restore(now, p.bytes, {}, w.out);
        if (understood) w.find_strays(p.bytes, strays);
        break;
      case Part::Kind::bindings:
        understood = w.registrar.restore(now, p.bytes);
        break;
      case Part::Kind::subscription:
        understood = w.notifier.restore(now, p.bytes);
        break;
      case Part::Kind::message:
        understood = w.messages.restore(now, p.bytes);
        break;
      case Part::Kind::transaction:
        understood = w.restore_transaction(now, p.bytes, strays);
        break;
      case Part::Kind::web_session: {
        webrtc::Outcome outcome;
        understood = w.rtc.restore(now, p.bytes, outcome);
        w.carry_out(std::move(outcome));
        break;
      }
      case Part::Kind::relay:
        understood = w.turn && w.turn->restore(now, p.bytes);
        break;
    }
    if (!understood) kept.push_back(std::move(p));
  }
  w.calls.resume(now, w.out);
  w.tell_strays(now, strays);
  w.settle(now);
  return kept;
}

/// Where the messages of a transaction without a call arrive: an INVITE's, or an answered one's within a
/// dialog.
std::optional<uint16_t> Worker::Impl::shard_of_transaction(const proto::SipTransaction& tx) const {
  constexpr auto invite = static_cast<uint32_t>(sip::Method::invite);
  if (tx.has_client()) {
    const std::string& identity = tx.client().identity();
    const auto owner = mint.owner(std::string_view(identity).substr(0, identity.find('\n')));
    return tx.client().method() == invite && owner ? std::optional(owner->shard) : std::nullopt;
  }
  const bool answered = tx.server().state() == proto::SIP_TX_COMPLETED;
  if (tx.server().method() != invite && !(answered && tx.server().within_dialog())) return std::nullopt;
  // Answered, the request is gone, and what is left of it is in the answer.
  const std::string& text = tx.server().request().empty() ? tx.server().response() : tx.server().request();
  const auto message = sip::Message::parse(Buffer::copy_of(text));
  if (!message.ok()) return std::nullopt;
  if (message->is_request()) return shard_of(*message, mint, *plan);
  if (const auto owner =
          mint.owner(tx.server().within_dialog() ? message->to_tag() : tx.server().request_to_tag()))
    return owner->shard;
  return sip::shard_of(message->call_id());
}

bool Worker::Impl::restore_transaction(Now now, const std::string& bytes, Strays& strays) {
  const auto restored = transactions.restore(now, bytes);
  if (!restored) return false;
  if (restored->user.room != Room::call) {
    if (!restored->server) return true;
    // Not answered yet: as if it had just come in, the sender is looked up again.
    transactions.set_user(restored->server, {});
    const port::Path* path = transactions.path_of(restored->server);
    if (!path || !transactions.request_of(restored->server)) return true;
    sip::TuEvent e;
    e.kind = sip::TuEvent::Kind::request;
    e.server = restored->server;
    e.path = *path;
    pending.push_back(std::move(e));
    return true;
  }
  calls.adopt(*restored);
  proto::SipTransaction tx;
  const auto call = strays.find(restored->user.object);
  if (call == strays.end() || !tx.ParseFromString(bytes)) return true;
  const std::string& identity = tx.has_client() ? tx.client().identity() : tx.server().identity();
  std::string branch = identity.substr(0, identity.find('\n'));
  if (tx.has_client()) {
    if (const auto owner = mint.owner(branch))
      stray(worker_of(owner->shard), std::move(branch), call->second);
  } else if (const sip::Message* request = transactions.request_of(restored->server)) {
    stray(worker_of(shard_of(*request, mint, *plan)), std::string(request->top_via().branch), call->second);
  }
  return true;
}

void Worker::Impl::find_strays(const std::string& part, Strays& strays) {
  proto::CallPart call;
  if (!call.ParseFromString(part)) return;
  CallNames& names = strays[call.id()];
  tags_of(call, names.tags);
  for (const std::string& tag : names.tags)
    if (const auto owner = mint.owner(tag)) stray(worker_of(owner->shard), tag, names);
}

void Worker::Impl::stray(uint16_t arrives_at, std::string name, CallNames& call) {
  if (arrives_at != settings.index) call.names[arrives_at].push_back(std::move(name));
}

/// Workers that will be sent a call's messages are told where it lives, as if it had moved here from there.
void Worker::Impl::tell_strays(Now now, Strays& strays) {
  for (auto& [id, call] : strays)
    for (auto& [worker, names] : call.names) {
      out.mail(worker, std::make_unique<ForwardMail>(settings.index, names));
      moved.push_back({worker, call.tags, std::move(names)});
    }
  if (!moved.empty() && next_sweep.is_never()) next_sweep = now.mono + seconds(10);
}

}  // namespace tandem::node
