#include "ops/log.h"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <iterator>
#include <mutex>

#include "base/text.h"
#include "ops/json_rows.h"
#include "ops/redact.h"

namespace tandem::ops {
namespace {

namespace json = boost::json;

constexpr std::string_view level_names[] = {"debug", "info", "notice", "warning", "error"};
constexpr size_t queue_lines = 65536;

bool is_number(std::string_view field) {
  static constexpr std::string_view names[] = {"caller", "callee", "number", "dialled", "target",
                                               "from",   "to",     "by",     "party",   "instead_of"};
  return std::find(std::begin(names), std::end(names), field) != std::end(names);
}

/// A value as it may stand in a text line: quoted when it holds spaces, control characters never.
void append_value(std::string& out, std::string_view value) {
  const bool plain = !value.empty() && value.find_first_of(" \"=") == std::string_view::npos;
  if (!plain) out.push_back('"');
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    else
      out.push_back(c);
  }
  if (!plain) out.push_back('"');
}

}  // namespace

port::Level level_from(std::string_view name) {
  for (size_t i = 0; i < std::size(level_names); ++i)
    if (level_names[i] == name) return static_cast<port::Level>(i);
  return port::Level::info;
}

std::string format_event(const port::Event& event, WallTime time, LogFormat format, std::string_view source) {
  const std::string_view level = level_names[static_cast<size_t>(event.level)];
  if (format == LogFormat::json) {
    json::object line{
        {"time", to_rfc3339(time)}, {"level", level}, {"event", event.name}, {"source", source}};
    if (event.trail) line["call"] = std::to_string(event.trail);
    for (const auto& [key, value] : event.fields)
      line[key] = valid_utf8(is_number(key) ? shorten_number(value) : value);
    return json::serialize(line);
  }
  std::string line = fmt::format("{} {:7} {}", to_rfc3339(time), level, event.name);
  if (event.trail) fmt::format_to(std::back_inserter(line), " call={}", event.trail);
  for (const auto& [key, value] : event.fields) {
    fmt::format_to(std::back_inserter(line), " {}=", key);
    append_value(line, is_number(key) ? shorten_number(value) : value);
  }
  if (!source.empty()) fmt::format_to(std::back_inserter(line), " [{}]", source);
  return line;
}

std::string format_trace(const port::SipTrace& trace, LogFormat format) {
  const std::string message = redact_sip(trace.bytes.text());
  const char* direction = trace.outbound ? "sent" : "received";
  if (format == LogFormat::json)
    return json::serialize(json::object{{"time", to_rfc3339(trace.time)},
                                        {"event", "sip.message"},
                                        {"direction", direction},
                                        {"transport", port::to_string(trace.path.transport)},
                                        {"local", trace.path.local.to_string()},
                                        {"remote", trace.path.remote.to_string()},
                                        {"message", valid_utf8(message)}});
  std::string out = fmt::format("{} {} {} {} {}\n", to_rfc3339(trace.time), direction,
                                port::to_string(trace.path.transport), trace.outbound ? "to" : "from",
                                trace.path.remote.to_string());
  std::string_view rest = message;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    out += "    ";
    for (const char c : line) {  // a hostile message must not drive the terminal
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t')
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
      else
        out.push_back(c);
    }
    out.push_back('\n');
  }
  out.pop_back();
  return out;
}

struct Log::Impl {
  Impl(LogFormat f, port::Level l, CounterSet& counters)
      : format(f),
        level(l),
        pool(std::make_shared<spdlog::details::thread_pool>(queue_lines, 1)),
        logger(std::make_shared<spdlog::async_logger>("tandem",
                                                      std::make_shared<spdlog::sinks::stderr_sink_mt>(), pool,
                                                      spdlog::async_overflow_policy::overrun_oldest)),
        dropped(counters.gauge("log_lines_dropped",
                               "Log lines dropped because they could not be written fast enough")) {
    logger->set_pattern("%v");
    logger->set_level(spdlog::level::trace);
  }
  void line(const std::string& text) {
    logger->info(text);
    const std::lock_guard lock(dropped_mutex);
    dropped.set(pool->overrun_counter());
  }
  LogFormat format;
  std::atomic<port::Level> level;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> logger;
  std::mutex dropped_mutex;
  Counter& dropped;
};

Log::Log(LogFormat format, port::Level level, CounterSet& counters)
    : impl_(std::make_unique<Impl>(format, level, counters)) {}
Log::~Log() { flush(); }

void Log::event(const port::Event& event, WallTime time, std::string_view source) {
  if (event.level >= impl_->level.load(std::memory_order_relaxed))
    impl_->line(format_event(event, time, impl_->format, source));
}
void Log::trace(const port::SipTrace& trace) { impl_->line(format_trace(trace, impl_->format)); }
void Log::set_level(port::Level level) { impl_->level = level; }
port::Level Log::level() const { return impl_->level; }
void Log::flush() { impl_->logger->flush(); }

}  // namespace tandem::ops
