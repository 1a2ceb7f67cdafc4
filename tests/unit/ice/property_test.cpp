// Seeded worlds: whoever can be reached is, what is selected works, and nobody sends without end.
#include "world.h"

namespace tandem::ice {
namespace {

using namespace test;

struct Place {
  std::optional<NatKind> nat;  // nothing: public
  bool stun = true;
  bool relay = false;
  bool v6 = false;
  bool lite = false;
};

struct Scene {
  Place a, b;
  bool same_nat = false;
  bool trickle = false;
  uint16_t components = 1;
  int roles = 0;  // 1: both controlling, 2: both controlled
  double loss = 0;
  Duration most_delay = milliseconds(10);
};

/// Whether a symmetric NAT, or one without a server to ask, can be met from behind the other.
bool nats_meet(const Place& a, const Place& b) {
  if (a.stun && b.stun) {
    const auto strict = [](NatKind k) { return k == NatKind::symmetric || k == NatKind::port_restricted; };
    const bool symmetric = *a.nat == NatKind::symmetric || *b.nat == NatKind::symmetric;
    return !(symmetric && strict(*a.nat) && strict(*b.nat));
  }
  // Only who knows his own outside can be called, and only a full cone lets the call in.
  return (a.stun && *a.nat == NatKind::full_cone) || (b.stun && *b.nat == NatKind::full_cone);
}

bool path_exists(const Scene& s) {
  if ((s.a.v6 && s.b.v6) || s.a.relay || s.b.relay || !s.a.nat || !s.b.nat || s.same_nat) return true;
  return nats_meet(s.a, s.b);
}

Scene scene(SeededRng& rng) {
  const auto chance = [&](uint64_t percent) { return rng.below(100) < percent; };
  Scene s;
  for (Place* p : {&s.a, &s.b}) {
    if (chance(80)) p->nat = static_cast<NatKind>(rng.below(4));
    p->stun = chance(85);
    p->relay = chance(20);
    p->v6 = chance(20);
  }
  if (!s.a.nat && chance(30)) {
    s.a.lite = true;
    s.a.relay = false;
  }
  if (s.a.nat && s.b.nat && chance(10)) {
    s.same_nat = true;
    s.b.nat = s.a.nat;
  }
  s.trickle = chance(50);
  s.components = chance(30) ? 2 : 1;
  s.roles = static_cast<int>(rng.below(4));
  if (chance(60)) s.loss = static_cast<double>(rng.below(21)) / 100;
  if (chance(60)) s.most_delay = milliseconds(10 + rng.below(200));
  return s;
}

std::string to_text(const Place& p) {
  static constexpr std::array<const char*, 4> kinds = {"full cone", "address restricted", "port restricted",
                                                       "symmetric"};
  std::string text = p.nat ? kinds[static_cast<size_t>(*p.nat)] : "public";
  for (const auto& [on, name] : {std::pair(p.stun, ", stun"), std::pair(p.relay, ", relay"),
                                 std::pair(p.v6, ", v6"), std::pair(p.lite, ", lite")})
    if (on) text += name;
  return text;
}

std::string to_text(const Scene& s) {
  return "a " + to_text(s.a) + "; b " + to_text(s.b) + (s.same_nat ? "; same NAT" : "") +
         (s.trickle ? "; trickle" : "") + "; components " + std::to_string(s.components) + "; roles " +
         std::to_string(s.roles) + "; loss " + std::to_string(s.loss) + "; delay " +
         std::to_string(s.most_delay.count() / 1'000'000) + " ms";
}

IpAddress ip(uint8_t a, uint8_t b, uint8_t c, uint8_t d) { return IpAddress::v4(a, b, c, d); }

void set_up(World& w, Side& side, const Place& p, Nat* nat, uint8_t number, const Scene& scene) {
  if (p.stun) side.config.stun_servers = {stun_server};
  if (p.lite) side.config.mode = Mode::lite;
  side.start(scene.components);
  (void)w;
  for (uint16_t c = 1; c <= scene.components; ++c) {
    const auto port = static_cast<uint16_t>(5000 + c);
    if (p.v6) {
      IpAddress v6 = *IpAddress::parse("2001:db8::");
      v6.bytes[15] = number;
      side.socket({v6, port}, nullptr, c);
    }
    side.socket({p.nat ? ip(10, 0, 0, number) : ip(192, 0, 2, number), port}, nat, c);
    if (p.relay)
      side.socket({ip(198, 51, 100, static_cast<uint8_t>(100 + number)), port}, nullptr, c,
                  CandidateType::relayed);
  }
}

void signal(World& w, const Scene& s, SeededRng& rng) {
  w.a.end_of_local();
  w.b.end_of_local();
  if (s.trickle) {
    w.b.hear(w.a.says());
    w.pass(milliseconds(rng.below(300)));
    w.a.hear(w.b.says());
    // What has come meanwhile, and what comes from now on.
    for (Side* from : {&w.a, &w.b}) {
      Side& to = from == &w.a ? w.b : w.a;
      for (const auto& c : from->says().candidates) (void)to.trickle(c).ok();
      from->on_event = [&to](const Event& e) {
        if (e.kind == Event::Kind::candidate) (void)to.trickle(e.candidate).ok();
      };
    }
    return;
  }
  w.run(seconds(60),
        [&] { return w.a.count(Event::Kind::gathered) > 0 && w.b.count(Event::Kind::gathered) > 0; });
  w.b.hear(w.a.says());
  w.pass(milliseconds(rng.below(300)));
  w.a.hear(w.b.says());
}

void play(uint64_t seed) {
  SeededRng rng(seed);
  const Scene s = scene(rng);
  SCOPED_TRACE("seed " + std::to_string(seed) + ": " + to_text(s));
  World w(seed);
  w.net.loss = s.loss;
  w.net.most_delay = s.most_delay;
  if (s.roles == 1) w.b.config.role = Role::controlling;
  if (s.roles == 2) w.a.config.role = Role::controlled;
  Nat* na = s.a.nat ? w.nat(*s.a.nat, "203.0.113.1") : nullptr;
  Nat* nb = s.same_nat ? na : s.b.nat ? w.nat(*s.b.nat, "203.0.113.2") : nullptr;
  set_up(w, w.a, s.a, na, 1, s);
  set_up(w, w.b, s.b, nb, 2, s);
  signal(w, s, rng);
  const auto over = [](const Side& side) {
    return side.state() == State::completed || side.state() == State::failed ||
           side.state() == State::disconnected;
  };
  w.run(seconds(200), [&] { return over(w.a) && over(w.b); });
  if (path_exists(s)) {
    EXPECT_EQ(w.a.state(), State::completed);
    EXPECT_EQ(w.b.state(), State::completed);
  } else {
    EXPECT_EQ(w.a.state(), State::failed);
    EXPECT_EQ(w.b.state(), State::failed);
    EXPECT_FALSE(w.a.agent->path(0, 1) || w.b.agent->path(0, 1));
  }
  // Rarely more than a hundred; pairs times transmissions, with answers, is far below.
  EXPECT_LT(w.a.sent + w.b.sent, 600u);
  if (w.a.state() != State::completed || w.b.state() != State::completed) return;
  w.net.loss = 0;
  w.pass(seconds(1));
  EXPECT_NE(w.a.agent->role(), w.b.agent->role());
  for (uint16_t c = 1; c <= s.components; ++c) {
    EXPECT_TRUE(w.can_talk(c)) << "what is selected works";
    w.expect_symmetric(c);
  }
  const size_t before = w.a.sent + w.b.sent;
  w.pass(seconds(60));
  // Consent: at most 15 checks a component and side, each answered.
  EXPECT_LE(w.a.sent + w.b.sent - before, size_t{4 * 16} * s.components);
  EXPECT_EQ(w.a.count(Event::Kind::consent_lost) + w.b.count(Event::Kind::consent_lost), 0u);
}

TEST(Property, AnySeededWorld) {
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    play(seed);
    if (HasFailure()) break;
  }
}

struct Meeting {
  NatKind a, b;
};

TEST(Property, EveryPairOfNats) {
  for (const NatKind a :
       {NatKind::full_cone, NatKind::address_restricted, NatKind::port_restricted, NatKind::symmetric})
    for (const NatKind b :
         {NatKind::full_cone, NatKind::address_restricted, NatKind::port_restricted, NatKind::symmetric}) {
      World w;
      Place pa, pb;
      pa.nat = a;
      pb.nat = b;
      Scene s;
      set_up(w, w.a, pa, w.nat(a, "203.0.113.1"), 1, s);
      set_up(w, w.b, pb, w.nat(b, "203.0.113.2"), 2, s);
      w.gather();
      w.exchange();
      const bool expected = nats_meet(pa, pb);
      EXPECT_TRUE(w.both(expected ? State::completed : State::failed, seconds(200)))
          << static_cast<int>(a) << " " << static_cast<int>(b);
      if (expected) {
        EXPECT_TRUE(w.can_talk());
        w.expect_symmetric();
      }
    }
}

}  // namespace
}  // namespace tandem::ice
