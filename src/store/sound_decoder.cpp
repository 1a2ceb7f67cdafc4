#include "store/sound_decoder.h"

#include <algorithm>
#include <optional>
#include <string_view>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mem.h>
#include <libswresample/swresample.h>
}

#include "store/libav.h"

namespace tandem::store {

using port::SoundFailure;
using port::SoundPtr;

namespace {

constexpr const char* decoders =
    "pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_"
    "alaw,"
    "pcm_mulaw,opus,libopus,vorbis,flac,mp3float,mp3";
// A device's buffer, not the file: libavformat asks for more as it goes.
constexpr int io_buffer = 32 * 1024;
constexpr uint64_t passes = 4;  // over the file
constexpr uint64_t least_io = 1 << 20;
constexpr int max_streams = 16;

/// The demuxer for what a file begins with. libavformat's own probing would show the bytes to all of its
/// three hundred formats first, which costs more than to decode a prompt.
const AVInputFormat* demuxer_for(std::string_view head) {
  struct Mark {
    size_t at;
    std::string_view bytes;
    const char* demuxer;
  };
  using namespace std::string_view_literals;
  static constexpr Mark marks[] = {
      {8, "WAVE"sv, "wav"},  {0, "OggS"sv, "ogg"},  {0, "\x1a\x45\xdf\xa3"sv, "matroska"},
      {0, "fLaC"sv, "flac"}, {8, "AIFF"sv, "aiff"}, {8, "AIFC"sv, "aiff"},
      {0, ".snd"sv, "au"},   {0, "ID3"sv, "mp3"}};
  for (const Mark& m : marks)
    if (head.size() >= m.at && head.substr(m.at).starts_with(m.bytes)) return av_find_input_format(m.demuxer);
  // An MPEG audio frame: eleven bits set.
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(head[i]); };
  if (head.size() >= 2 && byte(0) == 0xff && (byte(1) & 0xe0) == 0xe0) return av_find_input_format("mp3");
  return nullptr;
}

/// The reading end of an AVIOContext over a SoundSource.
struct Reader {
  const SoundSource& source;
  uint64_t at = 0;
  uint64_t left;  // bytes that may still be read
};

int read_packet(void* opaque, uint8_t* into, int size) {
  auto& reader = *static_cast<Reader*>(opaque);
  if (reader.left < static_cast<uint64_t>(size)) return AVERROR(EIO);
  const int64_t n = reader.source.read(reader.at, {into, static_cast<size_t>(size)});
  if (n < 0) return AVERROR(EIO);
  if (n == 0) return AVERROR_EOF;
  reader.at += static_cast<uint64_t>(n);
  reader.left -= static_cast<uint64_t>(n);
  return static_cast<int>(n);
}

int64_t seek(void* opaque, int64_t offset, int whence) {
  auto& reader = *static_cast<Reader*>(opaque);
  const auto size = static_cast<int64_t>(reader.source.size);
  if ((whence & AVSEEK_SIZE) != 0) return size;
  whence &= ~AVSEEK_FORCE;
  int64_t base = 0;
  if (whence == SEEK_CUR) base = static_cast<int64_t>(reader.at);
  if (whence == SEEK_END) base = size;
  if (offset > size || offset < -size || base + offset < 0) return AVERROR(EINVAL);
  reader.at = static_cast<uint64_t>(base + offset);
  return base + offset;
}

int open_nothing(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EPERM); }

bool plausible(int rate, int channels) {
  return rate >= 4000 && rate <= 192'000 && channels >= 1 && channels <= 8;
}

class Decoding {
 public:
  Decoding(const SoundSource& source, const SoundLimits& limits)
      : reader_{source, 0, std::max(source.size * passes, least_io)},
        max_samples_(
            static_cast<uint64_t>(static_cast<double>(limits.longest.count()) / 1e9 * port::sound_rate)) {}

  port::SoundResult run() {
    if (!open() || !open_decoder()) return Failure{SoundFailure::unreadable};
    const PacketPtr packet(av_packet_alloc());
    const FramePtr frame(av_frame_alloc());
    // A packet without a sample costs as well as one with many.
    uint64_t packets_left = 1000 + max_samples_ / 16;
    while (going_ && packets_left-- > 0 && av_read_frame(format_.get(), packet.get()) >= 0) {
      // A packet that does not decode is a gap, as in a stream that lost it.
      if (packet->stream_index == stream_ && avcodec_send_packet(codec_.get(), packet.get()) >= 0)
        take_frames(frame.get());
      av_packet_unref(packet.get());
    }
    if (going_ && avcodec_send_packet(codec_.get(), nullptr) >= 0) take_frames(frame.get());
    if (going_ && resampler_) convert(nullptr);
    if (failure_) return Failure{*failure_};
    if (samples_.empty()) return Failure{SoundFailure::unreadable};
    samples_.shrink_to_fit();
    auto sound = std::make_shared<port::Sound>();
    sound->samples = std::move(samples_);
    return SoundPtr(std::move(sound));
  }

 private:
  bool open();
  bool open_decoder();
  void take_frames(AVFrame* frame);
  bool fit_resampler(const AVFrame& frame);
  void convert(const AVFrame* frame);
  void fail(SoundFailure why) {
    failure_ = why;
    going_ = false;
  }

