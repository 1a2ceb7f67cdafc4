#pragma once
// The codecs behind the seam, one file each. For codec.cpp alone.
#include <memory>

#include "codec/codec.h"
#include "codec/g711.h"

namespace tandem::codec {

template <class T>
using Made = Result<std::unique_ptr<T>, FormatReason>;

std::unique_ptr<Encoder> make_g711_encoder(G711 law);
std::unique_ptr<Decoder> make_g711_decoder(G711 law);
std::unique_ptr<Encoder> make_l16_encoder(uint32_t rate, uint8_t channels);
std::unique_ptr<Decoder> make_l16_decoder(uint32_t rate, uint8_t channels);
std::unique_ptr<Encoder> make_g722_encoder(const Options& options);
std::unique_ptr<Decoder> make_g722_decoder(const Options& options);
Made<Encoder> make_g729_encoder(const Format& format);
Made<Decoder> make_g729_decoder(const Format& format);
Made<Encoder> make_opus_encoder(const Format& format, const Options& options);
Made<Decoder> make_opus_decoder(const Format& format, const Options& options);

}  // namespace tandem::codec
