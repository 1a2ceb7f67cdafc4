#include "store/libav.h"

#include <mutex>

extern "C" {
#include <libavutil/log.h>
#include <libavutil/mem.h>
}

namespace tandem::store {

IoPtr make_io(int buffer_bytes, void* opaque, AvTransfer read, AvTransfer write, AvSeek seek) {
  auto* buffer = static_cast<uint8_t*>(av_malloc(static_cast<size_t>(buffer_bytes)));
  if (!buffer) return nullptr;
  AVIOContext* io = avio_alloc_context(buffer, buffer_bytes, write != nullptr, opaque, read, write, seek);
  if (!io) av_free(buffer);
  return IoPtr(io);
}

void prepare_libav() {
  constexpr size_t largest_block = 64 << 20;
  static std::once_flag once;
  std::call_once(once, [] {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(largest_block);
  });
}

}  // namespace tandem::store
