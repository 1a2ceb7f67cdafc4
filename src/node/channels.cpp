// Clients of signalling channels: what happens on their WebSockets goes to the worker of their channel.
#include "node/worker_impl.h"

namespace tandem::node {

void Worker::Impl::channel_event(Now now, port::WebSocketEvent e) {
  using Kind = port::WebSocketEvent::Kind;
  if (e.kind == Kind::congested || e.kind == Kind::drained) return;  // `net` ends who never reads
  const uint16_t home = worker_of(sip::shard_of(e.request->guest->channel));
  if (home != settings.index)
    out.mail(home, std::make_unique<ChannelMail>(std::move(e)));
  else
    channel_input(now, e);
}

void Worker::Impl::channel_input(Now now, const port::WebSocketEvent& e) {
  using Kind = port::WebSocketEvent::Kind;
  channel::Outcome outcome;
  if (e.kind == Kind::opened)
    channels.on_opened(now, e.path, e.request->guest, outcome);
  else if (e.kind == Kind::message)
    channels.on_text(now, e.path.flow, e.bytes.text(), outcome);
  else if (e.kind == Kind::alive)
    channels.on_alive(now, e.path.flow);
  else
    channels.on_closed(e.path.flow);
  carry_out(std::move(outcome));
}

void Worker::Impl::carry_out(channel::Outcome&& outcome) {
  for (channel::Outcome::Text& t : outcome.texts)
    out.send({t.web, Buffer::copy_of(as_bytes(t.text)), 0, 0, {}});
  for (const port::FlowId flow : outcome.hang_ups) out.close_flow(flow);
}

void Worker::Impl::end_guests(const std::string& channel, const std::string& access_key) {
  channel::Outcome outcome;
  if (channel.empty())
    channels.end_access_key(access_key, outcome);
  else
    channels.end_channel(channel, outcome);
  carry_out(std::move(outcome));
}

/// Every worker passes it on behind the WebSockets it has passed on before.
void Worker::end_guests(Now now, const std::string& channel, const std::string& access_key) {
  for (uint16_t w = 0; w < impl_->settings.workers; ++w)
    if (w != impl_->settings.index) impl_->out.mail(w, std::make_unique<ChannelEndMail>(channel, access_key));
  impl_->end_guests(channel, access_key);
  impl_->settle(now);
}

void ChannelMail::deliver(Now now, Worker& worker) { worker.impl_->channel_input(now, event); }

void ChannelEndMail::deliver(Now, Worker& worker) { worker.impl_->end_guests(channel, access_key); }

}  // namespace tandem::node
