// Conferences: everybody hears all others and not itself, whatever codec each speaks.
#include <gtest/gtest.h>

#include <cmath>

#include "codec/codec.h"
#include "codec/goertzel.h"
#include "playout/player.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

struct Codec {
  const char* name;
  const char* formats;
  const char* attributes;
  uint32_t clock;
  uint8_t channels;
  uint8_t type;
};
const Codec codecs[] = {
    {"PCMU", "0", "", 8000, 1, 0},
    {"G722", "9", "", 8000, 1, 9},
    {"opus", "96", "a=rtpmap:96 opus/48000/2\r\n", 48000, 2, 96},
    {"G729", "18", "a=fmtp:18 annexb=no\r\n", 8000, 1, 18},  // a steady tone is no speech to Annex B
};

/// A phone alone with us that says a tone and remembers what it heard.
struct Phone {
  Phone(World& w, const Codec& c, int number, double tone) : codec(c), hertz(tone) {
    address = at("10.0.1." + std::to_string(number) + ":4000");
    encoder = std::move(codec::make_encoder({c.name, c.clock, c.channels, c.type == 18 ? "annexb=no" : ""},
                                            {8000, 5}))
                  .value();
    restart_ear();
    ssrc = static_cast<uint32_t>(0x1000 + number);
    id = w.engine->open({}).value();
    (void)w.engine
        ->set_remote(w.now, id, parsed(phone_sdp(address.to_string(), c.formats, c.attributes)),
                     SdpRole::offer)
        .ok();
    port = w.port_of(w.engine->answer(w.now, id).value());
  }
  void restart_ear() {
    playout::PlayerConfig config;
    config.formats = {{codec.type, codec.name, codec.clock, codec.channels, ""}};
    config.audio_rate = 8000;
    ear = std::make_unique<playout::Player>(config);
  }
  std::vector<uint8_t> packet() {
    const auto& shape = encoder->shape();
    std::vector<int16_t> sound(codec::samples_in(shape, 20));
    for (size_t i = 0; i < sound.size(); i += shape.channels) {
      for (size_t n = 0; n < shape.channels; ++n) sound[i + n] = static_cast<int16_t>(6000 * std::sin(phase));
      phase += 2 * 3.14159265358979 * hertz / shape.audio_rate;
    }
    std::vector<uint8_t> bytes(12 + codec::largest_payload);
    const auto said = encoder->encode(sound, std::span(bytes).subspan(12));
    bytes.resize(12 + said->octets);
    rtp::Header h;
    h.payload_type = codec.type;
    h.sequence = sequence++;
    h.timestamp = timestamp;
    h.ssrc = ssrc;
    h.write(bytes.data());
    timestamp += codec.clock / 50;
    return bytes;
  }
  void hear(Now now, const std::vector<Sent>& all) {
    for (const Sent& s : all) {
      if (s.to != address || rtp::kind_of(s.bytes) != rtp::Kind::rtp) continue;
      packets.push_back(s);
      ear->packet(now.mono, s.sequence(), s.timestamp(), s.payload_type(), Bytes(s.bytes).subspan(12));
    }
    std::array<int16_t, 160> out;
    ear->render(now.mono, out);
    heard.insert(heard.end(), out.begin(), out.end());
  }
  double level(double tone) const {
    const size_t n = std::min<size_t>(heard.size(), 4000);
    return codec::tone_level(std::span(heard).last(n), tone);
  }

  const Codec& codec;
  double hertz, phase = 0;
  SocketAddress address;
  std::unique_ptr<codec::Encoder> encoder;
  std::unique_ptr<playout::Player> ear;
  std::vector<int16_t> heard;
  std::vector<Sent> packets;
  uint16_t sequence = 1;
  uint32_t timestamp = 9000, ssrc;
  EndpointId id;
  uint16_t port = 0;
};

struct Conference : ::testing::Test {
  World w;
  std::vector<std::unique_ptr<Phone>> phones;
  static constexpr double tones[] = {500, 700, 1100, 1700};

