#pragma once
// Lists of codecs as an operator writes them ("PCMU", "opus/48000/2": RFC 8866 section 6.6) against what a
// description has. telephone-event and CN (RFC 4733, RFC 3389) go with any codec and stand in no list.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdp/description.h"

namespace tandem::media {

/// Whether this program can decode and encode it.
bool can_code(const sdp::Format& format);
/// Hz of the widest sound a codec carries, and what coding a second of it costs, G.711 being 1
/// (docs/benchmarks.md).
struct CodecTraits {
  uint32_t sound_rate = 8000;
  uint32_t cost = 1;
};
CodecTraits traits_of(std::string_view encoding, uint32_t clock_rate);
/// Of the formats that can be coded the one to make of sound of `sound_rate`: those that narrow it least, of
/// these the cheapest, of equal ones the first. Their number: there is none.
template <class Formats>
size_t best_made(const Formats& formats, uint32_t sound_rate) {
  size_t best = formats.size();
  std::pair<uint32_t, uint32_t> least{};
  for (size_t i = 0; i < formats.size(); ++i) {
    if (!can_code(formats[i])) continue;
    const CodecTraits t = traits_of(formats[i].encoding, formats[i].clock_rate);
    const std::pair loss{sound_rate - std::min(t.sound_rate, sound_rate), t.cost};
    if (best == formats.size() || loss < least) best = i, least = loss;
  }
  return best;
}

/// telephone-event and CN.
bool accompanies(const sdp::Format& format);
/// What an rtpmap says of a codec named so, its payload type unset. Nothing for a name nobody registered.
std::optional<sdp::Format> format_of(const std::string& codec);

/// Leaves of each RTP audio line what `codecs` names, in that order, and what accompanies it; an empty list
/// leaves all. A line with nothing left is refused. False: there was audio, and none is left.
bool restrict_audio(sdp::Description& description, const std::vector<std::string>& codecs);

/// Whether a leg described so can be heard by one that takes `codecs` only: by its own packets, or decoded
/// and encoded anew.
bool can_reach(const sdp::Description& description, const std::vector<std::string>& codecs);

/// The audio lines of an offer made from what another leg described. `only`: as restrict_audio. `more`:
/// behind what is left there stand those of `codecs` that can be made of what the other leg sends (plain RTP
/// only). False: there was audio, and none is left.
struct Terms {
  bool only = false;
  bool more = false;
};
bool offer_audio(sdp::Description& offer, const std::vector<std::string>& codecs, Terms terms);

/// An answer holds nothing the offer did not (RFC 3264 section 6.1); where nothing is left of a line, it gets
/// the codec of the offer that is best made of what the other leg answered, or with `in_order` the first.
void answer_within(sdp::Description& answer, const sdp::Description& offer, bool in_order);

/// telephone-event in the plain audio lines of an offer made from what another leg described: one for each
/// clock of their codecs where there is none, or none at all.
void offer_events(sdp::Description& offer, bool wanted);
/// Likewise in an answer, where the offer had any.
void answer_events(sdp::Description& answer, const sdp::Description& offer, bool wanted);

/// Takes a=ssrc (RFC 5576) out of the audio lines of what a leg is about to be `told` of another, `from`,
/// where it `takes` nothing that the other speaks (null: it has not said yet, and takes what browsers do):
/// what it hears is a stream of ours then, and a browser plays no source but those that are named. Elsewhere
/// they are needed: without them a browser follows the latest source, and does not go back to the one before
/// music.
void forget_sources(sdp::Description& told, const sdp::Description& from, const sdp::Description* takes);
/// Out of all its audio lines.
void forget_sources(sdp::Description& told);

/// An answer of ours to audio line `i` of an offer, appended to `out`: what can be coded of it and `codecs`
/// name (nothing: whatever can be coded), in its order, and telephone-event where `events`. False: nothing
/// can, and nothing was appended.
bool add_own_answer(sdp::Description& out, const sdp::Description& offer, size_t i,
                    const std::vector<std::string>& codecs, bool events = true);
/// An audio line of ours: those of `codecs` that can be made (none: G.711), and telephone-event where
/// `events`. Its index.
size_t add_own_offer(sdp::Description& out, const std::vector<std::string>& codecs, bool events = true);

}  // namespace tandem::media
