#pragma once
// A switch with an attendant, mailboxes and a conference, and phones that press keys.
#include "rtp/packet.h"
#include "unit/call/harness.h"
#include "unit/call/recorder.h"

namespace tandem::call::test {

/// The stores of voice messages: answers what Switch does not.
struct Mail {
  std::vector<port::Voicemail> messages;
  std::vector<port::LeaveVoicemail> left;
  std::vector<port::CloseRecording> closed;
  uint64_t next = 1;
  bool away = false;

  std::optional<port::Answer> answer(const port::Question& q) {
    if (const auto* ask = std::get_if<port::AskWaiting>(&q)) {
      if (away) return port::AskFailure::unavailable;
      port::WaitingAnswer waiting;
      for (const auto& m : messages)
        if (m.mailbox == ask->aor) ++(m.heard ? waiting.voice_old : waiting.voice_new);
      return waiting;
    }
    if (const auto* ask = std::get_if<port::AskVoicemails>(&q)) {
      if (away) return port::AskFailure::unavailable;
      port::VoicemailsAnswer found;
      for (const auto& m : messages)
        if (m.mailbox == ask->mailbox) found.messages.push_back(m);
      return found;
    }
    if (const auto* leave = std::get_if<port::LeaveVoicemail>(&q)) {
      left.push_back(*leave);
      if (away) return port::AskFailure::unavailable;
      messages.push_back(leave->message);
      messages.back().id = next++;
      messages.back().file = "message.wav";
      return port::Stored{messages.back().id};
    }
    if (const auto* close = std::get_if<port::CloseRecording>(&q)) {
      closed.push_back(*close);
      return port::RecordingAnswer{close->discard ? port::RecordingEnd::discarded
                                                  : port::RecordingEnd::whole};
    }
    if (const auto* mark = std::get_if<port::MarkVoicemail>(&q)) {
      for (auto& m : messages)
        if (m.id == mark->id) m.heard = mark->heard;
      return port::Stored{};
    }
    if (const auto* gone = std::get_if<port::RemoveVoicemail>(&q)) {
      std::erase_if(messages, [&](const auto& m) { return m.id == gone->id; });
      return port::Stored{};
    }
    return std::nullopt;
  }
};

inline port::PlanRows service_rows() {
  port::PlanRows rows;
  port::DomainRow d;
  d.name = domain;
  rows.domains.push_back(d);
  port::MenuRow menu;
  menu.domain = domain;
  menu.name = "600";
  menu.wait_seconds = 5;
  menu.tries = 2;
  menu.otherwise = "1003";
  rows.menus.push_back(menu);
  uint32_t position = 0;
  for (const auto& [keys, target] : {std::pair{"1", "1002"}, {"2", "800"}, {"3", "601"}}) {
    port::MenuChoiceRow choice;
    choice.domain = domain;
    choice.menu = "600";
    choice.position = position++;
    choice.keys = keys;
    choice.target = target;
    rows.menu_choices.push_back(choice);
  }
  menu.name = "601";
  rows.menus.push_back(menu);
  port::MenuChoiceRow back;
  back.domain = domain;
  back.menu = "601";
  back.keys = "9";
  back.target = "600";
  rows.menu_choices.push_back(back);
  port::MailboxRow box;
  box.domain = domain;
  box.user = "1002";
  box.pin = "4711";
  rows.mailboxes.push_back(box);
  port::ConferenceRow conference;
  conference.domain = domain;
  conference.name = "800";
  conference.members = 3;
  rows.conferences.push_back(conference);
  conference.name = "801";
  conference.moderator_pin = "99";
  conference.pin = "11";
  conference.wait = conference.ends = true;
  rows.conferences.push_back(conference);
  return rows;
}

/// A caller of a service: it speaks, and presses keys.
struct Caller : Phone {
  using Phone::Phone;
  /// Calls and is answered.
  void dials(const std::string& number) {
    call(number);
    hears(expect(200));
    ack();
  }
  void hears(const sip::Message& answer) {
    const auto told = sdp::Description::parse(answer.body_text());
    ASSERT_TRUE(told.ok());
    to = told->media(0).port;
  }
  void packet(uint8_t type, bool marker, std::span<const uint8_t> payload, uint32_t timestamp) {
    constexpr uint32_t room = 32;
    std::vector<uint8_t> bytes(12 + payload.size() + room);
    rtp::Header h;
    h.payload_type = type;
    h.marker = marker;
    h.sequence = sequence++;
    h.timestamp = timestamp;
    h.ssrc = static_cast<uint32_t>(0x1000 + serial);
    h.write(bytes.data());
    std::copy(payload.begin(), payload.end(), bytes.begin() + 12);
    port::MediaPacket p{sw->ports->id_of(to), *SocketAddress::parse(media),
                        MutableBytes(bytes).first(12 + payload.size()), room};
    sw->engine->on_media(sw->now, {&p, 1}, sw->out.media);
    sw->pump();
  }
  /// RFC 4733, 60 ms.
  void press(const std::string& keys) {
    for (const char key : keys) {
      const auto event = static_cast<uint8_t>(std::string_view("0123456789*#").find(key));
      const uint32_t began = clock;
      for (uint16_t i = 1; i <= 5; ++i) {
        const auto duration = static_cast<uint16_t>(160 * std::min<uint16_t>(i, 3));
        const uint8_t end = i > 2 ? 0x80 : 0;
        const uint8_t payload[] = {event, static_cast<uint8_t>(end | 10), static_cast<uint8_t>(duration >> 8),
                                   static_cast<uint8_t>(duration)};
        packet(101, i == 1, payload, began);
        clock += 160;
        sw->advance(milliseconds(20));
      }
      sw->advance(milliseconds(100));
      clock += 800;
    }
  }
  void speak(Duration how_long) {
    const std::vector<uint8_t> frame(160, 0x55);
    for (Duration said{0}; said < how_long; said += milliseconds(20)) {
      packet(0, false, frame, clock);
      clock += 160;
      sw->advance(milliseconds(20));
    }
  }
  void leaves() {
    bye();
    expect(200);
  }

  uint16_t to = 0;  // our port
  uint16_t sequence = 1;
  uint32_t clock = 0;
};

struct ServiceSwitch : Switch {
  explicit ServiceSwitch(CallConfig c = {}, port::PlanRows rows = service_rows(),
                         std::shared_ptr<Lines> shared = {}, uint64_t seed = 11,
                         std::shared_ptr<media::FakePorts> shared_ports = {})
      : Switch(c, std::move(rows), std::move(shared), seed, std::move(shared_ports)) {
    auto hum = std::make_shared<port::Sound>();
    hum->samples.assign(port::sound_rate / 10, 1000);
    auto library = std::make_shared<port::PromptLibrary>();
    for (const char* name :
         {"welcome", "beep", "leave-message", "enter-pin", "goodbye", "conference-welcome"})
      library->add("en", name, hum);
    prompts = library;
    on_build = [this] {
      engine->use(prompts);
      engine->use(recorder);
    };
    on_build();
    others = [this](const port::Question& q) { return mail.answer(q); };
  }
  std::shared_ptr<const port::PromptLibrary> prompts;
  FakeRecorder recorder;
  Mail mail;
};

}  // namespace tandem::call::test
