// Machines as parts.
#include <algorithm>

#include "service.pb.h"
#include "service/attendant.h"
#include "service/conference_door.h"
#include "service/voicemail_leave.h"
#include "service/voicemail_read.h"

namespace tandem::service {

// ---- what all have ---------------------------------------------------------------------------------------

std::string Talk::snapshot(Now now) const {
  proto::ServicePart part;
  proto::ServiceTalkPart& talk = *part.mutable_talk();
  talk.set_until_wall_ns(deadline_to_wall(now, until_));
  talk.set_due_wall_ns(deadline_to_wall(now, due_));
  talk.set_stage(static_cast<uint32_t>(stage_));
  talk.set_under_way(static_cast<uint32_t>(under_way_));
  talk.set_speaking(speaking_);
  talk.set_status(static_cast<uint32_t>(status_));
  talk.set_dials(dials_);
  talk.set_ahead(ahead_);
  write(part);
  return part.SerializeAsString();
}

bool Talk::read_talk(Now now, const proto::ServiceTalkPart& part) {
  if (part.stage() > static_cast<uint32_t>(Stage::over) ||
      part.under_way() > static_cast<uint32_t>(UnderWay::save) || part.ahead().size() > most_keys_ahead ||
      part.until_wall_ns() < 0 || part.due_wall_ns() < 0)
    return false;
  until_ = deadline_from_wall(now, part.until_wall_ns());
  due_ = deadline_from_wall(now, part.due_wall_ns());
  stage_ = static_cast<Stage>(part.stage());
  under_way_ = static_cast<UnderWay>(part.under_way());
  speaking_ = part.speaking();
  status_ = static_cast<int>(part.status());
  dials_ = part.dials();
  ahead_ = part.ahead();
  return true;
}

// ---- attendant -------------------------------------------------------------------------------------------

void Attendant::write(proto::ServicePart& part) const {
  proto::AttendantPart& p = *part.mutable_attendant();
  p.set_language(menu_.language);
  for (const std::string& piece : menu_.greeting) p.add_greeting(piece);
  p.set_wait_seconds(menu_.wait_seconds);
  p.set_between_seconds(menu_.between_seconds);
  p.set_tries(menu_.tries);
  p.set_extensions(menu_.extensions);
  p.set_otherwise(menu_.otherwise);
  for (const port::MenuChoiceRow& c : choices_) {
    proto::MenuChoicePart& one = *p.add_choices();
    one.set_keys(c.keys);
    one.set_target(c.target);
  }
  p.set_typed(typed_);
  p.set_heard(heard_);
  p.set_last(last_);
}

std::unique_ptr<Attendant> Attendant::read(const proto::ServicePart& part) {
  const proto::AttendantPart& p = part.attendant();
  if (p.typed().size() > most_keys) return nullptr;
  port::MenuRow menu;
  menu.language = p.language();
  menu.greeting.assign(p.greeting().begin(), p.greeting().end());
  menu.wait_seconds = p.wait_seconds();
  menu.between_seconds = p.between_seconds();
  menu.tries = p.tries();
  menu.extensions = p.extensions();
  menu.otherwise = p.otherwise();
  std::vector<port::MenuChoiceRow> choices;
  for (const proto::MenuChoicePart& one : p.choices()) {
    port::MenuChoiceRow& c = choices.emplace_back();
    c.keys = one.keys();
    c.target = one.target();
  }
  auto made = std::make_unique<Attendant>(std::move(menu), std::move(choices));
  made->typed_ = p.typed();
  made->heard_ = p.heard();
  made->last_ = p.last();
  return made;
}

// ---- mailboxes -------------------------------------------------------------------------------------------

namespace {

void write_row(const port::MailboxRow& row, proto::MailboxPart& p) {
  p.set_domain(row.domain);
  p.set_user(row.user);
  p.set_pin(row.pin);
  p.set_language(row.language);
  p.set_max_messages(row.max_messages);
  p.set_max_seconds(row.max_seconds);
}

/// The year 2242: it may still be moved by a zone's offset.
constexpr WallTime latest_received{8'600'000'000 * 1'000'000'000};

port::MailboxRow read_row(const proto::MailboxPart& p) {
  port::MailboxRow row;
  row.domain = p.domain();
  row.user = p.user();
  row.pin = p.pin();
  row.language = p.language();
  row.max_messages = p.max_messages();
  row.max_seconds = p.max_seconds();
  return row;
}

}  // namespace

void MessageTaker::write(proto::ServicePart& part) const {
  proto::LeaveMessagePart& p = *part.mutable_leave();
  write_row(mailbox_, *p.mutable_mailbox());
  p.set_caller_number(caller_.number);
  p.set_caller_display(caller_.display);
  p.set_busy(busy_);
  p.set_tail(tail_);
  p.set_state(static_cast<uint32_t>(state_));
  p.set_tried(tried_);
}

std::unique_ptr<MessageTaker> MessageTaker::read(const proto::ServicePart& part) {
  const proto::LeaveMessagePart& p = part.leave();
  if (p.state() > static_cast<uint32_t>(State::message)) return nullptr;
  const Caller caller{{}, p.caller_number(), p.caller_display()};
  auto made = std::make_unique<MessageTaker>(read_row(p.mailbox()), caller, p.busy(), p.tail());
  made->state_ = static_cast<State>(p.state());
  made->tried_ = p.tried();
  return made;
}

void MailboxReader::write(proto::ServicePart& part) const {
  proto::ReadMessagesPart& p = *part.mutable_read();
  write_row(mailbox_, *p.mutable_mailbox());
  p.set_own(own_);
  p.set_offset_ns(offset_.count());
  p.set_state(static_cast<uint32_t>(state_));
  p.set_job(static_cast<uint32_t>(job_));
  for (const Item& i : items_) {
    proto::ListedMessagePart& one = *p.add_messages();
    one.set_id(i.id);
    one.set_from(i.from);
    one.set_received_wall_ns(i.received.ns);
    one.set_file(i.file);
    one.set_heard(i.heard);
    one.set_removed(i.removed);
  }
  for (const uint32_t i : list_) p.add_list(i);
  p.set_at(at_);
  p.set_playing(playing_);
  p.set_tries(tries_);
  p.set_silent(silent_);
  p.set_typed(entry_.typed());
  p.set_new_pin(new_pin_);
}

/// Whether what it points at is there, and every time is one.
bool MailboxReader::is_sound(const proto::ReadMessagesPart& p) {
  const auto items = static_cast<uint32_t>(p.messages_size()), listed = static_cast<uint32_t>(p.list_size());
  const Job job = static_cast<Job>(p.job());
  const bool needs_message = static_cast<State>(p.state()) == State::message || job == Job::mark_heard ||
                             job == Job::keep || job == Job::remove;
  return p.state() <= static_cast<uint32_t>(State::new_pin_again) &&
         p.job() <= static_cast<uint32_t>(Job::set_pin) && items <= most_messages && listed <= items &&
         p.typed().size() <= PinEntry::longest + 1 && Duration{p.offset_ns()} <= hours(24) &&
         Duration{p.offset_ns()} >= hours(-24) &&
         std::none_of(p.messages().begin(), p.messages().end(),
                      [](const auto& m) {
                        return m.received_wall_ns() < 0 || m.received_wall_ns() > latest_received.ns;
                      }) &&
         std::all_of(p.list().begin(), p.list().end(), [&](uint32_t i) { return i < items; }) &&
         (p.at() < listed || !needs_message);
}

std::unique_ptr<MailboxReader> MailboxReader::read(const proto::ServicePart& part) {
  const proto::ReadMessagesPart& p = part.read();
  if (!is_sound(p)) return nullptr;
  auto made = std::make_unique<MailboxReader>(read_row(p.mailbox()), p.own(), Duration{p.offset_ns()});
  made->state_ = static_cast<State>(p.state());
  made->job_ = static_cast<Job>(p.job());
  for (const proto::ListedMessagePart& one : p.messages())
    made->items_.push_back(
        {one.id(), one.from(), WallTime{one.received_wall_ns()}, one.file(), one.heard(), one.removed()});
  made->list_.assign(p.list().begin(), p.list().end());
  made->at_ = p.at();
  made->playing_ = p.playing();
  made->tries_ = p.tries();
  made->silent_ = p.silent();
  made->entry_ = PinEntry(p.typed());
  made->new_pin_ = p.new_pin();
  return made;
}

// ---- conference door -------------------------------------------------------------------------------------

void ConferenceDoor::write(proto::ServicePart& part) const {
  proto::ConferenceDoorPart& p = *part.mutable_door();
  p.set_domain(row_.domain);
  p.set_name(row_.name);
  p.set_pin(row_.pin);
  p.set_moderator_pin(row_.moderator_pin);
  p.set_language(row_.language);
  p.set_row_muted(row_.muted);
  p.set_state(static_cast<uint32_t>(state_));
  p.set_typed(entry_.typed());
  p.set_tries(tries_);
  p.set_moderator(moderator_);
  p.set_muted(muted_);
  p.set_lecture(lecture_);
  p.set_locked(locked_);
  p.set_star(star_);
  p.set_recorded(recorded_);
}

std::unique_ptr<ConferenceDoor> ConferenceDoor::read(const proto::ServicePart& part) {
  const proto::ConferenceDoorPart& p = part.door();
  if (p.state() > static_cast<uint32_t>(State::inside) || p.typed().size() > PinEntry::longest + 1)
    return nullptr;
  port::ConferenceRow row;
  row.domain = p.domain();
  row.name = p.name();
  row.pin = p.pin();
  row.moderator_pin = p.moderator_pin();
  row.language = p.language();
  row.muted = p.row_muted();
  auto made = std::make_unique<ConferenceDoor>(std::move(row));
  made->state_ = static_cast<State>(p.state());
  made->entry_ = PinEntry(p.typed());
  made->tries_ = p.tries();
  made->moderator_ = p.moderator();
  made->muted_ = p.muted();
  made->lecture_ = p.lecture();
  made->locked_ = p.locked();
  made->star_ = p.star();
  made->recorded_ = p.recorded();
  return made;
}

// ---- any -------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Machine>, BadPart> restore(Now now, std::string_view bytes) {
  using Kind = proto::ServicePart::MachineCase;
  proto::ServicePart part;
  if (bytes.size() > 0x7fffffff || !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return Failure{BadPart::unreadable};
  std::unique_ptr<Talk> made;
  switch (part.machine_case()) {
    case Kind::kAttendant:
      made = Attendant::read(part);
      break;
    case Kind::kLeave:
      made = MessageTaker::read(part);
      break;
    case Kind::kRead:
      made = MailboxReader::read(part);
      break;
    case Kind::kDoor:
      made = ConferenceDoor::read(part);
      break;
    default:
      return Failure{BadPart::unknown_kind};
  }
  if (!made || !made->read_talk(now, part.talk())) return Failure{BadPart::unreadable};
  return std::unique_ptr<Machine>(std::move(made));
}

}  // namespace tandem::service
