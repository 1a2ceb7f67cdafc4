#include "sim/judge.h"

#include <fmt/format.h>

namespace tandem::sim {
namespace {

constexpr size_t kept_violations = 20;

std::string text_of(const port::Cdr& c) {
  return fmt::format("[{}/{:x}/{} {}@{} -> {}@{} '{}' status {} answered {} caller {} callee {}]",
                     c.key.epoch, c.key.call, c.key.pair, c.caller.party.user, c.caller.party.domain,
                     c.callee.party.user, c.callee.party.domain, c.dialled, c.sip_status, c.answer.ns != 0,
                     c.caller.call_id, c.callee.call_id);
}

}  // namespace

std::string_view header_of(std::string_view message, std::string_view name) {
  const size_t body = message.find("\r\n\r\n");
  for (size_t at = message.find("\r\n"); at < body; at = message.find("\r\n", at + 2)) {
    std::string_view line = message.substr(at + 2);
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    return line.substr(0, line.find("\r\n"));
  }
  return {};
}

void Judge::violation(std::string invariant, std::string text) {
  if (violations_.size() >= kept_violations) return;
  violations_.push_back(
      {std::move(invariant),
       fmt::format("at {:.3f} s: {}", static_cast<double>(schedule_.now().ns) / 1e9, text)});
}

void Judge::ended(uint16_t node, std::string_view call_id) { ended_.emplace(node, std::string(call_id)); }

void Judge::records(uint16_t node, const std::map<port::CdrKey, port::Cdr>& cdrs) {
  std::multimap<std::string_view, const port::Cdr*> by_call_id;
  // An INVITE repeated after a crash is a call of the next boot, even when neither called anybody.
  std::map<std::tuple<std::string_view, std::string_view, uint64_t>, const port::Cdr*> pairs;
  records_ += cdrs.size();
  for (const auto& [key, c] : cdrs) {
    for (const std::string& id : {std::cref(c.caller.call_id), std::cref(c.callee.call_id)}) {
      if (id.empty()) continue;
      by_call_id.emplace(c.caller.call_id == id ? c.caller.call_id : c.callee.call_id, &c);
      if (!invited_.contains(id)) violation("no record is invented", text_of(c));
    }
    if (c.caller.call_id.empty()) violation("a record names its caller's leg", text_of(c));
    if (c.end < c.setup || (c.answer.ns != 0 && c.answer < c.setup) || (c.answer.ns != 0 && c.end < c.answer))
      violation("a record's times are in order", text_of(c));
    if (c.answer.ns == 0 && c.sip_status < 300) violation("an unanswered record has a failure", text_of(c));
    const auto [twin, fresh] =
        pairs.emplace(std::tuple{std::string_view(c.caller.call_id), std::string_view(c.callee.call_id),
                                 c.callee.call_id.empty() ? c.key.epoch : uint64_t{0}},
                      &c);
    if (!fresh) violation("a pair of legs has one record", text_of(*twin->second) + " and " + text_of(c));
  }
  for (const auto& [at, call_id] : ended_)
    if (at == node && !by_call_id.contains(call_id))
      violation("an ended call has its record", fmt::format("node {}, Call-ID {}", node, call_id));
  for (const auto& [at, call_id] : called_)
    if (at == node && !by_call_id.contains(call_id))
      violation("a leg that was called has its record", fmt::format("node {}, Call-ID {}", node, call_id));
  for (const Expectation& e : expected_) {
    if (e.node != node) continue;
    std::string found;
    size_t fits = 0;
    const auto [from, to] = by_call_id.equal_range(e.caller_call_id);
    for (auto i = from; i != to; ++i) {
      const port::Cdr& c = *i->second;
      found += " " + text_of(c);
      const bool other = e.callee_call_id.empty() || c.callee.call_id == e.callee_call_id ||
                         c.caller.call_id == e.callee_call_id;
      fits += other && (c.answer.ns != 0) == e.answered;
    }
    if (fits != e.records)
      violation("each pair of legs has exactly one record",
                fmt::format("{}: node {}, {} and {}: {} of {} fit;{}", e.what, e.node, e.caller_call_id,
                            e.callee_call_id, fits, e.records, found));
  }
}

}  // namespace tandem::sim
