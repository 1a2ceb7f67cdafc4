// The keys of a leg's streams: from the descriptions (SDES), or by handshakes on its ports (DTLS).
#include <algorithm>

#include "media.pb.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr size_t most_early = 4;
constexpr size_t longest_early = 2048;

/// A handshake message that is not encrypted: the first flight is made of those (RFC 6347 section 4.1).
bool may_begin(Bytes datagram) {
  return datagram.size() > 13 && datagram.size() <= longest_early && datagram[0] == 22 && datagram[3] == 0 &&
         datagram[4] == 0;
}

std::optional<srtp::MasterKey> read_key(uint32_t suite, const std::string& octets) {
  if (suite > static_cast<uint32_t>(srtp::Suite::aead_aes_256_gcm)) return std::nullopt;
  return srtp::MasterKey::from(static_cast<srtp::Suite>(suite), as_bytes(octets));
}

void write_port(const Handshake& h, Secured* secured, proto::MediaDtlsPort& out) {
  out.set_settled(h.settled());
  if (!secured) return;
  out.set_our_suite(static_cast<uint32_t>(secured->ours().suite()));
  out.set_their_suite(static_cast<uint32_t>(secured->theirs().suite()));
  out.set_ours(std::string(as_text(secured->ours().bytes())));
  out.set_theirs(std::string(as_text(secured->theirs().bytes())));
  out.set_srtp_sender(secured->sender_record());
  out.set_srtp_receiver(secured->receiver_record());
}

/// What left under other keys, or none, is nothing to send again.
void forget_sent(Endpoint& e) {
  for (Stream& s : e.streams) s.sent_packets.reset();
}

}  // namespace

/// While an offer is open what was agreed before holds: the one who offers new keys goes on with the old ones
/// until it has an answer (RFC 4568 section 7.1.4), and with DTLS until the handshake is done.
void EngineState::secure(Now now, Endpoint& e) {
  const auto& remote = e.checkpoint ? e.checkpoint->remote : e.remote;
  const auto& local = e.checkpoint ? e.checkpoint->local : e.local;
  const bool ends = e.config.srtp != Srtp::passed && !e.direct;
  const bool agreed = ends && remote && local;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    const auto said = [&](const auto& d) { return ends && d && asks_for_dtls(*d, i); };
    const auto terms = agreed ? agreed_dtls(*remote, *local, i) : std::nullopt;
    const auto keys = agreed && !terms ? agreed_keys(*remote, *local, i) : std::nullopt;
    s.dtls_said = terms || said(e.remote) || said(e.local);
    s.locked = terms || keys || (agreed ? said(remote) && said(local) : said(e.remote) || said(e.local));
    if (e.bundle && e.bundle->joins(i)) {  // its packets go under the tag's keys
      s.dtls.reset();
      s.secured.reset();
      s.secured_rtcp.reset();
      s.early.clear();
      s.dtls_said = false;
      continue;
    }
    if (!s.dtls_said) s.early.clear();
    if (terms) {
      agree_dtls(now, s, *terms, remote->has_attribute(i, "rtcp-mux") && local->has_attribute(i, "rtcp-mux"));
      continue;
    }
    s.dtls.reset();
    s.secured_rtcp.reset();
    if (keys ? !s.secured || !(s.secured->ours() == keys->ours) : s.secured != nullptr) forget_sent(e);
    if (!keys)
      s.secured.reset();
    else if (s.secured)
      s.secured->rekey(keys->theirs, keys->ours);
    else
      s.secured = std::make_unique<Secured>(keys->theirs, keys->ours, refusals);
  }
  for (size_t i = 0; e.bundle && i < e.streams.size(); ++i)
    if (e.bundle->joins(i)) e.streams[i].locked = e.streams[e.bundle->tag()].locked;
  const bool waiting = !e.checkpoint && std::any_of(e.streams.begin(), e.streams.end(), [](const Stream& s) {
    return s.dtls && !s.early.empty();
  });
  arm_keying(e, waiting ? now.mono : Instant::never());
}

