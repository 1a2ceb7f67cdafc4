// Opus in Matroska (RFC 6716, RFC 9559): libopus by libavcodec, the container by libavformat's muxer, which
// writes into memory here and never waits for a disk.
#include <algorithm>
#include <vector>

#include "store/libav.h"
#include "store/sound_writer.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace tandem::store {
namespace {

constexpr int64_t bit_rate_a_side = 32'000;
// Of libopus, 0 to 10: half the work of 10, and speech at this rate does not show the difference.
constexpr int complexity = 5;
constexpr int io_buffer = 4096;
// A cluster is what survives or is lost whole.
constexpr const char* cluster_ms = "500";

class OpusWriter final : public SoundWriter {
 public:
  OpusWriter(const port::RecordingOrder& order, RecordingBytes& bytes)
      : rate_(static_cast<int>(order.rate)), sides_(order.sides), bytes_(bytes) {}
  bool start();
  bool write(std::span<const int16_t> frames) override;
  bool settle() override;
  bool finish() override;

 private:
  bool open_encoder();
  bool open_muxer();
  bool encode(const int16_t* samples, int frames);
  bool drain();
  static int write_bytes(void* opaque, uint8_t* buffer, int size);
  static int64_t seek(void* opaque, int64_t offset, int whence);

  const int rate_;
  const uint8_t sides_;
  RecordingBytes& bytes_;
  int64_t at_ = 0;  // where the muxer writes next
  IoPtr io_;        // before the muxer, which writes through it to its end
  OutputPtr muxer_;
  CodecPtr encoder_;
  PacketPtr packet_;
  FramePtr frame_;
  std::vector<int16_t> rest_;  // less than a frame of the encoder
  int64_t next_pts_ = 0;
};

int OpusWriter::write_bytes(void* opaque, uint8_t* buffer, int size) {
  auto& self = *static_cast<OpusWriter*>(opaque);
  const std::string_view piece(reinterpret_cast<const char*>(buffer), static_cast<size_t>(size));
  self.bytes_.patch(static_cast<uint64_t>(self.at_), piece);
  self.at_ += size;
  return size;
}

int64_t OpusWriter::seek(void* opaque, int64_t offset, int whence) {
  auto& self = *static_cast<OpusWriter*>(opaque);
  const auto size = static_cast<int64_t>(self.bytes_.size());
  if ((whence & AVSEEK_SIZE) != 0) return size;
  int64_t base = 0;
  if (whence == SEEK_CUR) base = self.at_;
  if (whence == SEEK_END) base = size;
  if (base + offset < 0 || base + offset > size) return AVERROR(EINVAL);
  self.at_ = base + offset;
  return self.at_;
}

bool OpusWriter::open_encoder() {
  const AVCodec* codec = avcodec_find_encoder_by_name("libopus");
  if (!codec) return false;
  encoder_.reset(avcodec_alloc_context3(codec));
  packet_.reset(av_packet_alloc());
  frame_.reset(av_frame_alloc());
  if (!encoder_ || !packet_ || !frame_) return false;
  encoder_->sample_fmt = AV_SAMPLE_FMT_S16;
  encoder_->sample_rate = rate_;
  encoder_->time_base = {1, rate_};
  encoder_->bit_rate = bit_rate_a_side * sides_;
  encoder_->thread_count = 1;
  av_channel_layout_default(&encoder_->ch_layout, sides_);
  // Not "voip": it would code both sides as one voice and the difference, and each is heard in the other.
  av_opt_set(encoder_->priv_data, "application", "audio", 0);
  encoder_->compression_level = complexity;
  encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  return avcodec_open2(encoder_.get(), codec, nullptr) >= 0;
}

bool OpusWriter::open_muxer() {
  AVFormatContext* context = nullptr;
  if (avformat_alloc_output_context2(&context, nullptr, "matroska", nullptr) < 0) return false;
  muxer_.reset(context);
  io_ = make_io(io_buffer, this, nullptr, &write_bytes, &seek);
  AVStream* stream = avformat_new_stream(context, nullptr);
  if (!io_ || !stream) return false;
  context->pb = io_.get();
  context->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
  stream->time_base = {1, rate_};
  if (avcodec_parameters_from_context(stream->codecpar, encoder_.get()) < 0) return false;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "cluster_time_limit", cluster_ms, 0);
  const bool ok = avformat_write_header(context, &options) >= 0;
  av_dict_free(&options);
  return ok;
}

bool OpusWriter::start() { return open_encoder() && open_muxer(); }

bool OpusWriter::write(std::span<const int16_t> frames) {
  rest_.insert(rest_.end(), frames.begin(), frames.end());
  const size_t one = static_cast<size_t>(encoder_->frame_size) * sides_;
  size_t used = 0;
  for (; rest_.size() - used >= one; used += one)
    if (!encode(rest_.data() + used, encoder_->frame_size)) return false;
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(used));
  return true;
}

