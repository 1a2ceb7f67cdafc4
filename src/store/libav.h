#pragma once
// What libavformat, libavcodec and libswresample hand out, owned. For the files of this room that use them.
#include <memory>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
}

namespace tandem::store {

struct AvDeleter {
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(SwrContext* p) const { swr_free(&p); }
  void operator()(AVIOContext* p) const {
    av_freep(&p->buffer);
    avio_context_free(&p);
  }
};
struct AvInputDeleter {
  void operator()(AVFormatContext* p) const { avformat_close_input(&p); }
};
struct AvOutputDeleter {
  void operator()(AVFormatContext* p) const { avformat_free_context(p); }
};
using PacketPtr = std::unique_ptr<AVPacket, AvDeleter>;
using FramePtr = std::unique_ptr<AVFrame, AvDeleter>;
using CodecPtr = std::unique_ptr<AVCodecContext, AvDeleter>;
using ResamplerPtr = std::unique_ptr<SwrContext, AvDeleter>;
using IoPtr = std::unique_ptr<AVIOContext, AvDeleter>;
using InputPtr = std::unique_ptr<AVFormatContext, AvInputDeleter>;
using OutputPtr = std::unique_ptr<AVFormatContext, AvOutputDeleter>;

using AvTransfer = int (*)(void* opaque, uint8_t* buffer, int size);
using AvSeek = int64_t (*)(void* opaque, int64_t offset, int whence);
/// For reading (`write` is null) or for writing. Null when memory is out.
IoPtr make_io(int buffer_bytes, void* opaque, AvTransfer read, AvTransfer write, AvSeek seek);

/// Once per process, by whoever comes first: libav says nothing on stderr (what it says of a file's content
/// is not ours to vouch for) and takes no piece of memory larger than any honest file asks for.
void prepare_libav();

}  // namespace tandem::store
