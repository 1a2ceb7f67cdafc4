#pragma once
// Hands e-mails to a program such as sendmail, on a thread of its own: one at a time, again after a while
// when the program would not take it. The program is started without a shell.
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "base/time.h"
#include "port/event.h"

namespace tandem::ops {

struct MailerOptions {
  std::vector<std::string> program;  // its path and arguments
  Duration timeout = seconds(30);    // then it is killed
  size_t max_queued = 1000;          // past it mails are dropped, counted
  uint32_t attempts = 6;
  Duration retry = seconds(15);  // after the first; four times as long after each more
};

struct Mail {
  std::string about;                  // whose it is, for events: user@domain
  std::function<std::string()> text;  // made on the mailer's thread, anew for each attempt
  std::function<void()> sent;         // once the program took it; on that thread
};

class Mailer {
 public:
  using EventSink = std::function<void(const port::Event&)>;
  Mailer(MailerOptions options, CounterSet& counters, EventSink events = {});
  ~Mailer() { stop(); }
  Mailer(const Mailer&) = delete;
  Mailer& operator=(const Mailer&) = delete;

  void start();
  /// What is under way is killed, what waits is dropped, counted.
  void stop();
  /// Any thread; does not wait. False: it was dropped.
  bool put(Mail mail);

 private:
  struct Waiting {
    Mail mail;
    uint32_t attempt = 0;
    Instant due;
  };
  void run();
  void attempt(Waiting waiting);
  void fail(Waiting waiting, const std::string& why);
  bool stopping() const;

  // given
  const MailerOptions options_;
  EventSink events_;
  Counter& sent_;
  Counter& failed_;
  Counter& dropped_;
  Counter& retries_;
  Counter& queued_;
  // shared
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Waiting> queue_;
  uint64_t drops_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

/// Runs a program with `input` on its standard input; what it prints is lost. Nothing: it ended with 0; else
/// why not. `give_up` is asked some times a second.
Status<std::string> run_program(const std::vector<std::string>& program, std::string_view input,
                                Duration timeout, const std::function<bool()>& give_up);

}  // namespace tandem::ops
