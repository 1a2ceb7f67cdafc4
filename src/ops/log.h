#pragma once
// Events and SIP traces as log lines: text for people, JSON for machines. Written by one background thread;
// when it cannot keep up, lines are dropped and counted, never waited for.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/counters.h"
#include "port/outbox.h"

namespace tandem::ops {

enum class LogFormat : uint8_t { text, json };

/// One line, without the line end. Numbers in fields that name a party (caller, callee, from, to, by, ...)
/// are shortened.
std::string format_event(const port::Event& event, WallTime time, LogFormat format, std::string_view source);
/// A SIP message for people: direction, path, then the message with credentials removed, indented.
std::string format_trace(const port::SipTrace& trace, LogFormat format);

class Log {
 public:
  Log(LogFormat format, port::Level level, CounterSet& counters);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// From any thread. `source`: "worker-0", "store", ...
  void event(const port::Event& event, WallTime time, std::string_view source);
  void trace(const port::SipTrace& trace);
  void set_level(port::Level level);
  port::Level level() const;
  void flush();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

port::Level level_from(std::string_view name);

}  // namespace tandem::ops