void EngineState::send_handshake(const Flow& f, Handshake::Out& from, port::MediaOut& out) const {
  for (const Handshake::Datagram& d : from) {
    Buffer packet = Buffer::with_capacity(d.bytes.size());
    packet.resize(d.bytes.size());
    std::copy(d.bytes.begin(), d.bytes.end(), packet.data());
    out.send_own(f.port, d.to, std::move(packet), shared.by_connection(f.port, d.to));
  }
  from.clear();
}

void EngineState::agree_dtls(Now now, Stream& s, const DtlsTerms& terms, bool mux) {
  if (s.dtls && s.dtls->terms.goes_on_under(terms)) {
    if (terms.place) s.dtls->terms.place = terms.place;
  } else if (terms.role) {
    s.dtls = std::make_unique<DtlsKeying>();
    s.dtls->terms = terms;
    s.dtls->rtp = std::make_unique<Handshake>(dtls, *terms.role, terms.peer, now.mono);
  } else {
    return;  // holdconn, with terms that are new: there is nothing to hold
  }
  const DtlsTerms& held = s.dtls->terms;
  if (mux) {
    s.dtls->rtcp.reset();
    s.secured_rtcp.reset();
  } else if (!s.dtls->rtcp) {
    s.dtls->rtcp = std::make_unique<Handshake>(dtls, *held.role, held.peer, now.mono);
  }
}

void EngineState::lock(Stream& s) {
  for (const bool reports : {false, true}) {
    Flow* f = flow_of(reports ? s.rtcp.id : s.rtp.id);
    if (!f) continue;
    f->locked = s.locked;
    f->dtls = s.dtls_said;
    f->secured = reports && s.dtls && s.dtls->rtcp ? s.secured_rtcp.get() : s.secured.get();
  }
}

void EngineState::arm_keying(Endpoint& e, Instant latest) {
  Instant next = latest;
  for (const Stream& s : e.streams) {
    if (!s.dtls) continue;
    next = std::min(next, s.dtls->rtp->next_timeout());
    if (s.dtls->rtcp) next = std::min(next, s.dtls->rtcp->next_timeout());
  }
  if (next == e.keying_at) return;
  e.keying_at = next;
  timers.push(next, {e.id, TimerKind::keying});
}

void EngineState::on_keying(Now now, Endpoint& e, port::MediaOut& out) {
  for (Stream& s : e.streams) {
    if (!s.dtls) continue;
    if (!e.checkpoint) replay_early(now, s, out);
    for (const bool reports : {false, true}) {
      Handshake* h = s.dtls->of(reports).get();
      Flow* f = flow_of(reports ? s.rtcp.id : s.rtp.id);
      if (!h || !f) continue;
      const bool was_overdue = h->overdue();
      Handshake::Out sends;
      h->on_timeout(now, f->latch.destination(), sends);
      send_handshake(*f, sends, out);
      if (!was_overdue && h->overdue() && !reports) overdue(now, e, s);
    }
  }
  count_troubles();
  e.keying_at = Instant::never();
  arm_keying(e, Instant::never());
}

/// What came before the answer. Whoever the answer does not make plausible was a stranger.
void EngineState::replay_early(Now now, Stream& s, port::MediaOut& out) {
  for (const EarlyHandshake& early : std::exchange(s.early, {}))
    if (Flow* f = flow_of(early.rtcp ? s.rtcp.id : s.rtp.id))
      if (!on_handshake(now, *f, early.from, early.bytes, out)) ++f->foreign;
}

bool EngineState::on_handshake(Now now, Flow& f, const SocketAddress& from, Bytes bytes,
                               port::MediaOut& out) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || f.stream >= e->streams.size()) return false;
  Stream& s = e->streams[f.stream];
  // While an offer is open: the peer's ClientHello may overtake its answer, which will tell whether it was
  // the peer's. The latest are kept; what is pushed out comes again.
  const bool kept = e->checkpoint && may_begin(bytes);
  if (kept) {
    if (s.early.size() >= most_early) s.early.erase(s.early.begin());
    s.early.push_back({f.rtcp, from, {bytes.begin(), bytes.end()}});
  }
  if (f.ice ? !validated(*e, f, from) : !f.latch.plausible(now.mono, from, latch_policy(*e))) {
    if (kept) return true;
    dtls.troubles().add(dtls::Reason::unvalidated_source);
    count_troubles();
    return false;
  }
  if (Handshake* h = s.dtls ? s.dtls->of(f.rtcp).get() : nullptr) {
    Handshake::Out sends;
    const bool said = f.ice || from == f.latch.expected() || f.latch.is_source(from);
    const bool done = h->on_datagram(now, from, said, bytes, sends);
    send_handshake(f, sends, out);
    if (done) keyed(now, *e, s, f.rtcp);
    arm_keying(*e, Instant::never());
  }
  count_troubles();
  return true;
}

