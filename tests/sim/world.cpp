#include "sim/world.h"

#include <fmt/format.h>

#include "auth/digest.h"

namespace tandem::sim {
namespace {

constexpr size_t lines_per_world = 100;
constexpr Duration calls_begin = seconds(8);
constexpr Duration between_groups = milliseconds(450);
constexpr Duration settle = seconds(140);  // bindings last 120 s, subscriptions 90 s, Timers H, J and L 32 s;
                                           // forwarded names are swept every 10 s
constexpr Duration give_up = seconds(400);
// Tables that grew and keep their size (nonces, timers, transactions, asks), and rows of the directory: the
// fewer workers, the more of it in each.
constexpr int64_t memory_of_tables = 192 * 1024, memory_per_worker = 16 * 1024;
constexpr int64_t stray_memory = 256 * 1024;  // on their way through the simulator, and rows of the directory
constexpr std::string_view password = "correct horse";

std::string domain_of(uint16_t index) { return index == 0 ? "one.test" : "two.test"; }

}  // namespace

World::World(const Options& options)
    : options_(options),
      rng_(options.seed),
      judge_(schedule_),
      sabotage_(options.fault, options.seed),
      network_(schedule_, rng_.next(), {}),
      workers_(options.workers ? options.workers : worker_counts[options.seed % 3]) {
  const uint16_t nodes = options.nodes ? options.nodes : static_cast<uint16_t>(options.seed % 4 == 3 ? 2 : 1);
  for (uint16_t i = 0; i < nodes; ++i) {
    SimNodeConfig config;
    config.node = static_cast<uint16_t>(i + 1);
    config.ip = IpAddress::v4(10, 0, static_cast<uint8_t>(i + 1), 1);
    config.domain = domain_of(i);
    config.seed = rng_.next();
    config.origin = seconds(1000 + rng_.below(100'000));
    config.verbose = options.verbose;
    nodes_.push_back(std::make_unique<SimNode>(config, schedule_, network_, judge_, sabotage_));
    plan_rows(*nodes_.back(), i, nodes);
    populate(*nodes_.back(), i, nodes);
  }
}

World::~World() {
  schedule_.clear();
  for (auto& node : nodes_) node->stop();
}

void World::plan_rows(SimNode& node, uint16_t index, uint16_t nodes) {
  const auto put = [&](const port::PlanRow& row) {
    if (auto done = node.directory().put_plan_row(row, port::Directory::Put::create); !done.ok())
      judge_.violation("the plan can be written", done.reason().text);
  };
  port::DomainRow domain;
  domain.name = domain_of(index);
  domain.max_calls = 1000;
  put(domain);
  port::ParkRow park;
  park.domain = domain.name;
  park.last_slot = 799;
  put(park);
  if (nodes < 2) return;
  port::TrunkRow trunk;
  trunk.name = "other";
  trunk.domain = domain.name;
  trunk.host = fmt::format("10.0.{}.1", 2 - index);
  trunk.port = 5060;
  trunk.sources = {trunk.host};
  trunk.inbound_class = port::CallClass::international;
  trunk.options_seconds = 0;
  trunk.max_calls = trunk.max_calls_per_second = 1000;  // never reached: counted, and left at zero
  put(trunk);
  port::RouteRow out;
  out.domain = domain.name;
  out.name = "to the other node";
  out.pattern = index == 0 ? "2XXX" : "1XXX";
  out.action = port::RouteRow::Action::trunk;
  out.targets = {"other"};
  put(out);
  port::RouteRow in;
  in.domain = domain.name;
  in.name = "from the other node";
  in.pattern = index == 0 ? "1XXX" : "2XXX";
  in.from_trunk = "*";
  in.action = port::RouteRow::Action::extension;
  put(in);
}

void World::populate(SimNode& node, uint16_t index, uint16_t nodes) {
  const size_t first = lines_.size();
  for (size_t i = 0; i < lines_per_world / nodes; ++i) {
    auto& line = lines_.emplace_back(std::make_unique<Line>());
    line->number = std::to_string(1000 * (index + 1) + i + 1);
    port::Subscriber row;
    row.aor = {line->number, domain_of(index)};
    row.ha1 = auth::make_ha1(line->number, domain_of(index), password);
    if (!node.directory().put_subscriber(row, port::Directory::Put::create).ok())
      judge_.violation("subscribers can be written", line->number);
    const size_t count = i % 10 == 9 ? 2 : 1;
    for (size_t p = 0; p < count; ++p) {
      PhoneConfig config;
      config.id = static_cast<uint32_t>(phones_.size() + 1);
      config.user = line->number;
      config.domain = domain_of(index);
      config.password = password;
      config.ip = IpAddress::v4(10, static_cast<uint8_t>(10 + index), static_cast<uint8_t>(config.id / 250),
                                static_cast<uint8_t>(config.id % 250 + 1));
      config.private_address = rng_.below(5) == 0;
      config.transport = rng_.below(6) == 0 ? port::Transport::tcp : port::Transport::udp;
      const uint64_t laws = rng_.below(6);
      config.laws = laws == 0 ? "0" : laws == 1 ? "8" : laws == 2 ? "8 0" : "0 8";
      config.secret = rng_.below(3) == 0;
      config.seed = rng_.next();
      config.verbose = options_.verbose;
      phones_.push_back(std::make_unique<Phone>(config, node, schedule_, network_, judge_));
      line->phones.push_back(phones_.back().get());
    }
  }
  plan_lines(node, first, index);
}

/// Of every ten lines two are a ring group, and one has its calls forwarded.
void World::plan_lines(SimNode& node, size_t first, uint16_t index) {
  const auto put = [&](const port::PlanRow& row) {
    if (auto done = node.directory().put_plan_row(row, port::Directory::Put::create); !done.ok())
      judge_.violation("the plan can be written", done.reason().text);
  };
  for (size_t i = first; i + 10 <= lines_.size(); i += 10) {
    Line &member = *lines_[i], &other = *lines_[i + 1], &forwarding = *lines_[i + 2];
    const bool odd = (i - first) / 10 % 2 == 1;
    member.ring_group = std::to_string(6000 + i);
    member.sequential = odd;
    member.partner = &other;
    port::RingGroupRow group;
    group.domain = domain_of(index);
    group.name = member.ring_group;
    group.strategy = odd ? port::RingGroupRow::Strategy::sequential : port::RingGroupRow::Strategy::parallel;
    group.member_timeout_seconds = 10;  // an INVITE or its answer may get lost several times
    put(group);
    for (uint32_t position = 0; position < 2; ++position) {
      port::RingGroupMemberRow row;
      row.domain = group.domain;
      row.group = group.name;
      row.position = position;
      row.target = lines_[i + position]->number;
      put(row);
    }
    forwarding.partner = lines_[i + 3].get();
    forwarding.forwards_busy = odd;
    auto row = node.directory().subscriber({forwarding.number, domain_of(index)});
    if (!row.ok()) return judge_.violation("subscribers can be read", forwarding.number);
    port::Subscriber changed = *row;
    (odd ? changed.forwarding.busy : changed.forwarding.no_answer) = forwarding.partner->number;
    changed.forwarding.no_answer_seconds = 3;
    if (!node.directory().put_subscriber(changed, port::Directory::Put::replace).ok())
      judge_.violation("subscribers can be written", forwarding.number);
  }
}

// ---- who calls whom --------------------------------------------------------------------------------------

Line* World::free_line(const SimNode* node, bool single, const std::vector<Line*>& taken) {
  for (int tries = 0; tries < 40; ++tries) {
    Line* line = lines_[rng_.below(lines_.size())].get();
    if (line->partner || line->busy || !line->registered() || (single && line->phones.size() > 1)) continue;
    if (node && &line->node() != node) continue;
    if (std::find(taken.begin(), taken.end(), line) != taken.end()) continue;
    return line;
  }
  return nullptr;
}

std::vector<Line*> World::pick(Group::Kind kind) {
  std::vector<Line*> picked;
  if (kind == Group::Kind::ring || kind == Group::Kind::forward) return pick_planned(kind);
  const SimNode* node = nodes_[rng_.below(nodes_.size())].get();
  const SimNode* other = kind == Group::Kind::cross ? nodes_[node == nodes_[0].get() ? 1 : 0].get() : node;
  const bool plain = kind == Group::Kind::basic || kind == Group::Kind::cancel ||
                     kind == Group::Kind::refuse || kind == Group::Kind::watch;
  picked.push_back(free_line(node, true, picked));
  picked.push_back(free_line(other, !plain, picked));
  if (Group::wants_third(kind)) picked.push_back(free_line(node, true, picked));
  for (const Line* line : picked)
    if (!line) return {};
  return picked;
}

/// Somebody, a line for which the plan has more, and what that is.
std::vector<Line*> World::pick_planned(Group::Kind kind) {
  for (int tries = 0; tries < 40; ++tries) {
    Line* line = lines_[rng_.below(lines_.size())].get();
    if (!line->partner || line->forwards() != (kind == Group::Kind::forward)) continue;
    if (line->busy || line->partner->busy || !line->registered() || !line->partner->registered()) continue;
    Line* caller = free_line(&line->node(), true, {line, line->partner});
    if (!caller) return {};
    return {caller, line, line->partner};
  }
  return {};
}

void World::start_group() {
  if (groups_.size() >= options_.calls) return;
  static constexpr std::array<Group::Kind, 28> mix{
      Group::Kind::ring,     Group::Kind::ring,   Group::Kind::forward,  Group::Kind::forward,
      Group::Kind::glare,    Group::Kind::glare,  Group::Kind::reliable, Group::Kind::reliable,
      Group::Kind::watch,    Group::Kind::watch,  Group::Kind::message,  Group::Kind::mail,
      Group::Kind::basic,    Group::Kind::basic,  Group::Kind::basic,    Group::Kind::cancel,
      Group::Kind::refuse,   Group::Kind::hold,   Group::Kind::blind,    Group::Kind::attended,
      Group::Kind::pickup,   Group::Kind::park,   Group::Kind::echo,     Group::Kind::nobody,
      Group::Kind::attended, Group::Kind::pickup, Group::Kind::cross,    Group::Kind::cross};
  Group::Kind kind = mix[rng_.below(mix.size())];
  if (kind == Group::Kind::cross && nodes_.size() < 2) kind = Group::Kind::basic;
  if (auto lines = pick(kind); !lines.empty()) {
    groups_.push_back(
        std::make_unique<Group>(*this, groups_.size() + 1, kind, std::move(lines), rng_.next()));
    if (schedule_.now() < unsettled_until_ ||
        (schedule_.now() < broken_until_ && groups_.back()->uses_connections()))
      groups_.back()->disturb("began in unsettled times");
    groups_.back()->start();
  }
  schedule_.after(between_groups / 2 + Duration(static_cast<int64_t>(
                                           rng_.below(static_cast<uint64_t>(between_groups.count())))),
                  [this] { start_group(); });
}

bool World::all_done() const {
  if (groups_.size() < options_.calls) return false;
  for (const auto& g : groups_)
    if (!g->done()) return false;
  return true;
}

// ---- what befalls them -----------------------------------------------------------------------------------

void World::disturb(SimNode& node, std::string_view why, bool connections_only) {
  for (auto& g : groups_)
    if (!g->done() && g->touches(node) && (!connections_only || g->uses_connections())) g->disturb(why);
}

Instant World::in_window(int64_t from_s, int64_t to_s) {
  return Instant{} + milliseconds(1000 * from_s + static_cast<int64_t>(rng_.below(
                                                      static_cast<uint64_t>(1000 * (to_s - from_s)))));
}

void World::befall() {
  for (auto& phone : phones_)
    schedule_.after(milliseconds(static_cast<int64_t>(rng_.below(2500))),
                    [p = phone.get()] { p->start_registering(); });
  for (auto& node : nodes_) befall_node(*node);
  check_now_and_then();
  // Most strike when no restart is to come that would cover them up.
  const bool early = options_.fault == Fault::lost_part || options_.fault == Fault::early_commit ||
                     options_.fault == Fault::lost_watch || options_.fault == Fault::lying_disk;
  schedule_.at(early ? Instant{} : in_window(101, 103), [this] { sabotage_.arm(); });
}

void World::befall_node(SimNode& node) {
  SimNode* n = &node;
  const auto store = [&](Instant from, Instant to, SimNode::Store how) {
    schedule_.at(from, [this, n, how, lasts = to - from] {
      n->set_store(how);
      disturb(*n, "store");
      unsettled(lasts + seconds(7));
    });
    schedule_.at(to, [n] { n->set_store(SimNode::Store::fine); });
  };
  store(in_window(18, 20), in_window(22, 25), SimNode::Store::slow);
  store(in_window(32, 34), in_window(36, 40), SimNode::Store::absent);
  schedule_.at(in_window(12, 16), [n] { n->fail_disk(1); });
  const auto bytes = [&](Instant when) {
    const uint16_t workers = worker_counts[rng_.below(worker_counts.size())];
    const Duration origin = seconds(rng_.below(1'000'000));
    schedule_.at(when, [this, n, workers, origin] {
      disturb(*n, "connections broke", true);
      broken_until_ = schedule_.now() + seconds(2);  // their phones do not know yet
      n->through_bytes(workers, origin);
    });
  };
  bytes(in_window(50, 58));
  // What was not shipped before a crash is in the spool or nowhere.
  schedule_.at(in_window(62, 64), [n, shipping = rng_.below(2) == 0] { n->set_shipping(shipping); });
  schedule_.at(in_window(66, 72),
               [this, n, down = milliseconds(200 + static_cast<int64_t>(rng_.below(2000)))] {
                 disturb(*n, "crash");
                 n->crash(down, workers_);
                 n->set_shipping(true);
                 unsettled(down + seconds(10));
                 // Whoever registered in the last moment before is not in the store: it looks like that to
                 // its phone only later.
                 for (auto& p : phones_)
                   if (&p->node() == n)
                     schedule_.after(down + milliseconds(500 + static_cast<int64_t>(rng_.below(4000))),
                                     [phone = p.get()] { phone->start_registering(); });
               });
  bytes(in_window(88, 98));
}

// ---- invariants ------------------------------------------------------------------------------------------

void World::check_now_and_then() {
  for (auto& node : nodes_) {
    node->check_counters();
    node->check_ports();
  }
  if (running_) schedule_.after(seconds(5), [this] { check_now_and_then(); });
}

void World::check_nothing_left() {
  for (auto& node : nodes_) {
    const node::Worker::Load l = node->load();
    const size_t sum = l.calls + l.legs + l.dialogs + l.server_transactions + l.client_transactions + l.asks +
                       l.held_sends + l.waiting + l.forwarded_names + l.lines + l.seats + l.endpoints +
                       l.messages + l.subscriptions + l.contacts + l.web_sessions;
    if (sum != 0)
      judge_.violation("nothing is left when all calls ended",
                       fmt::format("node {}: {}", node->node(), node->load_text()));
    if (node->open_ports() != 0)
      judge_.violation("media ports are closed",
                       fmt::format("{} of node {}", node->open_ports(), node->node()));
    node->ship_all();
    judge_.records(node->node(), node->directory().cdrs());
  }
}

/// A node that did all this holds no more than one that has just begun, but that its tables may have grown.
void World::check_memory() {
  for (auto& node : nodes_) {
    const int64_t tolerance = memory_of_tables + memory_per_worker * node->workers();
    const int64_t before = memory_of(Account::node).bytes;
    node->stop();
    const int64_t held = before - memory_of(Account::node).bytes;
    if (options_.verbose)
      fmt::print("node {}: {} bytes when fresh, {} at the end, {} more allowed\n", node->node(),
                 node->fresh_bytes(), held, tolerance);
    if (held > node->fresh_bytes() + tolerance)
      judge_.violation("memory returns to its baseline",
                       fmt::format("node {}: {} bytes when fresh, {} at the end", node->node(),
                                   node->fresh_bytes(), held));
  }
  if (const Memory left = memory_of(Account::node); left.bytes > left_before_.bytes + stray_memory)
    judge_.violation("a node that stops leaves nothing behind",
                     fmt::format("{} bytes in {} blocks", left.bytes - left_before_.bytes,
                                 left.blocks - left_before_.blocks));
}

Outcome World::run() {
  left_before_ = memory_of(Account::node);
  for (auto& node : nodes_) node->start(workers_);
  befall();
  schedule_.at(Instant{} + calls_begin, [this] { start_group(); });
  schedule_.run_until(Instant{} + calls_begin);
  while (!all_done() && schedule_.now() < Instant{} + give_up)
    schedule_.run_until(schedule_.now() + seconds(1));
  if (!all_done())
    judge_.violation("every call ends", fmt::format("{} of {} began", groups_.size(), options_.calls));
  for (auto& phone : phones_) phone->stop_registering();
  running_ = false;
  schedule_.run_until(schedule_.now() + settle);
  check_nothing_left();
  Outcome out;
  for (auto& node : nodes_) {
    out.parts += node->parts_moved();
    out.crossings.calls += node->crossings().calls;
    out.crossings.messages += node->crossings().messages;
    out.crossings.questions += node->crossings().questions;
    out.crossings.lines += node->crossings().lines;
  }
  for (auto& phone : phones_) out.glares += phone->glares();
  check_memory();
  out.violations = judge_.violations();
  out.groups = groups_.size();
  for (auto& g : groups_) {
    out.disturbed += g->disturbed();
    if (g->disturbed()) continue;
    ++out.undisturbed[static_cast<size_t>(g->kind())];
    out.secret += g->sides([](const Session& s) { return s.secrecy && s.secrecy->keyed(); });
    out.coded += g->sides([](const Session& s) { return s.heard_coded(); });
  }
  out.records = judge_.record_count();
  out.expected = judge_.expected_count();
  out.ended = judge_.ended_count();
  out.datagrams = network_.sent();
  out.lost = network_.lost();
  out.digest = network_.digest();
  out.steps = schedule_.steps();
  out.struck = sabotage_.struck();
  out.virtual_seconds = static_cast<double>(schedule_.now().ns) / 1e9;
  return out;
}

}  // namespace tandem::sim
