#include "net/websocket_framer.h"

#include <openssl/rand.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>

#include "base/text.h"

namespace tandem::net {
namespace {

constexpr size_t reason_limit = 123;  // a control frame carries 125 bytes, two of them the code

/// The beginning of `text` that fits, cut between characters.
std::string_view fitting(std::string_view text) {
  size_t n = 0;
  while (n < text.size()) {
    const size_t step = utf8_length(text.substr(n));
    if (step == 0 || n + step > reason_limit) break;
    n += step;
  }
  return text.substr(0, n);
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    if (static_cast<uint8_t>(text.front()) < 0x80) {
      text.remove_prefix(1);
      continue;
    }
    const size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

bool TokenBucket::take(Instant now) {
  const double passed = static_cast<double>((now - last_).count()) / 1e9;
  tokens_ = std::min(2 * rate_, tokens_ + passed * rate_);
  last_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

/// libwslay calls these from wslay_event_recv() and wslay_event_send(); `self` is the framer.
struct WebSocketFramer::Callbacks {
  static WebSocketFramer& of(void* self) { return *static_cast<WebSocketFramer*>(self); }

  static ssize_t recv(wslay_event_context* context, uint8_t* into, size_t room, int, void* self) {
    Bytes& input = of(self).input_;
    const size_t n = std::min(room, input.size());
    if (n == 0) {
      wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
      return -1;
    }
    std::copy_n(input.begin(), n, into);
    input = input.subspan(n);
    return static_cast<ssize_t>(n);
  }
  static ssize_t send(wslay_event_context*, const uint8_t* bytes, size_t n, int, void* self) {
    of(self).output_.append(Bytes(bytes, n));
    return static_cast<ssize_t>(n);
  }
  /// Section 5.3: nobody may foresee the masks.
  static int mask(wslay_event_context*, uint8_t* out, size_t n, void*) {
    return RAND_bytes(out, static_cast<int>(n)) == 1 ? 0 : -1;
  }
  static void frame_start(wslay_event_context*, const wslay_event_on_frame_recv_start_arg* arg, void* self) {
    of(self).frame_begins(arg->opcode, arg->payload_length);
  }
  static void frame_end(wslay_event_context*, void* self) { of(self).in_frame_ = false; }
  static void message(wslay_event_context*, const wslay_event_on_msg_recv_arg* arg, void* self) {
    of(self).message_came(arg->opcode, Bytes(arg->msg, arg->msg_length));
  }
};

void WebSocketFramer::Free::operator()(wslay_event_context* context) const {
  wslay_event_context_free(context);
}

WebSocketFramer::WebSocketFramer(const WebSocketLimits& limits, Side side)
    : limits_(limits),
      side_(side),
      messages_(limits.messages_per_second),
      controls_(limits.control_per_second) {
  static constexpr wslay_event_callbacks callbacks = {
      Callbacks::recv, Callbacks::send,      Callbacks::mask,   Callbacks::frame_start,
      nullptr,         Callbacks::frame_end, Callbacks::message};
  wslay_event_context* made = nullptr;
  const auto init = side == Side::server ? wslay_event_context_server_init : wslay_event_context_client_init;
  if (init(&made, &callbacks, this) != 0) throw std::bad_alloc();
  context_.reset(made);
  wslay_event_config_set_max_recv_msg_length(made, limits.message_bytes);
}

WebSocketFramer::~WebSocketFramer() = default;

void WebSocketFramer::frame_begins(uint8_t opcode, uint64_t octets) {
  in_frame_ = true;
  if (opcode == WSLAY_CONNECTION_CLOSE &&
      octets == 1)  // half a code (section 5.5.1); the library takes it for none
    return fail(End::protocol, WSLAY_CODE_PROTOCOL_ERROR, "half a code");
  if (wslay_is_ctrl_frame(opcode)) {
    // Close is answered once and ends all; only what may be repeated is counted.
    if (opcode != WSLAY_CONNECTION_CLOSE && !controls_.take(now_))
      fail(End::control_rate, WSLAY_CODE_POLICY_VIOLATION, "too many pings");
    pinged_ = pinged_ || opcode == WSLAY_PING;
    return;
  }
  if (opcode != WSLAY_CONTINUATION_FRAME) {
    frames_ = 0;
    in_message_ = true;
  }
  if (++frames_ > limits_.fragments) fail(End::fragments, WSLAY_CODE_POLICY_VIOLATION, "too many fragments");
}

void WebSocketFramer::message_came(uint8_t opcode, Bytes bytes) {
  if (end_ != End::none || wslay_is_ctrl_frame(opcode)) return;
  in_message_ = false;
  if (!messages_.take(now_)) return fail(End::message_rate, WSLAY_CODE_POLICY_VIOLATION, "too many messages");
  received_.push_back(Buffer::copy_of(bytes));
}

void WebSocketFramer::fail(End why, uint16_t code, std::string_view reason) {
  if (end_ != End::none) return;
  end_ = why;
  wslay_event_shutdown_read(context_.get());
  wslay_event_queue_close(context_.get(), code, as_bytes(reason).data(), reason.size());
}

/// A header that is none: the library would end it with a Close that gives no reason.
void WebSocketFramer::broken() {
  end_ = End::protocol;
  partial_ = false;
  wslay_event_shutdown_read(context_.get());
  wslay_event_shutdown_write(context_.get());
  static constexpr std::array<uint8_t, 4> close_1002 = {0x88, 0x02, 0x03, 0xea};
  static constexpr std::array<uint8_t, 8> masked_1002 = {0x88, 0x82, 0, 0, 0, 0, 0x03, 0xea};
  output_.append(side_ == Side::server ? Bytes(close_1002) : Bytes(masked_1002));
}

void WebSocketFramer::receive(Instant now, Bytes bytes) {
  now_ = now;
  input_ = bytes;
  const int result = end_ == End::none ? wslay_event_recv(context_.get()) : 0;
  input_ = {};
  if (result != 0) return broken();
  flush();
  if (end_ == End::none && wslay_event_get_read_enabled(context_.get()) == 0) {
    // The library itself has said no, or answered the peer's Close.
    switch (wslay_event_get_close_received(context_.get()) != 0
                ? uint16_t{0}
                : wslay_event_get_status_code_sent(context_.get())) {
      case 0:
        end_ = closing_ ? End::by_us : End::by_peer;
        break;
      case WSLAY_CODE_MESSAGE_TOO_BIG:
        end_ = End::too_big;
        break;
      case WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA:
        end_ = End::not_utf8;
        break;
      default:
        end_ = End::protocol;
    }
  }
  partial_ = end_ == End::none && (in_frame_ || in_message_);
}

std::optional<Buffer> WebSocketFramer::pop() {
  if (received_.empty()) return std::nullopt;
  Buffer first = std::move(received_.front());
  received_.pop_front();
  return first;
}

bool WebSocketFramer::send(Bytes message) {
  const bool text = is_utf8(as_text(message));
  const wslay_event_msg m{static_cast<uint8_t>(text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME), message.data(),
                          message.size()};
  if (wslay_event_queue_msg(context_.get(), &m) != 0) return false;
  flush();
  return true;
}

void WebSocketFramer::ping() {
  const wslay_event_msg m{WSLAY_PING, nullptr, 0};
  if (wslay_event_queue_msg(context_.get(), &m) == 0) flush();
}

void WebSocketFramer::close(uint16_t code, std::string_view reason) {
  closing_ = true;
  const std::string_view text = fitting(reason);
  if (wslay_event_queue_close(context_.get(), code, as_bytes(text).data(), text.size()) == 0) flush();
}

void WebSocketFramer::flush() { wslay_event_send(context_.get()); }

Buffer WebSocketFramer::take_output() { return std::exchange(output_, Buffer()); }

bool WebSocketFramer::close_received() const { return wslay_event_get_close_received(context_.get()) != 0; }

uint16_t WebSocketFramer::close_code() const { return wslay_event_get_status_code_received(context_.get()); }

}  // namespace tandem::net