  RoomId room(size_t members = 200) { return w.engine->room({"1000", members, 8}).value(); }
  Phone& phone(size_t codec) {
    phones.push_back(std::make_unique<Phone>(w, codecs[codec], static_cast<int>(phones.size() + 1),
                                             tones[phones.size() % 4]));
    return *phones.back();
  }
  void talk(int frames) {
    for (int i = 0; i < frames; ++i) {
      for (auto& p : phones) w.receive(p->address, p->port, p->packet());
      w.pass(milliseconds(20));
      const auto sent = w.take_sent();
      for (auto& p : phones) p->hear(w.now, sent);
    }
  }
  void expect_all_hear_all() {
    for (auto& p : phones)
      for (auto& other : phones) {
        if (p == other)
          EXPECT_LT(p->level(other->hertz), -40) << p->codec.name << " hears itself";
        else
          // G.729 makes speech of what it is given; three tones at once are none.
          EXPECT_NEAR(p->level(other->hertz), -11.6, std::string_view(p->codec.name) == "G729" ? 3 : 2)
              << p->codec.name << " hears " << other->codec.name;
      }
  }
};

TEST_F(Conference, EverybodyHearsAllOthers) {
  for (size_t i = 0; i < 4; ++i) {
    Phone& p = phone(i);
    ASSERT_TRUE(w.engine->enter(w.now, p.id, room()));
  }
  talk(100);
  expect_all_hear_all();
  const auto roster = w.engine->roster(w.engine->room_of(phones[0]->id));
  ASSERT_EQ(roster.size(), 4u);
  for (const Occupant& o : roster) EXPECT_TRUE(o.talks);
}

TEST_F(Conference, EachHearsOneStream) {
  Phone& a = phone(0);
  Phone& b = phone(1);
  ASSERT_TRUE(w.engine->play(w.now, a.id, codec::ToneSequence::steady(400)));
  talk(10);
  ASSERT_TRUE(w.engine->enter(w.now, a.id, room()));
  ASSERT_TRUE(w.engine->enter(w.now, b.id, room()));
  w.engine->stop(w.now, a.id);
  talk(50);
  ASSERT_GT(a.packets.size(), 50u);
  for (size_t i = 1; i < a.packets.size(); ++i) {
    EXPECT_EQ(a.packets[i].ssrc(), a.packets[0].ssrc());
    EXPECT_EQ(a.packets[i].sequence(), static_cast<uint16_t>(a.packets[i - 1].sequence() + 1));
    const auto step = static_cast<int32_t>(a.packets[i].timestamp() - a.packets[i - 1].timestamp());
    EXPECT_GT(step, 0) << i;
    EXPECT_LE(step, 480) << i;
  }
}

TEST_F(Conference, SeatsAreObeyed) {
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(w.engine->enter(w.now, phone(i).id, room()));
  w.engine->seat(phones[0]->id, {.muted = true});
  w.engine->seat(phones[2]->id, {.deafened = true});
  talk(100);
  EXPECT_LT(phones[1]->level(tones[0]), -40);
  EXPECT_GT(phones[1]->level(tones[2]), -14);
  EXPECT_LT(phones[2]->level(tones[1]), -40);
  w.engine->seat(phones[0]->id, {.lecturer = true});
  w.engine->seat(phones[2]->id, {});
  w.engine->set_lecture(w.engine->room_of(phones[0]->id), true);
  talk(100);
  EXPECT_GT(phones[1]->level(tones[0]), -14);
  EXPECT_LT(phones[1]->level(tones[2]), -40);
}

