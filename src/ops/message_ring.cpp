#include "ops/message_ring.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "ops/redact.h"

namespace tandem::ops {
namespace {

constexpr uint32_t whole_share = 1024;

/// Value of the first header line of that name (or its compact form), without parsing the rest.
std::string_view header_of(std::string_view message, std::string_view name, std::string_view compact) {
  size_t at = 0;
  while (at < message.size()) {
    const size_t end = std::min(message.find('\n', at), message.size());
    const std::string_view line = message.substr(at, end - at);
    if (line.size() <= 1) break;  // the body begins
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      const std::string_view key = trim(line.substr(0, colon));
      if (iequals(key, name) || (!compact.empty() && iequals(key, compact)))
        return trim(line.substr(colon + 1));
    }
    at = end + 1;
  }
  return {};
}

/// Of a request its own, of a response that of its request (CSeq).
std::string_view method_of(std::string_view message) {
  const std::string_view line = message.substr(0, message.find('\n'));
  if (!istarts_with(line, "SIP/2.0 ")) return line.substr(0, line.find(' '));
  const std::string_view cseq = header_of(message, "CSeq", {});
  const size_t space = cseq.find_last_of(" \t");
  return space == std::string_view::npos ? std::string_view{} : cseq.substr(space + 1);
}

bool is_of_a_call(std::string_view method) {
  static constexpr std::array<std::string_view, 9> methods{"INVITE", "ACK",  "BYE",   "CANCEL", "PRACK",
                                                           "UPDATE", "INFO", "REFER", "NOTIFY"};
  return std::find(methods.begin(), methods.end(), method) != methods.end();
}

std::string without_body(std::string text) {
  size_t at = text.find("\r\n\r\n");
  if (at == std::string::npos) return text;
  at += 4;
  if (at < text.size()) text.replace(at, std::string::npos, "<removed>\r\n");
  return text;
}

}  // namespace

std::string_view call_id_of(std::string_view message) { return header_of(message, "Call-ID", "i"); }

MessageRing::MessageRing(MessageRingOptions options, CounterSet& counters)
    : options_(options),
      kept_count_(counters.gauge("sip_messages_kept", "SIP messages of calls in memory, for the console")),
      dropped_(counters.counter("sip_messages_not_kept_total", "SIP messages of calls that were not kept",
                                "reason=\"queue\"")),
      passed_over_(counters.counter("sip_messages_not_kept_total", "SIP messages of calls that were not kept",
                                    "reason=\"rate\"")) {}

/// Under the lock. Whole calls: the hash of the Call-ID decides.
bool MessageRing::is_in_share(std::string_view call_id, WallTime now) {
  if (const int64_t second = now.unix_seconds(); second != second_) {
    if (in_second_ < options_.per_second / 4) share_ = std::min(share_ * 2, whole_share);
    second_ = second;
    in_second_ = 0;
  }
  if (hash64(call_id) % whole_share >= share_) return false;
  if (++in_second_ > options_.per_second) {
    share_ = std::max<uint32_t>(share_ / 2, 1);
    in_second_ = 0;
  }
  return true;
}

void MessageRing::put(const port::SipTrace& trace) {
  if (options_.messages == 0) return;
  const std::string_view text = trace.bytes.text();
  if (!is_of_a_call(method_of(text))) return;
  const std::string_view call_id = call_id_of(text);
  if (call_id.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!is_in_share(call_id, trace.time)) {
    ++passed_over_waiting_;
  } else if (waiting_.size() >= options_.waiting) {
    ++dropped_waiting_;
  } else {
    waiting_.push_back({std::string(call_id),
                        {trace.time, 0, trace.outbound, trace.path.transport, trace.path.local,
                         trace.path.remote, std::string(text)}});
  }
}

void MessageRing::take() {
  std::vector<Kept> fresh;
  {
    const std::lock_guard lock(mutex_);
    fresh.swap(waiting_);
    dropped_.add(std::exchange(dropped_waiting_, 0));
    passed_over_.add(std::exchange(passed_over_waiting_, 0));
  }
  for (Kept& kept : fresh) {
    std::string clean = redact_sip(kept.message.text);
    if (method_of(kept.message.text) == "INFO") clean = without_body(std::move(clean));
    kept.message.text = std::move(clean);
    keep(std::move(kept));
  }
  if (!fresh.empty()) kept_count_.set(ring_.size());
}

void MessageRing::keep(Kept kept) {
  kept.message.number = first_ + ring_.size();
  by_call_[kept.call_id].push_back(kept.message.number);
  bytes_ += kept.message.text.size();
  ring_.push_back(std::move(kept));
  while (ring_.size() > options_.messages || bytes_ > options_.messages * options_.average) drop_oldest();
}

void MessageRing::drop_oldest() {
  const Kept& oldest = ring_.front();
  const auto it = by_call_.find(oldest.call_id);
  it->second.pop_front();
  if (it->second.empty()) by_call_.erase(it);
  bytes_ -= oldest.message.text.size();
  ring_.pop_front();
  ++first_;
}

std::vector<KeptMessage> MessageRing::of(std::string_view call_id) const {
  std::vector<KeptMessage> found;
  const auto it = by_call_.find(call_id);
  if (it == by_call_.end()) return found;
  for (const uint64_t number : it->second) found.push_back(ring_[number - first_].message);
  std::stable_sort(found.begin(), found.end(),
                   [](const KeptMessage& a, const KeptMessage& b) { return a.time < b.time; });
  return found;
}

}  // namespace tandem::ops
