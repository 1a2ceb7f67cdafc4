#include "load/webrtc_peer.h"

#include <utility>

#include "dtls/fingerprint.h"
#include "dtls/setup.h"
#include "ice/description.h"
#include "rtp/packet.h"

namespace tandem::load {
namespace {

constexpr std::string_view ice_names[] = {"ice-ufrag",  "ice-pwd",           "ice-options", "ice-lite",
                                          "ice-pacing", "end-of-candidates", "candidate"};

ice::Description read_ice(const sdp::Description& d, size_t section, ice::Troubles& troubles) {
  ice::Description out;
  for (const std::string_view name : ice_names)
    for (const std::string_view value : d.attributes(section, name))
      if (const auto done = ice::read_attribute(out, name, value); !done) troubles.add(done.reason());
  return out;
}

/// Of the line, or of the session.
std::string_view attribute(const sdp::Description& d, std::string_view name) {
  const auto own = d.attribute(0, name);
  return own ? *own : d.attribute(sdp::Description::session, name).value_or("");
}

ice::Config ice_config(bool offers) {
  ice::Config c;
  c.role = offers ? ice::Role::controlling : ice::Role::controlled;
  c.trickle = false;
  return c;
}

}  // namespace

WebrtcPeer::WebrtcPeer(WebrtcWorld& world, bool offers, const port::MediaPort& port, Now now)
    : world_(world), offers_(offers), port_(port), agent_(ice_config(offers), world.rng, world.ice_troubles) {
  const auto stream = agent_.add_stream(1);
  ice::LocalBase base;
  base.stream = stream.ok() ? *stream : 0;
  base.address = port.local;
  if (const auto added = agent_.add_local(now, base, checks_); added.ok()) base_ = *added;
  agent_.end_of_local(now, checks_);
  after(now);
}

std::string WebrtcPeer::attributes() const {
  std::string out = "a=mid:0\r\na=rtcp-mux\r\n";
  for (const ice::Attribute& a : ice::to_attributes(agent_.local_description(0))) {
    if (a.name == "ice-lite" || a.name == "ice-pacing") continue;  // of the session, and of no use here
    out += "a=" + a.name + (a.value.empty() ? "" : ":" + a.value) + "\r\n";
  }
  out += "a=fingerprint:" + world_.dtls.fingerprint(dtls::FingerprintHash::sha_256).to_string() + "\r\n";
  const dtls::Setup setup = offers_                       ? dtls::Setup::actpass
                            : role_ == dtls::Role::client ? dtls::Setup::active
                                                          : dtls::Setup::passive;
  return out + "a=setup:" + std::string(dtls::to_string(setup)) + "\r\n";
}

bool WebrtcPeer::on_description(Now now, const sdp::Description& remote) {
  if (remote.media_count() == 0) return false;
  ice::Description theirs = read_ice(remote, 0, world_.ice_troubles);
  theirs.inherit(read_ice(remote, sdp::Description::session, world_.ice_troubles));
  const auto fingerprint = dtls::Fingerprint::parse(attribute(remote, "fingerprint"));
  const auto setup = dtls::parse_setup(attribute(remote, "setup"));
  if (!fingerprint || !setup || !agent_.set_remote(now, 0, theirs, checks_).ok()) return false;
  if (dtls_) return true;  // in mid-call: another path at most
  described_ = now.mono;
  const auto role = dtls::role_from(offers_ ? dtls::Setup::actpass : dtls::answer_to(*setup), *setup);
  if (!role) return false;
  role_ = *role;
  dtls::Options options;
  options.role = role_;
  options.peer = {*fingerprint};
  dtls_ = world_.dtls.open(options);
  after(now);
  return true;
}

Bytes WebrtcPeer::on_datagram(Now now, const SocketAddress& from, MutableBytes bytes) {
  switch (rtp::kind_of(bytes)) {
    case rtp::Kind::stun:
      agent_.on_datagram(now, base_, from, bytes, checks_);
      after(now);
      return {};
    case rtp::Kind::dtls:
      if (!dtls_) return {};
      dtls_->on_datagram(now, bytes,
                         agent_.validated(base_, from) ? dtls::Source::validated : dtls::Source::unvalidated,
                         flights_);
      after(now);
      return {};
    case rtp::Kind::rtp: {
      if (!receiver_) return {};
      const auto size = receiver_->unprotect_rtp(bytes, bytes.size());
      return size.ok() ? Bytes(bytes).first(*size) : Bytes{};
    }
    case rtp::Kind::rtcp:
    case rtp::Kind::other:
      return {};
  }
  return {};
}

void WebrtcPeer::poll(Now now) {
  const bool checks = agent_.next_timeout() <= now.mono;
  const bool handshake = dtls_ && dtls_->next_timeout() <= now.mono;
  if (checks) agent_.on_timeout(now, checks_);
  if (handshake) dtls_->on_timeout(now, flights_);
  if (checks || handshake) after(now);
}

/// The handshake begins with the path; its keys make the media.
void WebrtcPeer::after(Now now) {
  checks_.events.clear();
  for (ice::Datagram& d : checks_.datagrams) sends_.emplace_back(d.to, std::move(d.bytes));
  checks_.datagrams.clear();
  const SocketAddress to = remote();
  if (dtls_ && to && !std::exchange(started_, true) && role_ == dtls::Role::client)
    dtls_->start(now, flights_);
  if (to)
    for (std::vector<uint8_t>& flight : flights_) sends_.emplace_back(to, std::move(flight));
  flights_.clear();
  if (sender_ || !dtls_ || !dtls_->keys()) return;
  sender_.emplace(dtls_->keys()->ours, world_.srtp_refusals);
  receiver_.emplace(dtls_->keys()->theirs, world_.srtp_refusals);
  connect_time_ = now.mono - described_;
}

std::optional<size_t> WebrtcPeer::protect(MutableBytes buffer, size_t size) {
  if (!sender_ || !remote()) return std::nullopt;
  const auto done = sender_->protect_rtp(buffer, size);
  return done.ok() ? std::optional(*done) : std::nullopt;
}

SocketAddress WebrtcPeer::remote() const {
  const auto path = agent_.path(0, 1);
  return path ? path->remote : SocketAddress{};
}

void WebrtcPeer::take_sends(port::MediaOut& out) {
  for (auto& [to, bytes] : sends_) out.send_own(port_.id, to, Buffer::copy_of(bytes));
  sends_.clear();
}

}  // namespace tandem::load
