// Voice messages: from the recorder to the store, and from there to whoever has to know.
#include "net/clock.h"
#include "node/mail.h"
#include "node/ownership.h"
#include "ops/voicemail_mail.h"
#include "route/zone.h"
#include "tandem/program_impl.h"

namespace tandem::app {
namespace {

// What most mail servers take, with a third more for base64.
constexpr size_t most_attached = 18 << 20;

}  // namespace

void Program::Impl::recorder_answered(uint16_t worker, port::AskId id, port::Answer answer) {
  auto next = voicemail_drop->closed(worker, id, answer);
  if (!next) return runtime->post_answer(worker, id, std::move(answer));
  if (auto* final_answer = std::get_if<port::Answer>(&*next))
    return runtime->post_answer(worker, id, std::move(*final_answer));
  std::vector<port::Asked> one;
  one.push_back(std::get<port::Asked>(std::move(*next)));
  store->ask(worker, one);
}

void Program::Impl::mailbox_changed(const port::AddressOfRecord& mailbox) {
  const uint16_t owner = sip::worker_of_shard(node::shard_of(mailbox), runtime->workers());
  runtime->post_mail(owner, std::make_unique<node::MailboxMail>(mailbox));
}

void Program::Impl::start_mailer() {
  if (config.voicemail.mail_program.empty()) return;
  ops::MailerOptions options;
  options.program = config.voicemail.mail_program;
  options.timeout = config.voicemail.mail_timeout;
  mailer = std::make_unique<ops::Mailer>(
      options, mail_counters, [this](const port::Event& e) { log.event(e, net::now().wall, "mailer"); });
  mailer->start();
}

void Program::Impl::message_left(const port::Voicemail& message) {
  if (webhooks_on && !webhook_sender->file(*store_directory, {ops::webhook_event(message)}).ok())
    webhook_sender->accept(ops::webhook_event(message));
  const auto now_plan = plan();
  const port::MailboxRow* row = now_plan->mailbox(message.mailbox.domain, message.mailbox.user);
  if (!mailer || !row || row->email.empty()) return;
  ops::VoicemailMail mail{config.voicemail.mail_from, row->email, message, 0, net::SystemRng().token(24), {}};
  if (const auto zone = route::Zone::parse(row->time_zone); zone.ok())
    mail.offset = zone->offset_at(message.received);
  const bool attach = row->attach, remove = row->remove_sent;
  const auto attached = std::make_shared<bool>(false);
  const auto text = [this, mail, attach, attached] {
    ops::VoicemailMail whole = mail;
    if (attach)
      if (auto bytes = sounds->bytes({port::SoundPlace::voicemail, mail.message.file}, most_attached);
          bytes.ok())
        whole.sound = std::move(*bytes);
    *attached = whole.sound.has_value();
    return ops::to_mime(whole);
  };
  // A message whose sound is too long for a mail stays where it can be heard.
  const auto sent = [this, remove, attached, mailbox = message.mailbox, id = message.id] {
    if (remove && *attached) store->tell(port::RemoveVoicemail{mailbox, id});
  };
  mailer->put({message.mailbox.to_string(), text, sent});
}

void Program::Impl::remove_file(const port::SoundFile& file) { recorder->remove(file); }

void Program::Impl::read_file(port::SoundFile file, size_t most,
                              std::function<void(Result<std::string, port::SoundFailure>)> then) {
  sounds->read(std::move(file), most, std::move(then));
}

void Program::Impl::mailbox_plan_changed() { change_plan(*store_directory); }

}  // namespace tandem::app
