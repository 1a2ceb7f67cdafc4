#include "media/codecs.h"

#include <algorithm>

#include "base/text.h"
#include "codec/codec.h"
#include "port/directory.h"

namespace tandem::media {

namespace {

bool is(const sdp::Format& format, const port::CodecName& codec) {
  return iequals(format.encoding, codec.encoding) &&
         (codec.clock_rate == 0 || codec.clock_rate == format.clock_rate) &&
         (codec.channels == 0 || codec.channels == format.channels);
}

bool same_codec(const sdp::Format& a, const sdp::Format& b) {
  return a.clock_rate == b.clock_rate && a.channels == b.channels && iequals(a.encoding, b.encoding);
}

bool has(const std::vector<sdp::Format>& in, const sdp::Format& f) {
  return std::any_of(in.begin(), in.end(), [&](const sdp::Format& t) { return same_codec(t, f); });
}

bool any_codable(const std::vector<sdp::Format>& formats) {
  return std::any_of(formats.begin(), formats.end(), can_code);
}

bool any_codable(const std::vector<std::string>& codecs) {
  return std::any_of(codecs.begin(), codecs.end(), [](const std::string& name) {
    const auto f = format_of(name);
    return f && can_code(*f);
  });
}

bool is_audio(const sdp::MediaLine& line) {
  return line.port != 0 && iequals(line.kind, "audio") && line.proto.find("RTP/") != std::string_view::npos;
}

/// Without keys of our own there is nothing to decode an encrypted stream with.
bool is_plain(const sdp::MediaLine& line) { return istarts_with(line.proto, "RTP/AVP"); }

/// Payload types of what the list names, in its order.
std::vector<uint8_t> named(const std::vector<sdp::Format>& formats, const std::vector<std::string>& codecs) {
  std::vector<uint8_t> kept;
  for (const std::string& name : codecs) {
    const auto codec = port::CodecName::parse(name);
    if (!codec) continue;
    for (const sdp::Format& f : formats)
      if (is(f, *codec) && std::find(kept.begin(), kept.end(), f.payload_type) == kept.end())
        kept.push_back(f.payload_type);
  }
  return kept;
}

/// RFC 3551 section 6 where there is a number, else the first free dynamic one; nothing when all are taken.
std::optional<uint8_t> payload_type_for(const sdp::Format& f, const std::vector<sdp::Format>& taken) {
  const auto is_free = [&](uint8_t type) {
    return std::none_of(taken.begin(), taken.end(),
                        [&](const sdp::Format& t) { return t.payload_type == type; });
  };
  const std::pair<const char*, uint8_t> fixed[] = {{"PCMU", 0}, {"PCMA", 8}, {"G722", 9}, {"G729", 18}};
  for (const auto& [name, type] : fixed)
    if (iequals(f.encoding, name) && is_free(type)) return type;
  for (uint8_t type = 96; type < 128; ++type)
    if (is_free(type)) return type;
  return std::nullopt;
}

bool is_event(const sdp::Format& f) { return iequals(f.encoding, "telephone-event"); }

/// What our own fmtp says of a codec that is decoded here. What the other side's said is what it receives,
/// and no more ours than its address; but whether G.729 has Annex B is agreed by both (RFC 4856
/// section 2.1.9). The sender of Opus is asked for a copy of each packet in the next one (RFC 7587
/// section 6.1).
std::string_view own_parameters(const sdp::Format& f) {
  if (iequals(f.encoding, "opus")) return "useinbandfec=1";
  return iequals(f.encoding, "G729") ? f.parameters : std::string_view{};
}

/// telephone-event of `formats` for each clock that `chosen` has (RFC 4733 section 2.1), behind it; of
/// another clock, as some phones have beside Opus, where there is no better one.
void add_events(std::vector<sdp::Format>& chosen, const std::vector<sdp::Format>& formats) {
  const std::vector<sdp::Format> codecs = chosen;
  const auto add = [&](sdp::Format event) {
    const bool taken = std::any_of(chosen.begin(), chosen.end(), [&](const sdp::Format& f) {
      return f.payload_type == event.payload_type;
    });
    if (taken) {
      const auto type = payload_type_for(event, chosen);
      if (!type) return;
      event.payload_type = *type;
    }
    event.parameters = "0-15";
    chosen.push_back(event);
  };
  for (const sdp::Format& event : formats)
    if (is_event(event) && std::any_of(codecs.begin(), codecs.end(), [&](const sdp::Format& f) {
          return f.clock_rate == event.clock_rate;
        }))
      add(event);
  const auto any = std::find_if(formats.begin(), formats.end(), is_event);
  if (chosen.size() == codecs.size() && any != formats.end()) add(*any);
}

/// telephone-event of our own, for each clock of `formats`.
std::vector<sdp::Format> events_for(const std::vector<sdp::Format>& formats) {
  std::vector<sdp::Format> taken = formats, events;
  for (const sdp::Format& f : formats) {
    if (!can_code(f) || std::any_of(events.begin(), events.end(),
                                    [&](const sdp::Format& e) { return e.clock_rate == f.clock_rate; }))
      continue;
    sdp::Format event;
    event.payload_type = 101;
    event.encoding = "telephone-event";
    event.clock_rate = f.clock_rate;
    event.parameters = "0-15";
    if (std::any_of(taken.begin(), taken.end(), [](const sdp::Format& t) { return t.payload_type == 101; })) {
      const auto type = payload_type_for(event, taken);
      if (!type) break;
      event.payload_type = *type;
    }
    taken.push_back(event);
    events.push_back(event);
  }
  return events;
}

void remove_events(sdp::Description& d, size_t i, const std::vector<sdp::Format>& formats) {
  std::vector<uint8_t> kept;
  for (const sdp::Format& f : formats)
    if (!is_event(f)) kept.push_back(f.payload_type);
  if (!kept.empty() && kept.size() < formats.size()) d.set_formats(i, kept);
}

/// Puts `own` in the place of all formats of the line; nothing but what accompanies `formats` stays.
void offer_line(sdp::Description& offer, size_t i, const std::vector<std::string>& codecs, Terms terms) {
  const auto before = offer.formats(i);
  const bool source = terms.more && is_plain(offer.media(i)) && any_codable(before);
  std::vector<sdp::Format> events;
  std::copy_if(before.begin(), before.end(), std::back_inserter(events), accompanies);
  std::vector<sdp::Format> own;
  if (terms.only) {
    for (const uint8_t type : named(before, codecs))
      own.push_back(*std::find_if(before.begin(), before.end(),
                                  [&](const sdp::Format& f) { return f.payload_type == type; }));
  } else {
    own = before;
  }
  const size_t kept = own.size();
  std::vector<sdp::Format> taken = before;  // a number has one meaning in both legs' descriptions
  if (source)
    for (const std::string& name : codecs) {
      auto f = format_of(name);
      if (!f || has(own, *f) || !can_code(*f)) continue;
      const auto type = payload_type_for(*f, taken);
      if (!type) break;
      f->payload_type = *type;
      f->parameters = own_parameters(*f);
      own.push_back(*f);
      taken.push_back(*f);
    }
  if (terms.only && own.empty()) return offer.reject_media(i);
  if (!terms.only) {
    for (size_t n = kept; n < own.size(); ++n) offer.add_format(i, own[n]);
    return;
  }
  if (kept == own.size()) {
    std::vector<uint8_t> types;
    for (const auto* list : {&own, &events})
      for (const sdp::Format& f : *list) types.push_back(f.payload_type);
    return offer.set_formats(i, types);
  }
  own.insert(own.end(), events.begin(), events.end());
  offer.replace_formats(i, own);
}

}  // namespace

bool can_code(const sdp::Format& f) { return codec::has_codec({f.encoding, f.clock_rate, f.channels, {}}); }

CodecTraits traits_of(std::string_view encoding, uint32_t clock_rate) {
  if (iequals(encoding, "G722")) return {16'000, 4};  // its clock says 8000 (RFC 3551 section 4.5.2)
  if (iequals(encoding, "G729")) return {8000, 20};
  if (iequals(encoding, "opus")) return {clock_rate, 30};
  return {clock_rate, 1};
}

bool accompanies(const sdp::Format& f) {
  return iequals(f.encoding, "telephone-event") || iequals(f.encoding, "CN");
}

std::optional<sdp::Format> format_of(const std::string& name) {
  const auto codec = port::CodecName::parse(name);
  if (!codec) return std::nullopt;
  sdp::Format f;
  f.encoding = codec->encoding;
  const bool opus = iequals(codec->encoding, "opus");  // RFC 7587; the others RFC 3551
  f.clock_rate = codec->clock_rate != 0 ? codec->clock_rate : opus ? 48'000 : 8000;
  f.channels = codec->channels != 0 ? codec->channels : opus ? 2 : 1;
  return f;
}

bool restrict_audio(sdp::Description& description, const std::vector<std::string>& codecs) {
  return codecs.empty() || offer_audio(description, codecs, {.only = true});
}

bool can_reach(const sdp::Description& description, const std::vector<std::string>& codecs) {
  if (codecs.empty()) return true;
  bool had = false;
  for (size_t i = 0; i < description.media_count(); ++i) {
    const sdp::MediaLine line = description.media(i);
    if (!is_audio(line)) continue;
    had = true;
    const auto formats = description.formats(i);
    if (!named(formats, codecs).empty()) return true;
    if (any_codable(formats) && any_codable(codecs)) return true;
  }
  return !had;
}

bool offer_audio(sdp::Description& offer, const std::vector<std::string>& codecs, Terms terms) {
  bool had = false, left = false;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    if (!is_audio(offer.media(i))) continue;
    had = true;
    offer_line(offer, i, codecs, terms);
    left = left || offer.media(i).port != 0;
  }
  return left || !had;
}

void answer_within(sdp::Description& answer, const sdp::Description& offer, bool in_order) {
  const size_t lines = std::min(answer.media_count(), offer.media_count());
  for (size_t i = 0; i < lines; ++i) {
    if (!is_audio(answer.media(i)) || !is_audio(offer.media(i))) continue;
    if (!is_plain(answer.media(i)) || !is_plain(offer.media(i))) continue;
    const auto answered = answer.formats(i);
    const auto offered = offer.formats(i);
    std::vector<uint8_t> kept;
    bool speech = false;
    for (const sdp::Format& f : answered) {
      if (!has(offered, f)) continue;
      kept.push_back(f.payload_type);
      speech = speech || !accompanies(f);
    }
    if (speech) {
      if (kept.size() < answered.size()) answer.set_formats(i, kept);
      continue;
    }
    const auto heard = std::find_if(answered.begin(), answered.end(), can_code);
    if (heard == answered.end()) continue;
    const auto first = std::find_if(offered.begin(), offered.end(), can_code);
    const auto ours =
        in_order ? first
                 : offered.begin() + static_cast<ptrdiff_t>(best_made(
                                         offered, traits_of(heard->encoding, heard->clock_rate).sound_rate));
    if (ours == offered.end()) continue;
    std::vector<sdp::Format> own{*ours};
    own.front().parameters = own_parameters(*ours);
    for (const sdp::Format& event : offered) {
      if (!iequals(event.encoding, "telephone-event") || event.clock_rate != ours->clock_rate) continue;
      own.push_back(event);
      own.back().parameters = "0-15";
      break;
    }
    answer.replace_formats(i, own);
  }
}

void offer_events(sdp::Description& offer, bool wanted) {
  for (size_t i = 0; i < offer.media_count(); ++i) {
    if (!is_audio(offer.media(i)) || !is_plain(offer.media(i))) continue;
    const auto formats = offer.formats(i);
    if (!wanted) {
      remove_events(offer, i, formats);
    } else if (std::none_of(formats.begin(), formats.end(), is_event)) {
      for (const sdp::Format& event : events_for(formats)) offer.add_format(i, event);
    }
  }
}

void answer_events(sdp::Description& answer, const sdp::Description& offer, bool wanted) {
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    if (!is_audio(answer.media(i)) || !is_plain(answer.media(i)) || !is_plain(offer.media(i))) continue;
    const auto formats = answer.formats(i);
    if (!wanted) {
      remove_events(answer, i, formats);
    } else if (std::none_of(formats.begin(), formats.end(), is_event) && any_codable(formats)) {
      auto chosen = formats;
      add_events(chosen, offer.formats(i));
      for (size_t n = formats.size(); n < chosen.size(); ++n) answer.add_format(i, chosen[n]);
    }
  }
}

