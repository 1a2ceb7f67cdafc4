#include "registrar/binding.h"

#include <cstring>
#include <string>

#include "registrar.pb.h"

namespace tandem::registrar {
namespace {

constexpr size_t text_limit = 65535;
constexpr size_t header_size = Texts::field_count * sizeof(uint16_t);

/// f(line) for each line of the Path set.
template <class F>
void each_route(std::string_view routes, F&& f) {
  while (!routes.empty()) {
    const size_t end = routes.find('\n');
    f(routes.substr(0, end));
    routes = end == std::string_view::npos ? std::string_view{} : routes.substr(end + 1);
  }
}

}  // namespace

Texts::Texts(const Views& views) {
  size_t size = header_size;
  for (std::string_view v : views) size += v.size();
  block_ = std::make_unique_for_overwrite<char[]>(size);
  char* text = block_.get() + header_size;
  for (size_t i = 0; i < views.size(); ++i) {
    const auto length = static_cast<uint16_t>(views[i].size());
    std::memcpy(block_.get() + i * sizeof length, &length, sizeof length);
    if (!views[i].empty()) std::memcpy(text, views[i].data(), views[i].size());
    text += views[i].size();
  }
}

Texts::Views Texts::views() const {
  Views out{};
  if (!block_) return out;
  const char* text = block_.get() + header_size;
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t length;
    std::memcpy(&length, block_.get() + i * sizeof length, sizeof length);
    out[i] = {text, length};
    text += length;
  }
  return out;
}

std::string_view Texts::get(Field field) const { return views()[field]; }

std::string Binding::key() const {
  if (!outbound) return std::string(uri());
  return std::string(instance()) + ";" + std::to_string(reg_id);
}

void write_part(Now now, Boot boot, const Binding& b, proto::BindingPart& part) {
  const Texts::Views texts = b.texts.views();
  part.set_contact(std::string(texts[Texts::uri]));
  part.set_call_id(std::string(texts[Texts::call_id]));
  part.set_cseq(b.cseq);
  part.set_q(b.q);
  part.set_instance(std::string(texts[Texts::instance]));
  part.set_reg_id(b.reg_id);
  part.set_user_agent(std::string(texts[Texts::user_agent]));
  each_route(texts[Texts::routes], [&](std::string_view r) { part.add_routes(std::string(r)); });
  part.set_expires_wall_ns(deadline_to_wall(now, b.expires));
  part.set_fixed(b.fixed);
  part.set_outbound(b.outbound);
  part.set_reachable_by_flow_only(b.flow_only);
  part.set_transport(static_cast<uint32_t>(b.path.transport));
  part.set_realm(b.path.realm);
  part.set_local(b.path.local.to_string());
  part.set_remote(b.path.remote.to_string());
  if (!b.path.flow) return;
  part.set_node(boot.node);
  part.set_epoch(boot.epoch);
  part.set_flow_node(b.path.flow.node);
  part.set_flow_worker(b.path.flow.worker);
  part.set_flow_slot(b.path.flow.slot);
  part.set_flow_generation(b.path.flow.generation);
}

bool read_part(Now now, Boot boot, const proto::BindingPart& part, Binding& b) {
  if (part.contact().empty() || part.transport() > static_cast<uint32_t>(port::Transport::wss)) return false;
  std::string routes;
  for (const std::string& r : part.routes()) {
    if (!routes.empty()) routes.push_back('\n');
    routes.append(r);
  }
  const Texts::Views views = {part.contact(), part.call_id(), part.instance(), part.user_agent(), routes};
  for (std::string_view v : views)
    if (v.size() > text_limit) return false;
  b.texts = Texts(views);
  b.expires = deadline_from_wall(now, part.expires_wall_ns());
  b.cseq = part.cseq();
  b.q = static_cast<uint16_t>(std::min<uint32_t>(part.q(), 1000));
  b.reg_id = part.reg_id();
  b.fixed = part.fixed();
  b.outbound = part.outbound();
  b.flow_only = part.reachable_by_flow_only();
  b.path.transport = static_cast<port::Transport>(part.transport());
  b.path.realm = static_cast<port::RealmId>(part.realm());
  b.path.local = SocketAddress::parse(part.local()).value_or(SocketAddress{});
  b.path.remote = SocketAddress::parse(part.remote()).value_or(SocketAddress{});
  if (part.node() == boot.node && part.epoch() == boot.epoch)
    b.path.flow = {static_cast<uint16_t>(part.flow_node()), static_cast<uint16_t>(part.flow_worker()),
                   part.flow_slot(), part.flow_generation()};
  if (!b.path.flow && port::is_reliable(b.path.transport)) {
    b.flow_lost = true;
    // The port it called from is not one it listens on; what has a Path goes by that, never to its URI.
    b.fixed = !routes.empty();
  }
  return true;
}

port::Contact to_contact(const Binding& b) {
  port::Contact c;
  c.uri = b.uri();
  c.path = b.path;
  c.fixed = b.fixed;
  each_route(b.texts.get(Texts::routes), [&](std::string_view r) { c.route.emplace_back(r); });
  c.q = b.q;
  c.instance = b.instance();
  c.reg_id = b.reg_id;
  c.key = b.key();
  return c;
}

}  // namespace tandem::registrar
