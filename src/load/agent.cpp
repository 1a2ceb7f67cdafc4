#include "load/agent.h"

#include <algorithm>
#include <cmath>

#include "auth/client.h"
#include "base/text.h"
#include "sdp/description.h"

namespace tandem::load {
namespace {

constexpr int starts_per_batch = 256;  // so that a late generator still reads what comes back
constexpr uint16_t silent_port = 16000;

/// Of a Contact; secure WebSockets have none of their own (RFC 7118 section 5.2.1).
std::string transport_parameter(port::Transport t) {
  if (t == port::Transport::udp) return {};
  return ";transport=" + lower(port::to_string(t == port::Transport::wss ? port::Transport::ws : t));
}

}  // namespace

std::string cause_of(const sip::Message& response) {
  return std::to_string(response.status()) + " " + std::string(sip::default_reason(response.status()));
}

Agent::Agent(Settings settings, port::MediaPorts& ports, Rng& rng, dtls::Endpoint* dtls)
    : settings_(std::move(settings)),
      rng_(rng),
      streams_(ports, rng, statistics_, dtls),
      caller_sound_(settings_.caller ? make_sound(settings_.caller->codec) : nullptr),
      callee_sound_(settings_.callee ? make_sound(settings_.callee->codec) : nullptr),
      run_(static_cast<uint32_t>(rng.next())),
      outgoing_(settings_.caller ? settings_.caller->limit : 0),
      incoming_(settings_.callee ? settings_.callee->limit : 0),
      registrations_(settings_.registrations ? settings_.registrations->limit : 0) {}

void Agent::start(Now now, SocketAddress caller, SocketAddress callee) {
  const std::string transport = port::to_string(settings_.transport);
  const auto endpoint = [&](const SocketAddress& local) {
    Endpoint e;
    e.local = local;
    e.via = "SIP/2.0/" + transport + " " + local.to_string() + ";rport;branch=z9hG4bK";
    e.contact = "@" + local.to_string() + transport_parameter(settings_.transport);
    return e;
  };
  caller_ = endpoint(caller);
  callee_ = endpoint(callee);
  if (settings_.caller) {
    call_clock_.pace = settings_.caller->pace;
    call_clock_.next = now.mono;
  }
  if (settings_.registrations) {
    registration_clock_.pace = settings_.registrations->pace;
    registration_clock_.next = now.mono;
  }
}

void Agent::wind_down() {
  winding_down_ = true;
  call_clock_.pace.count = call_clock_.begun;
  registration_clock_.pace.count = registration_clock_.begun;
}

bool Agent::done(Now now) const {
  if (!call_clock_.finished() || !registration_clock_.finished() || outgoing_.size() > 0) return false;
  if (settings_.registrations && !settings_.registrations->refresh && registrations_.size() > 0) return false;
  if (incoming_.size() > 0 && !(settings_.caller && now.mono > last_ended_ + patience_for_bye)) return false;
  return settings_.caller || (settings_.registrations && !settings_.callee) || winding_down_;
}

void Agent::finish() {
  std::vector<SlotId> left;
  outgoing_.for_each([&](SlotId id, OutgoingCall&) { left.push_back(id); });
  for (const SlotId id : left) end_call({}, id, "still up at the end");
  left.clear();
  incoming_.for_each([&](SlotId id, IncomingCall&) { left.push_back(id); });
  for (const SlotId id : left) end_incoming(id, "no BYE");
}

// ---- time ------------------------------------------------------------------------------------------------

void Agent::pace(Now now, Clockwork& clock, void (Agent::*begin)(Now)) {
  for (int i = 0; i < starts_per_batch && !clock.finished() && clock.next <= now.mono; ++i) {
    ++clock.begun;
    (this->*begin)(now);
    double gap = 1e9 / clock.pace.rate;
    if (clock.pace.poisson) gap *= -std::log1p(-static_cast<double>(rng_.next() >> 11) * 0x1p-53);
    clock.next = clock.next + Duration(static_cast<int64_t>(gap));
  }
}

void Agent::count_start(Now now) {
  if (statistics_.first_start == Instant{}) statistics_.first_start = now.mono;
  statistics_.last_start = now.mono;
}

Instant Agent::next_timeout() const {
  Instant next = std::min(timer_queue_.next(), streams_.next_timeout());
  if (!call_clock_.finished() && callee_reachable()) next = std::min(next, call_clock_.next);
  if (!registration_clock_.finished()) next = std::min(next, registration_clock_.next);
  return next;
}

/// Whoever calls its own callee begins when each of the callee's registrations has had its answer.
bool Agent::callee_reachable() const {
  return !settings_.registrations ||
         (registration_clock_.finished() &&
          statistics_.registered + statistics_.registrations_failed >= registration_clock_.begun);
}

void Agent::on_timeout(Now now) {
  if (callee_reachable()) {
    if (call_clock_.begun == 0) call_clock_.next = now.mono;  // the time waited is not made up for in a burst
    pace(now, call_clock_, &Agent::begin_call);
  }
  pace(now, registration_clock_, &Agent::begin_registration);
  TimerQueue<TimerKey>::Due due;
  while (timer_queue_.pop_due(now.mono, due)) on_timer(now, due.deadline, due.key);
  streams_.on_timeout(now, outbox_.media);
}

void Agent::on_timer(Now now, Instant deadline, const TimerKey& key) {
  if (key.owner == Owner::caller) {
    const OutgoingCall* c = outgoing_.find(key.id);
    if (c && c->request.due == deadline) on_caller_timer(now, key.id);
  } else if (key.owner == Owner::callee) {
    const IncomingCall* c = incoming_.find(key.id);
    if (c && c->due == deadline) on_callee_timer(now, key.id);
  } else {
    const Registration* r = registrations_.find(key.id);
    if (r && r->request.due == deadline) on_registration_timer(now, key.id);
  }
}

void Agent::arm(Owner owner, SlotId id, Instant& due, Instant when) {
  due = when;
  timer_queue_.push(when, {owner, id});
}

void Agent::begin_request(Owner owner, SlotId id, ClientRequest& request, Now now) {
  request.sent = now.mono;
  request.interval = timers_.t1;
  request.give_up = now.mono + timers_.timer_b();  // timer F is as long
  const bool reliable = port::is_reliable(settings_.transport);
  arm(owner, id, request.due, reliable ? request.give_up : now.mono + request.interval);
}

Agent::Again Agent::again(Owner owner, SlotId id, ClientRequest& request, Now now, bool invite) {
  if (now.mono >= request.give_up) return Again::timed_out;
  request.interval *= 2;
  if (!invite) request.interval = std::min(request.interval, timers_.t2);
  arm(owner, id, request.due, std::min(now.mono + request.interval, request.give_up));
  ++statistics_.retransmitted;
  return Again::send;
}

// ---- messages in and out ---------------------------------------------------------------------------------

void Agent::send(Buffer bytes, const SocketAddress& to, port::RealmId realm, uint32_t work) {
  port::Send s;
  s.path.transport = settings_.transport;
  s.path.realm = realm;
  s.path.local = realm == caller_realm ? caller_.local : callee_.local;
  s.path.remote = to;
  s.bytes = std::move(bytes);
  s.server_name = settings_.server_name;
  s.lane = work % settings_.connections;
  outbox_.send(std::move(s));
}

void Agent::reply(const port::Path& path, Buffer bytes) {
  port::Send s;
  s.path = path;
  s.bytes = std::move(bytes);
  outbox_.send(std::move(s));
}

void Agent::on_received(Now now, port::Received received) {
  auto message = sip::Message::parse(std::move(received.bytes));
  if (!message) {
    ++statistics_.malformed;
    return;
  }
  if (message->is_request())
    on_request(now, received.path, std::move(*message));
  else
    on_response(now, *message);
}

void Agent::on_request(Now now, const port::Path& path, sip::Message request) {
  if (!request.to_tag().empty()) return on_in_dialog(now, path, request);
  if (request.method() == sip::Method::invite) return on_invite(now, path, std::move(request));
  if (request.method() == sip::Method::cancel) return on_cancel(path, request);
  if (request.method() == sip::Method::ack) return;
  const int status = request.method() == sip::Method::options ? 200 : 405;
  if (status == 405) ++statistics_.unexpected;
  reply(path, sip::response_to(request, path.remote, status, "load").finish());
}

void Agent::on_response(Now now, const sip::Message& response) {
  const auto named = read_name(response.top_via().branch, run_);
  if (!named || named->owner == Owner::callee) {
    ++statistics_.unexpected;
    return;
  }
  if (named->owner == Owner::caller) return on_caller_response(now, named->id, response);
  if (Registration* r = registrations_.find(named->id))
    on_register_response(now, named->id, *r, response);
  else
    ++statistics_.retransmissions_seen;
}

/// A connection that failed or closed takes its requests with it; they time out like lost datagrams, which is
/// what the caller of a real phone would see. Only congestion is worth a number here.
void Agent::on_flow(Now, const port::FlowEvent& event) {
  if (event.kind == port::FlowEvent::Kind::congested) ++statistics_.congested;
}

bool Agent::take_challenge(ClientRequest& request, const sip::Message& response, std::string_view method,
                           std::string_view uri, const std::string& user, const std::string& password) {
  if (password.empty()) return false;
  const auth::Credentials credentials{user, password, {}, {}};
  auto answer = auth::answer(response, method, uri, credentials, rng_.token(12));
  if (!answer) return false;
  request.authorization = std::move(answer->value);
  request.authorization_header = answer->header;
  return true;
}

// ---- media -----------------------------------------------------------------------------------------------

void Agent::on_media(Now now, std::span<port::MediaPacket> packets) {
  streams_.on_media(now, packets, outbox_.media);
}

SlotId Agent::open_stream(Now now, bool wanted, const std::shared_ptr<const Sound>& sound, Wire wire) {
  if (!wanted) return {};
  const SlotId id = streams_.open(now, sound, wire);
  if (!id) statistics_.fail("no media port left");
  return id;
}

void Agent::start_stream(Now now, SlotId stream, const sip::Message& with_description) {
  if (!stream) return;
  const auto sdp = sdp::Description::parse(with_description.body_text());
  const auto remote = sdp && sdp->media_count() > 0 ? sdp->rtp_address(0) : std::nullopt;
  if (!remote) return statistics_.fail("no media address");
  const bool candidates = streams_.peer_of(stream) != nullptr;  // they say where it goes
  if (!settings_.allow_remote && !candidates && !remote->ip.is_loopback())
    return statistics_.fail("media address is not this machine");
  if (const Sound* sound = streams_.sound_of(stream)) {
    const auto formats = sdp->formats(0);
    const auto f = std::find_if(formats.begin(), formats.end(), [&](const sdp::Format& each) {
      return iequals(each.encoding, sound->name) && each.clock_rate == sound->clock_rate;
    });
    if (f == formats.end()) return statistics_.fail("no codec in common");
    streams_.set_payload_type(stream, f->payload_type);
  }
  if (candidates)
    connect_stream(now, stream, *sdp);
  else
    streams_.start(now, stream, *remote);
}

/// Where checks and media go to is a matter of candidates: without --allow-remote they have to be of this
/// machine.
void Agent::connect_stream(Now now, SlotId stream, const sdp::Description& remote) {
  for (const std::string_view text : remote.attributes(0, "candidate")) {
    const auto candidate = ice::Candidate::parse(text);
    if (!settings_.allow_remote && candidate.ok() && !candidate->address.ip.is_loopback())
      return statistics_.fail("media address is not this machine");
  }
  if (!streams_.connect(now, stream, remote, outbox_.media)) statistics_.fail("no WebRTC description");
}

std::string Agent::description(SlotId stream, const Endpoint& at) const {
  const uint16_t port = stream ? streams_.port_of(stream) : silent_port;
  const std::string address = (at.local.ip.is_v6() ? "IP6 " : "IP4 ") + at.local.ip.to_string();
  const WebrtcPeer* peer = streams_.peer_of(stream);
  const std::string head = "v=0\r\no=- 1 1 IN " + address + "\r\ns=-\r\nc=IN " + address +
                           "\r\nt=0 0\r\nm=audio " + std::to_string(port) +
                           (peer ? " UDP/TLS/RTP/SAVPF " : " RTP/AVP ");
  const std::string tail = "a=ptime:20\r\n" + (peer ? peer->attributes() : std::string());
  if (const Sound* sound = streams_.sound_of(stream)) {
    const std::string type = std::to_string(streams_.payload_type(stream));
    return head + type + "\r\na=rtpmap:" + type + " " + sound->name + "/" +
           std::to_string(sound->clock_rate) +
           (sound->channels > 1 ? "/" + std::to_string(sound->channels) : "") +
           (sound->fmtp.empty() ? "" : "\r\na=fmtp:" + type + " " + sound->fmtp) + "\r\n" + tail;
  }
  return head + "0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n" + tail;
}

}  // namespace tandem::load
