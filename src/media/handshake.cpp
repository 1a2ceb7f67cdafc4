#include "media/handshake.h"

#include <algorithm>

namespace tandem::media {
namespace {
constexpr Duration rest = seconds(1);               // before a client begins anew
constexpr Duration look_again = milliseconds(200);  // for where the peer is
}  // namespace

Handshake::Handshake(dtls::Endpoint& endpoint, dtls::Role role, std::vector<dtls::Fingerprint> peer,
                     Instant now)
    : endpoint_(&endpoint),
      role_(role),
      expected_(std::move(peer)),
      start_(role == dtls::Role::client ? now : Instant::never()),
      limit_(now + limit) {}

void Handshake::settle() {
  settled_ = true;
  tries_.clear();
  start_ = limit_ = Instant::never();
}

void Handshake::wait_on(Instant now) { limit_ = now + limit; }

const dtls::Keys* Handshake::keys() const {
  return settled_ && !tries_.empty() ? tries_.front().association->keys() : nullptr;
}

Handshake::Try* Handshake::find(const SocketAddress& from) {
  const auto found = std::find_if(tries_.begin(), tries_.end(), [&](const Try& t) { return t.with == from; });
  return found == tries_.end() ? nullptr : &*found;
}

/// The oldest goes, but never the one with the address the peer has named.
bool Handshake::make_room(bool said) {
  if (!said && attempts_ >= most_attempts) return false;
  if (tries_.size() < most_sources) return true;
  const auto oldest = std::find_if(tries_.begin(), tries_.end(), [](const Try& t) { return !t.said; });
  if (oldest == tries_.end()) return false;
  tries_.erase(oldest);
  return true;
}

Handshake::Try* Handshake::begin(const SocketAddress& with, bool said) {
  dtls::Options options;
  options.role = role_;
  options.peer = expected_;
  options.limit = limit;
  return &tries_.emplace_back(Try{with, said, endpoint_->open(options)});
}

bool Handshake::on_datagram(Now now, const SocketAddress& from, bool said, Bytes bytes, Out& out) {
  Try* t = find(from);
  if (!t && (settled_ || role_ == dtls::Role::client || !make_room(said))) {
    endpoint_->troubles().add(dtls::Reason::unvalidated_source);
    return false;
  }
  if (!t) t = begin(from, said);
  const auto before = t->association->state();
  dtls::Datagrams made;
  t->association->on_datagram(now, bytes, dtls::Source::validated, made);
  if (t->association->state() == dtls::Association::State::idle) {  // that was no ClientHello
    tries_.erase(tries_.begin() + (t - tries_.data()));
    return false;
  }
  if (before == dtls::Association::State::idle) ++attempts_;
  return after(now, *t, made, out);
}

/// Sends what the association has made, and takes in what became of it. True: keys.
bool Handshake::after(Now now, Try& t, dtls::Datagrams& made, Out& out) {
  for (std::vector<uint8_t>& bytes : made) out.push_back({t.with, std::move(bytes)});
  if (settled_) return false;
  if (t.association->state() == dtls::Association::State::failed) {
    tries_.erase(tries_.begin() + (&t - tries_.data()));
    if (role_ == dtls::Role::client && !overdue() && restarts_++ < most_restarts) start_ = now.mono + rest;
    return false;
  }
  if (!t.association->keys()) return false;
  Try won = std::move(t);
  tries_.clear();
  peer_ = won.with;
  tries_.push_back(std::move(won));
  settled_ = true;
  start_ = limit_ = Instant::never();
  return true;
}

void Handshake::on_timeout(Now now, const SocketAddress& peer, Out& out) {
  if (now.mono >= limit_) limit_ = Instant::never();
  if (now.mono >= start_) {
    start_ = peer ? Instant::never() : now.mono + look_again;
    if (peer) {
      dtls::Datagrams made;
      Try& t = *begin(peer, true);
      t.association->start(now, made);
      after(now, t, made, out);
    }
  }
  // From behind: a failed one is erased.
  for (size_t i = tries_.size(); i-- > 0;) {
    Try& t = tries_[i];
    if (t.association->next_timeout() > now.mono) continue;
    if (role_ == dtls::Role::client && !settled_ && peer) t.with = peer;
    dtls::Datagrams made;
    t.association->on_timeout(now, made);
    after(now, t, made, out);
  }
}

Instant Handshake::next_timeout() const {
  Instant next = std::min(start_, limit_);
  for (const Try& t : tries_) next = std::min(next, t.association->next_timeout());
  return next;
}

}  // namespace tandem::media