  Reader reader_;
  const uint64_t max_samples_;
  IoPtr io_;  // before what reads through it: it is freed last
  InputPtr format_;
  CodecPtr codec_;
  ResamplerPtr resampler_;
  int stream_ = -1;
  int rate_ = 0, channels_ = 0, sample_format_ = -1;  // what the resampler takes
  std::vector<int16_t> samples_;
  std::optional<SoundFailure> failure_;
  bool going_ = true;
};

bool Decoding::open() {
  uint8_t head[16] = {};
  const int64_t got = reader_.source.read(0, head);
  if (got <= 0) return false;
  const AVInputFormat* demuxer = demuxer_for({reinterpret_cast<const char*>(head), static_cast<size_t>(got)});
  if (!demuxer) return false;
  io_ = make_io(io_buffer, &reader_, &read_packet, nullptr, &seek);
  AVFormatContext* context = avformat_alloc_context();
  if (!io_ || !context) return false;
  context->pb = io_.get();
  context->flags |= AVFMT_FLAG_CUSTOM_IO;
  context->io_open = &open_nothing;
  context->max_streams = max_streams;
  context->max_probe_packets = 0;
  context->probesize = 1 << 20;
  context->max_analyze_duration = 2 * AV_TIME_BASE;
  context->format_whitelist = av_strdup(demuxer->name);
  context->codec_whitelist = av_strdup(decoders);
  context->protocol_whitelist = av_strdup("none");
  // After a failure the context is freed already.
  if (avformat_open_input(&context, "", demuxer, nullptr) < 0) return false;
  format_.reset(context);
  // Most headers say it all; reading ahead costs more than all the rest for a short prompt.
  const auto said = [](const AVStream* s) {
    const AVCodecParameters& p = *s->codecpar;
    return p.codec_id != AV_CODEC_ID_NONE && p.sample_rate > 0 && p.ch_layout.nb_channels > 0;
  };
  const AVStream* const* streams = context->streams;
  if (context->nb_streams > 0 && std::all_of(streams, streams + context->nb_streams, said)) return true;
  return avformat_find_stream_info(context, nullptr) >= 0;
}

bool Decoding::open_decoder() {
  const AVCodec* decoder = nullptr;
  stream_ = av_find_best_stream(format_.get(), AVMEDIA_TYPE_AUDIO, -1, -1, &decoder, 0);
  if (stream_ < 0 || !decoder) return false;
  for (unsigned i = 0; i < format_->nb_streams; ++i)
    if (static_cast<int>(i) != stream_) format_->streams[i]->discard = AVDISCARD_ALL;
  codec_.reset(avcodec_alloc_context3(decoder));
  if (!codec_) return false;
  if (avcodec_parameters_to_context(codec_.get(), format_->streams[stream_]->codecpar) < 0) return false;
  codec_->pkt_timebase = format_->streams[stream_]->time_base;
  codec_->thread_count = 1;
  codec_->codec_whitelist = av_strdup(decoders);
  return avcodec_open2(codec_.get(), decoder, nullptr) >= 0;
}

void Decoding::take_frames(AVFrame* frame) {
  while (going_ && avcodec_receive_frame(codec_.get(), frame) >= 0) {
    if (frame->nb_samples > 0) {
      if (fit_resampler(*frame))
        convert(frame);
      else
        fail(SoundFailure::unreadable);
    }
    av_frame_unref(frame);
  }
}

/// True when the resampler takes such frames. A file that changes its rate or channels midway is none to
/// play.
bool Decoding::fit_resampler(const AVFrame& frame) {
  const int channels = frame.ch_layout.nb_channels;
  if (resampler_)
    return frame.sample_rate == rate_ && channels == channels_ && frame.format == sample_format_;
  if (!plausible(frame.sample_rate, channels)) return false;
  AVChannelLayout from{}, to AV_CHANNEL_LAYOUT_MONO;
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_NATIVE)
    av_channel_layout_copy(&from, &frame.ch_layout);
  else
    av_channel_layout_default(&from, channels);
  SwrContext* made = nullptr;
  const bool ok =
      swr_alloc_set_opts2(&made, &to, AV_SAMPLE_FMT_S16, static_cast<int>(port::sound_rate), &from,
                          static_cast<AVSampleFormat>(frame.format), frame.sample_rate, 0, nullptr) >= 0;
  resampler_.reset(made);
  av_channel_layout_uninit(&from);
  if (!ok || swr_init(resampler_.get()) < 0) return false;
  rate_ = frame.sample_rate;
  channels_ = channels;
  sample_format_ = frame.format;
  return true;
}

/// nullptr: what the resampler still holds.
void Decoding::convert(const AVFrame* frame) {
  const int in = frame ? frame->nb_samples : 0;
  const int room = swr_get_out_samples(resampler_.get(), in);
  if (room < 0) return fail(SoundFailure::unreadable);
  const size_t before = samples_.size();
  samples_.resize(before + static_cast<size_t>(room));
  auto* out = reinterpret_cast<uint8_t*>(samples_.data() + before);
  const auto** data = frame ? const_cast<const uint8_t**>(frame->extended_data) : nullptr;
  const int made = swr_convert(resampler_.get(), &out, room, data, in);
  if (made < 0) return fail(SoundFailure::unreadable);
  samples_.resize(before + static_cast<size_t>(made));
  if (samples_.size() > max_samples_) fail(SoundFailure::too_long);
}

}  // namespace

port::SoundResult decode_sound(const SoundSource& source, const SoundLimits& limits) {
  if (source.size > limits.file_bytes) return Failure{SoundFailure::too_long};
  prepare_libav();
  return Decoding(source, limits).run();
}

}  // namespace tandem::store
