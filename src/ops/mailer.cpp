#include "ops/mailer.h"

#include <algorithm>
#include <chrono>

namespace tandem::ops {
namespace {

using Clock = std::chrono::steady_clock;
Instant now() { return {std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()).count()}; }

}  // namespace

Mailer::Mailer(MailerOptions options, CounterSet& counters, EventSink events)
    : options_(std::move(options)),
      events_(std::move(events)),
      sent_(counters.counter("voicemail_mails_total", "e-mails about voice messages, by what became of them",
                             "result=\"sent\"")),
      failed_(counters.counter("voicemail_mails_total",
                               "e-mails about voice messages, by what became of them", "result=\"failed\"")),
      dropped_(counters.counter("voicemail_mails_total",
                                "e-mails about voice messages, by what became of them",
                                "result=\"dropped\"")),
      retries_(counters.counter("voicemail_mail_retries_total",
                                "attempts to hand an e-mail over that were put off until later")),
      queued_(counters.gauge("voicemail_mails_queued", "e-mails about voice messages that wait")) {}

void Mailer::start() {
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
}

void Mailer::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
  dropped_.set(drops_ += queue_.size());
  queue_.clear();
  queued_.set(0);
}

bool Mailer::stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

bool Mailer::put(Mail mail) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= options_.max_queued) {
      ++drops_;
      return false;
    }
    queue_.push_back({std::move(mail), 0, now()});
  }
  wake_.notify_one();
  return true;
}

void Mailer::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    dropped_.set(drops_);
    queued_.set(queue_.size());
    const auto next = std::min_element(queue_.begin(), queue_.end(),
                                       [](const Waiting& a, const Waiting& b) { return a.due < b.due; });
    if (next == queue_.end()) {
      wake_.wait(lock);
    } else if (next->due > now()) {
      const auto due = Clock::time_point(std::chrono::duration_cast<Clock::duration>(Duration(next->due.ns)));
      wake_.wait_until(lock, due);
    } else {
      Waiting waiting = std::move(*next);
      queue_.erase(next);
      lock.unlock();
      attempt(std::move(waiting));
      lock.lock();
    }
  }
}

void Mailer::attempt(Waiting waiting) {
  const auto done =
      run_program(options_.program, waiting.mail.text(), options_.timeout, [this] { return stopping(); });
  if (!done.ok()) return fail(std::move(waiting), done.reason());
  sent_.add();
  if (waiting.mail.sent) waiting.mail.sent();
}

void Mailer::fail(Waiting waiting, const std::string& why) {
  const bool last = ++waiting.attempt >= options_.attempts;
  if (events_)
    events_({last ? port::Level::error : port::Level::warning,
             last ? "voicemail.mail_failed" : "voicemail.mail_refused",
             0,
             {{"mailbox", waiting.mail.about}, {"why", why}, {"attempt", std::to_string(waiting.attempt)}}});
  if (last) return failed_.add();
  Duration pause = options_.retry;
  for (uint32_t i = 1; i < waiting.attempt; ++i) pause *= 4;
  waiting.due = now() + pause;
  retries_.add();
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(waiting));
}

}  // namespace tandem::ops
