#include "load/statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>

namespace tandem::load {

// ---- Histogram -------------------------------------------------------------------------------------------

size_t Histogram::bucket_of(uint64_t value) {
  if (value < sub) return value;
  const auto octave = static_cast<size_t>(std::bit_width(value)) - 6;  // 1 for 64..127
  return std::min(buckets - 1, octave * sub + ((value >> (octave - 1)) - sub));
}

uint64_t Histogram::top_of(size_t bucket) {
  if (bucket < 2 * sub) return bucket;
  const size_t octave = bucket / sub;
  return ((bucket % sub + sub + 1) << (octave - 1)) - 1;
}

void Histogram::add(uint64_t value) {
  ++entries_[bucket_of(value)];
  ++count_;
  max_ = std::max(max_, value);
}

uint64_t Histogram::percentile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted =
      std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_))));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets; ++i) {
    seen += entries_[i];
    if (seen >= wanted) return std::min(top_of(i), max_);
  }
  return max_;
}

// ---- text ------------------------------------------------------------------------------------------------

namespace {

class Json {
 public:
  void number(const char* name, uint64_t value) { field(name) += std::to_string(value); }
  void real(const char* name, double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.4g", value);
    field(name) += std::isfinite(value) ? text : "null";
  }
  void open(const char* name) {
    field(name) += '{';
    first_ = true;
  }
  void close() {
    out_ += '}';
    first_ = false;
  }
  std::string& field(const std::string& name) {
    if (!first_) out_ += ", ";
    first_ = false;
    out_ += '"';
    for (const char c : name)
      if (c == '"' || c == '\\')
        (out_ += '\\') += c;
      else if (static_cast<unsigned char>(c) >= ' ' && static_cast<unsigned char>(c) < 0x7f)
        out_ += c;
    return out_ += "\": ";
  }
  void distribution(const char* name, const Histogram& h, double unit) {
    open(name);
    number("count", h.count());
    real("p50", static_cast<double>(h.percentile(0.5)) / unit);
    real("p90", static_cast<double>(h.percentile(0.9)) / unit);
    real("p99", static_cast<double>(h.percentile(0.99)) / unit);
    real("max", static_cast<double>(h.max()) / unit);
    close();
  }
  std::string take() && { return std::move(out_ += "}"); }

 private:
  std::string out_ = "{";
  bool first_ = true;
};

constexpr double ms = 1000;        // microseconds in one
constexpr double percent = 10000;  // parts per million in one

}  // namespace

double Statistics::achieved_rate() const {
  const uint64_t starts = started + registrations_started;
  const double span = static_cast<double>((last_start - first_start).count()) * 1e-9;
  return starts < 2 || span <= 0 ? 0 : static_cast<double>(starts - 1) / span;
}

std::string to_json(const Statistics& s) {
  Json j;
  j.open("calls");
  j.number("started", s.started);
  j.number("answered", s.answered);
  j.number("completed", s.completed);
  j.number("failed", s.failed);
  j.number("shed", s.shed);
  j.close();
  j.open("incoming");
  j.number("started", s.incoming);
  j.number("completed", s.incoming_completed);
  j.close();
  j.open("registrations");
  j.number("started", s.registrations_started);
  j.number("completed", s.registered);
  j.number("failed", s.registrations_failed);
  j.close();
  j.open("failures");
  for (const auto& [cause, count] : s.failures) j.field(cause) += std::to_string(count);
  j.close();
  j.real("achieved_rate", s.achieved_rate());
  j.number("retransmitted", s.retransmitted);
  j.number("retransmissions_seen", s.retransmissions_seen);
  j.number("unexpected", s.unexpected);
  j.number("malformed", s.malformed);
  j.number("congested", s.congested);
  j.distribution("ring_delay_ms", s.ring_delay, ms);
  j.distribution("answer_delay_ms", s.answer_delay, ms);
  j.distribution("release_delay_ms", s.release_delay, ms);
  j.distribution("register_delay_ms", s.register_delay, ms);
  j.distribution("connect_delay_ms", s.connect_delay, ms);
  j.open("rtp");
  j.number("sent", s.packets_sent);
  j.number("received", s.packets_received);
  j.number("lost", s.packets_lost);
  j.number("disordered", s.packets_disordered);
  j.number("streams", s.streams);
  j.number("silent_streams", s.streams_silent);
  j.number("late_ticks", s.late_ticks);
  j.distribution("delay_ms", s.packet_delay, ms);
  j.distribution("loss_percent", s.loss, percent);
  j.close();
  return std::move(j).take();
}

std::string progress_line(const Statistics& s, const Statistics& before, int second) {
  char text[512];
  int n = std::snprintf(text, sizeof text, "%4d s", second);
  const auto left = [&] { return sizeof text - static_cast<size_t>(n); };
  const auto at = [&] { return text + n; };
  if (s.started + s.shed > 0)
    n += std::snprintf(at(), left(), "  calls %llu (+%llu) up %llu done %llu failed %llu",
                       static_cast<unsigned long long>(s.started),
                       static_cast<unsigned long long>(s.started - before.started),
                       static_cast<unsigned long long>(s.up), static_cast<unsigned long long>(s.completed),
                       static_cast<unsigned long long>(s.failed));
  if (s.incoming > 0)
    n += std::snprintf(at(), left(), "  in %llu (+%llu) up %llu", static_cast<unsigned long long>(s.incoming),
                       static_cast<unsigned long long>(s.incoming - before.incoming),
                       static_cast<unsigned long long>(s.incoming_up));
  if (s.registrations_started > 0)
    n += std::snprintf(at(), left(), "  registered %llu (+%llu) failed %llu",
                       static_cast<unsigned long long>(s.registered),
                       static_cast<unsigned long long>(s.registered - before.registered),
                       static_cast<unsigned long long>(s.registrations_failed));
  n += std::snprintf(at(), left(), "  retransmitted %llu", static_cast<unsigned long long>(s.retransmitted));
  if (s.packets_sent + s.packets_received > 0)
    n += std::snprintf(
        at(), left(), "  rtp out %llu in %llu lost %llu", static_cast<unsigned long long>(s.packets_sent),
        static_cast<unsigned long long>(s.packets_received), static_cast<unsigned long long>(s.packets_lost));
  return {text, static_cast<size_t>(n)};
}

}  // namespace tandem::load
