#include "port/message_plan.h"

#include <charconv>
#include <string_view>

namespace tandem::port {
namespace {

template <class Number>
std::optional<Number> number(const std::string* text) {
  Number value{};
  if (!text) return std::nullopt;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc{} || stop != end || value < 0) return std::nullopt;
  return value;
}

}  // namespace

RecordingFields to_fields(const MessagePlan& plan) {
  const auto shortest = std::chrono::duration_cast<std::chrono::milliseconds>(plan.shortest);
  return {{"mailbox_user", plan.message.mailbox.user},
          {"mailbox_domain", plan.message.mailbox.domain},
          {"from", plan.message.from},
          {"from_display", plan.message.from_display},
          {"received_ns", std::to_string(plan.message.received.ns)},
          {"most", std::to_string(plan.most)},
          {"shortest_ms", std::to_string(shortest.count())}};
}

std::optional<MessagePlan> message_plan(const RecordingFields& fields) {
  const auto find = [&](std::string_view name) -> const std::string* {
    for (const auto& [key, value] : fields)
      if (key == name) return &value;
    return nullptr;
  };
  const auto text = [&](std::string_view name) {
    const std::string* found = find(name);
    return found ? *found : std::string{};
  };
  MessagePlan plan;
  plan.message.mailbox = {text("mailbox_user"), text("mailbox_domain")};
  plan.message.from = text("from");
  plan.message.from_display = text("from_display");
  const auto received = number<int64_t>(find("received_ns"));
  const auto most = number<int64_t>(find("most")), shortest = number<int64_t>(find("shortest_ms"));
  constexpr int64_t hour_ms = 3'600'000;
  if (plan.message.mailbox.user.empty() || plan.message.mailbox.domain.empty() || !received || !most ||
      *most > UINT32_MAX || !shortest || *shortest > hour_ms)
    return std::nullopt;
  plan.message.received = WallTime{*received};
  plan.most = static_cast<uint32_t>(*most);
  plan.shortest = milliseconds(*shortest);
  return plan;
}

}  // namespace tandem::port