TEST_F(Conference, TheLastOneClosesIt) {
  Phone& a = phone(0);
  Phone& b = phone(1);
  const RoomId first = room();
  ASSERT_TRUE(w.engine->enter(w.now, a.id, first));
  ASSERT_TRUE(w.engine->enter(w.now, b.id, first));
  w.engine->leave(w.now, a.id);
  EXPECT_EQ(w.engine->roster(first).size(), 1u);
  w.engine->close(w.now, b.id);
  EXPECT_TRUE(w.engine->roster(first).empty());
  EXPECT_EQ(w.engine->enter(w.now, a.id, first).reason(), Reason::unknown_room);
  // And who has left can talk with somebody again.
  Phone& c = phone(0);
  ASSERT_TRUE(w.engine->join(w.now, a.id, c.id));
  w.receive(a.address, a.port, a.packet());
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST_F(Conference, OneThatItsFirstCannotEnterIsClosed) {
  const EndpointId mute = w.engine->open({}).value();
  const RoomId first = room();
  EXPECT_EQ(w.engine->enter(w.now, mute, first).reason(), Reason::no_remote);
  EXPECT_EQ(w.engine->enter(w.now, phone(0).id, first).reason(), Reason::unknown_room);
  ASSERT_TRUE(w.engine->enter(w.now, phone(1).id, room()));
  EXPECT_EQ(w.engine->enter(w.now, mute, room()).reason(), Reason::no_remote);
  EXPECT_EQ(w.engine->roster(room()).size(), 1u);
}

TEST_F(Conference, AFullOneIsAReason) {
  ASSERT_TRUE(w.engine->enter(w.now, phone(0).id, room(2)));
  ASSERT_TRUE(w.engine->enter(w.now, phone(0).id, room(2)));
  EXPECT_EQ(w.engine->enter(w.now, phone(0).id, room(2)).reason(), Reason::room_full);
}

TEST_F(Conference, AnAnnouncementToOneIsHeardAloneAndThenTheOthersAgain) {
  Phone& a = phone(0);
  Phone& b = phone(1);
  for (Phone* p : {&a, &b}) ASSERT_TRUE(w.engine->enter(w.now, p->id, room()));
  talk(50);
  ASSERT_TRUE(w.engine->play(w.now, a.id, codec::ToneSequence{{{2000, 0, -10, 1000}}, 1}));
  talk(45);
  EXPECT_GT(a.level(2000), -13);
  EXPECT_LT(a.level(b.hertz), -40);
  EXPECT_GT(b.level(a.hertz), -14) << "it is heard meanwhile";
  talk(60);
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
  EXPECT_LT(a.level(2000), -40);
  EXPECT_GT(a.level(b.hertz), -14);
}

TEST_F(Conference, GoesOnAfterASnapshot) {
  for (size_t i = 0; i < 4; ++i) ASSERT_TRUE(w.engine->enter(w.now, phone(i).id, room()));
  w.engine->seat(phones[3]->id, {.muted = true});
  talk(50);
  std::vector<Sent> last;
  std::vector<std::string> parts;  // each leg is a call of its own
  for (auto& p : phones) parts.push_back(w.engine->snapshot(w.now, std::vector{p->id}));
  w.engine = std::make_unique<Engine>(w.config, w.ports, w.rng, w.counters, *w.keys);
  for (size_t i = 0; i < phones.size(); ++i) {
    const auto ids = w.engine->restore(w.now, parts[i]);
    ASSERT_TRUE(ids.ok());
    phones[i]->id = ids->front();
    last.push_back(phones[i]->packets.back());
    phones[i]->packets.clear();
  }
  EXPECT_EQ(w.engine->roster(w.engine->room_of(phones[0]->id)).size(), 4u);
  EXPECT_TRUE(w.engine->roster(w.engine->room_of(phones[0]->id))[3].seat.muted);
  talk(100);
  EXPECT_GT(phones[0]->level(tones[1]), -14);
  EXPECT_LT(phones[0]->level(tones[3]), -40);
  for (size_t i = 0; i < phones.size(); ++i) {
    const Sent& next = phones[i]->packets.front();
    EXPECT_EQ(next.ssrc(), last[i].ssrc());
    EXPECT_EQ(next.sequence(), static_cast<uint16_t>(last[i].sequence() + 1));
    EXPECT_GT(static_cast<int32_t>(next.timestamp() - last[i].timestamp()), 0);
  }
}

}  // namespace
}  // namespace tandem::media