namespace {

void forget_sources(sdp::Description& told, size_t i) {
  told.remove_attribute(i, "ssrc");
  told.remove_attribute(i, "ssrc-group");
}

}  // namespace

void forget_sources(sdp::Description& told) {
  for (size_t i = 0; i < told.media_count(); ++i)
    if (is_audio(told.media(i))) forget_sources(told, i);
}

void forget_sources(sdp::Description& told, const sdp::Description& from, const sdp::Description* takes) {
  constexpr std::string_view by_browsers[] = {"opus", "G722", "PCMU", "PCMA"};
  for (size_t i = 0; i < std::min(told.media_count(), from.media_count()); ++i) {
    if (!is_audio(told.media(i))) continue;
    const auto taken = takes && i < takes->media_count() ? takes->formats(i) : std::vector<sdp::Format>{};
    const auto spoken = from.formats(i);
    const bool kept = std::any_of(spoken.begin(), spoken.end(), [&](const sdp::Format& f) {
      if (accompanies(f) || iequals(f.encoding, "red")) return false;
      return taken.empty() ? std::any_of(std::begin(by_browsers), std::end(by_browsers),
                                         [&](std::string_view name) { return iequals(f.encoding, name); })
                           : has(taken, f);
    });
    if (!kept) forget_sources(told, i);
  }
}