/// The handshake is done: its keys hold, and its peer is who the port's packets come from.
void EngineState::keyed(Now now, Endpoint& e, Stream& s, bool reports) {
  const Handshake& h = *s.dtls->of(reports);
  const dtls::Keys& keys = *h.keys();
  auto& secured = reports ? s.secured_rtcp : s.secured;
  forget_sent(e);
  if (secured)
    secured->replace(keys.theirs, keys.ours);
  else
    secured = std::make_unique<Secured>(keys.theirs, keys.ours, refusals);
  lock(s);
  counters_.keyed.add();
  Flow* f = flow_of(reports ? s.rtcp.id : s.rtp.id);
  if (f && !f->ice && !f->latch.is_source(h.peer())) {
    f->latch.confirm(h.peer());
    if (f->latch.away() && !reports) {
      counters_.latched.add();
      emit(e, MediaEvent::Kind::latched);
    }
  }
  ++e.revision;
  reroute(e);
  want_picture(now, e);
}

/// Before the call is answered nobody waits for it; old keys, if there are any, go on.
void EngineState::overdue(Now now, Endpoint& e, Stream& s) {
  if (s.secured) return;
  if (!e.answered) return s.dtls->rtp->wait_on(now.mono);
  counters_.unkeyed.add();
  emit(e, MediaEvent::Kind::unkeyed);
}

void EngineState::count_troubles() {
  for (size_t i = 0; i < dtls::reason_count; ++i)
    counters_.dtls_troubles[i]->set(dtls.troubles().count(static_cast<dtls::Reason>(i)));
}

void EngineState::write_keying(const Stream& s, proto::MediaDtls& out) {
  out.set_client(s.dtls->rtp->role() == dtls::Role::client);
  write_port(*s.dtls->rtp, s.secured.get(), *out.mutable_rtp());
  if (s.dtls->rtcp) write_port(*s.dtls->rtcp, s.secured_rtcp.get(), *out.mutable_rtcp());
}

/// After apply_terms(), which has begun the handshakes anew.
bool EngineState::read_keying(Now now, const proto::MediaDtls& in, Endpoint& e, size_t i) {
  Stream& s = e.streams[i];
  if (!s.dtls) {  // the descriptions say holdconn: the role is only here
    const auto& remote = e.checkpoint ? e.checkpoint->remote : e.remote;
    const auto& local = e.checkpoint ? e.checkpoint->local : e.local;
    auto terms = remote && local && s.dtls_said ? agreed_dtls(*remote, *local, i) : std::nullopt;
    if (!terms) return true;
    terms->role = in.client() ? dtls::Role::client : dtls::Role::server;
    agree_dtls(now, s, *terms, !in.has_rtcp());
  }
  for (const bool reports : {false, true}) {
    const proto::MediaDtlsPort& port = reports ? in.rtcp() : in.rtp();
    Handshake* handshake = s.dtls->of(reports).get();
    if (!handshake) continue;
    if (port.settled()) handshake->settle();
    if (port.ours().empty()) continue;
    const auto ours = read_key(port.our_suite(), port.ours());
    const auto theirs = read_key(port.their_suite(), port.theirs());
    if (!ours || !theirs) return false;
    auto& secured = reports ? s.secured_rtcp : s.secured;
    secured = std::make_unique<Secured>(*theirs, *ours, refusals);
    if (!secured->restore(as_bytes(port.srtp_sender()), as_bytes(port.srtp_receiver()))) return false;
  }
  lock(s);
  return true;
}

}  // namespace tandem::media