bool OpusWriter::encode(const int16_t* samples, int frames) {
  av_frame_unref(frame_.get());
  frame_->format = encoder_->sample_fmt;
  frame_->sample_rate = rate_;
  frame_->nb_samples = frames;
  frame_->pts = next_pts_;
  if (av_channel_layout_copy(&frame_->ch_layout, &encoder_->ch_layout) < 0 ||
      av_frame_get_buffer(frame_.get(), 0) < 0)
    return false;
  std::copy_n(samples, static_cast<size_t>(frames) * sides_, reinterpret_cast<int16_t*>(frame_->data[0]));
  next_pts_ += frames;
  return avcodec_send_frame(encoder_.get(), frame_.get()) >= 0 && drain();
}

bool OpusWriter::drain() {
  while (avcodec_receive_packet(encoder_.get(), packet_.get()) >= 0) {
    packet_->stream_index = 0;
    av_packet_rescale_ts(packet_.get(), encoder_->time_base, muxer_->streams[0]->time_base);
    if (av_write_frame(muxer_.get(), packet_.get()) < 0) return false;
    av_packet_unref(packet_.get());
  }
  return true;
}

bool OpusWriter::settle() {
  // Closes the cluster.
  if (av_write_frame(muxer_.get(), nullptr) < 0) return false;
  avio_flush(io_.get());
  return true;
}

bool OpusWriter::finish() {
  if (!rest_.empty()) {
    const int frames = static_cast<int>(rest_.size()) / sides_;
    if (!encode(rest_.data(), frames)) return false;
    rest_.clear();
  }
  if (avcodec_send_frame(encoder_.get(), nullptr) < 0 || !drain()) return false;
  const bool ok = av_write_trailer(muxer_.get()) >= 0;
  avio_flush(io_.get());
  return ok;
}

}  // namespace

std::unique_ptr<SoundWriter> make_opus_writer(const port::RecordingOrder& order, RecordingBytes& bytes) {
  prepare_libav();
  auto writer = std::make_unique<OpusWriter>(order, bytes);
  if (!writer->start()) return nullptr;
  return writer;
}

// ---- what a crash left -----------------------------------------------------------------------------------

namespace {

constexpr uint32_t id_ebml = 0x1A45DFA3, id_segment = 0x18538067, id_cluster = 0x1F43B675;

/// An element's head (RFC 8794 sections 4 and 5).
struct Element {
  uint32_t id = 0;
  uint64_t size = 0;  // of its data; of unknown size when `endless`
  size_t head = 0;    // bytes of id and size; 0: none here
  bool endless = false;
};

Element element_at(std::string_view in) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(in[i]); };
  const auto length = [&](size_t at) {
    size_t n = 1;
    while (n <= 8 && !(byte(at) & (0x80 >> (n - 1)))) ++n;
    return n;
  };
  Element e;
  if (in.empty()) return e;
  const size_t id_bytes = length(0);
  if (id_bytes > 4 || in.size() <= id_bytes) return e;
  for (size_t i = 0; i < id_bytes; ++i) e.id = e.id << 8 | byte(i);
  const size_t size_bytes = length(id_bytes);
  if (size_bytes > 8 || in.size() < id_bytes + size_bytes) return e;
  const uint64_t most = (uint64_t{1} << (7 * size_bytes)) - 1;
  for (size_t i = 0; i < size_bytes; ++i) e.size = e.size << 8 | byte(id_bytes + i);
  e.size &= most;
  e.endless = e.size == most;
  e.head = id_bytes + size_bytes;
  return e;
}

/// Milliseconds in a cluster's Timestamp, which our muxer writes first.
int64_t cluster_time(std::string_view data) {
  constexpr uint32_t id_timestamp = 0xE7;
  const Element e = element_at(data);
  if (e.id != id_timestamp || e.size > 8 || data.size() < e.head + e.size) return 0;
  int64_t ms = 0;
  for (size_t i = 0; i < e.size; ++i) ms = ms << 8 | static_cast<uint8_t>(data[e.head + i]);
  return ms;
}

}  // namespace

Result<Mended, port::DiskError> mend_matroska(port::Disk& disk, const std::string& path) {
  constexpr size_t look = 32;
  const auto size = disk.size(path);
  if (!size.ok()) return Failure{size.reason()};
  uint64_t at = 0, whole = 0;
  int64_t last_cluster = 0;
  bool any = false;
  while (at < *size) {
    const auto head = disk.read(path, at, look);
    if (!head.ok()) return Failure{head.reason()};
    const Element e = element_at(*head);
    if (e.head == 0 || (at == 0 && e.id != id_ebml)) break;
    if (e.id == id_segment) {  // what is in it follows
      at += e.head;
      continue;
    }
    if (e.endless || at + e.head + e.size > *size) break;
    at += e.head + e.size;
    if (e.id != id_cluster) continue;
    whole = at;
    any = true;
    last_cluster = cluster_time(std::string_view(*head).substr(e.head));
  }
  if (!any) return Mended{};
  if (whole < *size)
    if (auto cut = disk.truncate(path, whole); !cut.ok()) return Failure{cut.reason()};
  return Mended{whole, milliseconds(last_cluster)};
}

}  // namespace tandem::store