bool add_own_answer(sdp::Description& out, const sdp::Description& offer, size_t i,
                    const std::vector<std::string>& codecs, bool events) {
  const sdp::MediaLine m = offer.media(i);
  if (!is_audio(m)) return false;
  const auto formats = offer.formats(i);
  std::vector<sdp::Format> chosen;
  const auto wanted = named(formats, codecs);
  std::copy_if(formats.begin(), formats.end(), std::back_inserter(chosen), [&](const sdp::Format& f) {
    return can_code(f) && std::find(wanted.begin(), wanted.end(), f.payload_type) != wanted.end();
  });
  if (chosen.empty()) std::copy_if(formats.begin(), formats.end(), std::back_inserter(chosen), can_code);
  if (chosen.empty()) return false;
  for (sdp::Format& f : chosen) f.parameters = own_parameters(f);
  if (events) add_events(chosen, formats);
  const size_t at = out.add_media("audio", 1, m.proto, "0");
  out.replace_formats(at, chosen);
  out.add_attribute(at, "ptime", "20");
  return true;
}

size_t add_own_offer(sdp::Description& out, const std::vector<std::string>& codecs, bool events) {
  std::vector<sdp::Format> own;
  const auto add = [&](const std::string& name) {
    auto f = format_of(name);
    if (!f || has(own, *f) || !can_code(*f)) return;
    const auto type = payload_type_for(*f, own);
    if (!type) return;
    f->payload_type = *type;
    f->parameters = own_parameters(*f);
    own.push_back(*f);
  };
  for (const std::string& name : codecs) add(name);
  static const std::vector<std::string> at_least{"PCMU", "PCMA"};
  if (own.empty())
    for (const std::string& name : at_least) add(name);
  if (events) {
    const auto ours = events_for(own);
    own.insert(own.end(), ours.begin(), ours.end());
  }
  const size_t at = out.add_media("audio", 1, "RTP/AVP", "0");
  out.replace_formats(at, own);
  out.add_attribute(at, "ptime", "20");
  return at;
}

}  // namespace tandem::media
