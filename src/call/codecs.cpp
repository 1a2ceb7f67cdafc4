#include "call/codecs.h"

#include <algorithm>

#include "base/text.h"
#include "port/directory.h"

namespace tandem::call {

namespace {

bool is(const sdp::Format& format, const port::CodecName& codec) {
  return iequals(format.encoding, codec.encoding) &&
         (codec.clock_rate == 0 || codec.clock_rate == format.clock_rate) &&
         (codec.channels == 0 || codec.channels == format.channels);
}

bool accompanies(const sdp::Format& format) {
  return iequals(format.encoding, "telephone-event") || iequals(format.encoding, "CN");
}

}  // namespace

bool restrict_audio(sdp::Description& description, const std::vector<std::string>& codecs) {
  if (codecs.empty()) return true;
  bool had = false, left = false;
  for (size_t i = 0; i < description.media_count(); ++i) {
    const sdp::MediaLine line = description.media(i);
    if (!iequals(line.kind, "audio") || line.port == 0 || line.proto.find("RTP/") == std::string_view::npos)
      continue;
    had = true;
    const auto formats = description.formats(i);
    std::vector<uint8_t> kept;
    for (const std::string& name : codecs) {
      const auto codec = port::CodecName::parse(name);
      if (!codec) continue;
      for (const sdp::Format& f : formats)
        if (is(f, *codec) && std::find(kept.begin(), kept.end(), f.payload_type) == kept.end())
          kept.push_back(f.payload_type);
    }
    if (kept.empty()) {
      description.reject_media(i);
      continue;
    }
    for (const sdp::Format& f : formats)
      if (accompanies(f)) kept.push_back(f.payload_type);
    description.set_formats(i, kept);
    left = true;
  }
  return left || !had;
}

}  // namespace tandem::call
